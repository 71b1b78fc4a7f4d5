/// Small helpers over bytes of ASCII text. RTSP, SDP and their headers are ASCII with UTF-8 in free text, so the readers here
/// work on bytes: no grapheme breaking, no locale.
package enum ASCII {
    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09
    static let comma = UInt8(ascii: ",")
    static let semicolon = UInt8(ascii: ";")
    static let colon = UInt8(ascii: ":")
    static let equals = UInt8(ascii: "=")
    static let slash = UInt8(ascii: "/")
    static let dash = UInt8(ascii: "-")
    static let dot = UInt8(ascii: ".")
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")
    static let percent = UInt8(ascii: "%")

    /// The byte with `A`–`Z` made small.
    @inline(always) static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    /// Blank or tab.
    @inline(always) static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// CR or LF.
    @inline(always) static func isLineEnd(_ byte: UInt8) -> Bool { byte == carriageReturn || byte == lineFeed }

    /// A control character other than tab.
    @inline(always) static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 && byte != tab || byte == 0x7F }

    /// `0`–`9`.
    @inline(always) static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// A character of a token (RFC 7230 section 3.2.6): what a method or a header name consists of.
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "'"),
            UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^"), UInt8(ascii: "_"),
            UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// The value of a hexadecimal digit.
    static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- 0x57
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- 0x37
        default: nil
        }
    }

    /// Whether two texts are equal when `A`–`Z` count as `a`–`z`. Other characters must be the same bytes.
    package static func equalIgnoringCase(_ first: String, _ second: String) -> Bool {
        let a = first.utf8.span, b = second.utf8.span
        guard a.count == b.count else { return false }
        for index in a.indices where lowercased(a[index]) != lowercased(b[index]) { return false }
        return true
    }

    /// The same for bytes against text.
    static func equalIgnoringCase(_ first: ArraySlice<UInt8>, _ second: String) -> Bool {
        let b = second.utf8.span
        guard first.count == b.count else { return false }
        var index = 0
        for byte in first {
            if lowercased(byte) != lowercased(b[index]) { return false }
            index += 1
        }
        return true
    }

    /// A decimal number of digits only, no sign, no blanks; nil when empty, when anything else stands in it, or above `max`.
    static func decimal(_ bytes: ArraySlice<UInt8>, max: UInt64) -> UInt64? {
        guard !bytes.isEmpty else { return nil }
        var value: UInt64 = 0
        for byte in bytes {
            guard isDigit(byte) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(byte &- 0x30))
            if overflow || carry || sum > max { return nil }
            value = sum
        }
        return value
    }

    /// A hexadecimal number of at most eight digits.
    static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        guard !bytes.isEmpty, bytes.count <= 8 else { return nil }
        var value: UInt32 = 0
        for byte in bytes {
            guard let digit = hexValue(byte) else { return nil }
            value = value << 4 | UInt32(digit)
        }
        return value
    }
}

extension ArraySlice<UInt8> {
    /// Without blanks and tabs at both ends.
    var trimmed: ArraySlice<UInt8> {
        var low = startIndex, high = endIndex
        while low < high, ASCII.isBlank(self[low]) { low += 1 }
        while high > low, ASCII.isBlank(self[high - 1]) { high -= 1 }
        return self[low..<high]
    }

    /// Without one pair of double quotes around it.
    var unquoted: ArraySlice<UInt8> {
        guard count >= 2, first == ASCII.quote, last == ASCII.quote else { return self }
        return self[(startIndex + 1)..<(endIndex - 1)]
    }

    /// As text; bytes that are not UTF-8 become U+FFFD.
    var text: String { String(decoding: self, as: UTF8.self) }

    /// As text in small letters.
    var lowercasedText: String { String(decoding: map(ASCII.lowercased), as: UTF8.self) }

    /// The part before the first `byte` and the part behind it; all and nil where there is none.
    func split(atFirst byte: UInt8) -> (ArraySlice<UInt8>, ArraySlice<UInt8>?) {
        guard let index = firstIndex(of: byte) else { return (self, nil) }
        return (self[startIndex..<index], self[(index + 1)...])
    }

    /// The parts between separators, but never cut inside double quotes.
    func splitOutsideQuotes(_ separator: UInt8) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = startIndex
        var quoted = false
        var index = startIndex
        while index < endIndex {
            let byte = self[index]
            if byte == ASCII.quote {
                quoted.toggle()
            } else if quoted, byte == ASCII.backslash {
                index += 1
            } else if byte == separator, !quoted {
                parts.append(self[start..<index])
                start = index + 1
            }
            index += 1
        }
        parts.append(self[start..<endIndex])
        return parts
    }

    /// Whether it begins with the text, small and capital letters being the same.
    func hasPrefixIgnoringCase(_ prefix: String) -> Bool {
        let size = prefix.utf8.count
        return count >= size && ASCII.equalIgnoringCase(self[startIndex..<(startIndex + size)], prefix)
    }
}

extension String {
    // Prefixes and suffixes are compared by bytes: to Swift's own `hasPrefix`, a slash with a combining mark behind it is no slash.

    /// Whether its bytes begin with those of the other.
    func startsWithBytes(of other: String) -> Bool { utf8.starts(with: other.utf8) }

    /// Whether its bytes end with those of the other.
    func endsWithBytes(of other: String) -> Bool { utf8.reversed().starts(with: other.utf8.reversed()) }

    /// Without so many bytes at its beginning.
    func droppingFirstBytes(_ count: Int) -> String { byteSlice.dropFirst(count).text }

    /// Without so many bytes at its end.
    func droppingLastBytes(_ count: Int) -> String { byteSlice.dropLast(count).text }

    /// Its bytes, to be taken apart.
    var byteSlice: ArraySlice<UInt8> { ArraySlice(utf8) }

    /// Without blanks and tabs at both ends.
    package var trimmedBlanks: String {
        guard let first = utf8.first, let last = utf8.last else { return self }
        return ASCII.isBlank(first) || ASCII.isBlank(last) ? byteSlice.trimmed.text : self
    }
}

extension [UInt8] {
    /// Appends text, with bytes that would end or split a line (CR, LF, NUL) turned into blanks: what a peer sent us must not
    /// come back out as a header of its own.
    mutating func append(line text: String) {
        let bytes = text.utf8.span
        for index in bytes.indices {
            let byte = bytes[index]
            append(byte == ASCII.carriageReturn || byte == ASCII.lineFeed || byte == 0 ? ASCII.space : byte)
        }
    }
}

extension Collection<UInt8> {
    /// Where the first occurrence of a word ends. The standard library's search comes with a library for regular expressions, which programs in C
    /// that embed the engine are not linked with.
    func end(ofFirst word: String) -> Index? {
        let word = Array(word.utf8)
        return indices.first { self[$0...].starts(with: word) }.map { index($0, offsetBy: word.count) }
    }
}
