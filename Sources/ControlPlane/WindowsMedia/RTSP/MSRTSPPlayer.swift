import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// One session of MS-RTSP, from its first SETUP to its end, and what it is sent meanwhile. Belongs to the event loop.
final class MSRTSPPlayer {
    let id: UInt64
    let path: Path
    /// The connection over which it is controlled.
    private(set) var line: MSRTSPLine
    private var ports: Set<UInt16> = []
    let began = NIODeadline.now()
    /// Who made it; nil where no password was needed.
    let user: String?
    /// What it is sent, or was last.
    private(set) var play: MSRTSPPlay?
    /// Where it is in a playlist.
    var playlist: PlaylistReader?
    /// The path does not name it among its readers any more.
    private(set) var isOver = false
    private(set) var packetsMissed: UInt64 = 0

    private unowned let server: WindowsMediaRTSP
    private var source: WindowsMediaContent?
    private var media = Media.none
    private var outlet: (any MSRTSPOutlet)?
    private var outletForm: WindowsMediaRTPForm?
    private var outletTransport: SessionTrack.Transport?
    private var allowance = ResendAllowance(now: .now())
    private var trail: Int?
    /// Counts the starts: what is found for an earlier one is of no interest.
    private var starts = 0
    /// What plays next goes on where it was held.
    private var isResuming = false
    private let endDelay: LoopTimer

    /// What sends.
    private enum Media {
        case none
        case file(any MediaPump, WindowsMediaFile)
        case live(LivePlay, WindowsMediaBroadcast)
        case playlist(PlaylistPlay)
    }

    /// So long after the last datagram the player is told of the end: what is told over the connection must not overtake it.
    private static let endDelayMilliseconds = 250

    init(id: UInt64, path: Path, line: MSRTSPLine, server: WindowsMediaRTSP) {
        self.id = id
        self.path = path
        self.line = line
        self.server = server
        user = line.connection.user
        endDelay = LoopTimer(server.port.eventLoop)
        path.readerArrived()
        path.addObserver(self)
        trail = path.trails.add(line.connection.trail)
    }

    /// In logs and in the status.
    var words: String { String("\(id)".prefix(6)) }

    /// How its media travels.
    var transportWords: String {
        switch play?.transport {
        case .interleaved?: "tcp"
        case .datagram?, .multicast?: "udp"
        case nil: "none"
        }
    }

    /// Its client goes on over another connection: what went over the one before has ended.
    func comes(over next: MSRTSPLine) {
        if play?.transport.isInterleaved == true {
            stop()
            closeOutlet()
        }
        line.forget(id)
        line = next
        line.sessions.insert(id)
    }

    /// RTCP of that port is its client's.
    func expectReports(port: UInt16) {
        guard ports.insert(port).inserted else { return }
        server.server.expectReports(ofMedia: id, host: line.connection.host, port: port)
    }

    /// The broadcast that it plays; nil for what is on demand.
    var broadcast: WindowsMediaBroadcast? { if case .live(_, let broadcast) = media { broadcast } else { nil } }

    /// Of the next packet, if nothing more were taken from now on.
    var nextSequence: UInt16? {
        if case .live(let live, _) = media { live.nextSequence } else { outlet?.nextSequence }
    }

    // MARK: What the session machine says

    /// Finds where a play begins, and says so.
    func start(_ play: MSRTSPPlay, _ wanted: WindowsMediaContent?) {
        starts += 1
        endDelay.stop()
        let held = media
        let isSame = self.play.map { $0.ssrc == play.ssrc && $0.transport == play.transport && $0.selection == play.selection } ?? false
        self.play = play
        if let wanted { source = wanted }
        guard let source else { return server.startFailed(self, .notNow(.play, "nothing was described")) }
        // It goes on where it was.
        isResuming = play.position == nil && isSame
        if isResuming {
            switch held {
            case .file, .playlist: return begun(MSRTSPBeginning(sequence: outlet?.nextSequence))
            case .none, .live: isResuming = false
            }
        }
        stopMedia()
        do {
            switch source {
            case .file(let file): try start(file, play)
            case .live(let broadcast): start(broadcast, play)
            case .playlist(let start): try begin(start, play)
            }
        } catch { server.startFailed(self, .unavailable("\(error)", retryAfterSeconds: Path.retryAfterSeconds)) }
    }

    private func begun(_ beginning: MSRTSPBeginning) { server.started(self, beginning) }

    private func start(_ file: WindowsMediaFile, _ play: MSRTSPPlay) throws {
        let outlet = try outlet(for: play, file.header)
        let number = starts
        file.beginning(play.position ?? .beginning, streams: play.selection.streams, on: server.port.eventLoop).assumeIsolated()
            .whenComplete { [weak self] result in
                guard let self, !isOver, number == starts else { return }
                switch result {
                case .success(let found):
                    let pump = MediaWish(play, words: words).pump(of: file, from: found.packet, on: server.port.eventLoop)
                    attend(pump, outlet)
                    media = .file(pump, file)
                    begun(
                        MSRTSPBeginning(sequence: outlet.nextSequence, rtpTime: found.sendTime, milliseconds: found.milliseconds))
                case .failure(let error):
                    server.startFailed(self, .unavailable("\(error)", retryAfterSeconds: Path.retryAfterSeconds))
                }
            }
    }

    private func attend(_ pump: any MediaPump, _ outlet: any MSRTSPOutlet) {
        pump.write = { [outlet] packet, number in outlet.write(packet, number) }
        pump.flush = { [outlet] in outlet.flush() }
        pump.onEnd = { [weak self] (end: PumpEnd) in self?.ended(end) }
        if play?.transport.isInterleaved == true { line.onWritable = { [weak pump] in pump?.resume() } }
    }

    private func start(_ broadcast: WindowsMediaBroadcast, _ play: MSRTSPPlay) {
        closeOutlet()
        let liveLine: any LiveLine
        switch play.transport {
        case .interleaved(let rtp, _): liveLine = InterleavedLiveLine(line, channel: rtp, port: server.port)
        case .datagram(let rtp, _), .multicast(let rtp, _):
            liveLine = DatagramLiveLine(host: line.connection.host, clientPort: rtp, port: server.port) { [weak self] in
                guard let self else { return }
                server.lost(self)
            }
        }
        var kind = WindowsMediaClass(selection: play.selection, form: .rtp(WindowsMediaRTPForm(play)))
        kind.origin = play.sequence.map { .promise(session: id, sequence: $0) }
        let live = LivePlay(kind, fastStart: play.fastStart, broadcast: broadcast, connection: liveLine, port: server.port)
        media = .live(live, broadcast)
        live.onLagged = { [weak self] cause, packets in
            guard let self else { return }
            packetsMissed += UInt64(packets)
            server.lagged(self, cause, packets: packets)
        }
        live.onBegin = { [weak self] variant, packet in
            self?.begun(MSRTSPBeginning(sequence: variant.sequence(ofPacket: packet), rtpTime: variant.sendTime(ofPacket: packet)))
        }
        if play.isHeld { live.hold() }
        live.start { [weak self] failure in self?.ended(failure.map { .failed($0) } ?? .done) }
        if play.isHeld { begun(MSRTSPBeginning()) }
    }

    private func begin(_ start: PlaylistStart, _ play: MSRTSPPlay) throws {
        let outlet = try outlet(for: play, start.opened.header)
        let hooks = PlaylistPlay.Hooks(
            write: { [outlet] in outlet.write($0, $1) }, flush: { [outlet] in outlet.flush() },
            change: { [weak self] facts, entryEnded in self?.change(to: facts, entryEnded: entryEnded) },
            changeDelay: { 0 }, onRecede: { [weak self] in self?.recede(to: $0) },
            onEnd: { [weak self] in self?.ended($0) })
        let playlist = PlaylistPlay(
            start, wish: MediaWish(play, words: words), opener: server.playlistOpener, logger: server.logger, hooks: hooks)
        media = .playlist(playlist)
        if play.transport.isInterleaved { line.onWritable = { [weak playlist] in playlist?.resume() } }
        begun(MSRTSPBeginning(sequence: outlet.nextSequence))
    }

    private func change(to facts: WMSPContent, entryEnded: Bool) {
        _ = outlet?.flush()
        outlet?.begin(facts.header)
        server.changeContent(of: self, to: facts, entryEnded: entryEnded)
    }

    /// It came to the beginning of an entry, backwards.
    private func recede(to facts: WMSPContent) {
        _ = outlet?.flush()
        outlet?.begin(facts.header)
        server.changeContent(of: self, to: facts, entryEnded: true, isReceding: true)
    }

    /// Sends from the place that was found.
    func go() {
        guard !isOver else { return }
        if play?.transport.isInterleaved == true, case .interleaved(let rtp, let rtcp) = play?.transport {
            line.carries(id, rtp: rtp, rtcp: rtcp)
        }
        switch media {
        case .none: break
        case .file(let pump, _): if play?.isHeld != true { pump.start() }
        case .live(let live, _): live.go()
        case .playlist(let playlist): if isResuming { playlist.goOn() } else { playlist.start() }
        }
    }

    /// Other streams, or the same again after ``hold()``.
    func select(_ selection: WMSPSelection) {
        play?.selection = selection
        let isHeld = play?.isHeld == true
        play?.isHeld = false
        switch media {
        case .none: break
        case .file(let pump, _):
            pump.select(selection)
            if isHeld { pump.start() }
        case .live(let live, _): live.select(selection)
        case .playlist(let playlist): playlist.select(selection)
        }
    }

    /// Sends nothing, and keeps the place.
    func hold() {
        starts += 1
        switch media {
        case .none: break
        case .file(let pump, _):
            pump.pause()
            _ = outlet?.flush()
        // What is live goes on without it: it comes back to what is live then.
        case .live: stopMedia()
        case .playlist(let playlist):
            playlist.pause()
            _ = outlet?.flush()
        }
    }

    /// Takes nothing more. What it took leaves.
    func finish() {
        starts += 1
        guard case .live(let live, _) = media else { return stopMedia() }
        media = .none
        live.finish { live.stop() }
    }

    /// Sends nothing more.
    func stop() {
        starts += 1
        stopMedia()
    }

    func sweep(now: NIODeadline) { if case .live(let live, _) = media { live.sweep(now: now) } }

    // MARK: The end

    /// What was sent ended by itself: the player is told when it has all of it.
    private func ended(_ end: PumpEnd) {
        guard !isOver else { return }
        let number = starts
        let tell = { [weak self] in
            guard let self, !isOver, number == starts else { return }
            starts += 1
            let sequence = nextSequence
            finish()
            server.ended(self, end, nextSequence: sequence)
        }
        let later = { [weak self] in
            guard let self, !isOver, number == starts else { return }
            endDelay.start(milliseconds: Self.endDelayMilliseconds) { tell() }
        }
        guard play?.transport.isInterleaved != true else { return tell() }
        if case .live(let live, _) = media { live.finish(later) } else if let outlet { outlet.whenLeft(later) } else { tell() }
    }

    private func stopMedia() {
        let media = media
        self.media = .none
        switch media {
        case .none: break
        case .file(let pump, _): pump.stop()
        case .live(let live, _): live.stop()
        case .playlist(let playlist): playlist.stop()
        }
        _ = outlet?.flush()
        if line.carried?.session == id { line.onWritable = nil }
    }

    /// The session is over.
    func end() {
        guard !isOver else { return }
        isOver = true
        starts += 1
        endDelay.stop()
        stopMedia()
        closeOutlet()
        server.server.forgetReports(ofMedia: id, host: line.connection.host, ports: ports)
        line.forget(id)
        playlist?.close()
        playlist = nil
        path.removeObserver(self)
        path.trails.remove(trail)
        path.readerLeft()
    }

    // MARK: Packets

    /// Where packets on demand go: the one that there is, as long as it is the same RTP session.
    private func outlet(for play: MSRTSPPlay, _ header: ASFHeader) throws -> any MSRTSPOutlet {
        let form = WindowsMediaRTPForm(play)
        if let outlet, outletForm == form, outletTransport == play.transport {
            outlet.begin(header)
            if let sequence = play.sequence, sequence != outlet.nextSequence { outlet.begin(at: sequence) }
            return outlet
        }
        closeOutlet()
        let sequence = play.sequence ?? .random(in: 0 ... .max)
        let outlet: any MSRTSPOutlet
        switch play.transport {
        case .interleaved(let rtp, _):
            outlet = InterleavedOutlet(line, channel: rtp, form: form, header: header, sequence: sequence)
        case .datagram(let rtp, _), .multicast(let rtp, _):
            let made = try DatagramOutlet.open(
                host: line.connection.host, clientPort: rtp, form: form, header: header,
                bitsPerSecond: max(header.bitrate(of: play.selection.whole), UInt64(header.file.bitrateMax)), sequence: sequence,
                port: server.port)
            made.onLost = { [weak self] in
                guard let self else { return }
                server.lost(self)
            }
            made.onLagged = { [weak self] cause, packets in
                guard let self else { return }
                packetsMissed += UInt64(packets)
                server.lagged(self, cause, packets: packets)
            }
            outlet = made
        }
        self.outlet = outlet
        outletForm = form
        outletTransport = play.transport
        return outlet
    }

    private func closeOutlet() {
        outlet?.close()
        outlet = nil
        outletForm = nil
    }

    /// Sends lost packets once more; what came of it.
    func resend(_ request: RetransmissionRequest, now: NIODeadline) -> ResendOutcome {
        guard let play, let retransmission = play.retransmission, request.mediaSSRC == play.ssrc else { return .strange }
        var outcome = ResendOutcome()
        for entry in request.entries {
            let count = 1 + entry.following.nonzeroBitCount
            outcome.asked += count
            guard allowance.take(count, now: now) else {
                outcome.refused += count
                continue
            }
            let isTaken: Bool
            if case .live(let live, _) = media {
                isTaken =
                    live.sent.flatMap { sent in
                        sent.variant.packet(ofSequence: entry.packetID).map {
                            sent.subscription.resend($0, following: UInt64(entry.following), to: retransmission.port)
                        }
                    } ?? false
            } else {
                isTaken = outlet?.resend(entry, to: retransmission.port) ?? false
            }
            if !isTaken { outcome.gone += count }
        }
        return outcome
    }

    /// What it was sent, where anybody counts that.
    var sent: (packets: UInt64, bytes: UInt64)? { outlet.map { ($0.packetsSent, $0.bytesSent) } }

    /// By how much the last packet was late.
    var lagMilliseconds: Double {
        switch media {
        case .none, .live: 0
        case .file(let pump, _): pump.lagMilliseconds
        case .playlist(let playlist): playlist.lagMilliseconds
        }
    }

    /// Whether it is being sent media.
    var isPlaying: Bool { if case .none = media { false } else { true } }
}

/// What came of a request for lost packets.
struct ResendOutcome {
    /// Packets that were asked for; of them those beyond what one player may have, and those that are not there any more.
    var asked = 0
    var refused = 0
    var gone = 0
    /// It is about nothing that the session was sent.
    var isStrange = false

    static let strange = {
        var outcome = ResendOutcome()
        outcome.isStrange = true
        return outcome
    }()
}

extension MSRTSPPlayer: PathObserver {
    func streamEnded(_ reason: String) { if path.removal != nil { server.pathRemoved(self) } }

    func descriptionChanged(_ next: StreamDescription) {}
}

extension MediaWish {
    /// What a Play of MS-RTSP says.
    init(_ play: MSRTSPPlay, words: String) {
        self.init(selection: play.selection)
        position = play.position ?? .beginning
        end = play.end
        rate = play.rate
        speed = play.speed
        fastStart = play.fastStart
        isHeld = play.isHeld
        followsEntries = play.followsEntries
        self.words = words
    }
}
