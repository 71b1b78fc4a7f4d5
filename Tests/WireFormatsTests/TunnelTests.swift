import Testing

@testable import WireFormats

@Suite struct TunnelRequestTests {
    @Test(arguments: [
        ("", TunnelRequest.Beginning.open), ("G", .open), ("GET", .open), ("GET ", .http), ("GET_", .other), ("P", .open), ("PL", .other),
        ("POST", .open), ("POST /", .http), ("CON", .open), ("CONNECT", .open), ("CONNECT h:443", .connect), ("CONNECTS", .other),
        ("get ", .other), ("\r\n", .other), ("$", .other), ("OPTIONS", .other),
    ])
    func beginnings(text: String, beginning: TunnelRequest.Beginning) {
        #expect(TunnelRequest.beginning(Array(text.utf8)) == beginning)
    }

    @Test(arguments: [
        ("GET /a?b HTTP/1.0\r\nx-sessioncookie: abc\r\n\r\nrest", TunnelRequest.Method.get, "/a?b", "abc" as String?),
        ("POST / HTTP/1.1\nX-SESSIONCOOKIE:abc\n\n", .post, "/", "abc"), ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", .get, "/", nil),
        ("GET / HTTP/1.1\r\nSupported: a,\r\n  b\r\nx-sessioncookie: c\r\n\r\n", .get, "/", "c"),
        ("GET / HTTP/1.1\r\nx-sessioncookie:\r\n\r\n", .get, "/", nil), ("GET / HTTP/1.1\r\nx-sessioncookie: a b\r\n\r\n", .get, "/", nil),
        ("GET / HTTP/1.1\r\nx-sessioncookie: \(String(repeating: "a", count: 129))\r\n\r\n", .get, "/", nil),
        ("GET / HTTP/1.1\r\nx-sessioncookie: a\r\nx-sessioncookie: b\r\n\r\n", .get, "/", "a"),
    ])
    func heads(text: String, method: TunnelRequest.Method, target: String, cookie: String?) throws {
        let request = try #require(try TunnelRequest.parse(Array(text.utf8)))
        #expect(request.method == method && request.target == target && request.cookie == cookie)
        #expect(request.headBytes == text.utf8.count - (text.hasSuffix("rest") ? 4 : 0))
        for count in 0..<request.headBytes { #expect(try TunnelRequest.parse(Array(text.utf8.prefix(count))) == nil) }
    }

    @Test(arguments: [
        ("GET / RTSP/1.0\r\n\r\n", TunnelRequest.Trouble.malformed), ("GET /\r\n\r\n", .malformed), ("\r\n", .malformed),
        ("GET / HTTP/2\r\n\r\n", .malformed), ("GET / HTTP/1.0\r\nnothing\r\n\r\n", .malformed),
        ("GET / HTTP/1.0\r\n a: b\r\n\r\n", .malformed),
        ("GET /" + String(repeating: "a", count: 9_000), .tooLong),
        ("GET / HTTP/1.0\r\n" + String(repeating: "a: b\r\n", count: 2_000) + "\r\n", .tooLong),
    ])
    func refuses(text: String, trouble: TunnelRequest.Trouble) {
        #expect(throws: trouble) { try TunnelRequest.parse(Array(text.utf8)) }
    }
}

@Suite struct TunnelDecoderTests {
    @Test(arguments: [
        ("", ""), ("T0s=", "OK"), ("T0s=T0s=", "OKOK"), ("T 0\r\ns=\n", "OK"), ("T0tP", "OKO"), ("TQ==TQ==", "MM"), ("====", ""),
        ("T=", ""),
        ("T0s", ""),
    ])
    func decodes(letters: String, text: String) throws {
        var whole = TunnelDecoder()
        #expect(try whole.decode(Array(letters.utf8)) == Array(text.utf8))
        var pieces = TunnelDecoder()
        #expect(try letters.utf8.flatMap { try pieces.decode([$0]) } == Array(text.utf8))
    }

    @Test func whatIsNoLetterIsRefused() {
        var decoder = TunnelDecoder()
        #expect(throws: TunnelDecoder.Trouble(byte: UInt8(ascii: "-"))) { try decoder.decode(Array("T0-s".utf8)) }
    }
}
