import Testing

@testable import Signalling

@Suite struct ReplayPaceTests {
    private static let second: UInt64 = 1_000_000_000

    /// A packet each 20 ms from 0 on; nothing goes between `stall` and its end. When each went, in milliseconds of the play.
    private static func moments(_ count: Int, stall: Range<UInt64>) -> [UInt64] {
        let began = 100 * second
        var pace = ReplayPace(from: 0)
        var now = began
        return (0..<count).map { number in
            let place = Int64(number) * 20_000
            let earliest = pace.earliest(place, due: began + UInt64(place) * 1_000)
            now = max(now, earliest)
            if stall.contains((now - began) / 1_000_000) { now = began + stall.upperBound * 1_000_000 }
            pace.sent(place, earliest: earliest, now: now)
            return (now - began) / 1_000_000
        }
    }

    @Test func whatIsOnTimeIsNotHeldBack() {
        #expect(Self.moments(500, stall: 0..<0) == (0..<500).map { UInt64($0) * 20 })
    }

    /// Five seconds are missed: they follow twice as fast as they are played, and not at once.
    @Test func whatWasMissedFollowsAtABoundedPace() throws {
        let moments = Self.moments(1_000, stall: 1_000..<6_000)
        #expect(moments == moments.sorted())
        let behind = moments.drop { $0 < 6_000 }
        #expect(behind.count { $0 == 6_000 } == 11)
        for window in stride(from: UInt64(6_000), to: 20_000, by: 100) {
            #expect(behind.count { $0 > window && $0 <= window + 100 } <= 10)
        }
        // In time again, and not held back any more.
        #expect(moments[600] == 12_000 && moments[999] == 19_980)
        #expect(moments[500] > 10_000)
    }

    /// What all packets are sent ahead by goes at once.
    @Test func theLeadGoesAtOnce() {
        var pace = ReplayPace(from: 5_000_000)
        for place in stride(from: Int64(2_000_000), through: 5_000_000, by: 500_000) {
            #expect(pace.earliest(place, due: 7 * Self.second) == 7 * Self.second)
            pace.sent(place, earliest: 7 * Self.second, now: 7 * Self.second)
        }
        #expect(pace.earliest(.max, due: 0) > 0)
    }
}
