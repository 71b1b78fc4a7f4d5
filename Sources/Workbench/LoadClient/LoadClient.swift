import CSinks
import WireFormats

/// Loads an RTSP server, any, with real sessions, and measures what they get. One thread and one epoll set.
///
/// It is cheap on purpose, so that the server is the bottleneck: UDP packets are counted and discarded by a filter in the
/// kernel, TCP connections are swept every ``SweepSchedule/nanoseconds``; only ``LoadOptions/sampledSessionsMax`` sessions are read
/// packet by packet.
package final class LoadClient: LoadDriver {
    /// Runs the whole: join, settle, measure, leave.
    ///
    /// - Throws: a usage error for options that cannot be; a failure when nothing could be measured at all.
    package static func run(_ options: LoadOptions) throws -> LoadReport {
        try options.check()
        Interruption.watch()
        guard options.processes == 1 else { return try LoadFleet.run(options) { try LoadChild(arguments: LoadChild.arguments, $0) } }
        let driver = try Self.driver(options, part: .whole, leader: nil)
        let tally = try driver.measure()
        return LoadReport(options, [tally], server: driver.serverCost)
    }

    /// What speaks the URL's protocol.
    static func driver(_ options: LoadOptions, part: LoadPart, leader: LoadLeader?) throws -> any LoadDriver {
        options.isWindowsMedia
            ? try WMSPLoadClient(options, part: part, leader: leader) : try LoadClient(options, part: part, leader: leader)
    }

    /// Which of a session's descriptors an event is for: 0 its connection, from 1 its tracks.
    static func key(_ session: Int, _ part: Int) -> UInt64 { UInt64(session) << 8 | UInt64(part) }
    /// The session number of the source beside.
    static let sourceIndex = 1 << 40
    /// And of the process that leads this one.
    static let leaderIndex = 1 << 41

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
    /// Which part of all sessions this process carries, and who says when it is measured, if not this one.
    let part: LoadPart
    let leader: LoadLeader?
    /// Without a filter in the kernel: the sampled sessions' packets.
    var spreadLog: SpreadLog
    /// With one: those that came to all `watched` sessions.
    var spread: [PacketSpread] = []
    var watched = 0
    var inFlight = 0
    var pending = 0
    /// Sessions for which not even a socket could be had.
    var unopened = 0
    /// Why sessions did not play, or not to the end, with how many.
    var failures: [String: Int] = [:]

    var sweep = SweepSchedule()
    var swept: [LoadSession] = []
    private var choresDueNanoseconds: UInt64 = 0
    var meter: ProcessMeter?
    var serverCost: ServerCost?
    var joinsPerSecond: Double?
    var processNanosecondsAtStart: UInt64 = 0
    var processNanoseconds: UInt64 = 0

    init(_ options: LoadOptions, part: LoadPart, leader: LoadLeader?) throws(WorkbenchError) {
        self.options = options
        self.part = part
        self.leader = leader
        url = try Self.url(options.url)
        endpoint = try Endpoint(host: url.host, port: url.portOrDefault)
        guard endpoint.isLoopback || options.allowRemote else {
            throw .usage(
                "\(url.host) is another machine: a load run may only hit this one. If that server is yours to load, say --allow-remote")
        }
        let descriptors = csinks_descriptors_raise()
        let wanted = options.sessionsInAll * options.descriptorsPerSession + 64
        if descriptors < Int64(wanted) {
            progress(
                "\(options.sessionsInAll) sessions take \(wanted) descriptors, or more with several tracks, and a process may have "
                    + "\(descriptors): use --processes, --share-rtcp-port, or raise the limit (ulimit -n)")
        }
        poller = try Poller()
        filter = options.transport == .udp ? try? CountingFilter() : nil
        if options.transport == .udp, filter == nil {
            guard !options.receiveGRO else {
                throw WorkbenchError(
                    "eBPF is not permitted here, and the classic filter cannot count the packets of a train: use --receive-gro off")
            }
            if part.index == 0 { progress("eBPF is not permitted here: packets are counted by sockets, gaps by the sampled readers only") }
        }
        sample = EvenSample(max: max(2, LoadOptions.sampledSessionsMax / part.count), of: options.sessions)
        spreadLog = SpreadLog(readers: sample.count)
        if let process = options.serverProcess { meter = try ProcessMeter(process: process) }
        if let leader { try poller.add(leader.input, events: Poller.readable, key: Self.key(Self.leaderIndex, 0)) }
    }

    /// An RTSP URL, or a usage error that says what is wrong with it.
    static func url(_ text: String) throws(WorkbenchError) -> RTSPURL {
        let url: RTSPURL
        do { url = try RTSPURL(text) } catch { throw .usage("\(error)") }
        guard url.scheme == .rtsp else { throw .usage("\(url): only rtsp:// can be measured") }
        return url
    }

    /// Sessions that play now, joiners among them.
    var playing: Int { sessions.count { $0.phase == .playing } }

    func prepareToJoin() throws {
        if let text = options.source { try openSource(text) }
    }

    /// Waits for events until `deadline` or the next thing that is due, and handles them.
    func turn(until deadline: UInt64) throws {
        try Interruption.check()
        let now = monotonicNanoseconds()
        var due = min(deadline, choresDueNanoseconds)
        if !swept.isEmpty { due = min(due, sweep.dueNanoseconds) }
        try poller.wait(nanoseconds: due > now ? due - now : 0) { try handle($0) }
        sweepConnections()
        chores()
    }

    // MARK: Regular work

    private func sweepConnections() {
        for number in sweep.take(of: swept.count) {
            let session = swept[number]
            guard session.phase == .playing else { continue }
            do {
                if session.reading == .discarded {
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
        takeSpread()
        if pending > 0 { expireJoins() }
        for session in sessions + [source].compactMap(\.self) where session.keepAliveNanoseconds <= now && session.phase == .playing {
            session.keepAliveNanoseconds = now + keepAliveInterval(session)
            do { try session.connection.send(session.machine.keepAlive()) } catch { end(session, error.description) }
        }
    }

    func keepAliveInterval(_ session: LoadSession) -> UInt64 {
        UInt64(max(session.machine.timeoutSeconds / 2, 1)) * 1_000_000_000
    }
}
