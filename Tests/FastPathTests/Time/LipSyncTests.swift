import PlaneLink
import Testing

@testable import FastPath

/// Audio and video of one source that is lost three times, as a player brings them together: by the last sender report of each track.
@Suite struct LipSyncTests {
    /// A run of the source: when it begins and ends, its first reports (seconds after its beginning; nil: none).
    struct Life {
        var seconds: Double
        var gap: Double
        var reportsFrom: Double?
        /// How long packets of each track wait before they leave, milliseconds.
        var queues: [Double]
        /// Media that the source kept from before somebody came.
        var keptSeconds = 0.0
        /// No `beginEpoch`: the SSRCs change within a connection.
        var isUnannounced = false
    }

    private static let queues: [[Double]] = [[120, 20], [35, 90], [150, 15], [60, 110]]
    private static let gaps: [Double] = [0.4, 3, 8, 0]

    private static func lives(reportsFrom: Double?, later: Double?? = .none, queues: [[Double]] = queues, kept: Double = 0) -> [Life] {
        (0..<4).map {
            Life(
                seconds: 25, gap: gaps[$0], reportsFrom: $0 == 0 ? reportsFrom : later ?? reportsFrom, queues: queues[$0],
                keptSeconds: kept)
        }
    }

    @Test(
        "Reports before the media: 20 ms are never exceeded over three reconnects, whatever clocks and queues do",
        arguments: [200.0, -200], [ClockPolicy.relay, .origin])
    func earlyReports(partsPerMillion: Double, clock: ClockPolicy) throws {
        for seed in 1...4 {
            let worst = try LipSyncRun(seed: UInt64(seed), partsPerMillion, clock, Self.lives(reportsFrom: 0)).play()
            #expect(worst.lipSync <= 0.020, "seed \(seed): \(worst)")
            #expect(worst.wallClock <= 0.060, "seed \(seed): \(worst)")
            #expect(worst.reportsWhileAway >= 2, "seed \(seed): \(worst)")
        }
    }

    @Test("A source that begins with what it kept, and one that restarts without a word", arguments: [false, true])
    func keptMedia(isUnannounced: Bool) throws {
        for seed in 1...4 {
            var lives = Self.lives(reportsFrom: 0, kept: isUnannounced ? 0 : 1.5)
            for place in 1..<4 { lives[place].isUnannounced = isUnannounced }
            let worst = try LipSyncRun(seed: UInt64(seed), 200, .relay, lives).play()
            #expect(worst.lipSync <= 0.020, "seed \(seed): \(worst)")
        }
    }

    @Test("Reports that come seconds after the media: what was learnt of the tracks' delays holds until then")
    func lateReports() throws {
        // The same path each time: what delays a track is its encoder.
        let queues = [[Double]](repeating: [110, 30], count: 4)
        for seed in 1...4 {
            let worst = try LipSyncRun(seed: UInt64(seed), 200, .relay, Self.lives(reportsFrom: 2.5, queues: queues)).play()
            #expect(worst.lipSync <= 0.020, "seed \(seed): \(worst)")
        }
    }

    @Test("Reports in the first connection only: what was learnt goes on to hold")
    func reportsOnce() throws {
        let queues = [[Double]](repeating: [110, 30], count: 4)
        for seed in 1...4 {
            let worst = try LipSyncRun(seed: UInt64(seed), 200, .relay, Self.lives(reportsFrom: 1, later: .some(nil), queues: queues))
                .play()
            #expect(worst.lipSync <= 0.020, "seed \(seed): \(worst)")
        }
    }

    @Test("No reports at all: the tracks keep the distance at which they arrive, which is all that can be known")
    func withoutReports() throws {
        let queues = [[Double]](repeating: [110, 30], count: 4)
        for seed in 1...4 {
            let worst = try LipSyncRun(seed: UInt64(seed), 200, .relay, Self.lives(reportsFrom: nil, queues: queues), delay: 0.080).play()
            #expect(worst.lipSync <= 0.020, "seed \(seed): \(worst)")
        }
    }
}

/// Plays lives of a source through a worker, and looks at what comes out as a player does.
final class LipSyncRun {
    struct Worst {
        /// How far the tracks are apart, seconds; how far what is told is from the wall clock; how far time jumps.
        var lipSync = 0.0
        var wallClock = 0.0
        var reportsWhileAway = 0
        var measured = 0
    }

    private struct Event {
        var at: UInt64
        var order: Int
        var bytes: [UInt8]
        var life: Int
        var begins = false
    }

    private static let rates: [UInt32] = [90_000, 48_000]
    private static let jitterMilliseconds = 12.0
    private static let start: UInt64 = 2_000_000_000

    private var random: SplitMix64
    private let drift: Double
    private let clock: ClockPolicy
    private let lives: [LipSyncTests.Life]
    private let delay: Double
    private var events: [Event] = []
    private var worst = Worst()
    /// Per track: the last report (NTP seconds from the wall clock's start, timestamp), the error of the newest packet, its timestamp.
    private var reports: [(time: Double, timestamp: UInt32)?] = [nil, nil]
    private var errors: [Double?] = [nil, nil]
    private var newest: [UInt32?] = [nil, nil]
    private var times: [Double?] = [nil, nil]

    /// `delay`: how much later video is known to come than audio where nothing else is known.
    init(seed: UInt64, _ partsPerMillion: Double, _ clock: ClockPolicy, _ lives: [LipSyncTests.Life], delay: Double = 0) {
        random = SplitMix64(seed: seed)
        drift = 1 + partsPerMillion / 1e6
        self.clock = clock
        self.lives = lives
        self.delay = delay
        compose()
    }

    private func jitter() -> Double { Double(random.below(1_000)) / 1e6 * Self.jitterMilliseconds }

    private func compose() {
        var began = 0.0
        for (number, life) in lives.enumerated() {
            let ntpBase = Double(3_900_000_000 + random.below(10_000_000))
            events.append(
                Event(at: nanoseconds(began), order: events.count, bytes: [], life: number, begins: number > 0 && !life.isUnannounced))
            for track in 0..<2 { compose(track, life, number, began, clock == .origin ? 3_958_988_800 : ntpBase) }
            began += life.seconds + life.gap
        }
        events.sort { ($0.at, $0.order) < ($1.at, $1.order) }
    }

    private func nanoseconds(_ seconds: Double) -> UInt64 { Self.start + UInt64(seconds * 1e9) }

    private func compose(_ track: Int, _ life: LipSyncTests.Life, _ number: Int, _ began: Double, _ ntpBase: Double) {
        let ssrc = UInt32(truncatingIfNeeded: random.next()) | 1
        let base = UInt32(truncatingIfNeeded: random.next())
        var sequence = UInt16(truncatingIfNeeded: random.next())
        // The source's clocks at a true time, seconds: all of them run at its own rate.
        func timestamp(_ time: Double) -> UInt32 {
            base &+ UInt32(truncatingIfNeeded: Int64((time * drift * Double(Self.rates[track])).rounded()))
        }
        let interval = track == 0 ? 0.040 : 1_024.0 / 48_000
        var time = began - life.keptSeconds - (track == 0 || life.reportsFrom != 0 ? 0 : 0.1) + interval / 3
        var last: UInt64 = 0
        var frame = 0
        while time < began + life.seconds - 0.3 {
            let arrival = max(time, began) + (life.queues[track] + 10) / 1_000 + jitter()
            last = max(last + 1_000, nanoseconds(arrival))
            let payload: [UInt8] = [track == 1 || frame % 25 == 0 ? 0x65 : 0x41, 0x88] + big64(UInt64(bitPattern: Int64(time * 1e9)))
            let packet = rtp(sequence: sequence, timestamp: timestamp(time), ssrc: ssrc, marker: true, payload: payload)
            events.append(Event(at: last, order: events.count, bytes: framed(UInt8(2 * track), packet), life: number))
            sequence &+= 1
            frame += 1
            time += interval
        }
        guard let from = life.reportsFrom else { return }
        var sent = began + from + Double(track) * 0.004
        while sent < began + life.seconds - 0.3 {
            let ntp = SourceReport.ntp(Int64(ntpBase * 1e9) + Int64((clock == .origin ? sent : sent * drift) * 1e9))
            let report: [UInt8] =
                [0x80, 200, 0, 6] + big(ssrc) + big(UInt32(ntp >> 32)) + big(UInt32(ntp & 0xFFFF_FFFF)) + big(timestamp(sent)) + big(0)
                + big(0)
            // The first ones may overtake what waits to leave.
            let arrival = nanoseconds(sent + 0.001 + jitter() / 4)
            events.append(Event(at: arrival, order: events.count, bytes: framed(UInt8(2 * track + 1), report), life: number))
            sent += 2.3
        }
    }

    private func big64(_ value: UInt64) -> [UInt8] { big(UInt32(value >> 32)) + big(UInt32(value & 0xFFFF_FFFF)) }

    func play() throws -> Worst {
        var policy = ScriptedWorker.unpaced
        policy.joinBurst = nil
        policy.clock = clock
        let plans = [
            TrackPlan(clockRate: Self.rates[0], codec: .h264, ssrc: 0x1111),
            TrackPlan(clockRate: Self.rates[1], codec: .opaque, ssrc: 0x2222),
        ]
        var bench = try ScriptedWorker(policy: policy, plans: plans)
        let reader = SubscriberHandle(index: 0, generation: 1)
        var ports = PortMap()
        for channel in 0..<4 { ports[channel] = 5_000 + UInt16(channel) }
        bench.run(
            .addDatagramSubscriber(reader, bench.stream, host: HostAddress(ipv4: 1), ports: ports, sockets: 0), .arm(reader, now: true),
            .go(reader))
        var seen: UInt64 = 0
        for event in events {
            while bench.script.time + 50_000_000 < event.at {
                bench.pass(milliseconds: 50)
                look(&seen, bench, isAway: event.begins || event.bytes.isEmpty)
            }
            bench.script.time = max(event.at, bench.script.time)
            if event.bytes.isEmpty {
                // What was heard of the life before is no measure of this one.
                errors = [nil, nil]
            }
            if event.begins { bench.run(.beginEpoch(bench.stream)) }
            if !event.bytes.isEmpty { bench.run(.feed(bench.source, LinkBuffer(event.bytes))) }
            look(&seen, bench, isAway: false)
            // A queue of reports that is full keeps commands back.
            _ = bench.takeReports()
        }
        #expect(worst.measured > 3_000, "too little was measured: \(worst.measured)")
        #expect(bench.memory.counters[.epochs] == 8)
        #expect(bench.memory.counters[.reportsUnusable] == 0)
        return worst
    }

    /// Takes what is new in the log.
    private func look(_ seen: inout UInt64, _ bench: borrowing ScriptedWorker, isAway: Bool) {
        let log = PacketLog(memory: bench.memory)
        let head = bench.memory.board.load(.head)
        while seen < head {
            let record = log.record(seen)
            let bytes = unsafe Array(UnsafeRawBufferPointer(start: log.bytes(of: record), count: Int(record.length)))
            seen += 1
            let track = Int(record.channel) / 2
            if record.channel & 1 == 1 {
                takeReport(bytes, track)
                if isAway { worst.reportsWhileAway += 1 }
            } else {
                takePacket(bytes, track)
            }
        }
    }

    private func word(_ bytes: [UInt8], _ place: Int, count: Int = 4) -> UInt64 {
        bytes[place..<place + count].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func takeReport(_ bytes: [UInt8], _ track: Int) {
        let wall = SourceReport.ntpNanoseconds(word(bytes, 8, count: 8))
        let zero: Int64 =
            clock == .origin
            ? 3_958_988_800 * ClockMapping.second
            : 2_208_988_800 * ClockMapping.second + Int64(Script.unixNanoseconds) + Int64(Self.start)
        reports[track] = (Double(wall - zero) / 1e9, UInt32(word(bytes, 16)))
    }

    private func takePacket(_ bytes: [UInt8], _ track: Int) {
        let timestamp = UInt32(word(bytes, 4))
        if let newest = newest[track] {
            #expect(Int32(bitPattern: timestamp &- newest) > 0, "track \(track) goes back in time")
        }
        newest[track] = timestamp
        guard let report = reports[track] else { return }
        let time = report.time + Double(Int32(bitPattern: timestamp &- report.timestamp)) / Double(Self.rates[track])
        // Corrections of 5 ms a second are less than a frame.
        if let before = times[track] { #expect(time > before, "track \(track)'s clock goes back from \(before) to \(time)") }
        times[track] = time
        let made = Double(Int64(bitPattern: word(bytes, 14, count: 8))) / 1e9
        errors[track] = time - made
        worst.wallClock = max(worst.wallClock, abs(time - made))
        guard let video = errors[0], let audio = errors[1] else { return }
        worst.measured += 1
        worst.lipSync = max(worst.lipSync, abs(video - audio - delay))
    }
}
