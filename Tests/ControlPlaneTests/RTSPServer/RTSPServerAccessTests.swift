import Glibc
import NIOCore
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// A test client that logs in.
private struct LoginClient {
    let client: TestClient
    var authenticator: ClientAuthenticator

    init(_ harness: ServerHarness, _ user: String, _ password: String, from host: String = "127.0.0.1") throws {
        client = try harness.client(from: host)
        authenticator = ClientAuthenticator(credentials: Credentials(user: user, password: password))
    }

    mutating func ask(_ method: String, _ path: String, _ headers: [String] = [], body: String = "") throws -> RTSPResponse {
        let uri = "rtsp://127.0.0.1:\(client.port)\(path)"
        for attempt in 0..<2 {
            let authorization = authenticator.authorization(method: method, uri: uri, clientNonce: "c\(attempt)")
            let response = try client.ask(method, path, headers + (authorization.map { ["Authorization: \($0)"] } ?? []), body: body)
            guard response.status == .unauthorized else {
                authenticator.accepted()
                return response
            }
            guard authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate")) == .retry else { return response }
        }
        throw TestClient.Trouble(description: "two challenges in a row")
    }
}

extension RTSPServerTests {
    @Suite struct Access {
        private static let offer =
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"

        /// alice may read `/live`, encoder may publish `/publish`, everybody may read `/cam/one`.
        private static func harness(log: HeardLog? = nil, _ change: @escaping (inout AccessSettings) -> Void = { _ in }) throws
            -> ServerHarness
        {
            let configuration = try Configuration.parse(
                """
                users: {alice: {password: secret}, encoder: {password: enc, from: 127.0.0.1}, bob: {password: bob}}
                access: {read: alice, publish: encoder}
                """)
            return try ServerHarness(log: log) {
                $0.access = configuration.access
                change(&$0.access)
            }
        }

        private static func words(_ response: RTSPResponse) -> String {
            let headers = response.headers.fields.filter { !["Date", "WWW-Authenticate"].contains($0.name) }
            let challenges = response.headers.values(named: "WWW-Authenticate").count
            return "\(response.status) \(headers) \(challenges) \(String(decoding: response.body, as: UTF8.self))"
        }

        @Test func aStrangerLearnsNothing() throws {
            let harness = try Self.harness()
            defer { try? harness.stop() }
            for method in ["DESCRIBE", "SETUP", "PLAY", "ANNOUNCE", "RECORD"] {
                let answers = try ["/live", "/live/trackID=0", "/nothing", "/publish", "/down"].map { path in
                    Self.words(try harness.client().ask(method, path))
                }
                #expect(Set(answers).count == 1 && answers[0].hasPrefix("401"), "\(method): \(answers)")
            }
            #expect(try harness.client().ask("OPTIONS", "/live").status == .ok)
            #expect(try harness.statistics().refusals[.loginMissing] == 25)
            // No source was asked for anything.
            #expect(try harness.run { $0.paths.all.allSatisfy { $0.readers == 0 } })
        }

        @Test func whoKnowsThePasswordReads() throws {
            let harness = try Self.harness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            var alice = try LoginClient(harness, "alice", "secret")
            #expect(try alice.ask("DESCRIBE", "/live").status == .ok)
            #expect(try alice.ask("DESCRIBE", "/nothing").status == .notFound)
            let first = try alice.ask("SETUP", "/live/trackID=0", ["Transport: RTP/AVP;unicast;client_port=45000-45001"])
            #expect(first.status == .ok)
            let session = "Session: \(first.headers.session?.id ?? "")"
            #expect(try harness.client().ask("PLAY", "/live", [session]).status == .unauthorized)
            #expect(try alice.ask("PLAY", "/live", [session]).status == .ok)
            #expect(try harness.statistics().readers == 1)
            // A keep-alive and the end need no more than the session.
            #expect(try alice.client.ask("GET_PARAMETER", "/live", [session]).status == .ok)
            #expect(try alice.client.ask("TEARDOWN", "/live", [session]).status == .ok)
        }

        /// [MS-RTSP] 2.2.6.32: a relay passes on what its player answered, for the method that the player used.
        @Test func anAnswerForTheMethodOfARelaysPlayerIsGood() throws {
            let harness = try Self.harness()
            defer { try? harness.stop() }
            var alice = try LoginClient(harness, "alice", "secret")
            #expect(try alice.ask("DESCRIBE", "/live").status == .ok)
            let uri = "rtsp://127.0.0.1:\(alice.client.port)/live"
            func status(_ method: String, _ headers: [String], answering verb: String) throws -> RTSPStatus {
                let words = alice.authenticator.authorization(method: verb, uri: uri, clientNonce: "relay") ?? ""
                return try alice.client.ask(method, "/live", headers + ["Authorization: \(words)"]).status
            }
            #expect(try status("DESCRIBE", ["X-Proxy-Client-Verb: GET"], answering: "GET") == .ok)
            #expect(try status("DESCRIBE", ["X-Proxy-Client-Verb: GET"], answering: "DESCRIBE") == .ok)
            #expect(try status("DESCRIBE", [], answering: "GET") == .unauthorized)
            #expect(try status("DESCRIBE", ["X-Proxy-Client-Verb: PLAY"], answering: "GET") == .unauthorized)
            #expect(try status("DESCRIBE", ["X-Proxy-Client-Verb: GET /live"], answering: "GET /live") == .unauthorized)
            // What was heard of a player who reads publishes nothing.
            var encoder = try LoginClient(harness, "encoder", "enc")
            #expect(try encoder.ask("ANNOUNCE", "/publish", ["Content-Type: application/sdp"], body: Self.offer).status == .ok)
            let heard = encoder.authenticator.authorization(
                method: "DESCRIBE", uri: "rtsp://127.0.0.1:\(alice.client.port)/publish", clientNonce: "relay")
            let again = try harness.client().ask(
                "ANNOUNCE", "/publish",
                ["Content-Type: application/sdp", "X-Proxy-Client-Verb: DESCRIBE", "Authorization: \(heard ?? "")"], body: Self.offer)
            #expect(again.status == .unauthorized)
        }

        @Test func aSessionBelongsToItsUser() throws {
            let harness = try Self.harness { $0.rules[.read] = .users }
            defer { try? harness.stop() }
            var alice = try LoginClient(harness, "alice", "secret")
            var bob = try LoginClient(harness, "bob", "bob")
            let first = try alice.ask("SETUP", "/live/trackID=0", ["Transport: RTP/AVP;unicast;client_port=45004-45005"])
            let session = "Session: \(first.headers.session?.id ?? "")"
            #expect(try bob.ask("DESCRIBE", "/live").status == .ok)
            #expect(try bob.ask("PLAY", "/live", [session]).status == .sessionNotFound)
        }

        @Test func withoutARightItIsForbidden() throws {
            let log = HeardLog()
            let harness = try Self.harness(log: log)
            defer { try? harness.stop() }
            var bob = try LoginClient(harness, "bob", "bob")
            #expect(try bob.ask("DESCRIBE", "/live").status == .forbidden)
            var alice = try LoginClient(harness, "alice", "secret")
            #expect(
                try alice.ask("ANNOUNCE", "/publish", ["Content-Type: application/sdp"], body: Self.offer).status == .forbidden)
            var far = try LoginClient(harness, "encoder", "enc", from: "127.0.0.9")
            #expect(try far.ask("ANNOUNCE", "/publish", ["Content-Type: application/sdp"], body: Self.offer).status == .forbidden)
            #expect(try harness.statistics().refusals[.rightMissing] == 3)
        }

        @Test func whoMayPublishPublishes() throws {
            let harness = try Self.harness()
            defer { try? harness.stop() }
            var encoder = try LoginClient(harness, "encoder", "enc")
            let announced = try encoder.ask("ANNOUNCE", "/publish", ["Content-Type: application/sdp"], body: Self.offer)
            #expect(announced.status == .ok)
            let session = "Session: \(announced.headers.session?.id ?? "")"
            // As encoders do that do not repeat the session.
            #expect(
                try encoder.ask("SETUP", "/publish/trackID=0", ["Transport: RTP/AVP;unicast;client_port=45008-45009;mode=record"]).status
                    == .ok)
            #expect(try encoder.ask("RECORD", "/publish", [session]).status == .ok)
            #expect(try encoder.ask("DESCRIBE", "/publish").status == .forbidden)
        }

        @Test func wrongPasswordsAreLimitedAndSaid() throws {
            let log = HeardLog()
            let harness = try Self.harness(log: log) { $0.failuresMax = 3 }
            defer { try? harness.stop() }
            for number in 0..<3 {
                var eve = try LoginClient(harness, "alice", "guess\(number)")
                #expect(try eve.ask("DESCRIBE", "/live").status == .unauthorized)
            }
            // The right one does not help now, and what needs none is free.
            var alice = try LoginClient(harness, "alice", "secret")
            let answer = try alice.ask("DESCRIBE", "/live")
            #expect(answer.status == .serviceUnavailable && answer.headers["Retry-After"] == "6")
            var other = try LoginClient(harness, "alice", "secret", from: "127.0.0.8")
            #expect(try other.ask("DESCRIBE", "/live").status == .ok)
            let refusals = try harness.statistics().refusals
            #expect(refusals[.loginWrong] == 3 && refusals[.loginRate] == 1)
            let lines = log.lines(from: .info).filter { $0.contains("login refused") }
            #expect(lines.count == 1 && lines[0].contains("alice") && lines[0].contains("the password is wrong"), "\(lines)")
            #expect(!log.lines(from: .info).contains { $0.contains("guess") })
        }

        @Test func whoGivesNoPasswordIsSaidAtTheEnd() throws {
            let log = HeardLog()
            let harness = try Self.harness(log: log)
            defer { try? harness.stop() }
            do {
                let client = try harness.client()
                #expect(try client.ask("DESCRIBE", "/live").status == .unauthorized)
            }
            // Who logs in a moment later (MPlayer does on another connection) is not talked of.
            do {
                let client = try harness.client(from: "127.0.0.7")
                #expect(try client.ask("DESCRIBE", "/live").status == .unauthorized)
            }
            var alice = try LoginClient(harness, "alice", "secret", from: "127.0.0.7")
            #expect(try alice.ask("DESCRIBE", "/live").status == .ok)
            for _ in 0..<60 where !log.lines().contains(where: { $0.contains("login refused") }) { usleep(100_000) }
            usleep(1_100_000)
            let lines = log.lines().filter { $0.contains("login refused") }
            #expect(lines.count == 1 && lines[0].contains("none came") && lines[0].contains("127.0.0.1"), "\(lines)")
        }

        @Test func aNonceThatGrewOldIsReplaced() throws {
            let harness = try Self.harness { $0.login.nonceMilliseconds = 0 }
            defer { try? harness.stop() }
            let client = try harness.client()
            var authenticator = ClientAuthenticator(credentials: Credentials(user: "alice", password: "secret"))
            let first = try client.ask("DESCRIBE", "/live")
            #expect(authenticator.challenged(by: first.headers.values(named: "WWW-Authenticate")) == .retry)
            let uri = "rtsp://127.0.0.1:\(client.port)/live"
            let header = authenticator.authorization(method: "DESCRIBE", uri: uri, clientNonce: "c") ?? ""
            usleep(5_000)
            let second = try client.ask("DESCRIBE", "/live", ["Authorization: \(header)"])
            #expect(second.status == .unauthorized)
            #expect(second.headers.values(named: "WWW-Authenticate").allSatisfy { $0.contains("stale=TRUE") })
            #expect(try harness.statistics().refusals[.loginStale] == 1)
        }

        @Test func addressesInsteadOfPasswords() throws {
            let harness = try Self.harness { $0.rules[.read] = try? AccessRule(parsing: "127.0.0.4, alice") }
            defer { try? harness.stop() }
            #expect(try harness.client(from: "127.0.0.4").ask("DESCRIBE", "/live").status == .ok)
            #expect(try harness.client(from: "127.0.0.4").ask("DESCRIBE", "/nothing").status == .notFound)
            #expect(try harness.client(from: "127.0.0.5").ask("DESCRIBE", "/live").status == .unauthorized)
            #expect(try harness.client(from: "127.0.0.5").ask("DESCRIBE", "/nothing").status == .unauthorized)
        }

        @Test func withoutUsersAnAddressIsForbidden() throws {
            let harness = try ServerHarness { $0.access.rules[.read] = try? AccessRule(parsing: "127.0.0.4") }
            defer { try? harness.stop() }
            #expect(try harness.client(from: "127.0.0.4").ask("DESCRIBE", "/live").status == .ok)
            for path in ["/live", "/nothing"] {
                #expect(try harness.client(from: "127.0.0.5").ask("DESCRIBE", path).status == .forbidden)
            }
        }
    }
}
