import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// One player of a broadcast: a reader in the engine that is sent the bytes of its selection. Belongs to the event loop.
final class LivePlay {
    private let play: WMSPPlay
    private let broadcast: WindowsMediaBroadcast
    private let connection: WMSPConnection
    private let port: EnginePort
    private var variant: WindowsMediaVariant?
    private var subscription: Subscription?
    private var selection: WMSPSelection
    private var onEnd: ((String?) -> Void)?
    private var keyFrameDeadline: NIODeadline?
    private var isOver = false
    private(set) var packetsMissed: UInt64 = 0
    /// It missed packets.
    var onLagged: ((LagCause, UInt32) -> Void)?

    /// How long a key frame is waited for before anything will do.
    static let keyFrameWaitSeconds: Int64 = 10

    init(_ play: WMSPPlay, broadcast: WindowsMediaBroadcast, connection: WMSPConnection, port: EnginePort) {
        self.play = play
        self.broadcast = broadcast
        self.connection = connection
        self.port = port
        selection = play.selection
    }

    /// Sends from the next place on at which it can begin. `onEnd` is called once if the broadcast, or the engine's patience, ends.
    func start(onEnd: @escaping (_ failure: String?) -> Void) {
        self.onEnd = onEnd
        broadcast.addObserver(self)
        // What NIO still holds must leave before the engine writes its first byte.
        connection.whenFree { [weak self] in self?.attach() }
    }

    private func attach() {
        guard !isOver else { return }
        do {
            let variant = try broadcast.variant(selection)
            self.variant = variant
            variant.playerArrived()
            let subscription = try Subscription.verbatim(
                port: port, stream: variant.stream, descriptor: try connection.duplicateDescriptor(), chunked: play.isChunked)
            self.subscription = subscription
            subscription.onJoined = { [weak self] (_: JoinPoint) in self?.joined() }
            subscription.onFailed = { [weak self] (_: SubscriberFailure) in self?.connection.close() }
            subscription.onLagged = { [weak self] (cause: LagCause, packets: UInt32) in
                self?.packetsMissed += UInt64(packets)
                self?.onLagged?(cause, packets)
            }
            subscription.onGone = { [connection] in connection.writesReturned() }
            // Bytes of the protocol go behind all packets that came until now.
            connection.handWritesOver { bytes, onLeft in
                variant.flush()
                return subscription.send(bytes, before: variant.packetsFed, onLeft: onLeft)
            }
            if let fast = play.fastStart {
                subscription.setBurst(nanoseconds: UInt64(fast.milliseconds) * 1_000_000, bitsPerSecondMax: UInt64(fast.bitsPerSecond))
            }
            guard subscription.arm(now: false) else { return fail("the engine is busy") }
            keyFrameDeadline = .now() + .seconds(Self.keyFrameWaitSeconds)
        } catch { fail("\(error)") }
    }

    private func joined() {
        keyFrameDeadline = nil
        if subscription?.go() != true { fail("the engine is busy") }
    }

    /// The streams of the next header, or others of this one. The same go on; for others the connection is closed, and the player comes back.
    func select(_ selection: WMSPSelection) {
        guard selection != self.selection else { return }
        connection.drain()
    }

    /// An entry ended, and the player has not said what it wants: it is sent nothing more here, and comes back.
    func hold() { connection.drain() }

    func sweep(now: NIODeadline) {
        guard let deadline = keyFrameDeadline, now >= deadline else { return }
        // Better a picture that builds up than none: some streams have no key frames that we know.
        keyFrameDeadline = nil
        if subscription?.arm(now: true) != true { fail("the engine is busy") }
    }

    private func fail(_ words: String) {
        let onEnd = onEnd
        self.onEnd = nil
        onEnd?(words)
    }

    /// Sends nothing more; what the connection is given from now on comes behind what was sent.
    func stop() {
        guard !isOver else { return }
        isOver = true
        onEnd = nil
        broadcast.removeObserver(self)
        guard let subscription else {
            variant?.playerLeft()
            return
        }
        // What was begun is finished, and what follows in this turn leaves, before the engine lets go: a removal would cut it off.
        _ = subscription.pause()
        port.eventLoop.assumeIsolated().execute { [connection, variant] in
            connection.whenOver {
                connection.writesReturn()
                subscription.remove()
                variant?.playerLeft()
            }
        }
        self.subscription = nil
    }
}

extension LivePlay: WindowsMediaBroadcastObserver {
    func broadcastEnded(_ reason: String) {
        let onEnd = onEnd
        self.onEnd = nil
        onEnd?(nil)
    }
}
