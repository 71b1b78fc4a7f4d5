import CBareLoops
import CSinks
import Glibc
import PlaneLink

/// The engine's fan-out by itself against a bare C loop over the same system call, the same trains and the same sinks, in
/// alternation, so that what the machine does meanwhile hits both.
package struct FanoutBench {
    /// Runs the whole.
    ///
    /// - Throws: a usage error for options that cannot be; a failure when something could not be measured.
    package static func run(_ options: FanoutOptions) throws(WorkbenchError) -> FanoutReport {
        try options.check()
        csinks_descriptors_raise()
        var bench = try FanoutBench(options)
        return try bench.run()
    }

    /// What one turn of either side cost.
    private struct Slice {
        var packets: UInt64 = 0
        var cpuNanoseconds: UInt64 = 0

        var microsecondsPerPacket: Double? { packets > 0 ? Double(cpuNanoseconds) / 1_000 / Double(packets) : nil }
    }

    /// Sinks that are also read, when frames are paced: lateness has a meaning then.
    private static let sampledMax = 16
    /// The bandwidth that the packet log is sized for.
    private static let bitRate = 200_000_000

    private let options: FanoutOptions
    private let sinks: FanoutSinks
    private let rig: EngineRig
    private let source: SourceHandle
    private var frame: TestFrame
    private var bareFrame = bare_frame()
    /// Of the turn that runs, one per sampled sink: between turns the engine's timestamps stand still.
    private var samples: [ArrivalLog] = []
    private var latenessMilliseconds: [Double] = []
    private let sampled: Int

    private init(_ options: FanoutOptions) throws(WorkbenchError) {
        self.options = options
        sampled = options.framesPerSecond == nil || options.destination != nil ? 0 : min(Self.sampledMax, options.subscribers)
        rig = try EngineRig(options.engine)
        sinks = try FanoutSinks(options, sampled: sampled, workers: rig.workerCount)
        frame = TestFrame(
            packets: options.packetsPerFrame, packetBytes: options.packetSize, framesPerSecond: options.framesPerSecond)
        bareFrame.packets = UInt32(options.packetsPerFrame)
        bareFrame.packet_bytes = UInt32(options.packetSize)

        let stream = try rig.addStream(bitRate: Self.bitRate)
        source = try rig.addFedSource(stream)
        var readers: [SubscriberHandle] = []
        switch sinks.target {
        case .datagrams(let datagrams):
            try rig.addDatagramEgress(sinks.enginePairs)
            let home = HostAddress(ipv4: 0x7F00_0001)
            for index in 0..<datagrams.count { readers.append(try rig.addReader(stream, host: home, port: datagrams.port(index))) }
        case .elsewhere(let there):
            try rig.addDatagramEgress(sinks.enginePairs)
            for _ in 0..<options.subscribers { readers.append(try rig.addReader(stream, host: there.host, port: there.port)) }
        case .connections(let connections):
            for connection in connections.senders { readers.append(try rig.addReader(stream, connection: connection)) }
        }
        var first = frame
        try rig.letGo(readers, feeding: source) { first.nextInterleaved() }
        frame = first
    }

    private mutating func run() throws(WorkbenchError) -> FanoutReport {
        let sliceSeconds = options.duration / Double(2 * options.pairs)
        progress(
            "\(options.pairs) pairs of \(JSONValue.number(sliceSeconds).line) s each way, "
                + "engine on \(rig.engine.backend.name): \(rig.engine.backend.reason)")
        // What is cold now is warm afterwards.
        _ = try engineSlice(seconds: min(0.2, sliceSeconds))
        _ = try bareSlice(seconds: min(0.2, sliceSeconds), gather: false)
        let counters = rig.engine.counters
        let sentBefore = counters[.packetsSent]
        let submittedBefore = counters[.sendsSubmitted]
        let droppedBefore = rig.packetsDropped
        latenessMilliseconds = []
        var spreads: [Double] = []
        var limitSpreads: [Double] = []

        var ours: [Double] = []
        var limits: [Double] = []
        var ratios: [Double] = []
        var gathered: [Double] = []
        var gathers: [Double] = []
        var missing: UInt64?
        for _ in 0..<options.pairs {
            sinks.expectNewSequence()
            let before = sinks.arrived
            let engine = try engineSlice(seconds: sliceSeconds)
            if let before, let after = sinks.settledArrivals(expecting: before &+ engine.packets) {
                let arrived = after &- before
                missing = (missing ?? 0) + (engine.packets > arrived ? engine.packets - arrived : 0)
            }
            spreads += sinks.takeSpread()
            sinks.expectNewSequence()
            let bare = try bareSlice(seconds: sliceSeconds, gather: false)
            limitSpreads += sinks.takeSpread()
            guard let our = engine.microsecondsPerPacket, let limit = bare.microsecondsPerPacket, our > 0 else { continue }
            ours.append(our)
            limits.append(limit)
            ratios.append(limit / our)
            if options.gather, let gather = try bareSlice(seconds: sliceSeconds, gather: true).microsecondsPerPacket {
                gathered.append(gather)
                gathers.append(limit / gather)
            }
        }
        var report = FanoutReport()
        report.options = options
        report.packets = counters[.packetsSent] &- sentBefore
        let submitted = counters[.sendsSubmitted] &- submittedBefore
        if submitted > 0 { report.meanTrain = Double(report.packets) / Double(submitted) }
        report.drops = rig.packetsDropped &- droppedBefore
        report.missing = missing
        report.microsecondsPerPacket = median(ours)
        report.limitMicrosecondsPerPacket = median(limits)
        report.ratioToLimit = median(ratios)
        report.gatherMicrosecondsPerPacket = median(gathered)
        report.contiguousToGather = median(gathers)
        report.lateness = Percentiles(of: latenessMilliseconds)
        report.spread = Percentiles(of: spreads)
        report.limitSpread = Percentiles(of: limitSpreads)
        report.residentMiB = ProcessMeter.residentMiB(of: getpid())
        report.backend = rig.engine.backend.name
        report.backendReason = rig.engine.backend.reason
        report.sendCall = rig.sendCall(options.transport)
        report.zeroCopySent = counters[.zcSent]
        report.zeroCopyCopied = counters[.zcCopied]
        report.workers = rig.workerCount
        report.sink = sinks.kind
        if rig.failures > 0 { progress("the engine gave up \(rig.failures) subscribers or commands") }
        try rig.stop()
        return report
    }

    // MARK: The engine

    private mutating func engineSlice(seconds: Double) throws(WorkbenchError) -> Slice {
        samples = Array(repeating: ArrivalLog(clockRate: 90_000), count: sampled)
        let rig = rig
        let counters = rig.engine.counters
        let cpu = rig.cpuNanoseconds
        let sent = counters[.packetsSent]
        var expected = rig.packetsAccounted
        let perFrame = UInt64(options.packetsPerFrame * options.subscribers)
        let start = monotonicNanoseconds()
        let end = start + UInt64(seconds * 1e9)
        var due = start
        while monotonicNanoseconds() < end {
            try rig.feed(source, frame.nextInterleaved())
            expected &+= perFrame
            if options.framesPerSecond != nil {
                due += frame.intervalNanoseconds
                readSamples(until: due)
            } else {
                let target = expected
                try rig.wait("a frame to complete", seconds: 20) { rig.packetsAccounted >= target }
            }
        }
        let target = expected
        try rig.wait("the last frame to complete", seconds: 20) { rig.packetsAccounted >= target }
        noteSamples(areCounted: true)
        latenessMilliseconds += samples.flatMap(\.latenessMilliseconds)
        return Slice(packets: counters[.packetsSent] &- sent, cpuNanoseconds: rig.cpuNanoseconds &- cpu)
    }

    // MARK: The bare loop

    private mutating func bareSlice(seconds: Double, gather: Bool) throws(WorkbenchError) -> Slice {
        let start = monotonicNanoseconds()
        let end = start + UInt64(seconds * 1e9)
        var slice = Slice()
        guard options.framesPerSecond != nil else {
            let result = try sinks.bare(&bareFrame, gather: gather, bounds: bare_bounds(frames: 0, deadline_ns: end))
            return Slice(packets: result.packets, cpuNanoseconds: result.cpu_ns)
        }
        var due = start
        while monotonicNanoseconds() < end {
            let result = try sinks.bare(&bareFrame, gather: gather, bounds: bare_bounds(frames: 1, deadline_ns: 0))
            slice.packets += result.packets
            slice.cpuNanoseconds += result.cpu_ns
            due += frame.intervalNanoseconds
            readSamples(until: due, areCounted: false)
        }
        return slice
    }

    // MARK: Samples

    /// Reads sampled sinks until a moment; the kernel noted when each packet came, so it does not matter when it is read.
    private mutating func readSamples(until due: UInt64, areCounted: Bool = true) {
        while true {
            noteSamples(areCounted: areCounted)
            let now = monotonicNanoseconds()
            guard now < due else { return }
            csinks_sleep_ns(min(due - now, 5_000_000))
        }
    }

    private mutating func noteSamples(areCounted: Bool) {
        for index in 0..<sampled {
            sinks.readSample(index) { packet in
                guard areCounted else { return }
                samples[index].take(
                    sequence: packet.sequence, timestamp: packet.timestamp, arrivalNanoseconds: packet.arrivalNanoseconds)
            }
        }
    }
}
