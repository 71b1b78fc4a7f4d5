import Glibc
import NIOCore
import Testing

@testable import ControlPlane

@Suite struct SocketBuffersTests {
    private func socket() throws -> CInt { try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: "127.0.0.1", port: 0)) }

    @Test func grantsWhatIsWantedWithoutAWord() throws {
        let log = HeardLog()
        let buffers = SocketBuffers(logger: log.logger(), receiveBytesWanted: 64 << 10, sendBytesWanted: 64 << 10, mayForce: false)
        let descriptor = try socket()
        defer { close(descriptor) }
        #expect(buffers.widenReceive(descriptor) == 64 << 10)
        #expect(buffers.widenSend(descriptor) == 64 << 10)
        #expect(log.lines().isEmpty)
        #expect(!buffers.isReceiveCapped && !buffers.isSendCapped)
    }

    /// No system grants 512 MiB to everybody.
    @Test func saysOnceForEachDirectionWhatTheSystemCaps() throws {
        let log = HeardLog()
        let wanted: CInt = 512 << 20
        let buffers = SocketBuffers(logger: log.logger(), receiveBytesWanted: wanted, sendBytesWanted: wanted, mayForce: false)
        for _ in 0..<3 {
            let descriptor = try socket()
            defer { close(descriptor) }
            #expect(buffers.widenReceive(descriptor) < Int(wanted))
            #expect(buffers.widenSend(descriptor) < Int(wanted))
        }
        let lines = log.lines()
        #expect(lines.count == 2)
        #expect(lines[0].contains("remedy=sysctl -w net.core.rmem_max=536870912, or give Weir CAP_NET_ADMIN"))
        #expect(lines[1].contains("remedy=sysctl -w net.core.wmem_max=536870912, or give Weir CAP_NET_ADMIN"))
        #expect(buffers.receiveRemedy.contains("rmem_max"))
    }

    @Test func countsWhatTheKernelDrops() throws {
        let pair = try MediaPorts(range: nil, buffers: SocketBuffers(logger: nil, receiveBytesWanted: 2_048, mayForce: false))
            .open(at: SocketAddress(ipAddress: "127.0.0.1", port: 0))
        defer { pair.close() }
        #expect(pair.takeDrops() == 0)
        let sender = try socket()
        defer { close(sender) }
        let sent = 200
        for port in [pair.rtpPort, pair.rtcpPort] {
            let target = try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))
            for _ in 0..<sent {
                let bytes = [UInt8](repeating: 7, count: 1_000)
                _ = unsafe target.withSockAddr { pointer, size in unsafe sendto(sender, bytes, 1_000, 0, pointer, socklen_t(size)) }
            }
        }
        var arrived = 0
        var buffer = [UInt8](repeating: 0, count: 64)
        for descriptor in [pair.rtp, pair.rtcp] {
            while unsafe recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT)) >= 0 { arrived += 1 }
        }
        #expect(arrived > 0)
        #expect(pair.takeDrops() == UInt64(2 * sent - arrived))
        #expect(pair.takeDrops() == 0)
    }

    @Test func saysWhatWasDroppedAtMostOnceAMinute() {
        var drops = ReceiveDrops()
        let start = NIODeadline.now()
        #expect(drops.add(0, now: start) == nil)
        #expect(drops.add(5, now: start) == 5)
        #expect(drops.add(3, now: start + .seconds(59)) == nil)
        #expect(drops.add(2, now: start + .seconds(60)) == 5)
        #expect(drops.add(0, now: start + .seconds(200)) == nil)
        #expect(drops.total == 10)
    }
}
