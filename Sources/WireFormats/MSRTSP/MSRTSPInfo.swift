/// One stream of `RTP-Info` or `X-RTP-Info` ([MS-RTSP] 2.2.6.9, 2.2.6.32).
package struct MSRTSPInfo: Sendable, Hashable {
    /// The stream's control URL, without quotes.
    package var url: String
    /// How the stream that was selected for the client is carried (`X-RTP-Info` of an announcement); nil where nothing is said.
    package var transport: TransportSpec?
    /// The next packet's, or of an end of stream the one that will not come.
    package var sequence: UInt16?
    /// The first packet's.
    package var rtpTime: UInt32?
    /// How much of the stream is sent; nil where not said, which means all.
    package var thinning: StreamSwitchEntry.Thinning?
    /// The longest RTP packet.
    package var blockBytes: UInt32?

    /// A stream.
    package init(
        url: String, transport: TransportSpec? = nil, sequence: UInt16? = nil, rtpTime: UInt32? = nil,
        thinning: StreamSwitchEntry.Thinning? = nil, blockBytes: UInt32? = nil
    ) {
        self.url = url
        self.transport = transport
        self.sequence = sequence
        self.rtpTime = rtpTime
        self.thinning = thinning
        self.blockBytes = blockBytes
    }
}

/// `RTP-Info` and `X-RTP-Info`.
package enum MSRTSPInfoHeader {
    /// Streams of one header that are looked at; more are refused.
    package static let countMax = 64
    /// Parameters of one stream; more are refused.
    package static let parameterCountMax = 32

    private static let name = "RTP-Info"

    /// The streams in order. URLs may be quoted, and must be where they hold a comma or a semicolon. Names are taken in any case, those that are
    /// not known are left out; a value that does not fit is refused.
    package static func parse(_ value: String) throws(RTSPHeaderError) -> [MSRTSPInfo] {
        var infos: [MSRTSPInfo] = []
        for part in value.byteSlice.splitOutsideQuotes(ASCII.comma) {
            let part = part.trimmed
            if part.isEmpty { continue }
            guard infos.count < countMax else { throw .tooMany(header: name, countMax: countMax) }
            infos.append(try info(part))
        }
        guard !infos.isEmpty else { throw .empty(header: name) }
        return infos
    }

    private static func info(_ bytes: ArraySlice<UInt8>) throws(RTSPHeaderError) -> MSRTSPInfo {
        let parts = bytes.splitOutsideQuotes(ASCII.semicolon)
        guard parts.count <= parameterCountMax else { throw .tooMany(header: name, countMax: parameterCountMax) }
        let (key, url) = parts[0].split(atFirst: ASCII.equals)
        guard ASCII.equalIgnoringCase(key.trimmed, "url"), let url = url?.trimmed.unquoted, !url.isEmpty else {
            throw .malformed(header: name, parameter: "url", value: RTSPFirstLine.excerpt(parts[0]))
        }
        var info = MSRTSPInfo(url: url.text)
        // What stands between `transport=` and the header's own parameters is a transport's.
        var transport: [ArraySlice<UInt8>] = []
        for part in parts.dropFirst() {
            let part = part.trimmed
            if part.isEmpty { continue }
            let (key, rest) = part.split(atFirst: ASCII.equals)
            let value = (rest ?? []).trimmed
            switch key.trimmed.lowercasedText {
            case "seq": info.sequence = UInt16(truncatingIfNeeded: try number(value, "seq", max: 65_535))
            case "rtptime": info.rtpTime = UInt32(truncatingIfNeeded: try number(value, "rtptime", max: UInt64(UInt32.max)))
            case "blocksize": info.blockBytes = UInt32(truncatingIfNeeded: try number(value, "blocksize", max: UInt64(UInt32.max)))
            case "thinlevel":
                info.thinning = StreamSwitchEntry.Thinning(rawValue: UInt8(truncatingIfNeeded: try number(value, "thinlevel", max: 2)))
            case "transport": transport = [value]
            default: if !transport.isEmpty { transport.append(part) }
            }
        }
        if !transport.isEmpty { info.transport = try TransportHeader.parse(transport.map(\.text).joined(separator: ";")).first }
        return info
    }

    private static func number(_ value: ArraySlice<UInt8>, _ key: String, max: UInt64) throws(RTSPHeaderError) -> UInt64 {
        guard let number = ASCII.decimal(value, max: max) else {
            throw .malformed(header: name, parameter: key, value: RTSPFirstLine.excerpt(value))
        }
        return number
    }

    /// The header's value.
    package static func text(_ infos: [MSRTSPInfo]) -> String {
        infos.map { info in
            let isPlain = !info.url.utf8.contains { $0 == ASCII.comma || $0 == ASCII.semicolon || $0 == ASCII.quote }
            var text = isPlain ? "url=\(info.url)" : "url=\"\(info.url)\""
            if let transport = info.transport { text += ";transport=\(TransportHeader.windowsMediaText(transport))" }
            if let bytes = info.blockBytes { text += ";blocksize=\(bytes)" }
            if let thinning = info.thinning { text += ";thinlevel=\(thinning.rawValue)" }
            if let sequence = info.sequence { text += ";seq=\(sequence)" }
            if let rtpTime = info.rtpTime { text += ";rtptime=\(rtpTime)" }
            return text
        }.joined(separator: ", ")
    }
}
