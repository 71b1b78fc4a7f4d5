import Testing

@testable import WireFormats

struct TransportHeaderTests {
    /// Value, its form when written, and whether media then travels on the connection.
    static let accepted: [(String, String, Bool)] = [
        ("RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP;unicast;client_port=5000-5001", false),
        ("RTP/AVP/UDP;unicast;client_port=5000-5001;mode=play", "RTP/AVP/UDP;unicast;client_port=5000-5001;mode=\"PLAY\"", false),
        ("RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=\"RECORD\"", true),
        ("RTP/AVP/TCP;unicast;interleaved=254-255;mode=\"RECORD\"", "RTP/AVP/TCP;unicast;interleaved=254-255;mode=\"RECORD\"", true),
        ("RTP/AVP/TCP;interleaved=0", "RTP/AVP/TCP;interleaved=0", true),
        // Escam Q6: the profile says UDP, the channels say otherwise.
        ("RTP/AVP;unicast;interleaved=0-1", "RTP/AVP;unicast;interleaved=0-1", true),
        // Hikvision: a blank and seven digits.
        ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= d6d6627", "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=0D6D6627", true),
        // OpenIPC: no server_port. Others: ports 0.
        ("RTP/AVP;unicast;client_port=5000-5001;server_port=0-0", "RTP/AVP;unicast;client_port=5000-5001;server_port=0-0", false),
        ("RTP/AVP;unicast;client_port=65535", "RTP/AVP;unicast;client_port=65535", false),
        (
            "RTP/AVP;multicast;destination=232.1.2.3;source=10.0.0.1;port=5000-5001;ttl=16",
            "RTP/AVP;multicast;destination=232.1.2.3;source=10.0.0.1;port=5000-5001;ttl=16", false
        ),
        ("RTP/AVP;multicast;destination", "RTP/AVP;multicast;destination", false),
        (" RTP/AVP ; UNICAST ; Client_Port = 5000 - 5001 ;", "RTP/AVP;unicast;client_port=5000-5001", false),
        (
            "RTP/AVP;unicast;client_port=5000-5001;RTCP-mux;append;layers=2;x-dynamic-rate=1",
            "RTP/AVP;unicast;client_port=5000-5001;layers=2;append;RTCP-mux;x-dynamic-rate=1", false
        ),
        ("RTP/AVP;unicast;mode=\"RECEIVE\"", "RTP/AVP;unicast;mode=\"RECORD\"", false),
    ]

    @Test(arguments: accepted) func readsAndWrites(_ test: (value: String, written: String, overTCP: Bool)) throws {
        let specs = try TransportHeader.parse(test.value)
        #expect(specs.count == 1)
        #expect(TransportHeader.text(specs) == test.written)
        #expect(specs[0].lowerTransport == (test.overTCP ? .tcp : .udp))
        #expect(try TransportHeader.parse(test.written).map(TransportHeader.text) == [test.written])
    }

    @Test(arguments: [
        ("", "Transport is empty"), (" , ", "Transport is empty"),
        ("RTP/AVP/TCP;interleaved=255-", "Transport: interleaved cannot be '255-'"),
        ("RTP/AVP/TCP;interleaved=255-256", "Transport: interleaved '256' is not within 0 to 255"),
        ("RTP/AVP/TCP;interleaved=-1", "Transport: interleaved cannot be '-1'"),
        ("RTP/AVP/TCP;interleaved=99999999999999999999", "Transport: interleaved '99999999999999999999' is not within 0 to 255"),
        ("RTP/AVP;client_port=65536", "Transport: client_port '65536' is not within 0 to 65535"),
        ("RTP/AVP;client_port=-5000", "Transport: client_port cannot be '-5000'"),
        ("RTP/AVP;client_port=", "Transport: client_port cannot be ''"),
        ("RTP/AVP;client_port=1-2-3", "Transport: client_port cannot be '2-3'"),
        ("RTP/AVP;ttl=256", "Transport: ttl '256' is not within 0 to 255"),
        ("RTP/AVP;ssrc=123456789", "Transport: ssrc cannot be '123456789'"),
        ("RTP/AVP;mode=&PLAY\"", "Transport: mode cannot be '&PLAY\"'"), ("RTP/AVP;source=\"a;b\"", "Transport: source cannot be 'a;b'"),
        (";unicast", "Transport: the protocol cannot be ''"),
    ])
    func refuses(_ test: (value: String, words: String)) throws {
        let error = #expect(throws: RTSPHeaderError.self) { try TransportHeader.parse(test.value) }
        #expect(error?.description == test.words)
    }

    @Test func takesSeveralSpecs() throws {
        // GStreamer offers several at once.
        let specs = try TransportHeader.parse(
            "RTP/SAVP;unicast;client_port=1-2,RTP/AVP/UDP;unicast;client_port=3-4,RTP/AVPF/TCP;interleaved=0-1")
        #expect(specs.map(\.protocolToken) == ["RTP/SAVP", "RTP/AVP/UDP", "RTP/AVPF/TCP"])
        #expect(specs.map(\.isPlainRTP) == [false, true, true])
        #expect(specs.map(\.profile) == ["SAVP", "AVP", "AVPF"])
        #expect(throws: RTSPHeaderError.tooMany(header: "Transport", countMax: 16)) {
            try TransportHeader.parse(Array(repeating: "RTP/AVP", count: 17).joined(separator: ","))
        }
    }

    @Test func completesPairsWithinTheirRange() {
        #expect(PortPair(rtp: 5_000).rtcpPort == 5_001)
        #expect(PortPair(rtp: 5_000, rtcp: 6_000).rtcpPort == 6_000)
        #expect(PortPair(rtp: 65_535).rtcpPort == nil)
        #expect(PortPair(rtp: 0).rtcpPort == nil)
        #expect(ChannelPair(rtp: 0).rtcpChannel == 1)
        #expect(ChannelPair(rtp: 255).rtcpChannel == nil)
    }
}

struct RangeHeaderTests {
    @Test(arguments: [
        ("npt=now-", RangeHeader.live, "npt=now-"), ("npt=0-", .fromStart, "npt=0.000-"),
        ("NPT = 10.5 - 20", .npt(start: .microseconds(10_500_000), end: .microseconds(20_000_000)), "npt=10.500-20.000"),
        ("npt=-20", .npt(start: nil, end: .microseconds(20_000_000)), "npt=-20.000"),
        ("npt=1:02:03.123456789-", .npt(start: .microseconds(3_723_123_456), end: nil), "npt=3723.123456-"),
        ("npt=0.000-;time=19970123T143720Z", .fromStart, "npt=0.000-"),
        ("npt=5", .npt(start: .microseconds(5_000_000), end: nil), "npt=5.000-"),
        ("clock=19961108T142300Z-", .clock(start: 847_462_980_000_000, end: nil), "clock=19961108T142300Z-"),
        (
            "clock=20000229T235959.25Z-20000301T000000Z", .clock(start: 951_868_799_250_000, end: 951_868_800_000_000),
            "clock=20000229T235959.25Z-20000301T000000Z"
        ),
        ("clock=00010101T000000Z-", .clock(start: -62_135_596_800_000_000, end: nil), "clock=00010101T000000Z-"),
        ("smpte=0:10:00-", .smpte(unit: "smpte", start: SMPTETime(hours: 0, minutes: 10, seconds: 0), end: nil), "smpte=00:10:00-"),
        (
            "smpte-25=10:07:33:05.01-10:08:00",
            .smpte(
                unit: "smpte-25", start: SMPTETime(hours: 10, minutes: 7, seconds: 33, frames: 5, subframes: 1),
                end: SMPTETime(hours: 10, minutes: 8, seconds: 0)), "smpte-25=10:07:33:05.01-10:08:00"
        ),
    ])
    func readsAndWrites(_ test: (value: String, range: RangeHeader, written: String)) throws {
        #expect(try RangeHeader.parse(test.value) == test.range)
        #expect(test.range.text == test.written)
        #expect(try RangeHeader.parse(test.written) == test.range)
    }

    @Test(arguments: [
        "", "npt", "npt=", "npt=-", "npt=-1-2", "npt=a-", "npt=1:2-", "npt=1:60:00-", "npt=99999999999999999999-", "npt=1.5.5-",
        "bytes=0-5",
        "clock=1996-", "clock=19961308T142300Z-", "clock=19961108T142300-", "clock=19961108T142300.xZ-", "smpte=1:2-", "smpte=999:00:00-",
        "npt=--", "clock=",
    ])
    func refuses(_ value: String) {
        #expect(throws: RTSPHeaderError.self) { try RangeHeader.parse(value) }
    }

    @Test(arguments: [-719_162, -1, 0, 59, 60, 10_957, 11_016, 11_017, 19_358, 2_932_896] as [Int64])
    func datesGoBothWays(_ days: Int64) {
        #expect(CivilDate(daysSinceEpoch: days).daysSinceEpoch == days)
    }

    @Test func knowsLeapYears() {
        #expect(CivilDate(daysSinceEpoch: 11_016) == CivilDate(year: 2_000, month: 2, day: 29))
        #expect(CivilDate(daysSinceEpoch: 0) == CivilDate(year: 1_970, month: 1, day: 1))
    }
}

struct RTPInfoHeaderTests {
    @Test(
        arguments: [
            (
                "url=rtsp://h/a/trackID=0;seq=1;rtptime=2,url=rtsp://h/a/trackID=1;seq=65535;rtptime=4294967295",
                [
                    RTPInfo(url: "rtsp://h/a/trackID=0", sequence: 1, rtpTime: 2),
                    RTPInfo(url: "rtsp://h/a/trackID=1", sequence: 65_535, rtpTime: 4_294_967_295),
                ]
            ),
            // Laureii: a semicolon at the end.
            ("url=rtsp://h/a;seq=1;rtptime=2;", [RTPInfo(url: "rtsp://h/a", sequence: 1, rtpTime: 2)]),
            (
                "url=trackID=0;seq=1;rtptime=2; , url=trackID=1 ; seq = 3",
                [RTPInfo(url: "trackID=0", sequence: 1, rtpTime: 2), RTPInfo(url: "trackID=1", sequence: 3)]
            ),
            // Reolink: the SSRC stands here only.
            ("url=trackID=1;seq=4;rtptime=5;ssrc=DEADBEEF", [RTPInfo(url: "trackID=1", sequence: 4, rtpTime: 5, ssrc: 0xDEAD_BEEF)]),
            ("url=rtsp://h/a?x=1,2;y=3/trackID=0;seq=9", [RTPInfo(url: "rtsp://h/a?x=1,2;y=3/trackID=0", sequence: 9)]),
            ("url=\"rtsp://h/a\";seq=70000;rtptime=-5", [RTPInfo(url: "rtsp://h/a")]),
            ("url=rtsp://h/a", [RTPInfo(url: "rtsp://h/a")]), ("", []), ("seq=1", []),
        ] as [(String, [RTPInfo])])
    func reads(_ test: (value: String, elements: [RTPInfo])) {
        #expect(RTPInfoHeader.parse(test.value) == test.elements)
        #expect(RTPInfoHeader.parse(RTPInfoHeader.text(test.elements)) == test.elements)
    }
}

struct AuthenticationHeaderTests {
    @Test func readsChallengesOfSeveralLines() {
        let headers: RTSPHeaders = [
            "WWW-Authenticate": "Digest realm=\"cam\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth,auth-int\"",
            "WWW-Authenticate": "Digest realm=\"cam\", nonce=\"n2\", stale=TRUE, opaque=\"o\"",
            "www-authenticate": "Basic realm=\"c,\\\"a\\\"m\"",
        ]
        let challenges = WWWAuthenticateHeader.parse(headers)
        #expect(challenges.map(\.scheme) == ["Digest", "Digest", "Basic"])
        #expect(challenges[0].qop == ["auth", "auth-int"] && challenges[0].algorithm == "SHA-256")
        #expect(challenges[1].isStale && challenges[1].opaque == "o" && challenges[1].algorithm == nil && challenges[1].qop.isEmpty)
        #expect(challenges[2].realm == "c,\"a\"m" && challenges[2].isBasic)
    }

    @Test func readsChallengesJoinedByCommas() {
        let challenges = WWWAuthenticateHeader.parse("Basic realm=\"a\", Digest realm=b,nonce = \"n\" ,Negotiate")
        #expect(challenges.map(\.scheme) == ["Basic", "Digest", "Negotiate"])
        #expect(challenges[1].realm == "b" && challenges[1].nonce == "n" && challenges[1].isDigest)
    }

    @Test func writesChallengesAsSimpleClientsExpect() {
        #expect(WWWAuthenticateHeader.basic(realm: "we\"ir").text == "Basic realm=\"we\\\"ir\"")
        let digest = WWWAuthenticateHeader.digest(realm: "weir", nonce: "n", algorithm: "SHA-256", qop: "auth", opaque: "o", stale: true)
        #expect(digest.text == "Digest realm=\"weir\", nonce=\"n\", opaque=\"o\", stale=TRUE, algorithm=SHA-256, qop=\"auth\"")
        #expect(WWWAuthenticateHeader.parse(digest.text) == [digest])
    }

    @Test func quotesWhatIsNoToken() {
        // Found by fuzzing: written without quotes, an empty value swallowed the next name.
        #expect(WWWAuthenticateHeader.parse("Digest stale=, nonce=").map(\.text) == ["Digest stale=\"\", nonce=\"\""])
    }

    @Test func readsAndWritesCredentials() throws {
        #expect(AuthorizationHeader("Basic dTpw") == .basic(token: "dTpw"))
        #expect(AuthorizationHeader("basic  dTpw ")?.text == "Basic dTpw")
        let text =
            "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"rtsp://h/a\", response=\"abc\", qop=auth, nc=00000001, cnonce=\"c\""
        let credentials = try #require(AuthorizationHeader(text))
        guard case .digest(let parameters) = credentials else { return #expect(Bool(false), "not Digest") }
        #expect(parameters["URI"] == "rtsp://h/a" && parameters["nc"] == "00000001")
        #expect(credentials.text == text)
        #expect(AuthorizationHeader("Bearer x") == .other(scheme: "Bearer"))
        #expect(AuthorizationHeader("Digest") == .digest([]))
        #expect(AuthorizationHeader("Basic") == .basic(token: ""))  // CVE-2020-6095: a Basic header without a token.
        #expect(AuthorizationHeader("  ") == nil)
    }

    @Test(arguments: ["", ",,,", "=", "\"", "Digest realm=\"", "Digest =x, nonce", "a=b", "Digest realm=\"\\"])
    func survives(_ value: String) {
        for challenge in WWWAuthenticateHeader.parse(value) { #expect(!challenge.scheme.isEmpty) }
    }
}

struct CommonHeaderTests {
    @Test func readsSessions() {
        #expect(SessionHeader("12345678;timeout=60") == SessionHeader(id: "12345678", timeoutSeconds: 60))
        #expect(SessionHeader(" a-b%c ; Timeout = 15 ; x") == SessionHeader(id: "a-b%c", timeoutSeconds: 15))
        #expect(SessionHeader("1;timeout=-5") == SessionHeader(id: "1"))
        #expect(SessionHeader("1;timeout=0") == SessionHeader(id: "1"))
        #expect(SessionHeader("1;timeout=99999999999") == SessionHeader(id: "1"))
        #expect(SessionHeader(";timeout=5") == nil)
        #expect(SessionHeader(id: "x", timeoutSeconds: 60).text == "x;timeout=60")
        #expect((["Session": "", "Session": "b"] as RTSPHeaders).session?.id == "b")
    }

    @Test func readsTheRest() {
        let headers: RTSPHeaders = [
            "CSeq": "12", "Public": "OPTIONS, DESCRIBE ,play", "Public": "X-Y", "Allow": "OPTIONS DESCRIBE", "Require": "a, b",
            "Proxy-Require": "c",
            "Unsupported": "b", "Content-Location": "rtsp://h/l/", "Content-Type": "Application/SDP; charset=utf-8", "Retry-After": "120",
            "Scale": "-1.5", "Speed": "0",
        ]
        #expect(headers.cseqNumber == 12)
        #expect(headers.publicMethods == [.options, .describe, .play, .other("X-Y")])
        #expect(headers.allowedMethods == [.options, .describe])
        #expect(headers.requiredOptions == ["a", "b", "c"])
        #expect(headers.unsupportedOptions == ["b"])
        #expect(headers.contentBase == "rtsp://h/l/")
        #expect(headers.contentType == "application/sdp")
        #expect(headers.retryAfterSeconds == 120)
        #expect(headers.scale == -1.5)
        #expect(headers.speed == nil)
        #expect(MethodListHeader.text([.options, .getParameter]) == "OPTIONS, GET_PARAMETER")
    }

    @Test(arguments: ["", "x", "-1", "4294967296", "1 2"]) func cseqIsANumberOrNot(_ value: String) {
        #expect((["CSeq": value] as RTSPHeaders).cseqNumber == nil)
    }

    @Test(arguments: ["inf", "nan", "", "x"]) func scaleIsFinite(_ value: String) {
        #expect((["Scale": value] as RTSPHeaders).scale == nil)
    }

    @Test(arguments: [("Fri, 31 Dec 1999 23:59:59 GMT", nil), ("99999999999999999999", 86_400), ("10;x", 10)] as [(String, UInt32?)])
    func retryAfterIsBounded(_ test: (value: String, seconds: UInt32?)) {
        #expect((["Retry-After": test.value] as RTSPHeaders).retryAfterSeconds == test.seconds)
    }
}
