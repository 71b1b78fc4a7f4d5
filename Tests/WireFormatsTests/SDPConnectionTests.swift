import Testing

@testable import WireFormats

struct SDPConnectionTests {
    @Test(
        arguments: [
            ("IN IP4 239.1.2.3/16", SDPConnection(address: "239.1.2.3", isIPv6: false, ttl: 16)),
            ("IN IP4 239.1.2.3/127/3", SDPConnection(address: "239.1.2.3", isIPv6: false, ttl: 127, count: 3)),
            ("in ip4  10.0.0.1 ", SDPConnection(address: "10.0.0.1", isIPv6: false)),
            ("IN IP6 ff15::1", SDPConnection(address: "ff15::1", isIPv6: true)),
            ("IN IP6 ff15::1/2", SDPConnection(address: "ff15::1", isIPv6: true, count: 2)),
            ("IN IP4 cam.example", SDPConnection(address: "cam.example", isIPv6: false)),
            ("IN IP4 239.1.2.3/0/0", SDPConnection(address: "239.1.2.3", isIPv6: false, ttl: 0, count: 1)),
        ] as [(String, SDPConnection)])
    func reads(value: String, connection: SDPConnection) { #expect(SDPConnection(value) == connection) }

    @Test(arguments: [
        "", "IN IP4", "IN IP5 1.2.3.4", "XX IP4 1.2.3.4", "IN IP4 /16", "IN IP4 239.1.2.3/256", "IN IP4 239.1.2.3/x", "IN IP4 239.1.2.3/",
        "IN IP4 239.1.2.3/1/2/3", "IN IP6 ff15::1/1/2", "IN IP4 239.1.2.3/1/65536", "IN IP4 1.2.3.4 more",
    ])
    func refuses(value: String) { #expect(SDPConnection(value) == nil) }

    @Test(arguments: ["IN IP4 239.1.2.3/16", "IN IP4 239.1.2.3/127/3", "IN IP4 10.0.0.1", "IN IP6 ff15::1", "IN IP6 ff15::1/2"])
    func writesWhatItReads(value: String) { #expect(SDPConnection(value)?.text == value) }

    @Test(
        arguments: [
            (
                " incl IN IP4 232.3.4.5 192.0.2.10",
                SDPSourceFilter(isInclusive: true, destination: "232.3.4.5", sources: ["192.0.2.10"])
            ),
            (
                "excl IN IP6 ff15::1 fd00::1 fd00::2",
                SDPSourceFilter(isInclusive: false, destination: "ff15::1", sources: ["fd00::1", "fd00::2"])
            ),
            ("INCL in * * cam.example", SDPSourceFilter(isInclusive: true, destination: nil, sources: ["cam.example"])),
        ] as [(String, SDPSourceFilter)])
    func readsFilters(value: String, filter: SDPSourceFilter) { #expect(SDPSourceFilter(value) == filter) }

    @Test(arguments: ["", "incl IN IP4 232.3.4.5", "only IN IP4 * 1.2.3.4", "incl XX IP4 * 1.2.3.4", "incl IN IP5 * 1.2.3.4"])
    func refusesFilters(value: String) { #expect(SDPSourceFilter(value) == nil) }

    private static let mixed = """
        v=0
        o=- 1 1 IN IP4 10.0.0.1
        s=x
        c=IN IP4 239.1.2.3/16
        t=0 0
        a=source-filter: incl IN IP4 239.1.2.3 10.0.0.1
        m=video 5004 RTP/AVP 96
        a=rtpmap:96 H264/90000
        m=audio 6000 RTP/AVP 0
        c=IN IP6 ff15::1
        a=rtcp:6010 IN IP6 ff15::1
        a=source-filter:excl IN IP6 ff15::1 fd00::9
        m=audio 65535 RTP/AVP 0
        c=nonsense
        a=rtcp-mux
        a=rtcp:0

        """

    @Test func theMediasOwnLineCountsBeforeTheSessions() throws {
        let sdp = try SessionDescription(Self.mixed)
        #expect(sdp.connection(media: 0)?.address == "239.1.2.3" && sdp.connection(media: 0)?.ttl == 16)
        #expect(sdp.connection(media: 1) == SDPConnection(address: "ff15::1", isIPv6: true))
        #expect(sdp.connection(media: 2) == nil && sdp.connection(media: 3) == nil)
        #expect(sdp.sourceFilter(media: 0, destination: "239.1.2.3")?.sources == ["10.0.0.1"])
        #expect(sdp.sourceFilter(media: 0, destination: "239.1.2.4") == nil)
        #expect(sdp.sourceFilter(media: 1, destination: "FF15::1")?.isInclusive == false)
        #expect(sdp.media.map(\.rtcpPort) == [5_005, 6_010, nil])
        #expect(sdp.media.map(\.isMultiplexed) == [false, false, true])
    }

    @Test func describesAGroup() throws {
        let origin = SDPOrigin(sessionID: 1, sessionVersion: 1, address: "127.0.0.1")
        let readers = try SessionDescription(Self.mixed).forReaders(origin: origin)
        let group = SDPConnection(address: "232.1.1.1", isIPv6: false, ttl: 8)
        let sdp = readers.forGroup(group, firstPort: 7_000, source: "10.0.0.7")
        let text = String(decoding: sdp.serialized(), as: UTF8.self)
        #expect(text.hasPrefix("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 232.1.1.1/8\r\nt=0 0\r\n"))
        #expect(text.contains("\r\na=source-filter: incl IN IP4 232.1.1.1 10.0.0.7\r\nm=video 7000 RTP/AVP 96\r\n"))
        #expect(sdp.media.map(\.port) == [7_000, 7_002, 7_004])
        #expect(text.components(startingWith: "c=") == 1)
        let again = try SessionDescription(sdp.serialized())
        #expect(again.warnings.isEmpty && again.connection(media: 2) == group)
        #expect(readers.forGroup(group, firstPort: 7_000, source: nil).lines.attribute("source-filter") == nil)
    }
}

extension String {
    fileprivate func components(startingWith prefix: String) -> Int {
        split(whereSeparator: \.isNewline).count { $0.hasPrefix(prefix) }
    }
}
