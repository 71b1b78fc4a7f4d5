import Glibc
import PlaneLink

/// One worker of the engine: one thread, one kernel interface, the streams, sources and readers given to it.
///
/// Everything it needs is made before it starts; from then on nothing here allocates, locks, logs or counts references while
/// packets move. (Adding a stream's interleaved source takes its receive buffer from the heap: that is a command, not a
/// packet.)
@safe package struct Worker<K: Kernel & ~Copyable>: ~Copyable {
    var kernel: K
    let limits: Limits
    let counters: EngineCounters
    let commands: BoundedRing<Command>
    let reports: BoundedRing<Report>
    /// Eventfds: commands wait; reports wait. And the same as the kernel interface knows the first.
    let commandWake: Int32
    let reportWake: Int32
    var commandWakeFile = KernelFile.none

    let streams: Slab<StreamSlot>
    let subscribers: Slab<Subscriber>
    let sources: Slab<Source>
    let sendNodes: Slab<SendNode>
    var freeSendNode: UInt32 = .max
    var sendNodesUsed = 0
    let egress: Slab<Egress>
    var gather: GatherSpace
    let remainders: RemainderSlab

    /// Streams that have something to send, as a list through their slots.
    var firstDirty = SubscriberList.end
    var streamsInUse = 0
    var subscribersInUse = 0
    var sourcesInUse = 0

    /// Monotonic nanoseconds, read once or twice a turn.
    var now: UInt64 = 0
    var nextSweep: UInt64 = 0
    var hasReported = false
    var isStopping = false

    /// A stream's slot; `state` is meaningful while the generation is not 0.
    struct StreamSlot: BitwiseCopyable {
        var generation: UInt32
        var state: StreamState
    }

    /// A pair of sockets that UDP readers are sent from.
    struct Egress: BitwiseCopyable {
        var isSet: Bool
        var rtp: KernelFile
        var rtcp: KernelFile
    }

    /// Commands taken in one turn, events handled in one turn: what comes later waits for the next.
    static var commandsPerTurn: Int { 256 }
    static var eventsPerTurn: Int { 1_024 }
    /// How often readers are looked at for stalls.
    static var sweepNanoseconds: UInt64 { 250_000_000 }
    /// The longest sleep of an idle worker.
    static var idleNanoseconds: UInt64 { 250_000_000 }
    /// A full UDP socket is tried again after so long.
    static var retryNanoseconds: UInt64 { 1_000_000 }

    /// A worker over a kernel interface; throws when there is no memory for its tables.
    package init(
        kernel: consuming K, limits: Limits, counters: EngineCounters, commands: BoundedRing<Command>, reports: BoundedRing<Report>,
        commandWake: Int32, reportWake: Int32
    ) throws(BackendRefusal) {
        guard let streams = Slab<StreamSlot>(count: limits.streamsMax), let subscribers = Slab<Subscriber>(count: limits.subscribersMax),
            let sources = unsafe Slab<Source>(count: limits.sourcesMax),
            let sendNodes = Slab<SendNode>(count: limits.subscribersMax * 2 + limits.queuedSendsMax),
            let egress = Slab<Egress>(count: 8), let gather = GatherSpace(), let remainders = RemainderSlab(readers: limits.subscribersMax)
        else { throw .memory }
        self.kernel = kernel
        self.limits = limits
        self.counters = counters
        self.commands = commands
        self.reports = reports
        self.commandWake = commandWake
        self.reportWake = reportWake
        self.streams = streams
        self.subscribers = subscribers
        unsafe self.sources = sources
        self.sendNodes = sendNodes
        self.egress = egress
        self.gather = gather
        self.remainders = remainders
        for node in (0..<self.sendNodes.count).reversed() {
            self.sendNodes[node].next = freeSendNode
            freeSendNode = UInt32(node)
        }
    }

    /// Runs until a `shutdown` command; on the worker's own thread.
    package mutating func run() {
        let result = kernel.start()
        guard result == 0 else {
            report(.refused(.ringFailed, errorNumber: -result))
            report(.stopped(leaks: 0))
            wakeReports()
            return
        }
        armCommandWake()
        while !isStopping { turn() }
        runDown()
    }

    /// One turn: commands, one wait, events, fan-out, timers.
    package mutating func turn() {
        now = monotonicNanoseconds()
        takeCommands()
        let deadline = nextDeadline()
        kernel.wait(nanoseconds: commands.count > 0 || deadline <= now ? 0 : Int64(min(deadline - now, Self.idleNanoseconds)))
        now = monotonicNanoseconds()
        counters.add(.turns)
        handleEvents()
        fanOutDue()
        if now >= nextSweep { sweep() }
        if hasReported { wakeReports() }
        publishBackendCounters()
    }

    /// When the worker must be awake next.
    private func nextDeadline() -> UInt64 {
        var deadline = nextSweep
        var index = firstDirty
        while index != SubscriberList.end {
            deadline = min(deadline, streams[Int(index)].state.dueAt)
            index = streams[Int(index)].state.nextDirty
        }
        return deadline
    }

    private mutating func handleEvents() {
        var handled = 0
        while handled < Self.eventsPerTurn, let event = unsafe kernel.nextEvent() {
            unsafe handle(event)
            handled += 1
        }
    }

    @unsafe private mutating func handle(_ event: KernelEvent) {
        switch unsafe event.tag.kind {
        case .datagramSource: unsafe datagramArrived(event)
        case .interleavedSource: unsafe bytesArrived(event)
        case .writable: unsafe becameWritable(event.tag)
        case .wake: armCommandWake()
        case .send, .cancel, .none: break
        }
    }

    private mutating func armCommandWake() {
        if commandWakeFile == .none {
            guard let file = kernel.attach(descriptor: commandWake) else { return report(.refused(.registerFailed, errorNumber: ENFILE)) }
            commandWakeFile = file
        }
        if !isStopping { kernel.receiveWake(commandWakeFile, tag: RequestTag(.wake, index: 0, generation: 0)) }
    }

    // MARK: Reports

    /// Tells the control plane. The queue holds every report that can be outstanding (``Limits/reportsMax``).
    mutating func report(_ report: Report) {
        let isQueued = reports.push(report)
        assert(isQueued, "the report queue is too small for the limits")
        if !isQueued { counters.add(.reportsDropped) }
        hasReported = true
    }

    /// Tells something that may be lost when the control plane is behind.
    mutating func reportLossy(_ report: Report) {
        if reports.count * 2 > reports.capacity {
            counters.add(.reportsDropped)
        } else {
            self.report(report)
        }
    }

    private mutating func wakeReports() {
        hasReported = false
        var one: UInt64 = 1
        _ = unsafe write(reportWake, &one, 8)
    }

    private func publishBackendCounters() {
        counters.add(.systemCalls, kernel.systemCalls &- counters[.systemCalls])
        counters.add(.completionOverflows, kernel.overflows &- counters[.completionOverflows])
    }

    // MARK: Dirty streams

    /// Has the stream looked at when its packets are due.
    mutating func markDirty(_ stream: Int) {
        guard !streams[stream].state.isDirty else { return }
        streams[stream].state.isDirty = true
        streams[stream].state.nextDirty = firstDirty
        firstDirty = UInt32(stream)
    }

    private mutating func fanOutDue() {
        var index = firstDirty
        firstDirty = SubscriberList.end
        while index != SubscriberList.end {
            let stream = Int(index)
            index = streams[stream].state.nextDirty
            streams[stream].state.isDirty = false
            guard streams[stream].generation != 0 else { continue }
            if streams[stream].state.dueAt <= now {
                fanOut(stream)
            } else {
                markDirty(stream)
            }
        }
    }

    // MARK: Timers

    private mutating func sweep() {
        nextSweep = now + Self.sweepNanoseconds
        for stream in 0..<streams.count where streams[stream].generation != 0 {
            var index = streams[stream].state.interleaved.first
            while index != SubscriberList.end {
                let reader = Int(index)
                index = subscribers[reader].next
                if subscribers[reader].isBlocked, !subscribers[reader].hasFailed,
                    now &- subscribers[reader].blockedAt > limits.writeStallNanoseconds
                {
                    fail(reader, .stalled)
                }
            }
        }
    }

    // MARK: End

    /// Takes everything apart and waits until the kernel gave back what it held; then tells what did not come home.
    private mutating func runDown() {
        for stream in 0..<streams.count where streams[stream].generation != 0 { removeStream(stream) }
        if commandWakeFile != .none { kernel.cancel(commandWakeFile, tag: RequestTag(.wake, index: 0, generation: 0)) }
        let deadline = monotonicNanoseconds() + 5_000_000_000
        while kernel.outstanding > 0 || subscribersInUse > 0 || sourcesInUse > 0 {
            now = monotonicNanoseconds()
            if now > deadline { break }
            kernel.wait(nanoseconds: 10_000_000)
            handleEvents()
        }
        for place in 0..<egress.count where egress[place].isSet {
            kernel.detach(egress[place].rtp)
            kernel.detach(egress[place].rtcp)
        }
        kernel.detach(commandWakeFile)
        let leaks = kernel.outstanding + subscribersInUse + sourcesInUse + streamsInUse + sendNodesUsed
        report(.stopped(leaks: UInt32(clamping: leaks)))
        wakeReports()
    }
}

/// Monotonic time in nanoseconds.
package func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
