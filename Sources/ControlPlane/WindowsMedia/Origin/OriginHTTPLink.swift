import Glibc
import NIOCore
import Signalling
import WireFormats

/// One attempt at an origin by HTTP.
final class OriginHTTPLink: OriginLink {
    var onEvent: ((OriginLinkEvent) -> Void)?

    private let url: WMSPSourceURL
    private let order: OriginOrder
    private let eventLoop: any EventLoop
    private var client: WMSPClient
    private var channels: [WMSPClient.Link: any Channel] = [:]
    /// Which attempt a link is at: what older ones bring is not heard.
    private var attempts: [WMSPClient.Link: Int] = [:]
    private let deadline: LoopTimer
    private let connecting: LoopTimer
    private let silence: LoopTimer
    private var queue: [WMSPClient.Action] = []
    private var isPerforming = false
    private var isOver = false
    private var isPlaying = false
    /// Of what comes without having been asked for: Describe's answer ran on into it.
    private var unasked: [UInt8]?
    private var isHeld = false
    private var hasReadStopped = false
    private var hasAsked = false
    private var onLeft: (() -> Void)?
    /// Keeps the link while it says its last words.
    private var parting: OriginHTTPLink?
    private(set) var bytesReceived: UInt64 = 0

    var terms: ContentTerms? { client.terms }
    var features: WMSPFeatures? { client.features }
    var server: String? { client.server?.text }
    var openedBy: OriginStatement.Opener {
        guard client.wasChallenged else { return .nobody }
        return url.credentials == nil ? .player : .configuration
    }

    init(_ url: WMSPSourceURL, _ trail: [WMSPSourceURL], _ order: OriginOrder) {
        self.url = url
        self.order = order
        eventLoop = order.tools.eventLoop
        let call = order.call
        var settings = WMSPClient.Settings(url: url) { String(UInt64.random(in: .min ... .max), radix: 16) }
        settings.trail = trail
        settings.userAgent = call.isCache ? OriginCall.cacheVersion : "NSServer/9.0.0.3171; via WMCacheProxy"
        settings.via = call.via.map { $0.replacing("RTSP/1.0 weir-", with: "HTTP/1.1 weir-") }
        settings.maxForwards = call.maxForwards
        settings.player = call.asker.map { ($0.agent, $0.verb) }
        settings.authorization = call.authorization
        settings.answerMilliseconds = order.answerMilliseconds
        settings.isReconnecting = order.isReconnecting
        settings.followsEntries = order.followsEntries
        settings.unixSeconds = { Int64(time(nil)) }
        settings.lagMillisecondsMax = min(settings.lagMillisecondsMax, UInt32(clamping: call.silenceMilliseconds / 2))
        switch order.errand {
        case .media: break
        case .contentInfo: settings.errand = .contentInfo
        // Filled in when the connection stands.
        case .event: settings.errand = .event(RemoteEvent(kind: .open))
        }
        client = WMSPClient(settings: settings)
        deadline = LoopTimer(eventLoop)
        connecting = LoopTimer(eventLoop)
        silence = LoopTimer(eventLoop)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds / 1_000_000 }

    func dial() { perform(client.start(now: now)) }

    func play(from position: WMSPPosition, streams: WMSPSelection?, haste: OriginHaste) {
        let header = unasked
        hasAsked = true
        unasked = nil
        if let header, position == .beginning, streams == nil {
            perform(client.play(nil, from: .beginning, haste: haste.http, now: now))
            isPlaying = true
            heard()
            return tell(.playing(header: header))
        }
        isPlaying = false
        silence.stop()
        release()
        perform(client.play(streams, from: position, haste: haste.http, now: now))
    }

    func stop() {
        isPlaying = false
        silence.stop()
        release()
        perform(client.stop(now: now))
    }

    func send(_ event: RemoteEvent) { perform(client.send(event, now: now)) }

    // MARK: Back-pressure

    func hold(_ isHeld: Bool) {
        self.isHeld = isHeld
        if isHeld { stopReading() } else { release() }
    }

    /// Only while media comes: answers to what was asked are waited for.
    private func stopReading() {
        guard isHeld, isPlaying, !hasReadStopped, let channel = channels[.media] else { return }
        hasReadStopped = true
        silence.stop()
        channel.setOption(.autoRead, value: false).assumeIsolated().whenFailure { _ in }
    }

    private func release() {
        guard hasReadStopped else { return }
        hasReadStopped = false
        if isPlaying { heard() }
        channels[.media]?.setOption(.autoRead, value: true).assumeIsolated().whenFailure { _ in }
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
        silence.stop()
        isPlaying = false
        release()
        perform(client.leave(now: now))
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
        for channel in channels.values { channel.close(promise: nil) }
        channels = [:]
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

    private func perform(_ action: WMSPClient.Action) {
        switch action {
        case .connect(let link): connect(link)
        case .send(let link, let bytes): channels[link]?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        case .close(let link):
            attempts[link, default: 0] += 1
            if link == .media {
                connecting.stop()
                hasReadStopped = false
            }
            channels.removeValue(forKey: link)?.close(promise: nil)
        case .described(let header, let metadata): tell(.described(header: header, metadata))
        case .playing(let header, _):
            guard hasAsked else { return unasked = header }
            isPlaying = true
            heard()
            tell(.playing(header: header))
            stopReading()
        case .headerChanged(let header, let metadata, let isNextEntry):
            tell(.entered(header: header, metadata, isEntry: isNextEntry))
        case .packet(let number, let bytes):
            // Of a play that something else took the place of meanwhile.
            guard isPlaying else { return }
            heard()
            tell(.packet(number: number, bytes))
        case .entryEnded: break
        case .ended:
            guard isPlaying else { return }
            isPlaying = false
            silence.stop()
            tell(.finished)
        case .left:
            switch order.errand {
            case .media: over()
            case .contentInfo, .event: end(.answered)
            }
        case .redirected(let url): end(.redirectedHTTP(url))
        case .failed(let failure): fail(words(failure))
        }
    }

    private func words(_ failure: WMSPClientFailure) -> OriginLinkFailure {
        let words = failure.description
        return switch failure {
        case .unauthorized: client.challenge.map { .challenged($0) } ?? .refused(status: 401, words)
        case .refused(_, let status): .refused(status: Int(status.code), words)
        case .unanswered where isQuestion: .unreachable(words + Self.goneWords)
        case .noAnswer, .noHeader, .unanswered: .unreachable(words)
        case .malformed, .notWindowsMedia: isPlaying ? .lying(words) : .plain(words)
        case .cutOff: .broken(words)
        case .server(.serverUnavailable): .refused(status: 503, words)
        case .server: isPlaying ? .broken(words) : .refused(status: 502, words)
        case .redirection: .redirection(words)
        }
    }

    private var isQuestion: Bool { if case .contentInfo = order.errand { true } else { false } }

    /// It was there, and the question was its end.
    private static let goneWords =
        "; it did not outlive a question: an encoder that bears one connection alone (ffmpeg -listen 1) needs `broadcast: true` at its path"

    // MARK: Connections

    private func connect(_ link: WMSPClient.Link) {
        let attempt = attempts[link, default: 0] + 1
        attempts[link] = attempt
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        if link == .media {
            hasReadStopped = false
            connecting.start(milliseconds: Int(order.connectMilliseconds)) { [weak self] in
                guard let self, !isOver else { return }
                fail(.unreachable("no connection to \(url.host):\(url.port) within \(order.connectMilliseconds / 1_000) s"))
            }
        }
        order.tools.dialler.connect(url.host, Int(url.port), eventLoop) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Handler(link: bound.value, kind: link, attempt: attempt))
            }
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self, !isOver, attempts[link] == attempt else {
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            switch result {
            case .success(let channel):
                channels[link] = channel
                if link == .media {
                    connecting.stop()
                    if case .event(let make) = order.errand { client.tells(make(channel.localAddress?.ipAddress)) }
                }
                perform(client.connected(link, now: now))
            case .failure(let error):
                if link == .media {
                    let gone = isQuestion && attempt > 1 ? Self.goneWords : ""
                    return fail(.unreachable("cannot connect to \(url.host):\(url.port): \(PullSession.words(error))\(gone)"))
                }
                perform(client.closed(link, now: now))
            }
        }
    }

    private func received(_ link: WMSPClient.Link, _ attempt: Int, _ bytes: ByteBuffer) {
        guard !isOver, attempts[link] == attempt else { return }
        bytesReceived &+= UInt64(bytes.readableBytes)
        perform(client.received(link, Array(bytes.readableBytesView), now: now))
        guard !isOver, link == .media else { return }
        tell(.flushed)
    }

    private func closed(_ link: WMSPClient.Link, _ attempt: Int) {
        guard !isOver, attempts[link] == attempt else { return }
        channels[link] = nil
        perform(client.closed(link, now: now))
    }

    /// NIO's end of a link.
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private weak var link: OriginHTTPLink?
        private let kind: WMSPClient.Link
        private let attempt: Int

        init(link: OriginHTTPLink, kind: WMSPClient.Link, attempt: Int) {
            self.link = link
            self.kind = kind
            self.attempt = attempt
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { link?.received(kind, attempt, unwrapInboundIn(data)) }

        func channelInactive(context: ChannelHandlerContext) { link?.closed(kind, attempt) }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
