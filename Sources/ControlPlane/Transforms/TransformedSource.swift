import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// A path's source with programs, or code of the program that embeds Weir, between it and the readers (`transform:`).
///
/// The source feeds a stream of its own, which nobody is served. Tracks that a rule fits go from there through a program into the stream
/// that is served; the others go there as they are (``PassedTracks``). To the path this is a source, to the source it is the path: so it
/// stands behind every kind of source, and the packet path knows nothing of it.
final class TransformedSource: PathSource {
    /// Where media comes from; nil for a publisher, which comes by itself.
    var source: (any PathSource)?
    private let settings: PathSettings
    private let port: EnginePort
    private let mediaPorts: MediaPorts
    private let extensions: RelayExtensions
    private let logger: Logger
    private weak var host: (any PathSourceHost)?

    private var level = SourceLevel.idle
    private var hidden: LiveStream?
    private var offered: SessionDescription?
    private var served: StreamDescription?
    private(set) var transforms: [SupervisedTransform] = []
    private var passed: PassedTracks?
    private let repair: LoopTimer
    /// Runs for a while after a program described itself: whoever asked for that mostly plays next.
    private let afterDescribing: LoopTimer
    private var isSourcePlaying = false
    private var isSourceAsked = false
    private var isDescribing = false
    private var isStopped = false

    private static let repairMilliseconds = 1_000
    private static let afterDescribingMilliseconds = 5_000

    /// Between `host` and a source that is still to be set.
    init(
        settings: PathSettings, port: EnginePort, mediaPorts: MediaPorts, extensions: RelayExtensions = RelayExtensions(),
        host: any PathSourceHost, logger: Logger
    ) {
        self.extensions = extensions
        self.settings = settings
        self.port = port
        self.mediaPorts = mediaPorts
        self.host = host
        self.logger = logger
        repair = LoopTimer(port.eventLoop)
        afterDescribing = LoopTimer(port.eventLoop)
    }

    // MARK: What the path wants

    var words: String {
        if isSourcePlaying || source == nil, level == .playing, let one = transforms.first(where: { !$0.isFlowing }) { return one.words }
        return source?.words ?? (hidden == nil ? "nobody publishes here yet" : "somebody publishes")
    }

    var nextTry: NIODeadline? { source?.nextTry ?? transforms.compactMap(\.nextTry).min() }

    var legOverviews: [LegOverview] { source?.legOverviews ?? [] }

    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        if let source { source.pass(request, done) } else { done(.unsupported) }
    }

    func want(_ level: SourceLevel) {
        let isRise = self.level < .playing && level == .playing
        self.level = level
        pursue()
        // What plays already, for a publisher or since a program had to describe itself, does not begin once more.
        if isRise { checkPlays() }
    }

    func saidGoodbye() {}

    func streamEnded() {
        // A publisher stayed away too long: what he fed goes as well. (Not when he just came back as something else.)
        defer { if source == nil, !isSourcePlaying, !isDescribing { endHidden() } }
        passed?.end()
        passed = nil
        served = nil
        for transform in transforms { transform.serve(nil) }
    }

    func stop(_ done: @escaping () -> Void) {
        isStopped = true
        repair.stop()
        afterDescribing.stop()
        passed?.end()
        passed = nil
        var remaining = 1 + transforms.count
        let one = { [self] in
            remaining -= 1
            guard remaining == 0 else { return }
            endHidden()
            done()
        }
        for transform in transforms { transform.stop(one) }
        if let source { source.stop(one) } else { one() }
    }

    private func pursue() {
        guard !isStopped else { return }
        // A description that only the program knows needs the program, and that needs media.
        let isKnown = transforms.allSatisfy { $0.media != nil }
        let isAsked = hidden != nil && !isKnown || afterDescribing.isRunning
        guard level == .playing || level == .described && isAsked else {
            isSourceAsked = false
            for transform in transforms { transform.stop() }
            source?.want(level)
            return
        }
        if let hidden { for transform in transforms { transform.start(input: hidden.description) } }
        // A source that is dialled for us waits for the programs to listen, so that they get its first key frame.
        if hidden != nil, transforms.allSatisfy(\.isReady) { isSourceAsked = true }
        source?.want(isSourceAsked ? .playing : .described)
    }

    private func pursueSoon() {
        port.eventLoop.assumeIsolated().execute { [weak self] in self?.pursue() }
    }

    /// The publisher's media is no more; readers are held.
    func publisherLeft() { isSourcePlaying = false }

    // MARK: Streams

    private func describe() throws {
        guard let host, let offered, let hidden else { return }
        // What the path left out of its source is not served either.
        let receivable = offered.receivableMedia
        var described = offered
        described.media = []
        for (place, number) in hidden.description.map.taken where receivable.indices.contains(place) {
            let media = offered.media[receivable[place]]
            guard let transform = transforms.first(where: { $0.track == number }) else {
                described.media.append(media)
                continue
            }
            guard let given = transform.media else { return }
            described.media.append(given.replacing(media))
        }
        let former = served
        isDescribing = true
        defer { isDescribing = false }
        let served = try host.sourceDescribed(described)
        self.served = served
        if served.stream != former?.stream {
            host.mediaBegins()
        } else if served.version != former?.version {
            host.parameterSetsChange()
        }
        for transform in transforms {
            guard let output = Self.output(of: transform.track, hidden.description, served), output != transform.output else { continue }
            transform.serve(nil)
            transform.serve(output, in: served)
        }
        pass(from: hidden.description, to: served)
    }

    /// Where a track of the source's stream goes in the stream that is served.
    private static func output(of track: Int, _ hidden: StreamDescription, _ served: StreamDescription) -> ServedTrack? {
        guard let rank = hidden.map.taken.firstIndex(where: { $0.track == track }), let number = served.map[rank],
            let ssrc = served.track(number)?.plan.ssrc
        else { return nil }
        return ServedTrack(stream: served.stream, number: number, ssrc: ssrc)
    }

    private func pass(from hidden: StreamDescription, to served: StreamDescription) {
        let pairs = hidden.tracks.map(\.number).compactMap { number -> PassedTracks.Pair? in
            guard !transforms.contains(where: { $0.track == number }) else { return nil }
            return Self.output(of: number, hidden, served).map { PassedTracks.Pair(from: number, to: $0) }
        }
        if let passed, passed.pairs == pairs { return }
        passed?.end()
        passed = nil
        guard !pairs.isEmpty else { return }
        do {
            passed = try PassedTracks(pairs, from: hidden, to: served, port: port) { [weak self] in self?.passingFailed($0) }
        } catch { passingFailed("\(error)") }
    }

    private func passingFailed(_ words: String) {
        passed?.end()
        passed = nil
        logger.error("tracks are not passed on", metadata: ["trouble": "\(words)"])
        repair.start(milliseconds: Self.repairMilliseconds) { [weak self] in
            guard let self, !isStopped, passed == nil, let hidden, let served else { return }
            pass(from: hidden.description, to: served)
        }
    }

    private func open(_ sdp: SessionDescription) throws {
        // The stream that programs read begins with the next key frame: what is past would only come late.
        var own = settings
        own.readers = ReaderSettings()
        own.readers.burstsAtJoin = false
        // The stream that is served cuts packets and fills gaps.
        own.packets.oversize = .pass
        own.slate = .off
        let stream = try LiveStream(sdp: sdp, settings: own, port: port, scope: extensions.scope(path: settings.name)) { [weak self] in
            self?.source?.saidGoodbye()
        }
        hidden = stream
        if let plan = settings.redundancy.reorderPlan { port.submit(.setReorder(stream.handle, plan)) }
        let media = sdp.receivableMedia.map { sdp.media[$0] }
        let taken = stream.description.map.taken.filter { media.indices.contains($0.place) }
        transforms = taken.compactMap { place, number in
            guard let rule = settings.transforms.first(where: { $0.fits(media[place], track: place) }) else { return nil }
            let transform = SupervisedTransform(
                track: number, rule: rule, pathName: settings.name, port: port, mediaPorts: mediaPorts, extensions: extensions,
                logger: logger)
            transform.owner = self
            return transform
        }
        for rule in settings.transforms where !taken.contains(where: { rule.fits(media[$0.place], track: $0.place) }) {
            logger.warning("a transform fits no track of the source", metadata: ["transform": "\(rule.name)"])
        }
    }

    private func endHidden() {
        passed?.end()
        passed = nil
        for transform in transforms { transform.stop() }
        transforms = []
        isSourcePlaying = false
        guard let ended = hidden else { return }
        hidden = nil
        offered = nil
        port.submitAlways(.removeStream(ended.handle))
    }
}

extension TransformedSource: PathSourceHost {
    var isAwaited: Bool { host?.isAwaited ?? false }

    var via: String? { host?.via }

    func sourceRefused(_ status: RTSPStatus) { host?.sourceRefused(status) }

    func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription {
        if let hidden {
            func tracks() -> [StreamDescription.Track] { hidden.description.tracks.sorted { $0.number < $1.number } }
            let before = tracks()
            // With other tracks the programs begin anew; those who read the served stream stay where theirs are the same.
            if try hidden.adopt(sdp) == .incompatible || tracks() != before { endHidden() }
        }
        if hidden == nil { try open(sdp) }
        offered = sdp
        try describe()
        pursueSoon()
        guard let hidden else { throw PathError.refused("the path is gone") }
        return hidden.description
    }

    func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription? {
        try hidden?.standby(sdp)
    }

    func mediaBegins() {
        hidden?.mediaBegins(port)
        for transform in transforms { transform.sourceChanged() }
    }

    func sourcePlays() {
        isSourcePlaying = true
        isSourceAsked = true
        pursueSoon()
        checkPlays()
    }

    func sourceFailed(_ words: String) {
        isSourcePlaying = false
        host?.sourceFailed(words)
    }

    func sourceDropped(_ datagrams: UInt64) { host?.sourceDropped(datagrams) }

    func sourceReleased() {
        endHidden()
        host?.sourceReleased()
    }
}

extension TransformedSource: TransformOwner {
    func transformChanged() { pursue() }

    func transformDescribed() {
        afterDescribing.start(milliseconds: Self.afterDescribingMilliseconds) { [weak self] in self?.pursue() }
        do { try describe() } catch { host?.sourceFailed("\(error)") }
        pursueSoon()
    }

    func transformFlows() { checkPlays() }

    func transformFailed(_ words: String) {
        host?.sourceFailed("transform: \(words)")
        pursueSoon()
    }

    private func checkPlays() {
        if isSourcePlaying, transforms.allSatisfy(\.isFlowing) { host?.sourcePlays() }
    }
}
