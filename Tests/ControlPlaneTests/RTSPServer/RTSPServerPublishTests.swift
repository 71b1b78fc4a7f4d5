import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    @Suite struct Publish {
        // As FFmpeg announces.
        static let sdp = """
            v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
            a=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:streamid=1\r\n
            """

        private func announce(_ client: TestClient) throws -> String {
            let response = try client.ask("ANNOUNCE", "/publish", ["Content-Type: application/sdp"], body: Self.sdp)
            #expect(response.status == .ok)
            return response.headers.session?.id ?? ""
        }

        @Test func anInterleavedPublisherIsReadByTheEngine() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            let session = try announce(client)
            for track in 0..<2 {
                let transport = "RTP/AVP/TCP;unicast;interleaved=\(2 * track)-\(2 * track + 1);mode=record"
                // FFmpeg repeats the session, others do not.
                let response = try client.ask(
                    "SETUP", "/publish/streamid=\(track)", ["Transport: \(transport)"] + (track == 0 ? ["Session: \(session)"] : []))
                #expect(response.status == .ok && response.headers.session?.id == session)
                #expect(try TransportHeader.parse(response.headers["Transport"] ?? "x").first?.mode == .record)
            }
            #expect(
                try harness.client().ask("ANNOUNCE", "/publish", ["Content-Type: application/sdp"], body: Self.sdp).status == .forbidden)

            // RECORD with the first frame right behind it.
            client.send(client.text("RECORD", "/publish", ["Session: \(session)", "Range: npt=0.000-"]) + "$\u{1}\u{0}\u{4}abcd")
            #expect(try client.response().status == .ok)
            let source = try harness.run { $0.engine.sources.first.map { (map: $0.channels, prefix: $0.prefix, handle: $0.handle) } }
            #expect(source?.prefix == Array("$\u{1}\u{0}\u{4}abcd".utf8))
            #expect(source?.map[3] == 3)
            #expect(try harness.statistics().publishers == 1)

            // Text between frames, as the engine finds it, with half a request behind it.
            let keepAlive = client.text("GET_PARAMETER", "/publish", ["Session: \(session)"])
            let consumed = try harness.run { harness in
                harness.server.openConnections.compactMap { $0.sessions.isEmpty ? nil : $0.receivedText(Array((keepAlive + "OPTIO").utf8)) }
            }
            #expect(consumed == [keepAlive.utf8.count])
            #expect(try client.response().headers["CSeq"] == "5")

            let tearDown = client.text("TEARDOWN", "/publish", ["Session: \(session)"])
            _ = try harness.run { harness in
                harness.server.openConnections.compactMap { $0.sessions.isEmpty ? nil : $0.receivedText(Array(tearDown.utf8)) }
            }
            #expect(try client.response().status == .ok)
            #expect(client.isClosed())
            #expect(try harness.log().contains("removeSource"))
            #expect(try harness.statistics().ends == [.teardown: 1])
            // The path is free again.
            _ = try announce(try harness.client())
        }

        @Test func aUDPPublisherGetsItsOwnPorts() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            let session = try announce(client)
            var ports: Set<UInt16> = []
            for track in 0..<2 {
                let response = try client.ask(
                    "SETUP", "/publish/streamid=\(track)",
                    ["Transport: RTP/AVP/UDP;unicast;client_port=50000-50001;mode=RECORD", "Session: \(session)"])
                ports.insert(try #require(try TransportHeader.parse(response.headers["Transport"] ?? "x").first?.serverPort?.rtp))
            }
            #expect(ports.count == 2)
            #expect(try client.ask("PLAY", "/publish", ["Session: \(session)"]).status == .methodNotValidInThisState)
            #expect(try client.ask("RECORD", "/publish", ["Session: \(session)"]).status == .ok)
            #expect(try harness.log().filter { $0.hasPrefix("addDatagramSource") }.count == 4)
            #expect(try client.ask("PAUSE", "/publish", ["Session: \(session)"]).status == .methodNotValidInThisState)
            #expect(try client.ask("TEARDOWN", "/publish", ["Session: \(session)"]).status == .ok)
            #expect(try harness.log().filter { $0 == "removeSource" }.count == 4)
        }

        @Test func aUDPPublisherThatVanishesFreesThePath() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            do {
                let client = try harness.client()
                let session = try announce(client)
                let transport = "Transport: RTP/AVP;unicast;client_port=50000-50001;mode=record"
                #expect(try client.ask("SETUP", "/publish/streamid=0", [transport, "Session: \(session)"]).status == .ok)
                #expect(try client.ask("RECORD", "/publish", ["Session: \(session)"]).status == .ok)
            }
            try harness.eventually("the session ends") { $0.server.statistics.ends == [.connectionClosed: 1] }
            _ = try announce(try harness.client())
        }

        @Test func aPublisherThatVanishesBeforeItRecordsFreesThePath() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            do { _ = try announce(try harness.client()) }
            try harness.eventually("the session ends") { $0.server.statistics.sessions == 0 }
            _ = try announce(try harness.client())
        }
    }
}
