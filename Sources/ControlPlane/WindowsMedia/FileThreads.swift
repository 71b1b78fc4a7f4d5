import NIOCore
import NIOPosix
import Synchronization

/// Threads that read files. What lies on one device takes no more than a third of those that others leave: where it does not answer (a network
/// mount without its server) files elsewhere are read as before.
final class FileThreads: Sendable {
    /// One set for the process, as of NIO's own threads: they sleep while nothing is read.
    static let shared = FileThreads(count: 16)

    /// What waits for a thread, oldest first.
    private struct Lane {
        var running = 0
        var waiting = CircularBuffer<@Sendable () -> Void>()
    }

    private struct State {
        var busy = 0
        var lanes: [UInt64: Lane] = [:]
        /// Devices for which something waits, by turns.
        var turns = CircularBuffer<UInt64>()
    }

    private let count: Int
    private let pool: NIOThreadPool
    private let state = Mutex(State())

    init(count: Int) {
        self.count = max(count, 3)
        pool = NIOThreadPool(numberOfThreads: self.count)
        pool.start()
    }

    /// Ends the threads, those of tests; what runs is waited for.
    func stop() throws { try pool.syncShutdownGracefully() }

    /// Runs `body` on a thread when it is the device's turn. The future belongs to the event loop.
    func run<Value: Sendable>(
        on device: UInt64, eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        let promise = eventLoop.makePromise(of: Value.self)
        let job: @Sendable () -> Void = { promise.completeWith(Result { try body() }) }
        let starts = state.withLock { state in
            var lane = state.lanes[device] ?? Lane()
            defer { state.lanes[device] = lane }
            if lane.waiting.isEmpty, hasRoom(lane, state) {
                lane.running += 1
                state.busy += 1
                return true
            }
            if lane.waiting.isEmpty { state.turns.append(device) }
            lane.waiting.append(job)
            return false
        }
        if starts { start(job, device) }
        return promise.futureResult
    }

    private func hasRoom(_ lane: Lane, _ state: State) -> Bool { 2 * lane.running < count - state.busy }

    private func start(_ job: @escaping @Sendable () -> Void, _ device: UInt64) {
        pool.submit { [self] _ in
            job()
            ended(device)
        }
    }

    /// A thread is free: those that wait have it by turns.
    private func ended(_ device: UInt64) {
        var starting: [(job: @Sendable () -> Void, device: UInt64)] = []
        state.withLock { state in
            state.busy -= 1
            state.lanes[device]?.running -= 1
            for _ in 0..<state.turns.count {
                guard let next = state.turns.popFirst(), var lane = state.lanes[next] else { break }
                if hasRoom(lane, state), let job = lane.waiting.popFirst() {
                    lane.running += 1
                    state.busy += 1
                    starting.append((job, next))
                }
                if !lane.waiting.isEmpty { state.turns.append(next) }
                state.lanes[next] = lane
            }
            if let lane = state.lanes[device], lane.running == 0, lane.waiting.isEmpty { state.lanes[device] = nil }
        }
        for one in starting { start(one.job, one.device) }
    }
}

extension WindowsMediaFile {
    /// Reads of it, or what goes with them, off the event loop.
    func onThread<Value: Sendable>(
        _ eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        FileThreads.shared.run(on: device, eventLoop: eventLoop, body)
    }
}
