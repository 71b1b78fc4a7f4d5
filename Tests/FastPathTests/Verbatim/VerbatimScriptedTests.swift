import PlaneLink
import Testing

@testable import FastPath

/// Readers of verbatim streams against the scripted kernel and its clock.
@Suite struct VerbatimScriptedTests {
    private static let stream = StreamHandle(index: 1, generation: 1)
    private static let source = SourceHandle(index: 1, generation: 1)
    private static let reader = SubscriberHandle(index: 0, generation: 1)

    /// A bench with a verbatim stream of a megabyte and one reader of it, paused.
    private static func bench(_ memory: StreamMemory) throws -> ScriptedWorker {
        var bench = try ScriptedWorker()
        var policy = ScriptedWorker.unpaced
        policy.joinBurst = JoinBurst(nanosecondsMax: 60_000_000_000)
        bench.run(
            .addVerbatimStream(stream, memory), .setPolicy(stream, policy),
            .addFedSource(source, stream, channels: ChannelMap(identity: 2)),
            .addVerbatimSubscriber(reader, stream, descriptor: 20, chunked: false))
        return bench
    }

    private static func feed(_ bench: inout ScriptedWorker, bytes: Int, _ value: UInt8, starts: Bool = false) {
        bench.run(.feed(source, LinkBuffer(framed(starts ? 1 : 0, [UInt8](repeating: value, count: bytes)))))
        bench.turn()
    }

    private static func sent(_ bench: borrowing ScriptedWorker) -> [UInt8] { bench.script.sent.flatMap(\.bytes) }

    @Test("A reply whose place is behind a packet that found no room leaves, though no packet comes")
    func placedBehindWhatFoundNoRoom() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory)
        Self.feed(&bench, bytes: 1_000, 1, starts: true)
        bench.run(.arm(Self.reader, now: true), .go(Self.reader))
        // Somebody holds the oldest packet.
        bench.worker.streams[1].state.zeroCopyPin = 0
        var number: UInt32 = 1
        while bench.worker.counters[.packetsLogPinned] == 0, number < 40 {
            bench.run(.sendBefore(Self.reader, LinkBuffer([0xEE]), packet: number + 1))
            Self.feed(&bench, bytes: 60_000, 2)
            #expect(Self.sent(bench).count { $0 == 0xEE } == Int(number), "behind packet \(number)")
            number += 1
        }
        #expect(bench.worker.counters[.packetsLogPinned] == 1)
        bench.worker.streams[1].state.zeroCopyPin = .max
        bench.run(.removeStream(Self.stream))
    }

    @Test("A reader that is armed again is sent the past at once, however much it had been sent of it before")
    func armedAgain() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory)
        for number in UInt8(1)...20 { Self.feed(&bench, bytes: 10_000, number, starts: number == 1 || number == 10) }
        // 1,000 bytes a second: the first packet alone is ten seconds' worth.
        bench.run(.setBurst(Self.reader, nanoseconds: 60_000_000_000, bitsPerSecondMax: 8_000))
        bench.run(.arm(Self.reader, now: false), .go(Self.reader))
        bench.turn()
        let first = Self.sent(bench).count
        #expect(first > 0 && first < 200_000)
        bench.pass(milliseconds: 100)
        #expect(Self.sent(bench).count == first)
        bench.run(.pause(Self.reader))
        bench.run(.arm(Self.reader, now: false), .go(Self.reader))
        bench.pass(milliseconds: 1)
        #expect(Self.sent(bench).count > first)
        bench.run(.removeStream(Self.stream))
    }

    @Test("A reader's last packet has left when all of it has, however little its connection takes at a time")
    func lastInParts() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory)
        bench.run(.arm(Self.reader, now: true), .go(Self.reader))
        let last = LinkBuffer([])
        func hasLeft(_ bench: borrowing ScriptedWorker) -> Bool {
            bench.takeReports().contains { if case .bufferReturned(let buffer) = $0 { buffer.identity == last.identity } else { false } }
        }
        bench.script.answer = { _ in 100 }
        Self.feed(&bench, bytes: 1_000, 1, starts: true)
        bench.run(.sendLast(Self.reader, last, packet: 1))
        Self.feed(&bench, bytes: 1_000, 2)
        bench.script.tellsWritable = true
        for part in 2...9 {
            bench.pass(milliseconds: 1)
            #expect(Self.sent(bench).count == part * 100)
            let isGone = hasLeft(bench)
            #expect(!isGone, "after \(part * 100) bytes")
        }
        bench.script.answer = { _ in nil }
        bench.pass(milliseconds: 1)
        let isGone = hasLeft(bench)
        #expect(isGone)
        bench.pass(milliseconds: 1)
        #expect(Self.sent(bench) == [UInt8](repeating: 1, count: 1_000))
        bench.run(.removeStream(Self.stream))
    }

    @Test("What has its place behind packets that a reader skips leaves when that place has come, before the key frame")
    func placedAmongSkipped() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory)
        var policy = ScriptedWorker.unpaced
        policy.lagNanosecondsMax = 100_000_000
        policy.overload = .skipToKeyFrame
        bench.run(.setPolicy(Self.stream, policy), .arm(Self.reader, now: true), .go(Self.reader))
        // It takes nothing for a while.
        bench.script.answer = { _ in -11 }
        Self.feed(&bench, bytes: 100, 1, starts: true)
        bench.pass(milliseconds: 200)
        Self.feed(&bench, bytes: 100, 2)
        bench.script.answer = { _ in nil }
        bench.pass(milliseconds: 200)
        bench.script.tellsWritable = true
        bench.pass(milliseconds: 1)
        bench.pass(milliseconds: 1)
        #expect(Self.sent(bench).isEmpty && bench.worker.counters[.packetsOverPolicy] == 2)
        bench.run(.sendBefore(Self.reader, LinkBuffer([0xEE]), packet: 3))
        #expect(Self.sent(bench).isEmpty)
        Self.feed(&bench, bytes: 100, 3)
        #expect(Self.sent(bench) == [0xEE], "packet 2, the third, was passed over")
        bench.run(.sendBefore(Self.reader, LinkBuffer([0xDD]), packet: 4))
        Self.feed(&bench, bytes: 100, 4, starts: true)
        #expect(Self.sent(bench) == [0xEE] + [UInt8](repeating: 4, count: 100) + [0xDD])
        bench.run(.removeStream(Self.stream))
    }
}
