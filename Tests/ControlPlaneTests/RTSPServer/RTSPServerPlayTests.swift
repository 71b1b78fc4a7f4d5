import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    @Suite struct Play {
        @Test func aUDPReaderFromOptionsToTeardown() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1_000, 90_000), audio: (7, 48_000))
            let client = try harness.client()

            let options = try client.ask("OPTIONS", "*")
            #expect(options.headers["CSeq"] == "1")
            #expect(
                options.headers["Public"]
                    == "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER")

            let description = try client.ask("DESCRIBE", "/live", ["Accept: application/sdp"])
            #expect(description.status == .ok)
            #expect(description.headers["Content-Base"] == "rtsp://127.0.0.1:\(harness.port)/live/")
            let sdp = try SessionDescription(description.body)
            #expect(sdp.media.map(\.control) == ["trackID=0", "trackID=1"])

            let setUp = try client.ask("SETUP", "/live/trackID=0", ["Transport: RTP/AVP/UDP;unicast;client_port=40000-40001"])
            let transport = try #require(try TransportHeader.parse(setUp.headers["Transport"] ?? "").first)
            #expect(transport.protocolToken == "RTP/AVP/UDP" && transport.isUnicast && transport.clientPort?.text == "40000-40001")
            let ports = try #require(transport.serverPort)
            #expect(ports.rtp % 2 == 0 && ports.rtcp == ports.rtp + 1 && transport.ssrc != nil && transport.mode == nil)
            let session = try #require(setUp.headers.session)
            #expect(session.id.utf8.count == 20 && session.timeoutSeconds == 60)
            #expect(
                try client.ask(
                    "SETUP", "/live/trackID=1", ["Session: \(session.id)", "Transport: RTP/AVP;unicast;client_port=40002-40003"]
                ).status
                    == .ok)

            let play = try client.ask("PLAY", "/live/", ["Session: \(session.id)", "Range: npt=0.000-"])
            #expect(play.status == .ok && play.headers["Range"] == "npt=0.000-")
            let base = "rtsp://127.0.0.1:\(harness.port)/live"
            #expect(
                play.headers["RTP-Info"]
                    == "url=\(base)/trackID=0;seq=1000;rtptime=90000,url=\(base)/trackID=1;seq=7;rtptime=48000")
            try harness.eventually("go") { $0.engine.log.last == "go 0" }
            #expect(try harness.log() == ["addDatagram 0 127.0.0.1 40000-40001 40002-40003", "arm 0", "go 0"])
            #expect(try harness.statistics().readers == 1)

            // PLAY while playing is a keep-alive.
            let again = try client.ask("PLAY", "/live", ["Session: \(session.id)"])
            #expect(again.status == .ok && again.headers["RTP-Info"] == nil)
            #expect(try client.ask("GET_PARAMETER", "/live", ["Session: \(session.id);timeout=60"]).status == .ok)

            #expect(try client.ask("PAUSE", "/live", ["Session: \(session.id)"]).status == .ok)
            try harness.joinsAt(video: (2_000, 180_000), audio: nil)
            #expect(
                try client.ask("PLAY", "/live", ["Session: \(session.id)"]).headers["RTP-Info"]
                    == "url=\(base)/trackID=0;seq=2000;rtptime=180000,url=\(base)/trackID=1")
            try harness.eventually("go again") { $0.engine.log.last == "go 0" }
            #expect(try harness.log().suffix(3) == ["pause 0", "arm 0", "go 0"])

            #expect(try client.ask("TEARDOWN", "/live", ["Session: \(session.id)"]).status == .ok)
            #expect(try client.ask("PLAY", "/live", ["Session: \(session.id)"]).status == .sessionNotFound)
            #expect(try harness.log().last == "remove 0")
            let statistics = try harness.statistics()
            #expect(statistics.sessions == 0 && statistics.ends == [.teardown: 1] && statistics.connections == 1)
        }

        @Test func anInterleavedReaderHandsItsWritesOverAndGetsThemBack() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let client = try harness.client()
            let session = try client.setUpLive()
            #expect(try harness.log() == [])

            #expect(try client.ask("PLAY", "/live/", ["Session: \(session)"]).status == .ok)
            #expect(try client.ask("GET_PARAMETER", "/live/", ["Session: \(session)"]).headers["CSeq"] == "4")
            #expect(try client.ask("TEARDOWN", "/live/", ["Session: \(session)"]).status == .ok)
            #expect(
                try harness.log() == [
                    "addInterleaved 0 0-1 2-3", "arm 0", "send 0: RTSP/1.0 200 OK", "go 0", "send 0: RTSP/1.0 200 OK", "pause 0",
                    "send 0: RTSP/1.0 200 OK", "remove 0",
                ])
            // NIO writes again, and the connection can play once more.
            #expect(try client.ask("OPTIONS", "*").status == .ok)
            #expect(try harness.log().last == "remove 0")
            let second = try client.setUpLive()
            #expect(try client.ask("PLAY", "/live/", ["Session: \(second)"]).status == .ok)
            #expect(try harness.log().suffix(4) == ["addInterleaved 0 0-1 2-3", "arm 0", "send 0: RTSP/1.0 200 OK", "go 0"])
        }

        @Test func theEndOfTheConnectionEndsAnInterleavedSession() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            do {
                let client = try harness.client()
                let session = try client.setUpLive()
                #expect(try client.ask("PLAY", "/live/", ["Session: \(session)"]).status == .ok)
            }
            try harness.eventually("the session ends") { $0.server.statistics.sessions == 0 }
            #expect(try harness.log().last == "remove 0")
            #expect(try harness.statistics().ends == [.connectionClosed: 1])
        }

        @Test func playWaitsForTheKeyFrameAndThenStartsAnywhere() throws {
            let harness = try ServerHarness { $0.keyFrameWaitSeconds = 0.1 }
            defer { try? harness.stop() }
            let client = try harness.client()
            let session = try client.setUpLive(udp: 41_000)
            client.send(client.text("PLAY", "/live", ["Session: \(session)"]))
            client.send(client.text("OPTIONS", "*"))
            // Not a packet comes: armed for a key frame, then for anything, then answered without knowing.
            let play = try client.response()
            #expect(play.status == .ok && play.headers["CSeq"] == "3")
            #expect(play.headers["RTP-Info"]?.contains("seq=") == false)
            #expect(try client.response().headers["CSeq"] == "4")
            #expect(try harness.log().suffix(2) == ["arm 0", "arm 0 now"])
            // It comes after all.
            try harness.run { $0.engine.report(.joined(SubscriberHandle(index: 0, generation: 1), JoinPoint())) }
            try harness.eventually("go") { $0.engine.log.last == "go 0" }
        }

        @Test func teardownOfOneTrackGoesOnWithTheOthers() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let client = try harness.client()
            let tcp = try client.setUpLive()
            #expect(try client.ask("PLAY", "/live/", ["Session: \(tcp)"]).status == .ok)
            #expect(try client.ask("TEARDOWN", "/live/trackID=1", ["Session: \(tcp)"]).status == .ok)
            try harness.eventually("plays again") { $0.engine.log.last == "go 0" || $0.engine.log.last?.hasPrefix("send") == true }
            #expect(try harness.log().contains("setChannels 0 0-1 none-none"))
            #expect(try client.ask("TEARDOWN", "/live/trackID=0", ["Session: \(tcp)"]).status == .ok)
            try harness.eventually("the session ends") { $0.server.statistics.sessions == 0 }

            let other = try harness.client()
            let udp = try other.setUpLive(udp: 42_000)
            #expect(try other.ask("PLAY", "/live/", ["Session: \(udp)"]).status == .ok)
            #expect(try other.ask("PLAY", "/live/trackID=1", ["Session: \(udp)"]).status == .onlyAggregateOperationAllowed)
            #expect(try other.ask("TEARDOWN", "/live/trackID=0", ["Session: \(udp)"]).status == .ok)
            try harness.eventually("plays again") { $0.engine.log.last == "go 1" || $0.engine.log.last == "go 0" }
            #expect(try harness.log().contains { $0.hasSuffix("127.0.0.1 0-0 42002-42003") })
        }

        @Test func aReaderThatTheEngineGivesUpLosesItsConnection() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let client = try harness.client()
            let session = try client.setUpLive()
            #expect(try client.ask("PLAY", "/live/", ["Session: \(session)"]).status == .ok)
            try harness.run { $0.engine.report(.subscriberFailed(SubscriberHandle(index: 0, generation: 1), .stalled)) }
            #expect(client.isClosed())
            #expect(try harness.statistics().ends == [.stalled: 1])
        }

        @Test func theEndOfTheStreamEndsItsSessions() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let tcp = try harness.client()
            let udp = try harness.client()
            let first = try tcp.setUpLive()
            let second = try udp.setUpLive(udp: 43_000)
            #expect(try tcp.ask("PLAY", "/live/", ["Session: \(first)"]).status == .ok)
            #expect(try udp.ask("PLAY", "/live/", ["Session: \(second)"]).status == .ok)
            try harness.run { $0.paths.path(named: "live")?.endStream("gone") }
            // Goodbye on each track comes first.
            for _ in 0..<2 { #expect(!tcp.isClosed()) }
            #expect(tcp.isClosed())
            #expect(try udp.ask("GET_PARAMETER", "/live/", ["Session: \(second)"]).status == .sessionNotFound)
            #expect(try harness.statistics().ends == [.streamEnded: 2])
        }

        @Test func setUpWithoutDescribeAndOddTrackURLs() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let tcp = "Transport: RTP/AVP/TCP;unicast"
            for uri in ["/live/trackID=0?x=1", "/live?x=1/trackID=0", "/live/trackID=0/", "//live/trackID=0", "/%6Cive/trackID%3D0"] {
                #expect(try harness.client().ask("SETUP", uri, [tcp]).status == .ok, "\(uri)")
            }
            // One track needs no name; of two it must be said which.
            #expect(try harness.client().ask("SETUP", "/cam/one", [tcp]).status == .ok)
            #expect(try harness.client().ask("SETUP", "/cam/one/trackID=0", [tcp]).status == .ok)
            #expect(try harness.client().ask("SETUP", "/live", [tcp]).status == .aggregateOperationNotAllowed)
            #expect(try harness.client().ask("SETUP", "/live/trackID=2", [tcp]).status == .notFound)
            #expect(try harness.client().ask("SETUP", "/dead/trackID=0", [tcp]).status == .notFound)
        }
    }
}
