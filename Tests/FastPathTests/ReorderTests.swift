import CAllocationCount
import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Packets that are put in order, and legs that are merged, as a stream's readers see it.
@Suite(.serialized) struct ReorderTests {
    private let other = SourceHandle(index: 1, generation: 1)

    /// A worker whose stream has a plan, and two legs.
    private func bench(_ plan: ReorderPlan) throws -> ScriptedWorker {
        var bench = try ScriptedWorker()
        // The plan comes before the first packet, and the second leg after the first.
        bench.run(.setReorder(bench.stream, plan), .useLeg(bench.stream, 1))
        bench.run(.addFedSource(other, bench.stream, channels: ChannelMap(identity: 2)), .useLeg(bench.stream, 0))
        _ = bench.addDatagramReader(0)
        return bench
    }

    private func packet(_ number: UInt16, ssrc: UInt32 = 0xA, timestamp: UInt32? = nil) -> [UInt8] {
        rtp(sequence: number, timestamp: timestamp ?? UInt32(number) * 10, ssrc: ssrc, marker: true, payload: [1, 2, 3])
    }

    private func sequences(_ bench: borrowing ScriptedWorker) -> [UInt16] {
        bench.sent(to: 5_000).flatMap { train in stride(from: 0, to: train.count, by: 15).map { sequence(Array(train[$0...].prefix(15))) } }
    }

    private func ssrcs(_ bench: borrowing ScriptedWorker) -> Set<UInt32> {
        Set(
            bench.sent(to: 5_000).flatMap { train in stride(from: 0, to: train.count, by: 15).map { ssrc(Array(train[$0...].prefix(15))) } }
        )
    }

    @Test("A jitter buffer puts packets in order, waits no longer than it is told, and leaves gaps open")
    func jitterBuffer() throws {
        var bench = try bench(ReorderPlan(legs: 1, waitNanosecondsMax: 100_000_000))
        bench.feed([packet(1), packet(3), packet(2), packet(2), packet(4)])
        #expect(sequences(bench) == [1, 2, 3, 4])
        bench.feed([packet(6), packet(7)])
        #expect(bench.memory.counters[0, .waiting] == 2)
        bench.pass(milliseconds: 90)
        #expect(sequences(bench) == [1, 2, 3, 4])
        bench.pass(milliseconds: 11)
        #expect(sequences(bench) == [1, 2, 3, 4, 6, 7])
        #expect(bench.memory.counters[0, .missing] == 1)
        #expect(bench.memory.counters[0, .waiting] == 0)
        #expect(bench.memory.counters[leg: 0, 0, .duplicates] == 1)
        #expect(bench.memory.counters[leg: 0, 0, .filled] == 1)
        bench.run(.removeStream(bench.stream))
    }

    @Test("Legs with other SSRCs are one source: no splice, one SSRC, and either may be cut")
    func merge() throws {
        var bench = try bench(ReorderPlan(legs: 2, waitNanosecondsMax: 50_000_000))
        for number in 0..<UInt16(60) {
            if !(10..<20).contains(number) { bench.feed([packet(number)]) }
            if !(30..<45).contains(number) { bench.run(.feed(other, LinkBuffer(framed(0, packet(number, ssrc: 0xB))))) }
            bench.pass(milliseconds: 4)
        }
        #expect(sequences(bench) == Array(0..<60))
        #expect(ssrcs(bench) == [1])
        #expect(bench.memory.counters[.epochs] == 1)
        #expect(bench.memory.counters[leg: 0, 0, .packets] == 50)
        #expect(bench.memory.counters[leg: 1, 0, .packets] == 45)
        #expect(bench.memory.counters[leg: 1, 0, .duplicates] == 35)
        #expect(bench.memory.counters[leg: 0, 0, .expected] == 60)
        #expect(bench.memory.counters[leg: 0, 0, .received] == 50)
        #expect(bench.memory.counters[leg: 0, 0, .ssrc] == 0xA)
        #expect(bench.memory.counters[leg: 1, 0, .ssrc] == 0xB)
        #expect(bench.memory.counters[0, .expected] == bench.memory.counters[0, .receivedInEpoch], "together they lost nothing")
        bench.run(.removeStream(bench.stream))
    }

    @Test("A track that comes later is merged like the others")
    func aTrackThatComesLater() throws {
        var bench = try bench(ReorderPlan(legs: 2, waitNanosecondsMax: 50_000_000))
        let legs = [SourceHandle(index: 2, generation: 1), SourceHandle(index: 3, generation: 1)]
        bench.run(.setTrack(bench.stream, track: 1, TrackPlan(clockRate: 48_000, codec: .opaque, ssrc: 2)))
        for (leg, source) in legs.enumerated() {
            bench.run(.useLeg(bench.stream, UInt8(leg)), .addFedSource(source, bench.stream, channels: ChannelMap(identity: 4)))
        }
        for number in 0..<UInt16(20) {
            for source in legs { bench.run(.feed(source, LinkBuffer(framed(2, packet(number))))) }
            bench.pass(milliseconds: 4)
        }
        #expect(bench.memory.counters[1, .packets] == 20)
        #expect(bench.memory.counters[leg: 1, 1, .duplicates] == 20)
        bench.run(.removeStream(bench.stream))
    }

    @Test("A leg that carries something else is left out; when the other is silent it stands in with a splice")
    func another() throws {
        var bench = try bench(ReorderPlan(legs: 2, waitNanosecondsMax: 50_000_000))
        for number in 0..<UInt16(50) {
            bench.feed([packet(number)])
            bench.run(.feed(other, LinkBuffer(framed(0, packet(number + 9_000, ssrc: 0xB)))))
            bench.pass(milliseconds: 4)
        }
        #expect(sequences(bench) == Array(0..<50))
        #expect(bench.memory.counters[leg: 1, 0, .foreign] == 50)
        for number in 50..<UInt16(700) {
            bench.run(.feed(other, LinkBuffer(framed(0, packet(number + 9_000, ssrc: 0xB)))))
            bench.pass(milliseconds: 4)
        }
        let seen = sequences(bench)
        #expect(seen.count > 150 && seen == Array(0..<UInt16(seen.count)), "one line of numbers for readers")
        #expect(ssrcs(bench) == [1])
        #expect(bench.memory.counters[.epochs] == 2)
        bench.run(.removeStream(bench.stream))
    }

    @Test("A new epoch forgets the numbers, and lets go what waits first")
    func epoch() throws {
        var bench = try bench(ReorderPlan(legs: 1, waitNanosecondsMax: 100_000_000))
        bench.feed([packet(1), packet(3)])
        bench.run(.beginEpoch(bench.stream))
        #expect(sequences(bench) == [1, 3])
        bench.feed([packet(2), packet(3)])
        #expect(sequences(bench) == [1, 3, 4, 5])
        bench.run(.removeStream(bench.stream))
    }

    @Test("Reports of legs: one goes on, each one's time is kept, and a goodbye of one ends nothing")
    func reports() throws {
        var bench = try bench(ReorderPlan(legs: 2, waitNanosecondsMax: 50_000_000))
        bench.feed([packet(1)])
        func report(_ ntp: UInt32) -> [UInt8] { [0x80, 200, 0, 6] + big(0xA) + big(ntp) + big(0) + big(10) + big(1) + big(1) }
        bench.run(.feed(bench.source, LinkBuffer(framed(1, report(0x1111)))), .feed(other, LinkBuffer(framed(1, report(0x2222)))))
        #expect(bench.memory.counters[leg: 0, 0, .lastSenderReport] == 0x1111_0000)
        #expect(bench.memory.counters[leg: 1, 0, .lastSenderReport] == 0x2222_0000)
        #expect(bench.memory.counters[0, .lastSenderReport] == 0x1111_0000)
        bench.run(.feed(other, LinkBuffer(framed(1, [0x81, 203, 0, 1] + big(0xB)))))
        #expect(!bench.takeReports().contains { if case .sourceBye = $0 { true } else { false } })
        bench.run(.removeStream(bench.stream))
    }

    @Test("Putting packets in order allocates nothing", arguments: [EngineShape(backend: .ioUring), EngineShape(backend: .epoll)])
    func allocations(shape: EngineShape) throws {
        let bench = try Bench(shape, codec: .opaque)
        bench.submit(.setReorder(bench.stream, ReorderPlan(legs: 2, waitNanosecondsMax: 2_000_000_000)))
        let source = bench.addFed()
        bench.submit(.useLeg(bench.stream, 1))
        bench.submit(.addFedSource(other, bench.stream, channels: ChannelMap(identity: 2)))
        let socket = TestSocket(datagram: ())
        #expect(bench.join(bench.addReader(0, socket)) != nil)
        var next: UInt16 = 0
        var received = 0
        func run(_ rounds: Int) {
            for _ in 0..<rounds {
                // Swapped, lost and doubled on one leg, whole and behind on the other.
                let numbers = (0..<10).map { next &+ UInt16($0) }
                bench.feed(source, [1, 0, 3, 2, 5, 5, 7, 6].flatMap { framed(0, packet(numbers[$0])) })
                bench.feed(other, numbers.flatMap { framed(0, packet($0, ssrc: 0xB)) })
                next &+= 10
                for _ in 0..<10 where socket.receive(milliseconds: 500) != nil { received += 1 }
            }
        }
        run(20)
        var allocated: [UInt64] = []
        while allocated.last != 0, allocated.count < 5 {
            let before = allocationcount_of_workers()
            run(60)
            allocated.append(allocationcount_of_workers() - before)
        }
        #expect(received >= Int(next) - 1)
        #expect(allocated.last == 0, "allocations in rounds of 600 packets: \(allocated)")
        #expect(bench.stop() == 0)
    }
}
