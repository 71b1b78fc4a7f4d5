import NIOCore

/// Wakes pumps at times of a common grid, many at once, by one timer: a timer for each packet's time of each player would cost more than sending
/// does. Belongs to the event loop.
final class StoredTicks {
    private let eventLoop: any EventLoop
    private let timer: LoopTimer
    private var pumps: [UInt64: [StoredPump]] = [:]
    /// The first tick that was not looked at.
    private var next: UInt64 = 0

    /// Nobody is to be woken.
    var isIdle: Bool { pumps.isEmpty }

    /// From one tick to the next.
    static let milliseconds: Int64 = 20
    private static let nanoseconds = UInt64(milliseconds) * 1_000_000

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        timer = LoopTimer(eventLoop)
    }

    /// Has a pump woken at the tick at that time or before it, or at the next one; says which that is (``StoredPump/wake(_:)``).
    func wake(_ pump: StoredPump, at time: NIODeadline) -> UInt64 {
        if !timer.isRunning, pumps.isEmpty { next = eventLoop.now.uptimeNanoseconds / Self.nanoseconds + 1 }
        let tick = max(time.uptimeNanoseconds / Self.nanoseconds, next)
        pumps[tick, default: []].append(pump)
        if !timer.isRunning { start() }
        return tick
    }

    private func start() { timer.start(at: .uptimeNanoseconds(next * Self.nanoseconds)) { [weak self] in self?.run() } }

    private func run() {
        let now = eventLoop.now.uptimeNanoseconds / Self.nanoseconds
        while next <= now {
            let due = pumps.removeValue(forKey: next)
            next += 1
            for pump in due ?? [] { pump.wake(next - 1) }
        }
        // Woken pumps may have started it.
        if !pumps.isEmpty { start() }
    }
}
