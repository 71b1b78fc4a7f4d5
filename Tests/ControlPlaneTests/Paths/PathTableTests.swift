import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// A source that takes its time to let go.
private final class SlowSource: PathSource {
    let words = "slow"
    var wanted: [SourceLevel] = []
    private var done: (() -> Void)?
    func want(_ level: SourceLevel) { wanted.append(level) }
    func saidGoodbye() {}
    func stop(_ done: @escaping () -> Void) { self.done = done }
    func letGo() { done?() }
}

private final class Listener: PathTableObserver {
    var heard: [String] = []
    func pathAdded(_ path: Path) { heard.append("+\(path.name)") }
    func pathRemoved(_ path: Path) { heard.append("-\(path.name)") }
}

@Suite struct PathTableTests {
    private let loop = EmbeddedEventLoop()
    private let port: EnginePort
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() { port = EnginePort(engine: RecordingEngine(), eventLoop: loop, logger: logger) }

    private func table(_ names: [String] = ["cam"], max: Int = 3) -> PathTable {
        let make = { [port, logger] (settings: PathSettings, origin: PathOrigin) in
            Path(settings: settings, origin: origin, port: port, mediaPorts: MediaPorts(range: nil), logger: logger)
        }
        return PathTable(
            names.map { make(PathSettings(name: $0, source: .publish), .configuration) }, runTimePathsMax: max, make: make)
    }

    private func settings(_ name: String) -> PathSettings { PathSettings(name: name, source: .publish) }

    @Test(arguments: [("cam", true), ("/cam", true), ("cam/", true), ("/cam/", true), ("cam/x", false), ("", false), ("CAM", false)])
    func findsByName(name: String, isFound: Bool) { #expect((table().path(named: name) != nil) == isFound) }

    @Test func addsAndRemovesWhileItRuns() throws {
        let table = table()
        let listener = Listener()
        table.addObserver(listener)
        let path = try table.add(settings("/new/"), origin: .registered("10.0.0.1"))
        #expect(table.path(named: "new") === path && table.all.map(\.name) == ["cam", "new"])
        #expect(table.runTimePaths == 1 && path.origin.description == "registered by 10.0.0.1")
        #expect(throws: PathTableError.nameTaken("new")) { try table.add(settings("new"), origin: .registered("10.0.0.2")) }
        #expect(throws: PathTableError.nameTaken("cam")) { try table.add(settings("cam"), origin: .registered("10.0.0.2")) }
        var isDone = false
        #expect(table.remove("/new", reason: "the camera said so") { isDone = true })
        #expect(isDone && table.path(named: "new") == nil && table.all.map(\.name) == ["cam"] && table.runTimePaths == 0)
        #expect(!table.remove("new", reason: "again"))
        #expect(listener.heard == ["+new", "-new"] && table.added == 1 && table.removed == 1)
    }

    @Test func boundsWhatIsAddedAndSaysSo() throws {
        let table = table(max: 2)
        for name in ["a", "b"] { try table.add(settings(name), origin: .expression("~x")) }
        let refusal = #expect(throws: PathTableError.self) { try table.add(settings("c"), origin: .expression("~x")) }
        #expect(refusal?.description.contains("limits: run-time-paths") == true && table.refused == 1)
        table.remove("a", reason: "idle")
        try table.add(settings("c"), origin: .expression("~x"))
        #expect(table.runTimePaths == 2 && table.all.map(\.name) == ["b", "c", "cam"])
    }

    @Test(arguments: ["", "a b", "x/../y", "a?b", "~^x", "trackID=0"])
    func refusesNamesThatNoPathCanHave(name: String) {
        let table = table()
        #expect(throws: PathTableError.self) { try table.add(settings(name), origin: .registered("x")) }
        #expect(table.runTimePaths == 0 && table.added == 0)
    }

    @Test func whoWaitsForARemovedPathHearsWhy() throws {
        let table = table()
        let source = SlowSource()
        let path = try table.add(settings("new"), origin: .registered("x")) { _ in source }
        var heard: (any Error)?
        path.describe().assumeIsolated().whenFailure { heard = $0 }
        #expect(source.wanted.last == .described)
        table.remove("new", reason: "DEREGISTER")
        loop.run()
        #expect(heard as? PathError == .removed("new", "DEREGISTER"))
        path.describe().assumeIsolated().whenFailure { heard = $0 }
        loop.run()
        #expect("\(try #require(heard))" == "/new is not served any more: DEREGISTER")
        #expect(throws: PathError.self) { try path.announce(Descriptions.description(), from: "x") }
    }

    @Test func theSameNameMayComeBackBeforeTheOldSourceLetGo() throws {
        let table = table()
        let sources = [SlowSource(), SlowSource()]
        let first = try table.add(settings("new"), origin: .registered("x")) { _ in sources[0] }
        first.sourceDropped(5)
        table.remove("new", reason: "x")
        let second = try table.add(settings("new"), origin: .registered("x")) { _ in sources[1] }
        #expect(table.path(named: "new") === second && second !== first)
        sources[0].letGo()
        #expect(table.path(named: "new") === second)
        #expect(table.datagramsDropped == 5, "what is counted since the start does not shrink")
    }

    @Test func anEndWaitsForThoseThatAreLeaving() throws {
        let table = table()
        let sources = [SlowSource(), SlowSource()]
        try table.add(settings("one"), origin: .registered("x")) { _ in sources[0] }
        try table.add(settings("two"), origin: .registered("x")) { _ in sources[1] }
        table.remove("one", reason: "x")
        var isDone = false
        table.stop { isDone = true }
        sources[1].letGo()
        #expect(!isDone)
        sources[0].letGo()
        #expect(isDone)
        #expect(throws: PathTableError.closed) { try table.add(settings("three"), origin: .registered("x")) }
    }
}
