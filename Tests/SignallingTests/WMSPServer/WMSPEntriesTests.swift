import Testing
import WireFormats

@testable import Signalling

/// Changes of entries ([MS-WMSP] 3.2.4.2, 4.5).
@Suite struct WMSPEntriesTests {
    private let id = WMSPServerScript.id
    private let both = "stream-switch-entry=ffff:1:0 ffff:2:0"

    @Test("The end of an entry is told where it is borne, directly before the change")
    func ends() throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2]))
        _ = try script.play([both])
        let next = try WMSPSample.file(streams: [1], playlistGenID: 8)
        let dialect = WMSPDialect(try modern)
        let changed = script.sessions.contentChanged(id, to: next, entryEnded: true, now: script.now)
        let words = WMSPFraming.endOfStream(.entryDone) + WMSPFraming.streamChange() + next.opening(for: dialect, incarnation: 0)
        #expect(changed == [.send(connection: 2, words), .select(session: id, WMSPSelection(whole: [1]))])

        var old = WMSPServerScript(try WMSPSample.file())
        _ = try old.play(agent: WMSPServerScript.ffmpeg)
        let same = try WMSPSample.file(playlistGenID: 8)
        #expect(old.sessions.contentChanged(id, to: same, entryEnded: true, now: old.now).isEmpty)
    }

    private var modern: WMSPAgent {
        get throws { try #require(WMSPAgent.client(WMSPServerScript.modern)) }
    }

    @Test("Who said nothing in an entry is not predicted for at its end; a SelectStream or a PlayNextEntry is enough")
    func confirmation() throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2])) { $0.offersPipelining = true }
        _ = try script.play(on: 1, ["version11-enabled=1", both], http: "HTTP/1.1")
        func change(_ generation: UInt32) throws -> [WMSPServerAction] {
            script.sessions.contentChanged(id, to: try WMSPSample.file(streams: [1, 2], playlistGenID: generation), now: script.now).rest
        }
        let first = try change(8), second = try change(9)
        #expect(first == [.select(session: id, WMSPSelection(whole: [1, 2]))])
        #expect(second == [.hold(session: id)])
        let played = try script.request(
            "GET /a HTTP/1.1", ["client-id=\(id)", "xPlayNextEntry=1", "stream-switch-entry=ffff:1:2 ffff:2:0"])
        #expect(played.text(1).hasPrefix("0\r\n\r\nHTTP/1.1 200 OK\r\n"))
        #expect(played.rest == [.select(session: id, WMSPSelection(whole: [2]))])
        let third = try change(10)
        #expect(third == [.select(session: id, WMSPSelection(whole: [2]))])
        _ = try script.request("POST /a HTTP/1.1", ["client-id=\(id)", both], on: 3)
        let fourth = try change(11)
        #expect(fourth == [.select(session: id, WMSPSelection(whole: [1, 2]))])
    }

    @Test("A Play with pl-offset begins with the header of where it goes from", arguments: [true, false])
    func skips(predicts: Bool) throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2]))
        let target = try WMSPSample.file(streams: [1], playlistGenID: 8)
        script.content.skipsTo = [target]
        let here = try WMSPSample.file(streams: [1, 2])
        let played = try script.request(
            "GET /a HTTP/1.0", ["no-cache, pl-offset=1,rate=1.000", "xPlayStrm=1", "playlist-seek-id=7", both],
            headers: predicts ? [] : ["Supported: com.microsoft.wm.sswitch"], on: 2)
        let play = try #require(played.play)
        #expect(played.text(2).contains("playlist-gen-id=7, expect-new-header=1\r\n"))
        let dialect = WMSPDialect(try modern)
        #expect(
            played.body(2) == here.opening(for: dialect, incarnation: 0) + WMSPFraming.streamChange()
                + target.opening(for: dialect, incarnation: 0))
        #expect(play.isHeld == !predicts && play.position == .beginning)
        #expect(play.selection == WMSPSelection(whole: [1]))
        if !predicts {
            let selected = try script.request("POST /a HTTP/1.0", ["client-id=\(id)", "stream-switch-entry=ffff:1:1"], on: 3)
            #expect(selected.rest.contains(.select(session: id, WMSPSelection(keyFramesOnly: [1]))))
        }
    }

    @Test("A lag holds for one change, and for fifteen seconds at most")
    func lags() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        _ = try script.play(["client-lag=60000"])
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now) == 15_000)
        _ = script.sessions.contentChanged(id, to: try WMSPSample.file(playlistGenID: 8), now: script.now)
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now) == 0)
        _ = try script.request("POST /a HTTP/1.0", ["client-id=\(id)", "client-lag=2000", both], on: 3)
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now + 1_000) == 7_000)
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now + 9_000) == 2_000)
    }

    @Test("Rewound over a seam: the end of the one, the change to the other, and nothing more before a Play", arguments: [true, false])
    func recedes(isPipelined: Bool) throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2])) { $0.offersPipelining = true }
        let http = isPipelined ? "HTTP/1.1" : "HTTP/1.0"
        _ = try script.play(on: 1, [both] + (isPipelined ? ["version11-enabled=1"] : []), http: http)
        if isPipelined { _ = try script.request("POST /a HTTP/1.1", ["client-id=\(id)", "log-line=x"]) }
        let before = try WMSPSample.file(streams: [1], playlistGenID: 9)
        let receded = script.sessions.contentReceded(id, to: before, now: script.now)
        let words = WMSPFraming.endOfStream(.rewound) + WMSPFraming.streamChange(.previousEntry)
        guard case .send(1, let bytes)? = receded.first else {
            Issue.record("\(receded)")
            return
        }
        #expect(bytes == (isPipelined ? ChunkedCoding.chunk(words) : words))
        if isPipelined {
            #expect(receded.text(1).contains("0\r\n\r\nHTTP/1.1 204 ") && receded.rest.isEmpty)
        } else {
            #expect(receded.rest == [.close(connection: 1)])
        }
        // It is the entry of the session from now on.
        let alive = try script.request("POST /a \(http)", ["client-id=\(id)", "xKeepAliveInPause=1"], on: 3)
        #expect(alive.text(3).contains("playlist-gen-id=9\r\n"))
        script.content = before
        let played = try script.play(on: 4, ["client-id=\(id)", both], http: "HTTP/1.0")
        #expect(played.play?.selection == WMSPSelection(whole: [1]) && played.play?.isHeld == false)
    }

    @Test("PlayNextEntry is granted a fast start, and told its profile where the entry did not begin yet", arguments: [true, false])
    func hastens(predicts: Bool) throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2])) { $0.offersPipelining = true }
        let supported = "Supported: com.microsoft.wm.startupprofile" + (predicts ? ", com.microsoft.wm.predstrm" : "")
        _ = try script.request("GET /a HTTP/1.1", ["no-cache", "xPlayStrm=1", "version11-enabled=1", both], headers: [supported])
        var next = try WMSPSample.file(streams: [1, 2], playlistGenID: 8)
        _ = script.sessions.contentChanged(id, to: next, now: script.now)
        let pragma = [
            "client-id=\(id)", "xPlayNextEntry=1", "stream-switch-entry=ffff:1:2 ffff:2:0", "AccelBW=3500000, AccelDuration=18000",
        ]
        let lines = ["GET /a HTTP/1.1", "User-Agent: \(WMSPServerScript.modern)", supported] + pragma.map { "Pragma: \($0)" }
        let request = try WMSPRequest(try WMSPSample.http(lines, body: ""))
        let wish = script.sessions.startupWish(of: request, content: next)
        let expected = WMSPStartupWish(selection: WMSPSelection(whole: [2]), position: .beginning, milliseconds: 18_000)
        #expect(wish == (predicts ? nil : expected))
        next.startupProfile = "Rate=10;"
        let actions = script.sessions.receive(request, on: 1, from: "10.0.0.1", content: .success(next), now: script.now)
        let text = actions.text(1)
        #expect(text.contains("AccelBW=3500000, AccelDuration=18000\r\n"))
        #expect(text.contains("\r\nX-StartupProfile: Rate=10;\r\n") == !predicts)
        let grant = WMSPPlay.FastStart(bitsPerSecond: 3_500_000, milliseconds: 18_000)
        #expect(actions.rest == [.hasten(session: id, grant), .select(session: id, WMSPSelection(whole: [2]))])
    }
}
