import CUring
import Glibc
import PlaneLink
import Synchronization

/// What an engine and its threads have in common: given back with the last of them.
@safe final class EngineResources: @unchecked Sendable {
    // Sendable because the descriptors are opened before the threads start, and the rest is atomic or behind a lock.
    let counters: EngineCounters
    private var descriptors: [Int32] = []
    /// Memory that a worker left when it ended, by address: reports still point to it.
    private let kept = Mutex<[UInt]>([])

    init(workers: Int) { counters = EngineCounters(workers: workers) }

    /// Opens an eventfd.
    func openEvent(isNonblocking: Bool) throws(EngineError) -> Int32 {
        let descriptor = curing_eventfd(isNonblocking)
        guard descriptor >= 0 else { throw .system(what: "eventfd", errorNumber: -descriptor) }
        descriptors.append(descriptor)
        return descriptor
    }

    /// Takes memory from `malloc` over.
    @unsafe func keep(_ memory: UnsafeMutableRawPointer) {
        let address = UInt(bitPattern: memory)
        kept.withLock { $0.append(address) }
    }

    deinit {
        for descriptor in descriptors { close(descriptor) }
        kept.withLock { addresses in
            for address in addresses { unsafe free(UnsafeMutableRawPointer(bitPattern: address)) }
        }
        counters.free()
    }
}
