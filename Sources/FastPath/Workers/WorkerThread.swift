import CUring
import Glibc

protocol RunnableBox: AnyObject {
    func run()
}

/// Carries a worker to its thread.
final class WorkerBox<K: Kernel & ~Copyable>: RunnableBox {
    private var worker: Worker<K>?
    private let index: Int
    private let count: Int

    init(_ worker: consuming Worker<K>, count: Int) {
        index = worker.index
        self.count = count
        self.worker = consume worker
    }

    func run() {
        guard var worker = worker.take() else { return }
        unsafe curing_name_thread("weir-worker-\(index)")
        // One worker alone goes where there is room; several would meet on one processor.
        if count > 1, let processor = Processors.processor(forWorker: index, of: count) { curing_pin_thread(Int32(processor)) }
        worker.run()
        // Another worker may still wake this one: its ring stays until none is left that would.
        var waits = 0
        while !worker.allHaveEnded, waits < 10_000 {
            usleep(1_000)
            waits += 1
        }
    }
}

enum WorkerThread {
    /// Runs a box on a thread of its own.
    static func start(_ box: some RunnableBox) throws(EngineError) {
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
            throw .system(what: "pthread_create", errorNumber: result)
        }
        _ = pthread_detach(thread)
    }
}
