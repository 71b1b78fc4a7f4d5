import WireFormats

/// One element that is being gone through: the groups around what plays, and that itself.
struct PlaylistFrame: Sendable, Equatable {
    var node: PlaylistNode
    /// Of a group: the index of the child whose turn it is; −1 before the first.
    var child = -1
    /// From 1.
    var round: UInt64 = 1
    /// When its turn came; when it began, behind its own delay; when this round of it did.
    var entered: UInt64
    var began: UInt64
    var roundBegan: UInt64
    /// Something of it was played, in this round.
    var hasPlayed = false
    /// Of an `excl` that was begun.
    var exclusive: ExclusiveState?

    /// An element whose turn has come.
    init(_ node: PlaylistNode, entered: UInt64, began: UInt64) {
        self.node = node
        self.entered = entered
        self.began = began
        roundBegan = began
    }

    /// When this round ends at the latest.
    var roundDeadline: UInt64 { node.timing.duration.map { roundBegan.saturating($0) } ?? .max }

    /// When all of it ends at the latest. `origin` is what `end` counts from.
    var deadline: UInt64 {
        var deadline = node.timing.repeatDuration.map { began.saturating($0) } ?? .max
        if case .offset(let end) = node.timing.end { deadline = min(deadline, entered.saturating(end)) }
        return deadline
    }

    /// Whether another round follows, as far as times do not forbid it.
    var hasRoundsLeft: Bool {
        switch node.timing.repeatCount {
        case .times(let times): round < UInt64(times)
        case .indefinite: true
        case nil: node.timing.repeatDuration != nil
        }
    }

    /// Moves it in time.
    mutating func shift(from: UInt64, to: UInt64) {
        func moved(_ time: UInt64) -> UInt64 { to >= from ? time.saturating(to - from) : time - min(from - to, time) }
        entered = moved(entered)
        began = moved(began)
        roundBegan = moved(roundBegan)
        if let due = exclusive?.due { exclusive?.due = due.mapValues(moved) }
    }
}

/// What an `excl` remembers while it plays.
struct ExclusiveState: Sendable, Equatable {
    /// When children are due, by their numbers: those that wait for their time, or for the end of what plays.
    var due: [UInt32: UInt64] = [:]
    /// Those that were interrupted and go on, with what was open in them.
    var paused: [Paused] = []

    struct Paused: Sendable, Equatable {
        var number: UInt32
        var frames: [PlaylistFrame]
        /// When, and where in its source.
        var at: UInt64
        var fromMilliseconds: UInt64
    }

    /// Children that begin by time are due; if none does, the first is at once, for something has to.
    init(_ node: PlaylistNode, at: UInt64) {
        for child in node.children {
            if case .offset(let offset) = child.timing.begin { due[child.number] = at.saturating(offset) }
        }
        if due.isEmpty, let first = node.children.first { due[first.number] = at }
    }
}

extension UInt64 {
    /// The sum, or the most there is.
    func saturating(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
