import NIOCore
import Signalling
import WireFormats

/// What players are given that is not kept: a session of their own, and what is live.
extension WindowsMediaProxy {
    // MARK: For one player each

    func relay(
        _ credentials: OriginFacts.Credentials, _ decision: ProxyDecision, _ outcome: ProxyOutcome, _ resolution: ProxyResolution,
        _ path: Path
    ) {
        // Entry follows entry: that needs a connection as for a broadcast, of his own.
        if decision.facts?.kind == .playlist, credentials != .players { return passList(decision, outcome, resolution, path) }
        let opened = resolution.opened
        resolution.opened = nil
        var first = credentials == .players ? nil : opened
        if first == nil { opened?.play.leave() }
        for waiter in finish(resolution) {
            if let (play, description) = first {
                first = nil
                pass(play, description, waiter, nil, outcome)
            } else {
                pass(waiter, isPlayers: credentials == .players, resolution.challenge, outcome, path)
            }
        }
    }

    /// Opens a session for one player, with his own words where the origin wants some.
    func pass(
        _ waiter: ProxyResolution.Waiter, isPlayers: Bool, _ challenge: PassedChallenge?, _ outcome: ProxyOutcome, _ path: Path
    ) {
        var authorization: String?
        if isPlayers {
            authorization = waiter.ask.authorization.flatMap { PassedAuthorization.mayPass($0, uri: target) ? $0 : nil }
            // Whoever says nothing hears what the origin asks.
            if authorization == nil, let challenge { return waiter.done(.failure(ProxyRefusal.challenged(challenge.lines))) }
        }
        openSession(for: waiter.ask, authorization, isCache: false) { [weak self] play, opened in
            guard let self else { return play.leave() }
            switch opened {
            case .described(let description)
            where description.statement.isBroadcast || description.isPlaylist || description.packetCount == nil:
                play.leave()
                let facts = OriginFacts(description, isPlayers: isPlayers)
                openPrivate(facts, outcome, waiter, authorization, path)
            case .described(let description): pass(play, description, waiter, authorization, outcome)
            case .ended(let end): waiter.done(.failure(ProxyRefusal(end)))
            }
        }
    }

    func pass(
        _ play: ObjectPlay, _ description: OriginPlay.Description, _ waiter: ProxyResolution.Waiter, _ authorization: String?,
        _ outcome: ProxyOutcome
    ) {
        let facts = OriginFacts(description, isPlayers: authorization != nil)
        let object = makeObject(
            description.header, description.packetCount, facts, stored: nil, description, isPrivate: true, (waiter.ask, authorization), nil)
        privateObjects[ObjectIdentifier(object)] = object
        object.fill.onChange(self) { [weak self] in self?.tidy() }
        object.fill.adopt(play)
        give(object, outcome, waiter)
        host?.sourcePlays()
    }

    /// What the origin is asked for, as `Authorization` names it.
    var target: String {
        switch parts.route.ways[0] {
        case .http(let url): url.target
        case .rtsp(let url, _): url.request
        }
    }

    // MARK: What is live

    func join(_ resolution: ProxyResolution, _ path: Path) {
        guard let role = chosenRole else {
            return refuse(resolution, PathError.notReady("the connection to the origin went", retryAfterSeconds: 5))
        }
        for (index, waiter) in finish(resolution).enumerated() {
            // What must not be shared is one player's: those who asked with him get their own.
            if role.isPrivate, index > 0 {
                openPrivate(role.facts, role.outcome, waiter, nil, path)
            } else {
                give(role, waiter, path)
            }
        }
    }

    /// A shared connection if there is one, else one without a player, else a private one. One that fails and feeds nobody does not count: what
    /// the origin has by now is asked.
    var chosenRole: LiveRole? {
        // What one player is sent of a playlist says nothing of how others are met, where it may be kept.
        let sound = roles.filter {
            (!$0.isFailing || $0.players > 0) && (!parts.policy.keepsPlaylists || !$0.isPrivate || $0.facts.kind != .playlist)
        }
        return sound.first { !$0.isPrivate } ?? sound.first(where: \.isIdle) ?? sound.first
    }

    /// A shared connection that fails just now.
    var failingRole: LiveRole? { roles.first { !$0.isPrivate && $0.isFailing && $0.players == 0 } }

    func give(_ role: LiveRole, _ waiter: ProxyResolution.Waiter, _ path: Path) {
        if role.isPrivate { remember(waiter.ask, .live(role)) }
        role.isGiven(to: waiter.ask)
        role.pull.broadcast(of: path) { result in
            role.isGiven(to: waiter.ask)
            waiter.done(result.map { .live($0) }.mapError { $0 })
        }
    }

    func open(
        _ sharing: ProxyDecision.Sharing, _ facts: OriginFacts?, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ path: Path
    ) {
        let facts = facts ?? OriginFacts(dialect: .wmsp, saidAt: CacheClock.now())
        let waiters = finish(resolution)
        switch sharing {
        case .shared:
            // Those after the first one are split off it.
            let outcome = ProxyOutcome(.split, facts.splitting(parts.policy).reason.rawValue)
            let failing = failingRole
            failing?.renew(facts, outcome)
            let role = failing ?? role(facts, isPrivate: false, outcome, nil)
            for waiter in waiters { give(role, waiter, path) }
        // Another player's words are his: this one says his own.
        case .private where facts.credentials == .players:
            for waiter in waiters { pass(waiter, isPlayers: true, resolution.challenge, outcome, path) }
        case .private:
            for waiter in waiters { openPrivate(facts, outcome, waiter, nil, path) }
        }
    }

    func openPrivate(
        _ facts: OriginFacts, _ outcome: ProxyOutcome, _ waiter: ProxyResolution.Waiter, _ authorization: String?, _ path: Path
    ) {
        guard roles.count < Self.rolesMax else {
            return waiter.done(
                .failure(PathError.notReady("\(Self.rolesMax) players have a connection of their own already", retryAfterSeconds: 5)))
        }
        give(role(facts, isPrivate: true, outcome, authorization.flatMap(Credentials.init(authorization:))), waiter, path)
    }

    /// Connections for single players of one broadcast.
    static var rolesMax: Int { 256 }

    func role(_ facts: OriginFacts, isPrivate: Bool, _ outcome: ProxyOutcome, _ credentials: Credentials?) -> LiveRole {
        let role = LiveRole(facts: facts, isPrivate: isPrivate, outcome: outcome, host: host, on: eventLoop) { [parts] in
            parts.makePull($0, credentials)
        }
        add(role)
        role.open()
        return role
    }

    func add(_ role: LiveRole) {
        guard !roles.contains(where: { $0 === role }) else { return }
        roles.append(role)
        role.onReleased = { [weak self, weak role] in self?.roles.removeAll { $0 === role } }
    }
}
