/// Why an object was let go of.
package enum CacheRemoval: String, Sendable, Hashable, CaseIterable, Codable {
    /// Room was needed.
    case evicted
    /// Nobody used it for `cache-age-max`.
    case idle
    /// `weir cache purge`.
    case purged
    /// A newer version came under its key.
    case replaced
    /// The origin has other content now, or forbade to keep it.
    case changed
    /// Its checksums are wrong, or its files are not there.
    case damaged
    /// The disk refused to write it.
    case failed
    /// Whoever filled it gave up.
    case abandoned
}

/// What the cache counts: gauges as they are now, the rest since it was opened.
package struct CacheCounters: Sendable, Equatable, Codable {
    /// Gauges.
    package var objects = 0
    package var bytes: Int64 = 0
    package var bytesMax: Int64 = 0
    package var objectsInUse = 0
    /// Objects made, and opened for a player.
    package var created: UInt64 = 0
    package var opened: UInt64 = 0
    package var evicted: UInt64 = 0
    package var idle: UInt64 = 0
    package var purged: UInt64 = 0
    package var replaced: UInt64 = 0
    package var changed: UInt64 = 0
    package var damaged: UInt64 = 0
    package var failed: UInt64 = 0
    package var abandoned: UInt64 = 0
    /// Refusals, by the bound.
    package var tooLarge: UInt64 = 0
    package var full: UInt64 = 0
    package var tooManyOpen: UInt64 = 0
    /// Bytes written and read through the cache (the engine's own reads not among them), and read to look at checksums.
    package var bytesWritten: UInt64 = 0
    package var bytesRead: UInt64 = 0
    package var bytesVerified: UInt64 = 0
    package var commits: UInt64 = 0
    /// Objects and leftovers that were taken away when the cache was opened.
    package var lostAtOpen: UInt64 = 0

    package init() {}

    mutating func count(_ cause: CacheRemoval) {
        switch cause {
        case .evicted: evicted += 1
        case .idle: idle += 1
        case .purged: purged += 1
        case .replaced: replaced += 1
        case .changed: changed += 1
        case .damaged: damaged += 1
        case .failed: failed += 1
        case .abandoned: abandoned += 1
        }
    }

    mutating func count(_ refusal: CacheTrouble.Kind) {
        switch refusal {
        case .tooLarge: tooLarge += 1
        case .full: full += 1
        case .tooManyOpen: tooManyOpen += 1
        default: break
        }
    }
}
