import Testing
import WireFormats

@testable import Signalling

@Suite struct WMSPSessionsTests {
    private let id = WMSPServerScript.id

    /// 9.1 of the reference: a file without pipelining, to a player of version 9.
    @Test func goldenFile() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        let described = try script.request(
            "GET /vod/a.wmv HTTP/1.0",
            [
                "no-cache,rate=1.000,stream-time=0,stream-offset=0:0,packet-num=4294967295,max-duration=0",
                "xClientGUID={3300AD50-2C39-46c0-AE0A-0000000000A1}",
            ], headers: ["Supported: com.microsoft.wm.srvppair, com.microsoft.wm.sswitch, com.microsoft.wm.predstrm"])
        let metadata = WMSPMetadata(playlistGenID: 7, features: [.seekable, .stridable]).serialized()
        let opening = WMSPFraming.metadata(metadata) + WMSPFraming.header(WMSPSample.headerBytes)
        let head = """
            HTTP/1.0 200 OK\r
            Server: Cougar/9.01.01.3814\r
            Pragma: no-cache, client-id=2064325698, xResetStrm=1, features="seekable,stridable", timeout=60000, playlist-gen-id=7\r
            Cache-Control: no-cache, x-wms-content-size=582, max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate\r
            Last-Modified: Tue, 22 Jan 2008 22:54:32 GMT\r
            Etag: "582"\r
            Supported: com.microsoft.wm.sswitch, com.microsoft.wm.predstrm, com.microsoft.wm.fastcache, com.microsoft.wm.startupprofile\r
            Content-Type: application/vnd.ms.wms-hdr.asfv1\r
            Connection: close\r
            Content-Length: \(opening.count)\r\n\r\n
            """
        #expect(described.text(1).hasPrefix(head))
        #expect(described.body(1) == opening && described.last == .close(connection: 1))

        let played = try script.request(
            "GET /vod/a.wmv HTTP/1.0",
            [
                "no-cache,rate=1.000,stream-time=0,stream-offset=4294967295:4294967295,packet-num=4294967295,max-duration=0",
                "xPlayStrm=1", "client-id=2064325698", "LinkBW=2147483647, AccelBW=1048576, AccelDuration=10000",
                "stream-switch-count=1", "stream-switch-entry=ffff:1:0",
            ], on: 2)
        let play = try #require(played.play)
        #expect(play.session == id && play.connection == 2 && !play.isChunked)
        #expect(play.position == .beginning)
        #expect([play.rate, play.speed] == [1.0, 1.0])
        #expect(play.selection == WMSPSelection(whole: [1]) && play.fastStart == .init(bitsPerSecond: 1_048_576, milliseconds: 10_000))
        #expect(play.end == nil && played.rest.isEmpty && script.sessions.streamingCount == 1)
        #expect(
            played.text(2).contains(
                "client-id=2064325698, features=\"seekable,stridable\", timeout=60000, playlist-gen-id=7, AccelBW=1048576, AccelDuration=10000\r\n"
            ))
        #expect(played.text(2).contains("Content-Type: application/x-mms-framed\r\nConnection: close\r\n\r\n$M"))
        #expect(!played.text(2).contains("Content-Length") && played.body(2).count == opening.count)

        let ended = script.sessions.mediaEnded(id, now: script.now)
        #expect(ended == [.send(connection: 2, WMSPFraming.endOfStream(.done)), .close(connection: 2)])

        let logged = try script.request(
            "POST /vod/a.wmv HTTP/1.0", ["client-id=2064325698"], headers: ["Content-Type: application/x-wms-LogStats;charset=UTF-8"],
            body: "<XML></XML>", on: 3)
        #expect(logged.text(3).hasPrefix("HTTP/1.0 204 No Content\r\n") && logged.text(3).contains("Content-Length: 0\r\n"))
        guard case .log(id, let log) = logged.first else { Issue.record("no log"); return }
        #expect(log.form == .xml && log.text == "<XML></XML>" && log.path == "vod/a.wmv")
    }

    /// 9.2: the pipeline test and a playlist with prediction over one connection.
    @Test func goldenPipeline() throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2])) { $0.offersPipelining = true }
        let described = try script.request("GET /a HTTP/1.1", ["version11-enabled=1", "pipeline-experiment=1", "no-cache"])
        #expect(described.text(1).contains("pipeline-experiment=1") && !described.contains(.close(connection: 1)))
        let first = try script.request("GET /a HTTP/1.1", ["pipeline-request=1", "client-id=\(id)"])
        #expect(first.text(1).contains("Transfer-Encoding: chunked") && first.body(1) == Array("4\r\n$T\0\0\r\n".utf8))
        let second = try script.request("GET /a HTTP/1.1", ["pipeline-request=1", "client-id=\(id)"])
        #expect(second.text(1).hasPrefix("0\r\n\r\nHTTP/1.1 204 No Content\r\n") && second.text(1).contains("pipeline-result=1"))

        let played = try script.play(
            on: 1, ["version11-enabled=1", "client-id=\(id)", "stream-switch-entry=ffff:1:0 ffff:2:2"], http: "HTTP/1.1")
        let start = try #require(played.play)
        #expect(start.isChunked && start.incarnation == 1)
        #expect(start.selection == WMSPSelection(whole: [1]))
        let opening = script.content.opening(for: WMSPDialect(try #require(WMSPAgent.client(WMSPServerScript.modern))), incarnation: 1)
        #expect(played.body(1) == ChunkedCoding.chunk(opening))

        // The next entry: its streams are selected as they were, and what it is is said in the same body.
        let next = try WMSPSample.file(streams: [1, 2], playlistGenID: 8)
        let changed = script.sessions.contentChanged(id, to: next, now: script.now)
        #expect(changed.last == .select(session: id, WMSPSelection(whole: [1])))
        #expect(changed.text(1).contains("$C") && changed.text(1).contains("playlist-gen-id=8"))

        // The log waits for the body to end; the confirmation ends it.
        let logged = try script.request(
            "POST /a HTTP/1.1", ["client-id=\(id)"], headers: ["Content-Type: application/x-wms-LogStats"], body: "<XML/>")
        #expect(logged.text(1).isEmpty && logged.rest.count == 1)
        let confirmed = try script.request(
            "GET /a HTTP/1.1", ["client-id=\(id)", "xPlayNextEntry=1", "client-lag=0", "stream-switch-entry=ffff:1:1 ffff:2:0"])
        let text = confirmed.text(1)
        #expect(text.hasPrefix("0\r\n\r\nHTTP/1.1 204 No Content\r\n") && text.hasSuffix("Transfer-Encoding: chunked\r\n\r\n"))
        #expect(confirmed.last == .select(session: id, WMSPSelection(whole: [2], keyFramesOnly: [1])))

        let ended = script.sessions.mediaEnded(id, now: script.now)
        #expect(ended.text(1) == "8\r\n$E\u{4}\0\0\0\0\0\r\n0\r\n\r\n" && ended.rest.isEmpty)
        // Nothing is open any more: answers come at once.
        let kept = try script.request("POST /a HTTP/1.1", ["client-id=\(id)", "xKeepAliveInPause=1"])
        #expect(kept.text(1).hasPrefix("HTTP/1.1 200 OK"))
    }

    @Test func withoutPredictionTheClientSelects() throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2]))
        _ = try script.describe()
        _ = try script.request(
            "GET /a HTTP/1.0", ["xPlayStrm=1", "client-id=\(id)"], headers: ["Supported: com.microsoft.wm.sswitch"], on: 2)
        let changed = script.sessions.contentChanged(id, to: try WMSPSample.file(streams: [3], playlistGenID: 8), now: script.now)
        #expect(changed.last == .hold(session: id) && script.sessions.streamingCount == 0)
        let selected = try script.request(
            "POST /a HTTP/1.0", ["client-id=\(id)", "client-lag=20000", "stream-switch-entry=ffff:3:0"], on: 3)
        #expect(selected.text(3).hasPrefix("HTTP/1.0 200 OK") && selected.last == .select(session: id, WMSPSelection(whole: [3])))
        #expect(selected.contains(.close(connection: 3)) && script.sessions.streamingCount == 1)
        // A lag of at most 15 s, and 8 s since the selection, before the next.
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now) == 15_000)
        _ = script.sessions.contentChanged(id, to: try WMSPSample.file(), now: script.now)
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now) == 0)
    }

    @Test func selectingWhileItPlays() throws {
        var script = WMSPServerScript(try WMSPSample.file(streams: [1, 2, 4]))
        _ = try script.describe()
        _ = try script.play(["client-id=\(id)", "stream-switch-entry=ffff:1:0 ffff:2:2 ffff:4:0"])
        let selected = try script.request("POST /a HTTP/1.0", ["client-id=\(id)", "stream-switch-entry=4:2:0 1:1:1 ffff:9:0"], on: 3)
        #expect(selected.contains(.select(session: id, WMSPSelection(whole: [2], keyFramesOnly: [1]))))
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now + 1_000) == 7_000)
        #expect(script.sessions.changeDelayMilliseconds(of: id, now: script.now + 9_000) == 0)
    }

    /// What each client gets in answer to Describe and Play, and at the end.
    @Test(arguments: [
        ("NSPlayer/4.1.0.3856", "application/octet-stream", "$H", false), ("NSPlayer/7.10.0.3059", "application/x-mms-framed", "$H", false),
        ("NSPlayer/8.0.0.4477", "application/x-mms-framed", "$H", true), ("NSPlayer/12.0.7601.1", "application/x-mms-framed", "$M", true),
        ("NSServer/4.1.0.3928", "application/octet-stream", "$H", false),
        ("WMCacheProxy/9.5.6001.1", "application/x-mms-framed", "$M", true),
    ])
    func gates(agent: String, type: String, begins: String, accelerates: Bool) throws {
        var script = WMSPServerScript(try WMSPSample.file())
        let described = try script.describe(agent: agent)
        #expect(described.text(1).contains("\r\n\r\n\(begins)") && described.contains(.close(connection: 1)))
        let isModern = begins == "$M"
        #expect(described.text(1).contains("Supported:") == isModern)
        // Nobody gets chunks without HTTP/1.1, and old clients not even then.
        let played = try script.play(["version11-enabled=1", "AccelBW=90000000, AccelDuration=99000"], agent: agent, http: "HTTP/1.1")
        #expect(played.text(2).contains("Content-Type: \(type)\r\n") && played.play?.isChunked == isModern)
        let bits: UInt32 = agent.contains("/8") ? 1_048_576 : 50_000_000
        let fastStart = WMSPPlay.FastStart(bitsPerSecond: bits, milliseconds: 30_000)
        #expect(played.play?.fastStart == (accelerates ? fastStart : nil))
        #expect(played.text(2).contains("AccelBW=\(bits), AccelDuration=30000") == accelerates)
        // Padding, and the size of the Data Object that old ones believe.
        let header = script.content.header(for: WMSPDialect(try #require(WMSPAgent.client(agent)))).bytes
        let dataObjectSize = header[header.count - 33]
        let expected: UInt8 = isModern ? 1 : 0
        #expect(dataObjectSize == expected)
    }

    @Test func onlyThoseWhoAskGetRatesAndSpeed() throws {
        var script = WMSPServerScript(try WMSPSample.file())
        let fast = try script.play(["BurstBW=3500000, BurstDuration=5000, AccelBW=1, AccelDuration=1", "Speed=20.000", "rate=-9.5"])
        let start = try #require(fast.play)
        #expect(start.fastStart == WMSPPlay.FastStart(bitsPerSecond: 3_500_000, milliseconds: 5_000))
        #expect([start.rate, start.speed] == [-5.0, 5.0])
        #expect(fast.text(2).contains("BurstBW=3500000, BurstDuration=5000, Speed=5.000"))
        script.content = try WMSPSample.live()
        let live = try script.play(on: 3, ["AccelBW=0, AccelDuration=10", "Speed=2", "rate=2"])
        let liveStart = try #require(live.play)
        #expect(liveStart.fastStart == nil && !live.text(3).contains("Speed"))
        #expect([liveStart.rate, liveStart.speed] == [1.0, 1.0])
    }

    @Test(
        arguments: [
            ("stream-time=0,stream-offset=0:0,packet-num=4294967295", "NSPlayer/9.0", WMSPPosition.beginning),
            ("", "NSPlayer/9.0", .beginning),
            ("stream-time=1500,packet-num=3", "NSPlayer/9.0", .time(milliseconds: 1_500)),
            ("stream-time=4294967295,packet-num=1", "NSPlayer/9.0", .packet(1)), ("stream-time=0,packet-num=0", "NSPlayer/9.0", .beginning),
            ("stream-time=0Connection: Close", "NSPlayer/4.1.0.3856", .beginning),
            // libmms counts from the file's beginning, VLC from the first packet; 326 + 128 is a border in one reading alone.
            ("stream-offset=0:454", "NSPlayer/4.1.0.3856", .packet(1)), ("stream-offset=0:256", "NSPlayer/7.10.0.3059", .packet(2)),
            ("stream-offset=0:256", "NSPlayer/4.1.0.3856", .packet(2)), ("stream-offset=0:326", "NSPlayer/4.1.0.3856", .beginning),
            ("stream-offset=1:0", "NSPlayer/7.10.0.3059", .packet(33_554_432)), ("stream-offset=0:600", "NSPlayer/4.1.0.3856", .packet(2)),
            ("stream-offset=0:5", "NSPlayer/9.0", .beginning), ("stream-offset=4294967295:4294967295", "NSPlayer/9.0", .beginning),
        ] as [(String, String, WMSPPosition)])
    func positions(tokens: String, agent: String, position: WMSPPosition) throws {
        var script = WMSPServerScript(try WMSPSample.file())
        #expect(try script.play([tokens], agent: agent).play?.position == position)
        script.content = try WMSPSample.live()
        #expect(try script.play(on: 3, [tokens], agent: agent).play?.position == .beginning)
    }

    /// Where header and packet are of one size, both readings of an offset are borders: VLC's own counts from the first packet.
    @Test func offsetsThatFitBothWays() throws {
        func position(_ agent: String) throws -> WMSPPosition {
            .packet(at: 256, headerBytes: 128, packetBytes: 128, dialect: WMSPDialect(try #require(WMSPAgent.client(agent))))
        }
        #expect(try position("NSPlayer/7.10.0.3059") == .packet(2))
        #expect(try position("NSPlayer/4.1.0.3856") == .packet(1))
    }

    @Test(arguments: [
        ("max-duration=0", nil as WMSPPlay.End?), ("max-duration=1000", .after(milliseconds: 1_000)),
        ("max-duration=2147484648", .absolute(milliseconds: 1_000)), ("max-duration=4294967295", nil),
    ])
    func ends(tokens: String, end: WMSPPlay.End?) throws {
        var script = WMSPServerScript(try WMSPSample.file())
        #expect(try script.play(["stream-time=2000,\(tokens)"]).play?.end == end)
        script.content = try WMSPSample.live()
        #expect(try script.play(on: 3, [tokens]).play?.end == nil, "a broadcast ends by itself")
    }
}
