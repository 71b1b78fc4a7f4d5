/// What a connection's byte stream consists of, in either direction.
package enum RTSPElement: Sendable, Hashable {
    /// A request with its body.
    case request(RTSPRequest)
    /// A response with its body.
    case response(RTSPResponse)
    /// An interleaved frame (RFC 2326 section 10.12), `payload` at most 65,535 bytes.
    case interleaved(channel: UInt8, payload: [UInt8])
}

/// Takes a connection's bytes apart, however they were cut: requests, responses and `$` frames in any order.
///
/// Feed with `append`, drain with ``next()`` until it gives nil. Each byte is looked at a bounded number of times, even if they
/// come one by one. Never more is kept than one unfinished element (bounded by ``RTSPLimits``) and what was appended behind it
/// and not yet drained.
///
/// Tolerated: bare LF; CR, LF and NUL between messages (GStreamer and MPlayer send them); folded lines; blanks before the
/// colon; no body length (0); the same `Content-Length` twice.
package struct RTSPParser: Sendable {
    private enum Phase {
        /// Before an element.
        case idle
        /// In first line and headers; lines before `scanned` are in `message`.
        case head
        /// All but `remaining` bytes behind `scanned`.
        case body(count: Int)
        /// Broken for good.
        case failed(RTSPParseError)
    }

    private let limits: RTSPLimits
    private var buffer: [UInt8] = []
    /// Where the unfinished element begins in `buffer`.
    private var start = 0
    /// Up to where it was understood (whole lines).
    private var lineStart = 0
    /// Up to where no line end was found.
    private var scanned = 0
    private var lineNumber = 0
    private var phase = Phase.idle
    private var message = RTSPElement.interleaved(channel: 0, payload: [])
    private var headers = RTSPHeaders()

    /// Bytes that the elements given out so far took, blank lines between them included.
    package private(set) var bytesConsumed: UInt64 = 0

    /// A parser at the beginning of a stream.
    package init(limits: RTSPLimits = .server) { self.limits = limits }

    /// Bytes appended and not yet given out.
    package var bytesBuffered: Int { buffer.count - start }

    /// The `CSeq` of the message being read, as far as its lines have come: for the answer to a message that failed.
    package var cseqOfUnfinishedMessage: String? { headers["CSeq"] }

    /// A message's head is here, its body is not yet, and the peer waits for a word (`Expect: 100-continue`, RFC 7231 section 5.1.1).
    package var awaitsContinue: Bool {
        guard case .body = phase, let expect = headers["Expect"] else { return false }
        return ASCII.equalIgnoringCase(expect, "100-continue")
    }

    /// Takes the next bytes of the stream.
    package mutating func append(_ bytes: Span<UInt8>) {
        reclaim()
        buffer.reserveCapacity(buffer.count + bytes.count)
        for index in bytes.indices { buffer.append(bytes[index]) }
    }

    /// Takes the next bytes of the stream.
    package mutating func append(_ bytes: [UInt8]) {
        reclaim()
        buffer.append(contentsOf: bytes)
    }

    /// Takes the next bytes of the stream.
    package mutating func append(_ bytes: ArraySlice<UInt8>) {
        reclaim()
        buffer.append(contentsOf: bytes)
    }

    /// Everything that was appended and not given out, the bytes of an unfinished element included. The parser is as new
    /// afterwards, but for ``bytesConsumed``: what is taken does not count as consumed.
    package mutating func takeRemainder() -> [UInt8] {
        let rest = Array(buffer[start...])
        buffer = []
        start = 0
        beginElement()
        return rest
    }

    /// Whether the next byte begins an interleaved frame. For whoever wants to read text only and leave frames to another.
    package mutating func isAtInterleavedFrame() -> Bool {
        guard case .idle = phase else { return false }
        skipBlankBytes()
        return start < buffer.count && buffer[start] == InterleavedHeader.magic
    }

    /// The next whole element, nil if more bytes are needed.
    ///
    /// - Throws: what is wrong with the stream; the same again at each later call.
    package mutating func next() throws(RTSPParseError) -> RTSPElement? {
        if case .failed(let error) = phase { throw error }
        do {
            return try step()
        } catch {
            phase = .failed(error)
            throw error
        }
    }

    private mutating func step() throws(RTSPParseError) -> RTSPElement? {
        if case .idle = phase {
            skipBlankBytes()
            guard start < buffer.count else { return nil }
            if buffer[start] == InterleavedHeader.magic { return frame() }
            phase = .head
        }
        while case .head = phase {
            guard let line = try nextLine() else { return nil }
            lineNumber += 1
            if lineNumber == 1 {
                message = try RTSPFirstLine.parse(buffer[line])
            } else if line.isEmpty {
                phase = .body(count: try RTSPFirstLine.bodyLength(headers, max: limits.bodyBytesMax))
            } else {
                try addHeader(buffer[line])
            }
        }
        guard case .body(let count) = phase, buffer.count - lineStart >= count else { return nil }
        let element = finished(body: Array(buffer[lineStart..<(lineStart + count)]))
        finish(at: lineStart + count)
        return element
    }

    private mutating func skipBlankBytes() {
        let before = start
        while start < buffer.count, buffer[start] == ASCII.carriageReturn || buffer[start] == ASCII.lineFeed || buffer[start] == 0 {
            start += 1
        }
        bytesConsumed &+= UInt64(start - before)
        lineStart = start
        scanned = start
    }

    private mutating func frame() -> RTSPElement? {
        guard let header = InterleavedHeader(buffer.span.extracting(start...)) else { return nil }
        let first = start + InterleavedHeader.byteCount
        guard buffer.count - first >= header.payloadLength else { return nil }
        let payload = Array(buffer[first..<(first + header.payloadLength)])
        finish(at: first + header.payloadLength)
        return .interleaved(channel: header.channel, payload: payload)
    }

    /// The next line's range without its end.
    private mutating func nextLine() throws(RTSPParseError) -> Range<Int>? {
        while scanned < buffer.count, buffer[scanned] != ASCII.lineFeed { scanned += 1 }
        let lineBytes = scanned - lineStart
        if lineBytes > limits.lineBytesMax + 1 {
            throw .lineTooLong(bytesMax: limits.lineBytesMax, isFirst: lineNumber == 0)
        }
        if scanned - start > limits.headBytesMax { throw .headTooLong(bytesMax: limits.headBytesMax) }
        guard scanned < buffer.count else { return nil }
        var end = scanned
        while end > lineStart, buffer[end - 1] == ASCII.carriageReturn { end -= 1 }
        if end - lineStart > limits.lineBytesMax { throw .lineTooLong(bytesMax: limits.lineBytesMax, isFirst: lineNumber == 0) }
        let range = lineStart..<end
        scanned += 1
        lineStart = scanned
        return range
    }

    private mutating func addHeader(_ line: ArraySlice<UInt8>) throws(RTSPParseError) {
        try headers.add(line: line, number: lineNumber, countMax: limits.headerCountMax)
    }

    private mutating func finished(body: [UInt8]) -> RTSPElement {
        switch message {
        case .request(var request):
            request.headers = headers
            request.body = body
            return .request(request)
        case .response(var response):
            response.headers = headers
            response.body = body
            return .response(response)
        case .interleaved: return message
        }
    }

    private mutating func finish(at end: Int) {
        bytesConsumed &+= UInt64(end - start)
        start = end
        if start == buffer.count {
            // A connection at rest, of which there are thousands, keeps nothing of what came over it.
            buffer = []
            start = 0
        }
        beginElement()
    }

    private mutating func beginElement() {
        lineStart = start
        scanned = start
        lineNumber = 0
        message = .interleaved(channel: 0, payload: [])
        headers = RTSPHeaders()
        phase = .idle
    }

    /// Gives room back once more than half of the buffer is behind us: each byte is moved at most once per doubling.
    private mutating func reclaim() {
        guard start > 0, start >= buffer.count - start else { return }
        buffer.removeFirst(start)
        lineStart -= start
        scanned -= start
        start = 0
    }
}
