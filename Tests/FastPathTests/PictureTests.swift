import PlaneLink
import Testing
import WireFormats

@testable import FastPath

/// Streams whose readers get whole pictures.
@Suite struct PictureTests {
    private static let memory = StreamSizing(bitRate: 0, windowMilliseconds: 0, holdsPictures: true)

    /// A picture in `count` fragments (FU-A) of `bytes` bytes each; the last one has the marker, unless `marks` is false.
    private func picture(
        _ first: UInt16, _ timestamp: UInt32, ssrc: UInt32 = 1, count: Int = 3, bytes: Int = 5, isKey: Bool = true, marks: Bool = true
    ) -> [[UInt8]] {
        (0..<count).map { place in
            let type: UInt8 = isKey ? 5 : 1
            let head = type | (place == 0 ? 0x80 : place == count - 1 ? 0x40 : 0)
            return rtp(
                sequence: first &+ UInt16(place), timestamp: timestamp, ssrc: ssrc, marker: marks && place == count - 1,
                payload: [0x7C, head, 0x88] + [UInt8](repeating: UInt8(truncatingIfNeeded: place), count: bytes))
        }
    }

    private func sequences(_ bench: borrowing ScriptedWorker) -> [UInt16] {
        let log = PacketLog(memory: bench.memory)
        return (bench.memory.board.load(.tail)..<bench.memory.board.load(.head)).map { number in
            unsafe sequence(Array(UnsafeRawBufferPointer(start: log.bytes(of: log.record(number)), count: 12)))
        }
    }

    @Test("A picture is sent when its last packet is there; what its source's end cut was never sent, and no number is missing")
    func cut() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        let first = picture(65_533, 0)
        bench.feed(Array(first.dropLast()))
        #expect(sequences(bench).isEmpty)
        bench.feed([first[2]])
        #expect(sequences(bench) == [65_533, 65_534, 65_535])
        #expect(bench.memory.board.load(.keyFrame) == 1 && bench.memory.counters[0, .receivedInEpoch] == 3)
        bench.feed(Array(picture(0, 3_600).dropLast()))
        bench.run(.beginEpoch(bench.stream))
        bench.feed(picture(700, 99, ssrc: 2) + picture(703, 3_699, ssrc: 2, count: 1))
        #expect(sequences(bench) == [65_533, 65_534, 65_535, 0, 1, 2, 3])
        #expect(bench.memory.counters[.framesCut] == 1 && bench.memory.counters[.picturesNotHeld] == 0)
        // So it is where the source goes on as another one without an epoch: the first packet of another SSRC is not believed.
        bench.feed(Array(picture(704, 7_299, ssrc: 2).dropLast()) + picture(40, 0, ssrc: 3) + picture(43, 3_600, ssrc: 3))
        #expect(sequences(bench).dropFirst(7) == [4, 5, 6, 7, 8])
        #expect(bench.memory.counters[.framesCut] == 2)
    }

    @Test("Its end is also where the next one begins; the lost packet between is a loss and no more")
    func nextOne() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        bench.feed(Array(picture(10, 0).dropLast()))
        #expect(sequences(bench).isEmpty)
        bench.feed(picture(13, 3_600))
        #expect(sequences(bench) == [10, 11, 13, 14, 15])
        // Late within its picture, late behind it, a stray packet of somebody else.
        let third = picture(16, 7_200, count: 4)
        bench.feed([third[0], third[2], third[1]] + picture(9_000, 7_200, ssrc: 9, count: 1) + [third[3]])
        #expect(sequences(bench).dropFirst(5) == [16, 18, 17, 19])
        bench.feed([rtp(sequence: 12, timestamp: 0, ssrc: 1, marker: true, payload: [0x7C, 0x45, 1])])
        #expect(sequences(bench).last == 12)
        let fourth = picture(20, 10_800)
        bench.feed([fourth[0], fourth[2], fourth[1]])
        #expect(sequences(bench).suffix(3) == [20, 22, 21])
        #expect(bench.memory.counters[.picturesNotHeld] == 0 && bench.memory.counters[.framesCut] == 0)
    }

    @Test("Two stray packets of one sender with packets of the source between them are not two in a row, though those are held")
    func straysApart() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        bench.feed(picture(10, 0))
        let epochs = bench.memory.counters[.epochs]
        let second = picture(13, 3_600, count: 4)
        let strays = picture(9_000, 7_200, ssrc: 9, count: 2)
        bench.feed([second[0], strays[0], second[1], strays[1], second[2], second[3]])
        #expect(sequences(bench) == [10, 11, 12, 13, 14, 15, 16])
        #expect(bench.memory.counters[.epochs] == epochs)
    }

    @Test("A stray packet between two pictures is nobody's picture: the next ones are held all the same", arguments: [true, false])
    func strayBetween(marker: Bool) throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        bench.feed(picture(10, 0))
        bench.feed([rtp(sequence: 9_000, timestamp: 77, ssrc: 9, marker: marker, payload: [0x7C, 0x85, 1])])
        for place in UInt16(1)...3 {
            bench.feed(Array(picture(10 + 3 * place, UInt32(place) * 3_600).dropLast()))
            #expect(sequences(bench).last == 9 + 3 * place, "its last packet is not there")
            bench.feed([picture(10 + 3 * place, UInt32(place) * 3_600)[2]])
            #expect(sequences(bench).last == 12 + 3 * place)
        }
        #expect(bench.memory.counters[.picturesNotHeld] == 0 && bench.memory.counters[.framesCut] == 0)
    }

    @Test(
        "Behind a new time line of the source's pictures wait as before, whatever its numbers are",
        arguments: [(1, 30_000), (1, 20_000), (2, 30_000)])
    func newLine(ssrc: UInt32, first: UInt16) throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        bench.feed(picture(40_000, 900_000))
        // Of a line that nobody announced the first packet is not believed.
        bench.feed(picture(first, 9_000_000, ssrc: ssrc, count: 4) + picture(first + 4, 9_003_600, ssrc: ssrc))
        let before = sequences(bench)
        #expect(before.count == 3 + 3 + 3 && bench.memory.counters[.epochs] == 2)
        bench.feed(Array(picture(first + 7, 9_007_200, ssrc: ssrc).dropLast()))
        #expect(sequences(bench) == before, "its last packet is not there")
        bench.feed([picture(first + 7, 9_007_200, ssrc: ssrc)[2]])
        #expect(sequences(bench).count == before.count + 3)
    }

    @Test("A slate begins behind half a picture that will not be finished, not within one that comes in")
    func slate() throws {
        let sizing = StreamSizing(bitRate: 0, windowMilliseconds: 0, keepsKeyFrame: true, holdsPictures: true)
        var bench = try ScriptedWorker(sizing: sizing, codec: .h264)
        let begins = Command.beginSlate(bench.stream, silentNanoseconds: 500_000_000)
        bench.feed(picture(0, 0))
        bench.pass(milliseconds: 400)
        bench.feed(Array(picture(3, 36_000).dropLast()))
        bench.pass(milliseconds: 200)
        bench.run(begins, .repeatKeyFrame(bench.stream))
        #expect(sequences(bench) == [0, 1, 2], "it comes in")
        bench.pass(milliseconds: 400)
        bench.run(begins, .repeatKeyFrame(bench.stream))
        #expect(sequences(bench) == [0, 1, 2, 3, 4, 5] && bench.memory.counters[.framesCut] == 1)
        // The source is back: half of its old key frame does not end the slate, nor does what builds on it.
        bench.feed(picture(6, 90_000, isKey: false) + picture(9, 93_600, count: 2).dropLast())
        #expect(sequences(bench) == [0, 1, 2, 3, 4, 5])
        // Nor half of one that came during the slate.
        bench.pass(milliseconds: 600)
        bench.run(begins)
        bench.feed(picture(12, 180_000, isKey: false) + picture(15, 183_600))
        #expect(sequences(bench) == [0, 1, 2, 3, 4, 5, 6, 7, 8] && bench.memory.counters[.framesCut] == 2)
    }

    @Test("A picture that is too large goes on as it comes, and so does a source that marks no ends until it does")
    func notHeld() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        let large = picture(0, 0, count: 600, bytes: 1_200)
        bench.feed(Array(large.prefix(440)))
        #expect(bench.memory.board.load(.head) > 430 && bench.memory.counters[.picturesNotHeld] == 1)
        bench.feed(Array(large.dropFirst(440)))
        #expect(bench.memory.board.load(.head) == 600 && bench.memory.counters[.picturesNotHeld] == 1)
        var number: UInt16 = 600
        for place in 1...20 {
            bench.feed(picture(number, UInt32(place) * 3_600, marks: false))
            number += 3
        }
        #expect(sequences(bench).last == number - 1, "the source is known by now")
        #expect(bench.memory.counters[.picturesNotHeld] == 1 + 20 - UInt64(PictureStage.unmarkedMax))
        bench.feed(picture(number, 90_000) + picture(number + 3, 93_600).dropLast())
        #expect(sequences(bench).last == number + 2)
    }

    @Test("Other tracks and reports wait for nothing; nor does a stream that does not hold pictures")
    func others() throws {
        let plans = [TrackPlan(clockRate: 90_000, codec: .h264, ssrc: 1), TrackPlan(clockRate: 48_000, codec: .opaque, ssrc: 2)]
        var bench = try ScriptedWorker(sizing: Self.memory, plans: plans)
        bench.feed(Array(picture(10, 0).dropLast()))
        bench.run(.feed(bench.source, LinkBuffer(framed(2, rtp(sequence: 5, timestamp: 0, ssrc: 7, payload: [1, 2, 3])))))
        #expect(sequences(bench) == [5])
        for codec in [TrackCodec.opaque, .mp2t] {
            var other = try ScriptedWorker(sizing: Self.memory, codec: codec)
            other.feed(Array(picture(10, 0).dropLast()))
            #expect(sequences(other) == [10, 11])
        }
    }

    @Test(
        "Whatever is lost, late or cut by the source's end: no reader sees a part of a picture that was not finished",
        arguments: UInt64(1)...40)
    func seeds(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let sizing = StreamSizing(bitRate: 100_000_000, windowMilliseconds: 2_000, holdsPictures: true)
        var bench = try ScriptedWorker(sizing: sizing, codec: .h264)
        var expected = 0, cuts: UInt64 = 0
        for life in 1...12 {
            var number = UInt16(truncatingIfNeeded: random.next()), time = UInt32(truncatingIfNeeded: random.next())
            bench.run(.beginEpoch(bench.stream))
            for place in 0..<random.within(1...9) {
                let count = random.within(1...12)
                bench.feed(picture(number, time, ssrc: UInt32(life), count: count, isKey: place % 4 == 0))
                expected += count
                number &+= UInt16(count)
                time &+= 3_600
                bench.pass(milliseconds: UInt64(random.below(40)))
            }
            // It dies in the middle of one, or between two.
            let left = random.below(5)
            let half = picture(number, time, ssrc: UInt32(life), count: 6, isKey: random.below(2) == 0).prefix(left)
            bench.feed(Array(half))
            if left > 0 { cuts += 1 }
            bench.pass(milliseconds: 200)
            let seen = sequences(bench)
            #expect(seen.count == expected, "life \(life)")
            #expect(zip(seen, seen.dropFirst()).allSatisfy { $1 &- $0 == 1 }, "no number is missing")
        }
        bench.run(.beginEpoch(bench.stream))
        #expect(bench.memory.counters[.framesCut] == cuts && bench.memory.counters[.epochs] == 12)
    }
}
