import NIOCore

/// Where a path's live Windows Media comes from. While it is being had, ``broadcast`` is there.
protocol WindowsMediaLive: AnyObject {
    var broadcast: WindowsMediaBroadcast? { get }
    var waiting: BroadcastWaiting { get }
    /// A player comes: if what is broadcast has become another, that is to be known before `done` runs.
    func refresh(_ done: @escaping () -> Void)
    /// Whether what `other` broadcasts is, just now, what comes from here: it is itself, or what it plays leads there.
    func leads(to other: any WindowsMediaLive) -> Bool
}

extension WindowsMediaLive {
    func refresh(_ done: @escaping () -> Void) { done() }

    func leads(to other: any WindowsMediaLive) -> Bool { self === other }

    /// The broadcast, waited for up to the path's source-wait; that counts as interest in the path. What is returned ends the wait.
    @discardableResult func broadcast(
        of path: Path, _ done: @escaping (Result<WindowsMediaBroadcast, PathError>) -> Void
    ) -> (() -> Void)? {
        guard broadcast != nil else { return waiting.wait(for: path, done) }
        refresh { [self] in
            if let broadcast { done(.success(broadcast)) } else { _ = waiting.wait(for: path, done) }
        }
        return nil
    }
}

/// Players that wait for a broadcast's header.
final class BroadcastWaiting {
    typealias Done = (Result<WindowsMediaBroadcast, PathError>) -> Void

    private var entries: [Int: (done: Done, timer: LoopTimer)] = [:]
    private var next = 0

    /// How many wait.
    var count: Int { entries.count }

    fileprivate func wait(for path: Path, _ done: @escaping Done) -> () -> Void {
        let timer = LoopTimer(path.eventLoop)
        let number = next
        next += 1
        let finish: Done = { result in
            done(result)
            path.readerLeft()
        }
        entries[number] = (finish, timer)
        timer.start(milliseconds: path.settings.sourceWaitMilliseconds) { [weak self] in
            guard let entry = self?.entries.removeValue(forKey: number) else { return }
            let why = path.lastTrouble ?? path.sourceWords ?? "it is gone"
            entry.done(.failure(.notReady("the source is not ready: \(why)", retryAfterSeconds: Path.retryAfterSeconds)))
        }
        path.readerArrived()
        return { [weak self] in
            guard let entry = self?.entries.removeValue(forKey: number) else { return }
            entry.timer.stop()
            path.readerLeft()
        }
    }

    /// It is there.
    func succeed(_ broadcast: WindowsMediaBroadcast) {
        for done in take() { done(.success(broadcast)) }
    }

    /// It will not be.
    func fail(_ error: PathError) {
        for done in take() { done(.failure(error)) }
    }

    private func take() -> [Done] {
        let all = entries.sorted { $0.key < $1.key }.map(\.value)
        entries = [:]
        for entry in all { entry.timer.stop() }
        return all.map(\.done)
    }
}
