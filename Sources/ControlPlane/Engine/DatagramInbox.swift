import Glibc
import NIOCore
import NIOPosix
import PlaneLink

/// Reads a bound UDP socket on the control plane's event loop and hands datagrams on with their sender.
final class DatagramInbox: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    private let onDatagram: (HostAddress, UInt16, ByteBuffer) -> Void
    private let onPause: () -> Void

    private static let datagramsPerRead = 16

    private init(_ onDatagram: @escaping (HostAddress, UInt16, ByteBuffer) -> Void, _ onPause: @escaping () -> Void) {
        self.onDatagram = onDatagram
        self.onPause = onPause
    }

    /// Reads a duplicate of the descriptor, which stays its owner's. Of a datagram above `datagramBytesMax` the beginning is given.
    /// `onPause`: those that had come together were given.
    static func read(
        _ descriptor: CInt, _ loop: any EventLoop, datagramBytesMax: Int,
        _ onDatagram: @escaping (HostAddress, UInt16, ByteBuffer) -> Void, onPause: @escaping () -> Void = {}
    ) -> EventLoopFuture<any Channel> {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return loop.makeFailedFuture(ListenError(address: "media ports", trouble: "no descriptor is left")) }
        let inbox = NIOLoopBound(DatagramInbox(onDatagram, onPause), eventLoop: loop)
        return DatagramBootstrap(group: loop)
            .channelOption(.datagramVectorReadMessageCount, value: datagramsPerRead)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: datagramsPerRead * datagramBytesMax))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(inbox.value) }
            }
            .withBoundSocket(copy)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let host = HostAddress(envelope.remoteAddress), let port = envelope.remoteAddress.port.flatMap(UInt16.init(exactly:)) else {
            return
        }
        onDatagram(host, port, envelope.data)
    }

    func channelReadComplete(context: ChannelHandlerContext) { onPause() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An ICMP answer to something that was sent (the other's port is closed): it concerns that peer, not the socket.
    }
}
