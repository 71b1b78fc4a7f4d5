import Testing
import WireFormats

@testable import Signalling

/// What a client says beside the media, and what it makes of servers that send it elsewhere.
@Suite struct WMSPClientFeedbackTests {
    private let header = WMSPFraming.header(WMSPSample.headerBytes)
    private let noContent = WMSPClientScript.head([], status: "204 No Content")

    private func playing(
        _ url: String = "mmsh://relay.example:8080/live?x=1", server: [String] = WMSPClientScript.cougar, from: WMSPPosition = .beginning,
        change: (inout WMSPClient.Settings) -> Void = { _ in }
    ) throws -> WMSPClientScript {
        var script = try WMSPClientScript(url) {
            $0.unixSeconds = { 1_064_622_444 }
            change(&$0)
        }
        script.start()
        script.receive(WMSPClientScript.head(server + ["Content-Length: \(header.count)"]) + header)
        script.play(from: from)
        script.receive(WMSPClientScript.head(server) + header + WMSPClientScript.data(40) + WMSPClientScript.data(41))
        return script
    }

    /// [MS-WMLOG] 2.6: 47 fields, and the same as elements.
    @Test func theLogSaysHowTheMediaCame() throws {
        var script = try playing("mmsh://user:secret@relay.example:8080/live?x=1")
        script.now += 2_500
        let ended = script.run { $0.leave(now: $1) }
        #expect(ended.prefix(2) == [.close(.media), .connect(.feedback)] && !ended.contains(.left))
        let text = ended.text(.feedback)
        #expect(text.contains("Content-Type: application/x-wms-LogStats;charset=UTF-8\r\n") && text.contains("client-id=99"))
        #expect(!text.contains("secret"))
        let body = text.firstRange(of: "<XML>").map { String(text[$0.lowerBound...]) }
        let xml = try #require(body)
        let found = xml.firstMatch(of: /<Summary>(.*)<\/Summary>/)
        let summary = try #require(found).1.split(separator: " ")
        #expect(summary.count == 47 && summary.last == "-" && summary[44] == "mmsh://relay.example:8080/live?x=1")
        #expect(
            summary.prefix(11) == [
                "0.0.0.0", "2003-09-27", "00:27:24", "-", "mmsh://relay.example:8080/live", "0", "3", "1", "200",
                "{00000000-0000-0000-0000-000000000000}", "9.0.0.3171",
            ])
        #expect(
            xml.contains("<c-bytes>256</c-bytes>") && xml.contains("<c-pkts-received>2</c-pkts-received>")
                && xml.contains("<audiocodec>-</audiocodec>") && xml.contains("<protocol>http</protocol>"))
        #expect(script.receive(noContent, .feedback) == [.close(.feedback), .left])
        #expect(script.client.deadline == nil && script.run { $0.leave(now: $1) }.isEmpty)
    }

    /// Servers before 9.0 take a line of 44 fields; VLC's answers it with a header.
    @Test func olderServersGetALine() throws {
        var script = try playing(server: ["Server: Cougar 4.1.0.3921", "Pragma: client-id=4711"])
        let left = script.run { $0.leave(now: $1) }.text(.feedback)
        let found = left.split(separator: "\r\n").first { $0.hasPrefix("Pragma: log-line=") }
        let line = try #require(found).dropFirst("Pragma: log-line=".count)
        #expect(line.split(separator: " ").count == 44 && left.contains("Content-Length: 0\r\n"))
        #expect(script.receive(WMSPClientScript.head([]) + header, .feedback) == [.close(.feedback), .left])
    }

    @Test func nothingIsSaidWhereNothingCame() throws {
        var fresh = try WMSPClientScript()
        fresh.start()
        #expect(fresh.run { $0.leave(now: $1) } == [.close(.media), .left])
        // A server that named no session could not say whose log it is.
        var nameless = try playing(server: ["Server: Cougar/9.1"])
        #expect(nameless.run { $0.leave(now: $1) } == [.close(.media), .left])
    }

    @Test func lastWordsDoNotTakeForever() throws {
        var script = try playing()
        script.run { $0.leave(now: $1) }
        #expect(script.client.deadline == script.now + WMSPClient.leaveMilliseconds)
        script.now += WMSPClient.leaveMilliseconds
        #expect(script.run { $0.timeElapsed(now: $1) } == [.close(.feedback), .left])
        var refused = try playing()
        refused.run { $0.leave(now: $1) }
        #expect(refused.close(.feedback) == [.left])
    }

    @Test func aBrokenPlayCanGoOn() throws {
        let file = ["Server: Cougar/9.1", "Pragma: no-cache, client-id=99, features=\"seekable,stridable\""]
        var script = try playing(server: file)
        #expect(script.close().failure == .cutOff && script.client.resumption == 42)
        var live = try playing()
        #expect(live.close().failure == .cutOff && live.client.resumption == nil)
        let again = try playing(server: file, from: .packet(42)) { $0.isReconnecting = true }
        #expect(again.actions.text().contains("packet-num=42,"))
        var ended = again
        #expect(ended.run { $0.leave(now: $1) }.text(.feedback).contains("<c-status>210</c-status>"))
    }

    @Test(arguments: [("/b", "/a"), ("mmsh://relay.example:8080/live?x=1", "/a"), ("mms://RELAY.example:8080/a", "/a")])
    func redirectionsInACircle(location: String, before: String) throws {
        var script = try WMSPClientScript("mmsh://relay.example:8080/b") {
            $0.trail = [before, "/live?x=1"].compactMap { try? WMSPSourceURL("mmsh://relay.example:8080\($0)") }
        }
        script.start()
        let failure = script.receive(WMSPClientScript.head(["Location: \(location)"], status: "302 Found")).failure
        #expect(failure?.description.contains("in a circle") == true)
    }

    @Test(arguments: ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
    func redirectionsAreTold(status: String) throws {
        var script = try WMSPClientScript("mmsh://user:secret@relay.example/b")
        script.start()
        let actions = script.receive(WMSPClientScript.head(["Location: http://elsewhere.example/c"], status: status))
        guard case .redirected(let url) = actions.last else { Issue.record("not redirected"); return }
        // Another server gets no password that was meant for this one.
        #expect(url.whole == "http://elsewhere.example/c" && url.credentials == nil && actions.first == .close(.media))
    }

    @Test func proxiesWantPasswordsToo() throws {
        var script = try WMSPClientScript("mmsh://user:secret@h/a")
        script.start()
        let again = script.receive(
            WMSPClientScript.head(["Proxy-Authenticate: Basic realm=\"p\""], status: "407 Proxy Authentication Required"))
        #expect(again.text().contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=") && !again.text().contains("\r\nAuthorization"))
        let both = script.receive(WMSPClientScript.head(["WWW-Authenticate: Basic realm=\"s\""], status: "401 Unauthorized"))
        #expect(both.text().contains("Proxy-Authorization: Basic") && both.text().contains("\r\nAuthorization: Basic"))
        let failure = script.receive(WMSPClientScript.head(["Proxy-Authenticate: Basic realm=\"p\""], status: "407 x")).failure
        guard case .unauthorized(let words) = failure else { Issue.record("not refused"); return }
        #expect(words.contains("proxy") && !words.contains("secret"))
    }

    /// Servers before 9.0 know no caches ([MS-WMSP] 3.1.5.4).
    @Test func aCacheIsAServerToOlderOnes() throws {
        var script = try WMSPClientScript {
            $0.userAgent = "WMCacheProxy/9.5.6001.1"
            $0.via = "HTTP/1.1 weir-0011223344556677 (1)"
        }
        let first = script.start().text()
        #expect(first.contains("User-Agent: WMCacheProxy/9.5.6001.1\r\n") && first.contains("\r\nVia: HTTP/1.1 weir-"))
        let again = script.receive(WMSPClientScript.head(["Server: Cougar/4.1.0.3921"], status: "400 Bad Request"))
        #expect(again.first == .close(.media) && again.text().contains("User-Agent: NSServer/9.0.0.3171\r\n"))
        #expect(script.receive(WMSPClientScript.head([], status: "400 Bad Request")).failure == .refused("Describe", .badRequest))
    }

    @Test func valuesOfALogCannotBreakIt() throws {
        var log = WMSPStreamingLog(url: "mmsh://h/a<b>&c?\u{7F}", guid: "", userAgent: "NSServer/9.0; via x", unixSeconds: -1)
        log.entry = "two words\r\n<x>"
        log.bytes = .max
        #expect(log.line.split(separator: " ", omittingEmptySubsequences: false).count == 44)
        #expect(log.line.hasPrefix("0.0.0.0 1970-01-01 00:00:00 - mmsh://h/a<b>&c 0 0 1 200 - 9.0 -"))
        #expect(
            log.xml.contains("mmsh://h/a&lt;b&gt;&amp;c?_ two_words__&lt;x&gt; -</Summary>") && log.xml.contains(">4294967295</c-bytes>"))
    }

    /// Bytes that are changed anyhow, in pieces of any size, with anything asked for in between: it fails with words, or goes on.
    @Test(arguments: 0..<8) func anythingMayCome(seed: UInt64) throws {
        var dice = SplitMix(seed: seed)
        let other = WMSPSample.headerBytes(streams: [2])
        let body =
            WMSPFraming.metadata(WMSPMetadata(playlistGenID: 7, features: .broadcast).serialized()) + header + WMSPClientScript.data(0)
            + WMSPFraming.endOfStream(.entryDone) + WMSPFraming.streamChange() + WMSPFraming.header(other) + WMSPClientScript.data(1)
            + WMSPFraming.endOfStream(.done)
        for _ in 0..<400 {
            var script = try WMSPClientScript()
            script.start()
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                var bytes = WMSPClientScript.head(WMSPClientScript.cougar) + body
                for _ in 0..<Int.random(in: 0...6, using: &dice) {
                    let at = Int.random(in: 0..<bytes.count, using: &dice)
                    switch Int.random(in: 0..<4, using: &dice) {
                    case 0: bytes[at] = UInt8.random(in: 0...255, using: &dice)
                    case 1: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &dice)
                    case 2: bytes.remove(at: at)
                    default: bytes.replaceSubrange(at..., with: bytes[at...].shuffled(using: &dice).prefix(64))
                    }
                }
                let link: WMSPClient.Link = Int.random(in: 0..<5, using: &dice) == 0 ? .feedback : .media
                script.receive(bytes, link, step: Int.random(in: 1...2_000, using: &dice))
                script.now += UInt64.random(in: 0...20_000, using: &dice)
                switch Int.random(in: 0..<8, using: &dice) {
                case 0: script.close(link)
                case 1: script.play(from: .packet(UInt64.random(in: 0...UInt64.max, using: &dice)))
                case 2: script.run { $0.stop(now: $1) }
                case 3: script.run { $0.leave(now: $1) }
                case 4: script.run { $0.send(RemoteEvent(kind: .open), now: $1) }
                case 5: script.run { $0.timeElapsed(now: $1) }
                default: script.play()
                }
            }
            let isOver = script.actions.contains { action in
                if case .failed(let failure) = action { return !failure.description.isEmpty }
                return action == .left
            }
            #expect(
                script.client.deadline != nil || isOver || [.described, .playing].contains(script.client.phase)
                    || script.client.clientID == nil)
            #expect(script.client.waiting.count <= WMSPClient.feedbackMax)
        }
    }
}

/// Numbers that are the same each time.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
