import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import WireFormats

/// What a server of stored media said beside its description, by which a recording of it is judged.
struct OriginWords: Equatable, Sendable {
    var etag: String?
    var lastModified: String?
    var cacheControl: String?
    /// It asked for a name and a password.
    var wasChallenged = false

    init() {}

    init(_ headers: RTSPHeaders) {
        func text(_ name: String) -> String? { headers[name].map { String($0.prefix(Self.charactersMax)) } }
        etag = text("ETag")
        lastModified = text("Last-Modified")
        let directives = headers.values(named: "Cache-Control").joined(separator: ", ")
        cacheControl = directives.isEmpty ? nil : String(directives.prefix(Self.charactersMax))
    }

    private static let charactersMax = 1_024

    /// By what versions of what it describes are told apart.
    func tag(of description: SessionDescription) -> String {
        RecordingTag.tag(of: description, etag: etag, lastModified: lastModified)
    }
}

/// One connection to an RTSP server that has stored media: asks what there is, and takes it over TCP from one place on, packet by
/// packet, as fast as it comes. Where the server sends it elsewhere before it has described itself, it asks there. Belongs to the event
/// loop. Speaks no more after ``close()`` or ``onEnded``.
final class RecordingPull {
    /// How it ended.
    enum End {
        /// There is no connection, or no answer.
        case unreachable(String)
        /// The server answered so.
        case refused(RTSPStatus, String)
        case redirected(SourceURL)
        /// What the server describes is Windows Media.
        case windowsMedia
        /// Where ``RecordingPull/mayBeOver`` said so: nothing comes any more, and the server is there and answers.
        case over
        case failed(String)

        var words: String {
            switch self {
            case .unreachable(let words), .refused(_, let words), .failed(let words): words
            case .redirected(let url): "the server redirects to \(url)"
            case .windowsMedia: "the server has Windows Media"
            case .over: "the server sends nothing more"
            }
        }
    }

    /// What the server said when it began to send.
    struct Beginning {
        /// Where, in microseconds of the media.
        var microseconds: Int64
        /// By track; nil where `RTP-Info` does not name it.
        var tracks: [RTPInfo?]
    }

    /// The server described itself.
    var onDescribed: ((SessionDescription, OriginWords) -> Void)?
    var onPlays: ((Beginning) -> Void)?
    /// A packet of a track, or RTCP of it.
    var onFrame: ((_ track: Int, _ isReport: Bool, _ bytes: [UInt8]) -> Void)?
    /// What was read at once was given on.
    var onRead: (() -> Void)?
    var onEnded: ((End) -> Void)?
    /// Whether a server that falls silent may just have no more.
    var mayBeOver: (() -> Bool)?

    /// What is asked; where the server sent it to, once it did.
    private(set) var url: SourceURL
    private let start: Int64
    private let via: String?
    private let headers: [(name: String, value: String)]
    private let permits: (String) -> Bool
    private let eventLoop: any EventLoop
    private let dialler: SourceDialler
    private var client: RTSPClient
    private var channel: (any Channel)?
    private var handler: Handler?
    /// One of the servers before this one asked for a name and a password.
    private var wasChallengedBefore = false
    private var redirections = 0
    /// A silent server is asked whether it is there: how many such questions it had answered before.
    private var probe: Int?
    private let deadline: LoopTimer
    private let silence: LoopTimer
    private let silenceMilliseconds: Int
    private var lastFrame = NIODeadline.now()
    private var isPlaying = false
    private var isOver = false
    private var isHeld = false
    private var isReporting = false
    private var places: [Int] = []
    private var channels: [UInt8: (track: Int, isReport: Bool)] = [:]

    /// How long a server may take to describe itself: then it counts as unreachable.
    static let answerMilliseconds = 3_000

    /// A connection that is not dialled yet; media would begin at `start`. `permits` says of a host whether it may be dialled.
    init(
        url: SourceURL, from start: Int64 = 0, silence silenceMilliseconds: Int, via: String?, headers: [(name: String, value: String)],
        permits: @escaping (String) -> Bool, dialler: SourceDialler, eventLoop: any EventLoop
    ) {
        self.url = url
        self.start = max(start, 0)
        self.via = via
        self.headers = headers
        self.permits = permits
        self.eventLoop = eventLoop
        self.dialler = dialler
        self.silenceMilliseconds = silenceMilliseconds
        client = Self.client(url, from: self.start, redirections: 0, via, headers)
        deadline = LoopTimer(eventLoop)
        silence = LoopTimer(eventLoop)
    }

    private static func client(
        _ url: SourceURL, from start: Int64, redirections: Int, _ via: String?, _ headers: [(name: String, value: String)]
    ) -> RTSPClient {
        var settings = RTSPClient.Settings(url: url) { String(UInt64.random(in: .min ... .max), radix: 16) }
        settings.redirections = redirections
        settings.via = via
        settings.start = .microseconds(start)
        settings.takesFrames = true
        for (name, value) in headers {
            if name.lowercased() == "user-agent" { settings.userAgent = value } else { settings.headers.append((name, value)) }
        }
        return RTSPClient(settings: settings)
    }

    /// Connects and asks.
    func dial() {
        silence.start(milliseconds: Self.answerMilliseconds) { [weak self] in
            self?.finish(.unreachable("the server is silent for \(Self.answerMilliseconds / 1_000) s"))
        }
        let made = Handler(self)
        handler = made
        let handler = NIOLoopBound(made, eventLoop: eventLoop)
        dialler.connect(url.host, Int(url.port), eventLoop) { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
        }.assumeIsolated().whenComplete { [weak self] result in
            switch result {
            case .success(let channel):
                guard let self, !isOver else { return channel.close(promise: nil) }
                self.channel = channel
                perform(client.connected(now: now))
            case .failure(let error): self?.finish(.unreachable(PullSession.words(error)))
            }
        }
    }

    /// The server sends to another place. What is asked first is always the source's own URL: where that leads may be another place the next time.
    private func follow(_ target: SourceURL) {
        guard !hasDescribed, permits(target.host) else { return finish(.redirected(target)) }
        handler?.letGo()
        channel?.close(promise: nil)
        channel = nil
        wasChallengedBefore = wasChallenged
        redirections += 1
        url = target
        client = Self.client(target, from: start, redirections: redirections, via, headers)
        dial()
    }

    /// A name and a password were asked for, here or by a server on the way here.
    var wasChallenged: Bool { wasChallengedBefore || client.wasChallenged }

    /// Whether ``play(places:)`` can still be asked of it.
    var isDescribed: Bool { !isOver && !isPlaying && hasDescribed }
    private var hasDescribed = false

    /// Has the media of these places (among those that a relay receives) sent; their order makes the tracks' numbers.
    func play(places: [Int]) {
        self.places = places
        var offers = [TrackOffer?](repeating: nil, count: (places.max() ?? -1) + 1)
        for place in places { offers[place] = .interleaved }
        perform(client.setUp(offers, now: now))
    }

    /// Takes nothing more from the server until ``release()``.
    func hold() {
        guard !isHeld, !isOver else { return }
        isHeld = true
        silence.stop()
        try? channel?.syncOptions?.setOption(.autoRead, value: false)
    }

    func release() {
        guard isHeld, !isOver else { return }
        isHeld = false
        watch()
        try? channel?.syncOptions?.setOption(.autoRead, value: true)
    }

    /// Ends the session.
    func close() {
        guard !isOver else { return }
        let goodbye = client.close(now: now)
        letGo()
        guard let channel else { return }
        for case .send(let bytes) in goodbye { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
        // PAUSE, if it plays; a server ends the session with its connection.
        channel.close(mode: .output, promise: nil)
        eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Self.closeMilliseconds)) { channel.close(promise: nil) }
    }

    private static let closeMilliseconds: Int64 = 500

    private func letGo() {
        isOver = true
        deadline.stop()
        silence.stop()
        onDescribed = nil
        onPlays = nil
        onFrame = nil
        onRead = nil
        mayBeOver = nil
        onEnded = nil
    }

    private func finish(_ end: End) {
        guard !isOver else { return }
        let onEnded = onEnded
        letGo()
        channel?.close(promise: nil)
        onEnded?(end)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds }

    private func watch() {
        guard isPlaying, !isHeld else { return }
        silence.start(milliseconds: silenceMilliseconds) { [weak self] in
            guard let self else { return }
            let quiet = (eventLoop.now - lastFrame).nanoseconds / 1_000_000
            guard quiet >= silenceMilliseconds else { return watch() }
            if mayBeOver?() == true { askWhetherThere() } else { finish(.failed(silenceWords)) }
        }
    }

    private var silenceWords: String { "no media for \(silenceMilliseconds / 1_000) s" }

    /// Nothing comes: whether that is the end, or the server or the way there is dead, shows in an answer.
    private func askWhetherThere() {
        probe = client.keepAlivesAnswered
        silence.start(milliseconds: Self.answerMilliseconds) { [weak self] in
            guard let self else { return }
            finish(.failed("\(silenceWords), and no answer"))
        }
        perform(client.remind(now: now))
    }

    fileprivate func received(_ bytes: ByteBuffer) {
        guard !isOver else { return }
        perform(client.receive(Array(bytes.readableBytesView), now: now))
        guard !isOver else { return }
        if let probe {
            if (eventLoop.now - lastFrame).nanoseconds / 1_000_000 < silenceMilliseconds {
                // Media that came instead shows that it was not over, whether the question is answered or not.
                self.probe = nil
                watch()
            } else if client.keepAlivesAnswered > probe {
                return finish(.over)
            }
        }
        onRead?()
    }

    fileprivate func disconnected() {
        finish(isPlaying ? .failed("the server closed the connection") : .unreachable("the server closed the connection"))
    }

    private func perform(_ actions: [RTSPClient.Action]) {
        for action in actions where !isOver { perform(action) }
        guard !isOver else { return }
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
            guard let channel, channel.isWritable else { return finish(.failed("the server does not read what it is sent")) }
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        case .described(let sdp) where MSRTSPDescription.isMSRTSP(sdp): finish(.windowsMedia)
        case .described(let sdp):
            silence.stop()
            hasDescribed = true
            var words = OriginWords(client.descriptionHeaders)
            words.wasChallenged = wasChallenged
            onDescribed?(sdp, words)
        case .ready(let place, .interleaved(let rtp, let rtcp)):
            guard let track = places.firstIndex(of: place) else { return }
            channels[rtp] = (track, false)
            if let rtcp { channels[rtcp] = (track, true) }
        case .ready: finish(.failed("the server does not send over TCP"))
        case .playing: playing()
        case .frame(let channel, let bytes):
            guard let place = channels[channel] else { return }
            // Some go on to report when there is nothing more to report of.
            if !place.isReport || mayBeOver?() != true { lastFrame = eventLoop.now }
            onFrame?(place.track, place.isReport, bytes)
        case .paused, .closed, .answered: break
        case .redirected(let target): follow(target)
        case .descriptionChanged: finish(.failed("the server announced another description"))
        case .failed(.refused(let method, let status)):
            finish(.refused(status, RTSPClientFailure.refused(method, status).description))
        case .failed(.unauthorized) where client.isWindowsMediaGuarded: finish(.windowsMedia)
        case .failed(.unauthorized(let words)): finish(.refused(.unauthorized, words))
        case .failed(.noAnswer(let method, let seconds)):
            finish(.unreachable(RTSPClientFailure.noAnswer(method, seconds: seconds).description))
        case .failed(let failure): finish(.failed(failure.description))
        }
    }

    private func playing() {
        isPlaying = true
        lastFrame = eventLoop.now
        watch()
        let headers = client.playHeaders
        var beginning = Beginning(microseconds: 0, tracks: [])
        if let text = headers["Range"], case .npt(.microseconds(let start)?, _)? = try? RangeHeader.parse(text) {
            beginning.microseconds = start
        } else if case .microseconds(let start) = client.startAsked {
            beginning.microseconds = start
        }
        let infos = RTPInfoHeader.parse(headers.values(named: "RTP-Info").joined(separator: ","))
        beginning.tracks = places.enumerated().map { number, place in
            let url = client.controlURL(ofMedia: place) ?? ""
            let named = infos.first { $0.url == url } ?? infos.first { Self.lastPart($0.url) == Self.lastPart(url) }
            // In the order of the SETUPs, where the URLs are not ours.
            return named ?? (infos.count == places.count ? infos[number] : nil)
        }
        onPlays?(beginning)
    }

    private static func lastPart(_ url: String) -> Substring { url.split(separator: "/").last ?? "" }

    /// Hands on what the channel says; keeps nothing alive.
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private weak var pull: RecordingPull?

        init(_ pull: RecordingPull) { self.pull = pull }

        /// What the channel says from now on is nobody's concern.
        func letGo() { pull = nil }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { pull?.received(unwrapInboundIn(data)) }

        func channelInactive(context: ChannelHandlerContext) { pull?.disconnected() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
