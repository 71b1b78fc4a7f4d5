import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import WireFormats

@testable import ControlPlane

/// An RTSP server of a few lines on loopback that answers as the test says, and notes what it was asked.
final class ScriptedOrigin: Sendable {
    /// The status line's words and more headers for a request, and what follows the answer at once; nil: no answer.
    typealias Answer = (status: RTSPStatus, headers: RTSPHeaders, behind: [UInt8])

    let port: Int
    private let listener: any Channel
    private let log: Locked<[RTSPRequest]>
    private let channels: Locked<[any Channel]>

    /// What it was asked so far.
    var requests: [RTSPRequest] { log.withLockedValue { $0 } }
    var methods: [RTSPMethod] { requests.map(\.method) }
    /// Connections so far, closed ones too.
    var connections: Int { channels.withLockedValue { $0.count } }

    /// Listens; `answer` may leave SDP to the origin (DESCRIBE answered with 200).
    init(group: any EventLoopGroup, sdp: SessionDescription, answer: @escaping @Sendable (RTSPRequest, Int) -> Answer?) throws {
        let log = Locked<[RTSPRequest]>([])
        let channels = Locked<[any Channel]>([])
        self.log = log
        self.channels = channels
        listener = try ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                let number = channels.withLockedValue { list in
                    list.append(channel)
                    return list.count
                }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Handler { request in
                            log.withLockedValue { $0.append(request) }
                            guard let answer = answer(request, number) else { return nil }
                            var response = RTSPResponse(status: answer.status, headers: answer.headers)
                            response.headers["CSeq"] = request.headers.cseq
                            if request.method == .describe, answer.status.isSuccess { response.body = sdp.serialized() }
                            return response.serialized() + answer.behind
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        port = listener.localAddress?.port ?? 0
    }

    /// Closes every connection.
    func hangUp() { for channel in channels.withLockedValue({ $0 }) { channel.close(promise: nil) } }

    /// Hangs up, and is not there any more.
    func close() {
        hangUp()
        listener.close(promise: nil)
    }

    /// Writes to the connection of that number, from 0 on.
    func send(_ bytes: [UInt8], onConnection number: Int) {
        let channels = channels.withLockedValue { $0 }
        if channels.indices.contains(number) { channels[number].writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
    }

    /// Writes to the newest connection.
    func send(_ bytes: [UInt8]) { channels.withLockedValue { $0.last }?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var parser = RTSPParser()
        private let answer: (RTSPRequest) -> [UInt8]?

        init(_ answer: @escaping (RTSPRequest) -> [UInt8]?) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            parser.append(Array(unwrapInboundIn(data).readableBytesView))
            while let element = try? parser.next() {
                guard case .request(let request) = element, let bytes = answer(request) else { continue }
                context.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            }
        }
    }
}

/// The path as a pull sees it, on an event loop of its own; notes what it is told.
final class PullHarness: @unchecked Sendable {
    // Sendable because everything but the locked notes is used on the event loop alone.
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let engine = RecordingEngine()
    let notes = Locked<[String]>([])
    private var host: Host?
    private var pull: RTSPPull?

    private final class Host: PathSourceHost {
        let path: Path
        let notes: Locked<[String]>
        var isAwaited = true
        init(_ path: Path, _ notes: Locked<[String]>) {
            self.path = path
            self.notes = notes
        }
        func note(_ text: String) { notes.withLockedValue { $0.append(text) } }
        func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription {
            note("described")
            return try path.sourceDescribed(sdp)
        }
        func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription? { try path.standbyDescribed(sdp) }
        func mediaBegins() { path.mediaBegins() }
        func sourcePlays() { note("plays") }
        func sourceFailed(_ words: String) { note(words) }
        func sourceDropped(_ datagrams: UInt64) { path.sourceDropped(datagrams) }
        func sourceReleased() { note("released") }
    }

    /// A pull of this URL.
    init(url: String, _ change: @Sendable (inout PathSettings) -> Void = { _ in }) throws {
        var settings = PathSettings(name: "cam", source: .pull(try SourceURL(url)))
        // Nothing arrives in an engine that only remembers, and a busy machine takes its time.
        settings.silenceMilliseconds = 300_000
        change(&settings)
        let loop = group.next()
        let target = try SourceURL(url)
        let made = settings
        try loop.submit { [self] in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let port = EnginePort(engine: engine, eventLoop: loop, logger: logger)
            let ports = MediaPorts(range: nil)
            let host = Host(Path(settings: made, port: port, mediaPorts: ports, logger: logger), notes)
            self.host = host
            pull = RTSPPull(url: target, settings: made, port: port, mediaPorts: ports, host: host, logger: logger)
        }.wait()
    }

    func want(_ level: SourceLevel) throws { try group.next().submit { [self] in pull?.want(level) }.wait() }

    /// Lets the engine's reports through.
    func drain() throws { try group.next().submit { [self] in host?.path.port.drainReports() }.wait() }

    func stop() async throws {
        try await group.next().flatSubmit { [self] in
            let promise = group.next().makePromise(of: Void.self)
            if let pull { pull.stop { promise.succeed() } } else { promise.succeed() }
            return promise.futureResult
        }.get()
        try await group.next().submit { [self] in
            host?.path.endStream("the test is over")
            host?.path.port.drainReports()
            pull = nil
            host = nil
        }.get()
        try await group.shutdownGracefully()
    }

    /// Waits for a condition, at most so long.
    func wait(seconds: Double = 20, for condition: () -> Bool) async throws -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if condition() { return true }
            try drain()
            try await Task.sleep(for: .milliseconds(10))
        }
        return condition()
    }
}
