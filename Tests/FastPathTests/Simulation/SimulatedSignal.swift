import Glibc

/// Stands for an eventfd: whoever is told of something writes 8 bytes to `descriptor`, and the simulation looks whether it did.
final class SimulatedSignal {
    let descriptor: Int32
    private let end: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        unsafe _ = pipe(&ends)
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        end = ends[0]
        descriptor = ends[1]
    }

    deinit {
        close(end)
        close(descriptor)
    }

    /// Whether it was given since the last look.
    func take() -> Bool {
        var isGiven = false
        var bytes = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        while unsafe read(end, &bytes, 32) > 0 { isGiven = true }
        return isGiven
    }
}
