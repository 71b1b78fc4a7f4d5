import WireFormats

/// A client of Windows Media over HTTP ([MS-WMSP] section 3.1), in the mode that every server has: Describe over a first connection, Play over a
/// second, everything else over short ones beside it. Pure: bytes and time come in, actions go out. `now` is monotonic, in milliseconds.
///
/// What servers do otherwise than written is taken where it is understood: no `Server` header, a blank in it, a body that runs on from the
/// header into the media (that is the Play), chunks nobody asked for, no `$M`, `$H` in the middle without a `$C`, no `$E`.
package struct WMSPClient: Sendable {
    /// What can be chosen.
    package struct Settings: Sendable {
        /// What is pulled.
        package var url: WMSPSourceURL
        /// Who asks: `NSServer` for a relay, `WMCacheProxy` for a cache.
        package var userAgent = "NSServer/9.0.0.3171"
        /// `xClientGUID`, the same for all requests of a session.
        package var guid = "{00000000-0000-0000-0000-000000000000}"
        /// How long an answer's head may take, and the header in its body.
        package var answerMilliseconds: UInt64 = 10_000
        /// How long a Describe's body may stay open behind the header before it is held to be no Play.
        package var tailMilliseconds: UInt64 = 3_000
        /// The URLs that redirections led here from, the first one first.
        package var trail: [WMSPSourceURL] = []
        /// The value of `Via`; nil for none.
        package var via: String?
        /// A play that broke off and is to go on: its logs say so.
        package var isReconnecting = false
        /// `BurstBW` and `BurstDuration`: so much may come faster than it is played; nil: at its own pace.
        package var burst: WMSPPlay.FastStart?
        /// A fresh unguessable word, for Digest.
        package var clientNonce: @Sendable () -> String
        /// Seconds since 1970, for logs.
        package var unixSeconds: @Sendable () -> Int64 = { 0 }

        /// Settings for a source.
        package init(url: WMSPSourceURL, clientNonce: @escaping @Sendable () -> String) {
            self.url = url
            self.clientNonce = clientNonce
        }
    }

    /// The two connections that there can be at the same time.
    package enum Link: Sendable, Hashable {
        /// Describe, then Play.
        case media
        /// Log, SelectStream, KeepAlive, SendEvent, one after the other, each over a new one.
        case feedback
    }

    /// What the owner of the connections has to do, in order.
    package enum Action: Sendable, Equatable {
        /// Connect to the URL's host and port, and tell ``connected(_:now:)`` or ``closed(_:now:)``.
        case connect(Link)
        /// Write these bytes.
        case send(Link, [UInt8])
        /// Close the connection; ``closed(_:now:)`` needs not be told.
        case close(Link)
        /// The header, and the metadata if there was any, in answer to Describe: call ``play(_:from:now:)`` when media is wanted. Where the
        /// answer runs on into media, ``playing`` and packets follow without.
        case described(header: [UInt8], WMSPMetadata?)
        /// Media comes. The header is the one that counts for it.
        case playing(header: [UInt8], WMSPMetadata?)
        /// While media comes: another header, for what follows. `isNextEntry` where a `$C` announced it.
        case headerChanged([UInt8], WMSPMetadata?, isNextEntry: Bool)
        /// An ASF data packet, with or without its padding, and its number.
        case packet(number: UInt32, [UInt8])
        /// An entry of a playlist is done; another follows.
        case entryEnded
        /// The media is at its end. The server is told how it went.
        case ended(WMSPReason)
        /// What ``leave(now:)`` had to say was said: all connections are to be closed.
        case left
        /// The source lives elsewhere: pull from there.
        case redirected(WMSPSourceURL)
        /// It did not work, or works no longer: all connections are to be closed.
        case failed(WMSPClientFailure)
    }

    enum Phase: Sendable, Equatable {
        case new, describing
        /// The header is here; the body behind it may not have ended.
        case described
        case starting, playing
        /// After the end: the session goes on to be kept, and may play again.
        case idle
        /// What is to be said is said yet, and then it is over.
        case leaving
        case over
    }

    /// What is asked over the feedback link.
    enum Feedback: Sendable, Equatable {
        case keepAlive
        case selectStream
        case log(WMSPLog.Form, String)
        case event(RemoteEvent)

        var isEvent: Bool {
            if case .event = self { true } else { false }
        }
    }

    /// What comes over a link.
    struct Incoming: Sendable {
        var reader = HTTPResponseReader()
        var parser = WMSPParser()
        var header = WMSPPieces()
        var metadata = WMSPPieces()
        var hasHead = false
        var deadline: UInt64?
    }

    let settings: Settings
    var userAgent: String
    var authenticator: ClientAuthenticator
    /// For those on the way that want a password of their own (407).
    var proxyAuthenticator: ClientAuthenticator
    var phase = Phase.new
    var media = Incoming()
    var feedback: Feedback?
    var feedbackIncoming = Incoming()
    var waiting: [Feedback] = []
    /// What was not said because ``feedbackMax`` waited.
    package private(set) var feedbackDropped = 0
    var actions: [Action] = []
    var now: UInt64 = 0

    var clientID: UInt32?
    var keepAliveMilliseconds: UInt64 = 60_000
    var keepAliveAt: UInt64?
    /// Who the server says it is; nil where it is none of Windows Media's.
    package internal(set) var server: WMSPAgent?
    /// What the server says can be done with the content; nil where it says nothing.
    package internal(set) var features: WMSPFeatures?
    /// What the server can do, as it last said.
    var serverSupports: WMSPSupported = [.prediction, .packetPair, .streamSwitch]
    var playlistGenID: UInt32 = 0
    var lastMetadata: WMSPMetadata?
    var header: ASFHeader?
    /// A `$C` came, and its header has not.
    var awaitsEntry = false
    /// What the server wants to hear of players.
    var subscriptions: Set<RemoteEvent.Kind> = []
    /// What came since the media, or the entry, began; nil: none comes.
    var received: Received?
    /// The Play that was asked for while the Describe's body was open, and what is sent again after a challenge.
    var wanted: Wanted?
    var isMediaOpen = false
    /// Counts the connections for media.
    private var mediaAttempt = 0
    /// When leaving must have ended.
    private var leaveAt: UInt64?

    /// What came of a play.
    struct Received: Sendable, Equatable {
        var since: UInt64
        var start: UInt32
        var metadata: WMSPMetadata?
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        var lastNumber: UInt32?
    }

    struct Wanted: Sendable, Equatable {
        var selection: WMSPSelection?
        var position: WMSPPosition
    }

    /// Redirections that are followed.
    package static let redirectionsMax = 5
    /// Feedback that waits for the one before.
    package static let feedbackMax = 16
    /// How long the last words may take.
    package static let leaveMilliseconds: UInt64 = 2_000

    /// A client that has not begun.
    package init(settings: Settings) {
        self.settings = settings
        userAgent = settings.userAgent
        authenticator = ClientAuthenticator(credentials: settings.url.credentials)
        proxyAuthenticator = authenticator
    }

    // MARK: Verbs

    /// Begins with Describe.
    package mutating func start(now: UInt64) -> [Action] {
        self.now = now
        guard phase == .new else { return [] }
        phase = .describing
        connectMedia()
        return take()
    }

    /// Media is wanted: these streams, all with nil, from there. Also to go on elsewhere: what plays is stopped.
    package mutating func play(_ selection: WMSPSelection?, from position: WMSPPosition, now: UInt64) -> [Action] {
        self.now = now
        switch phase {
        case .described:
            wanted = Wanted(selection: selection, position: position)
            // A body that has not ended behind the header may be the Play already.
            if !isMediaOpen { startPlay() }
        case .playing where wanted == nil && selection == nil && position == .beginning:
            // The answer to Describe ran on into the media at once: this is what comes.
            wanted = Wanted(selection: nil, position: .beginning)
        case .starting, .playing, .idle:
            wanted = Wanted(selection: selection, position: position)
            startPlay()
        case .new, .describing, .leaving, .over: break
        }
        return take()
    }

    /// Other streams are wanted while it plays.
    package mutating func select(_ selection: WMSPSelection, now: UInt64) -> [Action] {
        self.now = now
        wanted?.selection = selection
        if phase == .playing, serverSupports.contains(.streamSwitch) { ask(.selectStream) }
        return take()
    }

    /// No more media is wanted for now. The session is kept alive.
    package mutating func stop(now: UInt64) -> [Action] {
        self.now = now
        switch phase {
        case .described, .starting, .playing:
            closeMedia()
            report()
            rest()
        case .new, .describing, .idle, .leaving, .over: break
        }
        return take()
    }

    /// Tells what a player of ours did, if the server asked for such (`x-wms-event-subscription`).
    package mutating func send(_ event: RemoteEvent, now: UInt64) -> [Action] {
        self.now = now
        if subscriptions.contains(event.kind), phase != .leaving { ask(.event(event)) }
        return take()
    }

    /// No more media is wanted, ever: what the server is to hear is said, and ``Action/left`` follows, within ``leaveMilliseconds``.
    package mutating func leave(now: UInt64) -> [Action] {
        self.now = now
        guard phase != .over, phase != .leaving else { return [] }
        closeMedia()
        report()
        phase = .leaving
        keepAliveAt = nil
        leaveAt = now &+ Self.leaveMilliseconds
        if feedback == nil { left() }
        return take()
    }

    /// Where a play that broke off could go on: the number of the packet behind the last one. Nil for what is live, and where nothing came.
    package var resumption: UInt32? {
        guard let features, features.contains(.seekable), features.isDisjoint(with: [.broadcast, .playlist]), let header,
            !header.file.isBroadcast,
            let last = received?.lastNumber, last < UInt32.max - 1
        else { return nil }
        return last + 1
    }

    /// It is over: connections are closed, nothing follows.
    package mutating func end(now: UInt64) -> [Action] {
        self.now = now
        finish()
        return take()
    }

    // MARK: Connections

    /// A connection that was asked for stands.
    package mutating func connected(_ link: Link, now: UInt64) -> [Action] {
        self.now = now
        switch link {
        case .media where isMediaOpen:
            switch phase {
            case .describing: send(link, request("GET", pragma: describeTokens))
            case .starting: send(link, request("GET", pragma: playTokens))
            case .new, .described, .playing, .idle, .leaving, .over: break
            }
        case .feedback:
            if let feedback { send(link, bytes(of: feedback)) }
        case .media: break
        }
        return take()
    }

    /// Bytes came over a connection.
    package mutating func received(_ link: Link, _ bytes: [UInt8], now: UInt64) -> [Action] {
        self.now = now
        switch link {
        case .media where isMediaOpen:
            media.reader.append(bytes)
            drainMedia()
        case .feedback where feedback != nil:
            feedbackIncoming.reader.append(bytes)
            drainFeedback()
        case .media, .feedback: break
        }
        return take()
    }

    /// A connection was closed by the server, or could not be opened.
    package mutating func closed(_ link: Link, now: UInt64) -> [Action] {
        self.now = now
        switch link {
        case .media where isMediaOpen:
            media.reader.close()
            let attempt = mediaAttempt
            drainMedia()
            // The end of one body may have begun the next attempt, whose connection is another.
            if isMediaOpen, mediaAttempt == attempt { mediaClosed() }
        case .feedback where feedback != nil:
            endFeedback()
        case .media, .feedback: break
        }
        return take()
    }

    // MARK: Time

    /// When ``timeElapsed(now:)`` should be called next.
    package var deadline: UInt64? {
        let all = [media.deadline, feedback == nil ? nil : feedbackIncoming.deadline, keepAliveAt, leaveAt]
        return phase == .over ? nil : all.compactMap { $0 }.min()
    }

    /// Looks whether answers are overdue and whether the server must be reminded of us.
    package mutating func timeElapsed(now: UInt64) -> [Action] {
        self.now = now
        if let deadline = media.deadline, deadline <= now {
            media.deadline = nil
            switch phase {
            case .described:
                // Nothing came behind the header: the body ends some other time.
                closeMedia()
                if wanted != nil { startPlay() }
            case .describing: fail(.noAnswer("Describe", milliseconds: settings.answerMilliseconds))
            case .starting: fail(.noAnswer("Play", milliseconds: settings.answerMilliseconds))
            case .new, .playing, .idle, .leaving, .over: break
            }
        }
        if let leaveAt, leaveAt <= now, phase == .leaving { left() }
        if feedback != nil, let deadline = feedbackIncoming.deadline, deadline <= now { endFeedback(closing: true) }
        if phase != .over, let due = keepAliveAt, due <= now {
            keepAliveAt = now &+ keepAliveMilliseconds / 2
            ask(.keepAlive)
        }
        return take()
    }

    // MARK: Helpers

    mutating func take() -> [Action] {
        defer { actions = [] }
        return actions
    }

    mutating func fail(_ failure: WMSPClientFailure) {
        guard phase != .over else { return }
        finish()
        actions.append(.failed(failure))
    }

    private mutating func left() {
        finish()
        actions.append(.left)
    }

    mutating func finish() {
        guard phase != .over else { return }
        leaveAt = nil
        closeMedia()
        if feedback != nil { actions.append(.close(.feedback)) }
        feedback = nil
        waiting = []
        phase = .over
    }

    mutating func connectMedia() {
        media = Incoming()
        mediaAttempt &+= 1
        media.deadline = now &+ settings.answerMilliseconds
        isMediaOpen = true
        actions.append(.connect(.media))
    }

    mutating func closeMedia() {
        media.deadline = nil
        guard isMediaOpen else { return }
        isMediaOpen = false
        actions.append(.close(.media))
    }

    /// The session goes on without media.
    mutating func rest() {
        guard phase != .over else { return }
        phase = .idle
        keepAliveAt = clientID == nil ? nil : now &+ keepAliveMilliseconds / 2
    }

    mutating func startPlay() {
        closeMedia()
        awaitsEntry = false
        keepAliveAt = nil
        phase = .starting
        connectMedia()
    }

    /// Feedback goes one after the other; what would wait for too many is left out. Events of players' logs come last: an origin that waits
    /// for a choice of streams sends nothing more until it has it.
    mutating func ask(_ what: Feedback) {
        guard phase != .over else { return }
        guard feedback != nil else {
            feedback = what
            feedbackIncoming = Incoming()
            feedbackIncoming.deadline = now &+ settings.answerMilliseconds
            actions.append(.connect(.feedback))
            return
        }
        let firstEvent = waiting.firstIndex { $0.isEvent } ?? waiting.count
        if what.isEvent {
            guard waiting.last != what else { return }
            if waiting.count < Self.feedbackMax { waiting.append(what) } else { feedbackDropped += 1 }
        } else {
            guard firstEvent == 0 || waiting[firstEvent - 1] != what else { return }
            if firstEvent < Self.feedbackMax { waiting.insert(what, at: firstEvent) } else { feedbackDropped += 1 }
            if waiting.count > Self.feedbackMax {
                waiting.removeLast()
                feedbackDropped += 1
            }
        }
    }

    mutating func endFeedback(closing: Bool = false) {
        if closing { actions.append(.close(.feedback)) }
        feedback = nil
        if !waiting.isEmpty { ask(waiting.removeFirst()) } else if phase == .leaving { left() }
    }

    /// Tells the server how the media came that ended just now: as XML from 9.0 on, else in a line.
    mutating func report() {
        guard let received else { return }
        self.received = nil
        guard clientID != nil, let server else { return }
        var log = WMSPStreamingLog(
            url: settings.url.whole, guid: settings.guid, userAgent: userAgent, unixSeconds: settings.unixSeconds())
        log.startSeconds = received.start / 1_000
        log.milliseconds = now &- received.since
        log.packets = received.packets
        log.bytes = received.bytes
        log.isReconnected = settings.isReconnecting
        if let file = header?.file {
            log.bitsPerSecond = file.bitrateMax
            log.contentSeconds = (file.contentMilliseconds ?? 0) / 1_000
            if !file.isBroadcast { log.contentBytes = file.fileBytes }
        }
        let items = received.metadata?.descriptions.first?.items ?? []
        log.entry = items.first { $0.name == "WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL" }?.value
        log.role = items.first { $0.name == "WMS_CONTENT_DESCRIPTION_ROLE" }?.value
        ask(server.product == .cougar && server.version.major >= 9 ? .log(.xml, log.xml) : .log(.line, log.line))
    }

    private mutating func send(_ link: Link, _ bytes: [UInt8]) { actions.append(.send(link, bytes)) }
}
