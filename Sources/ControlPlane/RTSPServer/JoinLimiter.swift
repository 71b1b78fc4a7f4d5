import PlaneLink

/// How many new sessions each address may open: a burst (``Limits/joinsBurstPerAddress``), which is forgiven at a rate
/// (``Limits/joinsPerSecondPerAddress``).
///
/// The table holds the addresses that still owe something, which the connection limit bounds.
struct JoinLimiter {
    private let joinsPerSecond: Int
    private let burst: Int
    private var owed: [HostAddress: Int] = [:]

    init(limits: Limits) {
        joinsPerSecond = limits.joinsPerSecondPerAddress
        burst = limits.joinsBurstPerAddress
    }

    /// Counts one join; false when the address has used up its burst.
    mutating func admit(_ host: HostAddress) -> Bool {
        let count = owed[host, default: 0]
        guard count < burst else { return false }
        owed[host] = count + 1
        return true
    }

    /// A second has passed.
    mutating func nextSecond() {
        owed = owed.compactMapValues { $0 > joinsPerSecond ? $0 - joinsPerSecond : nil }
    }
}
