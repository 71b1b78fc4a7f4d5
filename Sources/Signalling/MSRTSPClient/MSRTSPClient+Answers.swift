import WireFormats

extension MSRTSPClient {
    // MARK: The connection

    /// Bytes came from the connection.
    package mutating func received(_ bytes: [UInt8], now: UInt64) -> [Action] {
        self.now = now
        guard isConnected, phase != .over else { return [] }
        parser.append(bytes)
        do throws(RTSPParseError) {
            while phase != .over, let element = try parser.next() {
                switch element {
                case .interleaved(_, let payload):
                    guard isInterleaved, !isStale, payload.count > 1, !RTPHeader.isRTCP(secondByte: payload[1]) else { continue }
                    actions.append(.packet(payload))
                case .request(let request): answer(request)
                case .response(let response): answered(response)
                }
            }
        } catch { fail(.malformed(error.description)) }
        return take()
    }

    /// The connection was closed by the server, or could not be opened.
    package mutating func closed(now: UInt64) -> [Action] {
        self.now = now
        let wasConnected = isConnected
        isConnected = false
        switch phase {
        case .over: return []
        case .leaving: left()
        case .asking where wasConnected && !settings.errand.isEvent:
            // A server that does not know the question, and takes it ill.
            outstanding = []
            phase = .describing
            actions.append(.connect)
        case .playing where settings.carriesOn && sessionID != nil && resumedAt.map({ now &- $0 > Self.resumeMilliseconds }) ?? true:
            outstanding = []
            keepAliveAt = nil
            resumedAt = now
            phase = .resuming
            actions.append(.connect)
        default: fail(.connectionLost)
        }
        return take()
    }

    // MARK: Answers

    private mutating func answered(_ response: RTSPResponse) {
        // 100 Continue announces the real answer.
        guard response.status.code >= 200, !outstanding.isEmpty else { return }
        // Without a number it answers what was asked first; a number that is not known, nothing.
        let place = response.headers.cseqNumber.map { number in outstanding.firstIndex { $0.number == number } } ?? 0
        guard let index = place else { return }
        let asked = outstanding.remove(at: index)
        // It was waited for no longer.
        guard asked.deadline != .max else { return }
        if [401, 407].contains(response.status.code) {
            let isProxy = response.status.code == 407
            wasChallenged = true
            let verdict =
                isProxy
                ? proxyAuthenticator.challenged(by: response.headers.values(named: "Proxy-Authenticate"))
                : authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate"))
            let who = isProxy ? "proxy before the server" : "server"
            switch verdict {
            case .retry: return ask(asked.question)
            case _ where !asked.question.isEssential && settings.errand == .media: break
            case _ where challenge(by: response): return
            case .credentialsMissing: return fail(.unauthorized("the \(who) wants a user and a password: write them into the URL"))
            case .credentialsRefused: return fail(.unauthorized("the \(who) does not accept the user or the password of the URL"))
            case .schemeUnknown: return fail(.unauthorized("the \(who) takes neither Basic nor Digest"))
            }
        } else {
            authenticator.accepted()
            proxyAuthenticator.accepted()
            learn(response)
        }
        take(response, to: asked.question)
    }

    /// What an answer says of the server and the session.
    private mutating func learn(_ response: RTSPResponse) {
        if let session = response.headers.session, !session.id.isEmpty {
            sessionID = session.id
            if let seconds = session.timeoutSeconds { timeoutMilliseconds = max(UInt64(seconds), 10) * 1_000 }
        }
        if let supported = MSRTSPSupported(response.headers) { serverSupports = supported }
        if let server = response.headers["Server"] { self.server = PeerText.clipped(server) }
        guard response.status.isSuccess else { return }
        // Answers that do not speak of the content change nothing.
        if phase == .asking || phase == .describing, let wanted = WMSPClient.subscriptions(response.headers) { subscriptions = wanted }
        if let id = response.headers.playlistGenID { generation = id }
    }

    private mutating func take(_ response: RTSPResponse, to question: Question) {
        switch question {
        case .contentInfo:
            guard phase == .asking else { return }
            if response.status.isSuccess {
                let said = ContentTerms(response.headers)
                if !said.isSilent { terms = said }
            }
            guard settings.errand == .media || terms == nil else { return left() }
            if settings.errand == .contentInfo, (300...305).contains(response.status.code) || [307, 308].contains(response.status.code) {
                return redirect(response.headers["Location"])
            }
            phase = .describing
            ask(.describe)
        case .event where phase == .asking:
            guard response.status.isSuccess else { return fail(.refused(.setParameter, response.status)) }
            left()
        case .describe: described(response)
        case .setUp(let place): answeredSetUp(place, response)
        case .setUpRetransmission:
            let spec = response.status.isSuccess ? transport(of: response) : nil
            if let spec, let ssrc = spec.ssrc, let port = spec.serverPort?.rtcpPort, port != 0 {
                retransmission = Media.Retransmission(ssrc: ssrc, port: port)
            }
            if response.status == .unsupportedTransport {
                lastSetUpStatus = response.status
                // As FFmpeg takes it: no datagrams.
                return fail(.transportRefused(response.status))
            }
            answeredOptional(question)
        case .setUpCorrection(let place):
            if response.status.isSuccess, slots.indices.contains(place) {
                slots[place].hasCorrection = true
                hadCorrection = true
            }
            answeredOptional(question)
        case .play: answeredPlay(response)
        case .keepAlive: if response.status == .sessionNotFound, phase != .leaving { fail(.sessionGone) }
        case .teardown: left()
        case .drop, .pause, .log, .event: break
        }
    }

    /// What can be done without was answered, or not in time.
    mutating func answeredOptional(_ question: Question) {
        guard phase == .settingUp || phase == .changing else { return }
        if question == .setUpRetransmission, !hasFirst { return setUpFirst() }
        playIfReady()
    }

    private mutating func described(_ response: RTSPResponse) {
        guard phase == .describing else { return }
        switch response.status.code {
        case 200...299:
            let said = ContentTerms(response.headers)
            if terms == nil || !said.isSilent { terms = said }
        case 300...304, 307, 308: return redirect(response.headers["Location"])
        case 305: return fail(.redirection("the server wants to be asked through another one (305), which Weir does not do"))
        default: return fail(.refused(.describe, response.status))
        }
        let sdp: SessionDescription
        do throws(SDPError) { sdp = try SessionDescription(response.body) } catch { return fail(.description(error.description)) }
        guard MSRTSPDescription.isMSRTSP(sdp) else {
            finish()
            return actions.append(.plain)
        }
        do throws(MSRTSPDescriptionError) {
            let description = try MSRTSPDescription(sdp)
            take(description, base: ControlURL.base(request: settings.url.request, headers: response.headers))
            phase = .described
            actions.append(.described)
        } catch { fail(.description("\(error)")) }
    }

    /// The streams of a description; none is set up.
    mutating func take(_ description: MSRTSPDescription, base: String) {
        self.description = description
        aggregate = ControlURL.resolve(description.control ?? "*", base: base)
        let base = description.control == nil ? base : aggregate
        slots = description.streams.prefix(Self.streamsMax).map { stream in
            Slot(
                stream: stream, url: ControlURL.resolve(stream.control, base: base),
                correctionURL: stream.fec.map { ControlURL.resolve($0.control, base: base) })
        }
        retransmissionURL = description.retransmission.map { ControlURL.resolve($0.control, base: base) }
    }

    private func transport(of response: RTSPResponse) -> TransportSpec? {
        response.headers["Transport"].flatMap { value in try? TransportHeader.parse(value).first }
    }

    private mutating func answeredSetUp(_ place: Int, _ response: RTSPResponse) {
        guard phase == .settingUp || phase == .changing, slots.indices.contains(place) else { return }
        lastSetUpStatus = response.status
        if response.status.isSuccess {
            slots[place].isSetUp = true
            let spec = transport(of: response)
            slots[place].ssrc = spec?.ssrc
            if let address = spec?.source { source = address }
            // Some servers answer a request for UDP with TCP, and mean it.
            if let spec, spec.lowerTransport == .tcp { isInterleaved = true }
        } else if response.status.code >= 500 || response.status == .sessionNotFound {
            return fail(.refused(.setup, response.status))
        }
        setUpOthers(after: place)
        playIfReady()
    }

    private mutating func answeredPlay(_ response: RTSPResponse) {
        guard phase == .starting || phase == .resuming else { return }
        guard response.status.isSuccess else {
            return fail(response.status == .sessionNotFound ? .sessionGone : .refused(.play, response.status))
        }
        let wasResuming = phase == .resuming
        phase = .playing
        isStale = false
        if playSince == nil { playSince = now }
        learn(response.headers.values(named: "RTP-Info"))
        actions.append(wasResuming ? .resumed : .playing(media))
    }

    /// Where streams begin.
    private mutating func learn(_ values: [String]) {
        for value in values {
            guard let infos = try? MSRTSPInfoHeader.parse(value) else { continue }
            for info in infos {
                guard let place = place(of: info.url), let sequence = info.sequence else { continue }
                slots[place].sequence = sequence
            }
        }
    }

    /// The stream that a URL names, however the server spells the part before its own.
    func place(of url: String) -> Int? {
        let whole = ControlURL.resolve(url, base: aggregate)
        if let place = slots.firstIndex(where: { $0.url == whole || $0.url == url }) { return place }
        guard let name = url.utf8.split(separator: UInt8(ascii: "/")).last else { return nil }
        return slots.firstIndex { $0.stream.control.utf8.elementsEqual(name) }
    }

    private mutating func redirect(_ location: String?) {
        guard let location, !location.isEmpty else {
            return fail(.redirection("the server sends elsewhere, and does not say where"))
        }
        guard settings.trail.count < Self.redirectionsMax else {
            return fail(.redirection("more than \(Self.redirectionsMax) redirections"))
        }
        if WMSPSourceURL.isOne(location), let url = try? WMSPSourceURL(location) {
            finish()
            return actions.append(.redirected(.http(url)))
        }
        var whole = location
        if location.utf8.first == UInt8(ascii: "/"), !location.utf8.starts(with: "//".utf8), let here = try? RTSPURL(settings.url.request) {
            whole = "rtsp://\(here.authority)\(location)"
        }
        guard let url = try? SourceURL(whole) else {
            return fail(.redirection("the server sends elsewhere, to what is no URL of a server"))
        }
        guard !(settings.trail + [settings.url]).contains(where: { $0.request == url.request }) else {
            return fail(.redirection("the redirections lead in a circle, back to \(url)"))
        }
        // A password is for the machine it was given for.
        let isHere = url.credentials == nil && url.host == settings.url.host
        let own = isHere ? try? SourceURL(url.request, inherited: settings.url.credentials) : nil
        finish()
        actions.append(.redirected(.rtsp(own ?? url)))
    }

    /// The challenge is whoever's who asks through us; it ends the attempt.
    private mutating func challenge(by response: RTSPResponse) -> Bool {
        challenge = PassedChallenge(response.status.code, response.headers)
        guard settings.errand != .media else { return false }
        fail(.unauthorized("the server wants to know who asks"))
        return true
    }
}
