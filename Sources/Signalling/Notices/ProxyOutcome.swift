/// How a player's request was met by a relay that stands before an origin: what the log, `weir status` and `weir top` say of a play.
package struct ProxyOutcome: Sendable, Hashable {
    /// One word.
    package enum Word: String, Sendable, Hashable, CaseIterable, Codable {
        /// Out of the cache, without asking the origin.
        case hit = "HIT"
        /// From the origin, and kept.
        case miss = "MISS"
        /// Out of the cache, after the origin said that it is what it was.
        case revalidated = "REVALIDATED"
        /// From a stream of the origin's that other players are sent, too.
        case split = "SPLIT"
        /// From the origin, for this player alone; nothing is kept.
        case bypass = "BYPASS"
    }

    /// The word.
    package var word: Word
    /// Why, as words joined by hyphens: `fresh`, `origin-unreachable`, `no-store`.
    package var reason: String

    /// An outcome.
    package init(_ word: Word, _ reason: String) {
        self.word = word
        self.reason = reason
    }

    /// `HIT fresh`.
    package var words: String { reason.isEmpty ? word.rawValue : "\(word.rawValue) \(reason)" }
}
