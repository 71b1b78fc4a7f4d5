import NIOCore
import PlaneLink
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct RTPSourceTests {
    @Test(
        arguments: [
            ("cam.sdp", "cam.sdp"), ("/etc/cams/a.SDP", "/etc/cams/a.SDP"),
            ("cam.sdp?source=10.0.0.1&interface=eth1", "cam.sdp?source=10.0.0.1&interface=eth1"),
            ("rtp://239.1.2.3:5004?sdp=/a/b.sdp", "rtp://239.1.2.3:5004?sdp=/a/b.sdp"),
            (
                "RTP://[ff15::1]:5004?interface=eth1&sdp=b.txt&source=fd00::1",
                "rtp://[ff15::1]:5004?sdp=b.txt&source=fd00::1&interface=eth1"
            ),
            ("rtp://0.0.0.0:5004?sdp=b.sdp", "rtp://0.0.0.0:5004?sdp=b.sdp"),
        ] as [(String, String)])
    func reads(text: String, words: String) throws {
        guard case .rtp(let source) = try PathSettings.Source(text) else {
            Issue.record("another kind of source")
            return
        }
        #expect(source.description == words)
        #expect(try RTPSource(words) == source)
    }

    @Test(
        arguments: [
            ("rtp://239.1.2.3:5004", "needs its description: write rtp://GROUP:PORT?sdp=FILE.sdp"),
            ("rtp://239.1.2.3?sdp=a.sdp", "has no port"), ("rtp://ff15::1:5004?sdp=a.sdp", "needs brackets"),
            ("rtp://cam:5004?sdp=a.sdp", "`cam` is no numeric address"), ("rtp://239.1.2.3:5005?sdp=a.sdp", "the port 5005 is odd"),
            ("rtp://239.1.2.3:0?sdp=a.sdp", "`0` is no whole number"), ("rtp://239.1.2.3:5004?sdpp=a.sdp", "did you mean `sdp`?"),
            ("rtp://239.1.2.3:5004?sdp=", "`sdp=` has no value"), ("rtp://239.1.2.3:5004?sdp=a&sdp=b", "stands there twice"),
            ("a.sdp?sdp=b.sdp", "`sdp=` is for rtp:// sources"), ("a.sdp?source=239.1.2.3", "is no address that packets can come from"),
            ("a.sdp?interface=a/b", "is neither the name of an interface"), ("udp://239.1.2.3:5004", "is not built"),
        ] as [(String, String)])
    func saysWhatIsWrong(text: String, words: String) {
        do throws(ValueProblem) {
            _ = try PathSettings.Source(text)
            Issue.record("was taken")
        } catch { #expect(error.description.contains(words), "\(error)") }
    }

    // MARK: What to receive where

    private static func plan(_ lines: [String], _ source: String = "x.sdp") throws -> ReceptionPlan {
        let sdp = try SessionDescription((["v=0", "o=- 1 1 IN IP4 10.0.0.1", "s=x", "t=0 0"] + lines).joined(separator: "\r\n"))
        return try ReceptionPlan(sdp, try RTPSource(source))
    }

    private static func host(_ text: String) -> HostAddress { HostAddress(numeric: text) ?? .any }

    @Test func theDescriptionNamesGroupsAndPorts() throws {
        let plan = try Self.plan([
            "c=IN IP4 239.1.2.3/16", "m=video 5004 RTP/AVP 96", "m=audio 5010 RTP/AVP 0", "c=IN IP6 ff15::7", "a=rtcp:6001",
            "m=audio 7000 RTP/AVP 0", "c=IN IP4 10.0.0.9", "m=application 7002 RTP/AVP 99", "c=IN IP4 cam.example",
        ])
        #expect(
            plan.tracks == [
                .init(address: Self.host("239.1.2.3"), rtpPort: 5_004, rtcpPort: 5_005, senders: .all),
                .init(address: Self.host("ff15::7"), rtpPort: 5_010, rtcpPort: 6_001, senders: .all),
                .init(address: Self.host("10.0.0.9"), rtpPort: 7_000, rtcpPort: 7_001, senders: .all),
                .init(address: Self.host("0.0.0.0"), rtpPort: 7_002, rtcpPort: 7_003, senders: .all),
            ])
        #expect(plan.tracks.allSatisfy { $0.peer == .any })
    }

    @Test func theURLGoesBeforeTheDescription() throws {
        let plan = try Self.plan(
            ["c=IN IP4 0.0.0.0", "m=video 0 RTP/AVP 96", "m=audio 0 RTP/AVP 0"], "rtp://239.1.2.3:5004?sdp=x.sdp&source=10.0.0.1")
        #expect(plan.tracks.map(\.rtpPort) == [5_004, 5_006] && plan.tracks.map(\.rtcpPort) == [5_005, 5_007])
        #expect(plan.tracks.allSatisfy { $0.address == Self.host("239.1.2.3") && $0.senders == .only([Self.host("10.0.0.1")]) })
        #expect(plan.tracks[0].peer == Self.host("10.0.0.1"))
        #expect(plan.tracks[0].words == "239.1.2.3:5004 from 10.0.0.1")
    }

    @Test func filtersSayWhoIsHeard() throws {
        let tracks = try Self.plan([
            "c=IN IP4 232.1.2.3/16", "a=source-filter: incl IN IP4 232.1.2.3 10.0.0.1 10.0.0.2", "m=video 5004 RTP/AVP 96",
            "m=audio 5006 RTP/AVP 0", "a=source-filter: incl IN IP4 * 10.0.0.3", "m=audio 5008 RTP/AVP 0", "c=IN IP4 239.7.7.7",
            "a=source-filter: excl IN IP4 239.7.7.7 10.0.0.4",
        ]).tracks
        #expect(tracks[0].senders == .only([Self.host("10.0.0.1"), Self.host("10.0.0.2")]) && tracks[0].peer == .any)
        #expect(tracks[1].senders == .only([Self.host("10.0.0.3")]) && tracks[1].peer == Self.host("10.0.0.3"))
        #expect(tracks[2].senders == .allBut([Self.host("10.0.0.4")]) && tracks[2].peer == .any)
    }

    @Test func onePortForRTPAndRTCP() throws {
        func ports(_ lines: [String], _ source: String = "x.sdp") throws -> [UInt16] {
            try Self.plan(lines, source).tracks.flatMap { [$0.rtpPort, $0.rtcpPort] }
        }
        let lines = ["c=IN IP4 239.1.2.3", "m=video 5005 RTP/AVP 96", "a=rtcp-mux", "m=audio 5006 RTP/AVP 0"]
        #expect(try ports(lines) == [5_005, 5_005, 5_006, 5_007])
        #expect(try ports(lines, "rtp://239.1.2.3:6000?sdp=x.sdp") == [6_000, 6_000, 6_002, 6_003])
        #expect(try ports(["c=IN IP4 239.1.2.3", "m=video 65535 RTP/AVP 96", "a=rtcp-mux"]) == [65_535, 65_535])
    }

    @Test(
        arguments: [
            ([], "x.sdp", "x.sdp names no media"),
            (["m=video 5004 RTP/AVP 96"], "x.sdp", "x.sdp: the media number 1 (video) has no `c=` line"),
            (["c=IN IP4 0.0.0.0", "m=video 0 RTP/AVP 96"], "x.sdp", "has the port 0, as descriptions of RTSP servers do"),
            (["c=IN IP4 239.1.2.3", "m=video 5004 RTP/AVP 96", "a=rtcp:5004"], "x.sdp", "has no port for RTCP beside 5004"),
            (
                ["c=IN IP4 10.0.0.9", "a=source-filter: incl IN IP4 * 10.0.0.1 10.0.0.2", "m=video 5004 RTP/AVP 96"], "x.sdp",
                "10.0.0.9 is no group, and there its source-filter can name one sender"
            ),
            (
                ["c=IN IP4 10.0.0.9", "a=source-filter: excl IN IP4 * 10.0.0.1", "m=video 5004 RTP/AVP 96"], "x.sdp",
                "10.0.0.9 is no group, and there its source-filter can name one sender"
            ),
            (["c=IN IP4 239.1.2.3", "m=video 65535 RTP/AVP 96"], "x.sdp", "has no port for RTCP beside 65535"),
            (
                ["c=IN IP4 239.1.2.3", "m=video 5004 RTP/AVP 96", "m=audio 5005 RTP/AVP 0"], "x.sdp",
                "the media number 2 uses a port of another one"
            ),
            (["c=IN IP4 232.1.2.3", "m=video 5004 RTP/AVP 96"], "x.sdp", "232.1.2.3 is a source-specific group (RFC 4607)"),
            (
                ["c=IN IP4 239.1.2.3", "m=video 5004 RTP/AVP 96"], "x.sdp?source=fd00::1",
                "source=fd00::1 is not of the same family (IPv4 or IPv6) as 239.1.2.3"
            ),
            (
                ["c=IN IP4 239.1.2.3", "a=source-filter: incl IN IP4 * cam", "m=video 5004 RTP/AVP 96"], "x.sdp",
                "names `cam`, which is no numeric address"
            ),
            (
                [
                    "c=IN IP4 239.1.2.3", "a=source-filter: incl IN IP4 *" + String(repeating: " 10.0.0.1", count: 11),
                    "m=video 5004 RTP/AVP 96",
                ],
                "x.sdp", "names more than 10 senders"
            ),
        ] as [([String], String, String)])
    func refusesWhatCannotBeReceived(lines: [String], source: String, words: String) throws {
        do {
            _ = try Self.plan(lines, source)
            Issue.record("was taken")
        } catch { #expect("\(error)".contains(words), "\(error)") }
    }

    // MARK: What an RTSP server names

    @Test(
        arguments: [
            ("239.1.2.3", "10.0.0.9", "10.0.0.1", "only 10.0.0.9"), ("239.1.2.3", nil, "10.0.0.1", "all"),
            ("232.1.2.3", nil, "10.0.0.1", "only 10.0.0.1"), ("232.1.2.3", nil, "127.0.0.1", nil),
            // A server behind an address translator, one on this machine, and nonsense.
            ("239.1.2.3", "10.0.0.9", "198.51.100.1", "all"), ("239.1.2.3", "198.51.100.9", "198.51.100.1", "only 198.51.100.9"),
            ("239.1.2.3", "127.0.0.1", "127.0.0.1", "all"), ("239.1.2.3", "x", "10.0.0.1", "all"), ("10.0.0.1", nil, "10.0.0.1", nil),
            ("nonsense", nil, "10.0.0.1", nil),
        ] as [(String, String?, String, String?)])
    func hearsWhoTheServerNames(group: String, source: String?, server: String, expected: String?) throws {
        let address = GroupAddress(group: group, ports: PortPair(rtp: 5_004), source: source)
        let remote = try SocketAddress(ipAddress: server, port: 554)
        guard let expected else {
            #expect(throws: MulticastTrouble.self) { try GroupReception.plan(address, server: remote) }
            return
        }
        let track = try GroupReception.plan(address, server: remote)
        #expect(track.rtpPort == 5_004 && track.rtcpPort == 5_005)
        switch track.senders {
        case .all: #expect(expected == "all")
        case .only(let hosts): #expect(expected == "only " + hosts.map(\.text).joined())
        case .allBut: Issue.record("nobody is excluded")
        }
    }
}
