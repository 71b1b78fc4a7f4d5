import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Signalling
import WireFormats

@testable import ControlPlane

/// A path with a pulled source whose server has a mood of its own, readers that come and go, and an engine that remembers what it was
/// told: minutes of it in no time, and the same again for the same seed.
final class FaultSimulation: PathObserver {
    let loop = EmbeddedEventLoop()
    let engine = RecordingEngine()
    let port: EnginePort
    let path: Path
    let origin: FaultyOrigin
    private var random: SplitMix64
    private var readers = 0
    /// What ended, in words; and what must never happen, with the time.
    private(set) var streamsEnded: [String] = []
    private(set) var troubles: [String] = []
    private var commandsSeen = 0
    private var attached: Set<SourceHandle> = []
    private var fedBefore: Set<StreamHandle> = []
    private var epochs: Set<StreamHandle> = []
    private var spokenFor: Set<SourceHandle> = []
    private var moodSince = NIODeadline.uptimeNanoseconds(0)
    private var goodbyeSaid = false
    private var failuresSeen = 0

    /// One turn.
    static let stepMilliseconds: Int64 = 50
    /// The pull waits at most 30 s after a failure, dials, and is answered in pieces.
    static let recoverySeconds: Int64 = 50

    init(seed: UInt64) throws {
        random = SplitMix64(state: seed)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let port = EnginePort(engine: engine, eventLoop: loop, logger: logger)
        self.port = port
        let url = try SourceURL("rtsp://origin.example/live")
        var settings = PathSettings(name: "cam", source: .pull(url))
        settings.transport = .udp
        settings.silenceMilliseconds = 4_000
        settings.lingerMilliseconds = 5_000
        settings.dial = [.onDemand, .warm, .always][Int(random.next() % 3)]
        let mediaPorts = MediaPorts(range: nil)
        let origin = FaultyOrigin(loop: loop, seed: random.next())
        self.origin = origin
        path = Path(settings: settings, port: port, mediaPorts: mediaPorts, logger: logger)
        var chance = SplitMix64(state: random.next())
        path.addObserver(self)
        let dialler = SourceDialler(
            connect: { [weak self] _, _, _, prepare in
                self?.dialled()
                return origin.connect(prepare)
            }, chance: { Double.random(in: 0..<1, using: &chance) })
        path.start(
            source: RTSPPull(
                url: url, settings: settings, port: port, mediaPorts: mediaPorts, host: path, dialler: dialler, logger: logger))
    }

    func streamEnded(_ reason: String) { streamsEnded.append(reason) }
    func descriptionChanged(_ description: StreamDescription) {}

    private func trouble(_ words: String) { troubles.append("at \(loop.now.uptimeNanoseconds / 1_000_000) ms, \(origin.mood): \(words)") }

    private func dialled() {
        if origin.isConnected { trouble("dialled though a connection stands") }
        // After a failure. One whom nobody wanted any more is dialled at once when somebody comes.
        if path.history.failures > failuresSeen, let last = origin.dials.last, loop.now - last < .milliseconds(400) {
            trouble("dialled again within 400 ms of a failure")
        }
        failuresSeen = path.history.failures
        if path.level == .idle { trouble("dialled though nobody wants anything") }
    }

    // MARK: Running

    /// So many seconds of changing moods.
    func run(seconds: Int64) throws {
        let end = loop.now + .seconds(seconds)
        while loop.now < end {
            let mood = Int.random(in: 0..<3, using: &random) == 0 ? .well : OriginMood.allCases.randomElement(using: &random) ?? .well
            change(to: mood)
            let length = TimeAmount.milliseconds(Int64.random(in: 200...25_000, using: &random))
            let until = loop.now + length
            while loop.now < until { try step() }
        }
    }

    /// The server is well again and somebody reads: after a while media flows.
    func recover() throws {
        change(to: .well)
        if readers == 0 { arrive() }
        let until = loop.now + .seconds(Self.recoverySeconds)
        while loop.now < until { try step(churn: false) }
        if !path.isPlaying { trouble("it does not play though the server is well") }
        if attached.count != 4 { trouble("\(attached.count) sources in the engine, 4 expected") }
        if !origin.sends { trouble("the server is not asked for media") }
        if let words = path.lastTrouble { trouble("it still complains: \(words)") }
    }

    private func change(to mood: OriginMood) {
        origin.become(mood)
        moodSince = loop.now
        goodbyeSaid = false
    }

    private func step(churn: Bool = true) throws {
        loop.advanceTime(by: .milliseconds(Self.stepMilliseconds))
        try origin.turn()
        loop.run()
        look()
        media()
        port.drainReports()
        if churn, Int.random(in: 0..<200, using: &random) == 0 {
            if readers > 0, Bool.random(using: &random) { leave() } else { arrive() }
        }
        if let words = path.lastTrouble, words.isEmpty || words.contains("\n") { trouble("the last error says `\(words)`") }
        if path.nextTry.map({ $0 - loop.now > .seconds(31) }) ?? false { trouble("the next try is more than 31 s away") }
    }

    private func arrive() {
        readers += 1
        path.readerArrived()
        path.play().assumeIsolated().whenComplete { _ in }
    }

    private func leave() {
        readers -= 1
        path.readerLeft()
    }

    /// Follows what the engine was told.
    private func look() {
        let commands = engine.commands
        for command in commands[commandsSeen...] {
            switch command {
            case .beginEpoch(let stream): epochs.insert(stream)
            case .addDatagramSource(let source, let stream, _, let channel, _, _):
                if channel == 0 {
                    if !attached.isEmpty { trouble("new sources while \(attached.count) old ones are there") }
                    if fedBefore.contains(stream), !epochs.contains(stream) { trouble("media came back without a new epoch") }
                    fedBefore.insert(stream)
                    epochs.remove(stream)
                }
                attached.insert(source)
            case .removeSource(let source):
                attached.remove(source)
                spokenFor.remove(source)
            default: break
            }
        }
        commandsSeen = commands.count
    }

    /// The engine's part: packets arrive, or a goodbye.
    private func media() {
        guard let live = path.live, !attached.isEmpty else { return }
        if origin.mood == .leaves, loop.now - moodSince > .seconds(2), !goodbyeSaid {
            goodbyeSaid = true
            for track in 0..<2 { engine.report(.sourceBye(live.handle, track: UInt8(track))) }
        }
        guard origin.sends else { return }
        live.counters.set(.lastArrivalNanoseconds, loop.now.uptimeNanoseconds)
        for track in live.description.tracks { live.counters.add(track.number, .packets) }
        for source in attached where !spokenFor.contains(source) {
            spokenFor.insert(source)
            engine.report(.sourceActive(source))
        }
    }

    // MARK: The end

    /// Ends the path; everything has to come home.
    func stop() throws {
        path.removeObserver(self)
        while readers > 0 { leave() }
        var isDone = false
        path.stop { isDone = true }
        let until = loop.now + .seconds(3)
        while loop.now < until {
            loop.advanceTime(by: .milliseconds(Self.stepMilliseconds))
            try origin.turn()
            look()
            port.drainReports()
        }
        if !isDone { trouble("the path did not end within 3 s") }
        if !attached.isEmpty { trouble("\(attached.count) sources were left in the engine") }
        let use = port.use
        if use.streams != 0 || use.sources != 0 { trouble("\(use.streams) streams and \(use.sources) sources never came home") }
        if origin.isConnected { trouble("a connection was left open") }
        if port.pulse.count != 0 { trouble("\(port.pulse.count) listen to the pulse for ever") }
    }
}
