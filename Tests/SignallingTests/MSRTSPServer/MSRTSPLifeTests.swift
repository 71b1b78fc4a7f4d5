import Testing
import WireFormats

@testable import Signalling

/// Sessions from their first request to their end, whoever they belong to and wherever they go on.
@Suite struct MSRTSPLifeTests {
    private typealias Script = MSRTSPServerScript
    private let id = Script.id

    @Test("A session is its owner's, on its path, and no other's")
    func owners() throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        let foreign = try script.ask("PLAY rtsp://h/live", from: "10.0.0.2")
        #expect(foreign.status == 454)
        #expect(foreign.answer?.headers["Session"] == nil)
        #expect(foreign.answer?.headers["X-Playlist-Gen-Id"] == nil)
        let unknown = try script.ask("PLAY rtsp://h/live", session: 4_711)
        #expect(unknown.status == 454)
        let none = try script.ask("PLAY rtsp://h/live", session: nil)
        #expect(none.status == 454)
        let event = try script.ask(
            "SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-sendevent"], session: 4_711, body: "1\r\n1,28,0\r\n")
        #expect(event.status == 200)
        #expect(event.answer?.headers["Supported"] == nil)
        #expect(event.rest == [.event(session: nil, path: "live", RemoteEvent(kind: .open))])
        #expect(script.sessions.counters.sessionsMistaken == 2)
    }

    @Test("A connection that closes leaves the session; it goes on over another")
    func comesBack() throws {
        for transport in [Script.interleaved, Script.datagrams] {
            var script = Script(try WMSPSample.file())
            try script.setUp(["audio"], transport)
            _ = try script.play()
            let closed = script.sessions.connectionClosed(1, now: script.now)
            #expect(closed == [transport == Script.interleaved ? .stop(session: id) : .hold(session: id)])
            #expect(script.sessions.count == 1)
            let again = try script.ask("PLAY rtsp://h/live", ["Range: npt=0.100-"], on: 2)
            #expect(again.play?.connection == 2)
            #expect(again.play?.position == .time(milliseconds: 100))
            let answered = script.sessions.started(id, MSRTSPBeginning(), now: script.now)
            #expect(answered.answers(2).count == 1)
        }
    }

    @Test("Whoever has his media on the connection, and is no player of Windows Media, does not come back")
    func doesNotComeBack() throws {
        for (transport, lines) in [(Script.interleaved, ["stop", "ended tornDown"]), (Script.datagrams, ["hold"])] {
            var script = Script(try WMSPSample.file(), agent: Script.ffmpeg)
            try script.setUp(["audio"], transport)
            _ = try script.play()
            let closed = script.sessions.connectionClosed(1, now: script.now)
            #expect(closed.lines == lines)
        }
    }

    @Test("A request over another connection takes the session there; a Play that waits on the old one is answered")
    func takeOver() throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        _ = try script.ask("PLAY rtsp://h/live")
        let alive = try script.ask("GET_PARAMETER rtsp://h/live", on: 2)
        #expect(alive.answers(1).map(\.status.code) == [455])
        #expect(alive.answers(2).map(\.status.code) == [200])
        #expect(alive.rest == [.stop(session: id)])
        let late = script.sessions.started(id, MSRTSPBeginning(), now: script.now)
        #expect(late.isEmpty)
        let gone = script.sessions.connectionClosed(1, now: script.now)
        #expect(gone.isEmpty)
        #expect(script.sessions.facts(of: id)?.connection == 2)
        #expect(script.sessions.counters.takeOvers == 1)

        var datagrams = Script(try WMSPSample.file())
        try datagrams.setUp(["audio"], Script.datagrams)
        _ = try datagrams.play()
        let moved = try datagrams.ask("GET_PARAMETER rtsp://h/live", on: 2)
        #expect(moved.rest.isEmpty, "over UDP it goes on as it was")
    }

    @Test("Who never played does not hold a place; a Play that nobody finds a place for does not last for ever")
    func neverPlayed() throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        let closed = script.sessions.connectionClosed(1, now: script.now)
        #expect(closed == [.ended(session: id, .tornDown)])
        try script.setUp()
        _ = try script.ask("PLAY rtsp://h/live")
        script.now += 129_999
        #expect(script.sessions.timeElapsed(now: script.now).isEmpty)
        script.now += 1
        let over = script.sessions.timeElapsed(now: script.now)
        #expect(over.status == 455)
        #expect(over.rest == [.stop(session: id), .ended(session: id, .idle), .close(connection: 1)])
    }

    @Test("Who is silent goes, but not while TCP carries media to him")
    func idle() throws {
        for (transport, survives) in [(Script.interleaved, true), (Script.datagrams, false)] {
            var script = Script(try WMSPSample.file())
            try script.setUp(["audio"], transport)
            _ = try script.play()
            script.now += 65_000
            let elapsed = script.sessions.timeElapsed(now: script.now)
            #expect(elapsed == (survives ? [] : [.stop(session: id), .ended(session: id, .idle), .close(connection: 1)]))
        }
        var heard = Script(try WMSPSample.file())
        try heard.setUp(["audio"], Script.datagrams)
        _ = try heard.play()
        heard.now += 60_000
        heard.sessions.heard(id, now: heard.now)
        heard.now += 60_000
        #expect(heard.sessions.timeElapsed(now: heard.now).isEmpty)
        _ = try heard.ask("GET_PARAMETER rtsp://h/live")
        heard.now += 64_999
        #expect(heard.sessions.timeElapsed(now: heard.now).isEmpty)
        heard.now += 1
        #expect(heard.sessions.timeElapsed(now: heard.now).count == 3)
    }

    @Test("Teardown stops, answers, ends and closes, in this order")
    func tearDown() throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        _ = try script.play()
        let ended = try script.ask("TEARDOWN rtsp://h/live/")
        #expect(ended.lines.filter { !$0.hasPrefix(" ") } == ["stop", "S1 200", "ended tornDown", "close 1"])
        #expect(ended.answer?.headers["Session"] == "\(id);timeout=60")
        let again = try script.ask("TEARDOWN rtsp://h/live")
        #expect(again.status == 454)
    }

    @Test("A session asks so much in a while, and no more; the end is always heard")
    func heartbeat() throws {
        var script = Script(try WMSPSample.file()) { $0.transactionsMax = 10 }
        try script.setUp()
        for _ in 1...10 { #expect(try script.ask("GET_PARAMETER rtsp://h/live").status == 200) }
        let refused = try script.ask("GET_PARAMETER rtsp://h/live")
        #expect(refused.status == 503)
        #expect(refused.answer?.headers["Retry-After"] == "30")
        let log = try script.ask("SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-Logplaystats"], body: "<XML/>")
        #expect(log.status == 200)
        #expect(script.sessions.counters.transactionsRefused == 1)
        script.now += 30_000
        let later = try script.ask("GET_PARAMETER rtsp://h/live")
        #expect(later.status == 200)
        // The streams of an entry are one thing: 2 + 1 of them in each.
        for _ in 1...24 { #expect(try script.ask("SETUP rtsp://h/live/audio", [Script.interleaved]).status == 200) }
        for _ in 1...8 { _ = try script.ask("OPTIONS rtsp://h/live") }
        let end = try script.ask("TEARDOWN rtsp://h/live")
        #expect(end.status == 200)
    }

    @Test("Bounds on sessions hold; who is idle makes room")
    func bounds() throws {
        var script = Script(try WMSPSample.file()) {
            $0.sessionsMax = 3
            $0.sessionsPerAddressMax = 2
        }
        func open(on connection: UInt64, from host: String) throws -> [MSRTSPServerAction] {
            try script.ask("SETUP rtsp://h/live/audio", [Script.interleaved], session: nil, on: connection, from: host)
        }
        #expect(try open(on: 1, from: "10.0.0.1").answers(1).count == 1)
        #expect(try open(on: 2, from: "10.0.0.1").answers(2).count == 1)
        let third = try open(on: 3, from: "10.0.0.1")
        #expect(third.rest == [.ended(session: id, .evicted)])
        #expect(script.sessions.count == 2)
        #expect(script.sessions.counters.sessionsEvicted == 1)
        _ = try script.ask("PLAY rtsp://h/live", session: id &+ 1, on: 2)
        _ = try script.ask("PLAY rtsp://h/live", session: id, on: 3)
        let full = try open(on: 4, from: "10.0.0.1")
        #expect(full.answers(4).map(\.status.code) == [503])
        #expect(script.sessions.counters.sessionsRefused == 1)
    }

    @Test(
        "Conditions",
        arguments: [
            ("DESCRIBE rtsp://h/live", "If-None-Match: \"{TAG}\"", 304), ("DESCRIBE rtsp://h/live", "If-None-Match: \"{0}\"", 200),
            ("DESCRIBE rtsp://h/live", "If-None-Match: \"", 400), ("DESCRIBE rtsp://h/live", "If-Match: \"{TAG}\"", 200),
            ("DESCRIBE rtsp://h/live", "If-Match: \"582\"", 200), ("DESCRIBE rtsp://h/live", "If-Match: *", 200),
            ("SETUP rtsp://h/live/audio", "If-Match: \"{0}\"", 412), ("SETUP rtsp://h/live/audio", "If-Match: \"", 412),
            ("SETUP rtsp://h/live/audio", "If-Match: \"{TAG}\"", 200), ("SETUP rtsp://h/live/audio", "X-Playlist-Gen-Id: 6", 412),
            ("SETUP rtsp://h/live/audio", "X-Playlist-Gen-Id: 7", 200), ("SETUP rtsp://h/live/audio", "X-Playlist-Gen-Id: 0", 200),
            ("DESCRIBE rtsp://h/live", "Accept: text/html", 406), ("DESCRIBE rtsp://h/live", "Accept: application/sdp;q=1, */*", 200),
        ])
    func conditions(line: String, header: String, status: Int) throws {
        var script = Script(try WMSPSample.file())
        let tag = MSRTSPAnswers.tag(of: script.content)
        let header = header.replacing("{TAG}", with: tag)
        let actions = try script.ask(line, [header, Script.interleaved], session: nil)
        #expect(actions.status == status)
    }

    @Test("A description says what there is, once each")
    func describes() throws {
        var script = Script(try WMSPSample.file())
        let actions = try script.ask("DESCRIBE rtsp://h/live", ["Supported: \(Script.all)"], session: nil)
        let answer = try #require(actions.answer)
        #expect(answer.headers["Content-Type"] == "application/sdp")
        #expect(answer.headers["Content-Base"] == "rtsp://h/live/")
        #expect(answer.headers["X-Playlist-Gen-Id"] == "7")
        #expect(answer.headers["Session"] == nil)
        #expect(answer.headers["Cache-Control"] == "x-wms-content-size=582, max-age=86399, must-revalidate, proxy-revalidate")
        #expect(Set(answer.headers.fields.map { $0.name.lowercased() }).count == answer.headers.count)
        let sdp = try SessionDescription(answer.body)
        let description = try MSRTSPDescription(sdp)
        #expect(description.entityTag == MSRTSPAnswers.tag(of: script.content))
        #expect(description.range == .npt(start: .microseconds(0), end: .microseconds(200_000)))
        #expect(description.retransmission != nil)
        #expect(description.header == script.content.header.bytes)
        // What it names can be set up.
        for stream in description.streams {
            let controls = MSRTSPControls(script.content.header)
            #expect(controls.target(of: stream.control) == UInt8(exactly: stream.number).map { .stream($0) })
        }
        script.agent = "GStreamer/1.22.0"
        let open = try script.ask("DESCRIBE rtsp://h/live", session: nil)
        let other = try MSRTSPDescription(try SessionDescription(try #require(open.answer).body))
        #expect(other.range == .npt(start: .microseconds(0), end: nil))
        script.agent = Script.ffmpeg
        let empty = try script.ask("DESCRIBE rtsp://h/live", session: nil)
        let third = try MSRTSPDescription(try SessionDescription(try #require(empty.answer).body))
        #expect(try third.asfHeader().data.byteCount == 50)
        // Entries that are made one have no end.
        script.content.features.formUnion([.playlist, .skipForward])
        script.agent = "GStreamer/1.22.0"
        let list = try script.ask("DESCRIBE rtsp://h/live", session: nil)
        let fourth = try MSRTSPDescription(try SessionDescription(try #require(list.answer).body))
        #expect(fourth.features.contains(.broadcast) && !fourth.features.contains(.playlist))
        #expect(try fourth.asfHeader().file.isBroadcast)
    }

    @Test("Controls are the description's", arguments: [[UInt8(1)], [1, 2], [2, 5, 9]])
    func controls(streams: [UInt8]) throws {
        let content = try WMSPSample.file(streams: streams)
        let description = try MSRTSPDescription(
            of: content.header, origin: SDPOrigin(sessionID: 1, sessionVersion: 1, address: "127.0.0.1"), base: "rtsp://h/live",
            entityTag: nil, features: [], durationMilliseconds: nil)
        let controls = MSRTSPControls(content.header)
        #expect(description.streams.map(\.control) == streams.map { controls.control(of: $0) })
        #expect(controls.target(of: "rtx") == .retransmission)
        #expect(controls.target(of: "audio/fec") == streams.first.map { .fec($0) })
        #expect(controls.target(of: "stream=300") == nil)
        #expect(controls.target(of: nil) == (streams.count == 1 ? .stream(streams[0]) : nil))
    }

    @Test("Packet pairs, over TCP and as datagrams")
    func packetPairs() throws {
        var script = Script(try WMSPSample.file())
        let pair = try script.ask("GET_PARAMETER rtsp://h/live", ["Content-Type: application/x-rtsp-packetpair"], session: nil)
        guard case .answerPacketPair(1, let response)? = pair.first else { return #expect(pair.isEmpty) }
        #expect(response.status == .ok)
        #expect(pair.count == 1)
        let asked = ["Content-Type: application/x-rtsp-udp-packetpair;charset=UTF-8"]
        try script.setUp(["audio"], Script.datagrams)
        let early = try script.ask("SET_PARAMETER rtsp://h/live", asked, body: "type: high-entropy-packetpair")
        #expect(early.status == 455)
        try script.setUp(["rtx"], Script.lost)
        let unread = try script.ask("SET_PARAMETER rtsp://h/live", asked, body: "type: none")
        #expect(unread.status == 400)
        let sent = try script.ask("SET_PARAMETER rtsp://h/live", asked, body: "type: high-entropy-packetpair")
        #expect(sent.status == 200)
        guard case .datagrams(id, 3_236, let packets)? = sent.last else { return #expect(sent.isEmpty) }
        #expect(packets.map(\.count) == [1_470, 1_471, 1_472])
        _ = try script.play()
        let late = try script.ask("SET_PARAMETER rtsp://h/live", asked, body: "type: high-entropy-packetpair")
        #expect(late.status == 455)
    }

    @Test("Logs are never refused")
    func logs() throws {
        var script = Script(try WMSPSample.file())
        try script.setUp()
        for (type, body, session, kept) in [
            ("application/x-wms-Logconnectstats", "<XML><c-dns>-</c-dns></XML>", id, true),
            ("application/x-wms-Logplaystats;charset=UTF-8", "<XML><time:23:31:24</time></XML>", id, true),
            ("application/x-wms-Logplaystats", "", id, false), ("application/x-wms-Logplaystats", "<XML/>", nil, false),
        ] as [(String, String, UInt64?, Bool)] {
            let actions = try script.ask(
                "SET_PARAMETER rtsp://h/live", ["Content-Type: \(type)", "X-Playlist-Gen-Id: 99"], session: session, body: body)
            #expect(actions.status == 200)
            #expect(actions.rest.count == (kept ? 1 : 0))
        }
        #expect(script.sessions.counters.logsUnusable == 2)
    }

    @Test("What may be cached is said in RTSP's words")
    func contentInfo() throws {
        var script = Script(try WMSPSample.live())
        let plain = try script.ask(
            "GET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-getcontentinfo"], session: nil, body: "0")
        #expect(plain.answer?.headers["Cache-Control"] == "no-cache")
        #expect(plain.answer?.headers["Supported"] == nil)
        #expect(plain.answer?.body == [])
    }
}
