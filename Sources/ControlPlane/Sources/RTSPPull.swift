import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// A source that is pulled from an RTSP server: dials, chooses the transport, dials again. One connection at a time, however
/// many readers there are; the connection itself is a ``PullSession``.
final class RTSPPull: PathSource {
    private var url: SourceURL
    private let settings: PathSettings
    private let port: EnginePort
    private let mediaPorts: MediaPorts
    private let logger: Logger
    private weak var host: (any PathSourceHost)?
    private let dialler: SourceDialler
    private let extensions: RelayExtensions

    private var level = SourceLevel.idle
    private var session: PullSession?
    private var isConcluding = false
    /// Another source has taken its place.
    private var isReplaced = false
    private let redial: Redial
    private let transport: PathSettings.Transport
    /// Chosen by what worked; kept for the next dial.
    private var carriage: PullSession.Carriage
    private var detour: (url: SourceURL, redirections: Int)?
    private var lastWords = "not dialled"
    private var onStopped: (() -> Void)?

    /// A source that is not dialled yet.
    init(
        url: SourceURL, settings: PathSettings, port: EnginePort, mediaPorts: MediaPorts, host: any PathSourceHost,
        dialler: SourceDialler = .tcp, extensions: RelayExtensions = RelayExtensions(), logger: Logger
    ) {
        self.extensions = extensions
        self.dialler = dialler
        self.url = url
        self.settings = settings
        self.port = port
        self.mediaPorts = mediaPorts
        self.host = host
        self.logger = logger
        transport =
            switch url.transport {
            case .tcp: .tcp
            case .udp: .udp
            case nil: url.isTunnelled ? .http : settings.transport
            }
        carriage =
            switch transport {
            case .tcp: .tcp
            case .http: .http
            case .multicast: .multicast(interface: settings.multicast.interface)
            case .auto, .udp: .udp
            }
        redial = Redial(port.eventLoop, host: host, chance: dialler.chance)
        redial.onDue = { [weak self] in self?.pursue() }
    }

    var words: String { session?.words ?? lastWords }

    var nextTry: NIODeadline? { session == nil ? redial.next : nil }

    /// Whether the server has answered, and the session goes on.
    var isEstablished: Bool { session?.isEstablished ?? false }

    /// The source is to be had there from now on: lets go of the connection there may be, and dials at once.
    func dialAnew(at url: SourceURL) {
        self.url = url
        detour = nil
        redial.reset()
        guard let session else { return pursue() }
        // Until the new connection plays, nothing does.
        if session.isPlaying { host?.sourceFailed("the back end registered anew") }
        session.finish(.closed)
    }

    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        guard let session, session.isEstablished else { return done(.unavailable(words)) }
        session.pass(request, done)
    }

    func want(_ level: SourceLevel) {
        self.level = level
        redial.forgetWaiters()
        pursue()
    }

    func saidGoodbye() { session?.finish(.failed("the source said goodbye (RTCP BYE)")) }

    func stop(_ done: @escaping () -> Void) {
        level = .idle
        redial.stop()
        guard let session else { return done() }
        onStopped = done
        session.close()
    }

    /// Does what the level asks for, as far as it can be done now.
    private func pursue() {
        // Called back by its own doing: whoever called goes on afterwards.
        guard !isConcluding, !isReplaced, onStopped == nil else { return }
        if let session {
            if level == .idle { session.close() } else { session.want(level) }
        } else if level == .idle {
            redial.stop()
            host?.sourceReleased()
        } else if redial.isWaiting {
            redial.hurry()
        } else {
            dial()
        }
    }

    private func dial() {
        redial.dialled()
        let target = detour?.url ?? url
        let session = PullSession(
            url: target, redirections: detour?.redirections ?? 0, carriage: carriage,
            datagramWait: transport == .auto ? settings.udpWaitMilliseconds : nil, silence: settings.silenceMilliseconds,
            trackSilence: settings.trackSilenceMilliseconds, port: port,
            mediaPorts: mediaPorts, multiplexes: settings.multiplexing != .off, owner: self, dialler: dialler, via: host?.via,
            headers: RequestHeaders.fields(extensions, path: settings.name, url: "\(target)", logger: logger), logger: logger)
        self.session = session
        logger.info("dialling", metadata: ["source": "\(target)", "transport": "\(carriage.words)"])
        session.want(level)
        session.dial()
    }
}

extension RTSPPull: PullSessionOwner {
    func sessionDescribed(_ sdp: SessionDescription) throws -> StreamDescription {
        guard let host else { throw PathError.refused("the path is gone") }
        return try host.sourceDescribed(sdp)
    }

    func sessionMediaBegins() { host?.mediaBegins() }

    func sessionPlays() { host?.sourcePlays() }

    func sessionDropped(_ datagrams: UInt64) { host?.sourceDropped(datagrams) }

    func sessionActive() {
        redial.succeeded()
    }

    func sessionEnded(_ end: PullSession.End) {
        session = nil
        isConcluding = true
        let delay = conclude(end)
        isConcluding = false
        if let done = onStopped {
            onStopped = nil
            return done()
        }
        if let delay, level > .idle { redial.wait(nanoseconds: delay) } else { pursue() }
    }

    /// Draws the lesson from an end; answers with the nanoseconds to wait, or nil to go on at once.
    private func conclude(_ end: PullSession.End) -> UInt64? {
        let wasDetour = detour
        detour = nil
        switch end {
        case .closed:
            lastWords = "not dialled"
            return nil
        case .redirected(let target) where !settings.permits(target.host):
            return failed("the source redirects to \(target.host), which `allow:` does not name")
        case .redirected(let target):
            if let why = dialler.refusal(target) { return failed(why) }
            detour = (target, (wasDetour?.redirections ?? 0) + 1)
            return nil
        case .noDatagrams where transport == .auto && carriage != .tcp:
            logger.notice("no datagram arrives; trying TCP", metadata: ["waited-ms": "\(settings.udpWaitMilliseconds)"])
            carriage = .tcp
            detour = wasDetour
            return nil
        case .transportRefused(let words) where transport == .auto && carriage != .tcp:
            logger.notice("UDP is refused; trying TCP", metadata: ["answer": "\(words)"])
            carriage = .tcp
            detour = wasDetour
            return nil
        case .noDatagrams: return failed("no datagram arrived")
        case .transportRefused(let words):
            if transport == .auto { carriage = .udp }
            return failed(words)
        case .refused(let status, let words):
            host?.sourceRefused(status)
            return failed(words)
        case .windowsMedia:
            isReplaced = true
            if let host, host.sourceTurnsOut(windowsMedia: true) { return nil }
            isReplaced = false
            return failed(
                "what the server has is Windows Media, which a path with transforms, with backups or of other protocols cannot carry")
        case .failed(let words): return failed(words)
        }
    }

    private func failed(_ words: String) -> UInt64 {
        lastWords = words
        host?.sourceFailed(words)
        let delay = redial.failed()
        logger.info("dialling again", metadata: ["in-ms": "\(delay / 1_000_000)"])
        return delay
    }
}
