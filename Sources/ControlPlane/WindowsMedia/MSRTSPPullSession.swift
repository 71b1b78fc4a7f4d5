import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import WireFormats

/// One session with a server of Windows Media by RTSP: performs what the client machine says, and has the media put in order. Belongs to the
/// event loop.
final class MSRTSPPullSession: WindowsMediaPullLink {
    /// What a session is to do.
    struct Order {
        var url: SourceURL
        var transport: TransportSpec.LowerTransport
        /// Without a packet for so long it ends; over UDP without a first one.
        var silenceMilliseconds: Int
        var firstMilliseconds: Int
        /// Redirections that led there.
        var trail: [SourceURL] = []
        var via: String?
        var asker: SourceAsker?
        var maxForwards: Int?
        /// What may be done with the content is not known yet.
        var asksContentInfo = true
        /// It is not known that the server speaks RTSP.
        var isTrial = false
        /// It was asked what it has, just now.
        var wasAsked = false
        var isReconnecting = false
    }

    private let order: Order
    private let eventLoop: any EventLoop
    private let mediaPorts: MediaPorts
    private let dialler: SourceDialler
    private let logger: Logger
    private weak var owner: (any WindowsMediaPullSessionOwner)?
    private var client: MSRTSPClient
    private var channel: (any Channel)?
    private var attempt = 0
    private var queue: [MSRTSPClient.Action] = []
    private var isPerforming = false
    private var isOver = false
    private let deadline: LoopTimer
    private let silence: LoopTimer
    private let ordering: LoopTimer

    private var sockets: MSRTSPPullSockets?
    private var reception: MSRTSPReception?
    private var header: ASFHeader?
    /// Of the entry of a playlist that plays; nil: it is none.
    private var metadata: WMSPMetadata?
    private var hasBegun = false
    private var isDraining = false
    /// What earlier entries of a playlist had, for the log of this one.
    private var told = MSRTSPReception.Counters()
    /// Keeps the session while it says its last words.
    private var parting: MSRTSPPullSession?
    private var onLeft: (() -> Void)?
    private(set) var words = "connecting"

    var resumption: WindowsMediaPullSession.Resumption? { nil }
    private(set) var wasRefused = false
    var wasAnswered: Bool { wasRefused }
    var pipeliningFailed: Bool { false }
    var feedbackDropped: Int { client.feedbackDropped }

    /// How long the description may take from a server of which it is not known that it speaks RTSP.
    private static let trialMilliseconds: UInt64 = 3_000

    init(
        _ order: Order, eventLoop: any EventLoop, mediaPorts: MediaPorts, dialler: SourceDialler,
        owner: any WindowsMediaPullSessionOwner, logger: Logger
    ) {
        self.order = order
        self.eventLoop = eventLoop
        self.mediaPorts = mediaPorts
        self.dialler = dialler
        self.owner = owner
        self.logger = logger
        var settings = MSRTSPClient.Settings(url: order.url) { String(UInt64.random(in: .min ... .max), radix: 16) }
        settings.trail = order.trail
        settings.via = order.via
        settings.player = order.asker.map { ($0.agent, $0.verb) }
        settings.maxForwards = order.maxForwards
        settings.asksContentInfo = order.asksContentInfo
        settings.guid = Self.makeGUID()
        settings.isReconnecting = order.isReconnecting
        settings.unixSeconds = { Int64(time(nil)) }
        // Players that come are to find something to begin with at once.
        settings.burst = MSRTSPRate(milliseconds: 10_000, bitsPerSecond: 10_000_000)
        if order.isTrial {
            settings.describeMilliseconds = Self.trialMilliseconds
        }
        if order.isTrial || order.wasAsked { settings.asksContentInfo = false }
        client = MSRTSPClient(settings: settings)
        deadline = LoopTimer(eventLoop)
        silence = LoopTimer(eventLoop)
        ordering = LoopTimer(eventLoop)
    }

    /// Of version 4, in capital letters.
    static func makeGUID() -> String {
        func digits(_ value: UInt64, _ count: Int) -> String {
            let text = String(value, radix: 16, uppercase: true)
            return String(repeating: "0", count: max(count - text.count, 0)) + text
        }
        let high = UInt64.random(in: .min ... .max), low = UInt64.random(in: .min ... .max)
        return digits(high >> 32, 8) + "-" + digits(high >> 16 & 0xFFFF, 4) + "-" + digits(high & 0xFFF | 0x4000, 4) + "-"
            + digits(low >> 48 & 0x3FFF | 0x8000, 4) + "-" + digits(low & 0xFFFF_FFFF_FFFF, 12)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds / 1_000_000 }

    func dial() { perform(client.start(now: now)) }

    func send(_ event: RemoteEvent) { perform(client.send(event, now: now)) }

    func leave(_ done: @escaping () -> Void = {}) {
        owner = nil
        guard !isOver, parting == nil else { return done() }
        onLeft = done
        parting = self
        silence.stop()
        ordering.stop()
        perform(client.leave(takeStatistics(), now: now))
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
        ordering.stop()
        channel?.close(promise: nil)
        channel = nil
        sockets?.close()
        sockets = nil
        tellReception()
    }

    private func tellReception() {
        guard let counters = reception?.counters, counters.lost + counters.asked + counters.corrected > 0 else { return }
        logger.info(
            "packets of the source were lost",
            metadata: [
                "asked": "\(counters.asked)", "resent": "\(counters.resent)", "corrected": "\(counters.corrected)",
                "lost": "\(counters.lost)",
            ])
    }

    private func end(_ end: WindowsMediaPullSession.End) {
        guard !isOver else { return }
        let owner = owner
        over()
        owner?.pullEnded(end)
    }

    /// The same, after the server was told.
    private func part(_ end: WindowsMediaPullSession.End) {
        let owner = owner
        leave()
        owner?.pullEnded(end)
    }

    // MARK: What the machine says

    /// Actions are done in their order: what one of them brings about comes behind those that are there.
    private func perform(_ actions: [MSRTSPClient.Action]) {
        queue += actions
        guard !isPerforming else { return }
        isPerforming = true
        defer { isPerforming = false }
        var next = 0
        defer { queue = [] }
        while !isOver, next < queue.count {
            next += 1
            perform(queue[next - 1])
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

    private func perform(_ action: MSRTSPClient.Action) {
        switch action {
        case .connect: connect()
        case .send(let bytes):
            // A server that asks and asks and never reads the answers would fill our memory.
            guard let channel, channel.isWritable else { return end(.failed("the server does not read what it is sent")) }
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        case .described:
            words = "described"
            setUp()
        case .ready(let media): ready(media)
        case .playing(let media):
            words = "playing"
            reception?.learn(media)
            if media.isInterleaved { begin() }
            awaitMedia(isFirst: !media.isInterleaved && !hasBegun)
        case .packet(let bytes): reception?.receive(bytes, now: now)
        case .drain(let ends):
            isDraining = true
            // The machine has a time of its own for the next entry.
            words = "at the end of its media"
            silence.stop()
            reception?.drain(ends, now: now)
        case .next(let media): enter(media)
        case .resumed: logger.info("the source's connection broke, and its session goes on")
        case .ended: part(.failed("the source's media is at its end"))
        case .left: over()
        case .redirected(.rtsp(let url)): end(.redirectedByRTSP(url))
        case .redirected(.http(let url)): end(.redirected(url))
        case .plain: end(.plain)
        case .failed(.transportRefused(let status)):
            end(.unsuitable("the server refuses \(order.transport == .udp ? "UDP" : "TCP") (\(status))"))
        case .failed(let failure):
            if case .refused = failure { wasRefused = true }
            end(.failed(failure.description))
        }
    }

    private func setUp() {
        guard order.transport == .udp, let channel, let local = channel.localAddress else {
            return queue += client.setUp(.interleaved, now: now)
        }
        do {
            let bytesMax = client.packetBytesMax
            let sockets = try MSRTSPPullSockets(mediaPorts, at: local)
            self.sockets = sockets
            sockets.read(
                on: eventLoop, datagramBytesMax: bytesMax,
                { [weak self] bytes, host, isResent in self?.received(bytes, from: host, isResent: isResent) },
                onPause: { [weak self] in self?.settle() })
            queue += client.setUp(
                .datagrams(media: sockets.mediaPair, retransmission: sockets.retransmissionPair), now: now)
        } catch { end(.failed("\(error)")) }
    }

    private func ready(_ media: MSRTSPClient.Media) {
        do {
            let header = try ASFHeader(media.header.span)
            self.header = header
            metadata = media.isPlaylist ? media.metadata : nil
            reception = MSRTSPReception(media, packetBytes: header.packetBytes, sender: .random(in: 1...UInt32.max))
            if media.isInterleaved {
                sockets?.close()
                sockets = nil
            } else if let remote = channel?.remoteAddress {
                sockets?.server = HostAddress(sending: media.source, to: remote)
                sockets?.requests = media.retransmission.map { remote.withPort($0.port) }
            }
        } catch { end(.failed("the source's header cannot be used: \(error)")) }
    }

    /// Another entry of the source's playlist.
    private func enter(_ media: MSRTSPClient.Media) {
        do {
            let header = try ASFHeader(media.header.span)
            self.header = header
            if let remote = channel?.remoteAddress { sockets?.requests = media.retransmission.map { remote.withPort($0.port) } }
            isDraining = false
            metadata = media.metadata
            if hasBegun { try owner?.pullEntered(header, metadata) }
            reception?.begin(media, packetBytes: header.packetBytes, now: now)
        } catch { end(.failed("the source's header cannot be used: \(error)")) }
    }

    private func begin() {
        guard !hasBegun, let header else { return }
        hasBegun = true
        do {
            if let metadata { try owner?.pullEntered(header, metadata) } else { try owner?.pullBegan(header) }
        } catch { end(.failed("the source's header cannot be used: \(error)")) }
    }

    // MARK: Media

    private func received(_ bytes: ByteBuffer, from host: HostAddress, isResent: Bool) {
        guard !isOver, reception != nil, host == sockets?.server else { return }
        reception?.receive(Array(bytes.readableBytesView), isResent: isResent, now: now)
    }

    /// What came together was taken: gives out what is whole, asks for what is missing.
    private func settle() {
        guard !isOver, reception != nil else { return }
        let packets = reception?.takePackets() ?? []
        if !packets.isEmpty, owner != nil {
            begin()
            guard !isOver else { return }
            for packet in packets { owner?.pulled(packet.bytes) }
            owner?.pullFlushes()
            if words == "playing" { awaitMedia(isFirst: false) }
        }
        guard !isOver, parting == nil else { return }
        let requests = reception?.requests(now: now) ?? []
        for request in requests { sockets?.ask(request) }
        // What is missing may have come as far as here.
        if !requests.isEmpty, let drops = sockets?.takeDrops(), drops > 0 { owner?.pullDropped(drops) }
        if isDraining, reception?.isDrained(now: now) ?? true {
            isDraining = false
            perform(client.drained(takeStatistics(), now: now))
        }
        guard !isOver, let due = reception?.deadline else { return ordering.stop() }
        ordering.start(at: .uptimeNanoseconds(max(due, now + 1) &* 1_000_000)) { [weak self] in
            guard let self, !isOver else { return }
            reception?.timeElapsed(now: now)
            settle()
        }
    }

    private func awaitMedia(isFirst: Bool) {
        silence.start(milliseconds: isFirst ? order.firstMilliseconds : order.silenceMilliseconds) { [weak self] in
            guard let self, !isOver else { return }
            if isFirst { return part(.unsuitable("no datagram arrived")) }
            part(.failed("no packet for \(order.silenceMilliseconds / 1_000) s"))
        }
    }

    /// What came since the last log.
    private func takeStatistics() -> MSRTSPClient.Statistics {
        var statistics = MSRTSPClient.Statistics()
        guard let counters = reception?.counters else { return statistics }
        statistics.packets = counters.packets - told.packets
        statistics.bytes = counters.bytes - told.bytes
        statistics.lost = counters.lost - told.lost
        statistics.asked = counters.asked - told.asked
        statistics.resent = counters.resent - told.resent
        statistics.corrected = counters.corrected - told.corrected
        told = counters
        return statistics
    }

    // MARK: The connection

    private func connect() {
        attempt += 1
        channel?.close(promise: nil)
        channel = nil
        let attempt = attempt
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        dialler.connect(order.url.host, Int(order.url.port), eventLoop) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Handler(session: bound.value, attempt: attempt))
            }
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self, !isOver, self.attempt == attempt else {
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            switch result {
            case .success(let channel):
                self.channel = channel
                perform(client.connected(now: now))
            case .failure(let error):
                end(.failed("cannot connect to \(order.url.host):\(order.url.port): \(PullSession.words(error))"))
            }
        }
    }

    private func received(_ bytes: ByteBuffer, _ attempt: Int) {
        guard !isOver, self.attempt == attempt else { return }
        perform(client.received(Array(bytes.readableBytesView), now: now))
        settle()
    }

    private func closed(_ attempt: Int) {
        guard !isOver, self.attempt == attempt else { return }
        channel = nil
        perform(client.closed(now: now))
    }

    /// NIO's end of the connection.
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private weak var session: MSRTSPPullSession?
        private let attempt: Int

        init(session: MSRTSPPullSession, attempt: Int) {
            self.session = session
            self.attempt = attempt
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { session?.received(unwrapInboundIn(data), attempt) }

        func channelInactive(context: ChannelHandlerContext) { session?.closed(attempt) }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
