import NIOCore
import NIOPosix

/// An origin that answers requests as the test says, on a port of its own.
final class ScriptedHTTPOrigin: Sendable {
    /// What becomes of a request.
    struct Answer: Sendable {
        var bytes: [UInt8] = []
        /// The connection is closed behind it.
        var closes = true
        static let silence = Answer(closes: false)
    }

    /// All requests so far, whole.
    let requests = Locked<[String]>([])
    private let channel: any Channel
    var port: Int { channel.localAddress?.port ?? 0 }

    /// `answer` is given the request and how many came before it.
    init(_ answer: @escaping @Sendable (_ request: String, _ before: Int) -> Answer) throws {
        let requests = requests
        channel = try ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(requests, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
    }

    deinit { channel.close(promise: nil) }

    static func head(_ lines: [String], status: String = "200 OK") -> [UInt8] {
        Array((["HTTP/1.1 \(status)"] + lines + ["", ""]).joined(separator: "\r\n").utf8)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let requests: Locked<[String]>
        private let answer: @Sendable (String, Int) -> Answer
        private var bytes: [UInt8] = []

        init(_ requests: Locked<[String]>, _ answer: @escaping @Sendable (String, Int) -> Answer) {
            self.requests = requests
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += unwrapInboundIn(data).readableBytesView
            while let text = take() {
                let before = requests.withLockedValue { all in
                    all.append(text)
                    return all.count - 1
                }
                let answer = answer(text, before)
                if !answer.bytes.isEmpty { context.channel.writeAndFlush(ByteBuffer(bytes: answer.bytes), promise: nil) }
                if answer.closes { context.channel.close(promise: nil) }
            }
        }

        /// The next whole request.
        private func take() -> String? {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
            let head = text[..<end.upperBound]
            let length = head.firstMatch(of: /(?i)content-length: *(\d+)/).flatMap { Int($0.1) } ?? 0
            let whole = head.utf8.count + length
            guard bytes.count >= whole else { return nil }
            defer { bytes.removeFirst(whole) }
            return String(decoding: bytes[..<whole], as: UTF8.self)
        }
    }
}
