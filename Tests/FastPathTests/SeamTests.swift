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

    // MARK: Parameter sets

    private static let sets: [[UInt8]] = [[0x67, 0x42, 0, 0x1E, 9], [0x68, 0xCE, 9]]

    private static func payloads(_ units: [[UInt8]]) -> LinkBuffer { LinkBuffer(units.flatMap { [UInt8($0.count), 0] + $0 }) }

    private func logged(_ bench: borrowing ScriptedWorker) -> [[UInt8]] {
        let log = PacketLog(memory: bench.memory)
        return (0..<bench.memory.board.load(.head)).map { number in
            let record = log.record(number)
            return unsafe Array(UnsafeRawBufferPointer(start: log.bytes(of: record), count: Int(record.length)))
        }
    }

    private func delta(_ number: UInt16, _ timestamp: UInt32, ssrc: UInt32) -> [UInt8] {
        rtp(sequence: number, timestamp: timestamp, ssrc: ssrc, marker: true, payload: [0x41, 0x9A, 7])
    }

    @Test("The parameter sets of another source go before each of its key frames that bring none, and begin them")
    func parameterSets() throws {
        var bench = try ScriptedWorker(codec: .h264)
        bench.feed(picture(10, 0, ssrc: 1))
        bench.run(.beginEpoch(bench.stream), .setPreface(bench.stream, track: 0, Self.payloads(Self.sets)))
        bench.feed([delta(699, 99, ssrc: 2)] + picture(700, 3_699, ssrc: 2))
        #expect(sequences(bench) == [10, 11, 12, 13, 14, 15, 16, 17])
        let packets = logged(bench)
        #expect(packets[3...4].map { Array($0.dropFirst(12)) } == Self.sets)
        #expect(Set(packets[3...7].map(timestamp)).count == 1 && Set(packets.map(ssrc)) == [1])
        #expect(packets[3...7].map { $0[1] } == [96, 96, 96, 96, 0xE0])
        #expect(bench.memory.board.load(.keyFrame) == 4, "readers begin at the sets")
        let log = PacketLog(memory: bench.memory)
        #expect((0..<8).filter { log.record($0).flags.contains(.startsKeyFrame) } == [0, 3])

        // One that is followed by a key frame of its own timestamp, one that brings its own, and again one that brings none.
        bench.feed([delta(703, 7_299, ssrc: 2)])
        bench.feed([rtp(sequence: 704, timestamp: 10_899, ssrc: 2, marker: false, payload: [0x67, 0x42, 0, 0x1E, 1])])
        bench.feed(picture(705, 10_899, ssrc: 2) + picture(708, 14_499, ssrc: 2))
        #expect(sequences(bench).dropFirst(8) == [18, 19, 20, 21, 22, 23, 24, 25, 26, 27])
        #expect(logged(bench)[13...14].map { Array($0.dropFirst(12)) } == Self.sets)
        #expect(bench.memory.counters[.prefacePackets] == 4 && bench.memory.counters[0, .keyFrames] == 4)
        #expect(bench.memory.counters[0, .receivedInEpoch] == 11 && bench.memory.counters[0, .expected] == 11)

        // No more of them, nor behind a new plan.
        bench.run(.setPreface(bench.stream, track: 0, LinkBuffer([])))
        bench.feed(picture(711, 18_099, ssrc: 2))
        #expect(bench.memory.counters[.prefacePackets] == 4)
        bench.run(.setPreface(bench.stream, track: 0, Self.payloads(Self.sets)))
        bench.run(.setTrack(bench.stream, track: 0, TrackPlan(clockRate: 90_000, codec: .h264, ssrc: 5)))
        bench.feed(picture(714, 21_699, ssrc: 2))
        #expect(bench.memory.counters[.prefacePackets] == 4)
        #expect(bench.worker.counters[.datagramsMalformed] == 0)
        for report in bench.takeReports() { if case .refused = report { Issue.record("\(report)") } }
    }

    @Test("A key frame that lost its beginning gets none; what comes late from before one that got some has lost its place")
    func parameterSetsAndLosses() throws {
        var bench = try ScriptedWorker(codec: .h264)
        bench.feed(picture(10, 0, ssrc: 1))
        bench.run(.setPreface(bench.stream, track: 0, Self.payloads(Self.sets)))
        let second = picture(14, 7_200, ssrc: 1), third = picture(17, 10_800, ssrc: 1)
        bench.feed([second[0], delta(13, 3_600, ssrc: 1)] + second.dropFirst())
        #expect(sequences(bench) == [10, 11, 12, 14, 15, 16, 17, 18])
        #expect(bench.worker.counters[.packetsBehindCut] == 1)
        bench.feed([third[1], third[0], third[2]])
        #expect(sequences(bench).dropFirst(8) == [20, 19, 21] && bench.memory.counters[.prefacePackets] == 2)
    }

    @Test("They go before packets that are cut, and the kept key frame has them")
    func parameterSetsBeforeFragments() throws {
        var policy = ScriptedWorker.unpaced
        policy.packetBytesMax = 200
        let memory = StreamSizing(bitRate: 0, windowMilliseconds: 0, keepsKeyFrame: true)
        var bench = try ScriptedWorker(sizing: memory, policy: policy, codec: .h264)
        bench.run(.setPreface(bench.stream, track: 0, Self.payloads(Self.sets)))
        let large = rtp(sequence: 7, timestamp: 0, ssrc: 1, marker: true, payload: [0x65, 0x88] + [UInt8](repeating: 1, count: 300))
        bench.feed([large, delta(8, 3_600, ssrc: 1)])
        #expect(sequences(bench) == [7, 8, 9, 10, 11])
        bench.pass(milliseconds: 600)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: 500_000_000), .repeatKeyFrame(bench.stream))
        let packets = logged(bench)
        #expect(packets.dropFirst(5).map { $0.dropFirst(12) } == packets.prefix(4).map { $0.dropFirst(12) })
    }

    @Test("What makes no sense is not put before anything", arguments: [[3, 0, 1, 2], [0, 0], [1], [UInt8](repeating: 1, count: 4_000)])
    func badParameterSets(bytes: [UInt8]) throws {
        var bench = try ScriptedWorker(codec: .h264)
        bench.run(.setPreface(bench.stream, track: 0, LinkBuffer(bytes)), .setPreface(bench.stream, track: 9, Self.payloads(Self.sets)))
        bench.feed(picture(10, 0, ssrc: 1))
        #expect(bench.worker.counters[.datagramsMalformed] == 2 && sequences(bench) == [10, 11, 12])
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
