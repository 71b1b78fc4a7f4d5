import Glibc
import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// A source that does what the test says.
private final class Feeder: PathSource {
    var wanted: [SourceLevel] = []
    var words: String { "scripted" }
    func want(_ level: SourceLevel) { if wanted.last != level { wanted.append(level) } }
    func saidGoodbye() {}
    func stop(_ done: @escaping () -> Void) { done() }
}

@Suite struct TransformedSourceTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let port: EnginePort
    private let feeder = Feeder()
    private let log = HeardLog()

    init() { port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    /// A path with a program for its video, or other tracks, and what stands between.
    private func path(
        _ exec: String, of tracks: String = "video", gives: String? = "H264/90000", startMilliseconds: Int = 200
    ) throws -> (Path, TransformedSource) {
        var rule = try TransformRule(name: tracks)
        rule.command = try ProgramCommand(line: exec)
        rule.gives = try gives.map { text throws(ValueProblem) in try GivenMedia(text) }
        rule.startMilliseconds = startMilliseconds
        var settings = PathSettings(name: "cam", source: .file("x.rtpdump"))
        settings.transforms = [rule]
        settings.lingerMilliseconds = 100
        settings.sourceWaitMilliseconds = 2_000
        let path = Path(settings: settings, port: port, mediaPorts: MediaPorts(range: nil), logger: log.logger())
        let stage = TransformedSource(settings: settings, port: port, mediaPorts: path.mediaPorts, host: path, logger: path.logger)
        stage.source = feeder
        path.stage = stage
        path.start(source: stage)
        return (path, stage)
    }

    private func source() throws -> SessionDescription {
        try Descriptions.description([
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=control:a", "m=audio 0 RTP/AVP 8\r\na=control:b",
        ])
    }

    /// Lets time and the child pass until something holds, at most ten seconds of both.
    private func wait(_ condition: () -> Bool) -> Bool {
        for _ in 0..<500 {
            loop.advanceTime(by: .milliseconds(20))
            port.drainReports()
            if condition() { return true }
            usleep(20_000)
        }
        return false
    }

    private func end(_ path: Path) {
        var isDone = false
        path.stop { isDone = true }
        #expect(wait { isDone })
        #expect(engine.names.count { $0 == "addStream" } == engine.names.count { $0 == "removeStream" })
        #expect(port.use.streams == 0 && port.use.sources == 0 && port.use.egresses == 0)
    }

    @Test func readersAreToldWhatComesOutAndTheSourceFeedsWhatItSaid() throws {
        let (path, stage) = try path("sleep 60")
        var described: StreamDescription?
        path.describe().assumeIsolated().whenSuccess { described = $0 }
        let fed = try stage.sourceDescribed(source())
        loop.run()
        #expect(fed.tracks.map(\.codec) == [.h265, .pcma])
        #expect(described?.tracks.map(\.codec) == [.h264, .pcma])
        #expect(described?.sdp.media[0].formats == ["96"] && described?.stream != fed.stream)
        // What passes does so within the process; nothing runs as nobody plays.
        #expect(engine.names.contains("addInterleavedSource") && engine.names.contains("addInterleavedSubscriber"))
        #expect(stage.transforms.map(\.track) == [0] && stage.transforms[0].starts == 0)
        #expect(feeder.wanted == [.idle, .described])
        end(path)
    }

    @Test func setsThatAreDescribedAnewGoBeforeTheKeyFramesThatAreServed() throws {
        let (path, stage) = try path("sleep 60", of: "h265")
        func described(_ sets: String) throws -> SessionDescription {
            try Descriptions.description([
                "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=control:a",
                "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=control:b\r\na=fmtp:97 sprop-parameter-sets=\(sets)",
            ])
        }
        func served() -> [StreamHandle] {
            engine.commands.compactMap { if case .setPreface(let stream, 1, _) = $0 { stream } else { nil } }
        }
        _ = try stage.sourceDescribed(described("Z2QAH6w=,aOvj"))
        let stream = path.live?.description.stream
        _ = try stage.sourceDescribed(described("Z2QAH6w=,aOvj"))
        #expect(served().isEmpty)
        _ = try stage.sourceDescribed(described("Z0IAKQk=,aM4x"))
        #expect(served() == [stream] && path.live?.description.stream == stream)
        #expect(!engine.names.contains("beginEpoch"))
        end(path)
    }

    @Test func aMissingProgramIsSaidAndTriedAgain() throws {
        let (path, stage) = try path("no-such-program")
        path.readerArrived()
        _ = path.play()
        _ = try stage.sourceDescribed(source())
        loop.run()
        #expect(path.lastTrouble?.contains("cannot start `no-such-program`") == true, "\(path.lastTrouble ?? "")")
        // What passes is served all the same once the source plays; that the path plays is not said.
        #expect(feeder.wanted.last == .playing)
        stage.sourcePlays()
        #expect(!path.isPlaying)
        #expect(stage.transforms[0].overview(now: loop.now).state == .failed)
        #expect(wait { stage.transforms[0].starts == 2 })
        end(path)
    }

    @Test func aProgramThatDoesNotListenIsKilledAndTheSourceWaitsSoLong() throws {
        let (path, stage) = try path("sh -c 'echo here I am; sleep 60'", startMilliseconds: 2_000)
        path.readerArrived()
        _ = path.play()
        _ = try stage.sourceDescribed(source())
        loop.run()
        #expect(feeder.wanted.last == .described)
        let process = try #require(stage.transforms[0].process)
        #expect(wait { stage.transforms[0].failures == 1 })
        let words = stage.transforms[0].lastError?.words ?? ""
        #expect(words.contains("it does not listen at 127.0.0.1:") && words.hasSuffix("it said last: here I am"), "\(words)")
        #expect(feeder.wanted.last == .playing)
        #expect(kill(process, 0) != 0)
        #expect(log.lines(from: .info).contains { $0.contains("transform says") && $0.contains("here I am") })
        end(path)
    }

    @Test func aSourceThatIsReleasedLeavesNothingBehind() throws {
        let (path, stage) = try path("sleep 60", startMilliseconds: 60_000)
        path.readerArrived()
        _ = path.play()
        _ = try stage.sourceDescribed(source())
        loop.run()
        let process = try #require(stage.transforms[0].process)
        path.readerLeft()
        #expect(wait { feeder.wanted.last == .idle })
        stage.sourceReleased()
        #expect(stage.transforms.isEmpty && path.live == nil)
        #expect(wait { kill(process, 0) != 0 })
        end(path)
    }

    @Test func aRuleThatFitsNothingLetsEverythingPass() throws {
        let (path, stage) = try path("sleep 60")
        let described = try stage.sourceDescribed(Descriptions.description(["m=audio 0 RTP/AVP 8\r\na=control:b"]))
        #expect(stage.transforms.isEmpty && described.tracks.count == 1)
        #expect(path.live?.description.tracks.map(\.codec) == [.pcma])
        #expect(log.lines().contains { $0.contains("a transform fits no track") })
        stage.sourcePlays()
        #expect(path.isPlaying)
        end(path)
    }
}
