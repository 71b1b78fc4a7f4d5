import PlaneLink
import WireFormats

/// A stream in the engine and its description. It outlives its source's connections: each is an epoch of it.
final class LiveStream {
    /// What became of a new description.
    enum Adoption: Equatable { case same, changed, incompatible }

    private(set) var description: StreamDescription
    let sizing: StreamSizing
    var handle: StreamHandle { description.stream }
    var counters: StreamCounters { description.counters }

    private var source: SessionDescription
    private let origin: SDPOrigin
    private let onGoodbye: () -> Void
    /// Parameter sets that tracks have shown, by track.
    private var learnt: [Int: ParameterSets] = [:]
    /// What the engine noticed of the stream's packets.
    var onNotice: ((Notice) -> Void)?
    private var hadMedia = false
    private var tracksGone: Set<Int> = []

    /// Opens a stream for a source's description; throws ``PathError/refused(_:)``.
    init(sdp: SessionDescription, settings: PathSettings, port: EnginePort, onGoodbye: @escaping () -> Void) throws(PathError) {
        let media = Self.media(of: sdp)
        guard !media.isEmpty else { throw .refused("the description names no media") }
        let limits = port.engine.limits
        sizing = StreamSizing(
            bitRate: settings.bitRate ?? Self.bitRate(of: media) ?? limits.bitRateDefault,
            windowMilliseconds: settings.windowMilliseconds ?? limits.windowMilliseconds, keepsKeyFrame: settings.slate != .off)
        source = sdp
        self.onGoodbye = onGoodbye
        origin = SDPOrigin(sessionID: UInt64.random(in: 1...(1 << 62)), sessionVersion: 1, address: "127.0.0.1")
        let plans = media.map {
            TrackPlan($0, ssrc: UInt32.random(in: 1...UInt32.max))
        }
        let forward = Forward()
        let opened: (handle: StreamHandle, counters: StreamCounters)
        do {
            opened = try port.addStream(tracks: plans, sizing: sizing, policy: settings.policy, delegate: forward)
        } catch { throw .refused(error.description) }
        let tracks = media.indices.map { number in
            StreamDescription.Track(number: number, control: "trackID=\(number)", plan: plans[number], codec: media[number].codec)
        }
        description = StreamDescription(
            sdp: Self.rewritten(sdp, origin), tracks: tracks, stream: opened.handle, counters: opened.counters, version: 1)
        delegate = forward
        forward.stream = self
    }

    /// Takes the description of a source that came back. An incompatible one changes nothing here.
    func adopt(_ sdp: SessionDescription) -> Adoption {
        guard sdp != source else { return .same }
        guard misfit(sdp) == nil else { return .incompatible }
        source = sdp
        let version = description.version + 1
        var origin = origin
        origin.sessionVersion = UInt64(version)
        let rewritten = Self.rewritten(sdp, origin)
        var next = StreamDescription(
            sdp: rewritten, tracks: description.tracks, stream: handle, counters: counters, version: version)
        learnt = next.stillLacking(learnt, of: description)
        next = next.with(learnt)
        let isSame = next.sdp.media == description.sdp.media
        description = next
        return isSame ? .same : .changed
    }

    /// Why a description cannot be taken into this stream, in words; nil when it can.
    func misfit(_ sdp: SessionDescription) -> String? {
        let media = Self.media(of: sdp)
        guard media.count == description.tracks.count else {
            return "it has \(media.count) tracks, and \(description.tracks.count) are served (\(description.words))"
        }
        for (offered, track) in zip(media, description.tracks) {
            let place = "track \(track.number)"
            guard offered.codec == track.codec else { return "\(place) is \(offered.codec.name) instead of \(track.codec.name)" }
            guard max(offered.clockRate, 1) == track.plan.clockRate else {
                return "the clock rate of \(place) is \(offered.clockRate) instead of \(track.plan.clockRate)"
            }
        }
        for (number, pair) in zip(media, Self.media(of: source)).enumerated() where pair.0.payloadTypes.first != pair.1.payloadTypes.first {
            func words(_ type: UInt8?) -> String { type.map { "\($0)" } ?? "none" }
            return
                "the payload type of track \(number) is \(words(pair.0.payloadTypes.first)) instead of \(words(pair.1.payloadTypes.first))"
        }
        return nil
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
        return true
    }

    /// Media of a (new) connection is about to be attached.
    func mediaBegins(_ port: EnginePort) {
        tracksGone = []
        if hadMedia { port.submit(.beginEpoch(handle)) }
        hadMedia = true
    }

    private func goodbye(track: Int) {
        tracksGone.insert(track)
        if tracksGone.count == description.tracks.count {
            tracksGone = []
            onGoodbye()
        }
    }

    // MARK: SDP

    /// The media that become tracks: as many as a stream can have.
    static func media(of sdp: SessionDescription) -> [MediaDescription] {
        indices(of: sdp).map { sdp.media[$0] }
    }

    static func indices(of sdp: SessionDescription) -> [Int] { Array(sdp.receivableMedia.prefix(tracksPerStreamMax)) }

    private static func rewritten(_ sdp: SessionDescription, _ origin: SDPOrigin) -> SessionDescription {
        sdp.forReaders(origin: origin, tracks: indices(of: sdp))
    }

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
        func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32) {}
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
