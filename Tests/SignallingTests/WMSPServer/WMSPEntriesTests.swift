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
}
