import NIOCore

/// How much more of a programme a player was sent than it can have shown since: a level that rises with what is sent and falls as time goes.
///
/// Each entry of a playlist may begin faster than it plays. This is what keeps many short ones from adding up. Pure: the time comes in.
struct SentAhead: Equatable {
    private var milliseconds: UInt64 = 0
    private var at: NIODeadline
    /// How fast the player goes through the programme, in thousandths.
    private let pace: UInt64

    /// No player is sent ahead by more than it may, and this.
    static let slackMilliseconds: UInt64 = 250

    /// Nothing was sent.
    init(now: NIODeadline, paceThousandths: Int = 1_000) {
        at = now
        pace = UInt64(max(paceThousandths, 1))
    }

    /// So much content was sent since this was called last, or as much as time passed (nil).
    mutating func sent(_ content: UInt64?, now: NIODeadline) {
        let shown = shown(until: now)
        let (sum, overflow) = milliseconds.addingReportingOverflow(content ?? shown)
        milliseconds = (overflow ? .max : sum) - min(shown, overflow ? .max : sum)
        at = max(at, now)
    }

    /// So much time passed in which nothing was shown: the player was paused.
    mutating func pass(_ pause: TimeAmount) { at = at + pause }

    /// The level.
    func milliseconds(at now: NIODeadline) -> UInt64 { milliseconds - min(shown(until: now), milliseconds) }

    /// How much may go faster than it plays, of what is wanted, where the player is to be ahead by no more than `most`; and for how long to
    /// wait before anything goes at all.
    func allowance(wanting wanted: UInt64, most: UInt64, now: NIODeadline) -> (fast: UInt64, wait: UInt64) {
        let level = milliseconds(at: now)
        guard level < most else { return (0, level > most &+ Self.slackMilliseconds ? level - most : 0) }
        return (min(wanted, most - level), 0)
    }

    private func shown(until now: NIODeadline) -> UInt64 {
        guard now > at else { return 0 }
        return UInt64((now - at).nanoseconds) / 1_000_000 &* pace / 1_000
    }
}
