import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink

/// The whole relay: an event loop with the RTSP server, the paths and their sources, above an engine that carries the media.
///
/// May be used from any thread but the event loop's own; each call that is not `async` waits for the event loop.
package final class Relay: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let door: LoopDoor
    private let core: NIOLoopBound<RelayCore>
    private let engine: any EngineControl

    /// A relay that does not listen yet. Takes the engine for itself.
    package init(
        configuration: Configuration, extensions: RelayExtensions = RelayExtensions(), engine: any EngineControl, version: String,
        logger: Logger
    ) throws {
        let store = configuration.cache.directory.isEmpty ? nil : try CacheStore.open(configuration.cache)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.group = group
        self.engine = engine
        let loop = group.next()
        self.loop = loop
        let door = LoopDoor(loop)
        self.door = door
        core = try loop.submit {
            NIOLoopBound(
                RelayCore(
                    configuration: configuration, extensions: extensions, engine: engine, eventLoop: loop, door: door, version: version,
                    store: store, logger: logger),
                eventLoop: loop)
        }.wait()
    }

    /// Listens and dials what is to be dialled from the start. Answers with the address that was bound.
    package func start() throws -> ListenAddress { try loop.flatSubmit { [core] in core.value.start() }.wait() }

    /// What happens just now.
    package func status() throws -> Status { try loop.submit { [core] in core.value.status() }.wait() }

    /// As the other one, without waiting.
    package func start() async throws -> ListenAddress { try await loop.flatSubmit { [core] in core.value.start() }.get() }

    /// The ports that UDP readers are sent from; nil unless it listens.
    package func mediaPorts() async throws -> (rtp: UInt16, rtcp: UInt16)? {
        try await loop.submit { [core] in core.value.mediaPorts }.get()
    }

    /// What can be known of it, with the `readers` worst readers, of one path if it is named. Throws ``ControlAnswer/Trouble``; also after
    /// ``stop()``, and after ``end()``.
    package func overview(readers: Int = OverviewCollector.readersStandard, path: String? = nil) async throws -> Overview {
        let answer = door.flatSubmit { [core] in
            core.value.overview(readers: min(max(readers, 0), OverviewCollector.readersMax), path: path)
        }
        guard let answer else { throw ControlAnswer.Trouble.stopping }
        return try await answer.get()
    }

    /// Opens a control socket at `path`, after ``start()``; whoever may connect to it may ask for an ``Overview``. Throws words for the
    /// user. Close it before ``stop(_:)``.
    package func openControl(at path: String) throws -> ControlSocket {
        ControlSocket(
            server: try ControlServer(path: path) { [door, core] request, loop in
                door.flatSubmit { core.value.answer(request) } ?? loop.makeSucceededFuture(ControlAnswer(error: .stopping))
            })
    }

    /// Closes sources and readers in good order and ends the engine. `done` gets, on another thread, how much did not come home: 0,
    /// or it is our bug.
    package func stop(_ done: @escaping @Sendable (UInt32) -> Void) {
        loop.flatSubmit { [core] in core.value.stop() }.whenSuccess(done)
    }

    /// Ends the event loop's thread; after ``stop()``.
    package func end() {
        door.shut()
        try? group.syncShutdownGracefully()
    }

    /// As the other one. Answers with how much did not come home.
    package func stop() async -> UInt32 { await withCheckedContinuation { done in stop { done.resume(returning: $0) } } }

    /// As the other one, without waiting.
    package func end() async {
        door.shut()
        try? await group.shutdownGracefully()
    }
}

/// A relay's open control socket.
package struct ControlSocket: Sendable {
    let server: ControlServer

    /// Where it is.
    package var path: String { server.path }
    /// Removes it.
    package func close() { server.stop() }
}

/// What the relay is made of. Belongs to the event loop.
final class RelayCore {
    private let configuration: Configuration
    private let extensions: RelayExtensions
    private let port: EnginePort
    private let paths: PathTable
    private let server: RTSPServer
    private let logger: Logger
    private let eventLoop: any EventLoop
    /// What is kept of sources; nil: nothing is.
    private let cacheDesk: CacheDesk?
    private let commons: ProxyCommons
    private var reports: (any Channel)?
    private let deadline: LoopTimer
    private let version: String
    private var collector: OverviewCollector?
    private let prefetches: CachePrefetches

    /// Longer than every step of a good end together.
    private static let stopMilliseconds = 8_000

    init(
        configuration: Configuration, extensions: RelayExtensions, engine: any EngineControl, eventLoop: any EventLoop, door: LoopDoor,
        version: String, store: CacheStore?, logger: Logger
    ) {
        self.configuration = configuration
        self.extensions = extensions
        self.version = version
        self.logger = logger
        self.eventLoop = eventLoop
        deadline = LoopTimer(eventLoop)
        let port = EnginePort(engine: engine, eventLoop: eventLoop, door: door, logger: logger)
        self.port = port
        let mediaPorts = MediaPorts(
            range: configuration.mediaPorts, buffers: SocketBuffers(logger: logger), takesTrains: engine.backend.takesTrains,
            opener: extensions.sockets)
        let desk = store.map { CacheDesk(store: $0, eventLoop: eventLoop, logger: logger) }
        cacheDesk = desk
        let commons = ProxyCommons(
            desk: desk, settings: configuration.cache, memory: ProxyMemory(bytesMax: configuration.cacheMemoryBytesMax))
        self.commons = commons
        let make = {
            Path(settings: $0, origin: $1, port: port, mediaPorts: mediaPorts, extensions: extensions, commons: commons, logger: logger)
        }
        paths = PathTable(
            configuration.paths.filter { $0.expression == nil }.map { make($0, .configuration) },
            expressions: configuration.paths.filter { $0.expression != nil }, runTimePathsMax: configuration.limits.runTimePathsMax,
            make: make)
        prefetches = CachePrefetches(paths: paths, eventLoop: eventLoop)
        var settings = ServerSettings()
        settings.limits = configuration.limits
        settings.access = configuration.access
        settings.register = configuration.register
        settings.distribution = configuration.distribution
        settings.forwardProxy = configuration.forwardProxy
        server = RTSPServer(
            listen: configuration.listen, besides: configuration.listenBesides, paths: paths, port: port, mediaPorts: mediaPorts,
            settings: settings, logger: logger)
    }

    func start() -> EventLoopFuture<ListenAddress> {
        ReportPump.start(port).assumeIsolated().flatMap { [self] channel in
            reports = channel
            return server.start()
        }.map { [self] address in
            cacheDesk?.start()
            server.notices.begin(paths, cacheDesk, server.forwarding, eventLoop: eventLoop, logger: logger)
            paths.start()
            server.register(paths.all)
            let listen = ListenAddress(address)
            collector = OverviewCollector(
                server: server, paths: paths, port: port, extensions: extensions, commons: commons, listen: "\(listen)",
                version: version)
            return listen
        }.nonisolated()
    }

    var mediaPorts: (rtp: UInt16, rtcp: UInt16)? { server.media.map { ($0.rtpPort, $0.rtcpPort) } }

    func status() -> Status {
        var status = Status(port.engine.counters, nanoseconds: NIODeadline.now().uptimeNanoseconds)
        let paths = paths.all
        status.sources = paths.count { $0.isPlaying }
        status.workers = port.engine.workerCount
        status.workersFailed = port.workersFailed
        status.receiveDrops = self.paths.datagramsDropped
        status.paths = paths.filter { $0.live != nil }.map { path in
            Status.PathStatus(name: path.name, readers: path.readers, receiveDrops: path.datagramsDropped)
        }
        let statistics = server.statistics
        status.readers = statistics.readers
        status.refusals = statistics.refusals
        return status
    }

    func overview(readers: Int, path: String?) -> EventLoopFuture<Overview> {
        guard let collector else {
            return eventLoop.makeFailedFuture(ControlAnswer.Trouble.stopping)
        }
        return collector.overview(readers: readers, path: path)
    }

    /// Answers what came over the control socket.
    func answer(_ request: ControlRequest) -> EventLoopFuture<ControlAnswer> {
        do throws(ControlAnswer.Trouble) {
            switch request.command {
            case "status":
                try request.check(takes: ["readers", "path"])
                let readers = try request.number("readers", in: 0...OverviewCollector.readersMax, else: OverviewCollector.readersStandard)
                return overview(readers: readers, path: request.arguments["path"]).map { ControlAnswer(status: $0) }
            case "playlist":
                let name = request.arguments["path"] ?? ""
                guard let path = paths.path(named: name) else {
                    throw .init(code: "path", message: "nothing is served as /\(PeerWords.printable(String(name.prefix(64))))")
                }
                guard let programme = path.programme else {
                    throw .init(code: "path", message: "/\(path.name) plays no playlist; its source is \(path.settings.source)")
                }
                return programme.open().assumeIsolated().map { _ in
                    do throws(ControlAnswer.Trouble) { return ControlAnswer(playlist: try programme.answer(request)) } catch {
                        return ControlAnswer(error: error)
                    }
                }.flatMapErrorThrowing { ControlAnswer(error: .init(code: "playlist", message: "\($0)")) }.nonisolated()
            case "prefetch":
                let answer = try prefetches.answer(request)
                return eventLoop.makeSucceededFuture(ControlAnswer(prefetch: answer))
            default:
                throw .init(
                    code: "command",
                    message:
                        "this relay knows no `\(PeerWords.printable(String(request.command.prefix(64))))`; it knows status, playlist and prefetch"
                )
            }
        } catch { return eventLoop.makeSucceededFuture(ControlAnswer(error: error)) }
    }

    func stop() -> EventLoopFuture<UInt32> {
        collector?.stop()
        collector = nil
        prefetches.stop()
        let promise = eventLoop.makePromise(of: UInt32.self)
        var isDone = false
        let finish = { [self] (leaks: UInt32) in
            guard !isDone else { return }
            isDone = true
            deadline.stop()
            server.closeMedia()
            reports?.close(promise: nil)
            promise.succeed(leaks)
        }
        deadline.start(milliseconds: Self.stopMilliseconds) { [logger] in
            logger.error("the engine did not end in time")
            finish(1)
        }
        server.deregister { [self] in
            server.stop().assumeIsolated().whenComplete { [self] _ in
                server.notices.stop { [self] in
                    paths.stop { [self] in
                        guard let cacheDesk else { return port.shutdown(finish) }
                        cacheDesk.stop().assumeIsolated().whenComplete { [self] _ in port.shutdown(finish) }
                    }
                }
            }
        }
        return promise.futureResult
    }
}

/// Hears when the engine has something to say.
enum ReportPump {
    /// Watches the engine's report descriptor, a duplicate of which the channel owns.
    static func start(_ port: EnginePort) -> EventLoopFuture<any Channel> {
        let descriptor = dup(port.engine.reportDescriptor)
        guard descriptor >= 0 else {
            return port.eventLoop.makeFailedFuture(IOError(errnoCode: errno, reason: "dup of the engine's report descriptor"))
        }
        let handler = NIOLoopBound(Handler(port), eventLoop: port.eventLoop)
        return NIOPipeBootstrap(group: port.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let port: EnginePort

        init(_ port: EnginePort) { self.port = port }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { port.drainReports() }
    }
}

/// Makes the source that a path's settings name.
enum PathSourceFactory {
    /// Nil for a path that waits for a publisher, and has nothing done to what he sends.
    static func source(for path: Path) -> (any PathSource)? {
        guard !path.settings.transforms.isEmpty else { return source(for: path, host: path) }
        let stage = TransformedSource(
            settings: path.settings, port: path.port, mediaPorts: path.mediaPorts, extensions: path.extensions, host: path,
            logger: path.logger)
        stage.source = source(for: path, host: stage)
        path.stage = stage
        return stage
    }

    /// What takes the place of a path's source when its RTSP server turns out to have Windows Media, or to have it no more; nil where it cannot.
    static func source(for path: Path, windowsMedia: Bool) -> (any PathSource)? {
        guard case .pull(let url) = path.settings.source, !path.settings.isForwarded, path.stage == nil,
            path.settings.redundancy.backups.isEmpty
        else { return nil }
        guard windowsMedia else { return source(path.settings.source, for: path, host: path) }
        return elsewhere(WindowsMediaRoute(url, transport: path.settings.transport), for: path, host: path)
    }

    /// What brings Windows Media from elsewhere. What is to be live whatever it is, or is dialled before anybody asks for it, is pulled at once.
    private static func elsewhere(_ route: WindowsMediaRoute, for path: Path, host: any PathSourceHost) -> any PathSource {
        guard !path.settings.isBroadcast, path.settings.dial == .onDemand else { return pull(route, for: path, host: host) }
        return proxy(route, for: path, host: host, dialler: .tcp) { [weak path] refusal in
            path?.contentRefused(refusal)
            return refusal
        }
    }

    /// What brings what a player named in full; everything is dialled through `gate`, and media comes over connections alone.
    static func forwarded(for path: Path, by gate: ForwardGate) -> (any PathSource)? {
        let route: WindowsMediaRoute
        switch path.settings.source {
        case .windowsMedia(let url): route = WindowsMediaRoute(url)
        case .pull(let url): route = WindowsMediaRoute(url, transport: .tcp)
        default: return nil
        }
        return proxy(route, for: path, host: path, dialler: gate.dialler) { [weak path] refusal in
            let told = gate.explaining(refusal)
            path?.contentRefused(told)
            return told
        }
    }

    private static func proxy(
        _ route: WindowsMediaRoute, for path: Path, host: any PathSourceHost, dialler: SourceDialler,
        onRefused: @escaping (ProxyRefusal) -> ProxyRefusal
    ) -> WindowsMediaProxy {
        let settings = path.settings
        return WindowsMediaProxy(
            WindowsMediaProxy.Parts(
                route: route, settings: settings, policy: settings.proxyPolicy(path.commons), commons: path.commons, dialler: dialler,
                eventLoop: path.eventLoop, logger: path.logger, onRefused: onRefused
            ) { [port = path.port, mediaPorts = path.mediaPorts, logger = path.logger] host, credentials in
                WindowsMediaPull(
                    route: credentials.map { route.opened(by: $0) } ?? route, settings: settings, port: port, mediaPorts: mediaPorts,
                    host: host, dialler: dialler, logger: logger)
            }, host: host)
    }

    /// What takes it as if it were live.
    private static func pull(_ route: WindowsMediaRoute, for path: Path, host: any PathSourceHost) -> WindowsMediaPull {
        WindowsMediaPull(
            route: route, settings: path.settings, port: path.port, mediaPorts: path.mediaPorts, host: host, logger: path.logger)
    }

    private static func source(for path: Path, host: any PathSourceHost) -> (any PathSource)? {
        let settings = path.settings
        guard !settings.redundancy.backups.isEmpty else { return source(settings.source, for: path, host: host) }
        if settings.redundancy.merges {
            return MergeSource(
                [settings.source] + settings.redundancy.backups, port: path.port, host: host, logger: path.logger
            ) { source($0, for: path, host: $1) }
        }
        return FailoverSource(
            [settings.source] + settings.redundancy.backups, settings: settings.redundancy, eventLoop: path.eventLoop, host: host,
            logger: path.logger
        ) { source($0, for: path, host: $1) }
    }

    /// How a path's playlist pulls entries that are elsewhere: as the path would, for whoever goes through it.
    private static func pulls(of path: Path) -> PlaylistPulls {
        PlaylistPulls(
            most: path.settings.playlist.pullsMax, eventLoop: path.eventLoop, via: { [weak path] in path?.via },
            permits: { [weak path] in path?.settings.permits($0) ?? false }
        ) { [weak path] url, host in
            guard let path else { return nil }
            return pull(WindowsMediaRoute(url), for: path, host: host)
        }
    }

    private static func source(_ source: PathSettings.Source, for path: Path, host: any PathSourceHost) -> (any PathSource)? {
        switch source {
        case .publish, .template, .redirect: return nil
        case .pull(let url) where path.settings.serving == .redirect:
            return elsewhere(WindowsMediaRoute(url, transport: path.settings.transport), for: path, host: host)
        case .pull(let url):
            let live = RTSPPull(
                url: url, settings: path.settings, port: path.port, mediaPorts: path.mediaPorts, host: host,
                extensions: path.extensions, logger: path.logger)
            guard path.settings.keepsStoredMedia, host === path else { return live }
            let policy = path.settings.proxyPolicy(path.commons)
            let headers = RequestHeaders.fields(path.extensions, path: path.name, url: "\(url)", logger: path.logger)
            return RTSPCachedPull(
                settings: RTSPCachedPull.Settings(url: url, policy: policy, path: path.settings, headers: headers), live: live,
                store: path.cacheDesk.map { CachedRecordings($0) }, host: path, eventLoop: path.eventLoop, logger: path.logger)
        case .rtp(let source):
            return RTPReceiver(
                source: source, settings: path.settings, port: path.port, mediaPorts: path.mediaPorts, host: host, logger: path.logger)
        case .file(let name): return FileSource(port: path.port, host: host, logger: path.logger) { try Clip.read(name) }
        case .windowsMedia(let url): return elsewhere(WindowsMediaRoute(url), for: path, host: host)
        case .windowsMediaFile(let name) where path.settings.isBroadcast:
            return WindowsMediaFileBroadcast(
                name: name, settings: path.settings, port: path.port, host: host, logger: path.logger)
        case .windowsMediaFile(let name): return WindowsMediaFileSource(name: name, eventLoop: path.eventLoop, host: host)
        case .playlist(let name) where path.settings.isBroadcast:
            return PlaylistBroadcast(
                file: name, settings: path.settings, port: path.port, host: host,
                opener: PlaylistOpener(eventLoop: path.eventLoop) { [weak path] in path?.table }, pulls: pulls(of: path),
                logger: path.logger)
        case .playlist(let name):
            return PlaylistSource(
                file: name, settings: path.settings.playlist, pulls: pulls(of: path), eventLoop: path.eventLoop, host: host,
                logger: path.logger)
        case .custom(let url):
            guard let dialler = path.extensions.sources[url.scheme] else { return nil }
            return DialledSource(
                url: url, dialler: dialler, settings: path.settings, port: path.port, host: host, logger: path.logger)
        case .demonstration: return FileSource(port: path.port, host: host, logger: path.logger) { try DemoClip.load() }
        }
    }
}
