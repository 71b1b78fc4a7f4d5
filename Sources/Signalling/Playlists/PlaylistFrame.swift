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
    /// When it ends because something happened.
    private(set) var eventEnd: UInt64 = .max

    /// An element whose turn has come.
    init(_ node: PlaylistNode, entered: UInt64, began: UInt64) {
        self.node = node
        self.entered = entered
        self.began = began
        roundBegan = began
    }

    /// When this round ends at the latest.
    var roundDeadline: UInt64 {
        node.timing.duration.map { roundBegan.saturating(isPart ? $0 / 1_000 * thousandths + $0 % 1_000 * thousandths / 1_000 : $0) }
            ?? .max
    }

    /// When all of it ends at the latest. `end` counts from when its turn came.
    var deadline: UInt64 {
        var deadline = min(node.timing.repeatDuration.map { began.saturating($0) } ?? .max, eventEnd)
        for case .offset(let end) in node.timing.end { deadline = min(deadline, entered.saturating(end)) }
        return deadline
    }

    /// Whether this is the last round, of which only a part is played.
    var isPart: Bool {
        guard thousandths > 0, case .times(let times) = node.timing.repeatCount else { return false }
        return round > UInt64(times)
    }

    private var thousandths: UInt64 { UInt64(node.timing.repeatThousandths) }

    /// Whether another round follows, as far as times do not forbid it.
    var hasRoundsLeft: Bool {
        switch node.timing.repeatCount {
        case .times(let times): round < UInt64(times) + (thousandths > 0 ? 1 : 0)
        case .indefinite: true
        case nil: node.timing.repeatDuration != nil
        }
    }

    /// Something happened; returns whether it waited for that.
    mutating func hear(_ event: String, at now: UInt64) -> Bool {
        var isAwaited = false
        for case .event(event, let after) in node.timing.end {
            isAwaited = true
            eventEnd = min(eventEnd, now.saturating(after))
        }
        return isAwaited
    }

    /// Moves it in time.
    mutating func shift(from: UInt64, to: UInt64) {
        func moved(_ time: UInt64) -> UInt64 { to >= from ? time.saturating(to - from) : time - min(from - to, time) }
        entered = moved(entered)
        began = moved(began)
        roundBegan = moved(roundBegan)
        if eventEnd < .max { eventEnd = moved(eventEnd) }
        exclusive?.shift(moved)
    }
}

extension UInt64 {
    /// The sum, or the most there is.
    func saturating(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
