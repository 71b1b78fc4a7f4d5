import WireFormats

/// Through which relays a request came, and how many more it may go through: what keeps relays from pulling from each other in a ring.
///
/// Each path has a random token. A pull names in `Via` (RFC 2326 section 12.43, RFC 7230 section 5.7.1) everybody whom the request came through
/// that it is made for, and the tokens of all such paths, its own last with the number of relays so far:
/// `Via: HTTP/1.1 WMCacheProxy (WMCacheProxy/9.5), RTSP/1.0 weir-5d1f2c3b4a596877, RTSP/1.0 weir-0011223344556677 (2)`. A path that meets its
/// own token would feed itself. Tokens of others are left alone.
struct RelayTrail: Sendable, Equatable {
    /// One relay.
    private struct Entry: Sendable, Equatable {
        /// Of a path of a relay like this one.
        var token: String?
        /// As it stood there, of anybody else.
        var text: String
    }

    private var entries: [Entry] = []
    /// Relays like this one so far.
    private(set) var hops = 0
    /// How many more relays it may go through (`Max-Forwards`, RFC 7231 section 5.1.2); nil: the sender did not say.
    private(set) var forwardsLeft: UInt8?

    /// More relays are not carried; a ring that is longer shows by its hops.
    static let tokensMax = 16
    /// What a pull says in `Max-Forwards` where those whom it is made for say nothing, as Windows Media servers do.
    static let forwardsDefault: UInt8 = 9
    private static let prefix = "weir-"
    private static let tokenDigits = 16

    /// Of a client that is no relay.
    init() {}

    /// Whether it came from no relay, and may go through any number.
    var isEmpty: Bool { entries.isEmpty && forwardsLeft == nil }

    /// Tokens, in the order in which they were added.
    var tokens: [String] { entries.compactMap(\.token) }

    /// Whether somebody else may be asked.
    var mayForward: Bool { forwardsLeft != 0 }

    /// What whoever is asked next reads in `Max-Forwards`.
    var forwardsNext: Int { Int(forwardsLeft.map { $0 == 0 ? 0 : $0 - 1 } ?? Self.forwardsDefault) }

    /// A token that nobody else has.
    static func makeToken() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: tokenDigits - digits.count) + digits
    }

    /// Reads what a request says.
    init(_ headers: HTTPHeaders) { self.init(via: headers.values(named: "Via"), maxForwards: headers["Max-Forwards"]) }

    /// Reads the values of `Via` and that of `Max-Forwards`. What cannot be read is passed over.
    init(via values: [String], maxForwards: String? = nil) {
        for entry in ViaHeader.entries(values) { take(entry) }
        if !tokens.isEmpty { hops = max(hops, 1) }
        forwardsLeft = ViaHeader.maxForwards(maxForwards)
    }

    private mutating func take(_ via: ViaHeader.Entry) {
        guard entries.count < Self.tokensMax else { return }
        guard via.receivedBy.hasPrefix(Self.prefix) else {
            let entry = Entry(token: nil, text: via.text)
            if !entries.contains(entry) { entries.append(entry) }
            return
        }
        let token = String(via.receivedBy.dropFirst(Self.prefix.count))
        guard token.utf8.count == Self.tokenDigits, token.allSatisfy(\.isHexDigit) else { return }
        if !tokens.contains(token) { entries.append(Entry(token: token, text: "RTSP/1.0 \(Self.prefix)\(token)")) }
        if let hops = via.comment.flatMap({ UInt8($0) }) { self.hops = max(self.hops, Int(hops)) }
    }

    /// One that came both these ways.
    func joined(_ other: RelayTrail) -> RelayTrail {
        var trail = self
        for entry in other.entries where trail.entries.count < Self.tokensMax && !trail.entries.contains(entry) {
            trail.entries.append(entry)
        }
        trail.hops = max(hops, other.hops)
        trail.forwardsLeft = [forwardsLeft, other.forwardsLeft].compactMap { $0 }.min()
        return trail
    }

    /// The value of `Via` for a pull on behalf of whoever came this way.
    func via(adding token: String) -> String {
        let others = entries.filter { $0.token != token }.suffix(Self.tokensMax - 1)
        return (others.map(\.text) + ["RTSP/1.0 \(Self.prefix)\(token) (\(min(hops + 1, 255)))"]).joined(separator: ", ")
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
