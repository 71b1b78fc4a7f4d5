import NIOCore

/// The one slow timer of the control plane: whoever must look at something now and then is called twice a second. It runs only while
/// somebody listens, so a thousand paths at rest cost nothing, and a thousand busy ones one wake-up.
final class Pulse {
    private let timer: LoopTimer
    private var listeners: [Int: () -> Void] = [:]
    private var next = 0

    /// From one call to the next.
    static let milliseconds = 500

    /// A pulse on this event loop, at rest.
    init(_ eventLoop: any EventLoop) { timer = LoopTimer(eventLoop) }

    /// How many listen.
    var count: Int { listeners.count }

    /// Calls `body` twice a second until it is removed by the number that this answers with.
    func add(_ body: @escaping () -> Void) -> Int {
        next &+= 1
        listeners[next] = body
        if !timer.isRunning { timer.every(milliseconds: Self.milliseconds) { [weak self] in self?.beat() } }
        return next
    }

    /// Calls the listener of that number no more.
    func remove(_ number: Int) {
        listeners[number] = nil
        if listeners.isEmpty { timer.stop() }
    }

    private func beat() {
        // Listeners come and go while others are called.
        for number in Array(listeners.keys) { listeners[number]?() }
    }
}
