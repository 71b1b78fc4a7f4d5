/// The head of an HTTP request that opens one half of an RTSP-over-HTTP tunnel (QuickTime's, as LIVE555 and others speak it).
package struct TunnelRequest: Sendable, Equatable {
    /// Which half it is.
    package enum Method: String, Sendable {
        /// From server to client: responses and media.
        case get = "GET"
        /// From client to server: requests in base 64.
        case post = "POST"
    }

    /// What the first bytes of a connection say.
    package enum Beginning: Sendable, Equatable {
        /// More are needed.
        case open
        /// `GET ` or `POST `.
        case http
        /// `CONNECT `: a proxy is asked to carry bytes that it does not look at.
        case connect
        /// Anything else.
        case other
    }

    /// What is wrong with a head.
    package enum Trouble: Error, Equatable {
        /// More bytes than the limit.
        case tooLong
        /// No request line of HTTP/1, or a line that is no header.
        case malformed
    }

    /// Which half it is.
    package let method: Method
    /// The path in the request line; tunnels do not look at it.
    package let target: String
    /// What both halves have in common: `x-sessioncookie`, 1 to ``cookieBytesMax`` printable bytes; nil without a usable one.
    package let cookie: String?
    /// Bytes that the head took, the blank line included.
    package let headBytes: Int

    /// The longest cookie.
    package static let cookieBytesMax = 128
    /// The longest head.
    package static let headBytesMax = 8 << 10

    /// Whether a connection that begins so is HTTP.
    package static func beginning(_ bytes: some Collection<UInt8>) -> Beginning {
        for (word, beginning) in [("GET ", Beginning.http), ("POST ", .http), ("CONNECT ", .connect)] {
            let word = Array(word.utf8)
            if bytes.starts(with: word) { return beginning }
            if word.starts(with: bytes) { return .open }
        }
        return .other
    }

    /// Reads a head; nil when it has not come to its end.
    package static func parse(_ bytes: [UInt8]) throws(Trouble) -> TunnelRequest? {
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        while let end = bytes[start...].firstIndex(of: ASCII.lineFeed), end < headBytesMax {
            let line = bytes[start..<(end > start && bytes[end - 1] == ASCII.carriageReturn ? end - 1 : end)]
            start = end + 1
            if line.isEmpty { return try TunnelRequest(lines: lines, headBytes: start) }
            lines.append(line)
        }
        guard bytes.count <= headBytesMax else { throw .tooLong }
        return nil
    }

    private init(lines: [ArraySlice<UInt8>], headBytes: Int) throws(Trouble) {
        let words = (lines.first ?? []).split(separator: ASCII.space)
        guard words.count == 3, let method = Method(rawValue: words[0].text), words[2].starts(with: "HTTP/1.".utf8) else {
            throw .malformed
        }
        self.method = method
        target = words[1].text
        self.headBytes = headBytes
        var cookie: String?
        for (index, line) in lines.enumerated().dropFirst() {
            if let first = line.first, ASCII.isBlank(first) {
                // A folded line goes on with the one before; no cookie is that long.
                guard index > 1 else { throw .malformed }
                continue
            }
            let (name, value) = line.split(atFirst: UInt8(ascii: ":"))
            guard let value else { throw .malformed }
            guard cookie == nil, ASCII.equalIgnoringCase(name.trimmed, "x-sessioncookie") else { continue }
            let bytes = value.trimmed
            if (1...Self.cookieBytesMax).contains(bytes.count), bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) { cookie = bytes.text }
        }
        self.cookie = cookie
    }
}
