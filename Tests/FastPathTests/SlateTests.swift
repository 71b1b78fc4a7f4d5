import PlaneLink
import Testing
import WireFormats

@testable import FastPath

/// What fills the gap while a source is away, step by step over the scripted kernel and its clock.
@Suite struct SlateTests {
    private static let memory = StreamSizing(bitRate: 0, windowMilliseconds: 0, keepsKeyFrame: true)
    private static let after: UInt64 = 500_000_000

    /// H.264: parameter sets, then an IDR picture in two slices; the last one has the marker.
    private func keyFrame(_ first: UInt16, _ timestamp: UInt32, ssrc: UInt32 = 1, fill: UInt8 = 0x11, bytes: Int = 600) -> [[UInt8]] {
        let units: [[UInt8]] = [
            [0x67, 0x42, 0, 0x1E, fill], [0x68, 0xCE, fill], [0x65, 0x88] + [UInt8](repeating: fill, count: bytes),
            [0x65, 0x40] + [UInt8](repeating: fill, count: 300),
        ]
        return units.enumerated().map { place, unit in
            rtp(sequence: first &+ UInt16(place), timestamp: timestamp, ssrc: ssrc, marker: place == units.count - 1, payload: unit)
        }
    }

    private func delta(_ number: UInt16, _ timestamp: UInt32, ssrc: UInt32 = 1, bytes: Int = 200) -> [UInt8] {
        rtp(sequence: number, timestamp: timestamp, ssrc: ssrc, marker: true, payload: slice(bytes))
    }

    /// The packets that a reader was sent, trains of segments taken apart.
    private func packets(_ bench: borrowing ScriptedWorker) -> [[UInt8]] {
        bench.script.sent.filter { $0.port == 5_000 }.flatMap { train in
            let size = train.segment > 0 ? train.segment : train.bytes.count
            return stride(from: 0, to: train.bytes.count, by: max(size, 1)).map { start in
                Array(train.bytes[start..<min(start + size, train.bytes.count)])
            }
        }
    }

    private func settle(_ bench: inout ScriptedWorker) { for _ in 0..<5 { bench.pass(milliseconds: 1) } }

    @Test("The last key frame comes again as the same time line, and ends where the source's next one begins")
    func repeatsAndEnds() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        _ = bench.addDatagramReader(0)
        bench.feed(keyFrame(65_530, 9_000))
        bench.feed([delta(65_534, 12_600), delta(65_535, 16_200), delta(0, 19_800)])
        settle(&bench)
        let live = packets(bench)
        #expect(live.map(sequence) == [65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 0])

        // While the source is there, nothing of a slate is sent.
        bench.run(.repeatKeyFrame(bench.stream), .beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
        settle(&bench)
        #expect(packets(bench).count == live.count)

        bench.pass(milliseconds: 600)
        for round in 0..<3 {
            bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
            settle(&bench)
            let again = Array(packets(bench).dropFirst(live.count + 4 * round))
            #expect(again.map(sequence) == (0..<4).map { UInt16(1 + 4 * round + $0) })
            #expect(again.map { Array($0.dropFirst(12)) } == live.prefix(4).map { Array($0.dropFirst(12)) }, "byte for byte")
            #expect(again.map { $0[1] } == live.prefix(4).map { $0[1] }, "marker and payload type")
            #expect(Set(again.map(ssrc)) == [1])
            #expect(Set(again.map(timestamp)).count == 1)
            let passed = Double(timestamp(again[0]) &- 19_800) / 90
            let expected = 600 + Double(round) * 505
            #expect(abs(passed - expected) < 30, "\(passed) ms of \(expected)")
            bench.pass(milliseconds: 500)
        }
        #expect(bench.memory.counters[.slateFrames] == 3 && bench.memory.counters[.slatePackets] == 12)
        #expect(bench.memory.counters[0, .packets] == 7, "the source's own are counted alone")

        // The source returns in the middle of a group of pictures.
        let before = packets(bench)
        bench.run(.beginEpoch(bench.stream))
        bench.feed([delta(700, 500, ssrc: 9), delta(701, 4_100, ssrc: 9)])
        bench.run(.repeatKeyFrame(bench.stream))
        bench.feed(keyFrame(702, 7_700, ssrc: 9, fill: 0x33))
        bench.run(.repeatKeyFrame(bench.stream))
        bench.feed([delta(706, 11_300, ssrc: 9)])
        bench.run(.repeatKeyFrame(bench.stream))
        settle(&bench)
        let after = Array(packets(bench).dropFirst(before.count))
        #expect(after.count == 4 + 4 + 1, "one repetition, the key frame, what follows")
        #expect(after.map(sequence) == (0..<9).map { UInt16(13 + $0) })
        #expect(after[4].dropFirst(12) == keyFrame(702, 7_700, fill: 0x33)[0].dropFirst(12))
        let times = (before + after).map(timestamp)
        #expect(zip(times, times.dropFirst()).allSatisfy { Int32(bitPattern: $1 &- $0) >= 0 })
        #expect(timestamp(after[8]) &- timestamp(after[4]) == 3_600)
    }

    @Test("Video that comes back without a key frame is held back for a while, then taken, counted from its first packet")
    func withoutKeyFrame() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        _ = bench.addDatagramReader(0)
        bench.feed(keyFrame(0, 0))
        bench.pass(milliseconds: 30_000)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
        bench.pass(milliseconds: 30_000)
        bench.feed([delta(4, 90_000)])
        #expect(bench.memory.counters[0, .packets] == 4)
        bench.pass(milliseconds: 10_100)
        bench.feed([delta(5, 99_000)])
        #expect(bench.memory.counters[0, .packets] == 5)
    }

    @Test("A gap that is waited for behind a jitter buffer begins no slate: what waits would end it")
    func behindAJitterBuffer() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        bench.run(.setReorder(bench.stream, ReorderPlan(legs: 1, waitNanosecondsMax: 1_000_000_000)))
        _ = bench.addDatagramReader(0)
        // One packet is lost; behind it comes the next key frame, and nothing more.
        bench.feed(keyFrame(0, 0) + [delta(4, 3_600)] + keyFrame(6, 7_200, fill: 0x22))
        #expect(bench.memory.counters[0, .waiting] == 4)
        bench.pass(milliseconds: 700)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
        settle(&bench)
        #expect(packets(bench).map(sequence) == [0, 1, 2, 3, 4] && bench.memory.counters[.slateFrames] == 0)
        bench.pass(milliseconds: 320)
        #expect(packets(bench).map(sequence) == [0, 1, 2, 3, 4, 6, 7, 8, 9])
        bench.pass(milliseconds: 600)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
        settle(&bench)
        #expect(packets(bench).map(sequence) == [0, 1, 2, 3, 4] + Array(6..<14))
        #expect(packets(bench).suffix(4).map { Array($0.dropFirst(12)) } == keyFrame(0, 0, fill: 0x22).map { Array($0.dropFirst(12)) })
        #expect(bench.memory.counters[.epochs] == 1)
    }

    @Test("Nothing is repeated where no whole key frame was seen, or the stream keeps none", arguments: 0..<5)
    func nothingThere(reason: Int) throws {
        let sizing = reason == 4 ? StreamSizing(bitRate: 0, windowMilliseconds: 0) : Self.memory
        var bench = try ScriptedWorker(sizing: sizing, codec: reason == 3 ? .opaque : .h264)
        _ = bench.addDatagramReader(0)
        switch reason {
        case 0: bench.feed([delta(0, 0), delta(1, 3_600)])
        case 1: bench.feed(Array(keyFrame(0, 0).dropLast()))  // died in the middle of it
        case 2:
            // Parameter sets before a picture that is no key frame (intra refresh).
            bench.feed(Array(keyFrame(0, 0).prefix(2)) + [delta(2, 0), delta(3, 3_600)])
        default: bench.feed(keyFrame(0, 0))
        }
        settle(&bench)
        let before = packets(bench).count
        bench.pass(milliseconds: 600)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
        settle(&bench)
        #expect(packets(bench).count == before)
        #expect(bench.memory.counters[.slateFrames] == 0)
    }

    @Test("The kept frame outlives the log's window, and one that is too large or broken leaves the one before it")
    func outlivesTheLog() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        bench.feed(keyFrame(0, 0))
        var number: UInt16 = 4
        // A key frame of which a packet is lost, one that is larger than half of the arena, and three arenas full.
        bench.feed(keyFrame(number, 3_600, fill: 0x22).enumerated().filter { $0.offset != 2 }.map(\.element))
        number += 4
        bench.feed(
            (0..<500).map {
                rtp(sequence: number &+ UInt16($0), timestamp: 7_200, ssrc: 1, payload: [0x65, 0x88] + [UInt8](repeating: 3, count: 1_200))
            })
        number += 500
        for round in 0..<30 {
            bench.feed((0..<100).map { delta(number &+ UInt16($0), 10_800 &+ UInt32(round) &* 3_600, bytes: 1_200) })
            number += 100
            bench.pass(milliseconds: 1)
        }
        #expect(bench.memory.board.load(.tail) > 600, "the log was written over")
        _ = bench.addDatagramReader(0)
        bench.pass(milliseconds: 600)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
        settle(&bench)
        #expect(packets(bench).map { Array($0.dropFirst(12)) } == keyFrame(0, 0).map { Array($0.dropFirst(12)) })
    }

    @Test("A newcomer is let in at a repeated key frame")
    func newcomer() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        bench.feed(keyFrame(0, 0) + [delta(4, 3_600)])
        bench.pass(milliseconds: 600)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after))
        let reader = bench.addDatagramReader(0, now: false)
        #expect(!bench.takeReports().contains { if case .joined = $0 { true } else { false } })
        bench.run(.repeatKeyFrame(bench.stream))
        let joined = bench.takeReports().compactMap { if case .joined(reader, let point) = $0 { point } else { nil } }
        #expect(joined.first?[0].sequence == 5)
        bench.run(.go(reader))
        settle(&bench)
        #expect(packets(bench).map(sequence) == [5, 6, 7, 8])
    }

    @Test("H.265: an end of sequence goes before each repetition and before the source's return")
    func h265() throws {
        func frame(_ first: UInt16, _ timestamp: UInt32, ssrc: UInt32) -> [[UInt8]] {
            // VPS, SPS, PPS, CRA (type 21).
            let units: [[UInt8]] = [[0x40, 1, 2], [0x42, 1, 2], [0x44, 1, 2], [0x2A, 1, 0x80, 7, 7]]
            return units.enumerated().map { place, unit in
                rtp(sequence: first &+ UInt16(place), timestamp: timestamp, ssrc: ssrc, marker: place == 3, payload: unit)
            }
        }
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h265)
        _ = bench.addDatagramReader(0)
        bench.feed(frame(0, 0, ssrc: 1))
        bench.pass(milliseconds: 600)
        bench.run(.beginSlate(bench.stream, silentNanoseconds: Self.after), .repeatKeyFrame(bench.stream))
        bench.pass(milliseconds: 500)
        bench.feed(frame(50, 77, ssrc: 2))
        settle(&bench)
        let got = packets(bench)
        #expect(got.map { $0[12] >> 1 } == [32, 33, 34, 21, 48, 32, 33, 34, 21, 48, 32, 33, 34, 21])
        #expect(got.map(sequence) == Array(0..<14))
        #expect(got[4][1] == 96 && got[4][16] >> 1 == 36 && got[4].count == 23 && timestamp(got[4]) == timestamp(got[5]))
        #expect(timestamp(got[9]) == timestamp(got[10]) && timestamp(got[9]) > timestamp(got[8]))
    }

    @Test("A clip's packets fill the gap from its first key frame on and never mix; the source's parameter sets go before its return")
    func clip() throws {
        var bench = try ScriptedWorker(sizing: Self.memory, codec: .h264)
        _ = bench.addDatagramReader(0)
        let clip = SourceHandle(index: 1, generation: 1)
        let units: [[UInt8]] = [[0x67, 1, 2], [0x68, 3]]
        let preface = units.flatMap { unit -> [UInt8] in [UInt8(unit.count), 0] + unit }
        func feedClip(_ bench: inout ScriptedWorker, _ packets: [[UInt8]]) {
            bench.run(.feed(clip, LinkBuffer(packets.flatMap { framed(0, $0) })))
        }
        bench.run(.addSlateSource(clip, bench.stream, channels: ChannelMap(identity: 2)))
        bench.feed(keyFrame(100, 0))
        feedClip(&bench, keyFrame(5, 0, ssrc: 7, fill: 0x77))
        settle(&bench)
        #expect(packets(bench).count == 4, "the source is there")
        bench.pass(milliseconds: 600)
        bench.run(.setPreface(bench.stream, track: 0, LinkBuffer(preface)), .beginSlate(bench.stream, silentNanoseconds: Self.after))
        feedClip(&bench, [delta(8, 500, ssrc: 7)] + keyFrame(9, 4_100, ssrc: 7, fill: 0x77))
        bench.pass(milliseconds: 40)
        feedClip(&bench, [delta(13, 7_700, ssrc: 7)])
        bench.pass(milliseconds: 40)
        bench.feed(Array(keyFrame(29_998, 5, ssrc: 3, fill: 0x44).dropFirst(2)))
        feedClip(&bench, [delta(14, 11_300, ssrc: 7)])
        bench.feed([delta(30_002, 3_605, ssrc: 3)])
        settle(&bench)
        let got = packets(bench)
        #expect(got.map(sequence) == Array(100..<114))
        #expect(got[4..<8].map { $0.last } == Array(repeating: 0x77, count: 4))
        #expect(timestamp(got[8]) &- timestamp(got[7]) == 3_600)
        #expect(got[9...10].map { Array($0.dropFirst(12)) } == units)
        #expect(timestamp(got[9]) == timestamp(got[11]) && got[11].last == 0x44)
        #expect(timestamp(got[13]) &- timestamp(got[11]) == 3_600)
        #expect(bench.memory.counters[.slatePackets] == 5 && bench.memory.counters[.prefacePackets] == 2)
        bench.run(.setPreface(bench.stream, track: 0, LinkBuffer([9, 0, 1])))
        #expect(bench.worker.counters[.datagramsMalformed] == 1)
        for report in bench.takeReports() { if case .subscriberFailed = report { Issue.record("\(report)") } }
    }
}

/// RTP and RTCP on one port (RFC 5761).
@Suite struct MultiplexingTests {
    @Test("A reader with one port for both is sent RTCP from the socket that RTP comes from, beside one with two")
    func oneSocket() throws {
        var bench = try ScriptedWorker(codec: .opaque)
        for (index, rtcp) in [(UInt32(0), UInt16(5_000)), (1, 5_011), (2, 5_020)] {
            let handle = SubscriberHandle(index: index, generation: 1)
            var ports = PortMap()
            ports[0] = 5_000 + UInt16(index) * 10
            ports[1] = rtcp
            bench.run(
                .addDatagramSubscriber(handle, bench.stream, host: HostAddress(ipv4: index << 8), ports: ports, sockets: 0),
                .arm(handle, now: true), .go(handle))
        }
        bench.feed([rtp(sequence: 0, timestamp: 0, ssrc: 1, payload: [1, 2, 3])])
        let report: [UInt8] = [0x80, 200, 0, 6] + big(1) + big(0xE000_0001) + big(0) + big(0) + big(1) + big(1)
        // On the channel of its media: the source has one port, too.
        bench.feed([report])
        for _ in 0..<5 { bench.pass(milliseconds: 1) }
        func slots(_ port: UInt16, _ isRTCP: Bool) -> [Int] {
            bench.script.sent.filter { $0.port == port && (192...223).contains($0.bytes[1]) == isRTCP }.map { Int($0.slot) }
        }
        let media = slots(5_010, false), control = slots(5_011, true)
        #expect(media.count == 1 && control.count == 1 && media != control)
        for port in [UInt16(5_000), 5_020] {
            #expect(slots(port, false) == media && slots(port, true) == media)
        }
    }
}

/// The keeper against a model that knows which frames were whole: losses, repeats, late packets, frames that are too large, parameter
/// sets alone, the end at any place.
@Suite struct KeyFrameKeeperTests {
    @Test("What is kept is the newest whole key frame", arguments: UInt64(1)...40)
    func simulation(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0, keepsKeyFrame: true))
        defer { memory.free() }
        guard var keeper = KeyFrameKeeper(memory: memory) else { throw Missing() }
        let frameBytesMax = memory.keyFrameBytes / 2
        var expected: [[UInt8]] = []
        var sequence = UInt16(truncatingIfNeeded: random.next())
        var timestamp = UInt32(truncatingIfNeeded: random.next())
        var isCandidate = false
        for _ in 0..<400 {
            timestamp &+= 3_600
            let isKey = random.below(4) == 0
            let isSetsOnly = isKey && random.below(8) == 0
            let count = isKey ? random.within(1...11) : 1
            let isHuge = isKey && random.below(20) == 0
            let bytes = isHuge ? frameBytesMax / max(count - 1, 1) : random.within(20...1_399)
            let lost = isKey && random.below(3) == 0 ? random.below(count) : -1
            var packets: [[UInt8]] = []
            for place in 0..<count {
                let packet = [UInt8](repeating: UInt8(random.below(256)), count: min(bytes, 60_000))
                if place != lost {
                    let marks: FrameMarks = !isKey || place > 0 ? [] : isSetsOnly ? .startsWithParameterSets : .startsWithPicture
                    unsafe packet.withUnsafeBytes { raw in
                        guard let base = raw.baseAddress else { return }
                        unsafe keeper.take(
                            base, raw.count, sequence: sequence, timestamp: timestamp, marks: marks, endsFrame: place == count - 1)
                        // Now and then one comes twice.
                        if random.below(10) == 0 {
                            unsafe keeper.take(
                                base, raw.count, sequence: sequence, timestamp: timestamp, marks: marks, endsFrame: place == count - 1)
                        }
                    }
                }
                packets.append(packet)
                sequence &+= 1
            }
            let size = packets.reduce(0) { $0 + $1.count + KeyFrameKeeper.lengthBytes }
            // A frame whose last packet is lost is shown to be broken by the gap before the next one.
            isCandidate = isKey && !isSetsOnly && lost < 0 && size <= frameBytesMax
            if isCandidate { expected = packets }
            guard random.below(6) == 0 else { continue }
            keeper.settle()
            #expect(kept(keeper) == expected)
        }
        keeper.settle()
        #expect(kept(keeper) == expected)
        #expect(!expected.isEmpty)
    }

    private struct Missing: Error {}

    private func kept(_ keeper: KeyFrameKeeper) -> [[UInt8]] {
        var list: [[UInt8]] = []
        var offset = 0
        while offset < keeper.keptBytes {
            let packet = unsafe keeper.packet(at: offset)
            unsafe list.append(Array(UnsafeRawBufferPointer(start: packet.bytes, count: packet.count)))
            offset = unsafe packet.next
        }
        return list
    }
}
