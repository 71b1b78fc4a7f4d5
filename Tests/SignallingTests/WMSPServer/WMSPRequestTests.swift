import Signalling
import Testing
import WireFormats

@Suite struct WMSPRequestTests {
    @Test(
        arguments: [
            ("GET /a HTTP/1.0", "no-cache", "", WMSPRequest.Kind.describe), ("GET /a HTTP/1.0", "xPlayStrm=0", "", .describe),
            ("GET /a HTTP/1.0", "xPlayStrm=1,stream-switch-entry=ffff:1:0", "", .play), ("GET /a HTTP/1.0", "XPLAYSTRM=1", "", .play),
            ("GET /a HTTP/1.1", "xPlayNextEntry=1,xPlayStrm=1", "", .playNextEntry),
            ("GET /a HTTP/1.1", "pipeline-request=1", "", .pipelineTest),
            ("GET http://h/a HTTP/1.1", "stream-switch-entry=ffff:1:0", "", .selectStream),
            ("OPTIONS * HTTP/1.1", "client-id=1", "", .keepAlive),
            ("POST /a HTTP/1.0", "xStopStrm=1", "", .stop), ("POST /a HTTP/1.0", "xKeepAliveInPause=1", "", .keepAlive),
            ("POST /a HTTP/1.0", "stream-switch-entry=ffff:1:0", "", .selectStream), ("POST /a HTTP/1.0", "log-line=a b c", "", .log),
            ("POST /a HTTP/1.0", "client-id=1", "application/x-wms-LogStats;charset=UTF-8", .log),
            ("POST /a HTTP/1.0", "client-id=1", "APPLICATION/X-WMS-LOGSTATS", .log),
            ("POST /a HTTP/1.0", "client-id=1", "application/x-wms-sendevent", .sendEvent),
            ("POST /a HTTP/1.0", "no-cache", "application/x-wms-getcontentinfo", .getContentInfo),
        ] as [(String, String, String, WMSPRequest.Kind)])
    func kinds(line: String, pragma: String, type: String, kind: WMSPRequest.Kind) throws {
        let lines = [line, "User-Agent: NSPlayer/9.0.0.2980", "Pragma: \(pragma)"] + (type.isEmpty ? [] : ["Content-Type: \(type)"])
        let request = try WMSPRequest(try WMSPSample.http(lines))
        #expect(request.kind == kind)
    }

    @Test(
        arguments: [
            ("GET /a HTTP/1.0", "Mozilla/5.0", "no-cache", 200), ("HEAD /a HTTP/1.0", "Mozilla/5.0", "no-cache", 200),
            ("POST /a HTTP/1.0", "curl/8", "no-cache", 405), ("DELETE /a HTTP/1.0", "NSPlayer/9.0", "no-cache", 405),
            ("POST /a HTTP/1.0", "NSPlayer/9.0", "no-cache", 400), ("GET * HTTP/1.0", "NSPlayer/9.0", "no-cache", 400),
            ("GET /%zz HTTP/1.0", "NSPlayer/9.0", "no-cache", 400), ("GET rtsp://h/a HTTP/1.0", "NSPlayer/9.0", "no-cache", 400),
            ("GET /a HTTP/1.0", "NSPlayer/9.0", String(repeating: "a,", count: 200), 431),
        ] as [(String, String, String, UInt16)])
    func refusals(line: String, agent: String, pragma: String, status: UInt16) throws {
        let message = try WMSPSample.http([line, "User-Agent: \(agent)", "Pragma: \(pragma)"])
        let refusal = try #require(throws: WMSPRefusal.self) { _ = try WMSPRequest(message) }
        let response = refusal.response(to: message)
        #expect(refusal.status.code == status && response.status.code == status && !refusal.words.isEmpty)
        #expect(response.headers.contains("Server") && response.headers.contains("Content-Length"))
    }

    @Test(arguments: [
        ("GET /a?x=1&y HTTP/1.0", "Host: relay.example:8080", "mms://relay.example:8080/a?x=1&amp;y"),
        ("GET http://h/a HTTP/1.0", "Accept: */*", "mms://h/a"), ("GET /\"<a> HTTP/1.0", "Host: h", "mms://h/&quot;&lt;a&gt;"),
    ])
    func aBrowserGetsAPlaylist(line: String, header: String, place: String) throws {
        let message = try WMSPSample.http([line, header])
        let refusal = try #require(throws: WMSPRefusal.self) { _ = try WMSPRequest(message) }
        let response = refusal.response(to: message)
        #expect(response.headers["Content-Type"] == "video/x-ms-asf")
        #expect(String(decoding: response.body, as: UTF8.self).contains("<REF HREF=\"\(place)\"/>"))
    }

    @Test(arguments: [
        ("{3300AD50-2C39-46c0-AE0A-0000000000A1}", "{3300ad50-2c39-46c0-ae0a-0000000000a1}" as String?),
        ("{00000000-0000-0000-0000-000000000000}", nil), ("", nil), ("{0xbabac001-0x1}", "{0xbabac001-0x1}"),
        (String(repeating: "a", count: 300), String(repeating: "a", count: 64)),
    ])
    func guids(text: String, guid: String?) throws {
        let message = try WMSPSample.http(["GET /a HTTP/1.0", "User-Agent: NSPlayer/9.0", "Pragma: xClientGUID=\(text)"])
        #expect(try WMSPRequest(message).guid == guid)
    }

    /// Each is sent elsewhere in the form that it follows.
    @Test(arguments: [
        ("NSPlayer/12.0.7601.1", true), ("NSPlayer/7.10.0.3059", true), ("NSPlayer/7.0.0.1956", true), ("NSServer/9.0.0.3171", true),
        // FFmpeg and libmms; what is really older knows no status.
        ("NSPlayer/4.1.0.3856", true), ("NSPlayer/6.4.7.1128", false), ("NSServer/4.1.0.3917", false),
    ])
    func redirections(agent: String, byStatus: Bool) throws {
        let url = "http://two:8554/a?weir-hop=1"
        let request = try WMSPSample.http(["GET /a HTTP/1.0", "User-Agent: \(agent)"])
        let answer = WMSPRefusal.moved(url).response(to: request)
        #expect(answer.status == (byStatus ? .found : .ok) && answer.headers["Location"] == (byStatus ? url : nil))
        guard !byStatus else { return }
        var parser = WMSPParser()
        parser.append(answer.body)
        let next = try parser.next()
        let payload = try #require(next).payload
        let header = try ASFHeader(payload.span)
        let command = try #require(header.scriptCommands.first)
        #expect(command.milliseconds == 479 && command.type == "FILENAME" && command.text == url)
        #expect(header.scriptCommands.count == 1 && header.flaws.isEmpty)
        #expect(header.file.prerollMilliseconds == 479 && header.bytes.count == payload.count)
        let far = WMSPRefusal.moved("http://two/" + String(repeating: "x", count: 246)).response(to: request)
        #expect(far.status == .serviceUnavailable)
    }

    @Test func refusalsSayWhatBecomesOfTheConnection() throws {
        let kept = try WMSPSample.http(["GET /a HTTP/1.1", "User-Agent: NSPlayer/9.0"])
        let old = try WMSPSample.http(["GET /a HTTP/1.0", "Connection: Keep-Alive"])
        let closed = try WMSPSample.http(["GET /a HTTP/1.0"])
        #expect(WMSPRefusal.notFound("x").response(to: kept).headers["Connection"] == nil)
        #expect(WMSPRefusal.notFound("x").response(to: old).headers["Connection"] == "Keep-Alive")
        #expect(WMSPRefusal.notFound("x").response(to: closed).headers["Connection"] == "close")
        #expect(WMSPRefusal.push.response(to: kept).headers["Connection"] == "close")
        #expect(WMSPRefusal.unreadable(.noRequest).response(to: nil).headers["Connection"] == "close")
        #expect(
            WMSPRefusal.unauthorized(["Basic realm=\"a\"", "Digest b"], "x").response(to: kept).headers.values(named: "WWW-Authenticate")
                .count == 2)
        #expect(
            WMSPRefusal.proxyUnauthorized(["Basic realm=\"a\""], "x").response(to: kept).headers["Proxy-Authenticate"]
                == "Basic realm=\"a\"")
        #expect(WMSPRefusal.moved("mms://h/b").response(to: kept).headers["Location"] == "mms://h/b")
        #expect(WMSPRefusal.full("x", retryAfterSeconds: 7).response(to: kept).headers["Retry-After"] == "7")
    }
}
