import Testing
import WireFormats

@testable import Signalling

@Suite struct RTSPClientLoginTests {
    @Test func logsInAndStaysSo() throws {
        var script = try ClientScript("rtsp://u%3A:p%40ss@cam.example/live")
        #expect(script.answer("200 OK")?.headers["Authorization"] == nil)
        let first = script.answer(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256\r\n"
        )
        #expect(first?.uri == "rtsp://cam.example/live")
        let second = script.answer("200 OK", "", body: ClientScript.sdp)
        #expect(second?.method == .describe)
        #expect(second?.headers["Authorization"]?.contains("algorithm=SHA-256") == true)
        #expect(second?.headers["Authorization"]?.contains("username=\"u:\"") == true)
        #expect(second?.headers.cseqNumber == first?.headers.cseqNumber.map { $0 + 1 })
        script.take(script.client.setUp([.interleaved], now: script.now))
        let setUp = script.answer("200 OK", "Session: a\r\n")
        #expect(setUp?.headers["Authorization"]?.contains("uri=\"rtsp://cam.example/live/track1\"") == true)
    }

    @Test func neverLoops() throws {
        var script = try ClientScript("rtsp://u:p@cam.example/live")
        var requests = 0
        while script.events.isEmpty, requests < 20 {
            script.answer("401 Unauthorized", "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\(requests)\", stale=true\r\n")
            requests += 1
        }
        #expect(script.events == [.failed(.unauthorized("the server does not accept this user and password"))])
        #expect(requests <= 3)
    }

    @Test func followsAStaleNonceInTheMiddle() throws {
        var script = try ClientScript("rtsp://u:p@cam.example/live")
        script.answer("401 Unauthorized", "WWW-Authenticate: Digest realm=\"x\", nonce=\"1\"\r\n")
        script.describe()
        script.take(script.client.setUp([.interleaved], now: script.now))
        script.answer("401 Unauthorized", "WWW-Authenticate: Digest realm=\"x\", nonce=\"2\"\r\n")
        let again = script.answer("200 OK", "Session: a\r\n")
        #expect(again?.method == .setup)
        #expect(again?.headers["Authorization"]?.contains("nonce=\"2\"") == true)
    }

    @Test(arguments: [
        ("rtsp://cam.example/other", "u"), ("rtsp://cam.example:9554/other", "u"), ("rtsp://elsewhere.example/live", nil),
        ("rtsp://a:b@elsewhere.example/live", "a"),
    ])
    func followsRedirectionsButTakesNoPasswordElsewhere(location: String, user: String?) throws {
        var script = try ClientScript("rtsp://u:p@cam.example/live")
        script.answer()
        script.answer("302 Found", "Location: \(location)\r\n")
        guard case .redirected(let url)? = script.events.last else {
            Issue.record("not redirected")
            return
        }
        #expect(url.credentials?.user == user)
    }

    /// A proxy on the way has a challenge of its own (407), and does not see the server's answered with it.
    @Test func answersAProxyToo() throws {
        var script = try ClientScript("rtsp://me:secret@cam.example/live")
        script.answer("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"p\"\r\n")
        let second = script.answer("401 Unauthorized", "WWW-Authenticate: Digest realm=\"o\", nonce=\"n\"\r\n")
        #expect(second?.headers["Proxy-Authorization"]?.hasPrefix("Basic ") == true && second?.headers["Authorization"] == nil)
        let third = script.answer("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"p\"\r\n")
        #expect(third?.headers["Authorization"]?.hasPrefix("Digest ") == true)
        guard case .failed(.unauthorized)? = script.events.last else {
            Issue.record("\(script.events)")
            return
        }
    }

    @Test func followsOnlySoManyRedirections() throws {
        var script = try ClientScript("rtsp://cam.example/live", redirections: 5)
        script.answer()
        script.answer("301 Moved", "Location: rtsp://cam.example/other\r\n")
        #expect(script.events == [.failed(.redirection("the server redirects more than 5 times"))])
    }
}

@Suite struct SourceURLTests {
    @Test(
        arguments: [
            ("rtsp://h/p", "h", 554, nil, "rtsp://h/p"),
            ("RTSP://h:8554/p?x=1", "h", 8554, nil, "rtsp://h:8554/p?x=1"), ("rtspt://h/p", "h", 554, nil, "rtsp://h/p"),
            ("rtsp://u:p@h:1/p", "h", 1, "u/p", "rtsp://h:1/p"),
            ("rtsp://u:p@ss@h/p", "h", 554, "u/p@ss", "rtsp://h/p"),
            ("rtsp://u@[::1]:8554/", "::1", 8554, "u/", "rtsp://[::1]:8554/"),
            ("rtsp://a%20b:%2F@h", "h", 554, "a b//", "rtsp://h"),
            ("rtsp://h?x", "h", 554, nil, "rtsp://h?x"),
        ] as [(String, String, UInt16, String?, String)])
    func takesApart(text: String, host: String, port: UInt16, user: String?, request: String) throws {
        let url = try SourceURL(text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.credentials.map { "\($0.user)/\($0.password)" } == user)
        #expect(url.request == request)
        #expect(url.description == request.replacing("?x=1", with: "?…").replacing("?x", with: "?…"))
    }

    @Test(arguments: [
        "http://h/p", "rtsp:///p", "rtsp://h:0/p", "rtsp://h:70000/", "rtsp://h:x/", "rtsp://[::1/", "rtsp://h/a b", "rtsps://h/",
    ])
    func refuses(text: String) {
        #expect(throws: SourceURL.Trouble.self) { try SourceURL(text) }
    }

    @Test(arguments: [
        "rtsp://u:secret@h:x/", "rtsp://u:secret/2@h/", "rtsp://u:12/secret@h/", "htsp://u:secret@h/", "rtsp://u:sec?ret@h/",
        "rtsp://u:12?secret@h/",
    ])
    func repeatsNoPassword(text: String) {
        let error = #expect(throws: SourceURL.Trouble.self) { try SourceURL(text) }
        #expect(error?.description.contains("sec") == false)
    }

    @Test func showsNoQuery() throws {
        #expect(try SourceURL("rtsp://h/p?user=a&password=secret").description == "rtsp://h/p?…")
    }
}
