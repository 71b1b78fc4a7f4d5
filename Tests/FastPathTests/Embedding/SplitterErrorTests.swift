import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Every argument that cannot be, and every handle that names nothing: an error with words, and nothing has happened.
@Suite(.serialized) struct SplitterErrorTests {
    private static let loopback = HostAddress(ipv4: 0x7F00_0001)

    /// A splitter with one of each.
    private struct Things {
        let bench: SplitterBench
        let stream: StreamHandle
        let pushed: SourceHandle
        let sender: SenderID
        let reader: SubscriberHandle
        let connected: SubscriberHandle
        let socket = TestSocket(datagram: ())
        let connection: TestSocket
        var splitter: Splitter { bench.splitter }

        init() throws {
            bench = try SplitterBench(backend: .epoll)
            stream = try bench.addStream()
            pushed = try bench.addPushed(stream)
            sender = bench.added(try bench.splitter.openDatagramSender())
            reader = try bench.addReader(stream, sender, socket)
            let (client, server) = TestSocket.connectedPair()
            bench.keep(client)
            connection = server
            connected = try bench.addInterleaved(stream, server)
            _ = bench.joined(connected)
        }

        var ports: PortMap {
            var ports = PortMap()
            ports[0] = socket.port
            return ports
        }
    }

    /// Runs a call and answers with its error.
    private func error(_ call: () throws(SplitterError) -> Void) -> SplitterError? {
        do throws(SplitterError) {
            try call()
            return nil
        } catch {
            return error
        }
    }

    private func argument(_ call: () throws(SplitterError) -> Void) -> String? {
        guard let error = error(call), case .argument(let name, let allowed) = error else { return nil }
        #expect(error.description.contains(name) && error.description.contains(allowed))
        return name
    }

    @Test("Limits that cannot be are named", arguments: [Int.min, -1, 0, Int.max])
    func limits(value: Int) throws {
        let fields: [(WritableKeyPath<Limits, Int>, String, isZeroFine: Bool)] = [
            (\.streamsMax, "streamsMax", false), (\.sourcesMax, "sourcesMax", false), (\.subscribersMax, "subscribersMax", false),
            (\.joinsPerSecondPerAddress, "joinsPerSecondPerAddress", true), (\.packetLogBytesMax, "packetLogBytesMax", true),
            (\.windowMilliseconds, "windowMilliseconds", false), (\.bitRateDefault, "bitRateDefault", false),
            (\.queuedSendsMax, "queuedSendsMax", false), (\.delayMicrosecondsMax, "delayMicrosecondsMax", true),
            (\.interleavedBufferBytes, "interleavedBufferBytes", false), (\.datagramBuffers, "datagramBuffers", false),
            (\.datagramBufferBytes, "datagramBufferBytes", false),
        ]
        for (path, name, isZeroFine) in fields where value != 0 || !isZeroFine {
            var limits = Limits()
            limits[keyPath: path] = value
            #expect(argument { () throws(SplitterError) in _ = try Splitter(options: EngineOptions(limits: limits)) } == "limits.\(name)")
        }
        #expect(argument { () throws(SplitterError) in _ = try Splitter(options: EngineOptions(workers: value)) } == "workers")
        var limits = Limits()
        limits.writeStallNanoseconds = .max
        #expect(argument { () throws(SplitterError) in _ = try Splitter(options: EngineOptions(limits: limits)) } != nil)
        limits = Limits()
        limits.senderSilenceNanoseconds = .max
        #expect(argument { () throws(SplitterError) in _ = try Splitter(options: EngineOptions(limits: limits)) } != nil)
    }

    @Test func streams() throws {
        let things = try Things()
        let video = SplitterBench.video
        func name(_ configuration: StreamConfiguration) -> String? {
            argument { () throws(SplitterError) in _ = try things.splitter.addStream(configuration) }
        }
        #expect(name(.init(tracks: [])) == "tracks")
        #expect(name(.init(tracks: Array(repeating: video, count: 9))) == "tracks")
        var silent = video
        silent.clockRate = 0
        #expect(name(.init(tracks: [silent])) == "clockRate")
        for value in [Int.min, 0, Int.max] {
            #expect(name(.init(tracks: [video], bitRate: value)) == "bitRate")
            #expect(name(.init(tracks: [video], windowMilliseconds: value)) == "windowMilliseconds")
        }
        var policy = StreamPolicy()
        policy.pacing = .fixed(bitsPerSecond: 0)
        #expect(name(.init(tracks: [video], policy: policy)) == "policy.pacing")
        policy.pacing = .fixed(bitsPerSecond: .max)
        #expect(name(.init(tracks: [video], policy: policy)) == "policy.pacing")
        policy = StreamPolicy()
        policy.joinBurst?.speedTenths = 0
        #expect(name(.init(tracks: [video], policy: policy)) == "policy.joinBurst.speedTenths")
        policy = StreamPolicy()
        policy.overload = .disconnect(afterNanoseconds: .max)
        #expect(name(.init(tracks: [video], policy: policy)) == "policy.overload")
        #expect(things.bench.stop() == 0)
    }

    @Test func sources() throws {
        let things = try Things()
        let splitter = things.splitter, stream = things.stream
        let udp = TestSocket(datagram: ())
        for descriptor in [-1, 0, Int32.max, things.connection.descriptor, splitter.eventDescriptor] {
            #expect(
                argument { () throws(SplitterError) in _ = try splitter.addDatagramSource(stream, descriptor: descriptor, channel: 0) }
                    == "descriptor")
        }
        for descriptor in [-1, 0, Int32.max, udp.descriptor, splitter.eventDescriptor, things.connection.descriptor] {
            #expect(
                argument { () throws(SplitterError) in
                    _ = try splitter.addInterleavedSource(stream, descriptor: descriptor, channels: ChannelMap())
                } == "descriptor")
        }
        for channel in [Int.min, -1, 2, 255, 256, Int.max] {
            #expect(
                argument { () throws(SplitterError) in
                    _ = try splitter.addDatagramSource(stream, descriptor: udp.descriptor, channel: channel)
                } == "channel")
            #expect(
                argument { () throws(SplitterError) in _ = try splitter.openDatagramSource(stream, port: 0, channel: channel) } == "channel"
            )
            #expect(argument { () throws(SplitterError) in try splitter.push(things.pushed, channel: channel, [1]) } == "channel")
            let group = MulticastGroup(address: HostAddress(ipv4: 0xEFFF_0101), port: 1)
            #expect(
                argument { () throws(SplitterError) in _ = try splitter.addMulticastSource(stream, group: group, channel: channel) }
                    == "channel")
        }
        for group in [
            MulticastGroup(address: Self.loopback, port: 5_000), MulticastGroup(address: .any, port: 5_000),
            MulticastGroup(address: HostAddress(ipv4: 0xEFFF_0101), port: 0),
        ] {
            #expect(
                argument { () throws(SplitterError) in _ = try splitter.addMulticastSource(stream, group: group, channel: 0) } == "group")
        }
        var group = MulticastGroup(address: HostAddress(ipv4: 0xEFFF_0101), port: 27_400, interface: "no such one")
        #expect(
            argument { () throws(SplitterError) in _ = try splitter.addMulticastSource(stream, group: group, channel: 0) } == "interface")
        group.interface = "lo"
        group.source = HostAddress(high: 1, low: 1)
        #expect(
            argument { () throws(SplitterError) in _ = try splitter.addMulticastSource(stream, group: group, channel: 0) } == "group.source"
        )
        #expect(
            argument { () throws(SplitterError) in
                _ = try splitter.addInterleavedSource(
                    stream, descriptor: TestSocket.connectedPair().0.descriptor, channels: ChannelMap(),
                    prefix: [UInt8](repeating: 0, count: 192 << 10 + 1))
            } != nil)
        #expect(argument { () throws(SplitterError) in try splitter.push(things.pushed, channel: 0, []) } == "packet")
        #expect(
            argument { () throws(SplitterError) in
                try splitter.push(things.pushed, channel: 0, [UInt8](repeating: 0x80, count: 65_536))
            } == "packet")
        #expect(argument { () throws(SplitterError) in try splitter.resume(things.pushed, consumed: 0) } == "source")
        let listening = things.bench.added(
            try splitter.addDatagramSource(stream, descriptor: udp.descriptor, channel: 0), stream)
        #expect(argument { () throws(SplitterError) in try splitter.push(listening, channel: 0, [1]) } == "source")
        #expect(
            argument { () throws(SplitterError) in _ = try splitter.addDatagramSource(stream, descriptor: udp.descriptor, channel: 1) }
                == "descriptor", "it is in use")
        guard
            case .system(_, EADDRINUSE)? = error({ () throws(SplitterError) in
                _ = try splitter.openDatagramSource(stream, host: Self.loopback, port: udp.port, channel: 0)
            })
        else {
            Issue.record("a port that is taken")
            return
        }
        #expect(things.bench.stop() == 0)
    }

    @Test func readersAndSenders() throws {
        let things = try Things()
        let splitter = things.splitter, stream = things.stream
        #expect(argument { () throws(SplitterError) in _ = try splitter.openDatagramSender(rtpPort: 5_001) } == "rtpPort")
        for descriptor in [-1, 0, Int32.max, things.connection.descriptor] {
            #expect(
                argument { () throws(SplitterError) in
                    _ = try splitter.addDatagramSender(rtp: descriptor, rtcp: things.socket.descriptor)
                } == "rtp")
            #expect(
                argument { () throws(SplitterError) in
                    _ = try splitter.addDatagramSender(rtp: things.socket.descriptor, rtcp: descriptor)
                } == "rtcp")
        }
        #expect(argument { () throws(SplitterError) in _ = try splitter.addMulticastSender(interface: "no such one") } == "interface")
        #expect(
            argument { () throws(SplitterError) in _ = try splitter.addMulticastSender(interface: "way too long for an interface's name") }
                == "interface")
        for host in [HostAddress.any, HostAddress(ipv4: 0)] {
            #expect(
                argument { () throws(SplitterError) in
                    _ = try splitter.addDatagramReader(stream, host: host, ports: things.ports, sender: things.sender)
                } == "host")
        }
        var beyond = PortMap()
        beyond[2] = 5_000
        for ports in [PortMap(), beyond] {
            #expect(
                argument { () throws(SplitterError) in
                    _ = try splitter.addDatagramReader(stream, host: Self.loopback, ports: ports, sender: things.sender)
                } == "ports")
        }
        for descriptor in [-1, 0, Int32.max, things.socket.descriptor, things.connection.descriptor] {
            #expect(
                argument { () throws(SplitterError) in
                    _ = try splitter.addInterleavedReader(stream, descriptor: descriptor, channels: ChannelMap(identity: 2))
                } == "descriptor")
        }
        let (client, server) = TestSocket.connectedPair()
        #expect(
            argument { () throws(SplitterError) in
                _ = try splitter.addInterleavedReader(stream, descriptor: server.descriptor, channels: ChannelMap())
            } == "channels")
        #expect(
            argument { () throws(SplitterError) in
                _ = try splitter.addInterleavedReader(
                    stream, descriptor: server.descriptor, channels: ChannelMap(identity: 2),
                    overload: .disconnect(afterNanoseconds: .max))
            } == "overload")
        withExtendedLifetime(client) {}
        #expect(argument { () throws(SplitterError) in try splitter.send(things.reader, [1]) } == "reader")
        #expect(argument { () throws(SplitterError) in try splitter.send(things.connected, []) } == "bytes")
        #expect(
            argument { () throws(SplitterError) in
                try splitter.send(things.connected, [UInt8](repeating: 0, count: Splitter.replyBytesMax + 1))
            } == "bytes")
        #expect(argument { () throws(SplitterError) in try splitter.resume(things.connected) } == "reader")
        #expect(
            argument { () throws(SplitterError) in try splitter.setOverload(things.reader, .disconnect(afterNanoseconds: .max)) }
                == "overload")
        #expect(things.bench.stop() == 0)
    }

    @Test("Handles that are stale, foreign or made up are refused by every call, and harm nobody")
    func stale() throws {
        let things = try Things()
        let other = try Things()
        let splitter = things.splitter
        try splitter.removeReader(things.reader)
        try splitter.removeReader(things.connected)
        try splitter.removeSource(things.pushed)
        let stream = try things.bench.addStream()
        try splitter.removeStream(stream)
        let sender = things.bench.added(try splitter.openDatagramSender())
        try splitter.removeSender(sender)
        func calls() {
            let readers = [
                things.reader, things.connected, other.reader, other.connected, .init(index: 0, generation: 0),
                .init(index: .max, generation: .max), .init(index: 19_999, generation: 1),
            ]
            for reader in readers {
                for error in [
                    error { () throws(SplitterError) in try splitter.start(reader) },
                    error { () throws(SplitterError) in try splitter.pause(reader) },
                    error { () throws(SplitterError) in try splitter.resume(reader) },
                    error { () throws(SplitterError) in try splitter.setOverload(reader, .dropOldest) },
                    error { () throws(SplitterError) in try splitter.send(reader, [1]) },
                    error { () throws(SplitterError) in try splitter.removeReader(reader) },
                ] {
                    guard case .stale(.reader)? = error else {
                        Issue.record("\(String(describing: error))")
                        continue
                    }
                }
            }
            for source in [things.pushed, other.pushed, .init(index: 0, generation: 0), .init(index: .max, generation: .max)] {
                for error in [
                    error { () throws(SplitterError) in try splitter.push(source, channel: 0, [1]) },
                    error { () throws(SplitterError) in try splitter.resume(source, consumed: 1) },
                    error { () throws(SplitterError) in try splitter.removeSource(source) },
                ] {
                    guard case .stale(.source)? = error else {
                        Issue.record("\(String(describing: error))")
                        continue
                    }
                }
            }
            for stream in [stream, other.stream, .init(index: 0, generation: 0), .init(index: .max, generation: .max)] {
                let ports = things.ports
                for error in [
                    error { () throws(SplitterError) in try splitter.removeStream(stream) },
                    error { () throws(SplitterError) in try splitter.beginEpoch(stream) },
                    error { () throws(SplitterError) in _ = try splitter.addPushedSource(stream) },
                    error { () throws(SplitterError) in _ = try splitter.openDatagramSource(stream, port: 0, channel: 0) },
                    error { () throws(SplitterError) in
                        _ = try splitter.addDatagramReader(stream, host: Self.loopback, ports: ports, sender: things.sender)
                    },
                    error { () throws(SplitterError) in
                        _ = try splitter.addInterleavedReader(stream, descriptor: 0, channels: ChannelMap(identity: 1))
                    },
                ] {
                    guard case .stale(.stream)? = error else {
                        Issue.record("\(String(describing: error))")
                        continue
                    }
                }
            }
            for sender in [sender, other.sender, .init(index: 0, generation: 0), .init(index: .max, generation: .max)] {
                for error in [
                    error { () throws(SplitterError) in try splitter.removeSender(sender) },
                    error { () throws(SplitterError) in
                        _ = try splitter.addDatagramReader(things.stream, host: Self.loopback, ports: things.ports, sender: sender)
                    },
                ] {
                    guard case .stale(.sender)? = error else {
                        Issue.record("\(String(describing: error))")
                        continue
                    }
                }
            }
        }
        // Before the ends are told, and after.
        calls()
        #expect(things.bench.removed(things.reader) && things.bench.removed(things.connected) && things.bench.removed(things.pushed))
        #expect(things.bench.removed(stream) && things.bench.removed(sender))
        calls()
        #expect(splitter.counters(of: stream) == nil && splitter.rtpPort(of: sender) == nil && splitter.port(of: things.pushed) == nil)
        #expect(splitter.counters[.staleCommands] == 0, "nothing stale ever reached the engine")
        #expect(other.bench.stop() == 0)
        #expect(things.bench.stop() == 0)
    }

    @Test("After the shutdown every call says so, and nothing traps") func stopped() throws {
        let things = try Things()
        let splitter = things.splitter
        #expect(things.bench.stop() == 0)
        splitter.shutdown()
        splitter.flush()
        #expect(splitter.nextEvent() == nil)
        let errors = [
            error { () throws(SplitterError) in _ = try splitter.addStream(.init(tracks: [SplitterBench.video])) },
            error { () throws(SplitterError) in try splitter.removeStream(things.stream) },
            error { () throws(SplitterError) in try splitter.beginEpoch(things.stream) },
            error { () throws(SplitterError) in try splitter.push(things.pushed, channel: 0, [1]) },
            error { () throws(SplitterError) in try splitter.removeSource(things.pushed) },
            error { () throws(SplitterError) in _ = try splitter.openDatagramSender() },
            error { () throws(SplitterError) in _ = try splitter.addDatagramSender(rtp: 0, rtcp: 0) },
            error { () throws(SplitterError) in _ = try splitter.addMulticastSender() },
            error { () throws(SplitterError) in try splitter.removeSender(things.sender) },
            error { () throws(SplitterError) in try splitter.send(things.connected, [1]) },
            error { () throws(SplitterError) in try splitter.removeReader(things.reader) },
        ]
        for error in errors {
            guard case .stopped? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        #expect(splitter.counters[.staleCommands] == 0 && splitter.counters(of: things.stream) == nil)
        #expect(splitter.packetLogBytesInUse == 0)
    }

    @Test("What there is no room for is refused with the number, and the room comes back") func full() throws {
        var limits = Limits()
        limits.streamsMax = 2
        limits.sourcesMax = 2
        limits.subscribersMax = 2
        let bench = try SplitterBench(limits: limits)
        let streams = [try bench.addStream(), try bench.addStream()]
        let sender = bench.added(try bench.splitter.openDatagramSender())
        let socket = TestSocket(datagram: ())
        let sources = [try bench.addPushed(streams[0]), try bench.addPushed(streams[0])]
        let readers = [try bench.addReader(streams[0], sender, socket), try bench.addReader(streams[0], sender, socket)]
        func isFull(_ kind: SplitterError.Kind, _ call: () throws -> Void) -> Bool {
            do { try call() } catch SplitterError.full(let full, max: 2) { return full == kind } catch { return false }
            return false
        }
        #expect(isFull(.stream) { _ = try bench.addStream() })
        #expect(isFull(.source) { _ = try bench.addPushed(streams[0]) })
        #expect(isFull(.reader) { _ = try bench.addReader(streams[0], sender, socket) })
        try bench.splitter.removeSource(sources[0])
        try bench.splitter.removeReader(readers[0])
        try bench.splitter.removeStream(streams[1])
        #expect(bench.removed(sources[0]) && bench.removed(readers[0]) && bench.removed(streams[1]))
        _ = try bench.addStream()
        _ = try bench.addPushed(streams[0])
        _ = try bench.addReader(streams[0], sender, socket)
        for _ in 1..<Limits.egressMax {
            _ = bench.added(try bench.splitter.addDatagramSender(rtp: socket.descriptor, rtcp: socket.descriptor))
        }
        guard
            case .full(.sender, max: Limits.egressMax)? = error({ () throws(SplitterError) in
                _ = try bench.splitter.openDatagramSender()
            })
        else {
            Issue.record("all senders are in use")
            return
        }
        #expect(bench.stop() == 0)
    }

    @Test("The memory budget refuses with the sum, and gets back what streams held") func budget() throws {
        var limits = Limits()
        let sizing = StreamSizing(bitRate: 8_000_000, windowMilliseconds: 2_000)
        limits.packetLogBytesMax = 2 * sizing.bytes
        let bench = try SplitterBench(limits: limits)
        let first = try bench.addStream()
        _ = try bench.addStream()
        guard
            case .memory(let refusal)? = error({ () throws(SplitterError) in
                _ = try bench.splitter.addStream(.init(tracks: [SplitterBench.video]))
            })
        else {
            Issue.record("the budget is spent")
            return
        }
        #expect(refusal.bytesInUse == 2 * sizing.bytes && refusal.bytesMax == limits.packetLogBytesMax)
        #expect(bench.splitter.packetLogBytesInUse == 2 * sizing.bytes)
        try bench.splitter.removeStream(first)
        #expect(bench.removed(first))
        #expect(bench.splitter.packetLogBytesInUse == sizing.bytes)
        _ = try bench.addStream()
        #expect(bench.stop() == 0)
    }

    @Test(
        "Numeric addresses are read and written",
        arguments: ["127.0.0.1", "0.0.0.0", "255.255.255.255", "239.1.2.3", "::", "::1", "2001:db8::7", "ff15::1:2", "fe80::1%1"])
    func addresses(text: String) throws {
        #expect(try #require(HostAddress(parsing: text)).numericText == text)
    }

    @Test(
        "What is no numeric address is nil",
        arguments: ["", "1.2.3", "1.2.3.4.5", "localhost", "::g", "fe80::1%", "fe80::1%nowhere0", "%", "1.2.3.4%lo", "٣.1.1.1"])
    func noAddresses(text: String) {
        #expect(HostAddress(parsing: text) == nil)
    }
}
