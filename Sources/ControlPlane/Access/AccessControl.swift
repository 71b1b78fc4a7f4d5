import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Decides who may read and publish on the RTSP server. Belongs to the server's event loop.
struct AccessControl {
    /// What a request is answered with.
    enum Decision: Equatable {
        /// It may go on; the user, or nil where no password was needed.
        case allowed(user: String?)
        /// 401 with these challenges.
        case challenge([String])
        /// 401 with these challenges: the name or the password was wrong. The words are for the log.
        case wrong([String], user: String, why: String)
        /// 401 with these challenges: the nonce was too old.
        case stale([String])
        /// 400: the answer to a challenge cannot be read.
        case unusable([String], String)
        /// 403: this user has no such right here.
        case forbidden(user: String, why: String)
        /// 503: too many wrong passwords came from the address.
        case tooManyFailures
    }

    let settings: AccessSettings
    private var authenticator: ServerAuthenticator
    private let networks: [String: [NetworkPrefix]]
    /// All rules that hold anywhere, each with how many paths it holds for: who is allowed by each may know which paths there are.
    private var rules: [AccessRight: [AccessRule: Int]] = [:]
    var failures: LoginFailures

    init(settings: AccessSettings, paths: [PathSettings]) {
        self.settings = settings
        authenticator = ServerAuthenticator(
            settings: settings.login,
            users: settings.users.compactMap { user in user.password?.secret(user: user.name, realm: settings.login.realm) })
        networks = Dictionary(settings.users.map { ($0.name, $0.networks) }) { first, _ in first }
        failures = LoginFailures(settings: settings)
        for path in [nil] + paths { count(path, 1) }
    }

    /// The rules of a path hold from now on.
    mutating func pathAdded(_ path: PathSettings) { count(path, 1) }

    /// The counterpart of ``pathAdded(_:)``.
    mutating func pathRemoved(_ path: PathSettings) { count(path, -1) }

    private mutating func count(_ path: PathSettings?, _ change: Int) {
        for right in AccessRight.allCases {
            let rule = settings.rule(right, of: path)
            let paths = rules[right, default: [:]][rule, default: 0] + change
            rules[right, default: [:]][rule] = paths > 0 ? paths : nil
        }
    }

    /// Whether whoever comes from there may do it without a name and a password of this relay's.
    func isOpen(_ right: AccessRight, of path: PathSettings, to host: HostAddress) -> Bool {
        settings.rule(right, of: path).allowsWithoutPassword(host)
    }

    /// Decides one request. `path` is nil for one that there is not: a stranger hears the same as of a path that is closed to him.
    mutating func decide(
        _ right: AccessRight, of path: PathSettings?, request: RTSPRequest, from host: HostAddress, now: UInt64
    ) -> Decision {
        if let path {
            if settings.rule(right, of: path).allowsWithoutPassword(host) { return .allowed(user: nil) }
        } else if rules[right, default: [:]].keys.allSatisfy({ $0.allowsWithoutPassword(host) }) {
            return .allowed(user: nil)
        }
        let rule = path.map { settings.rule(right, of: $0) }
        return login(rule, to: right.rawValue, request: request, from: host, now: now)
    }

    /// Decides one request by a rule that is not a path's; `verb` says what for, `header` where whoever asks says who he is.
    mutating func decide(
        _ rule: AccessRule, to verb: String, request: RTSPRequest, from host: HostAddress, now: UInt64, header: String = "Authorization"
    ) -> Decision {
        if rule.allowsWithoutPassword(host) { return .allowed(user: nil) }
        return login(rule, to: verb, request: request, from: host, now: now, header)
    }

    /// Asks for a name and a password; without a rule whoever has them may go on.
    private mutating func login(
        _ rule: AccessRule?, to verb: String, request: RTSPRequest, from host: HostAddress, now: UInt64,
        _ name: String = "Authorization"
    ) -> Decision {
        guard !settings.users.isEmpty else { return .forbidden(user: "", why: "your address may not \(verb) here") }
        let client = host.text
        let header = request.headers[name]
        guard header == nil || failures.mayTry(host) else { return .tooManyFailures }
        var verdict = authenticator.check(header, method: request.method.name, uri: request.uri, client: client, now: now)
        // A relay that translates between protocols passes on an answer that was made for another method ([MS-RTSP] 2.2.6.32).
        // Only for reading: what was heard of a DESCRIBE publishes nothing.
        if case .wrong = verdict, verb == AccessRight.read.rawValue, let verb = SourceAsker.verb(in: request.headers),
            verb != request.method.name
        {
            switch authenticator.check(header, method: verb, uri: request.uri, client: client, now: now) {
            case .accepted(let user): verdict = .accepted(user: user)
            case .stale(let user): verdict = .stale(user: user)
            case .missing, .wrong, .unusable: break
            }
        }
        func challenges(isStale: Bool = false) -> [String] { authenticator.challenges(to: client, now: now, isStale: isStale) }
        switch verdict {
        case .missing: return .challenge(challenges())
        case .stale: return .stale(challenges(isStale: true))
        case .unusable(let why): return .unusable(challenges(), why)
        case .wrong(let user, let why):
            failures.failed(host)
            return .wrong(challenges(), user: user, why: why)
        case .accepted(let user):
            if let from = networks[user], !from.isEmpty, !from.contains(where: { $0.contains(host) }) {
                return .forbidden(user: user, why: "\(user) may not log in from \(client)")
            }
            guard rule?.allows(user: user) ?? true else {
                return .forbidden(user: user, why: "\(user) has no right to \(verb) here")
            }
            return .allowed(user: user)
        }
    }
}
