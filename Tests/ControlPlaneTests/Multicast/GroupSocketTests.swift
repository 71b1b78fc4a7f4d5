import Glibc
import NIOCore
import PlaneLink
import Testing

@testable import ControlPlane

/// Groups on the loopback interface, with real sockets. Each test has ports of its own.
@Suite struct GroupSocketTests {
    private static var buffers: SocketBuffers { SocketBuffers(logger: nil) }

    private static func host(_ text: String) throws -> HostAddress { try #require(HostAddress(numeric: text)) }

    private static func track(
        _ group: String, _ port: UInt16, _ senders: GroupSocket.Senders = .all
    ) throws -> ReceptionPlan.Track {
        .init(address: try host(group), rtpPort: port, rtcpPort: port + 1, senders: senders)
    }

    /// Sends a text from an address of the loopback interface.
    private static func send(_ text: String, from source: String, to group: String, _ port: UInt16) throws {
        let local = try host(source)
        let descriptor = try BoundSocket.open(.datagram, at: try #require(local.socketAddress(port: 0)))
        defer { close(descriptor) }
        try GroupSocket.prepareSending(
            descriptor, isIPv6: local.ipv4 == nil, interface: try NetworkInterface.named("lo"), ttl: 1, loops: true)
        let target = try #require(try host(group).socketAddress(port: port))
        let bytes = Array(text.utf8)
        let sent = unsafe target.withSockAddr { pointer, size in
            unsafe sendto(descriptor, bytes, bytes.count, 0, pointer, socklen_t(size))
        }
        #expect(sent == bytes.count)
    }

    /// What waits at a socket. Loopback delivers within the call that sends.
    static func texts(_ descriptor: CInt) -> [String] {
        var texts: [String] = []
        var buffer = [UInt8](repeating: 0, count: 2_048)
        while true {
            let count = unsafe recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
            guard count >= 0 else { return texts }
            texts.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }

    @Test func everySenderOrOnlyTheWantedOnesAreHeard() throws {
        let group = TestHosts.group, port: UInt16 = 46_100
        let lo = try NetworkInterface.named("lo")
        let all = try Self.track(group, port).open(interface: lo, buffers: Self.buffers)
        let one = try Self.track(group, port, .only([Self.host("127.0.0.2")])).open(interface: lo, buffers: Self.buffers)
        let two = try Self.track(group, port, .only([Self.host("127.0.0.2"), Self.host("127.0.0.3")])).open(
            interface: lo, buffers: Self.buffers)
        let but = try Self.track(group, port, .allBut([Self.host("127.0.0.2")])).open(interface: lo, buffers: Self.buffers)
        defer { for pair in [all, one, two, but] { pair.close() } }
        for source in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
            try Self.send(source, from: source, to: group, port)
            try Self.send("rtcp " + source, from: source, to: group, port + 1)
        }
        #expect(Self.texts(all.rtp) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
        #expect(Self.texts(one.rtp) == ["127.0.0.2"])
        #expect(Self.texts(two.rtp) == ["127.0.0.2", "127.0.0.3"])
        #expect(Self.texts(but.rtp) == ["127.0.0.1", "127.0.0.3"])
        #expect(Self.texts(one.rtcp) == ["rtcp 127.0.0.2"])
    }

    /// Neither another group on the same port, nor what is sent to the port itself.
    @Test func otherGroupsOnThePortStayOut() throws {
        let port: UInt16 = 46_110
        let lo = try NetworkInterface.named("lo")
        let first = try Self.track(TestHosts.group, port).open(interface: lo, buffers: Self.buffers)
        let second = try Self.track(TestHosts.otherGroup, port).open(interface: lo, buffers: Self.buffers)
        defer { for pair in [first, second] { pair.close() } }
        try Self.send("one", from: "127.0.0.1", to: TestHosts.group, port)
        try Self.send("two", from: "127.0.0.1", to: TestHosts.otherGroup, port)
        try Self.send("unicast", from: "127.0.0.1", to: "127.0.0.1", port)
        #expect(Self.texts(first.rtp) == ["one"])
        #expect(Self.texts(second.rtp) == ["two"])
    }

    /// A membership of somebody else on this machine must not open a door in our filter.
    @Test func theFilterHoldsWhateverOthersJoined() throws {
        let group = TestHosts.group, port: UInt16 = 46_120
        let lo = try NetworkInterface.named("lo")
        let other = try Self.track(group, port).open(interface: lo, buffers: Self.buffers)
        let mine = try Self.track(group, port, .only([Self.host("127.0.0.9")])).open(interface: lo, buffers: Self.buffers)
        defer { for pair in [other, mine] { pair.close() } }
        try Self.send("x", from: "127.0.0.1", to: group, port)
        #expect(Self.texts(other.rtp) == ["x"] && Self.texts(mine.rtp) == [])
    }

    @Test func anAddressOfOursAndOneThatIsNot() throws {
        let own = try Self.track(TestHosts.loopback, 46_130).open(interface: nil, buffers: Self.buffers)
        defer { own.close() }
        try Self.send("own", from: "127.0.0.1", to: TestHosts.loopback, 46_130)
        try Self.send("other", from: "127.0.0.1", to: "127.0.0.6", 46_130)
        #expect(Self.texts(own.rtp) == ["own"])
        // A port for one alone stays with him.
        #expect(throws: ListenError.self) { try Self.track(TestHosts.loopback, 46_130).open(interface: nil, buffers: Self.buffers) }

        // What a sender behind an address translator writes: every address of ours will do.
        let free = try MediaPorts(range: nil).open(at: SocketAddress(ipAddress: "0.0.0.0", port: 0))
        let port = free.rtpPort
        free.close()
        let foreign = try Self.track("192.0.2.254", port).open(interface: nil, buffers: Self.buffers)
        defer { foreign.close() }
        try Self.send("any", from: "127.0.0.1", to: TestHosts.loopback, port)
        #expect(Self.texts(foreign.rtp) == ["any"])
    }

    @Test func receiveBuffersAreLarge() throws {
        let pair = try Self.track("239.255.77.4", 46_140).open(interface: NetworkInterface.named("lo"), buffers: Self.buffers)
        let plain = try MediaPorts(range: nil).open(at: SocketAddress(ipAddress: "127.0.0.1", port: 0))
        defer { for pair in [pair, plain] { pair.close() } }
        #expect(pair.receiveBufferBytes == plain.receiveBufferBytes)
    }

    @Test func saysWhyAGroupCannotBeJoined() throws {
        let lo = try NetworkInterface.named("lo")
        let group = try Self.host("239.255.77.5")
        let descriptor = try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: "0.0.0.0", port: 0))
        defer { close(descriptor) }
        #expect(throws: MulticastTrouble("the source fd00::1 is not of the same family (IPv4 or IPv6) as the group 239.255.77.5")) {
            try GroupSocket.join(descriptor, group: group, interface: lo, senders: .only([Self.host("fd00::1")]))
        }
        do throws(MulticastTrouble) {
            try GroupSocket.join(descriptor, group: HostAddress(ipv4: 0x7F00_0001), interface: lo, senders: .all)
            Issue.record("was joined")
        } catch { #expect(error.description.hasPrefix("cannot join 127.0.0.1: ")) }
        do throws(MulticastTrouble) {
            let gone = NetworkInterface(name: "gone0", index: 9_999)
            try GroupSocket.join(descriptor, group: group, interface: gone, senders: .all)
            Issue.record("was joined")
        } catch { #expect(error.description.hasPrefix("cannot join 239.255.77.5: no route leads to it")) }
    }
}
