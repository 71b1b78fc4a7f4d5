import Testing

@testable import Workbench

struct PercentilesTests {
    @Test func takesNearestRanks() throws {
        let hundred = try #require(Percentiles(of: (1...100).map(Double.init).shuffled()))
        #expect(hundred.p50 == 50)
        #expect(hundred.p99 == 99)
        #expect(hundred.max == 100)
        let thousand = try #require(Percentiles(of: (1...1_000).map(Double.init)))
        #expect(thousand.p50 == 500)
        #expect(thousand.p99 == 990)
        let one = try #require(Percentiles(of: [7]))
        #expect((one.p50, one.p99, one.max) == (7, 7, 7))
        let two = try #require(Percentiles(of: [1, 2]))
        #expect((two.p50, two.p99) == (1, 2))
        #expect(Percentiles(of: []) == nil)
    }

    @Test func takesMedians() {
        #expect(median([]) == nil)
        #expect(median([3]) == 3)
        #expect(median([9, 1, 5]) == 5)
        #expect(median([4, 1, 2, 3]) == 2.5)
    }
}

struct LeastDelayLineTests {
    /// Frames every 40 ms for `seconds`, each delayed by `delay` (ms, by the frame's number), on a clock that runs `drift` fast.
    private func points(_ seconds: Int, drift: Double = 0, delay: (Int) -> Double) -> [LeastDelayLine.Point] {
        (0..<(25 * seconds)).map { frame in
            let media = Double(frame) * 40e6
            return .init(media: media, arrival: 1.7e18 + media * (1 + drift) + 5e6 + delay(frame) * 1e6)
        }
    }

    private func lateness(_ points: [LeastDelayLine.Point]) throws -> [Double] {
        let line = try #require(LeastDelayLine(through: points))
        return points.map { line.lateness(of: $0) / 1e6 }
    }

    /// 1.7e18 ns, as the time of day has, leaves steps of 256 ns in a Double.
    private let accuracy = 0.001

    @Test func constantDelayIsNoLateness() throws {
        #expect(try lateness(points(10) { _ in 0 }).allSatisfy { abs($0) < accuracy })
    }

    @Test func singleFramesAreLate() throws {
        let late = try lateness(points(10) { $0 % 50 == 7 ? 12 : 0 })
        #expect(late.count { abs($0 - 12) < accuracy } == 5)
        #expect(late.count { abs($0) < accuracy } == 245)
    }

    @Test(arguments: [-100e-6, 30e-6, 100e-6])
    func clocksMayDrift(drift: Double) throws {
        #expect(try lateness(points(60, drift: drift) { _ in 0 }).allSatisfy { abs($0) < 0.01 })
    }

    @Test func fallingBehindIsLateness() throws {
        // A server that sends at 95 % of real time is 5 % of 20 s late in the end, but for what passes as drift.
        let late = try lateness(points(20, drift: 0.05) { _ in 0 })
        #expect(late[0] < 1)
        #expect(abs((late.last ?? 0) - 19.96 * 50) < 19.96 * 0.3)
    }

    @Test func nothingAndOnePacket() throws {
        #expect(LeastDelayLine(through: []) == nil)
        let one = LeastDelayLine.Point(media: 5, arrival: 77)
        #expect(try #require(LeastDelayLine(through: [one])).lateness(of: one) == 0)
        // All packets of one frame.
        #expect(try lateness([.init(media: 0, arrival: 1e6), .init(media: 0, arrival: 3e6)]) == [0, 2])
    }

    @Test func logsFollowTimestampsAroundTheirEnd() {
        var log = ArrivalLog(clockRate: 90_000)
        for frame in 0..<100 {
            let timestamp = UInt32(truncatingIfNeeded: 0xFFFF_F000 + frame * 3_600)
            log.take(
                sequence: UInt16(frame), timestamp: timestamp,
                arrivalNanoseconds: UInt64(frame) * 40_000_000 + (frame == 60 ? 9_000_000 : 0))
        }
        let late = log.latenessMilliseconds
        #expect(late.count == 100)
        #expect(abs(late[60] - 9) < accuracy)
        #expect(late.count { $0 < accuracy } == 99)
        #expect(log.account.lost == 0)
    }

    /// A key frame of the past and what followed it, three times as fast as it was made: only what comes late afterwards is late.
    @Test func aJoinBurstIsNotLate() {
        var log = ArrivalLog(clockRate: 1_000)
        let start: UInt64 = 1_000_000_000_000
        // Media from -1 s on; live is met after half a second at media 0.5 s.
        for packet in 0..<4_000 {
            let live = start + UInt64(packet) * 1_000_000 - 1_000_000_000
            let sent = max(live, start + UInt64(packet) * 333_333)
            let arrival = sent + (packet == 3_000 ? 30_000_000 : 0)
            log.take(sequence: UInt16(packet), timestamp: UInt32(packet), arrivalNanoseconds: arrival)
        }
        let late = log.latenessMilliseconds
        #expect(late.count(where: { $0 > 21 }) == 1)
        #expect((late.max() ?? 0) > 29)
        #expect(late.count > 2_400)
        #expect(late.count < 2_600)
    }

    /// Late from its beginning for longer than a burst may take: that is not a burst.
    @Test func whoDoesNotMeetLiveIsLate() {
        var log = ArrivalLog(clockRate: 1_000)
        for packet in 0..<20_000 {
            let delay: UInt64 = packet < 10_000 ? 100_000_000 : 0
            log.take(
                sequence: UInt16(truncatingIfNeeded: packet), timestamp: UInt32(packet),
                arrivalNanoseconds: 1_000_000_000 + UInt64(packet) * 1_000_000 + delay)
        }
        #expect(log.latenessMilliseconds.count == 20_000)
        #expect(log.latenessMilliseconds.count(where: { $0 > 50 }) > 9_000)
    }

    @Test func longRunsAreThinned() {
        var log = ArrivalLog(clockRate: 1_000)
        let count = ArrivalLog.pointsMax * 3
        for packet in 0..<count {
            log.take(
                sequence: UInt16(truncatingIfNeeded: packet), timestamp: UInt32(packet), arrivalNanoseconds: UInt64(packet) * 1_000_000)
        }
        let late = log.latenessMilliseconds
        #expect(late.count > ArrivalLog.pointsMax / 4)
        #expect(late.count <= ArrivalLog.pointsMax)
        #expect(late.allSatisfy { $0 < 0.01 })
        #expect(log.account.packets == UInt64(count))
    }
}

struct SpreadLogTests {
    @Test func measuresFirstToLastReader() throws {
        var log = SpreadLog(readers: 3)
        for packet in 0..<10 {
            for reader in 0..<3 {
                log.take(sequence: UInt16(packet), timestamp: 1, arrivalNanoseconds: UInt64(1_000_000_000 + reader * 2_000_000))
            }
        }
        log.take(sequence: 10, timestamp: 1, arrivalNanoseconds: 5)  // only one reader had this
        let spread = try #require(log.percentiles)
        #expect(spread.p50 == 4)
        #expect(spread.max == 4)
    }

    @Test func isNothingForOneReaderOrDifferentNumbers() {
        var alone = SpreadLog(readers: 1)
        alone.take(sequence: 1, timestamp: 1, arrivalNanoseconds: 1)
        #expect(alone.percentiles == nil)
        var different = SpreadLog(readers: 2)
        different.take(sequence: 1, timestamp: 1, arrivalNanoseconds: 1)
        different.take(sequence: 2, timestamp: 1, arrivalNanoseconds: 1)
        #expect(different.percentiles == nil)
    }
}

struct PacketSpreadTests {
    @Test func groupsAreMergedPacketByPacket() {
        func packet(_ sequence: UInt16, _ first: UInt64, _ last: UInt64) -> PacketSpread {
            PacketSpread(sequence: sequence, firstNanoseconds: first, lastNanoseconds: last)
        }
        let hour: UInt64 = 3_600_000_000_000
        let one = [packet(8, 100, 200), packet(16, 300, 350), packet(8, hour, hour + 10)]
        let two = [packet(8, 150, 400), packet(24, 1, 2), packet(8, hour - 5, hour + 3)]
        #expect(PacketSpread.merged([one, two]) == [packet(8, 100, 400), packet(8, hour - 5, hour + 10)])
        #expect(PacketSpread.merged([one]) == one)
        #expect(PacketSpread.merged([one, []]).isEmpty)
        #expect(PacketSpread.merged([]).isEmpty)
        #expect(packet(1, 1_000_000, 3_500_000).milliseconds == 2.5)
        #expect(packet(1, 5, 3).milliseconds == 0)
    }
}

struct EvenSampleTests {
    @Test(arguments: [(16, 1_000), (16, 17), (2, 9), (16, 16)])
    func reachesFromFirstToLast(size: Int, count: Int) {
        let sample = EvenSample(max: size, of: count)
        #expect(sample.count == size)
        #expect(Set(sample.indices).count == size)
        #expect(sample.indices.first == 0)
        #expect(sample.indices.last == count - 1)
        #expect(sample.indices.allSatisfy(sample.contains))
        #expect((0..<count).count(where: sample.contains) == size)
    }

    @Test func takesFewOfFew() {
        #expect(EvenSample(max: 16, of: 3).indices == [0, 1, 2])
        #expect(EvenSample(max: 0, of: 3).indices.isEmpty)
        #expect(EvenSample(max: 1, of: 3).indices == [0])
        #expect(EvenSample(max: 16, of: 0).indices.isEmpty)
    }
}
