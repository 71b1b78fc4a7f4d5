import NIOCore
import Signalling
import WireFormats

/// Hears what comes of a session with an origin.
protocol OriginPlayOwner: AnyObject {
    func originDescribed(_ play: OriginPlay, _ description: OriginPlay.Description)
    /// The first packet of a play follows at once. Not told where a play begins at the content's end.
    func originBegan(_ play: OriginPlay, _ start: OriginPlay.Start)
    /// A packet at full size (``ASFHeader/packetBytes``). Numbers rise within a play, and are below the count; connections that broke are not seen.
    func origin(_ play: OriginPlay, packet number: UInt32, _ bytes: [UInt8])
    /// The origin left these out of a play of all streams, or sent what cannot be read.
    func origin(_ play: OriginPlay, skipped range: Range<UInt32>)
    /// What came together was told.
    func originFlushes(_ play: OriginPlay)
    /// It wanted to know who asks, which it had not when it described the content, and these words opened it.
    func originAsksWho(_ play: OriginPlay, _ opener: OriginStatement.Opener)
    /// The play came to the content's end, by the origin's word: ``OriginPlay/next`` says where, which is the count where the header was right.
    /// Another may be asked for.
    func originFinished(_ play: OriginPlay)
    /// Another entry of a playlist, with its own header: numbers begin anew, with ``originBegan(_:_:)``.
    func originEntered(_ play: OriginPlay, _ description: OriginPlay.Description)
    /// It is over.
    func originEnded(_ play: OriginPlay, _ end: OriginPlay.End)
}

extension OriginPlayOwner {
    func origin(_ play: OriginPlay, skipped range: Range<UInt32>) {}
    func originFlushes(_ play: OriginPlay) {}
    func originAsksWho(_ play: OriginPlay, _ opener: OriginStatement.Opener) {}
    func originEntered(_ play: OriginPlay, _ description: OriginPlay.Description) {}
}

/// One on-demand session with an origin: Describe, and Play from any place again and again. A connection that breaks is replaced, and the play goes
/// on with the next packet, if it is still the same content. Belongs to the event loop.
final class OriginPlay {
    /// What Describe told.
    struct Description {
        /// As the origin sent it, with the first 50 bytes of the Data Object.
        var header: ASFHeader
        /// Nil: none was sent (old servers).
        var metadata: WMSPMetadata?
        var statement: OriginStatement
        /// What the header claims; nil where it says nothing that can be right.
        var packetCount: UInt32?
        /// Entries follow one another: no numbers that stay.
        var isPlaylist: Bool
        /// Why this cannot be kept as an object of so many packets of one size, in words: a playlist, live, an odd header; nil: it can.
        var unfit: String?
    }

    /// Where a play began.
    struct Start: Equatable {
        /// The first packet's number: at most the one asked for, as a server begins with the key frame before it.
        var packet: UInt32
        /// When that packet is due, in milliseconds, and the same without the preroll.
        var sendTime: UInt32
        var milliseconds: UInt32
        /// False: the origin does not number its packets (RTSP without LocationId, not entered at the beginning), or numbers them in a way that
        /// contradicts what was asked for: the number is an estimate, good for passing on, not for keeping.
        var isExact: Bool
    }

    enum Pace: Equatable {
        /// As fast as the origin allows: for a fill.
        case asFastAsAllowed
        /// As a player plays, with a fast start of his own.
        case player(WMSPPlay.FastStart?)
    }

    enum End: Equatable {
        /// The content is not what it was, or not what it said: nothing of it goes with what was had. Words.
        case changed(String)
        case challenged(PassedChallenge)
        /// Where it sends nobody may go.
        case redirected(String)
        case refused(status: Int, String)
        /// It is no Windows Media.
        case plain(String)
        /// It could not be reached, or not any more after going on was tried.
        case unreachable(String)
        /// Garbage, or packets that do not fit: what came before stays good.
        case lying(String)

        var words: String {
            switch self {
            case .changed(let words), .redirected(let words), .refused(_, let words), .plain(let words), .unreachable(let words),
                .lying(let words):
                words
            case .challenged(let challenge): "the origin wants to know who asks (\(challenge.status))"
            }
        }
    }

    enum State: Equatable { case new, describing, ready, starting, playing, idle, waiting, over }

    struct Wish {
        var position: WMSPPosition
        var streams: WMSPSelection?
        var pace: Pace
    }

    private let route: OriginRoute
    let call: OriginCall
    private let tools: OriginTools
    private(set) weak var owner: (any OriginPlayOwner)?
    var course: OriginCourse
    var link: (any OriginLink)?
    private(set) var state = State.new
    private(set) var description: Description?
    private(set) var isPaused = false
    private var wish: Wish?
    /// The entry of a playlist that is all there is for the owner; nil: what is described.
    let entry: OriginEntry?
    /// Where in the playlist the session is, on its way to that.
    var place = 0
    /// False: whoever owns it asks for something else at each entry of a playlist that is entered. To be said before ``open()``.
    var followsEntries = true
    var take = OriginTake()
    /// Times that it was gone on with since media came as it should.
    private var attempts = 0
    /// What somebody answered, should the other ways lead nowhere.
    private var answer: OriginLinkFailure?
    private let redial: LoopTimer
    private var bytesBefore: UInt64 = 0

    /// Times that a broken connection is replaced without ``OriginTake/soundPackets`` packets in between.
    static let attemptsMax = 4
    private static let backoffMilliseconds = 250

    init(
        _ route: OriginRoute, _ call: OriginCall, _ tools: OriginTools, entry: OriginEntry? = nil, owner: any OriginPlayOwner
    ) {
        self.entry = entry
        self.route = route
        self.call = call
        self.tools = tools
        self.owner = owner
        course = OriginCourse(route, permits: call.permits)
        redial = LoopTimer(tools.eventLoop)
    }

    deinit { link?.drop() }

    /// What it is doing, for people.
    var words: String {
        switch state {
        case .new: "not dialled"
        case .describing: "asking for the description"
        case .ready, .idle: "described"
        case .starting: "asking for media"
        case .playing: isPaused ? "held" : "playing"
        case .waiting: "going on after a broken connection"
        case .over: "over"
        }
    }

    /// The packet that comes next; nil: none came yet of this play.
    var next: UInt32? { take.next }

    /// Bytes that came over its connections.
    var bytesReceived: UInt64 { bytesBefore &+ (link?.bytesReceived ?? 0) }

    // MARK: Verbs

    /// Describes; the owner hears ``OriginPlayOwner/originDescribed(_:_:)`` or that it is over, never before this returns.
    func open() {
        guard state == .new else { return }
        state = .describing
        tools.eventLoop.assumeIsolated().execute { [weak self] in
            guard let self, state == .describing, link == nil else { return }
            dial()
        }
    }

    /// Plays from there; also while it plays, and after its end. What came of the play before is not heard any more once this returns. Before it was
    /// described it waits for that. It is not paused any more.
    func play(from position: WMSPPosition, streams: WMSPSelection? = nil, pace: Pace) {
        guard state != .over else { return }
        wish = Wish(position: position, streams: streams, pace: pace)
        isPaused = false
        attempts = 0
        take.begin(at: nil)
        link?.hold(false)
        switch state {
        case .new: open()
        case .describing, .waiting, .over: break
        case .ready, .starting, .playing, .idle:
            if link == nil { connectAgain() } else { start() }
        }
    }

    /// Stops taking from the socket: the origin is held back. What was read already, at most 64 KiB, comes after it.
    func pause() {
        guard !isPaused else { return }
        isPaused = true
        link?.hold(true)
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        link?.hold(false)
    }

    /// No more packets for now; the session is kept for the next play.
    func stop() {
        wish = nil
        isPaused = false
        link?.hold(false)
        switch state {
        case .starting, .playing:
            state = .idle
            link?.stop()
        case .waiting:
            state = .idle
            redial.stop()
        case .new, .describing, .ready, .idle, .over: break
        }
    }

    /// Tells what a player did, if the origin subscribed to that. ``OriginErrand`` does it without a session.
    func send(_ event: RemoteEvent) { link?.send(event) }

    /// Says what there is to say and lets go; the owner hears nothing more. `done` within two seconds.
    func leave(_ done: @escaping () -> Void = {}) {
        owner = nil
        redial.stop()
        state = .over
        guard let link else { return done() }
        self.link = nil
        link.leave(done)
    }

    func end(_ end: End) {
        guard state != .over else { return }
        state = .over
        redial.stop()
        letGo()
        let owner = owner
        self.owner = nil
        owner?.originEnded(self, end)
    }

    private func letGo() {
        guard let link else { return }
        bytesBefore &+= link.bytesReceived
        self.link = nil
        link.drop()
    }

    // MARK: Connections

    private func dial() {
        letGo()
        var order = OriginOrder(errand: .media, call: call, tools: tools)
        order.answerMilliseconds = 2 * UInt64(OriginQuestion.silenceMilliseconds)
        order.connectMilliseconds = Int64(OriginQuestion.silenceMilliseconds)
        order.isTrial = course.isTrial
        order.isReconnecting = description != nil && attempts > 0
        order.followsEntries = followsEntries && entry == nil
        let link = order.link(to: course.target, passes: course.isSameHost)
        self.link = link
        link.onEvent = { [weak self, weak link] event in
            guard let self, let link, link === self.link else { return }
            heard(event)
        }
        link.dial()
    }

    /// Begins at what is configured: what was redirected before may be redirected elsewhere now.
    private func connectAgain() {
        course.restart()
        answer = nil
        state = .describing
        dial()
    }

    func start() {
        guard let wish, let link else { return }
        state = .starting
        if isFinding { return find() }
        let position: WMSPPosition = take.goesOnAt.map { .packet(UInt64($0)) } ?? wish.position
        let haste: OriginHaste =
            switch wish.pace {
            case .asFastAsAllowed: .most
            case .player(let start): .player(start)
            }
        link.play(from: position, streams: wish.streams, haste: haste)
    }

    private func heard(_ event: OriginLinkEvent) {
        switch event {
        case .answered: break
        case .described(let header, let metadata): described(header, metadata)
        case .playing(let header): playing(header)
        case .packet(let number, let bytes): packet(number, bytes)
        case .flushed: if state == .playing { owner?.originFlushes(self) }
        case .entered(let header, let metadata, let isEntry): entered(header, metadata, isEntry: isEntry)
        case .finished: finished()
        case .redirectedHTTP(let url): follow(course.follow(http: url))
        case .redirectedRTSP(let url): follow(course.follow(rtsp: url, tools.dialler.refusal))
        case .failed(let failure): failed(failure)
        }
    }

    private func follow(_ refusal: String?) {
        if let refusal { return end(.redirected(refusal)) }
        dial()
    }

    private func failed(_ failure: OriginLinkFailure) {
        letGo()
        guard description != nil else { return failedFirst(failure) }
        switch failure {
        case .unreachable, .broken: goOn(failure)
        // The session that was to play on is none any more: another may.
        case .refused(let status, _) where [400, 454, 455].contains(status): goOn(failure)
        case .refused(412, let words): end(.changed(words))
        default: end(Self.end(failure))
        }
    }

    private func failedFirst(_ failure: OriginLinkFailure) {
        switch failure {
        case .challenged, .redirection: return end(Self.end(failure))
        case .unreachable, .broken: break
        case .refused, .unsuitable, .plain, .lying: if answer == nil { answer = failure }
        }
        guard course.nextWay() else { return end(Self.end(answer ?? failure)) }
        dial()
    }

    private static func end(_ failure: OriginLinkFailure) -> End {
        switch failure {
        case .unreachable(let words), .broken(let words): .unreachable(words)
        case .challenged(let challenge): .challenged(challenge)
        case .redirection(let words): .redirected(words)
        case .refused(let status, let words): .refused(status: status, words)
        case .unsuitable(let words), .plain(let words): .plain(words)
        case .lying(let words): .lying(words)
        }
    }

    /// The connection is gone: another one carries on, if media is wanted.
    private func goOn(_ failure: OriginLinkFailure) {
        guard wish != nil else {
            state = .idle
            return
        }
        // In a playlist nobody knows where that would be.
        if description?.isPlaylist ?? false { return end(Self.end(failure)) }
        if take.soundPackets >= OriginTake.soundPacketsMin { attempts = 0 }
        attempts += 1
        guard attempts <= Self.attemptsMax else { return end(Self.end(failure)) }
        take.breaks()
        state = .waiting
        tools.logger.info(
            "the origin's connection broke, and is replaced", metadata: ["origin": "\(route.origin)", "why": "\(Self.end(failure).words)"])
        redial.start(milliseconds: Self.backoffMilliseconds << (attempts - 1)) { [weak self] in
            guard let self, state == .waiting else { return }
            connectAgain()
        }
    }

    // MARK: What it says

    private func described(_ bytes: [UInt8], _ metadata: WMSPMetadata?) {
        guard state == .describing, let link else { return }
        let header: ASFHeader
        do throws(ASFHeaderError) { header = try ASFHeader(bytes.span) } catch { return failed(.lying("the origin's header: \(error)")) }
        course.succeeded()
        let statement = course.statement(of: link, means: .describe, header: header, metadata: metadata)
        var now = Description(header, metadata, statement)
        if let entry {
            place = 0
            guard entry.isAt(0, bytes), !entry.isOther(statement), let wanted = entry.description(now) else {
                return end(.changed("the origin has another playlist"))
            }
            now = wanted
        }
        guard let before = description, !before.isPlaylist else {
            description = now
            state = .ready
            owner?.originDescribed(self, now)
            if state == .ready, wish != nil { start() }
            return
        }
        if let words = before.differs(from: now) { return end(.changed(words)) }
        noteWhoIsAsked()
        state = .ready
        if wish == nil { state = .idle } else { start() }
    }

    private func playing(_ bytes: [UInt8]) {
        guard state == .starting || state == .describing || state == .ready, let description else { return }
        if entry != nil {
            guard isAtPlace(bytes) else { return end(.changed("the origin plays another entry than it described")) }
        } else if bytes != description.header.bytes {
            guard description.isPlaylist else { return end(.changed("the origin plays another header than it described")) }
            guard enter(bytes, nil) else { return }
        }
        guard state != .over else { return }
        noteWhoIsAsked()
        state = .playing
        if isPaused { link?.hold(true) }
    }

    /// A server may guard the media alone, or from now on.
    private func noteWhoIsAsked() {
        guard let opener = link?.openedBy, opener != .nobody, description?.statement.openedBy == .nobody else { return }
        description?.statement.openedBy = opener
        owner?.originAsksWho(self, opener)
    }

    private func entered(_ bytes: [UInt8], _ metadata: WMSPMetadata?, isEntry: Bool) {
        guard state == .playing, let description else { return }
        if let entry {
            // The same once more, or the next one.
            return !isEntry && isAtPlace(bytes) ? () : enters(bytes, entry)
        }
        guard description.isPlaylist else {
            if bytes == description.header.bytes { return }
            return end(.changed("the origin goes on with another header"))
        }
        _ = enter(bytes, metadata)
    }

    private func enter(_ bytes: [UInt8], _ metadata: WMSPMetadata?) -> Bool {
        guard var statement = description?.statement, let header = try? ASFHeader(bytes.span) else {
            end(.lying("an entry's header cannot be read"))
            return false
        }
        statement.header = bytes
        if let features = metadata?.features { statement.features = features }
        var entry = Description(header, metadata, statement)
        // The last entry of a playlist is one of it.
        entry.isPlaylist = true
        description = entry
        take.begin(at: nil)
        owner?.originEntered(self, entry)
        return state != .over
    }

    private func finished() {
        guard state == .playing || state == .starting else { return }
        if isFinding { return end(.changed("the origin's playlist ends before that entry")) }
        if entry != nil { return finishedEntry() }
        state = .idle
        wish = nil
        owner?.originFinished(self)
    }

    /// The entry that is wanted is over; whoever wants more of it begins with the list once more.
    func finishedEntry() {
        state = .idle
        wish = nil
        if let link {
            bytesBefore &+= link.bytesReceived
            self.link = nil
            link.leave {}
        }
        owner?.originFinished(self)
    }

    // MARK: Packets

    private func packet(_ number: UInt32?, _ bytes: [UInt8]) {
        guard state == .playing, let description, let wish else { return }
        if isFinding { return }
        let verdict = take.take(
            number, bytes, of: description, askedFor: wish.position, isWhole: wish.streams == nil)
        for event in verdict {
            guard state == .playing else { return }
            switch event {
            case .began(let start): owner?.originBegan(self, start)
            case .skipped(let range): owner?.origin(self, skipped: range)
            case .packet(let number, let bytes): owner?.origin(self, packet: number, bytes)
            case .lies(let words): end(.lying(words))
            case .differs(let words): end(.changed(words))
            }
        }
    }
}
