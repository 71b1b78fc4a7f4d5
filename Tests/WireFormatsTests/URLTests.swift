import Testing

@testable import WireFormats

struct RTSPURLTests {
    @Test(arguments: [
        ("rtsp://h", RTSPURL(host: "h"), 554), ("rtsp://h/", RTSPURL(host: "h", path: "/"), 554),
        ("RTSP://Cam.Local:8554/a/b?x=1&y=/z", RTSPURL(host: "Cam.Local", port: 8_554, path: "/a/b", query: "x=1&y=/z"), 8_554),
        ("rtsp://user:p%40ss@10.0.0.1/", RTSPURL(user: "user", password: "p@ss", host: "10.0.0.1", path: "/"), 554),
        ("rtsp://user:p@ss@h/", RTSPURL(user: "user", password: "p@ss", host: "h", path: "/"), 554),
        ("rtsp://user@h", RTSPURL(user: "user", host: "h"), 554), ("rtsp://:@h", RTSPURL(user: "", password: "", host: "h"), 554),
        ("rtsp://[::1]:8554/x", RTSPURL(host: "::1", port: 8_554, path: "/x"), 8_554),
        ("rtsp://[fe80::1%25eth0]/", RTSPURL(host: "fe80::1%25eth0", path: "/"), 554),
        // go2rtc met this one.
        ("rtsp://::ffff:1.2.3.4/", RTSPURL(host: "::ffff:1.2.3.4", path: "/"), 554),
        ("rtsp://rtsp://h/a", RTSPURL(host: "h", path: "/a"), 554), ("rtsp://h:/a", RTSPURL(host: "h", path: "/a"), 554),
        ("rtsp://h?x=1", RTSPURL(host: "h", query: "x=1"), 554), ("rtsps://h/", RTSPURL(scheme: .rtsps, host: "h", path: "/"), 322),
        ("rtspu://h", RTSPURL(scheme: .rtspu, host: "h"), 554), ("rtspt://h:1", RTSPURL(scheme: .rtspt, host: "h", port: 1), 1),
        ("rtsph://h", RTSPURL(scheme: .rtsph, host: "h"), 80), (" rtsp://h/a ", RTSPURL(host: "h", path: "/a"), 554),
    ])
    func reads(_ test: (text: String, url: RTSPURL, port: UInt16)) throws {
        let url = try RTSPURL(test.text)
        #expect(url == test.url)
        #expect(url.portOrDefault == test.port)
        #expect(try RTSPURL(url.textWithPassword) == url)
    }

    @Test(arguments: [
        ("", RTSPURLError.unknownScheme("")), ("http://h/", .unknownScheme("http://h/")), ("rtsp://", .noHost), ("rtsp:///a", .noHost),
        ("rtsp://h:0/", .malformedPort("0")), ("rtsp://h:65536/", .malformedPort("65536")), ("rtsp://h:-1/", .malformedPort("-1")),
        ("rtsp://h:99999999999999999999/", .malformedPort("99999999999999999999")), ("rtsp://[::1/", .malformedHost("[::1")),
        ("rtsp://[h]/", .malformedHost("[h]")),
        ("rtsp://[::1]x/", .malformedHost("[::1]x")), ("rtsp://h h/", .malformedHost("h h")), ("rtsp://h/\r\n", .controlCharacter(at: 9)),
        ("192.168.1.1:1935/", .unknownScheme("192.168.1.1:1935/")),
    ])
    func refuses(_ test: (text: String, error: RTSPURLError)) {
        #expect(throws: test.error) { try RTSPURL(test.text) }
    }

    @Test func refusesTooLong() {
        #expect(throws: RTSPURLError.tooLong(bytes: 5_007, bytesMax: 4_096)) {
            try RTSPURL("rtsp://" + String(repeating: "h", count: 5_000))
        }
    }

    @Test func mayLackAScheme() throws {
        #expect(try RTSPURL("192.168.1.1:1935/live", allowingNoScheme: true) == RTSPURL(host: "192.168.1.1", port: 1_935, path: "/live"))
        #expect(throws: RTSPURLError.unknownScheme("srt://h")) { try RTSPURL("srt://h", allowingNoScheme: true) }
    }

    @Test func hidesThePassword() throws {
        let url = try RTSPURL("rtspt://us%20er:secret@[::1]:8554/a?b")
        #expect("\(url)" == "rtspt://us%20er:***@[::1]:8554/a?b")
        #expect(url.requestURI == "rtsp://[::1]:8554/a?b")
        #expect(url.textWithPassword == "rtspt://us%20er:secret@[::1]:8554/a?b")
    }
}

struct ControlURLTests {
    @Test(arguments: [
        ("rtsp://h/a/", "trackID=1", "rtsp://h/a/trackID=1"), ("rtsp://h/a", "trackID=1", "rtsp://h/a/trackID=1"),
        ("rtsp://h/a", "/trackID=1", "rtsp://h/a/trackID=1"), ("rtsp://h/a/", "/trackID=1", "rtsp://h/a/trackID=1"),
        ("rtsp://h/a", "*", "rtsp://h/a"),
        ("rtsp://h/a", "", "rtsp://h/a"), ("rtsp://h/a", "rtsp://other/b", "rtsp://other/b"),
        ("rtsp://h/a", " RTSP://other/b ", "RTSP://other/b"),
        // Behind the query, as FFmpeg and LIVE555 do.
        ("rtsp://h/a?x=1", "trackID=1", "rtsp://h/a?x=1/trackID=1"),
        ("rtsp://h/a?x=1", "streamid=0?y", "rtsp://h/a?x=1/streamid=0?y"),
    ])
    func resolves(_ test: (base: String, control: String, url: String)) {
        #expect(ControlURL.resolve(test.control, base: test.base) == test.url)
    }

    @Test(
        arguments: [
            ([:], "rtsp://h/a"), (["Content-Base": "rtsp://h/b/"], "rtsp://h/b/"), (["Content-Base": "rtsp://h/b"], "rtsp://h/b"),
            (["Content-Location": "rtsp://h/c/"], "rtsp://h/c/"), (["Content-Base": "", "Content-Location": "rtsp://h/c/"], "rtsp://h/c/"),
            (["Content-Base": "rtsp://rtsp://h/d/"], "rtsp://h/d/"), (["Content-Base": "/e/"], "rtsp://h/e/"),
            (["Content-Base": "f/"], "rtsp://h/a/f/"),
            (["Content-Base": "rtsp://h:99999/"], "rtsp://h/a"),
        ] as [(RTSPHeaders, String)])
    func findsTheBase(_ test: (headers: RTSPHeaders, base: String)) {
        #expect(ControlURL.base(request: "rtsp://h/a", headers: test.headers) == test.base)
    }

    @Test(arguments: [
        // FFmpeg puts the track behind the query, GStreamer behind the path.
        ("rtsp://h/p?x=1/trackID=1", "trackID=1", "rtsp://h/p?x=1"), ("rtsp://h/p/trackID=1?x=1", "trackID=1", "rtsp://h/p?x=1"),
        ("rtsp://h/p/trackID=1", "trackID=1", "rtsp://h/p"), ("rtsp://h/p/trackID=1/", "trackID=1", "rtsp://h/p"),
        ("rtsp://h/a/b/c", "c", "rtsp://h/a/b"),
    ])
    func splitsATrackOff(_ test: (url: String, component: String, aggregate: String)) throws {
        let parts = try #require(try RTSPURL(test.url).splittingLastComponent())
        #expect(parts.component == test.component)
        #expect(parts.aggregate.requestURI == test.aggregate)
    }

    @Test func hasNothingToSplit() throws {
        #expect(try RTSPURL("rtsp://h").splittingLastComponent() == nil)
        #expect(try RTSPURL("rtsp://h/").splittingLastComponent() == nil)
    }

    @Test(
        arguments: [
            ("rtsp://h/p/streamid=0", "streamid=0", "rtsp://h/p"), ("rtsp://h/p?x/streamid=0", "streamid=0", "rtsp://h/p?x"),
            ("rtsp://h/p/streamid=0?x", "streamid=0", "rtsp://h/p?x"), ("rtsp://h/p/a/b", "a/b", "rtsp://h/p"),
            ("rtsp://h/p/a", "/a", "rtsp://h/p"),
            ("rtsp://h/p/s?y", "s?y", "rtsp://h/p"), ("rtsp://h/q", "rtsp://other/q", "rtsp://h/q"),
            ("rtsp://h/p/streamid=10", "streamid=0", nil),
            ("rtsp://h/p", "", nil), ("rtsp://h/q", "rtsp://h/r", nil),
            // Found by fuzzing: a combining mark behind a slash.
            ("rtsp://h/p/\u{30d}a", "\u{30d}a", "rtsp://h/p"), ("rtsp://h/p?x/\u{30d}a", "/\u{30d}a", "rtsp://h/p?x"),
        ] as [(String, String, String?)])
    func removesAControl(_ test: (url: String, control: String, aggregate: String?)) throws {
        #expect(try RTSPURL(test.url).removing(control: test.control)?.requestURI == test.aggregate)
    }

    @Test(arguments: [("rtsp://h/a/b/", "a/b"), ("rtsp://h//a%20b", "a b"), ("rtsp://h", ""), ("rtsp://h/%zz%4", "%zz%4")])
    func namesPaths(_ test: (url: String, name: String)) throws {
        #expect(try RTSPURL(test.url).pathName == test.name)
    }
}
