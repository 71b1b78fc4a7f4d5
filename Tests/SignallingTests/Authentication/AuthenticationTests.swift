import Testing

@testable import Signalling

@Suite struct AuthenticationChallengeTests {
    @Test(arguments: [
        // GStreamer's server.
        (
            #"Digest realm="GStreamer RTSP Server", nonce="0123""#,
            [
                AuthenticationChallenge(
                    scheme: .digest(algorithm: .md5, nonce: "0123", opaque: nil, quality: false, isStale: false),
                    realm: "GStreamer RTSP Server")
            ]
        ),
        // LIVE555 and many cameras: stale unquoted, any case.
        (
            #"Digest realm="LIVE555 Streaming Media", nonce="ab", stale=TRUE"#,
            [
                AuthenticationChallenge(
                    scheme: .digest(algorithm: .md5, nonce: "ab", opaque: nil, quality: false, isStale: true),
                    realm: "LIVE555 Streaming Media")
            ]
        ),
        (
            #"digest REALM="a, b=\"c\"",nonce="n",algorithm=SHA-256,qop="auth,auth-int",opaque="o""#,
            [
                AuthenticationChallenge(
                    scheme: .digest(algorithm: .sha256, nonce: "n", opaque: "o", quality: true, isStale: false), realm: #"a, b="c""#)
            ]
        ),
        (#"Basic realm="cam""#, [AuthenticationChallenge(scheme: .basic, realm: "cam")]),
        ("Basic", [AuthenticationChallenge(scheme: .basic, realm: "")]),
        // Two in one header.
        (
            #"Basic realm="x", Digest realm="y", nonce="n""#,
            [
                AuthenticationChallenge(scheme: .basic, realm: "x"),
                AuthenticationChallenge(
                    scheme: .digest(algorithm: .md5, nonce: "n", opaque: nil, quality: false, isStale: false), realm: "y"),
            ]
        ),
        // What cannot be answered.
        (#"Digest realm="y""#, []),
        (#"Digest realm="y", nonce="n", algorithm=SHA-512-256"#, []),
        (#"Digest realm="y", nonce="n", qop="auth-int""#, []),
        ("Negotiate abc==", []),
        ("", []), (",,,=\"", []), (#"realm="x""#, []),
        (
            #"Digest nonce="unfinished"#,
            [
                AuthenticationChallenge(
                    scheme: .digest(algorithm: .md5, nonce: "unfinished", opaque: nil, quality: false, isStale: false), realm: "")
            ]
        ),
    ])
    func parses(value: String, challenges: [AuthenticationChallenge]) {
        #expect(AuthenticationChallenge.parse(value) == challenges)
    }
}

@Suite struct ClientAuthenticatorTests {
    private static let mufasa = Credentials(user: "Mufasa", password: "Circle of Life")

    // RFC 7616 section 3.9.1.
    @Test(arguments: [
        (DigestAlgorithm.md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (DigestAlgorithm.sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ])
    func answersAsTheStandardDoes(algorithm: DigestAlgorithm, response: String) {
        let answer = DigestAnswer(
            credentials: Self.mufasa, realm: "http-auth@example.org", algorithm: algorithm,
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque: nil,
            quality: .init(count: 1, clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"))
        #expect(answer.response(method: "GET", uri: "/dir/index.html") == response)
    }

    @Test func answersBasic() {
        var client = ClientAuthenticator(credentials: Credentials(user: "Aladdin", password: "open sesame"))
        #expect(client.authorization(method: "DESCRIBE", uri: "rtsp://h/p", clientNonce: "c") == nil)
        #expect(client.challenged(by: ["Basic realm=\"x\""]) == .retry)
        #expect(client.authorization(method: "DESCRIBE", uri: "rtsp://h/p", clientNonce: "c") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    }

    @Test func takesTheStrongestAndCountsNonces() {
        var client = ClientAuthenticator(credentials: Self.mufasa)
        let values = [
            "Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"1\"", "Digest realm=\"x\", nonce=\"2\", algorithm=SHA-256, qop=\"auth\"",
            "Digest realm=\"x\", nonce=\"3\"",
        ]
        #expect(client.challenged(by: values) == .retry)
        let first = client.authorization(method: "DESCRIBE", uri: "rtsp://h/p", clientNonce: "c") ?? ""
        #expect(first.hasPrefix("Digest username=\"Mufasa\", realm=\"x\", nonce=\"2\", uri=\"rtsp://h/p\", response=\""))
        #expect(first.hasSuffix(", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"c\""))
        let second = client.authorization(method: "SETUP", uri: "rtsp://h/p/trackID=0", clientNonce: "d") ?? ""
        #expect(second.hasSuffix("nc=00000002, cnonce=\"d\""))
    }

    @Test func withoutQualityTheAnswerIsThatOfTheOldStandard() {
        var client = ClientAuthenticator(credentials: Credentials(user: "u", password: "p"))
        #expect(client.challenged(by: ["Digest realm=\"r\", nonce=\"n\", opaque=\"o\""]) == .retry)
        let algorithm = DigestAlgorithm.md5
        let response = algorithm.hash("\(algorithm.hash("u:r:p")):n:\(algorithm.hash("PLAY:rtsp://h/"))")
        #expect(
            client.authorization(method: "PLAY", uri: "rtsp://h/", clientNonce: "c")
                == "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"rtsp://h/\", response=\"\(response)\", opaque=\"o\"")
    }

    @Test func neverLoops() {
        var client = ClientAuthenticator(credentials: Self.mufasa)
        let challenge = ["Digest realm=\"x\", nonce=\"1\""]
        #expect(client.challenged(by: challenge) == .retry)
        _ = client.authorization(method: "DESCRIBE", uri: "u", clientNonce: "c")
        #expect(client.challenged(by: challenge) == .credentialsRefused)
    }

    @Test func staleIsTriedOnceMore() {
        var client = ClientAuthenticator(credentials: Self.mufasa)
        let stale = ["Digest realm=\"x\", nonce=\"2\", stale=true"]
        #expect(client.challenged(by: ["Digest realm=\"x\", nonce=\"1\""]) == .retry)
        _ = client.authorization(method: "DESCRIBE", uri: "u", clientNonce: "c")
        #expect(client.challenged(by: stale) == .retry)
        _ = client.authorization(method: "DESCRIBE", uri: "u", clientNonce: "c")
        #expect(client.challenged(by: stale) == .credentialsRefused)
    }

    @Test func anExpiredNonceWithoutStaleIsTriedOnceMoreIfWeWereAccepted() {
        var client = ClientAuthenticator(credentials: Self.mufasa)
        #expect(client.challenged(by: ["Digest realm=\"x\", nonce=\"1\""]) == .retry)
        for _ in 0..<3 {
            _ = client.authorization(method: "OPTIONS", uri: "u", clientNonce: "c")
            client.accepted()
            _ = client.authorization(method: "OPTIONS", uri: "u", clientNonce: "c")
            #expect(client.challenged(by: ["Digest realm=\"x\", nonce=\"2\""]) == .retry)
        }
        _ = client.authorization(method: "OPTIONS", uri: "u", clientNonce: "c")
        #expect(client.challenged(by: ["Digest realm=\"x\", nonce=\"3\""]) == .credentialsRefused)
    }

    @Test func saysWhyNot() {
        var nobody = ClientAuthenticator(credentials: nil)
        #expect(nobody.challenged(by: ["Basic realm=\"x\""]) == .credentialsMissing)
        var client = ClientAuthenticator(credentials: Self.mufasa)
        #expect(client.challenged(by: ["Negotiate"]) == .schemeUnknown)
        #expect(client.challenged(by: []) == .schemeUnknown)
    }

    @Test func nothingFromOutsideBreaksTheHeader() {
        var client = ClientAuthenticator(credentials: Credentials(user: "a\"b\r\nX: y", password: "p"))
        #expect(client.challenged(by: [#"Digest realm="q\"r", nonce="n""#]) == .retry)
        let header = client.authorization(method: "PLAY", uri: "u", clientNonce: "c") ?? ""
        #expect(header.hasPrefix(#"Digest username="a\"bX: y", realm="q\"r", nonce="n", uri="u""#))
    }

    @Test func noPasswordIsEverPrinted() {
        #expect("\(Self.mufasa)" == "Mufasa:…")
        #expect(String(reflecting: Self.mufasa) == "Mufasa:…")
    }
}
