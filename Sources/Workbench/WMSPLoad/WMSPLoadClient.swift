import CSinks
import Signalling
import WireFormats

/// Loads a server of Windows Media over HTTP, any, with real conversations (Describe, then Play over another connection), and measures what
/// players get. One thread and one epoll set; connections are swept every ``SweepSchedule/nanoseconds``, and of packets only the heads are
/// looked at, those of all sessions. ``LoadOptions/sampledSessionsMax`` of them are read as soon as something is there, with the kernel's time.
final class WMSPLoadClient: LoadDriver {
    let options: LoadOptions
    let leader: LoadLeader?
    let part: LoadPart
    let url: WMSPSourceURL
    let poller: Poller
    let memory = ReadMemory()
    let sample: EvenSample
    var spreadLog: SpreadLog
    var sessions: [WMSPLoadSession] = []
    var endpoints: [String: Endpoint] = [:]
    var inFlight = 0
    var pending = 0
    /// Why sessions did not play, or not to the end, with how many.
    var failures: [String: Int] = [:]
    private var sweep = SweepSchedule()
    var swept: [WMSPLoadSession] = []
    private var choresDueNanoseconds: UInt64 = 0
    var meter: ProcessMeter?
    var serverCost: ServerCost?
    var joinsPerSecond: Double?
    private var processNanosecondsAtStart: UInt64 = 0
    private var processNanoseconds: UInt64 = 0

    /// With places of their own so many sessions are read closely: each is paced by itself.
    static let sampledSessionsMaxOnDemand = 512

    init(_ options: LoadOptions, part: LoadPart, leader: LoadLeader?) throws(WorkbenchError) {
        self.options = options
        self.part = part
        self.leader = leader
        do throws(WMSPSourceURL.Trouble) { url = try WMSPSourceURL(options.url) } catch { throw .usage(error.description) }
        let descriptors = csinks_descriptors_raise()
        let wanted = options.sessionsInAll + 64
        if descriptors < Int64(wanted) {
            progress(
                "\(options.sessionsInAll) sessions take \(wanted) descriptors, and a process may have \(descriptors): use --processes, or "
                    + "raise the limit (ulimit -n)")
        }
        poller = try Poller()
        let sampled = options.positions == .spread ? Self.sampledSessionsMaxOnDemand : LoadOptions.sampledSessionsMax
        sample = EvenSample(max: max(2, sampled / part.count), of: options.sessions)
        spreadLog = SpreadLog(readers: sample.count)
        if let process = options.serverProcess { meter = try ProcessMeter(process: process) }
        if let leader { try poller.add(leader.input, events: Poller.readable, key: UInt64(LoadClient.leaderIndex)) }
        _ = try endpoint(of: url)
    }

    /// Where a URL leads; refused where that is another machine.
    func endpoint(of url: WMSPSourceURL) throws(WorkbenchError) -> Endpoint {
        if let known = endpoints[url.authority] { return known }
        let endpoint = try Endpoint(host: url.host, port: url.port)
        guard endpoint.isLoopback || options.allowRemote else {
            throw .usage(
                "\(url.host) is another machine: a load run may only hit this one. If that server is yours to load, say --allow-remote")
        }
        endpoints[url.authority] = endpoint
        return endpoint
    }

    // MARK: The run

    var begun: Int { sessions.count }
    var playing: Int { sessions.count { $0.phase == .playing } }
    var running: [WMSPLoadSession] { sessions.filter { $0.phase == .playing && !$0.isJoiner } }
    var runningCount: Int { running.count }

    func prepareToJoin() {}

    func open(isJoiner: Bool) {
        let index = sessions.count
        let session = WMSPLoadSession(
            index: index, isJoiner: isJoiner, isSampled: !isJoiner && sample.contains(index), url: url,
            machine: machine(for: url, trail: []))
        sessions.append(session)
        inFlight += 1
        pending += 1
        guarded(session) { () throws(WorkbenchError) in try perform(session.machine.start(now: Self.milliseconds), of: session) }
    }

    func firstPacketsMissing() -> Bool {
        let now = monotonicNanoseconds()
        let limit = UInt64(options.joinTimeout * 1e9)
        var isMissing = false
        for session in sessions where session.phase == .playing && session.firstPacketNanoseconds == nil {
            if now - session.startedNanoseconds > limit {
                end(session, "no media within \(options.joinTimeout) s: Play was answered, but nothing came")
            } else {
                isMissing = true
            }
        }
        return isMissing
    }

    func turn(until deadline: UInt64) throws {
        try Interruption.check()
        let now = monotonicNanoseconds()
        var due = min(deadline, choresDueNanoseconds)
        if !swept.isEmpty { due = min(due, sweep.dueNanoseconds) }
        try poller.wait(nanoseconds: due > now ? due - now : 0) { try handle($0) }
        for number in sweep.take(of: swept.count) where swept[number].phase == .playing { read(swept[number]) }
        chores()
    }

    private func chores() {
        let now = monotonicNanoseconds()
        guard now >= choresDueNanoseconds else { return }
        choresDueNanoseconds = now + 250_000_000
        meter?.poll()
        guard pending > 0 else { return }
        let limit = UInt64(options.joinTimeout * 1e9)
        for session in sessions where session.isPending {
            if now - session.startedNanoseconds > limit {
                end(
                    session,
                    "no media within \(options.joinTimeout) s: \(session.phase == .starting ? "Play" : "Describe") was not answered")
            } else {
                guarded(session) { () throws(WorkbenchError) in
                    try perform(session.machine.timeElapsed(now: Self.milliseconds), of: session)
                }
            }
        }
    }

    /// Players just close their connections.
    func leave() {
        if let leader { poller.remove(leader.input) }
        for session in sessions { session.drop() }
    }

    // MARK: The window

    func beginWindow() {
        let running = running
        spreadLog = SpreadLog(readers: running.count { $0.isSampled })
        for session in running {
            session.atStart = session.snapshot()
            session.log.forgetPoints()
            session.behindMilliseconds = []
        }
        processNanosecondsAtStart = csinks_process_cpu_ns()
    }

    func endWindow() {
        for session in running where session.snapshot().counts.packets == session.atStart.counts.packets {
            end(session, "no packet came while it was measured")
        }
        for session in sessions where session.phase == .playing { session.atEnd = session.snapshot() }
        processNanoseconds = csinks_process_cpu_ns() - processNanosecondsAtStart
    }

    func tally(seconds: Double) -> LoadTally {
        var tally = LoadTally()
        tally.failures = failures
        tally.sink = .parse
        tally.seconds = seconds
        tally.running.sessions = options.sessions
        tally.joiners.sessions = options.joiners
        guard seconds > 0 else { return tally }
        let running = running
        let joined = sessions.filter { $0.phase == .playing && $0.isJoiner }
        for session in running {
            let counts = session.atEnd.counts.since(session.atStart.counts)
            tally.running.add(counts, bytes: session.atEnd.connectionBytes - session.atStart.connectionBytes, missed: counts)
            if let start = session.atStart.sendTime, let end = session.atEnd.sendTime {
                tally.running.realTimeRatios.append(Double(Int32(bitPattern: end &- start)) / 1_000 / seconds)
            }
        }
        for session in joined {
            // What joiners missed counts until now.
            tally.joiners.add(session.atEnd.counts, bytes: session.atEnd.connectionBytes, missed: session.snapshot().counts)
        }
        tally.running.joinMilliseconds = running.compactMap(\.joinMilliseconds)
        tally.joiners.joinMilliseconds = joined.compactMap(\.joinMilliseconds)
        let sampled = running.filter(\.isSampled)
        tally.latenessMilliseconds = LoadTally.thinned(sampled.flatMap(\.log.latenessMilliseconds))
        tally.behindMilliseconds = LoadTally.thinned(sampled.flatMap(\.behindMilliseconds))
        tally.spread = options.positions == .spread ? [] : spreadLog.packets
        tally.spreadReaders = options.positions == .spread ? 0 : sampled.count
        tally.clientNanoseconds = processNanoseconds
        tally.joinsPerSecond = joinsPerSecond
        return tally
    }

    static var milliseconds: UInt64 { monotonicNanoseconds() / 1_000_000 }
}

extension LoadAccount {
    /// Adds a session that played to the end.
    fileprivate mutating func add(_ counts: SinkCounts, bytes: UInt64, missed: SinkCounts) {
        playing += 1
        packets &+= counts.packets
        self.bytes &+= bytes
        lost &+= missed.lost
        duplicates &+= missed.duplicates
        reordered &+= missed.reordered
        if missed.lost > 0 { lossySessions += 1 }
    }
}
