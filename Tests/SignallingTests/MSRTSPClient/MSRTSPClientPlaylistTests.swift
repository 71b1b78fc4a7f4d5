import Testing
import WireFormats

@testable import Signalling

/// Entries of a playlist: EndOfStream, Announce, and what follows.
@Suite struct MSRTSPClientPlaylistTests {
    private func end(_ script: inout MSRTSPClientScript, _ line: String = "End-Of-Playlist-Entry: true") {
        script.ask(
            "SET_PARAMETER rtsp://origin.example/live RTSP/1.0",
            [
                "Content-Type: application/x-wms-extension-cmd", "X-Notice: 2101 \"End-of-Stream Reached\"",
                "RTP-Info: url=rtsp://origin.example/live/audio;seq=120", "X-Playlist-Gen-Id: 27006",
            ], body: Array("Session: 8134007897615700187\r\nEOF: True\r\n\(line)\r\n".utf8))
    }

    private func announce(_ script: inout MSRTSPClientScript, streams: [UInt8], _ headers: [String] = []) throws {
        script.ask(
            "ANNOUNCE rtsp://origin.example/live RTSP/1.0", ["Content-Type: application/sdp", "X-Playlist-Gen-Id: 27007"] + headers,
            body: try MSRTSPClientScript.sdp(streams: streams))
    }

    /// The server has chosen streams: they are kept, what it left out is asked for, and Play names them.
    @Test(arguments: [true, false]) func predicted(announcesEarly: Bool) throws {
        var script = try MSRTSPClientScript()
        try script.play(tcp: false)
        #expect(script.sent.isEmpty)
        script.events = []
        let chosen =
            "X-RTP-Info: url=rtsp://origin.example/live/audio;transport=RTP/AVP/UDP;unicast;server_port=5004;client_port=1788;ssrc=00001001;"
            + "mode=PLAY;blocksize=5994;thinlevel=0;seq=120;rtptime=0, url=rtsp://origin.example/live/rtx;transport=RTP/AVP/UDP;unicast;"
            + "server_port=5004-5005;client_port=1790-1791;ssrc=2f73682b;mode=PLAY;thinlevel=0"
        end(&script)
        #expect(script.response()?.status == .ok && script.events == [.drain([0x1001: 120])])
        if announcesEarly {
            try announce(&script, streams: [1, 2], [chosen])
            #expect(script.response()?.status == .ok)
        }
        // Not before what is under way has come.
        #expect(script.events.count == 1 && script.sent.isEmpty)
        script.take(script.client.drained(MSRTSPClient.Statistics(), now: script.now))
        #expect(script.answer()?.headers["Content-Type"]?.hasPrefix("application/x-wms-Logplaystats") == true)
        if !announcesEarly {
            try announce(&script, streams: [1, 2], [chosen])
            #expect(script.response()?.status == .ok)
        }
        let missing = script.answer("200 OK", [MSRTSPClientScript.transport(0x1002, tcp: false)])
        #expect(missing?.method == .setup && missing?.uri == "rtsp://origin.example/live/stream=2")
        #expect(missing?.headers["X-Playlist-Gen-Id"] == "27007")
        let media = try #require(script.events.media)
        #expect(media.streams == [0x1001: 120, 0x1002: nil] && media.retransmission?.ssrc == 0x2F73_682B)
        let play = script.answer()
        #expect(play?.method == .play && play?.headers["X-Playlist-Seek-Id"] == "27007" && play?.headers["Range"] == nil)
        #expect(
            play?.headers["X-RTP-Info"]
                == "url=rtsp://origin.example/live/audio, url=rtsp://origin.example/live/stream=2, url=rtsp://origin.example/live/rtx")
        #expect(script.events.last == .playing(media) && script.sent.isEmpty)
    }

    /// The server has chosen nothing: the old streams go, the new ones come, together.
    @Test func unpredicted() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        end(&script)
        _ = script.response()
        script.take(script.client.drained(MSRTSPClient.Statistics(), now: script.now))
        script.answer()
        try announce(&script, streams: [4])
        _ = script.response()
        #expect(script.answer()?.method == .teardown)
        let setUp = script.answer("200 OK", [MSRTSPClientScript.transport(9, tcp: true)])
        #expect(setUp?.method == .setup)
        let play = script.answer()
        #expect(play?.headers["X-Playlist-Seek-Id"] == "27007" && play?.headers["X-RTP-Info"] == nil)
        #expect(script.events.media?.streams == [9: nil])
        // It ends for good.
        end(&script, "")
        #expect(script.response()?.status == .ok)
        #expect(!script.events.contains(.drain([9: 120])))
        script.ask(
            "SET_PARAMETER * RTSP/1.0", ["X-Notice: 2101 \"End-of-Stream Reached\"", "X-Playlist-Gen-Id: 27007"],
            body: Array("EOF: true\r\n".utf8))
        #expect(script.events.last == .drain([:]))
        script.take(script.client.drained(MSRTSPClient.Statistics(), now: script.now))
        #expect(script.events.last == .ended)
    }

    @Test func anEntryThatIsNeverAnnounced() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        end(&script)
        script.take(script.client.drained(MSRTSPClient.Statistics(), now: script.now))
        script.sent = []
        script.elapse(milliseconds: 29_999)
        #expect(script.events.failure == nil)
        script.elapse(milliseconds: 1)
        #expect(script.events.failure == .noAnswer(.announce, seconds: 30))
    }

    /// Without an end before it, and one that cannot be read.
    @Test func announcementsOutOfPlace() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        script.ask("ANNOUNCE * RTSP/1.0", ["Content-Type: application/sdp"], body: Array("v=0\r\ns=x\r\n".utf8))
        #expect(script.response()?.status == .badRequest)
        try announce(&script, streams: [1])
        #expect(script.response()?.status == .ok && script.events.last == .drain([:]))
        script.take(script.client.drained(MSRTSPClient.Statistics(), now: script.now))
        script.answer()
        #expect(script.answer()?.method == .teardown)
        // Another one meanwhile: its streams count.
        try announce(&script, streams: [3])
        #expect(script.events.failure == nil)
        var early = try MSRTSPClientScript()
        try early.describe()
        try announce(&early, streams: [1])
        #expect(early.response()?.status == .ok && early.events.last == .described)
    }

    /// A server that announces and announces, and answers nothing, is left.
    @Test func announcementsWithoutEnd() throws {
        var script = try MSRTSPClientScript()
        try script.play()
        end(&script)
        script.take(script.client.drained(MSRTSPClient.Statistics(), now: script.now))
        for _ in 0..<MSRTSPClient.outstandingMax where script.events.failure == nil { try announce(&script, streams: [1, 2, 3]) }
        #expect(script.events.failure?.description.hasSuffix("it leaves 256 requests unanswered") == true)
        #expect(script.client.deadline == nil)
    }
}
