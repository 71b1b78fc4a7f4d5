import CSinks

/// When a load run is measured, on the monotonic clock.
struct LoadWindow: Equatable, Sendable {
    var start: UInt64
    var end: UInt64

    /// The window of these options when the last session has just joined.
    init(after options: LoadOptions, now: UInt64 = monotonicNanoseconds()) {
        start = now + UInt64(options.settling * 1e9)
        end = start + UInt64(options.duration * 1e9)
    }

    init(start: UInt64, end: UInt64) {
        self.start = start
        self.end = end
    }
}

extension LoadClient {
    /// The settling is over: from here on counts.
    func beginWindow() {
        let running = running
        spreadLog = SpreadLog(readers: running.count { $0.isSampled })
        if let filter {
            filter.forgetSpread()
            for session in running { session.pairs.first.map { filter.watch(port: $0.rtp.port, true) } }
            watched = running.count
        }
        for session in running {
            session.atStart = session.snapshot(filter: filter)
            session.dropsAtStart = session.receiverDrops()
            for track in session.logs.indices { session.logs[track].forgetPoints() }
        }
        source.map { $0.atStart = $0.snapshot(filter: nil) }
        processNanosecondsAtStart = csinks_process_cpu_ns()
    }

    /// What was counted since ``beginWindow()`` is the result. Joiners are watched on.
    func endWindow() {
        takeSpread()
        for session in sessions where session.phase == .playing { session.atEnd = session.snapshot(filter: filter) }
        source.map { $0.atEnd = $0.snapshot(filter: nil) }
        processNanoseconds = csinks_process_cpu_ns() - processNanosecondsAtStart
    }

    /// Those that play and did so before the window.
    var running: [LoadSession] { sessions.filter { $0.phase == .playing && !$0.isJoiner } }
    var runningCount: Int { running.count }

    /// Takes what the filter noted of the spread; often enough that sequence numbers do not come again meanwhile.
    func takeSpread() {
        guard let filter, watched > 1, running.count > 1, spread.count < ArrivalLog.pointsMax else { return }
        spread += filter.takeSpread(readers: min(running.count, watched)...watched)
    }

    /// The result, after ``endWindow()`` and the joiners' end.
    func tally(seconds: Double) -> LoadTally {
        var tally = LoadTally()
        tally.failures = failures
        tally.sink = sinkKind
        tally.isMSRTSP = sessions.contains { $0.machine.windowsMedia != nil }
        tally.seconds = seconds
        tally.running.sessions = options.sessions
        tally.joiners.sessions = options.joiners
        guard seconds > 0 else { return tally }
        let running = running
        let joined = sessions.filter { $0.phase == .playing && $0.isJoiner }
        countRunning(running, into: &tally.running)
        tally.running.realTimeRatios = realTimeRatios(running, wallSeconds: seconds)
        countJoiners(joined, packetsPerByte: packetsPerByte(running), into: &tally.joiners)
        tally.running.joinMilliseconds = running.compactMap(\.joinMilliseconds)
        tally.joiners.joinMilliseconds = joined.compactMap(\.joinMilliseconds)
        tally.latenessMilliseconds = LoadTally.thinned(running.flatMap { $0.logs.flatMap(\.latenessMilliseconds) })
        tally.spread = filter == nil ? spreadLog.packets : spread
        tally.spreadReaders = filter == nil ? running.count { $0.isSampled } : watched
        tally.clientNanoseconds = processNanoseconds
        tally.joinsPerSecond = joinsPerSecond
        return tally
    }

    private var sinkKind: SinkKind {
        if options.transport == .udp { return filter == nil ? .cbpf : .ebpf }
        return options.sessionsInAll > options.parsedSessionsMax && options.sessionsInAll > LoadOptions.sampledSessionsMax ? .trunc : .parse
    }

    private func countRunning(_ running: [LoadSession], into account: inout LoadAccount) {
        account.playing = running.count
        var read = SinkCounts()
        for session in running where session.reading != .discarded {
            let counts = session.atEnd.counts.since(session.atStart.counts)
            read = read + counts
            account.receiverDrops += session.receiverDrops() - session.dropsAtStart
            if counts.lost > 0 { account.lossySessions += 1 }
        }
        account.packets = read.packets
        account.buffers = read.buffers
        account.lost = read.lost
        account.duplicates = read.duplicates
        account.reordered = read.reordered
        account.bytes = options.transport == .tcp ? running.reduce(0) { $0 + $1.bytesInWindow } : read.bytes
        if sinkKind == .cbpf {
            // Gaps come from the sampled readers, whose own queue may be the one that lost.
            account.lost -= min(account.lost, account.receiverDrops)
            if account.lost == 0 { account.lossySessions = 0 }
        }
        guard sinkKind == .trunc, let perByte = packetsPerByte(running) else { return }
        let discarded = running.filter { $0.reading == .discarded }
        account.packets += UInt64(Double(discarded.reduce(0) { $0 + $1.bytesInWindow }) * perByte)
        let seen = running.filter { $0.reading != .discarded }
        let usual = Double(seen.reduce(0) { $0 + $1.bytesInWindow }) / Double(max(seen.count, 1))
        account.lossySessions += discarded.count { Double($0.bytesInWindow) < usual * 0.95 }
    }

    /// What joiners got before the window's end, and what they missed from their first packet until now.
    private func countJoiners(_ joined: [LoadSession], packetsPerByte: Double?, into account: inout LoadAccount) {
        account.playing = joined.count
        for session in joined {
            account.bytes += options.transport == .tcp ? session.atEnd.connectionBytes : session.atEnd.counts.bytes
            if session.reading == .discarded {
                account.packets += UInt64(Double(session.atEnd.connectionBytes) * (packetsPerByte ?? 0))
                continue
            }
            let counts = session.snapshot(filter: filter).counts
            account.packets += session.atEnd.counts.packets
            account.buffers += session.atEnd.counts.buffers
            account.lost += counts.lost
            account.duplicates += counts.duplicates
            account.reordered += counts.reordered
            if counts.lost > 0 { account.lossySessions += 1 }
        }
    }

    /// RTP packets per byte on the connections whose frames are looked at.
    private func packetsPerByte(_ running: [LoadSession]) -> Double? {
        let seen = running.filter { $0.reading != .discarded }
        let bytes = seen.reduce(0) { $0 + $1.bytesInWindow }
        let packets = seen.reduce(0) { $0 + $1.atEnd.counts.since($1.atStart.counts).packets }
        return bytes > 0 && packets > 0 ? Double(packets) / Double(bytes) : nil
    }

    /// One per session whose packets are seen. With a source beside: payload per session over the source's payload, which a
    /// server that thins cannot hide. Without: the RTP timestamps' advance over wall time.
    private func realTimeRatios(_ running: [LoadSession], wallSeconds: Double) -> [Double] {
        let seen = running.filter { $0.reading != .discarded && (options.transport == .tcp || filter != nil || $0.isSampled) }
        if let source {
            let sourceBytes = source.atEnd.payloadBytes - source.atStart.payloadBytes
            guard sourceBytes > 0 else { return [] }
            return seen.map { Double($0.atEnd.payloadBytes - $0.atStart.payloadBytes) / Double(sourceBytes) }
        }
        return seen.compactMap { session in
            guard let start = session.atStart.timestamp, let end = session.atEnd.timestamp, let track = session.machine.tracks.first
            else { return nil }
            // A window of hours goes beyond 32 bits: whole turns are taken from the wall clock.
            let rate = Double(track.clockRate)
            let turn = 4_294_967_296.0
            var ticks = Double(end &- start)
            if rate * wallSeconds > turn / 2 {
                ticks += ((rate * wallSeconds - ticks) / turn).rounded() * turn
            } else if ticks > turn / 2 {
                ticks -= turn
            }
            return ticks / rate / wallSeconds
        }
    }
}

extension LoadSession {
    /// Bytes on its connection within the window.
    fileprivate var bytesInWindow: UInt64 { atEnd.connectionBytes - atStart.connectionBytes }
}
