/// What the request line of an HTTP request names (RFC 7230 section 5.3): `/path?query`, the same behind `http://host:port` as a proxy
/// is asked, or `*`.
package struct HTTPTarget: Sendable, Hashable {
    /// Why a target cannot be read.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// Neither a path nor an absolute URL nor `*`.
        case unknownForm
        /// A scheme that is not one of ``HTTPTarget/schemes``.
        case otherScheme(String)
        /// A `%` without two hexadecimal digits behind it, a control character, or bytes that are no UTF-8.
        case malformedPath

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .unknownForm: "the target is neither a path nor an http:// URL nor *"
            case .otherScheme(let scheme): "the target's scheme '\(scheme)' is not one of \(HTTPTarget.schemes.joined(separator: ", "))"
            case .malformedPath: "the target's path is not percent-encoded UTF-8 without control characters"
            }
        }
    }

    /// What an absolute URL may begin with: `http` and the names that players have for it.
    package static let schemes = ["http", "mms", "mmsh", "mmst", "mmshttp"]

    /// `*`: the server itself.
    package let isServer: Bool
    /// `host:port` of an absolute URL; nil otherwise.
    package let authority: String?
    /// Percent-decoded, without slashes at its ends.
    package let path: String
    /// Behind the first `?`, as it stands there; nil without one.
    package let query: String?

    /// Takes a target apart.
    package init(_ target: String) throws(Trouble) {
        if target == "*" {
            isServer = true
            authority = nil
            path = ""
            query = nil
            return
        }
        isServer = false
        var rest = target.byteSlice
        if rest.first != ASCII.slash {
            guard let colon = rest.firstIndex(of: ASCII.colon), rest[colon...].starts(with: "://".utf8) else { throw .unknownForm }
            let scheme = rest[..<colon].lowercasedText
            guard Self.schemes.contains(scheme) else { throw .otherScheme(RTSPFirstLine.excerpt(rest[..<colon])) }
            rest = rest[(colon + 3)...]
            let end = rest.firstIndex { $0 == ASCII.slash || $0 == UInt8(ascii: "?") } ?? rest.endIndex
            authority = rest[..<end].text
            rest = rest[end...]
        } else {
            authority = nil
        }
        let (before, query) = rest.split(atFirst: UInt8(ascii: "?"))
        self.query = query?.text
        var trimmed = before
        while trimmed.first == ASCII.slash { trimmed = trimmed.dropFirst() }
        while trimmed.last == ASCII.slash { trimmed = trimmed.dropLast() }
        path = try Self.decoded(trimmed)
    }

    /// The query without what only tells a server how to treat the player (`WMCache`, `WMBitrate`): with the path it names the content.
    /// Nil when nothing is left.
    package var contentQuery: String? {
        guard let query else { return nil }
        let left = query.byteSlice.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: true).filter { part in
            let name = part.split(atFirst: ASCII.equals).0
            return !ASCII.equalIgnoringCase(name, "WMCache") && !ASCII.equalIgnoringCase(name, "WMBitrate")
        }
        return left.isEmpty ? nil : left.map(\.text).joined(separator: "&")
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>) throws(Trouble) -> String {
        var plain: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            guard byte == ASCII.percent else {
                plain.append(byte)
                continue
            }
            guard index + 1 < bytes.endIndex, let high = ASCII.hexValue(bytes[index]), let low = ASCII.hexValue(bytes[index + 1]) else {
                throw .malformedPath
            }
            plain.append(high << 4 | low)
            index += 2
        }
        guard plain.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), let text = String(validating: plain, as: UTF8.self) else {
            throw .malformedPath
        }
        return text
    }
}
