import NIOCore
import NIOPosix
import WireFormats

/// The client's end of RTSP over HTTP. The connection to the server is the tunnel's GET: answers and media come by it, and whoever
/// has it reads it. This is the rest: the GET's head and its answer, and the POST that takes our requests in base 64, which is
/// opened again when the server closed it.
final class PullTunnel {
    /// The server opens no tunnel.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// Whether the GET was accepted.
    private(set) var isOpen = false

    private let host: String
    private let port: UInt16
    private let remote: SocketAddress
    private let eventLoop: any EventLoop
    private let failed: (String) -> Void
    private let cookie: String
    private var head: [UInt8] = []
    private var post: (any Channel)?
    private var isDialling = false
    private var isClosed = false
    /// What waits for the POST.
    private var waiting: [UInt8] = []

    private static let headBytesMax = 8 << 10
    /// More than a few requests do not wait.
    private static let waitingBytesMax = 64 << 10
    private static let connectSeconds: Int64 = 5
    /// What QuickTime said, and all servers know: it is not the length of anything.
    private static let contentLength = 32_767

    /// A tunnel to the server that the GET's connection leads to. `failed` hears that it cannot be used any more.
    init(host: String, port: UInt16, remote: SocketAddress, eventLoop: any EventLoop, failed: @escaping (String) -> Void) {
        self.host = host.contains(":") ? "[\(host)]" : host
        self.port = port
        self.remote = remote
        self.eventLoop = eventLoop
        self.failed = failed
        cookie = (0..<2).map { _ in String(UInt64.random(in: 1 << 40 ... .max), radix: 36) }.joined()
    }

    /// The head of the GET. Its path is `/`, whatever the stream's: that stands in the requests.
    var greeting: String { request("GET", ["Accept: application/x-rtsp-tunnelled"]) }

    private func request(_ method: String, _ headers: [String]) -> String {
        let all =
            ["\(method) / HTTP/1.0", "Host: \(host):\(port)", "x-sessioncookie: \(cookie)", "Pragma: no-cache", "Cache-Control: no-cache"]
            + headers
        return all.joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// Takes what the GET brings until it is accepted; then gives what came beyond its answer.
    func received(_ bytes: [UInt8]) throws(Refusal) -> [UInt8]? {
        head += bytes
        guard let end = head.firstRange(of: Array("\r\n\r\n".utf8)) else {
            guard head.count <= Self.headBytesMax else { throw Refusal(description: "the server's answer to the tunnel's GET has no end") }
            return nil
        }
        let words = head.prefix { $0 != 13 }.split(separator: 32, maxSplits: 2)
        guard words.count >= 2, words[0].starts(with: "HTTP/1.".utf8) else { throw Refusal(description: "the server does not speak HTTP") }
        let status = String(decoding: words[1].prefix(3), as: UTF8.self)
        guard status == "200" else { throw Refusal(description: "the server opens no tunnel: it answers the GET with \(status)") }
        let rest = Array(head[end.upperBound...])
        head = []
        isOpen = true
        return rest
    }

    /// Sends a request, or a frame, to the server; false if it takes nothing any more.
    func send(_ bytes: [UInt8]) -> Bool {
        guard !isClosed else { return false }
        let letters = Array(Base64.encode(bytes).utf8)
        if let post {
            guard post.isWritable else { return false }
            post.writeAndFlush(ByteBuffer(bytes: letters), promise: nil)
            return true
        }
        guard waiting.count + letters.count <= Self.waitingBytesMax else { return false }
        waiting += letters
        dial()
        return true
    }

    /// Ends the POST.
    func close() {
        isClosed = true
        post?.close(promise: nil)
        post = nil
    }

    private func dial() {
        guard !isDialling, !isClosed else { return }
        isDialling = true
        let handler = NIOLoopBound(PostHandler(self), eventLoop: eventLoop)
        ClientBootstrap(group: eventLoop)
            .connectTimeout(.seconds(Self.connectSeconds))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
            }
            .connect(to: remote)
            .assumeIsolated().whenComplete { [weak self] result in
                switch result {
                case .success(let channel): self?.connected(channel) ?? channel.close(promise: nil)
                case .failure: self?.end("the tunnel's POST cannot be connected")
                }
            }
    }

    private func connected(_ channel: any Channel) {
        isDialling = false
        guard !isClosed else { return channel.close(promise: nil) }
        post = channel
        let head = request(
            "POST",
            [
                "Content-Type: application/x-rtsp-tunnelled", "Content-Length: \(Self.contentLength)",
                "Expires: Sun, 9 Jan 1972 00:00:00 GMT",
            ])
        channel.writeAndFlush(ByteBuffer(bytes: Array(head.utf8) + waiting), promise: nil)
        waiting = []
    }

    private func end(_ words: String) {
        isDialling = false
        guard !isClosed else { return }
        close()
        failed(words)
    }

    /// A POST is answered only when it is refused.
    fileprivate func answered(_ bytes: ByteBuffer) {
        let words = bytes.readableBytesView.prefix { $0 != 13 && $0 != 10 }.split(separator: 32, maxSplits: 2)
        guard words.count >= 2, words[0].starts(with: "HTTP/1.".utf8), words[1].first != UInt8(ascii: "2") else { return }
        end(
            "the server refuses the tunnel's POST (\(String(decoding: words[1].prefix(3).filter { $0 > 0x20 && $0 < 0x7F }, as: UTF8.self)))"
        )
    }

    fileprivate func disconnected(_ channel: any Channel) {
        if post === channel { post = nil }
    }
}

/// NIO's end of a POST.
private final class PostHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private weak var tunnel: PullTunnel?

    init(_ tunnel: PullTunnel) { self.tunnel = tunnel }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { tunnel?.answered(unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) { tunnel?.disconnected(context.channel) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
