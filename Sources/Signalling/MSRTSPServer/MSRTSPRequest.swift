import WireFormats

/// A request of MS-RTSP that passed what can be checked without knowing any content or session.
package struct MSRTSPRequest: Sendable, Equatable {
    /// What is asked for ([MS-RTSP] 2.2.7): the type of the body decides, not the method.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// What can be asked for?
        case options
        /// What is it? Answered with the description.
        case describe
        /// May it be cached?
        case getContentInfo
        /// Bytes by which the link is measured, over TCP.
        case tcpPacketPair
        /// Send a stream, another stream, more or less of it, or no more of it.
        case selectStream
        /// Send what was selected, from somewhere.
        case play
        /// Send nothing for a while.
        case pause
        /// I am still here.
        case keepAlive
        /// Datagrams by which the link is measured.
        case udpPacketPair
        /// Who I am.
        case logConnect
        /// How it went.
        case logPlay
        /// What a cache's player did.
        case sendEvent
        /// A request of the server's comes back instead of an answer (GStreamer).
        case acknowledgement
        /// It is over.
        case tearDown

        /// It may come without a session, and one that it names is not looked at.
        var ignoresSession: Bool { self == .getContentInfo || self == .tcpPacketPair || self == .sendEvent }
    }

    /// What a ``Kind/selectStream`` does.
    package enum Selecting: Sendable, Equatable {
        /// SETUP.
        case add
        /// SET_PARAMETER.
        case change
        /// TEARDOWN of a stream's URL.
        case remove
    }

    /// What is asked for.
    package let kind: Kind
    /// The request as it came.
    package let message: RTSPRequest
    /// The name of the path that its URL names.
    package let path: String
    /// What stands behind that in the URL; nil for nothing.
    package let control: String?
    /// The session that it names.
    package let session: SessionName
    /// Who asks.
    package let agent: MSRTSPAgent
    /// What the client says that it can; nil where it says nothing of it.
    package let supported: MSRTSPSupported?
    /// What a ``Kind/selectStream`` does; nil for others.
    package let selecting: Selecting?
    /// Its list of streams; empty without.
    package let entries: [MSRTSPSwitchEntry]

    /// A session as a request names it.
    package enum SessionName: Sendable, Hashable {
        case none
        case id(UInt64)
        /// None of this server's: too long, or no number.
        case foreign
    }

    /// The entry of a playlist that the client believes to be at; nil for 0 and without.
    package var genID: UInt32? { message.headers.playlistGenID }
    /// The entry that a Play is about; nil for 0 and without.
    package var seekID: UInt32? { message.headers.playlistSeekID }
    /// A Play of the entry behind (1) or before (-1).
    package var offset: Int? { message.headers.playlistOffset }

    /// The URL without what stands behind the path, and without a slash at its end.
    package var baseURL: String {
        var url = message.uri
        if let control, let whole = try? RTSPURL(url) {
            url = (whole.removing(control: control) ?? whole.splittingLastComponent()?.aggregate ?? whole).requestURI
        }
        while url.utf8.last == UInt8(ascii: "/"), url.utf8.count > 1 { url.removeLast() }
        return url
    }

    /// Classifies a request about the path of that name; `control` is what its URL has behind it.
    package init(_ request: ServerRequest, path: String, control: String?) throws(RequestRefusal) {
        message = request.message
        self.path = path
        self.control = control.flatMap { $0.isEmpty ? nil : $0 }
        agent = MSRTSPAgent(request.message.headers["User-Agent"])
        supported = MSRTSPSupported(request.message.headers)
        session = Self.name(request.session)
        (kind, selecting) = try Self.kind(of: request, hasControl: self.control != nil)
        guard kind == .selectStream, !request.message.body.isEmpty else {
            entries = []
            return
        }
        do throws(MSRTSPSwitchEntry.Trouble) { entries = try MSRTSPSwitchEntry.parse(request.message.body) } catch {
            throw .requestMalformed("the list of streams cannot be read: \(error)")
        }
    }

    /// Ids are numbers of 64 bits, as this server writes them.
    private static func name(_ text: String?) -> SessionName {
        guard let text else { return .none }
        guard let id = UInt64(text), "\(id)" == text else { return .foreign }
        return .id(id)
    }

    private static func kind(of request: ServerRequest, hasControl: Bool) throws(RequestRefusal) -> (Kind, Selecting?) {
        let headers = request.message.headers
        switch request.message.method {
        case .options: return (.options, nil)
        case .describe: return (.describe, nil)
        case .play: return (.play, nil)
        case .pause: return (.pause, nil)
        case .setup:
            try checkSwitch(request.message)
            return (.selectStream, .add)
        case .teardown:
            guard hasControl else { return (.tearDown, nil) }
            try checkSwitch(request.message)
            return (.selectStream, .remove)
        case .getParameter:
            switch MSRTSPContentType(headers) {
            case .contentInfo: return (.getContentInfo, nil)
            case .packetPair: return (.tcpPacketPair, nil)
            case .contentDescription, .templates: return (.keepAlive, nil)
            default: return (try parameters(request), nil)
            }
        case .setParameter:
            switch MSRTSPContentType(headers) {
            case .streamSwitch: return (.selectStream, .change)
            case .datagramPacketPair: return (.udpPacketPair, nil)
            case .logConnect: return (.logConnect, nil)
            case .logPlay: return (.logPlay, nil)
            case .event: return (.sendEvent, nil)
            case .extensionCommand: return (.acknowledgement, nil)
            case .contentDescription, .templates: return (.keepAlive, nil)
            default: return (try parameters(request), nil)
            }
        case .announce, .record:
            throw .methodNotAllowed(request.message.method, "this is Windows Media that the server has from elsewhere, or from a file")
        case .redirect, .register, .deregister, .other: throw .methodUnknown(request.message.method.name)
        }
    }

    /// A list of streams alone may stand in the body.
    private static func checkSwitch(_ message: RTSPRequest) throws(RequestRefusal) {
        guard !message.body.isEmpty, message.headers.contains("Content-Type") else { return }
        guard MSRTSPContentType(message.headers) == .streamSwitch else { throw .mediaTypeUnknown(message.headers.contentType ?? "") }
    }

    /// Without anything in it, it is a sign of life. Parameters of RFC 2326 are not known here.
    private static func parameters(_ request: ServerRequest) throws(RequestRefusal) -> Kind {
        let type = request.message.headers.contentType
        guard type == nil || type == "text/parameters" else { throw .mediaTypeUnknown(type ?? "") }
        try request.checkParameters()
        return .keepAlive
    }
}
