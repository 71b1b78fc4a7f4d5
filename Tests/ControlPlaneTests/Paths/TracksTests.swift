import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// What a stream consists of, as its path sees it: `tracks:`, and descriptions that change.
@Suite struct TracksTests {
    private static let video = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v"
    private static let audio = "m=audio 0 RTP/AVP 8\r\na=control:a"
    private static let opus = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:o"
    private static let metadata = "m=application 0 RTP/AVP 98\r\na=rtpmap:98 vnd.onvif.metadata/90000\r\na=control:m"

    private final class Observer: PathObserver {
        var heard: [String] = []
        /// How many commands the engine had been given by then.
        var commands: [Int] = []
        let engine: RecordingEngine
        init(_ engine: RecordingEngine) { self.engine = engine }
        func streamEnded(_ reason: String) { heard.append("ended: \(reason)") }
        func descriptionChanged(_ description: StreamDescription) {
            heard.append(description.tracks.map(\.control).joined(separator: " "))
            commands.append(engine.commands.count)
        }
    }

    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let port: EnginePort

    init() { port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    private func path(_ tracks: String? = nil, source: PathSettings.Source = .file("x.rtpdump")) throws -> Path {
        var settings = PathSettings(name: "cam", source: source)
        if let tracks { settings.tracks = try TrackSelection(tracks) }
        return Path(
            settings: settings, port: port, mediaPorts: MediaPorts(range: nil),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func planned() -> [Int] {
        engine.commands.compactMap { if case .setTrack(_, let track, _) = $0 { Int(track) } else { nil } }
    }

    // MARK: tracks:

    @Test func onlyTheChosenAreServed() throws {
        let path = try path("video,application")
        let description = try path.sourceDescribed(Descriptions.description([Self.audio, Self.video, Self.metadata]))
        #expect(description.tracks.map(\.codec) == [.h264, .onvifMetadata])
        #expect(description.tracks.map(\.number) == [0, 1])
        #expect(description.sdp.media.map(\.kind) == ["video", "application"])
        #expect(description.sdp.media.map(\.control) == ["trackID=0", "trackID=1"])
        #expect(description.map == TrackMap([nil, 0, 1]))
        #expect(description.leftOut == ["G.711 A-law"])
        guard case .addStream(_, _, let count)? = engine.commands.first else { Issue.record("no stream"); return }
        #expect(count == 2)
    }

    @Test func noneOfThemFittingIsSaid() throws {
        let path = try path("video")
        let error = #expect(throws: PathError.self) { try path.sourceDescribed(Descriptions.description([Self.audio, Self.metadata])) }
        #expect(
            error
                == .refused(
                    "the source has none of the tracks that the path wants (tracks: video); it has 0 audio G.711 A-law, 1 application "
                        + "ONVIF metadata"))
        #expect(engine.names.isEmpty)
        // Nor does it harm a stream that is there.
        _ = try path.sourceDescribed(Descriptions.description([Self.video]))
        let observer = Observer(engine)
        path.addObserver(observer)
        #expect(throws: PathError.self) { try path.sourceDescribed(Descriptions.description([Self.audio])) }
        #expect(path.live != nil && observer.heard.isEmpty)
    }

    @Test func aChangeOfWhatIsLeftOutIsNone() throws {
        let path = try path("video")
        let observer = Observer(engine)
        path.addObserver(observer)
        _ = try path.sourceDescribed(Descriptions.description([Self.video, Self.audio]))
        let next = try path.sourceDescribed(Descriptions.description([Self.opus, Self.video]))
        #expect(observer.heard.isEmpty && next.map == TrackMap([nil, 0]))
        #expect(planned() == [0])
    }

    @Test func aPublisherMayAnnounceAll() throws {
        let studio = try path("video", source: .publish)
        studio.start(source: nil)
        let publication = try studio.announce(Descriptions.description([Self.audio, Self.video]), from: "x")
        #expect(publication.description.tracks.map(\.control) == ["a", "v"])
        let local = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        for track in 0..<2 {
            let ports = try publication.setUpDatagrams(
                track: track, host: HostAddress(ipv4: 0x7F00_0001), clientPorts: (50_000, 50_001), listenHost: local)
            #expect(ports.rtp > 0, "a SETUP that is refused would make encoders give up")
        }
        try publication.record(interleavedDescriptor: nil, prefix: [], onText: { $0.count })
        let channels = engine.commands.compactMap { command -> UInt8? in
            if case .addDatagramSource(_, _, _, let channel, _, _) = command { channel } else { nil }
        }
        #expect(channels == [0, 1], "only video is taken, as the stream's track 0")
        publication.end(reason: "x")
        port.drainReports()
    }

    @Test func anInterleavedPublisherIsMapped() throws {
        let studio = try path("video", source: .publish)
        studio.start(source: nil)
        let publication = try studio.announce(Descriptions.description([Self.audio, Self.video]), from: "x")
        try publication.setUpInterleaved(track: 0, channels: (0, 1))
        try publication.setUpInterleaved(track: 1, channels: (2, 3))
        let descriptor = try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: "127.0.0.1", port: 0))
        try publication.record(interleavedDescriptor: descriptor, prefix: [], onText: { $0.count })
        guard case .addInterleavedSource(_, _, _, let map, _)? = engine.commands.last else { Issue.record("no source"); return }
        #expect((0..<4).map { map[$0] } == [2, 3, nil, nil])
        publication.end(reason: "x")
        port.drainReports()
    }

    // MARK: Changes

    @Test(arguments: [
        // Another audio codec: the video track goes on, the other one gets a new slot and name.
        ([video, audio], [video, opus], "trackID=0 trackID=2", [1, 2], [[0]]),
        ([video], [video, audio], "trackID=0 trackID=1", [1], [[0]]),
        ([video, audio], [video], "trackID=0", [1], [[0]]),
        ([video, audio], [audio, video], "trackID=1 trackID=0", [], [[0], [1], [0, 1]]),
        ([video, audio], [video + "\r\na=fmtp:96 sprop-parameter-sets=AA==", audio], "trackID=0 trackID=1", [], [[0], [1], [0, 1]]),
        ([audio, opus, video], [metadata, video], "trackID=3 trackID=2", [0, 1, 3], [[2]]),
    ])
    func readersOfUnchangedTracksStay(before: [String], after: [String], controls: String, replanned: [Int], stay: [[Int]]) throws {
        let path = try path()
        let observer = Observer(engine)
        path.addObserver(observer)
        let first = try path.sourceDescribed(Descriptions.description(before))
        engine.forget()
        let second = try path.sourceDescribed(Descriptions.description(after))
        #expect(second.stream == first.stream && second.version == 2)
        #expect(observer.heard == [controls])
        #expect(observer.commands == [0], "readers are told before their tracks are planned anew")
        #expect(planned().sorted() == replanned)
        #expect(second.sdp.media.map(\.control) == second.tracks.map(\.control))
        #expect(second.sdp.origin?.contains(" 2 IN IP4") == true, "a new version of the same session")
        #expect((0..<after.count).map { second.map[$0] } == second.tracks.map(\.number))
        // Every set of tracks that a reader of the first description may have.
        for bits in 1..<(1 << before.count) {
            let tracks = (0..<before.count).filter { bits >> $0 & 1 == 1 }
            #expect(first.keeps(tracks, in: second) == stay.contains(tracks), "\(tracks)")
        }
    }

    @Test func whenAllHasChangedItIsAnotherStream() throws {
        let path = try path()
        let observer = Observer(engine)
        path.addObserver(observer)
        let first = try path.sourceDescribed(Descriptions.description([Self.video]))
        let second = try path.sourceDescribed(Descriptions.description([Self.audio]))
        #expect(second.stream != first.stream && second.tracks.map(\.control) == ["trackID=0"])
        #expect(observer.heard == ["ended: the source came back with other tracks"])
        port.drainReports()
    }

    @Test func goodbyeIsCountedOfTheTracksThatThereAre() throws {
        var goodbyes = 0
        let live = try LiveStream(
            sdp: Descriptions.description([Self.video, Self.audio]), settings: PathSettings(name: "cam", source: .publish), port: port,
            onGoodbye: { goodbyes += 1 })
        #expect(try live.adopt(Descriptions.description([Self.video])) == .changed)
        live.planTracks()
        engine.report(.sourceBye(live.handle, track: 1))
        port.drainReports()
        #expect(goodbyes == 0, "a track that is silent says nothing")
        engine.report(.sourceBye(live.handle, track: 0))
        port.drainReports()
        #expect(goodbyes == 1)
    }
}
