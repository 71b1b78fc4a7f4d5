import Testing
import WireFormats

@testable import Signalling

/// A client, and the server at the other end played by the test.
struct WMSPClientScript {
    var client: WMSPClient
    var now: UInt64 = 5_000
    /// All that it wanted, in order.
    var actions: [WMSPClient.Action] = []

    init(_ url: String = "mmsh://relay.example:8080/live?x=1", change: (inout WMSPClient.Settings) -> Void = { _ in }) throws {
        var settings = WMSPClient.Settings(url: try WMSPSourceURL(url)) { "nonce" }
        change(&settings)
        client = WMSPClient(settings: settings)
    }

    /// Does something, and what comes of it at once: connections stand.
    @discardableResult mutating func run(_ step: (inout WMSPClient, UInt64) -> [WMSPClient.Action]) -> [WMSPClient.Action] {
        var open = step(&client, now)
        var done: [WMSPClient.Action] = []
        while !open.isEmpty {
            let action = open.removeFirst()
            done.append(action)
            if case .connect(let link) = action { open += client.connected(link, now: now) }
        }
        actions += done
        return done
    }

    /// The server sends bytes, cut so.
    @discardableResult mutating func receive(_ bytes: [UInt8], _ link: WMSPClient.Link = .media, step: Int = 1_000_000) -> [WMSPClient
        .Action]
    {
        var done: [WMSPClient.Action] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            let piece = Array(bytes[start..<min(start + step, bytes.count)])
            done += run { $0.received(link, piece, now: $1) }
        }
        return done
    }

    @discardableResult mutating func close(_ link: WMSPClient.Link = .media) -> [WMSPClient.Action] { run { $0.closed(link, now: $1) } }
    @discardableResult mutating func start() -> [WMSPClient.Action] { run { $0.start(now: $1) } }
    @discardableResult mutating func play(_ selection: WMSPSelection? = nil, from position: WMSPPosition = .beginning) -> [WMSPClient
        .Action]
    {
        run { $0.play(selection, from: position, now: $1) }
    }

    static func head(_ lines: [String], status: String = "200 OK") -> [UInt8] {
        Array((["HTTP/1.0 \(status)"] + lines).map { $0 + "\r\n" }.joined().utf8) + [13, 10]
    }

    static let cougar = [
        "Server: Cougar/9.01.01.3814", "Pragma: no-cache, client-id=99, features=\"broadcast\", timeout=60000, playlist-gen-id=7",
    ]

    static func data(_ number: UInt32) -> [UInt8] { WMSPFraming.data([UInt8](repeating: 0x82, count: 128), locationID: number) ?? [] }
}

extension [WMSPClient.Action] {
    /// What is sent over a link, as text.
    func text(_ link: WMSPClient.Link = .media) -> String {
        String(decoding: flatMap { action -> [UInt8] in if case .send(link, let bytes) = action { bytes } else { [] } }, as: UTF8.self)
    }

    var failure: WMSPClientFailure? {
        for case .failed(let failure) in self { return failure }
        return nil
    }

    var packetNumbers: [UInt32] {
        compactMap { if case .packet(let number, _) = $0 { number } else { nil } }
    }
}

@Suite struct WMSPClientTests {
    private let header = WMSPFraming.header(WMSPSample.headerBytes)

    @Test(arguments: [1, 7, 100_000]) func describeAndPlay(step: Int) throws {
        var script = try WMSPClientScript()
        let asked = script.start()
        #expect(asked.first == .connect(.media))
        #expect(
            asked.text().hasPrefix(
                "GET /live?x=1 HTTP/1.1\r\nAccept: */*\r\nUser-Agent: NSServer/9.0.0.3171\r\nHost: relay.example:8080\r\nPragma: no-cache,rate=1.000,"
            ))
        #expect(!asked.text().contains("xPlayStrm") && !asked.text().contains("BW") && asked.text().contains("Supported: "))
        let metadata = WMSPMetadata(playlistGenID: 7, features: .broadcast)
        let body = WMSPFraming.metadata(metadata.serialized()) + header
        let described = script.receive(
            WMSPClientScript.head(WMSPClientScript.cougar + ["Content-Length: \(body.count)"]) + body, step: step)
        #expect(described.contains(.described(header: WMSPSample.headerBytes, metadata)) && described.last == .close(.media))
        #expect(script.client.server?.product == .cougar && script.client.features == .broadcast)

        let played = script.play()
        #expect(
            played.text().contains("Pragma: xPlayStrm=1\r\n") && played.text().contains("client-id=99")
                && played.text().contains("stream-switch-entry=ffff:1:0"))
        #expect(played.text().contains("stream-time=0,stream-offset=4294967295:4294967295,packet-num=4294967295,max-duration=0"))
        let media = script.receive(
            WMSPClientScript.head(WMSPClientScript.cougar) + body + WMSPClientScript.data(40) + WMSPClientScript.data(41), step: step)
        #expect(media.first == .playing(header: WMSPSample.headerBytes, metadata) && media.packetNumbers == [40, 41])
        let ended = script.receive(WMSPFraming.endOfStream(.done))
        #expect(ended.prefix(3) == [.close(.media), .connect(.feedback), .ended(.done)])
        #expect(ended.text(.feedback).hasPrefix("POST /live?x=1 HTTP/1.1\r\n") && ended.text(.feedback).hasSuffix("</XML>"))
        #expect(script.receive(WMSPClientScript.head([], status: "204 No Content"), .feedback) == [.close(.feedback)])
    }

    /// VLC's mmsh output: a blank in the server's name, the header and then the end of the connection; no `$E`; a new header in the middle.
    @Test func whatVLCSends() throws {
        var script = try WMSPClientScript()
        script.start()
        let head = WMSPClientScript.head([
            "Content-type: application/octet-stream", "Server: Cougar 4.1.0.3921", "Pragma: no-cache", "Pragma: client-id=4711",
            "Pragma: features=\"broadcast\"", "Cache-Control: no-cache", "Connection: close",
        ])
        #expect(script.receive(head + header) == [.described(header: WMSPSample.headerBytes, nil)])
        // Asked for before the connection ended, the Play waits for that.
        #expect(script.play().isEmpty)
        let played = script.close()
        #expect(played.first == .close(.media) && played.text().contains("xPlayStrm=1") && !played.text().contains("LinkBW"))
        #expect(script.receive(head + header + WMSPClientScript.data(1_000)).packetNumbers == [1_000])
        let other = WMSPFraming.header(WMSPSample.headerBytes(streams: [2]))
        #expect(
            script.receive(other + WMSPClientScript.data(1_001)).first
                == .headerChanged(WMSPSample.headerBytes(streams: [2]), nil, isNextEntry: false))
        #expect(script.close().failure == .cutOff)
    }

    /// FFmpeg's `asf_stream` behind `-listen 1`: no server, chunks, and the answer to Describe runs on.
    @Test(arguments: [false, true]) func whatFFmpegSends(isPlayAsked: Bool) throws {
        var script = try WMSPClientScript()
        script.start()
        let head = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
        script.receive(head + ChunkedCoding.chunk(header))
        if isPlayAsked { #expect(script.play().isEmpty) }
        let media = script.receive(ChunkedCoding.chunk(WMSPClientScript.data(0) + WMSPClientScript.data(1)))
        #expect(media.first == .playing(header: WMSPSample.headerBytes, nil) && media.packetNumbers == [0, 1])
        // `24 45 08 00 <number> 00 00 08 00`
        let ended = script.receive(ChunkedCoding.chunk([0x24, 0x45, 8, 0, 2, 0, 0, 0, 0, 0, 8, 0]) + ChunkedCoding.end)
        #expect(ended == [.close(.media), .ended(.done)])
        #expect(script.actions.filter { $0 == .connect(.media) }.count == 1)
    }

    /// All in one piece: the Play that is asked for then is what comes already, and the one connection there is stays.
    @Test func aDescribeThatRunsOnAtOnce() throws {
        var script = try WMSPClientScript()
        script.start()
        let media = script.receive(WMSPClientScript.head([]) + header + WMSPClientScript.data(0))
        #expect(media.count == 3 && media.packetNumbers == [0])
        #expect(script.play().isEmpty)
        #expect(script.receive(WMSPClientScript.data(1)).packetNumbers == [1])
        // To go elsewhere is another matter.
        #expect(script.play(from: .time(milliseconds: 5)).prefix(2) == [.close(.media), .connect(.media)])
    }

    @Test func aDescribeThatStaysOpenIsClosed() throws {
        var script = try WMSPClientScript()
        script.start()
        script.receive(WMSPClientScript.head([]) + header)
        script.play()
        #expect(script.client.deadline == script.now + 3_000)
        script.now += 3_000
        let played = script.run { $0.timeElapsed(now: $1) }
        #expect(played.first == .close(.media) && played.contains(.connect(.media)) && played.text().contains("xPlayStrm=1"))
    }

    @Test func entriesFollowOneAnother() throws {
        var script = try WMSPClientScript()
        script.start()
        let body = WMSPClientScript.head(WMSPClientScript.cougar + ["Supported: com.microsoft.wm.sswitch"]) + header
        script.receive(body)
        script.close()
        script.play()
        script.receive(body + WMSPClientScript.data(0))
        #expect(script.receive(WMSPFraming.endOfStream(.entryDone)) == [.entryEnded])
        let next = WMSPSample.headerBytes(streams: [3])
        let metadata = WMSPMetadata(playlistGenID: 8, features: .playlist)
        let changed = script.receive(WMSPFraming.streamChange() + WMSPFraming.metadata(metadata.serialized()) + WMSPFraming.header(next))
        #expect(changed.prefix(2) == [.connect(.feedback), .headerChanged(next, metadata, isNextEntry: true)])
        #expect(changed.text(.feedback).contains("application/x-wms-LogStats"))
        // A server that does not predict waits to be told.
        let told = script.receive(WMSPClientScript.head([], status: "204 No Content"), .feedback).text(.feedback)
        #expect(told.contains("stream-switch-entry=ffff:3:0") && told.contains("playlist-gen-id=8"))
        #expect(script.receive(WMSPClientScript.data(0)).packetNumbers == [0])
    }

    @Test func headersComeInPieces() throws {
        var script = try WMSPClientScript()
        script.start()
        var pieces: [UInt8] = []
        for (index, range) in [0..<100, 100..<300, 300..<326].enumerated() {
            var bytes = [UInt8](repeating: 0, count: 12)
            var span = bytes.mutableSpan
            let flags: UInt8 = index == 0 ? 4 : index == 2 ? 8 : 0
            WMSPFraming.writeDataHead(
                kind: .header, payloadBytes: range.count, locationID: UInt32(index), flags: flags, nextFollows: true, to: &span)
            pieces += bytes + WMSPSample.headerBytes[range]
        }
        #expect(script.receive(WMSPClientScript.head([]) + pieces).first == .described(header: WMSPSample.headerBytes, nil))
    }

    @Test(
        arguments: [
            ("404 Not Found", WMSPClientFailure.refused("Describe", .notFound)), ("503 x", .refused("Describe", .serviceUnavailable)),
            ("407 x", .unauthorized("the proxy before the server wants a name and a password: write them into the URL")),
            ("305 Use Proxy", .redirection("the server wants to be asked through another one (305), which Weir does not do")),
            ("302 Found", .redirection("the server sends elsewhere, and does not say where")),
        ] as [(String, WMSPClientFailure)])
    func refusals(status: String, failure: WMSPClientFailure) throws {
        var script = try WMSPClientScript()
        script.start()
        let actions = script.receive(WMSPClientScript.head([], status: status))
        #expect(actions.failure == failure && actions.first == .close(.media) && !failure.description.isEmpty)
        #expect(script.close().isEmpty && script.client.deadline == nil)
    }

    @Test(arguments: [
        ("mms://other.example/b", "mms://other.example/b" as String?), ("/b?c", "mmsh://relay.example:8080/b?…"), ("rtsp://h/a", nil),
    ])
    func redirections(location: String, leadsTo: String?) throws {
        var script = try WMSPClientScript()
        script.start()
        let actions = script.receive(WMSPClientScript.head(["Location: \(location)"], status: "302 Found"))
        guard let leadsTo else { #expect(actions.failure != nil); return }
        guard case .redirected(let url) = actions.last else { Issue.record("not redirected"); return }
        #expect(url.description == leadsTo)
        var tired = try WMSPClientScript { $0.trail = (0..<WMSPClient.redirectionsMax).compactMap { try? WMSPSourceURL("mmsh://h/\($0)") } }
        tired.start()
        #expect(tired.receive(WMSPClientScript.head(["Location: \(location)"], status: "302 Found")).failure != nil)
    }

    @Test func namesAndPasswords() throws {
        var script = try WMSPClientScript("mmsh://user:secret@h/a")
        #expect(!script.start().text().contains("Authorization"))
        let challenge = WMSPClientScript.head(
            ["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"", "Content-Length: 0"], status: "401 Unauthorized")
        let again = script.receive(challenge)
        #expect(
            again.first == .close(.media) && again.text().contains("Authorization: Digest username=\"user\"")
                && again.text().contains("uri=\"/a\""))
        #expect(!again.text().contains("secret"))
        script.receive(WMSPClientScript.head(["Content-Length: \(header.count)"]) + header)
        #expect(script.play().text().contains("Authorization: Digest"))
        var refused = try WMSPClientScript("mmsh://user:secret@h/a")
        refused.start()
        refused.receive(challenge)
        guard case .unauthorized = refused.receive(challenge).failure else { Issue.record("not refused"); return }
        var none = try WMSPClientScript()
        none.start()
        guard case .unauthorized = none.receive(challenge).failure else { Issue.record("not missing"); return }
    }

    @Test(
        arguments: [
            ([0x25, 0x44], "must begin"), ([0x24, 0x58, 0, 0], "unknown kind"),
            (WMSPFraming.header([1, 2, 3]), "3 of the 24 bytes"), (WMSPFraming.data([1], locationID: 0) ?? [], "before any $H"),
            (WMSPFraming.endOfStream(.serverUnavailable), "0xC00D2EE6"), (WMSPFraming.streamChange(.serverUnavailable), "0xC00D2EE6"),
        ] as [([UInt8], String)])
    func brokenBodies(body: [UInt8], words: String) throws {
        var script = try WMSPClientScript()
        script.start()
        let failure = script.receive(WMSPClientScript.head([]) + body).failure
        #expect(failure?.description.contains(words) == true, "\(failure?.description ?? "no failure")")
    }

    @Test func silenceAndEarlyEnds() throws {
        var script = try WMSPClientScript()
        script.start()
        #expect(script.client.deadline == script.now + 10_000)
        script.now += 10_000
        #expect(script.run { $0.timeElapsed(now: $1) }.failure == .noAnswer("Describe", milliseconds: 10_000))
        var early = try WMSPClientScript()
        early.start()
        early.receive(WMSPClientScript.head([]))
        #expect(early.close().failure == .noHeader)
        var nothing = try WMSPClientScript()
        nothing.start()
        #expect(nothing.close().failure != nil)
    }

    @Test func keepAliveWhileNothingPlays() throws {
        var script = try WMSPClientScript()
        script.start()
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar + ["Content-Length: \(header.count)"]) + header)
        script.play(from: .time(milliseconds: 1_500))
        #expect(script.actions.text().contains("rate=1.000,stream-time=1500,"))
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar) + header + WMSPClientScript.data(0))
        #expect(script.client.deadline == nil)
        #expect(script.run { $0.stop(now: $1) }.prefix(2) == [.close(.media), .connect(.feedback)])
        #expect(script.actions.text(.feedback).contains("<c-starttime>1</c-starttime>"))
        script.receive(WMSPClientScript.head([], status: "204 No Content"), .feedback)
        #expect(script.client.deadline == script.now + 30_000)
        script.now += 30_000
        #expect(script.run { $0.timeElapsed(now: $1) }.text(.feedback).contains("xKeepAliveInPause=1"))
        // Nobody answers: it is given up, and the next one is asked again.
        script.now += 10_000
        #expect(script.run { $0.timeElapsed(now: $1) } == [.close(.feedback)])
        #expect(script.play(from: .packet(7)).text().contains("packet-num=7,"))
        #expect(script.run { $0.end(now: $1) } == [.close(.media)] && script.client.deadline == nil)
    }

    @Test func feedbackGoesOneAfterTheOther() throws {
        var script = try WMSPClientScript()
        script.start()
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar + ["Content-Length: \(header.count)"]) + header)
        script.play()
        #expect(script.run { $0.send(RemoteEvent(kind: .open), now: $1) }.isEmpty)
        let wanted = ["Cache-Control: no-cache, x-wms-event-subscription=\"remote-open, remote-close\", max-age=0"]
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar + wanted) + header + WMSPClientScript.data(0))
        #expect(script.run { $0.send(RemoteEvent(kind: .log), now: $1) }.isEmpty)
        let event = script.run { $0.send(RemoteEvent(kind: .open), now: $1) }
        #expect(event.text(.feedback).hasSuffix("1\r\n1,28,0\r\n"))
        #expect(script.run { $0.select(WMSPSelection(keyFramesOnly: [1]), now: $1) }.isEmpty)
        let next = script.receive(WMSPClientScript.head(["Content-Length: 0"]), .feedback)
        #expect(next.first == .close(.feedback) && next.text(.feedback).contains("stream-switch-entry=ffff:1:1"))
        for number in 0..<100 { script.run { $0.send(RemoteEvent(kind: .close, reason: UInt32(number)), now: $1) } }
        #expect(script.client.waiting.count == WMSPClient.feedbackMax && script.client.feedbackDropped == 100 - WMSPClient.feedbackMax)
        // The origin sends nothing more until it has the choice: no event goes before it.
        #expect(script.run { $0.select(WMSPSelection(whole: [1]), now: $1) }.isEmpty)
        #expect(script.client.waiting.first == .selectStream && script.client.waiting.count == WMSPClient.feedbackMax)
        #expect(script.client.feedbackDropped == 101 - WMSPClient.feedbackMax)
    }

    @Test(arguments: [
        ("mmsh://h/a", "h", UInt16(80), "/a"), ("MMS://h:8080", "h", 8_080, "/"), ("http://[::1]:81/a?b", "::1", 81, "/a?b"),
        ("mmshttp://u:p@h/a%20b", "h", 80, "/a%20b"),
    ])
    func urls(text: String, host: String, port: UInt16, target: String) throws {
        let url = try WMSPSourceURL(text)
        #expect(url.host == host && url.port == port && url.target == target && !url.description.contains("u:p"))
        #expect(WMSPSourceURL.isOne(text))
    }

    @Test(arguments: ["rtsp://h/a", "h/a", "", "mmsh://", "mmsh://h:99999/", "mmsh://h/a b", "mmsh://u:p/q@h/"])
    func noURLs(text: String) {
        #expect(throws: WMSPSourceURL.Trouble.self) { try WMSPSourceURL(text) }
    }
}
