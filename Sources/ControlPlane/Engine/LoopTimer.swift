import NIOCore

/// A timer of the control plane's event loop: at most one run is pending; starting again replaces it.
final class LoopTimer {
    private let eventLoop: any EventLoop
    private var task: Scheduled<Void>?

    /// A timer that does not run yet.
    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Whether a run is pending.
    var isRunning: Bool { task != nil }

    /// Runs `body` once, after so many milliseconds.
    func start(milliseconds: Int, _ body: @escaping () -> Void) {
        start(at: eventLoop.now + .milliseconds(Int64(milliseconds)), body)
    }

    /// Runs `body` once, at a time.
    func start(at deadline: NIODeadline, _ body: @escaping () -> Void) {
        task?.cancel()
        task = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            task = nil
            body()
        }
    }

    /// Runs `body` again and again until ``stop()``, first after one period.
    func every(milliseconds: Int, _ body: @escaping () -> Void) {
        start(milliseconds: milliseconds) { [self] in
            every(milliseconds: milliseconds, body)
            body()
        }
    }

    /// Forgets the pending run.
    func stop() {
        task?.cancel()
        task = nil
    }
}
