import Testing

@testable import WireFormats

struct MSRTSPDescriptionTests {
    static let origin = SDPOrigin(sessionID: 1, sessionVersion: 2, address: "127.0.0.1")

    static func sample(_ header: [UInt8] = ASFSample.header, fec: FECSettings? = nil) throws -> MSRTSPDescription {
        try MSRTSPDescription(
            of: ASFHeader(header), origin: origin, base: "rtsp://h/live", entityTag: "{0279ED14-1413-E1EE-14DF-E327B7519C52}",
            features: [.broadcast, .notSeekable], durationMilliseconds: 2_500,
            descriptions: [ContentDescription(language: "0", [.init("title", .lpwstr, "50 % \"Ü\"")])], fec: fec)
    }

    @Test func writes() throws {
        let text = String(decoding: try Self.sample().serialized(), as: UTF8.self)
        let lines = text.split(separator: "\r\n").map(String.init)
        #expect(
            lines.filter { !$0.hasPrefix("a=pgmpu:data:application/vnd") } == [
                "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s= ", "c=IN IP4 0.0.0.0", "b=AS:7", "a=maxps:128", "t=0 0", "a=control:rtsp://h/live/",
                "a=etag:{0279ED14-1413-E1EE-14DF-E327B7519C52}", "a=range:npt=0.000-2.500", "a=type:broadcast,notseekable", "a=recvonly",
                "a=pgmpu:data:application/x-wms-contentdesc,8,language,31,1,0,5,title,31,9,50%20%25%20%22%C3%9C%22%0D%0A",
                "m=audio 0 RTP/AVP 96", "b=AS:7", "b=RS:0", "b=RR:0", "a=rtpmap:96 x-asf-pf/1000", "a=control:audio", "a=stream:1",
                "m=application 0 RTP/AVP 96", "b=RS:0", "b=RR:0", "a=rtpmap:96 x-wms-rtx/1000", "a=control:rtx", "a=stream:65536",
            ])
        let header = try #require(lines.first { $0.hasPrefix(MSRTSPDescription.headerPrefix) })
        #expect(Base64.decode(String(header.dropFirst(MSRTSPDescription.headerPrefix.count))) == ASFSample.header)
    }

    /// What is written is read as the same.
    @Test(arguments: [nil, FECParameters(span: 24, perSpan: 1), FECParameters(span: 3, perSpan: 2)])
    func readsWhatItWrites(_ fec: FECParameters?) throws {
        var description = try Self.sample(fec: fec.map { FECSettings($0) })
        let sdp = try SessionDescription(description.serialized())
        #expect(MSRTSPDescription.isMSRTSP(sdp))
        let again = try MSRTSPDescription(sdp)
        // Rates are said in kbit/s, and nobody needs a server's origin.
        description.origin = nil
        description.streams[0].peakBitsPerSecond = 7_000
        #expect(again == description)
        #expect(try again.asfHeader().packetBytes == 128)
        #expect(again.stream(control: "audio")?.number == 1 && again.stream(control: "rtx") == nil)
        #expect((again.stream(fecControl: "audio/fec") != nil) == (fec != nil))
    }

    /// A description as a Windows Media server of version 9 sends it.
    @Test func readsAServers() throws {
        let text = """
            v=0\r
            o=- 200209102309360000 200209102309360000 IN IP4 127.0.0.1\r
            s=Title\r
            c=IN IP4 0.0.0.0\r
            b=AS:107\r
            a=maxps:5760\r
            t=0 0\r
            a=control:rtsp://host/path/\r
            a=etag:{0279ED14-1413-E1EE-14DF-E327B7519C52}\r
            a=range:npt=3.100-173.903\r
            a=type:notseekable,playlist , Broadcast\r
            a=recvonly\r
            a=pgmpu:data:application/x-wms-contentdesc,8,language,31,0,,5,title,31,5,Title%0D%0A\r
            a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64,\(Base64.encode(Array(ASFSample.header.dropLast(50))))\r
            m=audio 0 RTP/AVP 96 98\r
            b=AS:65\r
            b=X-AV:64\r
            a=rtpmap:96 x-asf-pf/1000\r
            a=rtpmap:98 x-wms-fec/1000\r
            a=fmtp:98 audio/fec 24 1\r
            a=control:audio\r
            a=stream:1\r
            m=application 0 RTP/AVP 96\r
            a=rtpmap:96 x-wms-rtx/1000\r
            a=control:rtx\r
            a=stream:65539\r
            m=video 0 RTP/AVP 96\r
            a=rtpmap:96 X-ASF-PF/1000\r
            a=reliable\r
            a=control:stream=2\r
            a=stream:2\r
            m=video 0 RTP/AVP 26\r
            a=control:other\r
            """
        let description = try MSRTSPDescription(SessionDescription(text))
        #expect(description.packetBytesMax == 5_760 && description.control == "rtsp://host/path/")
        #expect(description.features == [.notSeekable, .playlist, .broadcast])
        #expect(description.contentDescriptions.first?["title"] == "Title")
        #expect(description.streams.map(\.number) == [1, 2] && description.streams.map(\.control) == ["audio", "stream=2"])
        #expect(description.streams.map(\.peakBitsPerSecond) == [65_000, 0] && description.streams[0].averageBitsPerSecond == 64_000)
        #expect(description.streams.map(\.isReliable) == [false, true])
        #expect(description.streams[0].fec?.settings == FECParameters(span: 24, perSpan: 1).map { FECSettings($0) })
        #expect(description.retransmission?.number == 65_539)
        // The Data Object's beginning was missing.
        #expect(description.header.count == ASFSample.header.count && description.header.dropLast(50) == ASFSample.header.dropLast(50))
        #expect(try description.asfHeader().data.byteCount == 50)
    }

    @Test(arguments: [
        ("v=0\r\n", MSRTSPDescriptionError.noHeader),
        ("a=pgmpu:data:application/x-wms-contentdesc,\r\n", .noHeader),
        ("a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64,M!\r\n", .malformedHeader),
        ("a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1,MCay\r\n", .malformedHeader),
    ]) func refuses(_ text: String, _ error: MSRTSPDescriptionError) throws {
        #expect(throws: error) { try MSRTSPDescription(SessionDescription(text)) }
    }

    @Test func refusesLies() throws {
        let prefix = "a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64,"
        let short = try SessionDescription(prefix + Base64.encode(Array(ASFSample.header.prefix(100))) + "\r\n")
        #expect(throws: MSRTSPDescriptionError.self) { try MSRTSPDescription(short) }
        let bare = try SessionDescription(prefix + Base64.encode(ASFSample.header) + "\r\nm=audio 0 RTP/AVP 96\r\na=stream:1\r\n")
        #expect(throws: MSRTSPDescriptionError.noStreams) { try MSRTSPDescription(bare) }
    }

    /// No line is longer than FFmpeg reads.
    @Test(arguments: [0, 8_000, 12_000, 40_000]) func fits(_ padding: Int) throws {
        let metadata = asfObject(.metadataLibrary, [0, 0] + [UInt8](repeating: 1, count: padding / 2))
        let big = asfHeader(
            children: asfObject(.padding, [UInt8](repeating: 0, count: padding)) + asfObject(.metadataLibrary, [0, 0]), extension: metadata)
        let description = try Self.sample(big)
        for line in String(decoding: description.serialized(), as: UTF8.self).split(separator: "\r\n") {
            #expect(line.utf8.count <= MSRTSPDescription.lineBytesMax)
        }
        #expect(try description.asfHeader().continues(ASFHeader(big)))
        #expect(padding > 0 || description.header == big, "a header that fits is not touched")
    }

    /// Commands go when nothing else helps; where that is not enough, the header is longer than FFmpeg reads.
    @Test func goesWithoutCommands() throws {
        let commands = asfObject(.scriptCommand, [UInt8](repeating: 0, count: 20_000))
        let description = try Self.sample(asfHeader(children: commands))
        #expect(try description.asfHeader().objects.allSatisfy { $0.guid != .scriptCommand })
        let unknown = asfHeader(children: asfObject(ASFGUID(1, 2), [UInt8](repeating: 1, count: 20_000)))
        #expect(try Self.sample(unknown).asfHeader().objects.contains { $0.guid == ASFGUID(1, 2) })
    }

    @Test func translatesFeatures() {
        for raw in 0...255 as ClosedRange<UInt8> {
            let features = WMSPFeatures(rawValue: raw).subtracting(.live)
            #expect(MSRTSPFeatures(features).wmsp == features)
            let own = MSRTSPFeatures(rawValue: raw & 0x7F)
            #expect(MSRTSPFeatures(own.text) == own)
        }
    }
}
