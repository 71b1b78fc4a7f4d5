import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Hears what becomes of a path's stream.
protocol PathObserver: AnyObject {
    /// The stream is gone, for good or because the source came back as something else. Its handle is no longer valid.
    func streamEnded(_ reason: String)
    /// The description changed. Who uses a track that is not in it any more, or has another SSRC, is told to end; others can go on
    /// (``StreamDescription/keeps(_:in:)``).
    func descriptionChanged(_ description: StreamDescription)
}

/// One name that is served: its source, its stream, and those who are interested in it. Belongs to the event loop.
///
/// Interest decides what is asked of the source: a DESCRIBE that waits or a reader that exists wants it described, a reader that
/// plays wants media. When the last one leaves, interest lasts for the linger time.
final class Path {
    let name: String
    let settings: PathSettings
    let origin: PathOrigin
    let port: EnginePort
    let mediaPorts: MediaPorts
    /// What takes the place of Weir's own parts.
    let extensions: RelayExtensions
    /// What it has of the cache, as all paths.
    let commons: ProxyCommons
    var cacheLook = CacheLook.none
    let logger: Logger
    /// The path's group; nil when it has none.
    let multicast: MulticastSender?
    /// What fills the gap while the source is away; nil for a path without one.
    let slate: Slate?
    var eventLoop: any EventLoop { port.eventLoop }

    /// The stream, from the first description until nobody is interested or the publisher stays away.
    private(set) var live: LiveStream?
    private(set) var isPlaying = false
    /// Its source described RTP once.
    private(set) var hasBeenRTP = false
    private(set) var readers = 0
    /// What became of the source so far.
    private(set) var history = SourceHistory()
    /// What is wrong with the source; nil when all is well.
    var lastTrouble: String? { history.trouble }
    private var drops = ReceiveDrops()
    var publication: Publication?
    /// For a path that was made because somebody asked for it.
    var instance: (any PathInstance)?
    /// Through which relays those come who are interested.
    var trails = RelayTrails()
    /// Readers that were sent elsewhere, for the path was full.
    var readersRedirected = 0
    /// Whose turn it is among the relays that readers are sent to.
    var nextRelay = 0
    /// The player that asked for it last.
    var asker: SourceAsker?
    /// How plays of content that comes from elsewhere were met, and what is known of the last such.
    var proxyCounts = ProxyCounts()
    var proxied: ProxiedContent?
    private let token = RelayTrail.makeToken()
    private var refusal: RTSPStatus?
    /// Set when an instance of an expression is about to go.
    private var doom: PathError?

    private(set) var source: (any PathSource)?
    /// Stands between the path and whoever feeds it; nil: nothing does.
    weak var stage: TransformedSource?
    /// Where it is found, and others beside it.
    weak var table: PathTable?
    /// What a publisher feeds.
    var feed: any PathSourceHost { stage ?? self }
    private var broadcast: MulticastBroadcast?
    private var describers = WaitingList()
    private var players = WaitingList()
    private var mediaIsWanted = false
    private var isStopped = false
    /// Why the path is not served any more; nil while it is.
    private(set) var removal: String?
    private let linger: LoopTimer
    /// Runs while readers are held for a publisher that left.
    let publisherWait: LoopTimer
    private var observers: [ObjectIdentifier: any PathObserver] = [:]

    /// Retry-After of a 503.
    static let retryAfterSeconds = 5

    /// A path; its source is dialled by ``start()`` or at the first interest.
    init(
        settings: PathSettings, origin: PathOrigin = .configuration, port: EnginePort, mediaPorts: MediaPorts,
        extensions: RelayExtensions = RelayExtensions(), commons: ProxyCommons = ProxyCommons(), logger: Logger
    ) {
        self.extensions = extensions
        self.commons = commons
        name = settings.name
        self.origin = origin
        self.settings = settings
        self.port = port
        self.mediaPorts = mediaPorts
        var logger = logger
        logger[metadataKey: "path"] = "\(settings.name)"
        self.logger = logger
        multicast = MulticastSender(settings, port: port, mediaPorts: mediaPorts, extensions: extensions, logger: logger)
        slate = Slate(settings, port: port, logger: logger)
        linger = LoopTimer(port.eventLoop)
        publisherWait = LoopTimer(port.eventLoop)
        slate?.host = self
    }

    /// Datagrams of the source that the kernel dropped since the start, because a receive buffer was full.
    var datagramsDropped: UInt64 { drops.total }

    /// What the source says of itself; nil when there is none, or none yet.
    var sourceWords: String? { source?.words }

    /// The sources that it is made of, where there are several.
    var legOverviews: [LegOverview] { source?.legOverviews ?? [] }

    /// When the source is tried again; nil when it is not being waited for.
    var nextTry: NIODeadline? { source?.nextTry }

    /// Whether ANNOUNCE is welcome here.
    var acceptsPublisher: Bool { settings.source == .publish }

    /// Gives the path its source and dials it if it is to be dialled from the start.
    func start(source: (any PathSource)?) {
        self.source = source
        updateInterest()
        multicast?.warnOfTrouble()
        guard let multicast, settings.multicast.isAlways else { return }
        broadcast = MulticastBroadcast(path: self, sender: multicast)
        broadcast?.start()
    }

    /// Ends everything and calls `done` when the source let go.
    func stop(_ done: @escaping () -> Void) { end("Weir stops", done) }

    /// Ends everything, since the path is served no more; readers end at once, and `done` runs when the source let go.
    func remove(_ reason: String, _ done: @escaping () -> Void) {
        guard !isStopped else { return done() }
        removal = reason
        end(reason, done)
    }

    private func end(_ reason: String, _ done: @escaping () -> Void) {
        isStopped = true
        multicast?.sends(nil)
        broadcast?.stop()
        linger.stop()
        publication?.endedByItself(reason)
        publisherWait.stop()
        // The lists are emptied first: whoever is told may call again at once.
        for promise in describers.removeAll() + players.removeAll() { promise.fail(stoppedError) }
        guard let source else {
            endStream(reason)
            return done()
        }
        // Nobody is sent a path that is not there; the sessions' own order is kept when Weir stops.
        if removal != nil { for observer in Array(observers.values) { observer.streamEnded(reason) } }
        // The source's last answers still come through the stream's sources.
        source.stop { [self] in
            endStream(reason)
            done()
        }
    }

    private var stoppedError: PathError {
        removal.map { .removed(name, $0) } ?? .notReady("Weir stops", retryAfterSeconds: Self.retryAfterSeconds)
    }

    // MARK: Readers

    /// Waits until the source is known, up to source-wait; counts as interest meanwhile.
    ///
    /// `trail` tells through which relays whoever asks comes: a path does not feed itself.
    func describe(for trail: RelayTrail = RelayTrail()) -> EventLoopFuture<StreamDescription> {
        if isWindowsMedia { return eventLoop.makeFailedFuture(PathError.notRTP(name)) }
        if let error = loop(trail) ?? doom { return eventLoop.makeFailedFuture(error) }
        guard let number = trails.add(trail) else { return described() }
        let future = described()
        future.assumeIsolated().whenComplete { [self] _ in trails.remove(number) }
        return future
    }

    private func described() -> EventLoopFuture<StreamDescription> { isStopped ? describedLive() : describedStored() ?? describedLive() }

    func describedLive() -> EventLoopFuture<StreamDescription> {
        if !isStopped, let looked = lookInCache() { return looked.flatMap { [self] in describedLive() }.nonisolated() }
        if let live, !isStopped {
            touch()
            return eventLoop.makeSucceededFuture(live.description)
        }
        return wait(in: \.describers)
    }

    /// Why somebody who comes this way cannot be served; nil: he can.
    func loop(_ trail: RelayTrail) -> PathError? {
        if trail.tokens.contains(token) {
            return .loop("/\(name) would be its own source: a relay that pulls from here is what it pulls from")
        }
        let hopsMax = port.engine.limits.relayHopsMax
        return trail.hops > hopsMax ? .loop("more than \(hopsMax) relays pull from each other (limits: relay-hops)") : nil
    }

    /// Why somebody may not have what would have to be asked for elsewhere first, as his `Max-Forwards` is used up; nil: nobody has to be asked, or
    /// somebody may be.
    func wouldForward(_ trail: RelayTrail) -> PathError? {
        guard !trail.mayForward, let live = windowsMediaLive as? WindowsMediaPull, live.broadcast == nil else { return nil }
        return .loop("/\(name) would have to be asked for elsewhere, and the request's Max-Forwards is used up")
    }

    /// Whether the path is of use to anybody just now, or is about to be.
    var isOccupied: Bool {
        isAwaited || publication != nil || (acceptsPublisher && live != nil) || windowsMediaProxy?.isFetching == true
            || cacheLook == .looking
    }

    /// A reader exists from SETUP to its end.
    func readerArrived() {
        readers += 1
        linger.stop()
        updateInterest()
    }

    /// The counterpart of ``readerArrived()``.
    func readerLeft() {
        precondition(readers > 0, "more readers left than arrived")
        readers -= 1
        touch()
    }

    /// A reader wants media now. Completes when it may be armed.
    func play() -> EventLoopFuture<StreamDescription> {
        mediaIsWanted = true
        if let live, isPlaying || slate?.isOn == true {
            touch()
            return eventLoop.makeSucceededFuture(live.description)
        }
        return wait(in: \.players)
    }

    /// Asks the source what a reader asked; `done` is called once.
    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        guard let source, !isStopped else { return done(.unsupported) }
        source.pass(request, done)
    }

    /// Tells `observer` what becomes of the stream, until removed. The path keeps it.
    func addObserver(_ observer: any PathObserver) { observers[ObjectIdentifier(observer)] = observer }

    /// The counterpart of ``addObserver(_:)``.
    func removeObserver(_ observer: any PathObserver) { observers[ObjectIdentifier(observer)] = nil }

    // MARK: Interest

    /// What the path wants of its source just now.
    var level: SourceLevel {
        if isStopped { return .idle }
        let isInteresting = readers > 0 || linger.isRunning || !describers.isEmpty || !players.isEmpty
        if settings.dial == .always || (mediaIsWanted && isInteresting) { return .playing }
        return settings.dial == .warm || isInteresting ? .described : .idle
    }

    /// Begins the linger time again if nobody is left.
    func touch() {
        linger.stop()
        if readers == 0, describers.isEmpty, players.isEmpty, !isStopped {
            linger.start(milliseconds: settings.lingerMilliseconds) { [weak self] in
                guard let self else { return }
                mediaIsWanted = false
                updateInterest()
            }
        }
        updateInterest()
    }

    private func updateInterest() {
        guard let source else { return }
        let level = level
        if level < .playing { isPlaying = false }
        source.want(level)
    }

    private func wait(in list: ReferenceWritableKeyPath<Path, WaitingList>) -> EventLoopFuture<StreamDescription> {
        let promise = eventLoop.makePromise(of: StreamDescription.self)
        guard !isStopped else {
            promise.fail(stoppedError)
            return promise.futureResult
        }
        linger.stop()
        let timer = LoopTimer(eventLoop)
        let number = self[keyPath: list].add(promise, timer)
        timer.start(milliseconds: settings.sourceWaitMilliseconds) { [weak self] in
            guard let self, let promise = self[keyPath: list].remove(number) else { return }
            promise.fail(PathError.notReady(notReadyWords, retryAfterSeconds: Self.retryAfterSeconds))
            touch()
        }
        updateInterest()
        return promise.futureResult
    }

    private var notReadyWords: String {
        if let lastTrouble { return "the source is not ready: \(lastTrouble)" }
        return settings.source == .publish ? "nobody publishes here yet" : "the source is not ready: \(source?.words ?? "not dialled")"
    }

    // MARK: Stream

    /// Ends the stream and tells those who read it.
    func endStream(_ reason: String) {
        guard let ended = live else { return }
        live = nil
        slate?.streamEnded()
        isPlaying = false
        logger.info("stream ends", metadata: ["reason": "\(reason)"])
        source?.streamEnded()
        multicast?.sends(nil)
        for observer in Array(observers.values) { observer.streamEnded(reason) }
        port.submitAlways(.removeStream(ended.handle))
    }

    /// A publisher left: readers are held for a while in case it returns.
    func holdReaders() {
        isPlaying = false
        publisherWait.start(milliseconds: settings.publisherWaitMilliseconds) { [weak self] in
            guard let self else { return }
            // What stands in between may have a stream all the same.
            if live == nil { source?.streamEnded() } else { endStream("the publisher left") }
            instance?.idle(self)
        }
    }
}

extension Path {
    /// Tells those who read the stream of its new description.
    func descriptionChanged() {
        guard let live else { return }
        slate?.descriptionChanged(live.description)
        for observer in Array(observers.values) { observer.descriptionChanged(live.description) }
    }
}

extension Path: PathSourceHost {
    var isAwaited: Bool { readers > 0 || !describers.isEmpty || !players.isEmpty }

    func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription {
        hasBeenRTP = true
        if let live {
            let before = live.description
            switch try live.adopt(sdp) {
            case .same: return live.description
            case .changed:
                logger.notice(
                    "the source came back with another description",
                    metadata: ["tracks": "\(live.description.words)", "before": "\(before.words)"])
                multicast?.sends(live.description)
                descriptionChanged()
                live.planTracks()
                return live.description
            case .incompatible: endStream("the source came back with other tracks")
            }
        }
        var settings = settings
        // What stands between has chosen already, by what the source calls its tracks.
        if stage != nil { settings.tracks = TrackSelection() }
        let live = try LiveStream(sdp: sdp, settings: settings, port: port, scope: stage == nil ? extensions.scope(path: name) : nil) {
            [weak self] in self?.source?.saidGoodbye()
        }
        self.live = live
        if stage == nil, let plan = settings.redundancy.reorderPlan { port.submit(.setReorder(live.handle, plan)) }
        slate?.streamBegan(live.description)
        live.onNotice = { [weak self] in self?.noticed($0) }
        multicast?.sends(live.description)
        logger.info("stream begins", metadata: ["tracks": "\(live.description.words)", "packet-log-bytes": "\(live.sizing.bytes)"])
        let waiting = describers.removeAll()
        for promise in waiting { promise.succeed(live.description) }
        if !waiting.isEmpty { touch() }
        return live.description
    }

    func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription? {
        guard let live else { return nil }
        return try live.standby(sdp)
    }

    func mediaBegins() { tell(ofSets: live?.mediaBegins(port) ?? []) }

    func parameterSetsChange() { tell(ofSets: live?.parameterSetsChange() ?? []) }

    private func tell(ofSets changes: [(track: Int, payloads: [UInt8])]) {
        for change in changes {
            let track: Logger.Metadata = ["track": "\(change.track)"]
            if change.payloads.isEmpty {
                logger.warning(
                    "the source's new parameter sets cannot go before its key frames: readers need it to repeat them", metadata: track)
            } else {
                logger.info("the source's new parameter sets go before its key frames, where it does not repeat them", metadata: track)
            }
        }
    }

    func sourcePlays() {
        if isWindowsMedia { history.plays(now: eventLoop.now) }
        guard let live else { return }
        isPlaying = true
        history.plays(now: eventLoop.now)
        let waiting = players.removeAll()
        for promise in waiting { promise.succeed(live.description) }
        if !waiting.isEmpty { touch() }
    }

    func sourceFailed(_ words: String) {
        isPlaying = false
        history.failed(words, now: eventLoop.now)
        logger.warning("source", metadata: ["trouble": "\(words)"])
        let status = refusal
        refusal = nil
        if status == .loopDetected {
            giveUp(.loop(words))
        } else if live == nil, !isWindowsMedia, instance != nil, publication == nil, settings.redundancy.backups.isEmpty || status != nil {
            giveUp(
                status == .notFound
                    ? .notFound(name) : .notReady("the source is not ready: \(words)", retryAfterSeconds: Self.retryAfterSeconds))
        }
    }

    var via: String? { trails.joined.via(adding: token) }
    var maxForwards: Int? { trails.joined.forwardsNext }
    func sourceBrought(_ bytes: Int) { proxyCounts.bytesFromOrigin &+= UInt64(clamping: bytes) }

    func sourceRefused(_ status: RTSPStatus) { refusal = status }

    func sourceTurnsOut(windowsMedia: Bool) -> Bool {
        guard !isStopped, let former = source, let next = PathSourceFactory.source(for: self, windowsMedia: windowsMedia) else {
            return false
        }
        let words = windowsMedia ? "Windows Media" : "RTP"
        logger.notice("the source has \(words)")
        former.stop {}
        endStream("the source has \(words) now")
        source = next
        // Who waits for RTP asks again for what there is, as far as his request may go; for nobody else is anything dialled.
        let waiting = windowsMedia ? describers.removeAll() + players.removeAll() : []
        for promise in waiting { promise.fail(PathError.notRTP(name)) }
        if readers == 0, !linger.isRunning { mediaIsWanted = false }
        updateInterest()
        return true
    }

    /// Waiting longer is of no use.
    private func giveUp(_ error: PathError) {
        if let instance, live == nil {
            doom = error
            instance.failed(self, error)
        }
        for promise in describers.removeAll() + players.removeAll() { promise.fail(error) }
        guard readers == 0, !isStopped else { return }
        linger.stop()
        mediaIsWanted = false
        updateInterest()
    }

    func sourceDropped(_ datagrams: UInt64) {
        guard let unsaid = drops.add(datagrams, now: eventLoop.now) else { return }
        logger.warning(
            "the system dropped datagrams of the source: its receive buffer was full",
            metadata: ["datagrams": "\(unsaid)", "total": "\(drops.total)", "remedy": "\(mediaPorts.buffers.receiveRemedy)"])
    }

    func sourceReleased() {
        // Nobody reads it and nobody feeds it: its memory is better used elsewhere, and a description that is asked for again is
        // asked of the source again.
        guard level == .idle else { return }
        endStream("nobody is interested")
        instance?.idle(self)
    }
}

extension Path: SlateHost {
    var isWatched: Bool { readers > 0 || (live?.counters[.readersLive] ?? 0) > 0 }

    var isConnected: Bool { isPlaying }

    func slateReplacesParameterSets(of track: Int) { live?.replacesParameterSets(of: track) }

    func slateBegan() {
        guard let live else { return }
        let waiting = players.removeAll()
        for promise in waiting { promise.succeed(live.description) }
        if !waiting.isEmpty { touch() }
    }
}
