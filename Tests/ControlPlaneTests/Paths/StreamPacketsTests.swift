import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// Parameter sets learnt from the stream, and streams that UDP readers are refused.
@Suite struct StreamPacketsTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let heard = HeardLog()
    private let port: EnginePort

    init() { port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    private final class Observer: PathObserver {
        var versions: [Int] = []
        func streamEnded(_ reason: String) {}
        func descriptionChanged(_ description: StreamDescription) { versions.append(description.version) }
    }

    private func path(_ change: (inout PathSettings) -> Void = { _ in }) -> Path {
        var settings = PathSettings(name: "cam", source: .file("x.rtpdump"))
        change(&settings)
        return Path(settings: settings, port: port, mediaPorts: MediaPorts(range: nil), logger: heard.logger())
    }

    private static let h264 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:a"
    private static let audio = "m=audio 0 RTP/AVP 8\r\na=control:b"
    private static let sps: [UInt8] = [0x67, 0x64, 0x00, 0x1F, 0xAC], pps: [UInt8] = [0x68, 0xEB, 0xE3]

    private func memory() throws -> (StreamHandle, StreamMemory) {
        let added = engine.commands.compactMap { command -> (StreamHandle, StreamMemory)? in
            guard case .addStream(let handle, let memory, _) = command else { return nil }
            return (handle, memory)
        }
        return try #require(added.last)
    }

    /// The engine shows these units of the first track.
    private func show(_ units: [[UInt8]]) throws {
        let (handle, memory) = try memory()
        guard memory.parameterSets.isEmpty(0) else { return }
        let bytes = units.flatMap { [UInt8($0.count >> 8), UInt8($0.count & 0xFF)] + $0 }
        for (index, byte) in bytes.enumerated() {
            unsafe memory.parameterSets.box(0).storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
        memory.parameterSets.fill(0, count: bytes.count)
        engine.report(.parameterSets(handle, track: 0))
        port.drainReports()
    }

    private func end(_ path: Path) {
        path.stop {}
        port.drainReports()
    }

    @Test func theDescriptionFollowsTheStream() throws {
        let path = path(), observer = Observer()
        path.addObserver(observer)
        _ = try path.sourceDescribed(Descriptions.description([Self.h264, Self.audio]))
        #expect(path.live?.description.sdp.media[0].formatParameters(96) == nil)
        try show([Self.sps, Self.pps])
        let first = try #require(path.live?.description)
        #expect(
            first.sdp.media[0].formatParameters(96) == "packetization-mode=1;profile-level-id=64001F;sprop-parameter-sets=Z2QAH6w=,aOvj")
        #expect(first.version == 2 && observer.versions == [2] && first.sdp.origin?.contains(" 2 IN IP4") == true)
        #expect(
            first.sdp.media[1].lines
                == (try Descriptions.description([Self.h264, Self.audio])).forReaders(
                    origin: SDPOrigin(sessionID: 1, sessionVersion: 1, address: "1.2.3.4")
                ).media[1].lines)

        // The box stays full for a while, whatever the source sends; then the engine may show others.
        let (_, memory) = try memory()
        #expect(!memory.parameterSets.isEmpty(0))
        loop.advanceTime(by: .milliseconds(1_000))
        #expect(memory.parameterSets.isEmpty(0))
        try show([[0x67, 0x42, 0x00, 0x29, 9]])
        #expect(
            path.live?.description.sdp.media[0].formatParameters(96)
                == "packetization-mode=1;profile-level-id=420029;sprop-parameter-sets=Z0IAKQk=,aOvj")
        #expect(path.live?.description.version == 3 && observer.versions == [2, 3])
        loop.advanceTime(by: .milliseconds(1_000))
        try show([[0x67, 0x42, 0x00, 0x29, 9], [0x06, 1]])
        #expect(path.live?.description.version == 3, "nothing new")
        end(path)
    }

    @Test func whatTheSourceDescribesIsLeftWhereTheStreamAgrees() throws {
        let path = path()
        let own = Self.h264 + "\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z2QAH6w=,aOvj,aM4xUg=="
        let before = try path.sourceDescribed(Descriptions.description([own])).sdp
        try show([Self.sps, Self.pps])
        #expect(path.live?.description.sdp == before)
        end(path)
    }

    @Test func whatWasLearntOutlivesTheSourceButNotABetterDescription() throws {
        let path = path()
        _ = try path.sourceDescribed(Descriptions.description([Self.h264]))
        try show([Self.sps, Self.pps])
        _ = try path.sourceDescribed(Descriptions.description([Self.h264]))
        #expect(path.live?.description.sdp.media[0].parameterSets.picture == [Self.pps])
        _ = try path.sourceDescribed(Descriptions.description([Self.h264 + "\r\na=framerate:25"]))
        #expect(path.live?.description.sdp.media[0].parameterSets.picture == [Self.pps])
        _ = try path.sourceDescribed(Descriptions.description([Self.h264 + "\r\na=fmtp:96 sprop-parameter-sets=Z0IAKQk="]))
        #expect(path.live?.description.sdp.media[0].formatParameters(96) == "sprop-parameter-sets=Z0IAKQk=")
        end(path)
    }

    private static func described(_ sets: String) -> String { h264 + "\r\na=fmtp:96 sprop-parameter-sets=\(sets)" }

    /// How often the engine was told what to put before key frames of the first track.
    private var prefaceCount: Int { engine.names.count { $0 == "setPreface" } }

    /// What it was told last, before the buffer goes home.
    private func lastPreface() -> [UInt8]? {
        defer { port.drainReports() }
        for command in engine.commands.reversed() {
            if case .setPreface(_, 0, let buffer) = command { return unsafe Array(buffer.bytes) }
        }
        return nil
    }

    private func preface(_ units: [UInt8]...) -> [UInt8] { units.flatMap { [UInt8($0.count), 0] + $0 } }

    @Test func otherSetsOfASourceThatReturnsGoBeforeItsKeyFrames() throws {
        let path = path()
        let first = Self.described("Z2QAH6w=,aOvj"), second = Self.described("Z0IAKQk=,aM4x")
        let other: [UInt8] = [0x67, 0x42, 0x00, 0x29, 9], otherPicture: [UInt8] = [0x68, 0xCE, 0x31]
        /// What is new to the engine when the source comes with this description; nil: nothing.
        func life(_ media: String) throws -> [UInt8]? {
            let before = prefaceCount
            _ = try path.sourceDescribed(Descriptions.description([media, Self.audio]))
            path.mediaBegins()
            return prefaceCount > before ? lastPreface() : nil
        }
        #expect(try life(first) == nil && life(first) == nil)
        #expect(try life(first + "\r\na=framerate:25") == nil, "its sets are the same")
        #expect(try life(second) == preface(other, otherPicture))
        #expect(try life(second) == nil, "the engine goes on with them")
        #expect(try life(first) == preface(Self.sps, Self.pps), "readers have come meanwhile that know the others")
        #expect(try life(Self.h264) == nil, "nothing is known of its sets")
        // The stream shows others: these from now on.
        try show([other, otherPicture])
        #expect(prefaceCount == 3)
        end(path)
    }

    @Test func setsOfWhichOneIsTooLargeAreNotSentInPart() throws {
        let path = path()
        func life(_ picture: [UInt8]) throws -> String? {
            let sets = Self.described("Z2QAH6w=,\(Base64.encode(picture))")
            _ = try path.sourceDescribed(Descriptions.description([sets]))
            path.mediaBegins()
            return heard.lines().last { $0.contains("parameter sets") }
        }
        #expect(try life(Self.pps) == nil)
        let words = try life([0x68] + [UInt8](repeating: 1, count: 1_500)) ?? ""
        #expect(lastPreface() == [] && words.contains("cannot go before its key frames"), "\(words)")
        end(path)
    }

    @Test func setsThatTheStreamShowedAreKnownToAll() throws {
        let path = path()
        _ = try path.sourceDescribed(Descriptions.description([Self.h264]))
        path.mediaBegins()
        try show([Self.sps, Self.pps])
        #expect(prefaceCount == 0)
        _ = try path.sourceDescribed(Descriptions.description([Self.described("Z2QAH6w=,aOvj")]))
        path.mediaBegins()
        #expect(prefaceCount == 0)
        end(path)
    }

    @Test func aTrackThatIsAnotherOneBeginsAnew() throws {
        let path = path()
        _ = try path.sourceDescribed(Descriptions.description([Self.described("Z2QAH6w=,aOvj"), Self.audio]))
        path.mediaBegins()
        // Another payload type makes it another track: its readers are told, and have its description.
        let changed = Self.described("Z0IAKQk=,aM4x").replacing("96", with: "97")
        _ = try path.sourceDescribed(Descriptions.description([changed, Self.audio]))
        path.mediaBegins()
        #expect(prefaceCount == 0)
        end(path)
    }

    @Test func aReportOfAStreamThatIsGoneIsNothing() throws {
        let path = path()
        _ = try path.sourceDescribed(Descriptions.description([Self.h264]))
        let (handle, _) = try memory()
        end(path)
        engine.report(.parameterSets(handle, track: 0))
        engine.report(.packetTooLarge(handle, track: 0, bytes: 60_000))
        port.drainReports()
        loop.advanceTime(by: .milliseconds(2_000))
        #expect(port.parameterSets(of: handle, track: 0).isEmpty)
    }

    // MARK: Large packets

    @Test(
        arguments: [
            ("source: publish", 1_472, true), ("source: publish, oversize: refuse", 1_472, false),
            ("source: publish, oversize: pass, udp-packet-max: 1400", 1_400, false),
        ])
    func theEngineIsToldThePathsLimits(line: String, bytes: UInt32, fragments: Bool) throws {
        let policy = try #require(try Configuration.parse("paths: {cam: {\(line)}}").paths.first?.policy)
        #expect(policy.packetBytesMax == bytes && policy.fragments == fragments)
    }

    @Test(
        arguments: [
            ("udp-packet-max: 100", "udp-packet-max: `100` is no whole number from 512 to 65507"),
            ("udp-packet-max: 65508", "udp-packet-max: `65508` is no whole number from 512 to 65507"),
            ("whole-pictures: always", "whole-pictures: `always` is neither true nor false"),
            ("oversize: fragments", "oversize: `fragments` is not known; did you mean `fragment`? (allowed: fragment, pass, refuse)"),
        ])
    func aWrongSettingIsNamed(line: String, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse("paths: {cam: {source: publish, \(line)}}") }
        #expect(error?.errors.first?.description == "weir.yml:1: paths.cam.\(words)")
    }

    @Test(arguments: [("", false), (", whole-pictures: yes", true), (", whole-pictures: no", false)])
    func wholePicturesHaveMemoryOfTheirOwn(line: String, isWanted: Bool) throws {
        let settings = try #require(try Configuration.parse("paths: {cam: {source: publish\(line)}}").paths.first)
        #expect(settings.packets.wholePictures == isWanted)
        let path = path { $0.packets = settings.packets }
        _ = try path.sourceDescribed(Descriptions.description([Self.h264]))
        let sizing = try #require(path.live?.sizing)
        #expect(sizing.pictureBytes == (isWanted ? min(sizing.arenaBytes / 2, StreamSizing.pictureBytesMax) : 0))
        #expect(try memory().1.pictureBytes == sizing.pictureBytes)
        end(path)
    }

    @Test(arguments: [(PacketSettings.Oversize.fragment, true), (.refuse, true), (.pass, false)])
    func udpIsRefusedForAllTracksOfAStreamWithLargePackets(oversize: PacketSettings.Oversize, isRefused: Bool) throws {
        let path = path { $0.packets.oversize = oversize }
        let description = try path.sourceDescribed(Descriptions.description([Self.audio, "m=video 0 RTP/AVP 26\r\na=control:c"]))
        let (handle, memory) = try memory()
        #expect(path.settings.packets.datagramRefusal(of: description) == nil)
        memory.counters.set(1, .packetBytesMax, 1_472)
        #expect(path.settings.packets.datagramRefusal(of: description) == nil)
        memory.counters.set(1, .packetBytesMax, 60_000)
        let words = path.settings.packets.datagramRefusal(of: description)
        #expect((words != nil) == isRefused)
        if isRefused {
            #expect(
                words
                    == "JPEG of this stream comes in packets of up to 60000 bytes, and 1472 is the most that is sent by UDP (udp-packet-max); "
                    + "ask for RTP/AVP/TCP")
        }
        engine.report(.packetTooLarge(handle, track: 1, bytes: 60_000))
        port.drainReports()
        let line = heard.lines().first ?? ""
        #expect(
            line.contains("too large for UDP") && line.contains("codec=JPEG")
                && line.contains("remedy=have the source send smaller packets"))
        #expect(line.contains("461") == isRefused)
        end(path)
    }
}
