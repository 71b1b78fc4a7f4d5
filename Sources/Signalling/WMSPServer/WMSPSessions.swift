import WireFormats

/// A server of Windows Media over HTTP ([MS-WMSP] section 3.2), without what it serves: requests, facts and time come in, actions go out.
///
/// The owner of the connections classifies each request (``WMSPRequest``), decides who may, finds the content, and calls
/// ``receive(_:on:from:content:now:)``. A connection's next request waits until the one before was received. `now` is monotonic, in
/// milliseconds, here and everywhere.
package struct WMSPSessions: Sendable {
    /// What can be chosen.
    package struct Settings: Sendable, Equatable {
        /// Sessions in all.
        package var sessionsMax = 16_384
        /// Sessions of one address.
        package var sessionsPerAddressMax = 8_192
        /// Answers owed on one connection while it carries media.
        package var owedMax = 16
        /// A session without requests and media ends after so long; announced a little shorter. At least 10 s.
        package var idleMilliseconds: UInt64 = 65_000
        /// How often clients must let themselves be heard.
        package var keepAliveMilliseconds: UInt64 = 60_000
        /// The highest `AccelBW`, `BurstBW`; 0: none is granted.
        package var fastStartBitsPerSecondMax: UInt32 = 50_000_000
        /// The longest `AccelDuration`, `BurstDuration`.
        package var fastStartMillisecondsMax: UInt32 = 30_000
        /// The highest `Speed`; 1: none is granted.
        package var speedMax = 5.0
        /// Whether clients of version 9 that ask may pipeline requests. Others, and those whose test fails, use a connection for each thing
        /// they have to say.
        package var offersPipelining = true
        /// Whether clients that ask get bytes by which they measure their link.
        package var offersPacketPairs = false
        /// How long the second request of a pipeline test may take.
        package var pipelineTestMilliseconds: UInt64 = 1_000
        /// A body that is not chunked ends with many `$E` on a connection that stays, rather than with the connection: for proxies that
        /// gather.
        package var repeatsEnd = false

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
        /// Sessions that a new connection took over from an old one.
        package var takeOvers = 0
        /// Requests that named a session of somebody else, or none that there is.
        package var sessionsMistaken = 0
        /// Connections closed because too many answers were owed on them.
        package var owedOverflows = 0
    }

    /// As it was given.
    package let settings: Settings
    let makeID: @Sendable () -> UInt32
    var sessions: [UInt32: WMSPServerSession] = [:]
    private var countByAddress: [String: Int] = [:]
    /// Which session's body is open on a connection.
    var bodies: [UInt64: UInt32] = [:]
    /// Connections that are to be closed: nothing that comes over them counts any more.
    private var closing: Set<UInt64> = []
    /// On which connections pipelining is being tested.
    var tests: [UInt64: UInt32] = [:]
    var actions: [WMSPServerAction] = []
    /// What happened.
    package internal(set) var counters = Counters()

    /// A server without sessions. `makeID` gives a number that nobody can guess.
    package init(settings: Settings = Settings(), makeID: @escaping @Sendable () -> UInt32) {
        self.settings = settings
        self.makeID = makeID
    }

    /// How many sessions there are.
    package var count: Int { sessions.count }
    /// From where a session was opened.
    package func address(of session: UInt32) -> String? { sessions[session]?.address }
    /// How many of them are being sent media.
    package var streamingCount: Int { sessions.values.count { $0.state == .streaming } }

    // MARK: What comes in

    /// A request, on a connection from an address (without port). `content` is what its target names, or why there is none: looked at for
    /// ``WMSPRequest/Kind/describe``, ``WMSPRequest/Kind/getContentInfo``, ``WMSPRequest/Kind/play`` and, where that becomes a Play,
    /// ``WMSPRequest/Kind/selectStream`` by GET.
    package mutating func receive(
        _ request: WMSPRequest, on connection: UInt64, from address: String, content: Result<WMSPContent, WMSPRefusal>?, now: UInt64
    ) -> [WMSPServerAction] {
        guard !closing.contains(connection) else { return [] }
        do throws(WMSPRefusal) {
            if request.kind != .pipelineTest { endTest(on: connection) }
            try handle(Incoming(request: request, connection: connection, address: address, content: content, now: now))
        } catch {
            if error == .sessionUnknown || error == .sessionForeign { counters.sessionsMistaken += 1 }
            reply(error.response(to: request.message), to: request.message, on: connection)
        }
        return take()
    }

    /// A request that the owner refuses: not for the sessions to see, but its answer has its place among theirs.
    package mutating func refuse(_ refusal: WMSPRefusal, to request: HTTPRequest?, on connection: UInt64) -> [WMSPServerAction] {
        guard !closing.contains(connection) else { return [] }
        endTest(on: connection)
        reply(refusal.response(to: request), to: request, on: connection)
        return take()
    }

    /// The connection is gone. To be told of every connection over which a request came, whoever closed it.
    package mutating func connectionClosed(_ connection: UInt64, now: UInt64) -> [WMSPServerAction] {
        closing.remove(connection)
        if let id = tests.removeValue(forKey: connection) { sessions[id]?.pipelineTest = nil }
        if let id = bodies.removeValue(forKey: connection), sessions[id] != nil {
            actions.append(.stop(session: id))
            becomeIdle(id, now: now)
        }
        return take()
    }

    /// Looks whose time is over. To be called every second or so.
    package mutating func timeElapsed(now: UInt64) -> [WMSPServerAction] {
        for (connection, id) in tests {
            guard let test = sessions[id]?.pipelineTest, test.isRunning, test.deadline <= now else { continue }
            actions.append(.send(connection: connection, ChunkedCoding.end))
            sessions[id]?.pipelineTest?.isRunning = false
        }
        let idle = max(settings.idleMilliseconds, 10_000)
        let over = sessions.values.filter { $0.state != .streaming && $0.idleSince &+ idle <= now }
        for session in over { end(session.id, .idle) }
        return take()
    }

    /// The content ended it, or the path did.
    package mutating func end(session id: UInt32, _ why: WMSPSessionEnd = .ended) -> [WMSPServerAction] {
        end(id, why)
        return take()
    }

    // MARK: Sessions

    /// What ``receive(_:on:from:content:now:)`` got.
    struct Incoming {
        let request: WMSPRequest
        let connection: UInt64
        let address: String
        let content: Result<WMSPContent, WMSPRefusal>?
        let now: UInt64

        /// What the target names.
        func contentOrRefusal() throws(WMSPRefusal) -> WMSPContent {
            guard let content else { throw .notFound("there is nothing at this path") }
            return try content.get()
        }
    }

    /// A new session for a request.
    mutating func open(_ incoming: Incoming) throws(WMSPRefusal) -> WMSPServerSession {
        if countByAddress[incoming.address] ?? 0 >= settings.sessionsPerAddressMax {
            try makeRoom(among: { $0.address == incoming.address }, "\(settings.sessionsPerAddressMax) sessions of one address")
        }
        if sessions.count >= settings.sessionsMax { try makeRoom(among: { _ in true }, "\(settings.sessionsMax) sessions") }
        var id = makeID()
        while id == 0 || sessions[id] != nil { id = id &+ 1 }
        counters.sessionsOpened += 1
        countByAddress[incoming.address, default: 0] += 1
        let session = WMSPServerSession(id: id, address: incoming.address, request: incoming.request, now: incoming.now)
        sessions[id] = session
        return session
    }

    /// The one that was idle longest goes; if none is idle, nobody more is taken.
    private mutating func makeRoom(among isCandidate: (WMSPServerSession) -> Bool, _ bound: String) throws(WMSPRefusal) {
        let oldest = sessions.values.filter { $0.state == .idle && isCandidate($0) }.min { $0.idleSince < $1.idleSince }
        guard let oldest else {
            counters.sessionsRefused += 1
            throw .full("this server takes at most \(bound)", retryAfterSeconds: 10)
        }
        counters.sessionsEvicted += 1
        end(oldest.id, .evicted)
    }

    private mutating func end(_ id: UInt32, _ why: WMSPSessionEnd) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        let left = (countByAddress[session.address] ?? 1) - 1
        countByAddress[session.address] = left > 0 ? left : nil
        if let test = session.pipelineTest {
            tests[test.connection] = nil
            if test.isRunning { actions.append(.send(connection: test.connection, ChunkedCoding.end)) }
        }
        if let connection = session.connection {
            bodies[connection] = nil
            actions.append(.stop(session: id))
            close(connection)
        }
        actions.append(.ended(session: id, why))
    }

    /// No body of it is open any more.
    mutating func becomeIdle(_ id: UInt32, now: UInt64) {
        guard let connection = sessions[id]?.connection else { return }
        bodies[connection] = nil
        sessions[id]?.connection = nil
        sessions[id]?.owed = []
        sessions[id]?.state = .idle
        sessions[id]?.idleSince = now
    }

    // MARK: Answers

    /// Writes an answer, or keeps it until the body that is open on its connection has ended.
    mutating func reply(_ response: HTTPResponse, to request: HTTPRequest?, on connection: UInt64) {
        let closes = response.headers.lists("close", under: "Connection")
        let bytes = response.serialized()
        guard let id = bodies[connection], let session = sessions[id] else {
            actions.append(.send(connection: connection, bytes))
            if closes { close(connection) }
            return
        }
        guard session.owed.count < settings.owedMax else {
            counters.owedOverflows += 1
            actions.append(.stop(session: id))
            close(connection)
            becomeIdle(id, now: session.idleSince)
            return
        }
        sessions[id]?.owed.append(.init(bytes: bytes, closes: closes))
    }

    /// Ends the chunked body that is open, and writes the answers that were owed behind it.
    mutating func endBody(of id: UInt32) {
        guard let session = sessions[id], let connection = session.connection else { return }
        actions.append(.send(connection: connection, ChunkedCoding.end))
        for owed in session.owed {
            actions.append(.send(connection: connection, owed.bytes))
            if owed.closes { close(connection) }
        }
        sessions[id]?.owed = []
    }

    /// Another request came than the second of a test.
    mutating func endTest(on connection: UInt64) {
        guard let id = tests.removeValue(forKey: connection) else { return }
        if sessions[id]?.pipelineTest?.isRunning == true { actions.append(.send(connection: connection, ChunkedCoding.end)) }
        sessions[id]?.pipelineTest = nil
    }

    func isClosing(_ connection: UInt64) -> Bool { closing.contains(connection) }

    mutating func close(_ connection: UInt64) {
        guard closing.insert(connection).inserted else { return }
        actions.append(.close(connection: connection))
    }

    mutating func take() -> [WMSPServerAction] {
        defer { actions = [] }
        return actions
    }
}
