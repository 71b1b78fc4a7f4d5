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

    private static let retryMilliseconds = 5_000

    /// A broadcast that begins when it is wanted.
    init(name: String, settings: PathSettings, port: EnginePort, host: any PathSourceHost, logger: Logger) {
        self.name = name
        self.settings = settings
        self.port = port
        self.host = host
        self.logger = logger
        retry = LoopTimer(port.eventLoop)
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
        pump?.stop()
        pump = nil
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
    }

    private func play(_ file: WindowsMediaFile, into broadcast: WindowsMediaBroadcast, from start: NIODeadline) {
        var plan = FilePump.Plan(file: file, selection: WMSPSelection(whole: file.header.streamNumbers), packets: 0..<file.packetCount)
        plan.start = start
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
