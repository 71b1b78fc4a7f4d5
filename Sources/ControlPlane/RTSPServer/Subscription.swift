import Glibc
import NIOCore
import PlaneLink

/// One reader in the engine, from its handle to the report that the engine let go of it.
///
/// The engine's port keeps it until then, and it keeps the duplicate of the connection's descriptor that the engine writes to, so
/// the descriptor is closed once and after its last use.
final class Subscription: SubscriberDelegate {
    private let port: EnginePort
    private var handle = SubscriberHandle(index: .max, generation: 0)
    private var descriptor: CInt?
    private var isRemoved = false
    private var progress: StoredProgress?
    private var packetReached: UInt32 = 0

    /// The first packet was found.
    var onJoined: ((JoinPoint) -> Void)?
    /// The engine gave the reader up.
    var onFailed: ((SubscriberFailure) -> Void)?
    /// The reader missed packets.
    var onLagged: ((LagCause, UInt32) -> Void)?
    /// The file that it is sent from cannot be read from a packet on: it ends there (0), or for this reason.
    var onEnded: ((_ packet: UInt32, _ errorNumber: Int32) -> Void)?
    /// The engine let go of everything.
    var onGone: (() -> Void)?

    /// How soon a removal is tried again that found the engine's queue full.
    private static let retryMilliseconds: Int64 = 20

    private init(port: EnginePort, descriptor: CInt?) {
        self.port = port
        self.descriptor = descriptor
    }

    /// A UDP reader, sent from the sockets of that number. Throws ``EnginePort/Refusal``.
    static func datagram(
        port: EnginePort, stream: StreamHandle, host: HostAddress, ports: PortMap, sockets: UInt8 = MediaSockets.number
    ) throws -> Subscription {
        let reader = Subscription(port: port, descriptor: nil)
        try reader.add { .addDatagramSubscriber($0, stream, host: host, ports: ports, sockets: sockets) }
        return reader
    }

    /// An interleaved reader, which takes the descriptor over. Throws ``EnginePort/Refusal``.
    static func interleaved(port: EnginePort, stream: StreamHandle, descriptor: CInt, channels: ChannelMap) throws -> Subscription {
        let reader = Subscription(port: port, descriptor: descriptor)
        try reader.add { .addInterleavedSubscriber($0, stream, descriptor: descriptor, channels: channels) }
        return reader
    }

    /// A TCP reader of a stream that is sent as it is fed, which takes the descriptor over. Throws ``EnginePort/Refusal``.
    static func verbatim(port: EnginePort, stream: StreamHandle, descriptor: CInt, chunked: Bool) throws -> Subscription {
        let reader = Subscription(port: port, descriptor: descriptor)
        try reader.add { .addVerbatimSubscriber($0, stream, descriptor: descriptor, chunked: chunked) }
        return reader
    }

    /// A TCP reader of a stream whose packets lie in a file, which begins with the packet of that number when it is released to it. It takes the
    /// descriptor over. Throws ``EnginePort/Refusal``.
    static func stored(
        port: EnginePort, stream: StreamHandle, descriptor: CInt, first: UInt32, framing: StoredFraming
    ) throws -> Subscription {
        let reader = Subscription(port: port, descriptor: descriptor)
        let progress = StoredProgress(packet: first)
        reader.progress = progress
        reader.packetReached = first
        try reader.add { .addStoredSubscriber($0, stream, descriptor: descriptor, first: first, framing, progress) }
        return reader
    }

    private func add(_ command: (SubscriberHandle) -> Command) throws {
        do {
            handle = try port.takeSubscriberHandle(delegate: self)
            if !port.submit(command(handle)) {
                port.abandon(handle)
                throw EnginePort.Refusal.queueFull
            }
        } catch {
            isRemoved = true
            closeDescriptor()
            endProgress()
            throw error
        }
    }

    /// Asks for the first packet. False when the engine takes no commands just now.
    func arm(now: Bool) -> Bool { port.submit(.arm(handle, now: now)) }

    /// Sends from the first packet on. False when the engine takes no commands just now.
    func go() -> Bool { port.submit(.go(handle)) }

    /// Has this reader treated otherwise than the stream's policy says when it falls behind.
    func setOverload(_ policy: OverloadPolicy) { port.submitAlways(.setOverload(handle, policy)) }

    /// Lets a reader of a file have its packets before that one. False when the engine takes no commands just now.
    func release(upTo packet: UInt32) -> Bool { port.submit(.releaseStored(handle, upTo: packet)) }

    /// The first packet that a reader of a file has not begun to be sent.
    var packet: UInt32 { progress?.packet ?? packetReached }

    private func endProgress() {
        guard let progress else { return }
        packetReached = progress.packet
        self.progress = nil
        progress.free()
    }

    /// Sends no more.
    func pause() -> Bool { port.submit(.pause(handle)) }

    /// Nothing more of the stream from the packet of that number on, and then ``pause()``: see ``Command/sendLast(_:_:packet:)``. `onLeft` runs
    /// when the kernel has taken all before it, over TCP or UDP, or never will.
    func last(before packet: UInt32, onLeft: @escaping () -> Void) -> Bool { port.sendLast(handle, before: packet, onLeft: onLeft) }

    /// Begins with the packet of that number; ``onJoined`` follows. False when the engine takes no commands just now.
    func arm(at packet: UInt32) -> Bool { port.submit(.armAt(handle, packet: packet)) }

    /// Sends a UDP reader of finished RTP packets once more that it was sent already: see ``Command/resend(_:packet:following:port:)``. False
    /// when the engine takes no commands just now; then it may ask again.
    func resend(_ packet: UInt32, following: UInt64 = 0, to port: UInt16) -> Bool {
        self.port.submit(.resend(handle, packet: packet, following: following, port: port))
    }

    /// Sends bytes between two packets of an interleaved reader. False when the engine takes no more just now.
    func send(_ bytes: [UInt8]) -> Bool { port.send(handle, bytes) }

    /// The same, before the packet of that number.
    func send(_ bytes: [UInt8], before packet: UInt32, onLeft: @escaping () -> Void) -> Bool {
        port.send(handle, bytes, before: packet, onLeft: onLeft)
    }

    /// Where to begin and how fast, before it is armed: see ``Command/setBurst(_:nanoseconds:bitsPerSecondMax:)``.
    func setBurst(nanoseconds: UInt64, bitsPerSecondMax: UInt64) {
        port.submit(.setBurst(handle, nanoseconds: nanoseconds, bitsPerSecondMax: bitsPerSecondMax))
    }

    /// Changes the channels of an interleaved reader that is paused.
    func setChannels(_ channels: ChannelMap) -> Bool { port.submit(.setInterleavedChannels(handle, channels)) }

    /// Ends the reader; ``onGone`` follows.
    func remove() {
        guard !isRemoved else { return }
        onJoined = nil
        onFailed = nil
        onLagged = nil
        onEnded = nil
        guard port.submit(.removeSubscriber(handle)) else {
            // A removal must not be lost: it is what gives the handle and the descriptor back.
            port.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Self.retryMilliseconds)) { self.remove() }
            return
        }
        isRemoved = true
    }

    /// What the kernel knows of an interleaved reader's connection; nil for others, and when it is gone.
    var connectionState: ConnectionState? { descriptor.flatMap { ConnectionState(of: $0) } }

    private func closeDescriptor() {
        if let descriptor { Glibc.close(descriptor) }
        descriptor = nil
    }

    func subscriberJoined(at point: JoinPoint) { onJoined?(point) }

    func subscriberFailed(_ failure: SubscriberFailure) { onFailed?(failure) }

    func subscriberLagged(_ cause: LagCause, packets: UInt32) { onLagged?(cause, packets) }

    func subscriberEnded(packet: UInt32, errorNumber: Int32) { onEnded?(packet, errorNumber) }

    func subscriberRemoved() {
        // Also without our asking: the stream was removed, and its readers with it.
        isRemoved = true
        closeDescriptor()
        endProgress()
        let gone = onGone
        onGone = nil
        onJoined = nil
        onFailed = nil
        onLagged = nil
        onEnded = nil
        gone?()
    }
}
