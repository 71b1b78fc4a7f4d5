import WireFormats

/// A player's `Authorization` that a proxy passes on to the origin, which challenged that player.
package enum PassedAuthorization {
    /// Whether the answer is good for a request to another server: Basic always is; Digest where the URI that it was made for is the one that is
    /// asked; what belongs to one connection (NTLM, Negotiate) and what is not known never is.
    package static func mayPass(_ value: String, uri: String) -> Bool {
        guard value.utf8.count <= bytesMax, !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return false }
        return switch AuthorizationHeader(value) {
        case .basic(let token): !token.isEmpty
        case .digest(let parameters): parameters["uri"] == uri
        case .other, nil: false
        }
    }

    /// The longest value that is passed on.
    package static let bytesMax = 4_096
}

/// A server's challenge, for whoever is to answer it.
package struct PassedChallenge: Sendable, Equatable {
    /// 401, or 407 of a proxy between.
    package var status: Int
    /// The values of `WWW-Authenticate` or `Proxy-Authenticate`, in their order.
    package var lines: [String]

    /// A challenge.
    package init(status: Int, lines: [String]) {
        self.status = status
        self.lines = lines
    }

    /// What an answer of 401 or 407 asks.
    init(_ status: UInt16, _ headers: HTTPHeaders) {
        self.init(status: Int(status), lines: headers.values(named: status == 407 ? "Proxy-Authenticate" : "WWW-Authenticate"))
    }
}
