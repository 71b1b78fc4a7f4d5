/// How the packets of a stream are put in order, by their sequence numbers: those of one source that come out of order (a jitter
/// buffer), or those of several that carry the same packets (*legs*), of which each number is taken once (SMPTE ST 2022-7).
///
/// Packets that are in order are never delayed. One that comes after a gap waits until the gap is filled, and no longer than
/// ``waitNanosecondsMax``; then the gap is given up, and readers see it.
public struct ReorderPlan: Sendable, BitwiseCopyable, Equatable {
    /// How many legs there are, 1 to ``legsPerStreamMax``.
    public var legs: UInt8
    /// The longest that a packet waits.
    public var waitNanosecondsMax: UInt64

    /// Packets of one track that wait at a time. When more would have to, the oldest gap is given up.
    public static let packetsMax = 512
    /// A packet of more bytes does not wait: what is before it goes on at once, and it follows.
    public static let packetBytesMax = 2_048

    /// A plan; what is out of bounds is brought within.
    public init(legs: Int, waitNanosecondsMax: UInt64) {
        self.legs = UInt8(min(max(legs, 1), legsPerStreamMax))
        self.waitNanosecondsMax = min(waitNanosecondsMax, 5_000_000_000)
    }
}

/// Sources that can carry the same stream at a time.
public let legsPerStreamMax = 4
