/// How long to wait before a source is dialled again: 1, 2, 4, … seconds up to a ceiling, spread by chance so that a thousand
/// relays do not knock at a returning server in step.
///
/// Pure: time and chance come in.
package struct Backoff: Sendable, Equatable {
    /// The first delay, in nanoseconds.
    package static let delayNanosecondsMin: UInt64 = 1_000_000_000
    /// No delay is longer.
    package static let delayNanosecondsMax: UInt64 = 30_000_000_000
    /// While somebody waits, no delay of their first minute is longer.
    package static let eagerDelayNanosecondsMax: UInt64 = 2_000_000_000
    /// How long that lasts.
    package static let eagerNanoseconds: UInt64 = 60_000_000_000

    private var failures = 0

    /// Nothing has failed yet.
    package init() {}

    /// Media arrived: the next failure is a first one.
    package mutating func succeeded() { self = Self() }

    /// The delay after another failure. `awaitedSince`: since when somebody has been waiting, nil: nobody is. `chance` is even in
    /// `0..<1`: the delay is between half and all of its step.
    package mutating func failed(at nowNanoseconds: UInt64, awaitedSince: UInt64?, chance: Double) -> UInt64 {
        let step = Self.delayNanosecondsMin << UInt64(min(failures, 5))
        failures = min(failures + 1, 6)
        var ceiling = Self.delayNanosecondsMax
        if let awaitedSince, nowNanoseconds &- awaitedSince < Self.eagerNanoseconds { ceiling = Self.eagerDelayNanosecondsMax }
        let half = min(step, ceiling) / 2
        return half + UInt64(Double(half) * min(max(chance, 0), 1))
    }
}
