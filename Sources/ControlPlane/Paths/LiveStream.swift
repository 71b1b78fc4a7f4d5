import PlaneLink
import WireFormats

/// A stream in the engine and its description. It outlives its source's connections: each is an epoch of it.
final class LiveStream {
    /// What became of a new description.
    enum Adoption: Equatable {
        /// Readers see no difference.
        case same
        /// Tracks go on, but not all is as it was: ``description`` says how. ``planTracks()`` is owed.
        case changed
        /// No track goes on; nothing was changed here.
        case incompatible
    }

    private(set) var description: StreamDescription
    let sizing: StreamSizing
    var handle: StreamHandle { description.stream }
    var counters: StreamCounters { description.counters }

    private let port: EnginePort
    private let selection: TrackSelection
    private var source: SessionDescription
    private var ledger: TrackLedger
    private let origin: SDPOrigin
    private let onGoodbye: () -> Void
    /// Parameter sets that tracks have shown, by track.
    private var learnt: [Int: ParameterSets] = [:]
    /// What the engine noticed of the stream's packets.
    var onNotice: ((Notice) -> Void)?
    private var prefaces = PrefaceLedger()
    private var unplanned: [Int] = []
    private var hadMedia = false
    private var tracksGone: Set<Int> = []

    /// Opens a stream for a source's description; throws ``PathError/refused(_:)``.
    init(
        sdp: SessionDescription, settings: PathSettings, port: EnginePort, scope: ReportScope? = nil, onGoodbye: @escaping () -> Void
    ) throws(PathError) {
        let chosen = try Self.choose(sdp, settings.tracks)
        let limits = port.engine.limits
        sizing = StreamSizing(
            bitRate: settings.bitRate ?? Self.bitRate(of: chosen.media) ?? limits.bitRateDefault,
            windowMilliseconds: settings.windowMilliseconds ?? limits.windowMilliseconds, keepsKeyFrame: settings.slate != .off,
            holdsPictures: settings.packets.wholePictures)
        source = sdp
        self.port = port
        selection = settings.tracks
        self.onGoodbye = onGoodbye
        origin = SDPOrigin(sessionID: UInt64.random(in: 1...(1 << 62)), sessionVersion: 1, address: "127.0.0.1")
        var ledger = TrackLedger()
        let change = ledger.take(chosen.shapes, ssrc: Self.randomSSRC)
        self.ledger = ledger
        let digits = String(ledger.slots.first?.plan.ssrc ?? 0, radix: 16)
        let name = "weir-" + String(repeating: "0", count: 8 - digits.count) + digits
        let forward = Forward()
        let opened: (handle: StreamHandle, counters: StreamCounters)
        do {
            opened = try port.addStream(
                tracks: ledger.slots.map(\.plan), sizing: sizing, policy: settings.policy, delegate: forward)
        } catch { throw .refused(error.description) }
        description = Self.describe(
            sdp, chosen, change, ledger, origin, name, stream: opened.handle, counters: opened.counters, version: 1)
        description.scope = scope
        _ = prefaces.update(description)
        delegate = forward
        forward.stream = self
    }

    /// Takes the description of a source that came back, or of another one. An incompatible one changes nothing here. Throws
    /// ``PathError/refused(_:)`` when none of its media is wanted.
    func adopt(_ sdp: SessionDescription) throws(PathError) -> Adoption {
        guard sdp != source else { return .same }
        let chosen = try Self.choose(sdp, selection)
        let change = ledger.take(chosen.shapes, ssrc: Self.randomSSRC)
        guard !change.isAllNew else { return .incompatible }
        source = sdp
        unplanned = change.planned
        tracksGone = tracksGone.intersection(change.slots)
        let version = description.version + 1
        var next = Self.describe(
            sdp, chosen, change, ledger, origin, description.canonicalName, stream: handle, counters: counters, version: version)
        next.scope = description.scope
        learnt = next.stillLacking(learnt, of: description)
        next = next.with(learnt)
        let isSame = next.sdp.media == description.sdp.media && next.tracks == description.tracks
        description = next
        return isSame ? .same : .changed
    }

    /// Why a description cannot stand in for the one that is served, in words; nil when it can: with the same tracks, in any order.
    func misfit(_ sdp: SessionDescription) -> String? {
        do throws(PathError) { return try compared(sdp).trouble } catch { return error.description }
    }

    /// The stream as another source would feed it whose description fits (``misfit(_:)``): with that source's map. Nothing changes here.
    func standby(_ sdp: SessionDescription) throws(PathError) -> StreamDescription {
        let compared = try compared(sdp)
        if let trouble = compared.trouble { throw .refused("it does not fit the stream that is served: \(trouble)") }
        var standby = description
        standby.map = Self.map(compared.chosen, compared.slots)
        return standby
    }

    private func compared(_ sdp: SessionDescription) throws(PathError) -> (chosen: Chosen, slots: [Int], trouble: String?) {
        let chosen = try Self.choose(sdp, selection)
        let order = ledger.order
        guard chosen.media.count == order.count else {
            return (chosen, [], "it has \(chosen.media.count) tracks, and \(order.count) are served (\(description.words))")
        }
        let shapes = chosen.media.map(TrackShape.init)
        let matches = TrackMatch.match(shapes, to: order.map { ledger.slots[$0].shape })
        guard let stranger = matches.firstIndex(of: nil), let missed = order.indices.first(where: { !matches.contains($0) }) else {
            return (chosen, matches.compactMap { $0.map { order[$0] } }, nil)
        }
        return (chosen, [], shapes[stranger].difference(from: ledger.slots[order[missed]].shape, track: order[missed]))
    }

    /// Tells the engine of the tracks that an adoption changed. After the readers of the old ones were removed.
    func planTracks() {
        for slot in unplanned {
            port.submitAlways(.setTrack(handle, track: UInt8(truncatingIfNeeded: slot), ledger.slots[slot].plan))
        }
        unplanned = []
    }

    /// Takes notice of parameter sets that a track has shown. True when the description changed.
    func learn(track: Int, _ sets: ParameterSets) -> Bool {
        learnt[track] = sets.completed(from: learnt[track] ?? ParameterSets())
        var next = description.with(learnt)
        guard next.sdp.media != description.sdp.media else { return false }
        next.version += 1
        var origin = origin
        origin.sessionVersion = UInt64(next.version)
        next.sdp.setOrigin(origin)
        description = next
        setPrefaces(prefaces.update(description, isShown: track))
        return true
    }

    /// Media of a (new) connection is about to be attached. The tracks whose readers are sent other parameter sets from here on, and which
    /// sets; none: they cannot be sent.
    @discardableResult
    func mediaBegins(_ port: EnginePort) -> [(track: Int, payloads: [UInt8])] {
        tracksGone = []
        if hadMedia { port.submit(.beginEpoch(handle)) }
        hadMedia = true
        return parameterSetsChange()
    }

    /// The same for media that goes on under the description that was adopted.
    func parameterSetsChange() -> [(track: Int, payloads: [UInt8])] {
        let changes = prefaces.update(description)
        setPrefaces(changes)
        return changes
    }

    /// Readers are sent other parameter sets of a track while the source is away.
    func replacesParameterSets(of track: Int) { setPrefaces(prefaces.update(description, isReplaced: track)) }

    private func setPrefaces(_ changes: [(track: Int, payloads: [UInt8])]) {
        for change in changes {
            port.submitAlways(.setPreface(handle, track: UInt8(truncatingIfNeeded: change.track), LinkBuffer(change.payloads)))
        }
    }

    private func goodbye(track: Int) {
        guard description.track(track) != nil else { return }
        tracksGone.insert(track)
        if tracksGone.count == description.tracks.count {
            tracksGone = []
            onGoodbye()
        }
    }

    // MARK: SDP

    /// The media of a description that become tracks.
    private struct Chosen {
        /// Their indices in the description, and their places among the media that a relay takes.
        var indices: [Int] = []
        var places: [Int] = []
        var media: [MediaDescription] = []
        var placeCount = 0
        /// The codecs of the others.
        var leftOut: [String] = []

        var shapes: [(shape: TrackShape, codec: MediaCodec)] { media.map { (TrackShape($0), $0.codec) } }
    }

    /// The media that are wanted, as many as a stream can have tracks.
    private static func choose(_ sdp: SessionDescription, _ selection: TrackSelection) throws(PathError) -> Chosen {
        var chosen = Chosen()
        let receivable = sdp.receivableMedia
        guard !receivable.isEmpty else { throw .refused("the description names no media") }
        chosen.placeCount = receivable.count
        for (place, index) in receivable.enumerated() {
            guard chosen.media.count < tracksPerStreamMax, selection.wants(sdp.media[index], index: index) else {
                chosen.leftOut.append(sdp.media[index].codec.name)
                continue
            }
            chosen.indices.append(index)
            chosen.places.append(place)
            chosen.media.append(sdp.media[index])
        }
        guard chosen.media.isEmpty else { return chosen }
        let there = receivable.map { "\($0) \(sdp.media[$0].kind) \(sdp.media[$0].codec.name)" }.joined(separator: ", ")
        throw .refused("the source has none of the tracks that the path wants (tracks: \(selection)); it has \(there)")
    }

    private static func describe(
        _ sdp: SessionDescription, _ chosen: Chosen, _ change: TrackLedger.Change, _ ledger: TrackLedger, _ origin: SDPOrigin,
        _ name: String, stream: StreamHandle, counters: StreamCounters, version: Int
    ) -> StreamDescription {
        var origin = origin
        origin.sessionVersion = UInt64(version)
        let tracks = zip(change.slots, chosen.media).map { slot, media in
            StreamDescription.Track(
                number: slot, control: ledger.slots[slot].control, plan: ledger.slots[slot].plan, codec: media.codec)
        }
        return StreamDescription(
            sdp: sdp.forReaders(origin: origin, tracks: chosen.indices, controls: tracks.map(\.control)), tracks: tracks,
            map: map(chosen, change.slots), leftOut: chosen.leftOut, canonicalName: name, stream: stream, counters: counters,
            version: version)
    }

    private static func map(_ chosen: Chosen, _ slots: [Int]) -> TrackMap {
        var numbers = [Int?](repeating: nil, count: chosen.placeCount)
        for (place, slot) in zip(chosen.places, slots) { numbers[place] = slot }
        return TrackMap(numbers)
    }

    private static func randomSSRC() -> UInt32 { UInt32.random(in: 1...UInt32.max) }

    /// Twice what the description says, since sources exceed it in their busy seconds; nil when it says nothing of a video track
    /// or of none at all.
    private static func bitRate(of media: [MediaDescription]) -> Int? {
        guard media.allSatisfy({ $0.bitRate != nil || $0.kind != "video" }) else { return nil }
        let sum = media.compactMap(\.bitRate).reduce(UInt64(0)) { $0.addingReportingOverflow($1).partialValue }
        return sum == 0 ? nil : Int(clamping: min(sum, 1 << 40) * 2)
    }

    // MARK: The engine's reports

    /// `EnginePort` keeps delegates weakly, and the stream cannot be one before it is whole.
    private var delegate: Forward?

    private final class Forward: StreamDelegate {
        weak var stream: LiveStream?
        func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32) {
            guard let scope = stream?.description.scope else { return }
            scope.funnel.put(
                .source(SourceReport(path: scope.path, track: track, ssrc: ssrc, ntp: ntp, rtpTimestamp: rtpTime)))
        }
        func sourceBye(track: Int) { stream?.goodbye(track: track) }
        func parameterSets(track: Int) { stream?.onNotice?(.parameterSets(track: track)) }
        func packetTooLarge(track: Int, bytes: Int) { stream?.onNotice?(.packetTooLarge(track: track, bytes: bytes)) }
    }
}

extension TrackCodec {
    /// The engine's word for it.
    init(_ codec: KeyFrameCodec) {
        self =
            switch codec {
            case .opaque: .opaque
            case .h264: .h264
            case .h265: .h265
            case .av1: .av1
            case .vp8: .vp8
            case .vp9: .vp9
            case .mpeg4Part2: .mpeg4Part2
            case .mpeg12Video: .mpeg12Video
            case .jpeg: .jpeg
            case .mp2t: .mp2t
            }
    }
}
