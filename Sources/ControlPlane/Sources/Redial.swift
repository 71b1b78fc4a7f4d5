import NIOCore
import Signalling

/// When a source that failed is dialled again: later and later (``Backoff``), and sooner for whoever waits for it. Belongs to the event loop.
final class Redial {
    private let eventLoop: any EventLoop
    private let chance: () -> Double
    private weak var host: (any PathSourceHost)?
    private var backoff = Backoff()
    private let timer: LoopTimer
    private var due: NIODeadline
    private var dialledAt: NIODeadline
    /// Since when somebody has been waiting for a source that is not there; nil: nobody is, or it is there.
    private var awaitedSince: UInt64?
    /// It is time.
    var onDue: (() -> Void)?

    /// For a source of `host`, who says whether somebody waits. `chance` is even in `0..<1`.
    init(_ eventLoop: any EventLoop, host: any PathSourceHost, chance: @escaping () -> Double = { Double.random(in: 0..<1) }) {
        self.eventLoop = eventLoop
        self.host = host
        self.chance = chance
        timer = LoopTimer(eventLoop)
        due = eventLoop.now
        dialledAt = eventLoop.now
    }

    /// Whether a delay runs.
    var isWaiting: Bool { timer.isRunning }
    /// When it ends; nil while none runs.
    var next: NIODeadline? { timer.isRunning ? due : nil }

    /// The source is being dialled.
    func dialled() { dialledAt = eventLoop.now }

    /// Media came: the next failure is a first one.
    func succeeded() {
        backoff.succeeded()
        awaitedSince = nil
    }

    /// It failed; answers with the nanoseconds to wait.
    func failed() -> UInt64 {
        noteWaiting()
        return backoff.failed(at: eventLoop.now.uptimeNanoseconds, awaitedSince: awaitedSince, chance: chance())
    }

    /// Waits for so long from now on; ``onDue`` follows.
    func wait(nanoseconds: UInt64) { wait(until: eventLoop.now + .nanoseconds(Int64(clamping: nanoseconds))) }

    /// Waits until then; ``onDue`` follows.
    func wait(until deadline: NIODeadline) {
        due = deadline
        timer.start(at: deadline) { [weak self] in self?.onDue?() }
    }

    /// Somebody came, or went, while a delay runs: for one who waits two seconds between two attempts are enough.
    func hurry() {
        noteWaiting()
        guard timer.isRunning, awaitedSince != nil else { return }
        let soon = max(eventLoop.now, dialledAt + .nanoseconds(Int64(Backoff.eagerDelayNanosecondsMax)))
        if soon < due { wait(until: soon) }
    }

    /// Takes note if nobody waits any more.
    func forgetWaiters() { if !isAwaited { awaitedSince = nil } }

    /// Waits no longer.
    func stop() { timer.stop() }

    /// The same, and nothing has failed yet.
    func reset() {
        timer.stop()
        backoff = Backoff()
    }

    private var isAwaited: Bool { host?.isAwaited ?? false }

    private func noteWaiting() { awaitedSince = isAwaited ? awaitedSince ?? eventLoop.now.uptimeNanoseconds : nil }
}
