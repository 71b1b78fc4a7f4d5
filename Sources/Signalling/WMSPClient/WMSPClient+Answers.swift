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
        case 200: authenticator.accepted()
        case 401:
            switch authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate")) {
            case .retry:
                closeMedia()
                connectMedia()
            case .credentialsMissing: fail(.unauthorized("the server wants a name and a password: write them into the URL"))
            case .credentialsRefused: fail(.unauthorized("the server refuses the name or the password of the URL"))
            case .schemeUnknown: fail(.unauthorized("the server takes neither Basic nor Digest"))
            }
        case 300...304: redirect(response)
        default: fail(.refused(name, response.status))
        }
    }

    private mutating func redirect(_ response: HTTPResponse) {
        guard let location = response.headers["Location"] else {
            return fail(.redirection("the server sends elsewhere, and does not say where"))
        }
        guard settings.redirections < Self.redirectionsMax else {
            return fail(.redirection("more than \(Self.redirectionsMax) redirections"))
        }
        do throws(WMSPSourceURL.Trouble) {
            let url = try settings.url.following(location)
            finish()
            actions.append(.redirected(url))
        } catch { fail(.redirection("the server sends elsewhere, but \(error)")) }
    }

    /// What an answer says of the server and the session.
    private mutating func learn(_ response: HTTPResponse) {
        if let agent = WMSPAgent.server(response.headers["Server"]) { server = agent }
        if let supported = WMSPSupported(response.headers) { serverSupports = supported }
        guard response.status.code != 401, response.status.code != 407, let pragma = try? PragmaList(response.headers) else { return }
        if let id = pragma.number("client-id"), id != 0 { clientID = id }
        if let list = pragma["features"], !list.isEmpty { features = WMSPFeatures(list) }
        if let id = pragma.number("playlist-gen-id"), id != 0 { playlistGenID = id }
        if let timeout = pragma.number("timeout"), timeout >= 1_000 { keepAliveMilliseconds = UInt64(timeout) }
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
            actions.append(.playing(header: bytes, metadata))
        case .playing:
            let isNext = awaitsEntry
            awaitsEntry = false
            actions.append(.headerChanged(bytes, metadata, isNextEntry: isNext))
            // Without prediction the server waits for a selection.
            if isNext, !serverSupports.contains(.prediction) { ask(.selectStream) }
        case .described:
            actions.append(.described(header: bytes, metadata))
        case .new, .idle, .over: break
        }
    }

    private mutating func take(data packet: WMSPPacket) {
        switch phase {
        case .playing: break
        case .described:
            // The answer to Describe runs on: it is the Play.
            guard let header else { return }
            phase = .playing
            media.deadline = nil
            actions.append(.playing(header: header.bytes, nil))
        case .describing, .starting: return fail(.notWindowsMedia("a $D before any $H"))
        case .new, .idle, .over: return
        }
        actions.append(.packet(number: packet.locationID, packet.payload))
    }

    private mutating func atEnd(_ reason: WMSPReason) {
        closeMedia()
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
        case .new, .idle, .over: break
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
            if response.status.code == 401, case .retry = authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate")),
                let again = feedback
            {
                actions.append(.close(.feedback))
                feedback = nil
                return ask(again)
            }
            if response.status.isSuccess { authenticator.accepted() }
            endFeedback(closing: true)
        }
    }
}
