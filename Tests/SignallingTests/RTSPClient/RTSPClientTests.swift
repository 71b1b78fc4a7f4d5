import Testing
import WireFormats

@testable import Signalling

@Suite struct RTSPClientTests {
    @Test func pullsOverTCP() throws {
        var script = try ClientScript("rtsp://cam.example:8554/live")
        #expect(script.answer("200 OK", "Public: OPTIONS, GET_PARAMETER\r\n")?.method == .options)
        let describe = script.answer("200 OK", "", body: ClientScript.sdp)
        #expect(describe?.method == .describe)
        #expect(describe?.uri == "rtsp://cam.example:8554/live")
        #expect(describe?.headers["Accept"] == "application/sdp")
        #expect(script.events == [.described(try SessionDescription(ClientScript.sdp))])

        script.take(script.client.setUp([.interleaved, .interleaved], now: script.now))
        let first = script.answer("200 OK", "Session: 7;timeout=30\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n")
        #expect(first?.uri == "rtsp://cam.example:8554/live/track1")
        #expect(first?.headers["Transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1")
        let second = script.answer("200 OK", "Session: 7\r\nTransport: RTP/AVP/TCP;interleaved=6\r\n")
        #expect(second?.uri == "rtsp://cam.example/live/track2")
        #expect(second?.headers["Session"] == "7")
        let play = script.answer()
        #expect(play?.method == .play)
        #expect(play?.uri == "rtsp://cam.example:8554/live")
        #expect(play?.headers["Session"] == "7")
        #expect(
            script.events.dropFirst() == [
                .ready(track: 0, .interleaved(rtp: 4, rtcp: 5)), .ready(track: 1, .interleaved(rtp: 6, rtcp: 7)), .playing,
            ])
    }

    /// What a SETUP over UDP can be answered with.
    @Test(arguments: [
        (
            "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;source=10.0.0.9",
            TrackTransport.datagrams(serverPorts: PortPair(rtp: 6000, rtcp: 6001), source: "10.0.0.9")
        ),
        // OpenIPC.
        ("RTP/AVP;unicast;client_port=5000-5001", .datagrams(serverPorts: nil, source: nil)),
        // Escam Q6, and servers that do only TCP.
        ("RTP/AVP;unicast;interleaved=2-3", .interleaved(rtp: 2, rtcp: 3)),
        ("RTP/AVP/TCP;unicast;interleaved=0-1", .interleaved(rtp: 0, rtcp: 1)),
        ("nonsense;;client_port=x", .datagrams(serverPorts: nil, source: nil)),
    ])
    func takesTheTransportThatIsReturned(header: String, expected: TrackTransport) throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.setUp([.datagrams(PortPair(rtp: 5000, rtcp: 5001))], now: script.now))
        let request = script.answer("200 OK", "Session: a\r\nTransport: \(header)\r\n")
        #expect(request?.headers["Transport"] == "RTP/AVP;unicast;client_port=5000-5001")
        #expect(script.events.last == .ready(track: 0, expected))
    }

    /// RTP and RTCP on one port: asked for where the description has it, done where the answer has it.
    @Test(arguments: [
        (true, "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6000;RTCP-mux", true),
        (true, "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001", false),
        (false, "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6000;RTCP-mux", false),
    ])
    func multiplexesWhereBothAgree(described: Bool, header: String, agreed: Bool) throws {
        var script = try ClientScript()
        let sdp = ClientScript.sdp
        script.describe(sdp: described ? sdp.replacing("a=control:track1", with: "a=rtcp-mux\r\na=control:track1") : sdp)
        script.take(script.client.setUp([.datagrams(PortPair(rtp: 5000, rtcp: 5001)), .interleaved], now: script.now))
        let request = script.answer("200 OK", "Session: a\r\nTransport: \(header)\r\n")
        #expect(request?.headers["Transport"] == "RTP/AVP;unicast;client_port=5000-5001" + (described ? ";RTCP-mux" : ""))
        guard case .ready(0, .datagrams(_, _, let isMultiplexed))? = script.events.last else {
            Issue.record("\(script.events)")
            return
        }
        #expect(isMultiplexed == agreed)
    }

    @Test(arguments: [
        ("Content-Base: rtsp://cam.example/live/\r\n", "rtsp://cam.example/live/track1", "rtsp://cam.example/live/"),
        // Anjvision.
        ("Content-Base: rtsp://cam.example/live\r\n", "rtsp://cam.example/live/track1", "rtsp://cam.example/live"),
        ("Content-Base: rtsp://rtsp://cam.example/live/\r\n", "rtsp://cam.example/live/track1", "rtsp://cam.example/live/"),
        ("Content-Location: /other/\r\n", "rtsp://cam.example/other/track1", "rtsp://cam.example/other/"),
        ("Content-Base: rtsp://cam.example/live?x=1\r\n", "rtsp://cam.example/live?x=1/track1", "rtsp://cam.example/live?x=1"),
        ("", "rtsp://cam.example/live/track1", "rtsp://cam.example/live"),
    ])
    func resolvesControls(base: String, track: String, aggregate: String) throws {
        var script = try ClientScript()
        script.describe(base: base)
        script.take(script.client.setUp([.interleaved], now: script.now))
        #expect(script.answer("200 OK", "Session: a\r\n")?.uri == track)
        #expect(script.answer()?.uri == aggregate)
    }

    @Test func keepsEarlyFramesAndWhatFollowsPlay() throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.setUp([.interleaved], now: script.now))
        script.answer("200 OK", "Session: a\r\n")
        let number = script.request()?.headers.cseq ?? ""
        let early: [UInt8] = [0x24, 1, 0, 2, 0x80, 0xC8], late: [UInt8] = [0x24, 0, 0, 3, 0x80]
        script.take(script.client.receive(early + Array("RTSP/1.0 200 OK\r\nCSeq: \(number)\r\n\r\n".utf8) + late, now: script.now))
        #expect(script.events.last == .playing)
        #expect(script.client.takeMedia() == early + late)
    }

    @Test func readsTextBetweenFrames() throws {
        var script = try ClientScript()
        script.play()
        script.elapse(seconds: 10)
        let keepAlive = script.request()
        let text = Array("RTSP/1.0 200 OK\r\nCSeq: \(keepAlive?.headers.cseq ?? "")\r\n\r\n".utf8)
        let whole = script.client.receiveText(text + [0x24, 0, 0, 1, 9], now: script.now)
        #expect(whole.consumed == text.count)
        let half = script.client.receiveText(Array(text.dropLast(3)), now: script.now)
        #expect(half.consumed == 0)
    }

    @Test func findsTheFramesAgain() throws {
        var script = try ClientScript()
        script.play()
        let lost: [UInt8] = [0, 0x47, 0x24, 0xEE, 3, 0x0A, 0x0A] + [0x24, 0, 0, 12, 0x80, 96]
        let found = script.client.receiveText(lost, now: script.now)
        #expect(found.consumed == 7)
        #expect(found.actions.isEmpty)
    }

    @Test(arguments: [
        (methods: "Public: OPTIONS, GET_PARAMETER\r\n", expected: RTSPMethod.getParameter),
        (methods: "Public: OPTIONS, DESCRIBE\r\n", expected: .options), (methods: "", expected: .options),
    ])
    func keepsAliveAsTheServerLikesIt(methods: String, expected: RTSPMethod) throws {
        var script = try ClientScript()
        script.describe(public: methods)
        script.take(script.client.setUp([.interleaved], now: script.now))
        script.answer("200 OK", "Session: s;timeout=20\r\n")
        script.answer()
        script.elapse(seconds: 9.9)
        #expect(script.sent.isEmpty)
        script.elapse(seconds: 0.2)
        let keepAlive = script.answer("200 OK")
        #expect(keepAlive?.method == expected)
        #expect(keepAlive?.headers["Session"] == "s")
        script.elapse(seconds: 10.1)
        #expect(script.request()?.method == expected)
    }

    @Test func toleratesARefusedKeepAlive() throws {
        var script = try ClientScript()
        script.play()
        script.elapse(seconds: 10.1)
        #expect(script.answer("405 Method Not Allowed")?.method == .getParameter)
        script.elapse(seconds: 10.1)
        #expect(script.answer("400 Bad Request")?.method == .options)
        script.elapse(seconds: 10.1)
        #expect(script.request()?.method == .options)
        // Not answered at all: media is the better proof of life.
        script.elapse(seconds: 10.1)
        #expect(script.events.last == .playing)
    }

    @Test func seesThatTheSessionIsGone() throws {
        var script = try ClientScript()
        script.play()
        script.elapse(seconds: 10.1)
        script.answer("454 Session Not Found")
        #expect(script.events.last == .failed(.sessionGone))
    }

    @Test(arguments: ["", "CSeq: 1 \r\n", "CSeq: 999\r\n", "CSeq: x\r\n"])
    func acceptsAnswersWithoutTheRightNumber(cseq: String) throws {
        var script = try ClientScript()
        script.answer("200 OK", "", cseq: cseq)
        script.answer("200 OK", "", body: ClientScript.sdp, cseq: cseq)
        #expect(script.events.count == 1)
    }

    @Test func goesOnWithoutOptions() throws {
        var script = try ClientScript()
        script.answer("501 Not Implemented")
        #expect(script.request()?.method == .describe)
    }

    @Test func pausesResumesAndCloses() throws {
        var script = try ClientScript()
        script.play()
        script.take(script.client.pause(now: script.now))
        #expect(script.answer()?.method == .pause)
        #expect(script.events.last == .paused)
        script.take(script.client.resume(now: script.now))
        let play = script.answer()
        #expect(play?.method == .play)
        #expect(play?.headers["Range"] == nil)
        #expect(script.events.last == .playing)
        script.take(script.client.close(now: script.now))
        #expect(script.answer()?.method == .pause)
        #expect(script.answer("455 Method Not Valid in This State")?.method == .teardown)
        #expect(script.events.last == .closed)
        #expect(script.client.deadline == nil)
    }

    /// Some servers name a session before there is one: then it is closed like any other, by the URL that is known.
    @Test func closesASessionThatCameWithOptions() throws {
        var script = try ClientScript()
        script.answer("200 OK", "Session: 7\r\n")
        #expect(script.request()?.method == .describe)
        script.take(script.client.close(now: script.now))
        let teardown = script.request()
        #expect(teardown?.method == .teardown)
        #expect(teardown?.uri == "rtsp://cam.example/live")
    }

    /// Whoever closes waits for the answers alone: a deadline that has passed and changes nothing would be waited for again and again.
    @Test func isNotKeptAliveWhileItCloses() throws {
        var script = try ClientScript()
        script.play()
        let keepAlive = try #require(script.client.deadline)
        script.now = keepAlive - 1
        script.take(script.client.close(now: script.now))
        let deadline = try #require(script.client.deadline)
        #expect(deadline > keepAlive)
        script.take(script.client.timeElapsed(now: keepAlive))
        #expect(try #require(script.client.deadline) > keepAlive)
        #expect(script.answer()?.method == .pause)
    }

    @Test func closesAtOnceWithoutASession() throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.close(now: script.now))
        #expect(script.sent.isEmpty)
        #expect(script.events.last == .closed)
    }

    @Test func answersTheServersRequests() throws {
        var script = try ClientScript()
        script.play()
        for (method, status) in [("OPTIONS", 200), ("SET_PARAMETER", 200), ("GET_PARAMETER", 200), ("PLAY_NOTIFY", 501)]
            as [(String, UInt16)]
        {
            let (_, actions) = script.client.receiveText(Array("\(method) rtsp://x RTSP/1.0\r\nCSeq: 77\r\n\r\n".utf8), now: script.now)
            script.take(actions)
            let response = script.response()
            #expect(response?.status.code == status)
            #expect(response?.headers.cseq == "77")
        }
        let (_, actions) = script.client.receiveText(
            Array("ANNOUNCE rtsp://x RTSP/1.0\r\nCSeq: 78\r\nContent-Length: 3\r\n\r\nv=0".utf8), now: script.now)
        script.take(actions)
        #expect(script.response()?.status == .ok)
        #expect(script.events.last == .descriptionChanged)
    }

    @Test func leavesOutARefusedTrack() throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.setUp([.interleaved, .interleaved], now: script.now))
        script.answer("404 Not Found")
        script.answer("200 OK", "Session: a\r\n")
        #expect(script.request()?.method == .play)
        #expect(script.events.last == .ready(track: 1, .interleaved(rtp: 2, rtcp: 3)))
    }

    /// What ends an attempt, and how.
    @Test(arguments: [
        ("404 Not Found", RTSPClientFailure.refused(.describe, .notFound)),
        ("503 Service Unavailable", .refused(.describe, .serviceUnavailable)),
        ("302 Moved", .redirection("the server redirects without saying where to")),
        ("401 Unauthorized", .unauthorized("the server wants a user and a password; write rtsp://USER:PASSWORD@HOST/…")),
        ("200 OK", .description("not a session description: no line of the form 'v=0'")),
    ])
    func failsInWords(status: String, failure: RTSPClientFailure) throws {
        var script = try ClientScript()
        script.answer()
        script.answer(status)
        #expect(script.events == [.failed(failure)])
    }

    @Test func reportsARefusedTransport() throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.setUp([.datagrams(PortPair(rtp: 2, rtcp: 3))], now: script.now))
        script.answer("461 Unsupported Transport")
        #expect(script.events.last == .failed(.transportRefused(.unsupportedTransport)))
    }

    @Test func waitsForAnswersNoLongerThanAllowed() throws {
        var script = try ClientScript()
        script.elapse(seconds: 9.9)
        #expect(script.events.isEmpty)
        script.elapse(seconds: 0.2)
        #expect(script.events == [.failed(.noAnswer(.options, seconds: 10))])
    }

    @Test func endsAtGarbage() throws {
        var script = try ClientScript()
        script.receive("SSH-2.0-OpenSSH_9.2\r\n")
        guard case .failed(.malformed)? = script.events.last else {
            Issue.record("no failure")
            return
        }
    }

    /// Who records takes frames one by one, those that came before PLAY's answer first, and reads what the answers say.
    @Test func handsOutFrames() throws {
        var settings = RTSPClient.Settings(url: try SourceURL("rtsp://cam.example/live")) { "nonce" }
        settings.takesFrames = true
        settings.start = .microseconds(12_500_000)
        var script = try ClientScript()
        script.client = RTSPClient(settings: settings)
        script.sent = []
        script.take(script.client.connected(now: script.now))
        script.answer("200 OK")
        script.answer("200 OK", "ETag: \"a\"\r\n", body: ClientScript.sdp)
        #expect(script.client.descriptionHeaders["ETag"] == "\"a\"")
        script.take(script.client.setUp([.interleaved], now: script.now))
        script.answer("200 OK", "Session: 1\r\n")
        script.events = []
        script.take(script.client.receive([0x24, 1, 0, 2, 7, 8], now: script.now))
        #expect(script.events.isEmpty)
        let play = script.answer("200 OK", "Range: npt=12.0-30\r\nRTP-Info: url=x;seq=1;rtptime=2\r\n")
        #expect(play?.headers["Range"] == "npt=12.500-")
        script.take(script.client.receive([0x24, 0, 0, 1, 9, 0x24], now: script.now))
        script.take(script.client.receive([0, 0, 1, 10], now: script.now))
        #expect(script.client.playHeaders["Range"] == "npt=12.0-30")
        #expect(script.events == [.playing, .frame(channel: 1, [7, 8]), .frame(channel: 0, [9]), .frame(channel: 0, [10])])
        #expect(script.client.controlURL(ofMedia: 0) == "rtsp://cam.example/live/track1")
    }
}
