import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Streams that are no RTP, as an embedder has them.
@Suite(.serialized) struct SplitterVerbatimTests {
    @Test("Pushed messages reach TCP readers as they are, with words at their places", arguments: BackendName.allCases, [1, 3])
    func splits(backend: BackendName, workers: Int) throws {
        let bench = try SplitterBench(backend: backend, workers: workers)
        let stream = try bench.splitter.addVerbatimStream(bitRate: 4_000_000)
        bench.made(stream)
        let source = try bench.addPushed(stream)
        try bench.splitter.push(source, channel: 1, message(0, 700))
        try bench.splitter.push(source, channel: 0, message(1, 65_535))
        bench.splitter.flush()
        #expect(bench.reaches { bench.splitter.counters(of: stream)?[.packetsLogged] == 2 })
        var readers: [(handle: SubscriberHandle, far: VerbatimReader)] = []
        for index in 0..<20 {
            let (player, connection) = TestSocket.connectedPair()
            bench.keep(connection)
            let handle = bench.added(
                try bench.splitter.addVerbatimReader(
                    stream, descriptor: connection.descriptor, chunked: index % 2 == 1, waits: true), stream)
            #expect(bench.joined(handle)?[0].timestamp == 0)
            try bench.splitter.send(handle, control(1))
            try bench.splitter.start(handle)
            readers.append((handle, VerbatimReader(player, isChunked: index % 2 == 1)))
        }
        for one in readers { try bench.splitter.send(one.handle, control(2), before: 5) }
        for number in 2..<9 { try bench.splitter.push(source, channel: 0, message(number, 1_000)) }
        bench.splitter.flush()
        typealias Element = VerbatimReader.Element
        let expected: [Element] = [.control(1)] + (0..<5).map { .packet($0) } + [.control(2)] + (5..<9).map { .packet($0) }
        for one in readers {
            #expect(one.far.read(elements: expected.count))
            #expect(one.far.elements == expected)
        }
        try bench.splitter.removeStream(stream)
        #expect(bench.removed(stream))
        #expect(bench.stop() == 0)
    }

    @Test("What does not go with a stream's kind throws, and says what would")
    func refusals() throws {
        let bench = try SplitterBench()
        let verbatim = try bench.splitter.addVerbatimStream()
        bench.made(verbatim)
        let stream = try bench.addStream()
        let (player, connection) = TestSocket.connectedPair()
        let socket = TestSocket(datagram: ())
        bench.keep(player, connection, socket)
        let source = try bench.addPushed(verbatim)
        func throwsArgument(_ name: String, _ body: () throws -> Void) {
            #expect {
                try body()
            } throws: {
                if case .argument(name: name, _) = $0 as? SplitterError { true } else { false }
            }
        }
        throwsArgument("stream") { _ = try bench.splitter.addVerbatimReader(stream, descriptor: connection.descriptor) }
        var channels = ChannelMap()
        channels[1] = 0
        throwsArgument("channels") {
            _ = try bench.splitter.addInterleavedReader(verbatim, descriptor: connection.descriptor, channels: channels)
        }
        throwsArgument("stream") { _ = try bench.splitter.addDatagramSource(verbatim, descriptor: socket.descriptor, channel: 0) }
        throwsArgument("stream") {
            _ = try bench.splitter.addInterleavedSource(verbatim, descriptor: connection.descriptor, channels: ChannelMap(identity: 2))
        }
        throwsArgument("channel") { try bench.splitter.push(source, channel: 2, message(0, 20)) }
        throwsArgument("descriptor") { _ = try bench.splitter.addVerbatimReader(verbatim, descriptor: socket.descriptor) }
        let interleaved = try bench.addInterleaved(stream, connection)
        throwsArgument("reader") { try bench.splitter.send(interleaved, [1], before: 0) }
        throwsArgument("reader") { try bench.splitter.resend(interleaved, packet: 0, port: 5_004) }
        var policy = StreamPolicy()
        policy.collectNanoseconds = 2_000_000_000
        throwsArgument("policy.collectNanoseconds") { _ = try bench.splitter.addVerbatimStream(policy: policy) }
        try bench.splitter.removeStream(verbatim)
        try bench.splitter.removeStream(stream)
        #expect(bench.removed(verbatim) && bench.removed(stream))
        #expect(bench.stop() == 0)
    }
}
