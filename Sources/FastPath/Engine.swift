import CUring
import Glibc
import PlaneLink

/// Which backend an engine is asked for.
public enum BackendName: String, Sendable, CaseIterable {
    /// Linux io_uring, 6.1 or newer.
    case ioUring = "io_uring"
    /// epoll with batched system calls.
    case epoll
}

/// How an engine is made.
public struct EngineOptions: Sendable {
    /// Every capacity.
    public var limits: Limits
    /// The backend, or nil to take the best that works here.
    public var backend: BackendName?
    /// Fail rather than fall back when io_uring does not work.
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
    /// The backend that was asked for does not work here.
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
/// reports; see ``EngineControl``.
@safe public final class Engine: EngineControl {
    private let lines: [WorkerLine]
    private let router: CommandRouter
    private let collector: ReportCollector
    /// Readable when reports wait.
    public let reportDescriptor: Int32
    /// What was counted so far.
    public let counters: EngineCounters
    /// The capacities it was made with.
    public let limits: Limits
    /// What carries the media, and why.
    public let backend: BackendChoice
    /// How many workers carry media.
    public var workerCount: Int { lines.count }

    /// Makes the engine and starts its threads.
    public init(options: EngineOptions = EngineOptions()) throws(EngineError) {
        let workers = min(max(options.workers, 1), Limits.workersMax)
        limits = options.limits
        counters = EngineCounters(workers: workers)
        reportDescriptor = try Self.makeEvent(isNonblocking: true)
        var lines: [WorkerLine] = []
        for _ in 0..<workers {
            lines.append(
                WorkerLine(
                    commands: BoundedRing(capacity: limits.commandsMax), reports: BoundedRing(capacity: limits.reportsMax),
                    wake: try Self.makeEvent(isNonblocking: false)))
        }
        self.lines = lines
        router = CommandRouter(limits: limits, lines: lines)
        collector = ReportCollector(limits: limits, lines: lines, router: router)

        let board = WorkerBoard(workers: workers, streamsMax: limits.streamsMax)
        var parts: [WorkerParts] = []
        for (index, line) in lines.enumerated() {
            parts.append(
                WorkerParts(
                    index: index, limits: limits, zeroCopy: options.zeroCopy, counters: counters, commands: line.commands,
                    reports: line.reports, commandWake: line.wake, reportWake: reportDescriptor, board: board))
        }
        backend = try Self.launch(parts, options)
    }

    /// Starts the workers on the best backend that works and was not ruled out: all on the same.
    private static func launch(_ parts: [WorkerParts], _ options: EngineOptions) throws(EngineError) -> BackendChoice {
        var reason = "as asked for"
        if options.backend != .epoll {
            do {
                let zeroCopy = options.zeroCopy != .off
                try start(parts) { part in try Worker(kernel: UringKernel(limits: part.limits, zeroCopy: zeroCopy), parts: part) }
                return BackendChoice(
                    name: BackendName.ioUring.rawValue, reason: options.backend == nil ? "io_uring works here" : reason)
            } catch let refusal as BackendRefusal {
                guard !options.requireIOUring, options.backend != .ioUring else {
                    throw .backend(name: BackendName.ioUring.rawValue, reason: refusal.description)
                }
                reason = refusal.description
            } catch {
                throw error as? EngineError ?? .system(what: "start of the workers", errorNumber: EAGAIN)
            }
        }
        do {
            try start(parts) { part in try Worker(kernel: EpollKernel(limits: part.limits), parts: part) }
            return BackendChoice(name: BackendName.epoll.rawValue, reason: reason)
        } catch let refusal as BackendRefusal {
            throw .backend(name: BackendName.epoll.rawValue, reason: refusal.description)
        } catch {
            throw error as? EngineError ?? .system(what: "start of the workers", errorNumber: EAGAIN)
        }
    }

    // The engine lives as long as the process or until `shutdown` was reported; its threads use the descriptors until then.

    private static func makeEvent(isNonblocking: Bool) throws(EngineError) -> Int32 {
        let descriptor = curing_eventfd(isNonblocking)
        guard descriptor >= 0 else { throw .system(what: "eventfd", errorNumber: -descriptor) }
        return descriptor
    }

    /// Makes all workers, then runs each on a thread of its own: a backend that does not work is known before any thread runs.
    private static func start<K: Kernel & ~Copyable>(_ parts: [WorkerParts], _ make: (WorkerParts) throws -> Worker<K>) throws {
        var boxes: [WorkerBox<K>] = []
        for part in parts { boxes.append(WorkerBox(try make(part), count: parts.count)) }
        do {
            for box in boxes { try WorkerThread.start(box) }
        } catch {
            // Those that run already are not needed.
            for part in parts where part.commands.push(.shutdown) {
                var one: UInt64 = 1
                _ = unsafe write(part.commandWake, &one, 8)
            }
            throw error
        }
    }

    /// Queues a command; false when a queue that it must go into is full, and then nothing happened.
    public func submit(_ command: Command) -> Bool { router.submit(command) }

    /// Has the workers look at what was submitted.
    public func wake() { router.wake() }

    /// The oldest report of a worker, or nil.
    public func takeReport() -> Report? { collector.take() }
}

/// The two queues between the control plane and one worker.
struct WorkerLine: Sendable {
    let commands: BoundedRing<Command>
    let reports: BoundedRing<Report>
    /// An eventfd that the worker waits for.
    let wake: Int32
}
