import WireFormats

/// SelectStream in its forms ([MS-RTSP] 3.2.5.6): SETUP, SET_PARAMETER with a list, TEARDOWN of a stream's URL.
extension MSRTSPSessions {
    mutating func selectStream(_ incoming: Incoming, _ known: MSRTSPSession?) throws(RequestRefusal) {
        switch incoming.request.selecting {
        case .add?, nil: try add(incoming, known)
        case .change?: try change(incoming)
        case .remove?: try remove(incoming)
        }
    }

    // MARK: SETUP

    private mutating func add(_ incoming: Incoming, _ known: MSRTSPSession?) throws(RequestRefusal) {
        let content: WMSPContent
        if let known { content = known.content } else { content = try incoming.contentOrRefusal() }
        guard let target = MSRTSPControls(content.header).target(of: incoming.request.control) else {
            guard incoming.request.control != nil else { throw .aggregateNotAllowed("SETUP names one stream of the description") }
            throw .requestMalformed("there is no such stream in the description")
        }
        switch target {
        case .stream(let number): try add(number, incoming, known, content)
        case .retransmission: try addRetransmission(incoming, known, content)
        case .fec(let number): try addFEC(number, incoming, known, content)
        }
    }

    private mutating func add(
        _ number: UInt8, _ incoming: Incoming, _ known: MSRTSPSession?, _ content: WMSPContent
    ) throws(RequestRefusal) {
        let request = incoming.request, url = request.message.uri
        let thinning = try Self.thinning(of: number, request.entries)
        // A stream has one place, whatever its URL is spelled like.
        let places = (known?.slots ?? []).filter { !$0.isStale && ($0.url == url || $0.stream == number) }
        let others = (known?.slots ?? []).filter { !$0.isStale && !places.contains($0) }
        let situation = situation(incoming, kind: others.first?.transport.kind)
        let offer = try TransportOffer(header: request.message.headers["Transport"], situation: situation)
        if known?.state == .playing,
            places.contains(where: { $0.transport != offer.transport })
        {
            throw .notNow(.setup, "the stream is being sent; PAUSE first")
        }
        if case .datagram(let rtp, _) = offer.transport, known?.retransmission?.port == rtp {
            throw .transportUnsupported("lost packets come to that port; streams need another one")
        }
        var session: MSRTSPSession
        if let known { session = known } else { session = try open(incoming, content) }
        let ssrc = incoming.place.ssrcs[number] ?? session.ssrcs[number] ?? makeSSRC(for: session)
        session.ssrcs[number] = ssrc
        var spec = Self.answer(offer, incoming.place, ssrc)
        if let fec = incoming.place.fec, let asked = offer.spec.fec, offer.transport.kind == .datagram {
            let parameters = asked.parameters(defaults: fec.parameters) ?? fec.parameters
            session.fec = FECSettings(parameters, payloadType: fec.payloadType)
            spec.fec = FECOffer(parameters)
        }
        let slot = MSRTSPSession.Slot(stream: number, thinning: thinning, url: url, transport: offer.transport, spec: spec, ssrc: ssrc)
        let index = session.slots.firstIndex { $0.url == url || !$0.isStale && $0.stream == number } ?? session.slots.count
        session.slots.removeAll { $0.url == url || !$0.isStale && $0.stream == number }
        session.slots.insert(slot, at: min(index, session.slots.count))
        sessions[session.id] = session
        answer(MSRTSPAnswers.setUp(spec), of: session, on: incoming.connection)
        goOn(session)
    }

    private mutating func addRetransmission(
        _ incoming: Incoming, _ known: MSRTSPSession?, _ content: WMSPContent
    ) throws(RequestRefusal) {
        guard incoming.place.retransmits else { throw .notFound("lost packets are not sent again here") }
        var situation = situation(incoming, kind: nil)
        situation.interleavedRefusal = "what goes over the connection is not lost"
        let offer = try TransportOffer(header: incoming.request.message.headers["Transport"], situation: situation)
        guard case .datagram(let port, _) = offer.transport else { throw .transportUnsupported("lost packets come over UDP") }
        let isTaken = known?.slots.contains { if case .datagram(port, _) = $0.transport { !$0.isStale } else { false } } ?? false
        guard !isTaken else { throw .transportUnsupported("a stream comes to that port; lost packets need another one") }
        if known?.state == .playing, known?.retransmission?.port != port {
            throw .notNow(.setup, "where lost packets go is settled by PLAY; PAUSE first")
        }
        var session: MSRTSPSession
        if let known { session = known } else { session = try open(incoming, content) }
        let ssrc = session.retransmission?.ssrc ?? makeSSRC(for: session)
        let spec = Self.answer(offer, incoming.place, ssrc)
        session.retransmission = .init(ssrc: ssrc, url: incoming.request.message.uri, port: port, spec: spec)
        sessions[session.id] = session
        answer(MSRTSPAnswers.setUp(spec), of: session, on: incoming.connection)
    }

    /// What makes losses good goes with the stream that it protects, to its port.
    private mutating func addFEC(
        _ number: UInt8, _ incoming: Incoming, _ known: MSRTSPSession?, _ content: WMSPContent
    ) throws(RequestRefusal) {
        guard let fec = incoming.place.fec else { throw .notFound("nothing is sent here for lost packets to be made good from") }
        var situation = situation(incoming, kind: known?.kind)
        situation.interleavedRefusal = "what goes over the connection is not lost"
        let offer = try TransportOffer(header: incoming.request.message.headers["Transport"], situation: situation)
        guard known?.state != .playing else { throw .notNow(.setup, "the stream is being sent; PAUSE first") }
        var session: MSRTSPSession
        if let known { session = known } else { session = try open(incoming, content) }
        let wanted = incoming.place.fecIsFixed ? nil : offer.spec.fec?.parameters(defaults: fec.parameters)
        let parameters = wanted ?? fec.parameters
        session.fec = FECSettings(parameters, payloadType: fec.payloadType)
        let ssrc = incoming.place.ssrcs[number] ?? session.ssrcs[number] ?? makeSSRC(for: session)
        session.ssrcs[number] = ssrc
        sessions[session.id] = session
        var spec = Self.answer(offer, incoming.place, ssrc)
        spec.fec = FECOffer(parameters)
        answer(MSRTSPAnswers.setUp(spec), of: session, on: incoming.connection)
    }

    private func situation(_ incoming: Incoming, kind: SessionTrack.Kind?) -> TransportOffer.Situation {
        let place = incoming.place
        return TransportOffer.Situation(
            role: .reader, kind: kind, peer: place.peer, interleavedRefusal: place.interleavedRefusal,
            datagramRefusal: place.datagramRefusal ?? (place.serverPorts == nil ? "this server sends nothing over UDP" : nil),
            channelsTaken: place.channelsTaken)
    }

    /// The client's ports come back as it wrote them: one number where it named one.
    private static func answer(_ offer: TransportOffer, _ place: MSRTSPPlace, _ ssrc: UInt32) -> TransportSpec {
        var spec = offer.answer(serverPorts: place.serverPorts.flatMap { pair in pair.rtcpPort.map { (pair.rtp, $0) } }, ssrc: ssrc)
        if spec.clientPort != nil { spec.clientPort = offer.spec.clientPort }
        spec.mode = .play
        return spec
    }

    /// One that the session does not have yet.
    private func makeSSRC(for session: MSRTSPSession) -> UInt32 { MSRTSPSession.unused(session.taken, makeID) }

    /// How much of the stream a SETUP's list wants.
    private static func thinning(of number: UInt8, _ entries: [MSRTSPSwitchEntry]) throws(RequestRefusal) -> StreamSwitchEntry.Thinning {
        guard let entry = entries.last else { return .full }
        guard entry.destination == UInt32(number) else {
            throw .requestMalformed("the list of streams is about another stream than the URL")
        }
        return entry.thinning
    }

    // MARK: SET_PARAMETER

    private mutating func change(_ incoming: Incoming) throws(RequestRefusal) {
        var session = try required(incoming)
        let request = incoming.request
        guard !request.entries.isEmpty else { throw .requestMalformed("the body lists no stream (SSEntry: old new thinning URLs)") }
        guard session.slots.contains(where: { $0.url == request.message.uri }) else {
            throw .requestMalformed("the URL is not one that a stream was set up with")
        }
        let known = session.content.header.streamNumbers
        for entry in request.entries {
            guard let source = entry.source.flatMap(UInt8.init(exactly:)),
                let index = session.slots.firstIndex(where: { $0.stream == source && !$0.isStale })
                    ?? session.slots.firstIndex(where: { $0.url == request.message.uri && entry.source == nil })
            else { throw .requestMalformed("a stream that shall end is not being sent") }
            guard let destination = entry.destination else {
                session.slots[index].thinning = .off
                continue
            }
            guard let stream = UInt8(exactly: destination), known.contains(stream) else {
                throw .requestMalformed("there is no stream \(destination)")
            }
            // Two places with one stream would send it twice.
            if stream != source, session.slots.contains(where: { $0.stream == stream && $0.thinning != .off && !$0.isStale }) {
                throw .requestMalformed("stream \(stream) is being sent already")
            }
            session.slots[index].stream = stream
            session.slots[index].thinning = entry.thinning
        }
        sessions[session.id] = session
        reply(ServerAnswers.ok(), to: incoming)
        goOn(session)
    }

    // MARK: TEARDOWN of a stream

    private mutating func remove(_ incoming: Incoming) throws(RequestRefusal) {
        var session = try required(incoming)
        let url = incoming.request.message.uri
        let before = (session.slots.count, session.retransmission != nil, session.fec != nil)
        session.slots.removeAll { $0.url == url }
        if session.retransmission?.url == url { session.retransmission = nil }
        if case .fec? = MSRTSPControls(session.content.header).target(of: incoming.request.control) { session.fec = nil }
        guard before != (session.slots.count, session.retransmission != nil, session.fec != nil) else {
            throw .requestMalformed("the URL is not one that a stream was set up with")
        }
        sessions[session.id] = session
        reply(ServerAnswers.ok(), to: incoming)
        goOn(session)
    }

    // MARK: What becomes of media

    /// Media goes on with what is selected now; with nothing, it stands.
    private mutating func goOn(_ session: MSRTSPSession) {
        guard session.state == .playing else { return }
        guard !session.selection.streams.isEmpty else {
            var session = session
            hold(&session)
            session.state = .ready
            sessions[session.id] = session
            return
        }
        actions.append(.select(session: session.id, session.selection))
    }
}
