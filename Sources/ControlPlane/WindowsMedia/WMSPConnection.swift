import Glibc
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// One HTTP connection of a Windows Media player or of a browser: requests in, handed on one at a time; bytes out. Belongs to the event loop.
///
/// What it writes leaves by NIO, until a live stream is played here: then the engine alone writes, and what is answered meanwhile goes
/// between two packets.
final class WMSPConnection: ServerConnection {
    let id: UInt64
    let channel: any Channel
    let host: HostAddress
    /// `host:port` for the log.
    let words: String
    private unowned let server: WindowsMediaServer
    private var parser = HTTPRequestParser()
    private var queue: [HTTPRequest] = []
    private var parseError: HTTPRequestParser.Trouble?
    private var egress = Egress.channel
    /// The request that is being worked on.
    private(set) var current: HTTPRequest?
    private(set) var isClosed = false
    private var isReading = true
    private var isContinued = false
    /// Nothing more is answered: what was written leaves, then it is closed.
    private var isDraining = false
    /// The peer has until then to close, too.
    private var drainDeadline: NIODeadline?
    /// Waits for the engine to let go. Requests wait, too, so that these are few.
    private var returned: [ByteBuffer] = []
    private var freeWaiters: [() -> Void] = []
    private var writesPending = 0
    private var flushWaiters: [() -> Void] = []
    private var overWaiters: [() -> Void] = []
    private var writeProgress = NIODeadline.now()
    private var lastRequest = NIODeadline.now()
    private var unfinishedSince: NIODeadline?
    /// Media is sent here: it may be idle and slow as long as players may be.
    var carriesMedia = false { didSet { if !carriesMedia { lastRequest = .now() } } }
    /// Who sends media here, and who still does while it ends.
    weak var player: WindowsMediaPlayer?
    var leaving: WindowsMediaPlayer?
    /// Who is to hear that more can be written.
    var onWritable: (() -> Void)?
    /// Who waits for something on behalf of a request here, and is to stop when the connection closes.
    var onAbandoned: (() -> Void)?
    /// Through which relays the request came that is being answered.
    var trail = RelayTrail()
    /// What the client calls itself; text from the network.
    private(set) var agent = ""
    /// What it was asked for last with 401, if nothing was accepted since; for the log.
    var challenged: String?

    private static let drainTime = TimeAmount.seconds(1)
    /// A player that pauses by not reading may do so for this long; a connection that carries no media may not.
    static let pauseSecondsMax: Int64 = 600

    init(id: UInt64, channel: any Channel, host: HostAddress, words: String, server: WindowsMediaServer) {
        self.id = id
        self.channel = channel
        self.host = host
        self.words = words
        self.server = server
    }

    /// Who writes.
    private enum Egress {
        case channel
        /// The engine, by this: false when it takes no more.
        case engine((_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool)
        /// The engine is letting go; what is written now comes behind what it still writes.
        case returning
    }

    // MARK: Bytes in

    func received(_ bytes: ByteBuffer) { received(Array(bytes.readableBytesView)) }

    func received(_ bytes: [UInt8]) {
        guard !isClosed, !isDraining, parseError == nil else { return }
        parser.append(bytes)
        pump()
    }

    /// Reads requests and hands them on as far as it goes.
    func pump() {
        if channel.isWritable { onWritable?() }
        while !isClosed, !isDraining {
            read()
            // Answers that are not taken pile up no further: their requests wait, and when enough of them do, nothing more is read.
            guard current == nil, canWrite else { break }
            if queue.isEmpty {
                guard let parseError else { break }
                server.refuse(self, parseError)
                break
            }
            let request = queue.removeFirst()
            current = request
            lastRequest = .now()
            if agent.isEmpty, let name = request.headers["User-Agent"] { agent = String(name.prefix(256)) }
            server.answer(request, on: self)
        }
        updateReading()
    }

    private var canWrite: Bool {
        switch egress {
        case .channel: channel.isWritable
        // The session machine bounds what is owed behind media.
        case .engine: true
        case .returning: false
        }
    }

    private func read() {
        while queue.count < server.settings.queuedRequestsMax, parseError == nil {
            do {
                guard let request = try parser.next() else { break }
                isContinued = false
                queue.append(request)
            } catch { parseError = error }
        }
        unfinishedSince = parser.bytesBuffered == 0 || parseError != nil ? nil : unfinishedSince ?? .now()
        if parser.awaitsContinue, !isContinued, parseError == nil, current == nil, queue.isEmpty, !carriesMedia {
            isContinued = true
            write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        }
    }

    private func updateReading() {
        guard !isClosed else { return }
        let wanted = isDraining || parseError == nil && queue.count < server.settings.queuedRequestsMax
        guard wanted != isReading else { return }
        isReading = wanted
        try? channel.syncOptions?.setOption(.autoRead, value: wanted)
    }

    /// The request that was being worked on is answered, or what it began goes on by itself.
    func requestDone() {
        current = nil
        channel.eventLoop.assumeIsolated().execute { [weak self] in self?.pump() }
    }

    // MARK: Bytes out

    /// Whether NIO would take more without piling it up.
    var isWritable: Bool { channel.isWritable }

    func write(_ bytes: [UInt8]) { write(ByteBuffer(bytes: bytes)) }

    func write(_ bytes: ByteBuffer) {
        guard !isDraining else { return }
        enqueue(bytes)
    }

    private func enqueue(_ bytes: ByteBuffer) {
        guard !isClosed, bytes.readableBytes > 0 else { return }
        switch egress {
        case .channel:
            writeBegins()
            channel.writeAndFlush(bytes).assumeIsolated().whenComplete { [weak self] result in
                guard case .success = result else { self?.close(); return }
                self?.writeEnded()
            }
        case .engine(let send):
            writeBegins()
            if !send(Array(bytes.readableBytesView), { [weak self] in self?.writeEnded() }) { close() }
        case .returning: returned.append(bytes)
        }
    }

    private func writeBegins() {
        if writesPending == 0 { writeProgress = .now() }
        writesPending += 1
    }

    private func writeEnded() {
        writesPending -= 1
        writeProgress = .now()
        guard writesPending == 0 else { return }
        let waiters = flushWaiters + overWaiters
        flushWaiters = []
        overWaiters = []
        for waiter in waiters { waiter() }
        runFree()
    }

    private func runFree() {
        guard case .channel = egress, writesPending == 0, !freeWaiters.isEmpty else { return }
        let waiters = freeWaiters
        freeWaiters = []
        for waiter in waiters { waiter() }
    }

    /// Runs `body` when all was written and NIO writes; never if the connection closes before.
    func whenFree(_ body: @escaping () -> Void) {
        freeWaiters.append(body)
        runFree()
    }

    /// Runs `body` when nothing waits in NIO any more; never if the connection closes before.
    func whenFlushed(_ body: @escaping () -> Void) {
        if writesPending == 0 { body() } else { flushWaiters.append(body) }
    }

    /// The same, or when the connection closes before.
    func whenOver(_ body: @escaping () -> Void) {
        if writesPending == 0 || isClosed { body() } else { overWaiters.append(body) }
    }

    /// The connection's descriptor once more, for the engine. Throws when there is none to be had.
    func duplicateDescriptor() throws -> CInt { try channel.duplicateDescriptor(of: words) }

    /// From here on everything is written by the engine, which is given it by `send`; what is given calls back when it left.
    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool) { egress = .engine(send) }

    /// The engine has been told to let go: what is written waits for ``writesReturned()``.
    func writesReturn() {
        guard case .engine = egress else { return }
        egress = .returning
        // Whoever waits for what was written waits for that, too.
        writeBegins()
    }

    /// The engine let go.
    func writesReturned() {
        switch egress {
        case .channel: return
        case .engine: egress = .channel
        case .returning:
            egress = .channel
            let waiting = returned
            returned = []
            for bytes in waiting { enqueue(bytes) }
            writeEnded()
        }
        runFree()
        pump()
    }

    // MARK: The end

    /// Whether the connection must go: requests that drip, silence, answers that are not taken.
    func sweep(now: NIODeadline) {
        let settings = server.settings
        if let drainDeadline {
            if now >= drainDeadline { close() }
            return
        }
        if let unfinishedSince, current == nil, canWrite, !isDraining, now - unfinishedSince > .fractional(seconds: settings.requestSeconds)
        {
            server.count(.requestTimeout)
            return close()
        }
        let stall: TimeAmount = carriesMedia ? .seconds(Self.pauseSecondsMax) : .fractional(seconds: settings.answerStallSeconds)
        if writesPending > 0, now - writeProgress > stall {
            server.count(.answerStall)
            return close()
        }
        if !carriesMedia, !isDraining, current == nil, now - lastRequest > .fractional(seconds: settings.idleSeconds) {
            server.count(.requestTimeout)
            close()
        }
    }

    /// Closes after what was written has left; see ``RTSPConnection/drain()``.
    func drain() {
        guard !isClosed, !isDraining else { return }
        isDraining = true
        queue = []
        updateReading()
        // However long that takes: a slow player gets the end, too (``sweep(now:)`` knows who takes nothing).
        whenFlushed { [weak self] in
            guard let self else { return }
            drainDeadline = .now() + Self.drainTime
            channel.close(mode: .output, promise: nil)
        }
    }

    func close() {
        guard !isClosed else { return }
        channel.close(promise: nil)
        closed()
    }

    func closed() {
        guard !isClosed else { return }
        isClosed = true
        current = nil
        queue = []
        flushWaiters = []
        freeWaiters = []
        returned = []
        onWritable = nil
        let onAbandoned = onAbandoned
        self.onAbandoned = nil
        onAbandoned?()
        server.forget(self)
        let waiters = overWaiters
        overWaiters = []
        for waiter in waiters { waiter() }
    }
}
