import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    @Suite struct Tunnel {
        private static func letters(_ text: String) -> String { Base64.encode(Array(text.utf8)) }

        private static func get(_ harness: ServerHarness, _ cookie: String, from host: String = "127.0.0.1") throws -> TestClient {
            let client = try harness.client(from: host)
            client.send("GET / HTTP/1.0\r\nx-sessioncookie: \(cookie)\r\n\r\n")
            return client
        }

        private static func post(_ harness: ServerHarness, _ cookie: String, _ body: String = "", from host: String = "127.0.0.1") throws
            -> TestClient
        {
            let client = try harness.client(from: host)
            client.send("POST / HTTP/1.0\r\nx-sessioncookie: \(cookie)\r\nContent-Length: 32767\r\n\r\n" + body)
            return client
        }

        @Test func requestsComeByThePostAndAnswersByTheGet() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let down = try Self.get(harness, "a")
            let opened = try down.response()
            #expect(opened.status == .ok && opened.headers["Content-Type"] == "application/x-rtsp-tunnelled")
            let up = try Self.post(harness, "a")
            func ask(_ method: String, _ path: String, _ headers: [String] = []) throws -> RTSPResponse {
                up.send(Self.letters(down.text(method, path, headers)))
                return try down.response()
            }
            let set = try ask("SETUP", "/live/trackID=0", ["Transport: RTP/AVP/TCP;interleaved=0-1"])
            #expect(set.status == .ok)
            let session = "Session: \(set.headers.session?.id ?? "")"
            #expect(try ask("PLAY", "/live", [session]).status == .ok)
            // The engine writes to the GET, and reports come by the POST.
            #expect(try harness.log().contains { $0.hasPrefix("addInterleaved") })
            up.send(Base64.encode([0x24, 1, 0, 8, 0x80, 201, 0, 1, 0, 0, 0, 9]))
            try harness.eventually("the report was taken") { $0.server.statistics.receiverReports == 1 }
            #expect(try ask("ANNOUNCE", "/publish", ["Content-Type: application/sdp"]).status == .methodNotAllowed)
            #expect(try ask("TEARDOWN", "/live", [session]).status == .ok)
        }

        @Test func theGetsEndIsTheEnd() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let up: TestClient
            do {
                let down = try Self.get(harness, "a")
                _ = try down.response()
                up = try Self.post(harness, "a", Self.letters(down.text("OPTIONS", "*")))
                #expect(try down.response().status == .ok)
            }
            #expect(up.isClosed())
            try harness.eventually("nothing is left") { $0.server.statistics.connections == 0 && $0.server.tunnels.count == 0 }
        }

        @Test func anotherHostHasNoPartInIt() throws {
            let harness = try ServerHarness { $0.tunnelSeconds = 0.2 }
            defer { try? harness.stop() }
            let down = try Self.get(harness, "a")
            _ = try down.response()
            let stranger = try Self.post(harness, "a", Self.letters(down.text("OPTIONS", "*")), from: "127.0.0.9")
            #expect(down.isClosed() && stranger.isClosed())
            #expect(try harness.statistics().refusals[.tunnelTimeout] == 2)
        }

        @Test func halvesAreLimitedAndCounted() throws {
            let harness = try ServerHarness {
                $0.halfOpenTunnelsMax = 2
                $0.tunnelSeconds = 2
            }
            defer { try? harness.stop() }
            let halves = [try Self.get(harness, "a"), try Self.post(harness, "b", "AAAA")]
            try harness.eventually("both wait") { $0.server.tunnels.halfOpen == 2 }
            #expect(try Self.get(harness, "c").response().status == .serviceUnavailable)
            #expect(try halves[0].response().status == .ok && halves[0].isClosed() && halves[1].isClosed())
            try harness.eventually("they are gone") { $0.server.tunnels.halfOpen == 0 && $0.server.tunnels.count == 0 }
            let refusals = try harness.statistics().refusals
            #expect(refusals[.tunnelsMax] == 1 && refusals[.tunnelTimeout] == 2)
        }
    }
}
