import PlaneLink

/// How much each address may do, as opening sessions (``Limits/joinsPerSecondPerAddress``) or telling of players
/// (``Limits/eventsPerSecondPerAddress``): a burst, which is forgiven at a rate.
///
/// The table holds the addresses that still owe something, which the connection limit bounds.
struct JoinLimiter {
    private let perSecond: Int
    private let burst: Int
    private var owed: [HostAddress: Int] = [:]

    init(perSecond: Int, burst: Int) {
        self.perSecond = perSecond
        self.burst = burst
    }

    /// Counts one; false when the address has used up its burst.
    mutating func admit(_ host: HostAddress) -> Bool {
        let count = owed[host, default: 0]
        guard count < burst else { return false }
        owed[host] = count + 1
        return true
    }

    /// A second has passed.
    mutating func nextSecond() {
        owed = owed.compactMapValues { $0 > perSecond ? $0 - perSecond : nil }
    }
}
