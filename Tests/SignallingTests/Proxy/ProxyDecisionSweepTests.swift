import Signalling
import Testing
import WireFormats

/// What must hold in every situation that there can be: all combinations of what is looked at.
struct ProxyDecisionSweepTests {
    typealias Rows = ProxyDecisionTests
    typealias Facts = OriginFactsTests

    static let said: [OriginFacts] = {
        let controls: [String?] = [
            nil, "no-cache", Facts.file, "no-cache, proxy-public, max-age=60", "no-cache, public, no-store, max-age=60", "private",
            "no-cache, x-wms-stream-type=\"broadcast\", x-wms-proxy-split", "no-cache, x-wms-stream-type=\"playlist\", public, max-age=60",
        ]
        var all: [OriginFacts] = []
        for control in controls {
            for dialect in [OriginFacts.Dialect.wmsp, .msRTSP] {
                for tag in ["\"1\"", "\"2\"", nil] {
                    for length in [OriginFacts.HeaderLength.whole(bytes: 9), .open, nil] {
                        for credentials in OriginFacts.Credentials.allCases {
                            all.append(
                                Facts.facts(control, dialect, etag: tag, length: length, credentials: credentials, at: 1_030))
                        }
                    }
                }
            }
        }
        return all
    }()

    static let origins: [ProxySituation.Origin] =
        said.map { .says($0) } + [.notAsked, .doesNotSay, .challenges, .refuses(status: 403), .refuses(status: 503), .unreachable]

    static let stored: [ProxySituation.Object?] = {
        var all: [ProxySituation.Object?] = [nil]
        for facts in [Rows.lasting, Rows.file] {
            for extent in ProxySituation.Object.Extent.allCases {
                for place in ProxyDecision.Place.allCases {
                    for isVerified in [true, false] {
                        var facts = facts
                        if place == .memory { facts.cacheControl?.flags.insert(.noStore) }
                        all.append(.init(facts: facts, extent: extent, isVerified: isVerified, place: place))
                    }
                }
            }
        }
        return all
    }()

    static let policies: [ProxyPolicy] = {
        var all: [ProxyPolicy] = []
        for keeping in ProxyPolicy.Keeping.allCases {
            for bits in 0..<4 {
                var policy = ProxyPolicy()
                policy.keeping = keeping
                policy.servesUnreachable = bits & 1 == 0
                policy.sharesOperators = bits & 2 != 0
                policy.isConfigured = bits & 1 == 0
                policy.keepsPlaylists = bits & 2 != 0
                all.append(policy)
            }
        }
        return all
    }()

    @Test("without a connection", arguments: policies) func onDemand(_ policy: ProxyPolicy) {
        for origin in Self.origins {
            for stored in Self.stored {
                for room in ProxySituation.Room.allCases {
                    for mayForward in [true, false] {
                        for now: Int64 in origin == .notAsked || origin == .unreachable ? [1_030, 90_000] : [1_030] {
                            let situation = ProxySituation(
                                policy: policy, stored: stored, origin: origin, room: room, mayForward: mayForward, now: now)
                            if let broken = Self.breach(situation, ProxyDecision.decide(situation)) {
                                Issue.record("\(broken): \(situation)")
                                return
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("beside a connection", arguments: policies) func live(_ policy: ProxyPolicy) {
        for facts in Self.said {
            for players in [0, 1, 5] {
                for isPrivate in [true, false] {
                    for mayForward in [true, false] {
                        let role = ProxySituation.Role.receiving(facts, players: players, isPrivate: isPrivate)
                        let situation = ProxySituation(policy: policy, role: role, mayForward: mayForward, now: 1_030)
                        let decision = ProxyDecision.decide(situation)
                        if let broken = Self.breach(situation, decision) {
                            Issue.record("\(broken): \(situation)")
                            return
                        }
                        // Two at one connection only where that may be, and none at what another's password opened.
                        if decision.action == .join, players > 0 {
                            #expect(!isPrivate && facts.splitting(policy).isPermitted && facts.credentials != .players)
                        }
                        if facts.credentials == .players { #expect(decision.action != .join && decision.action != .open(.shared)) }
                    }
                }
            }
        }
    }

    /// What is broken; nil: nothing.
    static func breach(_ situation: ProxySituation, _ decision: ProxyDecision) -> String? {
        let object = situation.policy.keeping == .nothing ? nil : situation.stored
        var said: OriginFacts?
        if case .says(let facts) = situation.origin { said = facts }
        let needsOrigin: Bool
        switch decision.action {
        case .ask(let question):
            needsOrigin = true
            if question == .describe, said?.isDescribed == true { return "asked again for what was said" }
            if question == .contentInfo, situation.origin != .notAsked { return "asked again" }
        case .awaitRole, .redirect: needsOrigin = false
        case .join:
            needsOrigin = false
            if situation.role == .none { return "nothing to join" }
        case .open: needsOrigin = true
        case .serve:
            guard let object else { return "nothing to serve" }
            needsOrigin = object.extent != .whole
            if !object.isVerified { return "damaged" }
            if situation.origin == .challenges || said?.credentials == .players { return "challenged" }
            if case .refuses = situation.origin { return "refused" }
            if let said, !object.facts.isSameVersion(as: said) { return "the old version" }
            if situation.origin == .notAsked, object.facts.isAskedEachTime { return "not asked" }
            if situation.origin == .notAsked || situation.origin == .unreachable,
                !object.facts.isWithinAge(situation.policy, now: situation.now)
            {
                return "too old"
            }
            if object.extent != .whole, object.place == .disk, situation.room != .disk { return "cannot be filled" }
        case .keep(let place):
            needsOrigin = true
            guard let said else { return "kept without a word" }
            if said.credentials == .players || said.credentials == .operators && !situation.policy.sharesOperators {
                return "kept and challenged"
            }
            if place == .disk, situation.room != .disk { return "no room" }
            if place == .disk, decision.facts?.cacheControl?.flags.contains(.noStore) == true { return "no-store on a disk" }
            if situation.policy.keeping == .nothing { return "kept against the operator" }
            if object != nil, !decision.discards { return "two objects" }
        case .relay: needsOrigin = true
        case .refuse: needsOrigin = false
        }
        if needsOrigin, !situation.mayForward { return "forwarded further than it may be" }
        let isDecided: Bool
        switch decision.action {
        case .ask, .awaitRole, .redirect, .refuse: isDecided = false
        case .join, .open, .serve, .keep, .relay: isDecided = true
        }
        if (decision.outcome != nil) != isDecided { return "a word where nothing is decided, or none" }
        if let outcome = decision.outcome, outcome.reason != decision.reason?.rawValue { return "another reason" }
        return nil
    }
}
