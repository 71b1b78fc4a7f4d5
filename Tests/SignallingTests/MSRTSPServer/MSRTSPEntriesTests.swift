import Testing
import WireFormats

@testable import Signalling

/// EndOfStream, Announce, and who is told of what ([MS-RTSP] 3.2.4.2, 3.2.4.3, 4.4).
@Suite struct MSRTSPEntriesTests {
    private typealias Script = MSRTSPServerScript
    private let id = Script.id

    /// A player that is sent streams 1 and 2.
    private func playing(_ supported: String = Script.all, transport: String = Script.interleaved) throws -> Script {
        var script = Script(try WMSPSample.file(streams: [1, 2]))
        script.place.ssrcs = [1: 0x90CB_CAAC, 2: 0x2_0007]
        try script.setUp(["audio", "stream=2"], transport, ["Supported: \(supported)"])
        _ = try script.play()
        return script
    }

    private func change(
        _ script: inout Script, _ generation: UInt32, streams: [UInt8] = [1, 2], isReceding: Bool = false
    ) throws -> [MSRTSPServerAction] {
        let content = try WMSPSample.file(streams: streams, playlistGenID: generation)
        script.content = content
        return script.sessions.contentChanged(
            id, to: content, entryEnded: true, isReceding: isReceding, nextSequence: 26_968, now: script.now)
    }

    @Test("The next entry is told, and sent without being asked for; the Play that follows says what of it is kept")
    func foreseen() throws {
        var script = try playing()
        let changed = try change(&script, 8)
        let end = try #require(changed.requests.first), announced = try #require(changed.requests.last)
        #expect(end.method == .setParameter)
        #expect(end.headers["X-Playlist-Gen-Id"] == "7")
        #expect(end.headers["RTP-Info"] == "url=rtsp://h/live/audio;seq=26968, url=rtsp://h/live/stream=2;seq=7")
        #expect(String(decoding: end.body, as: UTF8.self) == "Session: \(id)\r\nEOF: true\r\nEnd-Of-Playlist-Entry: true\r\n")
        #expect(announced.method == .announce)
        #expect(announced.headers["X-Playlist-Gen-Id"] == "8")
        #expect(announced.headers["Session"] == "\(id)")
        #expect(
            announced.headers["X-RTP-Info"]
                == "url=rtsp://h/live/audio;transport=RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=90cbcaac;mode=PLAY;"
                + "blocksize=156;thinlevel=0;seq=26968, "
                + "url=rtsp://h/live/stream=2;transport=RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00020007;mode=PLAY;"
                + "blocksize=156;thinlevel=0;seq=7")
        #expect(changed.rest == [.select(session: id, WMSPSelection(whole: [1, 2]))])
        let played = try script.ask(
            "PLAY rtsp://h/live", ["X-Playlist-Gen-Id: 8", "X-Playlist-Seek-Id: 8", "X-RTP-Info: url=rtsp://h/live/audio"])
        #expect(played.answer?.headers["RTP-Info"] == "url=rtsp://h/live/audio;seq=26968")
        #expect(played.rest == [.select(session: id, WMSPSelection(whole: [1]))])
        #expect(script.sessions.counters.noticesSent == 2)
    }

    @Test("Without prediction the next entry is held until the client has said what it wants, and played")
    func unforeseen() throws {
        var script = try playing("com.microsoft.wm.eosmsg, com.microsoft.wm.sswitch")
        let changed = try change(&script, 8, streams: [1, 2, 3])
        #expect(changed.requests.last?.headers["X-RTP-Info"] == nil)
        #expect(changed.rest == [.hold(session: id)])
        let paused = try script.ask("PAUSE rtsp://h/live")
        #expect(paused.status == 200, "a Pause may cross the end of an entry")
        let old = try script.ask("SETUP rtsp://h/live/audio", [Script.interleaved, "X-Playlist-Gen-Id: 7"])
        #expect(old.status == 412)
        #expect(old.answer?.headers["X-Playlist-Gen-Id"] == "8")
        for url in ["audio", "stream=2"] {
            let gone = try script.ask("TEARDOWN rtsp://h/live/\(url)", ["X-Playlist-Gen-Id: 8"])
            #expect(gone.count == 1)
            #expect(gone.status == 200)
        }
        try script.setUp(["stream=3"])
        let played = try script.ask("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: 8"])
        let play = try #require(played.play)
        #expect(play.selection == WMSPSelection(whole: [3]))
        #expect(play.position == nil, "it goes on where it was held")
    }

    @Test("Without prediction, and without a word: what the client had goes on")
    func unforeseenAndSilent() throws {
        var script = try playing("com.microsoft.wm.eosmsg")
        _ = try change(&script, 8, streams: [1])
        let played = try script.ask("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: 8"])
        #expect(played.play?.selection == WMSPSelection(whole: [1]))
    }

    @Test("An entry is announced when the one before was played, and not sooner than the client lags")
    func pending() throws {
        var script = try playing()
        _ = try change(&script, 8)
        // Entry 8 ends, and the client has not played it yet.
        let ended = try change(&script, 9)
        #expect(ended.requests.map(\.method) == [.setParameter])
        #expect(ended.rest == [.hold(session: id)])
        // Entry 9 was never heard of: nothing is said of its end.
        let passed = try change(&script, 10)
        #expect(passed.requests.isEmpty)
        let played = try script.ask("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: 8", "X-Player-Lag-Time: 700"])
        #expect(played.answer?.headers["X-Playlist-Change-Notice"] == "true")
        #expect(played.count == 1)
        script.now += 699
        let early = script.sessions.timeElapsed(now: script.now)
        #expect(early.isEmpty)
        script.now += 1
        let late = script.sessions.timeElapsed(now: script.now)
        #expect(late.requests.map { $0.headers["X-Playlist-Gen-Id"] } == ["10"])
        #expect(late.rest == [.select(session: id, WMSPSelection(whole: [1, 2]))])
        let next = try script.ask("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: 10", "X-Player-Lag-Time: 4000000000"])
        #expect(next.count == 1)
        _ = try change(&script, 11)
        script.now += 15_000
        let bounded = script.sessions.timeElapsed(now: script.now)
        #expect(bounded.requests.count == 1, "a lag is bounded")
    }

    @Test("A skip is answered, the end and the other entry are told, and that one begins", arguments: [true, false])
    func skips(predicts: Bool) throws {
        var script = try playing(predicts ? Script.all : "com.microsoft.wm.eosmsg")
        script.content.skipsTo = [try WMSPSample.file(streams: [2], playlistGenID: 5_353)]
        let skipped = try script.ask("PLAY rtsp://h/live", ["X-Playlist: pl-offset=1", "X-Playlist-Seek-Id: 7"])
        #expect(skipped.first == .finish(session: id))
        #expect(skipped.answer?.headers["X-Playlist-Change-Notice"] == "true")
        #expect(skipped.answer?.headers["X-Playlist-Gen-Id"] == "7")
        #expect(skipped.answer?.headers["RTP-Info"] == nil)
        #expect(skipped.requests.map { $0.headers["X-Playlist-Gen-Id"] } == ["7", "5353"])
        let play = try #require(skipped.play)
        #expect(play.isHeld == !predicts)
        #expect(play.selection == WMSPSelection(whole: [2]))
        #expect(play.sequence == (predicts ? 500 : nil))
        #expect(play.ssrc == 0x90CB_CAAC, "what goes over the client's port goes on as it was")
        let begun = script.sessions.started(id, MSRTSPBeginning(sequence: 500), now: script.now)
        #expect(begun == [.go(session: id)])
        script.content = try WMSPSample.file(streams: [2], playlistGenID: 5_353)
        let confirmed = try script.ask("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: 5353"])
        if predicts {
            #expect(confirmed.status == 200)
            #expect(confirmed.play == nil)
        } else {
            #expect(confirmed.play?.position == nil)
        }
    }

    @Test("Back into the entry before: it is announced again, and begins where the client wants it")
    func back() throws {
        var script = try playing()
        _ = try change(&script, 8)
        script.content = try WMSPSample.file(streams: [1, 2], playlistGenID: 7)
        let back = try script.ask("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: 7", "Range: npt=0.100-"])
        #expect(back.answer?.headers["X-Playlist-Change-Notice"] == "true")
        #expect(back.requests.map { $0.headers["X-Playlist-Gen-Id"] } == ["8", "7"])
        #expect(back.play?.position == .time(milliseconds: 100))
    }

    @Test("Backwards, the entry before follows")
    func receding() throws {
        var script = try playing()
        let changed = try change(&script, 6, isReceding: true)
        #expect(String(decoding: changed.requests[0].body, as: UTF8.self).hasSuffix("EOF: true\r\nRecedingEos: true\r\n"))
        #expect(changed.requests[1].headers["X-Receding-PlaylistChange"] == "1")
    }

    @Test(
        "Who does not know EndOfStream gets entries as one, as long as one header holds them",
        arguments: [Script.ffmpeg, "GStreamer/1.22.0", "LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)"])
    func spliced(agent: String) throws {
        var script = Script(try WMSPSample.file(), agent: agent)
        try script.setUp()
        _ = try script.play()
        let same = try change(&script, 8, streams: [1])
        #expect(same.isEmpty)
        let other = try change(&script, 9, streams: [1, 2])
        #expect(other.rest == [.finish(session: id), .close(connection: 1)])
        let end = try #require(other.requests.first)
        #expect(String(decoding: end.body, as: UTF8.self) == "Session: \(id)\r\nEOF: true\r\n")
        #expect(other.count == 3)
        // It may play again what it knows, and not what it does not.
        let played = try script.ask("PLAY rtsp://h/live", ["Range: npt=0.000-"])
        #expect(played.status == 412)
    }

    @Test(
        "The end",
        arguments: [
            (MSRTSPMediaEnd.done, "EOF: true\r\n"), (.rewound, "EOF: true\r\nRecedingEos: true\r\n"),
            (.failed, "EOF: true\r\nAdministrativeDisconnection: true\r\n"),
        ])
    func ends(reason: MSRTSPMediaEnd, body: String) throws {
        var script = try playing()
        let ended = script.sessions.mediaEnded(id, reason: reason, nextSequence: 17, now: script.now)
        let end = try #require(ended.requests.first)
        #expect(String(decoding: end.body, as: UTF8.self) == "Session: \(id)\r\n" + body)
        #expect(end.headers["X-Notice"] == "2101 \"End-of-Stream Reached\"")
        #expect(end.headers["RTP-Info"] == "url=rtsp://h/live/audio;seq=17, url=rtsp://h/live/stream=2;seq=7")
        #expect(script.sessions.facts(of: id)?.isPlaying == false)
        let play = try script.play([])
        #expect(play.position == .beginning)
    }

    @Test("However a request of the server's is answered, nothing breaks")
    func answers() throws {
        var script = try playing()
        _ = script.sessions.mediaEnded(id, nextSequence: nil, now: script.now)
        script.sessions.requestAnswered(id, status: 501, now: script.now)
        script.sessions.requestAnswered(id, status: nil, now: script.now)
        script.sessions.requestAnswered(id, status: 200, now: script.now)
        script.sessions.requestAnswered(4_711, status: 200, now: script.now)
        #expect(script.sessions.counters.noticesRefused == 2)
        let echoed = try script.ask(
            "SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-extension-cmd", "X-Notice: 2101 \"End-of-Stream Reached\""],
            body: "EOF: true\r\n\0")
        #expect(echoed.status == 200)
    }

    @Test("A change that comes while a Play waits, or is paused, is told when it can be")
    func changesMeanwhile() throws {
        var script = Script(try WMSPSample.live(streams: [1, 2]))
        try script.setUp(["audio"], Script.interleaved, ["Supported: \(Script.all)"])
        _ = try script.ask("PLAY rtsp://h/live")
        let waiting = try change(&script, 8)
        #expect(waiting.isEmpty)
        let started = script.sessions.started(id, MSRTSPBeginning(sequence: 1), now: script.now)
        #expect(started.status == 200)
        #expect(started.answer?.headers["X-Playlist-Change-Notice"] == "true")
        #expect(started.requests.map(\.method) == [.setParameter, .announce])
        #expect(started.rest == [.select(session: id, WMSPSelection(whole: [1])), .go(session: id)])
        _ = try script.ask("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: 8"])
        _ = try script.ask("PAUSE rtsp://h/live")
        let paused = try change(&script, 9)
        #expect(paused == [.hold(session: id)])
        let played = try script.ask("PLAY rtsp://h/live")
        #expect(played.answer?.headers["X-Playlist-Change-Notice"] == "true")
        #expect(played.requests.map(\.method) == [.setParameter, .announce])
    }
}
