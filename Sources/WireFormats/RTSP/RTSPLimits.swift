/// What a peer may send us before it is refused.
package struct RTSPLimits: Sendable, Hashable {
    /// Bytes of one line, without its end. A first line above it is a URI too large (414).
    package var lineBytesMax: Int
    /// Bytes of a message before its body, line ends included.
    package var headBytesMax: Int
    /// Header lines of one message.
    package var headerCountMax: Int
    /// Bytes of a body.
    package var bodyBytesMax: Int

    /// Limits; each is at least 1 (the body's at least 0).
    package init(lineBytesMax: Int = 8 << 10, headBytesMax: Int = 16 << 10, headerCountMax: Int = 64, bodyBytesMax: Int = 64 << 10) {
        self.lineBytesMax = max(lineBytesMax, 1)
        self.headBytesMax = max(headBytesMax, 1)
        self.headerCountMax = max(headerCountMax, 1)
        self.bodyBytesMax = max(bodyBytesMax, 0)
    }

    /// For a server: bodies up to 64 KiB (an ANNOUNCE of many tracks is far below).
    package static let server = RTSPLimits()
    /// For a client: descriptions up to 1 MiB.
    package static let client = RTSPLimits(bodyBytesMax: 1 << 20)
}

/// Why a byte stream is not RTSP, or too much of it. The stream cannot be read on behind it: answer with ``status``, close.
package enum RTSPParseError: Error, Hashable, CustomStringConvertible {
    /// A line above the limit; the request line when `isFirst`.
    case lineTooLong(bytesMax: Int, isFirst: Bool)
    /// First line and headers together above the limit.
    case headTooLong(bytesMax: Int)
    /// More header lines than the limit.
    case tooManyHeaders(countMax: Int)
    /// A first line that is neither request nor response; its beginning.
    case malformedFirstLine(String)
    /// A protocol that is neither RTSP nor HTTP, or HTTP of another major version.
    case unsupportedVersion(String)
    /// A header line without a name or a colon, or with a control character; its beginning and its number, the first line being 1.
    case malformedHeader(String, line: Int)
    /// A folded line where no header came before.
    case foldedLineFirst
    /// `Content-Length` that is no number.
    case malformedContentLength(String)
    /// Two different ones: where the message ends is anybody's guess.
    case conflictingContentLength(String, String)
    /// A body above the limit; `bytes` is nil when the number does not even fit.
    case bodyTooLong(bytes: UInt64?, bytesMax: Int)

    /// What to answer.
    package var status: RTSPStatus {
        switch self {
        case .lineTooLong(_, isFirst: true): .requestURITooLarge
        case .unsupportedVersion: .rtspVersionNotSupported
        case .bodyTooLong: .requestEntityTooLarge
        case .lineTooLong, .headTooLong, .tooManyHeaders, .malformedFirstLine, .malformedHeader, .foldedLineFirst,
            .malformedContentLength, .conflictingContentLength:
            .badRequest
        }
    }

    /// What was wrong, in words.
    package var description: String {
        switch self {
        case .lineTooLong(let max, isFirst: true): "the first line is longer than \(max) bytes"
        case .lineTooLong(let max, isFirst: false): "a header line is longer than \(max) bytes"
        case .headTooLong(let max): "the headers take more than \(max) bytes"
        case .tooManyHeaders(let max): "there are more than \(max) header lines"
        case .malformedFirstLine(let text): "'\(text)' is neither an RTSP request line nor a status line"
        case .unsupportedVersion(let text): "the protocol '\(text)' is not RTSP/1.0"
        case .malformedHeader(let text, let line): "line \(line), '\(text)', is not of the form 'Name: value'"
        case .foldedLineFirst: "a folded line stands before any header"
        case .malformedContentLength(let text): "Content-Length '\(text)' is not a decimal number"
        case .conflictingContentLength(let a, let b): "Content-Length is given as '\(a)' and as '\(b)'"
        case .bodyTooLong(let bytes?, let max): "a body of \(bytes) bytes is longer than \(max)"
        case .bodyTooLong(nil, let max): "a body is longer than \(max) bytes by far"
        }
    }
}
