/// Takes a session description apart, line by line.
struct SDPReader {
    private(set) var lines: [SDPLine] = []
    private(set) var media: [MediaDescription] = []
    private(set) var warnings: [SDPWarning] = []
    private var lineNumber = 0

    mutating func read(_ bytes: [UInt8]) throws(SDPError) {
        guard bytes.count <= SessionDescription.bytesMax else {
            throw .tooLong(bytes: bytes.count, bytesMax: SessionDescription.bytesMax)
        }
        var start = 0
        while start < bytes.count {
            // Lines end with CR LF, LF, or CR alone; the last need not end.
            var end = start
            while end < bytes.count, bytes[end] != ASCII.lineFeed, bytes[end] != ASCII.carriageReturn { end += 1 }
            lineNumber += 1
            if lineNumber > SessionDescription.lineCountMax { throw .tooManyLines(countMax: SessionDescription.lineCountMax) }
            try take(bytes[start..<end])
            let isPair = end + 1 < bytes.count && bytes[end] == ASCII.carriageReturn && bytes[end + 1] == ASCII.lineFeed
            start = end + (isPair ? 2 : 1)
        }
        guard !lines.isEmpty || !media.isEmpty else { throw .noLines }
        checkWhole()
    }

    private mutating func warn(_ fault: SDPWarning.Fault, line: Int? = nil) {
        // A hostile description must not grow a list of its own.
        if warnings.count < 256 { warnings.append(SDPWarning(fault: fault, line: line ?? lineNumber)) }
    }

    private mutating func take(_ line: ArraySlice<UInt8>) throws(SDPError) {
        let line = line.drop { ASCII.isBlank($0) || $0 == 0 }
        if line.isEmpty { return }
        let i = line.startIndex
        let isLetter = ASCII.lowercased(line[i]) &- 0x61 < 26
        guard line.count >= 2, isLetter, line[i + 1] == ASCII.equals else {
            warn(.notALine)
            return
        }
        // A NUL has no place in text, and would come back out.
        let entry = SDPLine(typeByte: line[i], bytes: line[(i + 2)...].map { $0 == 0 ? ASCII.space : $0 })
        if entry.isType("m") {
            guard media.count < SessionDescription.mediaCountMax else { throw .tooManyMedia(countMax: SessionDescription.mediaCountMax) }
            media.append(block(entry.bytes[...]))
            return
        }
        check(entry)
        if media.isEmpty { lines.append(entry) } else { media[media.count - 1].lines.append(entry) }
    }

    /// `video 0 RTP/AVP 96`, `video 5000/2 RTP/AVP 96`.
    private mutating func block(_ value: ArraySlice<UInt8>) -> MediaDescription {
        let parts = value.split(whereSeparator: ASCII.isBlank)
        let (port, count) = (parts.count > 1 ? parts[1] : []).split(atFirst: ASCII.slash)
        let portNumber = ASCII.decimal(port, max: 65_535)
        if parts.count < 4 || portNumber == nil { warn(.malformedMedia) }
        return MediaDescription(
            kind: parts.first?.text ?? "application", port: UInt16(truncatingIfNeeded: portNumber ?? 0),
            portCount: count.flatMap { ASCII.decimal($0, max: 65_535) }.map { UInt16(truncatingIfNeeded: $0) },
            proto: parts.count > 2 ? parts[2].text : "RTP/AVP", formats: parts.dropFirst(3).map(\.text))
    }

    private mutating func check(_ line: SDPLine) {
        if line.isType("c") || line.isType("t") {
            let words = line.bytes.split(whereSeparator: ASCII.isBlank)
            let isSound =
                line.isType("c")
                ? words.count == 3 && words[0].elementsEqual(Array("IN".utf8)) && words[1].elementsEqual(Array("IP4".utf8))
                    || words.count == 3 && words[1].elementsEqual(Array("IP6".utf8))
                : words.count == 2 && words.allSatisfy { $0.allSatisfy(ASCII.isDigit) }
            if !isSound { warn(.malformed(line.type)) }
        }
        if media.isEmpty, line.isType("v") || line.isType("o") || line.isType("s"), lines.contains(where: { $0.typeByte == line.typeByte })
        {
            warn(.repeated(line.type))
        }
        if line.isAttribute("rtpmap") {
            guard let format = MediaDescription.format(line) else { return warn(.malformedFormatMap) }
            if format.codec == .opus, format.clockRate != 48_000 { warn(.wrongClockRate(format.clockRate)) }
        } else if line.isAttribute("fmtp"), MediaDescription.formatParameters(line)?.1.isEmpty ?? true {
            warn(.emptyFormatParameters)
        }
    }

    private mutating func checkWhole() {
        for (byte, type) in [("v", "v"), ("o", "o"), ("s", "s"), ("t", "t")] as [(Unicode.Scalar, Character)]
        where !lines.contains(where: { $0.isType(byte) }) {
            warn(.missing(type), line: 0)
        }
        for block in media {
            let types = block.payloadTypes
            if let first = types.first, block.proto.byteSlice.hasPrefixIgnoringCase("RTP/"), block.format(first) == nil {
                warn(.noFormatMap(payloadType: first), line: 0)
            }
            for line in block.lines where line.isAttribute("fmtp") {
                guard let (type, _) = MediaDescription.formatParameters(line), !types.contains(type) else { continue }
                if media.contains(where: { $0.payloadTypes.contains(type) }) {
                    warn(.misplacedFormatParameters(payloadType: type), line: 0)
                }
            }
        }
        if !media.isEmpty, media.allSatisfy(\.isBackChannel) { warn(.onlyBackChannels, line: 0) }
    }
}
