extension RTSPURL {
    /// A URL as users type it and peers send it.
    ///
    /// Tolerated: any case of the scheme; `rtsp://rtsp://host/` of some cameras; an IPv6 address without brackets (all of the
    /// authority is the address then: go2rtc met `rtsp://::ffff:1.2.3.4/`); `@` inside of a password; blanks at both ends;
    /// an empty port (`host:/path`). With `allowingNoScheme` also `192.168.1.1:1935/live`.
    package init(_ text: String, allowingNoScheme: Bool = false) throws(RTSPURLError) {
        let bytes = text.byteSlice.trimmed
        guard bytes.count <= Self.bytesMax else { throw .tooLong(bytes: bytes.count, bytesMax: Self.bytesMax) }
        if let bad = bytes.firstIndex(where: { $0 < 0x20 || $0 == 0x7F }) { throw .controlCharacter(at: bad) }

        var scheme = Scheme.rtsp
        var rest = bytes
        var schemesSeen = 0
        while schemesSeen < 2, let (found, after) = Self.scheme(of: rest) {
            scheme = found
            rest = after
            schemesSeen += 1
        }
        if schemesSeen == 0 {
            guard allowingNoScheme, !Self.namesAnotherScheme(rest) else { throw .unknownScheme(RTSPFirstLine.excerpt(rest)) }
        }

        let end = rest.firstIndex { $0 == ASCII.slash || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        var authority = rest[..<end]
        self.init(scheme: scheme, host: "-")
        if let at = authority.lastIndex(of: UInt8(ascii: "@")) {
            let (name, secret) = authority[..<at].split(atFirst: ASCII.colon)
            user = PercentEncoding.decoded(name)
            password = secret.map(PercentEncoding.decoded)
            authority = authority[(at + 1)...]
        }
        (host, port) = try Self.hostAndPort(authority)
        let (path, query) = rest[end...].split(atFirst: UInt8(ascii: "?"))
        self.path = path.text
        self.query = query?.text
    }

    private static func scheme(of bytes: ArraySlice<UInt8>) -> (Scheme, ArraySlice<UInt8>)? {
        for scheme in Scheme.allCases where bytes.hasPrefixIgnoringCase(scheme.rawValue + "://") {
            return (scheme, bytes.dropFirst(scheme.rawValue.utf8.count + 3))
        }
        return nil
    }

    /// `word://` of any word.
    private static func namesAnotherScheme(_ bytes: ArraySlice<UInt8>) -> Bool {
        let rest = bytes.drop { $0 != ASCII.colon && $0 != ASCII.slash }
        return rest.starts(with: Array("://".utf8))
    }

    private static func hostAndPort(_ authority: ArraySlice<UInt8>) throws(RTSPURLError) -> (String, UInt16?) {
        guard let first = authority.first else { throw .noHost }
        var host = authority
        var portText: ArraySlice<UInt8>?
        if first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .malformedHost(RTSPFirstLine.excerpt(authority)) }
            host = authority[(authority.startIndex + 1)..<close]
            let behind = authority[(close + 1)...]
            guard behind.isEmpty || behind.first == ASCII.colon else { throw .malformedHost(RTSPFirstLine.excerpt(authority)) }
            portText = behind.isEmpty ? nil : behind.dropFirst()
            guard host.contains(ASCII.colon) else { throw .malformedHost(RTSPFirstLine.excerpt(authority)) }
        } else if authority.count(where: { $0 == ASCII.colon }) <= 1 {
            (host, portText) = authority.split(atFirst: ASCII.colon)
        }
        guard !host.isEmpty else { throw .noHost }
        guard host.allSatisfy(isHostByte) else { throw .malformedHost(RTSPFirstLine.excerpt(host)) }
        guard let portText, !portText.isEmpty else { return (host.text, nil) }
        guard let port = ASCII.decimal(portText, max: 65_535), port > 0 else { throw .malformedPort(RTSPFirstLine.excerpt(portText)) }
        return (host.text, UInt16(truncatingIfNeeded: port))
    }

    /// Letters, digits, what joins them in names and addresses, `%` of a zone, and anything above ASCII.
    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "%"), UInt8(ascii: ":"), 0x80...:
            true
        default: false
        }
    }
}

/// `%41` and back (RFC 3986 section 2.1).
package enum PercentEncoding {
    /// The text with every `%` and two hexadecimal digits replaced by the byte they mean; other `%` stay as they are.
    package static func decoded(_ text: String) -> String { decoded(text.byteSlice) }

    static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
        guard bytes.contains(ASCII.percent) else { return bytes.text }
        var result: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == ASCII.percent, bytes.endIndex - index > 2, let high = ASCII.hexValue(bytes[index + 1]),
                let low = ASCII.hexValue(bytes[index + 2])
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The text with all but letters, digits and `-._~` escaped: right in every part of a URL.
    package static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.append(byte)
            default: result += [ASCII.percent, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
