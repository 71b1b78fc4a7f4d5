import Glibc
import NIOCore
import Testing

@testable import ControlPlane

/// What the per-worker sockets stand on: how this kernel treats several sockets at one port.
@Suite struct SharedPortsTests {
    private static let addresses = ["0.0.0.0", "::", "127.0.0.1"]

    private func open(_ host: String, _ count: Int) throws -> [DatagramPair] {
        try MediaPorts(range: nil).open(at: SocketAddress(ipAddress: host, port: 0), sharedBy: count)
    }

    /// Datagrams that wait at a socket.
    private func drain(_ descriptor: CInt) -> Int {
        var count = 0
        var buffer = [UInt8](repeating: 0, count: 64)
        while unsafe recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT)) >= 0 { count += 1 }
        return count
    }

    @Test(arguments: addresses) func everyWorkerHasAPairAtTheSamePorts(host: String) throws {
        let pairs = try open(host, 4)
        defer { for pair in pairs { pair.close() } }
        #expect(pairs.count == 4)
        #expect(Set(pairs.flatMap { [$0.rtp, $0.rtcp] }).count == 8)
        for pair in pairs {
            #expect(BoundSocket.port(of: pair.rtp) == pairs[0].rtpPort)
            #expect(BoundSocket.port(of: pair.rtcp) == pairs[0].rtcpPort)
        }
    }

    @Test(arguments: addresses, [1, 4]) func nobodyElseCanJoin(host: String, workers: Int) throws {
        let pairs = try open(host, workers)
        defer { for pair in pairs { pair.close() } }
        for port in [pairs[0].rtpPort, pairs[0].rtcpPort] {
            for isShared in [false, true] {
                let error = #expect(throws: ListenError.self) {
                    try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: host, port: Int(port)), isShared: isShared)
                }
                #expect(error?.errorNumber == EADDRINUSE)
            }
        }
    }

    @Test func aPortThatSomebodySharesIsNotTaken() throws {
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        let other = try BoundSocket.open(.datagram, at: address, isShared: true)
        defer { close(other) }
        let port = BoundSocket.port(of: other)
        let even = port - port % 2
        let error = #expect(throws: ListenError.self) { try MediaPorts(range: even...(even + 1)).open(at: address, sharedBy: 2) }
        #expect(error?.description.contains("\(even)-\(even + 1)") == true)
    }

    @Test(arguments: addresses) func whatComesInArrivesAtOneOfThem(host: String) throws {
        let pairs = try open(host, 4)
        defer { for pair in pairs { pair.close() } }
        let target = try SocketAddress(ipAddress: "127.0.0.1", port: Int(pairs[0].rtcpPort))
        let senders = try (0..<100).map { _ in try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: "127.0.0.1", port: 0)) }
        defer { for sender in senders { close(sender) } }
        for sender in senders {
            let sent = unsafe target.withSockAddr { pointer, size in unsafe sendto(sender, "x", 1, 0, pointer, socklen_t(size)) }
            #expect(sent == 1)
        }
        #expect(pairs.map { drain($0.rtcp) }.reduce(0, +) == 100)
    }

    @Test(arguments: addresses) func whatIsSentFromAnyOfThemLooksTheSame(host: String) throws {
        let pairs = try open(host, 3)
        defer { for pair in pairs { pair.close() } }
        let reader = try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: "127.0.0.1", port: 0))
        defer { close(reader) }
        let mapped = host == "::" ? "::ffff:127.0.0.1" : "127.0.0.1"
        let address = try SocketAddress(ipAddress: mapped, port: Int(BoundSocket.port(of: reader)))
        for pair in pairs { pair.send([1], from: pair.rtp, to: address) }
        for _ in pairs {
            var from = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            var byte: UInt8 = 0
            let count = unsafe withUnsafeMutablePointer(to: &from) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe recvfrom(reader, &byte, 1, CInt(MSG_DONTWAIT), $0, &size)
                }
            }
            #expect(count == 1)
            #expect(UInt16(bigEndian: from.sin_port) == pairs[0].rtpPort)
        }
    }
}
