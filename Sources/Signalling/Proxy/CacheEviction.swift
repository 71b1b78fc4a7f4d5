/// Which objects go when room is needed. `docs/cache.md` tells the rule and what it was measured against.
///
/// An object is worth the more, the more often it was opened for each second that it has been known, and the less room it takes for that: the one
/// that is worth least goes first. It needs nothing remembered beside what the index holds anyway, and is the same after a restart.
package struct CacheEviction: Sendable, Hashable {
    /// An object that may go. Pinned ones, and those that somebody plays or fills, are never handed in.
    package struct Candidate: Sendable, Hashable {
        /// The store's name for it.
        package var id: String
        /// Bytes on the disk now.
        package var bytes: Int64
        /// Bytes of the whole content; nil: not known.
        package var wholeBytes: Int64?
        /// When it was made, in seconds since 1970.
        package var createdAt: Int64
        /// When it was opened for a player last, in seconds since 1970.
        package var usedAt: Int64
        /// How often it was opened for a player.
        package var uses: Int

        /// A candidate.
        package init(id: String, bytes: Int64, wholeBytes: Int64? = nil, createdAt: Int64, usedAt: Int64, uses: Int) {
            self.id = id
            self.bytes = bytes
            self.wholeBytes = wholeBytes
            self.createdAt = createdAt
            self.usedAt = usedAt
            self.uses = uses
        }
    }

    /// What was opened last longer ago than this goes in any case, in seconds; nil: nothing does.
    package var idleSecondsMax: Int64?

    /// A rule.
    package init(idleSecondsMax: Int64? = nil) { self.idleSecondsMax = idleSecondsMax }

    /// Seconds that count for each object beside its age: what came a moment ago has not had its chance yet.
    static let graceSeconds: Int64 = 3_600

    /// The objects to let go of, in this order, so that `needed` bytes become free. What is idle too long comes first, and in any case; then as
    /// many as are needed, those that are worth least first. Where all of them together would not be enough, only what is idle: nothing would be won.
    package func victims(_ candidates: [Candidate], needing needed: Int64, now: Int64) -> [String] {
        var idle: [Candidate] = []
        var freed: Int64 = 0
        var rest: [(candidate: Candidate, worth: Double)] = []
        var restBytes: Int64 = 0
        for candidate in candidates {
            if let idleSecondsMax, elapsed(since: candidate.usedAt, now) > idleSecondsMax {
                idle.append(candidate)
                freed = sum(freed, candidate.bytes)
            } else {
                rest.append((candidate, worth(candidate, now: now)))
                restBytes = sum(restBytes, candidate.bytes)
            }
        }
        idle.sort(by: wasUsedBefore)
        var victims = idle.map(\.id)
        guard freed < needed, sum(freed, restBytes) >= needed else { return victims }
        rest.sort { $0.worth != $1.worth ? $0.worth < $1.worth : wasUsedBefore($0.candidate, $1.candidate) }
        for (candidate, _) in rest where freed < needed {
            // What takes no room wins none.
            guard candidate.bytes > 0 else { continue }
            victims.append(candidate.id)
            freed = sum(freed, candidate.bytes)
        }
        return victims
    }

    private func wasUsedBefore(_ first: Candidate, _ second: Candidate) -> Bool {
        first.usedAt != second.usedAt ? first.usedAt < second.usedAt : first.id < second.id
    }

    /// What an object is worth: never negative, never infinite.
    func worth(_ candidate: Candidate, now: Int64) -> Double {
        let seconds = Double(sum(elapsed(since: candidate.createdAt, now), Self.graceSeconds))
        return Double(max(0, candidate.uses)) / seconds
    }

    /// Clocks may be set back, and an index may say anything.
    private func elapsed(since then: Int64, _ now: Int64) -> Int64 {
        let (elapsed, overflows) = now.subtractingReportingOverflow(then)
        return overflows ? (then < 0 ? .max : 0) : max(0, elapsed)
    }

    private func sum(_ first: Int64, _ second: Int64) -> Int64 {
        let (sum, overflows) = first.addingReportingOverflow(max(0, second))
        return overflows ? .max : sum
    }
}
