import Logging
import NIOCore
import Signalling
import WireFormats

/// Several sources for one path, of which one plays: the first of the list that can. When it fails, or its watchdog barks, the next is
/// dialled at once, and the first is gone back to when it has been well for a while. Readers stay: each change is an epoch of the one
/// stream.
///
/// While nothing plays, all legs are asked to describe themselves, and the first that can is taken. A leg that is gone away from is let
/// go of before the next plays: two never feed the stream at once.
final class FailoverSource: PathSource {
    private(set) var legs: [SourceLeg] = []
    private var choice: LegChoice
    private let isWarm: Bool
    private let timer: LoopTimer
    private let eventLoop: any EventLoop
    private let logger: Logger
    private weak var host: (any PathSourceHost)?

    private var level = SourceLevel.idle
    /// The leg that plays, or was told to.
    private var feeding: Int?
    /// A leg that is gone away from and has not let go yet.
    private var retiring: Int?
    private var isConsidering = false
    private var mustConsiderAgain = false
    private var isStopped = false
    /// The leg that fed the stream last.
    private var lastFed: Int?

    /// Legs in the order of preference; `make` makes each one's source.
    init(
        _ sources: [PathSettings.Source], settings: RedundancySettings, eventLoop: any EventLoop, host: any PathSourceHost, logger: Logger,
        make: (PathSettings.Source, any PathSourceHost) -> (any PathSource)?
    ) {
        choice = LegChoice(
            count: sources.count, failbackNanoseconds: settings.failbackMilliseconds.map { UInt64(clamping: $0) &* 1_000_000 })
        isWarm = settings.standby == .warm
        timer = LoopTimer(eventLoop)
        self.eventLoop = eventLoop
        self.host = host
        self.logger = logger
        legs = sources.enumerated().map { SourceLeg(number: $0, name: "\($1)", owner: self) }
        for (leg, source) in zip(legs, sources) { leg.begin(make(source, leg)) }
    }

    var words: String {
        guard let chosen = choice.chosen else { return "every source failed; the first that can be had is taken" }
        let leg = legs[chosen]
        return "\(leg.role) (\(leg.name)): \(leg.source?.words ?? "not dialled")"
    }

    var legOverviews: [LegOverview] {
        legs.map { $0.overview(isFeeding: feeding == $0.number, isReady: choice.isReady($0.number), now: eventLoop.now) }
    }

    var nextTry: NIODeadline? { feeding == nil ? legs.compactMap { $0.source?.nextTry }.min() : nil }

    /// Whether somebody waits for a source, any of them.
    var isAwaited: Bool { feeding == nil && host?.isAwaited ?? false }
    /// The path's: whichever of them is pulled, it is for the same readers.
    var via: String? { host?.via }

    func want(_ level: SourceLevel) {
        guard !isStopped else { return }
        self.level = level
        consider()
    }

    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        guard let feeding, let source = legs[feeding].source else { return done(.unavailable(words)) }
        source.pass(request, done)
    }

    func saidGoodbye() { if let feeding { legs[feeding].source?.saidGoodbye() } }

    func stop(_ done: @escaping () -> Void) {
        isStopped = true
        timer.stop()
        var remaining = legs.count
        for leg in legs {
            guard let source = leg.source else {
                remaining -= 1
                continue
            }
            source.stop {
                remaining -= 1
                if remaining == 0 { done() }
            }
        }
        if legs.allSatisfy({ $0.source == nil }) { done() }
    }

    // MARK: What is to be done

    /// Does what the level and the legs' states ask for, until nothing changes.
    private func consider() {
        mustConsiderAgain = true
        guard !isConsidering else { return }
        isConsidering = true
        defer { isConsidering = false }
        while mustConsiderAgain, !isStopped {
            mustConsiderAgain = false
            step()
        }
    }

    private func step() {
        let now = self.now
        guard level > .idle else { return rest(now) }
        choice.choose(now: now)
        if let look = choice.nextLook(now: now) {
            timer.start(at: .uptimeNanoseconds(look)) { [weak self] in self?.consider() }
        } else {
            timer.stop()
        }
        // What is gone away from lets go first: its last packets must not come between those of the next.
        if let former = feeding, former != choice.chosen {
            feeding = nil
            retiring = former
        }
        if let leaving = retiring, legs[leaving].isReleased { retiring = nil }
        if let chosen = choice.chosen, feeding != chosen, retiring == nil, choice.isReady(chosen), !take(legs[chosen]) { return consider() }
        for leg in legs { leg.want(wish(leg)) }
    }

    private func wish(_ leg: SourceLeg) -> SourceLevel {
        if retiring == leg.number { return .idle }
        if choice.chosen == leg.number { return feeding == leg.number ? level : .described }
        if choice.isAwaited(leg.number) { return .described }
        // The one that plays says first what the stream is.
        return isWarm && feeding != nil ? .described : .idle
    }

    /// Has the path follow a leg that described itself; false when it cannot.
    private func take(_ leg: SourceLeg) -> Bool {
        guard let described = leg.described else { return false }
        do {
            let stream = try describe(leg, described.sdp)
            guard stream.stream == described.stream.stream, stream.map == described.stream.map else {
                // What it was told to feed is gone, or its tracks are.
                restart(leg)
                return false
            }
        } catch {
            note(leg, "\(error)")
            return false
        }
        feeding = leg.number
        if lastFed != leg.number {
            leg.taken()
            if let lastFed {
                logger.notice(
                    leg.number < lastFed ? "going back to a source that is well again" : "failing over to another source",
                    metadata: ["from": "\(legs[lastFed].name)", "to": "\(leg.name)"])
            }
        }
        lastFed = leg.number
        return true
    }

    private func describe(_ leg: SourceLeg, _ sdp: SessionDescription) throws -> StreamDescription {
        guard let host else { throw PathError.refused("the path is gone") }
        // The primary says what the path is, as it would without backups; others must fit what there is.
        if leg.number > 0 { _ = try host.standbyDescribed(sdp) }
        let stream = try host.sourceDescribed(sdp)
        for other in legs where other !== leg && other.described.map({ $0.stream.stream != stream.stream }) ?? false { restart(other) }
        return stream
    }

    /// A leg is to say anew what it is.
    private func restart(_ leg: SourceLeg) {
        leg.described = nil
        choice.rested(leg.number)
        retiring = retiring ?? leg.number
        if retiring != leg.number { leg.want(.idle) }
        mustConsiderAgain = true
    }

    private func rest(_ now: UInt64) {
        timer.stop()
        choice.reset(now: now)
        feeding = nil
        retiring = nil
        for leg in legs {
            leg.described = nil
            leg.want(.idle)
        }
        if legs.allSatisfy(\.isReleased) { host?.sourceReleased() }
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds }

}

extension FailoverSource: LegOwner {
    func described(_ leg: SourceLeg, _ sdp: SessionDescription) throws -> StreamDescription {
        let isChosen = choice.chosen == nil || choice.chosen == leg.number
        let stream: StreamDescription
        if isChosen, leg.number == 0 {
            stream = try describe(leg, sdp)
        } else if let standby = try host?.standbyDescribed(sdp) {
            stream = standby
        } else {
            stream = try describe(leg, sdp)
        }
        leg.described = (sdp, stream)
        choice.ready(leg.number, showsHealth: leg.source?.showsHealth ?? true, now: now)
        consider()
        return stream
    }

    func mediaBegins(_ leg: SourceLeg) { if feeding == leg.number { host?.mediaBegins() } }

    func plays(_ leg: SourceLeg) {
        guard feeding == leg.number else { return }
        host?.sourcePlays()
    }

    func failed(_ leg: SourceLeg, _ words: String) {
        note(leg, words)
        consider()
    }

    private func note(_ leg: SourceLeg, _ words: String) {
        leg.failed(words, at: eventLoop.now)
        let wasChosen = choice.chosen == leg.number
        choice.failed(leg.number, now: now)
        if feeding == leg.number { feeding = nil }
        if retiring == leg.number { retiring = nil }
        if leg.source?.isDescribed ?? false, leg.described != nil {
            choice.ready(leg.number, showsHealth: leg.source?.showsHealth ?? true, now: now)
        } else {
            leg.described = nil
        }
        if wasChosen || choice.chosen == nil {
            if let refusal = legs.refusal { host?.sourceRefused(refusal) }
            host?.sourceFailed("\(leg.role) (\(leg.name)): \(words)")
        } else {
            logger.notice("a source that is not playing failed", metadata: ["source": "\(leg.name)", "trouble": "\(words)"])
        }
        mustConsiderAgain = true
    }

    func dropped(_ datagrams: UInt64) { host?.sourceDropped(datagrams) }

    func released(_ leg: SourceLeg) {
        leg.described = nil
        choice.rested(leg.number)
        if retiring == leg.number { retiring = nil }
        consider()
    }
}
