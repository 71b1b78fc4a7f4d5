import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// The Windows Media half of the server (WMSP, [MS-WMSP]): HTTP connections of the shared port that are no tunnels. It finds what a request
/// is about and whether it is allowed, has the session machine decide, and does what that says. Belongs to the event loop.
final class WindowsMediaServer {
    unowned let server: RTSPServer
    private(set) var sessions: WMSPSessions
    private var connections: [UInt64: WMSPConnection] = [:]
    private var players: [UInt32: WindowsMediaPlayer] = [:]
    private var nextConnection: UInt64 = 1
    /// Where sessions are in playlists.
    var playlistReaders: [UInt32: PlaylistReader] = [:]
    let playlistOpener: PlaylistOpener
    /// Files that the engine sends from.
    let storedFiles: StoredFiles

    init(server: RTSPServer, settings: WMSPSessions.Settings = WMSPSessions.Settings()) {
        self.server = server
        storedFiles = StoredFiles(port: server.port)
        playlistOpener = PlaylistOpener(eventLoop: server.port.eventLoop) { [weak server] in server?.paths }
        sessions = WMSPSessions(settings: settings) { UInt32.random(in: 1...UInt32.max) }
    }

    var settings: ServerSettings { server.settings }
    var port: EnginePort { server.port }
    var logger: Logger { server.logger }
    /// Connections just now; they count among those of the server.
    var connectionCount: Int { connections.count }
    /// Who is being sent media in a session.
    func player(_ session: UInt32) -> WindowsMediaPlayer? { players[session] }
    /// Sessions just now, of those who are being sent media and of others, and how many there may be.
    var sessionCount: Int { sessions.count }
    var sessionsMax: Int { sessions.settings.sessionsMax }
    /// What became of sessions, by the names that status has for it.
    var counters: [String: Int] {
        let counters = sessions.counters
        return [
            "opened": counters.sessionsOpened, "evicted": counters.sessionsEvicted, "refused": counters.sessionsRefused,
            "taken_over": counters.takeOvers, "mistaken": counters.sessionsMistaken, "owed_overflows": counters.owedOverflows,
            "stored_plays_refused": storedFiles.refused, "stored_times_read": storedFiles.timesRead,
            "stored_times_dropped": storedFiles.timesDropped, "stored_times_overdue": storedFiles.timesOverdue,
            "stored_plays_taken_later": storedFiles.takenLater,
        ]
    }
    /// How many are being sent media.
    var playerCount: Int { players.count }
    /// Those who are being sent media.
    var allPlayers: [WindowsMediaPlayer] { Array(players.values) }
    var now: UInt64 { RTSPServer.milliseconds(.now()) }

    func count(_ refusal: ServerRefusal) { server.count(refusal) }

    // MARK: Connections

    /// Takes over a connection whose first bytes are HTTP's.
    func take(over connection: RTSPConnection, _ bytes: [UInt8]) {
        let successor = WMSPConnection(
            id: nextConnection, channel: connection.channel, host: connection.host, words: connection.words, server: self)
        nextConnection += 1
        connections[successor.id] = successor
        connection.resign(to: successor)
        successor.received(bytes)
    }

    func forget(_ connection: WMSPConnection) {
        connections[connection.id] = nil
        if let what = connection.challenged {
            server.access.failures.abandoned(connection.host, from: connection.words, request: what, now: now)
        }
        perform(sessions.connectionClosed(connection.id, now: now))
    }

    /// Looks at deadlines; about once a second.
    func sweep(now: NIODeadline) {
        perform(sessions.timeElapsed(now: RTSPServer.milliseconds(now)))
        for connection in Array(connections.values) { connection.sweep(now: now) }
        for player in Array(players.values) { player.sweep(now: now) }
    }

    /// Ends everything.
    func stop() {
        for player in players.values { player.stop() }
        players = [:]
        for session in Array(playlistReaders.keys) { forgetPlaylist(of: session) }
        for connection in Array(connections.values) { connection.close() }
    }

    // MARK: Requests

    /// Bytes that are no request.
    func refuse(_ connection: WMSPConnection, _ trouble: HTTPRequestParser.Trouble) {
        count(trouble.status == .headersTooLarge || trouble.status == .requestEntityTooLarge ? .oversize : .malformed)
        server.countAnswer(trouble.status)
        perform(sessions.refuse(.unreadable(trouble), to: nil, on: connection.id))
        connection.drain()
    }

    /// Answers a request, now or later; ``WMSPConnection/requestDone()`` says when.
    func answer(_ message: HTTPRequest, on connection: WMSPConnection) {
        let request: WMSPRequest
        do { request = try WMSPRequest(message) } catch {
            guard case .browser = error else { return refuse(message, error, on: connection) }
            return refuse(message, browserRefusal(message, error, on: connection), on: connection)
        }
        guard Self.isAboutContent(request) else {
            do throws(WMSPRefusal) {
                // It needs no session: whoever says something about a path must be one who may read it.
                var path: Path?
                if request.kind == .sendEvent {
                    path = try self.path(request.target, for: message, on: connection, isPlayer: true)
                    do throws(RequestRefusal) { try server.admitEvent(connection.host) } catch { throw WMSPRefusal(noRoom: error) }
                }
                guard request.kind == .playNextEntry, let opened = request.clientID.flatMap({ playlistReaders[$0]?.current }) else {
                    return take(request, path, nil, on: connection)
                }
                profile(of: opened, for: request, opened.facts) { [weak self] facts in
                    guard let self, !connection.isClosed else { return }
                    receive(request, nil, nil, facts, on: connection)
                }
            } catch { refuse(message, error, on: connection) }
            return
        }
        do throws(WMSPRefusal) {
            let path = try path(request.target, for: message, on: connection, isPlayer: true)
            try admit(request, to: path, on: connection)
            let trail = RelayTrail(message.headers)
            connection.trail = trail
            if let error = path.loop(trail) ?? path.wouldForward(trail) { throw WMSPRefusal(pathError: error) }
            let number = path.trails.add(trail)
            var isAnswered = false
            let abandon = content(of: path, for: request, on: connection) { [weak self] result in
                isAnswered = true
                connection.onAbandoned = nil
                path.trails.remove(number)
                guard let self else { return }
                guard !connection.isClosed else {
                    // Nobody waits for what was opened any more.
                    if case .success(let source) = result { settle(source, of: request) }
                    return
                }
                switch result {
                case .success(let source): take(request, path, source, on: connection)
                case .failure(let error): refuse(message, WMSPRefusal(pathError: error), on: connection)
                }
            }
            guard let abandon, !isAnswered else { return }
            connection.onAbandoned = {
                path.trails.remove(number)
                abandon()
            }
        } catch { refuse(message, error, on: connection) }
    }

    private static func isAboutContent(_ request: WMSPRequest) -> Bool {
        switch request.kind {
        case .describe, .getContentInfo, .play: true
        // By GET it can become a Play.
        case .selectStream: request.message.method == .other("GET")
        case .keepAlive, .log, .sendEvent, .stop, .pipelineTest, .playNextEntry: false
        }
    }

    private func refuse(_ message: HTTPRequest, _ refusal: WMSPRefusal, on connection: WMSPConnection) {
        server.countAnswer(refusal.status)
        perform(sessions.refuse(refusal, to: message, on: connection.id))
        connection.requestDone()
    }

    /// What a browser gets: a playlist for a path that a player could play, else why none could.
    private func browserRefusal(_ message: HTTPRequest, _ playlist: WMSPRefusal, on connection: WMSPConnection) -> WMSPRefusal {
        do throws(WMSPRefusal) {
            let target: HTTPTarget
            do throws(HTTPTarget.Trouble) { target = try HTTPTarget(message.uri) } catch { throw .malformed(error.description) }
            _ = try path(target, for: message, on: connection, isPlayer: false)
            return playlist
        } catch { return error }
    }

    /// Whether there is room for one more player of a path. Describe and Play may each be the first that a player asks; where it is sent
    /// elsewhere it is by a URL of HTTP, which all players that follow any understand.
    private func admit(_ request: WMSPRequest, to path: Path, on connection: WMSPConnection) throws(WMSPRefusal) {
        // A choice of streams by GET is a Play for whoever does not play yet.
        let mayPlay = request.kind == .play || request.kind == .selectStream
        guard mayPlay || request.kind == .describe else { return }
        // Who plays it already does not come in addition.
        let isHere = request.clientID.flatMap { players[$0] }.map { $0.path === path } ?? false
        if !isHere {
            do throws(RequestRefusal) { try server.findRoom(on: path, uri: request.message.uri, for: .wmsp) } catch {
                throw WMSPRefusal(noRoom: error)
            }
        }
        guard request.kind == .describe || request.kind == .selectStream && isHere || server.admitJoin(connection.host) else {
            throw .full("your address opens sessions too fast", retryAfterSeconds: 1)
        }
    }

    /// What a path has to offer, now or later. What is returned ends a wait that nobody is interested in any more.
    private func content(
        of path: Path, for request: WMSPRequest, on connection: WMSPConnection,
        _ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void
    ) -> (() -> Void)? {
        let headers = request.message.headers
        path.asker = SourceAsker(headers: headers, agent: connection.agent, verb: request.message.method.name) ?? path.asker
        if let programme = path.programme, !path.settings.isBroadcast {
            if !goesOn(on: path, request, from: connection.host.text, done) { newReader(of: path, programme, done) }
        } else if let file = path.windowsMediaFile {
            file.open().assumeIsolated().whenComplete { done($0.map { .file($0) }) }
        } else if let proxy = path.windowsMediaProxy {
            if goesOn(on: path, request, from: connection.host.text, done) { return nil }
            return proxy.content(for: ask(request, of: path, on: connection), of: path) { [weak self] result in
                if case .success(.live(let broadcast)) = result { self?.attend(broadcast) }
                done(result.mapError { ($0 as? ProxyRefusal)?.overHTTP ?? $0 })
            }
        } else if let live = path.windowsMediaLive {
            return live.broadcast(of: path) { [weak self] result in
                if case .success(let broadcast) = result { self?.attend(broadcast) }
                done(result.map { .live($0) }.mapError { $0 })
            }
        } else if path.mayBeWindowsMedia {
            // Its source has to say first what it has. For who has left meanwhile nothing more is asked.
            var abandon: (() -> Void)?
            path.describe(for: RelayTrail()).assumeIsolated().whenComplete { [weak self] result in
                guard !connection.isClosed else { return }
                if let error = path.wouldForward(connection.trail) {
                    done(.failure(error))
                } else if path.isWindowsMedia, let self {
                    abandon = content(of: path, for: request, on: connection, done)
                } else if case .failure(let error) = result {
                    done(.failure(error))
                } else {
                    done(.failure(Self.notWindowsMedia(path.name)))
                }
            }
            return { abandon?() }
        } else {
            done(.failure(path.isWindowsMedia ? PathError.refused("/\(path.name) has no source") : Self.notWindowsMedia(path.name)))
        }
        return nil
    }

    private func attend(_ broadcast: WindowsMediaBroadcast) {
        broadcast.onHeader(self) { [weak self, weak broadcast] in
            if let broadcast { self?.headerChanged(of: broadcast) }
        }
    }

    private func take(_ request: WMSPRequest, _ path: Path?, _ source: WindowsMediaContent?, on connection: WMSPConnection) {
        func go(_ facts: WMSPContent?) {
            guard !connection.isClosed else {
                // Nobody waits for what was opened any more.
                if let source { settle(source, of: request) }
                return
            }
            receive(request, path, source, facts, on: connection)
        }
        switch source {
        case .file(let file)?: profile(of: file, for: request, file.facts, content: file.facts) { go($0) }
        case .playlist(let start)?: profile(of: start.opened, for: request, start.facts) { go($0) }
        case .live?, nil: go(source?.facts)
        }
    }

    /// Facts with the profile of an entry, where a request wants one.
    private func profile(of opened: OpenedEntry, for request: WMSPRequest, _ facts: WMSPContent, _ done: @escaping (WMSPContent) -> Void) {
        guard case .file(let file) = opened.media else { return done(facts) }
        profile(of: file, for: request, facts, content: opened.facts, from: opened.entry.fromMilliseconds, done)
    }

    private func profile(
        of file: WindowsMediaFile, for request: WMSPRequest, _ facts: WMSPContent, content: WMSPContent, from beginning: UInt64 = 0,
        _ done: @escaping (WMSPContent) -> Void
    ) {
        guard var wish = sessions.startupWish(of: request, content: content) else { return done(facts) }
        if wish.position == .beginning, beginning > 0 { wish.position = .time(milliseconds: UInt32(clamping: beginning)) }
        file.startupProfile(wish, on: server.port.eventLoop).assumeIsolated().whenComplete { result in
            var facts = facts
            facts.startupProfile = (try? result.get()) ?? nil
            done(facts)
        }
    }

    private func receive(
        _ request: WMSPRequest, _ path: Path?, _ source: WindowsMediaContent?, _ facts: WMSPContent?, on connection: WMSPConnection
    ) {
        let told = facts.map { source?.told($0, of: path?.settings, in: .wmsp) ?? $0 }
        let actions = sessions.receive(
            request, on: connection.id, from: connection.host.text, content: told.map { .success($0) }, now: now)
        perform(actions, path: path, source: source)
        settle(source, of: request)
        connection.requestDone()
    }

    // MARK: What the machine says

    private func perform(_ actions: [WMSPServerAction], path: Path? = nil, source: WindowsMediaContent? = nil) {
        for action in actions {
            switch action {
            case .send(let id, let bytes): connections[id]?.write(bytes)
            case .start(let play, let opening):
                guard let path, let source, let connection = connections[play.connection] else { continue }
                begin(play, opening, path, source, on: connection)
            case .select(let session, let selection): players[session]?.select(selection)
            case .hold(let session): players[session]?.hold()
            case .hasten(let session, let fastStart): players[session]?.hasten(fastStart)
            case .stop(let session): release(session)?.stop()
            case .finish(let session): if let player = release(session) { finish(player) }
            case .close(let id): connections[id]?.drain()
            case .log(let session, let log): record(log, of: session)
            case .event(_, let name, let event): record(event, about: path?.name ?? name)
            case .ended(let session, let reason):
                release(session)?.stop()
                server.notices.over(.http(session))
                forgetPlaylist(of: session)
                logger.debug("Windows Media session ends", metadata: ["session": "\(session)", "reason": "\(reason.rawValue)"])
            }
        }
    }

    private func begin(
        _ play: WMSPPlay, _ opening: [UInt8], _ path: Path, _ source: WindowsMediaContent, on connection: WMSPConnection
    ) {
        release(play.session)?.stop()
        // Whoever still sends his last words there has to make room.
        connection.leaving?.stop()
        connection.leaving = nil
        if case .playlist(let start) = source { keep(start.reader, for: play.session) }
        let player = WindowsMediaPlayer(play: play, path: path, source: source, connection: connection, server: self)
        players[play.session] = player
        server.countAnswer(.ok)
        let proxied = player.proxied
        var facts: Logger.Metadata = [
            "session": "\(play.session)", "from": "\(connection.words)", "path": "\(path.name)", "at": "\(play.position)",
            "transport": "http",
        ]
        if let proxied { facts["cache"] = "\(proxied.outcome.words)" }
        logger.info("Windows Media begins", metadata: facts)
        player.start(opening) { [weak self, weak player] end in
            guard let self, let player, players[play.session] === player else { return }
            release(play.session)
            let reason: WMSPReason
            switch end {
            case .done: reason = .done
            case .rewound: reason = .rewound
            case .failed(let words):
                reason = .serverUnavailable
                logger.warning("Windows Media stops", metadata: ["path": "\(path.name)", "why": "\(words)"])
            }
            perform(sessions.mediaEnded(play.session, reason: reason, now: now))
            finish(player)
        }
        server.notices.began(.http(play.session), proxied, of: path, agent: connection.agent)
    }

    /// A session is sent nothing more by whom it was.
    @discardableResult private func release(_ session: UInt32) -> WindowsMediaPlayer? {
        guard let player = players.removeValue(forKey: session) else { return nil }
        player.path.proxyCounts.bytesFromCache &+= player.bytesFromCache
        server.notices.mediaEnded(.http(session))
        return player
    }

    /// What the engine was given leaves before the player is stopped. A connection that breaks before that ends it, too.
    private func finish(_ player: WindowsMediaPlayer) {
        let connection = player.connection
        guard !connection.isClosed else { return player.stop() }
        connection.leaving = player
        connection.whenOver { [weak connection] in
            player.stop()
            if connection?.leaving === player { connection?.leaving = nil }
        }
    }

    /// A playlist goes on to another entry for a player.
    func changeEntry(of session: UInt32, to facts: WMSPContent, entryEnded: Bool) {
        perform(sessions.contentChanged(session, to: facts, entryEnded: entryEnded, now: now))
    }

    /// A player was rewound to the beginning of an entry; the one before is where it goes on.
    func recede(_ player: WindowsMediaPlayer, to facts: WMSPContent) {
        let session = player.play.session
        guard players[session] === player else { return }
        release(session)
        perform(sessions.contentReceded(session, to: facts, now: now))
        finish(player)
    }

    /// How long that has to wait, in milliseconds.
    func changeDelay(of session: UInt32) -> UInt64 { sessions.changeDelayMilliseconds(of: session, now: now) }

    /// From where a session was opened; its player may send media no more.
    func address(of session: UInt32) -> String? { sessions.address(of: session) }

    /// Whether a request is of the session that it names.
    func owns(_ request: WMSPRequest, from host: String) -> Bool { sessions.owns(request, from: host) }

    /// Nothing more is sent to a session.
    func endMedia(of session: UInt32) {
        release(session)?.stop()
        perform(sessions.mediaEnded(session, now: now))
    }

    private func headerChanged(of broadcast: WindowsMediaBroadcast) {
        for (session, player) in players where player.broadcast === broadcast {
            perform(sessions.contentChanged(session, to: broadcast.facts, now: now))
        }
    }

    /// A live player missed packets.
    func lagged(_ player: WindowsMediaPlayer?, _ cause: LagCause, packets: UInt32) {
        guard let player else { return }
        server.counts.packetsMissed[cause, default: 0] += UInt64(packets)
        logger.warning(
            "reader misses packets",
            metadata: [
                "from": "\(player.connection.words)", "path": "\(player.path.name)", "packets": "\(packets)", "cause": "\(cause.words)",
            ])
    }
}

extension WMSPRefusal {
    /// Where there is no room.
    fileprivate init(noRoom refusal: RequestRefusal) {
        switch refusal {
        case .moved(let url): self = .moved(url)
        case .readersMax(let words, let seconds): self = .full(words, retryAfterSeconds: seconds)
        default: self = .unavailable(refusal.words, retryAfterSeconds: Path.retryAfterSeconds)
        }
    }

    /// What a path refuses, as an answer.
    init(pathError error: any Error) {
        if let refusal = error as? WMSPRefusal {
            self = refusal
            return
        }
        guard let error = error as? PathError else {
            self = .unavailable("\(error)", retryAfterSeconds: Path.retryAfterSeconds)
            return
        }
        self =
            switch error {
            case .notFound, .removed, .notPublished: .notFound(error.description)
            case .notRTP: .unplayable(error.description)
            case .notReady(let words, let seconds): .unavailable(words, retryAfterSeconds: seconds)
            // As a proxy that refuses to ask itself (`ProxyDecision`).
            case .loop: .origin(.badGateway, error.description, retryAfterSeconds: Path.retryAfterSeconds)
            case .readOnly, .alreadyPublished, .refused: .unavailable(error.description, retryAfterSeconds: Path.retryAfterSeconds)
            }
    }
}
