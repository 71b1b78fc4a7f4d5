import CSinks
import PlaneLink

/// A stream of finished RTP beside one of plain RTP: the same engine, the same frames, the same UDP readers, in alternation.
struct FinishedBench {
    /// One of the two streams.
    private struct Side {
        let stream: StreamHandle
        let source: SourceHandle
        var frame: TestFrame
        var costs: [Double] = []
        var report = VerbatimReport.Side()
        var sends: UInt64 = 0
    }

    private let options: VerbatimOptions
    private let rig: EngineRig
    private let sinks: FanoutSinks
    private var sides: [Side] = []

    init(_ options: VerbatimOptions) throws(WorkbenchError) {
        self.options = options
        rig = try EngineRig(options.engine)
        var fanout = FanoutOptions()
        fanout.subscribers = options.subscribers
        sinks = try FanoutSinks(fanout, sampled: 0, workers: rig.workerCount)
        try rig.addDatagramEgress(sinks.enginePairs)
        guard case .datagrams(let ports) = sinks.target else { throw WorkbenchError("there are no UDP sinks") }
        let loopback = HostAddress(ipv4: 0x7F00_0001)
        for isFinished in [false, true] {
            let stream = try rig.addStream(bitRate: max(4 * options.bitRate, 8_000_000), isVerbatim: isFinished)
            sides.append(Side(stream: stream, source: try rig.addFedSource(stream), frame: options.frame))
        }
        for number in sides.indices {
            var readers: [SubscriberHandle] = []
            for index in 0..<options.subscribers {
                readers.append(try rig.addReader(sides[number].stream, host: loopback, port: ports.port(index)))
            }
            var frame = sides[number].frame
            try rig.letGo(readers, feeding: sides[number].source) { frame.nextInterleaved() }
            sides[number].frame = frame
        }
    }

    mutating func run() throws(WorkbenchError) -> VerbatimReport {
        let seconds = options.duration / Double(2 * options.pairs)
        progress(
            "\(options.pairs) pairs of \(JSONValue.number(seconds).line) s each way, UDP, "
                + "engine on \(rig.engine.backend.name): \(rig.engine.backend.reason)")
        for side in sides.indices { try slice(side, seconds: min(0.5, seconds), isCounted: false) }
        let dropped = rig.packetsDropped
        for pair in 0..<options.pairs {
            // Neither side always comes first.
            for side in pair % 2 == 0 ? [0, 1] : [1, 0] { try slice(side, seconds: seconds, isCounted: true) }
        }
        var report = VerbatimReport()
        report.options = options
        report.interleaved = finished(sides[0])
        report.verbatim = finished(sides[1])
        report.ratioToInterleaved = median(zip(sides[1].costs, sides[0].costs).map { $0 / $1 })
        report.drops = rig.packetsDropped &- dropped
        report.backend = rig.engine.backend.name
        report.workers = rig.workerCount
        if rig.failures > 0 { throw WorkbenchError("the engine gave up \(rig.failures) readers or commands") }
        try rig.stop()
        return report
    }

    private func finished(_ side: Side) -> VerbatimReport.Side {
        var report = side.report
        report.nanosecondsPerByte = median(side.costs)
        if side.sends > 0 { report.meanTrain = Double(report.packets) / Double(side.sends) }
        return report
    }

    /// Feeds one stream for a while at its own pace, and waits until its readers were sent it.
    private mutating func slice(_ number: Int, seconds: Double, isCounted: Bool) throws(WorkbenchError) {
        sinks.expectNewSequence()
        let rig = rig
        let counters = rig.engine.counters
        let before = (
            cpu: rig.cpuNanoseconds, packets: counters[.packetsSent], bytes: counters[.bytesSent], sends: counters[.sendsSubmitted]
        )
        let arrived = sinks.arrived
        var expected = rig.packetsAccounted
        let start = monotonicNanoseconds()
        var due = start
        while monotonicNanoseconds() < start + UInt64(seconds * 1e9) {
            try rig.feed(sides[number].source, sides[number].frame.nextInterleaved())
            expected &+= UInt64(sides[number].frame.packets * options.subscribers)
            due += sides[number].frame.intervalNanoseconds
            let now = monotonicNanoseconds()
            if now < due { csinks_sleep_ns(due - now) }
        }
        let target = expected
        try rig.wait("the last packet to leave", seconds: 20) { rig.packetsAccounted >= target }
        guard isCounted else { return }
        let packets = counters[.packetsSent] &- before.packets
        let bytes = counters[.bytesSent] &- before.bytes
        if bytes > 0 { sides[number].costs.append(Double(rig.cpuNanoseconds &- before.cpu) / Double(bytes)) }
        sides[number].report.bytes &+= bytes
        sides[number].report.packets &+= packets
        sides[number].sends &+= counters[.sendsSubmitted] &- before.sends
        if let arrived, let now = sinks.settledArrivals(expecting: arrived &+ packets) {
            sides[number].report.lost &+= packets &- min(now &- arrived, packets)
        }
    }
}
