/// Where a track's media begins after PLAY, one element of `RTP-Info` (RFC 2326 section 12.33).
package struct RTPInfo: Sendable, Hashable {
    /// The track's control URL as the client asked for it. Not to be trusted to name a known track: GW Security's does not.
    package var url: String
    /// Sequence number of the first packet.
    package var sequence: UInt16?
    /// RTP timestamp that the answer's `Range` begins with.
    package var rtpTime: UInt32?
    /// Synchronisation source; not of RFC 2326, but Reolink names it only here.
    package var ssrc: UInt32?

    /// An element.
    package init(url: String, sequence: UInt16? = nil, rtpTime: UInt32? = nil, ssrc: UInt32? = nil) {
        self.url = url
        self.sequence = sequence
        self.rtpTime = rtpTime
        self.ssrc = ssrc
    }
}

/// The `RTP-Info` header.
package enum RTPInfoHeader {
    /// Elements that are looked at.
    package static let countMax = 64

    /// The elements in order. Nothing is refused: a value that does not fit its parameter is left out, since players work
    /// without this header. Commas and semicolons may stand inside of URLs; a `;` may stand at the end (Laureii).
    package static func parse(_ value: String) -> [RTPInfo] {
        let bytes = value.byteSlice
        var starts: [Int] = []
        for index in bytes.indices where isElementStart(bytes, index) {
            if starts.count < countMax { starts.append(index) } else { break }
        }
        return starts.indices.map { number in
            let end = number + 1 < starts.count ? starts[number + 1] : bytes.endIndex
            return element(bytes[starts[number]..<end])
        }
    }

    /// `url=` at the beginning or behind a comma and blanks.
    private static func isElementStart(_ bytes: ArraySlice<UInt8>, _ index: Int) -> Bool {
        guard ASCII.lowercased(bytes[index]) == UInt8(ascii: "u"), bytes[index...].hasPrefixIgnoringCase("url=") else { return false }
        let before = bytes[..<index].trimmed
        return before.isEmpty || before.last == ASCII.comma
    }

    private static func element(_ bytes: ArraySlice<UInt8>) -> RTPInfo {
        var parts = bytes.split(separator: ASCII.semicolon, omittingEmptySubsequences: false)[...]
        var url = (parts.popFirst() ?? []).dropFirst(4)
        // What does not begin with a known parameter still belongs to the URL.
        while let part = parts.first, !isParameter(part), !part.trimmed.isEmpty, part.trimmed != [ASCII.comma] {
            url = bytes[url.startIndex..<part.endIndex]
            parts.removeFirst()
        }
        var info = RTPInfo(url: withoutComma(url.trimmed).unquoted.text)
        for part in parts {
            let (key, rest) = withoutComma(part.trimmed).split(atFirst: ASCII.equals)
            guard let value = rest?.trimmed else { continue }
            switch key.trimmed.lowercasedText {
            case "seq": info.sequence = ASCII.decimal(value, max: 65_535).map { UInt16(truncatingIfNeeded: $0) }
            case "rtptime": info.rtpTime = ASCII.decimal(value, max: UInt64(UInt32.max)).map { UInt32(truncatingIfNeeded: $0) }
            case "ssrc": info.ssrc = ASCII.hexadecimal(value)
            default: break
            }
        }
        return info
    }

    private static func isParameter(_ part: ArraySlice<UInt8>) -> Bool {
        let (key, value) = part.split(atFirst: ASCII.equals)
        return value != nil && ["seq", "rtptime", "ssrc"].contains { ASCII.equalIgnoringCase(key.trimmed, $0) }
    }

    /// Without the comma that separates from the next element.
    private static func withoutComma(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        bytes.last == ASCII.comma ? bytes.dropLast().trimmed : bytes
    }

    /// The header's value.
    package static func text(_ elements: [RTPInfo]) -> String {
        elements.map { element in
            var text = "url=\(element.url)"
            if let sequence = element.sequence { text += ";seq=\(sequence)" }
            if let rtpTime = element.rtpTime { text += ";rtptime=\(rtpTime)" }
            if let ssrc = element.ssrc { text += ";ssrc=\(String(ssrc, radix: 16, uppercase: true))" }
            return text
        }.joined(separator: ",")
    }
}
