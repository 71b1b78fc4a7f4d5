/// The protocol a message says it speaks.
package enum RTSPVersion: Sendable, Hashable, CustomStringConvertible {
    /// `RTSP/1.0` (RFC 2326), what Weir speaks.
    case rtsp1
    /// `HTTP/1.0` or `HTTP/1.1`: a browser, or a tunnel (`GET` and `POST` of RTSP over HTTP). To be told from RTSP by the server.
    case http(minor: UInt8)
    /// `RTSP/` of another number, to be answered with 505.
    case otherRTSP(major: UInt8, minor: UInt8)

    /// `RTSP/1.0` and so on.
    package var description: String {
        switch self {
        case .rtsp1: "RTSP/1.0"
        case .http(let minor): "HTTP/1.\(minor)"
        case .otherRTSP(let major, let minor): "RTSP/\(major).\(minor)"
        }
    }

    /// The version of exactly that text, digits being single ones; nil for anything else.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count == 8 else { return nil }
        let i = bytes.startIndex
        guard bytes[i + 4] == ASCII.slash, ASCII.isDigit(bytes[i + 5]), bytes[i + 6] == ASCII.dot, ASCII.isDigit(bytes[i + 7]) else {
            return nil
        }
        let major = bytes[i + 5] &- 0x30, minor = bytes[i + 7] &- 0x30
        if ASCII.equalIgnoringCase(bytes[i..<(i + 4)], "RTSP") {
            self = major == 1 && minor == 0 ? .rtsp1 : .otherRTSP(major: major, minor: minor)
        } else if ASCII.equalIgnoringCase(bytes[i..<(i + 4)], "HTTP"), major == 1 {
            self = .http(minor: minor)
        } else {
            return nil
        }
    }
}

/// A request (RFC 2326 section 6).
package struct RTSPRequest: Sendable, Hashable {
    /// What is asked for.
    package var method: RTSPMethod
    /// The request URI as it stands in the line: absolute, or `*`.
    package var uri: String
    /// What the line ends with.
    package var version: RTSPVersion
    /// The header lines.
    package var headers: RTSPHeaders
    /// The body; `Content-Length` follows from it when written.
    package var body: [UInt8]

    /// A request.
    package init(method: RTSPMethod, uri: String, version: RTSPVersion = .rtsp1, headers: RTSPHeaders = [:], body: [UInt8] = []) {
        self.method = method
        self.uri = uri
        self.version = version
        self.headers = headers
        self.body = body
    }

    /// The bytes for the wire. CR, LF and NUL inside of a header or the URI go out as blanks.
    package func serialized() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256 + body.count)
        bytes.append(line: method.name)
        bytes.append(ASCII.space)
        bytes.append(line: uri)
        bytes.append(ASCII.space)
        bytes.append(line: version.description)
        bytes.append(contentsOf: [ASCII.carriageReturn, ASCII.lineFeed])
        appendHeadersAndBody(headers, body, to: &bytes)
        return bytes
    }
}

/// A response (RFC 2326 section 7).
package struct RTSPResponse: Sendable, Hashable {
    /// The status line's code and words.
    package var status: RTSPStatus
    /// What the line begins with.
    package var version: RTSPVersion
    /// The header lines.
    package var headers: RTSPHeaders
    /// The body; `Content-Length` follows from it when written.
    package var body: [UInt8]

    /// A response.
    package init(status: RTSPStatus, version: RTSPVersion = .rtsp1, headers: RTSPHeaders = [:], body: [UInt8] = []) {
        self.status = status
        self.version = version
        self.headers = headers
        self.body = body
    }

    /// The bytes for the wire. CR, LF and NUL inside of a header or the reason go out as blanks.
    package func serialized() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256 + body.count)
        bytes.append(line: version.description)
        bytes.append(ASCII.space)
        bytes.append(line: String(status.code))
        bytes.append(ASCII.space)
        bytes.append(line: status.reason)
        bytes.append(contentsOf: [ASCII.carriageReturn, ASCII.lineFeed])
        appendHeadersAndBody(headers, body, to: &bytes)
        return bytes
    }
}

/// `Content-Length` is written when there is a body, or when the message named it (some clients wait for `Content-Length: 0`).
private func appendHeadersAndBody(_ headers: RTSPHeaders, _ body: [UInt8], to bytes: inout [UInt8]) {
    headers.write(to: &bytes)
    if !body.isEmpty || headers.contains("Content-Length") {
        bytes.append(line: "Content-Length: \(body.count)")
        bytes.append(contentsOf: [ASCII.carriageReturn, ASCII.lineFeed])
    }
    bytes.append(contentsOf: [ASCII.carriageReturn, ASCII.lineFeed])
    bytes.append(contentsOf: body)
}
