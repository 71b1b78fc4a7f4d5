import NIOCore
import Testing

@testable import ControlPlane

struct SentAheadTests {
    private static func at(_ milliseconds: Int64) -> NIODeadline { .uptimeNanoseconds(1_000_000_000) + .milliseconds(milliseconds) }

    @Test("The level rises with what is sent, falls with time, and is never below nothing")
    func rises() {
        var ahead = SentAhead(now: Self.at(0))
        ahead.sent(6_000, now: Self.at(1_000))
        #expect(ahead.milliseconds(at: Self.at(1_000)) == 5_000 && ahead.milliseconds(at: Self.at(3_000)) == 3_000)
        ahead.sent(0, now: Self.at(9_000))
        ahead.sent(500, now: Self.at(9_100))
        #expect(ahead.milliseconds(at: Self.at(9_100)) == 400)
        // What is live goes as it comes.
        ahead.sent(nil, now: Self.at(60_000))
        #expect(ahead.milliseconds(at: Self.at(60_000)) == 400)
        var fast = SentAhead(now: Self.at(0), paceThousandths: 5_000)
        fast.sent(6_000, now: Self.at(1_000))
        #expect(fast.milliseconds(at: Self.at(1_000)) == 1_000)
    }

    @Test("While a player is paused it shows nothing")
    func pauses() {
        var ahead = SentAhead(now: Self.at(0))
        ahead.sent(6_000, now: Self.at(1_000))
        ahead.pass(.seconds(60))
        #expect(ahead.milliseconds(at: Self.at(61_000)) == 5_000 && ahead.milliseconds(at: Self.at(63_000)) == 3_000)
    }

    @Test("Nothing goes faster than it plays for a player that is ahead by as much as it may; one that is further ahead waits")
    func allows() {
        var ahead = SentAhead(now: Self.at(0))
        func allowance(_ milliseconds: Int64) -> [UInt64] {
            let allowance = ahead.allowance(wanting: 3_000, most: 5_000, now: Self.at(milliseconds))
            return [allowance.fast, allowance.wait]
        }
        #expect(allowance(0) == [3_000, 0])
        ahead.sent(4_000, now: Self.at(0))
        #expect(allowance(0) == [1_000, 0] && allowance(2_000) == [3_000, 0])
        ahead.sent(1_100, now: Self.at(0))
        #expect(allowance(0) == [0, 0])
        ahead.sent(400, now: Self.at(0))
        #expect(allowance(0) == [0, 500] && allowance(300) == [0, 0])
    }

    @Test(
        "Many short entries do not add up: the player is ahead by its preroll, and stays so",
        arguments: [200, 1_000, 4_000, 9_000] as [UInt32])
    func shortEntries(length: UInt32) {
        var ahead = SentAhead(now: Self.at(0))
        var now = Self.at(0), sent: UInt64 = 0, highest: Int64 = 0, last: Int64 = 0
        for _ in 0..<60 {
            let allowance = ahead.allowance(wanting: 5_000, most: 5_000, now: now)
            let start = now + .milliseconds(Int64(allowance.wait))
            var clock = SendClock(
                start: start, fastStart: .init(milliseconds: allowance.fast, bitsPerSecond: 1_600_000), speedThousandths: 1_000)
            // 50 ms in 5,000 bytes: 800 kbit/s.
            for packet in 0..<(length / 50) {
                now = clock.take(sendTime: packet * 50, bytes: 5_000)
                sent += 50
                last = Int64(sent) - (now - Self.at(0)).nanoseconds / 1_000_000
                highest = max(highest, last)
            }
            ahead.sent(UInt64(length), now: now)
        }
        #expect(highest <= 5_000 + Int64(SentAhead.slackMilliseconds) + 100 && last >= 4_800, "\(highest), \(last)")
    }
}
