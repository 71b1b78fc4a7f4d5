import NIOCore
import Signalling
import WireFormats

/// A connection to an origin that receives a broadcast: for all players, or for one alone. Belongs to the event loop.
final class LiveRole {
    /// What the origin said of it.
    private(set) var facts: OriginFacts
    /// It was opened for one player, and others may not share it.
    let isPrivate: Bool
    /// How whoever made it open was met.
    private(set) var outcome: ProxyOutcome
    private(set) lazy var pull = makePull()
    /// Once, where it is not known yet what it will receive: what that is, and whether this takes it; nil: nothing could be had.
    var onTried: ((_ said: OriginFacts?, _ isTaken: Bool) -> Void)?
    /// It was let go of.
    var onReleased: (() -> Void)?
    /// It failed, and nothing has come since: what the origin has by now may be something else.
    private(set) var isFailing = false
    /// Whom it was given last, by what his requests belong together.
    private var owner: String?
    private var claim: (until: NIODeadline, plays: UInt64)?

    private let make: (any PathSourceHost) -> WindowsMediaPull
    private weak var host: (any PathSourceHost)?
    private let eventLoop: any EventLoop
    private let timer: LoopTimer
    private var idleChecks = 0
    private var isOver = false

    /// How often a private one is looked at, and how often in a row without a player ends it.
    private static let checkMilliseconds = 2_000
    private static let idleChecksMax = 5

    /// `make` makes the pull for its host.
    init(
        facts: OriginFacts, isPrivate: Bool, outcome: ProxyOutcome, host: (any PathSourceHost)?, on eventLoop: any EventLoop,
        _ make: @escaping (any PathSourceHost) -> WindowsMediaPull
    ) {
        self.facts = facts
        self.isPrivate = isPrivate
        self.outcome = outcome
        self.host = host
        self.eventLoop = eventLoop
        timer = LoopTimer(eventLoop)
        self.make = make
    }

    private func makePull() -> WindowsMediaPull {
        let pull = make(self)
        pull.proxied = proxied(pull.origin)
        pull.wasAsked = true
        return pull
    }

    private func proxied(_ origin: String) -> ProxiedContent {
        ProxiedContent(outcome: outcome, origin: origin, events: facts.cacheControl?.events ?? [], isCached: false, facts: facts)
    }

    /// Players that it feeds now.
    var players: Int { pull.broadcast?.playerCount ?? 0 }

    /// Nobody has it, waits for it, or was described it a moment ago.
    var isIdle: Bool {
        guard players == 0, pull.waiting.count == 0 else { return false }
        guard let claim else { return true }
        return claim.until <= .now() || (pull.broadcast?.playsBegun ?? 0) != claim.plays
    }

    /// Whoever asks is given it: until he plays nobody else may take it for idle.
    func isGiven(to ask: ProxyAsk) {
        owner = ask.key
        claim = (.now() + .seconds(ProxyFollowUps.keepSeconds), pull.broadcast?.playsBegun ?? 0)
    }

    /// It is his whom it was given, if it is anybody's.
    func isFor(_ ask: ProxyAsk) -> Bool { !isPrivate || owner != nil && owner == ask.key }

    /// The origin was asked again while it failed, and said the same kind of thing: it is tried again at once.
    func renew(_ facts: OriginFacts, _ outcome: ProxyOutcome) {
        self.facts = facts
        self.outcome = outcome
        pull.proxied = proxied(pull.origin)
        pull.want(.playing)
    }

    /// Begins.
    func open() {
        pull.want(.playing)
        if isPrivate { watch() }
    }

    /// Begins without having asked: with what is live and may be shared it goes on, anything else it lets go of. For origins that bear one
    /// connection alone.
    func attempt(_ policy: ProxyPolicy) {
        pull.accepts = { [weak self] said in self?.takes(said, policy) ?? true }
        pull.want(.playing)
    }

    private func takes(_ said: OriginFacts, _ policy: ProxyPolicy) -> Bool {
        guard onTried != nil else { return true }
        let isTaken = [.broadcast, .unknown].contains(said.kind) && said.splitting(policy).isPermitted
        if isTaken {
            facts = said
            outcome = ProxyOutcome(.split, said.splitting(policy).reason.rawValue)
            pull.proxied = proxied(pull.origin)
        }
        tried(said, isTaken)
        return isTaken
    }

    private func tried(_ said: OriginFacts?, _ isTaken: Bool) {
        guard let onTried else { return }
        self.onTried = nil
        // Not while the pull says something.
        eventLoop.assumeIsolated().execute { onTried(said, isTaken) }
    }

    /// Nobody will be sent it any more once the player that it was opened for has left.
    private func watch() {
        timer.start(milliseconds: Self.checkMilliseconds) { [weak self] in
            guard let self, !isOver else { return }
            idleChecks = isIdle ? idleChecks + 1 : 0
            if idleChecks >= Self.idleChecksMax { release() } else { watch() }
        }
    }

    /// Lets go of the origin; whoever waits for it hears why.
    func release(_ words: String = WindowsMediaPull.stopWords) {
        guard !isOver else { return }
        isOver = true
        timer.stop()
        pull.partingWords = words
        pull.stop {}
        let onReleased = onReleased
        self.onReleased = nil
        onReleased?()
    }
}

extension LiveRole: PathSourceHost {
    var isAwaited: Bool { host?.isAwaited ?? false }
    var via: String? { host?.via }
    var maxForwards: Int? { host?.maxForwards }
    var asker: SourceAsker? { host?.asker }

    func sourcePlays() {
        isFailing = false
        host?.sourcePlays()
    }
    func sourceBrought(_ bytes: Int) { host?.sourceBrought(bytes) }

    func sourceFailed(_ words: String) {
        isFailing = true
        if onTried != nil { tried(nil, false) } else { host?.sourceFailed(words) }
    }

    func sourceDropped(_ datagrams: UInt64) { host?.sourceDropped(datagrams) }
    func sourceRefused(_ status: RTSPStatus) { host?.sourceRefused(status) }
    func sourceTurnsOut(windowsMedia: Bool) -> Bool { host?.sourceTurnsOut(windowsMedia: windowsMedia) ?? false }
    func sourceReleased() {}

    func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription { throw PathError.refused("it is RTP, not Windows Media") }
    func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription? { nil }
    func mediaBegins() {}
}
