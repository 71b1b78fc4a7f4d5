import CForbidding
import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// A kernel interface that ends for good: the worker says so, gives everybody up, answers every command, and neither spins nor hangs.
@Suite(.serialized) struct DyingTests {
    /// A stream with everything that a worker can have, of which one connection is full.
    private struct Populated {
        let rig: ConformanceRig
        let sources: [SourceHandle]
        let readers: [SubscriberHandle]

        init(_ rig: ConformanceRig) throws {
            self.rig = rig
            rig.addStream()
            sources = (0..<3).map { SourceHandle(index: $0, generation: 1) }
            rig.submit(
                .addFedSource(sources[0], rig.stream, channels: ChannelMap(identity: 2)),
                .addDatagramSource(
                    sources[1], rig.stream, descriptor: rig.network.openSource(), channel: 0, peer: HostAddress(ipv4: 0x7F00_0001), port: 0),
                .addInterleavedSource(
                    sources[2], rig.stream, descriptor: rig.network.openConnection(isSmall: false), channels: ChannelMap(identity: 2),
                    prefix: LinkBuffer([0x24, 0, 0, 9, 1])))
            let udp = try rig.addReader(0)
            let tcp = try rig.addConnection(1)
            rig.plan.shortWrite = { _ in 10 }
            let full = try rig.addConnection(2, isSmall: true)
            readers = [udp.handle, tcp.handle, full.handle]
            feed(0)
            try rig.until("a packet") { rig.network.datagrams(udp.rtp).count == 1 }
        }

        func feed(_ number: Int) {
            let packet = rtp(sequence: UInt16(number), timestamp: 0, marker: true, payload: [UInt8](repeating: 1, count: 900))
            rig.submit(.feed(sources[0], LinkBuffer(framed(0, packet))))
        }

        /// What must be true once the interface has ended with `number`.
        func check(_ number: Int32) throws {
            feed(1)
            try rig.until("word of the end") { rig.has { if case .refused(.ringFailed, _) = $0 { true } else { false } } }
            let words = rig.reports.filter { if case .refused(.ringFailed, number) = $0 { true } else { false } }
            #expect(words.count == 1, "told once, with its number")
            for source in sources {
                #expect(rig.has { if case .sourceEnded(source, number) = $0 { true } else { false } }, "source \(source.index) is given up")
            }
            for reader in readers {
                #expect(rig.has { if case .subscriberFailed(reader, _) = $0 { true } else { false } }, "reader \(reader.index) is given up")
            }
            try commandsAreAnswered()
            try sleeps()
            #expect(try rig.stop() == 0)
        }

        /// Old things go, new ones are refused, buffers come back.
        private func commandsAreAnswered() throws {
            let stream = StreamHandle(index: 1, generation: 1)
            let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
            defer { memory.free() }
            let late = SourceHandle(index: 9, generation: 1)
            let lateReader = SubscriberHandle(index: 9, generation: 1)
            let lateConnection = SubscriberHandle(index: 10, generation: 1)
            rig.submit(
                .send(readers[1], LinkBuffer([1, 2, 3])), .go(readers[0]), .arm(readers[1], now: true), .removeSource(sources[1]),
                .removeSubscriber(readers[2]), .addStream(stream, memory, trackCount: 1),
                .addDatagramSource(
                    late, stream, descriptor: rig.network.openSource(), channel: 0, peer: .any, port: 0),
                .addDatagramSubscriber(lateReader, stream, host: .any, ports: PortMap(), sockets: 0),
                .addInterleavedSubscriber(
                    lateConnection, stream, descriptor: rig.network.openConnection(isSmall: false), channels: ChannelMap(identity: 2)),
                .removeStream(stream), .removeStream(rig.stream))
            try rig.until("answers to commands") {
                let gone = rig.reports.filter { if case .streamRemoved = $0 { true } else { false } }
                return gone.count == 2
            }
            for source in sources + [late] {
                #expect(rig.has { if case .sourceRemoved(source) = $0 { true } else { false } }, "source \(source.index)")
            }
            for reader in readers + [lateReader, lateConnection] {
                #expect(rig.has { if case .subscriberRemoved(reader) = $0 { true } else { false } }, "reader \(reader.index)")
            }
        }

        /// With nothing to do a turn lasts.
        private func sleeps() throws {
            let turns = rig.counters[.turns]
            let end = monotonicNanoseconds() + 200_000_000
            // What was woken for may still be read.
            while monotonicNanoseconds() < end { rig.step() }
            #expect(rig.counters[.turns] - turns < 100, "the worker spins")
        }
    }

    @Test("A ring that dies by script, before or amid the traffic", arguments: ConformanceKernel.allCases, [false, true])
    func dies(kernel: ConformanceKernel, isHolding: Bool) throws {
        let plan = FaultPlan()
        if isHolding { plan.notices = .never }
        let rig = try ConformanceRig.make(kernel, plan, zeroCopy: isHolding ? .on : .off)
        let populated = try Populated(rig)
        let now = plan.waits
        plan.death = { $0 > now ? EBADF : nil }
        try populated.check(EBADF)
    }

    @Test(
        "Trains forbidden from one moment to the next: every packet still leaves whole and by itself",
        arguments: [ConformanceKernel.ioUring, .ioUringZeroCopy, .epoll])
    func trainsEnd(kernel: ConformanceKernel) throws {
        let result = onForbiddenThread(
            [rule(setting: 103, level: 17, EPERM)],
            before: {
                let populated = try Populated(ConformanceRig.make(kernel))
                populated.feed(1)
                return populated
            },
            { populated in
                let rig = populated.rig
                let port = try rig.addReader(7).rtp
                let sent = (10..<30).map { number in
                    rtp(
                        sequence: UInt16(number), timestamp: 0, marker: number == 29,
                        payload: [UInt8](repeating: 2, count: 1_000))
                }
                rig.submit(.feed(populated.sources[0], LinkBuffer(sent.flatMap { framed(0, $0) })))
                try rig.until("all packets") { rig.network.datagrams(port).count >= 20 }
                return (rig.network.datagrams(port).map { Array($0[12...]) }, sent.map { Array($0[12...]) }, try rig.stop())
            })
        let (got, sent, leaks) = try result.get()
        #expect(got == sent && leaks == 0)
    }

    @Test("One of several workers dies: the others go on, and newcomers come to them")
    func oneOfSeveral() throws {
        var options = EngineOptions()
        options.workers = 3
        options.limits.subscribersMax = 200
        let engine = try Engine(options: options, named: "faulty") { part in
            let plan = FaultPlan()
            // Each plan is its worker's alone: the count of sends that it looks at is its own as well.
            if part.index == 1 { plan.death = { [unowned plan] _ in plan.sends > 200 ? EBADF : nil } }
            return FaultyKernel(try EpollKernel(limits: part.limits), plan)
        }
        let bench = Bench(engine, codec: .opaque, workers: 3)
        let source = bench.addFed()
        let sockets = (0..<60).map { _ in TestSocket(datagram: ()) }
        for (index, socket) in sockets.enumerated() { try #require(bench.join(bench.addReader(UInt32(index), socket)) != nil) }
        var failed: Set<UInt32> = []
        var number: UInt16 = 0
        func feed() {
            bench.feed(source, framed(0, rtp(sequence: number, timestamp: 0, marker: true, payload: idr())))
            number += 1
        }
        let end = monotonicNanoseconds() + 5_000_000_000
        while bench.wait(milliseconds: 1, for: { if case .refused(.ringFailed, EBADF) = $0 { true } else { false } }) == nil {
            feed()
            try #require(monotonicNanoseconds() < end, "the worker does not die")
        }
        while case .subscriberFailed(let handle, _) = bench.wait(
            milliseconds: 1_000, for: { if case .subscriberFailed = $0 { true } else { false } })
        { failed.insert(handle.index) }
        #expect(failed.count >= 12 && failed.count <= 30, "\(failed.count) of 60 readers were the dead worker's")
        let newcomers = (0..<30).map { _ in TestSocket(datagram: ()) }
        for (index, socket) in newcomers.enumerated() {
            #expect(bench.join(bench.addReader(UInt32(100 + index), socket)) != nil, "newcomer \(index)")
        }
        let first = number
        for _ in 0..<20 { feed() }
        for (index, socket) in newcomers.enumerated() {
            for expected in first..<first + 20 {
                let packet = try #require(socket.receive(), "newcomer \(index), packet \(expected)")
                #expect(sequence(packet) == expected)
            }
        }
        for (index, socket) in sockets.enumerated() where !failed.contains(UInt32(index)) {
            for expected in 0..<first + 20 { #expect(sequence(try #require(socket.receive(), "reader \(index)")) == expected) }
        }
        #expect(bench.stop() == 0)
    }

    @Test("A ring that never starts")
    func neverStarts() throws {
        let result = onForbiddenThread(
            [rule(FORBIDDING_RING_REGISTER, EPERM)], before: { try ConformanceRig.make(.ioUring, starts: false) }
        ) { rig in
            rig.start()
            rig.step()
            let isTold = rig.has { if case .refused(.ringFailed, EPERM) = $0 { true } else { false } }
            return (isTold, try rig.stop())
        }
        let (isTold, leaks) = try result.get()
        #expect(isTold && leaks == 0)
    }

    @Test(
        "The system call that everything hangs on is refused from one moment to the next",
        arguments: [ConformanceKernel.ioUring, .ioUringZeroCopy, .epoll, .plain], [EPERM, ENXIO, EFAULT])
    func reallyDies(kernel: ConformanceKernel, number: Int32) throws {
        let call = kernel == .epoll || kernel == .plain ? FORBIDDING_EPOLL_WAIT : FORBIDDING_RING_ENTER
        let result = onForbiddenThread(
            [rule(call, number)], before: { try Populated(ConformanceRig.make(kernel)) }, { try $0.check(number) })
        try result.get()
    }
}
