import FastPath
import Glibc
import NIOCore

/// One connection: reads are SwiftNIO's always, writes the engine's from the first PLAY on.
final class Connection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let media: Media
    private let channel: any Channel
    private var received = ByteBuffer()
    private var reader: SubscriberHandle?
    /// The connection's descriptor once more, for the engine.
    private var descriptor: CInt = -1
    private var isPaused = true
    /// Earlier answers are still on their way through SwiftNIO.
    private var isHandingOver = false

    private static let lineBytesMax = 1_000

    init(_ media: Media, _ channel: any Channel) {
        self.media = media
        self.channel = channel
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        readLines()
    }

    func channelInactive(context: ChannelHandlerContext) { remove() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: Commands

    private func readLines() {
        while !isHandingOver, let end = received.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let line = received.readString(length: end - received.readerIndex + 1) ?? ""
            carryOut(String(line.filter { $0.isLetter }))
        }
        if received.readableBytes > Self.lineBytesMax { close() }
    }

    private func carryOut(_ command: String) {
        switch command {
        case "PLAY" where reader == nil: handOver()
        case "PLAY": play()
        case "PAUSE":
            if let reader, !isPaused { try? media.splitter.pause(reader) }
            isPaused = true
            answer("OK\n")
        case "PING": answer("PONG\n")
        case "QUIT":
            answer("BYE\n")
            close()
        default: answer("ERROR: PLAY, PAUSE, PING or QUIT is expected\n")
        }
        media.splitter.flush()
    }

    // [begin: answer]
    /// Answers in order: through SwiftNIO until the first PLAY, then through the engine, which puts it between two packets.
    private func answer(_ text: String) {
        guard let reader else { return channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
        do { try media.splitter.send(reader, Array(text.utf8)) } catch { close() }
    }
    // [end: answer]

    private func play() {
        answer("OK\n")
        guard let reader, isPaused else { return }
        isPaused = false
        do { try media.splitter.resume(reader, begin: .now) } catch { close() }
    }

    // MARK: Hand-over

    /// An empty write completes after all that were made before it: then nothing of SwiftNIO's is on its way any more.
    private func handOver() {
        isHandingOver = true
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        channel.writeAndFlush(ByteBuffer()).whenSuccess { bound.value.handOverNow() }
    }

    private func handOverNow() {
        isHandingOver = false
        do {
            let copy = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { dup($0) }
            guard let copy, copy >= 0 else { throw IOError(errnoCode: errno, reason: "dup") }
            descriptor = copy
            reader = try media.add(self, descriptor: copy)
        } catch {
            closeDescriptor()
            return answer("ERROR: \(error)\n")
        }
        isPaused = false
        answer("OK\n")
        readLines()
        media.splitter.flush()
    }

    /// Ends the connection after what was answered.
    private func close() {
        if reader == nil {
            channel.writeAndFlush(ByteBuffer()).whenComplete { [channel] _ in channel.close(promise: nil) }
        } else {
            remove()
        }
    }

    private func remove() {
        if let reader { try? media.splitter.removeReader(reader) }
        media.splitter.flush()
    }

    /// The engine is done with the descriptor.
    func readerRemoved() {
        reader = nil
        closeDescriptor()
        channel.close(promise: nil)
    }

    private func closeDescriptor() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }
}
