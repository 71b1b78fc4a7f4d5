import Glibc
import NIOCore
import PlaneLink

/// Makes an ``Overview`` of what lives. Belongs to the event loop, and takes little of it at a time: a crowd of readers is looked at in
/// slices, between which everybody else has their turn. Nothing here touches the packet path: it reads counters and asks the kernel.
final class OverviewCollector {
    /// Readers shown when none are asked for by number, and at most.
    static let readersStandard = 20
    static let readersMax = 1_000
    /// Readers that are looked at in one turn of the loop: about a quarter of a millisecond.
    static let slice = 64
    /// How often the rates are taken.
    private static let rateMilliseconds = 1_000

    private let server: RTSPServer
    private let paths: PathTable
    private let port: EnginePort
    private let extensions: RelayExtensions
    private let commons: ProxyCommons
    private let program: Overview.Program
    private let began = NIODeadline.now()
    private let rateTimer: LoopTimer
    private var isStopped = false
    private var rates = RateSampler()
    private var silences = TrackSilence()
    /// Bytes out of the cache of plays that go on.
    private var running: [ObjectIdentifier: UInt64] = [:]

    /// A collector for a relay that listens at `listen`. Begins to take rates.
    init(
        server: RTSPServer, paths: PathTable, port: EnginePort, extensions: RelayExtensions = RelayExtensions(),
        commons: ProxyCommons = ProxyCommons(), listen: String, version: String
    ) {
        self.extensions = extensions
        self.commons = commons
        self.server = server
        self.paths = paths
        self.port = port
        program = Overview.Program(version: version, process: getpid(), listen: listen)
        rateTimer = LoopTimer(port.eventLoop)
        rates.take(port.engine.counters, paths.all, now: .now())
        silences.take(paths.all, now: .now())
        rateTimer.every(milliseconds: Self.rateMilliseconds) { [weak self] in
            guard let self else { return }
            rates.take(port.engine.counters, paths.all, now: .now())
            silences.take(paths.all, now: .now())
        }
    }

    /// Takes no more rates; who waits for an overview is told that there will be none.
    func stop() {
        isStopped = true
        rateTimer.stop()
    }

    /// An overview with the `readers` worst readers, of one path if it is named. Throws what is wrong with the request.
    func overview(readers: Int, path name: String?) -> EventLoopFuture<Overview> {
        let promise = port.eventLoop.makePromise(of: Overview.self)
        var only: Path?
        if let name {
            only = paths.any(named: name)
            guard only != nil else {
                promise.fail(
                    ControlAnswer.Trouble(code: "argument", message: "there is no path `\(PeerWords.printable(String(name.prefix(64))))`"))
                return promise.futureResult
            }
        }
        let crowd = Crowd(sessions: server.openSessions, players: server.windowsMediaReaders, only: only, readersMax: readers)
        lookAt(crowd) { [self] in
            guard !isStopped else { return promise.fail(ControlAnswer.Trouble.stopping) }
            var overview = whole(only: only)
            crowd.put(into: &overview, now: .now())
            promise.succeed(overview)
        }
        return promise.futureResult
    }

    private func lookAt(_ crowd: Crowd, _ done: @escaping () -> Void) {
        if isStopped { return done() }
        if crowd.takeSlice(Self.slice, now: .now()), crowd.showSlice(Self.slice, now: .now()) { return done() }
        port.eventLoop.assumeIsolated().execute { [self] in lookAt(crowd, done) }
    }

    // MARK: All but the readers

    private func whole(only: Path?) -> Overview {
        let now = NIODeadline.now()
        let engine = port.engine
        let status = Status(engine.counters, nanoseconds: now.uptimeNanoseconds)
        let statistics = server.statistics
        var overview = Overview()
        overview.program = program
        overview.program.upSeconds = Self.seconds(now - began)
        overview.engine = Overview.Engine(
            backend: engine.backend.name, backendReason: engine.backend.reason, workers: engine.workerCount,
            workersFailed: port.workersFailed, facts: Self.named(status.engine))
        overview.rates = rates.whole
        let all = paths.all
        running = [:]
        for player in server.windowsMediaReaders { running[ObjectIdentifier(player.path), default: 0] &+= player.bytesFromCache }
        overview.totals = totals(status, statistics, all)
        overview.causes = causes(status, statistics)
        overview.limits = limits(statistics)
        if only == nil { overview.cache = cache }
        if only == nil { overview.forwardProxy = server.forwarding?.overview }
        if only == nil { overview.expressions = paths.expressions.map(\.overview) }
        overview.paths = all.filter { only == nil || $0 === only }.map { path in pathOverview(path, now) }
        return overview
    }

    /// How plays of what comes from elsewhere were met; nil where nothing does.
    private var cache: CacheOverview? {
        var counts = paths.proxyCounts
        counts.bytesFromCache &+= running.values.reduce(0, &+)
        var overview = CacheOverview()
        overview.take(counts)
        overview.notices = server.notices.overview
        overview.store = commons.desk.map { CacheOverview.Store($0.store) }
        overview.fills = CacheOverview.Fills(commons)
        let notices = overview.notices
        let hasNothing = counts.isEmpty && notices.made == 0 && notices.restored == 0 && notices.eventsHeard.isEmpty
        return overview.store == nil && hasNothing ? nil : overview
    }

    private func totals(_ status: Status, _ statistics: ServerStatistics, _ paths: [Path]) -> Overview.Totals {
        var totals = Overview.Totals()
        totals.packetsReceived = status.packetsReceived
        totals.bytesReceived = port.engine.counters[.bytesReceived]
        totals.packetsSent = status.packetsSent
        totals.bytesSent = status.bytesSent
        totals.sourcesPlaying = paths.count { $0.isPlaying }
        totals.readersPlaying = statistics.readers
        totals.publishers = statistics.publishers
        totals.connections = statistics.connections
        totals.connectionsEver = statistics.connectionsTotal
        totals.sessions = statistics.sessions
        totals.sessionsEver = statistics.sessionsTotal
        totals.requests = statistics.requests
        totals.requestsRefused = statistics.requestsRefused
        totals.readersRedirected = statistics.readersRedirected
        totals.redirections = statistics.redirections
        totals.receiverReports = statistics.receiverReports
        totals.sourceDatagramsDropped = self.paths.datagramsDropped
        totals.reportsUnobserved = extensions.funnel?.dropped ?? 0
        totals.pathsAdded = self.paths.added
        totals.pathsRemoved = self.paths.removed
        totals.reportDatagramsDropped = statistics.datagramsDropped
        return totals
    }

    private func causes(_ status: Status, _ statistics: ServerStatistics) -> Overview.Causes {
        let counters = port.engine.counters
        return Overview.Causes(
            drops: Self.named(status.drops),
            refusals: Dictionary(uniqueKeysWithValues: ServerRefusal.allCases.map { ($0.snakeCase, statistics.refusals[$0] ?? 0) }),
            sessionEnds: Dictionary(uniqueKeysWithValues: SessionEnd.allCases.map { ($0.snakeCase, statistics.ends[$0] ?? 0) }),
            sourceFaults: [
                "foreign": counters[.datagramsForeign], "malformed": counters[.datagramsMalformed],
                "oversize": counters[.datagramsOversize], "unknown_channel": counters[.framesUnknownChannel],
                "log_pinned": counters[.packetsLogPinned], "behind_cut": counters[.packetsBehindCut],
                "parameter_sets_too_long": counters[.parameterSetsTooLong],
            ], windowsMedia: server.windowsMedia.counters.merging(server.windowsMediaRTSP.counters) { $0 + $1 })
    }

    private func limits(_ statistics: ServerStatistics) -> [Overview.LimitUse] {
        let limits = port.engine.limits
        let use = port.use
        return [
            .init(name: "connections", used: statistics.connections, max: limits.connectionsMax),
            .init(name: "sessions", used: statistics.sessions, max: limits.subscribersMax),
            .init(name: "registered-paths", used: server.registrar.count, max: server.settings.register.pathsMax),
            .init(name: "readers", used: server.readersNow, max: server.settings.distribution.readersMax ?? limits.subscribersMax),
            .init(name: "windows-media-sessions", used: server.windowsMedia.sessionCount, max: server.windowsMedia.sessionsMax),
            .init(
                name: "windows-media-rtsp-sessions", used: server.windowsMediaRTSP.sessionCount, max: server.windowsMediaRTSP.sessionsMax),
            .init(name: "origin-notices", used: server.notices.waitingCount, max: server.notices.waitingMax),
            .init(name: "cache-memory", used: commons.memory.bytes, max: commons.memory.bytesMax),
            .init(name: "run-time-paths", used: paths.runTimePaths, max: paths.runTimePathsMax),
            .init(name: "streams", used: use.streams, max: limits.streamsMax),
            .init(name: "stored-files", used: server.windowsMedia.storedFiles.count, max: limits.storedFilesMax),
            .init(name: "sources", used: use.sources, max: limits.sourcesMax),
            .init(name: "packet-log-bytes", used: use.packetLogBytes, max: limits.packetLogBytesMax),
            .init(name: "multicast-destinations", used: use.egresses, max: Limits.egressMax - 1),
        ]
            + (server.forwarding.map { forwarding -> [Overview.LimitUse] in
                [
                    .init(name: "forward-targets", used: forwarding.targets.count, max: forwarding.settings.targetsMax),
                    .init(name: "forward-origins", used: forwarding.originCount, max: forwarding.settings.originsMax),
                ]
            } ?? [])
    }

    private func pathOverview(_ path: Path, _ now: NIODeadline) -> PathOverview {
        var overview = PathOverview(name: path.name, source: PeerWords.printable("\(path.settings.source)"))
        if path.origin != .configuration { overview.origin = PeerWords.printable("\(path.origin)") }
        overview.registrations = server.registrations.filter { $0.path == path.name }.map { PeerWords.printable($0.words) }
        let history = path.history
        let isFailing = history.failingSince != nil
        overview.words = PeerWords.printable(path.stateWords)
        switch (path.isPlaying, isFailing, path.live != nil) {
        case (true, _, _): overview.state = .playing
        case (false, true, _): overview.state = path.level == .idle ? .idle : .failed
        case (false, false, true): overview.state = path.level == .playing ? .waiting : .described
        case (false, false, false): overview.state = path.level == .idle && !path.acceptsPublisher ? .idle : .waiting
        }
        let since = path.isPlaying ? history.playingSince : history.failingSince
        overview.stateSeconds = Self.seconds(now - (since ?? began))
        if let error = history.lastError {
            overview.lastError = PathOverview.LastError(
                words: PeerWords.printable(error.words), secondsAgo: Self.seconds(now - error.at),
                sinceSeconds: history.failingSince.map { Self.seconds(now - $0) }, inARow: history.failuresInARow, ever: history.failures)
        }
        overview.nextTrySeconds = path.nextTry.map { max(Self.seconds($0 - now), 0) }
        overview.readers = path.readers
        overview.legs = path.legOverviews
        overview.receiveDrops = path.datagramsDropped
        overview.slate = path.slate?.overview(now: now)
        overview.readersMax = path.settings.distribution.readersMax
        if path.readersRedirected > 0 { overview.readersRedirected = path.readersRedirected }
        overview.transforms = path.stage?.transforms.map { $0.overview(now: now) }
        overview.take(windowsMedia: path)
        overview.playlist = path.programme?.overview
        var counts = path.proxyCounts
        counts.bytesFromCache &+= running[ObjectIdentifier(path)] ?? 0
        overview.cache = PathCacheOverview(counts)
        guard let live = path.live else { return overview }
        let counters = live.counters
        overview.readersLive = counters[.readersLive]
        overview.packetsReceived = counters[.packetsReceived]
        overview.bytesReceived = counters[.bytesReceived]
        overview.packetsSent = counters[.packetsSent]
        overview.bytesSent = counters[.bytesSent]
        overview.packetsDropped = counters[.packetsDropped]
        overview.epochs = counters[.epochs]
        overview.clockSteps = counters[.clockSteps]
        overview.reportsUnusable = counters[.reportsUnusable]
        overview.framesCut = counters[.framesCut]
        if let rate = rates.path(path.name) {
            overview.bitsReceivedPerSecond = rate.received
            overview.bitsSentPerSecond = rate.sent
        }
        overview.tracks = live.description.tracks.map { track in
            var overview = Self.trackOverview(track, counters)
            (overview.words, overview.silentSeconds) = silences.words(path: path.name, track: track.number, now: now)
            return overview
        }
        overview.tracksLeftOut = live.description.leftOut.map(PeerWords.printable)
        return overview
    }

    private static func trackOverview(_ track: StreamDescription.Track, _ counters: StreamCounters) -> TrackOverview {
        let number = track.number, clockRate = max(track.plan.clockRate, 1)
        return TrackOverview(
            control: track.control, number: number, codec: track.codec.name, clockRate: clockRate, packets: counters[number, .packets],
            bytes: counters[number, .bytes],
            lost: Int64(bitPattern: counters[number, .expected] &- counters[number, .receivedInEpoch]),
            jitterMilliseconds: (Double(counters[number, .jitter]) * 1_000 / Double(clockRate)).tenths,
            keyFrames: counters[number, .keyFrames], waiting: counters[number, .waiting], missing: counters[number, .missing],
            overflows: counters[number, .overflows], packetBytesMax: counters[number, .packetBytesMax],
            packetsFragmented: counters[number, .packetsFragmented], packetsOversize: counters[number, .packetsOversize])
    }

    private static func named<Cause: RawRepresentable<String>>(_ counts: [Cause: UInt64]) -> [String: UInt64] {
        Dictionary(uniqueKeysWithValues: counts.map { ($0.key.rawValue, $0.value) })
    }

    private static func seconds(_ amount: TimeAmount) -> Double { (Double(amount.nanoseconds) / 1e9).tenths }
}

extension ExpressionPaths {
    /// What it makes just now.
    var overview: ExpressionOverview {
        ExpressionOverview(
            name: settings.name, source: PeerWords.printable("\(settings.source)"), instances: instances.count,
            instancesMax: expression.instancesMax, instancesEver: made, instancesRefused: refused, negatives: negativeCount,
            negativesMax: expression.negativesMax, negativeAnswers: negativeAnswers)
    }
}

extension Path {
    /// What the path does, in words.
    var stateWords: String {
        if let sourceWords { return sourceWords }
        if publication != nil { return isPlaying ? "somebody publishes" : "a publisher announced itself and sends nothing yet" }
        return live == nil ? "nobody publishes here yet" : "the publisher left; its readers are held for a while"
    }
}

extension RawRepresentable<String> {
    /// `requestTimeout` as `request_timeout`.
    var snakeCase: String { rawValue.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) } }
}

/// A crowd of sessions, looked at slice by slice; the worst readers are kept.
private final class Crowd {
    private let sessions: [ServerSession]
    private let only: Path?
    private let readersMax: Int
    private let players: [any WindowsMediaReader]
    private var next = 0
    private var isPruned = false
    private var list = Overview.ReaderList()
    private var worst: [(session: ServerSession, sample: ServerSession.Sample)] = []
    private var publishers: [ServerSession] = []

    private static let behindMilliseconds = 1_000.0
    private static let lossyPercent = 1.0

    init(sessions: [ServerSession], players: [any WindowsMediaReader], only: Path?, readersMax: Int) {
        self.sessions = sessions
        self.players = players.filter { only == nil || $0.path === only }
        self.only = only
        self.readersMax = readersMax
    }

    /// Looks at some more; true when that were all.
    func takeSlice(_ count: Int, now: NIODeadline) -> Bool {
        guard next < sessions.count || !isPruned else { return true }
        let end = min(next + count, sessions.count)
        while next < end {
            let session = sessions[next]
            next += 1
            guard session.machine.state != .ended, only == nil || session.path === only else { continue }
            if session.publication != nil {
                publishers.append(session)
                continue
            }
            let sample = session.sample(now: now)
            list.count += 1
            list.byTransport[session.transportWords, default: 0] += 1
            if (sample.lagMilliseconds ?? 0) > Self.behindMilliseconds { list.behind += 1 }
            if (sample.lossPercent ?? 0) >= Self.lossyPercent { list.lossy += 1 }
            if sample.trouble.isSilent { list.silent += 1 }
            worst.append((session, sample))
        }
        // Twice as many as are shown are kept between two sortings, so that sorting costs little of each slice.
        if worst.count > 2 * readersMax + count { prune() }
        guard next == sessions.count else { return false }
        prune()
        isPruned = true
        return true
    }

    private func prune() {
        worst.sort { left, right in
            if left.sample.trouble != right.sample.trouble { return right.sample.trouble < left.sample.trouble }
            // Those who are alike stay in their order from one answer to the next.
            return (left.session.began, left.session.id) < (right.session.began, right.session.id)
        }
        worst.removeSubrange(min(readersMax, worst.count)...)
    }

    /// Makes words of some more of the worst; true when that were all.
    func showSlice(_ count: Int, now: NIODeadline) -> Bool {
        for (session, sample) in worst.prefix(count) where session.machine.state != .ended {
            list.shown.append(session.readerOverview(sample, now: now))
        }
        worst.removeFirst(min(count, worst.count))
        return worst.isEmpty
    }

    /// Puts what was found into an overview.
    func put(into overview: inout Overview, now: NIODeadline) {
        list.count += players.count
        for player in players { list.byTransport[player.transportWords, default: 0] += 1 }
        list.behind += players.count { $0.lagMilliseconds > Self.behindMilliseconds }
        for player in players.sorted(by: { $0.lagMilliseconds > $1.lagMilliseconds }).prefix(max(readersMax - list.shown.count, 0)) {
            list.shown.append(player.readerOverview(now: now))
        }
        overview.readers = list
        overview.publishers = publishers.sorted { $0.path.name < $1.path.name }.map { $0.publisherOverview(now: now) }
    }
}
