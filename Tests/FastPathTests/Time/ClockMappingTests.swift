import Testing

@testable import FastPath

@Suite struct ClockMappingTests {
    @Test(
        "A timestamp's time, and a time's timestamp",
        arguments: [
            // known timestamp, known time, clock rate, timestamp, its time
            (1_000, 0, 90_000, 91_000, 1_000_000_000), (1_000, 5, 90_000, 1_000, 5), (0xFFFF_FF00, 0, 48_000, 0x2F00 - 0x100, 250_666_666),
            (0, 0, 90_000, 0xFFFF_FFFF, -11_111), (100, -7_000_000_000, 8_000, 8_100, -6_000_000_000),
            (0x8000_0000, 3_900_000_000_000_000_000, 90_000, 0x8000_0000 + 9, 3_900_000_000_000_100_000),
            (0, 0, 1, 5, 5_000_000_000), (0, 0, 1_000_000_000, 0x7FFF_FFFF, 0x7FFF_FFFF),
        ] as [(UInt32, Int64, UInt32, UInt32, Int64)])
    func line(known: UInt32, at time: Int64, rate: UInt32, timestamp: UInt32, expected: Int64) {
        let line = ClockMapping(timestamp: known, nanoseconds: time)
        #expect(line.nanoseconds(of: timestamp, clockRate: rate) == expected)
        #expect(line.timestamp(at: expected, clockRate: rate) == timestamp)
    }

    @Test("A moment moved along the line leaves the line as it is, however often", arguments: [8_000, 44_100, 48_000, 90_000] as [UInt32])
    func follows(rate: UInt32) {
        let first = ClockMapping(timestamp: 0xFFFF_0000, nanoseconds: 12_345)
        var line = first
        var timestamp = first.timestamp
        for _ in 0..<1_000 {
            timestamp &+= rate * 16 + 7
            line.follow(timestamp: timestamp, clockRate: rate)
        }
        // A thousand times sixteen seconds: more than half a turn at 90 kHz, so only the line that moved along can tell.
        let ticks = Int64(1_000) * (Int64(rate) * 16 + 7)
        #expect(line.nanoseconds(of: timestamp, clockRate: rate) == 12_345 + ticks * 1_000_000_000 / Int64(rate))
        line.follow(time: 12_345, clockRate: rate)
        #expect(line == first)
    }

    @Test("Nothing makes the arithmetic trap")
    func wild() {
        let times: [Int64] = [.min, .min + 1, -1, 0, 1, 3_900_000_000_000_000_000, .max - 1, .max]
        let numbers: [UInt32] = [0, 1, 0x7FFF_FFFF, 0x8000_0000, .max]
        for known in numbers {
            for time in times {
                for rate in numbers {
                    var line = ClockMapping(timestamp: known, nanoseconds: time)
                    for other in numbers {
                        _ = line.nanoseconds(of: other, clockRate: rate)
                        _ = line.isFar(from: other, rate)
                        line.follow(timestamp: other, clockRate: rate)
                    }
                    for other in times {
                        _ = line.timestamp(at: other, clockRate: rate)
                        _ = distance(other, time)
                        line.follow(time: other, clockRate: rate)
                        _ = SourceReport.ntp(other)
                    }
                }
            }
        }
        for ntp in [0, 1, 0xFFFF_FFFF, 1 << 32, .max - 1, .max] as [UInt64] { _ = SourceReport.ntpNanoseconds(ntp) }
    }

    @Test("NTP time and nanoseconds are the same moment", arguments: [0, 1, 999_999_999, 1_000_000_000, 3_958_988_800_123_456_789])
    func ntp(nanoseconds: Int64) {
        #expect(SourceReport.ntpNanoseconds(SourceReport.ntp(nanoseconds)) == nanoseconds)
    }

    @Test func ntpAsItIsWritten() {
        #expect(SourceReport.ntpNanoseconds(0xE000_0001_8000_0000) == 3_758_096_385_500_000_000)
        #expect(SourceReport.ntp(3_758_096_385_500_000_000) == 0xE000_0001_8000_0000)
        // The next era.
        #expect(SourceReport.ntp((1 << 32) * 1_000_000_000 + 500_000_000) == 0x8000_0000)
    }

    @Test("The least of the last while is remembered between one span and two")
    func minimum() {
        var window = MinimumWindow()
        #expect(window.value == nil && window.settled == nil)
        window.add(5, at: 0, span: 10)
        window.add(-3, at: 4, span: 10)
        window.add(7, at: 9, span: 10)
        #expect(window.value == -3 && window.settled == nil)
        window.add(6, at: 12, span: 10)
        #expect(window.value == -3 && window.settled == -3)
        window.shift(by: 100)
        #expect(window.value == 97)
        window.add(104, at: 23, span: 10)
        #expect(window.value == 104)
        window.add(200, at: 90, span: 10)
        #expect(window.value == 200 && window.settled == nil, "what is long ago is forgotten")
        window.reset()
        #expect(window == MinimumWindow())
    }
}
