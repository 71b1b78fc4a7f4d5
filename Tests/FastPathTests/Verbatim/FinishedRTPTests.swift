import CAllocationCount
import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Streams of finished RTP, to UDP and interleaved readers over real sockets, on every backend.
@Suite(.serialized) struct FinishedRTPTests {
    private static var policy: StreamPolicy {
        var policy = StreamPolicy()
        policy.pacing = .off
        return policy
    }

    @Test("UDP and interleaved readers are sent every packet as it was fed, in trains where they may be", arguments: EngineShape.all)
    func delivers(shape: EngineShape) throws {
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feedFinished(source, 0..<40, starts: [0, 25])
        #expect(bench.reaches(40) { bench.counters[.packetsLogged] })
        var readers: [FinishedReader] = []
        for index in 0..<40 {
            let one = index % 4 == 3 ? bench.addFinished(UInt32(index), wire: UInt8(index * 2)) : bench.addFinished(UInt32(index))
            bench.submit(.arm(one.handle, now: false))
            let point = try #require(bench.join(one.handle))
            #expect(point.packet == 25 && point[0].isKnown)
            readers.append(one.far)
        }
        // Fragments as a packetiser makes them: of one size but for the last.
        for first in stride(from: 40, to: 100, by: 6) { bench.feedFinished(source, first..<first + 6) { $0 % 6 == 3 ? 300 : 1_400 } }
        for reader in readers {
            #expect(reader.read(packets: 75), "\(reader.packets.count) \(reader.wrong)")
            #expect(reader.packets == Array(25..<100))
        }
        #expect(bench.reaches(40 * 75) { bench.engine.counters[.packetsSent] })
        #expect(bench.engine.counters[.sendsSubmitted] < 40 * 75 / 2 || shape.backend == .plain, "trains")
        #expect(bench.counters[.readersLive] == 40)
        #expect(bench.stop() == 0)
    }

    @Test("Every reader ends at one exact packet and another begins there, over UDP as over TCP", arguments: EngineShape.all)
    func handsOver(shape: EngineShape) throws {
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 80_000_000, windowMilliseconds: 1_000), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feedFinished(source, 0..<1, starts: [0])
        let sockets = (0..<24).map { _ in TestSocket(datagram: ()) }
        var current = sockets.enumerated().map { bench.addFinished(UInt32($0), socket: $1).handle }
        let readers = sockets.map { FinishedReader($0) }
        for handle in current {
            bench.submit(.arm(handle, now: false))
            #expect(bench.join(handle) != nil)
        }
        var next = 1
        for round in 1...6 {
            let isLate = round % 2 == 0
            let end = next + 20
            bench.feedFinished(source, next..<end)
            // Asked for before the border is fed, and once it was.
            if isLate { bench.feedFinished(source, end..<end + 40) }
            var lent: Set<UInt> = []
            var successors: [SubscriberHandle] = []
            for (place, handle) in current.enumerated() {
                let last = LinkBuffer([])
                lent.insert(last.identity)
                bench.submit(.sendLast(handle, last, packet: UInt32(isLate ? end + 40 : end)))
                let one = bench.addFinished(UInt32(round * 24 + place), socket: sockets[place])
                bench.submit(.armAt(one.handle, packet: UInt32(isLate ? end + 40 : end)))
                successors.append(one.handle)
            }
            if !isLate { bench.feedFinished(source, end..<end + 40) }
            while !lent.isEmpty {
                guard case .bufferReturned(let buffer)? = bench.wait(for: { if case .bufferReturned = $0 { true } else { false } }) else {
                    Issue.record("\(lent.count) readers did not end")
                    break
                }
                lent.remove(buffer.identity)
            }
            for (place, handle) in successors.enumerated() {
                #expect(bench.join(handle)?.packet == UInt32(isLate ? end + 40 : end))
                bench.submit(.removeSubscriber(current[place]))
            }
            current = successors
            next = end + 40
        }
        bench.feedFinished(source, next..<next + 5)
        for reader in readers {
            #expect(reader.read(packets: next + 5), "\(reader.packets.count) of \(next + 5) \(reader.wrong)")
            #expect(reader.packets == Array(0..<next + 5))
        }
        #expect(bench.counters[.readersLive] == 24)
        #expect(bench.stop() == 0)
    }

    @Test("An interleaved reader is told words at exact places, and packets wait for its slow connection", arguments: EngineShape.all)
    func places(shape: EngineShape) throws {
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 80_000_000, windowMilliseconds: 1_000), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feedFinished(source, 0..<1, starts: [0])
        let readers = (0..<20).map { (index: Int) in
            let isSlow = index % 3 == 0
            return bench.addFinished(
                UInt32(index), wire: UInt8(index), sendBuffer: isSlow ? 8_192 : nil, receiveBuffer: isSlow ? 65_536 : nil)
        }
        for one in readers {
            bench.submit(.arm(one.handle, now: false))
            #expect(bench.join(one.handle)?.packet == 0)
            bench.submit(.sendBefore(one.handle, LinkBuffer(control(1)), packet: 30))
            bench.submit(.sendLast(one.handle, LinkBuffer(control(2)), packet: 80))
        }
        for first in stride(from: 1, to: 121, by: 10) { bench.feedFinished(source, first..<first + 10) { _ in 9_000 } }
        for one in readers {
            let isWhole = one.far.read(packets: 80)
            #expect(isWhole, "\(one.far.packets.count) \(one.far.wrong)")
            // The last words may be a send of their own.
            for _ in 0..<150 where one.far.words.count < 2 { one.far.read(milliseconds: 20) }
            one.far.read(milliseconds: 20)
            #expect(one.far.packets == Array(0..<80) && one.far.words == [30, 80])
        }
        #expect(bench.counters[.readersLive] == 0)
        #expect(bench.stop() == 0)
    }

    @Test("A reader begins with the packet of a number: in the log, still to come, or gone", arguments: EngineShape.all)
    func armsAt(shape: EngineShape) throws {
        let bench = try Bench(shape, sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        for first in stride(from: 0, to: 1_000, by: 50) { bench.feedFinished(source, first..<first + 50) { _ in 2_000 } }
        #expect(bench.reaches(1_000) { bench.counters[.packetsLogged] })
        usleep(20_000)
        for (index, number) in [900, 1_000, 1_017, 3].enumerated() {
            let one = bench.addFinished(UInt32(index))
            bench.submit(.armAt(one.handle, packet: UInt32(number)))
            let first = Int(try #require(bench.join(one.handle)).packet)
            #expect(number == 3 ? first > 400 && first < 600 : first == number, "a megabyte is what is left: \(first)")
            let next = 1_000 + index * 20
            bench.feedFinished(source, next..<next + 20) { _ in 2_000 }
            #expect(one.far.read(packets: next + 20 - first), "\(one.far.packets.count) of \(next + 20 - first) from \(first)")
            #expect(one.far.packets == Array(first..<next + 20))
            bench.submit(.removeSubscriber(one.handle))
            #expect(bench.wait { if case .subscriberRemoved(one.handle) = $0 { true } else { false } } != nil)
        }
        #expect(bench.stop() == 0)
    }

    @Test(
        "What a reader lost is sent once more, byte for byte, to its other port; what cannot be had is counted", arguments: EngineShape.all)
    func resends(shape: EngineShape) throws {
        let bench = try Bench(shape, sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feedFinished(source, 0..<1, starts: [0])
        let extra = TestSocket(datagram: ())
        let again = FinishedReader(extra)
        // With several workers one that is at home elsewhere, too.
        let readers = (0..<24).map { bench.addFinished(UInt32($0)) }
        for one in readers {
            bench.submit(.arm(one.handle, now: false))
            #expect(bench.join(one.handle) != nil)
        }
        bench.feedFinished(source, 1..<80) { 200 + $0 * 13 }
        for one in readers { #expect(one.far.read(packets: 80)) }
        var asked = 0
        for one in readers {
            // 10, 11, 12, 26 and, over a border of 32 bits, 74.
            bench.submit(.resend(one.handle, packet: 10, following: 1 | 2 | 1 << 15 | 1 << 63, port: extra.port))
            asked += 5
            #expect(again.read(packets: asked))
            #expect(again.packets.suffix(5) == [10, 11, 12, 26, 74])
        }
        #expect(bench.reaches(UInt64(asked)) { bench.engine.counters[.packetsResent] })
        #expect(bench.counters[.packetsResent] == UInt64(asked))
        #expect(bench.engine.counters[.resendsTooLate] == 0 && bench.engine.counters[.resendsRefused] == 0)
        // Not fed yet.
        let first = readers[0].handle
        bench.submit(.resend(first, packet: 79, following: 3, port: extra.port))
        #expect(bench.reaches(2) { bench.engine.counters[.resendsRefused] })
        #expect(again.read(packets: asked + 1) && again.packets.last == 79)
        // Also while it is paused; over TCP there is nothing to be sent again; nor to no port.
        bench.submit(.pause(first))
        bench.submit(.resend(first, packet: 5, following: 0, port: extra.port))
        #expect(again.read(packets: asked + 2) && again.packets.last == 5)
        let tcp = bench.addFinished(30, wire: 0)
        bench.submit(.resend(tcp.handle, packet: 5, following: 1, port: extra.port))
        bench.submit(.resend(first, packet: 5, following: 1, port: 0))
        #expect(bench.reaches(6) { bench.engine.counters[.resendsRefused] })
        // Gone.
        for next in stride(from: 80, to: 1_080, by: 50) {
            bench.feedFinished(source, next..<next + 50) { _ in 1_400 }
            for one in readers.dropFirst() { #expect(one.far.read(packets: next + 50)) }
        }
        bench.submit(.resend(readers[1].handle, packet: 20, following: 1, port: extra.port))
        bench.submit(.resend(first, packet: 20, following: 0, port: extra.port))
        #expect(bench.reaches(3) { bench.engine.counters[.resendsTooLate] })
        bench.submit(.resend(readers[1].handle, packet: 1_000, following: 0, port: extra.port))
        #expect(again.read(packets: asked + 3) && again.packets.last == 1_000)
        #expect(bench.engine.counters[.resendsTooLate] == 3 && bench.engine.counters[.resendsRefused] == 6)
        for one in readers.dropFirst() { #expect(one.far.packets == Array(0..<1_080)) }
        #expect(bench.stop() == 0)
    }

    @Test("Much that comes at once is spread over time for UDP readers", arguments: BackendName.allCases)
    func paces(backend: BackendName) throws {
        let bench = try Bench(
            backend: backend, sizing: StreamSizing(bitRate: 80_000_000, windowMilliseconds: 1_000), policy: StreamPolicy(), isVerbatim: true
        )
        let source = bench.addFed()
        bench.feedFinished(source, 0..<1, starts: [0])
        let one = bench.addFinished(0)
        bench.submit(.arm(one.handle, now: false))
        #expect(bench.join(one.handle) != nil)
        bench.feedFinished(source, 1..<300) { _ in 1_400 }
        #expect(one.far.read(packets: 300))
        #expect(one.far.packets == Array(0..<300))
        #expect(bench.engine.counters[.pacedTurns] > 3)
        #expect(bench.stop() == 0)
    }

    @Test("The past is sent over UDP no faster than the reader wants", arguments: EngineShape.all)
    func burstRate(shape: EngineShape) throws {
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 40_000_000, windowMilliseconds: 1_000), policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        bench.feedFinished(source, 0..<250, starts: [0])
        #expect(bench.reaches(250) { bench.counters[.packetsLogged] })
        let one = bench.addFinished(0)
        // 300,000 bytes at a million a second.
        bench.submit(.setBurst(one.handle, nanoseconds: 0, bitsPerSecondMax: 8_000_000))
        bench.submit(.arm(one.handle, now: false))
        let began = monotonicNanoseconds()
        #expect(bench.join(one.handle)?.packet == 0)
        #expect(one.far.read(packets: 250))
        let took = monotonicNanoseconds() - began
        #expect(took > 220_000_000 && took < 2_500_000_000, "\(took / 1_000_000) ms")
        bench.feedFinished(source, 250..<280)
        #expect(one.far.read(packets: 280))
        #expect(one.far.packets == Array(0..<280))
        #expect(bench.stop() == 0)
    }

    @Test("The worker allocates nothing while such packets move, are sent again and come to places", arguments: EngineShape.all)
    func allocations(shape: EngineShape) throws {
        let isSanitized = allocationcount_is_active() == 0
        let bench = try Bench(shape, policy: Self.policy, isVerbatim: true)
        let source = bench.addFed()
        let extra = TestSocket(datagram: ())
        let readers = (0..<24).map { (index: Int) in
            index % 4 == 3 ? bench.addFinished(UInt32(index), wire: 2) : bench.addFinished(UInt32(index))
        }
        for one in readers {
            bench.submit(.arm(one.handle, now: true))
            #expect(bench.join(one.handle) != nil)
        }
        var fed = 0
        func run(_ rounds: Int) {
            for _ in 0..<rounds {
                for one in readers.prefix(8) { bench.submit(.sendBefore(one.handle, LinkBuffer([]), packet: UInt32(fed + 5))) }
                bench.feedFinished(source, fed..<fed + 10, starts: [fed]) { 1_000 + $0 % 7 / 5 }
                fed += 10
                #expect(bench.reaches(UInt64(24 * fed)) { bench.engine.counters[.packetsSent] })
                for one in readers.prefix(8) {
                    bench.submit(.resend(one.handle, packet: UInt32(fed - 9), following: 0b1011, port: extra.port))
                }
                for one in readers { while one.far.socket.receive(milliseconds: 0, room: 1 << 18) != nil {} }
                while extra.receive(milliseconds: 0) != nil {}
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
        #expect(bench.engine.counters[.packetsResent] > 0)
        #expect(bench.stop() == 0)
    }
}
