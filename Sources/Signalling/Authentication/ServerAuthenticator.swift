import WireFormats

/// The server's side of Basic (RFC 7617) and Digest (RFC 7616, RFC 2069) over RTSP. Pure: the time comes in.
///
/// Digest answers are taken with `qop=auth` and without, and only in methods that are offered.
package struct ServerAuthenticator: Sendable {
    /// What can be chosen.
    package struct Settings: Sendable, Equatable {
        /// Part of every hash: another realm needs other hashes.
        package var realm = "Weir"
        /// What is offered.
        package var methods: Set<LoginMethod> = [.digestSHA256, .digestMD5]
        /// How long a nonce is taken before the client is given another.
        package var nonceMilliseconds: UInt64 = 300_000
        /// Nonces in use at the same time with `qop=auth` whose counts are watched.
        package var nonceCountsMax = 16_384

        /// The defaults.
        package init() {}
    }

    /// What a request's `Authorization` says.
    package enum Verdict: Sendable, Equatable {
        /// There is none.
        case missing
        /// It is this user.
        case accepted(user: String)
        /// The password is right, the nonce is not (any more).
        case stale(user: String)
        /// The name or the password is wrong: the name as it was given, and what is wrong, for the log alone.
        case wrong(user: String, why: String)
        /// It cannot be read, or is of a method that is not offered.
        case unusable(String)
    }

    private let settings: Settings
    private let users: [String: UserSecret]
    private let stranger: UserSecret
    private var nonces: NonceIssuer

    /// A server with these users, whose secrets belong to the realm of the settings.
    package init(settings: Settings, users: [UserSecret]) {
        self.settings = settings
        self.users = Dictionary(users.map { ($0.user, $0) }) { first, _ in first }
        // An unknown name takes as long as a wrong password.
        stranger = UserSecret(user: "", realm: settings.realm, password: "")
        nonces = NonceIssuer(lifeMilliseconds: settings.nonceMilliseconds, countsMax: settings.nonceCountsMax)
    }

    /// The values of the `WWW-Authenticate` headers of a 401, in this order: naive clients (FFmpeg, LIVE555, GStreamer) take the last
    /// one, or do not look at its algorithm, so Digest MD5 without `qop` comes last. What no user has a hash for is left out.
    package mutating func challenges(to client: String, now: UInt64, isStale: Bool = false) -> [String] {
        let realm = settings.realm
        var values: [String] = []
        if settings.methods.contains(.basic) { values.append(WWWAuthenticateHeader.basic(realm: realm).text) }
        if offers(.digestSHA256) {
            let nonce = nonces.issue(to: client, now: now)
            values.append(
                WWWAuthenticateHeader.digest(realm: realm, nonce: nonce, algorithm: "SHA-256", qop: "auth", stale: isStale).text)
        }
        if offers(.digestMD5) {
            let nonce = nonces.issue(to: client, now: now)
            values.append(WWWAuthenticateHeader.digest(realm: realm, nonce: nonce, stale: isStale).text)
        }
        return values
    }

    /// Looks at the `Authorization` header of a request. `uri` is the one of the request line.
    package mutating func check(_ header: String?, method: String, uri: String, client: String, now: UInt64) -> Verdict {
        guard let header, let authorization = AuthorizationHeader(header) else { return .missing }
        switch authorization {
        case .basic(let token): return checkBasic(token)
        case .digest(let parameters): return checkDigest(parameters, method: method, uri: uri, client: client, now: now)
        case .other: return .unusable("its scheme is neither Digest nor Basic")
        }
    }

    /// A method is offered if it is wanted and some user's secret serves it.
    private func offers(_ method: LoginMethod) -> Bool {
        guard settings.methods.contains(method) else { return false }
        guard let algorithm = method.algorithm else { return true }
        return users.isEmpty || users.values.contains { $0.serves(algorithm) }
    }

    private func checkBasic(_ token: String) -> Verdict {
        guard settings.methods.contains(.basic) else { return .unusable("Basic is not offered") }
        guard let bytes = Base64.decode(token), let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
            let user = String(validating: bytes[..<colon], as: UTF8.self),
            let password = String(validating: bytes[(colon + 1)...], as: UTF8.self)
        else { return .unusable("it is no base 64 of name:password in UTF-8") }
        let matches = (users[user] ?? stranger).matches(password: password)
        guard let secret = users[user], matches else { return .wrong(user: user, why: words(user, nil)) }
        return .accepted(user: secret.user)
    }

    private mutating func checkDigest(
        _ parameters: AuthenticationParameters, method: String, uri: String, client: String, now: UInt64
    ) -> Verdict {
        guard let user = parameters["username"], let nonce = parameters["nonce"], let response = parameters["response"],
            let named = parameters["uri"]
        else { return .unusable("a Digest answer needs username, nonce, uri and response") }
        guard let algorithm = DigestAlgorithm(named: parameters["algorithm"] ?? "MD5"),
            settings.methods.contains(where: { $0.algorithm == algorithm })
        else { return .unusable("its algorithm is not offered") }
        guard Self.covers(named, uri) else { return .unusable("its uri is not the request's") }
        var quality: DigestAnswer.Quality?
        if let qop = parameters["qop"] {
            guard qop.lowercased() == "auth", let digits = parameters["nc"], let count = UInt32(digits, radix: 16),
                let clientNonce = parameters["cnonce"]
            else { return .unusable("with qop it needs qop=auth, nc and cnonce") }
            quality = .init(count: count, clientNonce: clientNonce)
        }
        let secret = users[user].flatMap { $0.serves(algorithm) ? $0 : nil }
        // The realm is not looked at: it is in the hash, and an answer made for another one is a wrong one.
        let expected = DigestAnswer.response(
            secret: (secret ?? stranger).hash(algorithm) ?? "", algorithm: algorithm, nonce: nonce, quality: quality, method: method,
            uri: named)
        guard ConstantTime.equal(expected, response.lowercased()), secret != nil else {
            return .wrong(user: user, why: words(user, algorithm))
        }
        return switch nonces.use(nonce, count: quality?.count, by: client, now: now) {
        case .fresh: .accepted(user: user)
        case .stale: .stale(user: user)
        }
    }

    private func words(_ user: String, _ algorithm: DigestAlgorithm?) -> String {
        guard let secret = users[user] else { return "there is no such user" }
        guard let algorithm, !secret.serves(algorithm) else { return "the password is wrong" }
        return "the user's password is given as a hash, and none of them is for Digest \(algorithm.rawValue), which the client chose"
    }

    /// Whether an answer for one URI may stand for a request to another: the same path, or a stream's answer for one of its tracks
    /// (LIVE555 names the stream in all requests). Host, port and query differ where clients write them differently.
    static func covers(_ named: String, _ uri: String) -> Bool {
        if named == uri { return true }
        guard let named = try? RequestTarget(uri: named), let uri = try? RequestTarget(uri: uri), !named.isServer, !uri.isServer else {
            return false
        }
        guard let short = named.whole, let long = uri.whole else { return false }
        return short == long || !short.isEmpty && long.hasPrefix(short + "/")
    }
}

extension RequestTarget {
    /// The whole path, whatever of it may be a track.
    fileprivate var whole: String? { readings.first { $0.control == nil }?.path }
}
