import Testing
import WireFormats

@testable import Signalling

/// SelectStream in its forms ([MS-RTSP] 3.2.5.6).
@Suite struct MSRTSPSelectingTests {
    private typealias Script = MSRTSPServerScript
    private let id = Script.id
    private let list = ["Content-Type: application/x-wms-streamswitch"]

    private func selection(_ script: Script) -> WMSPSelection? { script.sessions.facts(of: Script.id)?.selection }

    @Test(
        "The first transport that can be used is answered as Windows Media servers do",
        arguments: [
            (
                "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=6095d7d7;mode=PLAY",
                "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=ffffffff;mode=PLAY"
            ),
            (
                "RTP/AVP/UDP;unicast;client_port=3236-3237;ssrc=16a4ffff;mode=play",
                "RTP/AVP/UDP;unicast;server_port=5004-5005;client_port=3236-3237;ssrc=ffffffff;mode=PLAY"
            ),
            (
                "RTP/AVP/UDP;unicast;client_port=2408;ssrc=6dded651;mode=PLAY;FecSpan=4;FecPerSpan=1;FecBurstMargin=6, "
                    + "RTP/AVP/TCP;unicast;interleaved=0-1",
                "RTP/AVP/UDP;unicast;server_port=5004-5005;client_port=2408;ssrc=ffffffff;mode=PLAY"
            ),
            ("RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=4-5", "RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=ffffffff;mode=PLAY"),
        ])
    func transports(asked: String, answered: String) throws {
        var script = Script(try WMSPSample.file())
        script.place.ssrcs = [1: .max]
        let actions = try script.ask("SETUP rtsp://h/live/audio", ["Transport: \(asked)"], session: nil)
        let answer = try #require(actions.answer)
        #expect(answer.status == .ok)
        #expect(answer.headers["Transport"] == answered)
        #expect(answer.headers["Session"] == "13856065358275910855;timeout=60")
        #expect(answer.headers["X-Playlist-Gen-Id"] == "7")
    }

    @Test(
        "What cannot be set up opens no session",
        arguments: [
            ("rtsp://h/live/video", "RTP/AVP/TCP;interleaved=0-1", 400), ("rtsp://h/live/stream=9", "RTP/AVP/TCP;interleaved=0-1", 400),
            ("rtsp://h/live", "RTP/AVP/TCP;interleaved=0-1", 459), ("rtsp://h/live/audio/fec", "RTP/AVP;client_port=6-7", 404),
            ("rtsp://h/live/audio", "RTP/SAVP;client_port=6-7", 461), ("rtsp://h/live/audio", "RTP/AVP/UDP;unicast", 461),
            ("rtsp://h/live/audio", "RTP/AVP;client_port=6-7;destination=10.9.9.9", 403),
            ("rtsp://h/live/rtx", "RTP/AVP/TCP;interleaved=2-3", 461),
        ])
    func refusals(url: String, transport: String, status: Int) throws {
        var script = Script(try WMSPSample.file(streams: [1, 2]))
        let actions = try script.ask("SETUP \(url)", ["Transport: \(transport)"], session: nil)
        #expect(actions.status == status)
        #expect(script.sessions.count == 0)
    }

    @Test("All streams over one port, lost packets over another; ports of their own are taken, too")
    func ports() throws {
        var script = Script(try WMSPSample.file(streams: [1, 2, 3]))
        try script.setUp(["rtx"], Script.lost)
        try script.setUp(["audio", "stream=2"], Script.datagrams)
        let own = try script.ask("SETUP rtsp://h/live/stream=3", ["Transport: RTP/AVP/UDP;unicast;client_port=4000-4001"])
        #expect(own.status == 200)
        let same = try script.ask("SETUP rtsp://h/live/stream=3", [Script.lost])
        #expect(same.status == 461)
        let again = try script.ask("SETUP rtsp://h/live/rtx", [Script.datagrams])
        #expect(again.status == 461)
        let mixed = try script.ask("SETUP rtsp://h/live/stream=3", [Script.interleaved])
        #expect(mixed.status == 461)
        let play = try script.play()
        #expect(play.transport == .datagram(rtp: 1_790, rtcp: 1_791))
        #expect(play.retransmission?.port == 3_236)
        #expect(play.selection == WMSPSelection(whole: [1, 2, 3]))
    }

    @Test("A stream has one place, however often it is set up, and by whatever name")
    func onePlace() throws {
        var script = Script(try WMSPSample.file(streams: [1, 2]))
        for host in ["h", "H", "h:554"] {
            for name in ["audio", "stream=1"] {
                let actions = try script.ask(
                    "SETUP rtsp://\(host)/live/\(name)", [Script.interleaved], session: script.sessions.count == 0 ? nil : id)
                #expect(actions.status == 200)
            }
        }
        #expect(script.sessions.sessions[id]?.slots.count == 1)
        #expect(script.sessions.sessions[id]?.slots.first?.url == "rtsp://h:554/live/stream=1")
        try script.setUp(["stream=2"])
        #expect(script.sessions.sessions[id]?.slots.map(\.stream) == [1, 2])
    }

    @Test("Streams over TCP share their channels")
    func channels() throws {
        var script = Script(try WMSPSample.file(streams: [1, 2]))
        script.place.channelsTaken = [2, 3]
        try script.setUp(["audio", "stream=2"])
        let play = try script.play()
        #expect(play.transport == .interleaved(rtp: 0, rtcp: 1))
        #expect(play.retransmission == nil)
    }

    @Test("What is sent of a stream is chosen by a list, at its setup and later; the place keeps its name")
    func lists() throws {
        var script = Script(try WMSPSample.file(streams: [1, 2, 3]))
        let thin = "SSEntry: 4294967295 1 1 rtsp://h/live/audio\r\n"
        let first = try script.ask("SETUP rtsp://h/live/audio", [Script.interleaved] + list, session: nil, body: thin)
        #expect(first.status == 200)
        try script.setUp(["stream=2"])
        #expect(selection(script) == WMSPSelection(whole: [2], keyFramesOnly: [1]))
        let play = try script.play()
        #expect(play.selection == WMSPSelection(whole: [2], keyFramesOnly: [1]))
        // 2 by 3, then 3 by 2 again: the place is named by the URL of its setup.
        for (body, expected) in [
            ("SSEntry: 2 3 0 rtsp://h/live/stream=2 rtsp://h/live/stream=3\r\n", WMSPSelection(whole: [3], keyFramesOnly: [1])),
            ("SSEntry: 3 3 1 rtsp://h/live/stream=3 rtsp://h/live/stream=3\r\n", WMSPSelection(keyFramesOnly: [1, 3])),
            ("3 2 0 rtsp://h/live/stream=3\r\n rtsp://h/live/stream=2", WMSPSelection(whole: [2], keyFramesOnly: [1])),
            ("SSEntry: 1 1 0 a a\r\nSSEntry: 2 2 2 b b\r\n", WMSPSelection(whole: [1])),
        ] {
            let actions = try script.ask("SET_PARAMETER rtsp://h/live/stream=2", list, body: body)
            #expect(actions.status == 200, "\(body)")
            #expect(actions.rest == [.select(session: Script.id, expected)], "\(body)")
        }
    }

    @Test(
        "A list that fits nothing changes nothing",
        arguments: [
            ("rtsp://h/live/stream=2", "SSEntry: 9 1 0 a b\r\n"), ("rtsp://h/live/stream=2", "SSEntry: 1 9 0 a b\r\n"),
            ("rtsp://h/live/stream=2", "SSEntry: 2 1 0 a b\r\n"), ("rtsp://h/live/stream=3", "SSEntry: 2 3 0 a b\r\n"),
            ("rtsp://h/live/stream=2", "SSEntry: 2 3 0 a b\r\nSSEntry: 1 200000 0 a b\r\n"), ("rtsp://h/live/stream=2", ""),
        ])
    func misfits(url: String, body: String) throws {
        var script = Script(try WMSPSample.file(streams: [1, 2, 3]))
        try script.setUp(["audio", "stream=2"])
        let actions = try script.ask("SET_PARAMETER \(url)", list, body: body)
        #expect(actions.status == 400)
        #expect(selection(script) == WMSPSelection(whole: [1, 2]))
    }

    @Test("Streams come and go while others are sent; the RTP session stays what it is")
    func whilePlaying() throws {
        var script = Script(try WMSPSample.file(streams: [1, 2]))
        try script.setUp(["audio"])
        let play = try script.play()
        let added = try script.ask("SETUP rtsp://h/live/stream=2", [Script.interleaved])
        #expect(added.status == 200)
        #expect(added.rest == [.select(session: Script.id, WMSPSelection(whole: [1, 2]))])
        let moved = try script.ask("SETUP rtsp://h/live/stream=2", ["Transport: RTP/AVP/TCP;unicast;interleaved=6-7"])
        #expect(moved.status == 455)
        let removed = try script.ask("TEARDOWN rtsp://h/live/audio")
        #expect(removed.rest == [.select(session: Script.id, WMSPSelection(whole: [2]))])
        let unknown = try script.ask("TEARDOWN rtsp://h/live/audio")
        #expect(unknown.status == 400)
        let last = try script.ask("TEARDOWN rtsp://h/live/stream=2")
        #expect(last.rest == [.hold(session: Script.id)])
        #expect(script.sessions.facts(of: Script.id)?.isPlaying == false)
        // The session is still there.
        let nothing = try script.ask("PLAY rtsp://h/live")
        #expect(nothing.status == 455)
        #expect(play.ssrc != 0)
    }

    @Test("FEC is offered by its own URL, or with a stream's transport")
    func fec() throws {
        var script = Script(try WMSPSample.file())
        let offered = try #require(FECParameters(span: 4, perSpan: 1))
        script.place.fec = FECSettings(offered)
        script.place.ssrcs = [1: 0x2F73_682B]
        try script.setUp(["audio"], Script.datagrams)
        let transport = "Transport: RTP/AVP/UDP;unicast;client_port=1790;FecSpan=6;FecPerSpan=2;FecBurstMargin=2"
        let actions = try script.ask("SETUP rtsp://h/live/audio/fec", [transport])
        #expect(
            actions.answer?.headers["Transport"]
                == "RTP/AVP/UDP;unicast;server_port=5004-5005;client_port=1790;ssrc=2f73682b;mode=PLAY;FecSpan=6;FecPerSpan=2;FecBurstMargin=2"
        )
        let play = try script.play()
        #expect(play.form.fec?.parameters == FECParameters(span: 6, perSpan: 2, burstMargin: 2))

        var other = Script(try WMSPSample.file())
        other.place.fec = FECSettings(offered)
        // Out of range: what was offered holds.
        try other.setUp(["audio"], "Transport: RTP/AVP/UDP;unicast;client_port=1790;FecSpan=ff;FecPerSpan=1")
        let second = try other.play()
        #expect(second.form.fec?.parameters == offered)
    }
}
