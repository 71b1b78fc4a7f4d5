import Signalling
import Testing
import WireFormats

/// The table of docs/cache.md, row by row.
struct ProxyDecisionTests {
    typealias Facts = OriginFactsTests

    /// A row: what there is, and what is done about it.
    struct Row: CustomTestStringConvertible, Sendable {
        var name: String
        var situation: ProxySituation
        var action: ProxyDecision.Action
        var word: ProxyOutcome.Word?
        var reason: ProxyReason?
        var discards = false
        var testDescription: String { name }

        init(
            _ name: String, _ action: ProxyDecision.Action, _ word: ProxyOutcome.Word? = nil, _ reason: ProxyReason? = nil,
            discards: Bool = false,
            _ change: (inout ProxySituation) -> Void
        ) {
            self.name = name
            self.action = action
            self.word = word
            self.reason = reason
            self.discards = discards
            situation = ProxySituation(now: 1_030)
            change(&situation)
        }
    }

    /// Said at 1,000 and good for 60 s; asked about only then.
    static let lasting = Facts.facts("no-cache, proxy-public, max-age=60, x-wms-content-size=923118", etag: "\"1\"", modified: "Sun")
    /// As servers of files say it: asked about each time.
    static let file = Facts.facts(Facts.file, etag: "\"1\"", modified: "Sun")
    static let live = Facts.facts("no-cache, x-wms-stream-type=\"broadcast\", x-wms-proxy-split", length: nil)
    static let unsplit = Facts.facts("no-cache, x-wms-stream-type=\"broadcast\"", length: nil)

    static let playlist = Facts.facts("no-cache, x-wms-stream-type=\"playlist\", x-wms-proxy-split", length: nil)

    /// One that may be kept.
    static func list(_ etag: String?, length: OriginFacts.HeaderLength? = .open) -> OriginFacts {
        Facts.facts("no-cache, public, max-age=60, x-wms-stream-type=\"playlist\"", etag: etag, length: length)
    }

    static func later(_ facts: OriginFacts, _ change: (inout OriginFacts) -> Void = { _ in }) -> OriginFacts {
        var facts = facts
        facts.saidAt = 1_030
        change(&facts)
        return facts
    }

    static let rows: [Row] = [
        // Before anything else.
        Row("the request was here before", .refuse(status: 502), nil, .loop) { $0.isLoop = true },
        Row("… however fresh the object is", .refuse(status: 502), nil, .loop) {
            ($0.isLoop, $0.stored) = (true, .init(facts: lasting, extent: .whole))
        },
        Row("players are redirected", .redirect, nil, .redirected) { $0.policy.redirects = true },

        // broadcast: yes
        Row("shared by the operator's word, the first", .open(.shared), .miss, .firstPlayer) { $0.policy.isBroadcast = true },
        Row("… one that opens", .join, .split, .operatorShares) { ($0.policy.isBroadcast, $0.role) = (true, .opening) },
        Row("… one that receives, of whatever kind", .join, .split, .operatorShares) {
            ($0.policy.isBroadcast, $0.role) = (true, .receiving(file, players: 3, isPrivate: false))
        },
        Row("… an object is not looked at", .open(.shared), .miss, .firstPlayer) {
            ($0.policy.isBroadcast, $0.stored) = (true, .init(facts: lasting, extent: .whole))
        },

        // Broadcasts: a connection exists.
        Row("one opens", .awaitRole) { $0.role = .opening },
        Row("split", .join, .split, .proxySplit) { $0.role = .receiving(live, players: 2, isPrivate: false) },
        Row("split, the origin says nothing", .join, .split, .originSilent) {
            $0.role = .receiving(Facts.facts(nil, length: .open), players: 1, isPrivate: false)
        },
        Row("split by the operator's word", .join, .split, .operatorShares) {
            ($0.policy.splitting, $0.role) = (.always, .receiving(unsplit, players: 1, isPrivate: false))
        },
        Row("no player yet, split permitted", .join, .split, .idleConnection) { $0.role = .receiving(live, players: 0, isPrivate: false) },
        Row("no player yet, split not permitted: reused", .join, .bypass, .idleConnection) {
            $0.role = .receiving(unsplit, players: 0, isPrivate: true)
        },
        Row("another has it, split not permitted", .open(.private), .bypass, .noSplitPermission) {
            $0.role = .receiving(unsplit, players: 1, isPrivate: true)
        },
        Row("another has it, the operator shares nothing", .open(.private), .bypass, .splitOff) {
            ($0.policy.splitting, $0.role) = (.never, .receiving(live, players: 1, isPrivate: false))
        },
        Row("only a private one has it, split permitted", .open(.shared), .miss, .firstPlayer) {
            $0.role = .receiving(live, players: 1, isPrivate: true)
        },
        Row("another has the playlist", .open(.private), .bypass, .playlist) {
            $0.role = .receiving(playlist, players: 1, isPrivate: true)
        },
        Row("… had it, and it is somewhere among its entries", .open(.private), .bypass, .playlist) {
            $0.role = .receiving(playlist, players: 0, isPrivate: true)
        },
        Row("another's password opened it", .open(.private), .bypass, .challenged) {
            $0.role = .receiving(later(live) { $0.credentials = .players }, players: 1, isPrivate: true)
        },
        Row("… also when he has left", .open(.private), .bypass, .challenged) {
            $0.role = .receiving(later(live) { $0.credentials = .players }, players: 0, isPrivate: true)
        },
        Row("… also where the operator shares", .open(.private), .bypass, .challenged) {
            ($0.policy.splitting, $0.role) = (.always, .receiving(later(live) { $0.credentials = .players }, players: 1, isPrivate: false))
        },
        Row("the operator's password opened it", .join, .split, .proxySplit) {
            $0.role = .receiving(later(live) { $0.credentials = .operators }, players: 1, isPrivate: false)
        },

        // Broadcasts: none exists.
        Row("live, split permitted", .open(.shared), .miss, .firstPlayer) { $0.origin = .says(live) },
        Row("live, split not permitted", .open(.private), .bypass, .noSplitPermission) { $0.origin = .says(unsplit) },
        Row("said nothing by which it could be told, described", .open(.shared), .miss, .firstPlayer) {
            $0.origin = .says(Facts.facts(nil, length: .open))
        },
        Row("… not described yet", .ask(.describe)) { $0.origin = .says(Facts.facts(nil, length: nil)) },
        Row("… through the forward proxy", .open(.private), .bypass, .noSplitPermission) {
            ($0.policy.isConfigured, $0.origin) = (false, .says(Facts.facts(nil, length: .open)))
        },
        Row("what was on demand is live now", .open(.shared), .miss, .firstPlayer, discards: true) {
            ($0.origin, $0.stored) = (.says(live), .init(facts: file, extent: .whole))
        },

        // Nothing is here.
        Row("nothing known", .ask(.contentInfo)) { _ in },
        Row("GetContentInfo is unknown to it", .ask(.describe)) { $0.origin = .doesNotSay },
        Row("its size is not known yet", .ask(.describe)) {
            $0.origin = .says(Facts.facts("no-cache, public", features: .seekable, length: nil))
        },
        Row("may be kept", .keep(.disk), .miss, .notCached) { $0.origin = .says(later(file)) },
        Row("may be kept in memory", .keep(.memory), .miss, .noStore) {
            $0.origin = .says(later(file) { $0.cacheControl?.flags.insert(.noStore) })
        },
        Row("… also without a directory", .keep(.memory), .miss, .noStore) {
            ($0.room, $0.origin) = (.none, .says(later(file) { $0.cacheControl?.flags.insert(.noStore) }))
        },
        Row("too much for memory", .relay(.none), .bypass, .noStore) {
            ($0.policy.memoryBytesMax, $0.origin) = (5, .says(later(file) { $0.cacheControl?.flags.insert(.noStore) }))
        },
        Row("no directory", .relay(.none), .bypass, .noCacheDirectory) { ($0.room, $0.origin) = (.none, .says(later(file))) },
        Row("the directory cannot be written to", .relay(.none), .bypass, .cacheFailing) {
            ($0.room, $0.origin) = (.failing, .says(later(file)))
        },
        Row("cache: no", .relay(.none), .bypass, .cacheOff) { ($0.policy.keeping, $0.origin) = (.nothing, .says(later(file))) },
        Row("no permission", .relay(.none), .bypass, .noPermission) { $0.origin = .says(Facts.facts("no-cache, max-age=60")) },
        Row("no-cache over RTSP", .relay(.none), .bypass, .noCache) { $0.origin = .says(Facts.facts("no-cache", .msRTSP)) },
        Row("private", .relay(.none), .bypass, .private) { $0.origin = .says(Facts.facts("no-cache, private, public")) },
        Row("it varies", .relay(.none), .bypass, .varies) { $0.origin = .says(Facts.facts(Facts.file, vary: ["Cookie"])) },
        Row("too large", .relay(.none), .bypass, .tooLarge) { ($0.policy.diskBytesMax, $0.origin) = (5, .says(later(file))) },
        Row("of no size", .relay(.none), .bypass, .sizeUnknown) {
            $0.origin = .says(Facts.facts("no-cache, public", length: .whole(bytes: nil)))
        },
        Row("a playlist", .open(.private), .bypass, .playlist) {
            $0.origin = .says(Facts.facts("no-cache, public, x-wms-stream-type=\"playlist\""))
        },
        Row("… that is kept", .keep(.disk), .miss, .notCached) {
            ($0.policy.keepsPlaylists, $0.origin) = (true, .says(list("\"1\"")))
        },
        Row("… by what nobody could know it again", .open(.private), .bypass, .playlist) {
            ($0.policy.keepsPlaylists, $0.origin) = (true, .says(list(nil)))
        },
        Row("… as far as was said", .ask(.describe)) {
            ($0.policy.keepsPlaylists, $0.origin) = (true, .says(list(nil, length: nil)))
        },
        Row("… is here", .serve, .revalidated, .unchanged) {
            ($0.policy.keepsPlaylists, $0.origin) = (true, .says(list("\"1\"")))
            $0.stored = .init(facts: list("\"1\""), extent: .whole)
        },
        Row("… is here in part", .serve, .revalidated, .unchangedPartial) {
            ($0.policy.keepsPlaylists, $0.origin) = (true, .says(list("\"1\"")))
            $0.stored = .init(facts: list("\"1\""), extent: .partial)
        },
        Row("… was edited", .keep(.disk), .miss, .changed, discards: true) {
            ($0.policy.keepsPlaylists, $0.origin) = (true, .says(list("\"2\"")))
            $0.stored = .init(facts: list("\"1\""), extent: .whole)
        },
        Row("… is here, and its origin is away", .serve, .hit, .originUnreachable) {
            ($0.policy.keepsPlaylists, $0.origin) = (true, .unreachable)
            $0.stored = .init(facts: list("\"1\""), extent: .whole)
        },
        Row("nothing is said, forced", .keep(.disk), .miss, .notCached) {
            ($0.policy.keeping, $0.origin) = (.forced, .says(Facts.facts(nil)))
        },
        Row("the operator's password", .relay(.operators), .bypass, .operatorsCredentials) {
            $0.origin = .says(later(file) { $0.credentials = .operators })
        },
        Row("… kept for others", .keep(.disk), .miss, .notCached) {
            ($0.policy.sharesOperators, $0.origin) = (true, .says(later(file) { $0.credentials = .operators }))
        },
        Row("it wants to know who asks", .relay(.players), .bypass, .challenged) { $0.origin = .challenges },
        Row("… and was told by a player", .relay(.players), .bypass, .challenged) {
            $0.origin = .says(later(file) { $0.credentials = .players })
        },
        Row("its answer is no", .refuse(status: 404), nil, .originRefused) { $0.origin = .refuses(status: 404) },
        Row("it cannot be reached", .refuse(status: 504), nil, .unreachableNotCached) { $0.origin = .unreachable },

        // Something is here, and the origin was not asked.
        Row("fresh", .serve, .hit, .fresh) { $0.stored = .init(facts: lasting, extent: .whole) },
        Row("fresh in memory", .serve, .hit, .fresh) {
            ($0.stored, $0.room) = (.init(facts: lasting, extent: .whole, place: .memory), .none)
        },
        Row("fresh and not all of it", .serve, .hit, .partial) { $0.stored = .init(facts: lasting, extent: .partial) },
        Row("… and nothing can be written", .ask(.contentInfo)) {
            ($0.stored, $0.room) = (.init(facts: lasting, extent: .partial), .failing)
        },
        Row("fresh and nothing of it", .ask(.contentInfo)) { $0.stored = .init(facts: lasting, extent: .empty) },
        Row("fresh and damaged", .ask(.contentInfo)) { $0.stored = .init(facts: lasting, extent: .whole, isVerified: false) },
        Row("too old", .ask(.contentInfo)) { ($0.stored, $0.now) = (.init(facts: lasting, extent: .whole), 1_060) },
        Row("said in the future", .ask(.contentInfo)) { ($0.stored, $0.now) = (.init(facts: lasting, extent: .whole), 999) },
        Row("*-revalidate", .ask(.contentInfo)) { $0.stored = .init(facts: file, extent: .whole) },
        Row("cache: no, since", .ask(.contentInfo)) { ($0.policy.keeping, $0.stored) = (.nothing, .init(facts: lasting, extent: .whole)) },

        // Something is here, and the origin answered.
        Row("unchanged", .serve, .revalidated, .unchanged) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole), .says(later(file)))
        },
        Row("unchanged, not all of it", .serve, .revalidated, .unchangedPartial) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .partial), .says(later(file)))
        },
        Row("unchanged, nothing of it yet", .serve, .miss, .notCached) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .empty), .says(later(file)))
        },
        Row("unchanged, all of it, nothing can be written", .serve, .revalidated, .unchanged) {
            ($0.stored, $0.origin, $0.room) = (.init(facts: file, extent: .whole), .says(later(file)), .failing)
        },
        Row("unchanged, not all of it, nothing can be written", .relay(.none), .bypass, .cacheFailing) {
            ($0.stored, $0.origin, $0.room) = (.init(facts: file, extent: .partial), .says(later(file)), .failing)
        },
        Row("unchanged, in memory", .serve, .revalidated, .unchangedPartial) {
            let facts = later(file) { $0.cacheControl?.flags.insert(.noStore) }
            ($0.stored, $0.origin, $0.room) = (.init(facts: facts, extent: .partial, place: .memory), .says(facts), .none)
        },
        Row("unchanged, and no-store now", .keep(.memory), .miss, .noStore, discards: true) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole), .says(later(file) { $0.cacheControl?.flags.insert(.noStore) }))
        },
        Row("unchanged, and no permission any more", .relay(.none), .bypass, .noPermission, discards: true) {
            ($0.stored, $0.origin) = (
                .init(facts: file, extent: .whole), .says(later(file) { $0.cacheControl = .init(["no-cache, max-age=9"]) })
            )
        },
        Row("unchanged and damaged", .keep(.disk), .miss, .damaged, discards: true) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole, isVerified: false), .says(later(file)))
        },
        Row("changed", .keep(.disk), .miss, .changed, discards: true) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole), .says(later(file) { $0.etag = "\"2\"" }))
        },
        Row("changed, and nothing can be written", .relay(.none), .bypass, .cacheFailing, discards: true) {
            ($0.stored, $0.origin, $0.room) = (.init(facts: file, extent: .whole), .says(later(file) { $0.etag = "\"2\"" }), .failing)
        },
        Row("it tells nothing by which it could be known, not described", .ask(.describe)) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole), .says(Facts.facts(Facts.file, length: nil)))
        },
        Row("… described", .keep(.disk), .miss, .changed, discards: true) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole), .says(Facts.facts(Facts.file)))
        },
        Row("its kind is told by what is here", .serve, .revalidated, .unchanged) {
            let said = Facts.facts("no-cache, proxy-public", etag: "\"1\"", length: nil)
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole), .says(said))
        },
        Row("it wants to know who asks, now", .relay(.players), .bypass, .challenged, discards: true) {
            ($0.stored, $0.origin) = (.init(facts: lasting, extent: .whole), .challenges)
        },
        Row("it is gone", .refuse(status: 410), nil, .originRefused, discards: true) {
            ($0.stored, $0.origin) = (.init(facts: lasting, extent: .whole), .refuses(status: 410))
        },
        Row("it is busy", .refuse(status: 503), nil, .originRefused) {
            ($0.stored, $0.origin) = (.init(facts: lasting, extent: .whole), .refuses(status: 503))
        },

        // The origin cannot be reached.
        Row("whole and within its age, despite *-revalidate", .serve, .hit, .originUnreachable) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole), .unreachable)
        },
        Row("stale: never", .refuse(status: 504), nil, .unreachableStaleNever) {
            ($0.stored, $0.origin, $0.policy.servesUnreachable) = (.init(facts: file, extent: .whole), .unreachable, false)
        },
        Row("beyond its age", .refuse(status: 504), nil, .unreachableTooOld) {
            ($0.stored, $0.origin, $0.now) = (.init(facts: file, extent: .whole), .unreachable, 1_000 + 86_399)
        },
        Row("not all of it", .refuse(status: 504), nil, .unreachablePartial) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .partial), .unreachable)
        },
        Row("damaged", .refuse(status: 504), nil, .unreachablePartial) {
            ($0.stored, $0.origin) = (.init(facts: file, extent: .whole, isVerified: false), .unreachable)
        },
        Row("cache: no, and unreachable", .refuse(status: 504), nil, .unreachableNotCached) {
            ($0.stored, $0.origin, $0.policy.keeping) = (.init(facts: file, extent: .whole), .unreachable, .nothing)
        },

        // Max-Forwards is used up.
        Row("no further: nothing known", .refuse(status: 502), nil, .forwardsUsedUp) { $0.mayForward = false },
        Row("no further: fresh", .serve, .hit, .fresh) { ($0.mayForward, $0.stored) = (false, .init(facts: lasting, extent: .whole)) },
        Row("no further: not all of it", .refuse(status: 502), nil, .forwardsUsedUp) {
            ($0.mayForward, $0.stored) = (false, .init(facts: lasting, extent: .partial))
        },
        Row("no further: has to be asked about", .refuse(status: 502), nil, .forwardsUsedUp) {
            ($0.mayForward, $0.stored) = (false, .init(facts: file, extent: .whole))
        },
        Row("no further: split", .join, .split, .proxySplit) {
            ($0.mayForward, $0.role) = (false, .receiving(live, players: 2, isPrivate: false))
        },
        Row("no further: needs one of his own", .refuse(status: 502), nil, .forwardsUsedUp) {
            ($0.mayForward, $0.role) = (false, .receiving(unsplit, players: 2, isPrivate: true))
        },
        Row("no further: shared by the operator's word", .refuse(status: 502), nil, .forwardsUsedUp) {
            ($0.mayForward, $0.policy.isBroadcast) = (false, true)
        },
    ]

    @Test("row by row", arguments: rows) func row(_ row: Row) {
        let decision = ProxyDecision.decide(row.situation)
        #expect(decision.action == row.action)
        #expect(decision.outcome == row.word.map { ProxyOutcome($0, row.reason?.rawValue ?? "") })
        #expect(decision.reason == row.reason)
        #expect(decision.discards == row.discards)
    }

    /// Each reason that there is stands in a row: none is left over, and none is without a case.
    @Test func everyReasonHasARow() {
        let seen = Set(Self.rows.compactMap(\.reason))
        #expect(Set(ProxyReason.allCases).subtracting(seen).isEmpty)
    }

    @Test func aRevalidatedObjectIsYoungAgain() throws {
        var situation = ProxySituation(stored: .init(facts: Self.lasting, extent: .whole), now: 1_070)
        #expect(ProxyDecision.decide(situation).action == .ask(.contentInfo))
        situation.origin = .says(Facts.facts("no-cache, proxy-public, max-age=60, x-wms-content-size=923118", etag: "\"1\"", at: 1_070))
        let facts = try #require(ProxyDecision.decide(situation).facts)
        #expect(facts.saidAt == 1_070 && facts.lastModified == "Sun" && facts.isDescribed)
        situation = ProxySituation(stored: .init(facts: facts, extent: .whole), now: 1_100)
        #expect(ProxyDecision.decide(situation).outcome == ProxyOutcome(.hit, "fresh"))
    }
}
