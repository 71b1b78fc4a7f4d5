import Logging
import NIOCore
import NIOPosix
import WireFormats

/// An ASF file as a path's source. Every player has a place of its own in it (``FilePump``): this opens the file, once for all of them,
/// and again when it was replaced.
final class WindowsMediaFileSource: PathSource {
    private let name: String
    private let eventLoop: any EventLoop
    private weak var host: (any PathSourceHost)?
    private let pursuit = LevelPursuit()
    private var file: WindowsMediaFile?
    private var waiting: [EventLoopPromise<WindowsMediaFile>] = []
    private let release: LoopTimer
    private(set) var words = "not opened"

    private static let keepMilliseconds = 10_000

    /// A source that opens its file when it is wanted.
    init(name: String, eventLoop: any EventLoop, host: any PathSourceHost) {
        self.name = name
        self.eventLoop = eventLoop
        self.host = host
        release = LoopTimer(eventLoop)
    }

    var showsHealth: Bool { false }

    func want(_ level: SourceLevel) {
        pursuit.want(level) { [self] level in
            guard level == .idle else { return }
            file = nil
            words = "not opened"
            host?.sourceReleased()
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        release.stop()
        file = nil
        for promise in waiting { promise.fail(PathError.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds)) }
        waiting = []
        done()
    }

    /// The file as it is now. Fails with ``PathError``.
    func open() -> EventLoopFuture<WindowsMediaFile> {
        let promise = eventLoop.makePromise(of: WindowsMediaFile.self)
        waiting.append(promise)
        guard waiting.count == 1 else { return promise.futureResult }
        let name = name, before = file
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            if let before, before.isCurrent { return before }
            return try WindowsMediaFile.open(name)
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            let waiting = waiting
            self.waiting = []
            switch result {
            case .success(let file):
                self.file = file
                // It is forgotten soon if nobody plays it; until then a Play finds what Describe opened.
                release.start(milliseconds: Self.keepMilliseconds) { [weak self] in
                    if let self, pursuit.level == .idle { self.file = nil }
                }
                host?.sourcePlays()
                words = "\(file.header.streams.count) streams, \(file.packetCount) packets"
                for promise in waiting { promise.succeed(file) }
            case .failure(let error):
                words = "\(error)"
                host?.sourceFailed(words)
                let refusal = PathError.notReady(words, retryAfterSeconds: Path.retryAfterSeconds)
                for promise in waiting { promise.fail(refusal) }
            }
        }
        return promise.futureResult
    }
}
