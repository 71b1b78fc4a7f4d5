import WireFormats

/// A relay as a client of Windows Media over RTSP ([MS-RTSP] section 3.1): GetContentInfo, Describe, SelectStream of all streams, Play, logs,
/// the playlist's EndOfStream and Announce, Teardown. Pure: bytes and time come in, actions go out. `now` is monotonic, in milliseconds.
///
/// What servers do otherwise than written is taken where it is understood: answers without a CSeq belong to what was asked first, an end without
/// a body that can be read is the end, an Announce without an end before it is one, streams that are refused are done without.
package struct MSRTSPClient: Sendable {
    /// What can be chosen.
    package struct Settings: Sendable {
        /// What is pulled.
        package var url: SourceURL
        /// Who asks: `WMServer` for a relay.
        package var userAgent = "WMServer/9.1.1.5000"
        /// Identifies the session in `User-Agent`: upper-case hexadecimal digits, no braces.
        package var guid = "00000000-0000-0000-0000-000000000000"
        /// How long an answer may take.
        package var answerMilliseconds: UInt64 = 10_000
        /// The same of Describe's: shorter where it is not known that the server speaks RTSP.
        package var describeMilliseconds: UInt64 = 10_000
        /// How long the next entry of a playlist may take to be announced.
        package var announceMilliseconds: UInt64 = 30_000
        /// The URLs that redirections led here from, the first one first.
        package var trail: [SourceURL] = []
        /// The value of `Via`; nil for none.
        package var via: String?
        /// On whose behalf it is pulled: that player's `User-Agent` and the method that it asked with; nil: nobody's.
        package var player: (agent: String, verb: String)?
        /// Whether GetContentInfo goes before Describe.
        package var asksContentInfo = true
        /// A play that broke off and is to go on: its logs say so.
        package var isReconnecting = false
        /// Error correction is wanted where the server offers it and datagrams carry the media.
        package var wantsCorrection = true
        /// What may come faster than it is played, of the relay's own accord and on a player's behalf; nil: at its own pace.
        package var burst: MSRTSPRate?
        package var acceleration: MSRTSPRate?
        /// What it is for.
        package var errand = Errand.media
        /// `Max-Forwards`; nil: none is sent.
        package var maxForwards: Int?
        /// The player's `Authorization`, passed on where it fits (``PassedAuthorization``) and the URL has no credentials.
        package var authorization: String?
        /// Goes on with the next entry of a playlist when that is announced; false: the server is to wait then, and whoever owns the client asks for
        /// another play.
        package var followsEntries = true
        /// A connection that breaks is carried on over another, in the same session. What was under way is lost then.
        package var carriesOn = true
        /// A fresh unguessable word, for Digest.
        package var clientNonce: @Sendable () -> String
        /// Seconds since 1970, for logs.
        package var unixSeconds: @Sendable () -> Int64 = { 0 }

        /// Settings for a source.
        package init(url: SourceURL, clientNonce: @escaping @Sendable () -> String) {
            self.url = url
            self.clientNonce = clientNonce
        }
    }

    /// What a client is for.
    package enum Errand: Sendable, Equatable {
        /// Describe and what follows.
        case media
        /// GetContentInfo; where the server does not know that, Describe. ``terms`` then say what came of it, behind ``Action/left``, or behind
        /// ``Action/described`` where it was Describe.
        case contentInfo
        /// SendEvent without a session; taken with ``Action/left``.
        case event(RemoteEvent)
    }

    /// How the media is asked for.
    package enum Offer: Sendable, Equatable {
        /// On the RTSP connection.
        case interleaved
        /// All streams to one pair of our ports, what is sent once more to the other.
        case datagrams(media: PortPair, retransmission: PortPair)
    }

    /// How the server sends the media.
    package struct Media: Sendable, Equatable {
        /// The ASF header, as the server has it.
        package var header: [UInt8] = []
        /// What is told of it: a list for each language.
        package var descriptions: [ContentDescription] = []
        /// It is an entry of a playlist.
        package var isPlaylist = false
        package var isInterleaved = false
        /// Who sends, where the server says so.
        package var source: String?
        /// SSRCs of the streams, and the sequence number that each begins with, where the server says so.
        package var streams: [UInt32: UInt16?] = [:]
        /// Of what is sent once more: its SSRC and the port that requests go to; nil: nothing is.
        package var retransmission: Retransmission?
        /// Payload types of the media and of error correction; nil: none comes.
        package var correction: Correction?

        /// As the other dialect tells it.
        package var metadata: WMSPMetadata {
            WMSPMetadata(
                playlistGenID: nil, features: [.playlist],
                descriptions: descriptions.isEmpty ? [ContentDescription(language: "", [])] : descriptions)
        }

        package struct Retransmission: Sendable, Equatable {
            package var ssrc: UInt32
            package var port: UInt16
        }

        package struct Correction: Sendable, Equatable {
            package var mediaPayloadType: UInt8
            package var payloadType: UInt8
        }
    }

    /// What the owner of the connection has to do, in order.
    package enum Action: Sendable, Equatable {
        /// Connect to the URL's host and port, in place of the connection there may be, and tell ``connected(now:)`` or ``closed(now:)``.
        case connect
        /// Write these bytes.
        case send([UInt8])
        /// The server has Windows Media: call ``setUp(_:now:)``.
        case described
        /// All streams are set up, Play is being asked for: packets may come from now on.
        case ready(Media)
        /// Play was accepted; sequence numbers may be known better.
        case playing(Media)
        /// A packet came on the connection.
        case packet([UInt8])
        /// The media, or an entry, ends before these sequence numbers, by SSRC: call ``drained(_:now:)`` when what is missing came, or will not.
        case drain([UInt32: UInt16])
        /// Another entry of the playlist, with its own header: what comes from now on is of its kind.
        case next(Media)
        /// The connection broke, and the session goes on over another one.
        case resumed
        /// The media is at its end.
        case ended
        /// What ``leave(_:now:)`` had to say was said: the connection is to be closed.
        case left
        /// The source lives elsewhere: pull from there.
        case redirected(Place)
        /// The server has no Windows Media under this URL.
        case plain
        /// It did not work, or works no longer: the connection is to be closed.
        case failed(RTSPClientFailure)
    }

    /// Where a redirection leads.
    package enum Place: Sendable, Equatable {
        case rtsp(SourceURL)
        case http(WMSPSourceURL)
    }

    enum Phase: Sendable, Equatable {
        case new
        /// After GetContentInfo, or SendEvent of a client that is for nothing else.
        case asking
        case describing, described
        /// Streams are being asked for; the second: of another entry.
        case settingUp, changing
        case starting, playing
        /// The end was told, and what is under way is waited for; whether another entry follows.
        case draining(isEntry: Bool)
        /// Another entry will be announced.
        case between
        /// A new connection is to carry the session on.
        case resuming
        /// At the end of the media; the session stays.
        case ended
        case leaving
        case over
    }

    /// What was asked.
    enum Question: Sendable, Equatable {
        case contentInfo, describe
        case setUp(Int)
        case setUpRetransmission
        case setUpCorrection(Int)
        /// A stream, by its URL.
        case drop(String)
        case play, pause, teardown, keepAlive
        case log(MSRTSPContentType, String)
        case event(RemoteEvent)

        /// Whether its failure is one.
        var isEssential: Bool {
            switch self {
            case .describe, .setUp, .play: true
            case .contentInfo, .setUpRetransmission, .setUpCorrection, .drop, .pause, .teardown, .keepAlive, .log, .event: false
            }
        }

        var isEvent: Bool { if case .event = self { true } else { false } }
    }

    struct Outstanding: Sendable {
        let number: UInt32
        let question: Question
        let method: RTSPMethod
        let milliseconds: UInt64
        let deadline: UInt64
    }

    /// A stream of what is described.
    struct Slot: Sendable {
        let stream: MSRTSPDescription.Stream
        let url: String
        var correctionURL: String?
        var isSetUp = false
        /// The server has chosen it for the entry that it announced.
        var isKept = false
        var hasAskedCorrection = false
        var hasCorrection = false
        var ssrc: UInt32?
        var sequence: UInt16?
    }

    /// Another entry that was announced.
    struct Announcement: Sendable {
        var description: MSRTSPDescription
        var base: String
        var generation: UInt32?
        /// The streams that the server chose, by URL.
        var chosen: [MSRTSPInfo]
    }

    /// What came of a play, for the log.
    package struct Statistics: Sendable, Equatable {
        package var packets: UInt64 = 0
        package var bytes: UInt64 = 0
        package var lost: UInt64 = 0
        /// Packets that were asked for once more, those that came so, and those that error correction made.
        package var asked: UInt64 = 0
        package var resent: UInt64 = 0
        package var corrected: UInt64 = 0

        package init() {}
    }

    var settings: Settings
    var authenticator: ClientAuthenticator
    var proxyAuthenticator: ClientAuthenticator
    var parser = RTSPParser(limits: .client)
    var phase = Phase.new
    var outstanding: [Outstanding] = []
    var sequence: UInt32 = 0
    var actions: [Action] = []
    var now: UInt64 = 0
    var isConnected = false

    var sessionID: String?
    var timeoutMilliseconds: UInt64 = 60_000
    var keepAliveAt: UInt64?
    /// Ends a phase that would last too long.
    var phaseDeadline: UInt64?
    var aggregate: String
    var generation: UInt32 = 0
    var serverSupports: MSRTSPSupported = []
    package internal(set) var subscriptions: Set<RemoteEvent.Kind> = []
    /// What the server says of who may keep the content; nil: neither Describe nor GetContentInfo was answered.
    package internal(set) var terms: ContentTerms?
    /// What the server, or a proxy before it, wants to know, where that ended the attempt.
    package internal(set) var challenge: PassedChallenge?
    /// The server challenged a request, and took the answer; or was given one unasked.
    package internal(set) var wasChallenged = false
    /// Who the server says it is; nil: it does not.
    package internal(set) var server: String?
    /// Where the media is wanted from, and how much of it faster than it is played.
    var position = WMSPPosition.beginning
    var haste: Haste?
    /// Media of the play before may still come: it goes on elsewhere when the server has answered.
    package internal(set) var isStale = false
    /// The media is not taken for the time being, and so no answer is either: the server needs no reminding.
    package var isHeld = false
    var description: MSRTSPDescription?
    var offer: Offer?
    var slots: [Slot] = []
    var retransmission: Media.Retransmission?
    var retransmissionURL: String?
    var source: String?
    var isInterleaved = false
    /// The stream before the others was answered.
    var hasFirst = false
    var isRetransmissionKept = false
    /// The server sends error correction.
    var hadCorrection = false
    var lastSetUpStatus = RTSPStatus.unsupportedTransport
    var announced: Announcement?
    var hasToldConnection = false
    var playSince: UInt64?
    /// The session was carried on over another connection then.
    var resumedAt: UInt64?
    /// What plays is an entry that was announced.
    var isLaterEntry = false
    /// Logs and events that were not sent because ``feedbackMax`` are not answered yet.
    package internal(set) var feedbackDropped = 0

    /// Redirections that are followed.
    package static let redirectionsMax = 5
    /// Requests without an answer: two entries of many streams, and more than any server needs.
    package static let outstandingMax = 256
    /// Logs and events without an answer.
    package static let feedbackMax = 16
    /// Requests that are not waited for any longer, and whose answers are still known should they come.
    static let lateMax = 16
    /// How long the last words may take.
    package static let leaveMilliseconds: UInt64 = 2_000
    /// How long GetContentInfo is waited for: not every server knows it.
    static let contentInfoMilliseconds: UInt64 = 3_000
    /// A connection that breaks again within this is not carried on once more.
    static let resumeMilliseconds: UInt64 = 10_000
    /// Streams that are set up; others of the description are left out.
    package static let streamsMax = 32

    /// A client that has not begun.
    package init(settings: Settings) {
        self.settings = settings
        aggregate = settings.url.request
        authenticator = ClientAuthenticator(credentials: settings.url.credentials)
        proxyAuthenticator = authenticator
    }

    // MARK: Verbs

    /// Begins.
    package mutating func start(now: UInt64) -> [Action] {
        self.now = now
        guard phase == .new else { return [] }
        phase = settings.asksContentInfo || settings.errand != .media ? .asking : .describing
        actions.append(.connect)
        return take()
    }

    /// A connection that was asked for stands.
    package mutating func connected(now: UInt64) -> [Action] {
        self.now = now
        isConnected = true
        parser = RTSPParser(limits: .client)
        switch phase {
        case .asking:
            if case .event(let event) = settings.errand { ask(.event(event)) } else { ask(.contentInfo) }
        case .describing: ask(.describe)
        case .resuming: ask(.play)
        default: break
        }
        return take()
    }

    /// The media is wanted, so, and from there; after ``Action/described``.
    package mutating func setUp(
        _ offer: Offer, from position: WMSPPosition = .beginning, haste: Haste? = nil, now: UInt64
    ) -> [Action] {
        self.now = now
        guard phase == .described else { return [] }
        self.offer = offer
        self.position = position
        self.haste = haste
        phase = .settingUp
        setUpStreams()
        return take()
    }

    /// After ``Action/drain(_:)``: nothing of what ended is to come any more.
    package mutating func drained(_ statistics: Statistics, now: UInt64) -> [Action] {
        self.now = now
        guard case .draining(let isEntry) = phase else { return [] }
        report(statistics)
        guard isEntry else {
            phase = .ended
            phaseDeadline = nil
            actions.append(.ended)
            return take()
        }
        phase = .between
        phaseDeadline = now &+ settings.announceMilliseconds
        if let announced { enter(announced) }
        return take()
    }

    /// Tells what a player of ours did, if the server asked for such (`x-wms-event-subscription`).
    package mutating func send(_ event: RemoteEvent, now: UInt64) -> [Action] {
        self.now = now
        switch phase {
        case .settingUp, .changing, .starting, .playing, .draining, .between, .ended:
            if subscriptions.contains(event.kind) { ask(.event(event)) }
        case .new, .asking, .describing, .described, .resuming, .leaving, .over: break
        }
        return take()
    }

    /// No more media is wanted: Pause, the log, Teardown, and ``Action/left``, within ``leaveMilliseconds``.
    package mutating func leave(_ statistics: Statistics, now: UInt64) -> [Action] {
        self.now = now
        guard phase != .leaving, phase != .over else { return [] }
        let wasPlaying = phase == .playing || phase == .starting
        guard isConnected, sessionID != nil else {
            finish()
            actions.append(.left)
            return take()
        }
        phase = .leaving
        phaseDeadline = now &+ Self.leaveMilliseconds
        keepAliveAt = nil
        if wasPlaying { ask(.pause) }
        report(statistics)
        ask(.teardown)
        return take()
    }

    /// It is over: nothing follows.
    package mutating func end(now: UInt64) -> [Action] {
        self.now = now
        finish()
        return take()
    }

    /// Datagrams of the media are not longer; after ``Action/described``. Entries of a playlist may have larger packets than the first.
    package var packetBytesMax: Int {
        guard let description, !description.features.contains(.playlist) else { return 65_536 }
        return min(max(description.packetBytesMax, 1_792) + 256, 65_536)
    }

    // MARK: Time

    /// When ``timeElapsed(now:)`` should be called next.
    package var deadline: UInt64? {
        guard phase != .over else { return nil }
        return ([phaseDeadline, keepAliveAt] + outstanding.map { $0.deadline == .max ? nil : $0.deadline }).compactMap { $0 }.min()
    }

    /// Looks whether answers are overdue and whether the server must be reminded of us.
    package mutating func timeElapsed(now: UInt64) -> [Action] {
        self.now = now
        while phase != .over, let place = outstanding.firstIndex(where: { $0.deadline <= now }) {
            let late = outstanding[place]
            // Should its answer come, after all, it is not to be taken for another's.
            outstanding[place] = Outstanding(
                number: late.number, question: .keepAlive, method: late.method, milliseconds: 0, deadline: .max)
            if outstanding.count(where: { $0.deadline == .max }) > Self.lateMax {
                outstanding.remove(at: outstanding.firstIndex { $0.deadline == .max } ?? 0)
            }
            switch late.question {
            case .contentInfo where phase == .asking && settings.errand == .media:
                phase = .describing
                ask(.describe)
            case .event where phase == .asking, .contentInfo where phase == .asking:
                fail(.noAnswer(late.method, seconds: Int(clamping: late.milliseconds / 1_000)))
            case .setUpRetransmission, .setUpCorrection: answeredOptional(late.question)
            case let question where question.isEssential:
                fail(.noAnswer(late.method, seconds: Int(clamping: late.milliseconds / 1_000)))
            default: break
            }
        }
        if let due = phaseDeadline, due <= now {
            phaseDeadline = nil
            switch phase {
            case .leaving: left()
            case .between: fail(.noAnswer(.announce, seconds: Int(clamping: settings.announceMilliseconds / 1_000)))
            default: break
            }
        }
        if phase != .over, let due = keepAliveAt, due <= now {
            keepAliveAt = nil
            if isHeld { scheduleKeepAlive() } else { ask(.keepAlive) }
        }
        return take()
    }

    // MARK: Helpers

    mutating func take() -> [Action] {
        defer { actions = [] }
        return actions
    }

    mutating func fail(_ failure: RTSPClientFailure) {
        guard phase != .over else { return }
        finish()
        actions.append(.failed(failure))
    }

    mutating func left() {
        guard phase != .over else { return }
        finish()
        actions.append(.left)
    }

    mutating func finish() {
        phase = .over
        outstanding = []
        keepAliveAt = nil
        phaseDeadline = nil
        announced = nil
    }
}
