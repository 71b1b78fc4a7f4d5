import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// A path's RTSP server whose stored media is kept (`cache: yes`): asks it what it has, decides whether what is here may be served, and
/// records what is not. What turns out to be live, or may not be kept, goes the way of any other RTSP source. Belongs to the event
/// loop.
final class RTSPCachedPull: PathSource {
    /// How it is asked and judged.
    struct Settings {
        /// The path's.
        var name: String
        var url: SourceURL
        var policy: ProxyPolicy
        var fill: PathCacheSettings.Fill
        var tracks: TrackSelection
        var silenceMilliseconds: Int
        var permits: (String) -> Bool
        var headers: [(name: String, value: String)] = []

        init(url: SourceURL, policy: ProxyPolicy, path: PathSettings, headers: [(name: String, value: String)] = []) {
            name = path.name
            // What is kept under a name is what was asked for under that name, to the letter.
            self.url = (try? CacheKey(url.request)).flatMap { try? SourceURL($0.url, inherited: url.credentials) } ?? url
            self.policy = policy
            self.headers = headers
            fill = path.cache.fill
            tracks = path.tracks
            silenceMilliseconds = path.silenceMilliseconds
            permits = { path.permits($0) }
        }
    }

    /// A place of the media that can be played, and what holds it.
    typealias Place = (recording: Recording, entry: RecordingIndex.Entry)

    let settings: Settings
    let eventLoop: any EventLoop
    let logger: Logger
    let store: (any RecordingStore)?
    private let dialler: SourceDialler
    private let live: any PathSource
    private weak var host: (any PathSourceHost)?
    private var level = SourceLevel.idle
    private var liveReason: String?
    private var describers: [(Result<StreamDescription?, PathError>) -> Void] = []
    private var isDeciding = false
    private var current: Recording?
    /// What is known of ``current``.
    private var facts: OriginFacts?
    private var wasStoreAsked = false
    /// What was decided last, and when.
    var decided: (outcome: ProxyOutcome, at: NIODeadline)?
    private var question: RecordingPull?
    /// The origin describes to everybody, and asks for a password before it plays.
    private var guardsMedia = false
    /// Described, and not asked to play yet.
    private(set) var warm: RecordingPull?
    private var warmTag = ""
    private let warmTimer: LoopTimer
    var maker: RecordingMaker?
    var windows: [ObjectIdentifier: RecordingMaker] = [:]
    private var lastTrouble: String?
    /// What was here when it was played last.
    private var restingWords: String?

    /// A decision holds for so long: a player describes, and sets each track up.
    static let decisionMilliseconds: Int64 = 5_000
    /// A connection that described itself is kept for a player that goes on.
    static let warmMilliseconds = 10_000

    init(
        settings: Settings, live: any PathSource, store: (any RecordingStore)?, host: any PathSourceHost, dialler: SourceDialler = .tcp,
        eventLoop: any EventLoop, logger: Logger
    ) {
        self.settings = settings
        self.live = live
        self.store = store
        self.host = host
        self.dialler = dialler
        self.eventLoop = eventLoop
        self.logger = logger
        warmTimer = LoopTimer(eventLoop)
    }

    // MARK: As a source

    /// It goes the way of any other RTSP source.
    var isLive: Bool { liveReason != nil }

    var words: String {
        if isLive { return live.words }
        guard let current else { return lastTrouble ?? restingWords ?? "not asked" }
        let reach = Double(max(current.reach, 0)) / 1e6, length = Double(current.microseconds) / 1e6
        switch current.state {
        case .described: return "described"
        case .growing: return "recording: \(reach.tenths) s of \(length.tenths) s"
        case .whole: return "cached: \(length.tenths) s"
        case .broken(let words): return words
        }
    }

    var nextTry: NIODeadline? { isLive ? live.nextTry : nil }
    var isDescribed: Bool { isLive ? live.isDescribed : current != nil }
    var showsHealth: Bool { isLive ? live.showsHealth : false }

    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        if isLive { live.pass(request, done) } else { done(.unsupported) }
    }

    func want(_ level: SourceLevel) {
        self.level = level
        if isLive {
            // What a server has may be something else when somebody comes again.
            if level == .idle { liveReason = nil }
            return live.want(level)
        }
        if level == .idle {
            rest()
            host?.sourceReleased()
        }
    }

    /// What nobody plays is left to the store, which may have other use for its room, and is looked up when somebody comes again.
    func rest() {
        guard level == .idle, !isDeciding, let current, current.state == .whole, current.log.isSettled, current.readers == 0 else { return }
        restingWords = words
        dropped(current)
    }

    func saidGoodbye() { live.saidGoodbye() }
    func streamEnded() { live.streamEnded() }

    func stop(_ done: @escaping () -> Void) {
        settle(.failure(.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds)))
        question?.close()
        question = nil
        coolDown()
        maker?.stop()
        for window in windows.values { window.stop() }
        windows = [:]
        live.stop(done)
    }

    // MARK: What there is

    /// What readers are to be described: nil where it goes the way of any other source.
    func describe(_ done: @escaping (Result<StreamDescription?, PathError>) -> Void) {
        if isLive { return done(.success(nil)) }
        if let current, let decided, eventLoop.now - decided.at < .milliseconds(Self.decisionMilliseconds), !current.isUseless {
            return done(.success(current.makeDescription()))
        }
        describers.append(done)
        guard !isDeciding else { return }
        isDeciding = true
        recall { [weak self] in self?.decide(.notAsked) }
    }

    /// The stored media as a session is sent it.
    func makeReplay(for session: ServerSession) -> Replay? {
        guard !isLive, let current, !current.isUseless, session.description.tracks.count == current.tracks.count else { return nil }
        if let outcome = decided?.outcome { session.path.proxyCounts.count(outcome) }
        logger.info(
            "stored media", metadata: ["session": "\(session.id.prefix(6))", "cache": "\(decided?.outcome.words ?? "")"])
        return Replay(current, session: session, source: self, outcome: decided?.outcome)
    }

    /// What is kept of it for everybody, or will be, and how it was met; nil: nothing.
    var recordingForAll: (recording: Recording, outcome: ProxyOutcome)? {
        guard !isLive, let current, !current.isUseless, let outcome = decided?.outcome else { return nil }
        return (current, outcome)
    }

    /// Why ``recordingForAll`` is nil.
    var whyNotKept: String { liveReason.map { "BYPASS \($0)" } ?? lastTrouble ?? "it has just changed" }

    /// Looks once what is kept from before.
    private func recall(_ done: @escaping () -> Void) {
        if let current, current.isUseless { dropped(current) }
        guard let store, !wasStoreAsked, current == nil else { return done() }
        wasStoreAsked = true
        store.find(key) { [weak self] stored in
            guard let self else { return }
            guard let stored, current == nil else { return done() }
            StoredRecordingReader.read(stored, settings.tracks) { [weak self] recording in
                guard let self else { return }
                if let recording {
                    current = recording
                    facts = factsOf(stored.words, tag: recording.tag, ageSeconds: stored.ageSeconds)
                }
                done()
            }
        }
    }

    /// The name under which it is kept.
    var key: String {
        let url = (try? CacheKey(settings.url.request))?.url ?? settings.url.request
        return settings.tracks.description == "all" ? url : "\(url) tracks=\(settings.tracks.description)"
    }

    func factsOf(_ words: OriginWords, tag: String, ageSeconds: Int64 = 0, isStored: Bool = true) -> OriginFacts {
        var facts = OriginFacts(
            dialect: .rtsp, cacheControl: words.cacheControl.map { [$0] } ?? [], etag: tag, lastModified: nil,
            credentials: words.wasChallenged || guardsMedia ? .operators : .none, saidAt: wall - ageSeconds)
        facts.kind = isStored ? .onDemand : .unknown
        facts.isDescribed = true
        return facts
    }

    /// The wall clock, in seconds.
    private var wall: Int64 { CacheClock.now() }

    private func decide(
        _ origin: ProxySituation.Origin, _ described: (sdp: SessionDescription, words: OriginWords)? = nil, trouble: String = ""
    ) {
        if let recording = current, recording.isUseless { dropped(recording) }
        var stored: ProxySituation.Object?
        if let current, let facts {
            stored = ProxySituation.Object(facts: facts, extent: current.state == .whole ? .whole : .partial)
        }
        let decision = ProxyDecision.decide(
            ProxySituation(policy: settings.policy, stored: stored, origin: origin, room: store == nil ? .none : .disk, now: wall))
        if decision.discards { letGo() }
        switch decision.action {
        case .ask: ask()
        case .serve:
            if origin != .notAsked, let facts = decision.facts, decision.outcome?.word == .revalidated {
                self.facts = facts
                if var words = described?.words {
                    // Also where it is asked for only when it is played.
                    words.wasChallenged = facts.credentials == .operators
                    current?.log.validated(words)
                }
            }
            serve(decision)
        case .keep:
            guard let described, let tracks = Recording.tracks(of: described.sdp, settings.tracks),
                let length = described.sdp.storedMicroseconds
            else { return goLive("no-tracks") }
            current = Recording(described.sdp, described.words, microseconds: length, tracks: tracks)
            facts = decision.facts
            serve(decision)
        case .open, .relay, .join, .awaitRole, .redirect: goLive(decision.reason?.rawValue ?? "live")
        case .refuse:
            let words = trouble.isEmpty ? decision.reason?.rawValue ?? "" : trouble
            lastTrouble = words
            settle(.failure(.notReady("the source is not ready: \(words)", retryAfterSeconds: Path.retryAfterSeconds)))
        }
    }

    private func serve(_ decision: ProxyDecision) {
        guard let current, let outcome = decision.outcome else { return goLive("live") }
        decided = (outcome, eventLoop.now)
        lastTrouble = nil
        settle(.success(current.makeDescription()))
    }

    private func goLive(_ reason: String) {
        logger.info("the source is played as if it were live", metadata: ["cache": "BYPASS \(reason)"])
        coolDown()
        liveReason = reason
        settle(.success(nil))
        live.want(level)
    }

    private func settle(_ result: Result<StreamDescription?, PathError>) {
        isDeciding = false
        let waiting = describers
        describers = []
        for done in waiting { done(result) }
    }

    /// What is kept is not what the origin has, or may not be kept any more: those who play it play it to its end.
    private func letGo() {
        let recording = current
        current = nil
        facts = nil
        decided = nil
        restingWords = nil
        recording?.log.letGo()
        leaveMaker()
    }

    /// The origin has another version than a recording, or says something else of it.
    func changed(_ recording: Recording) {
        if recording === current { letGo() }
    }

    /// What is being recorded is for those alone who play it already.
    private func leaveMaker() {
        guard let maker else { return }
        self.maker = nil
        maker.detach()
        let id = ObjectIdentifier(maker)
        windows[id] = maker
        maker.onEnded = { [weak self] in self?.windows[id] = nil }
        if maker.recording.readers == 0 { maker.stop() }
    }

    /// A recording has begun: whether it may be kept, as far as it only shows now.
    func mayKeep(_ recording: Recording, wasChallenged: Bool) -> Bool {
        guard wasChallenged, !recording.words.wasChallenged else { return true }
        guardsMedia = true
        facts?.credentials = .operators
        guard !settings.policy.sharesOperators else { return true }
        changed(recording)
        return false
    }

    // MARK: Questions

    private func ask() {
        coolDown()
        let pull = makePull()
        question = pull
        pull.onDescribed = { [weak self, weak pull] sdp, words in
            guard let self, let pull else { return }
            question = nil
            keepWarm(pull, tag: words.tag(of: sdp))
            let isStored = sdp.storedMicroseconds != nil && Recording.tracks(of: sdp, settings.tracks) != nil
            decide(.says(factsOf(words, tag: words.tag(of: sdp), isStored: isStored)), (sdp, words))
        }
        pull.onEnded = { [weak self] end in
            guard let self else { return }
            question = nil
            switch end {
            case .windowsMedia: turnsOut()
            case .unreachable(let words), .failed(let words): decide(.unreachable, trouble: words)
            case .refused(.unauthorized, _): decide(.challenges)
            case .refused(let status, let words): decide(.refuses(status: Int(status.code)), trouble: words)
            case .redirected(let target):
                decide(.unreachable, trouble: "the source redirects to \(target.host), which `allow:` does not name")
            case .over: decide(.unreachable, trouble: end.words)
            }
        }
        pull.dial()
    }

    /// The server has Windows Media: another source takes the place of this one, where there can be one.
    private func turnsOut() {
        let waiting = describers
        describers = []
        guard let host, host.sourceTurnsOut(windowsMedia: true) else {
            describers = waiting
            return goLive("windows-media")
        }
        isDeciding = false
        for done in waiting { done(.failure(.notRTP(settings.name))) }
    }

    /// A connection to the origin, whose media would begin there.
    func makePull(from start: Int64 = 0) -> RecordingPull {
        RecordingPull(
            url: settings.url, from: start, silence: settings.silenceMilliseconds, via: host?.via, headers: settings.headers,
            permits: settings.permits, dialler: dialler, eventLoop: eventLoop)
    }

    private func keepWarm(_ pull: RecordingPull, tag: String) {
        warm = pull
        warmTag = tag
        pull.onDescribed = nil
        pull.onEnded = { [weak self] _ in
            self?.warm = nil
            self?.warmTimer.stop()
        }
        warmTimer.start(milliseconds: Self.warmMilliseconds) { [weak self] in self?.coolDown() }
    }

    private func coolDown() {
        warmTimer.stop()
        warm?.close()
        warm = nil
    }

    /// The connection that has just described itself as this, if there is one.
    func takeWarm(for recording: Recording) -> RecordingPull? {
        guard let warm, warm.isDescribed, warmTag == recording.tag else { return nil }
        warmTimer.stop()
        self.warm = nil
        return warm
    }

    /// Whether newcomers are given that recording.
    func isCurrent(_ recording: Recording) -> Bool { recording === current }

    /// A recording is of no use to newcomers.
    func dropped(_ recording: Recording) {
        guard recording === current else { return }
        current = nil
        facts = nil
        decided = nil
        leaveMaker()
        // Another relay's, or one that took its place, may be there.
        wasStoreAsked = false
    }
}

extension Recording {
    /// Nobody new is to be given it.
    var isUseless: Bool {
        if case .broken = state { return true }
        return unfitness != nil || log.trouble != nil || log.isGone
    }
}
