import NIOCore
import WireFormats

/// One of several sources of a path, and the path as that source sees it: what it says goes to its owner first.
final class SourceLeg {
    let number: Int
    /// As the user wrote it, without a password.
    let name: String
    fileprivate(set) var source: (any PathSource)?
    private weak var owner: (any LegOwner)?
    /// What is wanted of it.
    private(set) var wanted = SourceLevel.idle
    /// It holds nothing, as far as it was told to let go.
    private(set) var isReleased = true
    /// What it said of itself last, and the stream that it was told to feed; nil when it is to say it again.
    var described: (sdp: SessionDescription, stream: StreamDescription)?
    private(set) var lastError: (words: String, at: NIODeadline)?
    private(set) var failures = 0
    /// How its server refused when it was asked last; nil: it did not, or it has not been asked.
    private(set) var refusal: RTSPStatus?
    private var refusalNow: RTSPStatus?
    private(set) var timesTaken = 0

    init(number: Int, name: String, owner: any LegOwner) {
        self.number = number
        self.name = name
        self.owner = owner
    }

    /// `primary`, `backup 1` and so on.
    var role: String { number == 0 ? "primary" : "backup \(number)" }

    /// Gives it its source, once.
    func begin(_ source: (any PathSource)?) { self.source = source }

    /// As it is shown.
    func overview(isFeeding: Bool, isReady: Bool, now: NIODeadline) -> LegOverview {
        func seconds(_ amount: TimeAmount) -> Double { (Double(amount.nanoseconds) / 1e9).tenths }
        return LegOverview(
            role: role, source: PeerWords.printable(name), words: PeerWords.printable(source?.words ?? "none"), isFeeding: isFeeding,
            isReady: isReady, timesTaken: timesTaken, failures: failures, lastError: lastError.map { PeerWords.printable($0.words) },
            lastErrorSecondsAgo: lastError.map { seconds(now - $0.at) }, nextTrySeconds: source?.nextTry.map { max(seconds($0 - now), 0) })
    }

    /// Asks it to go so far.
    func want(_ level: SourceLevel) {
        wanted = level
        if level > .idle { isReleased = false } else { refusal = nil }
        if level == .idle, isReleased { return }
        source?.want(level)
    }

    /// The path's media comes from here now.
    func taken() { timesTaken += 1 }

    /// Notes a failure.
    func failed(_ words: String, at now: NIODeadline) {
        lastError = (words, now)
        failures += 1
    }
}

extension SourceLeg: PathSourceHost {
    var isAwaited: Bool { owner?.isAwaited ?? false }

    var via: String? { owner?.via }

    func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription {
        guard let owner else { throw PathError.refused("the path is gone") }
        refusal = nil
        return try owner.described(self, sdp)
    }

    func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription? { nil }

    func mediaBegins() { owner?.mediaBegins(self) }

    func sourcePlays() { owner?.plays(self) }

    func sourceRefused(_ status: RTSPStatus) { refusalNow = status }

    func sourceFailed(_ words: String) {
        refusal = refusalNow
        refusalNow = nil
        owner?.failed(self, words)
    }

    func sourceDropped(_ datagrams: UInt64) { owner?.dropped(datagrams) }

    func sourceReleased() {
        guard wanted == .idle else { return }
        isReleased = true
        owner?.released(self)
    }
}

extension [SourceLeg] {
    /// How the path's source refuses: as the first of them does, where all do. While one is still to be asked or just cannot be
    /// reached, waiting may help.
    var refusal: RTSPStatus? { allSatisfy { $0.refusal != nil } ? first?.refusal : nil }
}
