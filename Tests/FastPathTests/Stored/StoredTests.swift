import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Packets that lie in files, over real sockets and files, on every backend.
@Suite(.serialized) struct StoredTests {
    typealias End = StoredReaderEnd

    @Test("Readers are sent packets of a file from their own places, as far as they are released", arguments: EngineShape.all)
    func delivers(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 1_450, packetCount: 500)
        bench.addStored(try file.plan())
        let readers = (0..<40).map { index in
            bench.addStored(UInt32(index), file, first: index * 11, firstFlags: UInt8(index * 6), chunked: index % 4 == 3)
        }
        var total = 0
        for step in [1, 7, 40] {
            for (index, reader) in readers.enumerated() {
                bench.submit(.releaseStored(reader.handle, upTo: UInt32(index * 11 + step)))
                // Not back.
                bench.submit(.releaseStored(reader.handle, upTo: UInt32(index * 11)))
            }
            for (index, reader) in readers.enumerated() {
                #expect(reader.end.read(elements: step))
                #expect(reader.end.elements == End.packets(index * 11..<index * 11 + step, from: index * 11, firstFlags: index * 6))
            }
            total = step * readers.count
        }
        #expect(bench.reaches(UInt64(total)) { bench.engine.counters[.packetsSent] })
        #expect(bench.reaches(UInt64(total * 1_450)) { bench.engine.counters[.bytesSent] })
        #expect(bench.engine.counters[.bytesSent] == UInt64(total * 1_450), "the packets' own bytes")
        for (index, reader) in readers.enumerated() {
            #expect(bench.reaches(UInt64(index * 11 + 40)) { UInt64(reader.progress.packet) })
        }
        #expect(bench.engine.counters[.storedReads] > 0 && bench.engine.counters[.storedReadsFailed] == 0)
        #expect(bench.stop() == 0)
    }

    @Test("Readers at one place share what is read of the file", arguments: EngineShape.all)
    func shares(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 3_200, packetCount: 200)
        bench.addStored(try file.plan(blockPackets: 10))
        let readers = (0..<60).map { bench.addStored(UInt32($0), file, first: 0) }
        for block in 1...20 {
            for reader in readers { bench.submit(.releaseStored(reader.handle, upTo: UInt32(10 * block))) }
            #expect(bench.reaches(UInt64(600 * block), milliseconds: 4_000) { bench.engine.counters[.packetsSent] })
            for reader in readers { reader.end.read() }
        }
        for reader in readers {
            #expect(reader.end.read(elements: 200))
            #expect(reader.end.elements == End.packets(0..<200, from: 0))
        }
        // Each worker reads for itself.
        #expect(bench.engine.counters[.storedReads] <= UInt64(20 * bench.engine.workerCount))
        #expect(bench.engine.counters[.storedReadBytes] == bench.engine.counters[.storedReads] * 32_000)
        #expect(bench.engine.counters[.sendsSubmitted] <= 60 * 20 + 60)
        #expect(bench.stop() == 0)
    }

    @Test("More places than there are blocks: everybody gets everything, in turn", arguments: EngineShape.all)
    func fewBlocks(shape: EngineShape) throws {
        var limits = Limits()
        limits.storedBlocks = 2
        let bench = try Bench(shape, limits: limits)
        let file = StoredTestFile(packetBytes: 2_000, packetCount: 600)
        bench.addStored(try file.plan())
        let readers = (0..<50).map { bench.addStored(UInt32($0), file, first: $0 * 10) }
        for (index, reader) in readers.enumerated() { bench.submit(.releaseStored(reader.handle, upTo: UInt32(index * 10 + 90))) }
        for (index, reader) in readers.enumerated() {
            #expect(reader.end.read(elements: 90))
            #expect(reader.end.elements == End.packets(index * 10..<index * 10 + 90, from: index * 10))
        }
        #expect(bench.stop() == 0)
    }

    @Test("A reader that takes little at a time is sent the rest of a packet first, and others are not held up", arguments: EngineShape.all)
    func shortWrites(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 5_000, packetCount: 300)
        bench.addStored(try file.plan())
        let slow = [false, true].enumerated().map { index, isChunked in
            bench.addStored(UInt32(index), file, first: 3, chunked: isChunked, sendBuffer: 4_096, receiveBuffer: 4_096)
        }
        let quick = bench.addStored(9, file, first: 100)
        for reader in slow { bench.submit(.releaseStored(reader.handle, upTo: 300)) }
        bench.submit(.sendBefore(slow[0].handle, LinkBuffer(control(1)), packet: 60))
        bench.submit(.releaseStored(quick.handle, upTo: 300))
        #expect(quick.end.read(elements: 200))
        #expect(quick.end.elements == End.packets(100..<300, from: 100))
        #expect(slow[0].progress.packet < 100)
        #expect(slow[0].end.read(elements: 298, milliseconds: 10_000, room: 3_000))
        #expect(slow[0].end.elements == End.packets(3..<60, from: 3) + [.control(1)] + End.packets(60..<300, from: 3))
        #expect(slow[1].end.read(elements: 297, milliseconds: 10_000, room: 3_001))
        #expect(slow[1].end.elements == End.packets(3..<300, from: 3))
        #expect(bench.engine.counters[.shortWrites] > 0)
        #expect(bench.stop() == 0)
    }

    @Test("What has a place is sent there; the last words come behind the last packet", arguments: EngineShape.all)
    func places(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 900, packetCount: 100)
        bench.addStored(try file.plan())
        let reader = bench.addStored(1, file, first: 50)
        // Before anything is released.
        bench.submit(.sendBefore(reader.handle, LinkBuffer(control(0)), packet: 50))
        #expect(reader.end.read(elements: 1))
        bench.submit(.releaseStored(reader.handle, upTo: 53))
        bench.submit(.sendBefore(reader.handle, LinkBuffer(control(1)), packet: 53))
        bench.submit(.releaseStored(reader.handle, upTo: 70))
        bench.submit(.sendBefore(reader.handle, LinkBuffer(control(2)), packet: 61))
        #expect(reader.end.read(elements: 23), "\(reader.end.elements)")
        // Paused: what was released and not begun waits for the next release.
        bench.submit(.pause(reader.handle))
        bench.submit(.sendBefore(reader.handle, LinkBuffer(control(3)), packet: 99))
        #expect(reader.end.read(elements: 24))
        bench.submit(.releaseStored(reader.handle, upTo: 100))
        let last = LinkBuffer([])
        bench.submit(.sendLast(reader.handle, last, packet: 100))
        #expect(bench.wait { if case .bufferReturned(let buffer) = $0 { buffer.identity == last.identity } else { false } } != nil)
        bench.submit(.send(reader.handle, LinkBuffer(control(4))))
        #expect(reader.end.read(elements: 55))
        let elements = reader.end.elements
        #expect(elements.first == .control(0) && elements.last == .control(4))
        #expect(elements.filter { if case .packet = $0 { true } else { false } } == End.packets(50..<100, from: 50))
        #expect(elements.firstIndex(of: .control(1)) == 4)
        #expect(elements.firstIndex(of: .control(3)).map { $0 <= 23 } == true, "a paused reader has nothing to wait for")
        #expect(bench.stop() == 0)
    }

    @Test("A file that became shorter ends its readers there, and says so once", arguments: EngineShape.all)
    func shrinks(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 1_000, packetCount: 64)
        bench.addStored(try file.plan())
        file.cut(behind: 21, and: 500)
        let reader = bench.addStored(1, file, first: 18)
        let behind = bench.addStored(2, file, first: 40)
        for one in [reader, behind] {
            bench.submit(.releaseStored(one.handle, upTo: 64))
            bench.submit(.sendBefore(one.handle, LinkBuffer(control(7)), packet: 64))
        }
        for (one, packet) in [(reader, UInt32(21)), (behind, 40)] {
            let ended = bench.wait { if case .storedEnded(one.handle, packet: packet, errorNumber: 0) = $0 { true } else { false } }
            #expect(ended != nil)
        }
        #expect(reader.end.read(elements: 4))
        #expect(reader.end.elements == End.packets(18..<21, from: 18) + [.control(7)], "what is said then is not held back")
        #expect(behind.end.read(elements: 1))
        bench.submit(.releaseStored(reader.handle, upTo: 64))
        #expect(bench.wait(milliseconds: 100) { if case .storedEnded = $0 { true } else { false } } == nil)
        #expect(bench.engine.counters[.storedReadsFailed] >= 2)
        #expect(bench.stop() == 0)
    }

    @Test("A file that cannot be read ends its readers with the reason", arguments: EngineShape.all)
    func unreadable(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 1_000, packetCount: 64)
        // For writing alone.
        let descriptor = unsafe open("/proc/self/fd/\(file.descriptor)", O_WRONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        let plan = try #require(
            StoredPlan(descriptor: descriptor, offset: 0, packetBytes: 1_000, packetCount: 64, blockBytes: 8_000, limits: Limits()))
        bench.addStored(plan)
        let reader = bench.addStored(1, file, first: 3)
        bench.submit(.releaseStored(reader.handle, upTo: 10))
        #expect(bench.wait { if case .storedEnded(reader.handle, packet: 3, errorNumber: EBADF) = $0 { true } else { false } } != nil)
        #expect(bench.stop() == 0)
        close(descriptor)
    }

    @Test("Readers and files go at any moment: nothing is left behind", arguments: EngineShape.all)
    func churn(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 1_400, packetCount: 400)
        for round in 0..<12 {
            let stream = StreamHandle(index: 3, generation: UInt32(round + 1))
            bench.addStored(try file.plan(), stream)
            let readers = (0..<20).map { index in
                bench.addStored(UInt32(round * 20 + index), file, first: index * 5, chunked: index % 2 == 0, stream: stream)
            }
            for reader in readers { bench.submit(.releaseStored(reader.handle, upTo: 200)) }
            if round % 3 == 0 { for reader in readers { #expect(reader.end.read(elements: 1) || !reader.end.elements.isEmpty) } }
            for reader in readers.prefix(10) { bench.submit(.removeSubscriber(reader.handle)) }
            // The others go with it.
            bench.submit(.removeStream(stream))
            for reader in readers {
                #expect(bench.wait { if case .subscriberRemoved(reader.handle) = $0 { true } else { false } } != nil)
            }
            #expect(bench.wait { if case .streamRemoved(stream) = $0 { true } else { false } } != nil)
            for reader in readers { #expect(!reader.end.elements.contains { if case .wrong = $0 { true } else { false } }) }
        }
        #expect(bench.stop() == 0)
    }

    @Test("What has no log cannot be waited for, and what has one is not released", arguments: [EngineShape(backend: .ioUring)])
    func refused(shape: EngineShape) throws {
        let bench = try Bench(shape)
        let file = StoredTestFile(packetBytes: 1_000, packetCount: 10)
        bench.addStored(try file.plan())
        let reader = bench.addStored(1, file, first: 0)
        for command in [Command.arm(reader.handle, now: true), .go(reader.handle), .armAt(reader.handle, packet: 0)] {
            bench.submit(command)
            #expect(bench.wait { if case .refused(.wrongKind, _) = $0 { true } else { false } } != nil)
        }
        let (_, connection) = TestSocket.connectedPair()
        bench.keep(connection)
        // A live stream's, and a reader beyond the file's end.
        let framing = StoredFraming(incarnation: 0, isChunked: false)
        for (index, stream, first) in [(UInt32(5), bench.stream, UInt32(0)), (6, Bench.storedStream, 11)] {
            let handle = SubscriberHandle(index: index, generation: 1)
            let progress = StoredProgress(packet: 0)
            bench.submit(.addStoredSubscriber(handle, stream, descriptor: connection.descriptor, first: first, framing, progress))
            #expect(bench.wait { if case .subscriberRemoved(handle) = $0 { true } else { false } } != nil)
            progress.free()
        }
        #expect(bench.stop() == 0)
    }

    @Test("A player that pauses by not reading is given up after its own time, not that of live readers")
    func stalls() throws {
        var limits = Limits()
        limits.writeStallNanoseconds = 100_000_000
        limits.storedStallNanoseconds = 1_500_000_000
        let bench = try Bench(EngineShape(backend: .ioUring), limits: limits)
        let file = StoredTestFile(packetBytes: 10_000, packetCount: 1_000)
        bench.addStored(try file.plan())
        let reader = bench.addStored(1, file, first: 0, sendBuffer: 4_096, receiveBuffer: 4_096)
        bench.submit(.releaseStored(reader.handle, upTo: 1_000))
        #expect(bench.wait(milliseconds: 900) { if case .subscriberFailed = $0 { true } else { false } } == nil)
        let failed = bench.wait(milliseconds: 4_000) { if case .subscriberFailed(reader.handle, .stalled) = $0 { true } else { false } }
        #expect(failed != nil)
        bench.submit(.removeSubscriber(reader.handle))
        #expect(bench.stop() == 0)
    }
}
