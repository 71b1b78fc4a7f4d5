import WireFormats

extension WMSPClient {
    // MARK: The media link

    mutating func drainMedia() {
        while isMediaOpen {
            let event: HTTPResponseReader.Event?
            do throws(HTTPResponseReader.Trouble) { event = try media.reader.next() } catch {
                if error == .cutOff { mediaClosed() } else { fail(.malformed(error.description)) }
                return
            }
            switch event {
            case .head(let response):
                media.hasHead = true
                take(response)
            case .body(let bytes):
                media.parser.append(bytes)
                drainPackets()
            case .end: mediaClosed()
            case nil: return
            }
        }
    }

    /// The head of the answer to Describe or Play.
    private mutating func take(_ response: HTTPResponse) {
        let name = phase == .describing ? "Describe" : "Play"
        learn(response)
        switch response.status.code {
        case 200: accepted()
        case 401, 407:
            let who = response.status.code == 401 ? "server" : "proxy before the server"
            switch challenged(by: response) {
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
            askAgain()
        default: fail(.refused(name, response.status))
        }
    }

    /// A relay without a cache.
    static let serverAgent = "NSServer/9.0.0.3171"

    private mutating func askAgain() {
        closeMedia()
        connectMedia()
    }

    private mutating func challenged(by response: HTTPResponse) -> ClientAuthenticator.Verdict {
        response.status.code == 401
            ? authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate"))
            : proxyAuthenticator.challenged(by: response.headers.values(named: "Proxy-Authenticate"))
    }

    private mutating func accepted() {
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

    private mutating func drainPackets() {
        while isMediaOpen {
            let packet: WMSPPacket?
            do throws(WMSPParser.Trouble) { packet = try media.parser.next() } catch {
                return fail(.notWindowsMedia(error.description))
            }
            guard let packet else { return }
            take(packet)
        }
    }

    private mutating func take(_ packet: WMSPPacket) {
        switch packet.kind {
        case .packetPair, .pipelineTest: break
        case .metadata:
            do throws(WMSPPieces.Trouble) {
                guard let whole = try media.metadata.take(packet) else { return }
                // Broken metadata is no reason to do without the media.
                lastMetadata = try? WMSPMetadata(whole)
                if let id = lastMetadata?.playlistGenID, id != 0 { playlistGenID = id }
                if let features = lastMetadata?.features { self.features = features }
            } catch { fail(.notWindowsMedia("$M: \(error)")) }
        case .header:
            do throws(WMSPPieces.Trouble) {
                guard let whole = try media.header.take(packet) else { return }
                took(header: whole)
            } catch { fail(.notWindowsMedia("$H: \(error)")) }
        case .data: take(data: packet)
        case .streamChange:
            if packet.reason.isFailure { return fail(.server(packet.reason)) }
            guard packet.reason != .previousEntry else { return atEnd(packet.reason) }
            awaitsEntry = true
            lastMetadata = nil
        case .endOfStream:
            if packet.reason.isFailure { return fail(.server(packet.reason)) }
            guard phase == .playing || phase == .starting || phase == .described else { return }
            if packet.reason == .entryDone { return actions.append(.entryEnded) }
            atEnd(packet.reason)
        }
    }

    private mutating func took(header bytes: [UInt8]) {
        let parsed: ASFHeader
        do throws(ASFHeaderError) { parsed = try ASFHeader(bytes.span) } catch { return fail(.notWindowsMedia(error.description)) }
        // The log of the entry that is done goes before what is said of the next.
        if awaitsEntry { report() }
        header = parsed
        let metadata = lastMetadata
        lastMetadata = nil
        switch phase {
        case .describing:
            phase = .described
            media.deadline = now &+ settings.tailMilliseconds
            actions.append(.described(header: bytes, metadata))
        case .starting:
            phase = .playing
            media.deadline = nil
            mediaBegins(metadata)
            actions.append(.playing(header: bytes, metadata))
        case .playing:
            let isNext = awaitsEntry
            awaitsEntry = false
            if received == nil { mediaBegins(metadata) }
            actions.append(.headerChanged(bytes, metadata, isNextEntry: isNext))
            // A server that does not predict waits for it, and one that does goes on to do so only if it hears it ([MS-WMSP] 3.2.4.2).
            if isNext, clientID != nil { ask(.selectStream) }
        case .described:
            actions.append(.described(header: bytes, metadata))
        case .new, .idle, .leaving, .over: break
        }
    }

    private mutating func mediaBegins(_ metadata: WMSPMetadata?) {
        var start: UInt32 = 0
        if case .time(let milliseconds) = wanted?.position { start = milliseconds }
        received = Received(since: now, start: start, metadata: metadata)
    }

    private mutating func take(data packet: WMSPPacket) {
        switch phase {
        case .playing: break
        case .described:
            // The answer to Describe runs on: it is the Play.
            guard let header else { return }
            phase = .playing
            media.deadline = nil
            mediaBegins(nil)
            actions.append(.playing(header: header.bytes, nil))
        case .describing, .starting: return fail(.notWindowsMedia("a $D before any $H"))
        case .new, .idle, .leaving, .over: return
        }
        received?.packets += 1
        received?.bytes += UInt64(packet.payload.count)
        received?.lastNumber = packet.locationID
        actions.append(.packet(number: packet.locationID, packet.payload))
    }

    private mutating func atEnd(_ reason: WMSPReason) {
        closeMedia()
        report()
        rest()
        actions.append(.ended(reason))
    }

    /// The body or the connection ended.
    mutating func mediaClosed() {
        let hadHead = media.hasHead
        closeMedia()
        switch phase {
        case .describing: fail(hadHead ? .noHeader : .malformed("the connection ended without an answer"))
        case .described: if wanted != nil { startPlay() }
        case .starting: fail(hadHead ? .noHeader : .malformed("the connection ended without an answer"))
        case .playing: fail(.cutOff)
        case .new, .idle, .leaving, .over: break
        }
    }

    // MARK: The feedback link

    mutating func drainFeedback() {
        while feedback != nil {
            guard let event = try? feedbackIncoming.reader.next() else {
                // What cannot be read is as good as no answer; the deadline or the server's closing ends it.
                return
            }
            guard case .head(let response) = event else { continue }
            if [401, 407].contains(response.status.code), case .retry = challenged(by: response), let again = feedback {
                actions.append(.close(.feedback))
                feedback = nil
                return ask(again)
            }
            if response.status.isSuccess { accepted() }
            endFeedback(closing: true)
        }
    }
}
