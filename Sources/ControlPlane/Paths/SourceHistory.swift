import NIOCore

/// What became of a path's source: since when it plays, what went wrong last, for how long.
struct SourceHistory {
    /// What went wrong last, also when all is well again.
    private(set) var lastError: (words: String, at: NIODeadline)?
    /// Since when nothing but failures came; nil when all is well.
    private(set) var failingSince: NIODeadline?
    /// Since when media flows, or was had last.
    private(set) var playingSince: NIODeadline?
    /// Failures in a row, and since the start.
    private(set) var failuresInARow = 0
    private(set) var failures = 0

    /// What is wrong; nil when all is well.
    var trouble: String? { failingSince == nil ? nil : lastError?.words }

    /// Media flows.
    mutating func plays(now: NIODeadline) {
        failingSince = nil
        failuresInARow = 0
        playingSince = now
    }

    /// Media could not be had, or is no more.
    mutating func failed(_ words: String, now: NIODeadline) {
        lastError = (words, now)
        failingSince = failingSince ?? now
        failuresInARow += 1
        failures += 1
    }
}
