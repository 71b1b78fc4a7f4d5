import Testing
import WireFormats

/// Under which text content is kept, and asked for.
struct CanonicalURLTests {
    @Test(
        "one place has one text",
        arguments: [
            ("mmsh://example.org/a.wmv", "mmsh://example.org/a.wmv"),
            // Schemes and defaults of ports.
            ("http://example.org:80/a.wmv", "mmsh://example.org/a.wmv"),
            ("MMSHTTP://example.org/a.wmv", "mmsh://example.org/a.wmv"),
            ("mms://example.org/a.wmv", "mmsh://example.org/a.wmv"),
            ("mmsh://example.org:/a.wmv", "mmsh://example.org/a.wmv"),
            ("mmsh://example.org:0080/a.wmv", "mmsh://example.org/a.wmv"),
            ("mmsh://example.org:554/a.wmv", "mmsh://example.org:554/a.wmv"),
            ("rtsp://example.org:554/a.wmv", "rtsp://example.org/a.wmv"),
            ("rtspu://example.org/a.wmv", "rtsp://example.org/a.wmv"),
            ("rtspt://example.org:8554/a.wmv", "rtsp://example.org:8554/a.wmv"),
            ("rtsps://example.org:322/a.wmv", "rtsps://example.org/a.wmv"),
            // Hosts.
            ("mmsh://EXAMPLE.Org/A.wmv", "mmsh://example.org/A.wmv"),
            ("mmsh://[2001:DB8::A]:80/x", "mmsh://[2001:db8::a]/x"),
            ("mmsh://[::1]:8080/x", "mmsh://[::1]:8080/x"),
            ("  mmsh://h/x\t", "mmsh://h/x"),
            // Who asks.
            ("mmsh://user:secret@h/x", "mmsh://h/x"),
            ("mmsh://user:p@ss@h/x", "mmsh://h/x"),
            ("mmsh://evil.example@h/x", "mmsh://h/x"),
            // Paths.
            ("mmsh://h", "mmsh://h/"),
            ("mmsh://h?a=1", "mmsh://h/?a=1"),
            ("mmsh://h/a/./b/../c", "mmsh://h/a/c"),
            ("mmsh://h/a/%2e%2E/c", "mmsh://h/c"),
            ("mmsh://h/a/..", "mmsh://h/"),
            ("mmsh://h/a/b/.", "mmsh://h/a/b/"),
            ("mmsh://h/%7euser/%41%62.wmv", "mmsh://h/~user/Ab.wmv"),
            ("mmsh://h/a%2fb", "mmsh://h/a%2Fb"),
            ("mmsh://h/a\\..\\b", "mmsh://h/a%5C..%5Cb"),
            ("mmsh://h/ü x", "mmsh://h/%C3%BC%20x"),
            ("mmsh://h/%c3%bc%20x", "mmsh://h/%C3%BC%20x"),
            ("mmsh://h/a%3Fb", "mmsh://h/a%3Fb"),
            ("mmsh://h/a%23b", "mmsh://h/a%23b"),
            ("mmsh://h/a%0d%0aHost:%20evil", "mmsh://h/a%0D%0AHost:%20evil"),
            ("mmsh://h/a;v=1,2", "mmsh://h/a;v=1,2"),
            // Queries: what speaks of the player leaves it, all else stays, and in its order.
            ("mmsh://h/x?WMCache=0", "mmsh://h/x"),
            ("mmsh://h/x?wmbitrate=6000000&wmcache=0", "mmsh://h/x"),
            ("mmsh://h/x?WMCache", "mmsh://h/x"),
            ("mmsh://h/x?b=2&WMCache=0&a=1", "mmsh://h/x?b=2&a=1"),
            ("mmsh://h/x?a=1&a=1", "mmsh://h/x?a=1&a=1"),
            ("mmsh://h/x?a=%41%26b", "mmsh://h/x?a=A%26b"),
            ("mmsh://h/x?XWMCache=0&WMCache2=1", "mmsh://h/x?XWMCache=0&WMCache2=1"),
            ("mmsh://h/x?", "mmsh://h/x"),
            ("mmsh://h/x?a=/../?", "mmsh://h/x?a=/../?"),
        ])
    func texts(_ url: String, _ canonical: String) throws {
        let place = try CanonicalURL(url)
        #expect(place.url == canonical)
        #expect(try CanonicalURL(place.url) == place)
    }

    @Test(
        "what an origin may take for two things is two things",
        arguments: [
            ("mmsh://h/x", "mmsh://h/X"), ("mmsh://h/x", "mmsh://h//x"), ("mmsh://h/x", "mmsh://h/x/"), ("mmsh://h/a/b", "mmsh://h/a%2Fb"),
            ("mmsh://h/x", "rtsp://h/x"), ("rtsp://h/x", "rtsps://h/x"), ("mmsh://h/x", "mmsh://h:8080/x"), ("mmsh://h/x", "mmsh://h./x"),
            ("mmsh://h/x?a=1", "mmsh://h/x?a=2"), ("mmsh://h/x?a=1&b=2", "mmsh://h/x?b=2&a=1"), ("mmsh://h/x?a=1", "mmsh://h/x%3Fa=1"),
            ("mmsh://h/x", "mmsh://h/x?a"), ("mmsh://h/x?A=1", "mmsh://h/x?a=1"), ("mmsh://h/x", "mmsh://h/x%20"),
        ])
    func different(_ first: String, _ second: String) throws { #expect(try CanonicalURL(first) != CanonicalURL(second)) }

    @Test(
        "what cannot be told apart is not kept at all",
        arguments: [
            ("h/x", CanonicalURL.Trouble.scheme), ("ftp://h/x", .scheme), ("", .scheme), ("mmsh:/h/x", .scheme), ("mmst://h/x", .scheme),
            ("mmsh:///x", .host), ("mmsh://user@/x", .host), ("mmsh://a b/x", .host), ("mmsh://h%41/x", .host), ("mmsh://hü/x", .host),
            ("mmsh://::1/x", .host), ("mmsh://[::1/x", .host), ("mmsh://[h]/x", .host), ("mmsh://[::1]x/y", .host), ("mmsh://[]/", .host),
            ("mmsh://h:0/x", .port), ("mmsh://h:65536/x", .port), ("mmsh://h:+80/x", .port), ("mmsh://h:80a/x", .port),
            ("mmsh://h:80:80/x", .port),
            ("mmsh://h/%", .percent), ("mmsh://h/%4", .percent), ("mmsh://h/%zz", .percent), ("mmsh://h/a%00b", .percent),
            ("mmsh://h/x?%", .percent), ("mmsh://h/a\nb", .character), ("mmsh://h/a\r\nHost: evil", .character),
            ("mmsh://h/a\u{7F}", .character),
            ("mmsh://h/a#b", .character), ("mmsh://h/a?b#c", .character), ("mmsh://h/..", .outside), ("mmsh://h/a/../../b", .outside),
            ("mmsh://h/%2e%2e/etc", .outside),
        ])
    func refused(_ url: String, _ trouble: CanonicalURL.Trouble) {
        #expect(throws: trouble) { try CanonicalURL(url) }
        #expect(!trouble.description.isEmpty)
    }

    @Test func lengthIsBounded() throws {
        let long = "mmsh://h/" + String(repeating: "x", count: CanonicalURL.bytesMax - 9)
        #expect(try CanonicalURL(long).url == long)
        #expect(throws: CanonicalURL.Trouble.tooLong(bytes: CanonicalURL.bytesMax + 1)) { try CanonicalURL(long + "x") }
        // 3 bytes of text for each byte.
        let escaped = "mmsh://h/" + String(repeating: " ", count: 1_000) + "x"
        #expect(throws: CanonicalURL.Trouble.tooLong(bytes: 9 + 3_001)) { try CanonicalURL(escaped) }
    }

    @Test func mmsMayLieUnderBoth() throws {
        #expect(try CanonicalURL.candidates("mms://h/x?WMCache=0").map(\.url) == ["rtsp://h/x", "mmsh://h/x"])
        #expect(try CanonicalURL.candidates("mms://h:1755/x").map(\.url) == ["rtsp://h:1755/x", "mmsh://h:1755/x"])
        #expect(try CanonicalURL.candidates("http://h/x").map(\.url) == ["mmsh://h/x"])
    }

    @Test func partsAreTold() throws {
        let place = try CanonicalURL("rtspt://[::1]:8554/a/b?c")
        #expect(place.scheme == .rtsp && place.host == "::1" && place.port == 8_554 && place.target == "/a/b?c")
        #expect(place.authority == "[::1]:8554" && place.description == place.url)
    }
}
