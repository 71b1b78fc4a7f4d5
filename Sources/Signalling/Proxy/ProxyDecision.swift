/// What the higher layer of the proxy does for a player: one pure function over all that is known ([MS-RTSP] 4.6, [MS-WMSP] 4.12). The table
/// of `docs/cache.md` is this function, row by row.
package struct ProxyDecision: Sendable, Hashable {
    /// What is to be done.
    package enum Action: Sendable, Hashable {
        /// Ask the origin (one question for all who wait), then decide again with its answer.
        case ask(Question)
        /// Wait until the connection that is being opened is described, then decide again.
        case awaitRole
        /// The player is fed from the connection that there is.
        case join
        /// A connection to the origin is opened as for a broadcast.
        case open(Sharing)
        /// Out of the object that is kept; what is missing of it is fetched.
        case serve
        /// A new object is made, and filled while it is played.
        case keep(Place)
        /// From the origin for this player alone, on a session of its own. `.players`: his words are passed on, and he hears the origin's challenge; what
        /// kind of content it is shows when it is described to him.
        case relay(OriginFacts.Credentials)
        /// The player is sent to the origin.
        case redirect
        /// The player is refused, with this status.
        case refuse(status: Int)
    }

    /// What the origin is asked.
    package enum Question: String, Sendable, Hashable, CaseIterable {
        case contentInfo, describe
    }

    /// Whether others may join a connection.
    package enum Sharing: String, Sendable, Hashable, CaseIterable {
        case shared, `private`
    }

    /// Where a new object lies.
    package enum Place: String, Sendable, Hashable, CaseIterable {
        case disk, memory
    }

    /// What is to be done.
    package var action: Action
    /// The object that is kept is let go of first: nobody new is given it.
    package var discards: Bool
    /// How the request is met, for the log, status and top; nil: not decided yet, refused, or sent elsewhere.
    package var outcome: ProxyOutcome?
    /// Why; nil: not decided yet.
    package var reason: ProxyReason?
    /// What the origin said, as it counts from now on: for the object that is kept (a new age, where ``outcome`` is REVALIDATED), and for the next
    /// hop. Nil: nothing is known.
    package var facts: OriginFacts?

    private init(
        _ action: Action, _ word: ProxyOutcome.Word? = nil, _ reason: ProxyReason? = nil, _ facts: OriginFacts? = nil,
        discards: Bool = false
    ) {
        self.action = action
        self.discards = discards
        self.outcome = word.map { ProxyOutcome($0, reason?.rawValue ?? "") }
        self.reason = reason
        self.facts = facts
    }

    private static func refusal(_ status: Int, _ reason: ProxyReason, discards: Bool = false) -> ProxyDecision {
        ProxyDecision(.refuse(status: status), nil, reason, discards: discards)
    }

    /// Statuses of an origin after which what is kept is not served any more, even when the origin cannot be reached later.
    private static let final: Set<Int> = [403, 404, 410, 451]

    /// Decides. Of what has not been found out yet, it asks for the next thing; with the answer it is called again.
    package static func decide(_ situation: ProxySituation) -> ProxyDecision {
        let decision = freely(situation)
        return decision.needsOrigin(situation) && !situation.mayForward ? refusal(502, .forwardsUsedUp) : decision
    }

    /// Whether something would be asked of the origin on behalf of this request.
    private func needsOrigin(_ situation: ProxySituation) -> Bool {
        switch action {
        case .ask, .open, .keep, .relay: true
        case .serve: situation.stored?.extent != .whole
        case .awaitRole, .join, .redirect, .refuse: false
        }
    }

    private static func freely(_ situation: ProxySituation) -> ProxyDecision {
        let policy = situation.policy
        if situation.isLoop { return refusal(502, .loop) }
        if policy.redirects { return ProxyDecision(.redirect, nil, .redirected) }
        if policy.isBroadcast { return asBroadcast(situation) }
        switch situation.role {
        case .opening: return ProxyDecision(.awaitRole)
        case .receiving(let facts, let players, let isPrivate):
            return beside(situation, facts, hasPlayers: players > 0, isPrivate: isPrivate)
        case .none: break
        }
        switch situation.origin {
        case .notAsked: return unasked(situation)
        case .doesNotSay: return ProxyDecision(.ask(.describe))
        case .says(let facts): return answered(situation, facts)
        case .challenges:
            return ProxyDecision(.relay(.players), .bypass, .challenged, discards: situation.object != nil)
        case .refuses(let status):
            return refusal(status, .originRefused, discards: situation.object != nil && final.contains(status))
        case .unreachable: return unreachable(situation)
        }
    }

    // MARK: Broadcasts

    /// The operator's word for it: shared, whatever it is.
    private static func asBroadcast(_ situation: ProxySituation) -> ProxyDecision {
        switch situation.role {
        case .opening: return ProxyDecision(.join, .split, .operatorShares)
        case .receiving(let facts, _, _): return ProxyDecision(.join, .split, .operatorShares, facts)
        case .none: return ProxyDecision(.open(.shared), .miss, .firstPlayer)
        }
    }

    /// There is a connection that receives the content.
    private static func beside(_ situation: ProxySituation, _ facts: OriginFacts, hasPlayers: Bool, isPrivate: Bool) -> ProxyDecision {
        let (isPermitted, reason) = facts.splitting(situation.policy)
        // What another's password opened is his, also when he has left.
        if facts.credentials == .players { return ProxyDecision(.open(.private), .bypass, .challenged, facts) }
        // It is somewhere among its entries; who comes begins with the first.
        if facts.kind == .playlist { return ProxyDecision(.open(.private), .bypass, .playlist, facts) }
        if !hasPlayers { return ProxyDecision(.join, isPermitted ? .split : .bypass, .idleConnection, facts) }
        if isPermitted, !isPrivate { return ProxyDecision(.join, .split, reason, facts) }
        if isPermitted { return ProxyDecision(.open(.shared), .miss, .firstPlayer, facts) }
        return ProxyDecision(.open(.private), .bypass, reason, facts)
    }

    // MARK: On demand

    /// The origin has not been asked since the player came.
    private static func unasked(_ situation: ProxySituation) -> ProxyDecision {
        guard let object = situation.object, object.isVerified, object.mayStay(object.facts.permission(situation.policy)),
            !object.facts.isAskedEachTime, object.facts.isWithinAge(situation.policy, now: situation.now)
        else { return ProxyDecision(.ask(.contentInfo)) }
        switch object.extent {
        case .whole: return ProxyDecision(.serve, .hit, .fresh, object.facts)
        case .partial where situation.canFill(object): return ProxyDecision(.serve, .hit, .partial, object.facts)
        case .partial, .empty: return ProxyDecision(.ask(.contentInfo))
        }
    }

    /// It answered.
    private static func answered(_ situation: ProxySituation, _ said: OriginFacts) -> ProxyDecision {
        let policy = situation.policy
        // GetContentInfo may tell nothing by which versions differ where Describe does.
        if let object = situation.object, object.facts.hasValidator, !said.hasValidator, !said.isDescribed, said.kind != .broadcast {
            return ProxyDecision(.ask(.describe))
        }
        let old = situation.object.flatMap { $0.facts.isSameVersion(as: said) ? $0 : nil }
        // What was learned of this version before still holds.
        let facts = old.map { $0.facts.updated(by: said) } ?? said
        if facts.credentials == .players {
            return ProxyDecision(.relay(.players), .bypass, .challenged, facts, discards: situation.object != nil)
        }
        if !facts.isDescribed, facts.kind == .unknown || facts.kind == .onDemand && facts.contentBytes == nil {
            return ProxyDecision(.ask(.describe))
        }
        switch facts.kind {
        case .broadcast, .unknown:
            let (isPermitted, reason) = facts.splitting(policy)
            let discards = situation.object != nil
            return isPermitted
                ? ProxyDecision(.open(.shared), .miss, .firstPlayer, facts, discards: discards)
                : ProxyDecision(.open(.private), .bypass, reason, facts, discards: discards)
        case .onDemand, .playlist: break
        }
        let permission = facts.permission(policy)
        if case .nowhere(let reason) = permission {
            // Entry follows entry: that needs a connection as for a broadcast, of his own.
            if facts.kind == .playlist { return ProxyDecision(.open(.private), .bypass, reason, facts, discards: situation.object != nil) }
            // What is kept of another time's permission is not wanted any more; that the operator switched his cache off is not the object's fault.
            return ProxyDecision(
                .relay(facts.credentials), .bypass, reason, facts, discards: situation.object != nil && reason != .cacheOff)
        }
        // One that could never be known again is not looked through, entry by entry, for each player.
        if facts.kind == .playlist, !facts.hasValidator {
            return facts.isDescribed
                ? ProxyDecision(.open(.private), .bypass, .playlist, facts, discards: situation.object != nil)
                : ProxyDecision(.ask(.describe))
        }
        if let old, old.isVerified, old.mayStay(permission) {
            switch old.extent {
            case .whole: return ProxyDecision(.serve, .revalidated, .unchanged, facts)
            case .partial where situation.canFill(old): return ProxyDecision(.serve, .revalidated, .unchangedPartial, facts)
            case .empty where situation.canFill(old): return ProxyDecision(.serve, .miss, .notCached, facts)
            case .partial, .empty: return ProxyDecision(.relay(facts.credentials), .bypass, situation.obstacle, facts)
            }
        }
        if permission == .memory { return ProxyDecision(.keep(.memory), .miss, .noStore, facts, discards: situation.object != nil) }
        let reason: ProxyReason = situation.object == nil ? .notCached : old == nil ? .changed : .damaged
        guard situation.room == .disk else {
            return ProxyDecision(.relay(facts.credentials), .bypass, situation.obstacle, facts, discards: situation.object != nil)
        }
        return ProxyDecision(.keep(.disk), .miss, reason, facts, discards: situation.object != nil)
    }

    /// It could not be asked: refused, or silent.
    private static func unreachable(_ situation: ProxySituation) -> ProxyDecision {
        guard let object = situation.object, object.extent != .empty, object.mayStay(object.facts.permission(situation.policy)) else {
            return refusal(504, .unreachableNotCached)
        }
        guard object.isVerified, object.extent == .whole else { return refusal(504, .unreachablePartial) }
        guard object.facts.isWithinAge(situation.policy, now: situation.now) else { return refusal(504, .unreachableTooOld) }
        guard situation.policy.servesUnreachable else { return refusal(504, .unreachableStaleNever) }
        return ProxyDecision(.serve, .hit, .originUnreachable, object.facts)
    }
}

extension ProxySituation {
    /// What is kept and may be looked at.
    fileprivate var object: Object? {
        policy.keeping == .nothing ? nil : stored
    }

    /// Whether what is missing of an object can be put beside it.
    fileprivate func canFill(_ object: Object) -> Bool { object.place == .memory || room == .disk }

    /// Why nothing can be written.
    fileprivate var obstacle: ProxyReason { room == .none ? .noCacheDirectory : .cacheFailing }
}

extension ProxySituation.Object {
    /// Whether an object that lies where it lies may be used under a permission.
    fileprivate func mayStay(_ permission: OriginFacts.Permission) -> Bool {
        switch permission {
        case .disk: true
        case .memory: place == .memory
        case .nowhere: false
        }
    }
}
