/// Why a text is no URL that Weir understands.
package enum RTSPURLError: Error, Hashable, CustomStringConvertible {
    /// Longer than ``RTSPURL/bytesMax``.
    case tooLong(bytes: Int, bytesMax: Int)
    /// No `rtsp://` or one of its relatives in front; what stood there.
    case unknownScheme(String)
    /// Nothing where the host must be.
    case noHost
    /// A character that cannot be in a host, or brackets that do not fit.
    case malformedHost(String)
    /// Not a number of 1–65,535.
    case malformedPort(String)
    /// CR, LF, NUL or another control character, at that byte.
    case controlCharacter(at: Int)

    /// What was wrong, in words.
    package var description: String {
        switch self {
        case .tooLong(let bytes, let max): "a URL of \(bytes) bytes is longer than \(max)"
        case .unknownScheme(let text): "'\(text)' does not begin with rtsp://, rtspu://, rtspt://, rtsps:// or rtsph://"
        case .noHost: "the URL names no host"
        case .malformedHost(let host): "'\(host)' is not a host; an IPv6 address stands in brackets"
        case .malformedPort(let port): "'\(port)' is not a port of 1 to 65535"
        case .controlCharacter(let at): "byte \(at) of the URL is a control character"
        }
    }
}

/// A URL of RTSP: `rtsp://user:password@host:port/path?query`.
package struct RTSPURL: Sendable, Hashable, CustomStringConvertible {
    /// How the server is reached.
    package enum Scheme: String, Sendable, Hashable, CaseIterable {
        /// RTSP over TCP; media over whatever suits.
        case rtsp
        /// As `rtsp`; asks for media over UDP.
        case rtspu
        /// As `rtsp`; asks for media over the connection itself.
        case rtspt
        /// Over TLS.
        case rtsps
        /// Over an HTTP tunnel.
        case rtsph

        /// 322 for `rtsps` (IANA), 80 for `rtsph`, else 554.
        package var defaultPort: UInt16 {
            switch self {
            case .rtsp, .rtspu, .rtspt: 554
            case .rtsps: 322
            case .rtsph: 80
            }
        }
    }

    /// Longer texts are refused.
    package static let bytesMax = 4_096

    /// What stands in front of `://`.
    package var scheme: Scheme
    /// The user, percent-decoded; nil when there is no user information.
    package var user: String?
    /// The password, percent-decoded; nil when the user information has no colon.
    package var password: String?
    /// A name, an IPv4 address, or an IPv6 address without brackets. Never empty.
    package var host: String
    /// The port as given, never 0; nil for the scheme's.
    package var port: UInt16?
    /// As it stands in the URL, percent signs and all: empty or beginning with `/`.
    package var path: String
    /// All behind the first `?` as it stands in the URL; nil when there is none.
    package var query: String?

    /// A URL from its parts. A path that does not begin with `/` gets one.
    package init(
        scheme: Scheme = .rtsp, user: String? = nil, password: String? = nil, host: String, port: UInt16? = nil, path: String = "",
        query: String? = nil
    ) {
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host
        self.port = port == 0 ? nil : port
        self.path = path.isEmpty || path.utf8.first == ASCII.slash ? path : "/" + path
        self.query = query
    }

    /// The port to connect to.
    package var portOrDefault: UInt16 { port ?? scheme.defaultPort }

    /// The URL as it goes into a request line: without user and password, which travel in `Authorization`. `rtspu`, `rtspt` and
    /// `rtsph` say how to connect and become `rtsp`.
    package var requestURI: String {
        let name = scheme == .rtsps ? "rtsps" : "rtsp"
        return "\(name)://\(authority)\(path)\(query.map { "?" + $0 } ?? "")"
    }

    /// The whole URL but for the password, which reads `***`: for logs and errors.
    package var redacted: String {
        let userInfo = user.map { "\(PercentEncoding.encoded($0))\(password == nil ? "" : ":***")@" } ?? ""
        return "\(scheme.rawValue)://\(userInfo)\(authority)\(path)\(query.map { "?" + $0 } ?? "")"
    }

    /// ``redacted``, so that no log shows a password by accident.
    package var description: String { redacted }

    /// The whole URL with the password.
    package var textWithPassword: String {
        let userInfo = user.map { name in
            PercentEncoding.encoded(name) + (password.map { ":" + PercentEncoding.encoded($0) } ?? "") + "@"
        }
        return "\(scheme.rawValue)://\(userInfo ?? "")\(authority)\(path)\(query.map { "?" + $0 } ?? "")"
    }

    /// `host:port`, brackets around an IPv6 address, the port only where it was given.
    package var authority: String {
        (host.utf8.contains(ASCII.colon) ? "[\(host)]" : host) + (port.map { ":\($0)" } ?? "")
    }
}
