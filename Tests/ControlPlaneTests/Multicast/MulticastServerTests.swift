import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension ServerHarness {
    /// `/group` may be had by multicast, too; `/only` by nothing else; `/nowhere` names an interface that is not there; `/always` is sent
    /// to its group once it is started.
    static var multicastPaths: [PathSettings] {
        func path(_ name: String, _ number: UInt32, _ change: (inout MulticastSettings) -> Void) -> PathSettings {
            var settings = PathSettings(name: name, source: .demonstration)
            settings.multicast.destination = .init(
                group: HostAddress(ipv4: 0xEFFF_5000 + number), port: 46_380 + 20 * UInt16(truncatingIfNeeded: number))
            settings.multicast.interface = "lo"
            settings.multicast.ttl = 3
            change(&settings.multicast)
            return settings
        }
        return [
            path("group", 1) { _ in }, path("only", 2) { $0.isOnly = true }, path("nowhere", 3) { $0.interface = "nowhere0" },
            path("always", 4) { $0.isAlways = true },
        ]
    }

    var broadcast: Path? { paths.path(named: "always") }

    func startBroadcast() throws {
        guard let path = broadcast else { return }
        path.start(source: ScriptedSource(path: path, sdp: try SessionDescription(Self.twoTracks), isThere: true))
    }
}

extension RTSPServerTests {
    /// `/group` may be had by multicast, too; `/only` by nothing else.
    @Suite struct Multicast {
        private static func setUp(_ client: TestClient, _ path: String = "/group", token: String = "RTP/AVP/UDP;multicast") throws -> String
        {
            let first = try client.ask("SETUP", "\(path)/trackID=0", ["Transport: \(token)"])
            #expect(first.status == .ok)
            let session = first.headers.session?.id ?? ""
            #expect(try client.ask("SETUP", "\(path)/trackID=1", ["Transport: \(token)", "Session: \(session)"]).status == .ok)
            return session
        }

        @Test func sessionsShareOneReaderInTheEngine() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1_000, 90_000), audio: (7, 48_000))
            let one = try harness.client()
            let setUp = try one.ask("SETUP", "/group/trackID=1", ["Transport: RTP/AVP;multicast;destination=239.9.9.9;port=7000-7001"])
            let transport = try #require(try TransportHeader.parse(setUp.headers["Transport"] ?? "").first)
            #expect(transport.isMulticast && !transport.isUnicast && transport.destination == "239.255.80.1" && transport.ttl == 3)
            #expect(transport.port?.text == "46402-46403" && transport.source != nil && transport.ssrc != nil)
            #expect(transport.clientPort == nil && transport.serverPort == nil)
            #expect(try one.ask("TEARDOWN", "/group", ["Session: \(setUp.headers.session?.id ?? "")"]).status == .ok)
            try harness.eventually("the sockets are closed") { $0.engine.log.last == "removeEgress" }

            try harness.run { $0.engine.log = [] }
            let first = try Self.setUp(one)
            let two = try harness.client()
            let second = try Self.setUp(two, token: "RTP/AVP;multicast")
            let play = try one.ask("PLAY", "/group", ["Session: \(first)", "Range: npt=0.000-"])
            let base = "rtsp://127.0.0.1:\(harness.port)/group"
            #expect(
                play.headers["RTP-Info"] == "url=\(base)/trackID=0;seq=1000;rtptime=90000,url=\(base)/trackID=1;seq=7;rtptime=48000")
            try harness.eventually("go") { $0.engine.log.last == "go 0" }
            #expect(try harness.log() == ["addDatagram 0 239.255.80.1 46400-46401 46402-46403", "arm 0", "go 0"])
            #expect(try harness.statistics().readers == 1)

            // The second one is told where the group is just now, and nothing more is sent.
            try harness.joinsAt(video: (2_000, 180_000), audio: nil)
            let later = try two.ask("PLAY", "/group", ["Session: \(second)"])
            #expect(later.headers["RTP-Info"] == "url=\(base)/trackID=0;seq=2000;rtptime=180000,url=\(base)/trackID=1")
            #expect(
                try harness.log().dropFirst(3) == ["addDatagram 1 239.255.80.1 46400-46401 46402-46403", "arm 1 now", "remove 1"])
            #expect(try harness.statistics().readers == 2)

            // PAUSE of one is nothing to the other.
            try harness.run { $0.engine.log = [] }
            #expect(try one.ask("PAUSE", "/group", ["Session: \(first)"]).status == .ok)
            #expect(try harness.log() == [])
            #expect(try one.ask("PLAY", "/group", ["Session: \(first)"]).status == .ok)
            #expect(try one.ask("TEARDOWN", "/group", ["Session: \(first)"]).status == .ok)
            #expect(try harness.log().contains("remove 0") == false)
            #expect(try two.ask("PAUSE", "/group", ["Session: \(second)"]).status == .ok)
            #expect(try harness.log().last == "remove 0")
            #expect(try two.ask("TEARDOWN", "/group", ["Session: \(second)"]).status == .ok)
            try harness.eventually("the sockets are closed") { $0.engine.log.last == "removeEgress" }
        }

        @Test func aPathWithAGroupServesTheOthersAsWell() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let client = try harness.client()
            let sdp = try SessionDescription(try client.ask("DESCRIBE", "/group").body)
            #expect(sdp.connection(media: 0)?.address == "0.0.0.0" && sdp.media.map(\.port) == [0, 0])
            for transport in ["RTP/AVP;unicast;client_port=40000-40001", "RTP/AVP/TCP;interleaved=0-1"] {
                #expect(try harness.client().ask("SETUP", "/group/trackID=0", ["Transport: \(transport)"]).status == .ok)
            }
            // A session is of one kind.
            let session = try client.ask("SETUP", "/group/trackID=0", ["Transport: RTP/AVP;multicast"]).headers.session?.id ?? ""
            let other = try client.ask(
                "SETUP", "/group/trackID=1", ["Session: \(session)", "Transport: RTP/AVP;unicast;client_port=40000-40001"])
            #expect(other.status == .unsupportedTransport)
            // A path without a group has none to give; players try their next transport.
            #expect(try harness.client().ask("SETUP", "/live/trackID=0", ["Transport: RTP/AVP;multicast"]).status == .unsupportedTransport)
            let both = "RTP/AVP;multicast,RTP/AVP/TCP;interleaved=0-1"
            #expect(
                try harness.client().ask("SETUP", "/live/trackID=0", ["Transport: \(both)"]).headers["Transport"]?
                    .hasPrefix("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=") == true)
        }

        @Test func theGroupsDescriptionIsThereForTheAsking() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            for uri in ["/group?multicast", "/group/?multicast", "/only"] {
                let answer = try client.ask("DESCRIBE", uri)
                let sdp = try SessionDescription(answer.body)
                #expect(sdp.warnings.isEmpty)
                let port: UInt16 = uri == "/only" ? 46_420 : 46_400
                #expect(
                    sdp.connection(media: 1)
                        == SDPConnection(address: uri == "/only" ? "239.255.80.2" : "239.255.80.1", isIPv6: false, ttl: 3))
                #expect(sdp.media.map(\.port) == [port, port + 2])
            }
            let missing = try client.ask("DESCRIBE", "/live?multicast")
            #expect(missing.status == .notFound && String(decoding: missing.body, as: UTF8.self).contains("/live has no multicast group"))
            // What players make of the track's URL.
            #expect(
                try client.ask("SETUP", "/group?multicast/trackID=0", ["Transport: RTP/AVP;multicast"]).status == .ok)
        }

        @Test func multicastOnlyMeansIt() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            for transport in ["RTP/AVP;unicast;client_port=40000-40001", "RTP/AVP/TCP;interleaved=0-1"] {
                let answer = try harness.client().ask("SETUP", "/only/trackID=0", ["Transport: \(transport)"])
                #expect(answer.status == .unsupportedTransport)
                #expect(String(decoding: answer.body, as: UTF8.self).contains("the path is sent by multicast only"))
            }
            let list = "RTP/AVP;unicast;client_port=40000-40001,RTP/AVP;multicast,RTP/AVP/TCP;interleaved=0-1"
            let answer = try harness.client().ask("SETUP", "/only/trackID=0", ["Transport: \(list)"])
            #expect(answer.status == .ok && answer.headers["Transport"]?.hasPrefix("RTP/AVP;multicast;destination=239.255.80.2;") == true)
        }

        @Test func theEndOfTheStreamEndsSessionsAndSockets() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let client = try harness.client()
            let session = try Self.setUp(client)
            #expect(try client.ask("PLAY", "/group", ["Session: \(session)"]).status == .ok)
            try harness.run { $0.paths.path(named: "group")?.endStream("gone") }
            #expect(try client.ask("GET_PARAMETER", "/group", ["Session: \(session)"]).status == .sessionNotFound)
            try harness.eventually("the sockets are closed") { $0.engine.log.last == "removeEgress" }
            // And the next one can be had.
            try harness.run { harness in
                let path = try #require(harness.paths.path(named: "group"))
                _ = try path.sourceDescribed(SessionDescription(ServerHarness.twoTracks))
                path.mediaBegins()
                path.sourcePlays()
            }
            let again = try Self.setUp(client)
            #expect(try client.ask("PLAY", "/group", ["Session: \(again)"]).status == .ok)
        }

        @Test func whatTheEngineGivesUpEndsForAll() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let clients = [try harness.client(), try harness.client()]
            let sessions = try clients.map { client in
                let session = try Self.setUp(client)
                #expect(try client.ask("PLAY", "/group", ["Session: \(session)"]).status == .ok)
                return session
            }
            try harness.run { $0.engine.report(.subscriberFailed(SubscriberHandle(index: 0, generation: 1), .stalled)) }
            for (client, session) in zip(clients, sessions) {
                #expect(try client.ask("GET_PARAMETER", "/group", ["Session: \(session)"]).status == .sessionNotFound)
            }
            #expect(try harness.statistics().ends == [.stalled: 2])
        }

        @Test func aGroupThatCannotBeSentIsRefusedAsATransport() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            let answer = try client.ask("SETUP", "/nowhere/trackID=0", ["Transport: RTP/AVP;multicast"])
            #expect(answer.status == .unsupportedTransport)
            #expect(String(decoding: answer.body, as: UTF8.self).contains("there is no interface `nowhere0`"))
            #expect(try harness.statistics().sessions == 0)
            #expect(try client.ask("SETUP", "/nowhere/trackID=0", ["Transport: RTP/AVP/TCP;interleaved=0-1"]).status == .ok)
        }

        @Test func alwaysIsSentWithoutAnybody() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            try harness.run { try $0.startBroadcast() }
            try harness.eventually("it is sent") { $0.engine.log.last == "go 0" }
            #expect(try harness.log() == ["addDatagram 0 239.255.80.4 46460-46461 46462-46463", "arm 0", "go 0"])
            // The stream ends, and the next one is sent as well.
            try harness.run { harness in
                harness.engine.log = []
                let path = try #require(harness.broadcast)
                path.endStream("gone")
                _ = try path.sourceDescribed(SessionDescription(ServerHarness.twoTracks))
                path.mediaBegins()
                path.sourcePlays()
            }
            try harness.eventually("it is sent again") { $0.engine.log.last?.hasPrefix("go ") == true }
            #expect(try harness.log().contains("removeEgress"))
            try harness.run { harness in harness.broadcast?.stop {} }
            try harness.eventually("it stops") { $0.engine.log.contains("removeEgress") && $0.broadcast?.readers == 0 }
        }
    }
}
