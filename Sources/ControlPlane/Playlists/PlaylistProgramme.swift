import Logging
import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// Whoever plays a playlist as a path's source.
protocol PlaylistOwner: AnyObject {
    var programme: PlaylistProgramme { get }
}

/// A playlist of a path: the document, those who go through it, and what people do to it meanwhile. Belongs to the event loop.
///
/// While somebody goes through it, its files are looked at every second; a change makes another version of the document, and everybody goes on in
/// that. A file that cannot be read then changes nothing but the log.
final class PlaylistProgramme {
    let file: String
    /// Called whenever somebody asked for it: with nil when it can be played, else with what is wrong.
    var onRead: ((String?) -> Void)?
    let eventLoop: any EventLoop
    /// As it is just now; nil before it was read.
    private(set) var document: PlaylistDocument?
    private(set) var counts = Counts()
    /// What was passed over last, the latest at the end.
    private(set) var failures: [Failure] = []
    private(set) var lastTrouble: String?
    /// By what this version is told from others, also by caches: made of its entries and of the files that they are. Nil where two ways through it
    /// may differ, as where something of it is live, or goes by the time.
    private(set) var etag: String?

    /// How entries that are elsewhere are pulled; nil: they are not.
    let pulls: PlaylistPulls?

    private let settings: PlaylistSettings
    private var limits: PlaylistLimits { settings.limits }
    private let logger: Logger
    private var marks: [PlaylistLoader.FileMark] = []
    private var runs: [ObjectIdentifier: PlaylistRun] = [:]
    private var waiting: [EventLoopPromise<Void>] = []
    private var isLoading = false
    private let watch: LoopTimer
    /// Why an element was passed over when it was logged last: the log has it once, not at every round.
    private var logged: [UInt32: String] = [:]
    private var isStopped = false
    private var runsEver = 0
    /// It is what it is: no file stands for it.
    private let isFixed: Bool

    /// What happened, all its readers together.
    struct Counts {
        var begun: UInt64 = 0
        var failed: UInt64 = 0
        var skipped: UInt64 = 0
        var pauses: UInt64 = 0
        /// Reloads that brought another version, and those that could not be read.
        var reloads: UInt64 = 0
        var reloadsRefused: UInt64 = 0
        var limitsMet: [String: Int] = [:]
    }

    /// Something that was passed over.
    struct Failure {
        var node: UInt32
        var words: String
        var reason: String
        var at: NIODeadline
        var times: Int
    }

    /// Elements passed over that are remembered for status.
    static let failuresMax = 16
    /// How often the files are looked at.
    static let watchMilliseconds = 1_000

    /// A playlist that was not read yet.
    init(
        file: String, settings: PlaylistSettings = PlaylistSettings(), pulls: PlaylistPulls? = nil, eventLoop: any EventLoop, logger: Logger
    ) {
        self.file = file
        self.settings = settings
        self.pulls = pulls
        self.eventLoop = eventLoop
        self.logger = logger
        isFixed = false
        watch = LoopTimer(eventLoop)
    }

    /// One that comes from elsewhere, and has these entries.
    init(_ root: PlaylistNode, from origin: String, eventLoop: any EventLoop, logger: Logger) {
        file = origin
        settings = PlaylistSettings()
        pulls = nil
        self.eventLoop = eventLoop
        self.logger = logger
        isFixed = true
        watch = LoopTimer(eventLoop)
        document = PlaylistDocument(root)
    }

    // MARK: Reading

    /// Reads it, or reads it anew where its files changed. Fails with ``PathError``.
    func open() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        guard !isStopped else {
            promise.fail(PathError.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds))
            return promise.futureResult
        }
        waiting.append(promise)
        refresh()
        return promise.futureResult
    }

    /// One more way through it, after ``open()``. ``PlaylistRun/close()`` ends it.
    func run() throws(PathError) -> PlaylistRun {
        guard let document else { throw .notReady("\(file) was not read", retryAfterSeconds: Path.retryAfterSeconds) }
        let run = PlaylistRun(PlaylistCursor(document: document, settings: settings.cursor), programme: self)
        runs[ObjectIdentifier(run)] = run
        if !watch.isRunning, !isFixed { watch.every(milliseconds: Self.watchMilliseconds) { [weak self] in self?.refresh() } }
        return run
    }

    /// Forgets everything; whoever waits is told.
    func stop() {
        isStopped = true
        watch.stop()
        runs = [:]
        for promise in take() { promise.fail(PathError.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds)) }
    }

    private func refresh() {
        guard !isLoading, !isStopped, !isFixed else { return }
        isLoading = true
        let marks = marks, file = file, limits = limits, known = document
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { () -> (PlaylistLoader.Loaded?, etag: String?) in
            if !marks.isEmpty, marks.allSatisfy(\.isCurrent) { return (nil, known.flatMap { PlaylistEtag.of($0.root) }) }
            let loaded = try PlaylistLoader.load(file, limits: limits)
            return (loaded, PlaylistEtag.of(loaded.root))
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self, !isStopped else { return }
            isLoading = false
            switch result {
            case .success((let loaded, let etag)):
                if let loaded { take(loaded) }
                // What people did to it meanwhile is looked at the next time.
                self.etag = loaded != nil || document == known ? etag : nil
            case .failure(let error): refuse(error)
            }
            let waiting = take()
            if !waiting.isEmpty { onRead?(document == nil ? lastTrouble : nil) }
            let error = PathError.notReady(lastTrouble ?? "\(file) cannot be read", retryAfterSeconds: Path.retryAfterSeconds)
            for promise in waiting { if document == nil { promise.fail(error) } else { promise.succeed(()) } }
        }
    }

    private func take() -> [EventLoopPromise<Void>] {
        defer { waiting = [] }
        return waiting
    }

    private func take(_ loaded: PlaylistLoader.Loaded) {
        marks = loaded.marks
        lastTrouble = nil
        logged = [:]
        for limit in loaded.limitsMet { met(limit) }
        for warning in loaded.warnings.prefix(16) {
            logger.warning("playlist has something without effect", metadata: ["what": "\(warning)"])
        }
        guard let old = document else {
            document = PlaylistDocument(loaded.root, entriesMax: limits.entriesMax)
            logger.info("playlist is read", metadata: ["file": "\(file)", "entries": "\(document?.mediaCount ?? 0)"])
            return
        }
        counts.reloads += 1
        let document = old.reloaded(as: loaded.root)
        logger.info("playlist is read anew", metadata: ["file": "\(file)", "entries": "\(document.mediaCount)"])
        adopt(document)
    }

    private func refuse(_ error: any Error) {
        // The same again at every look is not read again. As it was before it was read: a change meanwhile is a change.
        if document != nil, let trouble = error as? PlaylistLoader.Trouble { marks = trouble.marks }
        if let limit = (error as? PlaylistLoader.Trouble)?.limit { met(limit) }
        let words = "\(error)"
        guard words != lastTrouble else { return }
        lastTrouble = words
        guard document != nil else { return }
        counts.reloadsRefused += 1
        logger.warning("playlist cannot be read anew; what was read before goes on", metadata: ["why": "\(words)"])
    }

    private func met(_ limit: String) { counts.limitsMet[PlaylistSettings.key(of: limit), default: 0] += 1 }

    private func adopt(_ document: PlaylistDocument) {
        self.document = document
        etag = nil
        for run in runs.values { run.adopt(document) }
    }

    // MARK: What people do to it

    /// Those who go through it, the one that was first at the front.
    var running: [PlaylistRun] { runs.values.sorted { $0.number < $1.number } }

    /// Everybody leaves what plays. Says how many do. Throws why nobody can.
    func next() throws(PlaylistRefusal) -> Int { try everybody { run throws(PlaylistRefusal) in try run.next() } }

    /// Everybody goes to an element, or hears of an event that elements of `excl` wait for. Says how many do.
    func jump(to name: String) throws(PlaylistRefusal) -> Int {
        guard let document else { throw .unknown(name) }
        let number: UInt32
        do throws(PlaylistRefusal) { number = try document.find(name) } catch {
            guard case .unknown = error else { throw error }
            return try everybody { run throws(PlaylistRefusal) in try run.event(name) }
        }
        return try everybody { run throws(PlaylistRefusal) in try run.jump(to: number) }
    }

    private func everybody(_ body: (PlaylistRun) throws(PlaylistRefusal) -> Void) throws(PlaylistRefusal) -> Int {
        var done = 0
        var refusal: PlaylistRefusal? = .nobodyPlays
        for run in running {
            do throws(PlaylistRefusal) {
                try body(run)
                done += 1
            } catch { refusal = error }
        }
        if done == 0, let refusal { throw refusal }
        return done
    }

    /// Puts something behind an element; behind what plays first with nil, and at the end where nothing does. It lasts until the file changes.
    /// Says its number.
    func insert(_ source: String, after name: String?) throws(PlaylistRefusal) -> UInt32 {
        guard var document else { throw .unknown(file) }
        var place = running.first?.current.map(\.node)
        if let name { place = try document.find(name) }
        if let known = place, document.trail(to: known) == nil { place = nil }
        var media = PlaylistMedia(source: source)
        media.location = PlaylistLoader.location(of: source, beside: file)
        let number: UInt32
        do throws(PlaylistRefusal) { number = try document.insert(media, after: place) } catch {
            if case .full = error { met("entriesMax") }
            throw error
        }
        logger.notice("playlist: an entry is inserted", metadata: ["entry": "\(number)", "source": "\(PeerWords.printable(source))"])
        adopt(document)
        return number
    }

    /// Takes an element out. What plays of it plays to its end.
    func remove(_ name: String) throws(PlaylistRefusal) -> UInt32 {
        guard var document else { throw .unknown(file) }
        let number = try document.find(name)
        try document.remove(number)
        adopt(document)
        return number
    }

    // MARK: What its readers tell

    func nextRun() -> Int {
        runsEver += 1
        return runsEver
    }

    func closed(_ run: PlaylistRun) {
        runs[ObjectIdentifier(run)] = nil
        if runs.isEmpty { watch.stop() }
    }

    func took(_ cursor: inout PlaylistCursor, since before: PlaylistCursor.Counters) {
        counts.begun += cursor.counters.begun &- before.begun
        counts.failed += cursor.counters.failed &- before.failed
        counts.skipped += cursor.counters.skipped &- before.skipped
        counts.pauses += cursor.counters.pauses &- before.pauses
        let forgotten = cursor.counters.forgotten &- before.forgotten
        if forgotten > 0 { counts.limitsMet[PlaylistSettings.historyKey, default: 0] += Int(clamping: forgotten) }
        for failure in cursor.takeFailures() { note(failure) }
    }

    /// Something that whoever reads the log should know.
    func note(_ what: String, _ error: any Error) { logger.warning("\(what)", metadata: ["playlist": "\(file)", "why": "\(error)"]) }

    private func note(_ failure: PlaylistCursor.Failure) {
        let node = failure.entry.node, words = PeerWords.printable(failure.entry.words), reason = PeerWords.printable(failure.reason)
        if let known = failures.firstIndex(where: { $0.node == node && $0.words == words }) {
            var again = failures.remove(at: known)
            again.times += 1
            again.reason = reason
            again.at = eventLoop.now
            failures.append(again)
        } else {
            failures.append(Failure(node: node, words: words, reason: reason, at: eventLoop.now, times: 1))
            if failures.count > Self.failuresMax { failures.removeFirst() }
        }
        guard logged[node] != reason else { return }
        logged[node] = reason
        logger.warning(
            "playlist entry is passed over",
            metadata: ["entry": "\(node)", "source": "\(words)", "line": "\(failure.entry.line)", "why": "\(reason)"])
    }

    func began(_ entry: PlaylistEntry) {
        // Whatever fails after it has played is news again.
        logged[entry.node] = nil
        logger.debug(
            "playlist entry begins",
            metadata: ["entry": "\(entry.node)", "source": "\(PeerWords.printable(entry.words))", "generation": "\(entry.generation)"])
    }
}
