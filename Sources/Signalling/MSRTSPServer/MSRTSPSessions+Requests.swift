import WireFormats

extension MSRTSPSessions {
    mutating func handle(_ incoming: Incoming) throws(RequestRefusal) {
        let request = incoming.request
        var known = try named(incoming)
        if var session = known {
            adopt(&session, incoming)
            session.seen(request, now: incoming.now)
            sessions[session.id] = session
            try checkEntry(incoming, session.content)
            try countTransaction(&session, incoming)
            sessions[session.id] = session
            known = session
        } else {
            if let supported = request.supported { featuresByConnection[incoming.connection] = supported }
            if case .success(let content)? = incoming.content { try checkEntry(incoming, content) }
        }
        switch request.kind {
        case .options: reply(MSRTSPAnswers.options(), to: incoming)
        case .describe: try describe(incoming, known)
        case .getContentInfo: try getContentInfo(incoming)
        case .tcpPacketPair: try sendPacketPair(incoming)
        case .selectStream: try selectStream(incoming, known)
        case .play: try play(incoming)
        case .pause: try pause(incoming)
        case .keepAlive, .acknowledgement: reply(ServerAnswers.ok(), to: incoming)
        case .udpPacketPair: try sendDatagramPair(incoming)
        case .logConnect: log(incoming, known, .connect)
        case .logPlay: log(incoming, known, .play)
        case .sendEvent: try sendEvent(incoming)
        case .tearDown: try tearDown(incoming)
        }
    }

    // MARK: Before anything else

    /// The session that a request names; nil where it names none, or may name any.
    func named(_ incoming: Incoming) throws(RequestRefusal) -> MSRTSPSession? {
        let request = incoming.request
        guard !request.kind.ignoresSession else { return nil }
        switch request.session {
        case .none: return nil
        case .foreign: throw .sessionNotFound("")
        case .id(let id):
            guard let session = sessions[id] else { throw .sessionNotFound("") }
            guard session.host == incoming.host else { throw .sessionForeign("the session belongs to another address") }
            guard session.path == request.path else { throw .sessionForeign("the session belongs to /\(session.path)") }
            return session
        }
    }

    /// The session that a request must name.
    func required(_ incoming: Incoming) throws(RequestRefusal) -> MSRTSPSession {
        guard let session = try named(incoming) else { throw .sessionMissing }
        return session
    }

    /// What a client believes to be asking about must be what there is. Logs are never refused, the end neither; a Play says itself which
    /// entry it is about.
    private func checkEntry(_ incoming: Incoming, _ content: WMSPContent) throws(RequestRefusal) {
        let request = incoming.request
        switch request.kind {
        case .play, .tearDown, .logConnect, .logPlay, .acknowledgement, .sendEvent, .options: break
        case .describe, .getContentInfo, .tcpPacketPair, .selectStream, .pause, .keepAlive, .udpPacketPair:
            if let id = request.genID, id != content.playlistGenID {
                throw .contentChanged("X-Playlist-Gen-Id \(id) is over; it is \(content.playlistGenID) now")
            }
        }
        guard request.kind == .describe || request.kind == .selectStream || request.kind == .play else { return }
        let headers = request.message.headers
        let tags = [MSRTSPAnswers.tag(of: content)] + (content.etag.map { [MSRTSPAnswers.unquoted($0)] } ?? [])
        // Whoever goes back to an entry may name it by its tag, too.
        if let condition = headers["If-Match"], request.seekID.map({ $0 == content.playlistGenID }) ?? true {
            guard let asked = try? EntityTagCondition.parse(condition) else { throw .contentChanged("If-Match cannot be read") }
            guard tags.contains(where: { asked.matches($0) }) else { throw .contentChanged("it is not what If-Match names any more") }
        }
        guard let condition = headers["If-None-Match"] else { return }
        guard let asked = try? EntityTagCondition.parse(condition) else { throw .headerMalformed("If-None-Match", "it is no list of tags") }
        guard tags.contains(where: { asked.matches($0) }) else { return }
        throw request.kind == .describe ? .notModified : .contentChanged("it is what If-None-Match names")
    }

    /// What one session may ask in a while; the streams of an entry are one thing ([MS-RTSP] 3.2.7.5.2).
    private mutating func countTransaction(_ session: inout MSRTSPSession, _ incoming: Incoming) throws(RequestRefusal) {
        if incoming.now &- session.heartbeat >= settings.heartbeatMilliseconds {
            session.heartbeat = incoming.now
            session.transactions = 0
            session.selectionsInTransaction = 0
        }
        switch incoming.request.kind {
        case .tearDown, .logConnect, .logPlay, .acknowledgement: return
        case .selectStream:
            session.selectionsInTransaction += 1
            if session.selectionsInTransaction > max(session.content.header.streams.count + 1, 3) { session.selectionsInTransaction = 1 }
            guard session.selectionsInTransaction == 1 else { return }
        case .options, .describe, .getContentInfo, .tcpPacketPair, .play, .pause, .keepAlive, .udpPacketPair, .sendEvent: break
        }
        session.transactions += 1
        guard session.transactions > settings.transactionsMax else { return }
        counters.transactionsRefused += 1
        sessions[session.id] = session
        let seconds = settings.heartbeatMilliseconds / 1_000
        throw .unavailable(
            "a session may ask \(settings.transactionsMax) things in \(seconds) seconds", retryAfterSeconds: Int(clamping: seconds))
    }

    // MARK: What is it?

    private mutating func describe(_ incoming: Incoming, _ known: MSRTSPSession?) throws(RequestRefusal) {
        try MSRTSPAnswers.checkAccept(incoming.request.message)
        let content = try incoming.contentOrRefusal()
        let request = incoming.request
        let sdp = try MSRTSPAnswers.description(
            of: content, base: request.baseURL, agent: request.agent, place: (incoming.place.retransmits, incoming.place.fec))
        var response = RTSPResponse(
            status: .ok, headers: ["Content-Type": "application/sdp", "Content-Base": request.baseURL + "/", "Vary": "Accept"], body: sdp)
        MSRTSPAnswers.addFacts(of: content, to: &response.headers)
        if known == nil, content.playlistGenID != 0 { response.headers.add("X-Playlist-Gen-Id", "\(content.playlistGenID)") }
        reply(response, to: incoming)
    }

    private mutating func getContentInfo(_ incoming: Incoming) throws(RequestRefusal) {
        let content = try incoming.contentOrRefusal()
        var response = ServerAnswers.ok()
        response.headers.add("Cache-Control", MSRTSPAnswers.cacheControl(of: content))
        // By which a cache sees that what it keeps is still what it was.
        if let modified = content.lastModified { response.headers.add("Last-Modified", modified) }
        if let etag = content.etag { response.headers.add("Etag", etag) }
        reply(response, to: incoming)
    }

    // MARK: How wide is the link?

    private mutating func sendPacketPair(_ incoming: Incoming) throws(RequestRefusal) {
        guard settings.offersPacketPairs else { throw .mediaTypeUnknown("application/x-rtsp-packetpair") }
        var response = RTSPResponse(status: .ok, headers: ["Content-Type": "application/x-rtsp-packetpair"])
        response.headers.add("Supported", supportedText)
        actions.append(.answerPacketPair(connection: incoming.connection, response))
    }

    private mutating func sendDatagramPair(_ incoming: Incoming) throws(RequestRefusal) {
        guard settings.offersPacketPairs else { throw .mediaTypeUnknown("application/x-rtsp-udp-packetpair") }
        var session = try required(incoming)
        guard session.state == .ready, let retransmission = session.retransmission else {
            throw .notNow(.setParameter, "datagrams by which a link is measured go to the port of rtx, which is set up before PLAY")
        }
        guard let kind = DatagramPacketPair(incoming.request.message.body) else {
            throw .requestMalformed("the body names no kind of packet pair: 'type: high-entropy-packetpair' or with ' variable-size'")
        }
        let bits = makeID
        var random: (left: Int, value: UInt64) = (0, 0)
        let packets = kind.packets(ssrc: retransmission.ssrc, sequence: session.pairSequence) {
            if random.left == 0 { random = (8, bits()) }
            random.left -= 1
            random.value >>= 8
            return UInt8(truncatingIfNeeded: random.value)
        }
        session.pairSequence &+= UInt16(truncatingIfNeeded: packets.count)
        sessions[session.id] = session
        reply(ServerAnswers.ok(), to: incoming)
        actions.append(.datagrams(session: session.id, port: retransmission.port, packets))
    }

    // MARK: Feedback

    /// Logs are never refused: players do not say them twice.
    private mutating func log(_ incoming: Incoming, _ known: MSRTSPSession?, _ kind: MSRTSPLog.Kind) {
        let text = String(decoding: incoming.request.message.body, as: UTF8.self)
        if let known, text.utf8.contains(UInt8(ascii: "<")) {
            let agent = String(incoming.request.message.headers["User-Agent"]?.prefix(Self.agentCharactersMax) ?? "")
            actions.append(.log(session: known.id, MSRTSPLog(kind: kind, text: text, agent: agent, path: known.path)))
        } else {
            counters.logsUnusable += 1
        }
        reply(ServerAnswers.ok(), to: incoming)
    }

    private static let agentCharactersMax = 128

    private mutating func sendEvent(_ incoming: Incoming) throws(RequestRefusal) {
        let event: RemoteEvent
        do throws(RemoteEvent.Trouble) { event = try RemoteEvent(incoming.request.message.body) } catch {
            throw .requestMalformed(error.description)
        }
        var session: UInt64?
        if case .id(let id) = incoming.request.session, sessions[id]?.host == incoming.host { session = id }
        actions.append(.event(session: session, path: incoming.request.path, event))
        reply(ServerAnswers.ok(), to: incoming)
    }

    // MARK: The end

    private mutating func pause(_ incoming: Incoming) throws(RequestRefusal) {
        var session = try required(incoming)
        switch session.state {
        case .playing:
            hold(&session)
            session.state = .ready
            sessions[session.id] = session
        case .ready where session.allowsPause: break
        case .ready: throw .notNow(.pause, "nothing is being sent")
        case .starting: throw .notNow(.pause, "PLAY is not answered yet")
        }
        sessions[session.id]?.isPaused = true
        reply(ServerAnswers.ok(), to: incoming)
    }

    private mutating func tearDown(_ incoming: Incoming) throws(RequestRefusal) {
        let session = try required(incoming)
        // What was sent stops before the answer: nothing may come behind that.
        if session.hasMedia { actions.append(.stop(session: session.id)) }
        sessions[session.id]?.hasMedia = false
        reply(ServerAnswers.ok(), to: incoming)
        end(session.id, .tornDown, closes: true)
    }

    // MARK: Answers

    /// Answers a request with what all answers have.
    mutating func reply(_ response: RTSPResponse, to incoming: Incoming) {
        var session: MSRTSPSession?
        if !incoming.request.kind.ignoresSession, case .id(let id) = incoming.request.session, sessions[id]?.host == incoming.host,
            sessions[id]?.path == incoming.request.path
        {
            session = sessions[id]
        }
        var response = response
        if incoming.request.kind != .getContentInfo, incoming.request.kind != .sendEvent {
            response.headers.add("Supported", supportedText)
        }
        answer(response, of: session, on: incoming.connection, hasSupported: true)
    }

    /// Answers whoever waits on a connection.
    mutating func answer(_ response: RTSPResponse, of session: MSRTSPSession?, on connection: UInt64, hasSupported: Bool = false) {
        var response = response
        if let session {
            response.headers.add("Session", session.header(timeoutMilliseconds: settings.keepAliveMilliseconds).text)
            if session.content.playlistGenID != 0 { response.headers.add("X-Playlist-Gen-Id", "\(session.content.playlistGenID)") }
        }
        if !hasSupported { response.headers.add("Supported", supportedText) }
        actions.append(.answer(connection: connection, response))
    }

    /// What the server can do.
    var supportedText: String {
        var supported: MSRTSPSupported = [.endOfStream, .streamSwitch, .prediction, .startupProfile]
        if settings.offersPacketPairs { supported.formUnion([.packetPair, .packetPairSSRC]) }
        if settings.speedMax > 1 { supported.insert(.fastCache) }
        return supported.text
    }
}
