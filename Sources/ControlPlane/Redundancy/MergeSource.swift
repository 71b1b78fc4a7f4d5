import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Several sources that carry the same packets and play at once: the engine takes each packet from whichever brings it first, so either
/// may be cut without a gap (SMPTE ST 2022-7).
///
/// A leg that turns out to carry something else is left out by the engine, and stands in when the others are silent; that is said here.
final class MergeSource: PathSource {
    private(set) var legs: [SourceLeg] = []
    private let port: EnginePort
    private let logger: Logger
    private weak var host: (any PathSourceHost)?
    private var level = SourceLevel.idle
    /// Legs whose media began, and has not ended.
    private var begun: Set<Int> = []
    private var playing: Set<Int> = []
    private var stream: StreamDescription?
    private var isStopped = false
    private var listener: Int?
    private var watched: [Watched]

    /// What a leg's counters said a second ago.
    private struct Watched {
        var foreign: UInt64 = 0
        var used: UInt64 = 0
        var isLeftOut = false
    }

    /// Legs in the order of preference; `make` makes each one's source.
    init(
        _ sources: [PathSettings.Source], port: EnginePort, host: any PathSourceHost, logger: Logger,
        make: (PathSettings.Source, any PathSourceHost) -> (any PathSource)?
    ) {
        self.port = port
        self.host = host
        self.logger = logger
        watched = Array(repeating: Watched(), count: sources.count)
        legs = sources.enumerated().map { SourceLeg(number: $0, name: "\($1)", owner: self) }
        for (leg, source) in zip(legs, sources) { leg.begin(make(source, leg)) }
    }

    var words: String {
        playing.isEmpty
            ? legs.map { "\($0.role): \($0.source?.words ?? "none")" }.joined(separator: "; ")
            : "\(playing.count) of \(legs.count) sources play"
    }

    var nextTry: NIODeadline? { playing.isEmpty ? legs.compactMap { $0.source?.nextTry }.min() : nil }

    var via: String? { host?.via }

    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        guard let leg = legs.first(where: { playing.contains($0.number) }) ?? legs.first(where: { $0.described != nil }),
            let source = leg.source
        else { return done(.unavailable(words)) }
        source.pass(request, done)
    }

    var isAwaited: Bool { playing.isEmpty && host?.isAwaited ?? false }

    func want(_ level: SourceLevel) {
        guard !isStopped else { return }
        self.level = level
        for leg in legs { leg.want(level) }
        guard level == .idle else { return }
        forget()
        releaseIfAllAre()
    }

    // Of one leg; its own watchdog knows better.
    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        isStopped = true
        forget()
        let sources = legs.compactMap(\.source)
        var remaining = sources.count
        guard remaining > 0 else { return done() }
        for source in sources {
            source.stop {
                remaining -= 1
                if remaining == 0 { done() }
            }
        }
    }

    private func forget() {
        begun = []
        playing = []
        stream = nil
        watched = Array(repeating: Watched(), count: legs.count)
        if let listener { port.pulse.remove(listener) }
        listener = nil
    }

    private func releaseIfAllAre() {
        if level == .idle, legs.allSatisfy(\.isReleased) { host?.sourceReleased() }
    }

    var legOverviews: [LegOverview] {
        legs.map { leg in
            var overview = leg.overview(
                isFeeding: playing.contains(leg.number) && !watched[leg.number].isLeftOut, isReady: leg.described != nil,
                now: port.eventLoop.now)
            if watched[leg.number].isLeftOut { overview.words = "left out: its packets are not those of the others" }
            if let stream { overview.merge = MergeOverview(leg.number, stream) }
            return overview
        }
    }

    // MARK: Legs that are not the same

    private func watch() {
        guard listener == nil else { return }
        listener = port.pulse.add { [weak self] in self?.look() }
    }

    private func look() {
        guard let stream else { return }
        for leg in legs {
            let sums = MergeOverview(leg.number, stream)
            let foreign = sums.foreign &- watched[leg.number].foreign
            let used = (sums.taken &+ sums.duplicates) &- watched[leg.number].used
            watched[leg.number].foreign = sums.foreign
            watched[leg.number].used = sums.taken &+ sums.duplicates
            if foreign > used, !watched[leg.number].isLeftOut {
                watched[leg.number].isLeftOut = true
                logger.warning(
                    """
                    a source carries other packets than the one that leads (numbers or times differ): it is left out, and stands in when \
                    the others are silent
                    """,
                    metadata: ["source": "\(leg.name)"])
            } else if used > foreign, watched[leg.number].isLeftOut {
                watched[leg.number].isLeftOut = false
                logger.notice("a source that was left out is used", metadata: ["source": "\(leg.name)"])
            }
        }
    }
}

extension MergeSource: LegOwner {
    func described(_ leg: SourceLeg, _ sdp: SessionDescription) throws -> StreamDescription {
        guard let host else { throw PathError.refused("the path is gone") }
        // With nothing else playing, the path may become something else, as with one source.
        let others = begun.subtracting([leg.number])
        if !others.isEmpty || leg.number > 0 { _ = try host.standbyDescribed(sdp) }
        var description = try host.sourceDescribed(sdp)
        if let former = stream, former.stream != description.stream || !former.keeps(former.tracks.map(\.number), in: description) {
            // What others were told to feed is gone, and its counters with it, or some of its tracks are.
            watched = Array(repeating: Watched(), count: legs.count)
            for other in legs where other !== leg && other.described != nil {
                other.described = nil
                other.want(.idle)
            }
        }
        description.leg = leg.number
        stream = description
        leg.described = (sdp, description)
        watch()
        return description
    }

    func mediaBegins(_ leg: SourceLeg) {
        // A leg that joins others changes nothing in time.
        if begun.subtracting([leg.number]).isEmpty { host?.mediaBegins() }
        begun.insert(leg.number)
    }

    func plays(_ leg: SourceLeg) {
        if playing.insert(leg.number).inserted { leg.taken() }
        host?.sourcePlays()
    }

    func failed(_ leg: SourceLeg, _ words: String) {
        leg.failed(words, at: port.eventLoop.now)
        if !(leg.source?.isDescribed ?? false) { leg.described = nil }
        begun.remove(leg.number)
        playing.remove(leg.number)
        if playing.isEmpty {
            if let refusal = legs.refusal { host?.sourceRefused(refusal) }
            host?.sourceFailed("\(leg.role) (\(leg.name)): \(words)")
        } else {
            logger.warning("a source failed; others carry on", metadata: ["source": "\(leg.name)", "trouble": "\(words)"])
        }
    }

    func dropped(_ datagrams: UInt64) { host?.sourceDropped(datagrams) }

    func released(_ leg: SourceLeg) {
        begun.remove(leg.number)
        playing.remove(leg.number)
        leg.described = nil
        if level > .idle, !isStopped { return leg.want(level) }
        releaseIfAllAre()
    }
}

extension MergeOverview {
    /// What a leg's tracks did together.
    init(_ leg: Int, _ stream: StreamDescription) {
        for track in stream.tracks {
            func sum(_ counter: LegCounter) -> UInt64 { stream.counters[leg: leg, track.number, counter] }
            packets &+= sum(.packets)
            taken &+= sum(.taken)
            filled &+= sum(.filled)
            duplicates &+= sum(.duplicates)
            late &+= sum(.late)
            foreign &+= sum(.foreign)
            lost &+= Int64(bitPattern: sum(.expected) &- sum(.received))
            lagMilliseconds = max(lagMilliseconds, (Double(sum(.lagMicroseconds)) / 1_000).tenths)
        }
    }
}
