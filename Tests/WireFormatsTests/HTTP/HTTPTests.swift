import Testing

@testable import WireFormats

@Suite struct HTTPRequestParserTests {
    @Test func requestsOneBehindTheOther() throws {
        let text =
            "GET /a?b HTTP/1.0\r\nUser-Agent: NSPlayer/9.0\r\nPragma: no-cache,rate=1\r\n stream-time=0\r\n\r\n"
            + "POST http://h:80/a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcOPTIONS * HTTP/1.1\r\n\r\n"
        for step in [1, 5, 1_000] {
            var parser = HTTPRequestParser()
            var requests: [HTTPRequest] = []
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: step) {
                parser.append(bytes[start..<min(start + step, bytes.count)])
                while let request = try parser.next() { requests.append(request) }
            }
            #expect(requests.map(\.method) == [.other("GET"), .other("POST"), .options] && requests[1].body == Array("abc".utf8))
            #expect(
                requests[0].headers["pragma"] == "no-cache,rate=1 stream-time=0" && requests.map(\.allowsAnother) == [false, true, true])
            #expect(parser.bytesBuffered == 0)
        }
    }

    @Test func aBodyThatWaitsForAWord() throws {
        var parser = HTTPRequestParser()
        parser.append(Array("POST /a HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n".utf8))
        #expect(try parser.next() == nil && !parser.awaitsContinue)
        parser.append(Array("\r\n".utf8))
        #expect(try parser.next() == nil && parser.awaitsContinue)
        parser.append(Array("ab".utf8))
        #expect(try parser.next()?.body == [0x61, 0x62] && !parser.awaitsContinue)
    }

    @Test(
        arguments: [
            ("GET / RTSP/1.0\r\n\r\n", 505), ("GET / HTTP/2.0\r\n\r\n", 505), ("HTTP/1.1 200 OK\r\n\r\n", 400), ("$\0\0\0", 400),
            ("GET /\r\n\r\n", 400), ("GET / HTTP/1.0\r\nnothing\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
            ("POST / HTTP/1.1\r\nContent-Length: 2147483647\r\n\r\n", 413), ("GET /" + String(repeating: "a", count: 9_000), 414),
            ("GET / HTTP/1.0\r\nPragma: " + String(repeating: "a=1,", count: 16 << 10), 431),
            ("GET / HTTP/1.0\r\n" + String(repeating: "Pragma: a=1\r\n", count: 65) + "\r\n", 431),
            ("GET / HTTP/1.0\r\n" + String(repeating: "Pragma: \(String(repeating: "b", count: 1_000))\r\n", count: 20) + "\r\n", 431),
        ] as [(String, UInt16)])
    func refusals(text: String, status: UInt16) throws {
        var parser = HTTPRequestParser()
        parser.append(Array(text.utf8))
        let trouble = #expect(throws: HTTPRequestParser.Trouble.self) { try parser.next() }
        #expect(trouble?.status.code == status && trouble?.description.isEmpty == false)
    }
}

@Suite struct HTTPTargetTests {
    @Test(
        arguments: [
            ("/a", nil as String?, "a", nil as String?), ("/a/b%20c/?x=1", nil, "a/b c", "x=1"),
            ("http://h:8080/a?b?c", "h:8080", "a", "b?c"),
            ("HTTP://h", "h", "", nil), ("mms://h/a", "h", "a", nil), ("http://h?x", "h", "", "x"), ("/", nil, "", nil),
            ("/simple.wsx?WMCache=0", nil, "simple.wsx", "WMCache=0"),
        ] as [(String, String?, String, String?)])
    func forms(text: String, authority: String?, path: String, query: String?) throws {
        let target = try HTTPTarget(text)
        #expect(target.authority == authority && target.path == path && target.query == query && !target.isServer)
    }

    @Test func server() throws { #expect(try HTTPTarget("*").isServer) }

    @Test(
        arguments: [
            ("a", HTTPTarget.Trouble.unknownForm), ("", .unknownForm), ("rtsp://h/a", .otherScheme("rtsp")), ("/%4", .malformedPath),
            ("/%zz", .malformedPath), ("/%00", .malformedPath), ("/%ff", .malformedPath), ("/%0d%0a", .malformedPath),
        ] as [(String, HTTPTarget.Trouble)])
    func refusals(text: String, trouble: HTTPTarget.Trouble) {
        #expect(throws: trouble) { try HTTPTarget(text) }
        #expect(!trouble.description.isEmpty)
    }

    @Test(
        arguments: [
            ("/a", nil as String?), ("/a?WMCache=0", nil), ("/a?x=1&wmcache=0&y=2&WMBitrate=6000000", "x=1&y=2"), ("/a?", nil),
            ("/a?WMCacheX=1", "WMCacheX=1"),
        ] as [(String, String?)])
    func contentQueries(text: String, query: String?) throws { #expect(try HTTPTarget(text).contentQuery == query) }
}

@Suite struct ChunkedCodingTests {
    @Test func golden() {
        #expect(ChunkedCoding.chunk(WMSPFraming.pipelineTest) == hex("34 0d 0a 24 54 00 00 0d 0a"))
        #expect(ChunkedCoding.chunk([]).isEmpty && ChunkedCoding.end == hex("30 0d 0a 0d 0a"))
        #expect(ChunkedCoding.head(bytes: 338) == hex("31 35 32 0d 0a"))
    }

    @Test(
        arguments: [
            ("3\r\nabc\r\n0\r\n\r\n", "abc", 0), ("3\nabc\n0\n\n", "abc", 0),
            ("3;x=y\r\nabc\r\n2 \r\nde\r\n0\r\nTrailer: 1\r\n\r\nHTTP", "abcde", 4),
            ("A\r\n0123456789\r\n000\r\n\r\n", "0123456789", 0), ("0\r\n\r\n", "", 0),
        ] as [(String, String, Int)])
    func decodes(coded: String, body: String, left: Int) throws {
        for step in [1, 2, 3, 1_000] {
            let bytes = Array(coded.utf8)
            var decoder = ChunkedDecoder()
            var found: [UInt8] = []
            var taken = 0
            for start in stride(from: 0, to: bytes.count, by: step) {
                let piece = try decoder.decode(bytes[start..<min(start + step, bytes.count)])
                found += piece.body
                taken += piece.taken
            }
            #expect(found == Array(body.utf8) && decoder.isEnded && bytes.count - taken == left && decoder.bytesTaken == UInt64(taken))
        }
    }

    @Test(
        arguments: [
            ("x", ChunkedDecoder.Trouble.malformedSize(byte: 0x78, at: 0)), ("\r\n", .malformedSize(byte: 13, at: 0)),
            ("-1\r\n", .malformedSize(byte: 0x2D, at: 0)), ("3\r\nabcd", .endMissing(byte: 0x64, at: 6)),
            ("3\r\nabc\r\r", .endMissing(byte: 13, at: 7)),
            ("FFFFFFFFF", .chunkTooLarge(at: 7)), ("0000000000000000000", .chunkTooLarge(at: 16)),
            ("1;" + String(repeating: "x", count: 300), .tooMuchBeside(bytesMax: 256, at: 258)),
            ("0\r\n" + String(repeating: "a: b\r\n", count: 1_000), .tooMuchBeside(bytesMax: 4_096, at: 4_099)),
        ] as [(String, ChunkedDecoder.Trouble)])
    func broken(coded: String, trouble: ChunkedDecoder.Trouble) {
        #expect(throws: trouble) {
            var decoder = ChunkedDecoder()
            _ = try decoder.decode(Array(coded.utf8)[...])
        }
        #expect(!trouble.description.isEmpty)
    }
}

@Suite struct HTTPResponseReaderTests {
    private func read(_ text: String, step: Int, closing: Bool) throws -> (heads: [UInt16], bodies: [String], reader: HTTPResponseReader) {
        var reader = HTTPResponseReader()
        var heads: [UInt16] = []
        var bodies: [String] = []
        let bytes = Array(text.utf8)
        var events: [HTTPResponseReader.Event] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            reader.append(Array(bytes[start..<min(start + step, bytes.count)]))
            while let event = try reader.next() { events.append(event) }
        }
        if closing {
            reader.close()
            while let event = try reader.next() { events.append(event) }
        }
        var body = ""
        for event in events {
            switch event {
            case .head(let response): heads.append(response.status.code)
            case .body(let piece): body += String(decoding: piece, as: UTF8.self)
            case .end:
                bodies.append(body)
                body = ""
            }
        }
        return (heads, bodies, reader)
    }

    @Test(
        arguments: [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.0 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
                false, [200, 204, 200], ["abc", "", "x"]
            ),
            ("HTTP/1.0 200 OK\r\n\r\nabc\r\n\r\n", true, [200], ["abc\r\n\r\n"]), ("HTTP/1.0 200 OK\r\n\r\nabc", false, [200], []),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-length: 0\r\n\r\n\r\nHTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n",
                false, [404, 304], ["", ""]
            ),
            ("HTTP/1.0 200 OK\nServer: Cougar 4.1.0.3921\n\n", true, [200], [""]),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true, [200], [""]), ("", true, [], []),
        ] as [(String, Bool, [UInt16], [String])])
    func responses(text: String, closing: Bool, heads: [UInt16], bodies: [String]) throws {
        for step in [1, 3, 1_000] {
            let found = try read(text, step: step, closing: closing)
            #expect(found.heads == heads && found.bodies == bodies)
            #expect(found.reader.isAtRest == (heads.count == bodies.count))
        }
    }

    @Test(
        arguments: [
            ("GET / HTTP/1.0\r\n\r\n", "no HTTP response"), ("RTSP/1.0 200 OK\r\n\r\n", "no HTTP response"),
            ("ICY 200 OK\r\n\r\n", "request line"),
            ("HTTP/1.0 200 OK\r\nnothing\r\n\r\n", "nothing"), ("HTTP/1.0 200 OK\r\nContent-Length: x\r\n\r\n", "Content-Length"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "gzip"), ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabc", "ended"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "ended"), ("HTTP/1.0 200", "ended"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz", "size"),
            ("HTTP/1.0 200 OK\r\n" + String(repeating: "a: b\r\n", count: 129) + "\r\n", "128"),
            ("HTTP/1.0 200 OK\r\nA: " + String(repeating: "a", count: 9_000) + "\r\n\r\n", "8192"),
            (String(repeating: "a", count: 40_000), "32768"),
        ] as [(String, String)])
    func broken(text: String, words: String) {
        for step in [1, 100_000] {
            let trouble = #expect(throws: HTTPResponseReader.Trouble.self) { try read(text, step: step, closing: true) }
            #expect(trouble?.description.contains(words) == true, "\(trouble?.description ?? "")")
        }
    }

    @Test func headAlone() throws {
        var reader = HTTPResponseReader()
        reader.expectsNoBody = true
        reader.append(Array("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.0 200 OK\r\n\r\n".utf8))
        guard case .head = try reader.next() else { Issue.record("no head"); return }
        #expect(try reader.next() == .end)
        guard case .head = try reader.next() else { Issue.record("no second head"); return }
        #expect(reader.endsWithConnection)
    }
}
