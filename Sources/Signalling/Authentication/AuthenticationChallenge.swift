import WireFormats

/// One challenge of a `WWW-Authenticate` header (RFC 7235 section 2.1).
package struct AuthenticationChallenge: Sendable, Equatable {
    /// What is asked for.
    package enum Scheme: Sendable, Equatable {
        case basic
        /// Digest with what it needs: `opaque` is nil when the server sent none; `quality` says whether `qop=auth` was offered
        /// (RFC 7616 section 3.3), without which the answer has the form of RFC 2069.
        case digest(algorithm: DigestAlgorithm, nonce: String, opaque: String?, quality: Bool, isStale: Bool)
    }

    /// The scheme with its values.
    package let scheme: Scheme
    /// The realm, without quotes; empty when the server sent none.
    package let realm: String

    /// A challenge from its parts.
    package init(scheme: Scheme, realm: String) {
        self.scheme = scheme
        self.realm = realm
    }

    /// Higher is stronger; SHA-256 before MD5 before Basic.
    package var strength: Int {
        switch scheme {
        case .basic: 0
        case .digest(algorithm: .md5, _, _, _, _): 1
        case .digest(algorithm: .sha256, _, _, _, _): 2
        }
    }

    /// What a `WWW-Authenticate` header says, if Weir can answer it: not another scheme, another algorithm, a Digest without nonce,
    /// or `qop=auth-int` alone.
    package init?(_ header: WWWAuthenticateHeader) {
        realm = header.realm
        if header.isBasic {
            scheme = .basic
        } else if header.isDigest {
            // An absent algorithm means MD5 (RFC 7616 section 3.3).
            guard let nonce = header.nonce, let algorithm = DigestAlgorithm(named: header.algorithm ?? "MD5") else { return nil }
            guard header.qop.isEmpty || header.qop.contains("auth") else { return nil }
            scheme = .digest(
                algorithm: algorithm, nonce: nonce, opaque: header.parameters["opaque"], quality: !header.qop.isEmpty,
                isStale: header.isStale)
        } else {
            return nil
        }
    }

    /// The challenges in one header value that can be answered.
    package static func parse(_ value: String) -> [Self] { WWWAuthenticateHeader.parse(value).compactMap(Self.init) }

    /// The server says that only the nonce was too old (RFC 7616 section 3.3).
    var isStale: Bool {
        switch scheme {
        case .basic: false
        case .digest(_, _, _, _, let isStale): isStale
        }
    }
}
