import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import WireFormats

/// Keeps one of our paths registered at a proxy: asks for it, lends the proxy the connection, asks again when that ends. Belongs to the
/// event loop.
final class Registration {
    private enum State {
        case idle
        case dialling(Conversation)
        case registered(since: NIODeadline)
        case waiting(String, until: NIODeadline)
        case ended
    }

    let path: String
    private let target: RegisterTarget
    private weak var server: RTSPServer?
    private let eventLoop: any EventLoop
    private let logger: Logger
    private var state = State.idle
    private var backoff = Backoff()
    private let timer: LoopTimer
    /// The proxy took us once: the name is ours.
    private var isOurs = false
    /// The URL that the proxy knows.
    private var url = ""
    private var current: Conversation?
    private var farewell: Conversation?

    /// Without a connection of ours nothing shows that the proxy was restarted: it is asked again so often.
    static let refreshMilliseconds = 30_000
    /// A connection that the proxy used for so long was no failure.
    private static let soundSeconds: Int64 = 10
    /// How long a proxy may take to let go of a path at the end.
    private static let farewellMilliseconds = 1_500

    init(path: String, target: RegisterTarget, server: RTSPServer, eventLoop: any EventLoop, logger: Logger) {
        self.path = path
        self.target = target
        self.server = server
        self.eventLoop = eventLoop
        var logger = logger
        logger[metadataKey: "path"] = "\(path)"
        logger[metadataKey: "proxy"] = "\(target)"
        self.logger = logger
        timer = LoopTimer(eventLoop)
    }

    /// What it is doing, in a few words, for status.
    var words: String {
        let now = NIODeadline.now()
        func seconds(_ amount: TimeAmount) -> Int64 { max(amount.nanoseconds / 1_000_000_000, 0) }
        let place = "at \(target) as \(target.name(of: path))"
        switch state {
        case .idle: return "\(place): not registered"
        case .dialling: return "\(place): registering"
        case .registered(let since):
            return "\(place): registered for \(seconds(now - since)) s\(target.reusesConnection ? ", over our connection" : "")"
        case .waiting(let words, let until): return "\(place): \(words); again in \(seconds(until - now)) s"
        case .ended: return "\(place): ended"
        }
    }

    /// Begins.
    func start() {
        guard case .idle = state else { return }
        dial(.register)
    }

    /// Tells the proxy that the path is not there any more, if it knows of it, and calls `done`, in a second or two at most.
    func stop(_ done: @escaping () -> Void) {
        timer.stop()
        if case .dialling(let conversation) = state { conversation.close() }
        state = .ended
        guard isOurs else { return done() }
        var isDone = false
        let finish = { [self] in
            guard !isDone else { return }
            isDone = true
            timer.stop()
            farewell?.close()
            done()
        }
        timer.start(milliseconds: Self.farewellMilliseconds, finish)
        let conversation = Conversation(.deregister, client: { [self] _ in client }, eventLoop: eventLoop) { [logger] outcome in
            if case .deregistered = outcome { logger.notice("deregistered") }
            finish()
        }
        farewell = conversation
        conversation.dial(target.proxy)
    }

    private func dial(_ purpose: Conversation.Purpose) {
        let conversation = Conversation(purpose, client: { [weak self] in self?.client(for: $0) }, eventLoop: eventLoop) { [weak self] in
            self?.ended($0)
        }
        if case .registered = state {} else { state = .dialling(conversation) }
        current = conversation
        conversation.dial(target.proxy)
    }

    /// The proxy is told the address that it sees us by, unless something between us changes it.
    private func client(for channel: any Channel) -> RegisterClient? {
        let listener = server?.localAddress?.port ?? 0
        if let host = channel.localAddress.flatMap(HostAddress.init) {
            url = "rtsp://\(host.ipv4 == nil ? "[\(host.text)]" : host.text):\(listener)/\(path)"
        }
        return client
    }

    private var client: RegisterClient {
        var settings = RegisterClient.Settings(
            url: url,
            header: RegisterHeader(
                reusesConnection: target.reusesConnection, delivery: target.delivery, suffix: target.name(of: path)),
            credentials: target.proxy.credentials
        ) { String(UInt64.random(in: .min ... .max), radix: 16) }
        // To be told that the name is taken is what a proxy that was not restarted says to a second wish.
        settings.isOurs = isOurs && target.reusesConnection
        return RegisterClient(settings: settings)
    }

    private func ended(_ outcome: Conversation.Outcome) {
        if case .ended = state { return }
        switch outcome {
        case .registered(let channel, let rest): registered(channel, rest)
        case .deregistered: break
        // The proxy was there all the time.
        case .refused(.parameterNotUnderstood, _) where isOurs && !target.reusesConnection: refreshLater()
        case .refused(_, let words), .failed(let words): failed(words)
        }
    }

    private func registered(_ channel: (any Channel)?, _ rest: [UInt8]) {
        if case .registered = state {
        } else {
            logger.notice("registered", metadata: ["name": "\(target.name(of: path))", "url": "\(url)"])
            state = .registered(since: .now())
        }
        isOurs = true
        guard target.reusesConnection, let channel else {
            channel?.close(promise: nil)
            backoff.succeeded()
            return refreshLater()
        }
        let since = NIODeadline.now()
        channel.closeFuture.assumeIsolated().whenComplete { [weak self] _ in
            guard let self else { return }
            if NIODeadline.now() - since > .seconds(Self.soundSeconds) { backoff.succeeded() }
            failed("the proxy closed the connection")
        }
        guard let server else { return channel.close(promise: nil) }
        do { try server.adopt(channel, prefix: rest) } catch { channel.close(promise: nil) }
    }

    private func refreshLater() { timer.start(milliseconds: Self.refreshMilliseconds) { [weak self] in self?.dial(.register) } }

    private func failed(_ words: String) {
        if case .ended = state { return }
        let delay = backoff.failed(at: eventLoop.now.uptimeNanoseconds, awaitedSince: nil, chance: Double.random(in: 0..<1))
        let until = NIODeadline.now() + .nanoseconds(Int64(clamping: delay))
        state = .waiting(words, until: until)
        logger.warning("not registered", metadata: ["trouble": "\(words)", "again-in-ms": "\(delay / 1_000_000)"])
        timer.start(at: until) { [weak self] in self?.dial(.register) }
    }
}

/// One connection to a proxy, until it has answered.
final class Conversation {
    enum Purpose { case register, deregister }

    enum Outcome {
        /// With the connection, which has no handler and is not read, and what came over it already.
        case registered((any Channel)?, [UInt8])
        case deregistered
        case refused(RTSPStatus, String)
        case failed(String)
    }

    private let purpose: Purpose
    private let makeClient: (any Channel) -> RegisterClient?
    private let eventLoop: any EventLoop
    private var done: ((Outcome) -> Void)?
    private var client: RegisterClient?
    private var channel: (any Channel)?
    private let timer: LoopTimer

    private static let handlerName = "register"

    init(
        _ purpose: Purpose, client: @escaping (any Channel) -> RegisterClient?, eventLoop: any EventLoop,
        done: @escaping (Outcome) -> Void
    ) {
        self.purpose = purpose
        makeClient = client
        self.eventLoop = eventLoop
        self.done = done
        timer = LoopTimer(eventLoop)
    }

    func dial(_ proxy: SourceURL) {
        let handler = NIOLoopBound(Handler(self), eventLoop: eventLoop)
        let name = Self.handlerName
        SourceDialler.tcp.connect(proxy.host, Int(proxy.port), eventLoop) { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value, name: name) }
        }.assumeIsolated().whenComplete { [weak self] result in
            switch result {
            case .success(let channel): self?.connected(channel) ?? channel.close(promise: nil)
            case .failure(let error): self?.finish(.failed(PullSession.words(error)))
            }
        }
    }

    /// Forgets it all, without a word.
    func close() {
        done = nil
        timer.stop()
        channel?.close(promise: nil)
    }

    private func connected(_ channel: any Channel) {
        guard done != nil, var client = makeClient(channel) else { return channel.close(promise: nil) }
        self.channel = channel
        let actions = purpose == .register ? client.register(now: now) : client.deregister(now: now)
        self.client = client
        perform(actions)
    }

    fileprivate func received(_ bytes: ByteBuffer) {
        guard let actions = client?.receive(Array(bytes.readableBytesView), now: now) else { return }
        perform(actions)
    }

    fileprivate func disconnected() { finish(.failed("the proxy closed the connection")) }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds }

    private func perform(_ actions: [RegisterClient.Action]) {
        for action in actions where done != nil {
            switch action {
            case .send(let bytes): channel?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            case .registered: leave()
            case .deregistered: finish(.deregistered)
            case .refused(let status, let words): finish(.refused(status, words))
            case .failed(let words): finish(.failed(words))
            }
        }
        guard done != nil, let deadline = client?.deadline else { return timer.stop() }
        timer.start(at: .uptimeNanoseconds(deadline)) { [weak self] in
            guard let self, let actions = client?.timeElapsed(now: now) else { return }
            perform(actions)
        }
    }

    /// Gives the connection to whoever answers on it from now on.
    private func leave() {
        guard let channel, let done else { return }
        self.done = nil
        self.channel = nil
        let rest = client?.takeRemainder() ?? []
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        channel.pipeline.syncOperations.removeHandler(name: Self.handlerName).assumeIsolated().whenComplete { result in
            if case .success = result { done(.registered(channel, rest)) } else { done(.failed("the proxy closed the connection")) }
        }
    }

    private func finish(_ outcome: Outcome) {
        guard let done else { return }
        self.done = nil
        timer.stop()
        channel?.close(promise: nil)
        done(outcome)
    }

    /// Hands what the channel says to the conversation, which it does not keep alive.
    private final class Handler: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = ByteBuffer
        private weak var conversation: Conversation?

        init(_ conversation: Conversation) { self.conversation = conversation }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { conversation?.received(unwrapInboundIn(data)) }

        func channelInactive(context: ChannelHandlerContext) { conversation?.disconnected() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
