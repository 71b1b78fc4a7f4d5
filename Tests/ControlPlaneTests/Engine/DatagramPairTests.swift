import Glibc
import NIOCore
import Testing

@testable import ControlPlane

@Suite struct DatagramPairTests {
    private static let udpLevel: CInt = 17
    private static let segment: CInt = 103

    @Test(
        "A datagram of the control plane's leaves whole from a socket on which the engine has trains cut", arguments: ["127.0.0.1", "::1"])
    func isNotCut(host: String) throws {
        let home = try SocketAddress(ipAddress: host, port: 0)
        let ports = MediaPorts(range: nil)
        let pair = try ports.open(at: home)
        let receiver = try ports.open(at: home)
        defer {
            pair.close()
            receiver.close()
        }
        receiver.takeTrains(false)
        let there = try SocketAddress(ipAddress: host, port: Int(receiver.rtpPort))
        let bytes = (0..<1_300).map { UInt8(truncatingIfNeeded: $0 * 7) }
        BoundSocket.set(pair.rtp, Self.udpLevel, Self.segment, 500)
        pair.send(bytes, from: pair.rtp, to: there)
        #expect(receive(receiver.rtp) == bytes)
        // Sent as others send, it is cut: this host's kernel knows how.
        let sent = unsafe there.withSockAddr { unsafe sendto(pair.rtp, bytes, bytes.count, 0, $0, socklen_t($1)) }
        guard sent == bytes.count else { return }
        #expect(receive(receiver.rtp) == Array(bytes[..<500]))
        #expect(receive(receiver.rtp) == Array(bytes[500..<1_000]))
    }

    private func receive(_ descriptor: CInt) -> [UInt8]? {
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&poller, 1, 2_000) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 2_048)
        let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : Array(bytes[..<count])
    }
}
