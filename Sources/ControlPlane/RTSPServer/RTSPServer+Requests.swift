import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// What each method does.
extension RTSPServer {
    /// Answers a request, now or later, through ``RTSPConnection/answer(_:session:onFlushed:)``, exactly once.
    func answer(_ message: RTSPRequest, on connection: RTSPConnection) {
        do {
            let request = try ServerRequest(message)
            connection.trail = RelayTrail(message.headers)
            if windowsMediaRTSP.take(request, on: connection) { return }
            try authorize(request, connection)
            switch message.method {
            case .options: try options(request, connection)
            case .getParameter, .setParameter:
                guard try !pass(request, connection) else { return }
                try request.checkParameters()
                try keepAlive(request, connection, ServerAnswers.ok())
            case .describe: try describe(request, connection)
            case .announce: try announce(request, connection)
            case .setup: try setUp(request, connection)
            case .play: try play(request, connection)
            case .pause:
                let session = try controlled(request, connection)
                try session.pause()
                connection.answer(ServerAnswers.ok(), session: session)
            case .record: try record(request, connection)
            case .teardown: try tearDown(request, connection)
            case .register: try register(request, connection)
            case .deregister: try deregister(request, connection)
            case .redirect, .other: throw RequestRefusal.methodUnknown(message.method.name)
            }
        } catch let refusal as RequestRefusal {
            connection.answer(refusal)
        } catch {
            connection.answer(RequestRefusal(pathError: error, method: message.method))
        }
    }

    private func keepAlive(_ request: ServerRequest, _ connection: RTSPConnection, _ response: RTSPResponse) throws {
        let session = try request.session.map { try self.session($0, for: connection) }
        connection.answer(response, session: session)
    }

    // MARK: OPTIONS

    private func options(_ request: ServerRequest, _ connection: RTSPConnection) throws {
        let response = ServerAnswers.options(registering: settings.register.isOn)
        guard let path = undecided(request, connection) else { return try keepAlive(request, connection, response) }
        // Whichever comes first answers.
        var isAnswered = false
        let timer = LoopTimer(port.eventLoop)
        let answer = { [self] in
            guard !isAnswered, !connection.isClosed else { return }
            isAnswered = true
            timer.stop()
            if !path.isWindowsMedia || !windowsMediaRTSP.take(request, on: connection) { connection.answer(response) }
        }
        timer.start(milliseconds: Self.decisionMilliseconds, answer)
        path.describe(for: connection.trail).assumeIsolated().whenComplete { _ in answer() }
    }

    /// How long OPTIONS waits for a source to say what it has.
    private static let decisionMilliseconds = 3_000

    /// A path whose source has never said whether it has Windows Media, asked by a client that goes by the server's name in this answer: it
    /// comes back with DESCRIBE.
    private func undecided(_ request: ServerRequest, _ connection: RTSPConnection) -> Path? {
        guard request.session == nil, let path = (try? found(by: request, on: connection))?.path, path.isUndecided else { return nil }
        let agent = MSRTSPAgent(request.message.headers["User-Agent"])
        // Nobody has a source dialled who has not shown that he may read from it; OPTIONS asks for no password.
        let decision = access.decide(
            .read, of: path.settings, request: request.message, from: connection.host, now: Self.milliseconds(.now()))
        guard case .allowed = decision else { return nil }
        return agent.product == .lavf || agent.product == .gstreamer ? path : nil
    }

    // MARK: DESCRIBE

    private func describe(_ request: ServerRequest, _ connection: RTSPConnection) throws {
        try request.checkAccept()
        let place = try open(request)
        guard place.control == nil else { throw RequestRefusal.notFound("descriptions are given for a whole stream, not for a track") }
        let group = request.target.isMulticast || place.path.settings.multicast.isOnly ? place.path.multicast : nil
        guard group != nil || !request.target.isMulticast else {
            throw RequestRefusal.notFound("/\(place.path.name) has no multicast group")
        }
        try distribute(place.path, request, connection)
        place.path.asker =
            SourceAsker(
                headers: request.message.headers, agent: request.message.headers["User-Agent"], verb: "DESCRIBE") ?? place.path.asker
        place.path.describe(for: connection.trail).assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let description):
                let offersOnePort = place.path.settings.multiplexing == .offer && place.path.multicast == nil
                let unicast = offersOnePort ? description.sdp.offeringMultiplexing : description.sdp
                let sdp = group?.description(description.sdp, tracks: description.tracks.map(\.number)) ?? unicast
                connection.answer(ServerAnswers.describe(uri: request.message.uri, description: sdp.serialized()))
            case .failure(let error): notDescribed(error, place.path, request, connection)
            }
        }
    }

    /// Why a path could not be described; where that is because it turned out to be Windows Media, the request goes where such go.
    private func notDescribed(_ error: any Error, _ path: Path, _ request: ServerRequest, _ connection: RTSPConnection) {
        guard !connection.isClosed else { return }
        if case .notRTP? = error as? PathError, path.isWindowsMedia, windowsMediaRTSP.take(request, on: connection, isAuthorized: true) {
            return
        }
        connection.answer((error as? RequestRefusal) ?? RequestRefusal(pathError: error))
    }

    // MARK: SETUP

    private func setUp(_ request: ServerRequest, _ connection: RTSPConnection) throws {
        let place = try open(request, on: connection)
        let session = try request.session.map { try self.session($0, for: connection) }
        if let session, session.path !== place.path { throw RequestRefusal.sessionForeign("the session belongs to /\(session.path.name)") }
        // An encoder that does not repeat the session of its ANNOUNCE means it all the same.
        if let session = session ?? connection.sessions.first(where: { $0.publication != nil && $0.path === place.path }) {
            return try setUpTrack(request, place.control, session.description, session, place.path, connection)
        }
        // Known or not: a client may SETUP without DESCRIBE.
        if session == nil { try distribute(place.path, request, connection) }
        place.path.describe(for: connection.trail).assumeIsolated().whenComplete { [self] result in
            guard !connection.isClosed else { return }
            do {
                try setUpTrack(request, place.control, try result.get(), nil, place.path, connection)
            } catch { notDescribed(error, place.path, request, connection) }
        }
    }

    private func setUpTrack(
        _ request: ServerRequest, _ control: String?, _ description: StreamDescription, _ known: ServerSession?, _ path: Path,
        _ connection: RTSPConnection
    ) throws {
        let track = try track(named: control, uri: request.message.uri, in: description)
        let others = known?.machine.tracks.filter { $0.number != track.number } ?? []
        let role = known?.machine.role ?? .reader
        var situation = TransportOffer.Situation(
            role: role, kind: others.first?.transport.kind, peer: connection.host.text,
            channelsTaken: connection.channelsTaken(except: known, track: track.number),
            multicast: path.multicast?.offer(track: track.number))
        situation.multiplexes = path.settings.multiplexing != .off
        if let known, known.connection !== connection {
            situation.interleavedRefusal = "the session was set up on another connection"
        } else if connection.windowsMedia?.carriesMedia == true
            || connection.sessions.contains(where: { $0 !== known && $0.machine.isInterleaved == true })
        {
            situation.interleavedRefusal = "another session's media uses this connection; open one connection for each"
        }
        // A player that has one track over UDP does not try TCP for the next.
        if role == .reader, others.isEmpty { situation.datagramRefusal = path.settings.packets.datagramRefusal(of: description) }
        let offer: TransportOffer
        do throws(RequestRefusal) {
            offer = try TransportOffer(header: request.message.headers["Transport"], situation: situation)
        } catch {
            if case .datagramsUnfit = error { count(.packetsTooLarge) }
            throw error
        }
        let overload = try ReaderWish.overload(in: request.message.uri, settings: path.settings.readers)
        if known == nil { try admit(connection) }
        let session = known ?? makeSession(path: path, connection: connection, description: description, publication: nil)
        if known == nil { session.replay = path.cachedPull?.makeReplay(for: session) }
        if let overload { session.overload = overload }
        do {
            let response = try settle(offer, track, request.message.uri, session, connection)
            connection.answer(response, session: session)
        } catch {
            if known == nil { session.end(.teardown) }
            throw error
        }
    }

    private func settle(
        _ offer: TransportOffer, _ track: StreamDescription.Track, _ uri: String, _ session: ServerSession, _ connection: RTSPConnection
    ) throws -> RTSPResponse {
        var machine = session.machine
        do {
            try machine.setUp(SessionTrack(number: track.number, url: uri, transport: offer.transport))
        } catch { throw RequestRefusal(error, method: .setup) }
        var ports: (rtp: UInt16, rtcp: UInt16)?
        switch (offer.transport, session.publication) {
        case (.datagram(let rtp, let rtcp), let publication?):
            guard let localAddress else { throw RequestRefusal.unavailable("the server does not listen", retryAfterSeconds: 5) }
            ports = try publication.setUpDatagrams(
                track: track.number, host: session.host, clientPorts: (rtp, rtcp), listenHost: localAddress)
        case (.datagram(let rtp, let rtcp), nil):
            guard let media else { throw RequestRefusal.unavailable("the server does not listen", retryAfterSeconds: 5) }
            // Who has one port for both is served from one.
            ports = (media.rtpPort, rtp == rtcp ? media.rtpPort : media.rtcpPort)
            expectReports(of: session, port: rtcp)
        case (.interleaved(let rtp, let rtcp), let publication?):
            try publication.setUpInterleaved(track: track.number, channels: (rtp, rtcp))
        case (.interleaved, nil): break
        case (.multicast, _):
            // Refused as a transport: players that can do without try the next one.
            do { try session.path.multicast?.hold(session) } catch { throw RequestRefusal.transportUnsupported("\(error)") }
        }
        let isFirst = session.machine.tracks.isEmpty
        session.machine = machine
        if isFirst { log(begin: session, connection) }
        return ServerAnswers.setUp(
            offer.answer(
                serverPorts: ports, source: session.path.multicast?.sourceText, ssrc: session.publication == nil ? track.plan.ssrc : nil))
    }

    private func track(
        named control: String?, uri: String, in description: StreamDescription
    ) throws(RequestRefusal) -> StreamDescription.Track {
        let controls = description.tracks.map(\.control)
        if let control, let index = RequestTarget.track(named: control, among: controls) { return description.tracks[index] }
        if let index = controls.firstIndex(of: uri) { return description.tracks[index] }
        guard control == nil else {
            throw .notFound("there is no track '\(control?.prefix(64) ?? "")'; the description has \(controls.joined(separator: ", "))")
        }
        // One track needs no name (RFC 2326 section C.3).
        guard description.tracks.count == 1, let only = description.tracks.first else {
            throw .aggregateNotAllowed("SETUP names one track: \(controls.joined(separator: ", "))")
        }
        return only
    }

    private func log(begin session: ServerSession, _ connection: RTSPConnection) {
        logger.info(
            "session begins",
            metadata: [
                "session": "\(session.id.prefix(6))", "from": "\(connection.words)", "path": "\(session.path.name)",
                "transport": "\(session.transportWords)", "role": "\(session.machine.role)",
            ])
    }

    // MARK: PLAY, RECORD, TEARDOWN

    /// The session that a request controls as a whole. A track's URL is as good if the session has no other track.
    private func controlled(_ request: ServerRequest, _ connection: RTSPConnection) throws(RequestRefusal) -> ServerSession {
        let session = try session(request.session, for: connection)
        let track = try track(of: request, in: session)
        if let track, session.machine.tracks.count > 1 || session.machine.tracks.first?.number != track {
            throw .onlyAggregateAllowed("\(request.message.method.name) is for the whole session: use the URL without the track")
        }
        return session
    }

    /// The track that a request to a session names; nil for the whole.
    private func track(of request: ServerRequest, in session: ServerSession) throws(RequestRefusal) -> Int? {
        // Whether there is another path of that name is nothing that a session's owner must know.
        guard let place = try? found(by: request), place.path === session.path else {
            throw .sessionForeign("the session belongs to /\(session.path.name)")
        }
        if let used = session.machine.tracks.first(where: { $0.url == request.message.uri }), place.control != nil { return used.number }
        guard let control = place.control else { return nil }
        return try track(named: control, uri: request.message.uri, in: session.description).number
    }

    private func play(_ request: ServerRequest, _ connection: RTSPConnection) throws {
        let session = try controlled(request, connection)
        if let replay = session.replay { return try play(replay, request, session, connection) }
        try request.checkRange()
        session.play { result, onFlushed in
            switch result {
            case .success(let beginnings):
                connection.answer(ServerAnswers.play(beginnings: beginnings), session: session, onFlushed: onFlushed)
            case .failure(let refusal): connection.answer(refusal)
            }
        }
    }

    private func announce(_ request: ServerRequest, _ connection: RTSPConnection) throws {
        try request.checkContentType()
        guard !connection.isTunnel else {
            throw RequestRefusal.methodNotAllowed(.announce, "an encoder cannot publish through an HTTP tunnel; use rtsp://")
        }
        guard try found(by: request).control == nil else {
            throw RequestRefusal.notFound("nothing is served as /\(request.target.readings.first?.path ?? "")")
        }
        let description: SessionDescription
        do { description = try SessionDescription(request.message.body) } catch { throw RequestRefusal.descriptionMalformed("\(error)") }
        try admit(connection)
        let place = try open(request)
        let publication: Publication
        do { publication = try place.path.announce(description, from: connection.words) } catch {
            place.path.instance?.idle(place.path)
            throw error
        }
        let session = makeSession(
            path: place.path, connection: connection, description: publication.description, publication: publication)
        connection.answer(ServerAnswers.ok(), session: session)
    }

    private func record(_ request: ServerRequest, _ connection: RTSPConnection) throws {
        let session = try controlled(request, connection)
        guard let publication = session.publication else {
            throw RequestRefusal.notNow(.record, "the session was set up to play; ANNOUNCE comes first")
        }
        do {
            guard try session.machine.record() == .record else { return connection.answer(ServerAnswers.ok(), session: session) }
        } catch { throw RequestRefusal(error, method: .record) }
        func begin(_ descriptor: CInt?, _ prefix: [UInt8]) {
            do {
                try publication.record(interleavedDescriptor: descriptor, prefix: prefix) { [weak connection] text in
                    connection?.receivedText(text) ?? text.count
                }
                connection.answer(ServerAnswers.ok(), session: session)
            } catch {
                connection.answer(RequestRefusal(pathError: error, method: .record))
                session.end(.publisherEnded)
            }
        }
        guard session.machine.isInterleaved == true else { return begin(nil, []) }
        connection.handReadsOver { prefix in
            do {
                begin(try connection.duplicateDescriptor(), prefix)
            } catch {
                connection.answer(.unavailable("\(error)", retryAfterSeconds: 5))
                session.end(.publisherEnded)
            }
        }
    }

    private func tearDown(_ request: ServerRequest, _ connection: RTSPConnection) throws {
        let session = try session(request.session, for: connection)
        let track = try track(of: request, in: session)
        let action: ServerSessionMachine.Action
        do { action = try session.machine.tearDown(track: track) } catch { throw RequestRefusal(error, method: .teardown) }
        switch action {
        case .end: break
        case .start:
            session.start()
            return connection.answer(ServerAnswers.ok(), session: session)
        case .none, .go, .stop, .record: return connection.answer(ServerAnswers.ok(), session: session)
        }
        if session.publication != nil {
            // Its connection closes when the answer has left.
            connection.answer(ServerAnswers.ok(), session: session)
            session.finish(.teardown)
        } else if case .engine(let subscription) = connection.egress, subscription === session.subscription {
            // The answer is the last that the engine writes; then the connection's writes are NIO's again.
            _ = subscription.pause()
            connection.answer(ServerAnswers.ok(), session: session) {
                session.finish(.teardown)
                connection.writesReturn()
            }
            session.finish(.teardown)
        } else {
            session.finish(.teardown)
            connection.answer(ServerAnswers.ok(), session: session)
        }
    }
}
