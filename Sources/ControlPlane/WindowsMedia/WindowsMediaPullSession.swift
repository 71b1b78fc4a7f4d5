import Glibc
import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// Hears what comes of a pull.
protocol WindowsMediaPullSessionOwner: AnyObject {
    /// What the server says of the content, before anything of it is played. False: then it is let go of.
    func pullDescribes(_ said: OriginFacts) -> Bool
    /// A header; packets of its kind follow. Throws what the user should know.
    func pullBegan(_ header: ASFHeader) throws
    /// The same, of an entry of the source's playlist: its name and descriptions, as far as the source tells them.
    func pullEntered(_ header: ASFHeader, _ metadata: WMSPMetadata?) throws
    /// What broke off goes on with the very next packet.
    func pullGoesOn()
    /// A packet, with or without its padding.
    func pulled(_ packet: [UInt8])
    /// What came together was told.
    func pullFlushes()
    /// The kernel dropped so many of the source's datagrams, because a socket's receive buffer was full.
    func pullDropped(_ datagrams: UInt64)
    /// It is over.
    func pullEnded(_ end: WindowsMediaPullSession.End)
}

/// One session with a server of Windows Media: performs what the client machine says. Belongs to the event loop.
final class WindowsMediaPullSession {
    /// How it ended.
    enum End {
        /// The source lives elsewhere.
        case redirected(WMSPSourceURL)
        case redirectedByRTSP(SourceURL)
        /// This way of carrying media does not work; another one may.
        case unsuitable(String)
        /// The server has something else under this URL.
        case plain
        case failed(String)
    }

    /// A play on demand that broke off, and where it goes on.
    struct Resumption {
        var header: [UInt8]
        var packet: UInt32
        /// It is a file: with the same header it can be gone on with whatever the server remembers. An entry of a playlist can only as long
        /// as the server knows the session.
        var isFile: Bool
        var session: WMSPClient.Continuation?
    }

    /// What a session is to do.
    struct Order {
        var url: WMSPSourceURL
        /// Redirections that led there.
        var trail: [WMSPSourceURL] = []
        var via: String?
        /// The player for whom it is pulled.
        var asker: SourceAsker?
        var maxForwards: Int?
        var resumption: Resumption?
        var silenceMilliseconds: Int
        /// Everything goes over one connection where the server and all on the way can do that.
        var offersPipelining = true
    }

    private let order: Order
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
    /// Of what plays.
    private var header: [UInt8]?
    /// What is to be gone on with, until it is known where the media begins.
    private var awaited: Resumption?
    /// Packets before this one were had already.
    private var packetsHad: UInt32?
    /// What is to be gone on with had to be asked for anew.
    private var wasDescribed = false
    /// The server has answered that it does not play from there, or not at all.
    private(set) var wasRefused = false
    /// It has answered, whatever.
    private(set) var wasAnswered = false
    /// Keeps the session while it says its last words.
    private var parting: WindowsMediaPullSession?
    private var onLeft: (() -> Void)?
    private(set) var words = "connecting"

    /// Where what played could go on.
    var resumption: Resumption? {
        let session = client.continuation
        guard let header, let packet = client.resumption ?? session?.packet else {
            // It broke off before anything came of it.
            guard let session, var before = order.resumption else { return nil }
            before.session = session
            return before
        }
        // It broke off again before it was where it had been.
        var resumption = Resumption(
            header: header, packet: max(packet, packetsHad ?? 0), isFile: client.resumption != nil, session: session)
        resumption.session?.packet = resumption.packet
        return resumption
    }

    /// The server did not do as it had agreed to: over one connection for everything it had better not be asked again.
    var pipeliningFailed: Bool { client.pipeliningFailed }

    init(_ order: Order, eventLoop: any EventLoop, dialler: SourceDialler, owner: any WindowsMediaPullSessionOwner) {
        self.order = order
        self.eventLoop = eventLoop
        self.dialler = dialler
        self.owner = owner
        var settings = WMSPClient.Settings(url: order.url) { String(UInt64.random(in: .min ... .max), radix: 16) }
        settings.trail = order.trail
        settings.via = order.via
        settings.player = order.asker.map { ($0.agent, $0.verb) }
        settings.maxForwards = order.maxForwards
        settings.isReconnecting = order.resumption != nil
        settings.continuation = order.resumption?.session
        settings.offersPipelining = order.offersPipelining
        // Half of what would be taken for the end of it.
        settings.lagMillisecondsMax = min(settings.lagMillisecondsMax, UInt32(clamping: order.silenceMilliseconds / 2))
        settings.unixSeconds = { Int64(time(nil)) }
        client = WMSPClient(settings: settings)
        deadline = LoopTimer(eventLoop)
        silence = LoopTimer(eventLoop)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds / 1_000_000 }

    /// Begins.
    func dial() { perform(client.start(now: now)) }

    /// What the server was not told because too much waited to be.
    var feedbackDropped: Int { client.feedbackDropped }

    /// Tells what a player of ours did.
    func send(_ event: RemoteEvent) { perform(client.send(event, now: now)) }

    /// Ends it; its owner hears no more of it. The server is told how it went, and then `done` is called, soon in any case.
    func leave(_ done: @escaping () -> Void = {}) {
        owner = nil
        guard !isOver, parting == nil else { return done() }
        onLeft = done
        parting = self
        silence.stop()
        perform(client.leave(now: now))
    }

    private func over() {
        isOver = true
        parting = nil
        if let onLeft {
            self.onLeft = nil
            onLeft()
        }
        deadline.stop()
        silence.stop()
        for channel in channels.values { channel.close(promise: nil) }
        channels = [:]
    }

    private func end(_ end: End) {
        guard !isOver else { return }
        let owner = owner
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
            case .described(let header, _):
                words = "described"
                guard isWanted() else { return }
                wasDescribed = true
                let goesOn = order.resumption.map { $0.isFile && $0.header == header } ?? false
                queue += client.play(nil, from: goesOn ? .packet(UInt64(order.resumption?.packet ?? 0)) : .beginning, now: now)
            case .playing(let header, let metadata):
                // Where the description runs on into the media.
                guard wasDescribed || order.resumption != nil || isWanted() else { return }
                if let resumption = order.resumption, resumption.header == header, resumption.isFile || !wasDescribed {
                    awaited = resumption
                } else {
                    begin(header, metadata, isEntry: client.features?.contains(.playlist) ?? false)
                }
            case .headerChanged(let header, let metadata, let isNextEntry): begin(header, metadata, isEntry: isNextEntry)
            case .packet(let number, let bytes): take(number, bytes)
            case .entryEnded: break
            case .ended(let reason):
                let owner = owner
                let words = reason.isFailure ? "the source ends with the failure \(reason)" : "the source's media is at its end"
                leave()
                owner?.pullEnded(.failed(words))
            case .left: return over()
            case .redirected(let url): return end(.redirected(url))
            case .failed(let failure):
                if case .refused = failure { wasRefused = true }
                wasAnswered =
                    switch failure {
                    case .unauthorized, .refused, .malformed, .notWindowsMedia, .redirection: true
                    // It may have nothing yet.
                    case .noAnswer, .unanswered, .noHeader, .cutOff, .server: false
                    }
                return end(.failed(failure.description))
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

    /// Whether what was described is what its owner wants; else it is let go of.
    private func isWanted() -> Bool {
        let terms = client.terms
        let said = OriginFacts(
            dialect: .wmsp, cacheControl: terms?.cacheControl ?? [], etag: terms?.etag, lastModified: terms?.lastModified,
            vary: terms?.vary ?? [], features: client.features, saidAt: CacheClock.now())
        guard let owner, !owner.pullDescribes(said) else { return true }
        leave()
        owner.pullEnded(.failed("what the source has is played on demand"))
        return false
    }

    /// So many packets may come again where a play goes on.
    private static let overlapPacketsMax: UInt32 = 2_048

    private func take(_ number: UInt32, _ bytes: [UInt8]) {
        if let resumption = awaited {
            awaited = nil
            // A key frame before what was asked for; from further back the server has not understood, and it is another play.
            if number <= resumption.packet, resumption.packet - number <= Self.overlapPacketsMax {
                packetsHad = resumption.packet
                header = resumption.header
                words = "playing"
                heard()
                owner?.pullGoesOn()
            } else {
                begin(resumption.header, nil, isEntry: false)
            }
        }
        // The server begins at a key frame before what was asked for.
        if let packetsHad {
            guard number >= packetsHad else { return }
            self.packetsHad = nil
        }
        owner?.pulled(bytes)
    }

    private func begin(_ bytes: [UInt8], _ metadata: WMSPMetadata?, isEntry: Bool) {
        awaited = nil
        packetsHad = nil
        header = bytes
        do {
            let header = try ASFHeader(bytes.span)
            if isEntry { try owner?.pullEntered(header, metadata) } else { try owner?.pullBegan(header) }
            words = "playing"
            heard()
        } catch { end(.failed("the source's header cannot be used: \(error)")) }
    }

    /// A server keeps a change of entry eight seconds away from a SelectStream ([MS-WMSP] 3.2.4.2): behind short entries it is as silent.
    private static let changeSilenceMilliseconds = 10_000

    private func heard() {
        let isHeldBack = !client.isPipelined && client.features?.contains(.playlist) ?? false
        let patience = isHeldBack ? max(order.silenceMilliseconds, Self.changeSilenceMilliseconds) : order.silenceMilliseconds
        silence.start(milliseconds: patience) { [weak self] in
            guard let self else { return }
            end(.failed("no packet for \(patience / 1_000) s"))
        }
    }

    private func connect(_ link: WMSPClient.Link) {
        let attempt = attempts[link, default: 0] + 1
        attempts[link] = attempt
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        dialler.connect(order.url.host, Int(order.url.port), eventLoop) { channel in
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
                if link == .media { return end(.failed("cannot connect to \(order.url.host):\(order.url.port): \(error)")) }
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
