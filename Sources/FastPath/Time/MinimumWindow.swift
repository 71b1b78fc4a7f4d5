/// The least of the values of the last while: of delays, the one that no queue added to. It remembers between one span and two.
struct MinimumWindow: BitwiseCopyable, Equatable {
    private var current: Int64 = 0
    private var before: Int64 = 0
    private var hasCurrent = false
    private var hasBefore = false
    private var began: UInt64 = 0

    /// Takes notice of a value.
    mutating func add(_ value: Int64, at now: UInt64, span: UInt64) {
        if hasCurrent, now &- began >= span {
            // What is older than two spans is forgotten.
            hasBefore = now &- began < span &* 2
            before = current
            hasCurrent = false
        }
        if !hasCurrent { began = now }
        current = hasCurrent ? min(current, value) : value
        hasCurrent = true
    }

    /// The least, or nil before the first.
    var value: Int64? { hasCurrent ? hasBefore ? min(current, before) : current : nil }

    /// The least of a whole span, or nil before one has passed.
    var settled: Int64? { hasBefore ? value : nil }

    /// What the values are counted from has moved.
    mutating func shift(by amount: Int64) {
        current &+= amount
        before &+= amount
    }

    /// Forgets everything.
    mutating func reset() { self = MinimumWindow() }
}
