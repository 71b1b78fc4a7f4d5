/// One element of `WWW-Authenticate` (RFC 7235 section 4.1, RFC 2617, RFC 7616).
package struct WWWAuthenticateHeader: Sendable, Hashable {
    /// The scheme as spelled: `Basic`, `Digest`, …; compare without regard to case.
    package var scheme: String
    /// Parameters in order: names as spelled, values without quotes.
    package var parameters: AuthenticationParameters

    /// A challenge from its parts.
    package init(scheme: String, parameters: AuthenticationParameters) {
        self.scheme = scheme
        self.parameters = parameters
    }

    /// `Basic realm="…"`.
    package static func basic(realm: String) -> Self {
        Self(scheme: "Basic", parameters: [("realm", realm)])
    }

    /// `Digest realm="…", nonce="…"` and what else is given, in the order that simple clients expect. `algorithm` as in the
    /// standard (`MD5`, `SHA-256`); nil leaves it out, which means MD5.
    package static func digest(
        realm: String, nonce: String, algorithm: String? = nil, qop: String? = nil, opaque: String? = nil, stale: Bool = false
    ) -> Self {
        var parameters: AuthenticationParameters = [("realm", realm), ("nonce", nonce)]
        if let opaque { parameters.add("opaque", opaque) }
        if stale { parameters.add("stale", "TRUE") }
        if let algorithm { parameters.add("algorithm", algorithm) }
        if let qop { parameters.add("qop", qop) }
        return Self(scheme: "Digest", parameters: parameters)
    }

    /// Whether it is `Basic`.
    package var isBasic: Bool { ASCII.equalIgnoringCase(scheme, "Basic") }
    /// Whether it is `Digest`.
    package var isDigest: Bool { ASCII.equalIgnoringCase(scheme, "Digest") }
    /// The realm; empty when not given.
    package var realm: String { parameters["realm"] ?? "" }
    /// The nonce.
    package var nonce: String? { parameters["nonce"] }
    /// The algorithm as spelled; nil means MD5.
    package var algorithm: String? { parameters["algorithm"] }
    /// To be sent back unchanged.
    package var opaque: String? { parameters["opaque"] }
    /// The qualities of protection on offer, in small letters; empty for the form of RFC 2069.
    package var qop: [String] {
        (parameters["qop"] ?? "").byteSlice.split { $0 == ASCII.comma || ASCII.isBlank($0) }.map(\.lowercasedText)
    }
    /// Whether only the nonce was too old: the same password is to be tried again.
    package var isStale: Bool { parameters["stale"].map { ASCII.equalIgnoringCase($0, "true") } ?? false }

    /// The challenges of every `WWW-Authenticate` line, in order. Several may stand in one line, separated by commas as their
    /// parameters are (RFC 7235 section 4.1). Never fails: what does not fit is skipped.
    package static func parse(_ headers: RTSPHeaders) -> [Self] { headers.values(named: "WWW-Authenticate").flatMap(parse) }

    /// The challenges of one line.
    package static func parse(_ value: String) -> [Self] {
        AuthenticationScanner.schemes(value).map { Self(scheme: $0.scheme, parameters: $0.parameters) }
    }

    /// The line's value.
    package var text: String { parameters.isEmpty ? scheme : "\(scheme) \(parameters.text)" }
}

/// `Authorization` (RFC 7235 section 4.2).
package enum AuthorizationHeader: Sendable, Hashable {
    /// `Basic` and the token behind it, base64 of `user:password`.
    case basic(token: String)
    /// `Digest` with its parameters: `username`, `realm`, `nonce`, `uri`, `response` and so on.
    case digest(AuthenticationParameters)
    /// Another scheme, by its name.
    case other(scheme: String)

    /// The header's value taken apart; nil when nothing stands in it.
    package init?(_ value: String) {
        let (scheme, rest) = value.byteSlice.trimmed.split(atFirst: ASCII.space)
        guard !scheme.isEmpty else { return nil }
        if ASCII.equalIgnoringCase(scheme, "Basic") {
            self = .basic(token: (rest ?? []).trimmed.text)
        } else if ASCII.equalIgnoringCase(scheme, "Digest") {
            self = .digest(AuthenticationScanner.schemes(value).first?.parameters ?? [])
        } else {
            self = .other(scheme: scheme.text)
        }
    }

    /// The header's value.
    package var text: String {
        switch self {
        case .basic(let token): "Basic \(token)"
        case .digest(let parameters): "Digest \(parameters.text)"
        case .other(let scheme): scheme
        }
    }
}
