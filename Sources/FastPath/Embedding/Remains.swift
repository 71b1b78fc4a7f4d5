import Glibc

/// What is left of a splitter that was let go before its engine had ended: kept until the engine has, and freed then.
final class Remains {
    private let engine: any EngineControl
    private var isShuttingDown: Bool
    private let memories: [StreamMemory]
    private let buffers: [LinkBuffer]
    private let descriptors: [Int32]

    init(engine: any EngineControl, isShuttingDown: Bool, memories: [StreamMemory], buffers: [LinkBuffer], descriptors: [Int32]) {
        self.engine = engine
        self.isShuttingDown = isShuttingDown
        self.memories = memories
        self.buffers = buffers
        self.descriptors = descriptors
    }

    /// Ends the engine on a thread of its own. Where no thread is to be had, the memory is never freed: the engine may be using it.
    func settle() {
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(self).toOpaque()
        let result = unsafe pthread_create(
            &thread, nil,
            { argument in
                if let argument = unsafe argument { unsafe Unmanaged<Remains>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument)
        if result == 0 { pthread_detach(thread) }
    }

    private func run() {
        while true {
            if !isShuttingDown, engine.submit(.shutdown) { isShuttingDown = true }
            engine.wake()
            while let report = engine.takeReport() {
                guard case .stopped = report else { continue }
                return free()
            }
            var poller = pollfd(fd: engine.reportDescriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&poller, 1, 100)
            var value: UInt64 = 0
            _ = unsafe read(engine.reportDescriptor, &value, 8)
        }
    }

    private func free() {
        for memory in memories { memory.free() }
        for buffer in buffers { buffer.free() }
        MediaSocket.close(descriptors)
    }
}
