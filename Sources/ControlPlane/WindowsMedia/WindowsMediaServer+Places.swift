import NIOCore
import Signalling
import WireFormats

/// Which path a request of WMSP is about.
extension WindowsMediaServer {
    /// What a request names, if whoever asks may have it: a path by its name, one that an expression makes of it, or, where it is named in full as of
    /// a proxy (`GET http://origin/film.wmv`), content of another server. With `isPlayer` a path is made where there is none.
    func path(_ target: HTTPTarget, for message: HTTPRequest, on connection: WMSPConnection, isPlayer: Bool) throws(WMSPRefusal) -> Path {
        if let path = try forwarded(target, for: message, on: connection, isPlayer: isPlayer) { return path }
        let name = target.path
        let known = server.paths.path(named: name)
        let match = known == nil ? server.paths.match(name) : nil
        let decision = server.access.decide(
            .read, of: known?.settings ?? match?.settings, request: message, from: connection.host, now: now)
        try obey(decision, "\(message.method.name) /\(name.prefix(64))", connection)
        let path: Path
        if let known {
            path = known
        } else if let match, isPlayer, match.settings.source.mayBeWindowsMedia {
            do throws(PathError) { path = try match.paths.open(match, forPublisher: false, in: server.paths) } catch {
                if case .notReady = error { count(.instancesMax) }
                throw WMSPRefusal(pathError: error)
            }
        } else {
            guard match == nil else { throw Self.notWindowsMedia(name) }
            throw .notFound("nothing is served as /\(name.prefix(64))")
        }
        guard path.isWindowsMedia || path.mayBeWindowsMedia else { throw Self.notWindowsMedia(path.name) }
        return path
    }

    static func notWindowsMedia(_ name: String) -> WMSPRefusal {
        .unplayable("/\(name) is not Windows Media: play it by RTSP, as rtsp://HOST:PORT/\(name) at this address")
    }

    /// The path of content of another server that is named in full; nil: the request is about this server's own.
    private func forwarded(
        _ target: HTTPTarget, for message: HTTPRequest, on connection: WMSPConnection, isPlayer: Bool
    ) throws(WMSPRefusal) -> Path? {
        guard let forwarding = server.forwarding, target.authority != nil else { return nil }
        let key: CacheKey
        do throws(CacheKey.Trouble) { key = try CacheKey(message.uri) } catch { throw .malformed(error.description) }
        guard !forwarding.isOwn(key) else { return nil }
        let decision = server.access.decide(
            forwarding.rule, to: ForwardProxy.verb, request: message, from: connection.host, now: now, header: ForwardProxy.header)
        do throws(WMSPRefusal) { try obey(decision, "\(message.method.name) \(message.uri.prefix(128))", connection) } catch {
            guard case .unauthorized(let challenges, _) = error else { throw error }
            throw .proxyUnauthorized(challenges, "this proxy wants a name and a password")
        }
        do throws(ForwardProxy.Trouble) {
            guard isPlayer else { throw .denied("this proxy carries Windows Media for players of it, and nothing else of the web") }
            guard forwarding.permits(key) else { throw forwarding.denial(key) }
            return try forwarding.open(key)
        } catch {
            server.count(error)
            switch error {
            case .unreadable(let words): throw .malformed(words)
            case .denied(let words): throw .forbidden(words)
            case .loop(let words), .full(let words): throw .unavailable(words, retryAfterSeconds: Path.retryAfterSeconds)
            case .path(let error): throw WMSPRefusal(pathError: error)
            }
        }
    }

    func obey(_ decision: AccessControl.Decision, _ what: String, _ connection: WMSPConnection) throws(WMSPRefusal) {
        switch decision {
        case .allowed(let user):
            connection.challenged = nil
            if user != nil { server.access.failures.loggedIn(connection.host) }
        case .challenge(let challenges):
            count(.loginMissing)
            connection.challenged = what
            throw .unauthorized(challenges, "a name and a password are needed here")
        case .stale(let challenges):
            count(.loginStale)
            throw .unauthorized(challenges, "the nonce is too old, or was used already; here is another")
        case .unusable(let challenges, let why):
            count(.loginWrong)
            server.refused(what, user: nil, why: why, from: connection.host, connection.words)
            throw .unauthorized(challenges, "the answer to the challenge cannot be used: \(why)")
        case .wrong(let challenges, let user, let why):
            count(.loginWrong)
            connection.challenged = nil
            server.refused(what, user: user, why: why, from: connection.host, connection.words)
            throw .unauthorized(challenges, "the name or the password is wrong")
        case .forbidden(let user, let why):
            count(.rightMissing)
            server.refused(what, user: user.isEmpty ? nil : user, why: why, from: connection.host, connection.words)
            throw .forbidden(why)
        case .tooManyFailures:
            count(.loginRate)
            throw .unavailable("too many wrong passwords came from your address", retryAfterSeconds: 60)
        }
    }
}

extension PathSettings.Source {
    /// Whether a path of it is of use to a player of Windows Media, as far as is known.
    fileprivate var mayBeWindowsMedia: Bool {
        if isWindowsMedia { return true }
        if case .template = self { return true }
        return false
    }
}
