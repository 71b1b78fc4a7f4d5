import Glibc
import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// One client's connection: bytes in, requests answered strictly in their order, bytes out. Belongs to the event loop.
///
/// While a request waits (a held DESCRIBE, a PLAY before its key frame) later ones queue up, and reading stops when the queue is
/// full. What it writes leaves by NIO, until an interleaved reader plays here: then every answer goes through the engine, between
/// two packets, and comes back to NIO when the engine let go.
final class RTSPConnection: ServerConnection {
    /// Who writes.
    enum Egress {
        case channel
        case engine(Subscription)
        /// The engine, by this, at exact places of what it sends: false when it takes no more.
        case line((_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool)
        /// The engine is letting go; nothing is answered meanwhile.
        case returning
    }

    let channel: any Channel
    unowned let server: RTSPServer
    let host: HostAddress
    /// `host:port` for the log.
    let words: String
    private(set) var egress = Egress.channel
    /// Sessions that were set up here and still live.
    private(set) var sessions: [ServerSession] = []
    private(set) var isClosed = false
    var role = Role.open([])
    /// What the connection is to Windows Media, from the first request about such a path on.
    var windowsMedia: MSRTSPLine?
    /// What we asked the client, and was not answered.
    var asked = AskedRequests()

    /// Who sent the request that is being worked on; nil where no password was needed.
    var user: String?
    /// Through which relays the request that is being answered came.
    var trail = RelayTrail()
    /// What was answered with 401 because it came without a name, if nothing was accepted since; for the log.
    var challenged: String?
    /// What the client calls itself, since its first request that said so; printable.
    private(set) var agent: String?

    private var parser = RTSPParser(limits: .server)
    private var queue: [RTSPRequest] = []
    /// What ends the connection after the queue is answered.
    private var parseError: RTSPParseError?
    private var current: RTSPRequest?
    private var isPumping = false
    private var isReading = true
    /// An interleaved publisher's frames are read by the engine; NIO reads no more.
    private var isReadByEngine = false
    /// Nothing is answered any more; what still comes is thrown away until the peer closes, or this time is over.
    private var drainDeadline: NIODeadline?

    /// The channel is given to somebody else; nothing is read or answered any more.
    private var isGivenAway = false

    /// How often the server's idle time may pass without a request.
    var idleFactor = 1.0

    private static let drainTime = TimeAmount.seconds(1)

    private var writesPending = 0
    private var flushWaiters: [() -> Void] = []
    /// What was written while the engine was letting go.
    private var returned: [(bytes: [UInt8], onFlushed: (() -> Void)?)] = []
    private var writeProgress = NIODeadline.now()
    /// Since when a message is unfinished, and how many bytes had been understood before it.
    private var unfinished: (since: NIODeadline, after: UInt64)?
    private var lastRequest = NIODeadline.now()

    init(channel: any Channel, host: HostAddress, words: String, server: RTSPServer) {
        self.channel = channel
        self.host = host
        self.words = words
        self.server = server
    }

    // MARK: Bytes in

    func received(_ bytes: ByteBuffer) {
        guard drainDeadline == nil else { return }
        let bytes = Array(bytes.readableBytesView)
        switch role {
        case .rtsp: take(bytes)
        case .down: break  // A GET has nothing more to say.
        case .up: decode(bytes[...])
        case .open(let before):
            let rtsp = decide(before + bytes)
            if case .open = role { unfinished = unfinished ?? (.now(), 0) } else { unfinished = nil }
            if let rtsp { take(rtsp) }
        }
    }

    private func take(_ bytes: [UInt8]) {
        parser.append(bytes)
        pump()
    }

    /// What a tunnel's POST brought.
    func tunnelled(_ bytes: [UInt8]) {
        guard !isClosed, drainDeadline == nil else { return }
        take(bytes)
    }

    /// A tunnel has another POST.
    func tunnelAttached(_ tunnel: HTTPTunnel) {
        guard !isClosed, let channel = tunnel.up?.channel else { return }
        isReading = true
        try? channel.syncOptions?.setOption(.autoRead, value: true)
        updateReading()
    }

    /// Reads requests and answers them as far as it goes.
    func pump() {
        // An answer given at once calls here again; the loop below goes on anyway.
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while !isClosed, !isGivenAway {
            if !isReadByEngine { read() }
            guard current == nil, canWrite, drainDeadline == nil else { break }
            if queue.isEmpty {
                guard let parseError else { break }
                refuse(parseError)
                break
            }
            let request = queue.removeFirst()
            current = request
            lastRequest = .now()
            if agent == nil, let name = request.headers["User-Agent"] {
                agent = PeerWords.printable(String(name.prefix(ReaderOverview.agentCharactersMax)))
            }
            server.answer(request, on: self)
        }
        updateReading()
        guard channel.isWritable else { return }
        if let windowsMedia { windowsMedia.writable() }
        for session in sessions { session.replay?.writable() }
    }

    private func read() {
        while queue.count < server.settings.queuedRequestsMax, parseError == nil, !isReadByEngine {
            // What follows RECORD may be media already: whose it is is known when RECORD is answered.
            if (queue.last ?? current)?.method == .record { break }
            do {
                guard let element = try parser.next() else { break }
                switch element {
                case .request(let request): queue.append(request)
                case .response(let response): asked.take(response)?(response.status)
                case .interleaved(let channel, let payload): frame(channel, payload)
                }
            } catch { parseError = error }
        }
        if parser.bytesBuffered == 0 || parseError != nil {
            unfinished = nil
        } else if unfinished?.after != parser.bytesConsumed {
            unfinished = (.now(), parser.bytesConsumed)
        }
    }

    private func refuse(_ error: RTSPParseError) {
        switch error {
        case .bodyTooLong, .headTooLong, .lineTooLong, .tooManyHeaders: server.count(.oversize)
        default: server.count(.malformed)
        }
        let response = RTSPResponse(
            status: error.status, headers: ["Content-Type": "text/plain", "Connection": "close"],
            body: RequestRefusal.body(error.description))
        let sequence = parser.cseqOfUnfinishedMessage.flatMap(ServerRequest.sequence)
        write(server.serialized(response, sequence: sequence, session: nil))
        drain()
    }

    // MARK: Answers

    /// Answers the request that is being worked on.
    func answer(_ response: RTSPResponse, session: ServerSession? = nil, onFlushed: (() -> Void)? = nil) {
        answer(response, session: session?.id, as: server.settings.name, onFlushed: onFlushed)
    }

    /// The same by a server that calls itself `name`.
    func answer(
        _ response: RTSPResponse, session: String?, as name: String, changed: ((_ bytes: [UInt8]) -> [UInt8])? = nil,
        onFlushed: (() -> Void)? = nil
    ) {
        guard let request = current, !isClosed else { return }
        current = nil
        server.countAnswer(response.status)
        let sequence = ServerRequest.sequence(of: request)
        let bytes = server.serialized(response, sequence: sequence, session: session, as: name)
        write(changed?(bytes) ?? bytes, onFlushed)
        pump()
    }

    /// Refuses the request that is being worked on.
    func answer(_ refusal: RequestRefusal) {
        count(refusal)
        answer(refusal.response)
    }

    func count(_ refusal: RequestRefusal) {
        switch refusal {
        case .destinationForeign: server.count(.foreignDestination)
        case .sessionForeign: server.count(.foreignSession)
        default: break
        }
    }

    private var canWrite: Bool {
        switch egress {
        case .channel: channel.isWritable
        case .engine, .line: true
        case .returning: false
        }
    }

    func write(_ bytes: [UInt8], _ onFlushed: (() -> Void)? = nil) {
        guard !isClosed else { return }
        switch egress {
        case .channel:
            writeBegins()
            channel.writeAndFlush(ByteBuffer(bytes: bytes)).assumeIsolated().whenComplete { [self] result in
                guard case .success = result else {
                    writesPending -= 1
                    return close()
                }
                writeEnded(onFlushed)
            }
        case .engine(let subscription):
            if subscription.send(bytes) { onFlushed?() } else { close() }
        case .line(let send):
            writeBegins()
            if !send(bytes, { [weak self] in self?.writeEnded(onFlushed) }) { close() }
        case .returning:
            // Nothing is begun in this state; an answer that comes all the same cannot be placed. What we ask by ourselves waits.
            if windowsMedia == nil { close() } else { returned.append((bytes, onFlushed)) }
        }
    }

    private func writeBegins() {
        if writesPending == 0 { writeProgress = .now() }
        writesPending += 1
    }

    private func writeEnded(_ onFlushed: (() -> Void)?) {
        writesPending -= 1
        writeProgress = .now()
        onFlushed?()
        guard writesPending == 0 else { return }
        let waiters = flushWaiters
        flushWaiters = []
        for waiter in waiters { waiter() }
    }

    /// A receiver report for an interleaved publisher; left out when the publisher does not read.
    func writeReport(_ frame: [UInt8]) {
        guard case .channel = egress, channel.isWritable else { return }
        write(frame)
    }

    /// Runs `body` when nothing waits in NIO any more; never if the connection closes before.
    func whenFlushed(_ body: @escaping () -> Void) {
        if writesPending == 0 { body() } else { flushWaiters.append(body) }
    }

    // MARK: Handing over

    /// The peer speaks another protocol: the channel is `successor`'s from here on, as it is. Nothing was answered yet.
    func resign(to successor: any ServerConnection) {
        guard !isClosed, let handler = try? channel.pipeline.syncOperations.handler(type: RTSPConnectionHandler.self) else { return }
        closed()
        handler.connection = successor
    }

    /// The connection's descriptor once more, for the engine. Throws when there is none to be had.
    func duplicateDescriptor() throws -> CInt {
        try channel.duplicateDescriptor(of: words)
    }

    /// From here on everything is written by the engine, until it lets go of the reader.
    func handWritesOver(to subscription: Subscription) {
        egress = .engine(subscription)
        subscription.onGone = { [self] in
            egress = .channel
            let waiting = returned
            returned = []
            for one in waiting { write(one.bytes, one.onFlushed) }
            pump()
        }
    }

    /// From here on everything is written by the engine, which is given it by `send`; what is given calls back when it left.
    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool) { egress = .line(send) }

    /// The engine has been told to let go.
    func writesReturn() {
        switch egress {
        case .engine: egress = .returning
        case .line:
            egress = .returning
            // Whoever waits for what was written waits for that, too.
            writeBegins()
        case .channel, .returning: break
        }
    }

    /// The engine let go of what ``handWritesOver(to:)`` gave it.
    func writesReturned() {
        switch egress {
        case .channel, .engine: return
        case .line: egress = .channel
        case .returning:
            egress = .channel
            let waiting = returned
            returned = []
            for one in waiting { write(one.bytes, one.onFlushed) }
            writeEnded(nil)
        }
        pump()
    }

    /// From here on the engine reads. Gives, in the next turn of the loop, what NIO read beyond the last request: NIO may still hand
    /// on what it has read in this turn.
    func handReadsOver(_ body: @escaping (_ prefix: [UInt8]) -> Void) {
        isReadByEngine = true
        updateReading()
        channel.eventLoop.assumeIsolated().execute { [self] in
            guard !isClosed else { return }
            body(parser.takeRemainder())
        }
    }

    /// Text that the engine found between an interleaved publisher's frames. Gives how many bytes of it were whole messages.
    func receivedText(_ bytes: [UInt8]) -> Int {
        var text = RTSPParser(limits: .server)
        text.append(bytes)
        do {
            while !text.isAtInterleavedFrame(), let element = try text.next() {
                guard case .request(let request) = element else { continue }
                guard queue.count < server.settings.queuedRequestsMax else {
                    close()
                    break
                }
                queue.append(request)
            }
        } catch { parseError = error }
        // What follows a message that cannot be read is no use to anybody: the connection ends.
        let consumed = parseError == nil ? Int(clamping: text.bytesConsumed) : bytes.count
        channel.eventLoop.assumeIsolated().execute { [self] in pump() }
        return consumed
    }

    /// Answers the request that is being worked on, and gives the channel, which has no handler then and is not read, to `taker` after a
    /// pause; never if the peer closes before. The connection ends without it.
    func giveAway(answer response: RTSPResponse, pauseMilliseconds: Int64, to taker: @escaping (any Channel) -> Void) {
        isGivenAway = true
        answer(response) { [self] in
            channel.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(pauseMilliseconds)) { [self] in leave(to: taker) }
        }
        updateReading()
    }

    private func leave(to taker: @escaping (any Channel) -> Void) {
        guard !isClosed else { return }
        closed()
        let channel = channel
        channel.pipeline.syncOperations.removeHandler(name: RTSPConnectionHandler.name).assumeIsolated().whenComplete { result in
            guard case .success = result else { return channel.close(promise: nil) }
            // As the connections are that Weir dials: after PLAY's answer not a byte more may be taken.
            try? channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
            try? channel.syncOptions?.setOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
            taker(channel)
        }
    }

    private func updateReading() {
        guard !isClosed else { return }
        let isFull = parseError != nil || queue.count >= server.settings.queuedRequestsMax
        let wanted = !isReadByEngine && !isGivenAway && (!isFull || drainDeadline != nil)
        guard wanted != isReading else { return }
        isReading = wanted
        try? requestChannel?.syncOptions?.setOption(.autoRead, value: wanted)
    }

    // MARK: Sessions and the end

    func sessionBegan(_ session: ServerSession) { sessions.append(session) }

    /// A session of this connection ended. If its media used the connection, and the client did not ask for it, the connection has no
    /// purpose any more (and the framing may be broken).
    func sessionEnded(_ session: ServerSession, reason: SessionEnd) {
        sessions.removeAll { $0 === session }
        guard session.machine.isInterleaved == true else {
            // A player that is sent nothing any more sees it by this.
            if reason == .pathRemoved, sessions.isEmpty { close() }
            return
        }
        if reason == .teardown {
            if session.publication != nil { drain() }
        } else {
            close()
        }
    }

    /// Whether the connection must go: requests that drip, silence without a session, answers that are not taken.
    func sweep(now: NIODeadline) {
        let settings = server.settings
        if isGivenAway {
            // Its last answer has to leave, too.
            if writesPending > 0, now - writeProgress > .fractional(seconds: settings.answerStallSeconds) { close() }
            return
        }
        if let drainDeadline {
            if now >= drainDeadline { close() }
            return
        }
        if let tunnel, !tunnel.isPaired, now - tunnel.since > .fractional(seconds: settings.tunnelSeconds) {
            server.count(.tunnelTimeout)
            return close()
        }
        // A POST lives as long as its GET.
        if case .up = role { return }
        if let unfinished, !isReadByEngine, current == nil, now - unfinished.since > .fractional(seconds: settings.requestSeconds) {
            server.count(.requestTimeout)
            let words = "the request was not complete within \(settings.requestSeconds) seconds"
            let response = RTSPResponse(
                status: .requestTimeout, headers: ["Content-Type": "text/plain", "Connection": "close"], body: RequestRefusal.body(words))
            self.unfinished = nil
            guard canWrite else { return close() }
            write(server.serialized(response, sequence: nil, session: nil))
            return drain()
        }
        let stall: TimeAmount =
            windowsMedia?.carriesMedia == true || sessions.contains { $0.replay != nil && $0.machine.isInterleaved == true }
            ? .seconds(WMSPConnection.pauseSecondsMax) : .fractional(seconds: settings.answerStallSeconds)
        if writesPending > 0, now - writeProgress > stall {
            server.count(.answerStall)
            return close()
        }
        if sessions.isEmpty, windowsMedia?.sessions.isEmpty ?? true, current == nil,
            now - lastRequest > .fractional(seconds: settings.idleSeconds * idleFactor)
        {
            server.count(.requestTimeout)
            close()
        }
    }

    /// Closes after what was written has left. The peer may still be sending: a socket that is closed with bytes unread resets the
    /// connection, and the peer would never read why. So our side alone is closed first, and the rest thrown away for a moment.
    func drain() {
        guard case .channel = egress, !isReadByEngine else { return close() }
        drainDeadline = .now() + Self.drainTime
        updateReading()
        whenFlushed { [self] in channel.close(mode: .output, promise: nil) }
    }

    func close() {
        guard !isClosed else { return }
        channel.close(promise: nil)
        closed()
    }

    /// The connection is gone.
    func closed() {
        guard !isClosed else { return }
        isClosed = true
        current = nil
        queue = []
        flushWaiters = []
        returned = []
        if let tunnel { server.tunnels.left(tunnel, self) }
        server.loginAbandoned(self)
        server.forget(self)
        let left = sessions
        sessions = []
        let media = windowsMedia
        windowsMedia = nil
        for session in left {
            if session.machine.connectionClosed() == .end { session.finish(.connectionClosed) }
            // What lives on has its timeout from now on: until now the connection was its liveness.
            session.connection = nil
            session.lastHeard = .now()
        }
        media?.closed()
    }
}

extension TimeAmount {
    static func fractional(seconds: Double) -> TimeAmount { .nanoseconds(Int64(min(max(seconds, 0), 1e9) * 1e9)) }
}
