import Glibc
import NIOCore

/// What a connection of the shared port is, as soon as that is known.
protocol ServerConnection: AnyObject {
    func received(_ bytes: ByteBuffer)
    /// More can be written, or no more for now.
    func pump()
    /// Ends it at once.
    func close()
    /// The connection is gone.
    func closed()
}

/// NIO's end of a connection.
final class RTSPConnectionHandler: ChannelInboundHandler, RemovableChannelHandler {
    /// In the pipeline.
    static let name = "rtsp"

    typealias InboundIn = ByteBuffer
    /// Who hears of it; another one when the first bytes show what the peer speaks.
    var connection: any ServerConnection

    init(connection: any ServerConnection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.received(unwrapInboundIn(data)) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { connection.pump() }

    func channelInactive(context: ChannelHandlerContext) {
        connection.closed()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { connection.close() }
}

extension Channel {
    /// The descriptor of a connection once more, for the engine; `words` name the connection. Throws when there is none to be had.
    func duplicateDescriptor(of words: String) throws -> CInt {
        let copy = try pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { descriptor in
            fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        }
        guard let copy, copy >= 0 else {
            throw ListenError(address: words, trouble: "no descriptor is left: raise the limit (`ulimit -n`)")
        }
        return copy
    }
}
