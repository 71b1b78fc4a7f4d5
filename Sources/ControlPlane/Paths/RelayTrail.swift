import WireFormats

/// Through which relays' paths a request came: what keeps relays from pulling from each other in a ring.
///
/// Each path has a random token. A pull names in `Via` (RFC 2326 section 12.43) the tokens of all paths that it is made for, its own last
/// with the number of relays so far: `Via: RTSP/1.0 weir-5d1f2c3b4a596877, RTSP/1.0 weir-0011223344556677 (2)`. A path that meets its own
/// token would feed itself. Tokens of others, and entries of other kinds, are left alone.
struct RelayTrail: Sendable, Equatable {
    /// Tokens, in the order in which they were added.
    private(set) var tokens: [String] = []
    /// Relays so far.
    private(set) var hops = 0

    /// More tokens are not carried; a ring that is longer shows by its hops.
    static let tokensMax = 16
    private static let prefix = "weir-"
    private static let tokenDigits = 16

    /// Of a client that is no relay.
    init() {}

    /// Whether it came from no relay.
    var isEmpty: Bool { tokens.isEmpty }

    /// A token that nobody else has.
    static func makeToken() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: tokenDigits - digits.count) + digits
    }

    /// Reads the values of `Via`. What is no entry of a relay like this one is passed over.
    init(via values: [String]) {
        for entry in values.lazy.flatMap({ $0.split(separator: ",") }) {
            let words = entry.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count >= 2, words[1].hasPrefix(Self.prefix), tokens.count < Self.tokensMax else { continue }
            let token = String(words[1].dropFirst(Self.prefix.count))
            guard token.utf8.count == Self.tokenDigits, token.allSatisfy(\.isHexDigit) else { continue }
            if !tokens.contains(token) { tokens.append(token) }
            if words.count > 2, words[2].hasPrefix("("), words[2].hasSuffix(")"), let hops = UInt8(words[2].dropFirst().dropLast()) {
                self.hops = max(self.hops, Int(hops))
            }
        }
        hops = max(hops, tokens.isEmpty ? 0 : 1)
    }

    /// One that came both these ways.
    func joined(_ other: RelayTrail) -> RelayTrail {
        var trail = self
        for token in other.tokens where trail.tokens.count < Self.tokensMax && !trail.tokens.contains(token) { trail.tokens.append(token) }
        trail.hops = max(hops, other.hops)
        return trail
    }

    /// The value of `Via` for a pull on behalf of whoever came this way.
    func via(adding token: String) -> String {
        let others = tokens.filter { $0 != token }.suffix(Self.tokensMax - 1)
        return (others.map { "RTSP/1.0 \(Self.prefix)\($0)" } + ["RTSP/1.0 \(Self.prefix)\(token) (\(min(hops + 1, 255)))"]).joined(
            separator: ", ")
    }
}

/// The trails of those who are interested in a path just now.
struct RelayTrails {
    private var trails: [Int: RelayTrail] = [:]
    private var next = 0

    /// Adds one and answers with its number; nil for one that is empty.
    mutating func add(_ trail: RelayTrail) -> Int? {
        guard !trail.isEmpty else { return nil }
        next += 1
        trails[next] = trail
        return next
    }

    /// The counterpart of ``add(_:)``.
    mutating func remove(_ number: Int?) { if let number { trails[number] = nil } }

    /// All together.
    var joined: RelayTrail { trails.sorted { $0.key < $1.key }.reduce(RelayTrail()) { $0.joined($1.value) } }
}
