import Logging
import NIOCore
import PlaneLink
import WireFormats

/// A source that sends RTP to a group or to us without being asked (``RTPSource``). The group is joined while media is wanted, left when
/// it is not, and joined anew when nothing comes for the path's silence time.
final class RTPReceiver: PathSource {
    private let source: RTPSource
    private let port: EnginePort
    private let mediaPorts: MediaPorts
    private let logger: Logger
    private weak var host: (any PathSourceHost)?

    private let pursuit = LevelPursuit()
    private var plan: ReceptionPlan?
    private var description: StreamDescription?
    private var reception: Reception?
    private let watch: MediaWatch
    private let retry: LoopTimer
    /// The trouble was said; it is not said again before media comes.
    private var isInTrouble = false
    private(set) var words = "not opened"

    /// Pairs that are not closed yet. Their ports are free for the next ones when there are none.
    private var pairsOpen = 0

    /// What is received by just now.
    private struct Reception {
        let pairs: [DatagramPair]
        let sources: [EngineSource]
        var isActive = false
    }

    /// Between two attempts after one that failed (no such interface, a port that is taken).
    private static let retryMilliseconds = 5_000

    /// A source that opens its description when it is wanted.
    init(source: RTPSource, settings: PathSettings, port: EnginePort, mediaPorts: MediaPorts, host: any PathSourceHost, logger: Logger) {
        self.source = source
        self.port = port
        self.mediaPorts = mediaPorts
        self.host = host
        self.logger = logger
        watch = MediaWatch(port, silenceMilliseconds: settings.silenceMilliseconds, firstMilliseconds: nil)
        retry = LoopTimer(port.eventLoop)
    }

    var isDescribed: Bool { description != nil }

    // The description is a file: whether somebody sends is seen when we listen.
    var showsHealth: Bool { false }

    func want(_ level: SourceLevel) { pursuit.want(level, pursue) }

    private func pursue(_ goal: SourceLevel) {
        switch goal {
        case .idle:
            close()
            host?.sourceReleased()
        case .described:
            leave()
            open()
        case .playing:
            open()
            if reception == nil, !retry.isRunning { join() }
        }
    }

    // A sender that ends one recording may begin the next: the silence time tells whether it does.
    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        pursuit.end()
        close()
        done()
    }

    private func close() {
        retry.stop()
        leave()
        plan = nil
        description = nil
        isInTrouble = false
        words = "not opened"
    }

    private func open() {
        guard description == nil, !retry.isRunning else { return }
        do {
            let plan = try ReceptionPlan.read(source)
            self.plan = plan
            words = "described"
            description = try host?.sourceDescribed(plan.description)
        } catch { failed("\(error)", again: true) }
    }

    // MARK: Media

    private func join() {
        // When the engine let go of the last pair, this is tried again.
        guard let plan, let description, pairsOpen == 0 else { return }
        do {
            let interface = try source.interface.map { name throws(MulticastTrouble) in try NetworkInterface.named(name) }
            host?.mediaBegins()
            reception = try port.adding(to: description) { try receive(plan, description, interface) }
        } catch { return failed("\(error)", again: true) }
        words = "waiting for packets at \(plan.tracks.map(\.words).joined(separator: ", "))"
        if !isInTrouble { logger.info("listening", metadata: ["at": "\(plan.tracks.map(\.words).joined(separator: ", "))"]) }
        watch.start(description) { [weak self] event in
            switch event {
            // A report to a group would reach every member, and tell the sender nothing.
            case .noFirstPacket, .reportIsDue, .trackSilent: break
            case .silent(let seconds): self?.silent(seconds)
            case .dropsAreDue: self?.countDrops()
            }
        }
    }

    private func receive(_ plan: ReceptionPlan, _ description: StreamDescription, _ interface: NetworkInterface?) throws -> Reception {
        var pairs: [DatagramPair] = []
        var sources: [EngineSource] = []
        do {
            for (place, track) in plan.tracks.enumerated() {
                guard let number = description.map[place] else { continue }
                let pair = try track.open(interface: interface, buffers: mediaPorts.buffers)
                pairs.append(pair)
                pairsOpen += 1
                var uses = 0
                let sockets = [(pair.rtp, 2 * number), (pair.rtcp, 2 * number + 1)].prefix(pair.isMultiplexed ? 1 : 2)
                for (descriptor, channel) in sockets {
                    uses += 1
                    let release = { [weak self] in
                        uses -= 1
                        guard uses == 0 else { return }
                        pair.close()
                        self?.pairClosed()
                    }
                    let added = try EngineSource(port: port, release: release) { handle in
                        .addDatagramSource(
                            handle, description.stream, descriptor: descriptor, channel: UInt8(truncatingIfNeeded: channel),
                            peer: track.peer, port: 0)
                    }
                    added.onEnded = { [weak self] errorNumber in self?.ended(errorNumber) }
                    if channel % 2 == 0 { added.onActive = { [weak self] in self?.active() } }
                    sources.append(added)
                }
            }
        } catch {
            for added in sources { added.remove() }
            throw error
        }
        return Reception(pairs: pairs, sources: sources)
    }

    private func pairClosed() {
        pairsOpen -= 1
        if pairsOpen == 0, pursuit.level == .playing { want(.playing) }
    }

    /// The first packet of a track since the group was joined.
    private func active() {
        guard reception?.isActive == false else { return }
        reception?.isActive = true
        isInTrouble = false
        words = "playing"
        host?.sourcePlays()
    }

    private func silent(_ seconds: Int) {
        guard let plan else { return }
        failed("no packet at \(plan.tracks.map(\.words).joined(separator: ", ")) for \(seconds) s", again: false)
        // A switch may have forgotten the membership; joining anew reminds it. Nothing is missed by doing it at once.
        want(pursuit.level)
    }

    private func ended(_ errorNumber: CInt) { failed("the socket failed: \(GroupSocket.words(errorNumber))", again: true) }

    private func countDrops() {
        let drops = reception?.pairs.reduce(UInt64(0)) { $0 &+ $1.takeDrops() } ?? 0
        if drops > 0 { host?.sourceDropped(drops) }
    }

    private func leave() {
        watch.stop()
        guard let reception else { return }
        self.reception = nil
        for source in reception.sources { source.remove() }
        if description != nil { words = "described" }
    }

    private func failed(_ trouble: String, again: Bool) {
        leave()
        words = trouble
        if !isInTrouble { host?.sourceFailed(trouble) }
        isInTrouble = true
        guard again else { return }
        retry.start(milliseconds: Self.retryMilliseconds) { [weak self] in
            guard let self else { return }
            want(pursuit.level)
        }
    }
}
