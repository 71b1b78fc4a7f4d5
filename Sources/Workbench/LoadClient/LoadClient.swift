import CSinks
import WireFormats

/// Loads an RTSP server, any, with real sessions, and measures what they get. One thread and one epoll set.
///
/// It is cheap on purpose, so that the server is the bottleneck: UDP packets are counted and discarded by a filter in the
/// kernel, TCP connections are swept every ``sweepNanoseconds``; only ``LoadOptions/sampledSessionsMax`` sessions are read
/// packet by packet.
package final class LoadClient {
    /// Runs the whole: join, settle, measure, leave.
    ///
    /// - Throws: a usage error for options that cannot be; a failure when nothing could be measured at all.
    package static func run(_ options: LoadOptions) throws -> LoadReport {
        try options.check()
        let client = try LoadClient(options)
        return try client.run()
    }

    /// Every TCP connection is swept once in this time.
    static let sweepNanoseconds: UInt64 = 25_000_000

    let options: LoadOptions
    let url: RTSPURL
    let endpoint: Endpoint
    let poller: Poller
    let filter: CountingFilter?
    let packetReader = PacketReader()
    let readMemory = ReadMemory()
    var sessions: [LoadSession] = []
    var source: LoadSession?
    var ports: PortPairs?
    let sample: EvenSample
    var spread: SpreadLog
    var inFlight = 0
    var pending = 0
    /// Sessions for which not even a socket could be had.
    var unopened = 0
    /// Why sessions did not play, or not to the end, with how many.
    var failures: [String: Int] = [:]

    private var swept: [LoadSession] = []
    private var sweepNext = 0
    private var sweepDueNanoseconds: UInt64 = 0
    private var choresDueNanoseconds: UInt64 = 0
    private var meter: ProcessMeter?

    /// The whole number of descriptors that UDP sessions with two tracks take: connection and two pairs each.
    private static let descriptorsPerDatagramSession = 5

    init(_ options: LoadOptions) throws(WorkbenchError) {
        self.options = options
        url = try Self.url(options.url)
        endpoint = try Endpoint(host: url.host, port: url.portOrDefault)
        guard endpoint.isLoopback || options.allowRemote else {
            throw .usage(
                "\(url.host) is another machine: a load run may only hit this one. If that server is yours to load, say --allow-remote")
        }
        let descriptors = csinks_descriptors_raise()
        let wanted = options.sessions * (options.transport == .udp ? Self.descriptorsPerDatagramSession : 1) + 64
        if descriptors < Int64(wanted) {
            progress(
                "\(options.sessions) sessions may take \(wanted) descriptors and the limit is \(descriptors): raise it (ulimit -n \(wanted))"
            )
        }
        poller = try Poller()
        filter = options.transport == .udp ? try? CountingFilter() : nil
        if options.transport == .udp, filter == nil {
            guard !options.receiveGRO else {
                throw WorkbenchError(
                    "eBPF is not permitted here, and the classic filter cannot count the packets of a train: use --receive-gro off")
            }
            progress("eBPF is not permitted here: packets are counted by sockets, gaps by the sampled readers only")
        }
        sample = EvenSample(max: LoadOptions.sampledSessionsMax, of: options.sessions)
        spread = SpreadLog(readers: sample.count)
        if let process = options.serverProcess { meter = try ProcessMeter(process: process) }
    }

    /// An RTSP URL, or a usage error that says what is wrong with it.
    static func url(_ text: String) throws(WorkbenchError) -> RTSPURL {
        let url: RTSPURL
        do { url = try RTSPURL(text) } catch { throw .usage("\(error)") }
        guard url.scheme == .rtsp else { throw .usage("\(url): only rtsp:// can be measured") }
        return url
    }

    // MARK: The run

    private func run() throws -> LoadReport {
        if let text = options.source { try openSource(text) }
        try joinAll()
        let playing = sessions.count { $0.phase == .playing }
        progress("\(playing) of \(options.sessions) sessions play")
        guard playing > 0 else { return emptyReport() }
        try turns(seconds: options.settling)
        beginWindow()
        meter = try options.serverProcess.map { try ProcessMeter(process: $0) }
        let start = monotonicNanoseconds()
        try turns(seconds: options.duration)
        meter?.poll()
        let wall = Double(monotonicNanoseconds() - start) / 1e9
        endWindow()
        let report = report(wallSeconds: wall, meter: meter)
        leave()
        return report
    }

    private func joinAll() throws {
        let start = monotonicNanoseconds()
        var lastWord = start
        while sessions.count + unopened < options.sessions || pending > 0 || firstPacketsMissing() {
            let due = Double(monotonicNanoseconds() - start) / 1e9 * options.joinsPerSecond + 1
            while sessions.count + unopened < options.sessions, inFlight < options.joinsInFlightMax, Double(sessions.count + unopened) < due
            {
                open(sessions.count)
            }
            try turn(until: monotonicNanoseconds() + 5_000_000)
            expireJoins()
            if monotonicNanoseconds() - lastWord > 2_000_000_000 {
                lastWord = monotonicNanoseconds()
                progress("\(sessions.count { $0.phase == .playing }) of \(options.sessions) sessions play, \(pending) are joining")
            }
        }
    }

    func turns(seconds: Double) throws {
        let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
        while monotonicNanoseconds() < end { try turn(until: end) }
    }

    /// Waits for events until `deadline` or the next thing that is due, and handles them.
    func turn(until deadline: UInt64) throws {
        let now = monotonicNanoseconds()
        var due = min(deadline, choresDueNanoseconds)
        if !swept.isEmpty { due = min(due, sweepDueNanoseconds) }
        try poller.wait(nanoseconds: due > now ? due - now : 0) { try handle($0) }
        sweep()
        chores()
    }

    // MARK: Events

    /// Which of a session's descriptors an event is for: 0 its connection, from 1 its tracks.
    static func key(_ session: Int, _ part: Int) -> UInt64 { UInt64(session) << 8 | UInt64(part) }
    /// The session number of the source beside.
    static let sourceIndex = 1 << 40

    private func handle(_ ready: Poller.Ready) throws {
        let index = Int(ready.key >> 8)
        let part = Int(ready.key & 0xFF)
        guard let session = index == Self.sourceIndex ? source : sessions[index] else { return }
        if part > 0 {
            readDatagrams(session, track: part - 1)
            return
        }
        do {
            if ready.isWritable {
                if session.phase == .connecting {
                    try session.connection.finishConnecting()
                    session.phase = .joining
                    session.describedNanoseconds = monotonicNanoseconds()
                    try session.connection.send(session.machine.describe())
                } else {
                    try session.connection.flush()
                }
                try watch(session)
            }
            if ready.isReadable { try read(session) }
        } catch let error as WorkbenchError {
            end(session, error.description)
        }
    }

    private func watch(_ session: LoadSession) throws {
        let events = Poller.readable | (session.connection.wantsToWrite ? Poller.writable : 0)
        try poller.change(session.connection.number, events: events, key: Self.key(session.index, 0))
    }

    private func read(_ session: LoadSession) throws {
        let messages = try session.connection.read(with: readMemory) { channel, bytes, arrival in
            if let packet = ArrivedPacket(bytes, arrivalNanoseconds: arrival) { take(packet, channel: channel, of: session) }
        }
        guard let messages else { return end(session, "the server closed the connection") }
        for response in try session.connection.answers(in: messages) { try take(response, of: session) }
    }

    private func take(_ response: RTSPResponse, of session: LoadSession) throws {
        switch try session.machine.take(response) {
        case .none: break
        case .send(let bytes):
            try session.connection.send(bytes)
            // The last request of joining: PLAY may be held until a key frame, so others may begin meanwhile.
            if session.machine.isStarting, session.phase == .joining {
                session.phase = .starting
                if session.index != Self.sourceIndex { inFlight -= 1 }
            }
        case .described:
            try prepare(session)
            try session.connection.send(session.machine.setUp(clientPorts: session.pairs.map(\.rtp.port)))
        case .playing:
            session.phase = .playing
            session.keepAliveNanoseconds = monotonicNanoseconds() + keepAliveInterval(session)
            guard session.index != Self.sourceIndex else { return }
            pending -= 1
            if options.transport == .tcp, session.reading != .watched {
                // From here on it is swept; nobody needs to be woken for it.
                poller.remove(session.connection.number)
                swept.append(session)
            }
        }
    }

    private func take(_ packet: ArrivedPacket, channel: UInt8, of session: LoadSession) {
        guard let track = session.machine.tracks.firstIndex(where: { $0.channels?.rtp == channel }), track < session.accounts.count else {
            return
        }
        if session.firstPacketNanoseconds == nil { session.firstPacketNanoseconds = monotonicNanoseconds() }
        session.accounts[track].take(packet.sequence)
        session.payloadBytes &+= UInt64(max(packet.bytes - 12, 0))
        if track == 0 { session.timestampLast = packet.timestamp }
        if session.isSampled { note(packet, track: track, of: session) }
    }

    private func readDatagrams(_ session: LoadSession, track: Int) {
        packetReader.read(session.pairs[track].rtp.number) { packet, _ in
            if session.firstPacketNanoseconds == nil { session.firstPacketNanoseconds = monotonicNanoseconds() }
            session.payloadBytes &+= UInt64(max(packet.bytes - 12, 0))
            if track == 0 { session.timestampLast = packet.timestamp }
            note(packet, track: track, of: session)
        }
    }

    func note(_ packet: ArrivedPacket, track: Int, of session: LoadSession) {
        session.logs[track].take(
            sequence: packet.sequence, timestamp: packet.timestamp, arrivalNanoseconds: packet.arrivalNanoseconds)
        if track == 0 {
            spread.take(sequence: packet.sequence, timestamp: packet.timestamp, arrivalNanoseconds: packet.arrivalNanoseconds)
        }
    }

    // MARK: Regular work

    private func sweep() {
        let now = monotonicNanoseconds()
        guard !swept.isEmpty, now >= sweepDueNanoseconds else { return }
        // A part at a time, so that no reader waits for a whole sweep of all the others.
        let parts = max(1, min(swept.count / 16, 25))
        sweepDueNanoseconds = max(sweepDueNanoseconds + Self.sweepNanoseconds / UInt64(parts), now)
        let count = (swept.count + parts - 1) / parts
        for _ in 0..<count {
            if sweepNext >= swept.count { sweepNext = 0 }
            let session = swept[sweepNext]
            sweepNext += 1
            guard session.phase == .playing else { continue }
            do {
                if session.reading == .discarded, session.firstPacketNanoseconds != nil {
                    if !session.connection.discard() { end(session, "the server closed the connection") }
                } else {
                    try read(session)
                }
            } catch {
                end(session, "\(error)")
            }
        }
    }

    private func chores() {
        let now = monotonicNanoseconds()
        guard now >= choresDueNanoseconds else { return }
        choresDueNanoseconds = now + 250_000_000
        meter?.poll()
        for session in sessions + [source].compactMap(\.self) where session.keepAliveNanoseconds <= now && session.phase == .playing {
            session.keepAliveNanoseconds = now + keepAliveInterval(session)
            do { try session.connection.send(session.machine.keepAlive()) } catch { end(session, error.description) }
        }
    }

    private func keepAliveInterval(_ session: LoadSession) -> UInt64 {
        UInt64(max(session.machine.timeoutSeconds / 2, 1)) * 1_000_000_000
    }
}
