import Logging
import NIOCore
import PlaneLink
import WireFormats

/// The path as its slate sees it.
protocol SlateHost: AnyObject {
    /// Somebody reads, or wants to.
    var isWatched: Bool { get }
    /// The source is there, as far as its connection tells.
    var isConnected: Bool { get }
    /// What is about to be sent has parameter sets of its own for a track: the source's must come again behind it.
    func slateReplacesParameterSets(of track: Int)
    /// Readers that wait for media are sent some.
    func slateBegan()
}

/// Fills the gap while a path's source is away: the last key frame twice a second, or a clip. The engine decides packet by packet that
/// nothing of it mixes with the source's; here is decided when it is worth trying.
final class Slate {
    weak var host: (any SlateHost)?

    private let kind: SlateSettings
    private let port: EnginePort
    private let logger: Logger
    private var watch: SlateWatch
    private let look: LoopTimer
    private let feed: LoopTimer
    private let afterMilliseconds: Int

    private var stream: StreamDescription?
    /// The track whose frames are looked for.
    private var anchor = 0
    private var trouble: String?
    private var clip: (clip: SlateClip, fit: SlateClip.Fit)?
    private var loaded: SlateClip?
    private var source: EngineSource?
    private var player: ClipPlayer?
    private var playerBegan = NIODeadline.uptimeNanoseconds(0)
    private var since: NIODeadline?
    private var times = 0
    private var framesBefore: UInt64 = 0

    /// `slate-after` is no shorter.
    static let afterMillisecondsMin = 100
    /// From one repetition to the next. Enough for players, which give up after seconds without a packet, and to bring newcomers in
    /// soon; and fewer bits than the source's own: a key frame is often ten times another one, and a stream of 25 frames a second
    /// with a key frame every two seconds makes as much as six of them in two.
    static let repeatMilliseconds = 500
    /// The counters are looked at so often at most.
    private static let lookMillisecondsMax = 100
    private static let lookMillisecondsMin = 25
    private static let catchUpMax = TimeAmount.milliseconds(500)

    /// Nil for a path whose settings want none.
    init?(_ settings: PathSettings, port: EnginePort, logger: Logger) {
        guard settings.slate != .off else { return nil }
        kind = settings.slate
        // What a program is fed may have waited to be put in order, and is not counted here.
        let hidden = settings.transforms.isEmpty ? 0 : (settings.redundancy.reorderPlan?.waitNanosecondsMax ?? 0) / 1_000_000
        afterMilliseconds = settings.slateAfterMilliseconds + Int(clamping: hidden)
        self.port = port
        self.logger = logger
        watch = SlateWatch(afterMilliseconds: afterMilliseconds)
        look = LoopTimer(port.eventLoop)
        feed = LoopTimer(port.eventLoop)
    }

    /// Whether readers are sent it just now.
    var isOn: Bool { since != nil }

    // MARK: The path's stream

    /// The path has a stream from here on.
    func streamBegan(_ description: StreamDescription) {
        streamEnded()
        stream = description
        watch = SlateWatch(afterMilliseconds: afterMilliseconds)
        prepare(description)
        beginLooking()
    }

    private func beginLooking() {
        guard trouble == nil else { return look.stop() }
        look.every(milliseconds: min(max(afterMilliseconds / 4, Self.lookMillisecondsMin), Self.lookMillisecondsMax)) { [weak self] in
            self?.lookAtSource()
        }
    }

    /// The source came back with other words for the same tracks, or with other tracks.
    func descriptionChanged(_ description: StreamDescription) {
        guard let before = stream else { return }
        stream = description
        let isOther = before.tracks != description.tracks
        if isOther {
            end()
            watch = SlateWatch(afterMilliseconds: afterMilliseconds)
        }
        prepare(description)
        if isOther { beginLooking() }
    }

    /// The stream is gone.
    func streamEnded() {
        look.stop()
        if let stream { framesBefore += stream.counters[.slateFrames] }
        end()
        stream = nil
    }

    private func prepare(_ description: StreamDescription) {
        trouble = nil
        clip = nil
        let video = description.tracks.first { $0.codec.keyFrameCodec != .opaque }
        anchor = video?.number ?? 0
        switch kind {
        case .off: break
        case .lastKeyFrame:
            if video?.codec.hasRepeatableKeyFrames != true {
                trouble = "of \(video?.codec.name ?? description.words) no key frame can be sent again; a clip may do (slate: FILE.rtpdump)"
            }
        case .clip(let file):
            do throws(ValueProblem) {
                let clip = if let loaded { loaded } else { try SlateClip(file: file) }
                loaded = clip
                let fit = try clip.fit(description)
                self.clip = (clip, fit)
                if !fit.silent.isEmpty {
                    logger.notice("the slate is silent", metadata: ["no-track-for": "\(fit.silent.joined(separator: ", "))"])
                }
            } catch { trouble = error.text }
        }
        if let trouble { logger.warning("no slate for this source", metadata: ["why": "\(trouble)"]) }
    }

    // MARK: Beginning and end

    private func lookAtSource() {
        guard let stream, let host, let track = stream.track(anchor) else { return }
        let step = stream.counters[anchor, .timestampStep]
        let sight = SlateWatch.Sight(
            packets: stream.counters[anchor, .packets], waiting: stream.counters[anchor, .waiting],
            frameNanoseconds: step * 1_000_000_000 / UInt64(max(track.plan.clockRate, 1)), isConnected: host.isConnected,
            isWatched: host.isWatched, now: port.eventLoop.now.uptimeNanoseconds)
        switch watch.look(sight) {
        case .begin: begin(stream)
        case .end: end()
        case nil: break
        }
    }

    private func begin(_ stream: StreamDescription) {
        since = port.eventLoop.now
        times += 1
        logger.info("the source is away: its slate begins", metadata: ["slate": "\(kind.words)"])
        // The counters were looked at a moment after the last packet came.
        port.submit(.beginSlate(stream.stream, silentNanoseconds: UInt64(afterMilliseconds) * 1_000_000))
        if let clip { play(clip.clip, clip.fit, stream) } else { repeatKeyFrame(stream.stream) }
        host?.slateBegan()
    }

    private func end() {
        feed.stop()
        source?.remove()
        source = nil
        player = nil
        guard let since else { return }
        self.since = nil
        let seconds = Double((port.eventLoop.now - since).nanoseconds) / 1e9
        logger.info("the slate ends", metadata: ["seconds": "\(seconds.tenths)"])
    }

    private func repeatKeyFrame(_ stream: StreamHandle) {
        port.submit(.repeatKeyFrame(stream))
        feed.start(milliseconds: Self.repeatMilliseconds) { [weak self] in self?.repeatKeyFrame(stream) }
    }

    // MARK: Clip

    private func play(_ clip: SlateClip, _ fit: SlateClip.Fit, _ stream: StreamDescription) {
        for track in stream.tracks where fit.channels[2 * track.number] != nil {
            host?.slateReplacesParameterSets(of: track.number)
        }
        do throws(EnginePort.Refusal) {
            source = try EngineSource(port: port, release: {}) { .addSlateSource($0, stream.stream, channels: fit.channels) }
        } catch { return logger.error("the slate cannot begin", metadata: ["why": "\(error)"]) }
        player = ClipPlayer(clip.clip, payloadTypes: fit.payloadTypes)
        playerBegan = port.eventLoop.now
        tick()
    }

    private func tick() {
        guard var player, let handle = source?.handle else { return }
        let now = port.eventLoop.now
        let late = now - (playerBegan + .nanoseconds(Int64(clamping: player.due)))
        if late > Self.catchUpMax { playerBegan = playerBegan + late }
        let elapsed = UInt64(clamping: (now - playerBegan).nanoseconds)
        while player.due <= elapsed {
            let frames = player.next()
            if !frames.isEmpty { _ = port.feed(handle, frames) }
        }
        self.player = player
        feed.start(at: playerBegan + .nanoseconds(Int64(clamping: player.due))) { [weak self] in self?.tick() }
    }

    // MARK: Status

    /// What it does, for ``Overview``.
    func overview(now: NIODeadline) -> SlateOverview {
        SlateOverview(
            kind: kind.words, isOn: isOn, sinceSeconds: since.map { (Double((now - $0).nanoseconds) / 1e9).tenths }, times: times,
            frames: framesBefore + (stream?.counters[.slateFrames] ?? 0), trouble: trouble)
    }
}
