import WireFormats

/// What an `excl` remembers while it plays: which of its children are due, and when; and which were interrupted and go on.
///
/// Lists of thousands are walked within one turn of the event loop when nothing of them opens, so no step looks at all children.
struct ExclusiveState: Sendable, Equatable {
    /// Interrupted, and what was open in it.
    struct Paused: Sendable, Equatable {
        var number: UInt32
        var frames: [PlaylistFrame]
        /// When, and where in its source.
        var at: UInt64
        var fromMilliseconds: UInt64
    }

    /// A child that begins at a time.
    private struct Due: Sendable, Equatable {
        /// Behind ``ExclusiveState/base``.
        var after: UInt64
        /// The child, where it stands, and by which of its instants it is due.
        var number: UInt32
        var place: Int32
        var instant: Int32

        func isBefore(_ other: Due) -> Bool { (after, place) < (other.after, other.place) }
    }

    /// Children that wait for an event: which one, by which of its instants, how long after it.
    private struct Listener: Sendable, Equatable {
        var number: UInt32
        var place: Int32
        var instant: Int32
        var after: UInt64
    }

    /// Of one priority class, the last that is due first.
    private struct Queue: Sendable, Equatable {
        var rank: Int
        var dues: [Due]
    }

    /// Those that go on.
    private(set) var paused: [Paused] = []

    private var base: UInt64
    /// By rank, the most important first.
    private var queues: [Queue] = []
    private var places: [UInt32: Int] = [:]
    private var listeners: [String: [Listener]] = [:]

    /// Children that begin by time are due; if none does, the first is at once, for something has to.
    init(_ node: PlaylistNode, at: UInt64) {
        base = at
        adopt(node)
        let children = node.children
        var byRank: [Int: [Due]] = [:]
        for (place, child) in children.enumerated() {
            for (index, instant) in child.timing.begin.enumerated() {
                guard case .offset(let offset) = instant else { continue }
                let due = Due(after: offset, number: child.number, place: Int32(clamping: place), instant: Int32(clamping: index))
                byRank[child.priority.rank, default: []].append(due)
            }
        }
        if byRank.isEmpty, let first = children.first {
            byRank[first.priority.rank] = [Due(after: 0, number: first.number, place: 0, instant: -1)]
        }
        queues = byRank.sorted { $0.key < $1.key }.map { Queue(rank: $0.key, dues: $0.value.sorted { $1.isBefore($0) }) }
    }

    /// The same in another version of the document: what is gone is not due, and what is new waits for its events alone.
    mutating func adopt(_ node: PlaylistNode) {
        places = [:]
        listeners = [:]
        for (place, child) in node.children.enumerated() {
            places[child.number] = place
            for (index, instant) in child.timing.begin.enumerated() {
                guard case .event(let name, let after) = instant else { continue }
                listeners[name, default: []].append(
                    Listener(number: child.number, place: Int32(clamping: place), instant: Int32(clamping: index), after: after))
            }
        }
        for index in queues.indices { queues[index].dues.removeAll { places[$0.number] == nil } }
        paused.removeAll { places[$0.number] == nil }
    }

    /// Moves all times.
    mutating func shift(_ moved: (UInt64) -> UInt64) { base = moved(base) }

    /// Where a child stands; nil for what is not one.
    func place(of number: UInt32) -> Int? { places[number] }

    // MARK: Due

    /// Which child's turn it is when nothing plays: of those that are due the most important one, else the next that will be. With when
    /// that is.
    func next(at now: UInt64) -> (place: Int, number: UInt32, at: UInt64, rank: Int)? {
        var first: (place: Int, number: UInt32, at: UInt64, rank: Int)?
        for queue in queues {
            guard let due = queue.dues.last, let place = places[due.number] else { continue }
            let at = base.saturating(due.after)
            if at <= now { return (place, due.number, at, queue.rank) }
            if first.map({ (at, place) < ($0.at, $0.place) }) ?? true { first = (place, due.number, at, queue.rank) }
        }
        return first
    }

    /// A child begins: that it was due is done with.
    mutating func begun(_ number: UInt32) {
        for index in queues.indices {
            guard let found = queues[index].dues.lastIndex(where: { $0.number == number }) else { continue }
            queues[index].dues.remove(at: found)
            return
        }
    }

    /// Forgets what was due in a time (without its beginning) while another child played that lets none of its class, or of one further
    /// down, wait; and that child itself, as it plays already.
    mutating func forget(while played: PlaylistNode, from begin: UInt64, to now: UInt64) {
        for index in queues.indices {
            let rank = queues[index].rank
            let isOut =
                rank == played.priority.rank
                ? played.priority.peers == .never : rank > played.priority.rank && played.priority.lower == .never
            guard isOut || rank == played.priority.rank else { continue }
            var place = queues[index].dues.count
            while place > 0, base.saturating(queues[index].dues[place - 1].after) <= now {
                place -= 1
                let due = queues[index].dues[place]
                if base.saturating(due.after) > begin, isOut || due.number == played.number { queues[index].dues.remove(at: place) }
            }
        }
    }

    /// The first child that is due, now or later, and interrupts the one that plays.
    func interrupter(of playing: PlaylistNode) -> (number: UInt32, place: Int, at: UInt64)? {
        var first: (number: UInt32, place: Int, at: UInt64)?
        for queue in queues where queue.rank <= playing.priority.rank {
            let rule = queue.rank == playing.priority.rank ? playing.priority.peers : playing.priority.higher
            guard rule == .stop || rule == .pause else { continue }
            guard let due = queue.dues.last(where: { $0.number != playing.number }), let place = places[due.number] else { continue }
            let at = base.saturating(due.after)
            if first.map({ at < $0.at }) ?? true { first = (due.number, place, at) }
        }
        return first
    }

    // MARK: Events

    /// Something happened: who waits for it is due. What plays already does not begin anew. Returns whether anybody waited.
    mutating func fire(_ event: String, at now: UInt64, playing: UInt32?, rank: (Int) -> Int) -> Bool {
        var isAwaited = false
        for listener in listeners[event] ?? [] where listener.number != playing {
            isAwaited = true
            let time = now.saturating(listener.after)
            // What is due before the first child was is due with it.
            let due = Due(after: time - min(base, time), number: listener.number, place: listener.place, instant: listener.instant)
            add(due, rank: rank(Int(listener.place)))
        }
        return isAwaited
    }

    private mutating func add(_ due: Due, rank: Int) {
        guard let index = queues.firstIndex(where: { $0.rank >= rank }) else {
            queues.append(Queue(rank: rank, dues: [due]))
            return
        }
        guard queues[index].rank == rank else {
            queues.insert(Queue(rank: rank, dues: [due]), at: index)
            return
        }
        // The same once more takes the place of what it said before.
        queues[index].dues.removeAll { $0.number == due.number && $0.instant == due.instant }
        var low = 0, high = queues[index].dues.count
        while low < high {
            let middle = (low + high) / 2
            if due.isBefore(queues[index].dues[middle]) { low = middle + 1 } else { high = middle }
        }
        queues[index].dues.insert(due, at: low)
    }

    // MARK: Paused

    /// What was interrupted and goes on. What is begun anew, or paused once more, does not go on from an earlier place.
    mutating func pause(_ one: Paused, for interrupter: UInt32) {
        paused.removeAll { $0.number == one.number || $0.number == interrupter }
        paused.append(one)
    }

    /// Takes out what goes on now.
    mutating func resume(_ index: Int) -> Paused { paused.remove(at: index) }
}
