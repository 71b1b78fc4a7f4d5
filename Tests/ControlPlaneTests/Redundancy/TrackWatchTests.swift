import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct TrackWatchTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let port: EnginePort
    private let path: Path

    init() {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        port = EnginePort(engine: engine, eventLoop: loop, logger: logger)
        path = Path(settings: PathSettings(name: "cam", source: .publish), port: port, mediaPorts: MediaPorts(range: nil), logger: logger)
    }

    private func run(limit: Int?, silentTrack: Int, begins: Bool = true) throws -> [Int] {
        let description = try path.sourceDescribed(Descriptions.description())
        let watch = MediaWatch(port, silenceMilliseconds: 60_000, firstMilliseconds: nil, trackSilenceMilliseconds: limit)
        var silent: [Int] = []
        watch.start(description) { event in if case .trackSilent(let track, _, _) = event { silent.append(track) } }
        let counters = description.counters
        for round in 0..<5 {
            for track in 0...1 where track != silentTrack || (round == 0 && begins) { counters.add(track, .packets) }
            counters.set(.lastArrivalNanoseconds, loop.now.uptimeNanoseconds)
            loop.advanceTime(by: .milliseconds(Int64(Pulse.milliseconds)))
        }
        watch.stop()
        path.endStream("the test is over")
        port.drainReports()
        return silent
    }

    @Test func videoThatFallsSilentWhileAudioGoesOnIsNoticed() throws { #expect(try run(limit: 1_500, silentTrack: 0) == [0]) }

    @Test func audioMayBeSilent() throws { #expect(try run(limit: 1_500, silentTrack: 1) == []) }

    @Test func itCanBeTurnedOff() throws { #expect(try run(limit: nil, silentTrack: 0) == []) }

    @Test func videoThatHasNotBegunHasMoreTime() throws { #expect(try run(limit: 1_500, silentTrack: 0, begins: false) == []) }
}
