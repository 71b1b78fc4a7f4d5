import Testing
import WireFormats

@testable import Signalling

@Suite struct ServerAuthenticatorTests {
    private static let uri = "rtsp://h/cam"

    private static func server(_ change: (inout ServerAuthenticator.Settings) -> Void = { _ in }) -> ServerAuthenticator {
        var settings = ServerAuthenticator.Settings()
        change(&settings)
        return ServerAuthenticator(
            settings: settings,
            users: [
                UserSecret(user: "alice", realm: "Weir", password: "p w:d"),
                UserSecret(user: "old", realm: "Weir", hashes: [.md5: DigestAlgorithm.md5.hash("old:Weir:secret").uppercased()]),
                UserSecret(user: "new", realm: "Weir", hashes: [.sha256: DigestAlgorithm.sha256.hash("new:Weir:secret")]),
            ])
    }

    /// What Weir's own client answers to the challenges.
    private static func header(_ challenges: [String], _ user: String, _ password: String, method: String = "DESCRIBE") -> String {
        var client = ClientAuthenticator(credentials: Credentials(user: user, password: password))
        #expect(client.challenged(by: challenges) == .retry)
        return client.authorization(method: method, uri: uri, clientNonce: "c") ?? ""
    }

    @Test func challengesStandInTheOrderThatNaiveClientsNeed() {
        var server = Self.server { $0.methods = Set(LoginMethod.allCases) }
        let challenges = server.challenges(to: "10.0.0.1", now: 5)
        #expect(challenges.count == 3)
        #expect(challenges[0] == "Basic realm=\"Weir\"")
        #expect(challenges[1].hasPrefix("Digest realm=\"Weir\", nonce=\"") && challenges[1].hasSuffix(", algorithm=SHA-256, qop=\"auth\""))
        #expect(challenges[2].hasPrefix("Digest realm=\"Weir\", nonce=\"") && !challenges[2].contains("algorithm"))
        #expect(!challenges[2].contains("qop"))
        #expect(server.challenges(to: "10.0.0.1", now: 5, isStale: true).last?.hasSuffix(", stale=TRUE") == true)
    }

    @Test func anAlgorithmWithoutAHashIsNotOffered() {
        var server = ServerAuthenticator(
            settings: .init(), users: [UserSecret(user: "new", realm: "Weir", hashes: [.sha256: DigestAlgorithm.sha256.hash("new:Weir:x")])]
        )
        #expect(server.challenges(to: "a", now: 0).map { $0.contains("SHA-256") } == [true])
    }

    @Test(arguments: [
        ("alice", "p w:d", LoginMethod.digestSHA256, true), ("alice", "p w:d", .digestMD5, true), ("alice", "p w:d", .basic, true),
        ("alice", "p w", .digestSHA256, false), ("alice", "p w", .digestMD5, false), ("alice", "p w", .basic, false),
        ("alice", "", .basic, false), ("nobody", "p w:d", .digestSHA256, false), ("nobody", "", .basic, false), ("", "", .basic, false),
        ("", "", .digestMD5, false), ("old", "secret", .digestMD5, true), ("old", "secret", .basic, true),
        ("new", "secret", .digestSHA256, true), ("new", "secret", .basic, true), ("new", "Secret", .basic, false),
    ])
    func eachMethod(user: String, password: String, method: LoginMethod, isRight: Bool) {
        var server = Self.server { $0.methods = [method] }
        let challenges = server.challenges(to: "10.0.0.1", now: 1_000)
        let header = Self.header(challenges, user, password)
        let verdict = server.check(header, method: "DESCRIBE", uri: Self.uri, client: "10.0.0.1", now: 1_001)
        if isRight {
            #expect(verdict == .accepted(user: user))
        } else {
            guard case .wrong(user, _) = verdict else {
                Issue.record("\(verdict)")
                return
            }
        }
    }

    @Test func aMissingHashIsNamedInTheLogsWords() {
        var server = Self.server()
        let challenges = server.challenges(to: "a", now: 0)
        // As FFmpeg does: the last one.
        let verdict = server.check(
            Self.header([challenges[1]], "new", "secret"), method: "DESCRIBE", uri: Self.uri, client: "a", now: 0)
        guard case .wrong("new", let why) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(why.contains("MD5"))
    }

    @Test(arguments: [
        (nil, ServerAuthenticator.Verdict.missing), ("", .missing), ("  ", .missing),
        ("Negotiate abc", .unusable("its scheme is neither Digest nor Basic")), ("Basic YTpi", .unusable("Basic is not offered")),
        ("Digest", .unusable("a Digest answer needs username, nonce, uri and response")),
        (
            #"Digest username="alice", nonce="n", uri="rtsp://h/cam", response="0", algorithm=MD5-sess"#,
            .unusable("its algorithm is not offered")
        ),
        (#"Digest username="alice", nonce="n", uri="rtsp://h/other", response="0""#, .unusable("its uri is not the request's")),
        (
            #"Digest username="alice", nonce="n", uri="rtsp://h/cam", response="0", qop=auth-int, nc=1, cnonce="c""#,
            .unusable("with qop it needs qop=auth, nc and cnonce")
        ),
        (
            #"Digest username="alice", nonce="n", uri="rtsp://h/cam", response="0", qop=auth, nc=x, cnonce="c""#,
            .unusable("with qop it needs qop=auth, nc and cnonce")
        ),
    ])
    func whatCannotBeUsed(header: String?, verdict: ServerAuthenticator.Verdict) {
        var server = Self.server()
        #expect(server.check(header, method: "DESCRIBE", uri: Self.uri, client: "a", now: 0) == verdict)
    }

    @Test(arguments: ["!!!!", "YWxpY2U", "YWxpY2U6/w==", "YWxpY2U6cA=", "A"])
    func brokenBasic(token: String) {
        var server = Self.server { $0.methods = [.basic] }
        let verdict = server.check("Basic \(token)", method: "DESCRIBE", uri: Self.uri, client: "a", now: 0)
        #expect(verdict == .unusable("it is no base 64 of name:password in UTF-8"))
    }

    @Test func aNonceIsForOneAddressAndForItsLife() {
        var server = Self.server { $0.nonceMilliseconds = 1_000 }
        let header = Self.header(server.challenges(to: "10.0.0.1", now: 5_000), "alice", "p w:d")
        func check(_ client: String, _ now: UInt64) -> ServerAuthenticator.Verdict {
            server.check(header, method: "DESCRIBE", uri: Self.uri, client: client, now: now)
        }
        #expect(check("10.0.0.2", 5_000) == .stale(user: "alice"))
        #expect(check("10.0.0.1", 4_999) == .stale(user: "alice"))
        #expect(check("10.0.0.1", 6_001) == .stale(user: "alice"))
        #expect(check("10.0.0.1", 6_000) == .accepted(user: "alice"))
    }

    @Test func aNonceOfAnotherProcessIsStaleOnlyForWhoKnowsThePassword() {
        var server = Self.server()
        var other = Self.server()
        let challenges = other.challenges(to: "a", now: 0)
        #expect(
            server.check(Self.header(challenges, "alice", "p w:d"), method: "DESCRIBE", uri: Self.uri, client: "a", now: 0)
                == .stale(user: "alice"))
        #expect(
            server.check(Self.header(challenges, "alice", "x"), method: "DESCRIBE", uri: Self.uri, client: "a", now: 0)
                == .wrong(user: "alice", why: "the password is wrong"))
    }

    @Test func withQualityACountIsTakenOnce() {
        var server = Self.server()
        var client = ClientAuthenticator(credentials: Credentials(user: "alice", password: "p w:d"))
        #expect(client.challenged(by: server.challenges(to: "a", now: 0)) == .retry)
        let first = client.authorization(method: "DESCRIBE", uri: Self.uri, clientNonce: "c")
        let second = client.authorization(method: "SETUP", uri: Self.uri, clientNonce: "c")
        #expect(server.check(first, method: "DESCRIBE", uri: Self.uri, client: "a", now: 0) == .accepted(user: "alice"))
        #expect(server.check(second, method: "SETUP", uri: Self.uri, client: "a", now: 0) == .accepted(user: "alice"))
        #expect(server.check(first, method: "DESCRIBE", uri: Self.uri, client: "a", now: 0) == .stale(user: "alice"))
        // An answer for one method is none for another.
        #expect(
            server.check(second, method: "PLAY", uri: Self.uri, client: "a", now: 0)
                == .wrong(user: "alice", why: "the password is wrong"))
    }

    @Test func countsAreForgottenOldestFirstAndWhatIsForgottenIsStale() {
        var issuer = NonceIssuer(lifeMilliseconds: 1_000, countsMax: 2)
        let nonces = (0..<5).map { _ in issuer.issue(to: "a", now: 0) }
        func use(_ index: Int, _ count: UInt32?) -> NonceIssuer.Verdict { issuer.use(nonces[index], count: count, by: "a", now: 0) }
        #expect(use(1, 1) == .fresh && use(2, 1) == .fresh && use(1, 2) == .fresh && use(1, 2) == .stale)
        #expect(use(3, 1) == .fresh)  // 1 is forgotten
        #expect(use(1, 3) == .stale && use(0, 1) == .stale && use(2, 2) == .fresh)
        #expect(use(4, 0) == .stale && use(4, 7) == .fresh)
        #expect(use(2, 3) == .stale && use(3, 2) == .fresh)
        // Without a count there is nothing to watch.
        #expect(use(0, nil) == .fresh && use(0, nil) == .fresh)
    }

    @Test(arguments: ["", "0", String(repeating: "0", count: 56), String(repeating: "ü", count: 28), String(repeating: "z", count: 56)])
    func foreignNonces(nonce: String) {
        var issuer = NonceIssuer(lifeMilliseconds: 1_000, countsMax: 2)
        #expect(issuer.use(nonce, count: nil, by: "a", now: 0) == .stale)
    }

    @Test(arguments: [
        ("rtsp://h/cam", "rtsp://h/cam", true), ("rtsp://h/cam", "rtsp://h/cam/trackID=0", true), ("rtsp://h/cam/", "rtsp://h/cam", true),
        ("rtsp://1.2.3.4:554/cam", "rtsp://h/cam", true), ("/cam", "rtsp://h/cam", true), ("rtsp://h/cam?x=1", "rtsp://h/cam", true),
        ("rtsp://h/c%61m", "rtsp://h/cam", true), ("rtsp://h/cam/trackID=0", "rtsp://h/cam", false), ("rtsp://h/ca", "rtsp://h/cam", false),
        ("rtsp://h/", "rtsp://h/cam", false), ("*", "rtsp://h/cam", false), ("http://h/cam", "rtsp://h/cam", false), ("", "*", false),
    ])
    func theURIOfAnAnswer(named: String, uri: String, covers: Bool) {
        #expect(ServerAuthenticator.covers(named, uri) == covers)
    }
}

@Suite struct Base64Tests {
    @Test(
        arguments: [
            ("", []), ("QQ==", [65]), ("QQ", [65]), ("QUI=", [65, 66]), ("QUJD", [65, 66, 67]), ("+/+/", [251, 255, 191]), ("Q", nil),
            ("QQ=", nil),
            ("QQ===", nil), ("Q=Q=", nil), ("QU JD", nil), ("====", nil), ("QUJD=", nil),
        ] as [(String, [UInt8]?)])
    func decodes(text: String, bytes: [UInt8]?) {
        #expect(Base64.decode(text) == bytes)
    }

    @Test func bothWays() {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ count) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }
}
