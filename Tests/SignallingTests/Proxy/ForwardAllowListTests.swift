import Signalling
import Testing

/// Whom the forward proxy asks.
struct ForwardAllowListTests {
    @Test(
        "who is listed",
        arguments: [
            ("origin.example.org", "mmsh://origin.example.org/x", true),
            ("Origin.Example.org", "rtsp://ORIGIN.example.org/x", true),
            ("origin.example.org", "mmsh://origin.example.org:8080/x", false),
            ("origin.example.org:8080", "mmsh://origin.example.org:8080/x", true),
            ("origin.example.org:8080", "mmsh://origin.example.org/x", false),
            ("origin.example.org:*", "mmsh://origin.example.org:25/x", true),
            ("origin.example.org", "mmsh://origin.example.org./x", false),
            ("origin.example.org", "mmsh://evil-origin.example.org/x", false),
            ("origin.example.org", "mmsh://origin.example.org@evil.example/x", false),
            ("*.example.org", "mmsh://a.b.example.org/x", true),
            ("*.example.org", "mmsh://example.org/x", false),
            ("*.example.org", "mmsh://notexample.org/x", false),
            ("*.example.org:*", "rtsp://a.example.org:8554/x", true),
            ("192.0.2.7", "mmsh://192.0.2.7/x", true),
            ("192.0.2.7", "mmsh://192.0.2.77/x", false),
            ("[2001:DB8::1]", "mmsh://[2001:db8::1]/x", true),
            ("[2001:db8::1]:554", "mmsh://[2001:db8::1]:554/x", true),
            ("*", "mmsh://anybody.example/x", true),
            ("*", "mmsh://anybody.example:22/x", false),
            ("*:*", "mmsh://anybody.example:22/x", true),
        ])
    func listed(_ entry: String, _ url: String, _ isPermitted: Bool) throws {
        #expect(try ForwardAllowList([entry]).permits(CacheKey(url)) == isPermitted)
        #expect(try ForwardAllowList(["other.example", entry]).permits(CacheKey(url)) == isPermitted)
    }

    @Test(
        "what is no entry",
        arguments: [
            "", ":80", "h:", "h:0", "h:65536", "h:x", "http://h", "h/x", "h?x", "u@h", "a b", "*.", "*.*", "*example.org", "a.*.org",
            "[::1", "::1", "*.[::1]", "h:80:80",
        ])
    func refused(_ entry: String) { #expect(throws: ForwardAllowList.Trouble.self) { try ForwardAllowList([entry]) } }

    @Test func nobodyByDefault() throws {
        let list = try ForwardAllowList([])
        #expect(list.isEmpty)
        #expect(!list.permits(try CacheKey("mmsh://h/x")))
        #expect(throws: ForwardAllowList.Trouble.self) { try ForwardAllowList(Array(repeating: "h", count: ForwardAllowList.countMax + 1)) }
    }
}
