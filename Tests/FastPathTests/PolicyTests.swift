import PlaneLink
import Testing

@testable import FastPath

/// What a stream's policy promises its readers, step by step over the scripted kernel and its clock.
@Suite struct PolicyTests {
    private let packetBytes = 1_012

    /// Frames of `packets` packets of 1,000 bytes of payload, 40 ms apart.
    private func frame(_ number: Int, packets: Int, first: Int, isKey: Bool = false) -> [[UInt8]] {
        (0..<packets).map { place in
            let start: [UInt8] = isKey ? [0x65, 0x88] : [0x41, 0x9A]
            return rtp(
                sequence: UInt16(truncatingIfNeeded: first + place), timestamp: UInt32(number) * 3_600, ssrc: 1,
                marker: place == packets - 1,
                payload: start + [UInt8](repeating: UInt8(place & 0xFF), count: 998))
        }
    }

    private func sequences(_ trains: [[UInt8]]) -> [Int] {
        trains.flatMap { train in
            stride(from: 0, to: train.count, by: packetBytes).map { Int(sequence(Array(train[$0...].prefix(4)))) }
        }
    }

    private func policy(_ change: (inout StreamPolicy) -> Void) -> StreamPolicy {
        var policy = ScriptedWorker.unpaced
        policy.joinBurst = nil
        change(&policy)
        return policy
    }

    private let roomy = StreamSizing(bitRate: 32_000_000, windowMilliseconds: 2_000)

    // MARK: Pacing

    @Test("A large frame leaves in pieces over seven eighths of a frame's interval; an ordinary one at once")
    func adaptivePacing() throws {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { $0.pacing = .adaptive }, codec: .h264)
        _ = bench.addDatagramReader(0)
        var first = 0
        for number in 0..<5 {
            bench.feed(frame(number, packets: 30, first: first))
            first += 30
            #expect(sequences(bench.sent(to: 5_000)).count == first, "30 kB are no burst")
            bench.pass(milliseconds: 40)
        }
        let began = bench.script.time
        bench.feed(frame(5, packets: 400, first: first))
        #expect(sequences(bench.sent(to: 5_000)).count - first <= PacingPolicy.burstBytes / packetBytes)
        var most = 0
        var sent = sequences(bench.sent(to: 5_000)).count
        while sent < first + 400, bench.script.time - began < 100_000_000 {
            bench.pass(milliseconds: 1)
            let now = sequences(bench.sent(to: 5_000)).count
            most = max(most, now - sent)
            sent = now
        }
        let span = bench.script.time - began
        #expect(span >= 28_000_000 && span <= 37_000_000, "\(span) ns for a frame interval of 40 ms")
        #expect(most * packetBytes <= 16 << 10, "\(most) packets in one millisecond")
        #expect(sequences(bench.sent(to: 5_000)) == Array(0..<first + 400))
        #expect(bench.worker.counters[.pacedTurns] > 5)
    }

    @Test("A fixed pace is kept over seconds, and a stream faster than it loses what leaves the window, counted")
    func fixedPacing() throws {
        var bench = try ScriptedWorker(policy: policy { $0.pacing = .fixed(bitsPerSecond: 8_000_000) }, codec: .opaque)
        _ = bench.addDatagramReader(0)
        for number in 0..<100 {
            bench.feed(frame(number, packets: 100, first: number * 100))
            for _ in 0..<10 { bench.pass(milliseconds: 4) }
        }
        let bytes = sequences(bench.sent(to: 5_000)).count * packetBytes
        let numbers = sequences(bench.sent(to: 5_000))
        #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 })
        #expect(bytes > 3_900_000 && bytes < 4_200_000, "\(bytes) bytes in 4 seconds at 1 MB a second")
        #expect(bench.worker.counters[.packetsOverrun] > 0)
    }

    // MARK: Join burst

    @Test("A newcomer begins at the last key frame, gets the past in shares and meets the live stream without a gap")
    func joinBurst() throws {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { $0.joinBurst = JoinBurst() }, codec: .h264)
        _ = bench.addDatagramReader(9)
        var next = 0
        func feed(_ number: Int, _ packets: Int, isKey: Bool = false) {
            bench.feed(frame(number, packets: packets, first: next, isKey: isKey))
            next += packets
            bench.pass(milliseconds: 40)
        }
        feed(0, 30)
        let keyFrame = next
        feed(1, 60, isKey: true)
        for number in 2..<20 { feed(number, 12) }
        let handle = SubscriberHandle(index: 0, generation: 1)
        var ports = PortMap()
        ports[0] = 5_000
        _ = bench.takeReports()
        bench.run(
            .addDatagramSubscriber(handle, bench.stream, host: HostAddress(ipv4: 77), ports: ports, sockets: 0), .arm(handle, now: false))
        let joined = bench.takeReports().compactMap { if case .joined(handle, let point) = $0 { point } else { nil } }
        #expect(joined.first?[0].sequence == UInt16(keyFrame) && joined.first?[0].isKnown == true)
        #expect(bench.sent(to: 5_000).isEmpty)
        bench.run(.go(handle))
        var turns = 0
        while sequences(bench.sent(to: 5_000)).count < next - keyFrame, turns < 200 {
            if turns % 8 == 0 { feed(20 + turns / 8, 12) } else { bench.pass(milliseconds: 5) }
            turns += 1
        }
        #expect(sequences(bench.sent(to: 5_000)) == Array(keyFrame..<next))
        #expect(turns > 8, "the past came in shares")
        #expect(bench.worker.counters[.joinBursts] == 1)
        #expect(sequences(bench.sent(to: 5_009)) == Array(0..<next), "the running reader notices nothing")
    }

    @Test("No burst from a key frame that is too old, too far back or off; then the next one is waited for", arguments: 0..<4)
    func noBurst(reason: Int) throws {
        let bounds: JoinBurst? = [
            JoinBurst(nanosecondsMax: 100_000_000), JoinBurst(bytesMax: 20_000), nil, JoinBurst(),
        ][reason]
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { $0.joinBurst = bounds }, codec: .h264)
        bench.feed(frame(0, packets: 30, first: 0, isKey: true))
        for number in 1..<6 {
            bench.pass(milliseconds: 40)
            bench.feed(frame(number, packets: 10, first: 20 + number * 10))
        }
        let handle = bench.addDatagramReader(0, now: false)
        bench.feed(frame(6, packets: 10, first: 80))
        bench.feed(frame(7, packets: 10, first: 90, isKey: true))
        bench.run(.go(handle))
        bench.pass(milliseconds: 1)
        for _ in 0..<50 { bench.pass(milliseconds: 5) }
        #expect(sequences(bench.sent(to: 5_000)).first == (reason == 3 ? 0 : 90))
        // Paused and armed again it does not get a second time what it has had.
        bench.run(.pause(handle), .arm(handle, now: false))
        bench.feed(frame(8, packets: 10, first: 100))
        bench.feed(frame(9, packets: 10, first: 110, isKey: true))
        bench.run(.go(handle))
        for _ in 0..<20 { bench.pass(milliseconds: 5) }
        #expect(sequences(bench.sent(to: 5_000)) == Array(reason == 3 ? 0..<100 : 90..<100) + Array(110..<120))
    }

    @Test("No burst goes back across a break of the source; RTCP on the media's channel is RTCP")
    func burstAfterBreak() throws {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { $0.joinBurst = JoinBurst() }, codec: .h264)
        bench.feed(frame(0, packets: 10, first: 0, isKey: true))
        let report: [UInt8] = [0x80, 200, 0, 6] + big(1) + big(0xE000_0001) + big(0) + big(0) + big(1) + big(1)
        bench.feed([report])
        #expect(bench.memory.counters[0, .packets] == 10 && bench.memory.counters[0, .lastSenderReport] != 0)
        bench.run(.beginEpoch(bench.stream))
        let reader = bench.addDatagramReader(0, now: false)
        bench.feed(frame(1, packets: 10, first: 10))
        bench.feed(frame(2, packets: 10, first: 20, isKey: true))
        bench.run(.go(reader))
        for _ in 0..<10 { bench.pass(milliseconds: 5) }
        let got = sequences(bench.sent(to: 5_000).filter { $0.count % packetBytes == 0 })
        #expect(got == Array(10..<20), "\(got)")
    }

    // MARK: Overload

    /// A reader whose connection takes nothing for `milliseconds` of a stream of 12 packets every 40 ms with a key frame a second.
    private func blocked(
        _ change: (inout StreamPolicy) -> Void, milliseconds: Int, codec: TrackCodec = .h264
    ) throws -> (got: [Int], fed: Int, reports: [Report], worker: EngineCounters) {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy(change), codec: codec)
        _ = bench.addInterleavedReader(0)
        var next = 0
        var reports: [Report] = []
        func feed(_ number: Int) {
            bench.feed(frame(number, packets: 12, first: next, isKey: number % 25 == 0))
            next += 12
            bench.pass(milliseconds: 40)
            reports += bench.takeReports()
        }
        for number in 0..<5 { feed(number) }
        bench.script.answer = { _ in -11 }
        for number in 5..<5 + milliseconds / 40 { feed(number) }
        bench.script.answer = { _ in nil }
        if let tag = bench.script.watched.popLast() { bench.worker.kernel.finish(tag, 4) }
        bench.turn()
        for number in 5 + milliseconds / 40..<60 { feed(number) }
        var all = bench.script.sent.flatMap(\.bytes)[...]
        var got: [Int] = []
        while all.count >= 4 {
            let length = Int(all[all.startIndex + 2]) << 8 | Int(all[all.startIndex + 3])
            got.append(Int(sequence(Array(all.dropFirst(4).prefix(4)))))
            all = all.dropFirst(4 + length)
        }
        return (got, next, reports, bench.worker.counters)
    }

    @Test("A reader within its bounds gets everything late, and nothing is counted")
    func withinBounds() throws {
        let result = try blocked({ $0.lagNanosecondsMax = 2_000_000_000 }, milliseconds: 1_000)
        #expect(result.got == Array(0..<result.fed))
        #expect(!result.reports.contains { if case .subscriberLagged = $0 { true } else { false } })
    }

    @Test("Beyond its bound a reader goes on at the newest key frame, and is reported once")
    func skipToKeyFrame() throws {
        let result = try blocked({ $0.lagNanosecondsMax = 500_000_000 }, milliseconds: 1_040)
        let keyFrame = 25 * 12
        #expect(result.got == Array(0..<60) + Array(keyFrame..<result.fed))
        let lags = result.reports.compactMap { report -> UInt32? in
            if case .subscriberLagged(_, .policy, let packets) = report { packets } else { nil }
        }
        #expect(lags == [UInt32(keyFrame - 60)])
        #expect(result.worker[.packetsOverPolicy] == UInt64(keyFrame - 60))
    }

    @Test("Where no key frame is left to go on at, the next one is waited for")
    func waitForKeyFrame() throws {
        let result = try blocked({ $0.lagNanosecondsMax = 200_000_000 }, milliseconds: 680)
        #expect(result.got == Array(0..<60) + Array(25 * 12..<result.fed))
    }

    @Test("drop-oldest goes on at the oldest packet within bounds, by time or by bytes", arguments: [true, false])
    func dropOldest(byTime: Bool) throws {
        let result = try blocked(
            {
                $0.overload = .dropOldest
                if byTime { $0.lagNanosecondsMax = 500_000_000 } else { $0.lagBytesMax = 100_000 }
            }, milliseconds: 1_000)
        let gap = zip(result.got, result.got.dropFirst()).first { $1 != $0 + 1 }
        #expect(gap?.0 == 59)
        // 30 frames were fed when the connection opened: half a second of them is 12 or 13 frames, 100,000 bytes are 98 packets.
        let expected = byTime ? 17 * 12...18 * 12 : 360 - 99...360 - 97
        #expect(expected.contains(gap?.1 ?? 0), "\(gap ?? (0, 0))")
        #expect(result.got.last == result.fed - 1)
    }

    @Test("disconnect gives a reader up that stays behind for too long, and not before")
    func disconnect() throws {
        let patient = try blocked({ $0.overload = .disconnect(afterNanoseconds: 2_000_000_000) }, milliseconds: 1_000)
        #expect(patient.got == Array(0..<patient.fed) && patient.worker[.readersTooSlow] == 0)
        let strict = try blocked({ $0.overload = .disconnect(afterNanoseconds: 600_000_000) }, milliseconds: 1_000)
        #expect(strict.reports.contains { if case .subscriberFailed(_, .tooSlow) = $0 { true } else { false } })
        #expect(strict.worker[.readersTooSlow] == 1 && strict.got == Array(0..<60))
    }

    @Test("A slow connection is not a stalled one: as long as its queue gets shorter it is kept")
    func slowIsNotStalled() throws {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { _ in })
        _ = bench.addInterleavedReader(0)
        bench.script.unsent = 1_000_000
        bench.script.answer = { _ in -11 }
        bench.feed(frame(0, packets: 1, first: 0))
        for _ in 0..<3 {
            bench.script.unsent -= 1
            for _ in 0..<11 { bench.pass(milliseconds: 1_000) }
            #expect(bench.worker.counters[.readersStalled] == 0)
        }
        for _ in 0..<11 { bench.pass(milliseconds: 1_000) }
        #expect(bench.worker.counters[.readersStalled] == 1)
    }

    // MARK: Collecting

    @Test("From 10 ms on max-delay collects frames for TCP readers; UDP readers are not kept waiting")
    func collect() throws {
        var bench = try ScriptedWorker(sizing: roomy, delayMicroseconds: 100_000, policy: policy { _ in }, codec: .h264)
        _ = bench.addInterleavedReader(0)
        _ = bench.addDatagramReader(1)
        for number in 0..<30 {
            bench.feed(frame(number, packets: 10, first: number * 10))
            #expect(sequences(bench.sent(to: 5_001)).count == (number + 1) * 10)
            for _ in 0..<8 { bench.pass(milliseconds: 5) }
        }
        let sends = bench.script.sent.filter { $0.port == 0 }
        #expect(sends.count >= 8 && sends.count <= 11, "\(sends.count) sends for 30 frames")
        #expect(sends.reduce(0) { $0 + $1.bytes.count } / (packetBytes + 4) >= 270)
    }

    @Test("A collected reader far behind is not held to one share a delay, and the last one to leave leaves no timer")
    func collectBehind() throws {
        var bench = try ScriptedWorker(sizing: roomy, delayMicroseconds: 1_000_000, policy: policy { _ in }, codec: .h264)
        let reader = bench.addInterleavedReader(0)
        for number in 0..<50 { bench.feed(frame(number, packets: 60, first: number * 60)) }
        bench.pass(milliseconds: 1_000)
        for _ in 0..<10 { bench.pass(milliseconds: 1) }
        #expect(bench.script.sent.reduce(0) { $0 + $1.bytes.count } == 3_000 * (packetBytes + 4))
        bench.feed(frame(50, packets: 60, first: 3_000))
        bench.run(.removeSubscriber(reader))
        bench.pass(milliseconds: 2_000)
        bench.pass(milliseconds: 1)
        let firstDirty = bench.worker.firstDirty
        #expect(firstDirty == SubscriberList.end)
    }

    @Test("Nobody there: a frame of any size makes no timer")
    func idleStream() throws {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { $0.pacing = .adaptive }, codec: .h264)
        for number in 0..<5 {
            bench.feed(frame(number, packets: 400, first: number * 400))
            let firstDirty = bench.worker.firstDirty
            #expect(firstDirty == SubscriberList.end)
            bench.pass(milliseconds: 40)
        }
        #expect(bench.worker.counters[.pacedTurns] == 0)
    }

    @Test("Readers behind a smaller MTU get every packet, one by one; others keep their trains; later trains are tried again")
    func smallMTU() throws {
        var bench = try ScriptedWorker(policy: policy { _ in })
        _ = bench.addDatagramReader(0)
        _ = bench.addDatagramReader(1)
        let small = HostAddress(ipv4: 0)
        bench.script.segmentMax = { $0 == small ? 900 : .max }
        for number in 0..<20 { bench.feed(frame(number, packets: 6, first: number * 6)) }
        #expect(sequences(bench.sent(to: 5_000)) == Array(0..<120))
        #expect(bench.sent(to: 5_000).allSatisfy { $0.count == packetBytes })
        #expect(sequences(bench.sent(to: 5_001)) == Array(0..<120))
        #expect(bench.sent(to: 5_001).count == 20)
        #expect(bench.worker.counters[.packetsRefused] == 0 && bench.worker.counters[.trainsRefused] >= 1)
        bench.script.segmentMax = { _ in .max }
        bench.pass(milliseconds: 61_000)
        bench.feed(frame(1_545, packets: 6, first: 120))
        bench.feed(frame(1_546, packets: 6, first: 126))
        #expect(bench.sent(to: 5_000).last?.count == 6 * packetBytes)
        #expect(sequences(bench.sent(to: 5_000)) == Array(0..<132))
    }

    @Test("A refusal long ago is no reason to disconnect a reader that is up to date")
    func refusalLongAgo() throws {
        var bench = try ScriptedWorker(policy: policy { $0.overload = .disconnect(afterNanoseconds: 1_000_000_000) })
        _ = bench.addDatagramReader(0)
        bench.script.answer = { $0 == 0 ? -113 : $0 == 2 ? -11 : nil }
        bench.feed(frame(0, packets: 1, first: 0))
        bench.pass(milliseconds: 3_600_000)
        for number in 1..<5 { bench.feed(frame(90_000 + number, packets: 1, first: number)) }
        bench.pass(milliseconds: 2)
        #expect(sequences(bench.sent(to: 5_000)) == [1, 2, 3, 4])
        #expect(bench.worker.counters[.readersTooSlow] == 0)
    }

    @Test("TCP readers that set up only some channels get those, and cost nothing for the others")
    func someChannels() throws {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { _ in })
        var control = ChannelMap()
        control[1] = 7
        for index in 0..<3 {
            let handle = SubscriberHandle(index: UInt32(index), generation: 1)
            bench.run(
                .addInterleavedSubscriber(handle, bench.stream, descriptor: 20, channels: control), .arm(handle, now: true), .go(handle))
        }
        for number in 0..<200 { bench.feed(frame(number, packets: 3, first: number * 3)) }
        #expect(bench.script.sent.isEmpty)
        let full = bench.addInterleavedReader(5)
        bench.feed(frame(200, packets: 3, first: 600))
        #expect(bench.script.sent.count == 1)
        bench.run(.send(full, LinkBuffer([1, 2, 3])), .pause(full))
        #expect(bench.script.sent.last?.bytes == [1, 2, 3])
    }

    // MARK: Without a copy

    @Test(
        "A class of readers is judged by a whole trial: copied by the kernel it is left alone, else it goes on", arguments: [true, false])
    func zeroCopyTrial(copied: Bool) throws {
        var bench = try ScriptedWorker(sizing: roomy, policy: policy { _ in }, zeroCopy: .auto)
        _ = bench.addDatagramReader(0)
        for number in 0..<100 {
            bench.feed(frame(number, packets: 40, first: number * 40))
            while !bench.script.held.isEmpty {
                let isWhole = bench.worker.kernel.letGo(0, copied: copied)
                #expect(isWhole)
            }
        }
        #expect(bench.worker.counters[.zcSent] == (copied ? 16 : 100))
        bench.pass(milliseconds: 61_000)
        for number in 100..<110 { bench.feed(frame(1_525 + number, packets: 40, first: number * 40)) }
        #expect(bench.worker.counters[.zcSent] == (copied ? 26 : 110))
        #expect(sequences(bench.sent(to: 5_000)) == Array(0..<4_400))
        bench.run(.removeStream(bench.stream))
        #expect(!bench.takeReports().contains { if case .streamRemoved = $0 { true } else { false } }, "the kernel still holds packets")
        while !bench.script.held.isEmpty {
            let isWhole = bench.worker.kernel.letGo(bench.script.held.count - 1, copied: copied)
            #expect(isWhole)
        }
        bench.turn()
        #expect(bench.takeReports().contains { if case .streamRemoved = $0 { true } else { false } })
        #expect(bench.worker.counters[.zcPending] == 0)
    }

    @Test("What the kernel holds is not written over, however late it lets go; a full log drops what comes, counted")
    func zeroCopyHeld() throws {
        var bench = try ScriptedWorker(policy: policy { _ in }, zeroCopy: .on)
        _ = bench.addDatagramReader(0)
        for number in 0..<60 { bench.feed(frame(number, packets: 40, first: number * 40)) }
        #expect(bench.worker.counters[.packetsLogPinned] > 1_000)
        while !bench.script.held.isEmpty {
            let isWhole = bench.worker.kernel.letGo(bench.script.held.count / 2, copied: true)
            #expect(isWhole)
        }
        bench.turn()
        bench.feed(frame(60, packets: 40, first: 2_400))
        #expect(sequences(bench.sent(to: 5_000)).suffix(40) == Array(2_400..<2_440)[...])
    }
}
