import WireFormats

extension WMSPSessions {
    mutating func handle(_ incoming: Incoming) throws(WMSPRefusal) {
        switch incoming.request.kind {
        case .describe: try describe(incoming)
        case .getContentInfo: try getContentInfo(incoming)
        case .play: try play(incoming)
        case .selectStream: try selectStream(incoming)
        case .keepAlive: try keepAlive(incoming)
        case .log: try log(incoming)
        case .sendEvent: try sendEvent(incoming)
        case .stop: try stop(incoming)
        case .pipelineTest: try testPipeline(incoming)
        case .playNextEntry: try playNextEntry(incoming)
        }
    }

    /// The session that a request names, if it is the sender's; nil where it names none, or one that is not there.
    func named(_ incoming: Incoming) throws(WMSPRefusal) -> WMSPServerSession? {
        guard let id = incoming.request.clientID, let session = sessions[id] else { return nil }
        guard session.belongs(to: incoming.address, guid: incoming.request.guid) else { throw .sessionForeign }
        return session
    }

    /// Whether a request names a session, and is of its owner.
    package func owns(_ request: WMSPRequest, from address: String) -> Bool {
        request.clientID.flatMap { sessions[$0] }?.belongs(to: address, guid: request.guid) ?? false
    }

    /// The connection of the Describe of the session that a request names; nil where it names none that is its owner's, or that was not described.
    package func describer(of request: WMSPRequest, from address: String) -> UInt64? {
        guard owns(request, from: address) else { return nil }
        return request.clientID.flatMap { sessions[$0]?.describedOn }
    }

    /// The session that a request must name. The request is noted in it.
    mutating func required(_ incoming: Incoming) throws(WMSPRefusal) -> WMSPServerSession {
        guard incoming.request.clientID != nil else { throw .sessionMissing(incoming.request.kind) }
        guard var session = try named(incoming) else { throw .sessionUnknown }
        session.seen(incoming.request, now: incoming.now)
        sessions[session.id] = session
        return session
    }

    // MARK: Describe and GetContentInfo

    private mutating func describe(_ incoming: Incoming) throws(WMSPRefusal) {
        let content = try incoming.contentOrRefusal()
        let known = try named(incoming)
        if let known, known.state != .idle { throw .notNow(.describe, "the session is being sent media") }
        var session: WMSPServerSession
        if let known { session = known } else { session = try open(incoming) }
        session.seen(incoming.request, now: incoming.now)
        session.content = content
        session.path = incoming.request.target.path
        session.describedOn = incoming.connection
        sessions[session.id] = session
        let request = incoming.request
        let dialect = session.dialect
        var tokens = Self.tokens(of: session, isNew: known == nil, content: content, timeout: settings.keepAliveMilliseconds)
        if settings.offersPipelining, dialect.takesChunks, request.isModernHTTP, request.pragma.isOn("pipeline-experiment") {
            tokens.append("pipeline-experiment=1")
        }
        let isMeasuring = settings.offersPacketPairs && dialect.takesPacketPairs && request.pragma.isOn("packet-pair-experiment")
        if isMeasuring { tokens.append("packet-pair-experiment=1") }
        var response = answer(.ok, to: incoming, tokens: tokens, content: content)
        response.headers.add("Content-Type", dialect.wantsOctetStream ? WMSPContentType.octets : WMSPContentType.header)
        WMSPAnswer.sayConnection(&response, to: request.message, closes: false)
        response.body = content.opening(for: dialect, incarnation: session.incarnation)
        if isMeasuring {
            // The head's size goes into the packets, and theirs into the head: it is always the same.
            response.body = [UInt8](repeating: 0, count: WMSPFraming.packetPairBytes) + response.body
            let headBytes = response.serialized().count - response.body.count
            var bits: (left: Int, value: UInt32) = (0, 0)
            let makeBits = makeID
            let pairs = WMSPFraming.packetPair(headBytes: headBytes) {
                if bits.left == 0 { bits = (4, makeBits()) }
                bits.left -= 1
                bits.value >>= 8
                return UInt8(truncatingIfNeeded: bits.value)
            }
            response.body.replaceSubrange(0..<WMSPFraming.packetPairBytes, with: pairs)
        }
        reply(response, to: request.message, on: incoming.connection)
    }

    private mutating func getContentInfo(_ incoming: Incoming) throws(WMSPRefusal) {
        let content = try incoming.contentOrRefusal()
        let session = try named(incoming)
        if let session { sessions[session.id]?.seen(incoming.request, now: incoming.now) }
        let tokens =
            session.map { Self.tokens(of: $0, isNew: false, content: content, timeout: settings.keepAliveMilliseconds) } ?? ["no-cache"]
        replyEmpty(.ok, to: incoming, tokens: tokens, content: content)
    }

    // MARK: Feedback

    private mutating func keepAlive(_ incoming: Incoming) throws(WMSPRefusal) {
        let isOptions = incoming.request.message.method == .options
        if isOptions, try named(incoming) == nil {
            replyEmpty(.ok, to: incoming, tokens: ["no-cache"], more: Self.optionHeaders)
            return
        }
        let session = try required(incoming)
        replyEmpty(
            .ok, to: incoming, tokens: Self.tokens(of: session, isNew: false, content: nil, timeout: settings.keepAliveMilliseconds),
            more: isOptions ? Self.optionHeaders : [:])
    }

    private static let optionHeaders: HTTPHeaders = ["Public": WMSPAnswer.methods, "Allow": "OPTIONS"]

    private mutating func log(_ incoming: Incoming) throws(WMSPRefusal) {
        let session = try required(incoming)
        let request = incoming.request
        let log: WMSPLog
        if let line = request.pragma["log-line"] {
            log = WMSPLog(form: .line, text: line, agent: request.agent, path: session.path)
        } else {
            let text = String(decoding: request.message.body, as: UTF8.self)
            guard text.contains("<") else { throw .malformed("the body of a log is XML") }
            log = WMSPLog(form: .xml, text: text, agent: request.agent, path: session.path)
        }
        actions.append(.log(session: session.id, log))
        replyEmpty(
            .noContent, to: incoming, tokens: Self.tokens(of: session, isNew: false, content: nil, timeout: settings.keepAliveMilliseconds))
    }

    private mutating func sendEvent(_ incoming: Incoming) throws(WMSPRefusal) {
        let session = try named(incoming)
        if let session { sessions[session.id]?.seen(incoming.request, now: incoming.now) }
        let event: RemoteEvent
        do throws(RemoteEvent.Trouble) { event = try RemoteEvent(incoming.request.message.body) } catch {
            throw .malformed(error.description)
        }
        actions.append(.event(session: session?.id, path: incoming.request.target.path, event))
        let tokens =
            session.map { Self.tokens(of: $0, isNew: false, content: nil, timeout: settings.keepAliveMilliseconds) } ?? ["no-cache"]
        replyEmpty(.ok, to: incoming, tokens: tokens)
    }

    private mutating func stop(_ incoming: Incoming) throws(WMSPRefusal) {
        let session = try required(incoming)
        if let connection = session.connection {
            actions.append(.stop(session: session.id))
            if session.isChunked {
                endBody(of: session.id)
            } else {
                // Its body has no other end.
                close(connection)
            }
            becomeIdle(session.id, now: incoming.now)
            if connection == incoming.connection, !session.isChunked { return }
        }
        replyEmpty(
            .ok, to: incoming, tokens: Self.tokens(of: session, isNew: false, content: nil, timeout: settings.keepAliveMilliseconds))
    }

    /// Two requests that come at once show that nobody on the way keeps them apart ([MS-WMSP] 3.2.5.5).
    private mutating func testPipeline(_ incoming: Incoming) throws(WMSPRefusal) {
        guard settings.offersPipelining, incoming.request.isModernHTTP, incoming.request.dialect.takesChunks else {
            throw .notNow(.pipelineTest, "it was not offered")
        }
        let session = try required(incoming)
        guard session.connection == nil, bodies[incoming.connection] == nil else {
            throw .notNow(.pipelineTest, "media is being sent")
        }
        if tests[incoming.connection] != session.id { endTest(on: incoming.connection) }
        var tokens = ["no-cache", "client-id=\(session.id)"]
        guard let test = session.pipelineTest, test.connection == incoming.connection else {
            if let test = session.pipelineTest {
                tests[test.connection] = nil
                if test.isRunning { actions.append(.send(connection: test.connection, ChunkedCoding.end)) }
            }
            tests[incoming.connection] = session.id
            sessions[session.id]?.pipelineTest = .init(
                connection: incoming.connection, deadline: incoming.now &+ settings.pipelineTestMilliseconds)
            var response = answer(.ok, to: incoming, tokens: tokens)
            response.headers.add("Transfer-Encoding", "chunked")
            actions.append(
                .send(connection: incoming.connection, response.serialized() + ChunkedCoding.chunk(WMSPFraming.pipelineTest)))
            return
        }
        tests[incoming.connection] = nil
        sessions[session.id]?.pipelineTest = nil
        if test.isRunning { actions.append(.send(connection: incoming.connection, ChunkedCoding.end)) }
        tokens.append("pipeline-result=\(test.isRunning ? 1 : 0)")
        replyEmpty(.noContent, to: incoming, tokens: tokens)
    }

    // MARK: Answers

    /// The tokens that name and keep a session.
    static func tokens(of session: WMSPServerSession, isNew: Bool, content: WMSPContent?, timeout: UInt64) -> [String] {
        var tokens = ["no-cache", "client-id=\(session.id)"]
        if isNew { tokens.append("xResetStrm=1") }
        if let content { tokens.append("features=\"\(content.features(for: session.dialect).text)\"") }
        tokens.append("timeout=\(timeout)")
        if let id = (content ?? session.content)?.playlistGenID, id != 0 { tokens.append("playlist-gen-id=\(id)") }
        return tokens
    }

    /// An answer with what all have.
    func answer(_ status: HTTPStatus, to incoming: Incoming, tokens: [String], content: WMSPContent? = nil) -> HTTPResponse {
        var response = WMSPAnswer.response(status, to: incoming.request.message, isEncoder: content?.isEncoder ?? false)
        response.headers.add("Pragma", tokens.joined(separator: ", "))
        let more = content.map { $0.cacheControl.isEmpty ? "" : ", \($0.cacheControl)" } ?? ""
        response.headers.add("Cache-Control", "no-cache\(more)")
        if let modified = content?.lastModified { response.headers.add("Last-Modified", modified) }
        if let etag = content?.etag { response.headers.add("Etag", etag) }
        if incoming.request.dialect.takesSupported {
            var supported: WMSPSupported = [.streamSwitch, .prediction, .startupProfile]
            if settings.speedMax > 1 { supported.insert(.fastCache) }
            if settings.offersPacketPairs { supported.insert(.packetPair) }
            response.headers.add("Supported", supported.text)
        }
        return response
    }

    /// An answer without a body.
    mutating func replyEmpty(
        _ status: HTTPStatus, to incoming: Incoming, tokens: [String], content: WMSPContent? = nil, more: HTTPHeaders = [:]
    ) {
        var response = answer(status, to: incoming, tokens: tokens, content: content)
        for field in more.fields { response.headers.add(field.name, field.value) }
        response.headers.add("Content-Length", "0")
        WMSPAnswer.sayConnection(&response, to: incoming.request.message, closes: false)
        reply(response, to: incoming.request.message, on: incoming.connection)
    }
}

/// The types of bodies ([MS-WMSP] 2.2.1.3).
package enum WMSPContentType {
    package static let header = "application/vnd.ms.wms-hdr.asfv1"
    package static let media = "application/x-mms-framed"
    package static let octets = "application/octet-stream"
    package static let log = "application/x-wms-LogStats"
    package static let event = "application/x-wms-sendevent"
    package static let contentInfo = "application/x-wms-getcontentinfo"
}
