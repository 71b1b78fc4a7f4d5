import Logging
import NIOCore
import PlaneLink
import Signalling

/// Hears what becomes of the transform of a track.
protocol TransformOwner: AnyObject {
    /// Whether somebody waits for media just now.
    var isAwaited: Bool { get }
    /// Something that decides what is asked of the source changed: it listens, or it failed.
    func transformChanged()
    /// What it sends is known, for the first time or anew.
    func transformDescribed()
    /// Media comes out.
    func transformFlows()
    /// It failed; it is tried again.
    func transformFailed(_ words: String)
}

/// What changes one track, a program or code of the program that embeds Weir, kept running while it is wanted: started again when it ends, after a while that grows and is spread by
/// chance. Its end never ends a reader.
final class SupervisedTransform: TransformRunOwner {
    let track: Int
    let rule: TransformRule
    weak var owner: (any TransformOwner)?
    /// What it sends; nil until it said so.
    private(set) var media: GivenMedia?
    /// Starts, failures in a row and since the beginning, lines left out of the log, all since the relay's start.
    private(set) var starts = 0
    private(set) var failures = 0
    private(set) var lastError: (words: String, at: NIODeadline)?
    /// From the first packet in to the first packet out, in milliseconds, in the latest run that came so far.
    private(set) var firstPacketMilliseconds: Int?
    private(set) var isFlowing = false
    /// Whether the source need not wait for it: it listens, or it failed.
    private(set) var isReady = false
    private(set) var nextTry: NIODeadline?

    private let pathName: String
    private let port: EnginePort
    private let mediaPorts: MediaPorts
    private let logger: Logger
    private var folder: PrivateFolder?
    private let make: RelayExtensions.TransformMaker?
    private var run: (any TransformRun)?
    /// A run that ended and left something behind that is still at work.
    private var remains: (any TransformRun)?
    private var input: StreamDescription?
    private var served: StreamDescription?
    /// Where what comes out goes.
    private(set) var output: ServedTrack?
    private var isWanted = false
    private var suppressedBefore: UInt64 = 0
    private var missedBefore: UInt64 = 0
    private var backoff = Backoff()
    private var failingSince: UInt64?
    private let retry: LoopTimer
    private let health: LoopTimer
    private var onStopped: (() -> Void)?

    /// A program that ran so long is in good health: its next failure is a first one.
    private static let healthyMilliseconds = 10_000

    /// The transform of a track of the path of that name; nothing runs yet.
    init(
        track: Int, rule: TransformRule, pathName: String, port: EnginePort, mediaPorts: MediaPorts, extensions: RelayExtensions,
        logger: Logger
    ) {
        self.track = track
        self.rule = rule
        self.pathName = pathName
        self.port = port
        self.mediaPorts = mediaPorts
        var logger = logger
        logger[metadataKey: "transform"] = "\(rule.what)"
        logger[metadataKey: "track"] = "\(track)"
        self.logger = logger
        media = rule.gives
        make = rule.use.flatMap { extensions.transforms[$0] }
        retry = LoopTimer(port.eventLoop)
        health = LoopTimer(port.eventLoop)
    }

    /// The process's number while it runs.
    var process: Int32? { run?.process }
    /// Whether something of it is at work.
    var isRunning: Bool { run != nil }
    /// Lines that were left out of the log.
    var linesSuppressed: UInt64 { suppressedBefore &+ (run?.linesSuppressed ?? 0) }
    /// Packets that did not go in since it was too slow.
    var packetsMissed: UInt64 { missedBefore &+ (run?.packetsMissed ?? 0) }

    /// What it does, in a few words.
    var words: String {
        let name = rule.what
        if nextTry != nil, let lastError { return "\(name): \(lastError.words)" }
        if isFlowing { return "\(name) sends" }
        if run == nil { return "\(name) does not run" }
        return isReady ? "\(name) listens and sends nothing yet" : "\(name) is being started"
    }

    // MARK: What the owner wants

    /// Runs, with a track of this stream.
    func start(input: StreamDescription) {
        self.input = input
        isWanted = true
        if run == nil, !retry.isRunning { begin() }
    }

    /// What comes out goes to this track; nil: nowhere any more.
    func serve(_ output: ServedTrack?, in served: StreamDescription? = nil) {
        self.output = output
        self.served = served
        if let served, let output { return run?.serve(served, track: output.number) ?? () }
        // Its sockets go with the stream that they fed.
        guard let run, run.isAttached else { return }
        isFlowing = false
        isReady = false
        run.stop { [self] in stopped() }
    }

    /// Runs no more. `done` is called when nothing is left of it.
    func stop(_ done: @escaping () -> Void = {}) {
        isWanted = false
        isReady = false
        isFlowing = false
        input = nil
        retry.stop()
        health.stop()
        nextTry = nil
        backoff.succeeded()
        failingSince = nil
        guard let run else {
            removeFolder()
            return done()
        }
        let previous = onStopped
        onStopped = {
            previous?()
            done()
        }
        // Kept until nothing is left of it, also when the owner forgets it.
        run.stop { [self] in stopped() }
    }

    private func stopped() {
        finishRun()
        let done = onStopped
        onStopped = nil
        // It may be wanted again by now.
        if isWanted { begin() } else { removeFolder() }
        done?()
    }

    private func removeFolder() {
        folder?.remove()
        folder = nil
    }

    private func begin() {
        guard isWanted, run == nil, let input else { return }
        nextTry = nil
        starts += 1
        do {
            let run = try makeRun(input)
            self.run = run
            run.owner = self
            if let served, let output { run.serve(served, track: output.number) }
            logger.info("transform starts", metadata: run.process.map { ["pid": "\($0)"] })
        } catch { failed("\(error)") }
    }

    private func makeRun(_ input: StreamDescription) throws -> any TransformRun {
        guard rule.use == nil else {
            if remains?.isHanging == true { throw CodeRun.Trouble(description: "the run before has not come back yet") }
            remains = nil
            return try CodeRun(rule: rule, make: make, input: input, track: track, pathName: pathName, port: port)
        }
        let folder = try self.folder ?? PrivateFolder()
        self.folder = folder
        return try ProgramRun(
            rule: rule, input: input, track: track, media: rule.gives, pathName: pathName, folder: folder, port: port,
            mediaPorts: mediaPorts)
    }

    /// The source begins another time line.
    func sourceChanged() { run?.sourceChanged() }

    private func finishRun() {
        suppressedBefore &+= run?.linesSuppressed ?? 0
        missedBefore &+= run?.packetsMissed ?? 0
        if run?.isHanging == true { remains = run }
        run = nil
        isFlowing = false
        health.stop()
    }

    private func failed(_ words: String) {
        failures += 1
        lastError = (words, port.eventLoop.now)
        isReady = true
        let now = port.eventLoop.now.uptimeNanoseconds
        failingSince = failingSince ?? now
        let delay = backoff.failed(
            at: now, awaitedSince: owner?.isAwaited == true ? failingSince : nil, chance: Double.random(in: 0..<1))
        let deadline = port.eventLoop.now + .nanoseconds(Int64(clamping: delay))
        nextTry = deadline
        logger.warning("transform failed", metadata: ["trouble": "\(words)", "again-in-ms": "\(delay / 1_000_000)"])
        retry.start(at: deadline) { [weak self] in self?.begin() }
        owner?.transformFailed(words)
    }

    // MARK: What the run says

    func runListens() {
        isReady = true
        owner?.transformChanged()
    }

    func runDescribed(_ media: GivenMedia) {
        guard media != self.media else { return }
        self.media = media
        owner?.transformDescribed()
    }

    func runSends(afterMilliseconds: Int) {
        isFlowing = true
        firstPacketMilliseconds = afterMilliseconds
        failingSince = nil
        logger.info("transform sends", metadata: ["first-packet-after-ms": "\(afterMilliseconds)"])
        health.start(milliseconds: Self.healthyMilliseconds) { [weak self] in self?.backoff.succeeded() }
        owner?.transformFlows()
    }

    func runSaid(_ line: String) { logger.info("transform says", metadata: ["line": "\(line)"]) }

    func runEnded(_ words: String) {
        finishRun()
        // What it said of itself may not hold for the next run.
        guard isWanted else { return }
        failed(words)
    }
}
