import Synchronization

/// What media may be held in memory for players, of all paths together (`cache-memory-max`): shares of it, set aside before anything is held. Any
/// thread may use it.
final class ProxyMemory: Sendable {
    /// Bytes that may be held.
    let bytesMax: Int
    private let state = Mutex(State())

    private struct State {
        var bytes = 0
        var refused = 0
    }

    /// Room for so many bytes in all.
    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// Bytes that are set aside just now.
    var bytes: Int { state.withLock { $0.bytes } }
    /// Shares that there was no room for, or not all that was wanted.
    var refused: Int { state.withLock { $0.refused } }

    /// Sets so many bytes aside, or as many as there are; nil, and nothing is, where they are fewer than `least`.
    func share(_ wanted: Int, least: Int) -> Share? {
        let bytes = state.withLock { state -> Int? in
            let given = max(min(wanted, bytesMax - state.bytes), 0)
            if given < wanted { state.refused += 1 }
            guard given >= least else { return nil }
            state.bytes += given
            return given
        }
        return bytes.map { Share($0, of: self) }
    }

    /// Bytes that are set aside until it goes.
    final class Share: Sendable {
        let bytes: Int
        private let memory: ProxyMemory

        fileprivate init(_ bytes: Int, of memory: ProxyMemory) {
            self.bytes = bytes
            self.memory = memory
        }

        deinit {
            let bytes = bytes
            memory.state.withLock { $0.bytes -= bytes }
        }
    }
}
