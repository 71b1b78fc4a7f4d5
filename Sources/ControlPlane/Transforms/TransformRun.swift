import NIOCore
import PlaneLink

/// One run of what changes a track: a program (``ProgramRun``), or code of the program that embeds Weir (``CodeRun``).
protocol TransformRun: AnyObject {
    /// Hears what becomes of it.
    var owner: (any TransformRunOwner)? { get set }
    /// The process's number; nil when it is none.
    var process: Int32? { get }
    /// Lines that were left out of the log.
    var linesSuppressed: UInt64 { get }
    /// Packets that did not go in since it was too slow.
    var packetsMissed: UInt64 { get }
    /// Whether what comes out is taken by the engine.
    var isAttached: Bool { get }
    /// Whether something of it is still at work after its end, and cannot be ended.
    var isHanging: Bool { get }
    /// Where what comes out goes.
    func serve(_ served: StreamDescription, track: Int)
    /// The source begins another time line.
    func sourceChanged()
    /// Ends it. `done` runs when nothing of it is left, or nothing more can be done about it.
    func stop(_ done: @escaping () -> Void)
}

/// Hears what becomes of one run.
protocol TransformRunOwner: AnyObject {
    /// It listens, and is given media from the next key frame on.
    func runListens()
    /// It described what it sends.
    func runDescribed(_ media: GivenMedia)
    /// The first packet came out, so many milliseconds after the first went in.
    func runSends(afterMilliseconds: Int)
    /// It said something that is worth a line of the log.
    func runSaid(_ line: String)
    /// It is over, and why; everything it held is being let go.
    func runEnded(_ words: String)
}

/// How long a run has been given media without an answer. While no media comes it is not to blame.
struct TransformPatience {
    private var input: UInt64 = 0
    private var output: UInt64 = 0
    private var inputAt: NIODeadline
    private var lookedAt: NIODeadline
    private var unanswered = TimeAmount.zero

    /// Media that comes less often than this does not keep its time running.
    private static let inputPause = TimeAmount.seconds(1)

    /// Nothing has come yet.
    init(now: NIODeadline) {
        inputAt = now
        lookedAt = now
    }

    /// Whether more has come in than when this was last said.
    mutating func grew(input count: UInt64) -> Bool {
        defer { input = count }
        return count != input
    }

    /// From here on it is given media, of which so much has come already.
    mutating func begin(input count: UInt64, now: NIODeadline) {
        input = count
        lookedAt = now
    }

    /// It answered; so many packets have come out of the track.
    mutating func answered(output count: UInt64) {
        output = count
        unanswered = .zero
    }

    /// How long it has not answered; both counts only grow. Without `output` it has not begun to.
    mutating func look(input: UInt64, output: UInt64? = nil, now: NIODeadline) -> TimeAmount {
        if input != self.input { inputAt = now }
        self.input = input
        if let output, output != self.output {
            answered(output: output)
        } else if now - inputAt < Self.inputPause {
            unanswered = unanswered + (now - lookedAt)
        }
        lookedAt = now
        return unanswered
    }
}
