import Testing
import WireFormats

@testable import Signalling

/// Who may do what with a session, when it ends, and what is bounded.
@Suite struct WMSPSessionsLifeTests {
    private let id = WMSPServerScript.id

    @Test(arguments: [
        ("POST /a HTTP/1.0", "xKeepAliveInPause=1", ""), ("POST /a HTTP/1.0", "stream-switch-entry=ffff:1:0", ""),
        ("POST /a HTTP/1.0", "log-line=a", ""), ("POST /a HTTP/1.0", "xStopStrm=1", ""), ("GET /a HTTP/1.1", "xPlayNextEntry=1", ""),
    ])
    func whatNeedsASession(line: String, pragma: String, type: String) throws {
        var script = WMSPServerScript(try WMSPSample.file())
        #expect(try script.request(line, [pragma]).text(1).contains(" 400 "))
        #expect(try script.request(line, [pragma, "client-id=99"]).text(1).contains("no session of that client-id"))
        _ = try script.describe(on: 5)
        #expect(try script.request(line, [pragma, "client-id=\(id)"], from: "10.9.9.9").text(1).contains("somebody else"))
        #expect(script.sessions.count == 1 && script.sessions.counters.sessionsMistaken == 2)
    }

    @Test func whatNeedsNone() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        let info = try script.request("POST /a HTTP/1.1", headers: ["Content-Type: application/x-wms-getcontentinfo"], body: "0")
        #expect(info.text(1).contains("Etag: \"582\"") && info.text(1).contains("Content-Length: 0") && info.rest.isEmpty)
        let options = try script.request("OPTIONS * HTTP/1.1", ["client-id=5"])
        #expect(options.text(1).contains("Public: GET, POST, OPTIONS\r\nAllow: OPTIONS\r\n"))
        let event = try script.request("POST /a HTTP/1.1", headers: ["Content-Type: application/x-wms-sendevent"], body: "1\r\n1,28,0\r\n")
        #expect(event.rest == [.event(session: nil, path: "a", RemoteEvent(kind: .open))] && event.text(1).contains(" 200 "))
        let broken = try script.request("POST /a HTTP/1.1", headers: ["Content-Type: application/x-wms-sendevent"], body: "x")
        #expect(broken.text(1).contains(" 400 ") && broken.rest.isEmpty && script.sessions.count == 0)
    }

    @Test func anUnknownIDGetsANewSession() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        #expect(try script.describe(["client-id=77"]).text(1).contains("client-id=\(id), xResetStrm=1"))
        let again = try script.describe(on: 2, ["client-id=\(id)"])
        #expect(again.text(2).contains("client-id=\(id), features") && script.sessions.count == 1)
        // Two sessions never have one number.
        #expect(try script.play(on: 3, ["client-id=78"]).play?.session == id &+ 1)
    }

    @Test(arguments: [
        ("10.0.0.1", "{A}", "{A}", true), ("10.0.0.1", "{A}", "", true), ("10.0.0.1", "", "{B}", true), ("10.0.0.1", "{A}", "{B}", false),
        ("10.0.0.2", "{A}", "{A}", false), ("10.0.0.2", "{A}", "", false),
    ])
    func twoPlaysOnOneSession(address: String, first: String, second: String, isTakenOver: Bool) throws {
        var script = WMSPServerScript(try WMSPSample.file())
        _ = try script.play(first.isEmpty ? [] : ["xClientGUID=\(first)"])
        let again = try script.play(on: 9, ["client-id=\(id)"] + (second.isEmpty ? [] : ["xClientGUID=\(second)"]), from: address)
        if isTakenOver {
            #expect(again.rest == [.stop(session: id), .close(connection: 2)] && again.play?.connection == 9)
            #expect(script.sessions.counters.takeOvers == 1)
            // What the old connection's end means is known.
            #expect(script.sessions.connectionClosed(2, now: script.now).isEmpty && script.sessions.streamingCount == 1)
        } else {
            #expect(again.play == nil && again.text(9).contains(" 400 ") && script.sessions.streamingCount == 1)
        }
    }

    @Test func aPlayBehindAPlayOnOneConnection() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        script.closesAtOnce = false
        _ = try script.play(["version11-enabled=1"], http: "HTTP/1.1")
        let again = try script.play(["client-id=\(id)", "version11-enabled=1"], http: "HTTP/1.1")
        #expect(again.first == .stop(session: id) && again.text(2).hasPrefix("0\r\n\r\nHTTP/1.1 200 OK") && again.play?.incarnation == 1)
        // Without chunks there is no place for a second answer.
        let plain = try script.play(on: 3, ["client-id=\(id)"])
        #expect(plain.contains(.close(connection: 2)) && plain.play?.isChunked == false)
        let lost = try script.play(on: 3, ["client-id=\(id)"])
        #expect(lost == [.stop(session: id), .close(connection: 3)])
        #expect(try script.describe(on: 3).isEmpty, "what comes over a connection that is being closed counts no more")
        _ = script.sessions.connectionClosed(3, now: script.now)
        #expect(try !script.describe(on: 3).isEmpty)
    }

    @Test func stopAndResume() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        _ = try script.play(["version11-enabled=1"], http: "HTTP/1.1")
        let stopped = try script.request("POST /a HTTP/1.1", ["client-id=\(id)", "xStopStrm=1"], on: 2)
        #expect(stopped.first == .stop(session: id) && stopped.text(2).hasPrefix("0\r\n\r\nHTTP/1.1 200 OK") && stopped.rest.count == 1)
        let resumed = try script.play(on: 4, ["client-id=\(id)", "stream-time=500"])
        #expect(resumed.play?.position == .time(milliseconds: 500) && !resumed.text(4).contains("xResetStrm"))
        // Not pipelined, its own connection is closed.
        let closed = try script.request("POST /a HTTP/1.1", ["client-id=\(id)", "xStopStrm=1"], on: 5)
        #expect(closed.rest == [.stop(session: id), .close(connection: 4)] && closed.text(5).contains(" 200 "))
    }

    @Test func describeWhileItPlaysIsRefused() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        _ = try script.play()
        #expect(try script.describe(["client-id=\(id)"]).text(1).contains(" 400 "))
    }

    @Test func sessionsOutliveConnectionsForAWhile() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        _ = try script.play()
        #expect(script.sessions.timeElapsed(now: script.now + 1_000_000).isEmpty, "who is being sent media is not idle")
        script.now += 1_000_000
        #expect(script.sessions.connectionClosed(2, now: script.now) == [.stop(session: id)])
        #expect(script.sessions.connectionClosed(2, now: script.now).isEmpty && script.sessions.count == 1)
        script.now += 60_000
        #expect(script.sessions.timeElapsed(now: script.now).isEmpty)
        _ = try script.request("POST /a HTTP/1.0", ["client-id=\(id)", "xKeepAliveInPause=1"], on: 3)
        script.now += 64_999
        #expect(script.sessions.timeElapsed(now: script.now).isEmpty)
        #expect(script.sessions.timeElapsed(now: script.now + 1) == [.ended(session: id, .idle)] && script.sessions.count == 0)
    }

    @Test func waitingForASelectionDoesNotLastForEver() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        _ = try script.request("GET /a HTTP/1.0", ["xPlayStrm=1"], headers: ["Supported: com.microsoft.wm.sswitch"], on: 2)
        _ = script.sessions.contentChanged(id, to: try WMSPSample.file(playlistGenID: 8), now: script.now)
        #expect(
            script.sessions.timeElapsed(now: script.now + 65_000) == [
                .stop(session: id), .close(connection: 2), .ended(session: id, .idle),
            ])
    }

    @Test func limitsOnSessions() throws {
        var script = WMSPServerScript(try WMSPSample.file()) { ($0.sessionsMax, $0.sessionsPerAddressMax) = (3, 2) }
        _ = try script.play(on: 1)
        script.now += 1
        _ = try script.describe(on: 2)
        // The idle one makes room; then all of the address are being sent media.
        #expect(try script.play(on: 3).first == .ended(session: id &+ 1, .evicted))
        let refused = try script.play(on: 4)
        #expect(refused.text(4).contains(" 503 ") && refused.text(4).contains("Retry-After: 10") && refused.play == nil)
        _ = try script.play(on: 5, from: "10.0.0.2")
        let full = try script.play(on: 6, from: "10.0.0.3")
        #expect(full.text(6).contains(" 503 ") && script.sessions.count == 3)
        #expect(script.sessions.counters.sessionsRefused == 2 && script.sessions.counters.sessionsEvicted == 1)
        #expect(script.sessions.end(session: id) == [.stop(session: id), .close(connection: 1), .ended(session: id, .ended)])
        #expect(try script.play(on: 7).play != nil)
    }

    @Test func answersThatAreOwedAreBounded() throws {
        var script = WMSPServerScript(try WMSPSample.file()) { $0.owedMax = 2 }
        _ = try script.play(["version11-enabled=1"], http: "HTTP/1.1")
        for _ in 0..<2 { #expect(try script.request("POST /a HTTP/1.1", ["client-id=\(id)", "xKeepAliveInPause=1"], on: 2).isEmpty) }
        #expect(
            try script.request("POST /a HTTP/1.1", ["client-id=\(id)", "xKeepAliveInPause=1"], on: 2) == [
                .stop(session: id), .close(connection: 2),
            ])
        #expect(script.sessions.counters.owedOverflows == 1)
    }

    @Test func pipelineTestsThatFail() throws {
        var script = WMSPServerScript(try WMSPSample.file()) { $0.offersPipelining = true }
        _ = try script.request("GET /a HTTP/1.1")
        let ask = ["pipeline-request=1", "client-id=\(id)"]
        _ = try script.request("GET /a HTTP/1.1", ask)
        #expect(script.sessions.timeElapsed(now: script.now + 999).isEmpty)
        #expect(script.sessions.timeElapsed(now: script.now + 1_000) == [.send(connection: 1, ChunkedCoding.end)])
        let late = try script.request("GET /a HTTP/1.1", ask)
        #expect(late.text(1).hasPrefix("HTTP/1.1 204 ") && late.text(1).contains("pipeline-result=0"))
        // Another request in between ends the test.
        _ = try script.request("GET /a HTTP/1.1", ask)
        #expect(try script.play(on: 1, ["client-id=\(id)"], http: "HTTP/1.1").text(1).hasPrefix("0\r\n\r\nHTTP/1.1 200 OK"))
        var none = WMSPServerScript(try WMSPSample.file()) { $0.offersPipelining = false }
        #expect(try !none.request("GET /a HTTP/1.1", ["pipeline-experiment=1"]).text(1).contains("pipeline-experiment"))
        #expect(try none.request("GET /a HTTP/1.1", ask).text(1).contains(" 400 "))
    }

    @Test func endsOfTheirKinds() throws {
        var script = WMSPServerScript(try WMSPSample.file()) { $0.repeatsEnd = true }
        _ = try script.play()
        let repeated = script.sessions.mediaEnded(id, now: script.now)
        let ends = [[UInt8]](repeating: WMSPFraming.endOfStream(.done), count: 512).flatMap { $0 }
        #expect(repeated == [.send(connection: 2, ends)])
        _ = try script.play(on: 3, agent: WMSPServerScript.ffmpeg)
        let legacy = script.sessions.mediaEnded(id &+ 1, reason: .serverUnavailable, now: script.now)
        #expect(legacy == [.send(connection: 3, WMSPFraming.endOfStream(.serverUnavailable)), .close(connection: 3)])
        #expect(script.sessions.mediaEnded(id &+ 1, now: script.now).isEmpty)
    }

    /// Old clients keep the header that they have: what it cannot hold is the end of it.
    @Test func aChangeForOldClients() throws {
        var script = WMSPServerScript(try WMSPSample.live())
        _ = try script.play(agent: WMSPServerScript.ffmpeg)
        #expect(script.sessions.contentChanged(id, to: try WMSPSample.live(), now: script.now).isEmpty)
        let ended = script.sessions.contentChanged(id, to: try WMSPSample.live(streams: [1, 2]), now: script.now)
        #expect(ended == [.send(connection: 2, WMSPFraming.endOfStream(.done)), .close(connection: 2), .finish(session: id)])
    }

    /// Players before 7.0 whose session was not known want the header twice (5.8 of the reference); FFmpeg, which calls itself 4.1, does not.
    @Test(arguments: [("NSPlayer/6.4.7.1128", true), ("NSPlayer/4.1.0.3856", false), ("NSPlayer/7.0.0.1956", false)])
    func headersTwice(agent: String, isTwice: Bool) throws {
        var script = WMSPServerScript(try WMSPSample.file())
        let body = try script.play(["request-context=2"], agent: agent).body(2)
        let once = WMSPFraming.header(script.content.legacyHeader.bytes)
        let between = WMSPFraming.endOfStream(.entryDone) + WMSPFraming.streamChange()
        let twice = once + between + once
        #expect(body == (isTwice ? twice : once))
    }

    @Test func aListWithoutPlayIsAPlay() throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 10]))
        let played = try script.request("GET /a HTTP/1.0", ["stream-switch-entry=ffff:10:0 "], agent: WMSPServerScript.ffmpeg, on: 2)
        #expect(played.play?.selection == WMSPSelection(whole: [10]))
        #expect(try script.play(on: 3).play?.selection == WMSPSelection(whole: [1, 10]), "without a list, all")
    }

    @Test func packetPairsStandBeforeTheHeader() throws {
        var script = WMSPServerScript(try WMSPSample.file()) { $0.offersPacketPairs = true }
        let described = try script.describe(["packet-pair-experiment=1"])
        let body = described.body(1)
        #expect(body.starts(with: [0x24, 0x50]) && body[WMSPFraming.packetPairBytes...].starts(with: [0x24, 0x4D]))
        #expect(described.text(1).contains("packet-pair-experiment=1") && described.text(1).contains("srvppair"))
        #expect(try !script.describe(on: 2).body(2).starts(with: [0x24, 0x50]))
        #expect(
            try script.describe(on: 3, agent: WMSPServerScript.ffmpeg, ["packet-pair-experiment=1"]).body(3).starts(with: [0x24, 0x48]))
    }

    @Test func playlistsAsOldClientsSeeThem() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        script.content.features = [.seekable, .stridable, .playlist, .skipForward, .skipBackward]
        #expect(try script.describe().text(1).contains("features=\"seekable,stridable,playlist,skipbackward,skipforward\""))
        #expect(try script.describe(on: 2, agent: WMSPServerScript.ffmpeg).text(2).contains("features=\"broadcast,playlist\""))
    }

    /// Whatever comes in whatever order, nothing traps and nothing is left over.
    @Test(arguments: 0..<20) func anythingGoes(seed: Int) throws {
        var state = UInt64(seed &+ 1) &* 0x9E37_79B9_7F4A_7C15
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2])) {
            ($0.sessionsMax, $0.sessionsPerAddressMax, $0.owedMax, $0.offersPipelining) = (4, 3, 2, true)
        }
        let lines = ["GET /a HTTP/1.1", "GET /a HTTP/1.0", "POST /a HTTP/1.1", "OPTIONS * HTTP/1.1"]
        let tokens = [
            "xPlayStrm=1", "xPlayNextEntry=1", "pipeline-request=1", "xStopStrm=1", "stream-switch-entry=ffff:1:0 2:ffff:0", "log-line=a",
            "version11-enabled=1", "xKeepAliveInPause=1", "no-cache",
        ]
        var playing: [UInt64: UInt32] = [:]
        for _ in 0..<400 {
            script.now += UInt64(next(20_000))
            let connection = UInt64(next(5))
            var actions: [WMSPServerAction] = []
            switch next(8) {
            case 0: actions = script.sessions.connectionClosed(connection, now: script.now)
            case 1: actions = script.sessions.timeElapsed(now: script.now)
            case 2: actions = script.sessions.mediaEnded(id &+ UInt32(next(3)), now: script.now)
            case 3: actions = script.sessions.contentChanged(id &+ UInt32(next(3)), to: script.content, now: script.now)
            default:
                let pragma = [tokens[next(tokens.count)], tokens[next(tokens.count)], "client-id=\(id &+ UInt32(next(4)))"]
                let agent = [WMSPServerScript.modern, WMSPServerScript.ffmpeg][next(2)]
                let line = lines[next(lines.count)]
                guard let request = try? WMSPRequest(try WMSPSample.http([line, "User-Agent: \(agent)"] + pragma.map { "Pragma: \($0)" }))
                else {
                    continue
                }
                actions = script.sessions.receive(
                    request, on: connection, from: "10.0.0.\(next(2))", content: .success(script.content), now: script.now)
            }
            for action in actions {
                // A connection carries the media of one session, from its start to its stop, end or closing.
                switch action {
                case .start(let play, _):
                    #expect(playing[play.connection] == nil)
                    playing[play.connection] = play.session
                case .stop(let session), .finish(let session): playing = playing.filter { $0.value != session }
                case .select(let session, _), .hold(let session): #expect(playing.values.contains(session))
                default: break
                }
            }
            playing = playing.filter { connection, _ in script.sessions.bodies[connection] != nil }
            #expect(
                Set(playing.values).count == playing.count && script.sessions.bodies.count == playing.count && script.sessions.count <= 4)
        }
    }
}
