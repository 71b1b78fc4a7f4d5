import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// The kernels that must do the same.
enum ConformanceKernel: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case ioUring, ioUringWithoutTrains, ioUringZeroCopy, epoll, plain, scripted

    var testDescription: String { rawValue }
}

/// What did not happen in time.
struct ConformanceFailure: Error, CustomStringConvertible {
    let description: String
}

/// A worker over one of the kernels with its faults, stepped by the test on its own thread, and the sockets of its readers and sources.
class ConformanceRig {
    let plan: FaultPlan
    let network: any ConformanceNetwork
    let counters = EngineCounters()
    let limits: Limits
    let memory = StreamMemory(sizing: StreamSizing(bitRate: 8_000_000, windowMilliseconds: 1_000))
    let stream = StreamHandle(index: 0, generation: 1)
    fileprivate let commands = BoundedRing<Command>(capacity: 1_024)
    fileprivate let reportQueue = BoundedRing<Report>(capacity: 4_096)
    /// A pipe in an eventfd's place: the worker reads it, the test writes.
    fileprivate let wake: Int32
    private let wakeEnd: Int32
    fileprivate let reportWake: Int32
    /// What the worker said, without buffers that came back.
    private(set) var reports: [Report] = []
    /// Bytes handed up from a source.
    private(set) var texts: [[UInt8]] = []
    private(set) var leaks: UInt32?

    fileprivate init(_ plan: FaultPlan, _ network: any ConformanceNetwork, _ limits: Limits) {
        self.plan = plan
        self.network = network
        self.limits = limits
        var ends: [Int32] = [-1, -1]
        unsafe _ = pipe(&ends)
        wake = ends[0]
        wakeEnd = ends[1]
        reportWake = unsafe open("/dev/null", O_WRONLY)
    }

    deinit {
        close(wake)
        close(wakeEnd)
        close(reportWake)
        memory.free()
        counters.free()
    }

    fileprivate func parts(_ zeroCopy: ZeroCopy) -> WorkerParts {
        WorkerParts(
            index: 0, limits: limits, zeroCopy: zeroCopy, counters: counters, commands: commands, reports: reportQueue, commandWake: wake,
            reportWake: reportWake, board: WorkerBoard(workers: 1, streamsMax: limits.streamsMax))
    }

    /// Binds the worker to this thread.
    func start() {}
    /// One turn of the worker.
    func turn() {}
    /// Takes the worker apart.
    func runDown() {}

    /// Makes a worker over a kernel; throws where the system refuses that.
    static func make(
        _ kernel: ConformanceKernel, _ plan: FaultPlan = FaultPlan(), zeroCopy: ZeroCopy = .off, completions: UInt32? = nil,
        starts: Bool = true
    ) throws -> ConformanceRig {
        let rig = try make(kernel, plan, zeroCopy, completions ?? UringKernel.completionsMax)
        if starts { rig.start() }
        return rig
    }

    private static func make(
        _ kernel: ConformanceKernel, _ plan: FaultPlan, _ zeroCopy: ZeroCopy, _ completions: UInt32
    ) throws -> ConformanceRig {
        var limits = Limits()
        limits.subscribersMax = 64
        limits.sourcesMax = 16
        limits.streamsMax = 4
        limits.delayMicrosecondsMax = 0
        switch kernel {
        case .ioUring, .ioUringWithoutTrains:
            let base = try UringKernel(limits: limits, cutsTrains: kernel == .ioUring, completions: completions)
            return try RigOver(FaultyKernel(base, plan), plan, LoopbackNetwork(), limits, zeroCopy)
        case .ioUringZeroCopy:
            let base = try UringKernel(limits: limits, zeroCopy: true, completions: completions)
            return try RigOver(FaultyKernel(base, plan), plan, LoopbackNetwork(), limits, .on)
        case .epoll:
            let base = try EpollKernel(limits: limits, calls: .batched)
            return try RigOver(FaultyKernel(base, plan), plan, LoopbackNetwork(), limits, zeroCopy)
        case .plain:
            let base = try EpollKernel(limits: limits, calls: .single)
            return try RigOver(FaultyKernel(base, plan), plan, LoopbackNetwork(), limits, zeroCopy)
        case .scripted:
            let script = Script()
            script.tellsWritable = true
            script.waitNanoseconds = 1_000_000
            return try RigOver(
                FaultyKernel(ScriptedKernel(script: script), plan), plan, ScriptedNetwork(script), limits, zeroCopy)
        }
    }

    // MARK: Steps

    func submit(_ list: Command...) {
        for command in list { #expect(commands.push(command), "the command queue is full") }
        var one: UInt64 = 1
        unsafe _ = write(wakeEnd, &one, 8)
    }

    /// One turn, and what it says.
    func step() {
        turn()
        takeReports()
    }

    fileprivate func takeReports() {
        while let report = reportQueue.pop() {
            switch report {
            case .bufferReturned(let buffer): buffer.free()
            case .sourceText(_, let view):
                texts.append(view.copy())
                reports.append(report)
            case .stopped(let leaks): self.leaks = leaks
            default: reports.append(report)
            }
        }
    }

    /// Steps until something is so; a failure with words after `seconds`.
    func until(_ what: @autoclosure () -> String, seconds: Double = 5, _ isSo: () -> Bool) throws {
        let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
        while !isSo() {
            guard monotonicNanoseconds() < end else { throw ConformanceFailure(description: "waited \(seconds) s in vain for \(what())") }
            step()
        }
    }

    func has(_ matches: (Report) -> Bool) -> Bool { reports.contains(where: matches) }

    /// Ends the worker; what did not come home.
    func stop() throws -> UInt32 {
        submit(.shutdown)
        step()
        runDown()
        takeReports()
        guard let leaks else { throw ConformanceFailure(description: "the worker did not say that it stopped") }
        return leaks
    }

    // MARK: What a stream needs

    /// Egress 0, the stream, one track; sent as fast as it comes.
    func addStream(codec: TrackCodec = .opaque) {
        var policy = StreamPolicy()
        policy.pacing = .off
        policy.joinBurst = nil
        submit(
            .addDatagramEgress(0, worker: 0, rtp: network.openEgress(), rtcp: network.openEgress()),
            .addStream(stream, memory, trackCount: 1), .setPolicy(stream, policy),
            .setTrack(stream, track: 0, TrackPlan(clockRate: 90_000, codec: codec, ssrc: 0x5EED)))
    }

    /// A UDP reader of RTP and RTCP from the next packet on; its ports.
    func addReader(_ index: UInt32) throws -> (handle: SubscriberHandle, rtp: UInt16, rtcp: UInt16) {
        let handle = SubscriberHandle(index: index, generation: 1)
        let rtp = network.openReader()
        let rtcp = network.openReader()
        var ports = PortMap()
        ports[0] = rtp
        ports[1] = rtcp
        submit(
            .addDatagramSubscriber(handle, stream, host: HostAddress(ipv4: 0x7F00_0001), ports: ports, sockets: 0), .arm(handle, now: true),
            .go(handle))
        try joined(handle)
        return (handle, rtp, rtcp)
    }

    /// An interleaved reader from the next packet on; its connection.
    func addConnection(_ index: UInt32, isSmall: Bool = false) throws -> (handle: SubscriberHandle, connection: Int32) {
        let handle = SubscriberHandle(index: index, generation: 1)
        let connection = network.openConnection(isSmall: isSmall)
        submit(
            .addInterleavedSubscriber(handle, stream, descriptor: connection, channels: ChannelMap(identity: 2)), .arm(handle, now: true),
            .go(handle))
        try joined(handle)
        return (handle, connection)
    }

    private func joined(_ handle: SubscriberHandle) throws {
        try until("reader \(handle.index) to join") { has { if case .joined(handle, _) = $0 { true } else { false } } }
    }
}

/// A rig over one kind of kernel.
private final class RigOver<K: Kernel & ~Copyable>: ConformanceRig {
    private var worker: Worker<K>?

    init(_ kernel: consuming K, _ plan: FaultPlan, _ network: any ConformanceNetwork, _ limits: Limits, _ zeroCopy: ZeroCopy) throws {
        super.init(plan, network, limits)
        worker = try Worker(kernel: kernel, parts: parts(zeroCopy))
    }

    override func start() { worker?.begin() }

    override func turn() { worker?.turn() }

    override func runDown() {
        worker?.runDown()
        worker = nil
    }
}
