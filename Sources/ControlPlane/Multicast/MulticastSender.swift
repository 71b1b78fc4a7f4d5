import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Sends a path to its group: one reader in the engine, however many sessions ask for it. Belongs to the event loop.
///
/// A session holds the group from SETUP to its end, which keeps the sockets open, and plays it from PLAY to PAUSE. The first to play
/// begins at a key frame; who plays later hears the group where it is.
final class MulticastSender {
    /// Hears what becomes of a session's part.
    typealias Joined = (JoinPoint) -> Void
    typealias Failed = (SubscriberFailure) -> Void

    let settings: MulticastSettings
    let destination: MulticastSettings.Destination
    private let pathName: String
    private let extensions: RelayExtensions
    private let overload: ReaderSettings.Overload
    private let port: EnginePort
    private let mediaPorts: MediaPorts
    private let logger: Logger
    private let patience: LoopTimer
    private var egress: MulticastEgress?
    private var holders: Set<ObjectIdentifier> = []
    private var players: [ObjectIdentifier: Failed] = [:]
    private var state = State.idle
    /// What the path's stream consists of.
    private var tracks: [StreamDescription.Track] = []
    private var canonicalName = ""

    private enum State {
        case idle
        /// Waits for the first packet, and with it those who asked.
        case arming(Subscription, waiting: [Joined])
        case sending(Subscription)
    }

    /// How long a key frame is waited for before the group begins at any packet.
    private static let keyFrameMilliseconds = 10_000
    /// How long the next packet is waited for to name it to somebody who plays later.
    private static let cueMilliseconds = 1_000

    /// Sends nothing yet. Nil when the path's settings name no group.
    init?(
        _ path: PathSettings, port: EnginePort, mediaPorts: MediaPorts, extensions: RelayExtensions = RelayExtensions(), logger: Logger
    ) {
        guard let destination = path.multicast.destination else { return nil }
        pathName = path.name
        self.extensions = extensions
        settings = path.multicast
        overload = path.readers.overload
        self.destination = destination
        self.port = port
        self.mediaPorts = mediaPorts
        self.logger = logger
        patience = LoopTimer(port.eventLoop)
    }

    /// Says in the log what cannot work as things are: an interface may still come, so it is no reason not to start.
    func warnOfTrouble() {
        do throws(MulticastTrouble) { _ = try MulticastEgress.interface(settings) } catch {
            logger.warning("multicast is not possible as things are", metadata: ["trouble": "\(error)"])
        }
    }

    // MARK: What descriptions and answers say

    /// A track's part of the group, for the answer to its SETUP.
    func offer(track: Int) -> MulticastOffer {
        MulticastOffer(
            group: destination.group.text, port: destination.port &+ UInt16(truncatingIfNeeded: 2 * track), ttl: settings.ttl,
            isOnly: settings.isOnly)
    }

    /// Where the packets come from, while somebody holds the group.
    var sourceText: String? { egress?.source.text }

    /// The description for those who listen to the group. It names the sender where receivers need it or the user chose it.
    ///
    /// - Parameter tracks: the media's numbers, by which they have their ports; nil: their places.
    func description(_ sdp: SessionDescription, tracks: [Int]? = nil) -> SessionDescription {
        let isIPv6 = destination.group.ipv4 == nil
        let connection = SDPConnection(address: destination.group.text, isIPv6: isIPv6, ttl: isIPv6 ? nil : settings.ttl)
        var source = settings.source
        if source == nil, destination.group.isSourceSpecific { source = egress?.source ?? routedSource }
        return sdp.forGroup(connection, firstPort: destination.port, tracks: tracks, source: source?.text)
    }

    private var routedSource: HostAddress? {
        let interface: NetworkInterface? = settings.interface.flatMap { try? NetworkInterface.named($0) }
        return try? GroupSocket.source(of: destination.group, port: destination.port, interface: interface)
    }

    // MARK: Sessions

    /// A session is set up for the group; opens the sockets for the first one. Throws what the user should know.
    func hold(_ holder: AnyObject) throws {
        if egress == nil { egress = try .open(settings, to: destination, port: port, mediaPorts: mediaPorts) }
        holders.insert(ObjectIdentifier(holder))
    }

    /// The counterpart of ``hold(_:)``, in any state. The last one closes the sockets.
    func release(_ holder: AnyObject) {
        leave(holder)
        guard holders.remove(ObjectIdentifier(holder)) != nil, holders.isEmpty else { return }
        egress?.release()
        egress = nil
    }

    /// A holder wants the group to be sent. `joined` gets the first packet of each track from here on, as far as they are known, before
    /// it is sent if this is the first one; `failed` is called when the engine gives up afterwards.
    func play(_ player: AnyObject, stream: StreamHandle, failed: @escaping Failed, joined: @escaping Joined) throws {
        guard let egress else { throw MulticastTrouble("the group is not set up") }
        switch state {
        case .sending: cue(egress, stream, joined)
        case .arming(let subscription, let waiting): state = .arming(subscription, waiting: waiting + [joined])
        case .idle: try begin(egress, stream, joined)
        }
        players[ObjectIdentifier(player)] = failed
    }

    /// A player wants no more (PAUSE, the end). The group goes on as long as others play.
    func leave(_ player: AnyObject) {
        guard players.removeValue(forKey: ObjectIdentifier(player)) != nil, players.isEmpty else { return }
        end()
    }

    // MARK: Tracks

    /// The path's stream is this one from here on; nil when it ends. Who listens hears goodbye of those that are gone.
    func sends(_ description: StreamDescription?) {
        let next = description?.tracks ?? []
        sayGoodbye(tracks.filter { track in !next.contains { $0.plan.ssrc == track.plan.ssrc } })
        tracks = next
        canonicalName = description?.canonicalName ?? ""
    }

    private func sayGoodbye(_ gone: [StreamDescription.Track]) {
        guard case .sending = state, let egress, !gone.isEmpty, extensions.saysGoodbye(path: pathName) else { return }
        for track in gone {
            let port = destination.port &+ UInt16(truncatingIfNeeded: 2 * track.number + 1)
            egress.send(RTCPWriter.goodbye(from: track.plan.ssrc, canonicalName: canonicalName), to: destination.group, port: port)
        }
    }

    // MARK: Engine

    private var ports: PortMap {
        var ports = PortMap()
        for channel in 0..<channelsPerStreamMax { ports[channel] = destination.port &+ UInt16(truncatingIfNeeded: channel) }
        return ports
    }

    private func begin(_ egress: MulticastEgress, _ stream: StreamHandle, _ joined: @escaping Joined) throws {
        let subscription = try egress.subscribe(stream: stream, host: destination.group, ports: ports)
        subscription.onJoined = { [weak self] in self?.joined(at: $0) }
        subscription.onFailed = { [weak self] in self?.failed($0) }
        subscription.onLagged = { [weak self] in self?.lagged($0, packets: $1) }
        // A group is never disconnected for being slow: it would be taken from all who hear it well.
        if overload == .disconnect { subscription.setOverload(.dropOldest) }
        guard subscription.arm(now: false) else {
            subscription.remove()
            throw EnginePort.Refusal.queueFull
        }
        state = .arming(subscription, waiting: [joined])
        patience.start(milliseconds: Self.keyFrameMilliseconds) { [weak self] in self?.beginAnywhere() }
        logger.info(
            "multicast begins",
            metadata: [
                "group": "\(destination.group.text(port: destination.port))", "ttl": "\(settings.ttl)", "source": "\(egress.source.text)",
            ])
    }

    /// Some streams have no key frames that we know, and some senders none in all that time.
    private func beginAnywhere() {
        guard case .arming(let subscription, _) = state else { return }
        guard subscription.arm(now: true) else { return failed(.queueFull) }
        patience.start(milliseconds: Self.keyFrameMilliseconds) { [weak self] in
            guard let self, case .arming(let subscription, let waiting) = state else { return }
            // Not a single packet came: who asked hears that it plays, and gets what comes whenever it comes.
            state = .arming(subscription, waiting: [])
            for joined in waiting { joined(JoinPoint()) }
        }
    }

    private func joined(at point: JoinPoint) {
        guard case .arming(let subscription, let waiting) = state else { return }
        patience.stop()
        state = .sending(subscription)
        // Those who asked are answered first: an answer that is known to come after the media would be of no use.
        for joined in waiting { joined(point) }
        if case .sending = state, !subscription.go() { failed(.queueFull) }
    }

    /// The next packet of each track, for somebody who plays while the group is sent: a reader that is armed and never sent anything.
    private func cue(_ egress: MulticastEgress, _ stream: StreamHandle, _ joined: @escaping Joined) {
        guard let probe = try? egress.subscribe(stream: stream, host: destination.group, ports: ports) else { return joined(JoinPoint()) }
        let deadline = LoopTimer(port.eventLoop)
        var isAnswered = false
        func answer(_ point: JoinPoint) {
            guard !isAnswered else { return }
            isAnswered = true
            deadline.stop()
            probe.remove()
            joined(point)
        }
        probe.onJoined = { answer($0) }
        probe.onFailed = { _ in answer(JoinPoint()) }
        deadline.start(milliseconds: Self.cueMilliseconds) { answer(JoinPoint()) }
        if !probe.arm(now: true) { answer(JoinPoint()) }
    }

    private func lagged(_ cause: LagCause, packets: UInt32) {
        logger.warning(
            "multicast missed packets",
            metadata: [
                "group": "\(destination.group.text(port: destination.port))", "cause": "\(cause.words)", "packets": "\(packets)",
            ])
    }

    private func failed(_ failure: SubscriberFailure) {
        let told = players
        players = [:]
        end()
        logger.warning("multicast failed", metadata: ["reason": "\(failure)"])
        for failed in told.values { failed(failure) }
    }

    private func end() {
        patience.stop()
        switch state {
        case .idle: return
        case .arming(let subscription, _), .sending(let subscription): subscription.remove()
        }
        state = .idle
        logger.info("multicast ends", metadata: ["group": "\(destination.group.text(port: destination.port))"])
    }
}
