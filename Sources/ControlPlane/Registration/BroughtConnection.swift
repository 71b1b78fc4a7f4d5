import NIOCore
import Signalling

/// The connection that a back end brought with REGISTER, for the source that is pulled over it. A source asks for a connection whenever
/// it dials; until the back end brings the next one, it waits.
final class BroughtConnection {
    struct Gone: Error, CustomStringConvertible {
        let description = "the back end registered again, or no more"
    }

    private let eventLoop: any EventLoop
    private var brought: (any Channel)?
    private var waiting: EventLoopPromise<any Channel>?
    private var isEnded = false

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// The next dial gets this connection, which nobody reads. One that nobody took is closed.
    func bring(_ channel: any Channel) {
        guard !isEnded else { return channel.close(promise: nil) }
        brought?.close(promise: nil)
        brought = channel
    }

    /// No more connections come.
    func end() {
        isEnded = true
        brought?.close(promise: nil)
        brought = nil
        waiting?.fail(Gone())
        waiting = nil
    }

    /// How the source gets its connection.
    var dialler: SourceDialler {
        SourceDialler(
            connect: { _, _, _, prepare in self.connect(prepare) },
            refusal: { _ in "the server redirects, and can be reached only by the connection that it brought" },
            words: "waiting for the back end to register again")
    }

    private func connect(_ prepare: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>) -> EventLoopFuture<any Channel> {
        waiting?.fail(Gone())
        waiting = nil
        guard !isEnded else { return eventLoop.makeFailedFuture(Gone()) }
        guard let channel = brought else {
            let promise = eventLoop.makePromise(of: (any Channel).self)
            waiting = promise
            return promise.futureResult
        }
        brought = nil
        return prepare(channel).flatMapThrowing {
            try channel.syncOptions?.setOption(.autoRead, value: true)
            return channel
        }
    }
}
