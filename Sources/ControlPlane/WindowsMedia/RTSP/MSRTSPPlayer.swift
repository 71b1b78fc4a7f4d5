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
    /// What is to be told of what it plays; nil for what this relay has of its own.
    private(set) var proxied: ProxiedContent?
    private(set) var media = Media.none
    private(set) var outlet: (any MSRTSPOutlet)?
    private var outletForm: WindowsMediaRTPForm?
    private var outletHeader: ASFHeader?
    private var outletTransport: SessionTrack.Transport?
    var allowance = ResendAllowance(now: .now())
    private var trail: Int?
    /// Counts the starts: what is found for an earlier one is of no interest.
    private var starts = 0
    /// What plays next goes on where it was held.
    private var isResuming = false
    /// What is sent of the streams.
    private var selection = WMSPSelection()
    /// What a broadcast's next packet would have borne when it was held.
    private var heldSequence: UInt16?
    private let endDelay: LoopTimer

    /// What sends.
    enum Media {
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

    /// The broadcast that it plays, or was held at; nil for what is on demand.
    var broadcast: WindowsMediaBroadcast? { if case .live(let broadcast)? = source { broadcast } else { nil } }

    /// Of the next packet, if nothing more were taken from now on.
    var nextSequence: UInt16? {
        if case .live(let live, _) = media, let sequence = live.nextSequence { return sequence }
        if case .live? = source { return heldSequence }
        return outlet?.nextSequence
    }

    // MARK: What the session machine says

    /// Finds where a play begins, and says so.
    func start(_ play: MSRTSPPlay, _ wanted: WindowsMediaContent?) {
        starts += 1
        endDelay.stop()
        let before = self.play
        var play = play
        self.play = play
        if let wanted { take(wanted) }
        guard let source else { return server.startFailed(self, .notNow(.play, "nothing was described")) }
        do {
            isResuming = play.position == nil && before.map { $0.rate == play.rate && $0.speed == play.speed } ?? false
            if isResuming, try goesOn(play) { return }
            isResuming = false
            if play.position == nil { play.position = place }
            stopMedia()
            switch source {
            case .file(let file): try start(file, play)
            case .live(let broadcast): start(broadcast, play)
            case .playlist(let start): try begin(start, play)
            }
        } catch { server.startFailed(self, .unavailable("\(error)", retryAfterSeconds: Path.retryAfterSeconds)) }
    }

    private func take(_ wanted: WindowsMediaContent) {
        // Whoever goes on with the same is no other player of it.
        if case .live(let next) = wanted, next === broadcast { return }
        source = wanted
        proxied = wanted.beginProxied()
    }

    /// Goes on with what is held, where it is.
    private func goesOn(_ play: MSRTSPPlay) throws -> Bool {
        switch media {
        case .none, .live: return false
        case .file(let pump, let file):
            let outlet = try outlet(for: play, file.header)
            if play.selection != selection { pump.select(play.selection) }
            selection = play.selection
            guard let held = pump as? FilePump, held.position < file.packetCount else {
                begun(MSRTSPBeginning(sequence: outlet.nextSequence))
                return true
            }
            tell(file.goingOn(at: held.position, on: server.port.eventLoop), outlet)
        case .playlist(let playlist):
            let outlet = try outlet(for: play, nil)
            selection = play.selection
            guard let entry = playlist.entryToBegin, play.rate == 1, case .file(let file) = entry.media else {
                begun(MSRTSPBeginning(sequence: outlet.nextSequence))
                return true
            }
            let from = UInt32(clamping: entry.entry.fromMilliseconds)
            let position: WMSPPosition = from > 0 ? .time(milliseconds: from) : .beginning
            tell(file.beginning(position, streams: play.selection.streams, on: server.port.eventLoop), outlet)
        }
        return true
    }

    /// Where what is held is; nil for what has no place.
    private var place: WMSPPosition? {
        switch media {
        case .none, .live: nil
        case .file(let pump, _): (pump as? FilePump).map { .packet(UInt64($0.position)) }
        case .playlist: (playlist?.sentMilliseconds).map { .time(milliseconds: $0) }
        }
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
                    attend(pump)
                    media = .file(pump, file)
                    selection = play.selection
                    begun(
                        MSRTSPBeginning(sequence: outlet.nextSequence, rtpTime: found.sendTime, milliseconds: found.milliseconds))
                case .failure(let error):
                    server.startFailed(self, .unavailable("\(error)", retryAfterSeconds: Path.retryAfterSeconds))
                }
            }
    }

    private func attend(_ pump: any MediaPump) {
        pump.write = { [weak self] packet, number in self?.outlet?.write(packet, number) }
        pump.flush = { [weak self] in self?.outlet?.flush() ?? false }
        pump.onEnd = { [weak self] (end: PumpEnd) in self?.ended(end) }
        if play?.transport.isInterleaved == true { line.onWritable = { [weak pump] in pump?.resume() } }
    }

    /// `isTold`: the client knows that it is sent this.
    private func start(_ broadcast: WindowsMediaBroadcast, _ play: MSRTSPPlay, isTold: Bool = false) {
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
        live.onBegin =
            isTold
            ? nil
            : { [weak self] variant, packet in
                self?.begun(MSRTSPBeginning(sequence: variant.sequence(ofPacket: packet), rtpTime: variant.sendTime(ofPacket: packet)))
            }
        if play.isHeld { live.hold() }
        carry(play)
        live.start { [weak self] failure in self?.ended(failure.map { .failed($0) } ?? .done) }
        if play.isHeld { begun(MSRTSPBeginning()) }
    }

    private func begin(_ start: PlaylistStart, _ play: MSRTSPPlay) throws {
        let outlet = try outlet(for: play, start.opened.header)
        let hooks = PlaylistPlay.Hooks(
            write: { [weak self] in self?.outlet?.write($0, $1) }, flush: { [weak self] in self?.outlet?.flush() ?? false },
            change: { [weak self] facts, entryEnded in self?.change(to: facts, entryEnded: entryEnded) },
            changeDelay: { 0 }, onRecede: { [weak self] in self?.change(to: $0, entryEnded: true, isReceding: true) },
            onEnd: { [weak self] in self?.ended($0) })
        let playlist = PlaylistPlay(
            start, wish: MediaWish(play, words: words), opener: server.playlistOpener, logger: server.logger, hooks: hooks)
        media = .playlist(playlist)
        if play.transport.isInterleaved { line.onWritable = { [weak playlist] in playlist?.resume() } }
        guard !play.isHeld, play.rate == 1, case .file(let file) = start.opened.media else {
            return begun(MSRTSPBeginning(sequence: outlet.nextSequence))
        }
        var position = start.reader.position(play.position ?? .beginning, in: start.opened)
        let from = UInt32(clamping: start.opened.entry.fromMilliseconds)
        switch position {
        case .beginning: if from > 0 { position = .time(milliseconds: from) }
        case .time(let milliseconds): position = .time(milliseconds: max(milliseconds, from))
        case .packet: break
        }
        tell(file.beginning(position, streams: play.selection.streams, on: server.port.eventLoop), outlet)
    }

    /// Says where it begins, when that is found; what cannot be read is not known.
    private func tell(_ found: EventLoopFuture<WindowsMediaFile.Beginning>, _ outlet: any MSRTSPOutlet) {
        let number = starts
        found.assumeIsolated().whenComplete { [weak self] result in
            guard let self, !isOver, number == starts else { return }
            let beginning = try? result.get()
            begun(
                MSRTSPBeginning(
                    sequence: outlet.nextSequence, rtpTime: beginning?.sendTime, milliseconds: beginning?.milliseconds))
        }
    }

    /// Another entry: the next one, or, backwards, the one before.
    private func change(to facts: WMSPContent, entryEnded: Bool, isReceding: Bool = false) {
        _ = outlet?.flush()
        outlet?.begin(facts.header)
        outletHeader = facts.header
        server.changeContent(of: self, to: facts, entryEnded: entryEnded, isReceding: isReceding)
    }

    private func carry(_ play: MSRTSPPlay) {
        if case .interleaved(let rtp, let rtcp) = play.transport { line.carries(id, rtp: rtp, rtcp: rtcp) }
    }

    /// Sends from the place that was found.
    func go() {
        guard !isOver else { return }
        play.map(carry)
        switch media {
        case .none: break
        case .file(let pump, _): if play?.isHeld != true { pump.start() }
        case .live(let live, _): live.go()
        case .playlist(let playlist): if isResuming { resume(playlist) } else { playlist.start() }
        }
    }

    private func resume(_ playlist: PlaylistPlay) {
        playlist.goOn()
        playlist.select(selection)
    }

    /// Other streams, or the same again after ``hold()``.
    func select(_ selection: WMSPSelection) {
        self.selection = selection
        play?.selection = selection
        let isHeld = play?.isHeld == true
        play?.isHeld = false
        switch (media, source) {
        case (.none, .live(let broadcast)?):
            guard isHeld, var play else { return }
            play.sequence = heldSequence
            start(broadcast, play, isTold: true)
        case (.none, _): break
        case (.file(let pump, _), _):
            pump.select(selection)
            if isHeld { pump.start() }
        case (.live(let live, _), _): live.select(selection)
        case (.playlist(let playlist), _): resume(playlist)
        }
    }

    /// Sends nothing, and keeps the place.
    func hold() {
        starts += 1
        play?.isHeld = true
        switch media {
        case .none: break
        case .file(let pump, _):
            pump.pause()
            _ = outlet?.flush()
        // What is live goes on without it: it comes back to what is live then.
        case .live: stopMedia()
        case .playlist(let playlist):
            playlist.hold()
            playlist.pause()
            _ = outlet?.flush()
        }
    }

    /// Takes nothing more. What it took leaves.
    func finish() {
        starts += 1
        guard case .live(let live, _) = media else { return stopMedia() }
        heldSequence = live.nextSequence ?? heldSequence
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
        case .live(let live, _):
            heldSequence = live.nextSequence ?? heldSequence
            live.stop()
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
    private func outlet(for play: MSRTSPPlay, _ next: ASFHeader?) throws -> any MSRTSPOutlet {
        let form = WindowsMediaRTPForm(play)
        guard let header = next ?? outletHeader else { throw PathError.refused("nothing was sent") }
        if let outlet, outletForm == form, outletTransport == play.transport {
            if header.bytes != outletHeader?.bytes { outlet.begin(header) }
            outletHeader = header
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
            let sizing = DatagramOutlet.sizing(
                bitsPerSecond: max(header.bitrate(of: play.selection.whole), UInt64(header.file.bitrateMax)))
            guard server.takesAnotherStream(sizing) else { throw DatagramOutlet.StreamsTaken() }
            let made = try DatagramOutlet.open(
                host: line.connection.host, clientPort: rtp, form: form, header: header, sizing: sizing, sequence: sequence,
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
        outletHeader = header
        outletForm = form
        outletTransport = play.transport
        return outlet
    }

    /// Bytes of the engine's stream that is its own; nil where it has none.
    var streamBytes: Int? { (outlet as? DatagramOutlet)?.streamBytes }

    private func closeOutlet() {
        outlet?.close()
        outlet = nil
        outletForm = nil
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
