import NIOCore

/// What the kernel dropped before it could be received, and when that was last said.
struct ReceiveDrops {
    /// Datagrams since the start.
    private(set) var total: UInt64 = 0
    private var said: UInt64 = 0
    private var saidAt: NIODeadline?

    /// The log hears of them at most this often.
    private static let pause = TimeAmount.seconds(60)

    /// Counts some more. Gives how many are to be said now: those that were not said yet, at most once a minute.
    mutating func add(_ datagrams: UInt64, now: NIODeadline) -> UInt64? {
        total &+= datagrams
        guard total != said, saidAt.map({ now - $0 >= Self.pause }) ?? true else { return nil }
        defer {
            said = total
            saidAt = now
        }
        return total &- said
    }
}
