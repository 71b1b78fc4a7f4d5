import Testing
import WireFormats

@testable import Signalling

/// What a cache asks its origin beside the media: GetContentInfo, SendEvent, and on whose behalf.
@Suite struct WMSPClientQuestionTests {
    private static let file = [
        "Server: Cougar/9.01.01.3814", "Pragma: no-cache",
        "Cache-Control: no-cache, x-wms-content-size=582, max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate",
        "Last-Modified: Tue, 22 Jan 2008 22:54:32 GMT", "Etag: \"582\"", "Content-Length: 0",
    ]
    private let header = WMSPFraming.header(WMSPSample.headerBytes)

    private func asking(
        _ errand: WMSPClient.Errand = .contentInfo, _ url: String = "mmsh://origin.example/vod/a.wmv?x=1",
        change: (inout WMSPClient.Settings) -> Void = { _ in }
    ) throws -> WMSPClientScript {
        try WMSPClientScript(url) {
            $0.userAgent = "WMCacheProxy/9.00.00.1234"
            $0.errand = errand
            change(&$0)
        }
    }

    @Test func whatAnOriginSaysOfAFile() throws {
        var script = try asking {
            $0.player = ("NSPlayer/9.0.0.2980 {x} \"quoted\"", "GET")
            $0.via = "HTTP/1.1 weir-0011223344556677"
            $0.maxForwards = 9
        }
        let asked = script.start().text()
        #expect(
            asked.hasPrefix(
                "POST /vod/a.wmv?x=1 HTTP/1.1\r\nAccept: */*\r\nUser-Agent: WMCacheProxy/9.00.00.1234\r\nHost: origin.example\r\n"))
        for line in [
            "Content-Type: application/x-wms-getcontentinfo", "Content-Length: 1", "X-Proxy-Client-Verb: GET", "Max-Forwards: 9",
            "Via: HTTP/1.1 weir-0011223344556677", "Pragma: proxy-client-agent=\"NSPlayer/9.0.0.2980 {x} quoted\"", "Connection: close",
        ] { #expect(asked.contains("\r\n\(line)\r\n"), "\(line)") }
        #expect(!asked.contains("client-id") && asked.hasSuffix("\r\n\r\n0"))
        let done = script.receive(WMSPClientScript.head(Self.file))
        #expect(done == [.close(.media), .left])
        let terms = try #require(script.client.terms)
        #expect(terms.etag == "\"582\"" && terms.lastModified == "Tue, 22 Jan 2008 22:54:32 GMT")
        #expect(MSRTSPCacheControl(terms.cacheControl).maxAgeSeconds == 86_399 && !script.client.wasChallenged)
    }

    /// Whoever does not know the question is asked for the description, over another connection; what he then says is what is known.
    @Test(arguments: ["404", "501", "405", "503", "silent", "closed"]) func describedInstead(answer: String) throws {
        var script = try asking()
        script.start()
        let again: [WMSPClient.Action] =
            switch answer {
            case "silent": script.receive(WMSPClientScript.head(["Content-Length: 0"]))
            case "closed": script.close()
            default: script.receive(WMSPClientScript.head(["Content-Length: 0"], status: "\(answer) No"))
            }
        #expect(again.contains(.connect(.media)) && again.text().hasPrefix("GET /vod/a.wmv?x=1 ") && again.failure == nil)
        let described = script.receive(
            WMSPClientScript.head(["Server: Cougar 4.1.0.3921", "Cache-Control: no-cache", "Content-Length: \(header.count)"]) + header)
        #expect(described.contains(.described(header: WMSPSample.headerBytes, nil)))
        #expect(script.client.terms == ContentTerms(cacheControl: ["no-cache"]))
    }

    @Test func nothingThereEither() throws {
        var script = try asking()
        script.start()
        script.receive(WMSPClientScript.head(["Content-Length: 0"], status: "404 Not Found"))
        let failure = script.receive(WMSPClientScript.head(["Content-Length: 0"], status: "404 Not Found")).failure
        guard case .refused("Describe", let status)? = failure else { return #expect(Bool(false), "\(failure as Any)") }
        #expect(status.code == 404)
    }

    @Test func silenceEndsIt() throws {
        var script = try asking { $0.answerMilliseconds = 3_000 }
        script.start()
        #expect(script.client.deadline == 8_000)
        script.now = 8_000
        #expect(script.run { $0.timeElapsed(now: $1) }.failure == .noAnswer("GetContentInfo", milliseconds: 3_000))
    }

    @Test func elsewhere() throws {
        var script = try asking()
        script.start()
        let moved = script.receive(WMSPClientScript.head(["Location: http://other.example/a"], status: "302 Found"))
        #expect(moved.last == .redirected(try WMSPSourceURL("http://other.example/a")))
    }

    /// The lines of the challenge are for the player who is behind it.
    @Test func aChallengeIsReported() throws {
        var script = try asking()
        script.start()
        let lines = ["WWW-Authenticate: Negotiate", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"", "Content-Length: 0"]
        let failure = script.receive(WMSPClientScript.head(lines, status: "401 Unauthorized")).failure
        guard case .unauthorized? = failure else { return #expect(Bool(false), "\(failure as Any)") }
        #expect(script.client.challenge == PassedChallenge(status: 401, lines: ["Negotiate", "Digest realm=\"r\", nonce=\"n\""]))
    }

    @Test func thePlayersOwnAnswerGoesAlong() throws {
        let basic = "Basic dXNlcjpwYXNz"
        var script = try asking { $0.authorization = basic }
        #expect(script.start().text().contains("\r\nAuthorization: \(basic)\r\n") && script.client.wasChallenged)
        // The operator's word goes before it.
        var own = try asking(.contentInfo, "mmsh://u:p@origin.example/a") { $0.authorization = basic }
        #expect(!own.start().text().contains("Authorization"))
        let again = own.receive(
            WMSPClientScript.head(["WWW-Authenticate: Basic realm=\"r\"", "Content-Length: 0"], status: "401 Unauthorized"))
        #expect(again.text().contains("Authorization: Basic dTpw\r\n") && again.text().hasPrefix("POST "))
        #expect(own.receive(WMSPClientScript.head(Self.file)).last == .left)
        #expect(own.client.wasChallenged && own.client.challenge == nil)
    }

    @Test(arguments: [200, 204, 404, 500]) func anEventWithoutASession(status: Int) throws {
        var script = try asking(.event(RemoteEvent(kind: .open)))
        script.client.tells(RemoteEvent(kind: .close))
        let said = script.start().text()
        #expect(said.contains("Content-Type: application/x-wms-sendevent\r\n") && said.hasSuffix("\r\n\r\n1\r\n1,29,0\r\n"))
        let done = script.receive(WMSPClientScript.head(["Content-Length: 0"], status: "\(status) Word"))
        if status < 300 {
            #expect(done.last == .left)
        } else {
            guard case .refused("SendEvent", let told)? = done.failure else { return #expect(Bool(false), "\(done)") }
            #expect(Int(told.code) == status)
        }
    }

    @Test func anEventThatNobodyAnswers() throws {
        var script = try asking(.event(RemoteEvent(kind: .open)))
        script.start()
        #expect(script.close().failure == .unanswered)
    }

    /// Speed only where the server offers it.
    @Test(arguments: [true, false]) func asFastAsItGoes(isOffered: Bool) throws {
        var script = try asking(.media)
        script.start()
        let supported = isOffered ? ["Supported: com.microsoft.wm.sswitch, com.microsoft.wm.fastcache"] : []
        script.receive(
            WMSPClientScript.head(WMSPClientScript.cougar + supported + ["Content-Length: \(header.count)"]) + header)
        let haste = WMSPClient.Haste(
            burst: .init(bitsPerSecond: 1_000_000, milliseconds: 2_000),
            acceleration: .init(bitsPerSecond: 3_500_000, milliseconds: 18_000),
            speedThousandths: 5_050)
        let played = script.run { $0.play(nil, from: .packet(40), haste: haste, now: $1) }.text()
        #expect(played.contains("BurstBW=1000000, BurstDuration=2000, AccelBW=3500000, AccelDuration=18000"))
        #expect(played.contains("Speed=5.050") == isOffered && played.contains("packet-num=40,max-duration=0"))
        // A seek: the data connection is another, the session the same.
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar) + header + WMSPClientScript.data(40))
        let sought = script.run { $0.play(nil, from: .time(milliseconds: 9_000), now: $1) }
        #expect(sought.first == .close(.media) && sought.text().contains("stream-time=9000,") && sought.text().contains("client-id=99"))
        #expect(!sought.text().contains("Speed") && sought.text(.feedback).contains("LogStats"))
    }
}

@Suite struct PassedAuthorizationTests {
    @Test(arguments: [
        ("Basic dXNlcjpwYXNz", true), ("basic dXNlcjpwYXNz", true), ("Basic", false), ("Basic ", false), ("", false),
        ("Digest username=\"u\", uri=\"/a?b\", response=\"0\"", true), ("Digest username=\"u\", uri=\"/a\", response=\"0\"", false),
        ("Digest username=\"u\", response=\"0\"", false), ("NTLM TlRMTVNTUAAB", false), ("Negotiate YII", false),
        ("Basic dXNl\r\nX-Evil: 1", false), ("Basic dXNl\u{0}", false), ("Basic " + String(repeating: "A", count: 5_000), false),
    ]) func whatMayBePassedOn(value: String, may: Bool) {
        #expect(PassedAuthorization.mayPass(value, uri: "/a?b") == may)
    }
}

@Suite struct ContentTermsTests {
    @Test func whatIsTooLongCountsAsAbsent() {
        let long = String(repeating: "a", count: 2_000)
        let terms = ContentTerms(["Cache-Control": long, "Etag": long, "Last-Modified": "", "Vary": long])
        #expect(terms.isSilent && terms.vary.isEmpty)
        #expect(!ContentTerms(["Etag": "1"]).isSilent && !ContentTerms(["Cache-Control": "no-cache"]).isSilent)
    }
}
