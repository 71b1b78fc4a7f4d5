import CUring
import Glibc
import PlaneLink

/// Which backend an engine is asked for.
public enum BackendName: String, Sendable, CaseIterable {
    /// Linux io_uring, 6.1 or newer.
    case ioUring = "io_uring"
    /// epoll with batched system calls, and trains of datagrams (UDP_SEGMENT, UDP_GRO).
    case epoll
    /// One system call and one packet a datagram: works wherever there are sockets and epoll, sandboxes included.
    case plain
}

/// How an engine is made.
public struct EngineOptions: Sendable {
    /// Every capacity.
    public var limits: Limits
    /// The backend, or nil to take the first that works here of io_uring, epoll and plain.
    public var backend: BackendName?
    /// Fail rather than fall back when io_uring does not work; excludes another ``backend``.
    public var requireIOUring: Bool
    /// How many workers carry media, `1...Limits.workersMax`; ``Processors/usable`` is a good number.
    public var workers: Int
    /// Whether sends go without a copy.
    public var zeroCopy: ZeroCopy

    /// Options; by default one worker, on whatever backend works.
    public init(
        limits: Limits = Limits(), backend: BackendName? = nil, requireIOUring: Bool = false, workers: Int = 1,
        zeroCopy: ZeroCopy = .auto
    ) {
        self.limits = limits
        self.backend = backend
        self.requireIOUring = requireIOUring
        self.workers = workers
        self.zeroCopy = zeroCopy
    }
}

/// Why an engine could not be made, and what to do.
public enum EngineError: Error, CustomStringConvertible {
    /// No backend that was asked for works here; the reason says what would help.
    case backend(name: String, reason: String)
    /// The system refused something else.
    case system(what: String, errorNumber: Int32)

    /// One sentence for whoever started the program.
    public var description: String {
        switch self {
        case .backend(let name, let reason): "backend \(name) cannot be used: \(reason)"
        case .system(let what, let number): "\(what): \(errorText(number))"
        }
    }
}

/// The engine: workers, each a thread, that receive media and fan it out. Told what to do by commands, tells what happened by
/// reports; see `EngineControl`.
@safe public final class Engine: EngineControl {
    private let lines: [WorkerLine]
    private let router: CommandRouter
    private let collector: ReportCollector
    private let resources: EngineResources
    /// Readable when reports wait.
    public let reportDescriptor: Int32
    /// What was counted so far. Not to be read when the engine is gone.
    public let counters: EngineCounters
    /// The capacities it was made with.
    public let limits: Limits
    /// What carries the media, and why.
    public let backend: BackendChoice
    /// It sends packets from files where reads do not hold the worker up. The other backends can do it, too, but a worker of theirs waits for the
    /// disk, and live media with it.
    public var sendsFiles: Bool { backend.name == BackendName.ioUring.rawValue }
    /// How many workers carry media.
    public var workerCount: Int { lines.count }

    /// Makes the engine and starts its threads.
    public convenience init(options: EngineOptions = EngineOptions()) throws(EngineError) {
        let frame = try EngineFrame(options)
        self.init(frame, try BackendLaunch.start(frame.parts, options))
    }

    /// An engine of a test, over another kernel interface.
    convenience init<K: Kernel & ~Copyable>(
        options: EngineOptions, named name: String, over make: (WorkerParts) throws -> K
    ) throws {
        let frame = try EngineFrame(options)
        try BackendLaunch.start(frame.parts) { part in try Worker(kernel: make(part), parts: part) }
        self.init(frame, BackendChoice(name: name, reason: "a test"))
    }

    private init(_ frame: EngineFrame, _ backend: BackendChoice) {
        limits = frame.limits
        resources = frame.resources
        counters = frame.resources.counters
        reportDescriptor = frame.reportDescriptor
        lines = frame.lines
        router = CommandRouter(limits: frame.limits, lines: frame.lines)
        collector = ReportCollector(limits: frame.limits, lines: frame.lines, router: router)
        self.backend = backend
    }

    // The engine lives as long as the process or until `shutdown` was reported. What its threads use goes with the last of them.

    /// Queues a command; false when a queue that it must go into is full, and then nothing happened.
    public func submit(_ command: Command) -> Bool { router.submit(command) }

    /// Has the workers look at what was submitted.
    public func wake() { router.wake() }

    /// The oldest report of a worker, or nil.
    public func takeReport() -> Report? { collector.take() }
}

/// What an engine consists of beside its threads.
private struct EngineFrame {
    let limits: Limits
    let resources: EngineResources
    let reportDescriptor: Int32
    let lines: [WorkerLine]
    /// One for each worker.
    let parts: [WorkerParts]

    init(_ options: EngineOptions) throws(EngineError) {
        let workers = min(max(options.workers, 1), Limits.workersMax)
        limits = options.limits
        resources = EngineResources(workers: workers)
        reportDescriptor = try resources.openEvent(isNonblocking: true)
        var lines: [WorkerLine] = []
        for _ in 0..<workers {
            lines.append(
                WorkerLine(
                    commands: BoundedRing(capacity: limits.commandsMax), reports: BoundedRing(capacity: limits.reportsMax),
                    wake: try resources.openEvent(isNonblocking: false)))
        }
        self.lines = lines
        let board = WorkerBoard(workers: workers, streamsMax: limits.streamsMax, resources: resources)
        var parts: [WorkerParts] = []
        for (index, line) in lines.enumerated() {
            parts.append(
                WorkerParts(
                    index: index, limits: limits, zeroCopy: options.zeroCopy, counters: resources.counters, commands: line.commands,
                    reports: line.reports, commandWake: line.wake, reportWake: reportDescriptor, board: board))
        }
        self.parts = parts
    }
}

/// The two queues between the control plane and one worker.
struct WorkerLine: Sendable {
    let commands: BoundedRing<Command>
    let reports: BoundedRing<Report>
    /// An eventfd that the worker waits for.
    let wake: Int32
}
