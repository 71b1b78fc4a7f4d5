import PlaneLink
import Testing
import WireFormats

@testable import FastPath

/// A buffer driven as the worker drives it; what goes on is noted.
private final class Rig {
    private var buffer: TrackReorder
    var went: [UInt16] = []
    var verdicts: [TrackReorder.Verdict] = []
    var fills = 0
    var state: TrackReorder { buffer }

    init(waitMilliseconds: UInt64 = 50) throws {
        buffer = try #require(TrackReorder(waitNanosecondsMax: waitMilliseconds * 1_000_000, silenceNanoseconds: 2_000_000_000))
    }

    deinit { buffer.free() }

    private func note(_ packet: (bytes: UnsafeMutableRawPointer, count: Int)) {
        let bytes = unsafe Array(UnsafeRawBufferPointer(start: packet.bytes, count: packet.count))
        // The bytes belong to the number.
        #expect(bytes.count >= 12 && bytes.dropFirst(12).allSatisfy { $0 == bytes[3] })
        went.append(sequence(bytes))
    }

    func ready(_ now: UInt64) { while let packet = unsafe buffer.takeReady(now: now) { unsafe note(packet) } }

    @discardableResult
    func offer(
        _ number: UInt16, leg: Int = 0, at milliseconds: Double = 0, timestamp: UInt32? = nil, bytes: Int = 20, ssrc: UInt32 = 7
    ) throws -> TrackReorder.Verdict {
        let now = Self.nanoseconds(milliseconds)
        ready(now)
        let packet = rtp(
            sequence: number, timestamp: timestamp ?? UInt32(number) * 90, ssrc: ssrc,
            payload: [UInt8](repeating: UInt8(number & 0xFF), count: bytes))
        let header = try RTPHeader(packet.span)
        var isFilling = false
        let verdict = unsafe packet.withUnsafeBytes { bytes -> TrackReorder.Verdict in
            guard let base = bytes.baseAddress else { return .late }
            return unsafe buffer.offer(leg, header, base, bytes.count, now: now, fills: &isFilling)
        }
        if isFilling { fills += 1 }
        switch verdict {
        case .next, .jump: went.append(number)
        case .overtakes:
            while let packet = unsafe buffer.takeBelow(number) { unsafe note(packet) }
            buffer.overtaken(by: header)
            went.append(number)
        case .restart:
            while let packet = unsafe buffer.takeBelow(nil) { unsafe note(packet) }
            buffer.restart(leg, header, now: now)
            went.append(number)
        case .waits, .duplicate, .late, .foreign: break
        }
        ready(now)
        verdicts.append(verdict)
        return verdict
    }

    func pass(to milliseconds: Double) { ready(Self.nanoseconds(milliseconds)) }

    private static func nanoseconds(_ milliseconds: Double) -> UInt64 { UInt64((milliseconds * 1_000).rounded()) * 1_000 + 1_000_000_000 }
}

/// The same, thought of without numbers that wrap and without bounded memory.
private struct NaiveReorder {
    let wait: Int
    var next: Int?
    var waiting: [Int: Int] = [:]
    var taken: Set<Int> = []
    var went: [Int] = []

    mutating func offer(_ number: Int, at now: Int) {
        pass(to: now)
        guard let next else {
            self.next = number + 1
            taken.insert(number)
            went.append(number)
            return
        }
        guard !taken.contains(number), number >= next else { return }
        taken.insert(number)
        waiting[number] = now
        if number - next >= ReorderPlan.packetsMax {
            for lower in waiting.keys.sorted() where lower <= number { go(lower) }
        }
        drain()
    }

    mutating func pass(to now: Int) {
        while let oldest = waiting.values.min(), oldest + wait <= now, let lowest = waiting.keys.min() {
            go(lowest)
            drain()
        }
    }

    private mutating func drain() { while let next, waiting[next] != nil { go(next) } }

    private mutating func go(_ number: Int) {
        waiting[number] = nil
        went.append(number)
        next = number + 1
    }
}

@Suite struct TrackReorderTests {
    @Test("In order, nothing waits; what comes early waits for what is missing; what is there already is dropped")
    func order() throws {
        let rig = try Rig()
        for number in [10, 11, 13, 14, 12, 13, 11, 15] as [UInt16] { try rig.offer(number) }
        #expect(rig.went == [10, 11, 12, 13, 14, 15])
        #expect(rig.verdicts == [.next, .next, .waits, .waits, .next, .duplicate, .duplicate, .next])
        #expect(rig.fills == 1)
        #expect(rig.state.waiting == 0 && rig.state.missing == 0)
    }

    @Test("A gap that nobody fills is given up in time, and stays a gap")
    func gap() throws {
        let rig = try Rig()
        try rig.offer(65_534, at: 0)
        try rig.offer(1, at: 10)
        try rig.offer(2, at: 30)
        rig.pass(to: 59)
        #expect(rig.went == [65_534])
        #expect(rig.state.dueAt == 1_060_000_000)
        rig.pass(to: 60)
        #expect(rig.went == [65_534, 1, 2])
        #expect(rig.state.missing == 2)
        #expect(try rig.offer(65_535, at: 61) == .late)
        #expect(rig.went == [65_534, 1, 2])
    }

    @Test("Each gap has its own time")
    func twoGaps() throws {
        let rig = try Rig()
        try rig.offer(0, at: 0)
        try rig.offer(2, at: 10)
        try rig.offer(4, at: 40)
        rig.pass(to: 60)
        #expect(rig.went == [0, 2])
        #expect(rig.state.dueAt == 1_090_000_000)
        rig.pass(to: 90)
        #expect(rig.went == [0, 2, 4])
    }

    @Test("There is room for so many packets, and no more")
    func room() throws {
        let rig = try Rig(waitMilliseconds: 2_000)
        try rig.offer(0)
        for number in 2..<UInt16(ReorderPlan.packetsMax) { #expect(try rig.offer(number) == .waits) }
        #expect(rig.went == [0])
        #expect(rig.state.waiting == ReorderPlan.packetsMax - 2)
        #expect(try rig.offer(UInt16(ReorderPlan.packetsMax) + 1) == .overtakes)
        #expect(rig.went.count == ReorderPlan.packetsMax && rig.went == rig.went.sorted())
        #expect(rig.state.overflows == 1 && rig.state.missing == 2 && rig.state.waiting == 0)
    }

    @Test("A packet too large to wait takes what is before it along")
    func large() throws {
        let rig = try Rig()
        try rig.offer(0)
        try rig.offer(2)
        #expect(try rig.offer(5, bytes: 3_000) == .overtakes)
        #expect(try rig.offer(6) == .next)
        #expect(rig.went == [0, 2, 5, 6])
        #expect(rig.state.missing == 3)
    }

    @Test("A stray packet changes nothing; two that follow each other are a restart")
    func restart() throws {
        let rig = try Rig()
        try rig.offer(100)
        try rig.offer(102)
        #expect(try rig.offer(40_000) == .jump)
        #expect(try rig.offer(101) == .next)
        #expect(try rig.offer(50_000) == .jump)
        #expect(try rig.offer(50_001) == .restart)
        #expect(try rig.offer(50_002) == .next)
        #expect(rig.went == [100, 40_000, 101, 102, 50_000, 50_001, 50_002])
        #expect(rig.state.restarts == 1)
    }

    @Test("A source that begins again a little lower is a restart, too")
    func restartBelow() throws {
        let rig = try Rig()
        for number in 1_000..<UInt16(1_100) { try rig.offer(number) }
        #expect(try rig.offer(1_050, timestamp: 5) == .jump)
        #expect(try rig.offer(1_051, timestamp: 95) == .restart)
        #expect(try rig.offer(1_052, timestamp: 185) == .next)
    }

    @Test("Either of two legs may be cut and come back")
    func cutInTurn() throws {
        let rig = try Rig()
        for number in 0..<UInt16(600) {
            let time = Double(number) * 5
            // Leg 1 is 20 ms behind; each is cut for a while.
            if !(100..<200).contains(number) { try rig.offer(number, leg: 0, at: time, ssrc: 7) }
            if number >= 4, !(300..<500).contains(number - 4) { try rig.offer(number - 4, leg: 1, at: time + 1, ssrc: 8) }
        }
        #expect(rig.went == Array(0..<600))
        #expect(rig.state.missing == 0 && rig.state.restarts == 0)
        #expect(rig.state.ssrc == 7)
        #expect((15_000_000..<22_000_000).contains(rig.state.legs[1].lagNanoseconds))
    }

    @Test("What one leg lost is filled from the other, in order")
    func filled() throws {
        let rig = try Rig()
        for number in 0..<UInt16(400) {
            let time = Double(number) * 2
            if number % 7 != 3 { try rig.offer(number, leg: 0, at: time) }
            if number >= 10, (number - 10) % 5 != 1 || (number - 10) % 7 == 3 { try rig.offer(number - 10, leg: 1, at: time + 0.5) }
        }
        #expect(rig.went.count > 380 && rig.went == Array(0..<UInt16(rig.went.count)))
        #expect(rig.fills > 50)
    }

    @Test("A leg with other timestamps is left out, and stands in when the leading one is silent")
    func leftOut() throws {
        let rig = try Rig()
        for number in 0..<UInt16(200) {
            try rig.offer(number, leg: 0, at: Double(number) * 5)
            try rig.offer(number, leg: 1, at: Double(number) * 5 + 1, timestamp: UInt32(number) * 90 + 12_345)
        }
        #expect(rig.went == Array(0..<200))
        #expect(rig.state.legs[1].isLeftOut && !rig.state.legs[0].isLeftOut)
        #expect(rig.state.lead == 0)
        // Leg 0 is cut: after two seconds leg 1 leads, with a restart.
        for number in 200..<UInt16(700) {
            try rig.offer(number, leg: 1, at: Double(number) * 5 + 1, timestamp: UInt32(number) * 90 + 12_345)
        }
        #expect(rig.state.lead == 1 && rig.state.restarts == 1)
        #expect(rig.went.last == 699)
        #expect(rig.went.count < 400 && rig.went.count > 250)
        // Leg 0 returns as it was: now it is the one that is left out.
        for number in 700..<UInt16(750) {
            try rig.offer(number, leg: 1, at: Double(number) * 5, timestamp: UInt32(number) * 90 + 12_345)
            try rig.offer(number, leg: 0, at: Double(number) * 5 + 1)
        }
        #expect(rig.state.legs[0].isLeftOut && rig.state.lead == 1)
    }

    @Test("A leg with other numbers is not mixed in; one that agrees again is taken back")
    func otherNumbers() throws {
        let rig = try Rig()
        for number in 0..<UInt16(300) {
            try rig.offer(number, leg: 0, at: Double(number))
            #expect(try rig.offer(number + 30_000, leg: 1, at: Double(number)) == .foreign)
        }
        #expect(rig.went == Array(0..<300))
        for number in 300..<UInt16(310) {
            try rig.offer(number, leg: 0, at: Double(number))
            try rig.offer(number, leg: 1, at: Double(number), timestamp: 1)
        }
        #expect(rig.state.legs[1].isLeftOut)
        for number in 310..<UInt16(420) {
            try rig.offer(number, leg: 0, at: Double(number))
            try rig.offer(number, leg: 1, at: Double(number))
        }
        #expect(!rig.state.legs[1].isLeftOut)
    }

    @Test("A thousand random networks: the same packets go on as by a naive account", arguments: 0..<1_000)
    func model(seed: Int) throws {
        var chance = SplitMix(seed: UInt64(seed))
        let wait = Int(chance.below(80)) + 1
        let legs = Int(chance.below(3)) + 1
        let loss = chance.below(30), disorder = Double(chance.below(60)), doubles = chance.below(10)
        let base = UInt16(truncatingIfNeeded: chance.next())
        var arrivals: [(at: Double, number: Int, leg: Int)] = []
        var cut = [Int](repeating: 0, count: legs)
        for number in 0..<400 {
            for leg in 0..<legs {
                // Losses come alone and in bursts.
                if cut[leg] > 0 {
                    cut[leg] -= 1
                    continue
                }
                if chance.below(200) == 0 { cut[leg] = Int(chance.below(120)) }
                if chance.below(100) < loss { continue }
                let copies = chance.below(100) < doubles ? 2 : 1
                for _ in 0..<copies {
                    arrivals.append((Double(number) * 3 + Double(leg) * 7 + Double(chance.below(1_000)) / 1_000 * disorder, number, leg))
                }
            }
        }
        arrivals.sort { ($0.at, $0.number, $0.leg) < ($1.at, $1.number, $1.leg) }
        let rig = try Rig(waitMilliseconds: UInt64(wait))
        var naive = NaiveReorder(wait: wait * 1_000)
        for arrival in arrivals {
            let microseconds = Int((arrival.at * 1_000).rounded())
            let number = UInt16(truncatingIfNeeded: arrival.number) &+ base
            try rig.offer(number, leg: arrival.leg, at: Double(microseconds) / 1_000, timestamp: UInt32(arrival.number) * 90)
            naive.offer(arrival.number, at: microseconds)
        }
        rig.pass(to: 10_000)
        naive.pass(to: 10_000_000)
        #expect(rig.went == naive.went.map { UInt16(truncatingIfNeeded: $0) &+ base })
        #expect(rig.state.waiting == 0 && rig.state.restarts == 0)
    }
}

/// Numbers that are the same for the same seed.
private struct SplitMix {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }
}
