import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Windows Media over RTSP ([MS-RTSP]): requests about paths of Windows Media. It finds what a request is about and whether it is allowed, has
/// the session machine decide, and does what that says. Belongs to the event loop.
final class WindowsMediaRTSP {
    unowned let server: RTSPServer
    private(set) var sessions: MSRTSPSessions
    private var lines: [UInt64: MSRTSPLine] = [:]
    private var nextLine: UInt64 = 1
    private var players: [UInt64: MSRTSPPlayer] = [:]
    /// Who may ask for lost packets, by what they are asked for by.
    private var retransmissions: [UInt32: UInt64] = [:]
    var resends = ResendCounters()
    let playlistOpener: PlaylistOpener
    /// What the server calls itself to those who play Windows Media: FFmpeg and GStreamer look at the beginning.
    let name: String

    /// What became of requests for lost packets.
    struct ResendCounters {
        var asked = 0, refused = 0
        var gone = 0, strange = 0
    }

    init(server: RTSPServer, settings: MSRTSPSessions.Settings = MSRTSPSessions.Settings()) {
        self.server = server
        name = "WMServer/9.1.1.5000 \(server.settings.name)"
        playlistOpener = PlaylistOpener(eventLoop: server.port.eventLoop) { [weak server] in server?.paths }
        sessions = MSRTSPSessions(settings: settings) { UInt64.random(in: 1...UInt64.max) }
    }

    var port: EnginePort { server.port }
    var logger: Logger { server.logger }
    private var now: UInt64 { RTSPServer.milliseconds(.now()) }

    /// Sessions just now, and how many there may be.
    var sessionCount: Int { sessions.count }
    var sessionsMax: Int { sessions.settings.sessionsMax }
    /// Those that somebody reads by.
    var readerCount: Int { players.count }
    var allPlayers: [MSRTSPPlayer] { Array(players.values) }
    func player(_ session: UInt64) -> MSRTSPPlayer? { players[session] }

    /// What became of sessions, by the names that status has for it.
    var counters: [String: Int] {
        let counters = sessions.counters
        return [
            "rtsp_opened": counters.sessionsOpened, "rtsp_evicted": counters.sessionsEvicted, "rtsp_refused": counters.sessionsRefused,
            "rtsp_taken_over": counters.takeOvers, "rtsp_mistaken": counters.sessionsMistaken,
            "rtsp_asked_too_much": counters.transactionsRefused, "rtsp_entry_mistaken": counters.entriesMistaken,
            "rtsp_notices": counters.noticesSent, "rtsp_notices_refused": counters.noticesRefused,
            "rtsp_logs_unusable": counters.logsUnusable, "resends_asked": resends.asked, "resends_refused": resends.refused,
            "resends_gone": resends.gone, "resends_strange": resends.strange,
        ]
    }

    // MARK: Connections

    private func line(of connection: RTSPConnection) -> MSRTSPLine {
        if let line = connection.windowsMedia { return line }
        let line = MSRTSPLine(id: nextLine, connection: connection, server: self)
        nextLine += 1
        lines[line.id] = line
        connection.windowsMedia = line
        return line
    }

    func closed(_ line: MSRTSPLine) {
        lines[line.id] = nil
        let own = line.sessions
        perform(sessions.connectionClosed(line.id, now: now))
        // What went that way has ended; the sessions wait for their clients to come back.
        for player in own.compactMap({ players[$0] }) where player.line === line && player.play?.transport.isInterleaved == true {
            player.stop()
        }
    }

    /// Looks at deadlines.
    func sweep(now: NIODeadline) {
        perform(sessions.timeElapsed(now: RTSPServer.milliseconds(now)))
        for player in Array(players.values) { player.sweep(now: now) }
    }

    /// Ends everything.
    func stop() {
        for player in Array(players.values) {
            perform(sessions.end(session: player.id, .ended))
            forget(player.id, .shutdown)
        }
    }

    // MARK: Requests

    /// Whether a request is about Windows Media; then it is answered, now or later.
    ///
    /// `isAuthorized`: whoever asks has shown already that he may.
    func take(_ request: ServerRequest, on connection: RTSPConnection, isAuthorized: Bool = false) -> Bool {
        switch request.message.method {
        case .options, .describe, .setup, .play, .pause, .teardown, .getParameter, .setParameter: break
        case .announce, .record, .redirect, .register, .deregister, .other: return false
        }
        if let id = request.session.flatMap({ UInt64($0) }), let player = players[id], request.message.method != .describe {
            let found = try? server.found(by: request, on: connection)
            do throws(RequestRefusal) {
                guard found == nil || found?.path === player.path else {
                    throw .sessionForeign("the session belongs to /\(player.path.name)")
                }
                let method = request.message.method
                if let found, method == .play || method == .setup { try server.authorize(windowsMedia: request, found, connection) }
                answer(request, player.path, control: found?.control, on: connection)
            } catch { refuse(error, request.message.method, on: connection) }
            return true
        }
        let isForwarded = server.forwardsOptions(request)
        if isForwarded || request.target.isServer || request.target.readings.allSatisfy({ $0.path.isEmpty }) {
            guard request.message.method == .options, isForwarded || server.servesWindowsMediaAlone else { return false }
            answer(request, nil, control: nil, on: connection)
            return true
        }
        guard let found = try? server.found(by: request, on: connection) else {
            // Only Windows Media asks this; the words of RTSP for it would be others.
            guard request.session == nil, MSRTSPContentType(request.message.headers) == .contentInfo else { return false }
            refuse(RequestRefusal.notFound("nothing is served there"), request.message.method, on: connection)
            return true
        }
        guard found.isWindowsMedia else { return false }
        answer(request, found, isAuthorized: isAuthorized, on: connection)
        return true
    }

    private func answer(_ request: ServerRequest, _ found: RTSPServer.Found, isAuthorized: Bool, on connection: RTSPConnection) {
        do {
            if !isAuthorized { try server.authorize(windowsMedia: request, found, connection) }
            let place = try server.open(request, on: connection)
            answer(request, place.path, control: place.control, on: connection)
        } catch { refuse(error, request.message.method, on: connection) }
    }

    private func refuse(_ error: any Error, _ method: RTSPMethod, on connection: RTSPConnection) {
        let refusal = error as? RequestRefusal ?? RequestRefusal(pathError: error, method: method)
        connection.count(refusal)
        connection.answer(refusal.response, session: nil, as: name)
    }

    private func answer(_ message: ServerRequest, _ path: Path?, control: String?, on connection: RTSPConnection) {
        let line = line(of: connection)
        do {
            let request = try MSRTSPRequest(message, path: path?.name ?? "", control: control)
            guard let path else { return receive(request, nil, nil, nil, on: line) }
            if request.kind == .sendEvent { try server.admitEvent(connection.host) }
            if case .id(let id) = request.session, let player = players[id] {
                guard player.line.connection.host == connection.host || Self.free.contains(request.kind) else {
                    throw RequestRefusal.sessionForeign("the session belongs to another host")
                }
                guard player.user == nil || player.user == connection.user || player.line === line else {
                    throw RequestRefusal.sessionForeign("the session belongs to another user")
                }
            } else if request.kind == .describe || request.kind == .selectStream {
                try server.distribute(path, message, connection)
                if let error = path.loop(connection.trail) ?? path.wouldForward(connection.trail) { throw error }
            }
            guard sessions.needsContent(request) else { return receive(request, path, nil, nil, on: line) }
            find(request, path, on: line)
        } catch { refuse(error, message.message.method, on: connection) }
    }

    /// What says nothing to the session that it names.
    private static let free: Set<MSRTSPRequest.Kind> = [.getContentInfo, .tcpPacketPair, .sendEvent]

    private func find(_ request: MSRTSPRequest, _ path: Path, on line: MSRTSPLine) {
        let number = path.trails.add(line.connection.trail)
        var isAnswered = false
        let abandon = content(of: path, for: request, on: line) { [weak self] result in
            isAnswered = true
            line.onAbandoned = nil
            path.trails.remove(number)
            guard let self else { return }
            guard !line.isClosed else {
                if case .success(let source) = result { settle(source, on: line) }
                return
            }
            switch result {
            case .success(let source): profile(request, path, source, on: line)
            case .failure(let error): refuse(error, request.message.method, on: line.connection)
            }
        }
        guard !isAnswered else { return }
        line.onAbandoned = {
            path.trails.remove(number)
            abandon?()
        }
    }

    /// What a path has to offer, now or later. What is returned ends a wait that nobody is interested in any more.
    private func content(
        of path: Path, for request: MSRTSPRequest, on line: MSRTSPLine,
        _ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void
    ) -> (() -> Void)? {
        let headers = request.message.headers
        path.asker = SourceAsker(headers: headers, agent: headers["User-Agent"], verb: request.message.method.name) ?? path.asker
        if let programme = path.programme, !path.settings.isBroadcast {
            return playlistContent(of: path, for: request, on: line, done) { [server] done in
                server.windowsMedia.newReader(of: path, programme, done)
                return nil
            }
        } else if let file = path.windowsMediaFile {
            file.open().assumeIsolated().whenComplete { done($0.map { .file($0) }) }
        } else if let proxy = path.windowsMediaProxy {
            let ask = ask(request, of: path, on: line)
            return playlistContent(of: path, for: request, on: line, done) { [weak self] done in
                proxy.content(for: ask, of: path) { [weak self] result in
                    if case .success(.live(let broadcast)) = result { self?.attend(broadcast) }
                    done(result.mapError { ($0 as? ProxyRefusal)?.overRTSP ?? $0 })
                }
            }
        } else if let live = path.windowsMediaLive {
            return live.broadcast(of: path) { [weak self] result in
                if case .success(let broadcast) = result { self?.attend(broadcast) }
                done(result.map { .live($0) }.mapError { $0 })
            }
        } else {
            done(.failure(PathError.refused("/\(path.name) has no source")))
        }
        return nil
    }

    private func attend(_ broadcast: WindowsMediaBroadcast) {
        broadcast.onHeader(self) { [weak self, weak broadcast] in
            if let broadcast { self?.headerChanged(of: broadcast) }
        }
    }

    /// A player that wants to know how the beginning will come is told.
    private func profile(_ request: MSRTSPRequest, _ path: Path, _ source: WindowsMediaContent, on line: MSRTSPLine) {
        guard case .file(let file) = source, let wish = sessions.startupWish(of: request, content: file.facts) else {
            return receive(request, path, source, source.facts, on: line)
        }
        file.startupProfile(wish, on: port.eventLoop).assumeIsolated().whenComplete { [weak self] result in
            guard let self, !line.isClosed else { return }
            var facts = file.facts
            facts.startupProfile = (try? result.get()) ?? nil
            receive(request, path, source, facts, on: line)
        }
    }

    private func receive(
        _ request: MSRTSPRequest, _ path: Path?, _ source: WindowsMediaContent?, _ facts: WMSPContent?, on line: MSRTSPLine
    ) {
        // Whoever is refused by the machine takes no session along: one from another address, or about another path.
        if case .id(let id) = request.session, let player = players[id], player.line !== line, let facts = sessions.facts(of: id),
            facts.host == line.connection.host.text, facts.path == request.path,
            !Self.free.contains(request.kind)
        {
            player.comes(over: line)
        }
        let isNew = request.kind == .selectStream && request.session == .none
        if isNew {
            do throws(RequestRefusal) { try server.admit(line.connection) } catch {
                settle(source, on: line)
                return refuse(error, request.message.method, on: line.connection)
            }
        }
        let told = facts.map { source?.told($0, of: path?.settings, in: .msRTSP) ?? $0 }
        let actions = sessions.receive(
            request, on: line.id, from: line.connection.host.text, content: told.map { .success($0) },
            place: place(for: request, path, source, on: line), now: now)
        perform(actions, path: path, source: source)
        settle(source, on: line)
        // What is not wanted any more is not sent once more.
        if request.kind == .selectStream, case .id(let id) = request.session, let old = players[id]?.play?.retransmission,
            sessions.facts(of: id)?.retransmission?.ssrc != old.ssrc
        {
            forget(old, of: id)
        }
    }

    /// What the session machine has to know of where a request came from.
    private func place(for request: MSRTSPRequest, _ path: Path?, _ source: WindowsMediaContent?, on line: MSRTSPLine) -> MSRTSPPlace {
        var place = MSRTSPPlace(peer: line.connection.host.text)
        var player: MSRTSPPlayer?
        if case .id(let id) = request.session { player = players[id] }
        if let player, player.line !== line {
            place.interleavedRefusal = "the session was set up on another connection"
        } else if line.connection.sessions.contains(where: { $0.machine.isInterleaved == true })
            || line.carried.map({ $0.session != player?.id }) ?? false
        {
            place.interleavedRefusal = "another session's media uses this connection; open one connection for each"
        }
        if let media = server.media { place.serverPorts = PortPair(rtp: media.rtpPort, rtcp: media.rtcpPort) }
        // All players of a broadcast know its streams by the same numbers, whichever they set up first.
        var broadcast = player?.broadcast ?? path?.windowsMediaLive?.broadcast
        if case .live(let own)? = source { broadcast = own }
        if let broadcast {
            place.ssrcs = broadcast.rtpSources
            place.fecIsFixed = broadcast.hasManyFEC
        }
        place.nextSequence = player?.nextSequence
        place.fec = path?.settings.fec.map { FECSettings($0) }
        return place
    }

    // MARK: What the machine says

    private func perform(_ actions: [MSRTSPServerAction], path: Path? = nil, source: WindowsMediaContent? = nil) {
        for action in actions {
            switch action {
            case .answer(let id, let response):
                guard let line = lines[id] else { continue }
                if let path { attend(response, path, source, on: line) }
                line.connection.answer(response, session: nil, as: name)
            case .answerPacketPair(let id, let response): lines[id]?.connection.answer(packetPair: response, as: name)
            case .request(let id, let session, let request):
                lines[id]?.connection.ask(request) { [weak self] status in
                    guard let self else { return }
                    sessions.requestAnswered(session, status: UInt16(clamping: status.code), now: now)
                }
            case .start(let play):
                guard let player = players[play.session] else {
                    perform(sessions.startFailed(play.session, .unavailable("the session is over", retryAfterSeconds: 5), now: now))
                    continue
                }
                guard !play.transport.isInterleaved || player.line.mayCarry(play.session) else {
                    player.stop()
                    let why = "another session's media uses this connection; open one connection for each"
                    perform(sessions.startFailed(play.session, .notNow(.play, why), now: now))
                    continue
                }
                if let old = player.play?.retransmission, old != play.retransmission { forget(old, of: player.id) }
                if let retransmission = play.retransmission { retransmissions[retransmission.ssrc] = play.session }
                player.start(play, source)
            case .go(let session): players[session]?.go()
            case .select(let session, let selection): players[session]?.select(selection)
            case .hold(let session): players[session]?.hold()
            case .stop(let session): players[session]?.stop()
            case .finish(let session): players[session]?.finish()
            case .datagrams(let session, let port, let packets):
                guard let host = players[session]?.line.connection.host else { continue }
                for packet in packets { server.media?.sendMedia(packet, host: host, port: port) }
            case .log(let session, let log): if let player = players[session] { server.windowsMedia.record(log, of: player) }
            case .event(_, let path, let event): server.windowsMedia.record(event, about: path)
            case .ended(let session, let reason): forget(session, SessionEnd(reason))
            case .close(let id): if let line = lines[id], line.connection.sessions.isEmpty { line.drain() }
            }
        }
    }

    /// The first answer that names a session is that to its first SETUP.
    private func attend(_ response: RTSPResponse, _ path: Path, _ source: WindowsMediaContent?, on line: MSRTSPLine) {
        guard response.status == .ok, let id = response.headers.session.flatMap({ UInt64($0.id) }) else { return }
        guard let facts = sessions.facts(of: id) else { return }
        defer { if case .datagram(_, let rtcp)? = facts.transport { players[id]?.expectReports(port: rtcp) } }
        guard players[id] == nil else { return }
        let player = MSRTSPPlayer(id: id, path: path, line: line, server: self)
        players[id] = player
        line.sessions.insert(id)
        server.places.release(ObjectIdentifier(line.connection))
        server.counts.sessionsTotal += 1
        if let reader = line.takeDescribed(of: path) { player.playlist = reader }
        if case .playlist(let start)? = source, player.playlist == nil {
            start.reader.isKept = true
            player.playlist = start.reader
        }
        logger.info(
            "session begins",
            metadata: [
                "session": "\(player.words)", "from": "\(line.connection.words)", "path": "\(path.name)", "protocol": "ms-rtsp",
                "role": "reader",
            ])
    }

    private func forget(_ session: UInt64, _ reason: SessionEnd) {
        guard let player = players.removeValue(forKey: session) else { return }
        if let retransmission = player.play?.retransmission { forget(retransmission, of: session) }
        player.path.proxyCounts.bytesFromCache &+= player.bytesFromCache
        player.end()
        server.notices.over(.rtsp(session))
        server.counts.ends[reason, default: 0] += 1
        logger.info(
            "session ends",
            metadata: [
                "session": "\(player.words)", "from": "\(player.line.connection.host.text)", "path": "\(player.path.name)",
                "transport": "\(player.transportWords)", "protocol": "ms-rtsp", "reason": "\(reason.rawValue)",
                "seconds": "\((NIODeadline.now() - player.began).nanoseconds / 1_000_000_000)",
            ])
    }

    /// Nobody asks for lost packets by that any more, if it was that session's.
    private func forget(_ retransmission: MSRTSPPlay.Retransmission, of session: UInt64) {
        if retransmissions[retransmission.ssrc] == session { retransmissions[retransmission.ssrc] = nil }
    }

    /// Whether one more player may be sent datagrams by a stream of the engine that is its own. Half of the streams, and of the memory for
    /// packets, is left to what is live: those who play on demand must not keep it from beginning.
    func takesAnotherStream(_ sizing: StreamSizing) -> Bool {
        let limits = port.engine.limits
        let taken = players.values.reduce((streams: 0, bytes: 0)) { sum, player in
            player.streamBytes.map { (sum.streams + 1, sum.bytes + $0) } ?? sum
        }
        return taken.streams < limits.streamsMax / 2 && taken.bytes + sizing.bytes <= limits.packetLogBytesMax / 2
    }

    // MARK: What players say

    /// It is known where a play begins.
    func started(_ player: MSRTSPPlayer, _ beginning: MSRTSPBeginning) {
        perform(sessions.started(player.id, beginning, now: now))
        guard let proxied = player.proxied, players[player.id] === player else { return }
        logger.info(
            "Windows Media begins",
            metadata: [
                "session": "\(player.words)", "from": "\(player.line.connection.words)", "path": "\(player.path.name)",
                "transport": "\(player.transportWords)", "protocol": "ms-rtsp", "cache": "\(proxied.outcome.words)",
            ])
        server.notices.began(.rtsp(player.id), proxied, of: player.path, agent: player.line.connection.agent ?? "")
    }

    func startFailed(_ player: MSRTSPPlayer, _ refusal: RequestRefusal) { perform(sessions.startFailed(player.id, refusal, now: now)) }

    /// What was sent ended by itself.
    func ended(_ player: MSRTSPPlayer, _ end: PumpEnd, nextSequence: UInt16?) {
        let reason: MSRTSPMediaEnd
        switch end {
        case .done: reason = .done
        case .rewound: reason = .rewound
        case .failed(let words):
            reason = .failed
            logger.warning("Windows Media stops", metadata: ["path": "\(player.path.name)", "why": "\(words)"])
        }
        server.notices.mediaEnded(.rtsp(player.id))
        perform(sessions.mediaEnded(player.id, reason: reason, nextSequence: nextSequence, now: now))
    }

    /// A playlist goes on to another entry for a player.
    func changeContent(of player: MSRTSPPlayer, to facts: WMSPContent, entryEnded: Bool, isReceding: Bool = false) {
        perform(
            sessions.contentChanged(
                player.id, to: facts, entryEnded: entryEnded, isReceding: isReceding, nextSequence: player.nextSequence, now: now))
    }

    private func headerChanged(of broadcast: WindowsMediaBroadcast) {
        for player in Array(players.values) where player.broadcast === broadcast {
            perform(sessions.contentChanged(player.id, to: broadcast.facts, nextSequence: player.nextSequence, now: now))
        }
    }

    /// The engine gave a player up.
    func lost(_ player: MSRTSPPlayer) { perform(sessions.end(session: player.id, .ended)) }

    /// The path is not served any more.
    func pathRemoved(_ player: MSRTSPPlayer) { perform(sessions.end(session: player.id, .ended)) }

    func lagged(_ player: MSRTSPPlayer, _ cause: LagCause, packets: UInt32) {
        server.counts.packetsMissed[cause, default: 0] &+= UInt64(packets)
        logger.warning(
            "reader misses packets",
            metadata: [
                "session": "\(player.words)", "from": "\(player.line.connection.words)", "path": "\(player.path.name)",
                "packets": "\(packets)", "cause": "\(cause.words)",
            ])
    }

    // MARK: RTCP

    /// RTCP that came from there. False: nobody here knows of it.
    func received(report bytes: [UInt8], from host: HostAddress, known session: UInt64?) -> Bool {
        let now = NIODeadline.now()
        if let request = RetransmissionRequest(bytes.span) {
            guard let id = retransmissions[request.retransmissionSSRC], let player = players[id], player.line.connection.host == host else {
                resends.strange += 1
                return session != nil
            }
            sessions.heard(id, now: RTSPServer.milliseconds(now))
            let outcome = player.resend(request, now: now)
            resends.asked += outcome.asked
            resends.refused += outcome.refused
            resends.gone += outcome.gone
            if outcome.isStrange { resends.strange += 1 }
            return true
        }
        guard let session, players[session] != nil else { return false }
        sessions.heard(session, now: RTSPServer.milliseconds(now))
        return true
    }
}

extension SessionEnd {
    /// How an end of the machine's is counted.
    init(_ end: MSRTSPSessionEnd) {
        switch end {
        case .tornDown: self = .teardown
        case .idle: self = .timeout
        case .evicted: self = .queueFull
        case .ended: self = .streamEnded
        }
    }
}
