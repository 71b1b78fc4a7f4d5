import PlaneLink
import Testing

@testable import FastPath

/// One track at 1,000 ticks a second, whose packets come as they are made; the relay's clock begins at 100 s.
@Suite struct StreamClockTests {
    private static let second = ClockMapping.second
    private static let rate: UInt32 = 1_000
    private static let start: UInt64 = 100_000_000_000
    private static let unix: UInt64 = 1_750_000_000_000_000_000
    private static let ntpOfUnix: Int64 = 2_208_988_800_000_000_000 + 1_750_000_000_000_000_000

    private var clock = StreamClock(wallClock: unix, now: start)
    private var track = TrackClock()

    init() {
        track.told = ClockMapping(timestamp: 0, nanoseconds: Int64(Self.start))
        track.hasLine = true
    }

    /// A report `seconds` after the start. `origin`: what its wall clock says, in seconds from 1900.
    private mutating func report(
        after seconds: Double, origin: Double, timestamp: Double? = nil, mode: ClockPolicy = .relay
    ) -> StreamClock.Verdict {
        let ticks = UInt32(truncatingIfNeeded: Int64((timestamp ?? seconds) * 1_000))
        let report = SourceReport(
            origin: Int64(origin * 1e9), timestamp: ticks, arrival: Self.start &+ UInt64(seconds * 1e9))
        return clock.take(report, timestamp: ticks, clockRate: Self.rate, mode: mode, track: &track)
    }

    /// What readers are told that the time is at a timestamp, in seconds from the start; or on the clock published.
    private func told(_ seconds: Double, published: Bool = false) -> Double {
        let time = track.told.nanoseconds(of: UInt32(seconds * 1_000), clockRate: Self.rate)
        return Double(published ? time &+ clock.published : time &- Int64(Self.start)) / 1e9
    }

    @Test("The first report is told as it is; the relay's clock is published")
    mutating func first() {
        let verdict = report(after: 2, origin: 3e9)
        #expect(verdict == .first && track.isReported)
        #expect(abs(told(2) - 2) < 1e-6)
        #expect(abs(told(2, published: true) - (Double(Self.ntpOfUnix) / 1e9 + 2)) < 1e-3)
    }

    @Test(
        "With the source's clock its date is published, and the relay's where it is none",
        arguments: [3e9, 2_840_140_801, 2_840_140_799, 77])
    mutating func origin(date: Double) {
        let verdict = report(after: 2, origin: date, mode: .origin)
        #expect(verdict == .first)
        let expected = date > 2_840_140_800 ? date : Double(Self.ntpOfUnix) / 1e9 + 2
        #expect(abs(told(2, published: true) - expected) < 1e-3)
    }

    @Test("A wall clock that says nothing is not used: zero, or standing still")
    mutating func still() {
        let zero = report(after: 1, origin: 0)
        #expect(zero == .unusable && !track.isReported)
        let one = report(after: 2, origin: 3e9)
        let two = report(after: 7, origin: 3e9)
        #expect(one == .first && two == .unusable && !track.isReported)
        #expect(abs(told(7) - 7) < 1e-6, "what readers were told goes on")
        let three = report(after: 12, origin: 3e9 + 5)
        #expect(three == .first, "it moves again")
    }

    @Test("Where the source's clock is set, readers' time goes on as it was", arguments: [3.0, -3, 86_400, -3e9])
    mutating func steps(by step: Double) {
        _ = report(after: 1, origin: 3.5e9)
        track.isTold = true
        let after = report(after: 6, origin: 3.5e9 + 5 + step)
        #expect(after == .stepped)
        clock.slewAll(&track, at: Self.start + 7_000_000_000, Self.rate)
        #expect(abs(told(7) - 7) < 0.01)
        let next = report(after: 11, origin: 3.5e9 + 10 + step)
        #expect(next == .again, "the new time is as good as the old one")
    }

    @Test("With the source's clock a new time is passed on once a second report agrees")
    mutating func originSteps() {
        _ = report(after: 1, origin: 3.5e9, mode: .origin)
        track.isTold = true
        _ = report(after: 6, origin: 3.6e9, mode: .origin)
        #expect(abs(told(6, published: true) - 3.5e9 - 5) < 0.01)
        _ = report(after: 11, origin: 3.6e9 + 5, mode: .origin)
        #expect(abs(told(11, published: true) - 3.6e9 - 5) < 0.01)
    }

    @Test("A report of another time than the packets' is not used", arguments: [-20.0, 20, 1_000_000])
    mutating func unrelated(by seconds: Double) {
        let verdict = report(after: 30, origin: 3e9, timestamp: 30 + seconds)
        #expect(verdict == .unusable && !track.isReported)
    }

    @Test("What was told moves to what is reported by 4 ms a second, with the common part 5 ms, and never faster")
    mutating func slews() {
        _ = report(after: 1, origin: 3e9)
        track.isTold = true
        clock.slewAll(&track, at: Self.start + 6_000_000_000, Self.rate)
        // The source finds that its packets are 200 ms older than it said.
        _ = report(after: 6, origin: 3e9 + 5 - 0.2)
        var before = told(6)
        for step in 1...100 {
            let now = Self.start + 6_000_000_000 + UInt64(step) * 500_000_000
            clock.slewAll(&track, at: now, Self.rate)
            let moved = told(6) - before
            #expect(abs(moved) <= 0.0025 + 1e-9, "\(moved) in half a second")
            before = told(6)
        }
        #expect(track.error(Self.rate).magnitude < 1_000_000)
    }

    @Test("A clock that is 200 ppm off is followed, fast or slow", arguments: [200e-6, -200e-6])
    mutating func drift(by part: Double) {
        var late = 0.0
        for step in 1...1_000 {
            let seconds = Double(step) * 5
            // Timestamps and wall clock run alike: both wrong.
            let verdict = report(after: seconds, origin: 3e9 + seconds * (1 + part), timestamp: seconds * (1 + part))
            #expect(verdict == (step == 1 ? .first : .again))
            track.isTold = true
            let now = Self.start + UInt64(seconds * 1e9)
            clock.slewAll(&track, at: now, Self.rate)
            track.told.follow(time: Int64(now), clockRate: Self.rate)
            let time = track.told.nanoseconds(of: UInt32(seconds * (1 + part) * 1_000), clockRate: Self.rate)
            late = max(late, abs(Double(time &- Int64(now)) / 1e9))
        }
        // The least offset is up to a minute old.
        #expect(late < 0.015, "\(late) s off after an hour and a half")
    }

    @Test("A source that comes back with the same clock keeps its offset, one with another gets a new one")
    mutating func epochs() {
        _ = report(after: 1, origin: 3e9)
        let offset = clock.offset
        clock.beginEpoch()
        track.beginLine()
        // This one waited for 300 ms in a queue.
        let same = clock.takeEarly(
            SourceReport(origin: Int64(3e9 + 8.7) * 1_000_000_000 + 700_000_000, arrival: Self.start + 10_000_000_000), mode: .relay)
        #expect(!same && clock.offset == offset)
        clock.beginEpoch()
        let other = clock.takeEarly(SourceReport(origin: Int64(3.1e9) * 1_000_000_000, arrival: Self.start + 20_000_000_000), mode: .relay)
        #expect(other && clock.offset != offset)
    }

    @Test("A first packet is placed by the report before it, and not where that cannot be true")
    mutating func places() {
        let early = SourceReport(ssrc: 1, origin: 3_000_000_000 * Self.second, timestamp: 5_000, arrival: Self.start)
        _ = clock.takeEarly(early, mode: .relay)
        let now = Int64(Self.start)
        func place(_ timestamp: UInt32, isNewEpoch: Bool = true) -> Int64? {
            var clock = clock
            return clock.place(early, timestamp: timestamp, clockRate: Self.rate, estimate: now, isNewEpoch: isNewEpoch).map { $0 - now }
        }
        #expect(place(5_000) == 0)
        #expect(place(4_200) == -800_000_000)
        #expect(place(0xFFFF_FFFF) == -5_001_000_000, "a key frame that the source kept")
        #expect(place(500_000) == nil)
        // Unannounced: what is more than a second off has another wall clock, too, so its time is that of its arrival.
        #expect(place(4_200, isNewEpoch: false) == -800_000_000)
        #expect(place(2_000, isNewEpoch: false) == 0)
    }
}

extension StreamClock {
    /// What the worker does for each track.
    mutating func slewAll(_ track: inout TrackClock, at now: UInt64, _ rate: UInt32) {
        let (shift, elapsed) = slew(at: now)
        track.slew(shift: shift, elapsed: elapsed, clockRate: rate)
    }
}
