import Glibc
import Synchronization

/// Signals that ask the program to end. The first asks politely.
enum Signals {
    // A handler can touch nothing but an atomic; relaxed, since nothing else is published by it.
    private static let count = Atomic<Int>(0)

    /// Begins to count SIGINT, SIGTERM and SIGHUP, and ignores SIGPIPE: a reader that went away is no reason to end.
    static func catchAll() {
        _ = received  // Made before the first signal: a handler must not be the one to make it.
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { _ in Signals.count.add(1, ordering: .relaxed) }
        }
        _ = signal(SIGPIPE, SIG_IGN)
    }

    /// How many came.
    static var received: Int { count.load(ordering: .relaxed) }
}
