import Testing

@testable import WireFormats

/// Everything that a parser gives for bytes fed in pieces of `step`.
func elements(_ bytes: [UInt8], step: Int = .max, limits: RTSPLimits = .server) throws(RTSPParseError) -> [RTSPElement] {
    var parser = RTSPParser(limits: limits)
    var found: [RTSPElement] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        parser.append(rest.prefix(step))
        rest = rest.dropFirst(step)
        while let element = try parser.next() { found.append(element) }
    }
    return found
}

func elements(_ text: String, step: Int = .max, limits: RTSPLimits = .server) throws(RTSPParseError) -> [RTSPElement] {
    try elements(Array(text.utf8), step: step, limits: limits)
}

struct RTSPParserTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String, bytes: [UInt8], expected: [RTSPElement]
        var testDescription: String { name }

        init(_ name: String, _ text: String, _ expected: [RTSPElement]) {
            self.init(name, Array(text.utf8), expected)
        }

        init(_ name: String, _ bytes: [UInt8], _ expected: [RTSPElement]) {
            self.name = name
            self.bytes = bytes
            self.expected = expected
        }
    }

    static let options = RTSPRequest(method: .options, uri: "*", headers: ["CSeq": "1"])
    static let cases: [Case] = [
        Case("a request", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", [.request(options)]),
        Case("bare line feeds", "OPTIONS * RTSP/1.0\nCSeq: 1\n\n", [.request(options)]),
        Case(
            "CR, LF and NUL between messages (MPlayer, GStreamer)",
            "\0\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n\0\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            [.request(options), .request(options)]),
        Case("blanks behind CSeq (Longse)", "OPTIONS * RTSP/1.0\r\nCSeq:   1  \t\r\n\r\n", [.request(options)]),
        Case("a blank before the colon", "OPTIONS * RTSP/1.0\r\nCSeq : 1\r\n\r\n", [.request(options)]),
        Case(
            "a folded line", "PLAY rtsp://h/a RTSP/1.0\r\nRange: npt=0-\r\n\t;time=1\r\n\r\n",
            [.request(RTSPRequest(method: .play, uri: "rtsp://h/a", headers: ["Range": "npt=0- ;time=1"]))]),
        Case(
            "a body, Content-length in small letters, and the next message at once",
            "SET_PARAMETER rtsp://h/a RTSP/1.0\r\nContent-length: 3\r\n\r\nabcOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            [
                .request(RTSPRequest(method: .setParameter, uri: "rtsp://h/a", headers: ["Content-length": "3"], body: Array("abc".utf8))),
                .request(options),
            ]),
        Case(
            "the same Content-Length twice", "ANNOUNCE rtsp://h/a RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            [
                .request(
                    RTSPRequest(
                        method: .announce, uri: "rtsp://h/a", headers: ["Content-Length": "1", "Content-Length": "1"], body: [0x78]))
            ]),
        Case(
            "a response with empty body", "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 0\r\n\r\n",
            [.response(RTSPResponse(status: .ok, headers: ["CSeq": "2", "Content-Length": "0"]))]),
        Case(
            "a response without reason", "RTSP/1.0 454\r\nCSeq: 2\r\n\r\n",
            [.response(RTSPResponse(status: RTSPStatus(code: 454, reason: ""), headers: ["CSeq": "2"]))]),
        Case("two carriage returns at each line's end", "OPTIONS * RTSP/1.0\r\r\nCSeq: 1\r\r\n\r\r\n", [.request(options)]),
        Case("a frame", [0x24, 1, 0, 2, 0xAA, 0xBB], [.interleaved(channel: 1, payload: [0xAA, 0xBB])]),
        Case("an empty frame", [0x24, 255, 0, 0], [.interleaved(channel: 255, payload: [])]),
        Case(
            "frames between messages (ffmpeg reads, RTCP before the PLAY answer of Reolink)",
            [0x24, 1, 0, 1, 0x24] + Array("RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n".utf8) + [0x24, 0, 0, 1, 0x0D],
            [
                .interleaved(channel: 1, payload: [0x24]), .response(RTSPResponse(status: .ok, headers: ["CSeq": "2"])),
                .interleaved(channel: 0, payload: [0x0D]),
            ]),
        Case(
            "a blank inside of the URI", "DESCRIBE rtsp://h/a b RTSP/1.0\r\n\r\n",
            [.request(RTSPRequest(method: .describe, uri: "rtsp://h/a b"))]),
        Case(
            "another RTSP version", "PLAY_NOTIFY rtsp://h/ RTSP/2.0\r\n\r\n",
            [.request(RTSPRequest(method: .other("PLAY_NOTIFY"), uri: "rtsp://h/", version: .otherRTSP(major: 2, minor: 0)))]),
        Case(
            "an HTTP tunnel's GET (QuickTime)", "GET /a HTTP/1.0\r\nx-sessioncookie: abc\r\n\r\n",
            [.request(RTSPRequest(method: .other("GET"), uri: "/a", version: .http(minor: 0), headers: ["x-sessioncookie": "abc"]))]),
        Case(
            "a header that is not UTF-8", Array("OPTIONS * RTSP/1.0\r\nX: ".utf8) + [0xE9] + Array("\r\n\r\n".utf8),
            [.request(RTSPRequest(method: .options, uri: "*", headers: ["X": "\u{FFFD}"]))]),
    ]

    @Test(arguments: cases, [Int.max, 1, 2, 3, 5])
    func reads(_ test: Case, step: Int) throws {
        #expect(try elements(test.bytes, step: step) == test.expected)
    }

    static let refused: [(String, RTSPParseError, UInt16)] = [
        ("HELLO\r\n\r\n", .malformedFirstLine("HELLO"), 400),
        ("\u{1}\u{2}\u{3} x RTSP/1.0\r\n", .malformedFirstLine("??? x RTSP/1.0"), 400),
        ("OPTIONS \0 RTSP/1.0\r\n", .malformedFirstLine("OPTIONS ? RTSP/1.0"), 400),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\0\r\n", .malformedHeader("CSeq: 1?", line: 2), 400),
        ("OPTIONS * RTSP/1.0\r\nX: a\rY: b\r\n", .malformedHeader("X: a?Y: b", line: 2), 400),
        ("OPTIONS * RTSP/1.0\r\nX: a\r\n b\0\r\n", .malformedHeader(" b?", line: 3), 400),
        ("OPTIONS * FOO/1.0\r\n", .unsupportedVersion("FOO/1.0"), 505),
        ("GET / HTTP/2.0\r\n", .unsupportedVersion("HTTP/2.0"), 505),
        ("RTSP/1.0 abc OK\r\n", .malformedFirstLine("RTSP/1.0 abc OK"), 400),
        ("RTSP/1.0 099 OK\r\n", .malformedFirstLine("RTSP/1.0 099 OK"), 400),
        ("OPTIONS * RTSP/1.0\r\nno colon\r\n", .malformedHeader("no colon", line: 2), 400),
        ("OPTIONS * RTSP/1.0\r\n: x\r\n", .malformedHeader(": x", line: 2), 400),
        ("OPTIONS * RTSP/1.0\r\n folded\r\n", .foldedLineFirst, 400),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n", .malformedContentLength("-1"), 400),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: \r\n\r\n", .malformedContentLength(""), 400),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: 1, 1\r\n\r\n", .malformedContentLength("1, 1"), 400),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: 999999999\r\n\r\n", .bodyTooLong(bytes: 999_999_999, bytesMax: 65_536), 413),
        (
            "OPTIONS * RTSP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\n", .bodyTooLong(bytes: .max, bytesMax: 65_536), 413
        ),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n", .bodyTooLong(bytes: nil, bytesMax: 65_536), 413),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n", .conflictingContentLength("1", "2"), 400),
        (String(repeating: "x", count: 8_300), .lineTooLong(bytesMax: 8_192, isFirst: true), 414),
        ("OPTIONS * RTSP/1.0\r\nX: " + String(repeating: "x", count: 8_300), .lineTooLong(bytesMax: 8_192, isFirst: false), 400),
        ("OPTIONS * RTSP/1.0\r\n" + String(repeating: "X: y\r\n", count: 65), .tooManyHeaders(countMax: 64), 400),
        (
            "OPTIONS * RTSP/1.0\r\n" + String(repeating: "X: " + String(repeating: "y", count: 6_000) + "\r\n", count: 3),
            .headTooLong(bytesMax: 16_384), 400
        ),
    ]

    @Test(arguments: refused, [Int.max, 1, 7])
    func refuses(_ test: (text: String, error: RTSPParseError, status: UInt16), step: Int) {
        #expect(throws: test.error) { try elements(test.text, step: step) }
        #expect(test.error.status.code == test.status)
        #expect(!test.error.description.isEmpty)
    }

    @Test func failsForGoodAndKnowsTheSequenceNumber() {
        var parser = RTSPParser()
        parser.append(Array("OPTIONS * RTSP/1.0\r\nCSeq: 7\r\nContent-Length: -5\r\n\r\n".utf8))
        for _ in 0..<2 {
            #expect(throws: RTSPParseError.malformedContentLength("-5")) { try parser.next() }
            #expect(parser.cseqOfUnfinishedMessage == "7")
        }
    }

    @Test func countsWhatItConsumedAndGivesTheRestBack() throws {
        let play = Array("\r\nPLAY rtsp://h/a RTSP/1.0\r\nCSeq: 4\r\n\r\n".utf8)
        let rest: [UInt8] = [0x24, 0, 0, 9, 1, 2]
        var parser = RTSPParser()
        parser.append((play + rest).span)
        let atText = parser.isAtInterleavedFrame()
        #expect(!atText)
        let first = try parser.next()
        #expect(first != nil)
        #expect(parser.bytesConsumed == UInt64(play.count))
        let atFrame = parser.isAtInterleavedFrame()
        #expect(atFrame)
        #expect(parser.bytesBuffered == rest.count)
        let taken = parser.takeRemainder()
        #expect(taken == rest)
        #expect(parser.bytesBuffered == 0)
        // As new: the next message is read.
        parser.append(play)
        let second = try parser.next()
        #expect(second != nil)
    }

    @Test func givesBackAnUnfinishedMessageWhole() throws {
        let part = Array("ANNOUNCE rtsp://h/a RTSP/1.0\r\nContent-Length: 10\r\n\r\nabc".utf8)
        var parser = RTSPParser()
        for byte in part {
            parser.append([byte])
            let element = try parser.next()
            #expect(element == nil)
        }
        let taken = parser.takeRemainder()
        #expect(taken == part)
    }

    @Test func aRemainderIsReadOnByAnotherParser() throws {
        let bytes = Array("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".utf8)
        for cut in 1..<bytes.count {
            var first = RTSPParser()
            first.append(bytes[..<cut])
            let none = try first.next()
            #expect(none == nil)
            var second = RTSPParser()
            second.append(first.takeRemainder())
            second.append(bytes[cut...])
            let element = try second.next()
            #expect(element == .request(Self.options))
        }
    }

    /// 1 MiB byte by byte: quadratic work would take minutes.
    @Test(.timeLimit(.minutes(1))) func isLinearByteByByte() throws {
        var parser = RTSPParser(limits: .client)
        let bytes = RTSPRequest(method: .announce, uri: "rtsp://h/a", body: [UInt8](repeating: 0x61, count: 1 << 20)).serialized()
        var found: RTSPElement?
        for byte in bytes {
            parser.append([byte])
            if let element = try parser.next() { found = element }
        }
        #expect(found != nil)
        #expect(parser.bytesBuffered == 0)
    }

    @Test func writesWhatItReads() throws {
        let request = RTSPRequest(
            method: .setParameter, uri: "rtsp://h/a", headers: ["CSeq": "3", "Session": "x"], body: Array("a: b".utf8))
        let expected = "SET_PARAMETER rtsp://h/a RTSP/1.0\r\nCSeq: 3\r\nSession: x\r\nContent-Length: 4\r\n\r\na: b"
        #expect(String(decoding: request.serialized(), as: UTF8.self) == expected)
        let response = RTSPResponse(status: .sessionNotFound, headers: ["CSeq": "3", "content-length": "9"])
        #expect(
            String(decoding: response.serialized(), as: UTF8.self)
                == "RTSP/1.0 454 Session Not Found\r\nCSeq: 3\r\nContent-Length: 0\r\n\r\n")
    }

    @Test func neverEchoesALineEnd() {
        let response = RTSPResponse(status: .ok, headers: ["CSeq": "1\r\nEvil: 1\0"])
        #expect(String(decoding: response.serialized(), as: UTF8.self) == "RTSP/1.0 200 OK\r\nCSeq: 1  Evil: 1 \r\n\r\n")
    }

    @Test func headersKeepOrderAndCase() {
        var headers: RTSPHeaders = ["WWW-Authenticate": "Digest a", "CSeq": "1", "www-authenticate": "Basic b"]
        #expect(headers["WWW-AUTHENTICATE"] == "Digest a")
        #expect(headers.values(named: "WWW-Authenticate") == ["Digest a", "Basic b"])
        headers["WWW-Authenticate"] = "None"
        #expect(headers.fields.map(\.value) == ["None", "1"])
        headers["cseq"] = nil
        #expect(headers.count == 1)
        headers["Date"] = "now"
        #expect(headers.fields.map(\.name) == ["WWW-Authenticate", "Date"])
    }

    @Test(arguments: RTSPMethod.all) func namesMethods(_ method: RTSPMethod) {
        #expect(RTSPMethod(method.name) == method)
        #expect(RTSPMethod(method.name.lowercased()) == .other(method.name.lowercased()))
    }

    @Test func knowsStatuses() {
        #expect(RTSPStatus(code: 461).description == "461 Unsupported Transport")
        #expect(RTSPStatus(code: 299, reason: "x").isSuccess)
        #expect(RTSPStatus(code: 302).isRedirection)
        #expect(RTSPStatus(code: 9, reason: "").code == 500)
    }
}
