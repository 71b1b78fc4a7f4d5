import Logging
import NIOCore
import NIOPosix

/// A relay's end of its control socket: takes requests (``ControlRequest``), one at a time from each connection, and answers each with a
/// line of JSON (``ControlAnswer``). Has a thread of its own, so that what is written for people never makes media wait.
final class ControlServer: Sendable {
    /// What answers a request; called on the server's thread, with its event loop.
    typealias Answer = @Sendable (ControlRequest, any EventLoop) -> EventLoopFuture<ControlAnswer>

    private let group: MultiThreadedEventLoopGroup
    private let channel: any Channel
    private let file: ControlSocketFile

    /// Connections at a time.
    static let connectionsMax = 16
    /// A connection that asks nothing for so long is closed.
    static let idleSeconds: Int64 = 60
    /// No answer is longer; a longer one is refused with words.
    static let answerBytesMax = 8 << 20
    private static let backlog: Int32 = 16

    /// Where it listens.
    var path: String { file.path }

    /// Listens at `path`. Waits until it does. Throws ``ControlPlace/Trouble``.
    init(path: String, idleSeconds: Int64 = ControlServer.idleSeconds, answer: @escaping Answer) throws {
        let file = try ControlSocketFile(binding: path)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.file = file
        self.group = group
        let connections = NIOLoopBoundBox.makeBoxSendingValue(0, eventLoop: group.next())
        do {
            channel = try ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: Self.backlog)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        connections.value += 1
                        channel.closeFuture.whenComplete { _ in connections.value -= 1 }
                        try channel.pipeline.syncOperations.addHandler(
                            ControlConnection(
                                isWelcome: connections.value <= Self.connectionsMax, idle: .seconds(idleSeconds), answer: answer))
                    }
                }
                .withBoundSocket(file.descriptor).wait()
        } catch {
            file.remove()
            group.shutdownGracefully { _ in }
            throw error
        }
    }

    /// Removes the file and closes every connection; waits until that is done. Once, and not from an event loop.
    func stop() {
        file.remove()
        try? channel.close().wait()
        try? group.syncShutdownGracefully()
    }
}

/// One connection to the control socket.
private final class ControlConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let isWelcome: Bool
    private let idle: TimeAmount
    private let answer: ControlServer.Answer
    private var bytes: [UInt8] = []
    private var isAnswering = false
    private var isOver = false
    private var idleTask: Scheduled<Void>?

    init(isWelcome: Bool, idle: TimeAmount, answer: @escaping ControlServer.Answer) {
        self.isWelcome = isWelcome
        self.idle = idle
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        guard isWelcome else {
            return refuse(
                .init(
                    code: "busy",
                    message: "\(ControlServer.connectionsMax) others look at this relay already; end one of them (weir top?) and try again"),
                context)
        }
        waitForRequest(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        idleTask?.cancel()
        isOver = true
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        bytes.append(contentsOf: unwrapInboundIn(data).readableBytesView)
        next(context)
        // What waits behind a request that is being answered is bounded, too.
        if bytes.count > ControlRequest.bytesMax, !isOver {
            refuse(
                .init(
                    code: "request_too_long", message: "a request has at most \(ControlRequest.bytesMax) bytes and ends with a line feed"),
                context)
        }
    }

    private func next(_ context: ChannelHandlerContext) {
        guard !isAnswering, !isOver, let end = bytes.firstIndex(of: UInt8(ascii: "\n")), end <= ControlRequest.bytesMax else { return }
        var line = bytes[..<end]
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        let text = String(decoding: line, as: UTF8.self)
        bytes.removeSubrange(...end)
        idleTask?.cancel()
        isAnswering = true
        let future: EventLoopFuture<ControlAnswer>
        do throws(ControlAnswer.Trouble) { future = answer(try ControlRequest(parsing: text), context.eventLoop) } catch {
            future = context.eventLoop.makeSucceededFuture(ControlAnswer(error: error))
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        future.hop(to: context.eventLoop).whenComplete { result in
            let (connection, context) = bound.value
            connection.isAnswering = false
            connection.write(result, context)
            connection.waitForRequest(context)
            connection.next(context)
        }
    }

    private func write(_ result: Result<ControlAnswer, any Error>, _ context: ChannelHandlerContext) {
        guard !isOver else { return }
        let answer =
            switch result {
            case .success(let answer): answer
            case .failure(let error as ControlAnswer.Trouble): ControlAnswer(error: error)
            case .failure(let error): ControlAnswer(error: .init(code: "stopping", message: "no answer: \(error)"))
            }
        context.writeAndFlush(wrapOutboundOut(Self.buffer(answer, context)), promise: nil)
    }

    private static func buffer(_ answer: ControlAnswer, _ context: ChannelHandlerContext) -> ByteBuffer {
        let tooLong = ControlAnswer.Trouble(
            code: "answer_too_long",
            message: "the answer would have more than \(ControlServer.answerBytesMax) bytes; ask for fewer readers, or for one path")
        for candidate in [answer, ControlAnswer(error: tooLong)] {
            if let line = try? ControlJSON.line(candidate), line.utf8.count < ControlServer.answerBytesMax {
                return ByteBuffer(string: line + "\n")
            }
        }
        return ByteBuffer(string: "{}\n")
    }

    private func refuse(_ trouble: ControlAnswer.Trouble, _ context: ChannelHandlerContext) {
        isOver = true
        idleTask?.cancel()
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(Self.buffer(ControlAnswer(error: trouble), context))).whenComplete { _ in
            bound.value.close(promise: nil)
        }
    }

    private func waitForRequest(_ context: ChannelHandlerContext) {
        idleTask?.cancel()
        guard !isOver else { return }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        idleTask = context.eventLoop.scheduleTask(in: idle) { bound.value.close(promise: nil) }
    }
}
