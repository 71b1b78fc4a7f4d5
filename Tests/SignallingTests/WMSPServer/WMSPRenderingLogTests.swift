import Testing
import WireFormats

@testable import Signalling

/// What becomes of a player's log on its way to the origin ([MS-WMLOG] 2.7 and 4).
@Suite struct WMSPRenderingLogTests {
    /// The document's example of a legacy log.
    private static let line = """
        0.0.0.0 2003-09-27 00:27:24 - http://10.194.20.175/mcast1200K 0 42 1 200 {3300AD50-2C39-46c0-AE0A-B4C904C7848E} 9.0.0.2980 en-US \
        WMFSDK/9.0.0.2980_WMPlayer/9.0.0.3008 - wmplayer.exe 9.0.0.2980 Windows_XP 5.1.0.2600 Pentium 1801 268885194 1255347 http TCP \
        Windows_Media_Audio_9 Windows_Media_Video_9 - - 6321233 - 4496 0 0 0 0 0 0 1 0 100 - - - -
        """
    private let relay = WMSPRenderingLog.Relay(player: "192.0.2.7", address: "198.51.100.4", players: 12)

    private func log(_ text: String, _ form: WMSPLog.Form = .xml) throws -> WMSPLog {
        let agent = WMSPAgent.client("NSPlayer/9.0.0.2980")
        return WMSPLog(form: form, text: text, agent: try #require(agent), path: "a")
    }

    private func summary(_ made: WMSPRenderingLog?) throws -> [Substring] {
        let xml = try #require(made).xml
        let found = xml.firstMatch(of: /<Summary>(.*?)<\/Summary>/)
        return try #require(found).1.split(separator: " ")
    }

    @Test func aLegacyLogBecomesARenderingLog() throws {
        let made = WMSPRenderingLog(try log(Self.line, .line), relay: relay)
        let fields = try summary(made)
        #expect(fields.count == 52)
        #expect(fields[0] == "192.0.2.7" && fields[6] == "42" && fields[12] == "_via_HTTP/1.0_WMCacheProxy/9.00.00.3171")
        #expect(fields[21...25] == ["-", "Cache", "-", "Windows_Media_Audio_9", "Windows_Media_Video_9"])
        #expect(fields[28] == "6321233" && fields[29...38].allSatisfy { $0 == "-" } && fields[39] == "100")
        #expect(fields[40...] == ["198.51.100.4", "-", "12", "-", "-", "-", "-", "http://10.194.20.175/mcast1200K", "-", "-", "-", "1"])
        #expect(made?.playerID == "{3300AD50-2C39-46c0-AE0A-B4C904C7848E}")
        #expect(made?.xml.contains("<c-ip>192.0.2.7</c-ip>") == true && made?.xml.contains("<s-proxied>1</s-proxied>") == true)
        let told = made?.event(agent: "NSPlayer/9.0.0.2980", url: "mmsh://origin/a")
        let event = try #require(told)
        #expect(try RemoteEvent(event.serialized()) == event && event.content?.items[1].value == "mmsh://origin/a")
    }

    @Test func whatTheRelaySaysOfItself() throws {
        var relay = relay
        relay.name = "relay.example"
        relay.processorPercent = 250
        relay.address = nil
        // What a player says of those who serve it is not taken from it.
        let made = WMSPRenderingLog(try log(Self.line.replacing("100 - - - -", with: "100 1.2.3.4 evil 9999 77"), .line), relay: relay)
        #expect(try summary(made)[40..<44] == ["-", "relay.example", "12", "100"])
        let seen = try #require(made).seen(at: "198.51.100.4")
        #expect(try summary(seen)[40..<44] == ["198.51.100.4", "relay.example", "12", "100"])
        let again = WMSPRenderingLog(made: seen.xml)
        #expect(again?.xml == seen.xml)
        // What a player sent is none that was made.
        #expect(WMSPRenderingLog(made: "<XML><Summary>\(Self.line)</Summary></XML>") == nil && WMSPRenderingLog(made: "") == nil)
    }

    @Test func anEventIsToldFromWhereItIsSeen() throws {
        let made = WMSPRenderingLog(try log(Self.line, .line), relay: .init(player: "192.0.2.7", address: nil, players: 1))
        let event = try #require(made).event(agent: "NSPlayer/9.0", url: "mmsh://o/a")
        let notice = OriginNotice(url: "mmsh://o/a", event: event, agent: "NSPlayer/9.0")
        let told = notice.event(from: "198.51.100.4").content?["@.REMOTE_LOG"] ?? ""
        #expect(told.contains("<s-ip>198.51.100.4</s-ip>") && told.contains("<c-ip>192.0.2.7</c-ip>"))
        #expect(notice.event(from: nil) == event && notice.byteCount > told.utf8.count)
        let open = OriginNotice(url: "mmsh://o/a", event: RemoteEvent(kind: .open), agent: "")
        #expect(open.event(from: "198.51.100.4") == RemoteEvent(kind: .open))
    }

    @Test(
        arguments: [
            ("<XML><Summary></Summary><c-dns>-</c-dns></XML>", .xml, .connect), ("<XML><Summary>\(line)</Summary></XML>", .xml, .legacy),
            (line, .line, .legacy), (line + " u m r", .line, .legacy),
            (line.replacing("Windows_Media_Audio_9 Windows_Media_Video_9", with: "- -"), .line, .streaming),
            (line.replacing(" http TCP", with: " Cache -"), .line, .rendering), (line + " a b c d e f g 0", .line, .rendering),
            ("", .line, .unusable), ("<XML>", .xml, .unusable), (line + " x", .line, .unusable),
            ("<XML><Summary>1 2</Summary>", .xml, .unusable),
            (String(repeating: "x ", count: 40_000), .line, .unusable),
        ] as [(String, WMSPLog.Form, WMSPLogKind)])
    func kinds(text: String, form: WMSPLog.Form, kind: WMSPLogKind) throws { #expect(WMSPLogKind(try log(text, form)) == kind) }

    @Test func whatAPlayerAddsGoesOn() throws {
        let more = "<ContentDescription><title>A &amp; B</title></ContentDescription><Vendor><x>1</x></Vendor>"
        let text = "<XML><Summary>\(Self.line) http://h/a?b name role</Summary><c-ip>0.0.0.0</c-ip><cs-url>http://h/a</cs-url>\(more)</XML>"
        let made = WMSPRenderingLog(try log(text), relay: relay)
        #expect(try summary(made)[44...] == ["-", "-", "-", "http://h/a?b", "name", "-", "role", "1"])
        #expect(made?.xml.hasSuffix("<s-proxied>1</s-proxied>\(more)</XML>") == true)
        // Through another relay: that one stands before the origin now, and the player's address stays.
        let first = try #require(made).xml
        let again = WMSPRenderingLog(try log(first), relay: .init(player: nil, address: nil, players: 3))
        let fields = try summary(again)
        #expect(fields.count == 52 && fields[0] == "192.0.2.7" && fields[42] == "3" && fields[47] == "http://h/a?b" && fields[51] == "1")
        #expect(again?.xml.ranges(of: "<s-proxied>").count == 1 && again?.xml.hasSuffix("\(more)</XML>") == true)
    }

    @Test(
        arguments: [
            // A streaming log is for the relay alone; one of the beginning has no summary.
            line.replacing("Windows_Media_Audio_9 Windows_Media_Video_9", with: "- -"), "", "1 2 3", line + " more",
        ])
    func whatIsNotHandedOn(summary: String) throws {
        #expect(WMSPRenderingLog(try log("<XML><Summary>\(summary)</Summary></XML>"), relay: relay) == nil)
        #expect(WMSPRenderingLog(try log(summary, .line), relay: relay) == nil)
    }

    @Test func brokenAndLongOnes() throws {
        #expect(WMSPRenderingLog(try log("<XML><Summary>\(Self.line)"), relay: relay) == nil)
        #expect(WMSPRenderingLog(try log("</cs-url><Summary>\(Self.line)</Summary></XML></cs-url>"), relay: relay) != nil)
        #expect(WMSPRenderingLog(try log("<Summary>\(Self.line)</Summary>" + String(repeating: "x", count: 65_536)), relay: relay) == nil)
        let sly = Self.line.replacing("wmplayer.exe", with: "</Summary><c-ip>")
        let hidden = WMSPRenderingLog(try log(sly, .line), relay: relay)
        let made = try #require(hidden)
        #expect(!made.xml.contains("</Summary><c-ip>0") && made.xml.contains("&lt;/Summary&gt;"))
    }
}
