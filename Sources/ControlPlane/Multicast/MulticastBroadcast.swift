import Logging
import NIOCore
import PlaneLink

/// Has a path sent to its group from start to end, without anybody asking (`multicast-always`). To the path it is a reader that never
/// leaves; when the stream ends it asks for the next one.
final class MulticastBroadcast: PathObserver {
    private unowned let path: Path
    private let sender: MulticastSender
    private let retry: LoopTimer
    private var isRunning = false
    private var attempt = 0
    private var lastTrouble: String?

    /// Between two attempts to get the source or to open the group.
    private static let retryMilliseconds = 1_000

    /// Begins with ``start()``.
    init(path: Path, sender: MulticastSender) {
        self.path = path
        self.sender = sender
        retry = LoopTimer(path.eventLoop)
    }

    /// Becomes a reader of the path.
    func start() {
        guard !isRunning else { return }
        isRunning = true
        path.addObserver(self)
        path.readerArrived()
        play()
    }

    /// Leaves the path.
    func stop() {
        guard isRunning else { return }
        isRunning = false
        attempt += 1
        retry.stop()
        sender.release(self)
        path.removeObserver(self)
        path.readerLeft()
    }

    func streamEnded(_ reason: String) {
        sender.release(self)
        again()
    }

    func descriptionChanged(_ description: StreamDescription) {}

    private func play() {
        attempt += 1
        let number = attempt
        path.play().assumeIsolated().whenComplete { [weak self] result in
            guard let self, isRunning, number == attempt else { return }
            do { try send(try result.get()) } catch { failed("\(error)") }
        }
    }

    private func send(_ description: StreamDescription) throws {
        try sender.hold(self)
        try sender.play(
            self, stream: description.stream,
            failed: { [weak self] failure in self?.failed("\(failure)") }, joined: { [weak self] _ in self?.lastTrouble = nil })
    }

    private func failed(_ trouble: String) {
        sender.release(self)
        if trouble != lastTrouble { path.logger.warning("multicast waits", metadata: ["trouble": "\(trouble)"]) }
        lastTrouble = trouble
        again()
    }

    /// Not in this turn: whoever ended the stream is still at it.
    private func again() {
        attempt += 1
        guard isRunning else { return }
        retry.start(milliseconds: Self.retryMilliseconds) { [weak self] in self?.play() }
    }
}
