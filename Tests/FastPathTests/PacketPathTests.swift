import CAllocationCount
import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// What the packet path promises: no allocation per packet, and readers that come, go or stop reading disturb nobody.
@Suite(.serialized) struct PacketPathTests {
    private func frame(_ number: Int, packets: Int = 12, bytes: Int = 1_000) -> [UInt8] {
        var frame: [UInt8] = []
        for place in 0..<packets {
            let isLast = place == packets - 1
            let payload = [UInt8](repeating: UInt8(number & 0xFF), count: isLast ? bytes / 2 : bytes)
            frame += framed(
                0,
                rtp(
                    sequence: UInt16(truncatingIfNeeded: number * packets + place), timestamp: UInt32(truncatingIfNeeded: number * 3_600),
                    marker: isLast, payload: payload))
        }
        return frame
    }

    @Test("The worker allocates nothing while packets move", arguments: EngineShape.all)
    func allocations(shape: EngineShape) throws {
        try #require(allocationcount_is_active() == 1 || isSanitized, "the counting allocator is not linked")
        let bench = try Bench(shape, codec: .h264)
        let source = bench.addFed()
        let sockets = (0..<20).map { _ in TestSocket(datagram: ()) }
        for (index, socket) in sockets.enumerated() { #expect(bench.join(bench.addReader(UInt32(index), socket)) != nil) }
        let (player, connection) = TestSocket.connectedPair()
        #expect(bench.join(bench.addInterleaved(30, connection)) != nil)

        func run(_ frames: Range<Int>) {
            for number in frames {
                bench.feed(source, frame(number))
                _ = bench.reaches(UInt64((number + 1) * 12 * 21)) { bench.engine.counters[.packetsSent] }
                for socket in sockets { while socket.receive(milliseconds: 0) != nil {} }
                while player.receive(milliseconds: 0, room: 1 << 20) != nil {}
            }
        }
        run(0..<20)
        // The runtime makes a type's metadata when code that needs it runs for the first time, which on a busy machine can be
        // late (a short write, a timer). What is allocated for packets is allocated in every round.
        var allocated: [UInt64] = []
        while allocated.last != 0, allocated.count < 5 {
            let first = 20 + allocated.count * 100
            let before = allocationcount_of_workers()
            run(first..<first + 100)
            allocated.append(allocationcount_of_workers() - before)
        }
        #expect(bench.engine.counters[.packetsSent] == UInt64((20 + allocated.count * 100) * 12 * 21))
        #expect(allocated.last == 0, "allocations in rounds of 1200 packets: \(allocated)")
        #expect(bench.stop() == 0)
    }

    @Test(
        "The worker allocates nothing where it cuts packets, finds parameter sets and holds pictures until they are whole",
        arguments: EngineShape.all, [false, true])
    func allocationsOfCutting(shape: EngineShape, holdsPictures: Bool) throws {
        try #require(allocationcount_is_active() == 1 || isSanitized, "the counting allocator is not linked")
        var policy = Bench.withoutBurst
        policy.packetBytesMax = 1_472
        let sizing = StreamSizing(bitRate: 8_000_000, windowMilliseconds: 1_000, holdsPictures: holdsPictures)
        let bench = try Bench(shape, codec: .h264, sizing: sizing, policy: policy)
        let source = bench.addFed()
        let socket = TestSocket(datagram: ())
        #expect(bench.join(bench.addReader(1, socket)) != nil)
        let (player, connection) = TestSocket.connectedPair()
        #expect(bench.join(bench.addInterleaved(30, connection)) != nil)
        // Parameter sets alone, an aggregate of two units, a large unit: 1 + 2 + 14 packets.
        func frame(_ number: Int) -> [UInt8] {
            let units: [[UInt8]] = [idr(900), [0x06] + [UInt8](repeating: 9, count: 800)]
            var aggregate: [UInt8] = [0x78]
            for unit in units { aggregate += [UInt8(unit.count >> 8), UInt8(unit.count & 0xFF)] + unit }
            let payloads: [[UInt8]] = [[0x67, UInt8(number & 0xFF), 2, 3], aggregate, idr(20_000)]
            return payloads.enumerated().flatMap { place, payload in
                framed(
                    0,
                    rtp(
                        sequence: UInt16(truncatingIfNeeded: number * 3 + place), timestamp: UInt32(truncatingIfNeeded: number * 3_600),
                        marker: place == 2, payload: payload))
            }
        }
        let packets = 1 + 2 + 14
        func run(_ frames: Range<Int>) {
            for number in frames {
                bench.feed(source, frame(number))
                _ = bench.reaches(UInt64((number + 1) * packets * 2)) { bench.engine.counters[.packetsSent] }
                while socket.receive(milliseconds: 0) != nil {}
                while player.receive(milliseconds: 0, room: 1 << 20) != nil {}
            }
        }
        run(0..<20)
        var allocated: [UInt64] = []
        while allocated.last != 0, allocated.count < 5 {
            let first = 20 + allocated.count * 50
            let before = allocationcount_of_workers()
            run(first..<first + 50)
            allocated.append(allocationcount_of_workers() - before)
        }
        #expect(bench.engine.counters[.packetsSent] == UInt64((20 + allocated.count * 50) * packets * 2))
        #expect(bench.engine.counters[.packetsFragmented] == UInt64((20 + allocated.count * 50) * 2))
        #expect(bench.counters[.picturesNotHeld] == 0)
        #expect(allocated.last == 0, "allocations in rounds of 850 packets: \(allocated)")
        #expect(bench.stop() == 0)
    }

    @Test("The worker allocates nothing while packets of files are read and sent", arguments: EngineShape.all)
    func allocationsOfStored(shape: EngineShape) throws {
        try #require(allocationcount_is_active() == 1 || isSanitized, "the counting allocator is not linked")
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 1_400, packetCount: 12_000)
        bench.addStored(try file.plan(blockPackets: 10))
        let readers = (0..<20).map { bench.addStored(UInt32($0), file, first: $0 * 70, chunked: $0 % 3 == 0) }
        // Blocks' worth that each reader was sent.
        func run(_ rounds: Range<Int>) {
            for round in rounds {
                for (index, reader) in readers.enumerated() {
                    bench.submit(.releaseStored(reader.handle, upTo: UInt32(index * 70 + (round + 1) * 10)))
                }
                _ = bench.reaches(UInt64((round + 1) * 10 * readers.count)) { bench.engine.counters[.packetsSent] }
                for reader in readers { while reader.end.socket.receive(milliseconds: 0, room: 1 << 20) != nil {} }
            }
        }
        run(0..<20)
        var allocated: [UInt64] = []
        while allocated.last != 0, allocated.count < 5 {
            let first = 20 + allocated.count * 100
            let before = allocationcount_of_workers()
            run(first..<first + 100)
            allocated.append(allocationcount_of_workers() - before)
        }
        #expect(bench.engine.counters[.packetsSent] == UInt64((20 + allocated.count * 100) * 10 * readers.count))
        #expect(allocated.last == 0, "allocations in rounds of 20,000 packets: \(allocated)")
        #expect(bench.stop() == 0)
    }

    /// Sanitizers bring their own allocator; the other runs of the tests prove the point.
    private var isSanitized: Bool { allocationcount_is_active() == 0 }

    @Test("200 readers come and go while 30 stay: the 30 lose nothing", arguments: EngineShape.all)
    func churn(shape: EngineShape) throws {
        let bench = try Bench(shape, codec: .opaque)
        let source = bench.addFed()
        let stayers = (0..<30).map { _ in TestSocket(datagram: ()) }
        for (index, socket) in stayers.enumerated() { #expect(bench.join(bench.addReader(UInt32(index), socket)) != nil) }
        var next: [UInt16] = Array(repeating: 0, count: stayers.count)
        let guests = (0..<20).map { _ in TestSocket(datagram: ()) }
        for round in 0..<40 {
            for guest in 0..<5 {
                let slot = UInt32(100 + round * 5 + guest)
                let handle = bench.addReader(slot, guests[(round * 5 + guest) % guests.count])
                if guest % 2 == 0 { #expect(bench.join(handle) != nil) }
            }
            bench.feed(source, frame(round, packets: 6))
            for guest in 0..<5 { bench.submit(.removeSubscriber(SubscriberHandle(index: UInt32(100 + round * 5 + guest), generation: 1))) }
            for (index, socket) in stayers.enumerated() {
                for _ in 0..<6 {
                    guard let packet = socket.receive() else { break }
                    #expect(sequence(packet) == next[index])
                    next[index] += 1
                }
            }
        }
        #expect(next.allSatisfy { $0 == 240 })
        for index in 0..<200 {
            let removed = bench.wait {
                if case .subscriberRemoved(let handle) = $0 { handle.index == UInt32(100 + index) } else { false }
            }
            #expect(removed != nil)
        }
        #expect(bench.stop() == 0)
    }

    @Test("A reader that stops reading its connection slows nobody and is given up as stalled", arguments: EngineShape.all)
    func stalledReader(shape: EngineShape) throws {
        var limits = Limits()
        limits.writeStallNanoseconds = 600_000_000
        let bench = try Bench(shape, codec: .opaque, limits: limits)
        let source = bench.addFed()
        let (slow, slowConnection) = TestSocket.connectedPair(sendBuffer: 8_192, receiveBuffer: 8_192)
        bench.keep(slow, slowConnection)
        let stalled = SubscriberHandle(index: 1, generation: 1)
        bench.submit(
            .addInterleavedSubscriber(stalled, bench.stream, descriptor: slowConnection.descriptor, channels: ChannelMap(identity: 2)))
        bench.submit(.arm(stalled, now: true))
        #expect(bench.join(stalled) != nil)
        let socket = TestSocket(datagram: ())
        #expect(bench.join(bench.addReader(0, socket)) != nil)
        var received = 0
        for number in 0..<300 {
            bench.feed(source, frame(number))
            for _ in 0..<12 where socket.receive(milliseconds: 500) != nil { received += 1 }
            usleep(4_000)
        }
        #expect(received == 300 * 12, "the other reader lost \(300 * 12 - received) packets")
        let failed = bench.wait { if case .subscriberFailed(stalled, .stalled) = $0 { true } else { false } }
        #expect(failed != nil)
        #expect(bench.engine.counters[.readersStalled] == 1)
        #expect(bench.engine.counters[.shortWrites] >= 1)
        bench.submit(.removeSubscriber(stalled))
        #expect(bench.wait { if case .subscriberRemoved(stalled) = $0 { true } else { false } } != nil)
        #expect(bench.stop() == 0)
    }

    @Test(
        "Sender reports are told in the readers' time, with the source's wall clock where that is wanted", arguments: BackendName.allCases)
    func senderReports(backend: BackendName) throws {
        var policy = Bench.withoutBurst
        policy.clock = .origin
        let bench = try Bench(backend: backend, codec: .opaque, policy: policy)
        let source = bench.addFed()
        let socket = TestSocket(datagram: ())
        let control = TestSocket(datagram: ())
        #expect(bench.join(bench.addReader(0, socket, rtcp: control)) != nil)
        bench.feed(source, framed(0, rtp(sequence: 9, timestamp: 1_000, marker: true, payload: [1])))
        _ = socket.receive()
        let report: [UInt8] = [0x80, 200, 0, 6] + big(0xAAAA) + big(0xE000_0001) + big(0x8000_0000) + big(1_000) + big(1) + big(1)
        let name: [UInt8] = [0x81, 202, 0, 3] + big(0xAAAA) + [1, 2, 0x61, 0x62] + [0, 0, 0, 0]
        bench.feed(source, framed(1, report + name))
        let got = try #require(control.receive())
        #expect(Array(got[0..<4]) == [0x80, 200, 0, 6])
        #expect(Array(got[4..<8]) == big(0x5EED))
        #expect(Array(got[8..<12]) == big(0xE000_0001), "the source's wall clock")
        #expect(Array(got[16..<20]) == big(1_000))
        #expect(Array(got[28..<32]) == [0x81, 202, 0, 5])
        #expect(String(decoding: got[38..<51], as: UTF8.self) == "weir-00005eed", "the source's own name is not given away")
        guard case .senderReport(_, 0, let ssrc, let ntp, 1_000) = bench.wait(for: { if case .senderReport = $0 { true } else { false } })
        else {
            Issue.record("the report was not passed up")
            return
        }
        #expect(ssrc == 0xAAAA && ntp == 0xE000_0001_8000_0000)
        bench.feed(source, framed(1, [0x81, 203, 0, 1] + big(0xAAAA)))
        #expect(bench.wait { if case .sourceBye(_, 0) = $0 { true } else { false } } != nil)
        #expect(control.receive(milliseconds: 100) == nil, "a goodbye is not passed on")
        #expect(bench.stop() == 0)
    }
}
