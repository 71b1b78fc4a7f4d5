import Logging
import NIOCore
import Signalling
import WireFormats

/// What all proxies of a relay have together.
struct ProxyCommons {
    /// Nil: nothing is kept on a disk.
    var desk: CacheDesk?
    var settings = CacheSettings(directory: "")
    /// What of all their content may lie in memory.
    var memory = ProxyMemory(bytesMax: 64 << 20)
    var counts = FillCounts()
    var shelf = ProxyShelf()
}

/// Windows Media elsewhere as a path's source: for each player that asks it decides (``ProxyDecision``) whether he is sent what is kept, what others
/// are sent, or something of his own, asks the origin where that has to be, and brings it. Belongs to the event loop.
final class WindowsMediaProxy: PathSource {
    /// What the proxy is made of.
    struct Parts {
        var route: WindowsMediaRoute
        var settings: PathSettings
        var policy: ProxyPolicy
        var commons: ProxyCommons
        var dialler = SourceDialler.tcp
        var eventLoop: any EventLoop
        var logger: Logger
        /// Hears why a player is given nothing, before he does; what it answers is said instead.
        var onRefused: (ProxyRefusal) -> ProxyRefusal = { $0 }
        /// Makes a pull of a broadcast; with a player's own words where he has some.
        var makePull: (_ host: any PathSourceHost, _ credentials: Credentials?) -> WindowsMediaPull
    }

    let parts: Parts
    private(set) weak var host: (any PathSourceHost)?
    /// Under what content of this source is kept; none: nothing can be.
    let keys: [CacheKey]
    private(set) lazy var origin = OriginRoute(parts.route)
    /// What is on demand, as it is given to whoever comes.
    var object: ProxiedObject?
    /// What is a playlist, as it is given to whoever comes.
    var list: ProxiedList?
    /// What the origin said of a playlist that turned out to be none that could be kept.
    var unfitList: OriginFacts?
    /// What is given to one player each, as long as somebody reads it.
    var privateObjects: [ObjectIdentifier: ProxiedObject] = [:]
    /// Connections that receive what is live.
    var roles: [LiveRole] = []
    /// What players were given, for the requests that follow.
    var followUps = ProxyFollowUps()
    /// The search that all share who come with no words of their own.
    var shared: ProxyResolution?
    var isFailing = false
    /// It was found to have something on demand, or something that is not shared.
    var isKnown = false
    var lastWords = "not asked"
    private let pursuit = LevelPursuit()
    private lazy var sweeper = LoopTimer(eventLoop)
    private var nextPlay = 0

    init(_ parts: Parts, host: any PathSourceHost) {
        self.parts = parts
        self.host = host
        keys = (try? CacheKey.candidates(parts.route.origin)) ?? []
    }

    var eventLoop: any EventLoop { parts.eventLoop }
    var logger: Logger { parts.logger }
    var tools: OriginTools { OriginTools(eventLoop: parts.eventLoop, dialler: parts.dialler, logger: parts.logger) }

    /// What is shared of what is live; nil: nothing is, just now.
    var live: (any WindowsMediaLive)? { roles.first { !$0.isPrivate }?.pull ?? roles.first?.pull }

    // MARK: PathSource

    var words: String {
        if let role = roles.first { return role.pull.words }
        if let list { return "playlist, \(list.wholeCount) of \(list.list.entries.count) entries whole, \(list.readerCount) readers" }
        guard let object else { return lastWords }
        let fill = object.fill
        return fill.isWhole ? "whole, \(fill.readerCount) readers" : "\(fill.here.count) packets here, \(fill.readerCount) readers"
    }

    var nextTry: NIODeadline? { roles.first?.pull.nextTry }
    var showsHealth: Bool { false }

    func want(_ level: SourceLevel) {
        pursuit.want(level) { [self] level in
            guard level == .idle else { return }
            letGo()
            host?.sourceReleased()
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        pursuit.end()
        letGo()
        object?.fill.stop()
        object = nil
        list?.stop()
        list = nil
        for object in privateObjects.values { object.fill.stop() }
        privateObjects = [:]
        shared?.retry?.stop()
        shared?.trial?.onTried = nil
        shared?.trial?.release()
        let waiting = shared?.takeWaiters() ?? []
        shared = nil
        for waiter in waiting {
            waiter.done(.failure(PathError.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds)))
        }
        done()
    }

    /// Nobody is interested: what nobody fetches any more is forgotten.
    private func letGo() {
        let roles = roles
        self.roles = []
        for role in roles { role.release() }
        followUps.forgetAll()
        sweeper.stop()
        isKnown = false
        tidy()
    }

    /// What nobody reads is still being fetched (`cache-fill`), or has to be written yet.
    var isFetching: Bool { object?.fill.isActive == true }

    /// Drops what is neither read nor fetched.
    func tidy() {
        if let object, pursuit.level == .idle, !object.fill.isActive {
            self.object = nil
            // Who waited for the rest of it to be fetched waits no longer.
            host?.sourceReleased()
        }
        list?.tidy()
        if let list, pursuit.level == .idle, !list.isActive { self.list = nil }
        for (id, object) in privateObjects where !object.fill.isActive && object.fill.sessionCount == 0 { privateObjects[id] = nil }
    }

    // MARK: Players

    /// Remembers what a player is given, as long as its next request may take: nothing is held for one that does not come.
    func remember(_ ask: ProxyAsk, _ what: ProxyFollowUps.Given) {
        followUps.remember(ask, what, now: .now())
        sweep()
    }

    private func sweep() {
        guard !sweeper.isRunning, !followUps.isEmpty else { return }
        sweeper.start(milliseconds: Int(ProxyFollowUps.keepSeconds) * 1_000) { [weak self] in
            guard let self else { return }
            followUps.expire(now: .now())
            tidy()
            sweep()
        }
    }

    /// Finds what a player is given. `done` is called once, maybe before this returns; what is returned ends the wait.
    func content(for ask: ProxyAsk, of path: Path, _ done: @escaping ProxyResolution.Done) -> (() -> Void)? {
        path.readerArrived()
        var ask = ask
        ask.via = host?.via
        let finish: ProxyResolution.Done = { result in
            done(result)
            path.readerLeft()
        }
        if let known = followUps.take(ask, now: .now()) {
            switch known {
            case .object(let object, let outcome) where object.isPrivate || object.isOfUse:
                finish(.success(.file(object.file(outcome, for: ask.dialect, on: eventLoop))))
                return nil
            case .live(let role) where role.pull.broadcast != nil && role.isFor(ask):
                role.isGiven(to: ask)
                finish(role.pull.broadcast.map { .success(.live($0)) } ?? .failure(PathError.refused("it is over")))
                return nil
            case .list(let list, let outcome) where list.isOfUse:
                begin(list, outcome, for: ask.dialect, path, finish)
                return nil
            case .object, .live, .list: break
            }
        }
        let isNew = shared == nil
        let resolution = shared ?? ProxyResolution()
        shared = resolution
        let number = resolution.add(ProxyResolution.Waiter(ask: ask, done: finish))
        if isNew { look(resolution, path) }
        return { [weak resolution] in
            guard let resolution, resolution.waiters[number] != nil else { return }
            resolution.remove(number)
            path.readerLeft()
        }
    }

    func nextPlayNumber() -> Int {
        nextPlay += 1
        // Those of fills are small.
        return 1_000_000 + nextPlay
    }

    func call(for ask: ProxyAsk?, _ authorization: String?, isCache: Bool) -> OriginCall {
        let settings = parts.settings
        return OriginCall(
            isCache: isCache, asker: ask?.asker, via: ask?.via ?? host?.via, maxForwards: ask?.maxForwards, authorization: authorization,
            silenceMilliseconds: settings.silenceMilliseconds, permits: { settings.permits($0) })
    }
}

/// What players were given last: the Play that follows a Describe is about the same, and the origin is not asked again.
struct ProxyFollowUps {
    enum Given {
        case object(ProxiedObject, ProxyOutcome)
        case list(ProxiedList, ProxyOutcome)
        case live(LiveRole)
    }

    private var given: [String: (given: Given, stage: ProxyAsk.Stage, at: NIODeadline)] = [:]

    /// More players are not remembered: those who are not are found something once more.
    static let countMax = 1_024
    /// How long a player may take for its next request, in seconds.
    static let keepSeconds: Int64 = 10

    mutating func remember(_ ask: ProxyAsk, _ what: Given, now: NIODeadline) {
        guard let player = ask.key else { return }
        if given.count >= Self.countMax { expire(now: now) }
        guard given.count < Self.countMax else { return }
        given[player] = (what, ask.stage, now)
    }

    /// What a later request of the same player is about; nil: it stands alone.
    mutating func take(_ ask: ProxyAsk, now: NIODeadline) -> Given? {
        if ask.stage == .describe, let earlier = ask.earlierKey, let one = given.removeValue(forKey: earlier), let player = ask.key,
            one.stage == .contentInfo
        {
            given[player] = one
        }
        guard let player = ask.key, let one = given[player] else { return nil }
        guard one.stage < ask.stage || ask.stage == .play, now - one.at < .seconds(Self.keepSeconds) else {
            given[player] = nil
            return nil
        }
        given[player] = (one.given, ask.stage, now)
        return one.given
    }

    /// Forgets those who took too long.
    mutating func expire(now: NIODeadline) { given = given.filter { now - $0.value.at < .seconds(Self.keepSeconds) } }

    var isEmpty: Bool { given.isEmpty }

    mutating func forgetAll() { given = [:] }
}
