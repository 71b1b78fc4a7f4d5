import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// A playlist that all players see at the same place: as from an encoder that shows one entry after the other. Belongs to the event loop.
///
/// All entries are on one time line. Those that fit the header are put behind it; players of version 9 are told of each entry, in any case.
final class PlaylistBroadcast: PathSource, WindowsMediaLive, PlaylistOwner {
    let programme: PlaylistProgramme
    let waiting = BroadcastWaiting()
    private(set) var broadcast: WindowsMediaBroadcast?
    private(set) var words = "not opened"

    private let settings: PathSettings
    private let port: EnginePort
    private let opener: PlaylistOpener
    private let logger: Logger
    private weak var host: (any PathSourceHost)?
    private let pursuit = LevelPursuit()
    private let retry: LoopTimer
    private var run: PlaylistRun?
    private var guide: PlaylistGuide?
    private var pump: EntryPump?
    private var splice: PlaylistSplice?
    private var lastDue: NIODeadline?
    private var livePath: Path?
    /// What the entry that plays is taken from, when that is live.
    private weak var live: (any WindowsMediaLive)?
    private var isOpening = false

    private static let retryMilliseconds = 5_000

    /// A broadcast that begins when it is wanted.
    init(
        file: String, settings: PathSettings, port: EnginePort, host: any PathSourceHost, opener: PlaylistOpener,
        pulls: PlaylistPulls? = nil,
        logger: Logger
    ) {
        programme = PlaylistProgramme(file: file, settings: settings.playlist, pulls: pulls, eventLoop: port.eventLoop, logger: logger)
        self.settings = settings
        self.port = port
        self.host = host
        self.opener = opener
        self.logger = logger
        retry = LoopTimer(port.eventLoop)
    }

    var showsHealth: Bool { false }

    func want(_ level: SourceLevel) {
        pursuit.want(level) { [self] level in
            guard level == .idle else { return open() }
            end("nobody is interested")
            words = "not opened"
            host?.sourceReleased()
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        pursuit.end()
        end("Weir stops")
        waiting.fail(.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds))
        programme.stop()
        done()
    }

    private func end(_ reason: String) {
        retry.stop()
        guide?.stop()
        guide = nil
        endPump()
        run?.close()
        run = nil
        splice = nil
        lastDue = nil
        broadcast?.end(reason)
        broadcast = nil
    }

    private func open() {
        guard broadcast == nil, run == nil, !isOpening, !retry.isRunning else { return }
        isOpening = true
        programme.open().assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            isOpening = false
            guard pursuit.level > .idle else { return }
            do {
                try result.get()
                begin(try programme.run())
            } catch { failed("\(error)") }
        }
    }

    private func begin(_ run: PlaylistRun) {
        self.run = run
        let guide = PlaylistGuide(run, opener: opener, eventLoop: port.eventLoop)
        self.guide = guide
        guide.onEnter = { [weak self] opened, _ in self?.enter(opened) }
        guide.onLeave = { [weak self] in self?.endPump() }
        guide.onFinished = { [weak self] why in self?.failed(why ?? "the playlist is over") }
        guide.objection = { [weak self] live in self?.objection(to: live) }
        guide.goOn(hasEnded: false)
    }

    private func failed(_ why: String) {
        end(why)
        words = why
        host?.sourceFailed(why)
        retry.start(milliseconds: Self.retryMilliseconds) { [weak self] in
            guard let self, pursuit.level > .idle else { return }
            open()
        }
    }

    // MARK: Entries

    /// What comes round to here would go round for ever.
    private func objection(to live: any WindowsMediaLive) -> String? {
        live.leads(to: self) ? "it is this playlist itself, or plays it just now" : nil
    }

    func leads(to other: any WindowsMediaLive) -> Bool { self === other || live?.leads(to: other) ?? false }

    private func enter(_ opened: OpenedEntry) {
        let path = opener.path(of: opened.entry)
        let live = path?.windowsMediaLive
        // Another playlist may have gone over to this one since it was opened.
        if let live, let why = objection(to: live) {
            logger.warning("an entry is passed over", metadata: ["entry": "\(opened.entry.words)", "why": "\(why)"])
            return port.eventLoop.assumeIsolated().execute { [weak guide] in guide?.goOn(hasEnded: false) }
        }
        guard let broadcast = broadcast(for: opened) else { return }
        words = "plays \(opened.entry.words)"
        let start = lastDue.map { max($0 + .milliseconds(Int64(splice?.lastDuration ?? 0)), port.eventLoop.now) }
        var plan = EntryPump.Plan(opened: opened, selection: WMSPSelection(whole: opened.header.streamNumbers))
        plan.start = start ?? port.eventLoop.now
        let pump = EntryPump(plan, eventLoop: port.eventLoop)
        self.pump = pump
        pump.write = { [weak self, weak broadcast] packet, _ in self?.splice?.take(packet) { broadcast?.take(packet: $0) } }
        pump.flush = { [weak broadcast] in
            broadcast?.flush()
            return true
        }
        pump.onEnd = { [weak self] end in
            guard let self else { return }
            if case .failed(let why) = end {
                logger.warning("an entry breaks off", metadata: ["entry": "\(opened.entry.words)", "why": "\(why)"])
            }
            endPump()
            guide?.goOn(hasEnded: true)
        }
        self.live = live
        livePath = path
        path?.readerArrived()
        pump.start()
    }

    /// The broadcast, with this entry's header if it had to be another.
    private func broadcast(for opened: OpenedEntry) -> WindowsMediaBroadcast? {
        let entry = WindowsMediaBroadcast.Entry(
            generation: opened.entry.generation, descriptions: opened.facts.descriptions)
        if let broadcast, var splice {
            do throws(PlaylistSplice.Misfit) {
                try splice.begins(opened.header)
                self.splice = splice
                broadcast.enters(entry, broadcast.header)
                return broadcast
            } catch {
                logger.notice(
                    "another header with this entry: players before version 9 are let go of",
                    metadata: ["entry": "\(opened.entry.words)", "why": "\(error)"])
            }
        }
        do {
            let header = try opened.header.rewritten(ASFRewrite(form: .live))
            var splice = PlaylistSplice(header: header, after: splice)
            try splice.begins(opened.header, isOwn: true)
            self.splice = splice
            if let broadcast {
                broadcast.enters(entry, header)
                return broadcast
            }
            let broadcast = WindowsMediaBroadcast(header: header, settings: settings, port: port, logger: logger)
            broadcast.enters(entry, header)
            self.broadcast = broadcast
            host?.sourcePlays()
            waiting.succeed(broadcast)
            return broadcast
        } catch {
            failed("\(opened.entry.words): \(error)")
            return nil
        }
    }

    private func endPump() {
        if let pump {
            lastDue = pump.lastDue ?? lastDue
            // Before the last packets: it takes no more from anywhere.
            pump.stop()
            splice?.ends { [broadcast] in broadcast?.take(packet: $0) }
            broadcast?.flush()
        }
        pump = nil
        live = nil
        livePath?.readerLeft()
        livePath = nil
    }
}
