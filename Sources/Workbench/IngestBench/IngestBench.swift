import CBareLoops
import CSinks
import Glibc
import PlaneLink

/// The engine's receiving side by itself, from a socket per stream into packet logs without readers, against a bare loop of
/// `recvmmsg` with `UDP_GRO` that throws away what it received. A round is one frame to every stream; the next is sent when the
/// one before it has been taken.
package struct IngestBench {
    /// Runs the whole.
    ///
    /// - Throws: a usage error for options that cannot be; a failure when something could not be measured.
    package static func run(_ options: IngestOptions) throws(WorkbenchError) -> IngestReport {
        try options.check()
        csinks_descriptors_raise()
        var bench = try IngestBench(options)
        return try bench.run()
    }

    private struct Slice {
        var packets: UInt64 = 0
        var dropped: UInt64 = 0
        var cpuNanoseconds: UInt64 = 0

        var microsecondsPerPacket: Double? { packets > 0 ? Double(cpuNanoseconds) / 1_000 / Double(packets) : nil }
    }

    /// A round that does not get on for so long has lost packets.
    private static let patienceNanoseconds: UInt64 = 5_000_000_000
    private static let receiveBytes = 1 << 20

    private let options: IngestOptions
    private let rig: EngineRig
    private let engineSockets: [DatagramSocket]
    private let bareSockets: [DatagramSocket]
    private let sender: DatagramSender
    private var frame: TestFrame

    private init(_ options: IngestOptions) throws(WorkbenchError) {
        self.options = options
        let home = try Endpoint(host: "127.0.0.1", port: 0)
        sender = try DatagramSender(like: home)
        frame = TestFrame(packets: options.packetsPerFrame, packetBytes: options.packetSize)
        engineSockets = try Self.sockets(options.streams, home)
        bareSockets = try Self.sockets(options.streams, home)
        rig = try EngineRig(options.engine)
        for socket in engineSockets {
            let stream = try rig.addStream(bitRate: 1_000_000)
            _ = try rig.addDatagramSource(stream, descriptor: socket.number)
        }
        rig.engine.wake()
    }

    private static func sockets(_ count: Int, _ home: Endpoint) throws(WorkbenchError) -> [DatagramSocket] {
        var sockets: [DatagramSocket] = []
        for _ in 0..<count { sockets.append(try DatagramSocket(at: home, receiveGRO: true, receiveBytes: receiveBytes)) }
        return sockets
    }

    private mutating func run() throws(WorkbenchError) -> IngestReport {
        let sliceSeconds = options.duration / Double(2 * options.pairs)
        progress(
            "\(options.pairs) pairs of \(JSONValue.number(sliceSeconds).line) s each way, "
                + "engine on \(rig.engine.backend.name): \(rig.engine.backend.reason)")
        _ = try engineSlice(seconds: min(0.2, sliceSeconds))
        _ = try bareSlice(seconds: min(0.2, sliceSeconds))
        var report = IngestReport()
        var ours: [Double] = []
        var limits: [Double] = []
        var ratios: [Double] = []
        for _ in 0..<options.pairs {
            let engine = try engineSlice(seconds: sliceSeconds)
            let bare = try bareSlice(seconds: sliceSeconds)
            report.packets += engine.packets
            report.drops += engine.dropped
            guard let our = engine.microsecondsPerPacket, let limit = bare.microsecondsPerPacket, our > 0 else { continue }
            ours.append(our)
            limits.append(limit)
            ratios.append(limit / our)
        }
        report.options = options
        report.microsecondsPerPacket = median(ours)
        report.limitMicrosecondsPerPacket = median(limits)
        report.ratioToLimit = median(ratios)
        report.residentMiB = ProcessMeter.residentMiB(of: getpid())
        report.backend = rig.engine.backend.name
        report.backendReason = rig.engine.backend.reason
        try rig.stop()
        return report
    }

    private mutating func engineSlice(seconds: Double) throws(WorkbenchError) -> Slice {
        let rig = rig
        let cpu = rig.cpuNanoseconds
        var slice = try feed(engineSockets, seconds: seconds) { rig.engine.counters[.packetsReceived] }
        slice.cpuNanoseconds = rig.cpuNanoseconds &- cpu
        return slice
    }

    private mutating func bareSlice(seconds: Double) throws(WorkbenchError) -> Slice {
        let descriptors = bareSockets.map(\.number)
        let loop = unsafe descriptors.withUnsafeBufferPointer { unsafe bare_ingest_start($0.baseAddress, UInt32($0.count)) }
        guard let loop = unsafe loop else { throw WorkbenchError("the bare loop's thread cannot start") }
        var slice: Slice
        do throws(WorkbenchError) {
            slice = try feed(bareSockets, seconds: seconds) { unsafe bare_ingest_packets(loop) }
        } catch {
            _ = unsafe bare_ingest_end(loop)
            throw error
        }
        let result = unsafe bare_ingest_end(loop)
        guard result.error == 0 else { throw WorkbenchError("the bare loop stopped: \(errorText(-result.error))") }
        slice.cpuNanoseconds = result.cpu_ns
        return slice
    }

    /// Rounds until the time is over. `taken` says how many packets the receiving side has taken since its own beginning.
    private mutating func feed(
        _ sockets: [DatagramSocket], seconds: Double, taken: () -> UInt64
    ) throws(WorkbenchError) -> Slice {
        let before = taken()
        var sent: UInt64 = 0
        var dropped: UInt64 = 0
        let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
        while monotonicNanoseconds() < end {
            let train = frame.nextContiguous()
            for socket in sockets {
                try sender.send(train, segmentBytes: options.packetSize, toPort: socket.port)
                sent += UInt64(options.packetsPerFrame)
            }
            var progressed = monotonicNanoseconds()
            var last = taken()
            while last &- before &+ dropped < sent {
                csinks_sleep_ns(20_000)
                let now = taken()
                if now != last {
                    last = now
                    progressed = monotonicNanoseconds()
                } else if monotonicNanoseconds() - progressed > Self.patienceNanoseconds {
                    dropped = sent &- (now &- before)
                }
            }
        }
        return Slice(packets: taken() &- before, dropped: dropped, cpuNanoseconds: 0)
    }
}
