import Glibc
import PlaneLink

/// Chooses the backend and starts the workers on it: all on the same.
enum BackendLaunch {
    /// Starts the workers on the first backend that works and was not ruled out.
    static func start(_ parts: [WorkerParts], _ options: EngineOptions) throws(EngineError) -> BackendChoice {
        if options.requireIOUring, let other = options.backend, other != .ioUring {
            throw .backend(name: BackendName.ioUring.rawValue, reason: "it is required, but \(other.rawValue) is asked for; leave one out")
        }
        let asked = options.requireIOUring ? .ioUring : options.backend
        var refusals: [String] = []
        for name in asked.map({ [$0] }) ?? BackendName.allCases {
            do {
                let finding = try BackendProbe.run(name)
                try start(parts, on: name, finding, options)
                return BackendChoice(
                    name: name.rawValue, reason: reason(name, finding, options, refusals), takesTrains: name != .plain)
            } catch let refusal as BackendRefusal {
                refusals.append("\(name.rawValue) cannot be used: \(refusal)")
                guard name == asked || name == .plain else { continue }
                let way =
                    options.requireIOUring
                    ? "; or leave out --require-io-uring, then epoll or plain is taken"
                    : asked != nil ? "; or leave the backend to Weir (auto)" : ""
                let before = refusals.dropLast().map { $0 + "; " }.joined()
                throw .backend(name: name.rawValue, reason: before + refusal.description + way)
            } catch {
                throw error as? EngineError ?? .system(what: "start of the workers", errorNumber: EAGAIN)
            }
        }
        throw .system(what: "no backend", errorNumber: ENOSYS)
    }

    /// One sentence for the log and every status.
    private static func reason(
        _ name: BackendName, _ finding: BackendProbe.Finding, _ options: EngineOptions, _ refusals: [String]
    ) -> String {
        let why =
            options.backend != nil
            ? "as asked for"
            : options.requireIOUring ? "as required" : refusals.isEmpty ? "\(name.rawValue) works here" : refusals.joined(separator: "; ")
        let isLess = name == .ioUring && !finding.cutsTrains
        return why + (isLess ? ", but it cuts no trains (UDP_SEGMENT is refused): one packet a message" : "")
    }

    private static func start(
        _ parts: [WorkerParts], on name: BackendName, _ finding: BackendProbe.Finding, _ options: EngineOptions
    ) throws {
        switch name {
        case .ioUring:
            let zeroCopy = options.zeroCopy != .off
            try start(parts) { part in
                try Worker(kernel: UringKernel(limits: part.limits, zeroCopy: zeroCopy, cutsTrains: finding.cutsTrains), parts: part)
            }
        case .epoll:
            try start(parts) { part in try Worker(kernel: EpollKernel(limits: part.limits, calls: .batched), parts: part) }
        case .plain:
            try start(parts) { part in try Worker(kernel: EpollKernel(limits: part.limits, calls: .single), parts: part) }
        }
    }

    /// Makes all workers, then runs each on a thread of its own: a backend that does not work is known before any thread runs.
    static func start<K: Kernel & ~Copyable>(_ parts: [WorkerParts], _ make: (WorkerParts) throws -> Worker<K>) throws {
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
}
