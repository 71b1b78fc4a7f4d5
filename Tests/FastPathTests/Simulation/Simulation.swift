import Glibc
import PlaneLink

@testable import FastPath

/// An engine whose kernel, clock and control plane are simulated. One thread steps the workers in an order that the seed decides,
/// so a seed always gives the same run.
@safe final class Simulation {
    let seed: UInt64
    private let isTraced: Bool
    var random: SplitMix64
    let circumstances: Circumstances
    let limits: Limits
    let counters: EngineCounters
    /// Monotonic nanoseconds of all kernels.
    var time: UInt64 = 1_000_000_000
    var kernels: [SimulatedKernelState] = []
    private var workers: [WorkerHolder] = []
    private(set) var failures: [String] = []
    var isRunningDown = false
    /// Nothing is refused, no write is short, all sockets have room.
    var isCalm = false
    var isShuttingDown = false

    // The two planes' link, as the engine makes it.
    let lines: [WorkerLine]
    let router: CommandRouter
    let collector: ReportCollector
    private let reportWake = SimulatedSignal()
    private var isReportSignalled = false
    /// Commands that found no room, and what each worker has not taken yet.
    var backlog: [(Command, SimulatedEffect)] = []
    private var queued: [[SimulatedEffect]]

    // Everything there ever was; readers by serial number.
    var streams: [SimulatedStream] = []
    var readers: [SimulatedReader] = []
    var streamTable = HandleTable(slotsMax: 2)
    var readerTable: HandleTable
    var sourceTable = HandleTable(slotsMax: 8)
    var lent: [LentBuffer] = unsafe []
    private var packetNumber = 0
    var feedBytesQueued = 0
    /// Packets that were asked for once more by commands that the engine took, and that left again.
    var resendsAsked = 0
    var resendsSeen = 0
    /// Until then each worker's UDP sockets are full.
    var egressFullUntil: [UInt64]

    // What the kernel took, and what never reached a log.
    var packetsAbsent = 0
    var datagramPackets = 0
    var datagramBytes = 0
    var mediaPacketsStreamed = 0
    var mediaBytesStreamed = 0
    var packetsRefused = 0
    var packetsPerhapsRefused = 0
    var stoppedLeaks: UInt32?
    var egressesGone: [UInt8] = []

    /// Bytes that were lent, and whether they came back.
    @unsafe struct LentBuffer {
        let buffer: LinkBuffer
        let address: UnsafeRawPointer?
        var isBack = false
    }

    private final class WorkerHolder {
        var worker: Worker<SimulatedKernel>
        init(_ worker: consuming Worker<SimulatedKernel>) { self.worker = worker }
    }

    init(seed: UInt64, isTraced: Bool = false) throws {
        self.seed = seed
        self.isTraced = isTraced
        random = SplitMix64(seed: seed)
        circumstances = Circumstances(&random)
        limits = circumstances.limits
        let count = circumstances.workers
        counters = EngineCounters(workers: count)
        let room = circumstances.commandRoom
        let signals = (0..<count).map { _ in SimulatedSignal() }
        lines = signals.map {
            WorkerLine(
                commands: BoundedRing(capacity: room), reports: BoundedRing(capacity: 8_192), wake: $0.descriptor)
        }
        router = CommandRouter(limits: limits, lines: lines)
        collector = ReportCollector(limits: limits, lines: lines, router: router)
        queued = Array(repeating: [], count: count)
        readerTable = HandleTable(slotsMax: limits.subscribersMax)
        egressFullUntil = Array(repeating: 0, count: count)
        let board = WorkerBoard(workers: count, streamsMax: limits.streamsMax)
        for worker in 0..<count {
            let state = SimulatedKernelState(self, worker: worker, wake: signals[worker])
            kernels.append(state)
            let parts = WorkerParts(
                index: worker, limits: limits, zeroCopy: circumstances.zeroCopy, counters: counters, commands: lines[worker].commands,
                reports: lines[worker].reports, commandWake: lines[worker].wake, reportWake: reportWake.descriptor, board: board)
            workers.append(WorkerHolder(try Worker(kernel: SimulatedKernel(state), parts: parts)))
            workers[worker].worker.begin()
        }
    }

    deinit {
        for place in unsafe lent.indices { unsafe lent[place].buffer.free() }
        for stream in streams { stream.memory.free() }
        counters.free()
    }

    /// Work takes its time, now and then a long one.
    func workTime() {
        if circumstances.isBusy, !isCalm, random.happens(100) { time += UInt64(random.pick([1_000, 100_000, 3_000_000, 25_000_000])) }
    }

    /// Says what happens, when one seed is looked at.
    func trace(_ what: @autoclosure () -> String) {
        if isTraced { print("\(time) \(what())") }
    }

    func fail(_ what: String) {
        trace("FAILED: \(what)")
        if failures.count < 5 { failures.append("at \(time) ns: \(what)") }
    }

    var hasFailed: Bool { !failures.isEmpty }

    func nextPacketNumber() -> Int {
        packetNumber += 1
        return packetNumber
    }

    func streamHasKeyFrames(_ stream: SimulatedStream) -> Bool { stream.codec != .opaque }

    // MARK: Workers

    /// One turn of a worker.
    func turn(_ worker: Int) {
        trace("turn of worker \(worker)")
        workers[worker].worker.turn()
        if isTraced { traceReaders(worker) }
        endTurn(worker)
    }

    private func traceReaders(_ worker: Int) {
        for reader in readers where reader.control != .gone && reader.worker == worker {
            let state = workers[worker].worker.subscribers[Int(reader.handle.index)]
            guard state.generation == reader.handle.generation, state.state != .quiet else { continue }
            trace(
                "    \(reader.name): \(state.state), \(state.list), at \(state.cursor), sent \(reader.cursor), burst \(state.isBursting), "
                    + "blocked \(state.isBlocked) \(state.blockedAt), deferred \(state.deferredAt), lags \(state.lagSince)")
        }
    }

    private func endTurn(_ worker: Int) {
        kernels[worker].endTurn()
        commandsTaken(by: worker)
        for stream in streams where stream.home == worker && !stream.isGone { stream.log?.endTurn() }
        checkCounters()
        if !lines.allSatisfy({ $0.reports.count == 0 }) {
            if reportWake.take() { isReportSignalled = true }
            if !isReportSignalled { fail("worker \(worker) reported without waking the control plane") }
        }
    }

    /// Every worker stops, one after the other.
    func runDown() {
        isRunningDown = true
        for worker in workers.indices {
            workers[worker].worker.runDown()
            kernels[worker].endTurn()
            commandsTaken(by: worker)
        }
        isReportSignalled = reportWake.take() || isReportSignalled
    }

    func checkNothingIsLeft() {
        for (index, holder) in workers.enumerated() {
            let left = [
                holder.worker.subscribersInUse, holder.worker.sourcesInUse, holder.worker.streamsInUse, holder.worker.sendNodesUsed,
                holder.worker.holdsUsed, holder.worker.readersBlocked, holder.worker.kernel.outstanding,
            ]
            if left.contains(where: { $0 != 0 }) { fail("worker \(index) has kept something: \(left)") }
        }
    }

    // MARK: Commands

    /// Submits a command, or keeps it until there is room.
    func submit(_ command: Command, _ effect: SimulatedEffect = .none) {
        backlog.append((command, effect))
        flushBacklog()
    }

    func flushBacklog() {
        while let (command, effect) = backlog.first {
            let before = lines.map(\.commands.count)
            guard router.submit(command) else { break }
            backlog.removeFirst()
            trace("submitted \(command)")
            for worker in lines.indices where lines[worker].commands.count > before[worker] {
                queued[worker].append(effect)
                if case .addReader(let reader) = effect { placed(reader, worker) }
                if case .addStream(let stream) = effect { stream.home = Int(stream.memory.board.load(.home)) }
            }
        }
        router.wake()
    }

    /// Notes what the worker has taken from its queue. A command is taken before it is carried out: what is sent meanwhile is
    /// judged by it.
    func commandsTaken(by worker: Int) {
        while queued[worker].count > lines[worker].commands.count { takeEffect(queued[worker].removeFirst(), worker) }
    }

    var hasCommandsQueued: Bool { !backlog.isEmpty || lines.contains { $0.commands.count > 0 } }

    /// The next report, once the engine has called for it.
    func takeReport() -> Report? {
        guard isReportSignalled else { return nil }
        guard let report = collector.take() else {
            isReportSignalled = false
            return nil
        }
        trace("reported \(report)")
        return report
    }
}
