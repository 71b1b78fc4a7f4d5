import WireFormats

extension MSRTSPClient {
    /// What a relay that serves over HTTP, too, can do with what it is sent.
    private static let supported: MSRTSPSupported = [.packetPair, .streamSwitch, .endOfStream, .prediction, .locationID]
    private var supported: MSRTSPSupported { settings.followsEntries ? Self.supported : Self.supported.subtracting([.prediction]) }

    /// Sends a request. Also called to send it again with an answer to a challenge.
    mutating func ask(_ question: Question) {
        guard phase != .over, isConnected else { return }
        guard outstanding.count < Self.outstandingMax else {
            return fail(.malformed("it leaves \(Self.outstandingMax) requests unanswered"))
        }
        var message: RTSPRequest
        var milliseconds = settings.answerMilliseconds
        switch question {
        case .contentInfo:
            message = request(.getParameter, aggregate, .contentInfo, body: [0])
            milliseconds = min(milliseconds, Self.contentInfoMilliseconds)
        case .describe:
            message = request(.describe, settings.url.request)
            milliseconds = settings.describeMilliseconds
            message.headers.add("Accept", "application/sdp")
            message.headers.add("Supported", supported.text)
            message.headers.add("X-Accept-Authentication", "Digest, Basic")
            message.headers.add("X-Accept-Proxy-Authentication", "Digest, Basic")
        case .setUp(let place):
            guard slots.indices.contains(place) else { return }
            message = setUpRequest(slots[place].url, transport())
        case .setUpRetransmission:
            guard let retransmissionURL, case .datagrams(_, let ports) = offer else { return }
            var spec = transport()
            spec.clientPort = ports
            message = setUpRequest(retransmissionURL, spec)
        case .setUpCorrection(let place):
            guard slots.indices.contains(place), let url = slots[place].correctionURL, let fec = slots[place].stream.fec else { return }
            var spec = transport()
            spec.fec = FECOffer(fec.settings.parameters)
            message = setUpRequest(url, spec)
        case .drop(let url): message = request(.teardown, url)
        case .play: message = playRequest()
        case .pause: message = request(.pause, aggregate)
        case .teardown: message = request(.teardown, aggregate)
        case .keepAlive: message = request(.getParameter, aggregate)
        case .log(let type, let text): message = request(.setParameter, aggregate, type, body: Array(text.utf8))
        case .event(let event):
            guard settings.errand != .media || feedbackFits() else { return }
            message = request(.setParameter, aggregate, .event, body: event.serialized())
        }
        sequence &+= 1
        message.headers.add("CSeq", String(sequence))
        let nonce = settings.clientNonce
        if let answer = authenticator.authorization(method: message.method.name, uri: message.uri, clientNonce: nonce()) {
            message.headers.add("Authorization", answer)
        }
        if settings.url.credentials == nil, let passed = settings.authorization,
            PassedAuthorization.mayPass(passed, uri: message.uri)
        {
            message.headers.add("Authorization", passed)
            wasChallenged = true
        }
        if let answer = proxyAuthenticator.authorization(method: message.method.name, uri: message.uri, clientNonce: nonce()) {
            message.headers.add("Proxy-Authorization", answer)
        }
        outstanding.append(
            Outstanding(
                number: sequence, question: question, method: message.method, milliseconds: milliseconds, deadline: now &+ milliseconds))
        if sessionID != nil, phase != .leaving { scheduleKeepAlive() }
        actions.append(.send(message.serialized()))
    }

    /// What cannot be answered in time is not asked without bound.
    private mutating func feedbackFits() -> Bool {
        guard outstanding.count(where: \.question.isEvent) < Self.feedbackMax else {
            feedbackDropped += 1
            return false
        }
        return true
    }

    private func request(_ method: RTSPMethod, _ uri: String, _ type: MSRTSPContentType? = nil, body: [UInt8] = []) -> RTSPRequest {
        var message = RTSPRequest(method: method, uri: uri, body: body)
        message.headers.add("User-Agent", "\(settings.userAgent) guid/\(settings.guid)")
        if let sessionID { message.headers.add("Session", sessionID) }
        if generation != 0 { message.headers.add("X-Playlist-Gen-Id", "\(generation)") }
        if let type { message.headers.add("Content-Type", type.text) }
        if let via = settings.via { message.headers.add("Via", via) }
        if let maxForwards = settings.maxForwards { message.headers.add("Max-Forwards", "\(max(maxForwards, 0))") }
        if let player = settings.player {
            message.headers.add("X-Proxy-Client-Agent", player.agent)
            message.headers.add("X-Proxy-Client-Verb", player.verb)
        }
        return message
    }

    private func setUpRequest(_ url: String, _ spec: TransportSpec) -> RTSPRequest {
        var message = request(.setup, url)
        message.headers.add("Transport", TransportHeader.windowsMediaText(spec))
        message.headers.add("Supported", supported.text)
        return message
    }

    private func transport() -> TransportSpec {
        switch offer {
        case .datagrams(let ports, _):
            var spec = TransportSpec(protocolToken: "RTP/AVP/UDP")
            spec.isUnicast = true
            spec.clientPort = ports
            spec.mode = .play
            return spec
        // As the players do it: one pair of channels for all.
        case .interleaved, nil:
            var spec = TransportSpec(protocolToken: "RTP/AVP/TCP")
            spec.isUnicast = true
            spec.interleaved = ChannelPair(rtp: 0, rtcp: 1)
            spec.mode = .play
            return spec
        }
    }

    private func playRequest() -> RTSPRequest {
        var message = request(.play, aggregate)
        message.headers.add("Supported", supported.text)
        message.headers.add("Bandwidth", "2147483647")
        if phase == .changing {
            if generation != 0 { message.headers.add("X-Playlist-Seek-Id", "\(generation)") }
            if slots.contains(where: \.isKept) {
                // What is not named here is not sent.
                let kept = slots.filter(\.isSetUp).map(\.url) + (isRetransmissionKept ? [retransmissionURL].compactMap { $0 } : [])
                message.headers.add("X-RTP-Info", MSRTSPInfoHeader.text(kept.map { MSRTSPInfo(url: $0) }))
            }
        } else if phase != .resuming {
            message.headers.add("Range", positionText)
            if let id = seekID { message.headers.add("X-Playlist-Seek-Id", "\(id)") }
        }
        let haste = haste ?? Haste(burst: settings.burst, acceleration: settings.acceleration)
        if let speed = haste.speed, serverSupports.contains(.fastCache) { message.headers.add("Speed", speed) }
        if let burst = haste.burst { message.headers.add("X-Burst-Streaming", burst.burstText) }
        if let acceleration = haste.acceleration { message.headers.add("X-Accelerate-Streaming", acceleration.accelerationText) }
        return message
    }

    // MARK: Streams

    /// Asks for all streams that are not set up: the first one alone, for its answer brings the session, then the others.
    mutating func setUpStreams() {
        if phase == .settingUp { isInterleaved = offer == .interleaved }
        if !isInterleaved, retransmission == nil, retransmissionURL != nil {
            ask(.setUpRetransmission)
            if sessionID == nil { return }
        }
        setUpFirst()
    }

    mutating func setUpFirst() {
        let wanted = slots.indices.filter { !slots[$0].isSetUp }
        hasFirst = sessionID != nil
        for place in hasFirst ? wanted[...] : wanted.prefix(1) { ask(.setUp(place)) }
        playIfReady()
    }

    /// The session is known: the others follow.
    mutating func setUpOthers(after place: Int) {
        guard !hasFirst else { return }
        hasFirst = sessionID != nil
        // A first one that was refused brought no session: the next one is the first.
        let wanted = slots.indices.filter { $0 > place && !slots[$0].isSetUp }
        for place in hasFirst ? wanted[...] : wanted.prefix(1) { ask(.setUp(place)) }
    }

    /// Plays when every stream has had its answer.
    mutating func playIfReady() {
        guard phase == .settingUp || phase == .changing else { return }
        let isWaiting = outstanding.contains {
            switch $0.question {
            case .setUp, .setUpRetransmission, .setUpCorrection: $0.deadline != .max
            default: false
            }
        }
        guard !isWaiting else { return }
        guard slots.contains(where: \.isSetUp) else {
            let status = lastSetUpStatus
            return fail(status == .unsupportedTransport ? .transportRefused(status) : .refused(.setup, status))
        }
        if settings.wantsCorrection, !isInterleaved {
            let places = slots.indices.filter { slots[$0].isSetUp && slots[$0].correctionURL != nil && !slots[$0].hasAskedCorrection }
            for place in places {
                slots[place].hasAskedCorrection = true
                ask(.setUpCorrection(place))
            }
            guard places.isEmpty else { return }
        }
        actions.append(isLaterEntry ? .next(media) : .ready(media))
        if isLaterEntry, !settings.followsEntries {
            phase = .ended
            return
        }
        ask(.play)
        phase = .starting
        guard !hasToldConnection else { return }
        hasToldConnection = true
        ask(.log(.logConnect, connectLog))
    }

    /// How the server sends what is set up.
    var media: Media {
        var media = Media()
        media.header = description?.header ?? []
        media.descriptions = description?.contentDescriptions ?? []
        media.isPlaylist = isLaterEntry || description?.features.contains(.playlist) ?? false
        media.isInterleaved = isInterleaved
        media.source = source
        for slot in slots where slot.isSetUp {
            guard let ssrc = slot.ssrc else { continue }
            media.streams[ssrc] = .some(slot.sequence)
        }
        media.retransmission = retransmission
        if let slot = slots.first(where: \.hasCorrection), let fec = slot.stream.fec {
            media.correction = Media.Correction(mediaPayloadType: slot.stream.payloadType, payloadType: fec.settings.payloadType)
        }
        return media
    }

    // MARK: Logs

    mutating func scheduleKeepAlive() { keepAliveAt = now &+ max(timeoutMilliseconds / 2, 1_000) }

    /// Tells the server how the media came that ended just now.
    mutating func report(_ statistics: Statistics) {
        guard let playSince else { return }
        self.playSince = nil
        var log = WMSPStreamingLog(
            url: settings.url.request, guid: "{\(settings.guid)}", userAgent: settings.userAgent, unixSeconds: settings.unixSeconds())
        log.carriage = WMSPStreamingLog.Carriage(protocolName: "rtsp", transport: isInterleaved ? "TCP" : "UDP")
        log.carriage.lost = statistics.lost
        log.carriage.asked = statistics.asked
        log.carriage.resent = statistics.resent
        log.carriage.corrected = statistics.corrected
        log.milliseconds = now &- playSince
        log.packets = statistics.packets
        log.bytes = statistics.bytes
        log.isReconnected = settings.isReconnecting
        if let header = try? description?.asfHeader() {
            log.bitsPerSecond = header.file.bitrateMax
            log.contentSeconds = (header.file.contentMilliseconds ?? 0) / 1_000
            if !header.file.isBroadcast { log.contentBytes = header.file.fileBytes }
        }
        let items = description?.contentDescriptions.first?.items ?? []
        log.entry = items.first { $0.name == "WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL" }?.value
        log.role = items.first { $0.name == "WMS_CONTENT_DESCRIPTION_ROLE" }?.value
        ask(.log(.logPlay, log.xml))
    }

    /// What a server hears of who connected ([MS-RTSP] 2.2.7.7).
    private var connectLog: String {
        let (date, time) = HTTPDate.fields(unixSeconds: settings.unixSeconds())
        return "<XML><Summary></Summary><c-dns>-</c-dns><c-ip>0.0.0.0</c-ip><c-os>Linux</c-os><c-osversion>-</c-osversion>"
            + "<date>\(date)</date><time>\(time)</time><c-cpu>-</c-cpu><transport>\(isInterleaved ? "TCP" : "UDP")</transport></XML>"
    }
}
