import WireFormats

/// How fast what is overdue follows a reader who takes whatever he is sent (UDP): after the recording or this machine stood still, what was to be
/// sent meanwhile would overrun him and the way to him. Pure; times are monotonic, in nanoseconds.
package struct ReplayPace: Sendable {
    /// What was missed follows so many times as fast as it is played.
    package static let speed: Int64 = 2
    /// So much of that may go at once.
    package static let burstNanoseconds: UInt64 = 100_000_000

    /// The latest place of the media that was sent, in microseconds.
    private var place: Int64
    /// When it was, or could have been.
    private var sentAt: UInt64?

    /// Play begins there: what lies before it (a lead that all packets have) may go at once.
    package init(from microseconds: Int64) { place = microseconds }

    /// When something of that place may go that is due at `due`.
    package func earliest(_ microseconds: Int64, due: UInt64) -> UInt64 {
        guard let sentAt, microseconds > place else { return due }
        let gap = UInt64(min((microseconds - place) / Self.speed, RecordedPacket.microsecondsMax)) * 1_000
        return max(due, sentAt &+ gap)
    }

    /// It was sent, `earliest` being what ``earliest(_:due:)`` said.
    package mutating func sent(_ microseconds: Int64, earliest: UInt64, now: UInt64) {
        place = max(place, microseconds)
        let burst = now > Self.burstNanoseconds ? now - Self.burstNanoseconds : 0
        sentAt = max(earliest, burst)
    }
}
