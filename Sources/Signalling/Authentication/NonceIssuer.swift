/// Makes nonces and knows its own again (RFC 7616 section 3.3). A nonce carries its time and its number, signed together with the
/// client's address by a secret of this process: nothing is kept of the nonces that were given out.
///
/// Only of nonces that were used with `qop=auth`, by somebody who knows a password, the highest count is kept, so that a request that
/// was overheard cannot be sent again. That table is bounded: what falls out of it makes all older nonces stale.
struct NonceIssuer: Sendable {
    enum Verdict: Equatable {
        case fresh
        /// It is ours no more, or was not; the client may ask for another.
        case stale
    }

    /// How long a nonce is taken.
    let lifeMilliseconds: UInt64
    /// Nonces whose counts are kept.
    let countsMax: Int

    private let key: [UInt8]
    private var issued: UInt64 = 0
    /// The highest count by number of the nonce, in the order of first use.
    private var counts: [UInt64: UInt32] = [:]
    private var order: [UInt64] = []
    private var oldest = 0
    /// Counted nonces below this number are stale: their counts were forgotten.
    private var floor: UInt64 = 0

    private static let timeDigits = 12
    private static let numberDigits = 12
    private static let signatureDigits = 32

    init(lifeMilliseconds: UInt64, countsMax: Int) {
        self.lifeMilliseconds = lifeMilliseconds
        self.countsMax = max(countsMax, 1)
        // The system's generator is one for secrets.
        key = (0..<SHA256.digestBytes).map { _ in .random(in: .min ... .max) }
    }

    /// A nonce for a client at that address. `now` is in milliseconds of a clock that never goes back.
    mutating func issue(to client: String, now: UInt64) -> String {
        issued += 1
        let body = Self.digits(now, Self.timeDigits) + Self.digits(issued, Self.numberDigits)
        return body + signature(body, client)
    }

    /// Whether the nonce is one of ours for that client, young enough, and used in this count for the first time. `count` is nil for
    /// an answer in the form of RFC 2069, which has none. Ask only after the answer was found right.
    mutating func use(_ nonce: String, count: UInt32?, by client: String, now: UInt64) -> Verdict {
        let bytes = Array(nonce.utf8)
        let bodyDigits = Self.timeDigits + Self.numberDigits
        guard bytes.count == bodyDigits + Self.signatureDigits else { return .stale }
        let body = String(decoding: bytes[..<bodyDigits], as: UTF8.self)
        let signed = String(decoding: bytes[bodyDigits...], as: UTF8.self)
        guard ConstantTime.equal(signature(body, client), signed),
            let time = UInt64(body.prefix(Self.timeDigits), radix: 16), let number = UInt64(body.dropFirst(Self.timeDigits), radix: 16)
        else { return .stale }
        guard now >= time, now - time <= lifeMilliseconds else { return .stale }
        guard let count else { return .fresh }
        return take(count, of: number)
    }

    private mutating func take(_ count: UInt32, of number: UInt64) -> Verdict {
        if let highest = counts[number] {
            guard count > highest else { return .stale }
            counts[number] = count
            return .fresh
        }
        guard number >= floor, count > 0 else { return .stale }
        if counts.count >= countsMax { forgetOldest() }
        counts[number] = count
        order.append(number)
        return .fresh
    }

    private mutating func forgetOldest() {
        let number = order[oldest]
        counts[number] = nil
        oldest += 1
        floor = max(floor, number &+ 1)
        guard oldest >= countsMax else { return }
        order.removeFirst(oldest)
        oldest = 0
    }

    private func signature(_ body: String, _ client: String) -> String {
        let code = SHA256.authenticationCode(of: Array("\(body) \(client)".utf8), key: key)
        return String(Hexadecimal.text(of: code).prefix(Self.signatureDigits))
    }

    private static func digits(_ number: UInt64, _ count: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: max(0, count - text.count)) + text.suffix(count)
    }
}
