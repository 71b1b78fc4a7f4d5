/// Takes the bytes that an HTTP client sends apart, however they were cut: requests with their bodies.
///
/// Feed with ``append(_:)``, drain with ``next()``. It is ``RTSPParser`` that is told to take nothing but HTTP.
package struct HTTPRequestParser: Sendable {
    /// Why the bytes are no HTTP requests. Nothing behind it can be read: answer with ``status``, close.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// The text is broken, or too much.
        case malformed(HTTPParseError)
        /// A request of another protocol.
        case otherProtocol(String)
        /// A response, or an interleaved frame of RTSP.
        case noRequest
        /// A body whose length is not said in front (RFC 7230 section 3.3.3).
        case bodyWithoutLength(String)

        /// What to answer.
        package var status: HTTPStatus {
            switch self {
            case .malformed(.headTooLong), .malformed(.tooManyHeaders), .malformed(.lineTooLong(_, isFirst: false)): .headersTooLarge
            case .malformed(.unsupportedVersion), .otherProtocol: .httpVersionNotSupported
            case .malformed(let error): error.status
            case .noRequest: .badRequest
            case .bodyWithoutLength: .lengthRequired
            }
        }

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .malformed(let error): error.description
            case .otherProtocol(let name): "a request of \(name) came where HTTP/1 is spoken"
            case .noRequest: "what came is no request"
            case .bodyWithoutLength(let coding): "the body is coded as '\(coding)'; send it with a Content-Length"
            }
        }
    }

    /// For a server of Windows Media: a selection of 127 streams and a line of log fit; 64 KiB of Pragma do not.
    package static let serverLimits = HTTPLimits(lineBytesMax: 8 << 10, headBytesMax: 16 << 10, headerCountMax: 64, bodyBytesMax: 256 << 10)

    private var parser: RTSPParser

    /// A parser at the beginning of a connection.
    package init(limits: HTTPLimits = serverLimits) { parser = RTSPParser(limits: limits) }

    /// Bytes appended and not yet given out.
    package var bytesBuffered: Int { parser.bytesBuffered }

    /// The client waits for `HTTP/1.1 100 Continue` before it sends its body. True until the body is whole: answer once.
    package var awaitsContinue: Bool { parser.awaitsContinue }

    /// Takes the next bytes of the connection.
    package mutating func append(_ bytes: [UInt8]) { parser.append(bytes) }

    /// Takes the next bytes of the connection.
    package mutating func append(_ bytes: ArraySlice<UInt8>) { parser.append(bytes) }

    /// The next whole request, nil if more bytes are needed.
    package mutating func next() throws(Trouble) -> HTTPRequest? {
        let element: RTSPElement?
        do throws(RTSPParseError) { element = try parser.next() } catch { throw .malformed(error) }
        guard let element else { return nil }
        guard case .request(let request) = element else { throw .noRequest }
        guard case .http = request.version else { throw .otherProtocol(request.version.description) }
        if let coding = request.headers["Transfer-Encoding"], !ASCII.equalIgnoringCase(coding, "identity") {
            throw .bodyWithoutLength(String(decoding: coding.utf8.prefix(64), as: UTF8.self))
        }
        return request
    }
}
