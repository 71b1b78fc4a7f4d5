import NIOCore
import Signalling

/// One way through a playlist: a reader's, or that of a broadcast. Belongs to the event loop.
final class PlaylistRun {
    /// What was planned is void: ask ``plan(at:)`` again. What plays goes on.
    var onChange: (() -> Void)?
    /// What plays is to be left at once for this, as after ``plan(at:)``.
    var onSwitch: ((PlaylistStep) -> Void)?
    /// Counts the ways through this playlist.
    let number: Int
    /// Who opens its entries, where it comes from elsewhere and is kept here.
    var kept: (any KeptEntries)?

    private var cursor: PlaylistCursor
    private weak var programme: PlaylistProgramme?
    private let eventLoop: any EventLoop
    /// Runs while what plays will be left earlier than was known when it began.
    private let leaving: LoopTimer

    init(_ cursor: PlaylistCursor, programme: PlaylistProgramme) {
        self.cursor = cursor
        self.programme = programme
        eventLoop = programme.eventLoop
        number = programme.nextRun()
        leaving = LoopTimer(programme.eventLoop)
    }

    /// How entries that are elsewhere are pulled; nil: they are not.
    var pulls: PlaylistPulls? { programme?.pulls }
    /// By what this version of a playlist is told from others; nil where two ways through it may differ.
    var etag: String? { programme?.etag }
    /// What plays.
    var current: PlaylistEntry? { cursor.current }
    /// What is planned next, if anything is.
    var upcoming: PlaylistEntry? { cursor.upcoming }
    /// For how long it has played, in milliseconds.
    var currentMilliseconds: UInt64 { cursor.current == nil ? 0 : now &- min(cursor.currentBegan, now) }
    /// What would follow, were it asked now.
    var following: PlaylistEntry? {
        if let upcoming { return upcoming }
        var copy = cursor
        let entry = cursor.current
        // Whatever plays is taken to last a while, or it would count as something that cannot be played.
        let end = entry?.durationMilliseconds.map { cursor.currentBegan + $0 } ?? 0
        if case .open(let entry) = copy.plan(at: max(end, now + 1_000)) { return entry }
        return nil
    }

    /// What comes next if it begins at that time. See ``PlaylistCursor/plan(at:)``.
    func plan(at deadline: NIODeadline, isEnd: Bool = true) -> PlaylistStep {
        change { cursor in cursor.plan(at: Self.milliseconds(deadline), isEnd: isEnd) }
    }

    /// What plays has ended just now. What comes in place of what was planned, if that does not hold.
    func ended() -> PlaylistStep? {
        let now = now
        return change { cursor in cursor.ended(now: now) }
    }

    /// What was planned cannot be opened; what comes in its place.
    func openFailed(_ reason: String) -> PlaylistStep {
        let now = now
        return change { cursor in cursor.openFailed(reason, now: now) }
    }

    /// What was planned plays from now on.
    @discardableResult func begin() -> PlaylistEntry? {
        let now = now
        let entry = change { cursor in cursor.begin(now: now) }
        if let entry { programme?.began(entry) }
        leaving.stop()
        return entry
    }

    /// The next (1) or previous (−1) entry of one, for a viewer.
    func skip(by offset: Int, from generation: UInt32? = nil) throws(PlaylistRefusal) -> PlaylistStep {
        let now = now
        return try attempt { cursor throws(PlaylistRefusal) in try cursor.skip(by: offset, from: generation, now: now) }
    }

    /// An entry once more, under its own generation.
    func go(backTo generation: UInt32) throws(PlaylistRefusal) -> PlaylistStep {
        let now = now
        return try attempt { cursor throws(PlaylistRefusal) in try cursor.go(backTo: generation, now: now) }
    }

    /// The entry of a generation, if it is not too long ago.
    func entry(generation: UInt32) -> PlaylistEntry? { cursor.entry(generation: generation) }

    /// Nobody goes this way any more.
    func close() {
        onChange = nil
        onSwitch = nil
        leaving.stop()
        programme?.closed(self)
    }

    func next() throws(PlaylistRefusal) {
        let now = now
        onSwitch?(try attempt { cursor throws(PlaylistRefusal) in try cursor.next(now: now) })
    }

    func jump(to number: UInt32) throws(PlaylistRefusal) {
        let now = now
        onSwitch?(try attempt { cursor throws(PlaylistRefusal) in try cursor.jump(to: number, now: now) })
    }

    func event(_ name: String) throws(PlaylistRefusal) {
        let now = now
        var copy = cursor
        let before = cursor.counters
        let step = try copy.event(name, now: now)
        cursor = copy
        programme?.took(&cursor, since: before)
        if let step {
            onSwitch?(step)
        } else {
            onChange?()
            watchTime()
        }
    }

    /// What an event has said may be due before what plays was to end.
    private func watchTime() {
        guard let current = cursor.current else { return }
        let at = cursor.leavesAt, now = now
        let known = current.durationMilliseconds.map { $0 - min(currentMilliseconds, $0) } ?? .max
        guard at < .max, at - min(now, at) < known else { return leaving.stop() }
        leaving.start(milliseconds: Int(clamping: at - min(now, at))) { [weak self] in
            guard let self else { return }
            let now = self.now
            if let step = change({ cursor in cursor.leave(now: now) }) { onSwitch?(step) }
        }
    }

    func adopt(_ document: PlaylistDocument) {
        let now = now
        let step = change { cursor in cursor.replace(document, now: now) }
        if step != nil { onChange?() }
    }

    private var now: UInt64 { Self.milliseconds(eventLoop.now) }
    private static func milliseconds(_ deadline: NIODeadline) -> UInt64 { deadline.uptimeNanoseconds / 1_000_000 }

    private func change<Result>(_ body: (inout PlaylistCursor) -> Result) -> Result {
        let before = cursor.counters
        let result = body(&cursor)
        programme?.took(&cursor, since: before)
        return result
    }

    private func attempt(
        _ body: (inout PlaylistCursor) throws(PlaylistRefusal) -> PlaylistStep
    ) throws(PlaylistRefusal) -> PlaylistStep {
        let before = cursor.counters
        defer { programme?.took(&cursor, since: before) }
        return try body(&cursor)
    }
}

/// What opens the entries of a playlist that comes from elsewhere. Belongs to the event loop.
protocol KeptEntries: AnyObject {
    /// Packets and bytes of all entries.
    var inAll: (packets: Int, bytes: UInt64) { get }
    /// `done` is called later in the event loop, once.
    func open(_ entry: PlaylistEntry, _ done: @escaping (Result<OpenedEntry, PlaylistOpener.Trouble>) -> Void)
}
