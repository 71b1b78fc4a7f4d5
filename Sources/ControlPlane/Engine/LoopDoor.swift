import NIOCore
import Synchronization

/// The way to a relay's event loop from other threads. It is shut before the loop ends: an event loop that has ended forgets what it is
/// given, and whoever waits for it waits for ever. What was let in before is done.
final class LoopDoor: Sendable {
    private let eventLoop: any EventLoop
    private let isShut = Mutex(false)

    /// An open door.
    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Has the loop do it, soon. False when nothing is done any more.
    @discardableResult
    func post(_ work: @escaping @Sendable () -> Void) -> Bool {
        isShut.withLock { isShut in
            if isShut { return false }
            eventLoop.execute(work)
            return true
        }
    }

    /// What the loop makes of it; nil when nothing is done any more.
    func submit<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) -> EventLoopFuture<Value>? {
        isShut.withLock { isShut in isShut ? nil : eventLoop.submit(work) }
    }

    /// What the future will bring that the loop makes; nil when nothing is done any more.
    func flatSubmit<Value: Sendable>(_ work: @escaping @Sendable () -> EventLoopFuture<Value>) -> EventLoopFuture<Value>? {
        isShut.withLock { isShut in isShut ? nil : eventLoop.flatSubmit(work) }
    }

    /// Lets nothing more in.
    func shut() { isShut.withLock { $0 = true } }
}
