import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Live Windows Media that is pulled from a server or an encoder, by RTSP or HTTP: dials, hands packets to the path's broadcast, dials again.
/// Players stay while the source is away; when it is back its time goes on where it was. What plays on demand is taken as if it were live.
final class WindowsMediaPull: PathSource, WindowsMediaLive {
    private let settings: PathSettings
    private let port: EnginePort
    private let mediaPorts: MediaPorts
    private let logger: Logger
    private weak var host: (any PathSourceHost)?
    private let dialler: SourceDialler
    private let route: WindowsMediaRoute
    /// The way that is being tried, or that worked last.
    private var place = 0
    /// Ways that failed since the last wait, or since media came.
    private var waysFailed = 0
    private var hasBegun = false
    private var isPlain = false
    /// Players that are let go of when it is stopped hear this.
    var partingWords = stopWords
    static let stopWords = "Weir stops"
    /// The way that brought media last.
    private var placeThatWorked: Int?
    /// Where the source redirected to, for one attempt: what comes after a failure is the URL that was configured.
    private var detour: Detour?
    private var resumption: WindowsMediaPullSession.Resumption?
    private var session: (any WindowsMediaPullLink)?
    private let pursuit = LevelPursuit()
    private let redial: Redial
    private var lastWords = "not dialled"
    /// What puts the pieces in which the source's media comes, and the entries of its playlist, behind one header and on one time line.
    private var splice: PlaylistSplice?
    /// What makes the source's stream numbers those that players know.
    private var renumbering: ASFRetiming?
    /// Entries of the source's playlist so far: what players are told as theirs.
    private var entries: UInt32 = 0
    /// Until a server that had agreed to it does not do as it should.
    private var offersPipelining = true

    /// The last session that failed had an answer.
    private(set) var wasAnswered = false
    /// Whether what the server says that it has is pulled; nil: whatever it is.
    var accepts: ((OriginFacts) -> Bool)?
    /// The server was asked what it has just before the first session.
    var wasAsked = false
    private(set) var broadcast: WindowsMediaBroadcast?
    /// What is to be told of plays of what it brings; nil: nothing.
    var proxied: ProxiedContent?
    let waiting = BroadcastWaiting()

    private enum Detour {
        case http(WMSPSourceURL, trail: [WMSPSourceURL])
        case rtsp(SourceURL, trail: [SourceURL])
    }

    /// A source that is not dialled yet.
    init(
        route: WindowsMediaRoute, settings: PathSettings, port: EnginePort, mediaPorts: MediaPorts, host: any PathSourceHost,
        dialler: SourceDialler = .tcp, logger: Logger
    ) {
        self.route = route
        self.settings = settings
        self.port = port
        self.mediaPorts = mediaPorts
        self.host = host
        self.dialler = dialler
        self.logger = logger
        redial = Redial(port.eventLoop, host: host, chance: dialler.chance)
        redial.onDue = { [weak self] in
            guard let self, pursuit.level > .idle, session == nil, !turnsPlain() else { return }
            dial()
        }
    }

    /// The last answer was of RTP: hands the path over to a source of such, where that can be.
    private func turnsPlain() -> Bool {
        guard isPlain else { return false }
        isPlain = false
        partingWords = "the source has no Windows Media any more"
        if host?.sourceTurnsOut(windowsMedia: false) ?? false { return true }
        partingWords = Self.stopWords
        return false
    }

    var words: String { session?.words ?? lastWords }
    var nextTry: NIODeadline? { session == nil ? redial.next : nil }

    func want(_ level: SourceLevel) {
        pursuit.want(level) { [self] level in
            guard level == .idle else {
                if session != nil { return }
                return redial.isWaiting ? redial.hurry() : turnsPlain() ? () : dial()
            }
            end("nobody is interested")
            lastWords = "not dialled"
            host?.sourceReleased()
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        pursuit.end()
        end(partingWords, done)
        waiting.fail(.notReady(partingWords, retryAfterSeconds: Path.retryAfterSeconds))
    }

    /// What is pulled, without user information.
    var origin: String { route.origin }

    /// What a player did, for the source to hear if it wants to.
    func tell(_ event: RemoteEvent) { session?.send(event) }

    private func end(_ reason: String, _ done: @escaping () -> Void = {}) {
        redial.stop()
        redial.forgetWaiters()
        detour = nil
        resumption = nil
        if let session {
            self.session = nil
            noteDropped(session)
            session.leave(done)
        } else {
            done()
        }
        broadcast?.end(reason)
        broadcast = nil
        splice = nil
        offersPipelining = true
    }

    private func noteDropped(_ session: any WindowsMediaPullLink) {
        guard session.feedbackDropped > 0 else { return }
        logger.warning("logs of players were not told on: too many at once", metadata: ["logs": "\(session.feedbackDropped)"])
    }

    private func dial() {
        redial.dialled()
        hasBegun = false
        let way = route.ways[place]
        let session: any WindowsMediaPullLink =
            switch (detour, way) {
            case (.http(let url, let trail)?, _): httpSession(url, trail)
            case (.rtsp(let url, let trail)?, .rtsp(_, let transport)): rtspSession(url, transport, trail)
            case (.rtsp(let url, let trail)?, .http): rtspSession(url, url.transport ?? .tcp, trail)
            case (nil, .http(let url)): httpSession(url, [])
            case (nil, .rtsp(let url, let transport)): rtspSession(url, transport, [])
            }
        self.session = session
        session.dial()
    }

    private func httpSession(_ url: WMSPSourceURL, _ trail: [WMSPSourceURL]) -> WindowsMediaPullSession {
        var order = WindowsMediaPullSession.Order(url: url, silenceMilliseconds: settings.silenceMilliseconds)
        order.trail = trail
        // As RTSP has it, by the name of the protocol that it goes over.
        order.via = host?.via.map { $0.replacing("RTSP/1.0", with: "HTTP/1.1") }
        order.asker = host?.asker
        order.maxForwards = host?.maxForwards
        order.resumption = broadcast == nil ? nil : resumption
        order.offersPipelining = offersPipelining
        logger.info("dialling", metadata: ["source": "\(order.url)"])
        return WindowsMediaPullSession(order, eventLoop: port.eventLoop, dialler: dialler, owner: self)
    }

    private func rtspSession(
        _ url: SourceURL, _ transport: TransportSpec.LowerTransport, _ trail: [SourceURL]
    ) -> MSRTSPPullSession {
        var order = MSRTSPPullSession.Order(
            url: url, transport: transport, silenceMilliseconds: settings.silenceMilliseconds,
            firstMilliseconds: settings.udpWaitMilliseconds)
        order.trail = trail
        order.via = host?.via
        order.asker = host?.asker
        order.maxForwards = host?.maxForwards
        // Who wants it proxied has asked already.
        order.asksContentInfo = proxied == nil
        order.isReconnecting = broadcast != nil
        order.wasAsked = wasAsked
        wasAsked = false
        order.isTrial = route.rollsOver && placeThatWorked != place
        logger.info("dialling", metadata: ["source": "\(url)", "transport": "\(transport == .udp ? "udp" : "tcp")"])
        return MSRTSPPullSession(
            order, eventLoop: port.eventLoop, mediaPorts: mediaPorts, dialler: dialler, owner: self, logger: logger)
    }
}

extension WindowsMediaPull: WindowsMediaPullSessionOwner {
    func pullDescribes(_ said: OriginFacts) -> Bool { accepts?(said) ?? true }

    func pullBegan(_ header: ASFHeader) throws { try begin(header, entry: nil) }

    func pullEntered(_ header: ASFHeader, _ metadata: WMSPMetadata?) throws {
        entries = entries == .max ? 1 : entries + 1
        let descriptions = metadata?.descriptions ?? [ContentDescription(language: "", [])]
        try begin(header, entry: WindowsMediaBroadcast.Entry(generation: entries, descriptions: descriptions))
    }

    private func begin(_ header: ASFHeader, entry: WindowsMediaBroadcast.Entry?) throws {
        var live = try header.rewritten(ASFRewrite(form: .live))
        began()
        renumbering = nil
        if let broadcast { splice?.ends { broadcast.take(packet: $0) } }
        if let before = broadcast?.header, before.bytes != live.bytes, !live.continues(before), let numbers = live.renumbering(to: before) {
            // The same streams under other numbers: players keep those that they know.
            var change = ASFRetiming()
            for (number, known) in numbers { change.setStream(number, becomes: known) }
            renumbering = change
            live = before
        }
        if let broadcast {
            let goesOn = goesOn(live, entry: entry, broadcast.header)
            if !goesOn { try beginSplice(live, after: entry == nil ? nil : splice) }
            if let entry { broadcast.enters(entry, goesOn ? broadcast.header : live) } else { broadcast.begins(live) }
        } else {
            try beginSplice(live, after: nil)
            let broadcast = WindowsMediaBroadcast(header: live, settings: settings, port: port, logger: logger)
            broadcast.proxied = proxied
            if let entry { broadcast.enters(entry, live) }
            self.broadcast = broadcast
            logger.info("stream begins", metadata: ["streams": "\(live.streams.map(\.codecName).joined(separator: ", "))"])
            waiting.succeed(broadcast)
        }
        host?.sourcePlays()
    }

    /// Whether what comes goes on behind the header that there is: as it is, or, of a playlist's entry, made to.
    private func goesOn(_ live: ASFHeader, entry: WindowsMediaBroadcast.Entry?, _ header: ASFHeader) -> Bool {
        guard var splice, entry != nil || live.bytes == header.bytes || live.continues(header) else { return false }
        do throws(PlaylistSplice.Misfit) { try splice.begins(live, isOwn: live.bytes == header.bytes) } catch {
            logger.notice("another header with this entry: players before version 9 are let go of", metadata: ["why": "\(error)"])
            return false
        }
        self.splice = splice
        return true
    }

    private func beginSplice(_ header: ASFHeader, after before: PlaylistSplice?) throws {
        var fresh = PlaylistSplice(header: header, after: before)
        try fresh.begins(header, isOwn: true)
        splice = fresh
    }

    func pullGoesOn() {
        began()
        logger.info("the source goes on where it broke off")
        host?.sourcePlays()
    }

    private func began() {
        redial.succeeded()
        resumption = nil
        hasBegun = true
        placeThatWorked = place
        waysFailed = 0
    }

    func pulled(_ packet: [UInt8]) {
        if proxied != nil { host?.sourceBrought(packet.count) }
        guard let broadcast, let size = splice?.packetBytes else { return }
        do {
            var whole = try ASFPacket.full(packet, packetBytes: size)
            try renumbering?.apply(to: &whole, packetBytes: size)
            let broken = splice?.broken ?? 0
            splice?.take(whole) { broadcast.take(packet: $0) }
            if splice?.broken != broken { broadcast.countBroken() }
        } catch { broadcast.countBroken() }
    }

    func pullFlushes() { broadcast?.flush() }

    func pullDropped(_ datagrams: UInt64) { host?.sourceDropped(datagrams) }

    func pullEnded(_ end: WindowsMediaPullSession.End) {
        if let session {
            noteDropped(session)
            wasAnswered = session.wasAnswered
            if session.pipeliningFailed, offersPipelining {
                offersPipelining = false
                logger.notice("the source does not do as it agreed to: from now on each request goes over a connection of its own")
            }
            if session.wasRefused { resumption = nil } else if let next = session.resumption { resumption = next }
        }
        session = nil
        broadcast?.flush()
        let wasDetour = detour
        detour = nil
        guard pursuit.level > .idle else { return }
        var isUnsuitable = false
        switch end {
        case .redirected(let target) where settings.permits(target.host):
            detour = .http(target, trail: trail(wasDetour))
            return dial()
        case .redirectedByRTSP(let target) where settings.permits(target.host):
            if let why = dialler.refusal(target) {
                lastWords = why
                break
            }
            detour = .rtsp(target, trail: trail(wasDetour))
            return dial()
        case .redirected(let target): lastWords = "the source redirects to \(target.host), which `allow:` does not name"
        case .redirectedByRTSP(let target): lastWords = "the source redirects to \(target.host), which `allow:` does not name"
        case .plain:
            // Not at once: a server that cannot make up its mind would be asked without end.
            lastWords = "what the server has is no Windows Media"
            isPlain = !route.rollsOver
        case .unsuitable(let words):
            lastWords = words
            isUnsuitable = true
        case .failed(let words): lastWords = words
        }
        if !isPlain, !hasBegun, isUnsuitable || route.rollsOver {
            waysFailed += 1
            let before = route.ways[place]
            place = (place + 1) % route.ways.count
            // What is no matter of how media is carried is the same over RTSP's other way.
            if case .rtsp = before, !isUnsuitable {
                while waysFailed < route.ways.count, case .rtsp = route.ways[place] {
                    waysFailed += 1
                    place = (place + 1) % route.ways.count
                }
            }
            if waysFailed < route.ways.count {
                logger.notice(
                    "trying another way",
                    metadata: ["after": "\(before.words)", "trouble": "\(lastWords)", "way": "\(route.ways[place].words)"])
                // The redirection holds for the other way of carrying media, too.
                if isUnsuitable { detour = wasDetour }
                return dial()
            }
        }
        waysFailed = 0
        host?.sourceFailed(lastWords)
        redial.wait(nanoseconds: redial.failed())
    }

    private func trail(_ detour: Detour?) -> [WMSPSourceURL] {
        switch (detour, route.ways[place]) {
        case (.http(let url, let trail)?, _): trail + [url]
        case (nil, .http(let url)): [url]
        default: []
        }
    }

    private func trail(_ detour: Detour?) -> [SourceURL] {
        switch (detour, route.ways[place]) {
        case (.rtsp(let url, let trail)?, _): trail + [url]
        case (nil, .rtsp(let url, _)): [url]
        default: []
        }
    }
}
