import Signalling
import WireFormats

/// How media comes to a reader.
package enum ReaderTransport: String, Sendable, Codable, CaseIterable {
    case udp, tcp
}

/// One track of the session as the reader sees it.
package struct ReaderTrack: Equatable, Sendable {
    /// What `m=` says: video, audio, application.
    package let kind: String
    /// RTP payload type.
    package let payloadType: UInt8
    /// What it carries.
    package let codec: MediaCodec
    /// Encoding name as the server spells it, `H264`.
    package let encoding: String
    /// RTP clock rate in Hz.
    package let clockRate: UInt32
    /// The URL that SETUP names.
    package let controlURL: String
    /// Windows Media: the other streams that come with it, to the same port or channel.
    package var otherControlURLs: [String] = []
    /// The interleaved channels that the server gave; RTP and RTCP.
    package var channels: ChannelPair?
}

/// A reader's RTSP session (RFC 2326): DESCRIBE, a SETUP per track, PLAY. Pure: answers come in, requests go out, the caller
/// owns sockets and clock.
///
/// It is forgiving with servers, since every peer is to be measured: what it cannot do without ends it, with the server's words.
package struct ReaderMachine {
    /// What the caller does next.
    package enum Step: Equatable, Sendable {
        /// Send these bytes.
        case send([UInt8])
        /// The description came: open ports for the tracks, then call ``setUp(clientPorts:)``.
        case described
        /// The server plays.
        case playing
        /// Nothing; the answer was to a keep-alive or to TEARDOWN.
        case none
    }

    private enum State: Equatable {
        case idle, describing, described, settingUp(Int), starting, playing, ended
    }

    /// The session description as it came.
    package private(set) var description: [UInt8] = []
    /// The tracks, in its order.
    package private(set) var tracks: [ReaderTrack] = []
    /// What the description says of Windows Media; nil for plain RTP.
    package private(set) var windowsMedia: MSRTSPDescription?
    /// What the server says it is.
    package private(set) var server: String?
    /// The URLs that are set up, with the track that each belongs to.
    private var setUps: [(track: Int, url: String)] = []
    /// Seconds until a silent session is dropped (RFC 2326 section 12.37: 60 unless named).
    package private(set) var timeoutSeconds = 60
    /// Whether the server plays.
    package var isPlaying: Bool { state == .playing }

    /// Whether PLAY was sent and not answered yet: a server may hold it until a key frame.
    package var isStarting: Bool { state == .starting }

    private var state = State.idle
    private let transport: ReaderTransport
    private let url: String
    private var aggregateURL: String
    private var sessionName: String?
    private var sequence = 0
    private var authenticator: ClientAuthenticator
    private var pending: (method: RTSPMethod, url: String, headers: [(String, String)])?
    private var clientPorts: [PortPair] = []
    private var nonceState: UInt64

    /// A session for one URL that has not begun. `seed` makes the client's nonces.
    package init(url: RTSPURL, transport: ReaderTransport, seed: UInt64) {
        self.url = url.requestURI
        aggregateURL = url.requestURI
        self.transport = transport
        nonceState = seed
        authenticator = ClientAuthenticator(
            credentials: url.user.map { Credentials(user: $0, password: url.password ?? "") })
    }

    /// The first request.
    package mutating func describe() -> [UInt8] {
        state = .describing
        return request(.describe, url, [("Accept", "application/sdp")])
    }

    /// The first SETUP. For UDP the client's ports per track; for TCP none.
    package mutating func setUp(clientPorts: [PortPair]) -> [UInt8] {
        self.clientPorts = clientPorts
        return setUp(0)
    }

    /// A request that tells the server we are alive: OPTIONS with the session, which every server takes; of Windows Media what those know.
    package mutating func keepAlive() -> [UInt8] {
        request(windowsMedia == nil ? .options : .getParameter, aggregateURL, [])
    }

    /// The last request.
    package mutating func tearDown() -> [UInt8] {
        state = .ended
        return request(.teardown, aggregateURL, [])
    }

    /// The server's answer.
    package mutating func take(_ answer: RTSPResponse) throws(WorkbenchError) -> Step {
        if answer.status.code == 401 { return try answerChallenge(answer) }
        if answer.status.code < 200 { return .none }
        authenticator.accepted()
        switch state {
        case .describing:
            try demand(answer, "DESCRIBE")
            try readDescription(answer)
            state = .described
            return .described
        case .settingUp(let number):
            try demand(answer, "SETUP")
            try readSetUp(answer, track: setUps[number].track)
            if number + 1 < setUps.count { return .send(setUp(number + 1)) }
            state = .starting
            return .send(request(.play, aggregateURL, [("Range", "npt=0.000-")]))
        case .starting:
            try demand(answer, "PLAY")
            state = .playing
            return .playing
        case .idle, .described, .playing, .ended:
            return .none
        }
    }

    // MARK: Requests

    private mutating func setUp(_ number: Int) -> [UInt8] {
        state = .settingUp(number)
        let (track, url) = setUps[number]
        let transportText: String
        switch transport {
        case .udp:
            transportText = "RTP/AVP;unicast;client_port=\(clientPorts[track].text)"
        case .tcp:
            transportText = "RTP/AVP/TCP;unicast;interleaved=\(2 * track)-\(2 * track + 1)"
        }
        return request(.setup, url, [("Transport", transportText)])
    }

    private mutating func request(_ method: RTSPMethod, _ url: String, _ headers: [(String, String)]) -> [UInt8] {
        sequence += 1
        pending = (method, url, headers)
        var request = RTSPRequest(method: method, uri: url, headers: ["CSeq": String(sequence), "User-Agent": "Weir"])
        if let sessionName { request.headers.add("Session", sessionName) }
        let nonce = nextNonce()
        if let value = authenticator.authorization(method: method.name, uri: url, clientNonce: nonce) {
            request.headers.add("Authorization", value)
        }
        for (name, value) in headers { request.headers.add(name, value) }
        return request.serialized()
    }

    private mutating func nextNonce() -> String {
        nonceState = nonceState &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return String(nonceState, radix: 16)
    }

    // MARK: Answers

    private mutating func answerChallenge(_ answer: RTSPResponse) throws(WorkbenchError) -> Step {
        guard let pending else { return .none }
        switch authenticator.challenged(by: answer.headers.values(named: "WWW-Authenticate")) {
        case .retry: return .send(request(pending.method, pending.url, pending.headers))
        case .credentialsMissing: throw WorkbenchError("\(url) wants a name and a password: rtsp://USER:PASSWORD@…")
        case .credentialsRefused: throw WorkbenchError("\(url): the server refuses this name and password")
        case .schemeUnknown: throw WorkbenchError("\(url): the server offers no authentication that is known here")
        }
    }

    private func demand(_ answer: RTSPResponse, _ method: String) throws(WorkbenchError) {
        guard answer.status.code != 200 else { return }
        let isRefusal = method == "SETUP" && answer.status == .unsupportedTransport
        throw WorkbenchError(
            "\(method) was answered \(answer.status.code) \(answer.status.reason)", kind: isRefusal ? .transportRefused : .failure)
    }

    private mutating func readDescription(_ answer: RTSPResponse) throws(WorkbenchError) {
        description = answer.body
        let read = try ReaderDescription(answer.body, base: ControlURL.base(request: url, headers: answer.headers))
        aggregateURL = read.aggregateURL
        tracks = read.tracks
        windowsMedia = read.windowsMedia
        server = answer.headers["Server"]
        setUps = tracks.enumerated().flatMap { track in
            ([track.element.controlURL] + track.element.otherControlURLs).map { (track.offset, $0) }
        }
    }

    private mutating func readSetUp(_ answer: RTSPResponse, track: Int) throws(WorkbenchError) {
        if let session = answer.headers["Session"].flatMap({ SessionHeader($0) }) {
            sessionName = session.id
            timeoutSeconds = min(Int(session.timeoutSeconds ?? 60), 3_600)
        }
        guard let given = answer.headers["Transport"] else { throw WorkbenchError("SETUP was answered without a Transport header") }
        let chosen: TransportSpec?
        do { chosen = try TransportHeader.parse(given).first } catch {
            throw WorkbenchError("SETUP was answered with a bad header: \(error)")
        }
        guard let chosen, chosen.lowerTransport == (transport == .udp ? .udp : .tcp) else {
            throw WorkbenchError("the server chose another transport than \(transport.rawValue): \(given)", kind: .transportRefused)
        }
        guard transport == .tcp else { return }
        // Some servers do not repeat the channels: then they are those that were asked for.
        let channels = chosen.interleaved ?? ChannelPair(rtp: UInt8(2 * track), rtcp: UInt8(2 * track + 1))
        tracks[track].channels = channels
    }
}
