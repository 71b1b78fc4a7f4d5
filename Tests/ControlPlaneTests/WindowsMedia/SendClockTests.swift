import NIOCore
import Testing

@testable import ControlPlane

struct SendClockTests {
    private static func times(_ clock: SendClock, _ packets: [(UInt32, Int)]) -> [Int64] {
        var clock = clock
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        return packets.map { (clock.take(sendTime: $0, bytes: $1) - start).nanoseconds / 1_000_000 }
    }

    private static func clock(fast: SendClock.FastStart? = nil, speed: Int = 1_000) -> SendClock {
        SendClock(start: .uptimeNanoseconds(1_000_000_000), fastStart: fast, speedThousandths: speed)
    }

    @Test("Packets are due by their send times, from the first on")
    func paces() {
        #expect(Self.times(Self.clock(), [(5_000, 1), (5_040, 1), (5_040, 1), (5_100, 1)]) == [0, 40, 40, 100])
    }

    @Test("The beginning goes out at the higher rate, and never slower than it plays")
    func startsFast() {
        // 1,000 bytes at 800,000 bit/s take 10 ms, and stand for 40 ms each.
        let fast = SendClock.FastStart(milliseconds: 80, bitsPerSecond: 800_000)
        #expect(Self.times(Self.clock(fast: fast), [(0, 1_000), (40, 1_000), (80, 1_000), (120, 1_000)]) == [0, 10, 20, 60])
        let slow = SendClock.FastStart(milliseconds: 80, bitsPerSecond: 8_000)
        #expect(Self.times(Self.clock(fast: slow), [(0, 1_000), (40, 1_000), (80, 1_000)]) == [0, 40, 80])
        let none = SendClock.FastStart(milliseconds: 80, bitsPerSecond: 0)
        #expect(Self.times(Self.clock(fast: none), [(0, 1_000), (40, 1_000)]) == [0, 40])
    }

    @Test("A packet that begins in the fast part and ends behind it is in both")
    func crosses() {
        let fast = SendClock.FastStart(milliseconds: 50, bitsPerSecond: 8_000_000)
        #expect(Self.times(Self.clock(fast: fast), [(0, 1_000), (100, 1_000)]) == [0, 51])
    }

    @Test("Speed divides what is left", arguments: [(2_000, 20), (500, 80), (1, 40_000)])
    func speeds(speed: Int, expected: Int64) {
        #expect(Self.times(Self.clock(speed: speed), [(0, 1), (40, 1)]) == [0, expected])
    }

    @Test("Times that go back or leap do not hold a player up")
    func broken() {
        #expect(Self.times(Self.clock(), [(1_000, 1), (0, 1), (10, 1)]) == [0, 0, 10])
        let max = Int64(SendClock.gapMillisecondsMax)
        #expect(Self.times(Self.clock(), [(0, 1), (.max, 1), (0, 1), (.max, Int.max)]) == [0, max, max, 2 * max])
        let fast = SendClock.FastStart(milliseconds: .max, bitsPerSecond: .max)
        #expect(Self.times(Self.clock(fast: fast, speed: 1), [(0, 1), (.max, .max)]).count == 2)
    }

    @Test("A pause is nothing to make up for")
    func pauses() {
        var clock = Self.clock()
        _ = clock.take(sendTime: 0, bytes: 1)
        clock.shift(by: .seconds(3))
        #expect((clock.take(sendTime: 40, bytes: 1) - .uptimeNanoseconds(1_000_000_000)).nanoseconds == 3_040_000_000)
    }
}
