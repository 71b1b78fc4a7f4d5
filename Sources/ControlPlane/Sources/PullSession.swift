import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import WireFormats

/// Hears what becomes of a connection to a source.
protocol PullSessionOwner: AnyObject {
    /// Answers with the stream to feed; throws what the user should know.
    func sessionDescribed(_ sdp: SessionDescription) throws -> StreamDescription
    /// Media is about to be attached, or to flow again.
    func sessionMediaBegins()
    /// PLAY was accepted.
    func sessionPlays()
    /// The first packet arrived.
    func sessionActive()
    /// The kernel dropped so many of the source's datagrams.
    func sessionDropped(_ datagrams: UInt64)
    /// The session is over; everything it held is being let go.
    func sessionEnded(_ end: PullSession.End)
}

/// One connection to an RTSP server: performs what the client machine says, and carries media to the engine.
final class PullSession {
    /// How it ended.
    enum End {
        /// As it was asked to.
        case closed
        /// The source lives elsewhere.
        case redirected(SourceURL)
        /// UDP was agreed on and nothing arrived.
        case noDatagrams
        case transportRefused(String)
        /// What the server describes is Windows Media.
        case windowsMedia
        /// The server answered so, and in these words.
        case refused(RTSPStatus, String)
        case failed(String)
    }

    /// How its media is asked for.
    enum Carriage: Equatable {
        case udp, tcp
        /// TCP in a tunnel through HTTP.
        case http
        /// At this interface; nil: where the server is.
        case multicast(interface: String?)

        var words: String {
            switch self {
            case .udp: "udp"
            case .tcp: "tcp"
            case .http: "http"
            case .multicast: "multicast"
            }
        }
    }

    private let url: SourceURL
    private let carriage: Carriage
    private let port: EnginePort
    private let mediaPorts: MediaPorts
    private let logger: Logger
    private weak var owner: (any PullSessionOwner)?
    private let dialler: SourceDialler
    private var client: RTSPClient
    private var channel: (any Channel)?
    private var level = SourceLevel.idle
    private var state = State.dialling
    private var description: StreamDescription?
    private var media: PullMedia?
    private var tunnel: PullTunnel?
    private let watch: MediaWatch
    private let deadline: LoopTimer
    private let closing: LoopTimer
    private var eventLoop: any EventLoop { port.eventLoop }

    /// Who waits for the source's answer to what a reader asked.
    private var passed: [Int: (ParameterOutcome) -> Void] = [:]
    private var passedNumber = 0

    private enum State { case dialling, describing, described, settingUp, playing, pausing, paused, closing, ended }

    /// How long the answer to TEARDOWN is waited for.
    private static let closeMilliseconds = 1_500

    /// A session that is not dialled yet. `datagramWait`: after so many milliseconds without a datagram it ends
    /// (``End/noDatagrams``); nil: never for that.
    init(
        url: SourceURL, redirections: Int, carriage: Carriage, datagramWait: Int?, silence: Int, trackSilence: Int?, port: EnginePort,
        mediaPorts: MediaPorts,
        multiplexes: Bool = true, owner: any PullSessionOwner, dialler: SourceDialler = .tcp, via: String? = nil,
        headers: [(name: String, value: String)] = [], logger: Logger
    ) {
        self.url = url
        self.dialler = dialler
        self.carriage = carriage
        self.port = port
        self.mediaPorts = mediaPorts
        self.owner = owner
        self.logger = logger
        var settings = RTSPClient.Settings(url: url) { String(UInt64.random(in: .min ... .max), radix: 16) }
        settings.redirections = redirections
        settings.via = via
        for (name, value) in headers {
            if name.lowercased() == "user-agent" { settings.userAgent = value } else { settings.headers.append((name, value)) }
        }
        settings.multiplexes = multiplexes
        client = RTSPClient(settings: settings)
        watch = MediaWatch(
            port, silenceMilliseconds: silence, firstMilliseconds: carriage == .tcp ? nil : datagramWait,
            trackSilenceMilliseconds: trackSilence)
        deadline = LoopTimer(port.eventLoop)
        closing = LoopTimer(port.eventLoop)
    }

    /// What the session is doing, in a few words.
    var words: String {
        switch state {
        case .dialling: dialler.words
        case .describing: "waiting for its description"
        case .described: "described"
        case .settingUp: "being set up"
        case .playing: "playing"
        case .pausing, .paused: "paused"
        case .closing, .ended: "being closed"
        }
    }

    /// Whether the server has answered, and the session goes on.
    var isEstablished: Bool {
        switch state {
        case .described, .settingUp, .playing, .pausing, .paused: true
        case .dialling, .describing, .closing, .ended: false
        }
    }

    /// Whether PLAY was accepted, and media is still wanted.
    var isPlaying: Bool { state == .playing }

    /// Asks what a reader asked.
    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        guard passed.count < ParameterPassing.waitingMax else { return done(.busy) }
        passedNumber &+= 1
        passed[passedNumber] = done
        perform(client.pass(passedNumber, request, now: now))
    }

    // MARK: What the owner wants

    /// Connects.
    func dial() {
        let loop = eventLoop
        let handler = NIOLoopBound(PullChannelHandler(self), eventLoop: loop)
        let connected = dialler.connect(url.host, Int(url.port), loop) { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
        }
        connected.assumeIsolated().whenComplete { [weak self] result in
            switch result {
            case .success(let channel): self?.connected(channel) ?? channel.close(promise: nil)
            case .failure(let error): self?.finish(.failed(Self.words(error)))
            }
        }
    }

    /// Media is wanted so far.
    func want(_ level: SourceLevel) {
        self.level = level
        pursue()
    }

    /// PAUSE, TEARDOWN, and the end.
    func close() {
        guard state != .closing, state != .ended else { return }
        guard channel != nil, tunnel?.isOpen ?? true else { return finish(.closed) }
        state = .closing
        watch.stop()
        closing.start(milliseconds: Self.closeMilliseconds) { [weak self] in self?.finish(.closed) }
        perform(client.close(now: now))
    }

    private func pursue() {
        switch state {
        case .described where level == .playing: setUp()
        case .playing where level < .playing:
            state = .pausing
            watch.stop()
            perform(client.pause(now: now))
        case .paused where level == .playing:
            state = .settingUp
            owner?.sessionMediaBegins()
            perform(client.resume(now: now))
        case .dialling, .describing, .described, .settingUp, .playing, .pausing, .paused, .closing, .ended: break
        }
    }

    private func setUp() {
        guard let channel, let description, let local = channel.localAddress, let remote = channel.remoteAddress else { return }
        state = .settingUp
        let media = PullMedia(description: description, port: port, remote: remote, channel: channel) { [weak self] in
            _ = self?.write($0)
        }
        self.media = media
        do {
            let offers = try (0..<description.map.count).map { place -> TrackOffer? in
                guard description.map[place] != nil else { return nil }
                switch carriage {
                case .tcp, .http: return .interleaved
                case .multicast: return .multicast
                case .udp: break
                }
                let pair = try mediaPorts.open(at: local, for: .source)
                media.offer(pair, track: place)
                return .datagrams(PortPair(rtp: pair.rtpPort, rtcp: pair.rtcpPort))
            }
            perform(client.setUp(offers, now: now))
        } catch {
            finish(.failed("\(error)"))
        }
    }

    // MARK: What the connection and the machine say

    fileprivate func connected(_ channel: any Channel) {
        guard state == .dialling else { return channel.close(promise: nil) }
        self.channel = channel
        guard carriage == .http else { return begin() }
        guard let remote = channel.remoteAddress else { return finish(.failed("the server closed the connection")) }
        let tunnel = PullTunnel(host: url.host, port: url.port, remote: remote, eventLoop: eventLoop) { [weak self] words in
            self?.finish(.failed(words))
        }
        self.tunnel = tunnel
        channel.writeAndFlush(ByteBuffer(string: tunnel.greeting), promise: nil)
        deadline.start(milliseconds: Int(SourceDialler.connectSeconds) * 1_000) { [weak self] in
            self?.finish(.failed("no answer to the tunnel's GET within \(SourceDialler.connectSeconds) s"))
        }
    }

    private func begin() {
        state = .describing
        perform(client.connected(now: now))
    }

    /// Whether the server takes what it is sent.
    private func write(_ bytes: [UInt8]) -> Bool {
        if let tunnel { return tunnel.send(bytes) }
        guard let channel, channel.isWritable else { return false }
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        return true
    }

    fileprivate func received(_ bytes: ByteBuffer) {
        // What NIO still reads at the connection's end is the engine's, which reads the same connection.
        guard !(media?.isHandedOver ?? false) else { return }
        var bytes = Array(bytes.readableBytesView)
        if let tunnel, !tunnel.isOpen {
            do throws(PullTunnel.Refusal) {
                guard let rest = try tunnel.received(bytes) else { return }
                bytes = rest
            } catch { return finish(.failed(error.description)) }
            begin()
            guard !bytes.isEmpty else { return }
        }
        perform(client.receive(bytes, now: now))
    }

    fileprivate func disconnected() { finish(state == .closing ? .closed : .failed("the server closed the connection")) }

    private func perform(_ actions: [RTSPClient.Action]) {
        for action in actions where state != .ended { perform(action) }
        guard state != .ended else { return }
        if let next = client.deadline {
            deadline.start(at: .uptimeNanoseconds(next)) { [weak self] in
                guard let self else { return }
                perform(client.timeElapsed(now: now))
            }
        } else {
            deadline.stop()
        }
    }

    private func perform(_ action: RTSPClient.Action) {
        switch action {
        case .send(let bytes):
            // A server that asks and asks and never reads the answers would fill our memory.
            guard write(bytes) else { return finish(.failed("the server does not read what it is sent")) }
        case .described(let sdp) where MSRTSPDescription.isMSRTSP(sdp): finish(.windowsMedia)
        case .described(let sdp):
            do {
                description = try owner?.sessionDescribed(sdp)
                if state == .describing { state = .described }
                pursue()
            } catch {
                finish(.failed("\(error)"))
            }
        case .ready(let track, .multicast(let address)):
            do { try join(address, track) } catch { finish(.failed("\(error)")) }
        case .ready(let track, let transport): media?.ready(track: track, transport)
        case .playing: playing()
        case .frame: break
        case .paused:
            state = .paused
            pursue()
        case .answered(let number, let response): passed.removeValue(forKey: number)?(response.map { .answered($0) } ?? .noAnswer)
        case .closed: finish(.closed)
        case .redirected(let target): finish(.redirected(target))
        case .descriptionChanged: finish(.failed("the server announced another description"))
        case .failed(.transportRefused(let status)):
            finish(.transportRefused("the server refuses \(carriage.words.uppercased()) (\(status))"))
        case .failed(.refused(let method, let status)):
            finish(.refused(status, RTSPClientFailure.refused(method, status).description))
        case .failed(.unauthorized) where client.isWindowsMediaGuarded: finish(.windowsMedia)
        case .failed(let failure): finish(.failed(failure.description))
        }
    }

    /// Joins what the server sends a track to, before it plays: the first picture must not be missed.
    private func join(_ address: GroupAddress, _ track: Int) throws {
        guard case .multicast(let name) = carriage, let channel, let remote = channel.remoteAddress else { return }
        let interface = try GroupReception.interface(named: name, local: channel.localAddress)
        let plan = try GroupReception.plan(address, server: remote)
        let pair = try plan.open(interface: interface, buffers: mediaPorts.buffers)
        logger.info("listening", metadata: ["at": "\(plan.words)"])
        media?.joined(pair, track: track, plan)
    }

    private func playing() {
        guard let media, let description else { return }
        state = .playing
        if !media.isAttached {
            owner?.sessionMediaBegins()
            media.onActive = { [weak self] in
                self?.watch.firstPacketArrived()
                self?.owner?.sessionActive()
            }
            media.onText = { [weak self] bytes in self?.textArrived(bytes) ?? bytes.count }
            media.onEnded = { [weak self] in self?.disconnected() }
            do { try media.attach(prefix: client.takeMedia()) } catch { return finish(.failed("\(error)")) }
        }
        watch.start(description) { [weak self] event in
            switch event {
            case .noFirstPacket: self?.finish(.noDatagrams)
            case .silent(let seconds): self?.finish(.failed("no media for \(seconds) s"))
            case .trackSilent(let track, let codec, let seconds):
                self?.finish(.failed("no packet of track \(track) (\(codec)) for \(seconds) s, while others go on"))
            case .reportIsDue: self?.media?.sendReports()
            case .dropsAreDue: if let drops = self?.media?.takeDrops(), drops > 0 { self?.owner?.sessionDropped(drops) }
            }
        }
        owner?.sessionPlays()
        pursue()
    }

    /// Text between interleaved frames; answers with how much of it was whole.
    private func textArrived(_ bytes: [UInt8]) -> Int {
        let (consumed, actions) = client.receiveText(bytes, now: now)
        // The machine's answer first, its consequences afterwards: they may end the source that waits for the answer.
        eventLoop.assumeIsolated().execute { [weak self] in self?.perform(actions) }
        return consumed
    }

    /// Lets go of everything and tells the owner, once.
    func finish(_ end: End) {
        guard state != .ended else { return }
        state = .ended
        let waiting = passed.values
        passed = [:]
        for done in waiting { done(.unavailable("the source's connection ended")) }
        deadline.stop()
        closing.stop()
        watch.stop()
        media?.detach()
        channel?.close(promise: nil)
        tunnel?.close()
        owner?.sessionEnded(end)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds }

    static func words(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return words(first.error) }
            return "the host name `\(error.host)` is not known"
        case ChannelError.connectTimeout: return "no connection within \(SourceDialler.connectSeconds) s"
        case let error as IOError: return unsafe "no connection: \(String(cString: strerror(error.errnoCode)))"
        default: return "no connection: \(error)"
        }
    }
}

/// Hands what the channel says to the session, which it does not keep alive.
private final class PullChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private weak var session: PullSession?

    init(_ session: PullSession) { self.session = session }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { session?.received(unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) { session?.disconnected() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
