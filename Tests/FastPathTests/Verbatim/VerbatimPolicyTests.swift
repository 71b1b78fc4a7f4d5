import CAllocationCount
import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// How readers of a verbatim stream begin, catch up and fall behind.
@Suite(.serialized) struct VerbatimPolicyTests {
    typealias Element = VerbatimReader.Element

    private static var policy: StreamPolicy {
        var policy = StreamPolicy()
        policy.pacing = .off
        return policy
    }

    @Test("A reader begins as far back as it wants, or as the policy and the epoch allow", arguments: EngineShape.all)
    func beginsInThePast(shape: EngineShape) throws {
        var policy = Self.policy
        policy.joinBurst = JoinBurst(nanosecondsMax: 2_000_000_000, bytesMax: 20_000)
        let bench = try Bench(shape, policy: policy, isVerbatim: true)
        let source = bench.addFed()
        // Start packets 0, 10, 20, …, each 100 ms older than the next.
        var times: [UInt64] = []
        for first in stride(from: 0, to: 50, by: 10) {
            bench.feed(source, numbers: first..<first + 10, starts: [first]) { _ in 500 }
            #expect(bench.reaches(UInt64(first + 10)) { bench.counters[.packetsLogged] })
            times.append(monotonicNanoseconds())
            usleep(100_000)
        }
        /// How old something would be now that came in the middle between a start packet and the next.
        func age(behind start: Int) -> UInt64 { monotonicNanoseconds() - (times[start / 10] + times[start / 10 + 1]) / 2 }
        func start(_ index: UInt32, nanoseconds: @autoclosure () -> UInt64) -> UInt32? {
            let (player, connection) = TestSocket.connectedPair()
            bench.keep(player, connection)
            let handle = SubscriberHandle(index: index, generation: 1)
            bench.submit(.addVerbatimSubscriber(handle, bench.stream, descriptor: connection.descriptor, chunked: false))
            bench.submit(.setBurst(handle, nanoseconds: nanoseconds(), bitsPerSecondMax: 0))
            bench.submit(.arm(handle, now: false))
            return bench.join(handle)?[0].timestamp
        }
        #expect(start(0, nanoseconds: 0) == 40)
        #expect(start(1, nanoseconds: 50_000_000) == 40, "it is old enough itself")
        #expect(start(2, nanoseconds: age(behind: 30)) == 30)
        #expect(start(3, nanoseconds: age(behind: 20)) == 20)
        #expect(start(4, nanoseconds: 60_000_000_000) == 10, "20,000 bytes, and no more, are sent over again")
        bench.submit(.beginEpoch(bench.stream))
        bench.feed(source, numbers: 50..<52, starts: [50, 51])
        #expect(bench.reaches(52) { bench.counters[.packetsLogged] })
        usleep(20_000)
        #expect(start(5, nanoseconds: 60_000_000_000) == 50, "nobody begins before the epoch")
        #expect(bench.stop() == 0)
    }

    @Test("The past is sent no faster than the reader wants, and then it walks with the others", arguments: EngineShape.all)
    func burstRate(shape: EngineShape) throws {
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 40_000_000, windowMilliseconds: 1_000), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<60, starts: [0]) { _ in 5_000 }
        #expect(bench.reaches(60) { bench.counters[.packetsLogged] })
        let (player, connection) = TestSocket.connectedPair()
        bench.keep(connection)
        let handle = SubscriberHandle(index: 1, generation: 1)
        bench.submit(.addVerbatimSubscriber(handle, bench.stream, descriptor: connection.descriptor, chunked: false))
        // 300,000 bytes at a million a second.
        bench.submit(.setBurst(handle, nanoseconds: 0, bitsPerSecondMax: 8_000_000))
        bench.submit(.arm(handle, now: false))
        let began = monotonicNanoseconds()
        #expect(bench.join(handle)?[0].timestamp == 0)
        let reader = VerbatimReader(player)
        #expect(reader.read(elements: 60))
        let took = monotonicNanoseconds() - began
        #expect(took > 220_000_000 && took < 2_500_000_000, "\(took / 1_000_000) ms")
        bench.feed(source, numbers: 60..<80) { _ in 5_000 }
        #expect(reader.read(elements: 80))
        #expect(reader.elements == (0..<80).map { Element.packet($0) })
        #expect(bench.stop() == 0)
    }

    @Test("A reader that falls behind goes on at a start packet, and what has a place is sent before it", arguments: EngineShape.all)
    func skips(shape: EngineShape) throws {
        // A megabyte, and a reader that takes nothing while more than that is fed.
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 8_000_000, windowMilliseconds: 1_000), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<1, starts: [0])
        let slow = bench.addVerbatim(0, sendBuffer: 8_192, receiveBuffer: 65_536)
        let quick = bench.addVerbatim(1, chunked: true)
        for one in [slow, quick] { #expect(bench.join(one.handle) != nil) }
        for one in [slow, quick] { bench.submit(.sendBefore(one.handle, LinkBuffer(control(7)), packet: 200)) }
        for first in stride(from: 1, to: 401, by: 20) {
            bench.feed(source, numbers: first..<first + 20, starts: [381]) { _ in 10_000 }
            #expect(quick.reader.read(elements: first + 20 + (first + 20 > 200 ? 1 : 0)))
        }
        #expect(quick.reader.elements == (0..<200).map { .packet($0) } + [.control(7)] + (200..<401).map { .packet($0) })
        let end = monotonicNanoseconds() + 5_000_000_000
        while slow.reader.elements.last != .packet(400), monotonicNanoseconds() < end { slow.reader.read(milliseconds: 20) }
        let elements = slow.reader.elements
        let place = try #require(elements.firstIndex(of: .control(7)))
        #expect(elements[..<place] == (0..<place).map { Element.packet($0) }[...], "no gap before the skip")
        #expect(elements[(place + 1)...] == (381..<401).map { Element.packet($0) }[...])
        #expect(bench.engine.counters[.ringOverruns] >= 1)
        #expect(bench.wait { if case .subscriberLagged(slow.handle, .ringOverrun, _) = $0 { true } else { false } } != nil)
        #expect(bench.stop() == 0)
    }

    @Test("Bounds and overload policies hold for it: oldest packets dropped, or given up", arguments: BackendName.allCases, [false, true])
    func bounds(backend: BackendName, disconnects: Bool) throws {
        var policy = Self.policy
        policy.lagBytesMax = 100_000
        policy.overload = disconnects ? .disconnect(afterNanoseconds: 50_000_000) : .dropOldest
        let bench = try Bench(
            backend: backend, sizing: StreamSizing(bitRate: 80_000_000, windowMilliseconds: 1_000), policy: policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feed(source, numbers: 0..<1, starts: [0])
        let slow = bench.addVerbatim(0, sendBuffer: 8_192, receiveBuffer: 65_536)
        #expect(bench.join(slow.handle) != nil)
        #expect(slow.reader.read(elements: 1))
        for first in stride(from: 1, to: 201, by: 20) { bench.feed(source, numbers: first..<first + 20) { _ in 5_000 } }
        #expect(bench.reaches(201) { bench.counters[.packetsLogged] })
        if disconnects {
            // Who is behind is looked at when more comes.
            let isGivenUp = (0..<40).contains { more in
                bench.feed(source, numbers: 201 + more..<202 + more) { _ in 5_000 }
                return bench.wait(milliseconds: 50) { if case .subscriberFailed(slow.handle, .tooSlow) = $0 { true } else { false } } != nil
            }
            #expect(isGivenUp)
        } else {
            let end = monotonicNanoseconds() + 5_000_000_000
            while slow.reader.elements.last != .packet(200), monotonicNanoseconds() < end { slow.reader.read(milliseconds: 20) }
            let numbers = slow.reader.packets
            #expect(numbers.count < 201 && numbers.last == 200 && numbers == numbers.sorted())
            #expect(slow.reader.elements.count == numbers.count, "every packet is whole")
            #expect(bench.engine.counters[.packetsOverPolicy] == UInt64(201 - numbers.count))
        }
        #expect(bench.stop() == 0)
    }

    @Test("The worker allocates nothing while such packets move, with and without chunks and words between", arguments: EngineShape.all)
    func allocations(shape: EngineShape) throws {
        let isSanitized = allocationcount_is_active() == 0
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        var readers: [(handle: SubscriberHandle, reader: VerbatimReader)] = []
        for index in 0..<20 {
            readers.append(bench.addVerbatim(UInt32(index), chunked: index % 3 == 0, now: true))
            #expect(bench.join(readers[index].handle) != nil)
        }
        var fed = 0
        func run(_ rounds: Int) {
            for _ in 0..<rounds {
                for one in readers.prefix(4) { bench.submit(.sendBefore(one.handle, LinkBuffer(control(1)), packet: UInt32(fed + 5))) }
                bench.feed(source, numbers: fed..<fed + 10, starts: [fed]) { 1_000 + $0 % 7 }
                fed += 10
                #expect(bench.reaches(UInt64(20 * fed)) { bench.engine.counters[.packetsSent] })
                for one in readers { while one.reader.socket.receive(milliseconds: 0, room: 1 << 18) != nil {} }
                while let report = bench.engine.takeReport() { if case .bufferReturned(let buffer) = report { buffer.free() } }
            }
        }
        run(20)
        var allocated: [UInt64] = []
        while allocated.last != 0, allocated.count < 5 {
            let before = allocationcount_of_workers()
            run(50)
            allocated.append(allocationcount_of_workers() - before)
        }
        #expect(allocated.last == 0 || isSanitized, "allocations in rounds of 500 packets: \(allocated)")
        #expect(bench.stop() == 0)
    }
}
