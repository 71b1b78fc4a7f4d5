/// How far the media that came is ahead of the clock: an origin sends the beginning of each entry faster than it is played, and over many
/// entries that would add up. What is more than is meant to be buffered is told as `client-lag`, and the next entry comes so much later.
struct WMSPClientPace: Sendable, Equatable {
    /// When what came would have begun, had it come at its own pace.
    private var since: UInt64?
    /// Milliseconds of media that came.
    private var media: UInt64 = 0
    private var last: UInt32?

    /// A time that goes on by more is none that is played.
    static let leapMilliseconds: Int32 = 5_000

    /// Packets of another entry follow, whose times have nothing to do with those before.
    mutating func entryBegins() { last = nil }

    /// A packet came, which is due at that time.
    mutating func take(sendTime: UInt32, now: UInt64) {
        if let last {
            let step = Int32(bitPattern: sendTime &- last)
            if step > 0, step <= Self.leapMilliseconds { media &+= UInt64(step) }
        }
        last = sendTime
        // What came late is not made up for.
        if let since, since &+ media >= now { return }
        since = now &- min(media, now)
    }

    /// Milliseconds of media that came before their time.
    func ahead(now: UInt64) -> UInt64 {
        guard let since, since &+ media > now else { return 0 }
        return since &+ media &- now
    }
}
