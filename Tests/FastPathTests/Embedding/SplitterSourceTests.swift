import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Sources of a splitter over real sockets on loopback, once per backend.
@Suite(.serialized) struct SplitterSourceTests {
    private static let loopback = HostAddress(ipv4: 0x7F00_0001)

    /// A stream with a TCP reader that has joined.
    private func readerBench(
        _ backend: BackendName, tracks: [TrackPlan] = [SplitterBench.video]
    ) throws -> (SplitterBench, StreamHandle, FrameReader) {
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream(.init(tracks: tracks, policy: SplitterBench.withoutBurst))
        let (client, server) = TestSocket.connectedPair()
        #expect(bench.joined(try bench.addInterleaved(stream, server)) != nil)
        bench.splitter.flush()
        return (bench, stream, FrameReader(client))
    }

    @Test("A socket of the caller's is received from, only from the peer that was named", arguments: BackendName.allCases)
    func datagramSource(backend: BackendName) throws {
        let (bench, stream, frames) = try readerBench(backend)
        let socket = TestSocket(datagram: ()), friend = TestSocket(datagram: ()), stranger = TestSocket(datagram: ())
        let source = bench.added(
            try bench.splitter.addDatagramSource(
                stream, descriptor: socket.descriptor, channel: 0, peer: Self.loopback, port: friend.port), stream)
        #expect(bench.splitter.port(of: source) == socket.port)
        bench.splitter.flush()
        stranger.send(numbered(99), to: socket.port)
        friend.send(numbered(1), to: socket.port)
        friend.send([1, 2, 3], to: socket.port)
        friend.send(numbered(2), to: socket.port)
        #expect(sequence(try #require(frames.next()).packet) == 1)
        #expect(sequence(try #require(frames.next()).packet) == 2)
        #expect(bench.active(source))
        #expect(bench.splitter.counters[.datagramsForeign] == 1)
        #expect(bench.splitter.counters[.datagramsMalformed] == 1)
        try bench.splitter.removeSource(source)
        #expect(bench.removed(source))
        // The socket is the caller's again.
        friend.send([7], to: socket.port)
        #expect(socket.receive() == [7])
        #expect(bench.stop() == 0)
    }

    @Test("A socket that the splitter opens is closed with its source", arguments: BackendName.allCases)
    func openedSource(backend: BackendName) throws {
        let (bench, stream, frames) = try readerBench(backend)
        let source = bench.added(try bench.splitter.openDatagramSource(stream, host: Self.loopback, port: 0, channel: 0), stream)
        let port = try #require(bench.splitter.port(of: source))
        #expect(throws: SplitterError.self, "the port is taken") {
            try bench.splitter.openDatagramSource(stream, host: Self.loopback, port: port, channel: 0)
        }
        let friend = TestSocket(datagram: ())
        bench.splitter.flush()
        friend.send(numbered(5), to: port)
        #expect(sequence(try #require(frames.next()).packet) == 5)
        try bench.splitter.removeSource(source)
        #expect(bench.removed(source))
        #expect(bench.splitter.port(of: source) == nil)
        #expect(
            bench.reaches {
                guard let again = try? bench.splitter.openDatagramSource(stream, host: Self.loopback, port: port, channel: 0) else {
                    return false
                }
                _ = bench.added(again, stream)
                return true
            }, "the port is free again")
        #expect(bench.stop() == 0)
    }

    @Test("Sender reports and goodbyes are told, and reports reach readers in their time", arguments: BackendName.allCases)
    func reports(backend: BackendName) throws {
        let (bench, stream, frames) = try readerBench(backend)
        let source = try bench.addPushed(stream)
        try bench.splitter.push(source, channel: 0, numbered(1))
        let report = [0x80, 0xC8, 0, 6] + big(0xAAAA) + big(0x1122_3344) + big(0x5566_7788) + big(3_000) + big(1) + big(200)
        try bench.splitter.push(source, channel: 1, report)
        try bench.splitter.push(source, channel: 1, [0x81, 0xCB, 0, 1] + big(0xAAAA))
        let told: (UInt32, UInt64, UInt32)? = bench.wait {
            if case .senderReport(stream, 0, let ssrc, let ntp, let time) = $0 { (ssrc, ntp, time) } else { nil }
        }
        #expect(try #require(told) == (0xAAAA, 0x1122_3344_5566_7788, 3_000))
        #expect(bench.wait { if case .sourceBye(stream, 0) = $0 { true } else { nil } } ?? false)
        #expect(try #require(frames.next()).channel == 0)
        let passed = try #require(frames.next())
        #expect(passed.channel == 1 && passed.packet[1] == 0xC8 && Array(passed.packet[4..<8]) == big(0x5EED))
        #expect(Array(passed.packet[16..<20]) == big(3_000))
        #expect(bench.stop() == 0)
    }

    @Test("Text between frames is told and answered; what was read before the hand-over counts", arguments: BackendName.allCases)
    func interleavedSource(backend: BackendName) throws {
        let (bench, stream, frames) = try readerBench(backend)
        let (peer, ours) = TestSocket.connectedPair()
        bench.keep(ours)
        var channels = ChannelMap()
        channels[0] = 4
        let whole = framed(4, numbered(1))
        let source = bench.added(
            try bench.splitter.addInterleavedSource(
                stream, descriptor: ours.descriptor, channels: channels, prefix: Array(whole[..<50])), stream)
        bench.splitter.flush()
        peer.sendBytes(Array(whole[50...]))
        #expect(sequence(try #require(frames.next()).packet) == 1)
        peer.sendBytes(Array("half".utf8))
        func text() -> [UInt8]? { bench.wait { if case .sourceText(source, let text) = $0 { text } else { nil } } }
        #expect(text() == Array("half".utf8))
        #expect(throws: SplitterError.self, "more than was told") { try bench.splitter.resume(source, consumed: 5) }
        #expect(throws: SplitterError.self) { try bench.splitter.resume(source, consumed: -1) }
        try bench.splitter.resume(source, consumed: 0)
        #expect(throws: SplitterError.self, "answered already") { try bench.splitter.resume(source, consumed: 0) }
        bench.splitter.flush()
        peer.sendBytes(Array("way".utf8) + framed(4, numbered(2)))
        let all = try #require(text())
        #expect(all.starts(with: Array("halfway$".utf8)))
        try bench.splitter.resume(source, consumed: 7)
        bench.splitter.flush()
        #expect(sequence(try #require(frames.next()).packet) == 2)
        shutdown(peer.descriptor, Int32(SHUT_WR))
        #expect(bench.ended(source) == 0)
        try bench.splitter.removeSource(source)
        #expect(bench.removed(source))
        #expect(bench.stop() == 0)
    }

    @Test("A group is heard and sent to over the loopback interface", arguments: BackendName.allCases)
    func multicast(backend: BackendName) throws {
        // Ports of its own for each backend: groups are everybody's.
        let port = UInt16(27_200 + 20 * (BackendName.allCases.firstIndex(of: backend) ?? 0))
        let group = try #require(HostAddress(parsing: "239.255.77.1"))
        let onward = try #require(HostAddress(parsing: "239.255.77.2"))
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream()
        // The first stage: pushed packets to a group. The second: that group to another one.
        let second = try bench.addStream()
        let sender = bench.added(try bench.splitter.addMulticastSender(interface: "lo", timeToLive: 1))
        let source = try bench.addPushed(stream)
        let heard = bench.added(
            try bench.splitter.addMulticastSource(
                second, group: MulticastGroup(address: group, port: port, interface: "lo"), channel: 0), second)
        let listener = try Splitter(options: EngineOptions(backend: backend))
        let far = SplitterBench(splitter: listener)
        let farStream = try far.addStream()
        let farSource = far.added(
            try listener.addMulticastSource(
                farStream, group: MulticastGroup(address: onward, port: port + 2, interface: "lo"), channel: 0), farStream)
        let (client, server) = TestSocket.connectedPair()
        #expect(far.joined(try far.addInterleaved(farStream, server)) != nil)
        far.splitter.flush()

        func reader(_ stream: StreamHandle, _ host: HostAddress, _ port: UInt16) throws -> SubscriberHandle {
            var ports = PortMap()
            ports[0] = port
            return bench.added(
                try bench.splitter.addDatagramReader(stream, host: host, ports: ports, sender: sender, begin: .now), stream)
        }
        #expect(bench.joined(try reader(stream, group, port)) != nil)
        #expect(bench.joined(try reader(second, onward, port + 2)) != nil)
        let frames = FrameReader(client)
        for number in 0..<20 {
            try bench.splitter.push(source, channel: 0, numbered(number))
            bench.splitter.flush()
            let got = try #require(frames.next()).packet
            #expect(sequence(got) == UInt16(number) && got[12...] == numbered(number)[12...])
        }
        #expect(bench.active(heard) && far.active(farSource))
        #expect(far.stop() == 0)
        #expect(bench.stop() == 0)
    }

    @Test("A source-specific group is heard from its source alone", arguments: BackendName.allCases)
    func sourceSpecific(backend: BackendName) throws {
        let port = UInt16(27_300 + 20 * (BackendName.allCases.firstIndex(of: backend) ?? 0))
        let group = try #require(HostAddress(parsing: "232.1.77.1"))
        let (bench, stream, frames) = try readerBench(backend)
        let source = bench.added(
            try bench.splitter.addMulticastSource(
                stream, group: MulticastGroup(address: group, port: port, interface: "lo", source: HostAddress(ipv4: 0x7F00_0002)),
                channel: 0), stream)
        bench.splitter.flush()
        for (host, number) in [(UInt32(0x7F00_0003), 9), (0x7F00_0002, 1)] {
            let descriptor = try MediaSocket.open(host: HostAddress(ipv4: host), port: 0)
            defer { close(descriptor) }
            try MediaSocket.prepareSending(
                descriptor, isIPv6: false, interface: try MediaSocket.index(ofInterface: "lo"), timeToLive: 1, loops: true)
            TestSocket.send(numbered(number), from: descriptor, to: 0xE801_4D01, port: port)
        }
        #expect(sequence(try #require(frames.next()).packet) == 1)
        #expect(bench.active(source))
        #expect(bench.stop() == 0)
    }

    @Test("A new time line goes on in the readers' numbers", arguments: BackendName.allCases)
    func epoch(backend: BackendName) throws {
        let (bench, stream, frames) = try readerBench(backend, tracks: [SplitterBench.audio])
        let source = try bench.addPushed(stream)
        try bench.splitter.push(source, channel: 0, numbered(10))
        try bench.splitter.beginEpoch(stream)
        try bench.splitter.push(source, channel: 0, numbered(5_000))
        bench.splitter.flush()
        #expect(sequence(try #require(frames.next()).packet) == 10)
        #expect(sequence(try #require(frames.next()).packet) == 11)
        #expect(bench.splitter.counters(of: stream)?[.epochs] == 2)
        #expect(bench.stop() == 0)
    }
}

extension TestSocket {
    /// Writes to a connection.
    func sendBytes(_ bytes: [UInt8]) { _ = unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// Sends a datagram to an IPv4 host.
    static func send(_ bytes: [UInt8], from descriptor: Int32, to host: UInt32, port: UInt16) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = host.bigEndian
        address.sin_port = port.bigEndian
        unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
