import PlaneLink
import Testing
import WireFormats

@testable import FastPath

/// Where one time line of a source ends and the next begins, as a receiver sees it.
@Suite struct SeamTests {
    /// An IDR picture in three fragments (FU-A); `count` of them.
    private func picture(_ first: UInt16, _ timestamp: UInt32, ssrc: UInt32, count: Int = 3) -> [[UInt8]] {
        (0..<count).map { place in
            let head: UInt8 = place == 0 ? 0x85 : place == 2 ? 0x45 : 0x05
            return rtp(
                sequence: first &+ UInt16(place), timestamp: timestamp, ssrc: ssrc, marker: place == 2, payload: [0x7C, head, 0x88, 1, 2])
        }
    }

    private func sequences(_ bench: borrowing ScriptedWorker) -> [UInt16] {
        let log = PacketLog(memory: bench.memory)
        return (0..<bench.memory.board.load(.head)).map { number in
            unsafe sequence(Array(UnsafeRawBufferPointer(start: log.bytes(of: log.record(number)), count: 12)))
        }
    }

    @Test("A frame that its source's end cut in two is told as a loss: the next one would be taken for its rest", arguments: 1...3)
    func cutFrame(fragments: Int) throws {
        var bench = try ScriptedWorker(codec: .h264)
        bench.feed(picture(65_532, 0, ssrc: 1) + picture(65_535, 3_600, ssrc: 1, count: fragments))
        bench.run(.beginEpoch(bench.stream))
        bench.feed(picture(700, 99, ssrc: 2))
        let end = UInt16(65_535) &+ UInt16(fragments), gap: UInt16 = fragments < 3 ? 1 : 0
        #expect(sequences(bench).suffix(3) == [end &+ gap, end &+ gap &+ 1, end &+ gap &+ 2])
        #expect(bench.memory.counters[.framesCut] == UInt64(gap))
        #expect(bench.memory.counters[0, .receivedInEpoch] == 3 && bench.memory.counters[0, .expected] == 3)
    }

    @Test("So it is where the source goes on as another one without an epoch")
    func anotherSource() throws {
        var bench = try ScriptedWorker(codec: .h264)
        bench.feed(picture(10, 0, ssrc: 1, count: 2) + picture(500, 0, ssrc: 2) + picture(503, 3_600, ssrc: 2))
        // The first packet of another SSRC is not believed.
        #expect(sequences(bench) == [10, 11, 13, 14, 15, 16, 17])
        #expect(bench.memory.counters[.framesCut] == 1)
    }

    @Test("What a packet that comes late says of its frame does not count; nor does what is no video")
    func lateAndAudio() throws {
        var bench = try ScriptedWorker(codec: .h264)
        let whole = picture(10, 0, ssrc: 1)
        bench.feed([whole[0], whole[2], whole[1]])
        bench.run(.beginEpoch(bench.stream))
        bench.feed(picture(500, 0, ssrc: 2))
        #expect(sequences(bench) == [10, 12, 11, 13, 14, 15])
        var audio = try ScriptedWorker(codec: .opaque)
        audio.feed([rtp(sequence: 1, timestamp: 0, ssrc: 1, payload: [1, 2, 3])])
        audio.run(.beginEpoch(audio.stream))
        audio.feed([rtp(sequence: 7, timestamp: 0, ssrc: 2, payload: [1, 2, 3])])
        #expect(sequences(audio) == [1, 2] && audio.memory.counters[.framesCut] == 0)
    }

    @Test("A slate behind half a frame, and a source behind half a frame of a clip, leave a number out as well")
    func slate() throws {
        let memory = StreamSizing(bitRate: 0, windowMilliseconds: 0, keepsKeyFrame: true)
        var bench = try ScriptedWorker(sizing: memory, codec: .h264)
        bench.feed(picture(0, 0, ssrc: 1) + picture(3, 3_600, ssrc: 1, count: 2))
        bench.pass(milliseconds: 600)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: 500_000_000), .repeatKeyFrame(bench.stream), .repeatKeyFrame(bench.stream))
        #expect(sequences(bench) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
        let clip = SourceHandle(index: 1, generation: 1)
        let packets = picture(40, 0, ssrc: 7, count: 2).flatMap { framed(0, $0) }
        bench.run(.addSlateSource(clip, bench.stream, channels: ChannelMap(identity: 2)), .feed(clip, LinkBuffer(packets)))
        bench.feed(picture(500, 0, ssrc: 2))
        #expect(sequences(bench).dropFirst(11) == [12, 13, 15, 16, 17])
        #expect(bench.memory.counters[.framesCut] == 2)
    }
}
