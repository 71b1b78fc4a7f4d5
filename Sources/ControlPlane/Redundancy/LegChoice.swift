/// Which of a path's sources plays: the first that can, and again the first when it has been well for a while. Pure: time is
/// monotonic nanoseconds.
///
/// A *leg* is one of several sources of a path; leg 0 is the primary.
struct LegChoice {
    /// A leg that failed while it was the chosen one rests for so long: the others have their turn first.
    static let restNanoseconds: UInt64 = 2_000_000_000
    /// A leg that fails again and again soon after it was gone back to is waited for longer each time, up to 2 to this power.
    static let relapsesMax = 6
    /// A server that closes a connection on which nothing is asked is well if it can be had again within so long.
    private static let graceNanoseconds: UInt64 = 10_000_000_000
    /// Without a time to go back after, a leg that played for so long has recovered.
    private static let steadyNanoseconds: UInt64 = 30_000_000_000

    private struct Leg {
        /// Since when it could play at once, or plays.
        var readySince: UInt64?
        /// Whether being ready says that it is well: a sender that is only listened to when it is chosen cannot show that.
        var showsHealth = true
        var failedAt: UInt64?
        var relapses = 0
        /// A leg that waits was ready since then, and was lost.
        var lost: (since: UInt64, at: UInt64)?
    }

    private var legs: [Leg]
    /// The leg that plays, or is asked to; nil: the first that can is taken.
    private(set) var chosen: Int?
    private var chosenAt: UInt64 = 0
    /// Nil: what plays goes on until it fails.
    private let failbackNanoseconds: UInt64?

    /// The primary of `count` legs is chosen.
    init(count: Int, failbackNanoseconds: UInt64?) {
        legs = Array(repeating: Leg(), count: count)
        self.failbackNanoseconds = failbackNanoseconds
        chosen = count > 0 ? 0 : nil
    }

    /// Whether a leg could play at once, or plays.
    func isReady(_ leg: Int) -> Bool { legs[leg].readySince != nil }

    /// Whether it is of interest that a leg which is not chosen becomes ready: it would be gone back to.
    func isAwaited(_ leg: Int) -> Bool {
        guard let chosen else { return true }
        return leg < chosen && failbackNanoseconds != nil
    }

    /// A leg could play at once.
    mutating func ready(_ leg: Int, showsHealth: Bool = true, now: UInt64) {
        let former = legs[leg].lost.flatMap { now &- $0.at <= Self.graceNanoseconds ? $0.since : nil }
        legs[leg].readySince = legs[leg].readySince ?? former ?? now
        legs[leg].lost = nil
        legs[leg].showsHealth = showsHealth
    }

    /// A leg was let go of: what was known of it no longer holds.
    mutating func rested(_ leg: Int) {
        legs[leg].readySince = nil
        legs[leg].lost = nil
    }

    /// A leg failed.
    mutating func failed(_ leg: Int, now: UInt64) {
        legs[leg].lost = chosen == leg ? nil : legs[leg].readySince.map { ($0, now) }
        legs[leg].readySince = nil
        guard chosen == leg else { return }
        let wasSteady = now &- chosenAt >= failbackNanoseconds ?? Self.steadyNanoseconds
        legs[leg].relapses = wasSteady ? 0 : min(legs[leg].relapses + 1, Self.relapsesMax)
        legs[leg].failedAt = now
        chosen = nil
    }

    /// Begins again with the primary.
    mutating func reset(now: UInt64) {
        for leg in legs.indices {
            rested(leg)
            legs[leg].failedAt = nil
        }
        chosen = legs.isEmpty ? nil : 0
        chosenAt = now
    }

    /// Chooses anew, if there is reason to.
    mutating func choose(now: UInt64) {
        let next =
            chosen.map { current in
                (0..<current).first { leg in failbackAt(leg).map { $0 <= now } ?? false } ?? current
            } ?? legs.indices.first { legs[$0].readySince != nil && restedAt($0) <= now }
        guard next != chosen else { return }
        chosen = next
        chosenAt = now
    }

    /// When to choose again, if nothing happens before.
    func nextLook(now: UInt64) -> UInt64? {
        let times: [UInt64]
        if let chosen {
            times = (0..<chosen).compactMap { failbackAt($0) }
        } else {
            times = legs.indices.compactMap { legs[$0].readySince == nil ? nil : restedAt($0) }
        }
        return times.filter { $0 > now }.min()
    }

    private func restedAt(_ leg: Int) -> UInt64 { legs[leg].failedAt.map { $0 &+ Self.restNanoseconds } ?? 0 }

    private func failbackAt(_ leg: Int) -> UInt64? {
        guard let failbackNanoseconds, legs[leg].showsHealth, let since = legs[leg].readySince else { return nil }
        return since &+ failbackNanoseconds &<< UInt64(legs[leg].relapses)
    }
}
