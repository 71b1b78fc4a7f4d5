import Testing
import WireFormats

@testable import Signalling

@Suite struct MSRTSPClientTests {
    @Test(arguments: [1, 7, Int.max]) func interleaved(step: Int) throws {
        var script = try MSRTSPClientScript {
            $0.via = "RTSP/1.0 relay.example"
            $0.player = ("WMPlayer/9.0.0.2980", "DESCRIBE")
            $0.guid = "3300AD50-2C39-46C0-AE0A-C4D98694D7B4"
        }
        let info = script.answer("200 OK", ["Cache-Control: no-cache"], step: step)
        #expect(info?.method == .getParameter && info?.body == [0] && info?.headers["Content-Type"] == "application/x-wms-getcontentinfo")
        #expect(info?.headers["User-Agent"] == "WMServer/9.1.1.5000 guid/3300AD50-2C39-46C0-AE0A-C4D98694D7B4")
        #expect(info?.headers["Via"] == "RTSP/1.0 relay.example" && info?.headers["X-Proxy-Client-Agent"] == "WMPlayer/9.0.0.2980")
        #expect(info?.headers["X-Proxy-Client-Verb"] == "DESCRIBE" && info?.headers["Session"] == nil)
        let describe = script.answer(
            "200 OK", ["Content-Type: application/sdp", "X-Playlist-Gen-Id: 27006"],
            body: try MSRTSPClientScript.sdp(streams: [1, 2, 3]), step: step)
        #expect(describe?.method == .describe && describe?.headers["Supported"]?.hasSuffix("com.microsoft.wm.locid") == true)
        #expect(script.events == [.connect, .described])

        script.take(script.client.setUp(.interleaved, now: script.now))
        // The first one alone.
        #expect(script.sent.count == 1)
        let first = script.answer("200 OK", [MSRTSPClientScript.session, MSRTSPClientScript.transport(0x1001, tcp: true)], step: step)
        #expect(first?.uri == "rtsp://origin.example/live/audio" && first?.headers["X-Playlist-Gen-Id"] == "27006")
        #expect(first?.headers["Transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1;mode=PLAY")
        // Then the others together.
        #expect(script.sent.count == 2)
        let second = script.answer("200 OK", [MSRTSPClientScript.transport(0x1002, tcp: true)], hasNumber: false)
        #expect(second?.uri == "rtsp://origin.example/live/stream=2" && second?.headers["Session"] == "8134007897615700187")
        script.answer("404 Not Found")
        let play = script.answer("200 OK", ["RTP-Info: url=rtsp://origin.example/live/audio;Seq=26968, url=\"stream=2\";seq=7;rtptime=1"])
        #expect(play?.method == .play && play?.uri == "rtsp://origin.example/live/" && play?.headers["Range"] == "npt=0.000-")
        #expect(play?.headers["Bandwidth"] == "2147483647")
        let ready = try #require(script.events.media)
        #expect(ready.isInterleaved && ready.streams == [0x1001: 26_968, 0x1002: 7] && ready.correction == nil)
        #expect((try? ASFHeader(ready.header.span))?.streams.count == 3)
        let connect = script.answer()
        #expect(connect?.headers["Content-Type"] == "application/x-wms-Logconnectstats;charset=UTF-8")

        // A packet, a report and an end between each other, in any pieces.
        let packet: [UInt8] = [0x80, 0xE0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, 1, 5]
        script.events = []
        script.receive([0x24, 0, 0, 13] + packet + [0x24, 1, 0, 4, 0x80, 200, 0, 0], step: step)
        script.ask(
            "SET_PARAMETER rtsp://origin.example/live RTSP/1.0",
            ["X-Notice: 2101 \"End-of-Stream Reached\"", "RTP-Info: url=rtsp://origin.example/live/audio;seq=26970"],
            body: Array("Session: 8134007897615700187\r\nEOF: true\r\n".utf8))
        #expect(script.events == [.packet(packet), .drain([0x1001: 26_970])])
        #expect(script.response()?.status == .ok)
        var statistics = MSRTSPClient.Statistics()
        (statistics.packets, statistics.lost, statistics.asked) = (41, 2, 5)
        script.now += 1_500
        script.take(script.client.drained(statistics, now: script.now))
        #expect(script.events.last == .ended)
        let log = String(decoding: script.answer()?.body ?? [], as: UTF8.self)
        #expect(
            log.contains("<protocol>rtsp</protocol><transport>TCP</transport>") && log.contains("<c-pkts-received>41</c-pkts-received>")
                && log.contains("<c-pkts-lost-net>2</c-pkts-lost-net>") && log.contains("<c-resendreqs>5</c-resendreqs>"))
        script.take(script.client.leave(statistics, now: script.now))
        #expect(script.answer()?.method == .teardown && script.events.last == .left && script.client.deadline == nil)
    }

    @Test func datagrams() throws {
        var script = try MSRTSPClientScript()
        try script.describe(streams: [1, 2], fec: true)
        script.take(script.client.setUp(MSRTSPClientScript.datagrams, now: script.now))
        #expect(script.sent.count == 1)
        let again = script.answer("200 OK", [MSRTSPClientScript.session, MSRTSPClientScript.transport(0x2F73_682B, tcp: false)])
        #expect(again?.uri == "rtsp://origin.example/live/rtx")
        #expect(again?.headers["Transport"] == "RTP/AVP/UDP;unicast;client_port=1790-1791;mode=PLAY")
        #expect(script.sent.count == 2)
        for number: UInt32 in [1, 2] {
            let setUp = script.answer("200 OK", [MSRTSPClientScript.transport(number, tcp: false)])
            #expect(setUp?.headers["Transport"] == "RTP/AVP/UDP;unicast;client_port=1788-1789;mode=PLAY")
        }
        let correction = script.answer()
        #expect(correction?.headers["Transport"]?.hasSuffix("mode=PLAY;FecSpan=4;FecPerSpan=1;FecBurstMargin=1") == true)
        // What protects the other stream is not to be had; it goes on without.
        while script.events.media == nil, !script.sent.isEmpty { script.answer("461 Unsupported Transport") }
        let media = try #require(script.events.media)
        #expect(media.retransmission == .init(ssrc: 0x2F73_682B, port: 5_005))
        #expect(media.correction == .init(mediaPayloadType: 96, payloadType: 98))
        #expect(script.answer()?.method == .play)
    }

    /// Statuses that end it, each in its place: Describe, the stream before the others, the first stream, Play.
    @Test(arguments: [
        (["404 Not Found"], "the server answers DESCRIBE with 404 Not Found"),
        (["", "461 Unsupported Transport"], "the server refuses this transport (461 Unsupported Transport)"),
        (["", "", "461 Unsupported Transport"], "the server refuses this transport (461 Unsupported Transport)"),
        (["", "404 Not Found", "404 Not Found"], "the server answers SETUP with 404 Not Found"),
        (["", "", "503 Service Unavailable"], "the server answers SETUP with 503 Service Unavailable"),
        (["", "", "", "454 Session Not Found"], "the server has forgotten the session"),
        (["", "", "", "400 Bad Request"], "the server answers PLAY with 400 Bad Request"),
        (["305 Use Proxy"], "the server wants to be asked through another one (305), which Weir does not do"),
        (["302 Found"], "the server sends elsewhere, and does not say where"),
    ]) func refusals(statuses: [String], words: String) throws {
        var script = try MSRTSPClientScript()
        script.answer("451 Parameter Not Understood")
        for (place, status) in statuses.enumerated() {
            if !status.isEmpty {
                script.answer(status)
            } else if place == 0 {
                script.answer("200 OK", ["Content-Type: application/sdp"], body: try MSRTSPClientScript.sdp())
                script.take(script.client.setUp(MSRTSPClientScript.datagrams, now: script.now))
            } else {
                script.answer("200 OK", [MSRTSPClientScript.session, MSRTSPClientScript.transport(UInt32(place), tcp: false)])
            }
        }
        #expect(script.events.failure?.description == words)
        #expect(script.client.deadline == nil)
    }

    @Test(arguments: [
        ("rtsp://other.example/b", "rtsp://other.example/b" as String?), ("http://other.example/b", "http://other.example/b"),
        ("mms://other.example/b", "mms://other.example/b"), ("/b", "rtsp://origin.example/b"),
        ("rtsp://origin.example/live", nil), ("ftp://x", nil), ("rtsp://a.example/1", nil),
    ]) func redirections(location: String, target: String?) throws {
        let former = try SourceURL("rtsp://a.example/1")
        var script = try MSRTSPClientScript { $0.trail = [former] }
        script.answer()
        script.answer("302 Found", ["Location: \(location)"])
        var place: String?
        if case .redirected(let led)? = script.events.last {
            switch led {
            case .rtsp(let url): place = "\(url)"
            case .http(let url): place = "\(url)"
            }
        }
        #expect(place == target)
        #expect((script.events.failure == nil) == (target != nil))
    }

    @Test func plainRTSPIsToldApart() throws {
        var script = try MSRTSPClientScript()
        script.answer()
        script.answer("200 OK", ["Content-Type: application/sdp"], body: Array(ClientScript.sdp.utf8))
        #expect(script.events.last == .plain && script.events.failure == nil)
    }

    @Test func passwordsOfServerAndProxy() throws {
        var script = try MSRTSPClientScript("rtsp://me:secret@origin.example/live")
        script.answer()
        script.answer("407 Proxy Authentication Required", ["Proxy-Authenticate: Basic realm=\"p\""])
        script.answer("401 Unauthorized", ["WWW-Authenticate: Digest realm=\"o\", nonce=\"n\""])
        let third = script.answer("200 OK", ["Content-Type: application/sdp"], body: try MSRTSPClientScript.sdp())
        #expect(third?.headers["Authorization"]?.hasPrefix("Digest ") == true)
        #expect(third?.headers["Proxy-Authorization"]?.hasPrefix("Basic ") == true)
        #expect(script.events.last == .described)
        var refused = try MSRTSPClientScript()
        refused.answer("401 Unauthorized", ["WWW-Authenticate: Basic realm=\"o\""])
        #expect(refused.sent.count == 1 && refused.events.failure == nil)
        refused.answer("401 Unauthorized", ["WWW-Authenticate: Basic realm=\"o\""])
        #expect(refused.events.failure?.description == "the server wants a user and a password: write them into the URL")
    }

    /// A server that closes the connection over GetContentInfo, or never answers it, is asked without.
    @Test(arguments: [true, false]) func contentInfoIsOptional(closes: Bool) throws {
        var script = try MSRTSPClientScript()
        #expect(script.request()?.headers["Content-Type"] == "application/x-wms-getcontentinfo")
        if closes { script.close() } else { script.elapse(milliseconds: 3_000) }
        #expect(script.sent.count == 1)
        // The late answer is not taken for one to Describe.
        if !closes { script.receive("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n") }
        script.answer("200 OK", ["Content-Type: application/sdp"], body: try MSRTSPClientScript.sdp())
        #expect(script.events.last == .described)
    }

    @Test func answersThatNeverCome() throws {
        var script = try MSRTSPClientScript()
        try script.describe()
        script.take(script.client.setUp(MSRTSPClientScript.datagrams, now: script.now))
        // Without the second way of lost packets it goes on.
        script.elapse(milliseconds: 10_000)
        #expect(script.events.failure == nil && script.sent.count == 2)
        script.elapse(milliseconds: 10_000)
        #expect(script.events.failure == .noAnswer(.setup, seconds: 10))
    }

    @Test func keepsTheSessionAlive() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        script.elapse(milliseconds: 29_999)
        #expect(script.sent.isEmpty)
        script.elapse(milliseconds: 1)
        let request = script.answer("501 Not Implemented")
        #expect(request?.method == .getParameter && request?.body == [] && request?.headers["Content-Type"] == nil)
        script.elapse(milliseconds: 30_000)
        script.answer("454 Session Not Found")
        #expect(script.events.failure == .sessionGone)
    }

    /// The session outlives its connection: Play over another one. Not again and again.
    @Test func carriesOnOverAnotherConnection() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        script.events = []
        script.close()
        let play = script.answer()
        #expect(play?.method == .play && play?.headers["Session"] == "8134007897615700187" && play?.headers["Range"] == nil)
        #expect(script.events == [.connect, .resumed])
        script.now += 5_000
        script.close()
        #expect(script.events.failure == .connectionLost)
    }

    @Test func logsOfPlayersAreBounded() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        let event = RemoteEvent(logOf: "WMPlayer/9.0.0.2980", guid: "{0}", url: "rtsp://origin.example/live", xml: "<XML></XML>")
        script.take(script.client.send(RemoteEvent(kind: .open), now: script.now))
        #expect(script.sent.isEmpty)
        for _ in 0..<(MSRTSPClient.feedbackMax + 3) { script.take(script.client.send(event, now: script.now)) }
        #expect(script.sent.count == MSRTSPClient.feedbackMax && script.client.feedbackDropped == 3)
        #expect(script.answer()?.body == event.serialized())
        script.take(script.client.send(event, now: script.now))
        #expect(script.sent.count == MSRTSPClient.feedbackMax && script.client.feedbackDropped == 3)
    }

    @Test func leavesWithoutWaitingForLong() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        script.take(script.client.leave(MSRTSPClient.Statistics(), now: script.now))
        let asked = script.sent.map { if case .request(let request) = $0 { request.method } else { RTSPMethod.other("") } }
        #expect(asked == [.pause, .setParameter, .teardown])
        script.elapse(milliseconds: MSRTSPClient.leaveMilliseconds)
        #expect(script.events.last == .left)
        #expect(script.client.closed(now: script.now) == [] && script.client.leave(MSRTSPClient.Statistics(), now: script.now) == [])
    }

    /// Whatever comes, and however it is cut, nothing breaks and nothing follows the end.
    @Test(arguments: 0..<40) func noise(seed: Int) throws {
        var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        func next(_ bound: Int) -> Int {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return Int(random % UInt64(bound))
        }
        var script = try MSRTSPClientScript()
        let sdp = try MSRTSPClientScript.sdp(streams: [1, 2], fec: true)
        for _ in 0..<200 {
            switch next(12) {
            case 0: script.answer("200 OK", ["Content-Type: application/sdp", "X-Playlist-Gen-Id: \(next(9))"], body: sdp)
            case 1: script.answer("200 OK", [MSRTSPClientScript.session, MSRTSPClientScript.transport(UInt32(next(3)), tcp: next(2) == 0)])
            case 2: script.answer("\(200 + next(380)) Whatever", ["Location: rtsp://\(next(5)).example/"], hasNumber: next(2) == 0)
            case 3: script.elapse(milliseconds: UInt64(next(12_000)))
            case 4: if next(8) == 0 { script.close() }
            case 5: script.ask("ANNOUNCE * RTSP/1.0", ["X-Playlist-Gen-Id: \(next(9))"], body: next(2) == 0 ? sdp : [1])
            case 6:
                script.ask(
                    "SET_PARAMETER * RTSP/1.0", ["X-Notice: 2101", "RTP-Info: url=audio;seq=\(next(70_000))"],
                    body: Array("EOF: true\r\nEnd-Of-Playlist-Entry: true\r\n".utf8))
            case 7: script.take(script.client.setUp(next(2) == 0 ? .interleaved : MSRTSPClientScript.datagrams, now: script.now))
            case 8: script.take(script.client.drained(MSRTSPClient.Statistics(), now: script.now))
            case 9: script.receive([0x24, UInt8(next(4)), 0, 2, 0x80, UInt8(next(256))])
            case 10: script.take(script.client.send(RemoteEvent(kind: .open), now: script.now))
            default: if next(30) == 0 { script.take(script.client.leave(MSRTSPClient.Statistics(), now: script.now)) }
            }
            if script.sent.count > 500 { script.sent = [] }
        }
        _ = script.client.end(now: script.now)
        script.events = []
        script.answer()
        script.elapse(milliseconds: 100_000)
        #expect(script.events.isEmpty && script.client.deadline == nil)
    }
}
