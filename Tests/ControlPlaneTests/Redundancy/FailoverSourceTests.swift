import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// A leg's source that does what the test says.
private final class ScriptedLeg: PathSource {
    weak var host: (any PathSourceHost)?
    var level = SourceLevel.idle
    /// Lets go only when the test says so, as a server that does not answer TEARDOWN.
    var isSlow = false
    var words: String { "scripted" }

    func want(_ level: SourceLevel) {
        let before = self.level
        self.level = level
        if level == .idle, !isSlow || before == .idle { host?.sourceReleased() }
    }
    func saidGoodbye() {}
    func stop(_ done: @escaping () -> Void) { done() }
}

@Suite struct FailoverSourceTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let heard = HeardLog()
    private let port: EnginePort
    private let path: Path
    private let legs: [ScriptedLeg]
    private let source: FailoverSource

    init() throws {
        port = EnginePort(engine: engine, eventLoop: loop, logger: heard.logger())
        var settings = PathSettings(name: "cam", source: .file("a.rtpdump"))
        settings.redundancy.backups = [.file("b.rtpdump"), .file("c.rtpdump")]
        settings.redundancy.failbackMilliseconds = 20
        path = Path(settings: settings, port: port, mediaPorts: MediaPorts(range: nil), logger: heard.logger())
        let scripted = [ScriptedLeg(), ScriptedLeg(), ScriptedLeg()]
        legs = scripted
        var next = 0
        source = FailoverSource(
            [settings.source] + settings.redundancy.backups, settings: settings.redundancy, eventLoop: loop, host: path,
            logger: heard.logger()
        ) { _, host in
            defer { next += 1 }
            scripted[next].host = host
            return scripted[next]
        }
        path.start(source: source)
    }

    private var levels: [SourceLevel] { legs.map(\.level) }
    private var feeding: [Bool] { source.legOverviews.map(\.isFeeding) }
    private var epochs: Int { engine.names.filter { $0 == "beginEpoch" }.count }

    private func describe(_ leg: Int, _ media: [String]? = nil) throws {
        _ = try legs[leg].host?.sourceDescribed(media.map { try Descriptions.description($0) } ?? Descriptions.description())
    }

    private func plays(_ leg: Int) {
        legs[leg].host?.mediaBegins()
        legs[leg].host?.sourcePlays()
    }

    /// A reader plays, and the primary does.
    private func begin() throws {
        path.readerArrived()
        _ = path.play()
        try describe(0)
        plays(0)
        #expect(path.isPlaying)
    }

    @Test func onlyThePrimaryIsDialledWhileItPlays() throws {
        path.readerArrived()
        _ = path.play()
        #expect(levels == [.described, .idle, .idle])
        try describe(0)
        #expect(levels == [.playing, .idle, .idle])
        #expect(feeding == [true, false, false])
        plays(0)
        #expect(path.isPlaying)
        #expect(epochs == 0)
    }

    @Test func theNextTakesOverAndReadersStay() throws {
        try begin()
        let stream = path.live?.handle
        legs[0].host?.sourceFailed("no media for 10 s")
        // All are asked; the failed one goes on trying by itself.
        #expect(levels == [.described, .described, .described])
        #expect(!path.isPlaying)
        #expect(path.lastTrouble == "primary (a.rtpdump): no media for 10 s")
        try describe(1)
        #expect(levels == [.described, .playing, .idle])
        plays(1)
        #expect(path.isPlaying)
        #expect(epochs == 1)
        #expect(path.live?.handle == stream)
        #expect(heard.lines(from: .notice).contains { $0.contains("failing over") && $0.contains("b.rtpdump") })
    }

    @Test func goesBackAndLetsTheFormerGoFirst() throws {
        try begin()
        legs[0].host?.sourceFailed("gone")
        try describe(1)
        plays(1)
        legs[1].isSlow = true
        try describe(0)
        #expect(levels == [.described, .playing, .idle])
        wait(milliseconds: 40)
        // Not both at once: the packets of one must not come between the other's.
        #expect(levels == [.described, .idle, .idle])
        #expect(feeding == [false, false, false])
        legs[1].host?.sourceReleased()
        #expect(levels == [.playing, .idle, .idle])
        plays(0)
        #expect(epochs == 2)
        #expect(heard.lines(from: .notice).contains { $0.contains("going back") })
        #expect(source.legOverviews.map(\.timesTaken) == [2, 1, 0])
    }

    private func wait(milliseconds: Int64) { loop.advanceTime(by: .milliseconds(milliseconds)) }

    @Test func aBackupThatDoesNotFitIsRefusedInWords() throws {
        try begin()
        legs[0].host?.sourceFailed("gone")
        let words = "it does not fit the stream that is served: it has 1 tracks, and 2 are served (H.264, G.711 A-law)"
        #expect(throws: PathError.refused(words)) {
            try describe(1, ["m=audio 0 RTP/AVP 8\r\na=control:b"])
        }
        legs[1].host?.sourceFailed("it does not fit")
        #expect(path.live != nil)
        try describe(2)
        #expect(feeding == [false, false, true])
    }

    @Test func aPrimaryThatReturnsAsSomethingElseIsRefusedWhileABackupPlays() throws {
        try begin()
        legs[0].host?.sourceFailed("gone")
        try describe(1)
        plays(1)
        let stream = path.live?.handle
        #expect(throws: PathError.self) { try describe(0, ["m=audio 0 RTP/AVP 8\r\na=control:b"]) }
        #expect(path.live?.handle == stream)
        #expect(path.isPlaying)
    }

    @Test func whoeverIsDescribedFirstSaysWhatThePathIs() throws {
        path.readerArrived()
        _ = path.play()
        legs[0].host?.sourceFailed("no connection: Connection refused")
        #expect(levels == [.described, .described, .described])
        try describe(2)
        #expect(feeding == [false, false, true])
        #expect(levels == [.described, .described, .playing])
        plays(2)
        try describe(1)
        wait(milliseconds: 40)
        #expect(feeding == [false, true, false])
    }

    @Test func lettingGoLetsAllGoAndBeginsWithThePrimaryAgain() throws {
        try begin()
        legs[0].host?.sourceFailed("gone")
        try describe(1)
        plays(1)
        path.readerLeft()
        loop.advanceTime(by: .seconds(11))
        #expect(levels == [.idle, .idle, .idle])
        #expect(path.live == nil)
        port.drainReports()
        path.readerArrived()
        #expect(levels == [.described, .idle, .idle])
    }

    @Test func aRefusalIsThePathsWhenAllRefuse() throws {
        var heard: (any Error)?
        path.describe().assumeIsolated().whenFailure { heard = $0 }
        loop.run()
        func refuse(_ leg: Int, _ status: RTSPStatus) {
            legs[leg].host?.sourceRefused(status)
            legs[leg].host?.sourceFailed("DESCRIBE was answered with \(status)")
            loop.run()
        }
        refuse(0, .loopDetected)
        #expect(heard == nil, "a backup may have it")
        refuse(1, .notFound)
        legs[2].host?.sourceFailed("no connection: Connection refused")
        refuse(0, .loopDetected)
        #expect(heard == nil, "the last may come back")
        refuse(2, .notFound)
        #expect(heard as? PathError == .loop("backup 2 (c.rtpdump): DESCRIBE was answered with 404 Not Found"))
        // Nobody is left: what was refused is forgotten, and asked anew the next time.
        #expect(levels == [.idle, .idle, .idle])
        heard = nil
        path.describe().assumeIsolated().whenFailure { heard = $0 }
        loop.run()
        #expect(levels == [.described, .idle, .idle])
        refuse(0, .loopDetected)
        #expect(heard == nil)
        try describe(1)
        #expect(path.live != nil)
    }

    @Test func warmBackupsAreDescribedAndTakenWithOnePlay() throws {
        var settings = RedundancySettings()
        settings.standby = .warm
        let scripted = [ScriptedLeg(), ScriptedLeg()]
        var next = 0
        let source = FailoverSource(
            [.file("a"), .file("b")], settings: settings, eventLoop: loop, host: path, logger: heard.logger()
        ) { _, host in
            defer { next += 1 }
            scripted[next].host = host
            return scripted[next]
        }
        path.start(source: source)
        path.readerArrived()
        _ = path.play()
        #expect(scripted.map(\.level) == [.described, .idle])
        _ = try scripted[0].host?.sourceDescribed(Descriptions.description())
        #expect(scripted.map(\.level) == [.playing, .described])
        _ = try scripted[1].host?.sourceDescribed(Descriptions.description())
        scripted[0].host?.sourceFailed("gone")
        #expect(scripted.map(\.level) == [.described, .playing])
        // A backup that fails at rest is no trouble of the path.
        scripted[1].host?.mediaBegins()
        scripted[1].host?.sourcePlays()
        _ = try scripted[0].host?.sourceDescribed(Descriptions.description())
        scripted[0].host?.sourceFailed("the server closed the connection")
        #expect(path.lastTrouble == nil)
    }
}

@Suite struct RedundancySettingsTests {
    private func problems(_ yaml: String) -> [String] {
        do {
            _ = try Configuration.parse(yaml)
            return []
        } catch { return error.errors.map(\.description) }
    }

    @Test func readsBackups() throws {
        let configuration = try Configuration.parse(
            "paths:\n  cam:\n    source: rtsp://a/x\n    backups: [rtsp://b/x, 'my clip.rtpdump']\n    standby: warm\n    failback-after: never\n"
        )
        let settings = configuration.paths[0].redundancy
        #expect(settings.backups.map { "\($0)" } == ["rtsp://b/x", "my clip.rtpdump"])
        #expect(settings.standby == .warm)
        #expect(settings.failbackMilliseconds == nil)
        let one = try Configuration.parse("paths:\n  cam:\n    source: rtsp://a/x\n    backups: rtsp://b/x\n")
        #expect(one.paths[0].redundancy.backups.count == 1)
        let two = try Configuration.parse(
            "paths:\n  cam:\n    source: rtsp://a/x\n", environment: ["WEIR_PATHS_CAM_BACKUPS": "rtsp://b/x rtsp://c/x"])
        #expect(two.paths[0].redundancy.backups.count == 2)
    }

    @Test(arguments: [
        ("source: publish\n    backups: [rtsp://b/x]", 4, "waits for a publisher"),
        ("source: rtsp://a/x\n    backups: [publish]", 4, "cannot be a backup"),
        ("source: rtsp://a/x\n    backups: [rtsp://a/x]", 4, "twice"),
        ("source: rtsp://a/x\n    backups: [rtsp://b/x, rtsp://c/x, rtsp://d/x, rtsp://e/x]", 4, "at most 3"),
        ("source: rtsp://a/x\n    standby: warm", 4, "the path has none"),
        ("source: rtsp://a/x\n    failback-after: 5s", 4, "the path has none"),
        ("source: rtsp://a/x\n    backups: [rtsp://b/x]\n    standby: hot", 5, "hot"),
        ("source: rtsp://a/x\n    backups: [ftp://secret:word@b/x]", 4, "ftp"),
    ])
    func saysWhatIsWrong(settings: String, line: Int, words: String) {
        let found = problems("paths:\n  cam:\n    \(settings)\n")
        #expect(found.count == 1)
        #expect(found.allSatisfy { $0.contains(words) && $0.contains("weir.yml:\(line)") && !$0.contains("word@") }, "\(found)")
    }
}
