import WireFormats

/// A server of Windows Media over RTSP ([MS-RTSP] section 3.2), without what it serves: requests, facts and time come in, actions go out.
///
/// The owner of the connections finds the path, decides who may, finds the content where ``needsContent(_:)`` says so, and calls
/// ``receive(_:on:from:content:place:now:)``. A connection's next request waits until the one before was answered. `now` is monotonic, in
/// milliseconds, here and everywhere.
package struct MSRTSPSessions: Sendable {
    /// What can be chosen.
    package struct Settings: Sendable, Equatable {
        /// Sessions in all.
        package var sessionsMax = 16_384
        /// Sessions of one address.
        package var sessionsPerAddressMax = 8_192
        /// A session without requests ends after so long, but for one that is sent media over TCP. At least 10 s.
        package var idleMilliseconds: UInt64 = 65_000
        /// How often clients must let themselves be heard: `timeout` of `Session`.
        package var keepAliveMilliseconds: UInt64 = 60_000
        /// A session may ask ``transactionsMax`` things in that time; the streams of one entry count as one.
        package var heartbeatMilliseconds: UInt64 = 30_000
        package var transactionsMax = 240
        /// The longest `X-Player-Lag-Time` that an Announce waits.
        package var lagMillisecondsMax: UInt64 = 15_000
        /// The highest `AccelBandwidth`, as that of Windows Media Services; content that needs more gets twice its bit rate. 0: none is granted.
        package var accelerationBitsPerSecondMax: UInt32 = 2_000_000
        /// The highest `BurstBandwidth`; 0: none is granted.
        package var burstBitsPerSecondMax: UInt32 = 50_000_000
        /// The longest `AccelDuration`, `BurstDuration`.
        package var fastStartMillisecondsMax: UInt32 = 30_000
        /// The highest `Speed`; 1: none is granted.
        package var speedMax = 5.0
        /// Clients that ask get bytes by which they measure their link.
        package var offersPacketPairs = true

        /// The defaults.
        package init() {}
    }

    /// What happened, in numbers that only grow.
    package struct Counters: Sendable, Equatable {
        /// Sessions that began.
        package var sessionsOpened = 0
        /// Sessions that made room for others.
        package var sessionsEvicted = 0
        /// Requests refused because a bound on sessions was reached.
        package var sessionsRefused = 0
        /// Sessions that went on over another connection.
        package var takeOvers = 0
        /// Requests that named a session of somebody else, or none that there is.
        package var sessionsMistaken = 0
        /// Requests refused because a session asked too much (``Settings/transactionsMax``).
        package var transactionsRefused = 0
        /// Requests about an entry that is over (412).
        package var entriesMistaken = 0
        /// EndOfStream and Announce requests that were sent.
        package var noticesSent = 0
        /// Those that were answered with another status than 200, or none.
        package var noticesRefused = 0
        /// Logs that were no XML, or of no session.
        package var logsUnusable = 0
    }

    /// As it was given.
    package let settings: Settings
    let makeID: @Sendable () -> UInt64
    var sessions: [UInt64: MSRTSPSession] = [:]
    private var countByAddress: [String: Int] = [:]
    /// Sessions that go over a connection.
    var sessionsByConnection: [UInt64: Set<UInt64>] = [:]
    /// What clients that have no session yet said that they can.
    var featuresByConnection: [UInt64: MSRTSPSupported] = [:]
    var actions: [MSRTSPServerAction] = []
    /// What happened.
    package internal(set) var counters = Counters()

    /// A server without sessions. `makeID` gives a number that nobody can guess.
    package init(settings: Settings = Settings(), makeID: @escaping @Sendable () -> UInt64) {
        self.settings = settings
        self.makeID = makeID
    }

    /// How many sessions there are.
    package var count: Int { sessions.count }
    /// How many of them are being sent media.
    package var playingCount: Int { sessions.values.count { $0.state == .playing } }

    /// What is known of a session.
    package func facts(of id: UInt64) -> MSRTSPSessionFacts? {
        guard let session = sessions[id] else { return nil }
        return MSRTSPSessionFacts(
            path: session.path, host: session.host, connection: session.connection, agent: session.agent,
            isPlaying: session.state == .playing, selection: session.selection, playlistGenID: session.content.playlistGenID,
            transport: (session.carrier ?? session.slots.first)?.transport, retransmission: session.retransmission.map(\.asked),
            followsEntries: session.followsEntries)
    }

    // MARK: What comes in

    /// Whether a request is answered by what the content is, which has to be found before. A Play that goes on with what its session has, or
    /// that the next entry waits for, must not make anybody look for another.
    package func needsContent(_ request: MSRTSPRequest) -> Bool {
        switch request.kind {
        case .describe, .getContentInfo: return true
        case .selectStream: return request.selecting == .add && request.session == .none
        case .play:
            guard case .id(let id) = request.session, let session = sessions[id] else { return false }
            return needsContent(request, session)
        case .options, .tcpPacketPair, .pause, .keepAlive, .udpPacketPair, .logConnect, .logPlay, .sendEvent, .acknowledgement, .tearDown:
            return false
        }
    }

    /// A request, on a connection from an address (without port). `content` is what its URL names, or why there is none: looked at where
    /// ``needsContent(_:)`` says so. For a Play it is that of the entry which the Play is about; for one that skips
    /// (``MSRTSPRequest/offset``) that from which it goes, the other in ``WMSPContent/skipsTo``.
    package mutating func receive(
        _ request: MSRTSPRequest, on connection: UInt64, from host: String, content: Result<WMSPContent, RequestRefusal>?,
        place: MSRTSPPlace, now: UInt64
    ) -> [MSRTSPServerAction] {
        let incoming = Incoming(request: request, connection: connection, host: host, content: content, place: place, now: now)
        do throws(RequestRefusal) { try handle(incoming) } catch {
            switch error {
            case .sessionNotFound, .sessionForeign: counters.sessionsMistaken += 1
            case .contentChanged: counters.entriesMistaken += 1
            default: break
            }
            reply(error.response, to: incoming)
        }
        return take()
    }

    /// The place where a session's media begins: after ``MSRTSPServerAction/start(_:)``.
    package mutating func started(_ id: UInt64, _ beginning: MSRTSPBeginning, now: UInt64) -> [MSRTSPServerAction] {
        guard var session = sessions[id], let start = session.start else { return [] }
        session.start = nil
        if case .answering(let connection, let reply) = start {
            session.idleSince = now
            if let change = session.deferred {
                session.deferred = nil
                beginElsewhere(&session, change, reply, beginning, on: connection, now: now)
                sessions[id] = session
                return take()
            }
            session.state = .playing
            answer(reply, beginning, of: session, on: connection)
        }
        actions.append(.go(session: id))
        sessions[id] = session
        return take()
    }

    /// Media could not be started; nothing of it is left.
    package mutating func startFailed(_ id: UInt64, _ refusal: RequestRefusal, now: UInt64) -> [MSRTSPServerAction] {
        guard var session = sessions[id], let start = session.start else { return [] }
        session.start = nil
        session.hasMedia = false
        session.hasEnded = true
        session.idleSince = now
        switch start {
        case .answering(let connection, _):
            session.state = .ready
            answer(refusal.response, of: session, on: connection)
            if let change = session.deferred {
                session.deferred = nil
                changed(&session, change, now: now)
            }
        case .told:
            tellEnd(&session, .disconnected, sequence: nil)
            session.state = .ready
        }
        sessions[id] = session
        return take()
    }

    /// A client's reports came over UDP: it is still there.
    package mutating func heard(_ id: UInt64, now: UInt64) { sessions[id]?.idleSince = now }

    /// A request of the server's was answered, with nil by something that is no answer. Nothing depends on how.
    package mutating func requestAnswered(_ id: UInt64, status: UInt16?, now: UInt64) {
        if status != 200 { counters.noticesRefused += 1 }
        sessions[id]?.idleSince = now
    }

    /// The connection is gone. To be told of every connection over which a request came, whoever closed it. Sessions of Windows Media's own
    /// clients wait for them to come back ([MS-RTSP] 3.2.7.1); others come back to none, unless their media goes another way. One that never
    /// played is over.
    package mutating func connectionClosed(_ connection: UInt64, now: UInt64) -> [MSRTSPServerAction] {
        featuresByConnection[connection] = nil
        for id in (sessionsByConnection.removeValue(forKey: connection) ?? []).sorted() {
            guard var session = sessions[id] else { continue }
            leave(&session, now: now)
            session.connection = nil
            sessions[id] = session
            // Who never played has nothing to come back to, and holds nobody's place.
            let comesBack = session.sent != nil && (session.followsEntries || !session.isSentInterleaved && !session.isDismissed)
            if !comesBack { end(id, .tornDown, closes: false) }
        }
        return take()
    }

    /// Looks whose time is over, and who has waited long enough. To be called several times a second.
    package mutating func timeElapsed(now: UInt64) -> [MSRTSPServerAction] {
        let idle = max(settings.idleMilliseconds, 10_000)
        var over: [UInt64] = []
        var due: [UInt64] = []
        for session in sessions.values {
            if session.change.map({ $0.dueAt <= now && !session.expectsPlay && !session.isPaused }) ?? false { due.append(session.id) }
            let isCarried = session.state == .playing && session.isSentInterleaved && session.connection != nil
            // Whoever looks for the place where media begins finds it, or says that there is none; for ever is too long in any case.
            let patience = session.state == .starting ? 2 * idle : idle
            if !isCarried, session.idleSince &+ patience <= now { over.append(session.id) }
        }
        for id in due.sorted() {
            guard var session = sessions[id], session.connection != nil else { continue }
            announceWhatIsDue(&session, now: now)
            sessions[id] = session
        }
        for id in over.sorted() { end(id, .idle, closes: true) }
        return take()
    }

    /// The content ended it, or the path did.
    package mutating func end(session id: UInt64, _ why: MSRTSPSessionEnd = .ended) -> [MSRTSPServerAction] {
        end(id, why, closes: true)
        return take()
    }

    // MARK: Sessions

    /// What ``receive(_:on:from:content:place:now:)`` got.
    struct Incoming {
        let request: MSRTSPRequest
        let connection: UInt64
        let host: String
        let content: Result<WMSPContent, RequestRefusal>?
        let place: MSRTSPPlace
        let now: UInt64

        /// What the URL names.
        func contentOrRefusal() throws(RequestRefusal) -> WMSPContent {
            guard let content else { throw .notFound("there is nothing at this path") }
            return try content.get()
        }
    }

    /// A new session for a request.
    mutating func open(_ incoming: Incoming, _ content: WMSPContent) throws(RequestRefusal) -> MSRTSPSession {
        if countByAddress[incoming.host] ?? 0 >= settings.sessionsPerAddressMax {
            try makeRoom(among: { $0.host == incoming.host }, "\(settings.sessionsPerAddressMax) sessions of one address")
        }
        if sessions.count >= settings.sessionsMax { try makeRoom(among: { _ in true }, "\(settings.sessionsMax) sessions") }
        var id = makeID()
        while id == 0 || sessions[id] != nil { id = id &+ 1 }
        counters.sessionsOpened += 1
        countByAddress[incoming.host, default: 0] += 1
        let known = featuresByConnection[incoming.connection] ?? MSRTSPSession.features(of: incoming.request.agent)
        var session = MSRTSPSession(id: id, incoming: incoming, content: content, features: known)
        session.seen(incoming.request, now: incoming.now)
        sessions[id] = session
        sessionsByConnection[incoming.connection, default: []].insert(id)
        return session
    }

    /// The one that was idle longest goes; if none is idle, nobody more is taken.
    private mutating func makeRoom(among isCandidate: (MSRTSPSession) -> Bool, _ bound: String) throws(RequestRefusal) {
        let idle = sessions.values.filter { $0.state == .ready && isCandidate($0) }
        guard let oldest = idle.min(by: { ($0.idleSince, $0.id) < ($1.idleSince, $1.id) }) else {
            counters.sessionsRefused += 1
            throw .unavailable("this server takes at most \(bound)", retryAfterSeconds: 10)
        }
        counters.sessionsEvicted += 1
        end(oldest.id, .evicted, closes: false)
    }

    mutating func end(_ id: UInt64, _ why: MSRTSPSessionEnd, closes: Bool) {
        guard var session = sessions.removeValue(forKey: id) else { return }
        let left = (countByAddress[session.host] ?? 1) - 1
        countByAddress[session.host] = left > 0 ? left : nil
        abandonStart(&session)
        if session.hasMedia { actions.append(.stop(session: id)) }
        actions.append(.ended(session: id, why))
        guard let connection = session.connection else { return }
        detach(id, from: connection)
        // Others may go over it.
        if closes, sessionsByConnection[connection] == nil { actions.append(.close(connection: connection)) }
    }

    private mutating func detach(_ id: UInt64, from connection: UInt64) {
        sessionsByConnection[connection]?.remove(id)
        if sessionsByConnection[connection]?.isEmpty == true { sessionsByConnection[connection] = nil }
    }

    /// A Play that waits is answered: what it waits for does not come any more.
    private mutating func abandonStart(_ session: inout MSRTSPSession) {
        guard case .answering(let connection, _) = session.start else { return session.start = nil }
        session.start = nil
        answer(RequestRefusal.notNow(.play, "the session ended, or went on over another connection").response, of: session, on: connection)
    }

    /// The client let go of the connection, or took another.
    private mutating func leave(_ session: inout MSRTSPSession, now: UInt64) {
        // Whoever waits on a connection that is gone gets no answer.
        let isStarting = session.start != nil || session.state == .starting
        session.start = nil
        if let deferred = session.deferred {
            session.deferred = nil
            if session.followsEntries {
                session.change = deferred
            } else if deferred.content.header.continues(session.content.header) {
                session.content = deferred.content
            }
        }
        if session.hasMedia {
            if session.isSentInterleaved || isStarting {
                actions.append(.stop(session: session.id))
                session.hasMedia = false
            } else if session.state == .playing {
                actions.append(.hold(session: session.id))
            }
        }
        session.state = .ready
        session.idleSince = now
    }

    /// The session goes on over the connection of the request.
    mutating func adopt(_ session: inout MSRTSPSession, _ incoming: Incoming) {
        guard session.connection != incoming.connection else { return }
        if let old = session.connection {
            counters.takeOvers += 1
            detach(session.id, from: old)
            let waits = session.start != nil && session.state == .starting
            if waits { abandonStart(&session) }
            // Over UDP it goes on as it was.
            if waits || session.isSentInterleaved { leave(&session, now: incoming.now) }
        }
        session.connection = incoming.connection
        sessionsByConnection[incoming.connection, default: []].insert(session.id)
    }

    mutating func take() -> [MSRTSPServerAction] {
        defer { actions = [] }
        return actions
    }
}

extension MSRTSPSession.Retransmission {
    /// As a Play says it.
    var asked: MSRTSPPlay.Retransmission { .init(ssrc: ssrc, port: port) }
}
