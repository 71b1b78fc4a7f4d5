import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import WireFormats

/// An ASF file that all players see at the same place, round after round: as from an encoder.
final class WindowsMediaFileBroadcast: PathSource, WindowsMediaLive {
    private let name: String
    private let settings: PathSettings
    private let port: EnginePort
    private let logger: Logger
    private weak var host: (any PathSourceHost)?
    private let pursuit = LevelPursuit()
    private let retry: LoopTimer
    private(set) var broadcast: WindowsMediaBroadcast?
    let waiting = BroadcastWaiting()
    private(set) var words = "not opened"
    private var pump: FilePump?
    private var isOpening = false
    private var line = WindowsMediaTimeLine()
    private var file: WindowsMediaFile?
    private let watch: LoopTimer
    /// A version that is not played, for it may still be being written.
    private var unsettled: WindowsMediaFile.Version?
    private var refreshing: [() -> Void] = []

    private static let retryMilliseconds = 5_000
    /// How often is looked whether the file was replaced. One that is written where the old one lay is played when it stays as it is for
    /// so long; another under the name, at once.
    private static let watchMilliseconds = 2_000

    /// A broadcast that begins when it is wanted.
    init(name: String, settings: PathSettings, port: EnginePort, host: any PathSourceHost, logger: Logger) {
        self.name = name
        self.settings = settings
        self.port = port
        self.host = host
        self.logger = logger
        retry = LoopTimer(port.eventLoop)
        watch = LoopTimer(port.eventLoop)
    }

    func want(_ level: SourceLevel) {
        pursuit.want(level) { [self] level in
            guard level == .idle else { return open() }
            end("nobody is interested")
            words = "not opened"
            host?.sourceReleased()
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        pursuit.end()
        end("Weir stops")
        waiting.fail(.notReady("Weir stops", retryAfterSeconds: Path.retryAfterSeconds))
        done()
    }

    private func end(_ reason: String) {
        retry.stop()
        watch.stop()
        pump?.stop()
        pump = nil
        file = nil
        unsettled = nil
        broadcast?.end(reason)
        broadcast = nil
    }

    private func open() {
        guard broadcast == nil, !isOpening, !retry.isRunning else { return }
        isOpening = true
        let name = name
        NIOThreadPool.singleton.runIfActive(eventLoop: port.eventLoop) { try WindowsMediaFile.open(name) }
            .assumeIsolated().whenComplete { [weak self] result in
                guard let self else { return }
                isOpening = false
                guard pursuit.level > .idle else { return }
                do { try begin(try result.get()) } catch { failed("\(error)") }
            }
    }

    private func begin(_ file: WindowsMediaFile) throws {
        let header = try file.header.rewritten(ASFRewrite(form: .live))
        let broadcast = WindowsMediaBroadcast(header: header, settings: settings, port: port, logger: logger)
        self.broadcast = broadcast
        line = WindowsMediaTimeLine()
        words = "playing"
        host?.sourcePlays()
        waiting.succeed(broadcast)
        play(file, into: broadcast, from: port.eventLoop.now)
        watch.every(milliseconds: Self.watchMilliseconds) { [weak self] in self?.refresh(settles: true) {} }
    }

    // MARK: Another version

    func refresh(_ done: @escaping () -> Void) { refresh(settles: false, done) }

    /// Looks at the file. `settles`: a version that was there at the last such look, too, is played.
    private func refresh(settles: Bool, _ done: @escaping () -> Void) {
        refreshing.append(done)
        guard refreshing.count == 1 else { return }
        guard let file else { return refreshed() }
        let name = name, played = file.version, unsettled = unsettled
        NIOThreadPool.singleton.runIfActive(eventLoop: port.eventLoop) { () -> (WindowsMediaFile.Version?, WindowsMediaFile?) in
            guard let found = WindowsMediaFile.version(of: name), found != played else { return (nil, nil) }
            guard found.inode != played?.inode || settles && found == unsettled else { return (found, nil) }
            // What cannot be read yet, or ever, is looked at again; the old one goes on.
            return (found, try? WindowsMediaFile.open(name))
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            if self.file === file, case .success(let (found, next)) = result {
                if let next { replace(with: next) } else if settles { self.unsettled = found }
            }
            refreshed()
        }
    }

    private func refreshed() {
        let waiting = refreshing
        refreshing = []
        for done in waiting { done() }
    }

    /// Goes on with another version: on the same time line where its header allows that, else behind a new header.
    private func replace(with next: WindowsMediaFile) {
        guard let broadcast, let header = try? next.header.rewritten(ASFRewrite(form: .live)) else { return }
        logger.notice("the file was replaced", metadata: ["path": "\(name)", "packets": "\(next.packetCount)"])
        unsettled = nil
        let due = pump?.lastDue ?? port.eventLoop.now
        pump?.stop()
        line.begins(goingOn: header.continues(broadcast.header))
        // Newcomers get this header even where the one before would do.
        if header.bytes == broadcast.header.bytes { broadcast.begins(header) } else { broadcast.take(header) }
        play(next, into: broadcast, from: max(due + .milliseconds(Int64(max(line.lastDuration, 1))), port.eventLoop.now))
    }

    private func play(_ file: WindowsMediaFile, into broadcast: WindowsMediaBroadcast, from start: NIODeadline) {
        var plan = FilePump.Plan(file: file, selection: WMSPSelection(whole: file.header.streamNumbers), packets: 0..<file.packetCount)
        plan.start = start
        self.file = file
        let pump = FilePump(plan: plan, eventLoop: port.eventLoop)
        self.pump = pump
        pump.write = { [weak self, weak broadcast] packet, _ in
            guard let self, let broadcast else { return }
            var packet = packet
            do {
                try line.move(&packet, packetBytes: file.header.packetBytes)
                broadcast.take(packet: packet)
            } catch { broadcast.countBroken() }
        }
        pump.flush = { [weak broadcast] in
            broadcast?.flush()
            return true
        }
        pump.onEnd = { [weak self, weak broadcast, weak pump] (end: PumpEnd) in
            guard let self, let broadcast, self.broadcast === broadcast else { return }
            guard end == .done else { return failed("\(end)") }
            line.begins(goingOn: true)
            // The next round is due when the last packet's time is over, and no round takes no time at all.
            let due = (pump?.lastDue ?? start) + .milliseconds(Int64(max(line.lastDuration, 1)))
            play(file, into: broadcast, from: max(due, start + .milliseconds(FilePump.quantumMilliseconds)))
        }
        pump.start()
    }

    private func failed(_ words: String) {
        self.words = words
        end(words)
        host?.sourceFailed(words)
        retry.start(milliseconds: Self.retryMilliseconds) { [weak self] in
            guard let self else { return }
            want(pursuit.level)
        }
    }
}
