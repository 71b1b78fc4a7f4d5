import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Live Windows Media that is pulled from a server or an encoder by HTTP: dials, hands packets to the path's broadcast, dials again. Players
/// stay while the source is away; when it is back its time goes on where it was.
final class WindowsMediaPull: PathSource, WindowsMediaLive {
    private let settings: PathSettings
    private let port: EnginePort
    private let logger: Logger
    private weak var host: (any PathSourceHost)?
    private let dialler: SourceDialler
    private var url: WMSPSourceURL
    private var session: WindowsMediaPullSession?
    private let pursuit = LevelPursuit()
    private let redial: Redial
    private var lastWords = "not dialled"
    private var line = WindowsMediaTimeLine()

    private(set) var broadcast: WindowsMediaBroadcast?
    let waiting = BroadcastWaiting()

    /// A source that is not dialled yet.
    init(
        url: WMSPSourceURL, settings: PathSettings, port: EnginePort, host: any PathSourceHost, dialler: SourceDialler = .tcp,
        logger: Logger
    ) {
        self.url = url
        self.settings = settings
        self.port = port
        self.host = host
        self.dialler = dialler
        self.logger = logger
        redial = Redial(port.eventLoop, host: host, chance: dialler.chance)
        redial.onDue = { [weak self] in
            guard let self, pursuit.level > .idle, session == nil else { return }
            dial()
        }
    }

    var words: String { session?.words ?? lastWords }
    var nextTry: NIODeadline? { session == nil ? redial.next : nil }

    func want(_ level: SourceLevel) {
        pursuit.want(level) { [self] level in
            guard level == .idle else {
                if session != nil { return }
                return redial.isWaiting ? redial.hurry() : dial()
            }
            end("nobody is interested")
            lastWords = "not dialled"
            host?.sourceReleased()
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        pursuit.end()
        end("Weir stops")
        waiting.fail(.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds))
        done()
    }

    private func end(_ reason: String) {
        redial.stop()
        redial.forgetWaiters()
        session?.close()
        session = nil
        broadcast?.end(reason)
        broadcast = nil
        line = WindowsMediaTimeLine()
    }

    private func dial(redirections: Int = 0) {
        redial.dialled()
        logger.info("dialling", metadata: ["source": "\(url)"])
        let session = WindowsMediaPullSession(
            url: url, redirections: redirections, silenceMilliseconds: settings.silenceMilliseconds, eventLoop: port.eventLoop,
            dialler: dialler, owner: self)
        self.session = session
        session.dial()
    }
}

extension WindowsMediaPull: WindowsMediaPullSessionOwner {
    func pullBegan(_ header: ASFHeader) throws {
        let live = try header.rewritten(ASFRewrite(form: .live))
        redial.succeeded()
        line.begins(goingOn: broadcast.map { live.continues($0.header) } ?? false)
        if let broadcast {
            broadcast.begins(live)
        } else {
            let broadcast = WindowsMediaBroadcast(header: live, settings: settings, port: port, logger: logger)
            self.broadcast = broadcast
            logger.info("stream begins", metadata: ["streams": "\(live.streams.map(\.codecName).joined(separator: ", "))"])
            waiting.succeed(broadcast)
        }
        host?.sourcePlays()
    }

    func pulled(_ packet: [UInt8]) {
        guard let broadcast else { return }
        let size = broadcast.header.packetBytes
        do {
            var whole = try ASFPacket.full(packet, packetBytes: size)
            try line.move(&whole, packetBytes: size)
            broadcast.take(packet: whole)
        } catch { broadcast.countBroken() }
    }

    func pullFlushes() { broadcast?.flush() }

    func pullEnded(_ end: WindowsMediaPullSession.End) {
        session = nil
        broadcast?.flush()
        guard pursuit.level > .idle else { return }
        if case .redirected(let url, let redirections) = end, settings.permits(url.host) {
            self.url = url
            return dial(redirections: redirections)
        }
        lastWords = end.words
        host?.sourceFailed(lastWords)
        redial.wait(nanoseconds: redial.failed())
    }
}
