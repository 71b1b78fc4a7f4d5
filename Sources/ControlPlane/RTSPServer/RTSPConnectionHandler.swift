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
