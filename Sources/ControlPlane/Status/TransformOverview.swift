import NIOCore

/// What changes a track of a path: a program, or code of the program that embeds Weir.
public struct TransformOverview: Sendable, Codable, Equatable {
    /// The track's number.
    public var track = 0
    /// The rule's name in the configuration (`video`), and the program's.
    public var rule = ""
    /// The program's name, or what `use:` names.
    public var program = ""
    /// `idle` (nobody wants it), `starting`, `listening` (it is given media and has sent nothing yet), `sending`, `failed` (it waits to be
    /// started again).
    public var state = State.idle
    /// A program's process number while it runs.
    public var process: Int32?
    /// Starts and failures since the source is known.
    public var starts = 0
    /// Failures since the source is known.
    public var failures = 0
    /// What went wrong last, and how long ago.
    public var lastError: String?
    /// How long ago that was.
    public var lastErrorSecondsAgo: Double?
    /// Until it is started again.
    public var nextTrySeconds: Double?
    /// From the first packet that went in to the first that came out, in its latest run that came so far.
    public var firstPacketMilliseconds: Int?
    /// Packets that did not go into code since it was too slow.
    public var packetsMissed: UInt64 = 0
    /// Lines of its standard error that were left out of the log.
    public var logLinesSuppressed: UInt64 = 0

    /// See ``state``.
    public enum State: String, Sendable, Codable, CaseIterable { case idle, starting, listening, sending, failed }

    /// The words of one line.
    var words: String {
        let error = state == .failed ? lastError.map { ": \($0)" } ?? "" : ""
        return "transform \(rule) (\(program)): \(state.rawValue)\(error), \(starts) starts, \(failures) failures"
    }
}

extension SupervisedTransform {
    /// What can be known of it.
    func overview(now: NIODeadline) -> TransformOverview {
        var overview = TransformOverview()
        overview.track = track
        overview.rule = rule.name
        overview.program = PeerWords.printable(rule.what)
        overview.process = process
        overview.state =
            if nextTry != nil { .failed } else if !isRunning { .idle } else if isFlowing { .sending } else {
                isReady ? .listening : .starting
            }
        overview.starts = starts
        overview.failures = failures
        overview.lastError = lastError.map { PeerWords.printable($0.words) }
        overview.lastErrorSecondsAgo = lastError.map { (Double((now - $0.at).nanoseconds) / 1e9).tenths }
        overview.nextTrySeconds = nextTry.map { max((Double(($0 - now).nanoseconds) / 1e9).tenths, 0) }
        overview.firstPacketMilliseconds = firstPacketMilliseconds
        overview.logLinesSuppressed = linesSuppressed
        overview.packetsMissed = packetsMissed
        return overview
    }
}
