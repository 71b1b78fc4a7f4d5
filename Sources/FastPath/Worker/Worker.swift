import Glibc
import PlaneLink

/// Whether sends go without a copy.
public enum ZeroCopy: String, Sendable, CaseIterable {
    /// Where trains are long enough and the kernel says that it really does not copy.
    case auto
    /// Wherever the backend can, whatever it costs.
    case on
    case off
}

/// What a worker is made of, but for its kernel interface.
struct WorkerParts {
    /// Which of the engine's workers it is.
    let index: Int
    let limits: Limits
    let zeroCopy: ZeroCopy
    /// The engine's counters; the worker writes its own part.
    let counters: EngineCounters
    let commands: BoundedRing<Command>
    let reports: BoundedRing<Report>
    /// Eventfds: commands wait; reports wait.
    let commandWake: Int32
    let reportWake: Int32
    let board: WorkerBoard
}

/// One worker of the engine: one thread, one kernel interface, the sources of the streams that are at home with it, and a share of
/// the readers of all streams.
///
/// Everything it needs is made before it starts; from then on nothing here allocates, locks, logs or counts references while
/// packets move. (Adding a stream's interleaved source takes its receive buffer from the heap: that is a command, not a
/// packet.)
@safe package struct Worker<K: Kernel & ~Copyable>: ~Copyable {
    var kernel: K
    let index: Int
    let limits: Limits
    let zeroCopy: ZeroCopy
    let counters: EngineCounters
    let commands: BoundedRing<Command>
    let reports: BoundedRing<Report>
    let commandWake: Int32
    let reportWake: Int32
    /// Keeps the memory behind `peers`.
    private let board: WorkerBoard
    let peers: WorkerBoardView
    var commandWakeFile = KernelFile.none

    let streams: Slab<StreamSlot>
    let subscribers: Slab<Subscriber>
    let sources: Slab<Source>
    let sendNodes: Slab<SendNode>
    var freeSendNode: UInt32 = .max
    var sendNodesUsed = 0
    let egress: Slab<Egress>
    let destinations: DestinationTable
    let holds: Slab<ZeroCopyHold>
    var freeHold: Int32 = -1
    var holdsUsed = 0
    var gather: GatherSpace
    var blocks: FramedBlocks
    let remainders: RemainderSlab
    var stored: StoredBlocks
    /// Stored readers that may be sent something.
    var storedReady = StoredList()
    /// Stored streams with readers that wait for a block to be free, and when the longest wait for a block or a read is too long.
    var shortStreams = ShortStreams()
    var nextStoredEnd = UInt64.max

    /// Streams that have something to do, as a list through their slots.
    var firstDirty = SubscriberList.end
    var streamsInUse = 0
    var subscribersInUse = 0
    var sourcesInUse = 0
    /// TCP readers whose sockets are full.
    var readersBlocked = 0
    /// TCP readers that were removed while the kernel held something for them.
    var readersHeld = 0

    /// Monotonic nanoseconds, read once or twice a turn.
    var now: UInt64 = 0
    var nextSweep = UInt64.max
    /// When a stream's sender reports are due next.
    var nextReports = UInt64.max
    var hasReported = false
    /// The control plane was told that memory could not be registered.
    var hasSaidUnregistered = false
    /// Until then nothing is sent without a copy: there was no memory to hold it.
    var zeroCopyPausedUntil: UInt64 = 0
    /// Packets that may be sent once more before other commands are carried out.
    var resendsLeft = 0
    /// The lowest packet that is pinned for the batch of sends being made.
    var batchPin = UInt64.max
    var isStopping = false
    /// The kernel interface ended for good: commands are answered, nothing moves.
    var hasKernelFailed = false

    /// A stream's slot; `state` is meaningful while the generation is not 0.
    struct StreamSlot: BitwiseCopyable {
        var generation: UInt32
        /// Removed, but the kernel still holds packets of it.
        var isClosing: Bool
        var state: StreamState
    }

    /// A pair of sockets that UDP readers are sent from.
    struct Egress: BitwiseCopyable {
        var isSet: Bool
        var rtp: KernelFile
        var rtcp: KernelFile
    }

    /// Commands taken in one turn, events handled in one turn: what comes later waits for the next.
    static var commandsPerTurn: Int { 1_024 }
    static var eventsPerTurn: Int { 1_024 }
    /// A stream's fan-out ends its part of a turn after so long: who waits for commands or other streams waits no longer.
    static var fanOutNanosecondsMax: UInt64 { 20_000_000 }
    /// How often readers with full sockets are looked at for stalls.
    static var sweepNanoseconds: UInt64 { 250_000_000 }
    /// A full UDP socket is tried again after so long.
    static var retryNanoseconds: UInt64 { 1_000_000 }

    /// A worker over a kernel interface; throws when there is no memory for its tables.
    init(kernel: consuming K, parts: WorkerParts) throws(BackendRefusal) {
        let limits = parts.limits
        guard let streams = Slab<StreamSlot>(count: limits.streamsMax), let subscribers = Slab<Subscriber>(count: limits.subscribersMax),
            let sources = unsafe Slab<Source>(count: limits.sourcesMax),
            let sendNodes = Slab<SendNode>(count: limits.subscribersMax * 2 + limits.queuedSendsMax),
            let egress = Slab<Egress>(count: Limits.egressMax), let destinations = DestinationTable(),
            let holds = Slab<ZeroCopyHold>(count: parts.zeroCopy == .off ? 1 : Self.holdsMax), let gather = GatherSpace(),
            let blocks = FramedBlocks(), let remainders = RemainderSlab(readers: limits.subscribersMax),
            let stored = StoredBlocks(count: limits.storedBlocks, bytes: limits.storedBlockBytes)
        else { throw .memory }
        self.kernel = kernel
        index = parts.index
        self.limits = limits
        zeroCopy = parts.zeroCopy
        counters = parts.counters.forWorker(parts.index)
        commands = parts.commands
        reports = parts.reports
        commandWake = parts.commandWake
        reportWake = parts.reportWake
        board = parts.board
        peers = parts.board.view
        self.streams = streams
        self.subscribers = subscribers
        unsafe self.sources = sources
        self.sendNodes = sendNodes
        self.egress = egress
        self.destinations = destinations
        self.holds = holds
        self.gather = gather
        self.blocks = blocks
        self.remainders = remainders
        self.stored = stored
        for node in (0..<self.sendNodes.count).reversed() {
            self.sendNodes[node].next = freeSendNode
            freeSendNode = UInt32(node)
        }
        for hold in (0..<self.holds.count).reversed() {
            self.holds[hold].next = freeHold
            freeHold = Int32(hold)
        }
        parts.board.setDescriptor(self.kernel.peerDescriptor, ofWorker: parts.index)
    }

    /// Runs until a `shutdown` command; on the worker's own thread.
    package mutating func run() {
        begin()
        while !isStopping { turn() }
        runDown()
    }

    /// Binds the worker to the calling thread.
    package mutating func begin() {
        let result = kernel.start()
        if result == 0 { armCommandWake() } else { giveUp(-result) }
    }

    /// One turn: commands, one wait, events, hand-overs, fan-out, timers.
    package mutating func turn() {
        if hasKernelFailed { return turnWithoutKernel() }
        now = kernel.clock()
        takeCommands()
        var deadline = nextDeadline()
        let hasCommands = commands.count > 0
        // Commands that wait for reports to be taken: nobody says when they were.
        if hasCommands, !hasRoomToReport { deadline = min(deadline, now + Self.retryNanoseconds) }
        let mustNotWait = hasCommands && hasRoomToReport || deadline <= now || isStopping || mustSendStored
        // What commands brought about is told before the wait: where no media moves, nothing else may happen for long.
        if hasReported { wakeReports() }
        kernel.wait(nanoseconds: mustNotWait ? 0 : deadline == .max ? -1 : Int64(min(deadline - now, 1_000_000_000)))
        now = kernel.clock()
        counters.add(.turns)
        handleEvents()
        takeHandovers()
        reorderDue()
        if now >= nextReports { tellTimesDue() }
        releaseDue()
        fenceVerbatim()
        fanOutDue()
        if now >= nextStoredEnd { endOverdueStored() }
        sendStored()
        if now >= nextSweep { sweep() }
        if kernel.failure != 0 { giveUp(kernel.failure) }
        if hasReported { wakeReports() }
        publishBackendCounters()
    }

    /// When the worker must be awake next; `.max`: when something happens.
    private func nextDeadline() -> UInt64 {
        var deadline = min(nextSweep, nextReports, nextStoredEnd)
        var index = firstDirty
        while index != SubscriberList.end {
            deadline = min(deadline, dueTime(Int(index)))
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
        case .zeroCopy: unsafe zeroCopyDone(event.tag, copied: event.result != 0)
        case .peer: if unsafe event.result < 0 { notifyAll() }
        case .fileRead: unsafe storedReadDone(event.tag, event.result)
        case .send, .cancel, .none: break
        }
    }

    /// A wake-up was not delivered, and it is not known to whom: all look.
    private mutating func notifyAll() {
        for worker in 0..<peers.workers where worker != index && !peers.hasFailed(worker) {
            kernel.notify(peer: peers.descriptor(ofWorker: worker))
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

    mutating func wakeReports() {
        hasReported = false
        var one: UInt64 = 1
        _ = unsafe write(reportWake, &one, 8)
    }

    private func publishBackendCounters() {
        counters.add(.systemCalls, kernel.systemCalls &- counters.ownValue(.systemCalls))
        counters.add(.completionOverflows, kernel.overflows &- counters.ownValue(.completionOverflows))
    }

    // MARK: Streams with something to do

    /// When a stream of the list must be looked at.
    private func dueTime(_ stream: Int) -> UInt64 {
        min(
            min(streams[stream].state.dueAt, streams[stream].state.interleavedDueAt),
            min(streams[stream].state.releaseAt, streams[stream].state.reorderAt))
    }

    /// Has the stream looked at when something of it is due.
    mutating func markDirty(_ stream: Int) {
        guard !streams[stream].state.isDirty else { return }
        streams[stream].state.isDirty = true
        streams[stream].state.nextDirty = firstDirty
        firstDirty = UInt32(stream)
    }

    /// Has the stream's readers looked at by then.
    mutating func markDue(_ stream: Int, at time: UInt64) {
        streams[stream].state.dueAt = min(streams[stream].state.dueAt, time)
        markDirty(stream)
    }

    /// Streams that other workers handed over have something new for this one's readers.
    private mutating func takeHandovers() {
        guard peers.workers > 1 else { return }
        for word in 0..<peers.wordCount {
            var bits = peers.take(word, ofWorker: index)
            while bits != 0 {
                let stream = word << 6 + bits.trailingZeroBitCount
                bits &= bits - 1
                guard stream < streams.count, streams[stream].generation != 0, !streams[stream].isClosing else { continue }
                markDue(stream, at: now)
            }
        }
    }

    /// Gives up gaps that were waited for long enough.
    private mutating func reorderDue() {
        var index = firstDirty
        while index != SubscriberList.end {
            let stream = Int(index)
            index = streams[stream].state.nextDirty
            if streams[stream].generation != 0, !streams[stream].isClosing, streams[stream].state.reorderAt <= now {
                releaseOrdered(stream)
            }
        }
    }

    /// Lets go what is due of the streams at home here, before any of it is sent: other workers are to begin at the same time.
    private mutating func releaseDue() {
        var index = firstDirty
        while index != SubscriberList.end {
            let stream = Int(index)
            index = streams[stream].state.nextDirty
            if streams[stream].generation != 0, streams[stream].state.releaseAt <= now { release(stream) }
        }
    }

    private mutating func fanOutDue() {
        var index = firstDirty
        firstDirty = SubscriberList.end
        while index != SubscriberList.end {
            let stream = Int(index)
            index = streams[stream].state.nextDirty
            streams[stream].state.isDirty = false
            guard streams[stream].generation != 0, !streams[stream].isClosing else { continue }
            if min(streams[stream].state.dueAt, streams[stream].state.interleavedDueAt) <= now { fanOut(stream) }
            if dueTime(stream) != .max { markDirty(stream) }
        }
    }

    // MARK: Timers

    /// Gives up TCP readers that took nothing for too long. Runs only while there are readers with full sockets.
    private mutating func sweep() {
        nextSweep = readersBlocked > 0 || readersHeld > 0 ? now + Self.sweepNanoseconds : .max
        resetHeld()
        for stream in 0..<streams.count where streams[stream].generation != 0 && streams[stream].state.interleaved.count > 0 {
            var index = streams[stream].state.interleaved.first
            while index != SubscriberList.end {
                let reader = Int(index)
                index = subscribers[reader].next
                guard subscribers[reader].isBlocked, !subscribers[reader].hasFailed else { continue }
                if now &- subscribers[reader].blockedAt > stallNanoseconds(stream) {
                    failIfStalled(reader)
                } else {
                    disconnectIfTooSlow(reader, stream)
                }
            }
        }
    }

    // MARK: End

    /// Takes everything apart and waits until the kernel gave back what it held; then tells what did not come home.
    package mutating func runDown() {
        for stream in 0..<streams.count where streams[stream].generation != 0 && !streams[stream].isClosing { removeStream(stream) }
        if commandWakeFile != .none { kernel.cancel(commandWakeFile, tag: RequestTag(.wake, index: 0, generation: 0)) }
        now = kernel.clock()
        resetHeld(all: true)
        let deadline = now + 5_000_000_000
        while kernel.outstanding > 0 || subscribersInUse > 0 || sourcesInUse > 0 || streamsInUse > 0 {
            now = kernel.clock()
            if now > deadline { break }
            kernel.wait(nanoseconds: 10_000_000)
            handleEvents()
            if kernel.failure != 0, !hasKernelFailed { giveUp(kernel.failure) }
            if hasKernelFailed { break }
        }
        closeAllEgress()
        kernel.detach(commandWakeFile)
        for source in unsafe 0..<sources.count where unsafe sources[source].kind == .free {
            if let buffer = unsafe sources[source].buffer { unsafe board.keep(buffer) }
        }
        let leaks = kernel.outstanding + subscribersInUse + sourcesInUse + streamsInUse + sendNodesUsed + holdsUsed
        if stored.isHeld { stored.isKept = true }
        peers.end()
        report(.stopped(leaks: UInt32(clamping: leaks)))
        wakeReports()
    }

    /// Whether every worker of the engine has let go of everything, so that none will wake this one any more.
    package var allHaveEnded: Bool { peers.allHaveEnded }
}

/// Monotonic time in nanoseconds.
package func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// Unix time.
func unixNanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
}
