import Testing
import WireFormats

@testable import Signalling

@Suite struct RequestTargetTests {
    @Test(
        arguments: [
            ("rtsp://h/live", [("live", nil)]),
            ("rtsp://h:8554/live/", [("live", nil)]),
            ("RTSP://h/live/trackID=0", [("live/trackID=0", nil), ("live", "trackID=0")]),
            ("rtsp://h/a/b/c", [("a/b/c", nil), ("a/b", "c"), ("a", "b/c")]),
            ("rtsp://h/live?x=1/trackID=0", [("live", "trackID=0"), ("live", nil)]),
            ("rtsp://h/live?x=1/", [("live", nil)]),
            ("rtsp://h/live/trackID=0?x=1", [("live/trackID=0", nil), ("live", "trackID=0")]),
            ("rtsp://h/%6Cive%2Ftrack", [("live/track", nil), ("live", "track")]),
            ("rtsp://h", [("", nil)]), ("rtsp://h?x", [("", nil)]), ("rtsp://u:p@[::1]:8554/live", [("live", nil)]),
            ("/live", [("live", nil)]), ("/", [("", nil)]),
        ] as [(String, [(String, String?)])])
    func reads(uri: String, readings: [(String, String?)]) throws {
        let target = try RequestTarget(uri: uri)
        #expect(target.readings.map(\.path) == readings.map(\.0))
        #expect(target.readings.map(\.control) == readings.map(\.1))
    }

    @Test(arguments: [
        "", "live", "http://h/live", "rtsp:/h", "rtsp://h/%", "rtsp://h/%4", "rtsp://h/%00", "rtsp://h/%FF", "rtsp://h/%zz", ":",
    ])
    func refuses(uri: String) {
        #expect(throws: RequestRefusal.self) { try RequestTarget(uri: uri) }
    }

    @Test(
        arguments: [
            ("rtsp://h/live?multicast", true), ("rtsp://h/live?x=1&multicast", true), ("rtsp://h/live?multicast/", true),
            ("rtsp://h/live?multicast/trackID=0", true), ("rtsp://h/live/trackID=0?multicast", true), ("rtsp://h/live", false),
            ("rtsp://h/live?multicast=1", false), ("rtsp://h/multicast", false), ("rtsp://h/live?x/multicast", false), ("*", false),
        ] as [(String, Bool)])
    func seesWhoAsksForTheGroup(uri: String, isMulticast: Bool) throws {
        let target = try RequestTarget(uri: uri)
        #expect(target.isMulticast == isMulticast)
        #expect(target.isServer || target.readings.contains { $0.path == "live" || $0.path == "multicast" })
    }

    @Test func offersABoundedNumberOfReadings() throws {
        #expect(try RequestTarget(uri: "rtsp://h/" + String(repeating: "a/", count: 3_000)).readings.count == 8)
    }

    @Test func namesTracksAsClientsResolveThem() {
        let controls = ["trackID=0", "rtsp://h/p/streamid=1"]
        #expect(RequestTarget.track(named: "trackID=0", among: controls) == 0)
        #expect(RequestTarget.track(named: "streamid=1", among: controls) == 1)
        #expect(RequestTarget.track(named: "id=1", among: controls) == nil)
    }
}

@Suite struct ServerRequestTests {
    private static func request(
        _ method: RTSPMethod = .play, _ headers: RTSPHeaders = [:], uri: String = "rtsp://h/p", version: RTSPVersion = .rtsp1,
        body: String = ""
    ) -> RTSPRequest {
        var headers = headers
        if !headers.contains("CSeq") { headers.add("CSeq", "1") }
        return RTSPRequest(method: method, uri: uri, version: version, headers: headers, body: Array(body.utf8))
    }

    @Test(
        arguments: [
            (request(version: .http(minor: 1)), 505), (request(version: .otherRTSP(major: 2, minor: 0)), 505),
            (request(.play, ["CSeq": ""]), 400), (request(.play, ["CSeq": "-1"]), 400),
            (request(.play, ["CSeq": "123456789012345678901"]), 400),
            (request(.other("FLY")), 501), (request(.redirect), 501), (request(.play, ["Require": "x"]), 551),
            (request(.play, ["Proxy-Require": "x"]), 551), (request(uri: "x"), 400),
        ] as [(RTSPRequest, UInt16)])
    func refuses(request: RTSPRequest, status: UInt16) {
        do throws(RequestRefusal) {
            _ = try ServerRequest(request)
            Issue.record("was taken")
        } catch { #expect(error.status.code == status) }
    }

    @Test func takesWhatClientsSend() throws {
        #expect(try ServerRequest(Self.request(.play, ["Session": "abc;timeout=60"])).session == "abc")
        #expect(try ServerRequest(Self.request(.options, uri: "*")).target.isServer)
        #expect(ServerRequest.sequence(of: Self.request(.play, ["CSeq": "007"])) == "007")
    }

    @Test(
        arguments: [
            (nil, true), ("application/sdp", true), ("Application/SDP;q=1, text/html", true), ("*/*", true), ("application/*", true),
            ("text/html", false), ("", false), (",;,", false),
        ] as [(String?, Bool)])
    func accept(value: String?, isTaken: Bool) throws {
        let request = try ServerRequest(Self.request(.describe, value.map { ["Accept": $0] } ?? [:]))
        #expect(((try? request.checkAccept()) != nil) == isTaken)
    }

    @Test(
        arguments: [
            (nil, true), ("npt=0.000-", true), ("npt=now-", true), ("npt=10-20", true), ("clock=19961108T142300Z-", true),
            ("smpte=0:10:00-", true), ("feet=1-", false), ("npt=x-", false), ("", false),
        ] as [(String?, Bool)])
    func range(value: String?, isTaken: Bool) throws {
        let request = try ServerRequest(Self.request(.play, value.map { ["Range": $0] } ?? [:]))
        #expect(((try? request.checkRange()) != nil) == isTaken)
    }

    @Test func unknownParametersAreNamed() throws {
        let request = try ServerRequest(Self.request(.setParameter, body: "a: 1\r\n\r\nb\r\n"))
        #expect(throws: RequestRefusal.parametersUnknown(["a", "b"])) { try request.checkParameters() }
        #expect(String(decoding: RequestRefusal.parametersUnknown(["a", "b"]).response.body, as: UTF8.self) == "a\r\nb\r\n")
        #expect(throws: Never.self) { try ServerRequest(Self.request(.getParameter, body: "\r\n")).checkParameters() }
    }

    /// Every refusal has its status, words, and a body of text.
    @Test(
        arguments: [
            (.sequenceMissing(nil), 400), (.sequenceMissing("x\0y"), 400), (.versionUnsupported("HTTP/1.1"), 505),
            (.methodUnknown("FLY"), 501),
            (.methodNotAllowed(.announce, "no"), 405), (.optionsUnsupported("x"), 551), (.uriMalformed("no"), 400), (.notFound("no"), 404),
            (.notAcceptable("text/html"), 406), (.unsupportedMediaType(nil), 415), (.descriptionMalformed("no"), 400),
            (.headerMissing("Transport"), 400), (.headerMalformed("Transport", "no"), 400), (.sessionMissing, 454),
            (.sessionNotFound("x"), 454),
            (.sessionForeign("no"), 454), (.notNow(.play, "no"), 455), (.transportUnsupported("no"), 461), (.datagramsUnfit("no"), 461),
            (.destinationForeign("h"), 403),
            (.aggregateNotAllowed("no"), 459), (.onlyAggregateAllowed("no"), 460), (.rangeInvalid("no"), 457),
            (.parametersUnknown(["a"]), 451),
            (.forbidden("no"), 403), (.unauthorized(["x"], "no"), 401), (.proxyUnauthorized(["x"], "no"), 407),
            (.unavailable("no", retryAfterSeconds: 7), 503),
        ] as [(RequestRefusal, UInt16)])
    func answers(refusal: RequestRefusal, status: UInt16) {
        let response = refusal.response
        #expect(response.status.code == status)
        #expect(response.body.count > 2 && !response.body.contains(0))
        #expect(response.headers.contains("Allow") == (status == 501 || status == 405))
        #expect(response.headers["Retry-After"] == (status == 503 ? "7" : nil))
        #expect(response.headers["Unsupported"] == (status == 551 ? "x" : nil))
        #expect(response.headers["WWW-Authenticate"] == (status == 401 ? "x" : nil))
        #expect(response.headers["Proxy-Authenticate"] == (status == 407 ? "x" : nil))
    }
}

@Suite struct TransportOfferTests {
    private static let reader = TransportOffer.Situation(role: .reader, kind: nil, peer: "10.0.0.1")

    private static func situation(
        role: ServerSessionMachine.Role = .reader, kind: SessionTrack.Kind? = nil, refusal: String? = nil, taken: Set<UInt8> = []
    ) -> TransportOffer.Situation {
        .init(role: role, kind: kind, peer: "10.0.0.1", interleavedRefusal: refusal, channelsTaken: taken)
    }

    @Test(
        arguments: [
            ("RTP/AVP;unicast;client_port=5000-5001", situation(), .datagram(rtp: 5_000, rtcp: 5_001), "RTP/AVP"),
            ("RTP/AVP/UDP;unicast;client_port=5000", situation(), .datagram(rtp: 5_000, rtcp: 5_001), "RTP/AVP/UDP"),
            ("RTP/AVP/TCP;unicast;interleaved=4-5", situation(), .interleaved(rtp: 4, rtcp: 5), "RTP/AVP/TCP"),
            ("RTP/AVP/TCP", situation(taken: [0, 1, 3]), .interleaved(rtp: 4, rtcp: 5), "RTP/AVP/TCP"),
            ("RTP/AVP/TCP;interleaved=0-1", situation(taken: [0, 1]), .interleaved(rtp: 2, rtcp: 3), "RTP/AVP/TCP"),
            ("RTP/AVP/TCP;interleaved=3-3", situation(), .interleaved(rtp: 0, rtcp: 1), "RTP/AVP/TCP"),
            ("RTP/AVP/TCP;interleaved=255", situation(), .interleaved(rtp: 0, rtcp: 1), "RTP/AVP/TCP"),
            ("RTP/AVP/TCP;interleaved=254-255", situation(), .interleaved(rtp: 254, rtcp: 255), "RTP/AVP/TCP"),
            ("RTP/AVP/TCP;interleaved=5-4", situation(), .interleaved(rtp: 5, rtcp: 4), "RTP/AVP/TCP"),
            // The first that can be used, as GStreamer lists them.
            (
                "RTP/AVP;multicast,RTP/AVP/UDP;unicast;client_port=5000-5001,RTP/AVP/TCP;interleaved=0-1", situation(),
                .datagram(rtp: 5_000, rtcp: 5_001), "RTP/AVP/UDP"
            ),
            ("RTP/AVP;client_port=5000-5001,RTP/AVP/TCP", situation(kind: .interleaved), .interleaved(rtp: 0, rtcp: 1), "RTP/AVP/TCP"),
            ("RTP/SAVP;client_port=5000-5001,RTP/AVPF;client_port=6000-6001", situation(), .datagram(rtp: 6_000, rtcp: 6_001), "RTP/AVPF"),
            ("RTP/AVP;client_port=5000-5001;mode=record", situation(role: .publisher), .datagram(rtp: 5_000, rtcp: 5_001), "RTP/AVP"),
            ("RTP/AVP;client_port=5000-5001;destination=10.0.0.1", situation(), .datagram(rtp: 5_000, rtcp: 5_001), "RTP/AVP"),
            ("RTP/AVP;client_port=5000-5001;destination", situation(), .datagram(rtp: 5_000, rtcp: 5_001), "RTP/AVP"),
        ] as [(String, TransportOffer.Situation, SessionTrack.Transport, String)])
    func takes(header: String, situation: TransportOffer.Situation, transport: SessionTrack.Transport, token: String) throws {
        let offer = try TransportOffer(header: header, situation: situation)
        #expect(offer.transport == transport && offer.spec.protocolToken == token)
    }

    @Test(
        arguments: [
            (nil, situation(), 400), ("", situation(), 400), ("RTP/AVP/TCP;interleaved=255-", situation(), 400),
            ("RTP/AVP;client_port=0-1", situation(), 461), ("RTP/AVP;client_port=65535", situation(), 461),
            ("RTP/AVP;client_port=5-0", situation(), 461), ("RTP/AVP", situation(), 461),
            ("RTP/AVP;multicast;client_port=5-6", situation(), 461),
            ("RAW/RAW/UDP", situation(), 461), ("RTP/AVP/TCP", situation(kind: .datagram), 461),
            ("RTP/AVP/TCP", situation(refusal: "no"), 461), ("RTP/AVP/TCP", situation(taken: Set(0...255)), 461),
            ("RTP/AVP;client_port=5000-5001;mode=record", situation(), 461), ("RTP/AVP;client_port=5000-5001;mode=fly", situation(), 461),
            ("RTP/AVP;client_port=5000-5001;destination=10.0.0.2", situation(), 403),
            ("RTP/AVP;client_port=5000-5001;destination=10.0.0.2,RTP/AVP/TCP", situation(), 403),
        ] as [(String?, TransportOffer.Situation, UInt16)])
    func refuses(header: String?, situation: TransportOffer.Situation, status: UInt16) {
        do throws(RequestRefusal) {
            _ = try TransportOffer(header: header, situation: situation)
            Issue.record("was taken")
        } catch { #expect(error.status.code == status) }
    }

    /// ffmpeg and VLC ask for one transport at a time and try TCP after 461; GStreamer lists both.
    @Test(
        arguments: [
            ("RTP/AVP/UDP;unicast;client_port=5000-5001", 461), ("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP;multicast", 461),
            ("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1", 200), ("RTP/AVP/TCP;unicast", 200),
        ])
    func sendsReadersOfLargePacketsToTCP(header: String, status: UInt16) {
        var situation = Self.reader
        situation.datagramRefusal = "packets of 60000 bytes"
        do throws(RequestRefusal) {
            #expect(try TransportOffer(header: header, situation: situation).transport == .interleaved(rtp: 0, rtcp: 1))
            #expect(status == 200)
        } catch {
            #expect(error == .datagramsUnfit("packets of 60000 bytes") && error.status.code == status)
            #expect(error.response.headers["Transport"] == "RTP/AVP/TCP;unicast")
        }
        // What could not be had anyway is another matter.
        #expect(throws: RequestRefusal.transportUnsupported("RAW/RAW/UDP: only RTP/AVP and RTP/AVPF are offered")) {
            _ = try TransportOffer(header: "RAW/RAW/UDP", situation: situation)
        }
    }

    private static let group = MulticastOffer(group: "239.1.2.3", port: 5_004, ttl: 16)
    private static let groupOnly = MulticastOffer(group: "239.1.2.3", port: 5_004, ttl: 16, isOnly: true)

    private static func situation(_ multicast: MulticastOffer, kind: SessionTrack.Kind? = nil, role: ServerSessionMachine.Role = .reader)
        -> TransportOffer.Situation
    {
        .init(role: role, kind: kind, peer: "10.0.0.1", multicast: multicast)
    }

    @Test(
        arguments: [
            // ffmpeg, GStreamer, LIVE555, and a client that proposes a group of its own.
            ("RTP/AVP/UDP;multicast", situation(group), .multicast(rtp: 5_004, rtcp: 5_005)),
            ("RTP/AVP;multicast", situation(group), .multicast(rtp: 5_004, rtcp: 5_005)),
            ("RTP/AVP;multicast;port=7000-7001", situation(group), .multicast(rtp: 5_004, rtcp: 5_005)),
            ("RTP/AVP;multicast;destination=239.9.9.9;port=7000-7001;ttl=200", situation(group), .multicast(rtp: 5_004, rtcp: 5_005)),
            ("RTP/AVP;multicast", situation(group, kind: .multicast), .multicast(rtp: 5_004, rtcp: 5_005)),
            ("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP;multicast", situation(group), .datagram(rtp: 5_000, rtcp: 5_001)),
            ("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP;multicast", situation(groupOnly), .multicast(rtp: 5_004, rtcp: 5_005)),
            (
                "RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000-5001", situation(group, kind: .datagram),
                .datagram(rtp: 5_000, rtcp: 5_001)
            ),
            ("RTP/AVP;client_port=5000-5001", situation(groupOnly, role: .publisher), .datagram(rtp: 5_000, rtcp: 5_001)),
        ] as [(String, TransportOffer.Situation, SessionTrack.Transport)])
    func takesMulticastWhereThereIsAGroup(header: String, situation: TransportOffer.Situation, transport: SessionTrack.Transport) throws {
        #expect(try TransportOffer(header: header, situation: situation).transport == transport)
    }

    @Test(
        arguments: [
            ("RTP/AVP;multicast", situation()), ("RTP/AVP;multicast", situation(group, kind: .interleaved)),
            ("RTP/AVP;multicast;mode=record", situation(group, role: .publisher)), ("RTP/SAVP;multicast", situation(group)),
            ("RTP/AVP;client_port=5000-5001", situation(groupOnly)), ("RTP/AVP/TCP;interleaved=0-1", situation(groupOnly)),
            ("RTP/AVP;client_port=5000-5001", situation(group, kind: .multicast)),
        ] as [(String, TransportOffer.Situation)])
    func refusesMulticastWhereItCannotBe(header: String, situation: TransportOffer.Situation) {
        do throws(RequestRefusal) {
            _ = try TransportOffer(header: header, situation: situation)
            Issue.record("was taken")
        } catch { #expect(error.status == .unsupportedTransport) }
    }

    @Test func answersWithTheGroup() throws {
        let offer = try TransportOffer(header: "RTP/AVP/UDP;multicast;mode=play", situation: Self.situation(Self.group))
        #expect(
            TransportHeader.text(offer.answer(serverPorts: nil, source: "10.0.0.9", ssrc: 0xABC))
                == "RTP/AVP/UDP;multicast;destination=239.1.2.3;source=10.0.0.9;port=5004-5005;ttl=16;ssrc=00000ABC;mode=\"PLAY\"")
        let six = try TransportOffer(
            header: "RTP/AVP;multicast", situation: Self.situation(MulticastOffer(group: "ff15::1", port: 5_004, ttl: 3)))
        #expect(
            TransportHeader.text(six.answer(serverPorts: nil, ssrc: nil)) == "RTP/AVP;multicast;destination=ff15::1;port=5004-5005;ttl=3")
    }

    /// RTP and RTCP on one port: as RFC 7826 section 18.54 asks for it, and as LIVE555 does.
    @Test(arguments: [
        ("RTP/AVP;unicast;client_port=5000-5001;RTCP-mux", UInt16(5_000), "client_port=5000-5001;server_port=6000-6000;RTCP-mux"),
        ("RTP/AVP;unicast;client_port=5000;rtcp-mux", 5_000, "client_port=5000;server_port=6000-6000;RTCP-mux"),
        ("RTP/AVP;unicast;client_port=5000-5000", 5_000, "client_port=5000-5000;server_port=6000-6000"),
        ("RTP/AVP;unicast;client_port=5000-5001", 5_001, "client_port=5000-5001;server_port=6000-6001"),
    ])
    func multiplexes(header: String, rtcp: UInt16, answer: String) throws {
        let offer = try TransportOffer(header: header, situation: Self.reader)
        #expect(offer.transport == .datagram(rtp: 5_000, rtcp: rtcp))
        let ports: (rtp: UInt16, rtcp: UInt16) = (6_000, rtcp == 5_000 ? 6_000 : 6_001)
        #expect(TransportHeader.text(offer.answer(serverPorts: ports, ssrc: nil)) == "RTP/AVP;unicast;\(answer)")
    }

    @Test func multiplexesForNobodyElse() throws {
        var off = Self.reader
        off.multiplexes = false
        for (situation, mode) in [(off, ""), (TransportOffer.Situation(role: .publisher, kind: nil, peer: "10.0.0.1"), ";mode=record")] {
            let offer = try TransportOffer(header: "RTP/AVP;unicast;client_port=5000-5001;RTCP-mux\(mode)", situation: situation)
            #expect(offer.transport == .datagram(rtp: 5_000, rtcp: 5_001))
            #expect(!offer.answer(serverPorts: (6_000, 6_001), ssrc: nil).rtcpMux)
        }
    }

    @Test func answersWithTheClientsToken() throws {
        let udp = try TransportOffer(header: "RTP/AVP/UDP;unicast;client_port=5000;mode=\"PLAY\"", situation: Self.reader)
        #expect(
            TransportHeader.text(udp.answer(serverPorts: (6_000, 6_001), ssrc: 0xABC))
                == "RTP/AVP/UDP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc=00000ABC;mode=\"PLAY\"")
        let tcp = try TransportOffer(header: "RTP/AVP/TCP;unicast;interleaved=2-3", situation: Self.reader)
        #expect(TransportHeader.text(tcp.answer(serverPorts: nil, ssrc: nil)) == "RTP/AVP/TCP;unicast;interleaved=2-3")
    }
}

@Suite struct ServerAnswerTests {
    @Test func contentBaseEndsWithASlash() {
        #expect(ServerAnswers.describe(uri: "rtsp://h/p", description: []).headers["Content-Base"] == "rtsp://h/p/")
        #expect(ServerAnswers.describe(uri: "rtsp://h/p/", description: []).headers["Content-Base"] == "rtsp://h/p/")
    }

    @Test func theSequenceComesFirst() {
        let answer = ServerAnswers.finish(
            ServerAnswers.ok(), sequence: "7", date: "d", server: "Weir", session: SessionHeader(id: "abc", timeoutSeconds: 60))
        #expect(answer.headers.fields.map(\.name) == ["CSeq", "Date", "Server", "Session"])
        #expect(answer.headers["Session"] == "abc;timeout=60")
    }

    @Test(
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"), (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
            (-5, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] as [(Int64, String)])
    func dates(seconds: Int64, text: String) { #expect(HTTPDate.format(unixSeconds: seconds) == text) }

    @Test func sessionIdsAreLongAndDiffer() {
        var generator = SystemRandomNumberGenerator()
        let ids = (0..<1_000).map { _ in SessionIdentifier.make(using: &generator) }
        #expect(Set(ids).count == 1_000)
        #expect(ids.allSatisfy { $0.utf8.count == 20 && $0.allSatisfy { $0.isLetter || $0.isNumber } })
    }
}
