import Glibc
import Logging
import NIOCore
import PlaneLink
import WireFormats

/// A recording, or the demonstration clip, played as a live source in an endless loop.
final class FileSource: PathSource {
    private let load: () throws -> Clip
    private let port: EnginePort
    private let logger: Logger
    private weak var host: (any PathSourceHost)?

    private let pursuit = LevelPursuit()
    private var clip: Clip?
    private var description: StreamDescription?
    private var source: EngineSource?
    private var player: ClipPlayer?
    private var began = NIODeadline.now()
    private let feed: LoopTimer
    private let reports: LoopTimer
    private let retry: LoopTimer
    private(set) var words = "not opened"

    /// What was missed in a longer stall is not made up for in one burst: the clip goes on later instead.
    private static let catchUpMax = TimeAmount.milliseconds(500)
    private static let retryMilliseconds = 5_000
    /// Often, so that a new reader can bring its tracks in step soon.
    private static let reportMilliseconds = 1_000
    private static let canonicalName = "weir-clip"

    /// A source that opens its file when it is wanted.
    init(port: EnginePort, host: any PathSourceHost, logger: Logger, load: @escaping () throws -> Clip) {
        self.load = load
        self.port = port
        self.host = host
        self.logger = logger
        feed = LoopTimer(port.eventLoop)
        reports = LoopTimer(port.eventLoop)
        retry = LoopTimer(port.eventLoop)
    }

    var isDescribed: Bool { description != nil }

    func want(_ level: SourceLevel) { pursuit.want(level, pursue) }

    private func pursue(_ goal: SourceLevel) {
        switch goal {
        case .idle:
            retry.stop()
            stopPlaying()
            description = nil
            words = "not opened"
            host?.sourceReleased()
        case .described:
            stopPlaying()
            open()
        case .playing:
            open()
            if source == nil { play() }
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        retry.stop()
        stopPlaying()
        description = nil
        done()
    }

    private func open() {
        guard description == nil, !retry.isRunning else { return }
        do {
            let clip = try self.clip ?? load()
            self.clip = clip
            words = "open"
            description = try host?.sourceDescribed(clip.description)
        } catch {
            words = "\(error)"
            host?.sourceFailed(words)
            retry.start(milliseconds: Self.retryMilliseconds) { [weak self] in
                guard let self else { return }
                want(pursuit.level)
            }
        }
    }

    private func play() {
        guard let clip, let description else { return }
        host?.mediaBegins()
        do {
            let stream = description.stream
            source = try port.adding(to: description) {
                try EngineSource(port: port, release: {}) { handle in
                    .addFedSource(handle, stream, channels: description.map.channels)
                }
            }
        } catch {
            words = "\(error)"
            host?.sourceFailed(words)
            return
        }
        words = "playing"
        let media = clip.description.receivableMedia.map { clip.description.media[$0] }
        player = ClipPlayer(
            clip, payloadTypes: media.enumerated().map { description.map[$0] == nil ? nil : $1.payloadTypes.first })
        began = .now()
        report()
        reports.every(milliseconds: Self.reportMilliseconds) { [weak self] in self?.report() }
        tick()
        host?.sourcePlays()
    }

    private func stopPlaying() {
        feed.stop()
        reports.stop()
        source?.remove()
        source = nil
        player = nil
    }

    private func tick() {
        guard var player, let handle = source?.handle else { return }
        let now = NIODeadline.now()
        let late = now - (began + .nanoseconds(Int64(clamping: player.due)))
        if late > Self.catchUpMax { began = began + late }
        let elapsed = UInt64(clamping: (now - began).nanoseconds)
        // A group that the engine cannot take now is lost, as on a network.
        while player.due <= elapsed { _ = port.feed(handle, player.next()) }
        self.player = player
        feed.start(at: began + .nanoseconds(Int64(clamping: player.due))) { [weak self] in self?.tick() }
    }

    private func report() {
        guard let player, let handle = source?.handle else { return }
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        let unix = UInt64(clamping: time.tv_sec) * 1_000_000_000 + UInt64(clamping: time.tv_nsec)
        let elapsed = UInt64(clamping: (NIODeadline.now() - began).nanoseconds)
        _ = port.feed(handle, player.senderReports(elapsed: elapsed, unixNanoseconds: unix, canonicalName: Self.canonicalName))
    }
}
