import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

private final class ScriptedLeg: PathSource {
    weak var host: (any PathSourceHost)?
    var level = SourceLevel.idle
    var words: String { "scripted" }

    func want(_ level: SourceLevel) {
        self.level = level
        if level == .idle { host?.sourceReleased() }
    }
    func saidGoodbye() {}
    func stop(_ done: @escaping () -> Void) { done() }
}

@Suite struct MergeSourceTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let heard = HeardLog()
    private let port: EnginePort
    private let path: Path
    private let legs: [ScriptedLeg]
    private let source: MergeSource

    init() throws {
        port = EnginePort(engine: engine, eventLoop: loop, logger: heard.logger())
        var settings = PathSettings(name: "cam", source: .file("a.rtpdump"))
        settings.redundancy.backups = [.file("b.rtpdump")]
        settings.redundancy.merges = true
        path = Path(settings: settings, port: port, mediaPorts: MediaPorts(range: nil), logger: heard.logger())
        let scripted = [ScriptedLeg(), ScriptedLeg()]
        legs = scripted
        var next = 0
        source = MergeSource([.file("a.rtpdump"), .file("b.rtpdump")], port: port, host: path, logger: heard.logger()) { _, host in
            defer { next += 1 }
            scripted[next].host = host
            return scripted[next]
        }
        path.start(source: source)
    }

    private func describe(_ leg: Int, _ media: [String]? = nil) throws -> StreamDescription? {
        try legs[leg].host?.sourceDescribed(media.map { try Descriptions.description($0) } ?? Descriptions.description())
    }

    private func plays(_ leg: Int) {
        legs[leg].host?.mediaBegins()
        legs[leg].host?.sourcePlays()
    }

    private func begin() throws {
        path.readerArrived()
        _ = path.play()
        for leg in 0...1 { _ = try describe(leg) }
        for leg in 0...1 { plays(leg) }
    }

    @Test func allPlayAtOnceAsLegsOfOneStream() throws {
        path.readerArrived()
        _ = path.play()
        #expect(legs.map(\.level) == [.playing, .playing])
        let first = try describe(0), second = try describe(1)
        #expect(first?.stream == second?.stream)
        #expect([first?.leg, second?.leg] == [0, 1])
        #expect(engine.names.filter { $0 == "addStream" }.count == 1)
        guard case .setReorder(_, let plan)? = engine.commands.first(where: { if case .setReorder = $0 { true } else { false } }) else {
            Issue.record("the engine was not told")
            return
        }
        #expect(plan == ReorderPlan(legs: 2, waitNanosecondsMax: 50_000_000))
        plays(0)
        plays(1)
        #expect(!engine.names.contains("beginEpoch"))
        #expect(path.isPlaying)
    }

    @Test func aLegThatFailsAndReturnsIsNoEpoch() throws {
        try begin()
        legs[0].host?.sourceFailed("no media for 10 s")
        #expect(path.isPlaying)
        #expect(path.lastTrouble == nil)
        #expect(source.legOverviews.map(\.isFeeding) == [false, true])
        _ = try describe(0)
        plays(0)
        legs[1].host?.sourceFailed("gone")
        #expect(path.isPlaying)
        #expect(!engine.names.contains("beginEpoch"))
        legs[0].host?.sourceFailed("gone, too")
        #expect(!path.isPlaying)
        #expect(path.lastTrouble == "primary (a.rtpdump): gone, too")
        _ = try describe(1)
        plays(1)
        #expect(engine.names.filter { $0 == "beginEpoch" }.count == 1)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        path.readerArrived()
        _ = path.play()
        _ = try describe(0)
        plays(0)
        #expect(throws: PathError.self) { _ = try describe(1, ["m=audio 0 RTP/AVP 8\r\na=control:b"]) }
        #expect(path.isPlaying)
    }

    @Test func aRefusalIsThePathsWhenAllRefuse() {
        var heard: (any Error)?
        path.describe().assumeIsolated().whenFailure { heard = $0 }
        loop.run()
        for leg in 0...1 {
            #expect(heard == nil)
            legs[leg].host?.sourceRefused(.loopDetected)
            legs[leg].host?.sourceFailed("508")
            loop.run()
        }
        #expect(heard as? PathError == .loop("backup 1 (b.rtpdump): 508"))
    }

    @Test func lettingGoLetsAllGo() throws {
        try begin()
        path.readerLeft()
        loop.advanceTime(by: .seconds(11))
        #expect(legs.map(\.level) == [.idle, .idle])
        #expect(path.live == nil)
        port.drainReports()
    }

    @Test func sourcesOfALegAreMarkedAsIts() throws {
        try begin()
        var description = try #require(path.live?.description)
        engine.forget()
        try port.adding(to: description) {}
        #expect(engine.names.isEmpty)
        description.leg = 1
        try port.adding(to: description) { _ = port.submit(.beginEpoch(description.stream)) }
        #expect(engine.names == ["useLeg", "beginEpoch", "useLeg"])
    }

    @Test func eachLegIsReportedToOfItsOwnPackets() throws {
        try begin()
        let counters = try #require(path.live?.counters)
        counters.set(0, .receivedInEpoch, 100)
        counters.set(0, .expected, 100)
        counters.set(leg: 1, 0, .expected, 100)
        counters.set(leg: 1, 0, .received, 75)
        counters.set(leg: 1, 0, .ssrc, 0xBEEF)
        var reporter = ReceiverReporter(track: 0, ssrc: 1, leg: 1)
        let made = reporter.block(counters, now: 0)
        let block = try #require(made)
        #expect(block.ssrc == 0xBEEF && block.lostTotal == 25 && block.fractionLost == 64)
        let description = try #require(path.live?.description)
        #expect(MergeOverview(1, description).lost == 25)
    }

    @Test func aLegOfAnotherStreamIsSaidOnce() throws {
        try begin()
        let counters = try #require(path.live?.counters)
        counters.add(leg: 1, 0, .foreign, 50)
        loop.advanceTime(by: .milliseconds(600))
        counters.add(leg: 1, 0, .foreign, 50)
        loop.advanceTime(by: .milliseconds(600))
        #expect(heard.lines().filter { $0.contains("left out") }.count == 1)
        #expect(source.legOverviews[1].words.contains("left out"))
        counters.add(leg: 1, 0, .duplicates, 50)
        loop.advanceTime(by: .milliseconds(600))
        #expect(source.legOverviews[1].isFeeding)
    }
}

@Suite struct MergeSettingsTests {
    @Test(arguments: [
        ("merge: true\n    backups: [rtsp://b/x]", ReorderPlan(legs: 2, waitNanosecondsMax: 50_000_000)),
        ("merge: true\n    merge-delay: 10ms\n    backups: [rtsp://b/x, rtsp://c/x]", ReorderPlan(legs: 3, waitNanosecondsMax: 10_000_000)),
        ("jitter-buffer: 100ms", ReorderPlan(legs: 1, waitNanosecondsMax: 100_000_000)),
        ("jitter-buffer: off", nil), ("backups: [rtsp://b/x]", nil), ("linger: 1s", nil),
    ])
    func becomeAPlan(settings: String, plan: ReorderPlan?) throws {
        let configuration = try Configuration.parse("paths:\n  cam:\n    source: rtsp://a/x\n    \(settings)\n")
        #expect(configuration.paths[0].redundancy.reorderPlan == plan)
    }

    @Test(arguments: [
        ("merge: true", 4, "the path has none"), ("merge-delay: 10ms", 4, "the path has none"),
        ("backups: [rtsp://b/x]\n    merge-delay: 10ms", 5, "merge: true"),
        ("backups: [rtsp://b/x]\n    merge: true\n    standby: warm", 6, "play at once"),
        ("jitter-buffer: 5s", 4, "largest"), ("jitter-buffer: soon", 4, "duration"), ("merge: maybe", 4, "neither true nor false"),
    ])
    func sayWhatIsWrong(settings: String, line: Int, words: String) {
        var found: [String] = []
        do { _ = try Configuration.parse("paths:\n  cam:\n    source: rtsp://a/x\n    \(settings)\n") } catch {
            found = error.errors.map(\.description)
        }
        #expect(found.count == 1)
        #expect(found.allSatisfy { $0.contains(words) && $0.contains("weir.yml:\(line)") }, "\(found)")
    }
}
