import Glibc
import Synchronization

/// SIGINT and SIGTERM while something is measured: it is given up in order, so that the server is told and no child is left.
enum Interruption {
    // A handler can touch nothing but an atomic; relaxed, since nothing else is published by it.
    private static let count = Atomic<Int>(0)

    /// Begins to listen for the signals.
    static func watch() {
        _ = count.load(ordering: .relaxed)  // Made before the first signal: a handler must not be the one to make it.
        for number in [SIGINT, SIGTERM] {
            signal(number) { _ in Interruption.count.add(1, ordering: .relaxed) }
        }
    }

    /// Throws when one came since the process began.
    static func check() throws(WorkbenchError) {
        guard count.load(ordering: .relaxed) == 0 else { throw WorkbenchError("interrupted") }
    }
}
