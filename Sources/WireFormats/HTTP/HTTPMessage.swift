// RTSP took its messages over from HTTP/1 (RFC 2326 section 1.1), so that one set of values serves both.

/// An HTTP request: `method` is `.options` or `.other("GET")` and the like, `version` is `.http(minor:)`.
package typealias HTTPRequest = RTSPRequest
/// An HTTP response.
package typealias HTTPResponse = RTSPResponse
/// A status; HTTP's own are in the extension below.
package typealias HTTPStatus = RTSPStatus
/// Header lines.
package typealias HTTPHeaders = RTSPHeaders
/// What a peer may send before it is refused.
package typealias HTTPLimits = RTSPLimits
/// What is wrong with a message.
package typealias HTTPParseError = RTSPParseError

extension HTTPStatus {
    /// RFC 7231 section 6.3.5.
    package static let noContent = HTTPStatus(code: 204, reason: "No Content")
    /// RFC 7231 section 6.4.3.
    package static let found = HTTPStatus(code: 302, reason: "Found")
    /// RFC 6585 section 5.
    package static let headersTooLarge = HTTPStatus(code: 431, reason: "Request Header Fields Too Large")
    /// RFC 7231 section 6.6.6.
    package static let httpVersionNotSupported = HTTPStatus(code: 505, reason: "HTTP Version Not Supported")
}

extension HTTPHeaders {
    /// Whether one of the comma lists under this name holds the word (`Connection: keep-alive, upgrade`).
    package func lists(_ word: String, under name: String) -> Bool {
        values(named: name).contains { value in
            value.byteSlice.split(separator: ASCII.comma).contains { ASCII.equalIgnoringCase($0.trimmed, word) }
        }
    }
}

extension HTTPRequest {
    /// The connection may carry another request after this one (RFC 7230 section 6.3): HTTP/1.1 unless it says `close`, HTTP/1.0 only if
    /// it says `keep-alive`.
    package var allowsAnother: Bool {
        guard case .http(let minor) = version else { return false }
        return minor > 0 ? !headers.lists("close", under: "Connection") : headers.lists("keep-alive", under: "Connection")
    }
}

extension HTTPResponse {
    /// Another response may come over the connection after this one, by what it says of that: HTTP/1.1 unless it says `close`, HTTP/1.0 only
    /// if it says `keep-alive`. A body without an end of its own forbids it all the same.
    package var allowsAnother: Bool {
        guard case .http(let minor) = version else { return false }
        return minor > 0 ? !headers.lists("close", under: "Connection") : headers.lists("keep-alive", under: "Connection")
    }
}
