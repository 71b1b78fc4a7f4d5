extension LoadClient {
    /// The settling is over: from here on counts.
    func beginWindow() {
        spread = SpreadLog(readers: playing.count { $0.isSampled })
        for session in playing {
            session.atStart = session.snapshot(filter: filter)
            session.dropsAtStart = session.receiverDrops()
            for track in session.logs.indices { session.logs[track].forgetPoints() }
        }
        source.map { $0.atStart = $0.snapshot(filter: nil) }
    }

    /// What was counted since ``beginWindow()`` is the result.
    func endWindow() {
        for session in playing { session.atEnd = session.snapshot(filter: filter) }
        source.map { $0.atEnd = $0.snapshot(filter: nil) }
    }

    private var playing: [LoadSession] { sessions.filter { $0.phase == .playing } }

    /// A report when nobody played.
    func emptyReport() -> LoadReport {
        var report = LoadReport()
        report.sessions = options.sessions
        report.failures = failures
        report.sink = sinkKind
        report.receiveGRO = options.receiveGRO && options.transport == .udp
        report.transport = options.transport
        return report
    }

    /// The result, after ``endWindow()``.
    func report(wallSeconds: Double, meter: ProcessMeter?) -> LoadReport {
        var report = emptyReport()
        report.duration = wallSeconds
        let playing = playing
        report.playing = playing.count
        countPackets(playing, into: &report)
        report.packetsPerSecond = Double(report.packets) / wallSeconds
        report.realTimeRatio = realTimeRatio(playing, wallSeconds: wallSeconds)
        report.spread = spread.percentiles
        report.lateness = Percentiles(of: playing.flatMap { $0.logs.flatMap(\.latenessMilliseconds) })
        report.join = Percentiles(
            of: playing.compactMap { session in
                session.firstPacketNanoseconds.map { Double($0 &- min($0, session.describedNanoseconds)) / 1e6 }
            })
        if let meter {
            if report.packets > 0 { report.serverMicrosecondsPerPacket = Double(meter.cpuNanoseconds) / 1_000 / Double(report.packets) }
            report.serverResidentMiB = meter.residentMiB
        }
        return report
    }

    private var sinkKind: SinkKind {
        if options.transport == .udp { return filter == nil ? .cbpf : .ebpf }
        return options.sessions > options.parsedSessionsMax && options.sessions > LoadOptions.sampledSessionsMax ? .trunc : .parse
    }

    private func countPackets(_ playing: [LoadSession], into report: inout LoadReport) {
        var buffers: UInt64 = 0
        var discarded: UInt64 = 0
        var read = SinkCounts()
        var readBytes: UInt64 = 0
        for session in playing {
            let counts = session.atEnd.counts.since(session.atStart.counts)
            if session.reading == .discarded {
                discarded += session.atEnd.connectionBytes - session.atStart.connectionBytes
                continue
            }
            read = read + counts
            readBytes += session.atEnd.connectionBytes - session.atStart.connectionBytes
            buffers += counts.buffers
            report.receiverDrops += session.receiverDrops() - session.dropsAtStart
            if counts.lost > 0 { report.lossySessions += 1 }
        }
        report.packets = read.packets
        report.lost = read.lost
        report.duplicates = read.duplicates
        report.reordered = read.reordered
        if sinkKind == .cbpf {
            // Gaps come from the sampled readers, whose own queue may be the one that lost.
            report.lost -= min(report.lost, report.receiverDrops)
            if report.lost == 0 { report.lossySessions = 0 }
        }
        if options.transport == .udp, sinkKind == .ebpf, buffers > 0 { report.meanTrain = Double(read.packets) / Double(buffers) }
        guard sinkKind == .trunc, read.packets > 0, readBytes > 0 else { return }
        report.packets += UInt64(Double(discarded) * Double(read.packets) / Double(readBytes))
        let readers = playing.count { $0.reading != .discarded }
        let usual = Double(readBytes) / Double(readers)
        report.lossySessions += playing.count {
            $0.reading == .discarded && Double($0.atEnd.connectionBytes - $0.atStart.connectionBytes) < usual * 0.95
        }
    }

    /// The middle session's. With a source beside: payload per session over the source's payload, which a server that thins
    /// cannot hide. Without: the RTP timestamps' advance over wall time.
    private func realTimeRatio(_ playing: [LoadSession], wallSeconds: Double) -> Double? {
        let seen = playing.filter { $0.reading != .discarded && (options.transport == .tcp || filter != nil || $0.isSampled) }
        if let source {
            let sourceBytes = source.atEnd.payloadBytes - source.atStart.payloadBytes
            guard sourceBytes > 0 else { return nil }
            return median(seen.map { Double($0.atEnd.payloadBytes - $0.atStart.payloadBytes) / Double(sourceBytes) })
        }
        return median(
            seen.compactMap { session in
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
            })
    }
}
