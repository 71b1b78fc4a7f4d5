import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// A hundred lives of three sources that come and go: what must always hold.
@Suite struct FailoverSimulationTests {
    /// A source that behaves as a server may: it describes itself, fails and lets go when the seed says so.
    private final class MoodyLeg: PathSource {
        weak var host: (any PathSourceHost)?
        var level = SourceLevel.idle
        var isDescribedNow = false
        var plays = false
        var isReleasing = false
        /// Its packets may still come.
        var isFallingSilent = false
        var words: String { "moody" }

        func want(_ level: SourceLevel) {
            self.level = level
            if level == .idle, plays { isFallingSilent = true }
            if level < .playing { plays = false }
            guard level == .idle else { return }
            // What was described answers TEARDOWN later.
            if isDescribedNow { isReleasing = true } else { host?.sourceReleased() }
        }
        func saidGoodbye() {}
        func stop(_ done: @escaping () -> Void) { done() }

        func step(_ chance: Int, isWell: Bool) throws {
            if isReleasing {
                isReleasing = false
                isFallingSilent = false
                isDescribedNow = false
                host?.sourceReleased()
            } else if level >= .described, !isDescribedNow, isWell {
                isDescribedNow = true
                _ = try host?.sourceDescribed(Descriptions.description())
            } else if level == .playing, isDescribedNow, !plays {
                plays = true
                host?.mediaBegins()
                host?.sourcePlays()
            } else if level > .idle, !isWell || chance == 0 {
                isDescribedNow = false
                plays = false
                host?.sourceFailed("moody")
            }
        }
    }

    @Test(arguments: 0..<100)
    func lives(seed: UInt64) throws {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func below(_ bound: UInt64) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % bound)
        }
        let loop = EmbeddedEventLoop(), engine = RecordingEngine()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let port = EnginePort(engine: engine, eventLoop: loop, logger: logger)
        var settings = PathSettings(name: "cam", source: .file("0"))
        settings.redundancy.backups = [.file("1"), .file("2")]
        settings.redundancy.standby = below(2) == 0 ? .warm : .cold
        settings.redundancy.failbackMilliseconds = 10_000
        let path = Path(settings: settings, port: port, mediaPorts: MediaPorts(range: nil), logger: logger)
        let legs = [MoodyLeg(), MoodyLeg(), MoodyLeg()]
        var next = 0
        let source = FailoverSource(
            [settings.source] + settings.redundancy.backups, settings: settings.redundancy, eventLoop: loop, host: path, logger: logger
        ) { _, host in
            defer { next += 1 }
            legs[next].host = host
            return legs[next]
        }
        path.start(source: source)
        path.readerArrived()
        _ = path.play()
        var well = [true, true, true]
        func look() {
            let feeding = source.legOverviews.indices.filter { source.legOverviews[$0].isFeeding }
            let playing = legs.indices.filter { legs[$0].level == .playing }
            #expect(feeding.count <= 1 && playing.count <= 1, "two at once")
            #expect(playing.allSatisfy { feeding == [$0] })
            // Nobody plays before the former has let go.
            #expect(playing.isEmpty || !legs.contains { $0.isFallingSilent })
        }
        for _ in 0..<400 {
            if below(20) == 0 { well[below(3)].toggle() }
            let leg = below(3)
            try legs[leg].step(below(40), isWell: well[leg])
            loop.advanceTime(by: .milliseconds(Int64(below(400))))
            look()
        }
        // All is well for long enough, whatever relapses there were: the primary plays.
        for _ in 0..<700 {
            for leg in legs { try leg.step(1, isWell: true) }
            loop.advanceTime(by: .seconds(2))
            look()
        }
        #expect(legs[0].plays)
        #expect(path.isPlaying)
        path.readerLeft()
        loop.advanceTime(by: .seconds(11))
        for leg in legs { try leg.step(1, isWell: true) }
        #expect(legs.allSatisfy { $0.level == .idle })
        #expect(path.live == nil)
        port.drainReports()
    }
}
