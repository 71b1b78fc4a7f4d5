import WireFormats

extension MSRTSPClient {
    // MARK: The server asks

    /// Servers ask, too: for the end of the media and the next entry of a playlist. All are answered.
    mutating func answer(_ request: RTSPRequest) {
        var status = RTSPStatus.ok
        var headers: RTSPHeaders = [:]
        if let number = request.headers.cseq { headers.add("CSeq", number) }
        if let session = request.headers.session { headers.add("Session", session.id) }
        var announcement: Announcement?
        switch request.method {
        case .announce:
            announcement = self.announcement(request)
            if announcement == nil { status = .badRequest }
        case .options: headers.add("Public", MethodListHeader.text([.options, .announce, .getParameter, .setParameter]))
        case .getParameter, .setParameter, .redirect: break
        case .describe, .setup, .play, .pause, .record, .teardown, .register, .deregister, .other: status = .notImplemented
        }
        actions.append(.send(RTSPResponse(status: status, headers: headers).serialized()))
        if let announcement { return take(announcement) }
        if request.method == .setParameter { heard(request) }
    }

    /// `EndOfStream`, or something that is not known.
    private mutating func heard(_ request: RTSPRequest) {
        let isEnd = MSRTSPEndOfStream.isNotice(request.headers)
        guard isEnd || MSRTSPContentType(request.headers) == .extensionCommand else { return }
        let end = try? MSRTSPEndOfStream(request.body)
        guard isEnd || end != nil else { return }
        if let id = request.headers.playlistGenID, id != generation, generation != 0 { return }
        mediaEnds(isEntry: end?.reason == .entry || end?.reason == .receding, request.headers.values(named: "RTP-Info"))
    }

    private mutating func mediaEnds(isEntry: Bool, _ info: [String]) {
        switch phase {
        case .playing, .starting, .resuming: if isStale { return }
        default: return
        }
        var ends: [UInt32: UInt16] = [:]
        for value in info {
            for info in (try? MSRTSPInfoHeader.parse(value)) ?? [] {
                guard let place = place(of: info.url), let ssrc = slots[place].ssrc, let sequence = info.sequence else { continue }
                ends[ssrc] = sequence
            }
        }
        phase = .draining(isEntry: isEntry)
        phaseDeadline = nil
        actions.append(.drain(ends))
    }

    private func announcement(_ request: RTSPRequest) -> Announcement? {
        guard let sdp = try? SessionDescription(request.body), let description = try? MSRTSPDescription(sdp) else { return nil }
        var chosen: [MSRTSPInfo] = []
        for value in request.headers.values(named: "X-RTP-Info") { chosen += (try? MSRTSPInfoHeader.parse(value)) ?? [] }
        return Announcement(
            description: description, base: ControlURL.base(request: aggregate, headers: request.headers),
            generation: request.headers.playlistGenID, chosen: chosen)
    }

    private mutating func take(_ announcement: Announcement) {
        switch phase {
        case .between: enter(announcement)
        case .draining:
            // Whatever the end said: more comes.
            phase = .draining(isEntry: true)
            announced = announcement
        case .playing, .starting, .resuming:
            announced = announcement
            mediaEnds(isEntry: true, [])
        case .changing:
            // Another one before the last was entered: what was chosen for that is void.
            enter(announcement)
        case .new, .asking, .describing, .described, .settingUp, .ended, .leaving, .over: break
        }
    }

    /// Goes on with another entry: with the streams that the server chose, or with all that are set up anew.
    mutating func enter(_ announcement: Announcement) {
        announced = nil
        phaseDeadline = nil
        phase = .changing
        isLaterEntry = true
        let former = slots.filter(\.isSetUp).map(\.url)
        let formerRetransmission = retransmission == nil ? nil : retransmissionURL
        take(announcement.description, base: announcement.base)
        if let id = announcement.generation { generation = id }
        for info in announcement.chosen {
            guard let place = place(of: info.url) else { continue }
            slots[place].isSetUp = true
            slots[place].isKept = true
            slots[place].ssrc = info.transport?.ssrc
            slots[place].sequence = info.sequence
            // Error correction is of the session that goes on.
            slots[place].hasAskedCorrection = true
            slots[place].hasCorrection = hadCorrection && slots[place].stream.fec != nil
        }
        isRetransmissionKept = retransmission != nil && announcement.chosen.contains { $0.url.hasSuffix("rtx") }
        let hasChosen = slots.contains(where: \.isSetUp)
        if !hasChosen {
            for url in former { ask(.drop(url)) }
            // What is sent once more is of the session, too.
            if let formerRetransmission, !isRetransmissionKept {
                ask(.drop(formerRetransmission))
                retransmission = nil
            }
        }
        setUpStreams()
    }
}
