import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Who may do what is asked for.
extension RTSPServer {
    /// Lets a request pass, or throws what it is answered with. OPTIONS is free; what only works with the name of a session, which
    /// nobody can guess, is as free as SETUP was.
    func authorize(_ request: ServerRequest, _ connection: RTSPConnection) throws(RequestRefusal) {
        let method = request.message.method
        // Their URL names a stream of somebody else.
        if method == .register || method == .deregister {
            guard settings.register.isOn else { return }
            let decision = access.decide(
                settings.register.allow, to: "register", request: request.message, from: connection.host, now: Self.milliseconds(.now()))
            return try obey(decision, "\(method.name)", nil, connection)
        }
        let session = request.session.flatMap(session(named:))
        if method == .setParameter, !request.message.body.isEmpty, let settings = session?.path.settings, settings.parameters == .passAll {
            let decision = access.decide(
                .control, of: settings, request: request.message, from: connection.host, now: Self.milliseconds(.now()))
            return try obey(decision, "SET_PARAMETER /\(settings.name)", nil, connection)
        }
        let found = try? found(by: request, on: connection)
        if found?.forward != nil { return try authorize(forwarding: request, connection) }
        let path = found?.path
        let right: AccessRight
        switch request.message.method {
        case .describe, .play: right = .read
        case .announce, .record: right = .publish
        case .setup:
            let isPublisher = session?.publication != nil || connection.sessions.contains { $0.publication != nil && $0.path === path }
            right = isPublisher ? .publish : .read
        case .options, .pause, .teardown, .getParameter, .setParameter, .redirect, .register, .deregister, .other: return
        }
        let now = Self.milliseconds(.now())
        let decision = access.decide(right, of: found?.settings, request: request.message, from: connection.host, now: now)
        let what = "\(request.message.method.name) /\(request.target.readings.first?.path.prefix(64) ?? "")"
        try obey(decision, what, session, connection)
    }

    /// The same for a request about Windows Media. Whoever asks or tells something of a path must be one who may read it; what only works with
    /// the name of a session is as free as SETUP was.
    func authorize(windowsMedia request: ServerRequest, _ found: Found, _ connection: RTSPConnection) throws(RequestRefusal) {
        guard request.message.method != .options else { return }
        if found.forward != nil { return try authorize(forwarding: request, connection) }
        let now = Self.milliseconds(.now())
        let decision = access.decide(.read, of: found.settings, request: request.message, from: connection.host, now: now)
        try obey(decision, "\(request.message.method.name) /\(request.target.readings.first?.path.prefix(64) ?? "")", nil, connection)
    }

    func obey(
        _ decision: AccessControl.Decision, _ what: String, _ session: ServerSession?, _ connection: RTSPConnection
    ) throws(RequestRefusal) {
        switch decision {
        case .allowed(let user):
            if let session, session.user != user { throw .sessionForeign("the session belongs to another user") }
            connection.user = user
            connection.challenged = nil
            if user != nil { access.failures.loggedIn(connection.host) }
        case .challenge(let challenges):
            count(.loginMissing)
            connection.challenged = what
            throw .unauthorized(challenges, "a name and a password are needed here: rtsp://USER:PASSWORD@HOST/PATH")
        case .stale(let challenges):
            count(.loginStale)
            throw .unauthorized(challenges, "the nonce is too old, or was used already; here is another")
        case .unusable(let challenges, let why):
            count(.loginWrong)
            refused(what, user: nil, why: why, connection)
            throw .unauthorized(challenges, "the answer to the challenge cannot be used: \(why)")
        case .wrong(let challenges, let user, let why):
            count(.loginWrong)
            refused(what, user: user, why: why, connection)
            throw .unauthorized(challenges, "the name or the password is wrong")
        case .forbidden(let user, let why):
            count(.rightMissing)
            refused(what, user: user.isEmpty ? nil : user, why: why, connection)
            throw .forbidden(why)
        case .tooManyFailures:
            count(.loginRate)
            refused(what, user: nil, why: "too many wrong passwords came from this address; it must wait", connection)
            let seconds = max(1, 60 / max(settings.access.failuresForgivenPerMinute, 1))
            throw .unavailable("too many wrong passwords came from your address", retryAfterSeconds: seconds)
        }
    }

    private func refused(_ what: String, user: String?, why: String, _ connection: RTSPConnection) {
        connection.challenged = nil
        refused(what, user: user, why: why, from: connection.host, connection.words)
    }

    /// Says who was not let in, and why.
    func refused(_ what: String, user: String?, why: String, from host: HostAddress, _ words: String) {
        guard let report = access.failures.report(.wrong, of: host, now: Self.milliseconds(.now())) else { return }
        var metadata: Logger.Metadata = ["from": "\(words)", "request": "\(what)", "why": "\(why)"]
        if let user { metadata["user"] = "\(user.prefix(64))" }
        if report.unsaid > 0 { metadata["more"] = "\(report.unsaid)" }
        logger.warning("login refused", metadata: metadata)
    }

    /// A connection ends: if it was asked for a name and a password and never gave any, somebody may wonder why.
    func loginAbandoned(_ connection: RTSPConnection) {
        guard let what = connection.challenged else { return }
        access.failures.abandoned(connection.host, from: connection.words, request: what, now: Self.milliseconds(.now()))
    }

    /// Says what was abandoned, and forgives what time has healed; about once a second.
    func sweepLogins(now: UInt64) {
        for (abandoned, report) in access.failures.takeAbandoned(now: now) {
            var metadata: Logger.Metadata = [
                "from": "\(abandoned.from)", "request": "\(abandoned.request)",
                "why": "a name and a password were asked for, and none came",
            ]
            if report.unsaid > 0 { metadata["more"] = "\(report.unsaid)" }
            logger.warning("login refused", metadata: metadata)
        }
        access.failures.forgive(now: now)
    }

    static func milliseconds(_ time: NIODeadline) -> UInt64 { time.uptimeNanoseconds / 1_000_000 }
}
