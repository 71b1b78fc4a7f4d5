import Testing

@testable import WireFormats

@Suite struct PragmaListTests {
    private static let vistaPlay = [
        "no-cache,rate=1.000,stream-time=0,stream-offset=4294967295:4294967295,packet-num=4294967295,max-duration=0", "xPlayStrm=1",
        "client-id=2064325698", "LinkBW=2147483647, AccelBW=1048576, AccelDuration=10000", "Speed=5.000",
        "stream-switch-count=2", "stream-switch-entry=ffff:1:0 ffff:2:2 ",
    ]

    @Test func severalLinesAreOneList() throws {
        let list = try PragmaList(Self.vistaPlay)
        #expect(list.contains("No-Cache") && list["no-cache"] == nil)
        #expect(list.fraction("rate") == 1 && list.number("stream-time") == 0 && list.pair("stream-offset") == .max)
        #expect(list.number("client-id") == 2_064_325_698 && list.isOn("XPLAYSTRM") && list.number("accelduration") == 10_000)
        #expect(list.fraction("speed") == 5 && list["stream-switch-entry"] == "ffff:1:0 ffff:2:2" && list.tokens.count == 14)
        #expect(!list.contains("xResetStrm") && list.number("no-cache") == nil && list.pair("rate") == nil)
    }

    @Test(
        arguments: [
            (#"features="seekable,stridable", timeout=60000"#, "features", "seekable,stridable" as String?),
            (#"features="seekable,stridable", timeout=60000"#, "timeout", "60000"), (#"features="""#, "features", ""),
            (#"features="broadcast, client-id=7"#, "client-id", "7"),
            ("stream-time=0Connection: Close", "stream-time", "0Connection: Close"),
            ("log-line=1.2.3.4 a, b, client-id=8", "log-line", "1.2.3.4 a, b, client-id=8"), ("log-line=a,client-id=8", "client-id", nil),
            ("stream-switch-entry=ffff:1:0, client-id=8", "client-id", nil),
            ("no-cache, stream-switch-entry=ffff:1:0 ffff:2:0", "stream-switch-entry", "ffff:1:0 ffff:2:0"),
            (" CLIENT-ID = 5 ", "client-id", "5"), ("client-id=1,client-id=2", "client-id", "1"), (",,=3,client-id=4,", "client-id", "4"),
            ("xClientGUID={3300AD50-2C39-46c0-AE0A-0000000000A1}", "xclientguid", "{3300AD50-2C39-46c0-AE0A-0000000000A1}"), ("", "x", nil),
        ] as [(String, String, String?)])
    func tokens(line: String, name: String, value: String?) throws { #expect(try PragmaList([line])[name] == value) }

    @Test(
        arguments: [
            ("0Connection: Close", 0 as UInt32?), ("4294967295", .max), ("4294967296", nil), ("99999999999999999999999", nil), ("x", nil),
            ("", nil), ("-1", nil), ("12.5", 12), (" 7 ", 7), ("\"9\"", 9),
        ] as [(String, UInt32?)])
    func numbers(text: String, value: UInt32?) throws { #expect(try PragmaList(["n=\(text)"]).number("n") == value) }

    @Test(
        arguments: [
            ("1.000000", 1 as Double?), ("-5.000", -5), ("0.25", 0.25), (".5", 0.5), ("5", 5), ("5.", 5), ("+2x", 2), ("x", nil), ("", nil),
            ("-", nil), (".", nil), ("9999999999", nil), ("1.0000000001", 1),
        ] as [(String, Double?)])
    func fractions(text: String, value: Double?) throws { #expect(try PragmaList(["n=\(text)"]).fraction("n") == value) }

    @Test func tooMuchIsRefused() {
        #expect(throws: PragmaList.Trouble.tooLong(bytes: 65_536)) { try PragmaList([String(repeating: "a", count: 65_536)]) }
        #expect(throws: PragmaList.Trouble.tooLong(bytes: 8_200)) { try PragmaList(Array(repeating: "a=1,", count: 2_050)) }
        #expect(throws: PragmaList.Trouble.tooManyTokens) { try PragmaList([String(repeating: "a,", count: 129)]) }
        #expect(throws: PragmaList.Trouble.tooManyTokens) { try PragmaList(Array(repeating: "a", count: 129)) }
        #expect((try? PragmaList([String(repeating: "a,", count: 128)]))?.tokens.count == 128)
        // Nothing but commas is nothing, however many.
        #expect((try? PragmaList([String(repeating: ",", count: 100)]))?.tokens.isEmpty == true)
    }
}

@Suite struct StreamSwitchEntryTests {
    typealias Entry = StreamSwitchEntry

    @Test(
        arguments: [
            (
                "ffff:1:0 ffff:2:2 ffff:4:1",
                [
                    Entry(destination: 1, thinning: .full), Entry(destination: 2, thinning: .off),
                    Entry(destination: 4, thinning: .keyFrames),
                ]
            ),
            ("1:2:0", [Entry(source: 1, destination: 2, thinning: .full)]),
            ("3:ffff:0 ", [Entry(source: 3, destination: nil, thinning: .full)]),
            ("FFFF:1:0", [Entry(destination: 1, thinning: .full)]), ("", []), ("ffff:1", []), ("ffff:1:3", []),
            ("ffff:x:0 ffff:2:0", [Entry(destination: 2, thinning: .full)]),
            ("ffff:10000:0", [Entry(destination: 10_000, thinning: .full)]), ("ffff:100000:0", []), ("::", []), ("1:2:0:0", []),
        ] as [(String, [Entry])])
    func entries(text: String, expected: [Entry]) {
        #expect(Entry.parse(text, streams: [1, 2, 3, 4], base: .hexadecimal) == expected)
    }

    /// A number that is a stream in one base alone is that stream; the client decides otherwise.
    @Test(
        arguments: [
            ("10", [10], Entry.NumberBase.hexadecimal, 10), ("10", [16], .decimal, 16), ("10", [10, 16], .hexadecimal, 16),
            ("10", [10, 16], .decimal, 10),
            ("a", [10], .decimal, 10), ("7f", [127], .decimal, 127), ("127", [127], .hexadecimal, 127), ("10", [1], .decimal, 10),
            ("10", [1], .hexadecimal, 16), ("1", [1], .decimal, 1),
        ] as [(String, [UInt16], Entry.NumberBase, UInt16)])
    func bases(word: String, streams: [UInt16], base: Entry.NumberBase, stream: UInt16) {
        #expect(Entry.parse("ffff:\(word):0", streams: streams, base: base) == [Entry(destination: stream, thinning: .full)])
    }

    @Test func writesAndIsBounded() {
        let entries = [Entry(destination: 17, thinning: .full), Entry(source: 17, destination: nil, thinning: .off)]
        #expect(Entry.text(entries) == "ffff:11:0 11:ffff:2" && Entry.text(entries, base: .decimal) == "ffff:17:0 17:ffff:2")
        #expect(Entry.parse(Entry.text(entries), streams: [17], base: .hexadecimal) == entries)
        #expect(Entry.parse(String(repeating: "ffff:1:0 ", count: 1_000), streams: [1], base: .decimal).count == Entry.entriesMax)
    }
}

@Suite struct WMSPAgentTests {
    @Test(
        arguments: [
            ("NSPlayer/12.0.7601.1 ", WMSPAgent.Product.player, 12, 0, false), ("NSPlayer/4.1.0.3856", .player, 4, 1, false),
            ("nsplayer/7.10.0.3059", .player, 7, 10, false), ("NSServer/9.0.0.3171; via WMCacheProxy", .server, 9, 0, true),
            ("NSServer/9.0.0.3171; via WMCacheProxy x", .server, 9, 0, false), ("WMCacheProxy/9.5.6001.1", .cacheProxy, 9, 5, false),
            ("NSPlayer", .player, 0, 0, false), ("NSPlayer/x", .player, 0, 0, false), ("NSPlayer/99999.1", .player, 0, 1, false),
            ("NSPlayer/9.0.0.2980 WMFSDK/9.0", .player, 9, 0, false),
        ] as [(String, WMSPAgent.Product, UInt16, UInt16, Bool)])
    func clients(text: String, product: WMSPAgent.Product, major: UInt16, minor: UInt16, isVia: Bool) throws {
        let agent = try #require(WMSPAgent.client(text))
        #expect(agent.product == product && agent.version == .init(major, minor) && agent.isVia == isVia)
    }

    @Test(
        arguments: [
            ("Cougar/9.01.01.3814", WMSPAgent.Product.cougar, 9, 1), ("Cougar 4.1.0.3921", .cougar, 4, 1), ("Rex/9.0.0.2980", .rex, 9, 0),
            ("Rex/12.0.7601", .rex, 12, 0),
        ] as [(String, WMSPAgent.Product, UInt16, UInt16)])
    func servers(text: String, product: WMSPAgent.Product, major: UInt16, minor: UInt16) throws {
        let agent = try #require(WMSPAgent.server(text))
        #expect(agent.product == product && agent.version == .init(major, minor))
    }

    @Test(arguments: [nil, "", "Mozilla/5.0 NSPlayer/9", "NSPlayerX/9", "Lavf/58", "Cougar/9.0", "VLC/3.0"] as [String?])
    func noClients(text: String?) { #expect(WMSPAgent.client(text) == nil) }

    @Test(arguments: [nil, "", "Apache", "NSServer/9.0", "Cougarette/1"] as [String?])
    func noServers(text: String?) { #expect(WMSPAgent.server(text) == nil) }

    @Test func textOfAnAgentIsBounded() throws {
        let agent = try #require(WMSPAgent.client("NSPlayer/" + String(repeating: "1", count: 5_000)))
        #expect(agent.text.utf8.count == 64)
        #expect(try #require(WMSPAgent.client("NSPlayer/9.0.0.2980 x")).text == "NSPlayer/9.0.0.2980")
    }

    /// The table of version gates: agent, modern, acceleration and its bound, burst, skips, redirection, octet-stream, base of stream numbers, context of the repeated header.
    @Test(arguments: [
        Gate("NSPlayer/4.1.0.3856", redirection: true, octetStream: true, base: .decimal),
        Gate("NSPlayer/6.4.7.1128", octetStream: true, base: .decimal, context: 2),
        Gate("NSPlayer/7.0.0.1956", redirection: true, base: .decimal),
        Gate("NSPlayer/7.10.0.3059", redirection: true, base: .hexadecimal, offsets: true),
        Gate("NSPlayer/8.0.0.4477", acceleration: true, bound: 1_048_576, redirection: true, base: .decimal),
        Gate("NSPlayer/9.0.0.2980", modern: true, acceleration: true, burst: true, redirection: true, base: .hexadecimal),
        Gate("NSPlayer/12.0.7601.1", modern: true, acceleration: true, burst: true, redirection: true, base: .hexadecimal),
        Gate("NSServer/4.1.0.3928", octetStream: true, base: .decimal, context: 3),
        Gate("NSServer/9.0.0.3171", modern: true, acceleration: true, burst: true, redirection: true, base: .hexadecimal),
        Gate("WMCacheProxy/9.5.6001.1", modern: true, acceleration: true, burst: true, redirection: true, base: .hexadecimal),
    ])
    func gates(_ gate: Gate) throws {
        let dialect = WMSPDialect(try #require(WMSPAgent.client(gate.agent)))
        #expect(dialect.isModern == gate.modern && dialect.takesSkips == gate.modern && dialect.closesAtEnd == !gate.modern)
        for takes in [
            dialect.marksNextFollows, dialect.takesMetadata, dialect.takesHeaderPieces, dialect.takesEntryEnds, dialect.takesStreamChanges,
            dialect.takesPacketPairs, dialect.takesShortPackets, dialect.takesSupported, dialect.takesChunks, !dialect.wantsEmptyDataObject,
        ] { #expect(takes == gate.modern) }
        #expect(dialect.takesAcceleration == gate.acceleration && dialect.accelerationBitsPerSecondMax == gate.bound)
        #expect(dialect.takesBurst == gate.burst && dialect.takesRedirection == gate.redirection)
        #expect(dialect.wantsOctetStream == gate.octetStream)
        #expect(dialect.streamNumbers == gate.base && dialect.countsOffsetsFromData == gate.offsets)
        #expect(dialect.repeatsHeaderAtContext == gate.context)
    }

    struct Gate: Sendable, CustomTestStringConvertible {
        let agent: String
        let modern, acceleration: Bool
        let bound: UInt32?
        let burst, redirection, octetStream, offsets: Bool
        let base: StreamSwitchEntry.NumberBase
        let context: UInt32?
        var testDescription: String { agent }

        init(
            _ agent: String, modern: Bool = false, acceleration: Bool = false, bound: UInt32? = nil, burst: Bool = false,
            redirection: Bool = false, octetStream: Bool = false, base: StreamSwitchEntry.NumberBase,
            offsets: Bool = false, context: UInt32? = nil
        ) {
            (self.agent, self.modern, self.acceleration, self.bound, self.burst) = (agent, modern, acceleration, bound, burst)
            (self.redirection, self.octetStream, self.offsets) = (redirection, octetStream, offsets)
            (self.base, self.context) = (base, context)
        }
    }
}

@Suite struct WMSPListTests {
    @Test(
        arguments: [
            ("broadcast,playlist", [.broadcast, .playlist]), (" Seekable , stridable,other", [.seekable, .stridable]), ("", []),
            ("live,last,skipforward,skipbackward", [.live, .last, .skipForward, .skipBackward]),
        ] as [(String, WMSPFeatures)])
    func features(text: String, features: WMSPFeatures) {
        #expect(WMSPFeatures(text) == features && WMSPFeatures(features.text) == features)
    }

    @Test func supported() {
        #expect(WMSPSupported([:]) == nil)
        #expect(
            WMSPSupported(["Supported": "com.microsoft.wm.sswitch, com.microsoft.wm.predstrm", "supported": "COM.microsoft.wm.srvppair"])
                == [.streamSwitch, .prediction, .packetPair])
        #expect(WMSPSupported(["Supported": ""]) == [])
        #expect(([.streamSwitch, .fastCache] as WMSPSupported).text == "com.microsoft.wm.sswitch, com.microsoft.wm.fastcache")
    }
}
