import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import FastPath

/// The worker against a kernel that refuses, shortens and delays by script.
@Suite struct ScriptedTests {
    private func packets(_ numbers: Range<Int>, bytes: Int = 100) -> [[UInt8]] {
        numbers.map {
            rtp(sequence: UInt16($0), timestamp: 0, ssrc: 1, marker: true, payload: [UInt8](repeating: UInt8($0 & 0xFF), count: bytes))
        }
    }

    /// Cuts what a reader was sent back into packets.
    private func sequences(_ trains: [[UInt8]], packetBytes: Int) -> [UInt16] {
        trains.flatMap { train in stride(from: 0, to: train.count, by: packetBytes).map { sequence(Array(train[$0...].prefix(4))) } }
    }

    @Test("A full UDP socket delays a reader's packets, in order, without loss to it or others")
    func fullSocket() throws {
        var bench = try ScriptedWorker()
        _ = bench.addDatagramReader(0)
        _ = bench.addDatagramReader(1)
        bench.script.answer = { $0 < 3 ? -EAGAIN : nil }
        bench.feed(packets(0..<5))
        bench.pass(milliseconds: 2)
        bench.feed(packets(5..<8))
        for _ in 0..<20 {
            bench.pass(milliseconds: 1)
        }
        #expect(sequences(bench.sent(to: 5_000), packetBytes: 112) == Array(0..<8))
        #expect(sequences(bench.sent(to: 5_001), packetBytes: 112) == Array(0..<8))
        #expect(bench.worker.counters[.sendsDeferred] == 3)
        #expect(bench.worker.counters[.packetsSent] == 16)
    }

    @Test("A path that refuses trains is sent packet by packet from then on; others keep their trains", arguments: [EIO, EINVAL, EMSGSIZE])
    func refusedTrain(number: Int32) throws {
        var bench = try ScriptedWorker()
        _ = bench.addDatagramReader(0)
        _ = bench.addDatagramReader(1)
        bench.feed(packets(0..<1))
        let script = bench.script
        let before = script.sends
        script.answer = { $0 == before ? -number : nil }
        bench.feed(packets(1..<6))
        bench.feed(packets(6..<9))
        for _ in 0..<5 { bench.turn() }
        #expect(bench.sent(to: 5_000).allSatisfy { $0.count == 112 })
        #expect(sequences(bench.sent(to: 5_000), packetBytes: 112) == Array(0..<9))
        #expect(bench.sent(to: 5_001).map(\.count) == [112, 560, 336])
        #expect(bench.worker.counters[.trainsRefused] == 1)
    }

    @Test("A refused packet is counted and stops nobody")
    func refusedPacket() throws {
        var bench = try ScriptedWorker()
        _ = bench.addDatagramReader(0)
        bench.script.answer = { $0 == 1 ? -EHOSTUNREACH : nil }
        for number in 0..<3 { bench.feed(packets(number..<number + 1)) }
        #expect(sequences(bench.sent(to: 5_000), packetBytes: 112) == [0, 2])
        #expect(bench.worker.counters[.packetsRefused] == 1)
    }

    @Test("However short the writes, an interleaved reader's bytes are whole frames in order", arguments: [1, 3, 4, 5, 115, 116, 117, 333])
    func shortWrites(bytes: Int32) throws {
        var bench = try ScriptedWorker()
        let reader = bench.addInterleavedReader(0)
        bench.script.answer = { _ in bytes }
        bench.feed(packets(0..<6))
        bench.run(.send(reader, LinkBuffer(Array("RTSP/1.0 200 OK\r\n\r\n".utf8))))
        bench.feed(packets(6..<8))
        let expected = packets(0..<8).flatMap { framed(0, $0) }.count + 19
        for _ in 0..<2_000 where bench.script.sent.reduce(0, { $0 + $1.bytes.count }) < expected {
            if let tag = bench.script.watched.popLast() { bench.worker.kernel.finish(tag, 4) }
            bench.turn()
        }
        let all = bench.script.sent.flatMap(\.bytes)
        var offset = 0
        var seen: [UInt16] = []
        var replies = 0
        while offset + 4 <= all.count {
            if all[offset] == 0x24 {
                let length = Int(all[offset + 2]) << 8 | Int(all[offset + 3])
                seen.append(sequence(Array(all[(offset + 4)...].prefix(4))))
                offset += 4 + length
            } else {
                #expect(Array(all[offset...].prefix(19)) == Array("RTSP/1.0 200 OK\r\n\r\n".utf8))
                replies += 1
                offset += 19
            }
        }
        #expect(offset == all.count && replies == 1 && seen == Array(0..<8))
        #expect(bench.worker.counters[.packetsSent] == 8)
    }

    @Test("A reader that falls out of the window goes on later; the rest of its cut packet comes first")
    func overrun() throws {
        var bench = try ScriptedWorker()
        _ = bench.addInterleavedReader(0)
        bench.script.answer = { $0 == 0 ? 50 : nil }
        bench.feed(packets(0..<1, bytes: 1_000))
        for number in 1..<2_000 { bench.feed(packets(number..<number + 1, bytes: 1_000)) }
        #expect(bench.script.sent.count == 1, "a blocked reader is not sent to")
        let watched = bench.script.watched.popLast()
        let tag = try #require(watched)
        bench.worker.kernel.finish(tag, 4)
        bench.turn()
        bench.turn()
        bench.feed(packets(2_000..<2_001, bytes: 1_000))
        let all = bench.script.sent.flatMap(\.bytes)
        #expect(Array(all[0..<1_016]) == framed(0, packets(0..<1, bytes: 1_000)[0]))
        // What is oldest in the window is sent, less an eighth of it: the window moves on while it is.
        let first = Int(sequence(Array(all[1_020...].prefix(4))))
        #expect(first > 1_000 && first < 1_200)
        #expect(Array(all[1_016...]) == packets(first..<2_001, bytes: 1_000).flatMap { framed(0, $0) })
        #expect(bench.worker.counters[.ringOverruns] == 1)
        #expect(bench.worker.counters[.packetsOverrun] == UInt64(first - 1))
    }

    @Test("A broken connection is reported once, and removal gives everything back")
    func brokenConnection() throws {
        var bench = try ScriptedWorker()
        let reader = bench.addInterleavedReader(0)
        let second = bench.addInterleavedReader(1)
        _ = bench.takeReports()
        bench.script.answer = { $0 == 0 ? -ECONNRESET : $0 == 1 ? 10 : nil }
        bench.feed(packets(0..<2))
        bench.feed(packets(2..<4))
        let failed = bench.takeReports().filter { if case .subscriberFailed(reader, .connectionLost) = $0 { true } else { false } }
        #expect(failed.count == 1)
        bench.run(.removeSubscriber(reader), .removeSubscriber(second))
        bench.turn()
        #expect(bench.script.cancelled == 1, "the second reader's watch is ended before its slot is free")
        let removed = bench.takeReports().filter { if case .subscriberRemoved = $0 { true } else { false } }
        #expect(removed.count == 2)
        let inUse = bench.worker.subscribersInUse
        #expect(inUse == 0)
    }

    @Test("A reader that is removed while the kernel holds its bytes keeps its connection until they are back, or is reset")
    func removedWhileHeld() throws {
        var bench = try ScriptedWorker(zeroCopy: .on)
        let readers = [bench.addInterleavedReader(0), bench.addInterleavedReader(1)]
        bench.feed(packets(0..<2))
        #expect(bench.script.held.count == 2)
        bench.run(.removeSubscriber(readers[0]), .removeSubscriber(readers[1]))
        bench.pass(milliseconds: 1_000)
        func removed(_ reports: [Report]) -> [SubscriberHandle] {
            reports.compactMap { if case .subscriberRemoved(let handle) = $0 { handle } else { nil } }
        }
        let early = removed(bench.takeReports())
        #expect(early.isEmpty && bench.script.aborted.isEmpty, "its peer may still take what was sent")
        let isWhole = bench.worker.kernel.letGo(0, copied: false)
        bench.turn()
        let first = removed(bench.takeReports())
        #expect(first == [readers[0]])
        bench.pass(milliseconds: 1_500)
        #expect(bench.script.aborted.count == 1, "who takes nothing for two seconds is reset")
        let isStillWhole = bench.worker.kernel.letGo(0, copied: false)
        #expect(isWhole && isStillWhole)
        bench.turn()
        let second = removed(bench.takeReports())
        #expect(second == [readers[1]])
        let inUse = bench.worker.subscribersInUse + bench.worker.readersHeld
        #expect(inUse == 0)
    }

    @Test("Commands with stale handles are counted and touch nothing")
    func staleHandles() throws {
        var bench = try ScriptedWorker()
        let reader = bench.addDatagramReader(3)
        let stale = SubscriberHandle(index: reader.index, generation: reader.generation + 1)
        bench.run(.removeSubscriber(stale), .go(stale), .arm(SubscriberHandle(index: .max, generation: 1), now: true))
        bench.run(.removeStream(StreamHandle(index: 9_999, generation: 1)), .removeSource(SourceHandle(index: 0, generation: 7)))
        #expect(bench.worker.counters[.staleCommands] == 5)
        bench.feed(packets(0..<1))
        #expect(bench.sent(to: 5_003).count == 1)
    }

    @Test("Removing a stream removes its readers and sources, each reported")
    func removeStream() throws {
        var bench = try ScriptedWorker()
        _ = bench.addDatagramReader(0)
        _ = bench.addInterleavedReader(1)
        _ = bench.takeReports()
        bench.run(.removeStream(bench.stream))
        let reports = bench.takeReports()
        #expect(reports.count { if case .subscriberRemoved = $0 { true } else { false } } == 2)
        #expect(reports.count { if case .sourceRemoved = $0 { true } else { false } } == 1)
        #expect(reports.count { if case .streamRemoved = $0 { true } else { false } } == 1)
        bench.feed(packets(0..<1))
        #expect(bench.script.sent.isEmpty)
    }

    @Test("The link's codecs and the parsers' are the same, number by number: the engine goes from one to the other by it")
    func codecNumbers() {
        #expect(TrackCodec.allCases.map { "\($0) \($0.rawValue)" } == KeyFrameCodec.allCases.map { "\($0) \($0.rawValue)" })
    }

    @Test("A train is cut at another size, channel, the segment limit and the datagram limit")
    func trains() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var log = LogWriter(log: PacketLog(memory: memory), board: memory.board, workers: 1)
        func add(_ length: Int, _ channel: UInt8 = 0) {
            #expect(unsafe log.room(for: length) != nil)
            log.append(length: length, channel: channel, plan: 0, flags: [], arrival: 0, sequence: 0, timestamp: 0)
        }
        for length in [1_000, 1_000, 400, 1_000] { add(length) }
        add(1_000, 1)
        for _ in 0..<70 { add(500) }
        for _ in 0..<10 { add(9_000) }
        var cuts: [Int] = []
        var next: UInt64 = 0
        while next < log.head {
            let train = Train.cut(PacketLog(memory: memory), from: next, limit: log.head)
            cuts.append(train.packets)
            next = train.end
        }
        #expect(cuts == [3, 1, 1, 64, 6, 7, 3])
    }

    @Test("The log never lays a packet across its end, and its tail is past what was written over")
    func logWraps() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        let log = PacketLog(memory: memory)
        var writer = LogWriter(log: log, board: memory.board, workers: 1)
        let length = 60_000
        for number in 0..<100 {
            let room = unsafe try #require(unsafe writer.room(for: length))
            #expect(unsafe room - memory.arena + length <= memory.arenaBytes)
            unsafe room.storeBytes(of: UInt32(number), as: UInt32.self)
            writer.append(length: length, channel: 0, plan: 0, flags: [], arrival: 0, sequence: 0, timestamp: 0)
            #expect(memory.board.load(.tail) == writer.tail && memory.board.load(.head) == writer.head)
            for old in writer.tail..<writer.head {
                #expect(unsafe log.bytes(of: log.record(old)).load(as: UInt32.self) == UInt32(old))
            }
        }
        #expect(writer.head == 100 && writer.tail >= 82 && writer.tail <= 90)
    }

    @Test("What a worker has pinned is not written over; when it lets go, the log goes on")
    func logPinned() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0), workers: 2)
        defer { memory.free() }
        var writer = LogWriter(log: PacketLog(memory: memory), board: memory.board, workers: 2)
        func add() -> Bool {
            guard unsafe writer.room(for: 60_000) != nil else { return false }
            writer.append(length: 60_000, channel: 0, plan: 0, flags: [], arrival: 0, sequence: 0, timestamp: 0)
            return true
        }
        #expect(add())
        memory.board.store(1, .pin, 0)
        var added = 1
        while added < 100, add() { added += 1 }
        #expect(added == 16 && memory.board.load(.tail) == 0)
        memory.board.store(1, .pin, 5)
        #expect(add() && memory.board.load(.tail) <= 5)
        memory.board.store(1, .pin, .max)
        for _ in 0..<100 { #expect(add()) }
    }
}
