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

    /// Options; by default everything is chosen by what works.
    public init(limits: Limits = Limits(), backend: BackendName? = nil, requireIOUring: Bool = false) {
        self.limits = limits
        self.backend = backend
        self.requireIOUring = requireIOUring
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

/// The engine: one worker thread that receives media and fans it out. Told what to do by commands, tells what happened by
/// reports; see ``EngineControl``.
@safe public final class Engine: EngineControl {
    private let commands: BoundedRing<Command>
    private let reports: BoundedRing<Report>
    private let commandDescriptor: Int32
    /// Readable when reports wait.
    public let reportDescriptor: Int32
    /// What was counted so far.
    public let counters: EngineCounters
    /// The capacities it was made with.
    public let limits: Limits
    /// What carries the media, and why.
    public let backend: BackendChoice

    /// Makes the engine and starts its thread.
    public init(options: EngineOptions = EngineOptions()) throws(EngineError) {
        limits = options.limits
        commands = BoundedRing(capacityMin: limits.commandsMax)
        reports = BoundedRing(capacityMin: limits.reportsMax)
        counters = EngineCounters()
        commandDescriptor = try Self.makeEvent(isNonblocking: false)
        reportDescriptor = try Self.makeEvent(isNonblocking: true)

        let parts = WorkerParts(
            limits: limits, counters: counters, commands: commands, reports: reports, commandWake: commandDescriptor,
            reportWake: reportDescriptor)
        backend = try Self.launch(parts, options)
    }

    /// What a worker is made of, whatever carries it.
    private struct WorkerParts {
        let limits: Limits
        let counters: EngineCounters
        let commands: BoundedRing<Command>
        let reports: BoundedRing<Report>
        let commandWake: Int32
        let reportWake: Int32

        func worker<K: Kernel & ~Copyable>(_ kernel: consuming K) throws(BackendRefusal) -> Worker<K> {
            try Worker(
                kernel: kernel, limits: limits, counters: counters, commands: commands, reports: reports, commandWake: commandWake,
                reportWake: reportWake)
        }
    }

    /// Starts a worker on the best backend that works and was not ruled out.
    private static func launch(_ parts: WorkerParts, _ options: EngineOptions) throws(EngineError) -> BackendChoice {
        var reason = "as asked for"
        if options.backend != .epoll {
            do {
                let worker = try parts.worker(UringKernel(limits: parts.limits))
                try start(worker)
                return BackendChoice(
                    name: BackendName.ioUring.rawValue, reason: options.backend == nil ? "io_uring works here" : reason)
            } catch let refusal as BackendRefusal {
                guard !options.requireIOUring, options.backend != .ioUring else {
                    throw .backend(name: BackendName.ioUring.rawValue, reason: refusal.description)
                }
                reason = refusal.description
            } catch {
                throw error as? EngineError ?? .system(what: "start of the worker", errorNumber: EAGAIN)
            }
        }
        do {
            let worker = try parts.worker(EpollKernel(limits: parts.limits))
            try start(worker)
            return BackendChoice(name: BackendName.epoll.rawValue, reason: reason)
        } catch let refusal as BackendRefusal {
            throw .backend(name: BackendName.epoll.rawValue, reason: refusal.description)
        } catch {
            throw error as? EngineError ?? .system(what: "start of the worker", errorNumber: EAGAIN)
        }
    }

    // The engine lives as long as the process or until `shutdown` was reported; its thread uses the descriptors until then.

    private static func makeEvent(isNonblocking: Bool) throws(EngineError) -> Int32 {
        let descriptor = curing_eventfd(isNonblocking)
        guard descriptor >= 0 else { throw .system(what: "eventfd", errorNumber: -descriptor) }
        return descriptor
    }

    /// Runs a worker on a thread of its own, named for whoever looks at the process.
    private static func start<K: Kernel & ~Copyable>(_ worker: consuming Worker<K>) throws {
        let box = WorkerBox(worker)
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(box as AnyObject).toOpaque()
        let result = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let box = unsafe Unmanaged<AnyObject>.fromOpaque(argument).takeRetainedValue()
                (box as? any RunnableBox)?.run()
                return nil
            }, argument)
        guard result == 0 else {
            unsafe Unmanaged<AnyObject>.fromOpaque(argument).release()
            throw EngineError.system(what: "pthread_create", errorNumber: result)
        }
        _ = pthread_detach(thread)
    }

    /// Queues a command; false when the queue is full.
    public func submit(_ command: Command) -> Bool { commands.push(command) }

    /// Has the worker look at the commands.
    public func wake() {
        var one: UInt64 = 1
        _ = unsafe write(commandDescriptor, &one, 8)
    }

    /// The oldest report, or nil.
    public func takeReport() -> Report? { reports.pop() }
}

private protocol RunnableBox: AnyObject {
    func run()
}

/// Carries a worker to its thread.
private final class WorkerBox<K: Kernel & ~Copyable>: RunnableBox {
    private var worker: Worker<K>?

    init(_ worker: consuming Worker<K>) { self.worker = consume worker }

    func run() {
        guard var worker = worker.take() else { return }
        unsafe curing_name_thread("weir-worker-0")
        worker.run()
    }
}
