import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Streams that are no RTP: stored and sent as they were fed, over real sockets, on every backend.
@Suite(.serialized) struct VerbatimTests {
    typealias Element = VerbatimReader.Element

    /// Newcomers begin at the newest packet at which they may.
    private static var policy: StreamPolicy {
        var policy = StreamPolicy()
        policy.pacing = .off
        return policy
    }

    @Test("Readers are sent every packet as it was fed, from one at which they may start", arguments: EngineShape.all)
    func delivers(shape: EngineShape) throws {
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<40, starts: [0, 25])
        #expect(bench.reaches(40) { bench.counters[.packetsLogged] })
        var readers: [VerbatimReader] = []
        for index in 0..<40 {
            let (handle, reader) = bench.addVerbatim(UInt32(index), chunked: index % 4 == 3)
            let point = try #require(bench.join(handle))
            #expect(point[0].isKnown && point[0].timestamp == 25, "the number of the first packet that it will be sent")
            readers.append(reader)
        }
        bench.feed(source, numbers: 40..<80, starts: [60])
        // Of every size that there is: a byte more than the number's eight, and the largest.
        bench.feed(source, numbers: 80..<90) { [9, 20, 263, 264, 4_103, 4_104, 40_000, 65_534, 65_535, 10][$0 - 80] }
        for reader in readers {
            #expect(reader.read(elements: 65))
            #expect(reader.elements == (25..<90).map { Element.packet($0) })
        }
        #expect(bench.reaches(40 * 65) { bench.engine.counters[.packetsSent] })
        let bytes = (25..<80).reduce(0) { $0 + 100 + $1 % 50 } + 9 + 20 + 263 + 264 + 4_103 + 4_104 + 40_000 + 65_534 + 65_535 + 10
        #expect(bench.reaches(UInt64(40 * bytes)) { bench.engine.counters[.bytesSent] })
        #expect(bench.engine.counters[.bytesSent] == UInt64(40 * bytes), "the packets' own bytes, without chunks")
        #expect(bench.counters[0, .packets] == 90 && bench.counters[0, .keyFrames] == 3 && bench.counters[0, .packetBytesMax] == 65_535)
        #expect(bench.stop() == 0)
    }

    @Test("What has a place among the packets is sent there, wherever readers stand", arguments: EngineShape.all)
    func places(shape: EngineShape) throws {
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<1, starts: [0])
        var readers: [(handle: SubscriberHandle, reader: VerbatimReader)] = []
        for index in 0..<24 {
            // Every third takes what it is sent long after it was.
            let isSlow = index % 3 == 0
            let one = bench.addVerbatim(
                UInt32(index), chunked: index % 4 == 1, sendBuffer: isSlow ? 4_096 : nil, receiveBuffer: isSlow ? 32_768 : nil)
            #expect(bench.join(one.handle) != nil)
            readers.append(one)
        }
        var expected: [Element] = [.packet(0)]
        var next = 1
        for round in 0..<12 {
            // Before the packets before it were fed, and after those behind it.
            let place = next + 7
            if round % 2 == 0 { send(place, round) }
            bench.feed(source, numbers: next..<next + 14) { _ in 1_400 }
            if round % 2 == 1 { send(next + 14, round) }
            for number in next..<next + 14 {
                if round % 2 == 0, number == place { expected.append(.control(round)) }
                expected.append(.packet(number))
            }
            if round % 2 == 1 { expected.append(.control(round)) }
            next += 14
        }
        func send(_ place: Int, _ round: Int) {
            for one in readers { bench.submit(.sendBefore(one.handle, LinkBuffer(control(round)), packet: UInt32(place))) }
        }
        for one in readers {
            #expect(one.reader.read(elements: expected.count))
            #expect(one.reader.elements == expected)
        }
        #expect(bench.stop() == 0)
    }

    @Test("A reader that takes little at a time is sent the rest of a packet first, whatever goes around it", arguments: EngineShape.all)
    func shortWrites(shape: EngineShape) throws {
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 80_000_000, windowMilliseconds: 1_000), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<1, starts: [0])
        let readers = [false, true].enumerated().map { index, isChunked in
            bench.addVerbatim(UInt32(index), chunked: isChunked, sendBuffer: 8_192, receiveBuffer: 65_536)
        }
        for one in readers { #expect(bench.join(one.handle) != nil) }
        for first in stride(from: 1, to: 201, by: 20) { bench.feed(source, numbers: first..<first + 20) { 3_000 + $0 * 37 % 20_000 } }
        #expect(bench.reaches(2) { bench.engine.counters[.shortWrites] })
        for one in readers {
            let end = monotonicNanoseconds() + 5_000_000_000
            while one.reader.elements.count < 201, monotonicNanoseconds() < end { one.reader.read(milliseconds: 20, room: 5_000) }
            #expect(one.reader.elements == (0..<201).map { Element.packet($0) })
        }
        #expect(bench.stop() == 0)
    }

    @Test("The last words go behind the last packet, and the reader leaves after them", arguments: EngineShape.all)
    func ends(shape: EngineShape) throws {
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        let readers = (0..<20).map { bench.addVerbatim(UInt32($0), now: true) }
        for one in readers {
            // Head and header go before the first packet, while none is to be had.
            bench.submit(.send(one.handle, LinkBuffer(control(1))))
            #expect(bench.join(one.handle) != nil)
        }
        bench.feed(source, numbers: 0..<30)
        for one in readers { bench.submit(.sendBefore(one.handle, LinkBuffer(control(2)), packet: 30)) }
        let expected: [Element] = [.control(1)] + (0..<30).map { .packet($0) } + [.control(2)]
        for one in readers {
            #expect(one.reader.read(elements: 32))
            #expect(one.reader.elements == expected)
            bench.submit(.removeSubscriber(one.handle))
            #expect(bench.wait { if case .subscriberRemoved(one.handle) = $0 { true } else { false } } != nil)
        }
        #expect(bench.stop() == 0)
    }

    @Test("A paused reader is sent what waited for its place, and goes on where it may start", arguments: EngineShape.all)
    func pauses(shape: EngineShape) throws {
        let bench = try Bench(shape, policy: Bench.withoutBurst, isVerbatim: true)
        let source = bench.addFed()
        let (handle, reader) = bench.addVerbatim(0)
        bench.feed(source, numbers: 0..<3, starts: [1])
        #expect(bench.join(handle)?[0].timestamp == 1)
        #expect(reader.read(elements: 2))
        bench.submit(.sendBefore(handle, LinkBuffer(control(9)), packet: 100))
        bench.submit(.send(handle, LinkBuffer(control(10))))
        bench.feed(source, numbers: 3..<5)
        #expect(reader.read(elements: 4))
        bench.submit(.pause(handle))
        #expect(reader.read(elements: 6))
        bench.submit(.arm(handle, now: false))
        bench.feed(source, numbers: 5..<9, starts: [7])
        #expect(bench.join(handle)?[0].timestamp == 7)
        #expect(reader.read(elements: 8))
        #expect(reader.elements == [.packet(1), .packet(2), .packet(3), .packet(4), .control(9), .control(10), .packet(7), .packet(8)])
        #expect(bench.stop() == 0)
    }

    @Test(
        "A connection goes from one reader to another at an exact packet, near or far, slow or quick", arguments: EngineShape.all,
        [0, 25, -4])
    func handsOver(shape: EngineShape, gap: Int) throws {
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 80_000_000, windowMilliseconds: 1_000), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<1, starts: [0])
        let (player, connection) = TestSocket.connectedPair(sendBuffer: 8_192, receiveBuffer: 65_536)
        bench.keep(connection)
        let reader = VerbatimReader(player, isChunked: true)
        func add(_ index: Int) -> SubscriberHandle {
            let copy = TestSocket(descriptor: dup(connection.descriptor), port: 0)
            bench.keep(copy)
            let handle = SubscriberHandle(index: UInt32(index), generation: 1)
            bench.submit(.addVerbatimSubscriber(handle, bench.stream, descriptor: copy.descriptor, chunked: true))
            return handle
        }
        var current = add(0)
        bench.submit(.arm(current, now: false))
        #expect(bench.join(current) != nil)
        var expected: [Element] = [.packet(0)]
        var next = 1
        for round in 1...6 {
            // The one reader's last packet, and where the other begins: further on, or before what was fed already.
            let end = next + 20
            let begin = end + gap
            bench.feed(source, numbers: next..<end) { _ in 3_000 }
            if gap < 0 { #expect(bench.reaches(UInt64(end)) { bench.counters[.packetsLogged] }) }
            let successor = add(round)
            bench.submit(.sendLast(current, LinkBuffer([]), packet: UInt32(end)))
            bench.submit(.armAt(successor, packet: UInt32(begin)))
            bench.feed(source, numbers: end..<end + 40) { _ in 3_000 }
            expected += (next..<end).map { .packet($0) }
            #expect(reader.read(elements: expected.count))
            // Only once the first one has nothing left.
            bench.submit(.sendBefore(successor, LinkBuffer(control(round)), packet: UInt32(begin)))
            #expect(bench.join(successor) != nil)
            expected += [.control(round)] + (begin..<end + 40).map { .packet($0) }
            #expect(reader.read(elements: expected.count))
            #expect(reader.elements == expected, "round \(round)")
            bench.submit(.removeSubscriber(current))
            current = successor
            next = end + 40
        }
        #expect(bench.stop() == 0)
    }

    @Test("Nobody joins at what was before a new epoch; numbers go on", arguments: EngineShape.all)
    func epochs(shape: EngineShape) throws {
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<10, starts: [0, 5])
        bench.submit(.beginEpoch(bench.stream))
        #expect(bench.reaches(10) { bench.counters[.packetsLogged] })
        let (handle, reader) = bench.addVerbatim(0)
        #expect(bench.wait(milliseconds: 100) { if case .joined = $0 { true } else { false } } == nil)
        bench.feed(source, numbers: 10..<14, starts: [12])
        #expect(bench.join(handle)?[0].timestamp == 12)
        #expect(reader.read(elements: 2))
        #expect(reader.elements == [.packet(12), .packet(13)])
        #expect(bench.stop() == 0)
    }

    @Test("What does not go with a stream's kind is refused", arguments: EngineShape.all)
    func refusals(shape: EngineShape) throws {
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        let ingest = TestSocket(datagram: ())
        let (player, connection) = TestSocket.connectedPair()
        bench.keep(ingest, player, connection)
        let other = SourceHandle(index: 5, generation: 1)
        func isRefused(_ command: Command, workers: Int = 1, _ alsoTold: (Report) -> Bool) {
            bench.submit(command)
            for _ in 0..<workers {
                #expect(bench.wait { if case .refused(.wrongKind, EINVAL) = $0 { true } else { false } } != nil, "\(command)")
            }
            #expect(bench.wait { alsoTold($0) } != nil, "\(command)")
        }
        let isSourceGone: (Report) -> Bool = { if case .sourceRemoved(other) = $0 { true } else { false } }
        let home = HostAddress(ipv4: 0x7F00_0001)
        isRefused(.addDatagramSource(other, bench.stream, descriptor: ingest.descriptor, channel: 0, peer: home, port: 0), isSourceGone)
        isRefused(
            .addInterleavedSource(
                other, bench.stream, descriptor: connection.descriptor, channels: ChannelMap(identity: 2), prefix: LinkBuffer([])),
            isSourceGone)
        isRefused(.addSlateSource(other, bench.stream, channels: ChannelMap(identity: 2)), isSourceGone)
        bench.submit(.setTrack(bench.stream, track: 0, TrackPlan(clockRate: 90_000, codec: .h264, ssrc: 1)))
        for _ in 0..<shape.workers {
            #expect(bench.wait { if case .refused(.wrongKind, _) = $0 { true } else { false } } != nil)
        }
        // No packet at all, and a channel that there is not: counted, and nothing else.
        bench.feed(source, framed(0, []), framed(2, [1, 2, 3]))
        #expect(bench.reaches(1) { bench.engine.counters[.datagramsMalformed] })
        #expect(bench.reaches(1) { bench.engine.counters[.framesUnknownChannel] })
        bench.feed(source, numbers: 0..<1, starts: [0])
        let (handle, far) = bench.addVerbatim(6)
        #expect(bench.join(handle)?[0].timestamp == 0)
        #expect(far.read(elements: 1))
        #expect(bench.stop() == 0)
    }

    @Test("An RTP stream takes no verbatim reader, and gives nothing a place", arguments: BackendName.allCases)
    func refusalsOfRTP(backend: BackendName) throws {
        let bench = try Bench(backend: backend)
        let (player, connection) = TestSocket.connectedPair()
        bench.keep(player)
        let reader = SubscriberHandle(index: 5, generation: 1)
        bench.submit(.addVerbatimSubscriber(reader, bench.stream, descriptor: connection.descriptor, chunked: false))
        #expect(bench.wait { if case .refused(.wrongKind, EINVAL) = $0 { true } else { false } } != nil)
        #expect(bench.wait { if case .subscriberRemoved(reader) = $0 { true } else { false } } != nil)
        let interleaved = bench.addInterleaved(1, connection)
        bench.submit(.sendBefore(interleaved, LinkBuffer([1, 2, 3]), packet: 0))
        #expect(bench.wait { if case .refused(.wrongKind, EINVAL) = $0 { true } else { false } } != nil)
        #expect(bench.wait { if case .bufferReturned = $0 { true } else { false } } != nil)
        bench.submit(.resend(interleaved, packet: 0, following: 0, port: 9))
        #expect(bench.wait { if case .refused(.wrongKind, EINVAL) = $0 { true } else { false } } != nil)
        #expect(bench.stop() == 0)
    }
}
