import Testing
import WireFormats

@testable import Signalling

/// Play, Pause, and what is granted ([MS-RTSP] 3.2.5.8, 3.2.5.10).
@Suite struct MSRTSPPlayingTests {
    private typealias Script = MSRTSPServerScript
    private let id = Script.id

    @Test(
        "Where it begins",
        arguments: [
            ([String](), WMSPPosition.beginning, WMSPPlay.End?.none),
            (["Range: npt=0.000-"], .beginning, nil), (["Range: npt=0-"], .beginning, nil), (["Range: npt=now-"], .beginning, nil),
            (["Range: npt=0.100-"], .time(milliseconds: 100), nil),
            (["Range: npt=0.050-0.150"], .time(milliseconds: 50), .absolute(milliseconds: 150)),
            (["Range: npt=-0.150"], .beginning, .absolute(milliseconds: 150)),
            (["Range: smpte=0:00:00:03-"], .time(milliseconds: 100), nil),
            (["Range: x-asf-packet=0-"], .beginning, nil), (["Range: x-asf-packet=4711-"], .packet(4_711), nil),
            (["Range: x-asf-byte=0-"], .beginning, nil), (["Range: x-asf-byte=326-"], .beginning, nil),
            (["Range: x-asf-byte=838-"], .packet(4), nil), (["Range: x-asf-byte=840-900"], .packet(4), nil),
            (["Range: x-asf-byte=18446744073709551614-"], .packet(144_115_188_075_855_869), nil),
        ])
    func positions(headers: [String], position: WMSPPosition, end: WMSPPlay.End?) throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        let play = try script.play(headers)
        #expect(play.position == position)
        #expect(play.end == end)
    }

    @Test(
        "What cannot be meant",
        arguments: [
            (["Range: npt=5-"], 457), (["Range: npt=0.100-0.050"], 457), (["Range: clock=20260101T000000Z-"], 457), (["Range: x"], 457),
            (["Range: x-asf-packet=7-6"], 457), (["Range: npt=99999999999-"], 457), (["X-Playlist: pl-offset=1"], 400),
            (["X-RTP-Info: transport"], 400),
        ])
    func refusals(headers: [String], status: Int) throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        let actions = try script.ask("PLAY rtsp://h/live", headers)
        #expect(actions.status == status)
        #expect(actions.play == nil)
    }

    @Test(
        "What is granted of speed",
        arguments: [
            (
                ["X-Accelerate-Streaming: AccelDuration=10000;AccelBandwidth=3500000"], "X-Accelerate-Streaming",
                "AccelDuration=10000;AccelBandwidth=2000000"
            ),
            (
                ["X-Accelerate-Streaming: AccelDuration = 18000; AccelBandwidth = 1000000"], "X-Accelerate-Streaming",
                "AccelDuration=18000;AccelBandwidth=1000000"
            ),
            (
                ["X-Accelerate-Streaming: AccelDuration=90000;AccelBandwidth=1"], "X-Accelerate-Streaming",
                "AccelDuration=30000;AccelBandwidth=1"
            ),
            (
                ["X-Burst-Streaming: BurstDuration=10000;BurstBandwidth=10000000"], "X-Burst-Streaming",
                "BurstDuration=10000;BurstBandwidth=10000000"
            ),
            (["X-Accelerate-Streaming: AccelDuration=0;AccelBandwidth=5"], "X-Accelerate-Streaming", nil),
            (["Speed: 3.5"], "Speed", "3.5"), (["Speed: 50"], "Speed", "5.0"), (["Speed: 0.5"], "Speed", "1.0"),
            (["Scale: 2"], "Scale", "2.0"), (["Scale: -1"], "Scale", "-1.0"), (["Scale: 64"], "Scale", "5.0"),
            (["Scale: 0"], "Scale", "1.0"),
        ] as [([String], String, String?)])
    func grants(headers: [String], name: String, value: String?) throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        _ = try script.ask("PLAY rtsp://h/live", headers)
        let actions = script.sessions.started(id, MSRTSPBeginning(), now: script.now)
        #expect(actions.answer?.headers[name] == value)
    }

    @Test("A broadcast begins now, at its own pace")
    func broadcast() throws {
        var script = Script(try WMSPSample.live())
        try script.setUp()
        let play = try script.play(["Range: npt=5.000-9.000", "Scale: 2", "Speed: 3"])
        #expect(play.position == .beginning)
        #expect(play.end == nil)
        #expect(play.rate == 1)
        #expect(play.speed == 1)
        // As a sign of life: nothing changes.
        let again = try script.ask("PLAY rtsp://h/live", ["Range: npt=0.000-"])
        #expect(again.count == 1)
        #expect(again.status == 200)
    }

    @Test(
        "The answer says where each stream begins",
        arguments: [
            (Script.player, "npt=0.100-0.200"), (Script.ffmpeg, "npt=0.100-0.200"), ("GStreamer/1.22.0", "npt=0.100-"),
        ])
    func answers(agent: String, range: String) throws {
        var script = Script(try WMSPSample.file(streams: [1, 2]), agent: agent)
        script.place.ssrcs = [1: 0x1_0000, 2: 0x2_0007]
        try script.setUp(["audio", "stream=2"])
        _ = try script.ask("PLAY rtsp://h/live", ["Range: npt=0.100-"])
        let actions = script.sessions.started(
            id, MSRTSPBeginning(sequence: 65_535, rtpTime: 1_100, milliseconds: 100), now: script.now)
        let answer = try #require(actions.answer)
        #expect(answer.headers["Range"] == range)
        #expect(
            answer.headers["RTP-Info"]
                == "url=rtsp://h/live/audio;seq=65535;rtptime=1100, url=rtsp://h/live/stream=2;seq=7;rtptime=1100")
        #expect(answer.headers["Session"] == "\(id);timeout=60")
        #expect(actions.rest == [.go(session: id)])
    }

    @Test("A profile of the beginning comes to who knows it and is sent more quickly")
    func startupProfile() throws {
        for (supported, accelerates) in [(true, true), (true, false), (false, true)] {
            var script = Script(try WMSPSample.file())
            script.content.startupProfile = "Rate=10;"
            try script.setUp()
            var headers = ["Supported: com.microsoft.wm.eosmsg" + (supported ? ", com.microsoft.wm.startupprofile" : "")]
            if accelerates { headers.append("X-Accelerate-Streaming: AccelDuration=10000;AccelBandwidth=1000000") }
            let message = try Script.message(
                ["PLAY rtsp://h/live RTSP/1.0", "CSeq: 9", "User-Agent: \(Script.player)", "Session: \(id)"] + headers)
            let wish = script.sessions.startupWish(of: try Script.request(message), content: script.content)
            #expect((wish != nil) == (supported && accelerates))
            #expect(wish?.milliseconds ?? 10_000 == 10_000)
            _ = try script.ask("PLAY rtsp://h/live", headers)
            let actions = script.sessions.started(id, MSRTSPBeginning(), now: script.now)
            #expect(actions.answer?.headers["X-StartupProfile"] == (supported && accelerates ? "Rate=10;" : nil))
        }
    }

    @Test("Pause holds; a Play without a place goes on there, one with a place begins there")
    func pauses() throws {
        var script = Script(try WMSPSample.file())
        let early = try script.ask("PAUSE rtsp://h/live")
        #expect(early.status == 454)
        try script.setUp()
        let ready = try script.ask("PAUSE rtsp://h/live")
        #expect(ready.status == 455)
        _ = try script.play()
        let paused = try script.ask("PAUSE rtsp://h/live")
        #expect(paused.lines.first == "hold")
        #expect(paused.status == 200)
        let twice = try script.ask("PAUSE rtsp://h/live")
        #expect(twice.status == 455)
        let on = try script.play([])
        #expect(on.position == nil)
        let sought = try script.play(["Range: npt=0.100-"])
        #expect(sought.position == .time(milliseconds: 100))
    }

    @Test("While it plays another rate, or another place, begins anew; nothing asked, nothing done")
    func again() throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        _ = try script.play()
        let nothing = try script.ask("PLAY rtsp://h/live")
        #expect(nothing.count == 1)
        #expect(nothing.answer?.headers["RTP-Info"] == nil)
        let faster = try script.play(["Scale: 2"])
        #expect(faster.rate == 2)
        #expect(faster.position == nil)
        let same = try script.ask("PLAY rtsp://h/live", ["Scale: 2.0"])
        #expect(same.count == 1)
        let sought = try script.play(["Range: npt=0.000-"])
        #expect(sought.position == .beginning)
        #expect(sought.rate == 1)
    }

    @Test("Who wants packets of one payload, who wants numbers, who follows entries")
    func forms() throws {
        for (agent, supported, form, follows) in [
            (Script.ffmpeg, nil, (true, false), false), (Script.player, nil, (false, false), true),
            ("WMServer/9.1.1.5000", "com.microsoft.wm.eosmsg, com.microsoft.wm.locid", (false, true), true),
            (Script.player, "com.microsoft.wm.sswitch", (false, false), false), ("GStreamer/1.22.0", nil, (false, false), false),
        ] as [(String, String?, (Bool, Bool), Bool)] {
            var script = Script(try WMSPSample.file(), agent: agent)
            try script.setUp(["audio"], Script.interleaved, supported.map { ["Supported: \($0)"] } ?? [])
            let play = try script.play()
            #expect(play.form.splitsPayloads == form.0)
            #expect(play.form.sendsLocation == form.1)
            #expect(play.followsEntries == follows)
        }
    }

    @Test("What a client said before it had a session holds in that")
    func featuresOfDescribe() throws {
        var script = Script(try WMSPSample.file(), agent: "WMServer/9.1.1.5000")
        let described = try script.ask("DESCRIBE rtsp://h/live", ["Supported: com.microsoft.wm.locid"], session: nil)
        #expect(described.status == 200)
        try script.setUp()
        let play = try script.play()
        #expect(play.form.sendsLocation)
        #expect(!play.followsEntries)
    }

    @Test("A Play that cannot begin is refused, and another may come")
    func startFails() throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        _ = try script.ask("PLAY rtsp://h/live")
        let failed = script.sessions.startFailed(id, .unavailable("no key frame came", retryAfterSeconds: 3), now: script.now)
        #expect(failed.status == 503)
        #expect(failed.count == 1)
        let late = script.sessions.started(id, MSRTSPBeginning(), now: script.now)
        #expect(late.isEmpty)
        let play = try script.play([])
        #expect(play.position == .beginning)
    }
}
