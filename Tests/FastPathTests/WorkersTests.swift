import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Several workers over real sockets: readers of one stream are spread over them, and none can tell.
@Suite(.serialized) struct WorkersTests {
    /// UDP and TCP readers of one stream, and what each has got.
    private struct Crowd {
        var sockets: [TestSocket] = []
        var players: [TestSocket] = []
        var pending: [[UInt8]] = []
        var next: [UInt16] = []
    }

    private func join(_ bench: Bench, datagram: Int, interleaved: Int) throws -> Crowd {
        var crowd = Crowd()
        for index in 0..<datagram {
            let socket = TestSocket(datagram: ())
            let point = try #require(bench.join(bench.addReader(UInt32(index), socket)))
            #expect(!point[0].isKnown)
            crowd.sockets.append(socket)
        }
        for index in 0..<interleaved {
            let (player, connection) = TestSocket.connectedPair()
            #expect(bench.join(bench.addInterleaved(UInt32(1_000 + index), connection)) != nil)
            crowd.players.append(player)
        }
        crowd.pending = Array(repeating: [], count: interleaved)
        crowd.next = Array(repeating: 0, count: datagram + interleaved)
        return crowd
    }

    /// A frame whose packets say their number in every byte of the payload.
    private func frame(_ number: Int, packets: Int) -> [UInt8] {
        (0..<packets).flatMap { place -> [UInt8] in
            let sequence = UInt16(truncatingIfNeeded: number * packets + place)
            let isLast = place == packets - 1
            let payload = [UInt8](repeating: UInt8(sequence & 0xFF), count: isLast ? 300 : 1_100)
            return framed(0, rtp(sequence: sequence, timestamp: UInt32(number) * 3_600, marker: isLast, payload: payload))
        }
    }

    private func check(_ packet: [UInt8], _ expected: UInt16) -> Bool {
        sequence(packet) == expected && ssrc(packet) == 0x5EED
            && packet[12...] == [UInt8](repeating: UInt8(expected & 0xFF), count: packet.count - 12)[...]
    }

    @Test("Every reader of every worker gets every packet once, in order, byte for byte", arguments: EngineShape.all)
    func spread(shape: EngineShape) throws {
        let bench = try Bench(shape, codec: .opaque)
        let source = bench.addFed()
        var crowd = try join(bench, datagram: 60, interleaved: 20)
        let frames = 60
        let packets = 9
        for number in 0..<frames {
            bench.feed(source, frame(number, packets: packets))
            for (index, socket) in crowd.sockets.enumerated() {
                for _ in 0..<packets {
                    let packet = try #require(socket.receive(), "reader \(index), frame \(number)")
                    #expect(check(packet, crowd.next[index]))
                    crowd.next[index] &+= 1
                }
            }
            for (index, player) in crowd.players.enumerated() {
                let wanted = (number + 1) * packets
                let reader = crowd.sockets.count + index
                while Int(crowd.next[reader]) < wanted {
                    crowd.pending[index] += try #require(player.receive(), "TCP reader \(index), frame \(number)")
                    var bytes = crowd.pending[index][...]
                    while bytes.count >= 4 {
                        let length = Int(bytes[bytes.startIndex + 2]) << 8 | Int(bytes[bytes.startIndex + 3])
                        guard bytes.count >= 4 + length else { break }
                        #expect(bytes[bytes.startIndex] == 0x24)
                        #expect(check(Array(bytes.dropFirst(4).prefix(length)), crowd.next[reader]))
                        crowd.next[reader] &+= 1
                        bytes = bytes.dropFirst(4 + length)
                    }
                    crowd.pending[index] = Array(bytes)
                }
            }
        }
        #expect(bench.reaches(UInt64(frames * packets * 80)) { bench.engine.counters[.packetsSent] })
        #expect(bench.engine.counters[.packetsSent] == UInt64(frames * packets * 80))
        #expect(bench.counters[.readersLive] == 80)
        #expect((bench.engine.counters[.handovers] > 0) == (shape.workers > 1))
        if shape.zeroCopy == .on {
            #expect(bench.engine.counters[.zcSent] > 0)
            let sent = bench.engine.counters[.zcSent]
            #expect(bench.reaches(sent) { bench.engine.counters[.zcCopied] }, "loopback always copies")
        }
        #expect(bench.engine.counters[.packetsLogPinned] == 0)
        #expect(bench.stop() == 0)
        #expect(bench.engine.counters[.zcPending] == 0)
    }

    @Test("Streams and readers are added and removed under load, and everything comes home", arguments: EngineShape.all)
    func comingAndGoing(shape: EngineShape) throws {
        let bench = try Bench(shape, codec: .opaque)
        let source = bench.addFed()
        let stayer = TestSocket(datagram: ())
        #expect(bench.join(bench.addReader(0, stayer)) != nil)
        var removed = 0
        for round in 1...12 {
            // A second stream with readers on all workers, gone again while both are being sent.
            let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0), workers: shape.workers)
            let stream = StreamHandle(index: 1, generation: UInt32(round))
            let fed = SourceHandle(index: 1, generation: UInt32(round))
            bench.submit(.addStream(stream, memory, trackCount: 1))
            bench.submit(.setTrack(stream, track: 0, TrackPlan(clockRate: 90_000, codec: .opaque, ssrc: 7)))
            bench.submit(.addFedSource(fed, stream, channels: ChannelMap(identity: 2)))
            for reader in 0..<30 {
                var ports = PortMap()
                // Nobody's: any other port may be given to the test beside this one.
                ports[0] = 9
                let handle = SubscriberHandle(index: UInt32(100 + reader), generation: UInt32(round))
                bench.submit(
                    .addDatagramSubscriber(handle, stream, host: HostAddress(ipv4: 0x7F00_0001), ports: ports, sockets: 0))
                bench.submit(.arm(handle, now: true))
                bench.submit(.go(handle))
            }
            for number in 0..<10 {
                bench.submit(.feed(fed, LinkBuffer(frame(number, packets: 20))))
                bench.feed(source, frame((round - 1) * 10 + number, packets: 2))
            }
            bench.submit(.removeStream(stream))
            #expect(bench.wait { if case .streamRemoved(stream) = $0 { true } else { false } } != nil)
            memory.free()
            for reader in 0..<30 {
                let handle = SubscriberHandle(index: UInt32(100 + reader), generation: UInt32(round))
                if bench.wait(for: { if case .subscriberRemoved(handle) = $0 { true } else { false } }) != nil { removed += 1 }
            }
        }
        #expect(removed == 360)
        for expected in 0..<240 { #expect(check(try #require(stayer.receive()), UInt16(expected))) }
        #expect(bench.stop() == 0)
    }

    @Test("A crowd is spread evenly over the workers that have its sockets; a small stream stays at home")
    func balance() throws {
        var limits = Limits()
        limits.streamsMax = 8
        limits.subscribersMax = 1_000
        let lines = (0..<4).map { _ in
            WorkerLine(commands: BoundedRing(capacity: 4_096), reports: BoundedRing(capacity: 64), wake: -1)
        }
        let router = CommandRouter(limits: limits, lines: lines)
        let memories = (0..<8).map { _ in StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0), workers: 4) }
        defer { memories.forEach { $0.free() } }
        for worker in 0..<4 { #expect(router.submit(.addDatagramEgress(0, worker: UInt8(worker), rtp: 3, rtcp: 4))) }
        #expect(router.submit(.addDatagramEgress(1, worker: 2, rtp: 5, rtcp: 6)))
        for (index, memory) in memories.enumerated() {
            #expect(router.submit(.addStream(StreamHandle(index: UInt32(index), generation: 1), memory, trackCount: 1)))
            #expect(memory.board.load(.home) == UInt64(index % 4))
        }
        lines.forEach { line in while line.commands.pop() != nil {} }
        var next: UInt32 = 0
        func add(_ stream: UInt32, sockets: UInt8 = 0) -> SubscriberHandle {
            let handle = SubscriberHandle(index: next, generation: 1)
            next += 1
            _ = router.submit(
                .addDatagramSubscriber(
                    handle, StreamHandle(index: stream, generation: 1), host: HostAddress(ipv4: 1), ports: PortMap(), sockets: sockets))
            return handle
        }
        for _ in 0..<CommandRouter.spreadFrom { _ = add(1) }
        #expect(lines.map(\.commands.count) == [0, 16, 0, 0])
        for _ in 0..<100 { _ = add(1) }
        #expect(lines.map(\.commands.count) == [29, 29, 29, 29])
        _ = add(1, sockets: 1)
        #expect(lines.map(\.commands.count) == [29, 29, 30, 29])
        let gone = (0..<12).map { _ in add(3) }
        #expect(lines.map(\.commands.count) == [29, 29, 30, 41])
        gone.forEach { router.readerRemoved($0) }
        for _ in 0..<12 { _ = add(1) }
        #expect(lines.map(\.commands.count) == [33, 32, 32, 44])
    }

    @Test("A stream is gone when the last worker let go of it; a queue that is full takes a command nowhere")
    func collect() throws {
        var limits = Limits()
        limits.streamsMax = 2
        let lines = (0..<3).map { _ in
            WorkerLine(commands: BoundedRing(capacity: 4), reports: BoundedRing(capacity: 64), wake: -1)
        }
        let router = CommandRouter(limits: limits, lines: lines)
        let collector = ReportCollector(limits: limits, lines: lines, router: router)
        let stream = StreamHandle(index: 1, generation: 5)
        for line in lines.dropLast() { _ = line.reports.push(.streamRemoved(stream)) }
        #expect(collector.take() == nil)
        _ = lines[2].reports.push(.streamRemoved(stream))
        guard case .streamRemoved(stream)? = collector.take() else {
            Issue.record("not passed on")
            return
        }
        for line in lines { _ = line.reports.push(.stopped(leaks: 1)) }
        guard case .stopped(leaks: 3)? = collector.take() else {
            Issue.record("not summed")
            return
        }
        while lines[1].commands.push(.shutdown) {}
        #expect(!router.submit(.removeStream(stream)))
        #expect(lines.map(\.commands.count) == [0, 4, 0])
    }

    @Test("A reader takes no more of the engine's memory than the limits say")
    func readerBytes() {
        let tables = MemoryLayout<UInt8>.stride + MemoryLayout<UInt32>.stride
        let bytes = MemoryLayout<Subscriber>.stride + 2 * MemoryLayout<SendNode>.stride + tables
        #expect(bytes <= Limits.readerBytesMax, "\(bytes) bytes")
        #expect(
            MemoryLayout<Subscriber>.stride <= 320, "\(MemoryLayout<Subscriber>.stride): the walk over readers is as fast as this is small")
    }

    @Test(
        "The processors that may be used: the affinity mask, bounded by the control groups' quotas",
        arguments: [
            ("0::/a/b\n", ["/sys/fs/cgroup/a/b/cpu.max": "max 100000\n"], nil as Double?),
            ("0::/a/b\n", ["/sys/fs/cgroup/a/b/cpu.max": "150000 100000\n", "/sys/fs/cgroup/a/cpu.max": "400000 100000"], 1.5),
            ("0::/a/b\n", ["/sys/fs/cgroup/cpu.max": "50000 100000\n"], 0.5),
            (
                "4:cpu,cpuacct:/docker/x\n",
                ["/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "200000\n", "/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000\n"], 2
            ),
            ("4:cpu:/x\n", ["/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"], nil),
            ("garbage\n0::\n", [:], nil),
        ])
    func quota(groups: String, files: [String: String], expected: Double?) {
        #expect(Processors.quota(ofGroups: groups, read: { files[$0] ?? "" }) == expected)
        #expect(Processors.usable >= 1 && Processors.usable <= max(Processors.allowed.count, 1))
    }
}
