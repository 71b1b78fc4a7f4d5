import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// Hears what comes of a pull.
protocol WindowsMediaPullSessionOwner: AnyObject {
    /// A header; packets of its kind follow. Throws what the user should know.
    func pullBegan(_ header: ASFHeader) throws
    /// A packet, with or without its padding.
    func pulled(_ packet: [UInt8])
    /// What came together was told.
    func pullFlushes()
    /// It is over.
    func pullEnded(_ end: WindowsMediaPullSession.End)
}

/// One session with a server of Windows Media: performs what the client machine says. Belongs to the event loop.
final class WindowsMediaPullSession {
    /// How it ended.
    enum End {
        /// The source lives elsewhere; redirections so far.
        case redirected(WMSPSourceURL, Int)
        case failed(String)

        /// In words.
        var words: String {
            switch self {
            case .redirected(let url, _): "the source redirects to \(url.host), which `allow:` does not name"
            case .failed(let words): words
            }
        }
    }

    private let url: WMSPSourceURL
    private let redirections: Int
    private let silenceMilliseconds: Int
    private let eventLoop: any EventLoop
    private let dialler: SourceDialler
    private weak var owner: (any WindowsMediaPullSessionOwner)?
    private var client: WMSPClient
    private var channels: [WMSPClient.Link: any Channel] = [:]
    /// Which attempt a link is at: what older ones bring is not heard.
    private var attempts: [WMSPClient.Link: Int] = [:]
    private let deadline: LoopTimer
    private let silence: LoopTimer
    private var queue: [WMSPClient.Action] = []
    private var isPerforming = false
    private var isOver = false
    private(set) var words = "connecting"

    init(
        url: WMSPSourceURL, redirections: Int, silenceMilliseconds: Int, eventLoop: any EventLoop, dialler: SourceDialler,
        owner: any WindowsMediaPullSessionOwner
    ) {
        self.url = url
        self.redirections = redirections
        self.silenceMilliseconds = silenceMilliseconds
        self.eventLoop = eventLoop
        self.dialler = dialler
        self.owner = owner
        var settings = WMSPClient.Settings(url: url) { String(UInt64.random(in: .min ... .max), radix: 16) }
        settings.redirections = redirections
        client = WMSPClient(settings: settings)
        deadline = LoopTimer(eventLoop)
        silence = LoopTimer(eventLoop)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds / 1_000_000 }

    /// Begins.
    func dial() { perform(client.start(now: now)) }

    /// Ends it; nothing is heard of it any more.
    func close() {
        guard !isOver else { return }
        perform(client.end(now: now))
        over()
    }

    private func over() {
        isOver = true
        deadline.stop()
        silence.stop()
        for channel in channels.values { channel.close(promise: nil) }
        channels = [:]
    }

    private func end(_ end: End) {
        guard !isOver else { return }
        over()
        owner?.pullEnded(end)
    }

    /// Actions are done in their order: what one of them brings about comes behind those that are there.
    private func perform(_ actions: [WMSPClient.Action]) {
        queue += actions
        guard !isPerforming else { return }
        isPerforming = true
        defer { isPerforming = false }
        var next = 0
        defer { queue = [] }
        while !isOver, next < queue.count {
            next += 1
            switch queue[next - 1] {
            case .connect(let link): connect(link)
            case .send(let link, let bytes): channels[link]?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            case .close(let link):
                attempts[link, default: 0] += 1
                channels.removeValue(forKey: link)?.close(promise: nil)
            case .described:
                words = "described"
                queue += client.play(nil, from: .beginning, now: now)
            case .playing(let header, _), .headerChanged(let header, _, isNextEntry: _): begin(header)
            case .packet(_, let bytes): owner?.pulled(bytes)
            case .entryEnded: break
            case .ended(let reason):
                return end(.failed(reason.isFailure ? "the source ends with the failure \(reason)" : "the source's media is at its end"))
            case .redirected(let url): return end(.redirected(url, redirections + 1))
            case .failed(let failure): return end(.failed(failure.description))
            }
        }
        guard !isOver else { return }
        if let due = client.deadline {
            deadline.start(at: .uptimeNanoseconds(due &* 1_000_000)) { [weak self] in
                guard let self, !isOver else { return }
                perform(client.timeElapsed(now: now))
            }
        } else {
            deadline.stop()
        }
    }

    private func begin(_ bytes: [UInt8]) {
        do {
            try owner?.pullBegan(try ASFHeader(bytes.span))
            words = "playing"
            heard()
        } catch { end(.failed("the source's header cannot be used: \(error)")) }
    }

    private func heard() {
        silence.start(milliseconds: silenceMilliseconds) { [weak self] in
            guard let self else { return }
            end(.failed("no packet for \(silenceMilliseconds / 1_000) s"))
        }
    }

    private func connect(_ link: WMSPClient.Link) {
        let attempt = attempts[link, default: 0] + 1
        attempts[link] = attempt
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        dialler.connect(url.host, Int(url.port), eventLoop) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Handler(session: bound.value, link: link, attempt: attempt))
            }
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self, !isOver, attempts[link] == attempt else {
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            switch result {
            case .success(let channel):
                channels[link] = channel
                perform(client.connected(link, now: now))
            case .failure(let error):
                if link == .media { return end(.failed("cannot connect to \(url.host):\(url.port): \(error)")) }
                perform(client.closed(link, now: now))
            }
        }
    }

    private func received(_ link: WMSPClient.Link, _ attempt: Int, _ bytes: ByteBuffer) {
        guard !isOver, attempts[link] == attempt else { return }
        perform(client.received(link, Array(bytes.readableBytesView), now: now))
        guard !isOver, link == .media else { return }
        if words == "playing" { heard() }
        owner?.pullFlushes()
    }

    private func closed(_ link: WMSPClient.Link, _ attempt: Int) {
        guard !isOver, attempts[link] == attempt else { return }
        channels[link] = nil
        perform(client.closed(link, now: now))
    }

    /// NIO's end of a link.
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private weak var session: WindowsMediaPullSession?
        private let link: WMSPClient.Link
        private let attempt: Int

        init(session: WindowsMediaPullSession, link: WMSPClient.Link, attempt: Int) {
            self.session = session
            self.link = link
            self.attempt = attempt
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { session?.received(link, attempt, unwrapInboundIn(data)) }

        func channelInactive(context: ChannelHandlerContext) { session?.closed(link, attempt) }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
