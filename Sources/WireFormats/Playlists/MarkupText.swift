/// The text of a markup file, whatever it is encoded in.
enum MarkupText {
    /// As UTF-8, without a byte order mark. What says nothing of itself is UTF-8 if it can be, and else windows-1252, as editors on Windows
    /// write it.
    static func decoded(_ bytes: [UInt8]) throws(PlaylistError) -> [UInt8] {
        let text: [UInt8]
        switch (bytes.first, bytes.count > 1 ? bytes[1] : nil) {
        case (0xFF, 0xFE), (0x3C, 0x00): text = try wide(bytes, isBig: false)
        case (0xFE, 0xFF), (0x00, 0x3C): text = try wide(bytes, isBig: true)
        case (0xEF, 0xBB) where bytes.count > 2 && bytes[2] == 0xBF: text = try utf8(Array(bytes[3...]))
        default:
            switch declared(bytes) {
            case nil: text = String(validating: bytes, as: UTF8.self) == nil ? windows1252(bytes) : bytes
            // A file that calls itself UTF-16 in single bytes was saved anew by an editor that did not read that.
            case "utf-8", "us-ascii", "utf-16", "unicode": text = try utf8(bytes)
            case "iso-8859-1", "latin1", "windows-1252", "ansi": text = windows1252(bytes)
            case let other?:
                throw PlaylistError(
                    line: 1, "the encoding `\(PlaylistError.shown(other))` is not read; save the file as UTF-8, UTF-16 or windows-1252")
            }
        }
        guard !text.contains(0) else { throw PlaylistError(line: line(of: 0, in: text), "a NUL stands in the text: this is no playlist") }
        return text
    }

    private static func utf8(_ bytes: [UInt8]) throws(PlaylistError) -> [UInt8] {
        guard String(validating: bytes, as: UTF8.self) == nil else { return bytes }
        throw PlaylistError(
            line: nil,
            "the text says that it is UTF-8, and is not; save it as UTF-8, or write encoding=\"windows-1252\" into its first line")
    }

    private static func wide(_ bytes: [UInt8], isBig: Bool) throws(PlaylistError) -> [UInt8] {
        guard bytes.count % 2 == 0 else { throw PlaylistError(line: nil, "the text is UTF-16 and ends in the middle of a character") }
        var units: [UInt16] = []
        units.reserveCapacity(bytes.count / 2)
        for index in stride(from: 0, to: bytes.count, by: 2) {
            let low = UInt16(bytes[isBig ? index + 1 : index]), high = UInt16(bytes[isBig ? index : index + 1])
            units.append(high << 8 | low)
        }
        if units.first == 0xFEFF { units.removeFirst() }
        guard let text = String(validating: units, as: UTF16.self) else {
            throw PlaylistError(line: nil, "the text is not UTF-16, though it begins so; save it as UTF-8")
        }
        return Array(text.utf8)
    }

    /// What `encoding="…"` says in the first line's `<?xml …?>` or `<?wsx …?>`, in small letters.
    private static func declared(_ bytes: [UInt8]) -> String? {
        let head = bytes.prefix(256).prefix { $0 != UInt8(ascii: ">") }
        guard head.starts(with: "<?".utf8), let start = head.end(ofFirst: "encoding") else { return nil }
        var rest = head[start...].drop { $0 == ASCII.space || $0 == ASCII.equals }
        guard let quote = rest.first, quote == ASCII.quote || quote == UInt8(ascii: "'") else { return nil }
        rest = rest.dropFirst()
        guard let end = rest.firstIndex(of: quote), end > rest.startIndex else { return nil }
        return String(decoding: rest[..<end], as: UTF8.self).lowercased()
    }

    private static func windows1252(_ bytes: [UInt8]) -> [UInt8] {
        var text = String.UnicodeScalarView()
        for byte in bytes {
            let code = byte &- 0x80 < 0x20 ? UInt32(high[Int(byte &- 0x80)]) : UInt32(byte)
            text.append(Unicode.Scalar(code) ?? "\u{FFFD}")
        }
        return Array(String(text).utf8)
    }

    /// 0x80–0x9F; elsewhere windows-1252 is the beginning of Unicode.
    private static let high: [UInt16] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D, 0x8F,
        0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
    ]

    private static func line(of byte: UInt8, in text: [UInt8]) -> Int {
        text.prefix { $0 != byte }.reduce(1) { $1 == ASCII.lineFeed ? $0 + 1 : $0 }
    }
}
