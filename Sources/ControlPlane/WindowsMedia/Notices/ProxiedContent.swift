import Signalling
import WireFormats

/// What is to be told of a play of content that comes from somebody else: by the log, by status, and to its origin. Made where it is decided how
/// a player's request is met, and handed along with the ``WindowsMediaContent``.
struct ProxiedContent: Sendable, Equatable {
    /// How this player's request was met.
    var outcome: ProxyOutcome
    /// The content's URL at its origin, without user information.
    var origin: String
    /// What the origin wants to hear of it (`x-wms-event-subscription` of its last answer).
    var events: MSRTSPCacheControl.Events
    /// What is played is kept here, wholly or partly: the origin hears of the opening and the closing, too. False for what is split or passed on.
    var isCached: Bool
    /// What its origin said, where players are told so from here; nil: they are told already, or it said nothing.
    var facts: OriginFacts?
}

extension WindowsMediaContent {
    /// What is to be told of a play of it that begins now; nil for what this relay has of its own. Called once for each: whoever made a
    /// connection to the origin necessary shared nothing.
    func beginProxied() -> ProxiedContent? {
        switch self {
        case .file(let file): return file.proxied
        case .live(let broadcast):
            guard var proxied = broadcast.proxied else { return nil }
            if proxied.outcome.word == .split, !broadcast.wasPlayed {
                proxied.outcome = ProxyOutcome(.miss, ProxyReason.firstPlayer.rawValue)
            }
            broadcast.playsBegun &+= 1
            return proxied
        case .playlist(let start): return start.reader.proxied
        }
    }

    /// What is said of it to who speaks that language: of a broadcast what its origin said, of what is this relay's own and on demand also what
    /// is wanted to be heard of plays.
    func told(_ facts: WMSPContent, of settings: PathSettings?, in dialect: OriginFacts.Dialect) -> WMSPContent {
        switch self {
        case .file(let file) where file.proxied != nil: return facts
        case .playlist(let start) where start.reader.proxied != nil: return facts
        case .file, .playlist: return settings?.subscribing(facts) ?? facts
        case .live(let broadcast):
            guard let said = broadcast.proxied?.facts, said.cacheControl != nil else { return facts }
            var facts = facts
            facts.cacheControl = said.cacheControl(for: dialect, now: CacheClock.now())
            return facts
        }
    }
}

/// How plays were met, in numbers that only grow.
struct ProxyCounts: Sendable, Equatable {
    private(set) var plays: [ProxyOutcome.Word: Int] = [:]
    /// The last one.
    private(set) var last: ProxyOutcome?
    /// Bytes of media that players were given out of what is kept, and that came from origins.
    var bytesFromCache: UInt64 = 0
    var bytesFromOrigin: UInt64 = 0

    /// Nobody played.
    init() {}

    /// One more.
    mutating func count(_ outcome: ProxyOutcome) {
        plays[outcome.word, default: 0] += 1
        last = outcome
    }

    /// All of another's, too.
    mutating func add(_ other: ProxyCounts) {
        plays.merge(other.plays) { $0 + $1 }
        bytesFromCache &+= other.bytesFromCache
        bytesFromOrigin &+= other.bytesFromOrigin
    }

    /// Nobody played, and nothing came.
    var isEmpty: Bool { plays.isEmpty && bytesFromCache == 0 && bytesFromOrigin == 0 }
}
