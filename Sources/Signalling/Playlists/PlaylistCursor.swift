import WireFormats

/// One reader's way through a playlist, or that of a broadcast, which all its players share.
///
/// Pure: whoever has it opens and sends what it names. What follows is planned early with ``plan(at:)``, so that it can be opened before the
/// seam, and played from ``begin(now:)`` on. Times are milliseconds of a clock that never goes back.
package struct PlaylistCursor: Sendable {
    /// How patient it is.
    package struct Settings: Sendable, Hashable {
        /// Entries behind the one that plays to which a viewer can go back.
        package var historyMax = 64
        /// An entry that played for less is counted as one that could not be opened: a list of nothing else must not spin.
        package var entryMillisecondsMin: UInt64 = 100
        /// The pause after every element failed once; doubled each time up to the second.
        package var pauseMillisecondsMin: UInt64 = 1_000
        package var pauseMillisecondsMax: UInt64 = 30_000

        /// The defaults.
        package init() {}
    }

    /// What happened, in all.
    package struct Counters: Sendable, Hashable {
        /// Entries that were played.
        package var begun: UInt64 = 0
        /// Entries that could not be opened, and were passed over.
        package var failed: UInt64 = 0
        /// Entries that a viewer, or somebody here, left before their end.
        package var skipped: UInt64 = 0
        /// Pauses because nothing could be opened.
        package var pauses: UInt64 = 0
        /// Viewers who wanted back to what is not remembered any more.
        package var forgotten: UInt64 = 0
    }

    /// Something that was passed over.
    package struct Failure: Sendable, Hashable {
        package var entry: PlaylistEntry
        package var reason: String
    }

    package private(set) var document: PlaylistDocument
    package private(set) var counters = Counters()
    /// What plays.
    package private(set) var current: PlaylistEntry?
    /// When it began.
    package private(set) var currentBegan: UInt64 = 0

    private let settings: Settings
    /// Where ``current`` is; nothing before the first.
    private var frames: [PlaylistFrame] = []
    private var planned: Planned?
    private var records: [Record] = []
    private var failures: [Failure] = []
    private var lastGeneration: UInt32
    /// Entries without success one after the other, and the pauses that they led to.
    private var fruitless = 0
    /// Whether ``current`` was counted among those already, or ended their row.
    private var isJudged = false
    private var pauses: UInt64 = 0
    private var lastReason: String?

    private struct Planned {
        var step: PlaylistStep
        var walk: PlaylistWalk
        /// What it goes back from, when it does.
        var before: UInt32?
        var isBackward = false
        /// Somebody asked for it: it does not follow from what plays.
        var isAsked = false
        /// Until when a pause lasts, and what it follows.
        var until: UInt64 = 0
        var ending = PlaylistWalk.Ending.failed

        var entry: PlaylistEntry? { if case .open(let entry) = step { entry } else { nil } }
    }

    private struct Record {
        var entry: PlaylistEntry
        var frames: [PlaylistFrame]
        var began: UInt64
        /// The entry that stands before it.
        var before: UInt32?
    }

    /// A way that has not begun. Generations count from behind `firstGeneration`.
    package init(document: PlaylistDocument, settings: Settings = Settings(), firstGeneration: UInt32 = 0) {
        self.document = document
        self.settings = settings
        lastGeneration = firstGeneration
    }

    /// What is planned to play next, if anything is.
    package var upcoming: PlaylistEntry? { planned?.entry }

    // MARK: Forward

    /// What comes next, if it begins at that time: behind what plays, or first of all. The same again until ``begin(now:)``, but for a
    /// pause that is over. With `isEnd` false that time is a guess, and ``ended(now:)`` is told when what plays has ended.
    package mutating func plan(at time: UInt64, isEnd: Bool = true) -> PlaylistStep {
        if let planned {
            guard case .wait = planned.step else { return planned.step }
            guard time >= planned.until else { return .wait(milliseconds: planned.until - time) }
            return resume(at: time)
        }
        var walk = walk(from: frames, at: time)
        guard let current else {
            let arrival = walk.start(document.root)
            return settle(walk, arrival, before: nil)
        }
        if isEnd, judge(at: time), isFruitless {
            return pause(Planned(step: .open(current), walk: walk, before: current.generation, ending: .done), now: time)
        }
        let arrival = walk.next(after: .done)
        return settle(walk, arrival, before: current.generation)
    }

    /// What plays has ended, at whatever time it was thought to. The step to take in place of what was planned; nil when that holds.
    package mutating func ended(now: UInt64) -> PlaylistStep? {
        guard let current, let planned, planned.entry != nil, !planned.isAsked, judge(at: now), isFruitless else { return nil }
        let walk = walk(from: frames, at: now)
        return pause(Planned(step: .open(current), walk: walk, before: current.generation, ending: .done), now: now)
    }

    /// What was planned cannot be opened: it is passed over. What comes in its place.
    package mutating func openFailed(_ reason: String, now: UInt64) -> PlaylistStep {
        guard let planned, let entry = planned.entry else { return plan(at: now) }
        fail(entry, reason)
        if planned.isBackward, let back = record(planned.before) { return goBack(to: back, now: now) }
        if isFruitless { return pause(planned, now: now) }
        var walk = walk(from: planned.walk.frames, at: now)
        let arrival = walk.next(after: .failed)
        return settle(walk, arrival, before: planned.before)
    }

    /// What was planned plays from now on. Nil when nothing is planned that could.
    @discardableResult package mutating func begin(now: UInt64) -> PlaylistEntry? {
        guard let planned, let entry = planned.entry else { return nil }
        let walk = planned.walk
        frames = walk.frames
        for index in frames.indices {
            if frames[index].entered >= walk.at || index == frames.count - 1 && frames[index].roundBegan < walk.at {
                frames[index].shift(from: walk.now, to: now)
            } else if frames[index].roundBegan >= walk.at {
                frames[index].roundBegan = now
            }
            frames[index].hasPlayed = true
        }
        current = entry
        currentBegan = now
        isJudged = false
        counters.begun += 1
        records.removeAll { $0.entry.generation == entry.generation }
        records.append(Record(entry: entry, frames: frames, began: now, before: planned.before))
        if records.count > settings.historyMax + 1 { records.removeFirst(records.count - settings.historyMax - 1) }
        self.planned = nil
        return entry
    }

    /// What was passed over since this was asked last.
    package mutating func takeFailures() -> [Failure] {
        defer { failures = [] }
        return failures
    }

    // MARK: Where viewers and people here want to go

    /// The next entry (1) or the previous one (−1) of the one of that generation (nil: the one that plays), for ``begin(now:)``.
    package mutating func skip(by offset: Int, from generation: UInt32? = nil, now: UInt64) throws(PlaylistRefusal) -> PlaylistStep {
        guard let base = record(generation ?? current?.generation) else {
            guard generation == nil else { throw .unknown(generation.map(String.init) ?? "") }
            throw .noNeighbour(forward: offset > 0)
        }
        guard !(offset > 0 ? base.entry.media.forbidsSkipping : base.entry.media.forbidsReceding) else {
            throw .forbidden(entry: base.entry.words)
        }
        if offset > 0 { return try goForward(from: base, now: now) }
        guard let back = record(base.before) else {
            if base.before != nil { counters.forgotten += 1 }
            throw .noNeighbour(forward: false)
        }
        counters.skipped += 1
        return goBack(to: back, now: now)
    }

    /// Leaves what plays, whatever it forbids: for whoever may. Refused when nothing follows.
    package mutating func next(now: UInt64) throws(PlaylistRefusal) -> PlaylistStep {
        guard let base = record(current?.generation) else { throw .noNeighbour(forward: true) }
        return try goForward(from: base, now: now)
    }

    /// The entry of a generation, if it is not too long ago.
    package func entry(generation: UInt32) -> PlaylistEntry? {
        if current?.generation == generation { return current }
        if let upcoming, upcoming.generation == generation { return upcoming }
        return record(generation)?.entry
    }

    /// Plans an entry once more, under its own generation: a viewer seeks in what is over for us and not for him.
    package mutating func go(backTo generation: UInt32, now: UInt64) throws(PlaylistRefusal) -> PlaylistStep {
        guard let record = record(generation) else { throw .unknown(String(generation)) }
        var walk = walk(from: moved(record.frames), at: now)
        guard walk.frames.last?.node.media != nil else { throw .unknown(String(generation)) }
        for index in walk.frames.indices { walk.frames[index].shift(from: record.began, to: now) }
        var entry = record.entry
        entry.delayMilliseconds = 0
        planned = Planned(step: .open(entry), walk: walk, before: record.before, isAsked: true)
        return .open(entry)
    }

    /// Plans the element of that number, whatever its time is, or the first thing in it.
    package mutating func jump(to number: UInt32, now: UInt64) throws(PlaylistRefusal) -> PlaylistStep {
        guard let trail = document.trail(to: number) else { throw .unknown(String(number)) }
        var walk = walk(from: [], at: now)
        let arrival = walk.jump(document.root, trail: trail)
        guard arrival == .media else { throw .noNeighbour(forward: true) }
        counters.skipped += current == nil ? 0 : 1
        return asked(settle(walk, arrival, before: current?.generation))
    }

    /// An event that elements of `excl` wait for. The step to take now, when one interrupts; nil when none does, or has to wait.
    package mutating func event(_ name: String, now: UInt64) throws(PlaylistRefusal) -> PlaylistStep? {
        var walk = walk(from: frames, at: now)
        guard walk.fire(name) else { throw .unknown(name) }
        frames = walk.frames
        planned = nil
        return leave(now: now)
    }

    /// When what plays is to be left by ``leave(now:)``, as it was not known when it began; `.max` for never.
    package var leavesAt: UInt64 { walk(from: frames, at: currentBegan).leavesAt }

    /// The step to take now, when what plays is interrupted, or its time is over; nil when it goes on.
    package mutating func leave(now: UInt64) -> PlaylistStep? {
        guard current != nil, leavesAt <= now else { return nil }
        planned = nil
        return plan(at: now)
    }

    // MARK: Edits

    /// Another version. What plays goes on. The step to take in place of what was planned; nil when that holds, or nothing was.
    package mutating func replace(_ document: PlaylistDocument, now: UInt64) -> PlaylistStep? {
        self.document = document
        frames = moved(frames)
        guard var before = planned else { return nil }
        if before.isAsked, before.entry != nil {
            before.walk.frames = moved(before.walk.frames)
            if before.walk.frames.last?.node.media != nil {
                planned = before
                return nil
            }
        }
        planned = nil
        fruitless = 0
        pauses = 0
        guard let old = before.entry else { return plan(at: now) }
        let generation = lastGeneration
        let step = plan(at: before.walk.at, isEnd: false)
        guard case .open(var entry) = step else { return step }
        entry.generation = old.generation
        guard entry == old else { return step }
        lastGeneration = generation
        planned?.step = .open(old)
        return nil
    }

    /// Frames of an older version in the present one. Where an element is gone they end with its group, before what stood behind it.
    private func moved(_ old: [PlaylistFrame]) -> [PlaylistFrame] {
        guard var first = old.first else { return [] }
        first.node = document.root
        first.exclusive?.adopt(first.node)
        var frames = [first]
        for (index, frame) in old.enumerated().dropFirst() {
            let children = frames[index - 1].node.children
            guard let place = children.firstIndex(where: { $0.number == frame.node.number }) else {
                frames[index - 1].child = min(frames[index - 1].child, children.count) - 1
                return frames
            }
            frames[index - 1].child = place
            var frame = frame
            frame.node = children[place]
            frame.exclusive?.adopt(frame.node)
            frames.append(frame)
        }
        return frames
    }

    // MARK: Inside

    private func walk(from frames: [PlaylistFrame], at time: UInt64) -> PlaylistWalk {
        PlaylistWalk(frames: frames, at: time, nodeCount: document.nodeCount)
    }

    private func record(_ generation: UInt32?) -> Record? {
        generation.flatMap { wanted in records.last { $0.entry.generation == wanted } }
    }

    private mutating func goForward(from base: Record, now: UInt64) throws(PlaylistRefusal) -> PlaylistStep {
        let isCurrent = base.entry.generation == current?.generation
        var walk = walk(from: isCurrent ? frames : moved(base.frames), at: now)
        let arrival = walk.next(after: .skipped)
        guard arrival == .media else { throw .noNeighbour(forward: true) }
        counters.skipped += 1
        return asked(settle(walk, arrival, before: base.entry.generation))
    }

    private mutating func asked(_ step: PlaylistStep) -> PlaylistStep {
        planned?.isAsked = true
        return step
    }

    private mutating func goBack(to back: Record, now: UInt64) -> PlaylistStep {
        var walk = walk(from: moved(back.frames), at: now)
        for index in walk.frames.indices { walk.frames[index].shift(from: back.began, to: now) }
        let arrival: PlaylistWalk.Arrival = walk.frames.last?.node.media != nil ? .media : walk.next(after: .done)
        let step = settle(walk, arrival, before: back.before)
        if case .open = step { planned?.isBackward = true }
        return asked(step)
    }

    /// Plans what a walk came to. What is known to be broken is passed over at once.
    private mutating func settle(_ first: PlaylistWalk, _ firstArrival: PlaylistWalk.Arrival, before: UInt32?) -> PlaylistStep {
        var walk = first, arrival = firstArrival
        while true {
            switch arrival {
            case .media:
                guard let entry = entry(of: walk) else { return finish(walk, before) }
                guard case .broken(let reason) = entry.media.location else {
                    planned = Planned(step: .open(entry), walk: walk, before: before)
                    return .open(entry)
                }
                fail(entry, reason)
                if isFruitless { return pause(Planned(step: .open(entry), walk: walk, before: before), now: walk.at) }
                var next = self.walk(from: walk.frames, at: walk.at)
                arrival = next.next(after: .failed)
                walk = next
            case .end: return finish(walk, before)
            case .nothing:
                lastReason = lastReason ?? "nothing in it can be played"
                return pause(Planned(step: .finished(.done), walk: walk, before: before), now: walk.at)
            }
        }
    }

    private mutating func finish(_ walk: PlaylistWalk, _ before: UInt32?) -> PlaylistStep {
        let end: PlaylistEnd = current == nil && before == nil ? .nothingPlays(lastReason ?? "it has no entries") : .done
        planned = Planned(step: .finished(end), walk: walk, before: before)
        return .finished(end)
    }

    private mutating func fail(_ entry: PlaylistEntry, _ reason: String) {
        counters.failed += 1
        fruitless += 1
        lastReason = reason
        failures.append(Failure(entry: entry, reason: reason))
    }

    /// What plays ends at that time: whether it was as good as nothing.
    private mutating func judge(at time: UInt64) -> Bool {
        let isShort = time &- min(currentBegan, time) < settings.entryMillisecondsMin
        guard !isJudged else { return isShort }
        isJudged = true
        if isShort {
            fruitless += 1
        } else {
            fruitless = 0
            pauses = 0
        }
        return isShort
    }

    /// Everything had its turn, and nothing played.
    private var isFruitless: Bool { fruitless >= max(document.mediaCount, 1) }

    private mutating func pause(_ failed: Planned, now: UInt64) -> PlaylistStep {
        // A list that ends anyway needs no patience.
        if failed.entry != nil {
            var walk = walk(from: failed.walk.frames, at: now)
            if walk.next(after: failed.ending) == .end { return finish(walk, failed.before) }
        }
        let delay = min(settings.pauseMillisecondsMin << min(pauses, 16), settings.pauseMillisecondsMax)
        fruitless = 0
        pauses += 1
        counters.pauses += 1
        planned = failed
        planned?.step = .wait(milliseconds: delay)
        planned?.until = now.saturating(delay)
        planned?.isBackward = false
        return .wait(milliseconds: delay)
    }

    /// Goes on behind what failed last, after a pause.
    private mutating func resume(at time: UInt64) -> PlaylistStep {
        guard let planned else { return plan(at: time) }
        var walk = walk(from: planned.walk.frames, at: time)
        let arrival = walk.frames.isEmpty ? walk.start(document.root) : walk.next(after: planned.ending)
        return settle(walk, arrival, before: planned.before)
    }

    private mutating func entry(of walk: PlaylistWalk) -> PlaylistEntry? {
        guard let leaf = walk.frames.last, let media = leaf.node.media else { return nil }
        lastGeneration = lastGeneration == .max ? 1 : lastGeneration + 1
        var ends = walk.interruptedAt
        for frame in walk.frames { ends = min(ends, frame.deadline, frame.roundDeadline) }
        // Of a round that has no length of its own here whoever opens it plays the part.
        let isPart = leaf.isPart && leaf.node.timing.duration == nil
        var descriptions: [PlaylistDescription] = []
        for description in walk.frames.flatMap(\.node.descriptions) {
            descriptions.removeAll { $0.name == description.name }
            descriptions.append(description)
        }
        return PlaylistEntry(
            generation: lastGeneration, node: leaf.node.number, id: leaf.node.id, media: media, descriptions: descriptions,
            delayMilliseconds: walk.delay, fromMilliseconds: walk.resumesFrom ?? media.clipBegin ?? 0, toMilliseconds: media.clipEnd,
            durationMilliseconds: ends == .max ? nil : ends - min(walk.now, ends),
            thousandths: isPart ? leaf.node.timing.repeatThousandths : nil, line: leaf.node.line)
    }
}
