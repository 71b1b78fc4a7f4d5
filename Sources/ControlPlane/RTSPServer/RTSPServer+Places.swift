import NIOCore
import Signalling
import WireFormats

/// Which path a request is about, and whether there is room for its reader.
extension RTSPServer {
    /// What a request's URI names.
    struct Found {
        /// The path; nil for a name that only an expression fits, and that is no path yet.
        let path: Path?
        let match: ExpressionPaths.Match?
        /// What stands behind the path's name.
        let control: String?
        /// What the forward proxy knows it by; nil for what is this server's own.
        var forward: CacheKey?
        /// What holds for it.
        var settings: PathSettings? { path?.settings ?? match?.settings }
        /// Whether it is Windows Media, as far as is known.
        var isWindowsMedia: Bool { forward != nil || (path?.isWindowsMedia ?? settings?.source.isWindowsMedia ?? false) }
    }

    /// Finds what a request names; nothing is made. Names that are listed go before those that expressions fit.
    ///
    /// What a session on `connection`, or the one that is named, belongs to goes before everything: a name that was made since must not
    /// take an encoder's track from it.
    func found(by request: ServerRequest, on connection: RTSPConnection? = nil) throws(RequestRefusal) -> Found {
        let readings = request.target.readings
        if request.target.isServer { throw .uriMalformed("\(request.message.method.name) needs the URL of a stream, not *") }
        if let forwarded = forwarded(by: request) { return forwarded }
        // Requests about a whole stream mean the whole name: `cam/2` may fit an expression though there is a path `cam`.
        let isWhole = request.message.method == .describe || request.message.method == .announce
        if isWhole, let whole = readings.first(where: { $0.control == nil }) {
            if let path = paths.path(named: whole.path) { return Found(path: path, match: nil, control: nil) }
            if let match = paths.match(whole.path) { return Found(path: nil, match: match, control: nil) }
        }
        let own = request.session.flatMap(session(named:)).map { [$0] } ?? connection?.sessions ?? []
        for session in own where !isWhole {
            for reading in readings where PathSettings.trimmed(reading.path) == session.path.name {
                if paths.path(named: reading.path) === session.path {
                    return Found(path: session.path, match: nil, control: reading.control)
                }
            }
        }
        for reading in readings {
            if let path = paths.path(named: reading.path) { return Found(path: path, match: nil, control: reading.control) }
        }
        if !isWhole {
            for reading in readings {
                if let match = paths.match(reading.path) { return Found(path: nil, match: match, control: reading.control) }
            }
        }
        throw forwardRefusal(request) ?? .notFound("nothing is served as /\(readings.first?.path ?? "")")
    }

    /// The path that a request of one who may ask it is about, made if an expression makes it. Throws where it is served elsewhere.
    func open(_ request: ServerRequest, on connection: RTSPConnection? = nil) throws -> (path: Path, control: String?) {
        let found: Found
        do throws(RequestRefusal) { found = try self.found(by: request, on: connection) } catch {
            if case .forbidden = error { count(.forwardDenied) }
            throw error
        }
        let isPublisher = request.message.method == .announce
        if let key = found.forward { return (try open(forwarded: key, request.message.method), found.control) }
        if case .redirect(let template)? = found.settings?.source {
            guard !isPublisher else { throw PathError.readOnly }
            let url =
                try found.match.map { match throws(PathError) in try match.paths.redirection(match) } ?? template.url(for: [])?.request
            counts.redirections += 1
            throw RequestRefusal.moved(url ?? "")
        }
        if let path = found.path { return (path, found.control) }
        guard let match = found.match else { throw RequestRefusal.notFound("nothing is served there") }
        do throws(PathError) {
            return (try match.paths.open(match, forPublisher: isPublisher, in: paths), found.control)
        } catch {
            if case .notReady = error { count(.instancesMax) }
            throw error
        }
    }

    /// Whether all that is served is Windows Media: then the server calls itself so to whoever asks about none of it.
    var servesWindowsMediaAlone: Bool {
        let all = paths.all
        let isOfUse = !all.isEmpty || forwarding != nil
        return isOfUse && paths.expressions.allSatisfy(\.settings.source.isWindowsMedia) && all.allSatisfy(\.isWindowsMedia)
    }

    // MARK: Load distribution

    /// Lets a reader come, and holds a place for it, or throws where it should go instead. Readers that are here already are not asked.
    func distribute(_ path: Path, _ request: ServerRequest, _ connection: RTSPConnection) throws(RequestRefusal) {
        let own = path.settings.distribution, whole = settings.distribution
        guard own.readersMax != nil || whole.readersMax != nil else { return }
        let id = ObjectIdentifier(connection), pathID = ObjectIdentifier(path)
        guard !places.holds(id, pathID) else { return }
        let now = NIODeadline.now()
        places.sweep(now: now)
        // Room that another path held for this connection is free now.
        places.release(id)
        try findRoom(on: path, uri: request.message.uri)
        places.hold(id, pathID, now: now)
    }

    /// Throws where one more reader should go instead, if there is no room.
    func findRoom(on path: Path, uri: String, for dialect: OriginFacts.Dialect = .msRTSP) throws(RequestRefusal) {
        let own = path.settings.distribution, whole = settings.distribution
        let pathID = ObjectIdentifier(path)
        let full: (max: Int, relays: [RelayAddress], words: String)?
        if let max = own.readersMax, path.readers + places.count(pathID) >= max {
            full = (max, own.then.isEmpty ? whole.then : own.then, "/\(path.name)")
        } else if let max = whole.readersMax, readersNow + places.count >= max {
            full = (max, own.then.isEmpty ? whole.then : own.then, "this server")
        } else {
            full = nil
        }
        guard let full else { return }
        let hops = RedirectionMark.hops(in: uri), hopsMax = settings.limits.redirectHopsMax
        guard !full.relays.isEmpty, hops < hopsMax else {
            if path.settings.serving == .redirectWhenFull, let place = path.settings.source.place {
                path.readersRedirected += 1
                counts.readersRedirected += 1
                logger.info(
                    "a player is sent to the origin",
                    metadata: ["path": "\(path.name)", "why": "\(full.words) has its \(full.max) readers"])
                throw .moved(ProxyRefusal.location(of: place.url, for: dialect))
            }
            count(.readersMax)
            let rest = full.relays.isEmpty ? "" : ", and \(hops) other relays had no room either"
            throw .readersMax("\(full.words) has its \(full.max) readers\(rest)", retryAfterSeconds: Path.retryAfterSeconds)
        }
        let relay = full.relays[path.nextRelay % full.relays.count]
        path.nextRelay = (path.nextRelay + 1) % full.relays.count
        path.readersRedirected += 1
        counts.readersRedirected += 1
        let url = RedirectionMark.url(at: relay, path: path.name, uri: uri)
        // The same host's HTTP is on the port of its RTSP.
        throw .moved(dialect == .wmsp ? "http" + url.dropFirst("rtsp".count) : url)
    }

    /// Readers of Windows Media, in no order.
    var windowsMediaReaders: [any WindowsMediaReader] { windowsMedia.allPlayers + windowsMediaRTSP.allPlayers }

    /// Readers of all paths, whatever they speak.
    var readersNow: Int { readerSessions + windowsMedia.playerCount + windowsMediaRTSP.readerCount }
}
