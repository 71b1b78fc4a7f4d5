/// `Via` (RFC 7230 section 5.7.1, RFC 2326 section 12.43): through whom a message came, each with the protocol that he received it by.
///
///     HTTP/1.1 WMCacheProxy (WMCacheProxy/9.5.6001.1), RTSP/1.0 weir-5d1f2c3b4a596877 (2)
package enum ViaHeader {
    /// One of them.
    package struct Entry: Sendable, Hashable {
        /// `HTTP/1.1`.
        package let protocolName: String
        /// Host, port or pseudonym.
        package let receivedBy: String
        /// What stands in the brackets; nil: there are none.
        package let comment: String?

        /// As it stands in the header.
        package var text: String { "\(protocolName) \(receivedBy)\(comment.map { " (\($0))" } ?? "")" }
    }

    /// Entries of one message that are read; those beyond are left out.
    package static let countMax = 64
    /// Bytes of an entry; the comment of a longer one is left out, and all of it where that does not do.
    package static let entryBytesMax = 128

    /// The entries of all lines of a message, in their order. What is none is passed over. None holds anything but printable ASCII, and brackets
    /// only in pairs: it can be written into another header as it is.
    package static func entries(_ values: [String]) -> [Entry] {
        var entries: [Entry] = []
        for value in values {
            for part in parts(value.byteSlice) {
                guard entries.count < countMax else { return entries }
                if let entry = entry(part.trimmed) { entries.append(entry) }
            }
        }
        return entries
    }

    /// At commas that stand in no comment.
    private static func parts(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        // A comment without an end would hide whoever stands behind it.
        guard isBalanced(bytes) else { return bytes.split(separator: ASCII.comma) }
        var parts: [ArraySlice<UInt8>] = []
        var depth = 0, start = bytes.startIndex
        for index in bytes.indices {
            switch bytes[index] {
            case open: depth += 1
            case close: depth -= 1
            case ASCII.comma where depth == 0:
                parts.append(bytes[start..<index])
                start = index + 1
            default: break
            }
        }
        return parts + [bytes[start...]]
    }

    private static func entry(_ bytes: ArraySlice<UInt8>) -> Entry? {
        let name = bytes.prefix { !ASCII.isBlank($0) }
        let behind = bytes[name.endIndex...].trimmed
        let host = behind.prefix { !ASCII.isBlank($0) && $0 != open }
        guard !name.isEmpty, !host.isEmpty, name.count + 1 + host.count <= entryBytesMax, isFit(name), isFit(host) else { return nil }
        let rest = behind[host.endIndex...].trimmed
        var comment: String?
        if rest.first == open, rest.last == close, rest.count > 1, bytes.count <= entryBytesMax {
            let inner = rest.dropFirst().dropLast()
            if isBalanced(inner), inner.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { comment = inner.text }
        }
        return Entry(protocolName: name.text, receivedBy: host.text, comment: comment)
    }

    private static func isFit(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != open && $0 != close && $0 != ASCII.comma }
    }

    private static func isBalanced(_ bytes: ArraySlice<UInt8>) -> Bool {
        var depth = 0
        for byte in bytes {
            if byte == open { depth += 1 }
            if byte == close { depth -= 1 }
            if depth < 0 { return false }
        }
        return depth == 0
    }

    private static let open = UInt8(ascii: "("), close = UInt8(ascii: ")")

    /// `Max-Forwards` (RFC 7231 section 5.1.2): how many more may pass a request on, more than 255 being 255; nil where that is not said.
    package static func maxForwards(_ value: String?) -> UInt8? {
        guard let digits = value?.byteSlice.trimmed, !digits.isEmpty, digits.allSatisfy(ASCII.isDigit) else { return nil }
        return ASCII.decimal(digits, max: 255).flatMap { UInt8(exactly: $0) } ?? .max
    }
}
