import WireFormats

/// Why the server does not do what a request of Windows Media over HTTP asks. The one place where reasons become statuses.
package enum WMSPRefusal: Error, Sendable, Equatable {
    /// No player of Windows Media asks: the answer is a playlist that starts one. With the request's `Host` and target.
    case browser(host: String?, target: String)
    /// An encoder that pushes.
    case push
    /// GET, POST and OPTIONS alone are known.
    case methodNotAllowed(String)
    /// The words say what cannot be read.
    case malformed(String)
    /// More headers or tokens than are taken.
    case tooMuch(String)
    /// Bytes that are no request; the connection cannot be read on.
    case unreadable(HTTPRequestParser.Trouble)
    /// Nothing is served there.
    case notFound(String)
    /// There is such a path, and it cannot be played this way.
    case unplayable(String)
    case forbidden(String)
    /// A name and a password are needed, or were wrong: the values of `WWW-Authenticate`, and the words.
    case unauthorized([String], String)
    /// Likewise, as a proxy (407).
    case proxyUnauthorized([String], String)
    /// The request names no session, and cannot do without.
    case sessionMissing(WMSPRequest.Kind)
    /// It names one that is not there (any more).
    case sessionUnknown
    /// It names one of somebody else.
    case sessionForeign
    /// Not in the state that the session is in.
    case notNow(WMSPRequest.Kind, String)
    /// This is served elsewhere (302).
    case moved(String)
    /// A bound on sessions is reached, in all or for an address.
    case full(String, retryAfterSeconds: Int)
    /// Not ready, with the seconds after which to try again.
    case unavailable(String, retryAfterSeconds: Int)
    /// What an origin answered, or that it did not answer (502, 504), with the seconds after which to try again.
    case origin(HTTPStatus, String, retryAfterSeconds: Int)

    /// The status of the answer.
    package var status: HTTPStatus {
        switch self {
        case .browser: .ok
        case .push: .notImplemented
        case .methodNotAllowed: .methodNotAllowed
        case .malformed, .sessionMissing, .sessionUnknown, .sessionForeign, .notNow: .badRequest
        case .tooMuch: .headersTooLarge
        case .unreadable(let trouble): trouble.status
        case .notFound: .notFound
        case .unplayable: .unsupportedMediaType
        case .forbidden: .forbidden
        case .unauthorized: .unauthorized
        case .proxyUnauthorized: .proxyAuthenticationRequired
        case .moved: .found
        case .full, .unavailable: .serviceUnavailable
        case .origin(let status, _, _): status
        }
    }

    /// What was wrong and what to do, for people.
    package var words: String {
        switch self {
        case .browser: "a media player must ask for this"
        case .push: "an encoder cannot push to this server over HTTP; it can be pulled from, or push over RTSP"
        case .methodNotAllowed(let name): "the method \(name.prefix(32)) is not known here; GET, POST and OPTIONS are"
        case .malformed(let why): "the request cannot be read: \(why)"
        case .tooMuch(let why): why
        case .unreadable(let trouble): trouble.description
        case .notFound(let what): what
        case .unplayable(let why), .forbidden(let why): why
        case .unauthorized(_, let why), .proxyUnauthorized(_, let why): why
        case .sessionMissing(let kind): "\(kind.rawValue) needs the client-id of a session"
        case .sessionUnknown: "there is no session of that client-id (any more); Describe or Play opens a new one"
        case .sessionForeign: "the session of that client-id belongs to somebody else"
        case .notNow(let kind, let why): "\(kind.rawValue) is not possible now: \(why)"
        case .moved(let url): "this is served at \(url)"
        case .full(let why, _), .unavailable(let why, _), .origin(_, let why, _): why
        }
    }

    /// Nothing behind the request can be read, or a client is better gone: close the connection after the answer.
    package var closes: Bool {
        switch self {
        case .unreadable, .push, .methodNotAllowed, .tooMuch: true
        case .browser, .malformed, .notFound, .unplayable, .forbidden, .unauthorized, .proxyUnauthorized, .sessionMissing, .sessionUnknown,
            .sessionForeign, .notNow, .moved, .full, .unavailable, .origin:
            false
        }
    }

    /// The answer to a request; nil for bytes that are none. `Connection` says what is to become of the connection.
    package func response(to request: HTTPRequest?) -> HTTPResponse {
        if case .moved(let url) = self, let agent = WMSPAgent.client(request?.headers["User-Agent"]), !WMSPDialect(agent).takesRedirection {
            return Self.script(to: url, request)
        }
        var response = WMSPAnswer.response(status, to: request)
        switch self {
        case .methodNotAllowed: response.headers.add("Allow", WMSPAnswer.methods)
        case .moved(let url): response.headers.add("Location", url)
        case .full(_, let seconds), .unavailable(_, let seconds), .origin(_, _, let seconds):
            response.headers.add("Retry-After", "\(seconds)")
        case .unauthorized(let challenges, _): for value in challenges { response.headers.add("WWW-Authenticate", value) }
        case .proxyUnauthorized(let challenges, _): for value in challenges { response.headers.add("Proxy-Authenticate", value) }
        default: break
        }
        if case .browser(let host, let target) = self {
            response.headers.add("Content-Type", "video/x-ms-asf")
            if request?.method != .other("HEAD") { response.body = Array(Self.playlist(host: host, target: target).utf8) }
        } else {
            response.headers.add("Content-Type", "text/plain")
            response.body = RequestRefusal.body(words)
        }
        response.headers["Content-Length"] = "\(response.body.count)"
        WMSPAnswer.sayConnection(&response, to: request, closes: closes)
        return response
    }

    /// A header that leads a player elsewhere which knows no redirection.
    private static func script(to url: String, _ request: HTTPRequest?) -> HTTPResponse {
        guard let header = ASFRedirection.header(to: url) else {
            return WMSPRefusal.unavailable("this is served at \(url), which is too long for the player", retryAfterSeconds: 60)
                .response(to: request)
        }
        var response = WMSPAnswer.response(.ok, to: request)
        response.headers.add("Pragma", "no-cache, features=\"broadcast\"")
        response.headers.add("Cache-Control", "no-cache")
        response.headers.add("Content-Type", WMSPContentType.octets)
        response.body = WMSPFraming.header(header)
        response.headers["Content-Length"] = "\(response.body.count)"
        WMSPAnswer.sayConnection(&response, to: request, closes: true)
        return response
    }

    /// An ASX playlist of one entry: the same place, for a player.
    private static func playlist(host: String?, target: String) -> String {
        var place = target
        if target.utf8.first == UInt8(ascii: "/") {
            place = "\(host ?? "localhost")\(target)"
        } else if let end = target.firstRange(of: "://") {
            place = String(target[end.upperBound...])
        }
        return "<ASX version=\"3.0\">\r\n<ENTRY><REF HREF=\"mms://\(escaped(place))\"/></ENTRY>\r\n</ASX>\r\n"
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(4_096) {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case _ where scalar.value < 0x20: result += "?"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// What all answers of the server have in common.
enum WMSPAnswer {
    /// The methods that are taken.
    static let methods = "GET, POST, OPTIONS"
    /// A version that real players know; they go by it.
    static let server = "Cougar/9.01.01.3814"
    /// Of an encoder's content, which cannot be sought in.
    static let encoder = "Rex/9.0.0.2980"

    /// An answer in the request's version of HTTP, without a body.
    static func response(_ status: HTTPStatus, to request: HTTPRequest?, isEncoder: Bool = false) -> HTTPResponse {
        var minor: UInt8 = 0
        if case .http(let number) = request?.version { minor = min(number, 1) }
        var response = HTTPResponse(status: status, version: .http(minor: minor))
        response.headers.add("Server", isEncoder ? encoder : server)
        return response
    }

    /// Says whether the connection stays, where the version of HTTP does not say it by itself.
    static func sayConnection(_ response: inout HTTPResponse, to request: HTTPRequest?, closes: Bool) {
        let stays = !closes && request?.allowsAnother == true
        if !stays {
            response.headers.add("Connection", "close")
        } else if response.version == .http(minor: 0) {
            response.headers.add("Connection", "Keep-Alive")
        }
    }
}
