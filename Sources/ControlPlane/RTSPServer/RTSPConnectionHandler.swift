import NIOCore

/// NIO's end of a connection.
final class RTSPConnectionHandler: ChannelInboundHandler, RemovableChannelHandler {
    /// In the pipeline.
    static let name = "rtsp"

    typealias InboundIn = ByteBuffer
    private let connection: RTSPConnection

    init(connection: RTSPConnection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.received(unwrapInboundIn(data)) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { connection.pump() }

    func channelInactive(context: ChannelHandlerContext) {
        connection.closed()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { connection.close() }
}
