import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct SlateTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let port: EnginePort
    private let source = SilentSource()

    private final class SilentSource: PathSource {
        var words: String { "scripted" }
        func want(_ level: SourceLevel) {}
        func saidGoodbye() {}
        func stop(_ done: @escaping () -> Void) { done() }
    }

    init() { port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    private func path(_ slate: SlateSettings) -> Path {
        var settings = PathSettings(name: "cam", source: .file("x.rtpdump"))
        settings.slate = slate
        let path = Path(
            settings: settings, port: port, mediaPorts: MediaPorts(range: nil),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        path.start(source: source)
        return path
    }

    private func advance(_ milliseconds: Int64) { loop.advanceTime(by: .milliseconds(milliseconds)) }

    private func count(_ name: String) -> Int { engine.names.count { $0 == name } }

    private func playing(_ path: Path, _ sdp: SessionDescription) throws -> StreamCounters {
        let description = try path.sourceDescribed(sdp)
        path.mediaBegins()
        path.sourcePlays()
        return description.counters
    }

    @Test func repeatsTheKeyFrameFromSlateAfterUntilTheSourceIsBack() throws {
        let path = path(.lastKeyFrame)
        path.readerArrived()
        let counters = try playing(path, Descriptions.description())
        advance(5_000)
        #expect(count("beginSlate") == 0, "nothing came yet")
        for _ in 0..<10 {
            counters.add(0, .packets, 3)
            advance(40)
        }
        advance(380)
        #expect(count("beginSlate") == 0)
        advance(320)
        #expect(count("beginSlate") == 1 && count("repeatKeyFrame") == 1)
        advance(2_000)
        #expect(count("beginSlate") == 1 && count("repeatKeyFrame") == 5)
        let overview = path.slate?.overview(now: loop.now)
        #expect(overview?.isOn == true && overview?.kind == "last-key-frame" && overview?.times == 1)
        #expect((overview?.sinceSeconds ?? 0) >= 2 && (overview?.sinceSeconds ?? 0) < 2.5)
        // A reconnect alone does not end it: the first packet does.
        path.mediaBegins()
        advance(500)
        #expect(count("repeatKeyFrame") == 6)
        counters.add(0, .packets)
        advance(100)
        advance(400)
        #expect(count("repeatKeyFrame") == 6 && path.slate?.isOn == false)
    }

    @Test func restsWithoutReadersAndEndsWithTheStream() throws {
        let path = path(.lastKeyFrame)
        let counters = try playing(path, Descriptions.description())
        counters.add(0, .packets)
        advance(3_000)
        #expect(count("beginSlate") == 0, "nobody reads")
        path.readerArrived()
        advance(100)
        #expect(count("beginSlate") == 1)
        path.endStream("over")
        let repeats = count("repeatKeyFrame")
        advance(3_000)
        #expect(count("repeatKeyFrame") == repeats && path.slate?.isOn == false)
    }

    @Test func newcomersAreServedFromTheSlate() throws {
        let path = path(.lastKeyFrame)
        let counters = try playing(path, Descriptions.description())
        counters.add(0, .packets)
        advance(100)
        path.sourceFailed("gone")
        path.readerArrived()
        var isServed = false
        path.play().assumeIsolated().whenSuccess { _ in isServed = true }
        loop.run()
        #expect(!isServed)
        advance(700)
        #expect(isServed && path.slate?.isOn == true)
        isServed = false
        path.play().assumeIsolated().whenSuccess { _ in isServed = true }
        loop.run()
        #expect(isServed)
    }

    @Test func saysWhyThereIsNone() throws {
        let path = path(.lastKeyFrame)
        path.readerArrived()
        let counters = try playing(path, Descriptions.description(["m=video 0 RTP/AVP 33\r\na=control:a"]))
        counters.add(0, .packets)
        advance(5_000)
        #expect(count("beginSlate") == 0)
        #expect(
            path.slate?.overview(now: loop.now).trouble
                == "of MPEG-TS no key frame can be sent again; a clip may do (slate: FILE.rtpdump)")
    }

    @Test func isOffUnlessAskedFor() throws {
        #expect(path(.off).slate == nil)
        #expect(StreamSizing(bitRate: 8_000_000, windowMilliseconds: 2_000).keyFrameBytes == 0)
    }

    @Test func aClipThatCannotBeOpenedIsToldWithItsName() throws {
        let path = path(.clip("/nowhere/away.rtpdump"))
        _ = try playing(path, Descriptions.description())
        #expect(path.slate?.overview(now: loop.now).trouble?.contains("/nowhere/away.rtpdump") == true)
        var settings = PathSettings(name: "cam", source: .publish)
        settings.slate = .clip("/nowhere/away.rtpdump")
        #expect(throws: ValueProblem.self) { try settings.checkFile() }
    }
}

@Suite struct SlateClipTests {
    private static let h264 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000"
    private static let audio = "m=audio 0 RTP/AVP 8"

    /// A recording of one packet for each payload, of the first media, and one of the second.
    private static func clip(_ payloads: [[UInt8]], _ media: [String] = [h264, audio], types: (UInt8, UInt8) = (96, 8)) throws -> Clip {
        var dump = RTPDumpHeader().serialized()
        for (number, payload) in payloads.enumerated() {
            let header = RTPHeader(
                payloadType: types.0, marker: true, sequence: UInt16(number), timestamp: UInt32(number) * 3_600, ssrc: 1)
            dump +=
                RTPDumpRecord.serialized(packet: header.packet(payload: payload), isRTCP: false, milliseconds: UInt32(number * 40)) ?? []
        }
        let last = RTPHeader(payloadType: types.1, marker: false, sequence: 9, timestamp: 1, ssrc: 2)
        dump += RTPDumpRecord.serialized(packet: last.packet(payload: [4]), isRTCP: false, milliseconds: 0) ?? []
        return try Clip(dump: dump, sdp: try Descriptions.description(media).serialized(), name: "away")
    }

    private static let whole: [[UInt8]] = [[0x67, 0x42, 0], [0x68, 0xCE], [0x65, 0x88, 0], [0x41, 0x9A]]

    @Test(arguments: [
        ([[0x65, 0x88, 0] as [UInt8]], "has no parameter sets in front of its first key frame"),
        ([[0x41, 0x9A], [0x67, 0x42], [0x65, 0x88]], "does not begin with a key frame"),
        ([[0x67, 0x42], [0x41, 0x9A]], "has no parameter sets in front"),
    ])
    func mustBeginWithItsParameterSets(payloads: [[UInt8]], words: String) throws {
        let clip = try Self.clip(payloads)
        let error = #expect(throws: ValueProblem.self) { try SlateClip(clip, name: "away") }
        #expect(error?.text.contains(words) == true, "\(error?.text ?? "")")
    }

    @Test func refusesCodecsThatCannotBeSpliced() throws {
        let clip = try Self.clip([[1, 2]], ["m=video 0 RTP/AVP 33", Self.audio], types: (33, 8))
        let error = #expect(throws: ValueProblem.self) { try SlateClip(clip, name: "away") }
        #expect(error?.text.hasPrefix("away: MPEG-TS cannot be spliced") == true)
    }

    private func description(_ media: [String]) throws -> StreamDescription {
        let sdp = try Descriptions.description(media)
        let tracks = sdp.media.enumerated().map { number, media in
            StreamDescription.Track(
                number: number, control: "", plan: TrackPlan(clockRate: media.clockRate, codec: .opaque, ssrc: 1), codec: media.codec)
        }
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        return StreamDescription(
            sdp: sdp, tracks: tracks, map: TrackMap(tracks.map(\.number)), leftOut: [], canonicalName: "weir",
            stream: StreamHandle(index: 0, generation: 1), counters: memory.counters, version: 1)
    }

    @Test func takesThePathsPayloadTypesAndOrder() throws {
        let clip = try SlateClip(Self.clip(Self.whole), name: "away")
        let fit = try clip.fit(description(["m=audio 0 RTP/AVP 8", "m=video 0 RTP/AVP 102\r\na=rtpmap:102 H264/90000"]))
        #expect(fit.payloadTypes == [102, 8] && fit.silent.isEmpty)
        #expect(fit.channels[0] == 2 && fit.channels[2] == 0 && fit.channels[1] == nil)
        var player = ClipPlayer(clip.clip, payloadTypes: fit.payloadTypes)
        let frame = player.next()
        #expect(frame[1] == 0 && frame[5] == 0x80 | 102)
    }

    @Test(arguments: [
        "m=audio 0 RTP/AVP 0", "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 config=1190",
    ])
    func audioWithoutATwinIsSilent(audio: String) throws {
        let clip = try SlateClip(Self.clip(Self.whole), name: "away")
        let fit = try clip.fit(description([Self.h264, audio]))
        #expect(fit.payloadTypes == [96, nil] && fit.silent.count == 1)
        #expect(fit.channels[2] == nil)
    }

    @Test func otherVideoIsRefusedInWords() throws {
        let clip = try SlateClip(Self.clip(Self.whole), name: "away")
        let error = #expect(throws: ValueProblem.self) {
            try clip.fit(description(["m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000"]))
        }
        #expect(
            error?.text == "away has no H.265 with a clock of 90000 Hz, as the source sends it; it has H.264 with 90000 Hz, "
                + "G.711 A-law with 8000 Hz")
    }

    @Test func theSourcesParameterSetsAreFoundInItsDescription() throws {
        func preface(_ media: String) throws -> [UInt8] { try Descriptions.description([media]).media[0].parameterSetPayloads }
        func part(_ unit: [UInt8]) -> [UInt8] { [UInt8(unit.count), 0] + unit }
        #expect(try preface(Self.h264) == [])
        #expect(
            try preface(Self.h264 + "\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAHg==,aM4=")
                == part([0x67, 0x42, 0, 0x1E]) + part([0x68, 0xCE]))
        #expect(try preface(Self.h264 + "\r\na=fmtp:96 sprop-parameter-sets=!!,,aM4=") == part([0x68, 0xCE]))
        #expect(
            try preface(
                "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps=QAEC;sprop-sps=QgEC;sprop-pps=RAEC")
                == part([0x40, 1, 2]) + part([0x42, 1, 2]) + part([0x44, 1, 2]))
        #expect(
            try preface(Self.h264 + "\r\na=fmtp:96 packetization-mode=2;sprop-parameter-sets=Z0IAHg==,aM4=") == [],
            "a packet of it would carry a decoding order number")
    }
}
