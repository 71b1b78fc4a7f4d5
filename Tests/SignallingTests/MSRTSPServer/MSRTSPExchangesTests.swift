import Testing
import WireFormats

@testable import Signalling

/// Whole exchanges, as players and Windows Media servers have them: every line that goes out, in its order.
@Suite struct MSRTSPExchangesTests {
    private typealias Script = MSRTSPServerScript
    private let id = Script.id
    private let session = "  Session: 13856065358275910855;timeout=60"
    private let entry = "  X-Playlist-Gen-Id: 7"

    @Test("A player over TCP, from Describe to Teardown")
    func tcp() throws {
        var script = Script(try WMSPSample.live(streams: [1, 2]))
        script.content.playlistGenID = 7
        script.content.broadcastID = 73
        script.content.cacheControl = "max-age=0, x-wms-stream-type=\"broadcast\", user-public, must-revalidate, x-wms-proxy-split"
        script.place.ssrcs = [1: 0x2F73_682B, 2: 0x0002_0007]
        let described = try script.ask("DESCRIBE rtsp://h/live", ["Accept: application/sdp", "Supported: \(Script.all)"], session: nil)
        #expect(
            described.lines == [
                "S1 200", "  Content-Type: application/sdp",
                "  Cache-Control: max-age=0, must-revalidate, x-wms-proxy-split, x-wms-stream-type=\"broadcast\"", "  X-Broadcast-Id: 73",
                entry,
                "  <SDP>",
            ])
        let first = try script.ask("SETUP rtsp://h/live/audio", ["X-Playlist-Gen-Id: 7", Script.interleaved], session: nil)
        #expect(
            first.lines == ["S1 200", "  Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=2f73682b;mode=PLAY", session, entry])
        let second = try script.ask("SETUP rtsp://h/live/stream=2", ["X-Playlist-Gen-Id: 7", Script.interleaved])
        #expect(
            second.lines == ["S1 200", "  Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00020007;mode=PLAY", session, entry])
        let played = try script.ask(
            "PLAY rtsp://h/live",
            [
                "Range: npt=0.000-", "X-Playlist-Gen-Id: 7", "X-Playlist-Seek-Id: 7", "Bandwidth: 2147483647",
                "X-Accelerate-Streaming: AccelDuration=10000;AccelBandwidth=3500000",
            ])
        #expect(played.lines == ["start [1, 2] at beginning"])
        let begun = script.sessions.started(id, MSRTSPBeginning(sequence: 17_000, rtpTime: 4_711), now: script.now)
        #expect(
            begun.lines == [
                "S1 200", "  Range: npt=0.000-",
                "  RTP-Info: url=rtsp://h/live/audio;seq=17000;rtptime=4711, url=rtsp://h/live/stream=2;seq=7;rtptime=4711",
                "  X-Accelerate-Streaming: AccelDuration=10000;AccelBandwidth=2000000", session, entry, "go",
            ])
        let connected = try script.ask(
            "SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-Logconnectstats;charset=UTF-8"], body: "<XML/>")
        #expect(connected.lines == ["log connect", "S1 200", session, entry])
        let ended = script.sessions.mediaEnded(id, nextSequence: 17_500, now: script.now)
        #expect(
            ended.lines == [
                "R1 SET_PARAMETER rtsp://h/live", "  Content-Type: application/x-wms-extension-cmd",
                "  X-Notice: 2101 \"End-of-Stream Reached\"",
                "  RTP-Info: url=rtsp://h/live/audio;seq=17500, url=rtsp://h/live/stream=2;seq=7", entry,
                "  User-Agent: WMServer/9.1.1.5000", "  | Session: 13856065358275910855", "  | EOF: true",
            ])
        script.sessions.requestAnswered(id, status: 200, now: script.now)
        let logged = try script.ask("SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-Logplaystats"], body: "<XML/>")
        #expect(logged.lines == ["log play", "S1 200", session, entry])
        let gone = try script.ask("TEARDOWN rtsp://h/live")
        #expect(gone.lines == ["S1 200", session, entry, "ended tornDown", "close 1"])
    }

    @Test("A player over UDP: lost packets first, a packet pair, then the streams to one port; Play and its log at once")
    func udp() throws {
        var script = Script(try WMSPSample.file(streams: [1, 2]))
        script.place.ssrcs = [1: 0x90CB_CAAC, 2: 0x0002_0007]
        let lost = try script.ask("SETUP rtsp://h/live/rtx", [Script.lost], session: nil)
        let ssrc = try #require(script.sessions.facts(of: id)?.retransmission?.ssrc)
        let digits = String(ssrc, radix: 16)
        #expect(
            lost.lines == [
                "S1 200",
                "  Transport: RTP/AVP/UDP;unicast;server_port=5004-5005;client_port=3236-3237;"
                    + "ssrc=\(String(repeating: "0", count: 8 - digits.count))\(digits);mode=PLAY", session, entry,
            ])
        let pair = try script.ask(
            "SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-rtsp-udp-packetpair;charset=UTF-8"],
            body: "type: high-entropy-packetpair")
        #expect(pair.lines == ["S1 200", session, entry, "datagrams 3236 [1470, 1471, 1472]"])
        guard case .datagrams(_, _, let packets)? = pair.last else { return }
        #expect(packets.map { Array($0[12..<16]) } == [[0xC0, 0x00, 0x05, 0xAE], [0x40, 0x00, 0x05, 0xAF], [0x40, 0x00, 0x05, 0xB0]])
        try script.setUp(["audio", "stream=2"], Script.datagrams)
        let played = try script.ask("PLAY rtsp://h/live", ["Range: npt=0.000-"])
        #expect(played.lines == ["start [1, 2] at beginning"])
        let play = try #require(played.play)
        #expect(play.ssrc == 0x90CB_CAAC)
        #expect(play.retransmission == .init(ssrc: ssrc, port: 3_236))
        let begun = script.sessions.started(id, MSRTSPBeginning(sequence: 26_968, rtpTime: 0, milliseconds: 0), now: script.now)
        #expect(
            begun.lines == [
                "S1 200", "  Range: npt=0.000-0.200",
                "  RTP-Info: url=rtsp://h/live/audio;seq=26968;rtptime=0, url=rtsp://h/live/stream=2;seq=7;rtptime=0", session, entry, "go",
            ])
    }

    @Test("A skip: the answer, the end, the other entry, which is sent at once and then confirmed")
    func skip() throws {
        var script = Script(try WMSPSample.file(streams: [1], playlistGenID: 5_351))
        script.place.ssrcs = [1: 0x90CB_CAAC]
        script.place.nextSequence = 26_968
        try script.setUp(["rtx"], Script.lost, ["Supported: \(Script.all)"])
        try script.setUp(["audio"], Script.datagrams)
        _ = try script.play()
        let ssrc = try #require(script.sessions.facts(of: id)?.retransmission?.ssrc)
        let lost = String(ssrc, radix: 16), padding = String(repeating: "0", count: 8 - String(ssrc, radix: 16).count)
        script.content.skipsTo = [try WMSPSample.file(streams: [1], playlistGenID: 5_353)]
        let skipped = try script.ask(
            "PLAY rtsp://h/live", ["X-Playlist: pl-offset=1", "X-Playlist-Gen-Id: 5351", "X-Playlist-Seek-Id: 5351"])
        #expect(
            skipped.lines == [
                "finish", "S1 200", "  X-Playlist-Change-Notice: true", session, "  X-Playlist-Gen-Id: 5351",
                "R1 SET_PARAMETER rtsp://h/live", "  Content-Type: application/x-wms-extension-cmd",
                "  X-Notice: 2101 \"End-of-Stream Reached\"", "  RTP-Info: url=rtsp://h/live/audio;seq=26968", "  X-Playlist-Gen-Id: 5351",
                "  User-Agent: WMServer/9.1.1.5000", "  | Session: 13856065358275910855", "  | EOF: true",
                "  | End-Of-Playlist-Entry: true",
                "R1 ANNOUNCE rtsp://h/live", "  Content-Type: application/sdp", "  X-Playlist-Gen-Id: 5353",
                "  Cache-Control: x-wms-content-size=582, max-age=86399, must-revalidate, proxy-revalidate",
                "  Last-Modified: Tue, 22 Jan 2008 22:54:32 GMT", "  Etag: \"582\"",
                "  X-RTP-Info: url=rtsp://h/live/audio;transport=RTP/AVP/UDP;unicast;server_port=5004-5005;client_port=1790;ssrc=90cbcaac;"
                    + "mode=PLAY;blocksize=156;thinlevel=0;seq=26968, url=rtsp://h/live/rtx;transport=RTP/AVP/UDP;unicast;"
                    + "server_port=5004-5005;client_port=3236-3237;ssrc=\(padding)\(lost);mode=PLAY;thinlevel=0",
                "  User-Agent: WMServer/9.1.1.5000", "  Session: 13856065358275910855", "  <SDP>", "start [1] at beginning",
            ])
        #expect(skipped.play?.sequence == 26_968)
        let begun = script.sessions.started(id, MSRTSPBeginning(sequence: 26_968), now: script.now)
        #expect(begun.lines == ["go"])
        let confirmed = try script.ask(
            "PLAY rtsp://h/live",
            [
                "X-Playlist-Gen-Id: 5353", "X-Playlist-Seek-Id: 5353", "X-RTP-Info: url=rtsp://h/live/audio, url=rtsp://h/live/rtx",
            ])
        #expect(
            confirmed.lines == [
                "S1 200", "  Range: npt=0.000-", "  RTP-Info: url=rtsp://h/live/audio;seq=26968", session, "  X-Playlist-Gen-Id: 5353",
            ])
    }

    @Test("FFmpeg: asks what there is, plays, keeps itself alive, and ends where the connection does")
    func ffmpeg() throws {
        var script = Script(try WMSPSample.file(), agent: Script.ffmpeg)
        script.place.ssrcs = [1: 0x90CB_CAAC]
        let options = try script.ask("OPTIONS rtsp://h/live", session: nil)
        #expect(
            options.lines == [
                "S1 200", "  Public: DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER, OPTIONS, ANNOUNCE",
            ])
        let lost = try script.ask("SETUP rtsp://h/live/rtx", ["Transport: RTP/AVP/UDP;unicast;client_port=20000-20001"], session: nil)
        #expect(lost.status == 200)
        try script.setUp(["audio"], "Transport: RTP/AVP/UDP;unicast;client_port=20002")
        let play = try script.play()
        #expect(play.form.splitsPayloads)
        #expect(play.transport == .datagram(rtp: 20_002, rtcp: 20_003))
        let alive = try script.ask("GET_PARAMETER rtsp://h/live/")
        #expect(alive.lines == ["S1 200", session, entry])
        let paused = try script.ask("PAUSE rtsp://h/live/")
        #expect(paused.lines == ["hold", "S1 200", session, entry])
        let sought = try script.ask("PLAY rtsp://h/live/", ["Range: npt=0.150-"])
        #expect(sought.lines == ["start [1] at time(milliseconds: 150)"])
        _ = script.sessions.started(id, MSRTSPBeginning(), now: script.now)
        let ended = script.sessions.mediaEnded(id, nextSequence: nil, now: script.now)
        #expect(ended.lines.filter { !$0.hasPrefix(" ") } == ["R1 SET_PARAMETER rtsp://h/live", "close 1"])
        let closed = script.sessions.connectionClosed(1, now: script.now)
        #expect(closed.lines == ["ended tornDown"])
    }
}
