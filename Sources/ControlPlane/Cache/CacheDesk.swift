import Logging
import NIOCore
import NIOPosix

/// The cache for an event loop: its blocking calls run on threads of its own, and results come back to the loop. Reads and writes have
/// threads apart, so that a disk that is slow to take what is written does not keep players waiting for what is there.
package final class CacheDesk: Sendable {
    package let store: CacheStore
    package let eventLoop: any EventLoop
    private let readers: NIOThreadPool
    private let writers: NIOThreadPool
    private let logger: Logger
    private let timer: NIOLoopBoundBox<RepeatedTask?>

    /// Made on the loop.
    package init(store: CacheStore, eventLoop: any EventLoop, logger: Logger) {
        self.store = store
        self.eventLoop = eventLoop
        self.logger = logger
        readers = NIOThreadPool(numberOfThreads: 4)
        writers = NIOThreadPool(numberOfThreads: 4)
        timer = NIOLoopBoundBox(nil, eventLoop: eventLoop)
        readers.start()
        writers.start()
    }

    /// For `find`, `open`, `read`, `verify`.
    package func reading<T: Sendable>(_ body: @escaping @Sendable (CacheStore) throws -> T) -> EventLoopFuture<T> {
        readers.runIfActive(eventLoop: eventLoop) { [store] in try body(store) }
    }

    /// For what writes: `create`, `write`, `commit`, `finish`, `validate`, `remove`, `pin`.
    package func writing<T: Sendable>(_ body: @escaping @Sendable (CacheStore) throws -> T) -> EventLoopFuture<T> {
        writers.runIfActive(eventLoop: eventLoop) { [store] in try body(store) }
    }

    /// Begins upkeep, once a second. On the loop.
    package func start() {
        timer.value = eventLoop.scheduleRepeatedAsyncTask(initialDelay: .seconds(1), delay: .seconds(1)) {
            [writers, store, eventLoop, logger] _ in
            writers.runIfActive(eventLoop: eventLoop) { try store.upkeep(elapsed: .seconds(1)) }.recover { error in
                logger.warning("the cache's upkeep failed", metadata: ["trouble": "\(error)"])
            }
        }
    }

    /// Ends upkeep, waits for the calls that run, and closes the store. On the loop; calls that come later fail.
    package func stop() -> EventLoopFuture<Void> {
        timer.value?.cancel()
        timer.value = nil
        let promise = eventLoop.makePromise(of: Void.self)
        writers.shutdownGracefully { [readers, store] _ in
            readers.shutdownGracefully { _ in
                store.close()
                promise.succeed()
            }
        }
        return promise.futureResult
    }
}
