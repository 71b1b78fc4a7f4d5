/// Takes the bytes that an HTTP server sends apart, however they were cut: heads, and bodies of any length piece by piece.
///
/// Feed with ``append(_:)`` and ``close()``, drain with ``next()``. It keeps one unfinished head, bounded by the limits, and what was
/// appended and not yet drained. Interim responses (1xx) are skipped.
package struct HTTPResponseReader: Sendable {
    /// What a server's bytes consist of.
    package enum Event: Sendable, Hashable {
        /// A response's head; its `body` is empty.
        case head(HTTPResponse)
        /// The next piece of the body, never empty.
        case body([UInt8])
        /// The body is whole.
        case end
    }

    /// Why the bytes cannot be read on.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// The head is broken, or too much.
        case malformed(HTTPParseError)
        /// What came is not HTTP.
        case noResponse
        /// The body's coding is broken.
        case chunks(ChunkedDecoder.Trouble)
        /// A coding that is not read here.
        case coding(String)
        /// The connection ended inside of a head or body.
        case cutOff

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .malformed(let error): error.description
            case .noResponse: "what came is no HTTP response"
            case .chunks(let trouble): trouble.description
            case .coding(let name): "the body is coded as '\(name)', which was not asked for"
            case .cutOff: "the connection ended inside of a response"
            }
        }
    }

    private enum Phase {
        case head
        case length(remaining: UInt64)
        case chunked(ChunkedDecoder)
        case untilClose
        /// The body is whole; ``Event/end`` is owed.
        case whole
    }

    /// Heads of servers: cookies and all.
    package static let clientLimits = HTTPLimits(lineBytesMax: 8 << 10, headBytesMax: 32 << 10, headerCountMax: 128, bodyBytesMax: 0)

    private let limits: HTTPLimits
    private var phase = Phase.head
    private var buffer: [UInt8] = []
    private var start = 0
    private var scanned = 0
    private var lineStart = 0
    private var isClosed = false
    private var trouble: Trouble?

    /// Whether the next answer has a head alone, whatever it says of a body: set before the answer to HEAD.
    package var expectsNoBody = false

    /// A reader at the beginning of a connection.
    package init(limits: HTTPLimits = clientLimits) { self.limits = limits }

    /// Takes the next bytes of the connection.
    package mutating func append(_ bytes: [UInt8]) {
        if start > 0, start >= buffer.count - start {
            buffer.removeFirst(start)
            scanned -= start
            lineStart -= start
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The server closed its side.
    package mutating func close() { isClosed = true }

    /// Between two responses, with nothing of the next one here.
    package var isAtRest: Bool {
        guard case .head = phase else { return false }
        return start == buffer.count
    }

    /// The body being read ends with the connection alone.
    package var endsWithConnection: Bool {
        guard case .untilClose = phase else { return false }
        return true
    }

    /// What comes next, nil if more bytes are needed.
    ///
    /// - Throws: what is wrong; the same again at each later call.
    package mutating func next() throws(Trouble) -> Event? {
        if let trouble { throw trouble }
        do throws(Trouble) { return try step() } catch {
            trouble = error
            throw error
        }
    }

    private mutating func step() throws(Trouble) -> Event? {
        while true {
            switch phase {
            case .head:
                guard let response = try head() else {
                    if isClosed, start < buffer.count { throw .cutOff }
                    return nil
                }
                if response.status.code / 100 == 1 { continue }
                phase = try bodyPhase(response)
                expectsNoBody = false
                return .head(response)
            case .length(0), .whole:
                phase = .head
                lineStart = start
                scanned = start
                return .end
            case .length(let remaining):
                guard start < buffer.count else { return try atEnd(isWhole: false) }
                let count = Int(min(remaining, UInt64(buffer.count - start)))
                phase = .length(remaining: remaining - UInt64(count))
                return .body(taken(count))
            case .untilClose:
                guard start < buffer.count else { return try atEnd(isWhole: true) }
                return .body(taken(buffer.count - start))
            case .chunked(var decoder):
                guard start < buffer.count else { return try atEnd(isWhole: false) }
                let piece: (body: [UInt8], taken: Int)
                do throws(ChunkedDecoder.Trouble) { piece = try decoder.decode(buffer[start...]) } catch { throw .chunks(error) }
                _ = taken(piece.taken)
                phase = decoder.isEnded ? .whole : .chunked(decoder)
                if !piece.body.isEmpty { return .body(piece.body) }
            }
        }
    }

    private mutating func atEnd(isWhole: Bool) throws(Trouble) -> Event? {
        guard isClosed else { return nil }
        guard isWhole else { throw .cutOff }
        phase = .head
        return .end
    }

    private mutating func taken(_ count: Int) -> [UInt8] {
        let bytes = start == 0 && count == buffer.count ? buffer : Array(buffer[start..<(start + count)])
        start += count
        if start == buffer.count {
            buffer = []
            start = 0
            scanned = 0
            lineStart = 0
        }
        return bytes
    }

    /// The next head, nil if its end has not come.
    private mutating func head() throws(Trouble) -> HTTPResponse? {
        while start < buffer.count, scanned == start, buffer[start] == ASCII.carriageReturn || buffer[start] == ASCII.lineFeed {
            // Line ends between responses.
            start += 1
            scanned = start
            lineStart = start
        }
        while scanned < buffer.count {
            guard buffer[scanned] == ASCII.lineFeed else {
                scanned += 1
                continue
            }
            let isBlank = scanned == lineStart || scanned == lineStart + 1 && buffer[lineStart] == ASCII.carriageReturn
            scanned += 1
            lineStart = scanned
            if isBlank {
                let head = start..<scanned
                guard head.count <= limits.headBytesMax else { throw .malformed(.headTooLong(bytesMax: limits.headBytesMax)) }
                let response = try Self.response(buffer[head], limits: limits)
                _ = taken(head.count)
                lineStart = start
                scanned = start
                return response
            }
        }
        guard buffer.count - start <= limits.headBytesMax else { throw .malformed(.headTooLong(bytesMax: limits.headBytesMax)) }
        return nil
    }

    private static func response(_ head: ArraySlice<UInt8>, limits: HTTPLimits) throws(Trouble) -> HTTPResponse {
        var response: HTTPResponse?
        var headers = HTTPHeaders()
        var number = 0
        for whole in head.split(separator: ASCII.lineFeed) {
            let line = whole.last == ASCII.carriageReturn ? whole.dropLast() : whole
            if line.isEmpty { continue }
            number += 1
            do throws(HTTPParseError) {
                guard line.count <= limits.lineBytesMax else {
                    throw .lineTooLong(bytesMax: limits.lineBytesMax, isFirst: number == 1)
                }
                if response == nil {
                    guard case .response(let first) = try RTSPFirstLine.parse(line), case .http = first.version else { throw noHTTP }
                    response = first
                } else {
                    try headers.add(line: line, number: number, countMax: limits.headerCountMax)
                }
            } catch {
                throw error == noHTTP ? .noResponse : .malformed(error)
            }
        }
        guard var response else { throw .noResponse }
        response.headers = headers
        return response
    }

    private static let noHTTP = HTTPParseError.malformedFirstLine("")

    /// How the body's end is found (RFC 7230 section 3.3.3).
    private func bodyPhase(_ response: HTTPResponse) throws(Trouble) -> Phase {
        if expectsNoBody || response.status.code == 204 || response.status.code == 304 { return .whole }
        if let coding = response.headers["Transfer-Encoding"], !ASCII.equalIgnoringCase(coding, "identity") {
            guard ASCII.equalIgnoringCase(coding, "chunked") else {
                throw .coding(String(decoding: coding.utf8.prefix(64), as: UTF8.self))
            }
            return .chunked(ChunkedDecoder())
        }
        guard response.headers.contains("Content-Length") else { return .untilClose }
        do throws(HTTPParseError) {
            return .length(remaining: UInt64(try RTSPFirstLine.bodyLength(response.headers, max: .max)))
        } catch { throw .malformed(error) }
    }
}
