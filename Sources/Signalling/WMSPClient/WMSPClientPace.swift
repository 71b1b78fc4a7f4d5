/// How far the media that came is ahead of the clock: an origin sends the beginning of each entry faster than it is played, and over many
/// entries that would add up. What is more than is meant to be buffered is told as `client-lag`, and the next entry comes so much later.
struct WMSPClientPace: Sendable, Equatable {
    /// When what came would have begun, had it come at its own pace.
    private var since: UInt64?
    /// Milliseconds of media that came.
    private var media: UInt64 = 0
    /// The latest time at which anything of this entry was due.
    private var last: UInt32?

    /// A time that leaps by more begins anew. Packets of several streams go back by less.
    static let leapMilliseconds: Int32 = 5_000

    /// Packets of another entry follow, whose times have nothing to do with those before.
    mutating func entryBegins() { last = nil }

    /// A packet came, which is due at that time.
    mutating func take(sendTime: UInt32, now: UInt64) {
        let step = last.map { Int32(bitPattern: sendTime &- $0) } ?? .max
        switch step {
        case 1...Self.leapMilliseconds:
            media &+= UInt64(step)
            last = sendTime
        case -Self.leapMilliseconds...0: break
        default: last = sendTime
        }
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
