import WireFormats

/// A request of Windows Media over HTTP that passed what can be checked without knowing any content or session.
package struct WMSPRequest: Sendable, Equatable {
    /// What is asked for ([MS-WMSP] 2.2.2; the order in which one is told from another is 4.1 of our notes on it).
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// What is it? Answered with the header.
        case describe
        /// May it be cached? Answered without a body.
        case getContentInfo
        /// Send it.
        case play
        /// Send other streams of it.
        case selectStream
        /// I am still here.
        case keepAlive
        /// How it went.
        case log
        /// What a cache's player did.
        case sendEvent
        /// Send no more of it, over a connection that stays.
        case stop
        /// One of two that find out whether requests may follow one another without waiting.
        case pipelineTest
        /// Go on with the next entry, over a connection that stays.
        case playNextEntry
    }

    /// What is asked for.
    package let kind: Kind
    /// The request as it came.
    package let message: HTTPRequest
    /// What it names; `*` for a ``Kind/keepAlive`` by OPTIONS.
    package let target: HTTPTarget
    /// Who asks.
    package let agent: WMSPAgent
    /// What may be said to it.
    package let dialect: WMSPDialect
    /// The tokens of its Pragma headers.
    package let pragma: PragmaList
    /// The session it names; 0 and what is no number count as none.
    package let clientID: UInt32?
    /// `xClientGUID`, braces and all, at most ``guidBytesMax`` bytes; nil without, and where all digits are zeros (a proxy).
    package let guid: String?
    /// What the client says that it can; nil where it says nothing of it.
    package let supported: WMSPSupported?

    /// The longest GUID that is kept; VLC's is malformed and longer than others.
    package static let guidBytesMax = 64

    /// Classifies a request.
    package init(_ message: HTTPRequest) throws(WMSPRefusal) {
        self.message = message
        do throws(HTTPTarget.Trouble) { target = try HTTPTarget(message.uri) } catch { throw .malformed(error.description) }
        guard let agent = WMSPAgent.client(message.headers["User-Agent"]) else {
            switch message.method {
            case .other("GET"), .other("HEAD"): throw .browser(host: message.headers["Host"], target: message.uri)
            default: throw .methodNotAllowed(message.method.name)
            }
        }
        self.agent = agent
        dialect = WMSPDialect(agent)
        do throws(PragmaList.Trouble) { pragma = try PragmaList(message.headers) } catch { throw .tooMuch(error.description) }
        clientID = pragma.number("client-id").flatMap { $0 == 0 ? nil : $0 }
        guid = pragma["xClientGUID"].flatMap(Self.usable)
        supported = WMSPSupported(message.headers)
        kind = try Self.kind(of: message, pragma)
        if target.isServer, kind != .keepAlive { throw .malformed("the request needs a path, not *") }
    }

    /// HTTP/1.1.
    package var isModernHTTP: Bool {
        guard case .http(let minor) = message.version else { return false }
        return minor > 0
    }

    private static func kind(of message: HTTPRequest, _ pragma: PragmaList) throws(WMSPRefusal) -> Kind {
        switch message.method {
        case .options: return .keepAlive
        case .other("GET"):
            if pragma.isOn("pipeline-request") { return .pipelineTest }
            if pragma.isOn("xPlayNextEntry") { return .playNextEntry }
            if pragma.isOn("xPlayStrm") { return .play }
            // Without a session to which it could apply, the table makes a Play of it.
            return pragma.contains("stream-switch-entry") ? .selectStream : .describe
        case .other("POST"):
            let type = message.headers.contentType ?? ""
            switch type {
            case "application/x-wms-pushsetup", "application/x-wms-pushstart": throw .push
            case "application/x-wms-getcontentinfo": return .getContentInfo
            case "application/x-wms-sendevent": return .sendEvent
            case "application/x-wms-logstats": return .log
            default: break
            }
            if pragma.contains("log-line") { return .log }
            if pragma.isOn("xStopStrm") { return .stop }
            if pragma.isOn("xKeepAliveInPause") { return .keepAlive }
            if pragma.contains("stream-switch-entry") { return .selectStream }
            throw .malformed("the POST says neither by its Content-Type nor by its Pragma what it is for")
        case let method: throw .methodNotAllowed(method.name)
        }
    }

    private static func usable(_ guid: String) -> String? {
        guard !guid.isEmpty, guid.utf8.contains(where: { !"{}-0".utf8.contains($0) }) else { return nil }
        return String(decoding: guid.utf8.prefix(guidBytesMax), as: UTF8.self).lowercased()
    }
}
