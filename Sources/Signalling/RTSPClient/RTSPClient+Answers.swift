import WireFormats

extension RTSPClient {
    /// Bytes came from the connection.
    package mutating func receive(_ bytes: [UInt8], now: UInt64) -> [Action] {
        self.now = now
        parser.append(bytes)
        do throws(RTSPParseError) {
            while phase != .ended, let element = try parser.next() {
                handle(element)
                // What follows belongs to whoever reads the media.
                if hasInterleavedTracks, phase == .playing, !settings.takesFrames { break }
            }
        } catch {
            fail(.malformed(error.description))
        }
        return take()
    }

    /// Text came between interleaved frames, seen by the reader of the media. `consumed` says how many bytes were whole messages;
    /// what follows is a frame or the beginning of a message.
    package mutating func receiveText(_ bytes: [UInt8], now: UInt64) -> (consumed: Int, actions: [Action]) {
        self.now = now
        var text = RTSPParser(limits: .client)
        text.append(bytes)
        do throws(RTSPParseError) {
            while phase != .ended, !text.isAtInterleavedFrame(), let element = try text.next() { handle(element) }
            return (Int(clamping: text.bytesConsumed), take())
        } catch {
            // Neither text nor a frame: old LIVE555 cameras lose the framing when their socket is full.
            return (resynchronised(bytes, from: Int(clamping: text.bytesConsumed) + 1), take())
        }
    }

    /// Where something plausible begins: a frame on a low channel with RTP's version behind it, or a response.
    private func resynchronised(_ bytes: [UInt8], from start: Int) -> Int {
        var index = min(start, bytes.count)
        while index < bytes.count {
            let rest = bytes[index...]
            if rest.first == InterleavedHeader.magic {
                // Too few bytes to tell: wait for more.
                guard rest.count >= 5 else { return index }
                if rest[index + 1] < 32, rest[index + 4] >> 6 == 2 { return index }
            } else if rest.starts(with: "RTSP/1.".utf8) || (rest.count < 7 && "RTSP/1.".utf8.starts(with: rest)) {
                return index
            }
            index += 1
        }
        return bytes.count
    }

    private mutating func handle(_ element: RTSPElement) {
        switch element {
        case .interleaved(let channel, let payload):
            if settings.takesFrames, phase == .playing { return actions.append(.frame(channel: channel, payload)) }
            guard hasInterleavedTracks, earlyFrames.count + payload.count + 4 <= Self.earlyBytesMax else { return }
            earlyFrames += [
                InterleavedHeader.magic, channel, UInt8(truncatingIfNeeded: payload.count >> 8), UInt8(truncatingIfNeeded: payload.count),
            ]
            earlyFrames += payload
        case .request(let request): answer(request)
        case .response(let response): answered(response)
        }
    }

    private mutating func answered(_ response: RTSPResponse) {
        // 100 Continue announces the real answer.
        guard response.status.code >= 200, !outstanding.isEmpty else { return }
        // By number if it is known; else (missing, off by one: real cameras) it answers what was asked first.
        let index = response.headers.cseqNumber.flatMap { number in outstanding.firstIndex { $0.number == number } } ?? 0
        let question = outstanding.remove(at: index)
        if response.status == .unauthorized || response.status == .proxyAuthenticationRequired {
            wasChallenged = true
            isWindowsMediaGuarded = settings.url.credentials == nil && MSRTSPAgent(response.headers["Server"]).product == .server
            switch challenged(by: response) {
            case .retry: return send(question.request)
            // That a reader may not do this says nothing of what we may.
            case let verdict where verdict != .retry && question.request.isPassed:
                return answeredParameters(question.request, response)
            case .credentialsMissing:
                return fail(.unauthorized("the server wants a user and a password; write rtsp://USER:PASSWORD@HOST/…"))
            case .credentialsRefused: return fail(.unauthorized("the server does not accept this user and password"))
            case .schemeUnknown: return fail(.unauthorized("the server asks for a kind of login that Weir does not know"))
            }
        }
        authenticator.accepted()
        proxyAuthenticator.accepted()
        if question.request.isPassed { return answeredParameters(question.request, response) }
        take(session: response.headers)
        if response.status.isRedirection, question.request != .keepAlive { return follow(response.headers["Location"]) }
        switch question.request {
        case .options: answeredOptions(response)
        case .describe: answeredDescribe(response)
        case .setUp(let track): answeredSetUp(track, response)
        case .play: answeredPlay(response)
        case .pause:
            // A refusal changes nothing: the media that goes on flowing is not sent to anybody.
            if phase == .closing { return send(.teardown) }
            phase = .paused
            actions.append(.paused)
        case .teardown: end(.closed)
        case .parameters, .abandoned: break
        case .keepAlive: answeredKeepAlive(question.method, response)
        }
    }

    private mutating func challenged(by response: RTSPResponse) -> ClientAuthenticator.Verdict {
        response.status == .unauthorized
            ? authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate"))
            : proxyAuthenticator.challenged(by: response.headers.values(named: "Proxy-Authenticate"))
    }

    private mutating func take(session headers: RTSPHeaders) {
        guard let session = headers.session else { return }
        // The newest counts: some servers change it between SETUPs.
        sessionID = session.id
        if let seconds = session.timeoutSeconds { timeoutSeconds = UInt64(seconds) }
    }

    private mutating func answeredOptions(_ response: RTSPResponse) {
        guard phase == .opening else { return }
        // A server that does not know OPTIONS may know all the rest.
        if response.status.isSuccess { learn(response.headers.publicMethods) }
        phase = .describing
        send(.describe)
    }

    private mutating func answeredDescribe(_ response: RTSPResponse) {
        guard phase == .describing else { return }
        guard response.status.isSuccess else { return fail(.refused(.describe, response.status)) }
        descriptionHeaders = response.headers
        do throws(RTSPClientFailure) {
            let description = try TrackControls.description(in: response)
            controls = TrackControls(description, headers: response.headers, request: settings.url.request)
            phase = .described
            scheduleKeepAlive()
            actions.append(.described(description))
        } catch { fail(error) }
    }

    private mutating func answeredSetUp(_ track: Int, _ response: RTSPResponse) {
        guard phase == .settingUp(track: track) else { return }
        lastSetUpStatus = response.status
        if response.status == .unsupportedTransport { return fail(.transportRefused(response.status)) }
        guard response.status.isSuccess else {
            // One track that cannot be had (a back channel, metadata) does not spoil the others; a server in trouble does.
            if response.status.code >= 500 || response.status == .sessionNotFound { return fail(.refused(.setup, response.status)) }
            return setUpNext(from: track + 1)
        }
        // What cannot be read counts as what was asked for.
        let spec = response.headers["Transport"].flatMap { value in try? TransportHeader.parse(value).first }
        if offers[track] == .multicast {
            guard let group = group(ofTrack: track, spec) else { return fail(.transportRefused(.unsupportedTransport)) }
            actions.append(.ready(track: track, .multicast(group)))
            tracksReady += 1
            return setUpNext(from: track + 1)
        }
        if let spec, spec.isMulticast { return fail(.transportRefused(.unsupportedTransport)) }
        // Some servers answer a request for UDP with TCP, and mean it; without a channel pair the token alone is no proof.
        let isInterleaved = spec?.interleaved != nil || offers[track] == .interleaved
        if isInterleaved {
            hasInterleavedTracks = true
            let asked = UInt8(truncatingIfNeeded: min(track, 126) * 2)
            let pair = spec?.interleaved ?? ChannelPair(rtp: asked, rtcp: asked + 1)
            actions.append(.ready(track: track, .interleaved(rtp: pair.rtp, rtcp: pair.rtcpChannel)))
        } else {
            let isMultiplexed = spec?.rtcpMux == true && offersMultiplexing(track)
            actions.append(
                .ready(
                    track: track, .datagrams(serverPorts: spec?.serverPort, source: spec?.source, isMultiplexed: isMultiplexed)))
        }
        tracksReady += 1
        setUpNext(from: track + 1)
    }

    /// The group that the server sends a track to; what its answer leaves out is in the description (RFC 2326 section 12.39). Nil when
    /// the answer is not about multicast, or neither names a group and a port.
    private func group(ofTrack track: Int, _ spec: TransportSpec?) -> GroupAddress? {
        let described = controls.tracks[track].group
        guard let spec else { return described.flatMap { $0.ports.rtp == 0 ? nil : $0 } }
        guard spec.isMulticast else { return nil }
        let destination = spec.destination.flatMap { $0.isEmpty ? nil : $0 }
        // LIVE555 and RFC 2326 say `port`, some cameras `client_port` or `server_port`.
        let ports = spec.port ?? spec.clientPort ?? spec.serverPort ?? described?.ports
        guard let group = destination ?? described?.group, let ports, ports.rtp > 0 else { return nil }
        return GroupAddress(group: group, ports: ports, source: spec.source ?? described?.source)
    }

    private mutating func answeredPlay(_ response: RTSPResponse) {
        guard phase == .starting else { return }
        guard response.status.isSuccess else {
            return fail(response.status == .sessionNotFound ? .sessionGone : .refused(.play, response.status))
        }
        phase = .playing
        hasPlayed = true
        playHeaders = response.headers
        scheduleKeepAlive()
        actions.append(.playing)
        if settings.takesFrames { takeEarlyFrames() }
    }

    /// Frames that came before PLAY was answered.
    private mutating func takeEarlyFrames() {
        var rest = earlyFrames[...]
        earlyFrames = []
        while rest.count >= InterleavedHeader.byteCount {
            let channel = rest[rest.startIndex + 1]
            let length = Int(rest[rest.startIndex + 2]) << 8 | Int(rest[rest.startIndex + 3])
            rest = rest.dropFirst(InterleavedHeader.byteCount)
            actions.append(.frame(channel: channel, Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
    }

    private mutating func answeredKeepAlive(_ method: RTSPMethod, _ response: RTSPResponse) {
        keepAlivesAnswered += 1
        if response.status == .sessionNotFound { return fail(.sessionGone) }
        // Offered and then refused: several cameras do. OPTIONS is known to all. Nothing is ever ended for such an answer.
        if !response.status.isSuccess, method == .getParameter { keepAliveMethod = .options }
        if method == .options, response.status.isSuccess, serverMethods == nil { learn(response.headers.publicMethods) }
    }

    private mutating func learn(_ methods: [RTSPMethod]?) {
        guard let methods else { return }
        serverMethods = methods
        keepAliveMethod = methods.contains(.getParameter) ? .getParameter : .options
    }

    mutating func follow(_ location: String?) {
        guard settings.redirections < Self.redirectionsMax else {
            return fail(.redirection("the server redirects more than \(Self.redirectionsMax) times"))
        }
        guard let location, let url = try? SourceURL(location) else {
            return fail(.redirection("the server redirects without saying where to"))
        }
        // A password is for the machine it was given for.
        guard url.credentials == nil, url.host == settings.url.host, let own = try? SourceURL(location, inherited: settings.url.credentials)
        else {
            return end(.redirected(url))
        }
        end(.redirected(own))
    }

    // MARK: The server asks

    /// Servers may ask, too (RFC 2326 section 10): they are answered, so that none waits for us.
    private mutating func answer(_ request: RTSPRequest) {
        var status = RTSPStatus.ok
        var headers: RTSPHeaders = [:]
        if let number = request.headers.cseq { headers.add("CSeq", number) }
        if let session = request.headers.session { headers.add("Session", session.id) }
        switch request.method {
        case .options: headers.add("Public", MethodListHeader.text([.options, .announce, .getParameter, .setParameter, .redirect]))
        case .announce, .getParameter, .setParameter, .redirect: break
        case .describe, .setup, .play, .pause, .record, .teardown, .register, .deregister, .other: status = .notImplemented
        }
        actions.append(.send(RTSPResponse(status: status, headers: headers).serialized()))
        switch request.method {
        case .announce: actions.append(.descriptionChanged)
        case .redirect: follow(request.headers["Location"])
        case .options, .getParameter, .setParameter, .describe, .setup, .play, .pause, .record, .teardown, .register, .deregister, .other:
            break
        }
    }
}
