import NIOCore
import PlaneLink
import WireFormats

/// What an RTSP connection is to Windows Media: it carries requests, and the media of those who want it on the connection. Belongs to the
/// event loop.
final class MSRTSPLine {
    /// By which the session machine knows it.
    let id: UInt64
    let connection: RTSPConnection
    private unowned let server: WindowsMediaRTSP
    /// Sessions that were set up here.
    var sessions: Set<UInt64> = []
    /// Where a playlist is that was described here, until a session takes it.
    private(set) var described: PlaylistReader?
    /// Whose media goes this way, if anybody's; who wants to hear that there is room for more; and its channels.
    private(set) var carried: (session: UInt64, rtp: UInt8, rtcp: UInt8)?
    var onWritable: (() -> Void)?
    /// Who waits for something on behalf of a request here, and is to stop when the connection closes.
    var onAbandoned: (() -> Void)?
    private(set) var isClosed = false
    private var freeWaiters: [() -> Void] = []
    private var overWaiters: [UInt64: () -> Void] = [:]
    private var nextWaiter: UInt64 = 0

    init(id: UInt64, connection: RTSPConnection, server: WindowsMediaRTSP) {
        self.id = id
        self.connection = connection
        self.server = server
    }

    /// Media goes this way: it may be slow for as long as players may be.
    var carriesMedia: Bool { carried != nil }
    /// Channels that are in use.
    var channels: Set<UInt8> { carried.map { [$0.rtp, $0.rtcp] } ?? [] }

    /// Whether what a client sends on a channel is to be thrown away.
    func takes(channel: UInt8) -> Bool { channels.contains(channel) }

    /// Whether a session's media may go this way: nobody else's does, or will.
    func mayCarry(_ session: UInt64) -> Bool {
        carried.map { $0.session == session } ?? true && !connection.sessions.contains { $0.machine.isInterleaved == true }
    }

    /// A session's media goes this way from now on.
    func carries(_ session: UInt64, rtp: UInt8, rtcp: UInt8) { carried = (session, rtp, rtcp) }

    /// A session is over.
    func forget(_ session: UInt64) {
        sessions.remove(session)
        if carried?.session == session { carried = nil }
    }

    /// A playlist was described here, and nobody plays it yet.
    func describes(_ reader: PlaylistReader) {
        if let described, described !== reader { described.close() }
        described = reader
    }

    /// What of that path was described here, for a session that was set up.
    func takeDescribed(of path: Path) -> PlaylistReader? {
        guard let reader = described, reader.path === path else { return nil }
        described = nil
        reader.isKept = true
        return reader
    }

    /// NIO would take more.
    func writable() { onWritable?() }

    /// The connection is gone.
    func closed() {
        guard !isClosed else { return }
        isClosed = true
        onWritable = nil
        freeWaiters = []
        let onAbandoned = onAbandoned
        self.onAbandoned = nil
        onAbandoned?()
        described?.close()
        described = nil
        server.closed(self)
        let waiters = overWaiters.sorted { $0.key < $1.key }
        overWaiters = [:]
        for waiter in waiters { waiter.value() }
    }

    /// Runs `body` when nothing waits to be written any more and NIO writes; never if the connection closes before.
    func whenFree(_ body: @escaping () -> Void) {
        guard !isClosed else { return }
        if case .channel = connection.egress { connection.whenFlushed(body) } else { freeWaiters.append(body) }
    }

    /// Runs `body` when nothing waits to be written any more, or the connection closes.
    func whenOver(_ body: @escaping () -> Void) {
        guard !isClosed else { return body() }
        let number = nextWaiter
        nextWaiter += 1
        overWaiters[number] = body
        connection.whenFlushed { [weak self] in self?.overWaiters.removeValue(forKey: number)?() }
    }

    /// Closes when all that was written has left.
    func drain() { whenFree { [weak self] in self?.connection.drain() } }

    /// The engine let go of the connection.
    func writesReturned() {
        guard !isClosed else { return }
        let waiters = freeWaiters
        freeWaiters = []
        for waiter in waiters { connection.whenFlushed(waiter) }
        connection.writesReturned()
    }
}

/// A broadcast on the RTSP connection.
final class InterleavedLiveLine: LiveLine {
    private let line: MSRTSPLine
    private let channel: UInt8
    private let port: EnginePort

    init(_ line: MSRTSPLine, channel: UInt8, port: EnginePort) {
        self.line = line
        self.channel = channel
        self.port = port
    }

    func subscribe(to variant: WindowsMediaVariant) throws -> Subscription {
        var channels = ChannelMap()
        channels[0] = channel
        return try .interleaved(
            port: port, stream: variant.stream, descriptor: try line.connection.duplicateDescriptor(), channels: channels)
    }

    func whenFree(_ body: @escaping () -> Void) { line.whenFree(body) }

    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool) {
        line.connection.handWritesOver(to: send)
    }

    func writesReturn() { line.connection.writesReturn() }

    func writesReturned() { line.writesReturned() }

    func whenOver(_ body: @escaping () -> Void) { line.whenOver(body) }

    func close() { line.connection.close() }

    func drain() { line.connection.close() }
}

/// A broadcast in datagrams; what the server says goes over the connection meanwhile.
final class DatagramLiveLine: LiveLine {
    private let host: HostAddress
    private let clientPort: UInt16
    private let port: EnginePort
    /// The engine gave the player up.
    private let onLost: () -> Void

    init(host: HostAddress, clientPort: UInt16, port: EnginePort, onLost: @escaping () -> Void) {
        self.host = host
        self.clientPort = clientPort
        self.port = port
        self.onLost = onLost
    }

    func subscribe(to variant: WindowsMediaVariant) throws -> Subscription {
        var ports = PortMap()
        ports[0] = clientPort
        return try .datagram(port: port, stream: variant.stream, host: host, ports: ports)
    }

    func whenFree(_ body: @escaping () -> Void) { body() }

    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool) {}

    func writesReturn() {}

    func writesReturned() {}

    func whenOver(_ body: @escaping () -> Void) { body() }

    func close() { onLost() }

    func drain() { onLost() }
}
