import NIOCore

/// When each packet of a file is due on the wire: by its send time, but for the beginning, which may go out faster (Fast Start: the
/// player's buffer is full at once).
///
/// Pure: the time of the start comes in. Send times that go back, or leap, as broken files have them, are followed only as far as
/// a player could wait for them.
struct SendClock: Equatable {
    /// How the beginning is sent.
    struct FastStart: Equatable {
        /// So much of the content, in milliseconds.
        var milliseconds: UInt64
        /// Not faster than this.
        var bitsPerSecond: UInt64
    }

    /// No two packets are further apart than this; a file that wants it otherwise has holes that nobody should have to sit through.
    static let gapMillisecondsMax: UInt64 = 10_000

    private var due: NIODeadline
    private var previous: UInt32?
    private var fastStart: FastStart
    /// How much faster than by its send times the content is sent, in thousandths.
    private let speed: UInt64

    /// A clock whose first packet is due at `start`. `speedThousandths` is at least 1; the content after the fast start goes out at
    /// that many thousandths of its own speed.
    init(start: NIODeadline, fastStart: FastStart?, speedThousandths: Int) {
        due = start
        self.fastStart = fastStart ?? FastStart(milliseconds: 0, bitsPerSecond: 0)
        speed = UInt64(max(speedThousandths, 1))
    }

    /// Everything that follows is due so much later: nothing was sent meanwhile, and that is nothing to make up for.
    mutating func shift(by pause: TimeAmount) { due = due + pause }

    /// When the next packet is due, with this send time (milliseconds) and so many bytes.
    mutating func take(sendTime: UInt32, bytes: Int) -> NIODeadline {
        guard let previous else {
            self.previous = sendTime
            return due
        }
        self.previous = sendTime
        var milliseconds = sendTime > previous ? min(UInt64(sendTime - previous), Self.gapMillisecondsMax) : 0
        let fast = min(milliseconds, fastStart.milliseconds)
        var nanoseconds: UInt64 = 0
        if fast > 0 {
            // The bytes' own time at the higher rate, but never longer than what the content takes.
            let wire = UInt64(clamping: max(bytes, 0)) &* 8 &* 1_000_000_000 / max(fastStart.bitsPerSecond, 1)
            nanoseconds = min(wire, fast * 1_000_000 * 1_000 / speed)
            fastStart.milliseconds -= fast
            milliseconds -= fast
        }
        nanoseconds += milliseconds * 1_000_000 * 1_000 / speed
        due = due + .nanoseconds(Int64(clamping: nanoseconds))
        return due
    }
}
