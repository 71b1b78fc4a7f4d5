import WireFormats

extension RTSPClient {
    /// Sends a request. Also called to send it again with an answer to a challenge.
    mutating func send(_ request: Request) {
        guard phase != .ended else { return }
        let method: RTSPMethod
        var uri = settings.url.request
        var headers: RTSPHeaders = [:]
        var body: [UInt8] = []
        var seconds = UInt64(max(settings.answerSeconds, 1))
        switch request {
        case .options: method = .options
        case .describe:
            method = .describe
            headers.add("Accept", "application/sdp")
        case .setUp(let track):
            method = .setup
            uri = controls.tracks[track].url
            headers.add("Transport", transport(ofTrack: track))
        case .play:
            method = .play
            uri = controls.aggregate
            // Live servers ignore it, stored streams begin at their start. After PAUSE one goes on where one is.
            if !hasPlayed { headers.add("Range", RangeHeader.npt(start: settings.start, end: nil).text) }
        case .pause:
            method = .pause
            uri = controls.aggregate
        case .teardown:
            method = .teardown
            uri = controls.aggregate
        case .keepAlive:
            method = keepAliveMethod ?? .options
            if sessionID != nil { uri = controls.aggregate }
        case .parameters(let number):
            guard let parameters = passed[number] else { return }
            method = parameters.method
            uri = controls.aggregate
            headers.add("Content-Type", parameters.contentType)
            body = parameters.body
            seconds = Self.parameterSeconds
        case .abandoned: return
        }
        sequence &+= 1
        let authorization = authenticator.authorization(method: method.name, uri: uri, clientNonce: settings.clientNonce())
        let proxyAuthorization = proxyAuthenticator.authorization(method: method.name, uri: uri, clientNonce: settings.clientNonce())
        var message = RTSPRequest(method: method, uri: uri)
        message.headers.add("CSeq", String(sequence))
        if let authorization { message.headers.add("Authorization", authorization) }
        if let proxyAuthorization { message.headers.add("Proxy-Authorization", proxyAuthorization) }
        message.headers.add("User-Agent", settings.userAgent)
        if let sessionID { message.headers.add("Session", sessionID) }
        if let via = settings.via, method == .describe || method == .setup { message.headers.add("Via", via) }
        for field in settings.headers { message.headers.add(field.name, field.value) }
        for field in headers.fields { message.headers.add(field.name, field.value) }
        message.body = body
        outstanding.append(
            Outstanding(
                number: sequence, request: request, method: method, deadline: now &+ seconds * 1_000_000_000)
        )
        actions.append(.send(message.serialized()))
    }

    /// Sets up the first track from `track` on, or plays when all had their turn.
    mutating func setUpNext(from track: Int) {
        var track = track
        let end = min(controls.tracks.count, offers.count)
        while track < end, offers[track] == nil { track += 1 }
        if track < end {
            phase = .settingUp(track: track)
            send(.setUp(track: track))
        } else if tracksReady > 0 {
            phase = .starting
            send(.play)
        } else {
            fail(.refused(.setup, lastSetUpStatus))
        }
    }

    /// Only where the description says that the server can: others may stumble over the word.
    func offersMultiplexing(_ track: Int) -> Bool { settings.multiplexes && controls.tracks[track].isMultiplexed }

    private func transport(ofTrack track: Int) -> String {
        switch offers[track] {
        case .datagrams(let ports):
            var spec = TransportSpec(protocolToken: controls.tracks[track].profile)
            spec.isUnicast = true
            spec.clientPort = ports
            spec.rtcpMux = offersMultiplexing(track)
            return TransportHeader.text(spec)
        case .multicast:
            var spec = TransportSpec(protocolToken: controls.tracks[track].profile)
            spec.isMulticast = true
            return TransportHeader.text(spec)
        case .interleaved, nil:
            var spec = TransportSpec(protocolToken: controls.tracks[track].profile + "/TCP")
            spec.isUnicast = true
            let channel = UInt8(truncatingIfNeeded: min(track, 126) * 2)
            spec.interleaved = ChannelPair(rtp: channel, rtcp: channel + 1)
            return TransportHeader.text(spec)
        }
    }
}
