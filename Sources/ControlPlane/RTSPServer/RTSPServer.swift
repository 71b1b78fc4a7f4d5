import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import WireFormats

/// The RTSP server (RFC 2326): listens, answers, and tells the engine whom to send to. Belongs to the event loop of its engine's
/// port; call everything there.
final class RTSPServer {
    let settings: ServerSettings
    let paths: PathTable
    let port: EnginePort
    let logger: Logger
    /// The address that media comes from; the port in it is the listener's.
    private(set) var localAddress: SocketAddress?
    private(set) var media: MediaSockets?

    private let listen: ListenAddress
    private let besides: [ListenAddress]
    let mediaPorts: MediaPorts
    private var listeners: [any Channel] = []
    private var connections: [ObjectIdentifier: RTSPConnection] = [:]
    private var sessions: [String: ServerSession] = [:]
    private var readersByReportAddress: [ReportAddress: ServerSession] = [:]
    /// The same of sessions of Windows Media.
    private var mediaByReportAddress: [ReportAddress: UInt64] = [:]
    private var joins: JoinLimiter
    private var events: JoinLimiter
    var access: AccessControl
    let tunnels: HTTPTunnels
    let registrar: Registrar
    /// HTTP that is no tunnel.
    private(set) lazy var windowsMedia = WindowsMediaServer(server: self)
    /// RTSP about paths of Windows Media.
    private(set) lazy var windowsMediaRTSP = WindowsMediaRTSP(server: self)
    /// Windows Media of other servers, for players that name it in full; nil: none.
    private(set) lazy var forwarding = makeForwardProxy()
    /// Where it listens.
    private(set) var listenPorts: Set<UInt16> = []
    /// What origins hear of plays of what is theirs.
    let notices: OriginNotices
    /// Where the paths of the configuration are registered.
    private(set) var registrations: [Registration] = []
    var counts = ServerStatistics()
    var places = ReaderPlaces()
    /// Sessions that read, playing or not.
    private(set) var readerSessions = 0
    var drops = ReceiveDrops()
    private var sweepTask: RepeatedTask?
    private(set) var lastSecond = NIODeadline.now()
    private var generator = SystemRandomNumberGenerator()
    private var date: (second: Int, text: String) = (-1, "")

    private static let backlog: Int32 = 1_024
    private static let receiveBytes = 1_024

    /// Where a UDP reader's reports come from.
    private struct ReportAddress: Hashable {
        let host: HostAddress
        let port: UInt16
    }

    /// A server of these paths that does not listen yet.
    init(
        listen: ListenAddress, besides: [ListenAddress] = [], paths: PathTable, port: EnginePort, mediaPorts: MediaPorts,
        settings: ServerSettings = ServerSettings(),
        logger: Logger
    ) {
        self.listen = listen
        self.besides = besides
        self.paths = paths
        self.port = port
        self.mediaPorts = mediaPorts
        self.settings = settings
        self.logger = logger
        let limits = settings.limits
        joins = JoinLimiter(perSecond: limits.joinsPerSecondPerAddress, burst: limits.joinsBurstPerAddress)
        events = JoinLimiter(perSecond: limits.eventsPerSecondPerAddress, burst: limits.eventsBurstPerAddress)
        tunnels = HTTPTunnels(halfOpenMax: settings.halfOpenTunnelsMax)
        notices = OriginNotices(eventLoop: port.eventLoop, logger: logger)
        registrar = Registrar(settings: settings.register, paths: paths, eventLoop: port.eventLoop, logger: logger)
        access = AccessControl(settings: settings.access, paths: paths.all.map(\.settings) + paths.expressions.map(\.settings))
        paths.addObserver(self)
    }

    var keyFrameWaitMilliseconds: Int64 { Int64(min(max(settings.keyFrameWaitSeconds, 0), 3_600) * 1_000) }

    // MARK: Start and stop

    /// Listens everywhere, or nowhere. The future has the first address that was bound, or fails with ``ListenError``.
    func start() -> EventLoopFuture<SocketAddress> {
        let loop = port.eventLoop
        var descriptors: [CInt] = []
        do {
            let address = try BoundSocket.resolve(listen)
            descriptors.append(try BoundSocket.open(.stream, at: address))
            var places = [address]
            for listen in besides {
                places.append(try BoundSocket.resolve(listen))
                descriptors.append(try BoundSocket.open(.stream, at: places[places.count - 1]))
            }
            let bound = zip(places, descriptors).map { $0.withPort(BoundSocket.port(of: $1)) }
            listenPorts = Set(bound.compactMap(\.port).map { UInt16(truncatingIfNeeded: $0) })
            let opening = try MediaSockets.open(at: address, mediaPorts: mediaPorts, port: port, logger: logger) { [weak self] in
                self?.receivedReport(from: $0, $1, $2)
            }
            return opening.assumeIsolated().flatMap { [self, descriptors] media in
                self.media = media
                localAddress = bound[0]
                return EventLoopFuture.whenAllSucceed(descriptors.map(accept), on: loop)
            }.map { [self] listeners in
                self.listeners = listeners
                beginSweep()
                for address in bound { logger.info("listening", metadata: ["address": "\(ListenAddress(address))"]) }
                return bound[0]
            }.nonisolated()
        } catch {
            for descriptor in descriptors { Glibc.close(descriptor) }
            return loop.makeFailedFuture(error)
        }
    }

    private func accept(_ descriptor: CInt) -> EventLoopFuture<any Channel> {
        let server = NIOLoopBound(self, eventLoop: port.eventLoop)
        return ServerBootstrap(group: port.eventLoop)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // Peers that vanish without a word would hold their sessions for ever: an open connection is liveness.
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 60)
            .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 10)
            .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 6)
            // Every connection keeps one such buffer, between requests too: as large as nearly all requests are.
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.receiveBytes))
            // The kernel sizes the send buffer by what the path can have in flight; this bounds what waits behind it, half a second
            // of 4 Mbit/s. A fixed SO_SNDBUF would bound both, and throttle far readers.
            .childChannelOption(.tcpOption(.init(rawValue: TCP_NOTSENT_LOWAT)), value: 256 << 10)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try server.value.accepted(channel) }
            }
            .withBoundSocket(descriptor)
    }

    /// Serves a connection that we made ourselves: its other end asks from now on, and may have begun (`prefix`). It has no handler and
    /// is not read. Throws when there is no room for it.
    func adopt(_ channel: any Channel, prefix: [UInt8]) throws {
        let options = channel.syncOptions
        try? options?.setOption(.maxMessagesPerRead, value: 4)
        try? options?.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.receiveBytes))
        try? options?.setOption(.socketOption(.so_keepalive), value: 1)
        let connection = try accepted(channel)
        // LIVE555's proxy asks something at least once a minute, and not much oftener.
        connection.idleFactor = 2
        if !prefix.isEmpty { connection.received(ByteBuffer(bytes: prefix)) }
        try options?.setOption(.autoRead, value: true)
    }

    @discardableResult
    private func accepted(_ channel: any Channel) throws -> RTSPConnection {
        guard let host = HostAddress(channel.remoteAddress) else { throw ChannelError.unknownLocalAddress }
        guard connections.count + windowsMedia.connectionCount < settings.limits.connectionsMax else {
            count(.connectionsMax)
            throw ChannelError.operationUnsupported
        }
        let name = host.ipv4 == nil ? "[\(host.text)]" : host.text
        let words = "\(name):\(channel.remoteAddress?.port ?? 0)"
        let connection = RTSPConnection(channel: channel, host: host, words: words, server: self)
        connections[ObjectIdentifier(connection)] = connection
        counts.connectionsTotal += 1
        try channel.pipeline.syncOperations.addHandler(RTSPConnectionHandler(connection: connection), name: RTSPConnectionHandler.name)
        return connection
    }

    /// Registers paths at the proxies that their settings name; after ``start()``.
    func register(_ paths: [Path]) {
        for path in paths {
            for target in path.settings.registerAt {
                let registration = Registration(
                    path: path.name, target: target, server: self, eventLoop: port.eventLoop, logger: logger)
                registrations.append(registration)
                registration.start()
            }
        }
    }

    /// Takes back what ``register(_:)`` did, and calls `done`, in a second or two at most; before ``stop()``.
    func deregister(_ done: @escaping () -> Void) {
        var remaining = registrations.count + 1
        let stopped = {
            remaining -= 1
            if remaining == 0 { done() }
        }
        for registration in registrations { registration.stop(stopped) }
        stopped()
    }

    /// Ends every session and connection and stops listening. The media sockets stay open: close them with ``closeMedia()`` when the
    /// engine has stopped.
    func stop() -> EventLoopFuture<Void> {
        sweepTask?.cancel()
        sweepTask = nil
        registrar.endAll()
        for session in Array(sessions.values) { session.end(.shutdown) }
        windowsMediaRTSP.stop()
        for connection in openConnections { connection.close() }
        windowsMedia.stop()
        let closing = listeners.map { $0.close() }
        listeners = []
        return EventLoopFuture.andAllComplete(closing, on: port.eventLoop)
    }

    /// Closes the readers' UDP sockets. After the engine has stopped.
    func closeMedia() {
        media?.close()
        media = nil
    }

    // MARK: Time

    private func beginSweep() {
        let server = NIOLoopBound(self, eventLoop: port.eventLoop)
        let period = TimeAmount.milliseconds(settings.sweepMilliseconds)
        sweepTask = port.eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in server.value.sweep(now: .now()) }
    }

    private func sweep(now: NIODeadline) {
        if now - lastSecond >= .seconds(1) {
            lastSecond = now
            joins.nextSecond()
            events.nextSecond()
            places.sweep(now: now)
            sweepLogins(now: Self.milliseconds(now))
            countDrops()
            registrar.sweep(now: now)
        }
        for session in Array(sessions.values) {
            session.sweep(now: now)
            // An open connection that made the session is liveness, as is any request or report.
            if session.connection == nil, now - session.lastHeard > .seconds(Int64(settings.sessionTimeoutSeconds)) {
                session.end(.timeout)
            }
        }
        for connection in openConnections { connection.sweep(now: now) }
        windowsMedia.sweep(now: now)
        windowsMediaRTSP.sweep(now: now)
    }

    /// The current date as headers want it, made once a second.
    var dateText: String {
        let second = Glibc.time(nil)
        if second != date.second { date = (second, HTTPDate.format(unixSeconds: Int64(second))) }
        return date.text
    }

    // MARK: Sessions

    /// The session of that id, whoever asks.
    func session(named id: String) -> ServerSession? { sessions[id] }

    /// The session of that id, if the connection may name it. Throws ``RequestRefusal``.
    func session(_ id: String?, for connection: RTSPConnection) throws(RequestRefusal) -> ServerSession {
        guard let id else { throw .sessionMissing }
        guard let session = sessions[id], session.machine.state != .ended else { throw .sessionNotFound(String(id.prefix(32))) }
        guard session.host == connection.host else { throw .sessionForeign("the session belongs to another host") }
        if session.machine.isInterleaved == true, session.connection !== connection {
            throw .sessionForeign("the session's media uses another connection; only that one can control it")
        }
        session.lastHeard = .now()
        return session
    }

    /// Room for one more session of that host, or what to answer.
    func admit(_ connection: RTSPConnection) throws(RequestRefusal) {
        guard connection.sessions.count + (connection.windowsMedia?.sessions.count ?? 0) < settings.sessionsPerConnectionMax else {
            count(.sessionsMax)
            throw .unavailable("one connection can hold \(settings.sessionsPerConnectionMax) sessions", retryAfterSeconds: 1)
        }
        guard sessions.count + windowsMediaRTSP.readerCount < settings.limits.subscribersMax else {
            count(.sessionsMax)
            throw .unavailable("all \(settings.limits.subscribersMax) sessions of this server are in use", retryAfterSeconds: 5)
        }
        guard joins.admit(connection.host) else {
            count(.joinRate)
            throw .unavailable(
                "your address opens sessions too fast: \(settings.limits.joinsPerSecondPerAddress) a second, "
                    + "\(settings.limits.joinsBurstPerAddress) at once",
                retryAfterSeconds: 1)
        }
    }

    /// Whether that address may join just now; if not, it is counted.
    func admitJoin(_ host: HostAddress) -> Bool {
        if joins.admit(host) { return true }
        count(.joinRate)
        return false
    }

    /// Room for one more event that a relay at that address tells, or what to answer.
    func admitEvent(_ host: HostAddress) throws(RequestRefusal) {
        guard events.admit(host) else {
            count(.eventRate)
            throw .unavailable(
                "your address tells of players too fast: \(settings.limits.eventsPerSecondPerAddress) a second, "
                    + "\(settings.limits.eventsBurstPerAddress) at once (limits: events-per-second-per-address)",
                retryAfterSeconds: 1)
        }
    }

    /// A new session on that connection.
    func makeSession(
        path: Path, connection: RTSPConnection, description: StreamDescription, publication: Publication?
    ) -> ServerSession {
        let id = SessionIdentifier.make(using: &generator)
        let session = ServerSession(
            id: id, path: path, connection: connection, description: description, publication: publication, server: self)
        sessions[id] = session
        if publication == nil { readerSessions += 1 }
        places.release(ObjectIdentifier(connection))
        connection.sessionBegan(session)
        counts.sessionsTotal += 1
        return session
    }

    /// A UDP reader's reports come from there from now on.
    func expectReports(of session: ServerSession, port: UInt16) {
        readersByReportAddress[ReportAddress(host: session.host, port: port)] = session
    }

    /// The same of a session of Windows Media, whose reports are signs of life, and ask for lost packets.
    func expectReports(ofMedia session: UInt64, host: HostAddress, port: UInt16) {
        mediaByReportAddress[ReportAddress(host: host, port: port)] = session
    }

    func forgetReports(ofMedia session: UInt64, host: HostAddress, ports: Set<UInt16>) {
        for port in ports {
            let address = ReportAddress(host: host, port: port)
            if mediaByReportAddress[address] == session { mediaByReportAddress[address] = nil }
        }
    }

    func forget(_ session: ServerSession, reason: SessionEnd) {
        sessions[session.id] = nil
        if session.publication == nil { readerSessions -= 1 }
        for track in session.machine.tracks {
            guard case .datagram(_, let rtcp) = track.transport else { continue }
            let address = ReportAddress(host: session.host, port: rtcp)
            if readersByReportAddress[address] === session { readersByReportAddress[address] = nil }
        }
        counts.ends[reason, default: 0] += 1
        logger.info(
            "session ends",
            metadata: [
                "session": "\(session.id.prefix(6))", "from": "\(session.host.text)", "path": "\(session.path.name)",
                "transport": "\(session.transportWords)", "reason": "\(reason.rawValue)",
                "seconds": "\((NIODeadline.now() - session.began).nanoseconds / 1_000_000_000)",
                "reports": "\(session.reports.count)", "lost": "\(session.reports.lost)",
            ])
    }

    func forget(_ connection: RTSPConnection) {
        connections[ObjectIdentifier(connection)] = nil
        places.release(ObjectIdentifier(connection))
    }

    private func receivedReport(from host: HostAddress, _ port: UInt16, _ bytes: ByteBuffer) {
        let address = ReportAddress(host: host, port: port)
        guard let session = readersByReportAddress[address] else {
            let report = Array(bytes.readableBytesView)
            if windowsMediaRTSP.received(report: report, from: host, known: mediaByReportAddress[address]) { return }
            return count(.unknownDatagram)
        }
        for track in session.machine.tracks {
            guard case .datagram(_, let rtcp) = track.transport, rtcp == port else { continue }
            return session.received(report: Array(bytes.readableBytesView), track: track.number)
        }
    }

    /// The sessions, in no order.
    var openSessions: [ServerSession] { Array(sessions.values) }

    /// The open connections, in no order.
    var openConnections: [RTSPConnection] { Array(connections.values) }

    // MARK: Counting

    func count(_ refusal: ServerRefusal) { counts.refusals[refusal, default: 0] += 1 }

    func countAnswer(_ status: RTSPStatus) {
        counts.requests += 1
        if status.code >= 400 { counts.requestsRefused += 1 }
    }

    func countReports(_ count: Int) { counts.receiverReports += count }

    /// What the server does, and what it turned away.
    var statistics: ServerStatistics {
        var statistics = counts
        statistics.datagramsDropped = drops.total
        if paths.refused > 0 { statistics.refusals[.pathsMax] = paths.refused }
        statistics.connections = connections.count + windowsMedia.connectionCount
        statistics.sessions = sessions.count
        for session in sessions.values {
            if session.machine.state == .playing { statistics.readers += 1 }
            if session.machine.state == .recording { statistics.publishers += 1 }
        }
        let players = windowsMedia.playerCount
        statistics.sessions += players + windowsMediaRTSP.readerCount
        statistics.readers += players + windowsMediaRTSP.sessions.playingCount
        return statistics
    }

    /// An answer's bytes, with what every answer carries.
    func serialized(_ response: RTSPResponse, sequence: String?, session: String?, as name: String? = nil) -> [UInt8] {
        ServerAnswers.finish(
            response, sequence: sequence, date: dateText, server: name ?? settings.name,
            session: session.map { SessionHeader(id: $0, timeoutSeconds: UInt32(clamping: settings.sessionTimeoutSeconds)) }
        ).serialized()
    }
}

extension RTSPServer: PathTableObserver {
    func pathAdded(_ path: Path) { access.pathAdded(path.settings) }

    func pathRemoved(_ path: Path) {
        access.pathRemoved(path.settings)
        registrar.forget(path.name)
    }
}

extension ListenAddress {
    init(_ address: SocketAddress) {
        self.init(host: address.ipAddress ?? "", port: UInt16(clamping: address.port ?? 0))
    }
}
