import WireFormats

extension LoadClient {
    /// Sessions asked for so far, with those for which not even a socket could be had.
    var begun: Int { sessions.count + unopened }

    /// Begins a session.
    func open(isJoiner: Bool) {
        let index = sessions.count
        let isSampled = !isJoiner && sample.contains(index)
        let reading: LoadSession.Reading
        if options.transport == .udp || isSampled {
            reading = .watched
        } else {
            reading = options.sessionsInAll <= options.parsedSessionsMax ? .swept : .discarded
        }
        do {
            sessions.append(
                try connect(
                    index: index, to: endpoint, url: url, transport: options.transport, isJoiner: isJoiner, isSampled: isSampled, reading))
            inFlight += 1
            pending += 1
        } catch {
            failures[error.description, default: 0] += 1
            unopened += 1
        }
    }

    /// Opens the stream that the others are compared with, and waits until it plays.
    func openSource(_ text: String) throws {
        let url = try Self.url(text)
        let endpoint = try Endpoint(host: url.host, port: url.portOrDefault)
        guard endpoint.isLoopback || options.allowRemote else {
            throw WorkbenchError.usage("--source \(url.host) is another machine; say --allow-remote if that is meant")
        }
        let session = try connect(
            index: Self.sourceIndex, to: endpoint, url: url, transport: .tcp, isJoiner: false, isSampled: false, .watched)
        source = session
        let limit = monotonicNanoseconds() + UInt64(options.joinTimeout * 1e9)
        while session.isPending {
            guard monotonicNanoseconds() < limit else {
                throw WorkbenchError("--source \(text) does not play within \(options.joinTimeout) s")
            }
            try turn(until: monotonicNanoseconds() + 10_000_000)
        }
        if case .failed(let reason) = session.phase { throw WorkbenchError("--source \(text): \(reason)") }
    }

    private func connect(
        index: Int, to endpoint: Endpoint, url: RTSPURL, transport: ReaderTransport, isJoiner: Bool, isSampled: Bool,
        _ reading: LoadSession.Reading
    ) throws(WorkbenchError) -> LoadSession {
        let connection = try ReaderConnection(to: endpoint, timestamps: isSampled && transport == .tcp)
        try poller.add(connection.number, events: Poller.readable | Poller.writable, key: Self.key(index, 0))
        let seed = UInt64.random(in: 0 ... .max)
        return LoadSession(
            index: index, isJoiner: isJoiner, isSampled: isSampled, reading: reading, connection: connection,
            machine: ReaderMachine(url: url, transport: transport, seed: seed), transport: transport)
    }

    /// The description came: makes what its tracks arrive on.
    func prepare(_ session: LoadSession) throws(WorkbenchError) {
        let tracks = session.machine.tracks
        if session.isSampled { session.logs = tracks.map { ArrivalLog(clockRate: $0.clockRate) } }
        guard session.transport == .udp else {
            session.accounts = tracks.map { _ in SequenceAccount() }
            return
        }
        if ports == nil {
            ports = try PortPairs(on: try session.connection.localEndpoint(), part: part, sharesRTCP: options.sharesRTCPPort)
        }
        for track in tracks.indices {
            guard
                let pair = try ports?.take(
                    receiveGRO: options.receiveGRO, timestamps: session.isSampled, receiveBytes: session.isSampled ? 8 << 20 : 0)
            else { return }
            if let filter {
                try filter.attach(to: pair.rtp.number, deliver: session.isSampled)
            } else if !session.isSampled {
                try pair.rtp.discardAll()
            }
            if session.isSampled {
                try poller.add(pair.rtp.number, events: Poller.readable, key: Self.key(session.index, track + 1))
            }
            session.pairs.append(pair)
        }
    }

    /// Gives up sessions that took too long.
    func expireJoins() {
        let now = monotonicNanoseconds()
        let limit = UInt64(options.joinTimeout * 1e9)
        for session in sessions where session.isPending && now - session.startedNanoseconds > limit {
            let where_ =
                switch session.phase {
                case .connecting: "its connect was not answered"
                case .starting: "PLAY was not answered"
                default: "DESCRIBE or SETUP was not answered"
                }
            end(session, "no media within \(options.joinTimeout) s: \(where_)")
        }
    }

    /// Whether a session that plays waits for its first packet, and not yet too long.
    func firstPacketsMissing() -> Bool {
        let now = monotonicNanoseconds()
        let limit = UInt64(options.joinTimeout * 1e9)
        var isMissing = false
        for session in sessions where session.phase == .playing && session.firstPacketNanoseconds == nil {
            session.firstPacketNanoseconds = firstCountedPacket(session)
            if session.firstPacketNanoseconds != nil { continue }
            // Only the filter and our own eyes see first packets.
            guard filter != nil || session.isSampled || session.transport == .tcp else { continue }
            if now - session.startedNanoseconds > limit {
                end(session, "no media within \(options.joinTimeout) s: PLAY was answered, but nothing came")
            } else {
                isMissing = true
            }
        }
        return isMissing
    }

    private func firstCountedPacket(_ session: LoadSession) -> UInt64? {
        guard let filter else { return nil }
        return session.pairs.compactMap { filter.firstNanoseconds(port: $0.rtp.port) }.min()
    }

    /// A session is over, before it played or after.
    func end(_ session: LoadSession, _ reason: String) {
        guard session.isPending || session.phase == .playing else { return }
        if session.index != Self.sourceIndex {
            if session.isInFlight { inFlight -= 1 }
            if session.isPending { pending -= 1 }
            failures[reason, default: 0] += 1
        }
        session.phase = session.isPending ? .failed(reason) : .died(reason)
        poller.remove(session.connection.number)
        for pair in session.pairs where session.isSampled { poller.remove(pair.rtp.number) }
    }

    /// Says goodbye to the server, without waiting long: it would go on sending to UDP readers that are gone.
    func leave() {
        if let leader { poller.remove(leader.input) }
        let leaving = sessions + [source].compactMap(\.self)
        var last: UInt64 = 0
        for session in leaving where session.phase == .playing {
            try? session.connection.send(session.machine.tearDown())
            last = monotonicNanoseconds()
        }
        let end = last + Self.leavingNanoseconds
        while monotonicNanoseconds() < end {
            try? poller.wait(nanoseconds: end - monotonicNanoseconds()) { try? handle($0) }
        }
    }

    private static let leavingNanoseconds: UInt64 = 300_000_000
}
