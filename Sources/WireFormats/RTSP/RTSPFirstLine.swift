/// Request line and status line (RFC 2326 sections 6.1 and 7.1), and where a body ends (section 4.4).
enum RTSPFirstLine {
    /// A request or response without headers. Runs of blanks separate as one blank does.
    static func parse(_ line: ArraySlice<UInt8>) throws(RTSPParseError) -> RTSPElement {
        // A NUL or a lone CR comes from no player, and must not be echoed by us.
        if line.contains(where: ASCII.isControl) { throw .malformedFirstLine(excerpt(line)) }
        if line.hasPrefixIgnoringCase("RTSP/") || line.hasPrefixIgnoringCase("HTTP/") {
            return .response(try response(line))
        }
        return .request(try request(line))
    }

    private static func request(_ line: ArraySlice<UInt8>) throws(RTSPParseError) -> RTSPRequest {
        // The URI is all between the first and the last blank: some clients do not escape blanks inside.
        let line = line.trimmed
        guard let first = line.firstIndex(where: ASCII.isBlank), let last = line.lastIndex(where: ASCII.isBlank), first < last else {
            throw .malformedFirstLine(excerpt(line))
        }
        let method = line[..<first], uri = line[first..<last].trimmed, version = line[(last + 1)...]
        guard !method.isEmpty, method.count <= 32, method.allSatisfy(ASCII.isToken), !uri.isEmpty else {
            throw .malformedFirstLine(excerpt(line))
        }
        guard let parsed = RTSPVersion(version) else {
            guard version.contains(ASCII.slash) else { throw .malformedFirstLine(excerpt(line)) }
            throw .unsupportedVersion(excerpt(version))
        }
        return RTSPRequest(method: RTSPMethod(method.text), uri: uri.text, version: parsed)
    }

    private static func response(_ line: ArraySlice<UInt8>) throws(RTSPParseError) -> RTSPResponse {
        let (version, rest) = line.trimmed.split(atFirst: ASCII.space)
        guard let parsed = RTSPVersion(version) else { throw .unsupportedVersion(excerpt(version)) }
        let (code, reason) = (rest ?? []).trimmed.split(atFirst: ASCII.space)
        guard code.count == 3, let number = ASCII.decimal(code, max: 999), number >= 100 else { throw .malformedFirstLine(excerpt(line)) }
        let status = RTSPStatus(code: UInt16(number), reason: (reason ?? []).trimmed.text)
        return RTSPResponse(status: status, version: parsed)
    }

    /// The body's length by the headers: 0 without `Content-Length`.
    static func bodyLength(_ headers: RTSPHeaders, max: Int) throws(RTSPParseError) -> Int {
        var known: (value: UInt64?, text: String)?
        for field in headers.fields where ASCII.equalIgnoringCase(field.name, "Content-Length") {
            let digits = field.value.byteSlice
            guard !digits.isEmpty, digits.allSatisfy(ASCII.isDigit) else {
                throw .malformedContentLength(excerpt(digits))
            }
            let value = ASCII.decimal(digits, max: .max)
            if let known, known.value != value { throw .conflictingContentLength(known.text, excerpt(digits)) }
            known = (value, excerpt(digits))
        }
        guard let known else { return 0 }
        guard let value = known.value, value <= UInt64(max) else { throw .bodyTooLong(bytes: known.value, bytesMax: max) }
        return Int(value)
    }

    /// The beginning of a text from the peer, for a message to people: printable, at most 64 bytes.
    static func excerpt(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.prefix(64).map { (0x20..<0x7F).contains($0) ? $0 : UInt8(ascii: "?") }[...].text
    }
}
