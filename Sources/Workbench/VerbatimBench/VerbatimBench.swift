import CSinks
import Glibc
import PlaneLink
import WireFormats

/// A stream that is no RTP beside an interleaved RTP stream of the same bit rate: the same engine, the same connections, in alternation,
/// both at their own pace.
///
/// What the packets of the first are is nothing to the engine. Here each is an RTP packet in its interleaved frame, so that the same far
/// ends read both.
package struct VerbatimBench {
    /// Runs the whole.
    ///
    /// - Throws: a usage error for options that cannot be; a failure when something could not be measured.
    package static func run(_ options: VerbatimOptions) throws(WorkbenchError) -> VerbatimReport {
        try options.check()
        csinks_descriptors_raise()
        if options.transport == .udp {
            var bench = try FinishedBench(options)
            return try bench.run()
        }
        var bench = try VerbatimBench(options)
        return try bench.run()
    }

    /// Readers whose far ends are also read.
    private static let sampledMax = 16

    /// One of the two streams.
    private struct Side {
        let isVerbatim: Bool
        let stream: StreamHandle
        let source: SourceHandle
        var frame: TestFrame
        var samples: [ArrivalLog] = []
        var costs: [Double] = []
        var lateness: [Double] = []
        var report = VerbatimReport.Side()
        var sends: UInt64 = 0

        /// The next frame as it is fed.
        mutating func next() -> [UInt8] {
            let bytes = frame.nextInterleaved()
            return isVerbatim ? InterleavedHeader.frame(channel: 0, payload: bytes) : bytes
        }
    }

    private let options: VerbatimOptions
    private let rig: EngineRig
    private let sinks: StreamSinks
    private let copies: [Int32]
    private var connections: [ReaderConnection] = []
    private let memory = ReadMemory()
    private var sides: [Side] = []
    private let sampled: Int

    private init(_ options: VerbatimOptions) throws(WorkbenchError) {
        self.options = options
        sampled = options.chunked ? 0 : min(Self.sampledMax, options.subscribers)
        rig = try EngineRig(options.engine)
        sinks = try StreamSinks(count: options.subscribers, sampled: sampled)
        for sample in sinks.samples { connections.append(try ReaderConnection(adopting: sample)) }
        // Each connection is a reader of both streams, of which one at a time is fed.
        let senders = sinks.senders
        var copies: [Int32] = []
        for sender in senders { copies.append(try kernel("cannot copy a descriptor", csinks_duplicate(sender))) }
        self.copies = copies
        for isVerbatim in [false, true] {
            let stream = try rig.addStream(
                bitRate: max(4 * options.bitRate, 8_000_000), isVerbatim: isVerbatim,
                collectNanoseconds: isVerbatim ? UInt64(options.collectMilliseconds) * 1_000_000 : 0)
            let frame =
                isVerbatim
                ? TestFrame(
                    packets: 1, packetBytes: options.packetSize - InterleavedHeader.byteCount, framesPerSecond: options.packetsPerSecond)
                : options.frame
            sides.append(Side(isVerbatim: isVerbatim, stream: stream, source: try rig.addFedSource(stream), frame: frame))
        }
        // Streams come first: the rig has one count for the handles of everything, and there are fewer streams than readers.
        for number in sides.indices {
            var side = sides[number]
            var readers: [SubscriberHandle] = []
            for index in senders.indices {
                let reader =
                    side.isVerbatim
                    ? try rig.addVerbatimReader(side.stream, connection: copies[index], chunked: options.chunked)
                    : try rig.addReader(side.stream, connection: senders[index])
                readers.append(reader)
            }
            try rig.letGo(readers, feeding: side.source) { side.next() }
            sides[number] = side
        }
        noteSamples(nil)
    }

    private mutating func run() throws(WorkbenchError) -> VerbatimReport {
        let seconds = options.duration / Double(2 * options.pairs)
        progress(
            "\(options.pairs) pairs of \(JSONValue.number(seconds).line) s each way, "
                + "engine on \(rig.engine.backend.name): \(rig.engine.backend.reason)")
        for side in sides.indices { try slice(side, seconds: min(0.5, seconds), isCounted: false) }
        let dropped = rig.packetsDropped
        for _ in 0..<options.pairs { for side in sides.indices { try slice(side, seconds: seconds, isCounted: true) } }
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
        for copy in copies { close(copy) }
        return report
    }

    private func finished(_ side: Side) -> VerbatimReport.Side {
        var report = side.report
        report.nanosecondsPerByte = median(side.costs)
        report.lateness = Percentiles(of: side.lateness)
        if side.sends > 0 { report.meanTrain = Double(report.packets) / Double(side.sends) }
        return report
    }

    /// Feeds one stream for a while, and waits until its readers have it.
    private mutating func slice(_ number: Int, seconds: Double, isCounted: Bool) throws(WorkbenchError) {
        sides[number].samples = Array(repeating: ArrivalLog(clockRate: 90_000), count: sampled)
        let rig = rig
        let counters = rig.engine.counters
        let before = (
            cpu: rig.cpuNanoseconds, packets: counters[.packetsSent], bytes: counters[.bytesSent], sends: counters[.sendsSubmitted]
        )
        var expected = rig.packetsAccounted
        let perFrame = UInt64(sides[number].frame.packets * options.subscribers)
        let start = monotonicNanoseconds()
        var due = start
        while monotonicNanoseconds() < start + UInt64(seconds * 1e9) {
            try rig.feed(sides[number].source, sides[number].next())
            expected &+= perFrame
            due += sides[number].frame.intervalNanoseconds
            read(until: due, number)
        }
        let target = expected
        try rig.wait("the last packet to leave", seconds: 20) { rig.packetsAccounted >= target }
        // What left is there when the far ends say so.
        read(until: monotonicNanoseconds() + 20_000_000, number)
        guard isCounted else { return }
        let bytes = counters[.bytesSent] &- before.bytes
        if bytes > 0 { sides[number].costs.append(Double(rig.cpuNanoseconds &- before.cpu) / Double(bytes)) }
        sides[number].report.bytes &+= bytes
        sides[number].report.packets &+= counters[.packetsSent] &- before.packets
        sides[number].sends &+= counters[.sendsSubmitted] &- before.sends
        sides[number].lateness += sides[number].samples.flatMap(\.latenessMilliseconds)
        for sample in sides[number].samples { sides[number].report.lost &+= sample.account.lost }
    }

    private mutating func read(until due: UInt64, _ number: Int) {
        while true {
            noteSamples(number)
            let now = monotonicNanoseconds()
            guard now < due else { return }
            csinks_sleep_ns(min(due - now, 5_000_000))
        }
    }

    private mutating func noteSamples(_ number: Int?) {
        for index in connections.indices {
            // A sample that breaks shows as a stop of its packets.
            _ = try? connections[index].read(with: memory) { _, bytes, arrival in
                guard let number, let packet = ArrivedPacket(bytes, arrivalNanoseconds: arrival) else { return }
                sides[number].samples[index].take(
                    sequence: packet.sequence, timestamp: packet.timestamp, arrivalNanoseconds: packet.arrivalNanoseconds)
            }
        }
    }
}
