import WireFormats

/// A client of Windows Media over HTTP ([MS-WMSP] section 3.1). In the mode that every server has: Describe over a first connection, Play over
/// a second, everything else over short ones beside it. In the pipelined mode, where ``Settings/offersPipelining`` and the server and all on
/// the way agree: one connection for everything but events, on which answers come in the order of the requests. Pure: bytes and time come in,
/// actions go out. `now` is monotonic, in milliseconds.
///
/// What servers do otherwise than written is taken where it is understood: no `Server` header, a blank in it, a body that runs on from the
/// header into the media (that is the Play), chunks nobody asked for, no `$M`, `$H` in the middle without a `$C`, no `$E`.
package struct WMSPClient: Sendable {
    /// The two connections that there can be at the same time.
    package enum Link: Sendable, Hashable {
        /// Describe, then Play; pipelined everything else, too.
        case media
        /// SendEvent, and not pipelined Log, SelectStream, KeepAlive: one after the other, each over a new one.
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
        case new
        /// GetContentInfo or SendEvent, of a client that is for nothing else.
        case asking
        case describing
        /// The header is here; the body behind it may not have ended.
        case described
        /// Two requests at once are to show whether requests may be pipelined.
        case testing
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
        /// The head of the answer to Describe or Play came.
        var hasHead = false
        var deadline: UInt64?
        /// Requests whose answers have not begun, in their order.
        var expected: [Pending] = []
        /// What is being answered.
        var current: Exchange?
        /// The connection can carry another answer behind this one.
        var stays = false
        /// The body that comes is none of media.
        var discards = false
        /// What is asked is asked here.
        var isPipelined = false
        /// When the oldest request was made whose answer the media is to go on in.
        var continuationSince: UInt64?
        /// The media goes on in another answer, which may repeat the header.
        var mayRepeatHeader = false
    }

    var settings: Settings
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
    package internal(set) var feedbackDropped = 0
    var actions: [Action] = []
    var now: UInt64 = 0

    var clientID: UInt32?
    var keepAliveMilliseconds: UInt64 = 60_000
    var keepAliveAt: UInt64?
    /// Who the server says it is; nil where it is none of Windows Media's.
    package internal(set) var server: WMSPAgent?
    /// What the server says can be done with the content; nil where it says nothing.
    package internal(set) var features: WMSPFeatures?
    /// What the server says of who may keep the content; nil: neither Describe nor GetContentInfo was answered.
    package internal(set) var terms: ContentTerms?
    /// What the server, or a proxy before it, wants to know, where that ended the attempt.
    package internal(set) var challenge: PassedChallenge?
    /// The server challenged a request, and took the answer; or was given one unasked.
    package internal(set) var wasChallenged = false
    /// What the server can do, as it last said.
    var serverSupports: WMSPSupported = [.prediction, .packetPair, .streamSwitch]
    var playlistGenID: UInt32 = 0
    var lastMetadata: WMSPMetadata?
    var header: ASFHeader?
    /// A `$C` came, and its header has not.
    var awaitsEntry = false
    /// An entry of a playlist came to its end, and what is behind it has not been named.
    var isBetweenEntries = false
    /// Whether requests may be pipelined.
    var pipelining = Pipelining.undecided
    /// The first half of the test went as it should.
    var sawPipelineTest = false
    /// Of what broke off, and is asked for again without a Describe.
    var resuming: Continuation?
    /// How many challenges were answered: requests made before the latest of them are made again without a word.
    var challenges = 0
    /// A pipelined session ended because the server did not do as it should: the next one had better not be.
    package internal(set) var pipeliningFailed = false
    var pace = WMSPClientPace()
    /// ``lagMilliseconds`` when the entry that plays began: what comes of its beginning before that is told says nothing.
    var entryLag: UInt64?
    /// Everything but events goes over the connection of the media.
    package var isPipelined: Bool { media.isPipelined }
    /// What the server wants to hear of players.
    var subscriptions: Set<RemoteEvent.Kind> = []
    /// What came since the media, or the entry, began; nil: none comes.
    var received: Received?
    /// The Play that was asked for while the Describe's body was open, and what is sent again after a challenge.
    var wanted: Wanted?
    var isMediaOpen = false
    /// Counts the connections for media.
    var mediaAttempt = 0
    /// When leaving must have ended.
    var leaveAt: UInt64?

    /// What came of a play.
    struct Received: Sendable, Equatable {
        var since: UInt64
        var start: UInt32
        var metadata: WMSPMetadata?
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        var lastNumber: UInt32?
        /// The number of the packet that comes next; nil where that is not known.
        var next: UInt32?
    }

    struct Wanted: Sendable, Equatable {
        var selection: WMSPSelection?
        var position: WMSPPosition
        /// Nil: as the settings say.
        var haste: Haste?
    }

    /// Redirections that are followed.
    package static let redirectionsMax = 5
    /// Feedback that waits for the one before.
    package static let feedbackMax = 16
    /// How long the last words may take.
    package static let leaveMilliseconds: UInt64 = 2_000
    /// Pipelined requests that wait for their answers.
    package static let expectedMax = 16
    /// How long the two requests of a pipeline test may take; then there is a connection for each thing.
    package static let pipelineTestMilliseconds: UInt64 = 4_000
    /// How long media may come, behind the request whose answer it is to go on in, before that answer: what the server wrote before it is
    /// on the way first.
    package static let continuationMilliseconds: UInt64 = 60_000

    /// A client that has not begun.
    package init(settings: Settings) {
        self.settings = settings
        userAgent = settings.userAgent
        authenticator = ClientAuthenticator(credentials: settings.url.credentials)
        proxyAuthenticator = authenticator
        if !settings.offersPipelining { pipelining = .declined }
    }

    // MARK: Verbs

    /// What a client that is for an event tells: to be said before its connection stands.
    package mutating func tells(_ event: RemoteEvent) { settings.errand = .event(event) }

    /// Begins: with Describe, or where something is gone on with, with its Play.
    package mutating func start(now: UInt64) -> [Action] {
        self.now = now
        guard phase == .new else { return [] }
        if let continuation = settings.continuation {
            resume(continuation)
        } else {
            phase = settings.errand == .media ? .describing : .asking
            connectMedia()
        }
        return take()
    }

    /// Media is wanted: these streams, all with nil, from there, as fast as `haste` says, or the settings with nil. Also to go on elsewhere: what
    /// plays is stopped.
    package mutating func play(
        _ selection: WMSPSelection?, from position: WMSPPosition, haste: Haste? = nil, now: UInt64
    ) -> [Action] {
        self.now = now
        let wish = Wanted(selection: selection, position: position, haste: haste)
        switch phase {
        case .described:
            wanted = wish
            // A body that has not ended behind the header may be the Play already.
            if !isMediaOpen { startPlay() } else if media.current == nil, pipelining == .allowed { testPipelining() }
        case .testing: wanted = wish
        case .playing where wanted == nil && selection == nil && position == .beginning:
            // The answer to Describe ran on into the media at once: this is what comes.
            wanted = wish
        case .starting, .playing, .idle:
            if isMediaOpen, media.isPipelined {
                if phase != .idle { say(.stop) }
                report()
                wanted = wish
                startPlayHere()
            } else {
                closeMedia()
                report()
                wanted = wish
                startPlay()
            }
        case .new, .asking, .describing, .leaving, .over: break
        }
        return take()
    }

    /// Other streams are wanted while it plays.
    package mutating func select(_ selection: WMSPSelection, now: UInt64) -> [Action] {
        self.now = now
        wanted?.selection = selection
        entryLag = nil
        if phase == .playing, serverSupports.contains(.streamSwitch) {
            if media.isPipelined { say(.selectStream) } else { ask(.selectStream) }
        }
        return take()
    }

    /// No more media is wanted for now. The session is kept alive.
    package mutating func stop(now: UInt64) -> [Action] {
        self.now = now
        switch phase {
        case .described, .testing, .starting, .playing:
            if isMediaOpen, media.isPipelined { say(.stop) } else { closeMedia() }
            report()
            rest()
        case .new, .asking, .describing, .idle, .leaving, .over: break
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
        if isMediaOpen, media.isPipelined {
            if phase == .playing || phase == .starting { say(.stop) }
        } else {
            closeMedia()
        }
        report()
        guard phase != .over else { return take() }
        phase = .leaving
        keepAliveAt = nil
        media.deadline = nil
        leaveAt = now &+ Self.leaveMilliseconds
        leaveIfAllIsSaid()
        return take()
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
            case .asking:
                switch settings.errand {
                case .media: break
                case .contentInfo: say(.contentInfo)
                case .event: say(.event)
                }
            case .describing: say(.describe)
            case .starting: say(.play)
            case .new, .described, .testing, .playing, .idle, .leaving, .over: break
            }
        case .feedback:
            if let feedback { actions.append(.send(link, bytes(of: feedback))) }
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
            if isMediaOpen, mediaAttempt == attempt {
                if phase == .testing { pipelining = .declined }
                mediaClosed()
            }
        case .feedback where feedback != nil:
            endFeedback()
        case .media, .feedback: break
        }
        return take()
    }
}
