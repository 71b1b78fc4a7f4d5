import WireFormats

/// Why the server does not do what a request asks, with what its answer must carry. The one place where reasons become statuses.
package enum RequestRefusal: Error, Sendable, Equatable {
    /// No `CSeq`, or one that is no number.
    case sequenceMissing(String?)
    case versionUnsupported(String)
    case methodUnknown(String)
    /// Known, but not on this resource; the words say why.
    case methodNotAllowed(RTSPMethod, String)
    /// `Require:` names these options (RFC 2326 section 12.32).
    case optionsUnsupported(String)
    case uriMalformed(String)
    /// Nothing is served there.
    case notFound(String)
    case notAcceptable(String)
    case unsupportedMediaType(String?)
    /// What the body is said to be is not known here.
    case mediaTypeUnknown(String)
    /// An SDP that cannot be used.
    case descriptionMalformed(String)
    /// The words say what cannot be read, or names nothing.
    case requestMalformed(String)
    /// What the client has, by the tag that it names, is what there is (304).
    case notModified
    /// What is asked about is over, or became something else (412).
    case contentChanged(String)
    case headerMissing(String)
    case headerMalformed(String, String)
    case sessionMissing
    case sessionNotFound(String)
    /// The session belongs to another host, or its media to another connection.
    case sessionForeign(String)
    /// Not in this state; the words say what comes first.
    case notNow(RTSPMethod, String)
    case transportUnsupported(String)
    /// Not over UDP, but over the RTSP connection: the answer names that transport.
    case datagramsUnfit(String)
    /// `destination=` names somebody else.
    case destinationForeign(String)
    /// A track must be named.
    case aggregateNotAllowed(String)
    /// The session's URL must be named.
    case onlyAggregateAllowed(String)
    case rangeInvalid(String)
    case parametersUnknown([String])
    /// REGISTER or DEREGISTER of a name that cannot be had; answered as LIVE555's proxy does (451).
    case nameRefused(String)
    case forbidden(String)
    /// A name and a password are needed, or were wrong: the values of `WWW-Authenticate`, and the words.
    case unauthorized([String], String)
    /// Likewise, as a proxy (407).
    case proxyUnauthorized([String], String)
    /// What was asked for is served elsewhere (302); the URL.
    case moved(String)
    /// The path would be its own source (508).
    case loop(String)
    /// A bound on readers is reached (453), with the seconds after which to try again.
    case readersMax(String, retryAfterSeconds: Int)
    /// No room or not ready, with the seconds after which to try again.
    case unavailable(String, retryAfterSeconds: Int)
    /// What an origin answered, or that it did not answer (502, 504), with the seconds after which to try again.
    case origin(RTSPStatus, String, retryAfterSeconds: Int)

    /// The status of the answer.
    package var status: RTSPStatus {
        switch self {
        case .sequenceMissing, .uriMalformed, .descriptionMalformed, .requestMalformed, .headerMissing, .headerMalformed: .badRequest
        case .versionUnsupported: .rtspVersionNotSupported
        case .methodUnknown: .notImplemented
        case .methodNotAllowed: .methodNotAllowed
        case .optionsUnsupported: .optionNotSupported
        case .notFound: .notFound
        case .notAcceptable: .notAcceptable
        case .unsupportedMediaType, .mediaTypeUnknown: .unsupportedMediaType
        case .notModified: .notModified
        case .contentChanged: .preconditionFailed
        case .sessionMissing, .sessionNotFound, .sessionForeign: .sessionNotFound
        case .notNow: .methodNotValidInThisState
        case .transportUnsupported, .datagramsUnfit: .unsupportedTransport
        case .destinationForeign, .forbidden: .forbidden
        case .unauthorized: .unauthorized
        case .proxyUnauthorized: .proxyAuthenticationRequired
        case .aggregateNotAllowed: .aggregateOperationNotAllowed
        case .onlyAggregateAllowed: .onlyAggregateOperationAllowed
        case .rangeInvalid: .invalidRange
        case .parametersUnknown, .nameRefused: .parameterNotUnderstood
        case .moved: .movedTemporarily
        case .loop: .loopDetected
        case .readersMax: .notEnoughBandwidth
        case .unavailable: .serviceUnavailable
        case .origin(let status, _, _): status
        }
    }

    /// What was wrong and what to do, for people.
    package var words: String {
        switch self {
        case .sequenceMissing(nil): "every request needs a CSeq header"
        case .sequenceMissing(let value?): "CSeq '\(value)' is not a number"
        case .versionUnsupported(let version): "this server speaks RTSP/1.0, not \(version)"
        case .methodUnknown(let name): "the method \(name) is not known here"
        case .methodNotAllowed(let method, let why): "\(method.name) is not possible here: \(why)"
        case .optionsUnsupported(let tags): "none of these options is supported: \(tags)"
        case .uriMalformed(let why): "the request URI cannot be read: \(why)"
        case .notFound(let what): what
        case .notAcceptable(let accept): "descriptions are application/sdp, which 'Accept: \(accept)' excludes"
        case .unsupportedMediaType(let type):
            "a description must be application/sdp\(type.map { ", not \($0)" } ?? "; Content-Type is missing")"
        case .mediaTypeUnknown(let type): "a body of the type '\(type.prefix(64))' says nothing here"
        case .descriptionMalformed(let why): "the description cannot be used: \(why)"
        case .notModified: "it has not changed"
        case .headerMissing(let name): "the header \(name) is missing"
        case .headerMalformed(let name, let why): "the header \(name) cannot be read: \(why)"
        case .sessionMissing: "the request needs the Session header that SETUP answered with"
        case .sessionNotFound: "there is no such session (any more); SETUP opens a new one"
        case .sessionForeign(let why): why
        case .notNow(let method, let why): "\(method.name) is not possible now: \(why)"
        case .datagramsUnfit(let why): "not over UDP: \(why)"
        case .transportUnsupported(let why): "no transport in the request can be used: \(why)"
        case .destinationForeign(let address): "media is sent to the address that asks for it, not to destination=\(address)"
        case .aggregateNotAllowed(let why), .onlyAggregateAllowed(let why), .rangeInvalid(let why), .forbidden(let why),
            .nameRefused(let why):
            why
        case .parametersUnknown(let names): "unknown parameters: \(names.joined(separator: ", "))"
        case .moved(let url): "this is served at \(url)"
        case .loop(let why), .requestMalformed(let why), .contentChanged(let why): why
        case .unavailable(let why, _), .unauthorized(_, let why), .proxyUnauthorized(_, let why): why
        case .readersMax(let why, _), .origin(_, let why, _): why
        }
    }

    /// The answer, without `CSeq` and `Session`.
    package var response: RTSPResponse {
        var response = RTSPResponse(status: status)
        switch self {
        case .methodUnknown: response.headers.add("Allow", ServerMethods.list)
        case .methodNotAllowed(let method, _):
            response.headers.add("Allow", MethodListHeader.text(ServerMethods.all.filter { $0 != method && $0 != .record }))
        case .optionsUnsupported(let tags): response.headers.add("Unsupported", tags)
        case .datagramsUnfit: response.headers.add("Transport", "RTP/AVP/TCP;unicast")
        case .moved(let url): response.headers.add("Location", url)
        case .unavailable(_, let seconds), .readersMax(_, let seconds), .origin(_, _, let seconds):
            response.headers.add("Retry-After", "\(seconds)")
        case .unauthorized(let challenges, _): for challenge in challenges { response.headers.add("WWW-Authenticate", challenge) }
        case .proxyUnauthorized(let challenges, _):
            for challenge in challenges { response.headers.add("Proxy-Authenticate", challenge) }
        default: break
        }
        if case .parametersUnknown(let names) = self {
            // RFC 2326 section 10.8: the body of a 451 names the parameters.
            response.headers.add("Content-Type", "text/parameters")
            response.body = Array(names.map { "\($0)\r\n" }.joined().utf8)
        } else if self != .notModified {
            response.headers.add("Content-Type", "text/plain")
            response.body = Self.body(words)
        }
        return response
    }

    /// Words as a body. They may hold what the peer sent, and nothing of that may come back but text.
    package static func body(_ words: String) -> [UInt8] {
        words.utf8.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: "?") : $0 } + [13, 10]
    }
}

extension RequestRefusal {
    /// What the session's machine refuses, as an answer to `method`.
    package init(_ refusal: ServerSessionMachine.Refusal, method: RTSPMethod) {
        self =
            switch refusal {
            case .notNow(let why): .notNow(method, why)
            case .trackNotSetUp: .notNow(method, "that track was not set up in this session")
            case .mixedTransports: .transportUnsupported("a session uses UDP, multicast or the RTSP connection for all its tracks")
            case .gone: .sessionNotFound("")
            }
    }
}

/// The methods that this server takes.
package enum ServerMethods {
    /// In the order of rtsp sections; all of them on every resource, because players pick their keep-alive from it.
    package static let all: [RTSPMethod] = [
        .options, .describe, .announce, .setup, .play, .pause, .record, .teardown, .getParameter, .setParameter,
    ]
    /// As `Public` and `Allow` list them.
    package static let list = MethodListHeader.text(all)
    /// Those of LIVE555's proxy, where back ends may register.
    package static let registering: [RTSPMethod] = [.register, .deregister]
    /// Every method that is not answered with 501 from the start.
    package static let known = all + registering
}
