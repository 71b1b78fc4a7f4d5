import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// The server over real sockets. One test at a time: their clients block.
@Suite(.serialized) enum RTSPServerTests {}

/// A server on loopback with a scripted engine. `/live` has two tracks, `/one` one, `/down` a source that never comes, `/publish`
/// takes publishers.
final class ServerHarness: @unchecked Sendable {
    // Everything but `loop` and `port` is used on the loop alone.
    let loop: any EventLoop
    let engine: ScriptedEngine
    let server: RTSPServer
    let paths: PathTable
    private let desk: CacheDesk?
    private let enginePort: EnginePort
    private(set) var port: UInt16 = 0

    static let twoTracks = """
        v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
        m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n
        """
    static let oneTrack = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"

    /// `yaml` may hold more paths: expressions, and redirections.
    init(
        host: String = "127.0.0.1", workers: Int = 1, log: HeardLog? = nil, yaml: String = "",
        _ change: (inout ServerSettings) -> Void = { _ in }
    ) throws {
        let more = try Configuration.parse(yaml)
        var settings = ServerSettings()
        settings.distribution = more.distribution
        settings.sweepMilliseconds = 20
        change(&settings)
        let group = MultiThreadedEventLoopGroup.singleton
        let loop = group.next()
        let engine = ScriptedEngine(limits: settings.limits, workers: workers)
        let chosen = settings
        let store = more.cache.directory.isEmpty ? nil : try CacheStore.open(more.cache)
        let made = try loop.submit { () -> Made in
            let logger = log?.logger() ?? Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let port = EnginePort(engine: engine, eventLoop: loop, logger: logger)
            let mediaPorts = MediaPorts(range: nil)
            func path(_ name: String, _ source: PathSettings.Source, _ change: (inout PathSettings) -> Void = { _ in }) -> Path {
                var settings = PathSettings(name: name, source: source)
                settings.dial = .onDemand
                settings.sourceWaitMilliseconds = 300
                change(&settings)
                return Path(settings: settings, port: port, mediaPorts: mediaPorts, logger: logger)
            }
            let live = path("live", .demonstration)
            let one = path("cam/one", .demonstration)
            let down = path("down", .demonstration)
            let publish = path("publish", .publish) { $0.sourceWaitMilliseconds = 50 }
            let groups = Self.multicastPaths.map { settings in
                Path(settings: settings, port: port, mediaPorts: mediaPorts, logger: logger)
            }
            let commons = ProxyCommons(
                desk: store.map { CacheDesk(store: $0, eventLoop: loop, logger: logger) }, settings: more.cache,
                memory: ProxyMemory(bytesMax: more.cacheMemoryBytesMax))
            let others = more.paths.filter { $0.expression == nil }.map { settings in
                Path(settings: settings, port: port, mediaPorts: mediaPorts, commons: commons, logger: logger)
            }
            let table = PathTable(
                [live, one, down, publish] + groups + others, expressions: more.paths.filter { $0.expression != nil },
                runTimePathsMax: chosen.limits.runTimePathsMax
            ) { settings, origin in
                Path(settings: settings, origin: origin, port: port, mediaPorts: mediaPorts, logger: logger)
            }
            let multicast = groups.filter { !$0.settings.multicast.isAlways }.map { ($0, Self.twoTracks, true) }
            for (path, sdp, isThere) in [(live, Self.twoTracks, true), (one, Self.oneTrack, true), (down, Self.oneTrack, false)] + multicast
            {
                path.start(source: ScriptedSource(path: path, sdp: try SessionDescription(sdp), isThere: isThere))
            }
            publish.start(source: nil)
            for path in others {
                let sdp = try SessionDescription(Self.oneTrack)
                if path.settings.source.isWindowsMedia || path.settings.keepsStoredMedia {
                    path.start(source: PathSourceFactory.source(for: path))
                    continue
                }
                path.start(source: path.settings.source == .demonstration ? ScriptedSource(path: path, sdp: sdp, isThere: true) : nil)
            }
            let server = RTSPServer(
                listen: ListenAddress(host: host, port: 0), paths: table, port: port, mediaPorts: mediaPorts, settings: chosen,
                logger: logger)
            engine.onReport = { loop.assumeIsolated().execute { port.drainReports() } }
            return Made(port: port, server: server, paths: table, desk: commons.desk)
        }.wait()
        self.loop = loop
        self.engine = engine
        enginePort = made.port
        server = made.server
        paths = made.paths
        desk = made.desk
        let address = try loop.flatSubmit { made.server.start() }.wait()
        port = UInt16(address.port ?? 0)
    }

    private final class Made: @unchecked Sendable {
        let port: EnginePort
        let server: RTSPServer
        let paths: PathTable
        let desk: CacheDesk?
        init(port: EnginePort, server: RTSPServer, paths: PathTable, desk: CacheDesk?) {
            self.desk = desk
            self.port = port
            self.server = server
            self.paths = paths
        }
    }

    /// Runs on the loop.
    func run<T: Sendable>(_ body: @escaping @Sendable (ServerHarness) throws -> T) throws -> T {
        try loop.submit { try body(self) }.wait()
    }

    /// The commands so far, without those of streams.
    func log() throws -> [String] {
        try run { harness in
            harness.engine.log.filter { word in
                !["addStream", "setPolicy", "setTrack", "egress", "beginEpoch"].contains { word.hasPrefix($0) }
            }
        }
    }

    /// Waits until something holds, at most ten seconds.
    func eventually(_ what: Comment, _ condition: @escaping @Sendable (ServerHarness) -> Bool) throws {
        for _ in 0..<2_000 {
            if try run(condition) { return }
            usleep(5_000)
        }
        Issue.record(what)
    }

    func statistics() throws -> ServerStatistics { try run { $0.server.statistics } }

    /// Lets every arm join here.
    func joinsAt(video: (UInt16, UInt32)?, audio: (UInt16, UInt32)?) throws {
        try run { harness in
            var point = JoinPoint()
            if let video { point[0] = .init(sequence: video.0, timestamp: video.1, isKnown: true) }
            if let audio { point[1] = .init(sequence: audio.0, timestamp: audio.1, isKnown: true) }
            harness.engine.joinPoint = point
        }
    }

    func client(from host: String = "127.0.0.1") throws -> TestClient { try TestClient(port: port, from: host) }

    func stop() throws {
        try loop.flatSubmit { self.server.stop() }.wait()
        try run { $0.server.closeMedia() }
        if let desk { try loop.flatSubmit { desk.stop() }.wait() }
    }
}

/// A blocking RTSP client.
final class TestClient {
    let descriptor: CInt
    let port: UInt16
    private var parser = RTSPParser(limits: .client)
    private(set) var sequence = 0
    /// The session that a test thinks this client has.
    var own: (session: String, path: String)?

    struct Trouble: Error, CustomStringConvertible { let description: String }

    init(port: UInt16, from host: String = "127.0.0.1") throws {
        self.port = port
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let local = try SocketAddress(ipAddress: host, port: 0)
        _ = unsafe local.withSockAddr { pointer, size in unsafe bind(descriptor, pointer, socklen_t(size)) }
        let remote = try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))
        let result = unsafe remote.withSockAddr { pointer, size in unsafe connect(descriptor, pointer, socklen_t(size)) }
        guard result == 0 else { throw Trouble(description: "connect: \(errno)") }
    }

    deinit { close(descriptor) }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress.map { unsafe $0 + sent }, $0.count - sent, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    /// The next thing that the server says; throws at the end of the connection.
    func receive() throws -> RTSPElement {
        while true {
            if let element = try parser.next() { return element }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            // A signal of another test's child process; with a time limit on the socket the call is not restarted.
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Trouble(description: count == 0 ? "closed" : "errno \(errno)") }
            parser.append(buffer[..<count])
        }
    }

    /// The next response; frames before it are left out.
    func response() throws -> RTSPResponse {
        while true {
            switch try receive() {
            case .response(let response): return response
            case .interleaved: continue
            case .request: throw Trouble(description: "a request")
            }
        }
    }

    /// Whether the server closes, having sent nothing more.
    func isClosed() -> Bool {
        do {
            _ = try receive()
            return false
        } catch { return "\(error)" == "closed" || "\(error)" == "errno \(ECONNRESET)" }
    }

    func text(_ method: String, _ path: String, _ headers: [String] = [], body: String = "") -> String {
        sequence += 1
        let uri = path == "*" || path.contains("://") ? path : "rtsp://127.0.0.1:\(port)\(path)"
        let lines =
            ["\(method) \(uri) RTSP/1.0", "CSeq: \(sequence)"] + headers + (body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"])
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    @discardableResult
    func ask(_ method: String, _ path: String, _ headers: [String] = [], body: String = "") throws -> RTSPResponse {
        send(text(method, path, headers, body: body))
        return try response()
    }

    /// SETUP of both tracks of `/live`, interleaved or over UDP. Gives the session.
    func setUpLive(udp: Int? = nil) throws -> String {
        let transports =
            udp.map { ["RTP/AVP;unicast;client_port=\($0)-\($0 + 1)", "RTP/AVP;unicast;client_port=\($0 + 2)-\($0 + 3)"] }
            ?? ["RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP/TCP;unicast;interleaved=2-3"]
        let first = try ask("SETUP", "/live/trackID=0", ["Transport: \(transports[0])"])
        #expect(first.status == .ok)
        let session = first.headers.session?.id ?? ""
        #expect(try ask("SETUP", "/live/trackID=1", ["Transport: \(transports[1])", "Session: \(session)"]).status == .ok)
        return session
    }
}
