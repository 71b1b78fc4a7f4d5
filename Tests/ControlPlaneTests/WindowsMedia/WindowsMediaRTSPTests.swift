import Foundation
import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// Windows Media over RTSP: the parts put together, over real sockets.
    @Suite struct WindowsMediaOverRTSP {
        private static let player = [
            "User-Agent: WMPlayer/9.0.0.2980 guid/3300AD50-2C39-46C0-AE0A-C4D98694D7B4",
            "Supported: com.microsoft.wm.srvppair, com.microsoft.wm.sswitch, com.microsoft.wm.eosmsg, com.microsoft.wm.predstrm",
        ]
        private static let interleaved = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=6095d7d7;mode=PLAY"

        private static func harness(_ file: SmallASF.File, _ more: String = "") throws -> ServerHarness {
            try ServerHarness(yaml: "paths:\n  a:\n    source: \(file.name)\n\(more)")
        }

        /// What comes until `count` packets, and as many requests, did; both in their order.
        private static func hear(_ client: TestClient, packets count: Int, requests: Int = 0) throws -> ([[UInt8]], [RTSPRequest]) {
            var packets: [[UInt8]] = []
            var heard: [RTSPRequest] = []
            while packets.count < count || heard.count < requests {
                switch try client.receive() {
                case .interleaved(0, let packet): packets.append(packet)
                case .interleaved(let channel, _): Issue.record("channel \(channel)")
                case .request(let request): heard.append(request)
                case .response: continue
                }
            }
            return (packets, heard)
        }

        private static func sequence(_ packet: [UInt8]) -> UInt16 { UInt16(packet[2]) << 8 | UInt16(packet[3]) }

        private static func rtpInfo(_ response: RTSPResponse) -> (sequence: UInt16, url: String)? {
            guard let text = response.headers["RTP-Info"], let match = text.firstMatch(of: /url="?([^;"]*)"?;seq=([0-9]+)/) else {
                return nil
            }
            return UInt16(match.2).map { ($0, String(match.1)) }
        }

        @Test("A player over TCP is sent the file from its beginning, told of the end, and may begin again, pause and leave")
        func plays() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file)
            defer { try? harness.stop() }
            let client = try harness.client()
            let options = try client.ask("OPTIONS", "/a")
            #expect(options.status == .ok && options.headers["Server"]?.hasPrefix("WMServer/") == true)
            let described = try client.ask("DESCRIBE", "/a", Self.player + ["Accept: application/sdp"])
            let sdp = String(decoding: described.body, as: UTF8.self)
            #expect(described.status == .ok && sdp.contains("a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64,"))
            #expect(sdp.contains("x-asf-pf/1000") && sdp.contains("x-wms-rtx/1000") && described.headers.session == nil)
            let control = try #require(sdp.firstMatch(of: /a=control:(audio|video|stream=1)/)?.1)
            let setUp = try client.ask("SETUP", "/a/\(control)", Self.player + [Self.interleaved])
            let session = try #require(setUp.headers.session?.id)
            #expect(UInt64(session) != nil && setUp.headers["Transport"]?.contains("interleaved=0-1") == true)
            let ssrc = try #require(setUp.headers["Transport"]?.firstMatch(of: /ssrc=([0-9A-Fa-f]{8})/)?.1)
            let played = try client.ask("PLAY", "/a", Self.player + ["Session: \(session)", "Range: npt=0.000-"])
            #expect(played.status == .ok, "\(played)")
            let info = try #require(Self.rtpInfo(played))
            let (packets, requests) = try Self.hear(client, packets: 2, requests: 1)
            #expect(packets.map(Self.sequence) == [info.sequence, info.sequence &+ 1])
            #expect(packets.allSatisfy { $0[0] == 0x80 && $0[1] == 0xE0 })
            #expect(packets[0][8..<12].map { String($0, radix: 16).leftPadded }.joined() == ssrc.lowercased())
            // A whole packet: L, its length with the header's own four bytes.
            #expect(packets[0][12] & 0x40 == 0x40 && Int(packets[0][14]) << 8 + Int(packets[0][15]) == packets[0].count - 12)
            let end = try #require(requests.first)
            #expect(end.method == .setParameter && end.headers["X-Notice"]?.hasPrefix("2101") == true)
            #expect(Self.rtpInfoSequence(end) == info.sequence &+ 2)
            // As FFmpeg answers.
            client.send("RTSP/1.0 501 Not Implemented\r\n\r\n")
            let again = try client.ask("PLAY", "/a", Self.player + ["Session: \(session)", "Range: npt=0.000-"])
            #expect(again.status == .ok && Self.rtpInfo(again)?.sequence == info.sequence &+ 2)
            #expect(try Self.hear(client, packets: 2, requests: 1).0.map(Self.sequence) == [info.sequence &+ 2, info.sequence &+ 3])
            #expect(try client.ask("GET_PARAMETER", "/a", ["Session: \(session)"]).status == .ok)
            #expect(try client.ask("TEARDOWN", "/a", ["Session: \(session)"]).status == .ok)
            #expect(client.isClosed())
            #expect(try harness.client().ask("PLAY", "/a", ["Session: \(session)"]).status == .sessionNotFound)
            try harness.eventually("nobody is left") { $0.server.readersNow == 0 && $0.server.paths.all.allSatisfy { $0.readers == 0 } }
        }

        private static func rtpInfoSequence(_ request: RTSPRequest) -> UInt16? {
            request.headers["RTP-Info"]?.firstMatch(of: /seq=(\d+)/).flatMap { UInt16($0.1) }
        }

        @Test("A player over UDP is a reader of a stream of its own; what it asks for once more is sent so, if it is its own")
        func datagrams() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file)
            defer { try? harness.stop() }
            let client = try harness.client()
            let reports = try DatagramClient()
            let rtx = try client.ask(
                "SETUP", "/a/rtx",
                Self.player + ["Transport: RTP/AVP/UDP;unicast;client_port=\(reports.port)-\(reports.port &+ 1);ssrc=16a4ffff;mode=PLAY"])
            let session = try #require(rtx.headers.session?.id)
            let ssrc = try #require(
                rtx.headers["Transport"]?.firstMatch(of: /ssrc=([0-9A-Fa-f]{8})/).flatMap { UInt32($0.1, radix: 16) })
            let serverPort = try #require(
                rtx.headers["Transport"]?.firstMatch(of: /server_port=(\d+)-(\d+)/).flatMap { UInt16($0.2) })
            let described = try client.ask("DESCRIBE", "/a", Self.player)
            let control = try #require(
                String(decoding: described.body, as: UTF8.self).firstMatch(of: /a=control:(audio|video|stream=1)/)?.1)
            let media = try client.ask(
                "SETUP", "/a/\(control)",
                Self.player + ["Session: \(session)", "Transport: RTP/AVP/UDP;unicast;client_port=4000;ssrc=16a40000;mode=PLAY"])
            #expect(media.status == .ok, "\(media)")
            let mediaSSRC = try #require(
                media.headers["Transport"]?.firstMatch(of: /ssrc=([0-9A-Fa-f]{8})/).flatMap { UInt32($0.1, radix: 16) })
            let played = try client.ask("PLAY", "/a", Self.player + ["Session: \(session)", "Range: npt=0.000-"])
            let first = try #require(Self.rtpInfo(played)?.sequence)
            try harness.eventually("the packets are fed") { $0.engine.log.contains { $0.hasPrefix("feed") } }
            let log = try harness.run { $0.engine.log }
            #expect(log.contains { $0.hasPrefix("addVerbatimStream") } && log.contains { $0.hasSuffix(" 4000-0 0-0") }, "\(log)")
            func ask(_ sequence: UInt16, by name: UInt32) {
                let request = RetransmissionRequest(
                    retransmissionSSRC: name, senderSSRC: 1, mediaSSRC: mediaSSRC, entries: [.init(packetID: sequence, following: 1)])
                reports.send(request.serialized(), to: serverPort)
            }
            ask(first, by: ssrc &+ 1)
            ask(first, by: ssrc)
            try harness.eventually("it is sent once more") { harness in harness.engine.log.contains { $0.hasPrefix("resend") } }
            #expect(
                try harness.run { $0.engine.log.filter { $0.hasPrefix("resend") } }.map {
                    $0.split(separator: " ").dropFirst(2).joined(separator: " ")
                }
                    == ["0 1 to \(reports.port)"])
            let counters = try harness.run { $0.server.windowsMediaRTSP.resends }
            #expect(counters.asked == 2 && counters.strange == 1)
            // A storm is answered as far as the allowance goes.
            for _ in 0..<400 { ask(first, by: ssrc) }
            try harness.eventually("the rest is refused") { $0.server.windowsMediaRTSP.resends.refused > 0 }
            #expect(try client.ask("TEARDOWN", "/a", ["Session: \(session)"]).status == .ok)
            try harness.eventually("the stream ends") { harness in
                harness.engine.log.contains { $0.hasPrefix("removeStream") } && harness.server.readersNow == 0
            }
        }

        @Test("Players of a broadcast are readers in the engine of one stream for each class, over TCP and UDP")
        func broadcasts() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file, "    broadcast: true\n    linger: 100ms\n    source-wait: 2s\n")
            defer { try? harness.stop() }
            try harness.joinsAt(video: (0, 0), audio: nil)
            do {
                let client = try harness.client()
                let described = try client.ask("DESCRIBE", "/a", Self.player)
                let control = try #require(
                    String(decoding: described.body, as: UTF8.self).firstMatch(of: /a=control:(audio|video|stream=1)/)?.1)
                let session = try #require(
                    try client.ask("SETUP", "/a/\(control)", Self.player + [Self.interleaved]).headers.session?.id)
                let played = try client.ask("PLAY", "/a", Self.player + ["Session: \(session)", "Range: npt=0.000-"])
                #expect(played.status == .ok && Self.rtpInfo(played) != nil, "\(played)")
                let other = try harness.client()
                let udp = try other.ask(
                    "SETUP", "/a/\(control)", Self.player + ["Transport: RTP/AVP/UDP;unicast;client_port=4000-4001;mode=PLAY"])
                let second = try #require(udp.headers.session?.id)
                #expect(try other.ask("PLAY", "/a", Self.player + ["Session: \(second)"]).status == .ok)
                try harness.eventually("both go") { harness in harness.engine.log.count { $0.hasPrefix("go") } == 2 }
                let log = try harness.run { $0.engine.log }
                #expect(log.count { $0.hasPrefix("addVerbatimStream") } == 2, "\(log)")
                #expect(
                    log.contains { $0.hasPrefix("addInterleaved 0 0-none") }
                        && log.contains { $0.hasPrefix("addDatagram 1 127.0.0.1 4000-0") })
                #expect(try harness.run { $0.server.readersNow } == 2)
                #expect(try client.ask("TEARDOWN", "/a", ["Session: \(session)"]).status == .ok)
                #expect(client.isClosed())
            }
            try harness.eventually("everything ends") { harness in
                harness.server.statistics.connections == 0 && harness.engine.log.contains { $0.hasPrefix("remove ") }
            }
        }

        @Test("Players of a broadcast that ask for lost packets first share its stream, too, and no two sessions play on one connection")
        func shares() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file, "    broadcast: true\n    linger: 100ms\n    source-wait: 2s\n")
            defer { try? harness.stop() }
            try harness.joinsAt(video: (0, 0), audio: nil)
            var clients: [TestClient] = []
            var ssrcs: Set<String> = []
            for number in 0..<2 {
                let client = try harness.client()
                clients.append(client)
                let described = try client.ask("DESCRIBE", "/a", Self.player)
                let control = try #require(
                    String(decoding: described.body, as: UTF8.self).firstMatch(of: /a=control:(audio|video|stream=1)/)?.1)
                let port = 4_000 + 10 * number
                let rtx = try client.ask(
                    "SETUP", "/a/rtx", Self.player + ["Transport: RTP/AVP/UDP;unicast;client_port=\(port + 2)-\(port + 3);mode=PLAY"])
                let session = try #require(rtx.headers.session?.id)
                let media = try client.ask(
                    "SETUP", "/a/\(control)",
                    Self.player + ["Session: \(session)", "Transport: RTP/AVP/UDP;unicast;client_port=\(port);mode=PLAY"])
                ssrcs.insert(String(try #require(media.headers["Transport"]?.firstMatch(of: /ssrc=([0-9A-Fa-f]{8})/)?.1)))
                #expect(try client.ask("PLAY", "/a", Self.player + ["Session: \(session)"]).status == .ok)
            }
            #expect(ssrcs.count == 1)
            #expect(try harness.run { $0.engine.log.count { $0.hasPrefix("addVerbatimStream") } } == 1)
            let client = try harness.client()
            let described = try client.ask("DESCRIBE", "/a", Self.player)
            let control = try #require(
                String(decoding: described.body, as: UTF8.self).firstMatch(of: /a=control:(audio|video|stream=1)/)?.1)
            var sessions: [String] = []
            for _ in 0..<2 {
                let setUp = try client.ask("SETUP", "/a/\(control)", Self.player + [Self.interleaved])
                sessions.append(try #require(setUp.headers.session?.id, "\(setUp)"))
            }
            #expect(try client.ask("PLAY", "/a", Self.player + ["Session: \(sessions[0])"]).status == .ok)
            #expect(try client.ask("PLAY", "/a", Self.player + ["Session: \(sessions[1])"]).status == .methodNotValidInThisState)
        }

        @Test("Plain RTSP on the same port is what it was")
        func plain() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file)
            defer { try? harness.stop() }
            let client = try harness.client()
            #expect(try client.ask("OPTIONS", "/live").headers["Server"]?.hasPrefix("WMServer/") == false)
            #expect(try client.ask("OPTIONS", "*").headers["Server"]?.hasPrefix("WMServer/") == false)
            #expect(try client.ask("DESCRIBE", "/live").status == .ok)
            #expect(
                try client.ask("ANNOUNCE", "/a", ["Content-Type: application/sdp"], body: ServerHarness.oneTrack).status
                    == .methodNotAllowed)
            #expect(try client.ask("SETUP", "/a/none", [Self.interleaved]).status.code >= 400)
        }
    }
}

extension String {
    fileprivate var leftPadded: String { count < 2 ? "0" + self : self }
}

/// Where a player's datagrams come from.
private final class DatagramClient {
    private let descriptor: CInt
    let port: UInt16

    init() throws {
        let descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, size) == 0 && getsockname(descriptor, pointer, &size) == 0
            }
        }
        guard isBound else { throw TestClient.Trouble(description: "bind: \(errno)") }
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8], to port: UInt16) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                _ = unsafe sendto(descriptor, bytes, bytes.count, 0, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
