import Testing
import WireFormats

@testable import Signalling

@Suite struct RecordingTimelineTests {
    static func packet(_ sequence: UInt16, _ timestamp: UInt32, ssrc: UInt32 = 5, payload: [UInt8] = [0x41, 1]) -> [UInt8] {
        RTPHeader(payloadType: 96, marker: true, sequence: sequence, timestamp: timestamp, ssrc: ssrc).packet(payload: payload)
    }

    static func timeline(from start: Int64 = 0) -> RecordingTimeline {
        RecordingTimeline(
            [
                .init(clockRate: 90_000, codec: .h264, rtpTime: .max - 8_999),
                .init(clockRate: 8_000, codec: .opaque, rtpTime: 100),
            ], from: start)
    }

    @Test func packetsLieInTheMediasTime() throws {
        var timeline = Self.timeline()
        func take(_ packet: [UInt8], _ track: Int) -> RecordedPacket? { timeline.take(packet.span, track: track) }
        let first = take(Self.packet(65_535, .max - 8_999, payload: [0x65, 0x88, 0x84]), 0)
        #expect(first?.microseconds == 0)
        #expect(first?.startsKeyFrame == true)
        // Of one frame's packets the first begins it.
        #expect(take(Self.packet(0, .max - 8_999, payload: [0x65, 0x88, 0x84]), 0)?.startsKeyFrame == false)
        // Over the clock's end, and back by a picture.
        #expect(take(Self.packet(1, 9_000), 0)?.microseconds == 200_000)
        #expect(take(Self.packet(2, 5_400), 0)?.microseconds == 160_000)
        #expect(take(Self.packet(9, 260, ssrc: 6), 1)?.microseconds == 20_000)
        #expect(timeline.gaps == 0)
        #expect(timeline.endMicroseconds == 200_000)
        // One is missing, then another source speaks.
        _ = take(Self.packet(4, 9_000), 0)
        _ = take(Self.packet(5, 9_000, ssrc: 50), 0)
        #expect(timeline.gaps == 2)
        #expect(take([0x80, 0], 0) == nil)
        #expect(take(Self.packet(6, 9_000), 2) == nil)
    }

    /// However far in the origin begins, the base is where the media begins.
    @Test(arguments: [Int64(0), 1, 999_999, 12_345_678, 86_400_000_000])
    func baseIsOfTheBeginning(start: Int64) {
        var timeline = Self.timeline(from: start)
        let ticks = MediaTime.ticks(microseconds: start, clockRate: 90_000)
        #expect(timeline.tracks[0].base == UInt32.max - 8_999 &- UInt32(truncatingIfNeeded: ticks))
        let packet = Self.packet(65_535, .max - 8_999)
        let time = timeline.take(packet.span, track: 0)?.microseconds ?? .min
        // Within a tick.
        #expect(abs(time - start) <= 12)
    }

    /// A server plays from 20 s and names a timestamp of the media's beginning for one track: where that track begins shows the packet. What is to
    /// be kept believes what is said, and is seen not to fit.
    @Test(arguments: [true, false]) func aTimestampOfAnotherPlaceIsSeen(isLenient: Bool) {
        var timeline = RecordingTimeline(
            [.init(clockRate: 90_000, codec: .h264, rtpTime: .max - 8_999), .init(clockRate: 8_000, codec: .opaque, rtpTime: 100)],
            from: 20_000_000, isLenient: isLenient)
        func take(_ packet: [UInt8], _ track: Int) -> Int64? { timeline.take(packet.span, track: track)?.microseconds }
        let first = take(Self.packet(1, UInt32.max - 8_999 &+ 20 * 90_000), 0)
        let next = take(Self.packet(2, UInt32.max - 8_999 &+ 21 * 90_000), 0)
        let sound = take(Self.packet(1, 260), 1)
        #expect(first == (isLenient ? 20_000_000 : 40_000_000))
        #expect(next == (isLenient ? 21_000_000 : 41_000_000))
        #expect(sound == 20_020_000)
        #expect(timeline.corrections == (isLenient ? 1 : 0))
        #expect(timeline.tracks[0].base == (isLenient ? UInt32.max - 8_999 : UInt32.max - 8_999 &- 20 * 90_000))
    }

    @Test func endsWhenAllTracksSaidGoodbye() {
        var timeline = Self.timeline()
        let goodbye = RTCPWriter.goodbye(from: 5, canonicalName: "x")
        let first = timeline.take(report: goodbye.span, track: 0)
        let again = timeline.take(report: goodbye.span, track: 0)
        let last = timeline.take(report: goodbye.span, track: 1)
        #expect(!first && !again && last)
    }

    @Test(arguments: [(Int64(1), UInt32(90_000)), (-1, 90_000), (-1_000_000, 8_000), (.max, .max), (.min + 1, 1)])
    func timesDoNotOverflow(time: Int64, rate: UInt32) {
        let ticks = MediaTime.ticks(microseconds: time, clockRate: rate)
        _ = MediaTime.microseconds(ticks: ticks, clockRate: rate)
        _ = MediaTime.microseconds(ticks: time, clockRate: rate)
        #expect(time < 0 ? ticks <= 0 : ticks >= 0)
    }

    @Test func indexHoldsWhatIsNotBefore() throws {
        var indexer = RecordingIndexer(anchor: 0)
        func record(_ track: UInt8, _ key: Bool, _ time: Int64) throws -> RecordedPacket {
            try #require(RecordedPacket(track: track, startsKeyFrame: key, microseconds: time, byteCount: 20))
        }
        // Audio is sent ahead of video; pictures are sent before those that are shown earlier.
        let records: [(UInt8, Bool, Int64)] = [
            (0, true, 0), (1, false, 0), (1, false, 500_000), (0, false, 120_000), (0, false, 40_000), (1, false, 1_000_000),
            (1, false, 1_500_000), (0, true, 1_000_000), (1, false, 2_000_000),
        ]
        for (number, entry) in records.enumerated() { indexer.take(try record(entry.0, entry.1, entry.2), at: UInt64(number) * 100) }
        #expect(
            indexer.index.entries == [
                .init(microseconds: 0, first: 0, keyFrame: 0), .init(microseconds: 1_000_000, first: 500, keyFrame: 700),
            ])
        #expect(indexer.index.latenessMicroseconds == 500_000)
        #expect(indexer.index.endMicroseconds == 2_000_000)
    }

    @Test func withoutKeyFramesThereIsAPlaceEveryHalfSecond() throws {
        var indexer = RecordingIndexer(anchor: nil)
        for number in 0..<100 {
            let record = try #require(
                RecordedPacket(track: 0, startsKeyFrame: false, microseconds: Int64(number) * 20_000, byteCount: 172))
            indexer.take(record, at: UInt64(number) * 184)
        }
        #expect(indexer.index.entries.map(\.microseconds) == [0, 500_000, 1_000_000, 1_500_000])
    }
}

@Suite struct ReplayClockTests {
    /// A session plays, pauses and goes elsewhere: its RTP time is one line of the wall's, and what is sent lies on it.
    @Test func oneLineForTheWholeSession() {
        var clock = ReplayClock(clockRates: [90_000, 48_000]) { 4_294_967_000 }
        clock.begin(at: 0, now: 1_000_000_000)
        #expect(clock.rtpTimeOfBeginning(track: 0) == 4_294_967_000)
        #expect(clock.shift(track: 0, base: 17) == 4_294_967_000 &- 17)
        #expect(clock.due(2_000_000) == 3_000_000_000)
        #expect(clock.due(-40_000) == 1_000_000_000)
        // Five seconds later: from a key frame at 20 s.
        clock.begin(at: 20_000_000, now: 6_000_000_000)
        #expect(clock.rtpTimeOfBeginning(track: 0) == 4_294_967_000 &+ 450_000)
        #expect(clock.rtpTimeOfBeginning(track: 1) == 4_294_967_000 &+ 240_000)
        // What was recorded at 20 s + 1 s has the time that a report one second later tells.
        let recorded = UInt32(17) &+ 21 * 90_000
        #expect(recorded &+ clock.shift(track: 0, base: 17) == clock.rtpTime(track: 0, now: 7_000_000_000))
        #expect(clock.due(21_000_000) == 7_000_000_000)
        #expect(clock.position(now: 7_000_000_000) == 21_000_000)
        #expect(clock.rtpTime(track: 2, now: 0) == 0)
    }
}
