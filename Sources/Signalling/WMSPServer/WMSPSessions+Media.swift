import WireFormats

extension WMSPSessions {
    // MARK: Play

    mutating func play(_ incoming: Incoming) throws(WMSPRefusal) {
        let request = incoming.request
        let content = try incoming.contentOrRefusal()
        let known = try named(incoming)
        if let known, known.connection != nil { try takeOver(known, by: incoming) }
        endOtherBody(on: incoming)
        guard !isClosing(incoming.connection) else { return }
        var session: WMSPServerSession
        if let known, let rest = sessions[known.id] { session = rest } else { session = try open(incoming) }
        session.seen(request, now: incoming.now)
        session.content = content
        session.path = incoming.request.target.path
        session.select(by: request, isComplete: true)
        // Packets of a broadcast are the same for all: they do not count one client's Plays.
        if content.features.contains(.broadcast) {
            session.incarnation = 0
        } else if known != nil {
            session.incarnation &+= 1
        }
        session.isConfirmed = true
        session.state = .streaming
        session.connection = incoming.connection
        session.isChunked = session.dialect.takesChunks && request.isModernHTTP && request.pragma.isOn("version11-enabled")
        session.owed = []
        sessions[session.id] = session
        bodies[incoming.connection] = session.id

        let pragma = request.pragma
        // What it goes on to is what is played.
        let played = session.dialect.takesStreamChanges ? content.skipsTo.first ?? content : content
        var rate = 1.0
        if played.features(for: session.dialect).contains(.stridable), let asked = pragma.fraction("rate"), asked != 0 {
            rate = min(max(asked, -5), 5)
        }
        var tokens = Self.tokens(of: session, isNew: known == nil, content: content, timeout: settings.keepAliveMilliseconds)
        let fastStart = fastStart(pragma, session.dialect, content, &tokens)
        let speed = speed(pragma, session.dialect, content, &tokens)
        let skip = goOnAtOnce(&session, from: content, &tokens)
        sessions[session.id] = session
        var response = answer(.ok, to: incoming, tokens: tokens, content: content)
        response.headers.add("Content-Type", session.dialect.wantsOctetStream ? WMSPContentType.octets : WMSPContentType.media)
        if let profile = content.startupProfile, fastStart != nil, rate == 1 { response.headers.add("X-StartupProfile", profile) }
        response.headers.add(session.isChunked ? "Transfer-Encoding" : "Connection", session.isChunked ? "chunked" : "close")
        var body = content.opening(for: session.dialect, incarnation: session.incarnation)
        if known == nil, let context = session.dialect.repeatsHeaderAtContext, pragma.number("request-context") == context {
            body += WMSPFraming.endOfStream(.entryDone) + WMSPFraming.streamChange() + body
        }
        body += skip
        let target = content.skipsTo.isEmpty ? content : session.content ?? content
        let position = WMSPPosition(pragma, dialect: session.dialect, header: target.header(for: session.dialect))
        var play = WMSPPlay(
            session: session.id, connection: incoming.connection, isChunked: session.isChunked, dialect: session.dialect,
            selection: session.selection, position: content.features.contains(.broadcast) ? .beginning : position,
            end: content.features.contains(.broadcast) ? nil : Self.end(pragma), rate: rate, fastStart: fastStart, speed: speed,
            incarnation: session.incarnation)
        play.isHeld = session.state == .waiting
        actions.append(.start(play, opening: response.serialized() + session.coded(body)))
    }

    /// A client that comes back before its old connection was found dead gets its session; anybody else does not.
    private mutating func takeOver(_ session: WMSPServerSession, by incoming: Incoming) throws(WMSPRefusal) {
        guard session.yields(to: incoming.address, guid: incoming.request.guid), let old = session.connection else {
            throw .notNow(.play, "the session is being sent media over another connection")
        }
        counters.takeOvers += 1
        actions.append(.stop(session: session.id))
        endBodyOrConnection(of: session, on: old, isWanted: old == incoming.connection, now: incoming.now)
    }

    /// The connection carries the media of another session: its client plays something else now.
    private mutating func endOtherBody(on incoming: Incoming) {
        guard let id = bodies[incoming.connection], let session = sessions[id] else { return }
        actions.append(.stop(session: id))
        endBodyOrConnection(of: session, on: incoming.connection, isWanted: true, now: incoming.now)
    }

    /// A chunked body ends where the connection is wanted on; any other has no end but the connection's, and an answer behind it would be
    /// taken for media.
    private mutating func endBodyOrConnection(of session: WMSPServerSession, on connection: UInt64, isWanted: Bool, now: UInt64) {
        if isWanted, session.isChunked { endBody(of: session.id) } else { close(connection) }
        becomeIdle(session.id, now: now)
    }

    /// What a Play wants to know of the content's beginning (`X-StartupProfile`): which streams, from where, and how much of them; nil where
    /// it does not say that it understands it, or is not sent anything faster.
    package func startupWish(of request: WMSPRequest, content: WMSPContent) -> WMSPStartupWish? {
        guard request.dialect.takesSupported, request.supported?.contains(.startupProfile) ?? false,
            (request.pragma.fraction("rate") ?? 1) == 1
        else { return nil }
        var tokens: [String] = []
        guard let fast = fastStart(request.pragma, request.dialect, content, &tokens) else { return nil }
        switch request.kind {
        case .play:
            var session = WMSPServerSession(id: 0, address: "", request: request, now: 0)
            session.content = content
            session.select(by: request, isComplete: true)
            let position = WMSPPosition(request.pragma, dialect: request.dialect, header: content.header(for: request.dialect))
            return WMSPStartupWish(selection: session.selection, position: position, milliseconds: fast.milliseconds)
        case .playNextEntry:
            // Whoever is being sent it already has begun with it.
            guard var session = request.clientID.flatMap({ sessions[$0] }), session.state == .waiting, session.isChunked else { return nil }
            session.select(by: request, isComplete: request.pragma.contains("stream-switch-entry"))
            return WMSPStartupWish(selection: session.selection, position: .beginning, milliseconds: fast.milliseconds)
        default: return nil
        }
    }

    /// What of `AccelBW` and `AccelDuration`, or `BurstBW` and `BurstDuration`, is granted, and what the answer says of it.
    private func fastStart(
        _ pragma: PragmaList, _ dialect: WMSPDialect, _ content: WMSPContent, _ tokens: inout [String]
    ) -> WMSPPlay.FastStart? {
        let millisecondsMax = min(settings.fastStartMillisecondsMax, content.fastStartMillisecondsMax ?? .max)
        for (name, isTaken) in [("Burst", dialect.takesBurst), ("Accel", dialect.takesAcceleration)] {
            guard isTaken, let rate = pragma.number("\(name)BW"), let duration = pragma.number("\(name)Duration"), rate > 0, duration > 0,
                settings.fastStartBitsPerSecondMax > 0, millisecondsMax > 0
            else { continue }
            let granted = WMSPPlay.FastStart(
                bitsPerSecond: min(rate, settings.fastStartBitsPerSecondMax, dialect.accelerationBitsPerSecondMax ?? .max),
                milliseconds: min(duration, millisecondsMax))
            tokens.append("\(name)BW=\(granted.bitsPerSecond)")
            tokens.append("\(name)Duration=\(granted.milliseconds)")
            return granted
        }
        return nil
    }

    /// A factor above 1 is granted for what has an end.
    private func speed(_ pragma: PragmaList, _ dialect: WMSPDialect, _ content: WMSPContent, _ tokens: inout [String]) -> Double {
        guard dialect.isModern, !content.features.contains(.broadcast), let asked = pragma.fraction("Speed"), asked > 1 else { return 1 }
        let thousandths = Int(min(asked, max(settings.speedMax, 1)) * 1_000)
        let digits = String(thousandths % 1_000)
        tokens.append("Speed=\(thousandths / 1_000).\(String(repeating: "0", count: 3 - digits.utf8.count))\(digits)")
        return Double(thousandths) / 1_000
    }

    /// Where a Play ends by `max-duration`: at an absolute time with the top bit set, else after so long.
    static func end(_ pragma: PragmaList) -> WMSPPlay.End? {
        guard let value = pragma.number("max-duration"), value != 0, value != .max else { return nil }
        return value >> 31 == 1 ? .absolute(milliseconds: value & 0x7FFF_FFFF) : .after(milliseconds: value)
    }

    // MARK: While it plays

    mutating func selectStream(_ incoming: Incoming) throws(WMSPRefusal) {
        let isGet = incoming.request.message.method != .other("POST")
        // A list in a GET without any media that it could change is a Play of those who do not say `xPlayStrm`.
        if isGet, try named(incoming)?.connection == nil { return try play(incoming) }
        var session = try required(incoming)
        session.select(by: incoming.request, isComplete: session.state == .waiting)
        session.selectedAt = incoming.now
        session.isConfirmed = true
        sessions[session.id] = session
        guard session.connection == incoming.connection, session.isChunked else {
            replyEmpty(
                .ok, to: incoming, tokens: Self.tokens(of: session, isNew: false, content: nil, timeout: settings.keepAliveMilliseconds))
            goOn(session.id)
            return
        }
        beginNextBody(session, incoming)
    }

    mutating func playNextEntry(_ incoming: Incoming) throws(WMSPRefusal) {
        var session = try required(incoming)
        guard session.connection == incoming.connection, session.isChunked else {
            throw .notNow(.playNextEntry, "no media goes over this connection in chunks")
        }
        let wasWaiting = session.state == .waiting
        if incoming.request.pragma.contains("stream-switch-entry") { session.select(by: incoming.request, isComplete: true) }
        session.isConfirmed = true
        sessions[session.id] = session
        var tokens: [String] = []
        let fastStart = session.content.flatMap { self.fastStart(incoming.request.pragma, session.dialect, $0, &tokens) }
        let profile = wasWaiting && fastStart != nil ? (try? incoming.content?.get())?.startupProfile : nil
        if let fastStart { actions.append(.hasten(session: session.id, fastStart)) }
        beginNextBody(session, incoming, granted: tokens, profile: profile)
    }

    /// The body ends, the answers that were owed come, and media goes on in the body of this answer.
    private mutating func beginNextBody(
        _ session: WMSPServerSession, _ incoming: Incoming, granted: [String] = [], profile: String? = nil
    ) {
        endBody(of: session.id)
        var response = answer(
            .ok, to: incoming,
            tokens: Self.tokens(of: session, isNew: false, content: session.content, timeout: settings.keepAliveMilliseconds) + granted,
            content: session.content)
        response.headers.add("Content-Type", WMSPContentType.media)
        if let profile { response.headers.add("X-StartupProfile", profile) }
        response.headers.add("Transfer-Encoding", "chunked")
        actions.append(.send(connection: incoming.connection, response.serialized()))
        goOn(session.id)
    }

    private mutating func goOn(_ id: UInt32) {
        guard let session = sessions[id], session.connection != nil else { return }
        sessions[id]?.state = .streaming
        actions.append(.select(session: id, session.selection))
    }

    // MARK: What becomes of the content

    /// The last `$D` was written; `reason` is another than ``WMSPReason/done`` where the content broke off.
    package mutating func mediaEnded(_ id: UInt32, reason: WMSPReason = .done, now: UInt64) -> [WMSPServerAction] {
        guard let session = sessions[id], let connection = session.connection else { return [] }
        let end = WMSPFraming.endOfStream(reason)
        if session.isChunked {
            actions.append(.send(connection: connection, session.coded(end)))
            endBody(of: id)
        } else if settings.repeatsEnd, !session.dialect.closesAtEnd {
            let ends = (0...WMSPFraming.repeatedEnds).flatMap { _ in end }
            actions.append(.send(connection: connection, ends))
        } else {
            actions.append(.send(connection: connection, end))
            close(connection)
        }
        becomeIdle(id, now: now)
        return take()
    }
}
