import WireFormats

/// The way from one thing to play to the next, through repeats, alternatives and interruptions. A value: to look ahead is to walk a copy.
struct PlaylistWalk {
    /// What it came to.
    enum Arrival: Equatable {
        /// The innermost frame is something to play.
        case media
        case end
        /// Round and round without anything to play.
        case nothing
    }

    /// From the outermost, which is the whole, to the innermost.
    var frames: [PlaylistFrame]
    /// When what comes next would begin, if it began at once.
    let at: UInt64
    private let stepsMax: Int
    /// Silence before it.
    private(set) var delay: UInt64 = 0
    /// Where in its source it goes on, if it was interrupted before.
    private(set) var resumesFrom: UInt64?

    private enum Motion {
        case enter(PlaylistNode, isForced: Bool)
        /// The turn of the innermost group's next child.
        case advance
        /// A round of the innermost frame is over.
        case again
        /// The innermost frame is over.
        case leave
        case arrived
    }

    /// How what plays ended.
    enum Ending {
        case done
        /// It could not be opened.
        case failed
        /// Somebody wants what is behind it.
        case skipped
    }

    /// A walk through a document of so many elements.
    init(frames: [PlaylistFrame], at: UInt64, nodeCount: Int) {
        self.frames = frames
        self.at = at
        // Several times through everything without anything to play is enough.
        stepsMax = 1_024 + 8 * nodeCount
    }

    var now: UInt64 { at.saturating(delay) }

    /// Goes to the first thing of a document.
    mutating func start(_ root: PlaylistNode) -> Arrival {
        frames = []
        return run(.enter(root, isForced: true))
    }

    /// Goes on behind what plays.
    mutating func next(after ending: Ending) -> Arrival {
        guard let last = frames.last else { return .end }
        // What played was taken out: its group goes on.
        guard last.node.media != nil else { return run(.advance) }
        if case .done = ending {
            if let place = interruption() { return interrupt(at: place) }
            return run(.again)
        }
        return run(.leave)
    }

    /// Goes to an element, whatever its time is. `trail` leads to it from the whole.
    mutating func jump(_ root: PlaylistNode, trail: [PlaylistNode]) -> Arrival {
        frames = [PlaylistFrame(root, entered: now, began: now)]
        for (depth, node) in trail.enumerated() {
            let last = frames.count - 1
            let group = frames[last].node
            frames[last].child = group.children.firstIndex { $0.number == node.number } ?? -1
            if case .exclusive = group.kind {
                var state = ExclusiveState(group, at: now)
                state.begun(node.number)
                frames[last].exclusive = state
            }
            if depth == trail.count - 1 { return run(.enter(node, isForced: true)) }
            frames.append(PlaylistFrame(node, entered: now, began: now))
        }
        return .end
    }

    private mutating func run(_ first: Motion) -> Arrival {
        var motion = first
        var stepsLeft = stepsMax
        while true {
            stepsLeft -= 1
            guard stepsLeft > 0 else { return .nothing }
            if let cut = cut(before: motion) { motion = cut }
            switch motion {
            case .enter(let node, let isForced): motion = enter(node, isForced: isForced)
            case .advance: motion = advance()
            case .again: motion = again()
            case .leave:
                guard let left = frames.popLast(), !frames.isEmpty else { return .end }
                if let id = left.node.id { fire("\(id).end") }
                motion = .advance
            case .arrived: return .media
            }
        }
    }

    /// Ends what is past its time, the outermost first.
    private mutating func cut(before motion: Motion) -> Motion? {
        if case .leave = motion { return nil }
        if case .arrived = motion { return nil }
        for index in frames.indices {
            let isOver = frames[index].deadline <= now
            guard isOver || frames[index].roundDeadline <= now else { continue }
            frames.removeLast(frames.count - index - 1)
            return isOver ? .leave : .again
        }
        return nil
    }

    private mutating func enter(_ node: PlaylistNode, isForced: Bool) -> Motion {
        var wait: UInt64 = 0
        let entered = now
        if !isForced, !node.timing.begin.isEmpty {
            let offsets = node.timing.begin.compactMap { if case .offset(let offset) = $0 { offset } else { nil } }
            // Nobody will call it here: only an `excl` listens.
            guard let first = offsets.min() else { return .advance }
            wait = first
        }
        delay = delay.saturating(wait)
        let frame = PlaylistFrame(node, entered: entered, began: now)
        guard frame.deadline > now, frame.roundDeadline > now else { return frames.isEmpty ? .leave : .advance }
        frames.append(frame)
        if let id = node.id { fire("\(id).begin") }
        return node.media != nil ? .arrived : .advance
    }

    private mutating func advance() -> Motion {
        guard let last = frames.indices.last else { return .leave }
        let children = frames[last].node.children
        switch frames[last].node.kind {
        case .media: return .again
        case .alternatives where frames[last].hasPlayed: return .again
        case .sequence, .alternatives:
            frames[last].child += 1
            guard frames[last].child < children.count else { return .again }
            return .enter(children[frames[last].child], isForced: false)
        case .exclusive: return choose()
        }
    }

    private mutating func again() -> Motion {
        guard let last = frames.indices.last else { return .leave }
        guard frames[last].hasRoundsLeft, frames[last].deadline > now else { return .leave }
        frames[last].round += 1
        frames[last].roundBegan = now
        frames[last].child = -1
        frames[last].hasPlayed = false
        frames[last].exclusive = nil
        return frames[last].node.media != nil ? .arrived : .advance
    }

    // MARK: excl

    /// The child of the innermost frame, an `excl`, whose turn it is when nothing of it plays.
    private mutating func choose() -> Motion {
        let last = frames.count - 1
        let node = frames[last].node
        let children = node.children
        var state = frames[last].exclusive ?? ExclusiveState(node, at: frames[last].roundBegan)
        // One owner, so that what changes is not copied.
        frames[last].exclusive = nil
        if children.indices.contains(frames[last].child) {
            state.forget(while: children[frames[last].child], from: frames[last].roundBegan, to: now)
        }
        func rank(_ number: UInt32) -> Int { state.place(of: number).map { children[$0].priority.rank } ?? .max }
        let due = state.next(at: now)
        let paused = state.paused.indices.min { rank(state.paused[$0].number) < rank(state.paused[$1].number) }
        if let paused, due.map({ $0.at > now || rank(state.paused[paused].number) <= $0.rank }) ?? true {
            let rest = state.resume(paused)
            frames[last].child = state.place(of: rest.number) ?? -1
            frames[last].exclusive = state
            resumesFrom = rest.fromMilliseconds
            let time = now
            frames += rest.frames.map { frame in
                var frame = frame
                frame.shift(from: rest.at, to: time)
                return frame
            }
            return .arrived
        }
        guard let due else {
            frames[last].exclusive = state
            return .again
        }
        state.begun(due.number)
        frames[last].exclusive = state
        frames[last].child = due.place
        delay = delay.saturating(due.at > now ? due.at - now : 0)
        return .enter(children[due.place], isForced: true)
    }

    /// When something would interrupt what plays; `.max` for never.
    var interruptedAt: UInt64 {
        frames.indices.reduce(UInt64.max) { min($0, interrupter(of: $1)?.at ?? .max) }
    }

    /// The index of the outermost `excl` a child of which is due and interrupts what plays.
    private func interruption() -> Int? { frames.indices.first { (interrupter(of: $0)?.at ?? .max) <= now } }

    private func interrupter(of index: Int) -> (number: UInt32, place: Int, at: UInt64)? {
        guard let state = frames[index].exclusive, index + 1 < frames.count else { return nil }
        return state.interrupter(of: frames[index + 1].node)
    }

    private mutating func interrupt(at index: Int) -> Arrival {
        guard let due = interrupter(of: index), let playing = frames.last, frames[index].node.children.indices.contains(due.place) else {
            return run(.again)
        }
        let interrupted = frames[index + 1].node, interrupting = frames[index].node.children[due.place]
        let isPeer = interrupting.priority.rank == interrupted.priority.rank
        if (isPeer ? interrupted.priority.peers : interrupted.priority.higher) == .pause {
            let from = (playing.node.media?.clipBegin ?? 0).saturating(now - min(playing.roundBegan, now))
            let paused = ExclusiveState.Paused(
                number: interrupted.number, frames: Array(frames[(index + 1)...]), at: now, fromMilliseconds: from)
            frames[index].exclusive?.pause(paused, for: due.number)
        }
        frames.removeLast(frames.count - index - 1)
        frames[index].exclusive?.begun(due.number)
        frames[index].child = due.place
        return run(.enter(interrupting, isForced: true))
    }

    /// Something happened, or somebody said so: what waits for it is due, or ends. Returns whether anything did.
    @discardableResult mutating func fire(_ event: String) -> Bool {
        var isAwaited = false
        for index in frames.indices {
            if !frames[index].node.timing.end.isEmpty, frames[index].hear(event, at: now) { isAwaited = true }
            guard case .exclusive(let children) = frames[index].node.kind else { continue }
            var state = frames[index].exclusive ?? ExclusiveState(frames[index].node, at: frames[index].roundBegan)
            frames[index].exclusive = nil
            let playing = index + 1 < frames.count ? frames[index + 1].node.number : nil
            if state.fire(event, at: now, playing: playing, rank: { children[$0].priority.rank }) { isAwaited = true }
            frames[index].exclusive = state
        }
        return isAwaited
    }

    /// When what plays has to be left: something interrupts it, or its time is over; `.max` for never.
    var leavesAt: UInt64 { frames.reduce(interruptedAt) { min($0, $1.deadline, $1.roundDeadline) } }
}
