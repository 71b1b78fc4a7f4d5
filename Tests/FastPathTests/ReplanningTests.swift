import CAllocationCount
import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// A track that becomes another one while its stream runs.
@Suite(.serialized) struct ReplanningTests {
    private let key: UInt8 = 0x65, other: UInt8 = 0x41

    private func packet(_ track: Int, _ sequence: UInt16, time: UInt32 = 0, _ first: UInt8 = 0x41) -> [UInt8] {
        framed(
            UInt8(2 * track), rtp(sequence: sequence, timestamp: time, ssrc: 7 + UInt32(track), marker: true, payload: [first, 0x88, 1, 2]))
    }

    /// A worker whose stream has H.264 on track 0 and audio on track 1, and a source of four tracks.
    private func bench(burst: Bool = false) throws -> ScriptedWorker {
        var policy = ScriptedWorker.unpaced
        policy.joinBurst = burst ? JoinBurst() : nil
        var bench = try ScriptedWorker(policy: policy, codec: .h264)
        bench.run(
            .setTrack(bench.stream, track: 1, TrackPlan(clockRate: 8_000, codec: .opaque, ssrc: 2)), .removeSource(bench.source),
            .addFedSource(SourceHandle(index: 1, generation: 1), bench.stream, channels: ChannelMap(identity: 8)))
        return bench
    }

    private func feed(_ bench: inout ScriptedWorker, _ frames: [UInt8]...) {
        bench.run(.feed(SourceHandle(index: 1, generation: 1), LinkBuffer(frames.flatMap(\.self))))
    }

    /// A UDP reader of some tracks, each at the port 6000 + 100 × index + track.
    private func add(_ bench: inout ScriptedWorker, _ index: UInt32, tracks: [Int], now: Bool = true) -> SubscriberHandle {
        let handle = SubscriberHandle(index: index, generation: 1)
        var ports = PortMap()
        for track in tracks { ports[2 * track] = UInt16(6_000 + 100 * Int(index) + track) }
        bench.run(
            .addDatagramSubscriber(handle, bench.stream, host: HostAddress(ipv4: 9), ports: ports, sockets: 0), .arm(handle, now: now),
            .go(handle))
        return handle
    }

    private func ssrcs(_ bench: borrowing ScriptedWorker, _ port: UInt16) -> [UInt8] { bench.sent(to: port).map { $0[11] } }

    private func point(_ reports: [Report], _ handle: SubscriberHandle) -> JoinPoint? {
        for case .joined(handle, let point) in reports { return point }
        return nil
    }

    @Test("Readers of the other tracks go on without a gap; the track begins anew with its own SSRC, numbers and counters")
    func othersGoOn() throws {
        var bench = try bench()
        _ = add(&bench, 0, tracks: [0])
        let both = add(&bench, 1, tracks: [0, 1])
        feed(&bench, packet(0, 10, key), packet(1, 500, time: 900), packet(0, 11), packet(1, 501, time: 1_060))
        #expect(bench.memory.counters[1, .packets] == 2 && bench.memory.counters[1, .sequenceOut] == 501)
        bench.run(.removeSubscriber(both), .setTrack(bench.stream, track: 1, TrackPlan(clockRate: 48_000, codec: .opaque, ssrc: 3)))
        #expect(bench.memory.counters[1, .packets] == 0 && bench.memory.counters[1, .sequenceOut] == 0)
        let later = add(&bench, 2, tracks: [0, 1])
        #expect(point(bench.takeReports(), later)?[1].isKnown == false, "of the new track nothing is known yet")
        feed(&bench, packet(1, 9_000, time: 77), packet(0, 12), packet(1, 9_001, time: 1_037))
        #expect(bench.sent(to: 6_000).map { sequence($0) } == [10, 11, 12])
        #expect(bench.sent(to: 6_101).map { sequence($0) } == [500, 501])
        #expect(bench.sent(to: 6_201).map { sequence($0) } == [9_000, 9_001])
        #expect(ssrcs(bench, 6_201) == [3, 3] && ssrcs(bench, 6_101) == [2, 2])
        #expect(bench.memory.counters[1, .packets] == 2 && bench.memory.counters[1, .ssrc] == 8)
    }

    @Test("A join burst goes back beyond the change, and leaves out what was there of the track before", arguments: [false, true])
    func burstLeavesOutTheOld(interleaved: Bool) throws {
        var bench = try bench(burst: true)
        feed(&bench, packet(0, 10, key), packet(1, 500), packet(0, 11, time: 3_000), packet(1, 501))
        bench.run(.setTrack(bench.stream, track: 1, TrackPlan(clockRate: 48_000, codec: .opaque, ssrc: 3)))
        feed(&bench, packet(1, 9_000), packet(0, 12, time: 6_000))
        let reader = SubscriberHandle(index: 3, generation: 1)
        if interleaved {
            bench.run(
                .addInterleavedSubscriber(reader, bench.stream, descriptor: 20, channels: ChannelMap(identity: 4)),
                .arm(reader, now: false), .go(reader))
            bench.pass(milliseconds: 50)
            let sent = bench.script.sent.flatMap(\.bytes)
            let frames = stride(from: 0, to: sent.count, by: 20).map { Array(sent[$0..<$0 + 20]) }
            #expect(frames.map { sequence(Array($0.dropFirst(4))) } == [10, 11, 9_000, 12])
        } else {
            #expect(add(&bench, 3, tracks: [0, 1], now: false) == reader)
            for _ in 0..<10 { bench.pass(milliseconds: 10) }
            #expect(bench.sent(to: 6_300).map { sequence($0) } == [10, 11, 12])
            #expect(bench.sent(to: 6_301).map { sequence($0) } == [9_000])
        }
        let promised = try #require(point(bench.takeReports(), reader))
        #expect(promised[0].sequence == 10 && promised[1].sequence == 9_000 && promised[1].isKnown)
    }

    @Test("Readers who wait for a key frame of a track that has none any more begin at once; others wait for the new track's")
    func theAnchorMoves() throws {
        var bench = try bench()
        feed(&bench, packet(0, 10))
        let waits = add(&bench, 0, tracks: [0, 1], now: false)
        #expect(point(bench.takeReports(), waits) == nil)
        // Video falls silent: it is told by an opaque plan.
        bench.run(.setTrack(bench.stream, track: 0, TrackPlan(clockRate: 90_000, codec: .opaque, ssrc: 1)))
        #expect(point(bench.takeReports(), waits) != nil)
        // Other video in a slot that was never used: its key frames are what newcomers begin at.
        bench.run(.setTrack(bench.stream, track: 2, TrackPlan(clockRate: 90_000, codec: .h264, ssrc: 4)))
        let newcomer = add(&bench, 1, tracks: [2], now: false)
        feed(&bench, packet(2, 70))
        #expect(point(bench.takeReports(), newcomer) == nil)
        feed(&bench, packet(2, 71, time: 3_000, key))
        let promised = point(bench.takeReports(), newcomer)
        #expect(promised?[2].sequence == 71)
        bench.run(.go(newcomer))
        #expect(bench.sent(to: 6_102).map { sequence($0) } == [71])
        #expect(bench.sent(to: 6_102).map { $0[11] } == [4])
    }

    @Test("Tracks are added up to the most that a stream can have")
    func growth() throws {
        var bench = try bench()
        for track in 2..<10 {
            bench.run(.setTrack(bench.stream, track: UInt8(track), TrackPlan(clockRate: 8_000, codec: .opaque, ssrc: 10 + UInt32(track))))
        }
        let source = SourceHandle(index: 2, generation: 1)
        bench.run(.addFedSource(source, bench.stream, channels: ChannelMap(identity: 16)))
        _ = add(&bench, 0, tracks: [7])
        bench.run(.feed(source, LinkBuffer(packet(7, 5))))
        #expect(ssrcs(bench, 6_007) == [17])
        #expect(bench.worker.streams[0].state.trackCount == tracksPerStreamMax)
    }

    @Test("A worker that is behind sends nobody what was logged under a plan that it does not know yet, nor what it knows to be over")
    func plansAreComparedNotGuessed() {
        var plans = TrackPlans()
        func record(_ track: Int, _ plan: UInt8) -> PacketRecord {
            PacketRecord(
                position: 0, arrival: 0, length: 1, channel: UInt8(2 * track + 1), plan: plan, flags: [], sequence: 0, timestamp: 0)
        }
        #expect((0..<8).allSatisfy { plans.hold(record($0, 0)) && !plans.hold(record($0, 1)) })
        for _ in 0..<257 { plans.count(7) }
        plans.count(3)
        #expect(plans[7] == 1 && plans[3] == 1 && plans[4] == 0 && plans[6] == 0)
        #expect(plans.hold(record(7, 1)) && !plans.hold(record(7, 0)) && plans.hold(record(6, 0)))
    }
}

// Among the other tests that count: engines of tests that run at the same time are counted too.
extension PacketPathTests {
    private static func packet(_ track: Int, _ sequence: UInt16) -> [UInt8] {
        framed(UInt8(2 * track), rtp(sequence: sequence, timestamp: UInt32(sequence) * 3_000, marker: true, payload: [0x65, 0x88, 1, 2]))
    }

    @Test("The worker allocates nothing while tracks are planned anew and packets move", arguments: EngineShape.all)
    func allocationsOfChangedTracks(shape: EngineShape) throws {
        let bench = try Bench(shape, codec: .h264, tracks: 2)
        let source = bench.addFed(tracks: 2)
        let socket = TestSocket(datagram: ())
        #expect(bench.join(bench.addReader(0, socket)) != nil)
        var next: UInt16 = 0
        func run(_ rounds: Int) {
            for round in 0..<rounds {
                bench.submit(
                    .setTrack(bench.stream, track: 1, TrackPlan(clockRate: 48_000, codec: .opaque, ssrc: 100 + UInt32(round))))
                bench.feed(source, Self.packet(0, next), Self.packet(1, next))
                #expect(socket.receive().map { sequence($0) } == next, "the other track has no gap")
                next &+= 1
            }
        }
        run(30)
        var allocated: [UInt64] = []
        while allocated.last != 0, allocated.count < 5 {
            let before = allocationcount_of_workers()
            run(100)
            allocated.append(allocationcount_of_workers() - before)
        }
        #expect(allocated.last == 0 || allocationcount_is_active() == 0, "allocations in rounds of 100 changes: \(allocated)")
        #expect(bench.stop() == 0)
    }
}
