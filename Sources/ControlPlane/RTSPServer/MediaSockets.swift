import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink

/// The pair of UDP sockets that all UDP readers are sent from. The engine writes to them; what comes in is read here: receiver
/// reports, and the packets with which players open their NAT.
///
/// NIO reads duplicates of the descriptors, so that each side closes what is its own; ``close()`` is for when the engine has
/// stopped.
final class MediaSockets {
    let rtpPort: UInt16
    let rtcpPort: UInt16
    private let pair: DatagramPair
    private let channels: [any Channel]

    /// The engine's number of this pair.
    static let number: UInt8 = 0
    /// What is asked of the kernel for the send buffer: a train of a key frame to thousands of readers passes through it at once.
    private static let sendBufferBytes: CInt = 8 << 20
    /// Room for one datagram; reports are far below, and of what is longer the beginning suffices.
    private static let datagramBytesMax = 2_048
    private static let datagramsPerRead = 16

    private init(pair: DatagramPair, channels: [any Channel]) {
        self.pair = pair
        self.channels = channels
        rtpPort = pair.rtpPort
        rtcpPort = pair.rtcpPort
    }

    /// Binds a pair at the listen address and names it to the engine. `onReport` gets every datagram of the RTCP port.
    static func open(
        at address: SocketAddress, mediaPorts: MediaPorts, port: EnginePort, logger: Logger,
        onReport: @escaping (HostAddress, UInt16, ByteBuffer) -> Void
    ) throws -> EventLoopFuture<MediaSockets> {
        let pair = try mediaPorts.open(at: address)
        let granted = [pair.rtp, pair.rtcp].map(widen)
        // Reports are to come one by one, not several of equal size in one train.
        for descriptor in [pair.rtp, pair.rtcp] { BoundSocket.set(descriptor, 17 /* SOL_UDP */, 104 /* UDP_GRO */, 0) }
        let ports = "\(pair.rtpPort)-\(pair.rtcpPort)"
        logger.info("media ports of readers", metadata: ["ports": "\(ports)", "send-buffer-bytes": "\(granted[0])"])
        port.submit(.addDatagramEgress(number, rtp: pair.rtp, rtcp: pair.rtcp))
        let rtp = read(pair.rtp, port.eventLoop) { _, _, _ in }
        let rtcp = read(pair.rtcp, port.eventLoop, onReport)
        return rtp.and(rtcp).assumeIsolated().map { MediaSockets(pair: pair, channels: [$0, $1]) }.nonisolated()
    }

    private static func read(
        _ descriptor: CInt, _ loop: any EventLoop, _ onDatagram: @escaping (HostAddress, UInt16, ByteBuffer) -> Void
    ) -> EventLoopFuture<any Channel> {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return loop.makeFailedFuture(ListenError(address: "media ports", trouble: "no descriptor is left")) }
        let bound = NIOLoopBound(onDatagram, eventLoop: loop)
        return DatagramBootstrap(group: loop)
            .channelOption(.datagramVectorReadMessageCount, value: datagramsPerRead)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: datagramsPerRead * datagramBytesMax))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramInbox(onDatagram: bound.value))
                }
            }
            .withBoundSocket(copy)
    }

    /// Closes both sockets; the engine must not use them any more.
    func close() {
        for channel in channels { channel.close(promise: nil) }
        pair.close()
    }

    /// Makes the send buffer as large as allowed and says how large it became.
    private static func widen(_ descriptor: CInt) -> CInt {
        // FORCE passes `net.core.wmem_max` and needs CAP_NET_ADMIN; without it the plain option is cut to that limit.
        if !BoundSocket.set(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, sendBufferBytes) {
            BoundSocket.set(descriptor, SOL_SOCKET, SO_SNDBUF, sendBufferBytes)
        }
        return BoundSocket.get(descriptor, SOL_SOCKET, SO_SNDBUF) ?? 0
    }
}

/// Hands datagrams on with their sender.
private final class DatagramInbox: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    private let onDatagram: (HostAddress, UInt16, ByteBuffer) -> Void

    init(onDatagram: @escaping (HostAddress, UInt16, ByteBuffer) -> Void) { self.onDatagram = onDatagram }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let host = HostAddress(envelope.remoteAddress), let port = envelope.remoteAddress.port.flatMap(UInt16.init(exactly:)) else {
            return
        }
        onDatagram(host, port, envelope.data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An ICMP answer to something the engine sent (a reader's port is closed): it concerns that reader, not the socket.
    }
}
