import Glibc
import NIOCore
import Signalling
import WireFormats

/// One attempt at an origin by RTSP, with the media on its connection.
final class OriginRTSPLink: OriginLink {
    var onEvent: ((OriginLinkEvent) -> Void)?

    private let url: SourceURL
    private let order: OriginOrder
    private let eventLoop: any EventLoop
    private var client: MSRTSPClient
    private var channel: (any Channel)?
    private var attempt = 0
    private let deadline: LoopTimer
    private let connecting: LoopTimer
    private let silence: LoopTimer
    private var queue: [MSRTSPClient.Action] = []
    private var isPerforming = false
    private var isOver = false
    private var reception: MSRTSPReception?
    /// What earlier plays had, for the log of this one.
    private var told = MSRTSPReception.Counters()
    private var isSetUp = false
    private var isPlaying = false
    /// A Play of ours is to be answered: the others are those that an entry of a playlist begins with.
    private var awaitsPlaying = false
    /// Where the media of this play begins, by session: what is before is of the play before.
    private var firstSequences: [UInt32: UInt16] = [:]
    /// Media that came before the answer that says so.
    private var early: [[UInt8]] = []
    private var hasPlayed = false
    private var isDraining = false
    private var isHeld = false
    private var hasReadStopped = false
    private var onLeft: (() -> Void)?
    private var parting: OriginRTSPLink?
    private(set) var bytesReceived: UInt64 = 0

    var terms: ContentTerms? { client.terms }
    var features: WMSPFeatures? { client.contentFeatures }
    var server: String? { client.server }
    var openedBy: OriginStatement.Opener {
        guard client.wasChallenged else { return .nobody }
        return url.credentials == nil ? .player : .configuration
    }

    private static let earlyMax = 256
    /// How long the description may take from a server of which it is not known that it speaks RTSP.
    private static let trialMilliseconds: UInt64 = 3_000

    init(_ url: SourceURL, _ trail: [SourceURL], _ order: OriginOrder) {
        self.url = url
        self.order = order
        eventLoop = order.tools.eventLoop
        let call = order.call
        var settings = MSRTSPClient.Settings(url: url) { String(UInt64.random(in: .min ... .max), radix: 16) }
        settings.trail = trail
        settings.userAgent = call.isCache ? OriginCall.cacheVersion : settings.userAgent
        settings.via = call.via
        settings.maxForwards = call.maxForwards
        settings.player = call.asker.map { ($0.agent, $0.verb) }
        settings.authorization = call.authorization
        settings.guid = MSRTSPPullSession.makeGUID()
        settings.isReconnecting = order.isReconnecting
        settings.answerMilliseconds = order.answerMilliseconds
        settings.describeMilliseconds = order.isTrial ? min(order.answerMilliseconds, Self.trialMilliseconds) : order.answerMilliseconds
        settings.asksContentInfo = false
        settings.carriesOn = false
        settings.followsEntries = order.followsEntries
        settings.unixSeconds = { Int64(time(nil)) }
        switch order.errand {
        case .media: break
        case .contentInfo: settings.errand = .contentInfo
        case .event: settings.errand = .event(RemoteEvent(kind: .open))
        }
        client = MSRTSPClient(settings: settings)
        deadline = LoopTimer(eventLoop)
        connecting = LoopTimer(eventLoop)
        silence = LoopTimer(eventLoop)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds / 1_000_000 }

    func dial() { perform(client.start(now: now)) }

    // All streams: what a player leaves out is left out on the way to him.
    func play(from position: WMSPPosition, streams: WMSPSelection?, haste: OriginHaste) {
        quiet()
        awaitsPlaying = true
        let actions =
            isSetUp
            ? client.play(from: position, haste: haste.rtsp, takeStatistics(), now: now)
            : client.setUp(.interleaved, from: position, haste: haste.rtsp, now: now)
        // Between two entries nothing can be asked for: another session is in a known place.
        if actions.isEmpty, !order.followsEntries { return fail(.broken("the origin is just going over to another entry")) }
        perform(actions)
    }

    func stop() {
        quiet()
        perform(client.stop(takeStatistics(), now: now))
    }

    func send(_ event: RemoteEvent) { perform(client.send(event, now: now)) }

    /// What comes of the play before is not heard any more.
    private func quiet() {
        isPlaying = false
        isDraining = false
        early = []
        silence.stop()
        release()
    }

    // MARK: Back-pressure

    func hold(_ isHeld: Bool) {
        self.isHeld = isHeld
        if isHeld { stopReading() } else { release() }
    }

    private func stopReading() {
        guard isHeld, isPlaying, !hasReadStopped, let channel else { return }
        hasReadStopped = true
        client.isHeld = true
        silence.stop()
        channel.setOption(.autoRead, value: false).assumeIsolated().whenFailure { _ in }
    }

    private func release() {
        guard hasReadStopped else { return }
        hasReadStopped = false
        client.isHeld = false
        if isPlaying { heard() }
        channel?.setOption(.autoRead, value: true).assumeIsolated().whenFailure { _ in }
    }

    private func heard() {
        guard !hasReadStopped else { return }
        silence.start(milliseconds: order.call.silenceMilliseconds) { [weak self] in
            guard let self, !isOver else { return }
            fail(.broken("no packet for \(order.call.silenceMilliseconds / 1_000) s"))
        }
    }

    // MARK: The end

    func leave(_ done: @escaping () -> Void) {
        onEvent = nil
        guard !isOver, parting == nil else { return done() }
        onLeft = done
        parting = self
        quiet()
        perform(client.leave(takeStatistics(), now: now))
    }

    func drop() {
        onEvent = nil
        over()
    }

    private func over() {
        isOver = true
        parting = nil
        let onLeft = onLeft
        self.onLeft = nil
        deadline.stop()
        connecting.stop()
        silence.stop()
        channel?.close(promise: nil)
        channel = nil
        onLeft?()
    }

    private func tell(_ event: OriginLinkEvent) { onEvent?(event) }

    private func fail(_ failure: OriginLinkFailure) { end(.failed(failure)) }

    private func end(_ event: OriginLinkEvent) {
        guard !isOver else { return }
        let onEvent = onEvent
        self.onEvent = nil
        over()
        onEvent?(event)
    }

    // MARK: What the machine says

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
            guard let channel, channel.isWritable else { return fail(.broken("the origin does not read what it is sent")) }
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        case .described:
            guard let bytes = client.contentHeader else { return fail(.lying("the description has no header")) }
            tell(.described(header: bytes, client.contentMetadata))
        case .ready(let media):
            guard media.isInterleaved else { return fail(.unsuitable("the origin does not send media on the connection")) }
            isSetUp = true
        case .playing(let media): playing(media)
        case .packet(let bytes): received(bytes)
        case .drain(let ends):
            guard isPlaying else { return }
            isDraining = true
            silence.stop()
            reception?.drain(ends, now: now)
        case .next(let media):
            isDraining = false
            reception?.begin(media, packetBytes: (try? ASFHeader(media.header.span))?.packetBytes ?? 0, now: now)
            heard()
            tell(.entered(header: media.header, client.contentMetadata ?? media.metadata, isEntry: true))
        case .resumed: break
        case .ended:
            guard isPlaying else { return }
            isPlaying = false
            tell(.finished)
        case .left:
            switch order.errand {
            case .media: over()
            case .contentInfo, .event: end(.answered)
            }
        case .redirected(.rtsp(let url)): end(.redirectedRTSP(url))
        case .redirected(.http(let url)): end(.redirectedHTTP(url))
        case .plain: fail(.plain("what the origin has is no Windows Media"))
        case .failed(let failure): fail(words(failure))
        }
    }

    private func words(_ failure: RTSPClientFailure) -> OriginLinkFailure {
        let words = failure.description
        return switch failure {
        case .unauthorized: client.challenge.map { .challenged($0) } ?? .refused(status: 401, words)
        case .refused(_, let status): .refused(status: Int(status.code), words)
        case .transportRefused: .unsuitable(words)
        case .noAnswer: isSetUp ? .broken(words) : .unreachable(words)
        case .connectionLost: isSetUp ? .broken(words) : .unreachable(words)
        case .malformed: isSetUp ? .lying(words) : .plain(words)
        case .description: .lying(words)
        case .sessionGone: .broken(words)
        case .redirection: .redirection(words)
        }
    }

    // MARK: Media

    private func playing(_ media: MSRTSPClient.Media) {
        guard let header = try? ASFHeader(media.header.span) else { return fail(.lying("the origin's header cannot be used")) }
        guard awaitsPlaying else {
            reception?.learn(media)
            return
        }
        awaitsPlaying = false
        // Of an earlier play nothing is to be put in order with this one.
        told = MSRTSPReception.Counters()
        reception = MSRTSPReception(media, packetBytes: header.packetBytes, sender: .random(in: 1...UInt32.max))
        firstSequences = media.streams.compactMapValues { $0 }
        isPlaying = true
        hasPlayed = true
        heard()
        tell(.playing(header: header.bytes))
        let early = early
        self.early = []
        for packet in early { received(packet) }
        stopReading()
    }

    private func received(_ bytes: [UInt8]) {
        guard isPlaying else {
            if isSetUp, !hasPlayed, early.count < Self.earlyMax { early.append(bytes) }
            return
        }
        guard let header = try? RTPHeader(bytes.span) else { return }
        if let first = firstSequences[header.ssrc], (-0x1000..<0).contains(SequenceArithmetic.distance(from: first, to: header.sequence)) {
            return
        }
        reception?.receive(bytes, now: now)
    }

    /// What came together was taken: gives out what is whole.
    private func settle() {
        guard !isOver, isPlaying else { return }
        for packet in reception?.takePackets() ?? [] {
            guard !isOver, isPlaying else { return }
            heard()
            tell(.packet(number: packet.locationID, packet.bytes))
        }
        guard !isOver else { return }
        if isDraining, isPlaying {
            isDraining = false
            perform(client.drained(takeStatistics(), now: now))
        }
        if !isOver { tell(.flushed) }
    }

    private func takeStatistics() -> MSRTSPClient.Statistics {
        var statistics = MSRTSPClient.Statistics()
        guard let counters = reception?.counters else { return statistics }
        statistics.packets = counters.packets - told.packets
        statistics.bytes = counters.bytes - told.bytes
        statistics.lost = counters.lost - told.lost
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
        connecting.start(milliseconds: Int(order.connectMilliseconds)) { [weak self] in
            guard let self, !isOver else { return }
            fail(.unreachable("no connection to \(url.host):\(url.port) within \(order.connectMilliseconds / 1_000) s"))
        }
        order.tools.dialler.connect(url.host, Int(url.port), eventLoop) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Handler(link: bound.value, attempt: attempt))
            }
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self, !isOver, self.attempt == attempt else {
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            connecting.stop()
            switch result {
            case .success(let channel):
                self.channel = channel
                if case .event(let make) = order.errand { client.tells(make(channel.localAddress?.ipAddress)) }
                perform(client.connected(now: now))
            case .failure(let error): fail(.unreachable("cannot connect to \(url.host):\(url.port): \(PullSession.words(error))"))
            }
        }
    }

    private func received(_ bytes: ByteBuffer, _ attempt: Int) {
        guard !isOver, self.attempt == attempt else { return }
        bytesReceived &+= UInt64(bytes.readableBytes)
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
        private weak var link: OriginRTSPLink?
        private let attempt: Int

        init(link: OriginRTSPLink, attempt: Int) {
            self.link = link
            self.attempt = attempt
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { link?.received(unwrapInboundIn(data), attempt) }

        func channelInactive(context: ChannelHandlerContext) { link?.closed(attempt) }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
