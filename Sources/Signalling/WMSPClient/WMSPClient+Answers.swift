import WireFormats

extension WMSPClient {
    // MARK: The media link

    mutating func drainMedia() {
        while isMediaOpen {
            let event: HTTPResponseReader.Event?
            do throws(HTTPResponseReader.Trouble) { event = try media.reader.next() } catch {
                if phase == .testing {
                    declinePipelining()
                } else if error == .cutOff {
                    mediaClosed()
                } else {
                    fail(.malformed(error.description))
                }
                return
            }
            switch event {
            case .head(let response): take(response)
            case .body(let bytes): take(body: bytes)
            case .end: answerEnded()
            case nil: return
            }
        }
    }

    /// The head of an answer.
    private mutating func take(_ response: HTTPResponse) {
        guard !media.expected.isEmpty else { return fail(.malformed("an answer came that nobody had asked for")) }
        let pending = media.expected.removeFirst()
        media.current = pending.exchange
        media.stays = response.allowsAnother
        media.discards = false
        learn(response)
        let isChallenge = response.status.code == 401 || response.status.code == 407
        switch pending.exchange {
        case .describe, .play, .contentInfo, .event: opened(response, pending.exchange)
        case .pipelineTest(let isSecond): tested(response, isSecond: isSecond)
        case _ where isChallenge: take(challenge: response, to: pending)
        case .nextEntry, .selectStream: continued(response, pending.exchange)
        case .stop, .keepAlive, .log: if response.status.isSuccess { accepted() }
        }
    }

    /// The head of the answer to Describe or Play.
    private mutating func opened(_ response: HTTPResponse, _ exchange: Exchange) {
        if exchange == .play {
            // Another one has been asked for since, or none any more.
            guard phase == .starting, !isStale else { return media.discards = true }
            if resuming != nil, isForgotten(response) { return startOver() }
        }
        media.hasHead = true
        let isAsking = exchange == .contentInfo || exchange == .event
        switch response.status.code {
        case 200...299 where isAsking:
            accepted()
            answered(response, exchange)
        case 200:
            accepted()
            if exchange == .describe { terms = ContentTerms(response.headers) }
            media.parser = WMSPParser()
            if exchange == .describe {
                learnPipelining(response)
            } else {
                resuming = nil
                // A body that ends with the connection leaves nothing to be asked behind it.
                media.isPipelined = pipelining == .agreed && media.stays && !media.reader.endsWithConnection
            }
        case 401, 407:
            let who = response.status.code == 401 ? "server" : "proxy before the server"
            let verdict = challenged(by: response)
            if verdict != .retry { challenge = PassedChallenge(response.status.code, response.headers) }
            switch verdict {
            case .retry: askAgain()
            case .credentialsMissing: fail(.unauthorized("the \(who) wants a name and a password: write them into the URL"))
            case .credentialsRefused: fail(.unauthorized("the \(who) refuses the name or the password of the URL"))
            case .schemeUnknown: fail(.unauthorized("the \(who) takes neither Basic nor Digest"))
            }
        case 300...304, 307, 308: redirect(response)
        case 305: fail(.redirection("the server wants to be asked through another one (305), which Weir does not do"))
        case 400 where WMSPAgent.client(userAgent)?.product == .cacheProxy && (server?.version.major ?? 0) < 9:
            // Servers before 9.0 know no caches ([MS-WMSP] 3.1.5.4).
            userAgent = Self.serverAgent
            // As little do they know that question.
            if exchange == .contentInfo { phase = .describing }
            askAgain()
        // Who does not know the question may know the content.
        case _ where exchange == .contentInfo: describeInstead()
        default: fail(.refused(exchange.name, response.status))
        }
    }

    /// What was asked for nothing else was answered.
    private mutating func answered(_ response: HTTPResponse, _ exchange: Exchange) {
        if exchange == .contentInfo {
            let said = ContentTerms(response.headers)
            // Whatever it is that was answered: not this.
            guard !said.isSilent else { return describeInstead() }
            terms = said
        }
        finish()
        actions.append(.left)
    }

    private mutating func describeInstead() {
        phase = .describing
        askAgain()
    }

    /// The server does not know the session that was to be gone on with: it says so, or has made another, which begins elsewhere.
    private func isForgotten(_ response: HTTPResponse) -> Bool {
        switch response.status.code {
        case 200: (try? PragmaList(response.headers))?.isOn("xResetStrm") ?? false
        case 401, 407, 300...308: false
        default: true
        }
    }

    private mutating func take(body bytes: [UInt8]) {
        guard let exchange = media.current, !media.discards else { return }
        switch exchange {
        case .describe, .play, .nextEntry, .selectStream:
            guard !isStale else { return }
            media.parser.append(bytes)
            drainPackets()
        case .pipelineTest(isSecond: false): if phase == .testing { take(test: bytes) }
        case .pipelineTest, .stop, .keepAlive, .log, .contentInfo, .event: break
        }
    }

    /// The body of an answer has ended.
    private mutating func answerEnded() {
        guard let exchange = media.current else { return }
        media.current = nil
        switch exchange {
        case .describe:
            guard pipelining == .allowed, phase == .described else { return mediaClosed() }
            media.deadline = nil
            if wanted != nil { testPipelining() }
        case .pipelineTest(let isSecond):
            guard isSecond, phase == .testing else { return }
            if pipelining == .agreed { startPlayHere() }
        case .play, .nextEntry, .selectStream:
            let isWanted = phase == .playing || phase == .starting && !media.discards
            if isWanted, !isStale {
                guard phase == .playing, media.isPipelined, media.stays, awaitsContinuation else { return mediaClosed() }
                if media.parser.bytesBuffered > 0 { fail(.notWindowsMedia("a body ends inside of a packet")) }
                return
            }
            restOfMedia()
        case .stop, .keepAlive, .log, .contentInfo, .event: restOfMedia()
        }
    }

    /// An answer has ended behind which no media is due.
    private mutating func restOfMedia() {
        if !media.stays {
            // What was asked behind it is not answered any more.
            return mediaClosed()
        }
        if media.expected.isEmpty, phase == .idle { media.deadline = nil }
        leaveIfAllIsSaid()
    }

    private mutating func askAgain() {
        closeMedia()
        connectMedia()
    }

    /// A relay without a cache.
    static let serverAgent = "NSServer/9.0.0.3171"

    mutating func challenged(by response: HTTPResponse) -> ClientAuthenticator.Verdict {
        wasChallenged = true
        return response.status.code == 401
            ? authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate"))
            : proxyAuthenticator.challenged(by: response.headers.values(named: "Proxy-Authenticate"))
    }

    mutating func accepted() {
        authenticator.accepted()
        proxyAuthenticator.accepted()
    }

    private mutating func redirect(_ response: HTTPResponse) {
        guard let location = response.headers["Location"] else {
            return fail(.redirection("the server sends elsewhere, and does not say where"))
        }
        guard settings.trail.count < Self.redirectionsMax else {
            return fail(.redirection("more than \(Self.redirectionsMax) redirections"))
        }
        do throws(WMSPSourceURL.Trouble) {
            let url = try settings.url.following(location)
            guard !(settings.trail + [settings.url]).contains(where: { $0.isSamePlace(as: url) }) else {
                return fail(.redirection("the redirections lead in a circle, back to \(url)"))
            }
            finish()
            actions.append(.redirected(url))
        } catch { fail(.redirection("the server sends elsewhere, but \(error)")) }
    }

    /// What an answer says of the server and the session.
    private mutating func learn(_ response: HTTPResponse) {
        if let agent = WMSPAgent.server(response.headers["Server"]) { server = agent }
        if let supported = WMSPSupported(response.headers) { serverSupports = supported }
        if response.status.isSuccess, let wanted = Self.subscriptions(response.headers) { subscriptions = wanted }
        guard response.status.code != 401, response.status.code != 407, let pragma = try? PragmaList(response.headers) else { return }
        if let id = pragma.number("client-id"), id != 0 { clientID = id }
        if let list = pragma["features"], !list.isEmpty { features = WMSPFeatures(list) }
        if let id = pragma.number("playlist-gen-id"), id != 0 { playlistGenID = id }
        if let timeout = pragma.number("timeout"), timeout >= 1_000 { keepAliveMilliseconds = UInt64(timeout) }
    }

    /// `x-wms-event-subscription="remote-open,remote-log"`; nil where the answer does not speak of caching.
    static func subscriptions(_ headers: HTTPHeaders) -> Set<RemoteEvent.Kind>? {
        let values = headers.values(named: "Cache-Control")
        guard !values.isEmpty else { return nil }
        let names: [(String, RemoteEvent.Kind)] = [("remote-open", .open), ("remote-close", .close), ("remote-log", .log)]
        var wanted: Set<RemoteEvent.Kind> = []
        for value in values {
            guard let start = value.lowercased().firstRange(of: "x-wms-event-subscription=\"") else { continue }
            let list = value.lowercased()[start.upperBound...].prefix { $0 != "\"" }.split(separator: ",").map { String($0).trimmedBlanks }
            for (name, kind) in names where list.contains(name) { wanted.insert(kind) }
        }
        return wanted
    }

    /// The body or the connection ended.
    mutating func mediaClosed() {
        let hadHead = media.hasHead
        closeMedia()
        switch phase {
        // A server that takes the question ill.
        case .asking where settings.errand == .contentInfo: describeInstead()
        case .asking: fail(.unanswered)
        case .describing: fail(hadHead ? .noHeader : .unanswered)
        case .described:
            // Whoever closes it behind each answer has nothing pipelined.
            pipelining = .declined
            if wanted != nil { startPlay() }
        case .testing: declinePipelining()
        case .starting:
            guard resuming == nil || hadHead else { return startOver() }
            fail(hadHead ? .noHeader : .unanswered)
        case .playing: fail(.cutOff)
        case .leaving: leaveIfAllIsSaid()
        case .new, .idle, .over: break
        }
    }
}
