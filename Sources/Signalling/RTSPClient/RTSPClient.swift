import WireFormats

/// One RTSP connection to a source, as its client sees it: OPTIONS, DESCRIBE, SETUP of each track, PLAY, keep-alive, PAUSE,
/// TEARDOWN (RFC 2326). Pure: bytes and time come in, actions go out.
///
/// Servers differ from the standard in many ways; each way that is followed here is named beside the line that does it.
package struct RTSPClient: Sendable {
    /// What can be chosen.
    package struct Settings: Sendable {
        /// What is pulled.
        package var url: SourceURL
        /// The `User-Agent`; some cameras refuse requests without one.
        package var userAgent = "Weir"
        /// How long an answer may take.
        package var answerSeconds = 10
        /// How many redirections led here.
        package var redirections = 0
        /// The `Via` of DESCRIBE and SETUP; nil: none.
        package var via: String?
        /// Header fields that every request gets beside those of the client.
        package var headers: [(name: String, value: String)] = []
        /// Where PLAY begins.
        package var start = NormalPlayTime.microseconds(0)
        /// The owner wants interleaved frames one by one (``Action/frame(channel:_:)``), and not to read the connection itself.
        package var takesFrames = false
        /// A fresh unguessable word, for Digest.
        package var clientNonce: @Sendable () -> String

        /// Whether RTP and RTCP may share a port where the description says that they can (RFC 5761).
        package var multiplexes = true

        /// Settings for a source.
        package init(url: SourceURL, clientNonce: @escaping @Sendable () -> String) {
            self.url = url
            self.clientNonce = clientNonce
        }
    }

    /// What the owner of the connection has to do, in order.
    package enum Action: Sendable, Equatable {
        /// Write these bytes to the connection.
        case send([UInt8])
        /// The source described itself: call ``setUp(_:now:)`` when media is wanted.
        case described(SessionDescription)
        /// A track was set up. All of them are before ``playing``, and tracks that the server refused are not among them.
        case ready(track: Int, TrackTransport)
        /// PLAY was accepted. With interleaved tracks nothing more was read from the bytes: ``takeMedia()`` has the rest.
        case playing
        /// With ``Settings/takesFrames``: a frame of the connection, from PLAY's answer on.
        case frame(channel: UInt8, [UInt8])
        /// PAUSE was answered.
        case paused
        /// The session is closed; so may the connection be.
        case closed
        /// The source lives elsewhere: close the connection and dial there.
        case redirected(SourceURL)
        /// The server announced another description.
        case descriptionChanged
        /// What ``pass(_:_:now:)`` asked was answered; nil: not in time, or not by this connection.
        case answered(Int, RTSPResponse?)
        /// The attempt or the session is over: close the connection.
        case failed(RTSPClientFailure)
    }

    enum Phase: Sendable, Equatable {
        case idle, opening, describing, described
        case settingUp(track: Int)
        case starting, playing, pausing, paused
        /// After PAUSE and TEARDOWN were asked for.
        case closing
        case ended
    }

    enum Request: Sendable, Equatable {
        case options, describe, play, pause, teardown, keepAlive
        case setUp(track: Int)
        /// What somebody else asks, by its number.
        case parameters(Int)
        /// Such a request, for whose answer nobody waits any more.
        case abandoned
    }

    struct Outstanding: Sendable {
        let number: UInt32
        let request: Request
        let method: RTSPMethod
        let deadline: UInt64
    }

    let settings: Settings
    var authenticator: ClientAuthenticator
    /// For those on the way that want a password of their own (407).
    var proxyAuthenticator: ClientAuthenticator
    var parser = RTSPParser(limits: .client)
    var phase = Phase.idle
    var outstanding: [Outstanding] = []
    var sequence: UInt32 = 0
    var actions: [Action] = []
    var now: UInt64 = 0

    var serverMethods: [RTSPMethod]?
    var keepAliveMethod: RTSPMethod?
    var keepAliveAt: UInt64?
    var sessionID: String?
    var timeoutSeconds: UInt64 = 60
    var controls: TrackControls
    /// The header fields of the answers to DESCRIBE and to the last PLAY.
    package internal(set) var descriptionHeaders: RTSPHeaders = [:]
    package internal(set) var playHeaders: RTSPHeaders = [:]
    /// A name and a password were asked for.
    package internal(set) var wasChallenged = false
    /// Who asked for them was a Windows Media server, and none are there to answer with: it may be content that each player opens with his own.
    package internal(set) var isWindowsMediaGuarded = false
    /// Reminders that the server answered, well or not.
    package internal(set) var keepAlivesAnswered = 0
    var offers: [TrackOffer?] = []
    var tracksReady = 0
    var lastSetUpStatus = RTSPStatus.ok
    var hasInterleavedTracks = false
    var hasPlayed = false
    /// Frames that came before PLAY was answered (Reolink sends sender reports so early).
    var earlyFrames: [UInt8] = []

    /// What readers asked and is not answered yet, by number.
    var passed: [Int: ParameterRequest] = [:]
    /// Answers that never came and are still recognised, should they come.
    static let abandonedMax = 16
    /// How long the answer to a reader's request may take.
    package static let parameterSeconds: UInt64 = 5

    /// Early frames beyond this are dropped.
    static let earlyBytesMax = 256 << 10
    /// Redirections that are followed.
    static let redirectionsMax = 5

    /// A client whose connection is not there yet.
    package init(settings: Settings) {
        self.settings = settings
        authenticator = ClientAuthenticator(credentials: settings.url.credentials)
        proxyAuthenticator = authenticator
        controls = TrackControls(request: settings.url.request)
    }

    // MARK: Verbs

    /// The connection stands. `now` is monotonic, in nanoseconds, here and everywhere.
    package mutating func connected(now: UInt64) -> [Action] {
        self.now = now
        guard phase == .idle else { return [] }
        phase = .opening
        send(.options)
        return take()
    }

    /// Media is wanted: sets the tracks up and plays. `offers` has one entry per media of the description; nil for one that is not
    /// wanted, which is not asked for.
    package mutating func setUp(_ offers: [TrackOffer?], now: UInt64) -> [Action] {
        self.now = now
        guard phase == .described, !controls.tracks.isEmpty else { return [] }
        self.offers = offers
        setUpNext(from: 0)
        return take()
    }

    /// Where PLAY was asked to begin.
    package var startAsked: NormalPlayTime { settings.start }

    /// The URL that a media of the description is set up by, as `RTP-Info` names it; nil for one that is not received.
    package func controlURL(ofMedia place: Int) -> String? { controls.tracks.indices.contains(place) ? controls.tracks[place].url : nil }

    /// Stops the flow of media for a while; the session stays.
    package mutating func pause(now: UInt64) -> [Action] {
        self.now = now
        guard phase == .playing else { return [] }
        phase = .pausing
        send(.pause)
        return take()
    }

    /// Reminds the server of us now, to hear whether it is there (``keepAlivesAnswered``).
    package mutating func remind(now: UInt64) -> [Action] {
        self.now = now
        guard phase == .playing || phase == .paused else { return [] }
        send(.keepAlive)
        return take()
    }

    /// Goes on after ``pause(now:)``.
    package mutating func resume(now: UInt64) -> [Action] {
        self.now = now
        guard phase == .paused else { return [] }
        phase = .starting
        send(.play)
        return take()
    }

    /// Asks what a reader asked. ``Action/answered(_:_:)`` with the same number follows once, unless the connection ends before.
    package mutating func pass(_ number: Int, _ request: ParameterRequest, now: UInt64) -> [Action] {
        self.now = now
        switch phase {
        case .described, .settingUp, .starting, .playing, .pausing, .paused:
            passed[number] = request
            send(.parameters(number))
        case .idle, .opening, .describing, .closing, .ended: actions.append(.answered(number, nil))
        }
        return take()
    }

    /// Ends the session: PAUSE if it plays, TEARDOWN, and ``Action/closed`` when the server answered or there was no session.
    package mutating func close(now: UInt64) -> [Action] {
        self.now = now
        switch phase {
        case .closing, .ended: return []
        case .playing:
            phase = .closing
            send(.pause)
        case .idle, .opening, .describing, .described, .settingUp, .starting, .pausing, .paused:
            phase = .closing
            if sessionID == nil { end(.closed) } else { send(.teardown) }
        }
        return take()
    }

    /// The unread rest of the connection after ``Action/playing``: frames that came early, then what was not looked at.
    package mutating func takeMedia() -> [UInt8] {
        defer { earlyFrames = [] }
        return earlyFrames + parser.takeRemainder()
    }

    // MARK: Time

    /// When ``timeElapsed(now:)`` should be called next.
    package var deadline: UInt64? {
        let answer = outstanding.filter { $0.request != .abandoned }.map(\.deadline).min()
        guard let keepAliveDue else { return answer }
        return answer.map { min($0, keepAliveDue) } ?? keepAliveDue
    }

    /// A session that is being closed is not kept alive any more.
    private var keepAliveDue: UInt64? { phase == .closing || phase == .ended ? nil : keepAliveAt }

    /// Looks whether answers are overdue and whether the server must be reminded of us.
    package mutating func timeElapsed(now: UInt64) -> [Action] {
        self.now = now
        abandonLateParameters()
        if let late = outstanding.first(where: { $0.deadline <= now }) {
            outstanding.removeAll { $0.deadline <= now }
            switch late.request {
            // Media is the better proof of life, and the owner watches that.
            case .keepAlive, .parameters, .abandoned: break
            case .pause where phase == .closing: send(.teardown)
            case .pause, .teardown: end(.closed)
            case .options, .describe, .play, .setUp: fail(.noAnswer(late.method, seconds: settings.answerSeconds))
            }
        }
        if let due = keepAliveDue, due <= now {
            send(.keepAlive)
            scheduleKeepAlive()
        }
        return take()
    }

    // MARK: Helpers

    mutating func take() -> [Action] {
        defer { actions = [] }
        return actions
    }

    mutating func end(_ action: Action) {
        guard phase != .ended else { return }
        phase = .ended
        outstanding = []
        keepAliveAt = nil
        actions.append(action)
    }

    mutating func fail(_ failure: RTSPClientFailure) { end(.failed(failure)) }

    /// Half of what the server allows, as FFmpeg and GStreamer do it.
    mutating func scheduleKeepAlive() {
        keepAliveAt = now &+ max(timeoutSeconds * 500_000_000, 1_000_000_000)
    }
}
