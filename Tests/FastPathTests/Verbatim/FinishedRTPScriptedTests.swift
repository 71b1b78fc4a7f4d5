import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// UDP readers of finished RTP against the scripted kernel: what is refused, what found no room, and what is asked for again.
@Suite struct FinishedRTPScriptedTests {
    private static let stream = StreamHandle(index: 1, generation: 1)
    private static let source = SourceHandle(index: 1, generation: 1)

    /// A bench with a stream of a megabyte and so many UDP readers of it, on ports from 6,000 on, at the next packet.
    private static func bench(_ memory: StreamMemory, readers: Int, zeroCopy: ZeroCopy = .off) throws -> ScriptedWorker {
        var bench = try ScriptedWorker(zeroCopy: zeroCopy)
        bench.run(
            .addVerbatimStream(stream, memory), .setPolicy(stream, ScriptedWorker.unpaced),
            .addFedSource(source, stream, channels: ChannelMap(identity: 2)))
        for index in 0..<readers {
            var ports = PortMap()
            ports[0] = 6_000 + UInt16(index)
            bench.run(
                .addDatagramSubscriber(
                    reader(index), stream, host: HostAddress(ipv4: 0x7F00_0001 + UInt32(index) << 8), ports: ports, sockets: 0),
                .arm(reader(index), now: true), .go(reader(index)))
        }
        return bench
    }

    private static func reader(_ index: Int) -> SubscriberHandle { SubscriberHandle(index: UInt32(index), generation: 1) }

    private static func feed(_ bench: inout ScriptedWorker, _ numbers: Range<Int>, bytes: Int = 1_000, starts: Bool = false) {
        bench.run(.feed(source, LinkBuffer(numbers.flatMap { framed(starts ? 1 : 0, finished($0, bytes)) })))
        bench.turn()
    }

    /// The numbers of the packets that a port was sent, out of the trains that they came in.
    private static func numbers(_ bench: borrowing ScriptedWorker, _ port: UInt16) -> [Int] {
        bench.script.sent.filter { $0.port == port }.flatMap { sent -> [Int] in
            let size = sent.segment == 0 ? sent.bytes.count : sent.segment
            return stride(from: 0, to: sent.bytes.count, by: size).map { start in
                Int(sent.bytes[start + 12..<start + 16].reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
            }
        }
    }

    private static func isBack(_ buffer: LinkBuffer, _ reports: [Report]) -> Bool {
        reports.contains { if case .bufferReturned(let other) = $0 { other.identity == buffer.identity } else { false } }
    }

    @Test("A reader's last packet has left when the kernel has taken it, not before; others are not held up")
    func lastIsDeferred() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory, readers: 3)
        Self.feed(&bench, 0..<4)
        let last = LinkBuffer([])
        bench.run(.sendLast(Self.reader(1), last, packet: 7))
        let isBackAtOnce = Self.isBack(last, bench.takeReports())
        #expect(!isBackAtOnce)
        // There is no room in the socket.
        bench.script.answer = { _ in -EAGAIN }
        Self.feed(&bench, 4..<9)
        let isBackUnsent = Self.isBack(last, bench.takeReports())
        #expect(!isBackUnsent)
        #expect(Self.numbers(bench, 6_001) == [0, 1, 2, 3])
        bench.script.answer = { _ in nil }
        bench.pass(milliseconds: 2)
        let isBack = Self.isBack(last, bench.takeReports())
        #expect(isBack)
        Self.feed(&bench, 9..<12)
        #expect(Self.numbers(bench, 6_001) == Array(0..<7))
        #expect(Self.numbers(bench, 6_000) == Array(0..<12) && Self.numbers(bench, 6_002) == Array(0..<12))
        #expect(memory.counters[.readersLive] == 2)
        bench.run(.removeStream(Self.stream))
    }

    @Test("A place without bytes is told, and the reader walks with the others again")
    func placeOnTheWay() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory, readers: 2)
        Self.feed(&bench, 0..<2)
        Self.feed(&bench, 2..<4)
        let marks = [3, 6, 8].map { (place: UInt32($0), buffer: LinkBuffer([])) }
        for mark in marks { bench.run(.sendBefore(Self.reader(0), mark.buffer, packet: mark.place)) }
        let first = bench.takeReports()
        #expect(Self.isBack(marks[0].buffer, first) && !Self.isBack(marks[1].buffer, first), "packet 3 has left already")
        #expect(bench.worker.subscribers[0].list == .lagging && bench.worker.subscribers[1].list == .live)
        Self.feed(&bench, 4..<7)
        let second = bench.takeReports()
        #expect(Self.isBack(marks[1].buffer, second) && !Self.isBack(marks[2].buffer, second))
        Self.feed(&bench, 7..<8)
        let third = bench.takeReports()
        #expect(Self.isBack(marks[2].buffer, third), "all before packet 8 has left")
        Self.feed(&bench, 8..<10)
        #expect(bench.worker.subscribers[0].list == .live)
        #expect(Self.numbers(bench, 6_000) == Array(0..<10) && Self.numbers(bench, 6_001) == Array(0..<10))
        // Bytes cannot be said over UDP: they come back, and nothing else comes of it.
        let words = LinkBuffer([1, 2, 3])
        bench.run(.sendLast(Self.reader(0), words, packet: 5))
        let isBack = Self.isBack(words, bench.takeReports())
        #expect(isBack)
        Self.feed(&bench, 10..<11)
        #expect(Self.numbers(bench, 6_000).last == 10)
        // Places of a reader that is paused or goes come back, too.
        let open = [LinkBuffer([]), LinkBuffer([])]
        bench.run(.sendBefore(Self.reader(0), open[0], packet: 50), .pause(Self.reader(0)))
        bench.run(.sendBefore(Self.reader(1), open[1], packet: 50), .removeSubscriber(Self.reader(1)))
        let rest = bench.takeReports()
        #expect(Self.isBack(open[0], rest) && Self.isBack(open[1], rest))
        bench.run(.removeStream(Self.stream))
    }

    @Test("Packets that found no room leave a gap in the numbers, and nothing is taken for another")
    func gaps() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory, readers: 1)
        Self.feed(&bench, 0..<1, bytes: 60_000)
        // Somebody holds the oldest packet until the log is full.
        bench.worker.streams[1].state.zeroCopyPin = 0
        var next = 1
        while bench.worker.counters[.packetsLogPinned] < 3, next < 60 {
            Self.feed(&bench, next..<next + 1, bytes: 60_000)
            next += 1
        }
        bench.worker.streams[1].state.zeroCopyPin = .max
        bench.worker.streams[1].state.board.store(0, .pin, .max)
        let lost = next - 3..<next
        Self.feed(&bench, next..<next + 5, bytes: 900)
        #expect(Self.numbers(bench, 6_000) == Array(0..<lost.lowerBound) + Array(next..<next + 5))
        // One before the gap, the gap, two behind it.
        let before = bench.script.sent.count
        bench.run(.resend(Self.reader(0), packet: UInt32(lost.lowerBound - 1), following: 0b11111, port: 7_000))
        #expect(Self.numbers(bench, 7_000) == [lost.lowerBound - 1, next, next + 1])
        #expect(bench.script.sent.count == before + 3)
        #expect(bench.worker.counters[.packetsResent] == 3 && bench.worker.counters[.resendsTooLate] == 3)
        for sent in bench.script.sent.suffix(3) {
            #expect(sent.segment == 0 || sent.segment >= sent.bytes.count, "one packet a message")
        }
        // Who begins within the gap begins behind it.
        bench.run(.armAt(Self.reader(0), packet: UInt32(lost.lowerBound + 1)), .go(Self.reader(0)))
        bench.pass(milliseconds: 5)
        #expect(Self.numbers(bench, 6_000).suffix(5) == Array(next..<next + 5)[...])
        bench.run(.removeStream(Self.stream))
    }

    @Test("What the kernel refuses to send again is counted, and the reader goes on as before")
    func refusedAgain() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory, readers: 1)
        Self.feed(&bench, 0..<10)
        var answers: [Int32?] = [nil, -EAGAIN, -ECONNREFUSED, nil]
        bench.script.answer = { _ in answers.isEmpty ? nil : answers.removeFirst() }
        bench.run(.resend(Self.reader(0), packet: 2, following: 0b111, port: 7_000))
        #expect(Self.numbers(bench, 7_000) == [2, 5])
        #expect(bench.worker.counters[.packetsResent] == 2 && bench.worker.counters[.resendsRefused] == 2)
        #expect(bench.worker.counters[.sendsDeferred] == 0 && memory.counters[.packetsResent] == 2)
        Self.feed(&bench, 10..<12)
        #expect(Self.numbers(bench, 6_000) == Array(0..<12))
        // A reader that was never sent anything has nothing to ask for; nor has one that is gone.
        bench.run(.pause(Self.reader(0)), .removeSubscriber(Self.reader(0)))
        bench.run(.resend(Self.reader(0), packet: 2, following: 0, port: 7_000))
        #expect(bench.worker.counters[.staleCommands] == 1 && Self.numbers(bench, 7_000) == [2, 5])
        bench.run(.removeStream(Self.stream))
    }

    @Test("Who asks for very much does not hold up the media: the rest of what was asked for waits for the next turn")
    func asksForMuch() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory, readers: 2)
        Self.feed(&bench, 0..<80, bytes: 100)
        for _ in 0..<40 { _ = bench.commands.push(.resend(Self.reader(0), packet: 2, following: .max, port: 7_000)) }
        _ = bench.commands.push(.feed(Self.source, LinkBuffer(framed(0, finished(80, 100)))))
        bench.turn()
        let inTurn = Int(bench.worker.counters[.packetsResent])
        #expect(inTurn >= Worker<ScriptedKernel>.resendsPerTurn && inTurn < Worker<ScriptedKernel>.resendsPerTurn + 65)
        bench.turn()
        bench.turn()
        bench.turn()
        #expect(bench.worker.counters[.packetsResent] == 40 * 65)
        #expect(Self.numbers(bench, 6_001) == Array(0..<81))
        bench.run(.removeStream(Self.stream))
    }

    @Test("A packet that the kernel holds without a copy can be sent again meanwhile")
    func zeroCopy() throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        var bench = try Self.bench(memory, readers: 2, zeroCopy: .on)
        Self.feed(&bench, 0..<1)
        Self.feed(&bench, 1..<5)
        #expect(bench.script.held.count > 0)
        bench.run(.resend(Self.reader(0), packet: 1, following: 0b11, port: 7_000))
        #expect(Self.numbers(bench, 7_000) == [1, 2, 3])
        #expect(bench.worker.streams[1].state.board.load(0, .pin) <= 1, "what is held stays pinned")
        while !bench.script.held.isEmpty {
            let isSame = bench.worker.kernel.letGo(0, copied: false)
            #expect(isSame)
        }
        bench.turn()
        bench.run(.removeStream(Self.stream))
        let isGone = bench.takeReports().contains { if case .streamRemoved(Self.stream) = $0 { true } else { false } }
        #expect(isGone)
    }
}
