import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import FastPath

/// Packets that are too large for UDP, and parameter sets, through a worker.
@Suite struct FragmentTests {
    private static let most = 600

    private static func policy(_ most: Int = most, fragments: Bool = true) -> StreamPolicy {
        var policy = ScriptedWorker.unpaced
        policy.packetBytesMax = UInt32(most)
        policy.fragments = fragments
        return policy
    }

    private static func data(_ count: Int, _ seed: Int = 0) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 7) } }

    /// What the stream's log holds, as packets of the track.
    private func logged(_ bench: borrowing ScriptedWorker) -> [[UInt8]] {
        let log = PacketLog(memory: bench.memory)
        return (0..<bench.memory.board.load(.head)).map { number in
            let record = log.record(number)
            return unsafe Array(UnsafeRawBufferPointer(start: log.bytes(of: record), count: Int(record.length)))
        }
    }

    private func payload(_ packet: [UInt8]) throws -> [UInt8] {
        let header = try RTPHeader(packet.span)
        return Array(packet[header.payloadOffset..<header.payloadEnd])
    }

    @Test("A packet becomes several: numbers run on, one timestamp, the marker on the last, the key frame on the first")
    func numbers() throws {
        var bench = try ScriptedWorker(policy: Self.policy(), codec: .h264)
        bench.feed([
            rtp(sequence: 65_534, timestamp: 100, ssrc: 9, marker: false, payload: [0x67, 1, 2]),
            rtp(sequence: 65_535, timestamp: 100, ssrc: 9, marker: true, payload: [0x65] + Self.data(1_500)),
            rtp(sequence: 0, timestamp: 3_700, ssrc: 9, marker: true, payload: [0x41] + Self.data(100)),
            // One is lost on the way, and is missing for readers.
            rtp(sequence: 2, timestamp: 7_300, ssrc: 9, marker: true, payload: [0x41] + Self.data(700)),
            rtp(sequence: 3, timestamp: 10_900, ssrc: 9, marker: true, payload: [0x41] + Self.data(10)),
        ])
        let packets = logged(bench)
        let headers = try packets.map { try RTPHeader($0.span) }
        #expect(headers.map(\.sequence) == [65_534, 65_535, 0, 1, 2, 4, 5, 6])
        #expect(headers.map(\.timestamp) == [100, 100, 100, 100, 3_700, 7_300, 7_300, 10_900])
        #expect(headers.map(\.marker) == [false, false, false, true, true, false, true, true])
        #expect(packets.map(\.count) == [15, 600, 600, 12 + 2 + 1_500 - 2 * 586, 113, 600, 12 + 2 + 700 - 586, 23])
        #expect(headers.allSatisfy { $0.ssrc == 1 && $0.payloadType == headers[0].payloadType })
        let log = PacketLog(memory: bench.memory)
        let flags = (0..<8).map { log.record($0).flags }
        #expect(flags[0] == .startsKeyFrame && flags[1...].allSatisfy { !$0.contains(.startsKeyFrame) })
        #expect(flags.map { $0.contains(.endsFrame) } == headers.map(\.marker))
        let counters = bench.memory.counters
        #expect(counters[0, .receivedInEpoch] == 5 && counters[0, .expected] == 6 && counters[0, .packetsFragmented] == 2)
        #expect(counters[0, .sequenceHighest] & 0xFFFF == 3 && counters[0, .sequenceOut] == 6 && counters[0, .packets] == 8)
        #expect(counters[0, .packetBytesMax] == 600 && counters[0, .packetsOversize] == 0)
        #expect(bench.worker.counters[.packetsFragmented] == 2 && bench.worker.counters[.packetsReceived] == 5)
    }

    @Test("Head extension and contributing sources go with the first piece, padding with none")
    func heads() throws {
        var bench = try ScriptedWorker(policy: Self.policy(), codec: .h264)
        var packet = rtp(sequence: 7, timestamp: 100, ssrc: 9, marker: true, payload: [])
        packet[0] = 0x80 | 0x20 | 0x10 | 1
        packet += [1, 2, 3, 4] + [0xAB, 0xAC, 0, 1, 9, 9, 9, 9] + [0x65] + Self.data(700) + [0, 0, 0, 4]
        bench.feed([packet])
        let packets = logged(bench)
        let headers = try packets.map { try RTPHeader($0.span) }
        #expect(headers.map(\.hasExtension) == [true, false] && headers.map(\.csrcCount) == [1, 0])
        #expect(headers.allSatisfy { !$0.hasPadding } && packets.map(\.count) == [600, 12 + 2 + 700 - 574])
        #expect(Array(packets[0][12..<24]) == Array(packet[12..<24]))
        var receiver = Receiver()
        for packet in packets { receiver.receive(try payload(packet)) }
        #expect(receiver.units == [[0x65] + Self.data(700)])
    }

    @Test("What comes late from before a packet that was cut is left out; what is only late is not")
    func late() throws {
        var bench = try ScriptedWorker(policy: Self.policy(), codec: .h264)
        func packet(_ sequence: UInt16, _ bytes: Int) -> [UInt8] {
            rtp(sequence: sequence, timestamp: 100, ssrc: 9, marker: false, payload: [0x41] + Self.data(bytes, Int(sequence)))
        }
        bench.feed([packet(10, 9), packet(12, 1_000), packet(11, 9), packet(12, 1_000), packet(14, 9), packet(13, 9), packet(15, 9)])
        bench.feed([packet(17, 9), packet(16, 1_000), packet(18, 9)])
        let sequences = logged(bench).map(sequence)
        #expect(sequences == [10, 12, 13, 15, 14, 16, 18, 19])
        #expect(bench.worker.counters[.packetsBehindCut] == 3)
        #expect(bench.memory.counters[0, .receivedInEpoch] == 10)
    }

    @Test("However much was cut before, a late packet is late and no new time line", arguments: UInt64(1)...20)
    func lateAfterHeavyCutting(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var bench = try ScriptedWorker(
            sizing: StreamSizing(bitRate: 100_000_000, windowMilliseconds: 2_000), policy: Self.policy(100), codec: .h264)
        let first = UInt16(truncatingIfNeeded: random.next())
        // One of twenty is lost, one of four is late, by eighty at most.
        let order = (0..<600).filter { _ in random.next() % 20 != 0 }.map {
            (place: $0, late: random.next() % 4 == 0 ? random.next() % 80 : 0)
        }
        .sorted { $0.place + Int($0.late) < $1.place + Int($1.late) }.map(\.place)
        for place in order {
            // Up to forty pieces each.
            let bytes = random.next() % 3 == 0 ? 20 : Int(random.next() % 3_500) + 100
            bench.feed([
                rtp(
                    sequence: first &+ UInt16(place), timestamp: UInt32(place) * 300, ssrc: 9, marker: false,
                    payload: [0x41] + Self.data(bytes))
            ])
        }
        #expect(bench.memory.counters[.epochs] == 1)
        #expect(bench.memory.counters[0, .receivedInEpoch] == UInt64(order.count))
        let head = bench.memory.board.load(.head), log = PacketLog(memory: bench.memory)
        let numbers = (bench.memory.board.load(.tail)..<head).map { number in
            unsafe sequence(Array(UnsafeRawBufferPointer(start: log.bytes(of: log.record(number)), count: 12)))
        }
        #expect(Set(numbers).count == numbers.count, "a number stands for two packets")
        #expect(bench.worker.counters[.packetsBehindCut] > 50 && bench.worker.counters[.packetsFragmented] > 200)
    }

    @Test("A new time line goes on with the number behind the last piece")
    func epochs() throws {
        var bench = try ScriptedWorker(policy: Self.policy(), codec: .h264)
        bench.feed([rtp(sequence: 10, timestamp: 100, ssrc: 9, marker: true, payload: [0x65, 0x88] + Self.data(1_500))])
        bench.run(.beginEpoch(bench.stream))
        bench.feed([
            rtp(sequence: 4, timestamp: 77, ssrc: 8, marker: true, payload: [0x65, 0x88] + Self.data(700)),
            rtp(sequence: 5, timestamp: 99, ssrc: 8, marker: true, payload: [0x41, 1]),
        ])
        #expect(logged(bench).map(sequence) == [10, 11, 12, 13, 14, 15])
    }

    @Test("Nothing is cut where it must not be, and it is said once", arguments: [0, 1, 2, 3])
    func left(case kind: Int) throws {
        var bench = try ScriptedWorker(policy: Self.policy(fragments: kind != 1), codec: kind == 2 ? .jpeg : .h264)
        if kind == 3 {
            var plan = TrackPlan(clockRate: 90_000, codec: .h264, ssrc: 1)
            plan.mayBeFragmented = false
            bench.run(.setTrack(bench.stream, track: 0, plan))
        }
        let large = rtp(
            sequence: 1, timestamp: 100, ssrc: 1, marker: true, payload: (kind == 0 ? [0x7D, 0x85, 0, 0] : [0x65]) + Self.data(900))
        let next = rtp(
            sequence: 2, timestamp: 100, ssrc: 1, marker: true, payload: (kind == 0 ? [0x7D, 0x45, 0, 0] : [0x41]) + Self.data(901))
        bench.feed([large, next])
        #expect(logged(bench) == [large, next])
        #expect(bench.worker.counters[.packetsOversize] == 2 && bench.worker.counters[.packetsFragmented] == 0)
        #expect(bench.memory.counters[0, .packetBytesMax] == UInt64(next.count))
        let said = bench.takeReports().compactMap { if case .packetTooLarge(_, 0, let bytes) = $0 { bytes } else { nil } }
        #expect(said == [UInt32(large.count)])
        bench.run(.beginEpoch(bench.stream))
        #expect(bench.memory.counters[0, .packetBytesMax] == 0)
    }

    @Test("Packets that no datagram holds are not tried over UDP; TCP readers have them, and trains go on")
    func beyondDatagrams() throws {
        var bench = try ScriptedWorker(
            sizing: StreamSizing(bitRate: 100_000_000, windowMilliseconds: 1_000), policy: Self.policy(fragments: false))
        _ = bench.addDatagramReader(0)
        _ = bench.addDatagramReader(1)
        _ = bench.addInterleavedReader(2)
        let sizes = [100, 65_508 - 12, 65_535 - 12, 65_507 - 12, 50, 50]
        let packets = sizes.enumerated().map { rtp(sequence: UInt16($0), timestamp: 0, ssrc: 1, marker: true, payload: Self.data($1)) }
        bench.feed(packets)
        for _ in 0..<20 { bench.pass(milliseconds: 1) }
        for port in [UInt16(5_000), 5_001] {
            #expect(bench.sent(to: port).map(\.count) == [112, 65_507, 124])
        }
        let framedBytes = bench.script.sent.filter { $0.port == 0 }.flatMap(\.bytes)
        #expect(framedBytes == packets.flatMap { framed(0, $0) })
        #expect(bench.worker.counters[.packetsOverDatagram] == 4 && bench.worker.counters[.trainsRefused] == 0)
    }

    @Test("Random units through UDP and TCP readers: what a receiver makes of them is what was sent", arguments: 0..<20)
    func random(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let most = random.within(512...1_500)
        var bench = try ScriptedWorker(
            sizing: StreamSizing(bitRate: 400_000_000, windowMilliseconds: 1_000), policy: Self.policy(most), codec: .h264)
        _ = bench.addDatagramReader(0)
        _ = bench.addInterleavedReader(1)
        var sequence = UInt16(truncatingIfNeeded: 65_500 + random.below(36))
        var units: [[UInt8]] = []
        for frame in 0..<60 {
            var packets: [[UInt8]] = []
            for place in 0..<random.within(1...3) {
                let unit =
                    [frame % 10 == 0 ? UInt8(0x65) : 0x41]
                    + Self.data(random.within(1...random.pick([100, 3_000, 50_000])), frame * 5 + place)
                units.append(unit)
                packets.append(rtp(sequence: sequence, timestamp: UInt32(frame * 3_600), ssrc: 5, marker: place == 0, payload: unit))
                sequence &+= 1
            }
            bench.feed(packets)
            bench.pass(milliseconds: 1)
        }
        for _ in 0..<50 { bench.pass(milliseconds: 1) }
        var overUDP = Receiver(), overTCP = Receiver()
        var next: UInt16?
        for sent in bench.script.sent where sent.port == 5_000 {
            let size = sent.segment > 0 ? sent.segment : sent.bytes.count
            for start in stride(from: 0, to: sent.bytes.count, by: size) {
                let packet = Array(sent.bytes[start..<min(start + size, sent.bytes.count)])
                #expect(packet.count <= most)
                #expect(next == nil || FastPathTests.sequence(packet) == next)
                next = FastPathTests.sequence(packet) &+ 1
                overUDP.receive(try payload(packet))
            }
        }
        var bytes = bench.script.sent.filter { $0.port == 0 }.flatMap(\.bytes)[...]
        while bytes.count >= 4 {
            let count = Int(bytes[bytes.startIndex + 2]) << 8 + Int(bytes[bytes.startIndex + 3])
            overTCP.receive(try payload(Array(bytes.dropFirst(4).prefix(count))))
            bytes = bytes.dropFirst(4 + count)
        }
        #expect(overUDP.units == units && overTCP.units == units && overUDP.errors + overTCP.errors == 0)
    }

    // MARK: Parameter sets

    private func shown(_ bench: borrowing ScriptedWorker) -> [[UInt8]] { bench.memory.parameterSets.units(0) }

    private func tells(_ reports: [Report]) -> Int { reports.count { if case .parameterSets(_, 0) = $0 { true } else { false } } }

    @Test("Parameter sets are shown with the picture behind them, once, and again when they change or the source comes back")
    func parameterSets() throws {
        var bench = try ScriptedWorker(codec: .h264)
        var number: UInt16 = 0
        func packets(_ payloads: [[UInt8]]) -> [[UInt8]] {
            payloads.map {
                number += 1
                return rtp(sequence: number, timestamp: 9, ssrc: 5, marker: false, payload: $0)
            }
        }
        let sps: [UInt8] = [0x67] + Self.data(20), pps: [UInt8] = [0x68, 1, 2]
        bench.feed(packets([sps, pps, [0x06, 5]]))
        #expect(shown(bench).isEmpty, "the picture is yet to come")
        bench.feed(packets([[0x65, 0x88]]))
        #expect(shown(bench) == [sps, pps] && tells(bench.takeReports()) == 1)
        // The box is full: nothing is put into it.
        bench.feed(packets([[0x67, 9], [0x65, 0x88]]))
        #expect(shown(bench) == [sps, pps] && tells(bench.takeReports()) == 0)
        bench.memory.parameterSets.empty(0)
        bench.feed(packets([sps, pps, [0x65, 0x88]]))
        #expect(shown(bench).isEmpty && tells(bench.takeReports()) == 0, "the same ones again")
        // In an aggregate, and in fragments of which one is lost.
        bench.feed(packets([[0x78, 0, 2, 0x67, 7, 0, 2, 0x68, 8, 0, 2, 0x65, 0x88]]))
        #expect(shown(bench) == [[0x67, 7], [0x68, 8]] && tells(bench.takeReports()) == 1)
        bench.memory.parameterSets.empty(0)
        bench.feed(packets([[0x7C, 0x87, 1, 2], [0x7C, 0x07, 3], [0x7C, 0x47, 4], pps, [0x65, 0x88]]))
        #expect(shown(bench) == [[0x67, 1, 2, 3, 4], pps])
        bench.memory.parameterSets.empty(0)
        bench.feed(packets([[0x7C, 0x87, 9, 9]]))
        number += 1
        bench.feed(packets([[0x7C, 0x47, 9], [0x68, 9], [0x65, 0x88]]))
        #expect(shown(bench) == [[0x68, 9]])
        bench.memory.parameterSets.empty(0)
        bench.feed(packets([[0x67, 9], [0x65, 0x88]]))
        #expect(shown(bench) == [[0x67, 9]])
        bench.memory.parameterSets.empty(0)
        bench.run(.beginEpoch(bench.stream))
        bench.feed(packets([[0x67, 9], [0x65, 0x88]]))
        #expect(shown(bench) == [[0x67, 9]], "the same ones, of a source that came back")
    }

    @Test("Parameter sets that are too long for the box are counted and harm nothing")
    func longParameterSets() throws {
        var bench = try ScriptedWorker(codec: .h265)
        let vps: [UInt8] = [0x40, 1, 2], long: [UInt8] = [0x42, 1] + Self.data(3_000), pps: [UInt8] = [0x44, 1, 4]
        var number: UInt16 = 0
        bench.feed(
            [vps, long, pps, [0x26, 1, 0xAF]].map {
                number += 1
                return rtp(sequence: number, timestamp: 9, ssrc: 5, marker: false, payload: $0)
            })
        #expect(shown(bench) == [vps, pps] && bench.worker.counters[.parameterSetsTooLong] == 1)
    }
}

/// H.264 out of RTP payloads: single units and FU-A, aggregates of fitting units.
private struct Receiver {
    var units: [[UInt8]] = []
    var errors = 0
    private var open: [UInt8]?

    mutating func receive(_ payload: [UInt8]) {
        guard payload[0] & 0x1F == 28 else {
            if open != nil { errors += 1 }
            return units.append(payload)
        }
        if payload[1] & 0x80 != 0 { open = [payload[0] & 0xE0 | payload[1] & 0x1F] } else if open == nil { errors += 1 }
        open? += payload[2...]
        guard payload[1] & 0x40 != 0, let unit = open else { return }
        units.append(unit)
        open = nil
    }
}
