import Testing

@testable import WireFormats

struct SDPTests {
    static let ffmpeg = """
        v=0\r
        o=- 0 0 IN IP4 127.0.0.1\r
        s=No Name\r
        c=IN IP4 127.0.0.1\r
        t=0 0\r
        a=tool:libavformat 59.27.100\r
        m=video 0 RTP/AVP 96\r
        b=AS:4000\r
        a=rtpmap:96 H264/90000\r
        a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z2QAH6zZQFAFuw==,aOvjyyLA; profile-level-id=64001F\r
        a=control:streamid=0\r
        m=audio 0 RTP/AVP 97\r
        a=rtpmap:97 MPEG4-GENERIC/48000/2\r
        a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=1190\r
        a=control:streamid=1\r

        """

    @Test func readsWithoutLoss() throws {
        let description = try SessionDescription(Self.ffmpeg)
        #expect(String(decoding: description.serialized(), as: UTF8.self) == Self.ffmpeg)
        #expect(description.warnings.isEmpty)
        #expect(description.sessionName == "No Name")
        let video = description.media[0], audio = description.media[1]
        #expect(video.kind == "video" && video.codec == .h264 && video.clockRate == 90_000 && video.control == "streamid=0")
        #expect(video.bitRate == 4_000_000 && video.payloadTypes == [96])
        #expect(video.formatParameter("Packetization-Mode") == "1")
        #expect(video.formatParameter("sprop-parameter-sets") == "Z2QAH6zZQFAFuw==,aOvjyyLA")
        #expect(audio.codec == .aac && audio.clockRate == 48_000 && audio.format?.channels == 2)
        #expect(audio.codec.keyFrameCodec == .opaque && video.codec.keyFrameCodec == .h264)
    }

    @Test func keepsUnknownLinesAndBytesThatAreNotText() throws {
        let bytes = Array("v=0\ns=\u{0}Caf".utf8) + [0xE9] + Array("\nx=unknown \nm=video 5000/2 RTP/AVP 96 97\na=x-vendor\nq=\n".utf8)
        let description = try SessionDescription(bytes)
        let expected =
            Array("v=0\r\ns= Caf".utf8) + [0xE9] + Array("\r\nx=unknown \r\nm=video 5000/2 RTP/AVP 96 97\r\na=x-vendor\r\nq=\r\n".utf8)
        #expect(description.serialized() == expected)
        #expect(description.media[0].portCount == 2 && description.media[0].formats == ["96", "97"])
        #expect(try SessionDescription(description.serialized()).serialized() == expected)
    }

    struct Quirk: Sendable, CustomTestStringConvertible {
        let product: String, text: String, warnings: [SDPWarning.Fault]
        let holds: @Sendable (SessionDescription) -> Bool
        var testDescription: String { product }

        init(_ product: String, _ text: String, _ warnings: [SDPWarning.Fault], _ holds: @escaping @Sendable (SessionDescription) -> Bool) {
            self.product = product
            self.text = text
            self.warnings = warnings
            self.holds = holds
        }
    }

    /// The lines that every case begins with.
    static let head = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=x\nt=0 0\n"

    static let quirks: [Quirk] = [
        Quirk("several s= lines", head + "s=y\nm=video 0 RTP/AVP 26\n", [.repeated("s")]) { $0.sessionName == "x" && $0.media.count == 1 },
        Quirk("c=IN 1.2.3.4", head + "c=IN 1.2.3.4\nm=video 0 RTP/AVP 26\n", [.malformed("c")]) { $0.media[0].codec == .jpeg },
        Quirk("c=IN c=IN IP4 1.2.3.4", head + "c=IN c=IN IP4 1.2.3.4\nm=video 0 RTP/AVP 26\n", [.malformed("c")]) { $0.media.count == 1 },
        Quirk("FLIR: t=now-", "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=x\nt=now-\nm=video 0 RTP/AVP 26\n", [.malformed("t")]) {
            $0.media.count == 1
        },
        Quirk("no origin line", "v=0\ns=x\nt=0 0\nm=audio 0 RTP/AVP 0\n", [.missing("o")]) {
            $0.media[0].codec == .pcmu && $0.media[0].clockRate == 8_000
        },
        Quirk(
            "TP-Link TL-IPC44GW: a media type of its own",
            head + "m=application/TP-LINK 0 RTP/AVP smart/1/90000\na=rtpmap:95 TP-LINK/90000\n", []
        ) { $0.media[0].kind == "application/TP-LINK" && $0.media[0].codec == .other("TP-LINK") && $0.media[0].payloadTypes.isEmpty },
        Quirk("a blank behind rtpmap", head + "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000 \n", []) {
            $0.media[0].clockRate == 90_000 && $0.media[0].codec == .h264
        },
        Quirk("Ubiquiti: an empty fmtp", head + "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96\n", [.emptyFormatParameters]) {
            $0.media[0].formatParameter("config") == nil && $0.media[0].codec == .h264
        },
        Quirk(
            "the fmtp of one track under another",
            head
                + "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/8000\na=fmtp:97 config=1588\na=fmtp:96 packetization-mode=1\n",
            [.misplacedFormatParameters(payloadType: 96)]
        ) {
            $0.formatParameters(media: 0, payloadType: 96) == "packetization-mode=1"
                && $0.formatParameters(media: 1, payloadType: 97) == "config=1588"
        },
        Quirk("a wrong Opus clock", head + "m=audio 0 RTP/AVP 96\na=rtpmap:96 opus/16000\n", [.wrongClockRate(16_000)]) {
            $0.media[0].clockRate == 48_000
        },
        Quirk(
            "all media marked as back channel", head + "m=video 0 RTP/AVP 26\na=sendonly\nm=audio 0 RTP/AVP 0\na=sendonly\n",
            [.onlyBackChannels]
        ) {
            $0.receivableMedia == [0, 1]
        },
        Quirk("ONVIF back channel", head + "m=video 0 RTP/AVP 26\na=recvonly\nm=audio 0 RTP/AVP 0\na=sendonly\n", []) {
            $0.receivableMedia == [0]
        },
        Quirk("no final newline", head + "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000", []) { $0.media[0].codec == .h265 },
        Quirk("carriage returns alone", "v=0\ro=- 1 1 IN IP4 0.0.0.0\rs=x\rt=0 0\rm=video 0 RTP/AVP 26\r", []) { $0.media.count == 1 },
        Quirk("a blank line and text between", head + "\n\nhello\nm=video 0 RTP/AVP 26\n", [.notALine]) { $0.media.count == 1 },
        Quirk("H.265 without VPS", head + "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=fmtp:96 sprop-sps=QgEB;sprop-pps=RAHA\n", []) {
            $0.media[0].formatParameter("sprop-vps") == nil && $0.media[0].formatParameter("sprop-sps") == "QgEB"
        },
        Quirk("no rtpmap for a dynamic type", head + "m=video 0 RTP/AVP 96\n", [.noFormatMap(payloadType: 96)]) {
            $0.media[0].clockRate == 90_000
        },
        Quirk(
            "an rtpmap without a clock, and of 0", head + "m=video 0 RTP/AVP 96\na=rtpmap:96 H264\na=rtpmap:96 H264/0\n",
            [.malformedFormatMap, .malformedFormatMap, .noFormatMap(payloadType: 96)]
        ) { $0.media[0].clockRate == 90_000 },
        Quirk("a port beyond its range", head + "m=video 99999 RTP/AVP 26\n", [.malformedMedia]) {
            $0.media[0].port == 0 && $0.media[0].codec == .jpeg
        },
        Quirk("an m= line cut short", head + "m=video\n", [.malformedMedia]) {
            $0.media[0].formats.isEmpty && $0.media[0].codec == .other("")
        },
        Quirk("a relative control and a query", head + "a=control:*\nm=video 0 RTP/AVP 26\na=control:track1?x=1\n", []) {
            $0.control == "*" && $0.media[0].control == "track1?x=1"
        },
    ]

    @Test(arguments: quirks) func toleratesQuirks(_ quirk: Quirk) throws {
        let description = try SessionDescription(quirk.text)
        #expect(description.warnings.map(\.fault) == quirk.warnings)
        #expect(quirk.holds(description))
        for warning in description.warnings { #expect(!warning.description.isEmpty) }
    }

    @Test func refusesWhatIsNone() {
        #expect(throws: SDPError.noLines) { try SessionDescription("") }
        #expect(throws: SDPError.noLines) { try SessionDescription("<html></html>") }
        #expect(throws: SDPError.tooManyMedia(countMax: 64)) {
            try SessionDescription(String(repeating: "m=video 0 RTP/AVP 96\n", count: 65))
        }
        #expect(throws: SDPError.tooManyLines(countMax: 8_192)) { try SessionDescription(String(repeating: "a=x\n", count: 8_193)) }
        #expect(throws: SDPError.tooLong(bytes: 1_048_577, bytesMax: 1_048_576)) {
            try SessionDescription([UInt8](repeating: 0x61, count: 1_048_577))
        }
    }

    @Test func knowsStaticPayloadTypes() {
        #expect(StaticPayloadType.format(33)?.codec == .mp2t)
        #expect(StaticPayloadType.format(9)?.clockRate == 8_000)
        #expect(StaticPayloadType.format(10)?.channels == 2)
        #expect(StaticPayloadType.format(96) == nil)
    }

    @Test(arguments: [
        ("h264", MediaCodec.h264), ("H265", .h265), ("AV1", .av1), ("vp8", .vp8), ("MP4V-ES", .mpeg4Part2), ("MPV", .mpeg12Video),
        ("L16", .l16),
        ("vnd.onvif.metadata", .onvifMetadata), ("MP4A-LATM", .aacLATM), ("x-wms-rtx", .other("X-WMS-RTX")),
    ])
    func recognisesCodecs(_ test: (name: String, codec: MediaCodec)) {
        #expect(MediaCodec(encodingName: test.name) == test.codec)
        #expect(!test.codec.name.isEmpty)
    }
}

struct RelaySDPTests {
    let origin = SDPOrigin(sessionID: 7, sessionVersion: 9, address: "192.0.2.1")

    @Test func rewritesForReaders() throws {
        let source = """
            v=0
            o=root 5 5 IN IP4 10.0.0.9
            s=Camera
            i=Yard
            c=IN IP4 10.0.0.9
            b=AS:5000
            b=RR:0
            t=0 0
            a=control:rtsp://10.0.0.9/live
            a=range:npt=0-30
            a=ice-ufrag:x
            a=fingerprint:sha-256 AA
            a=group:BUNDLE 0 1
            a=group:LS 0 1
            a=type:broadcast
            y=0100
            m=video 5000 RTP/AVP 96
            c=IN IP4 10.0.0.9
            b=AS:4000
            a=rtpmap:96 H264/90000
            a=framerate:25.0
            a=x-dimensions:1920,1080
            a=candidate:1 1 UDP 1 10.0.0.9 5000 typ host
            a=ssrc:1 cname:x
            a=rtcp-mux
            a=recvonly
            a=control:rtsp://10.0.0.9/live/track1
            m=audio 0 RTP/AVP 0
            a=sendonly
            a=control:back
            m=application 0 RTP/AVP 107
            a=rtpmap:107 vnd.onvif.metadata/90000
            a=x-unknown:kept
            a=control:track3

            """
        let expected = """
            v=0
            o=- 7 9 IN IP4 192.0.2.1
            s=Camera
            i=Yard
            c=IN IP4 0.0.0.0
            b=AS:5000
            t=0 0
            a=control:*
            a=range:npt=now-
            a=group:LS 0 1
            a=type:broadcast
            y=0100
            m=video 0 RTP/AVP 96
            b=AS:4000
            a=rtpmap:96 H264/90000
            a=framerate:25.0
            a=x-dimensions:1920,1080
            a=recvonly
            a=control:trackID=0
            m=application 0 RTP/AVP 107
            a=rtpmap:107 vnd.onvif.metadata/90000
            a=x-unknown:kept
            a=control:trackID=1

            """
        let readers = try SessionDescription(source).forReaders(origin: origin)
        #expect(String(decoding: readers.serialized(), as: UTF8.self) == expected.split(separator: "\n").map { $0 + "\r\n" }.joined())
    }

    @Test func choosesTracks() throws {
        let readers = try SessionDescription(SDPTests.ffmpeg).forReaders(origin: origin, tracks: [1, 7, -1], range: nil)
        #expect(readers.media.map(\.kind) == ["audio"])
        #expect(readers.media[0].control == "trackID=0")
        #expect(readers.lines.attribute("range") == nil)
    }

    @Test func bringsStrayFormatParametersHomeAndUnmarksBackChannels() throws {
        let source =
            SDPTests.head
            + "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=sendonly\nm=audio 0 RTP/AVP 0\na=sendonly\na=fmtp:96 packetization-mode=1\n"
        let readers = try SessionDescription(source).forReaders(origin: SDPOrigin(sessionID: 1, sessionVersion: 1, address: "::1"))
        #expect(readers.media[0].formatParameters(96) == "packetization-mode=1")
        #expect(readers.media.allSatisfy { $0.direction == .sendrecv })
        #expect(readers.lines.first("c") == "IN IP6 ::" && readers.origin == "- 1 1 IN IP6 ::1")
    }

    @Test func makesUpWhatIsMissing() throws {
        let readers = try SessionDescription("m=video 0 RTP/AVP 26\n").forReaders(origin: origin)
        #expect(readers.lines.map(\.type) == ["v", "o", "s", "c", "t", "a", "a"])
    }
}
