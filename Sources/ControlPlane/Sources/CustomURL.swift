/// The URL of a source that code of the program that embeds Weir dials (``RelayExtensions/sources``).
package struct CustomURL: Sendable, Equatable, CustomStringConvertible {
    /// In small letters.
    let scheme: String
    /// As the user wrote it.
    let text: String

    /// Takes what has a scheme before `://`; nil otherwise.
    init?(_ text: String) {
        guard let colon = text.firstRange(of: "://"), !colon.isEmpty else { return nil }
        let scheme = text[..<colon.lowerBound].lowercased()
        guard Self.isScheme(scheme), text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { return nil }
        self.scheme = scheme
        self.text = text
    }

    /// Whether a URL can begin so (RFC 3986 section 3.1), in small letters.
    static func isScheme(_ text: String) -> Bool {
        guard let first = text.utf8.first, (0x61...0x7A).contains(first) else { return false }
        return text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0) }
    }

    /// Those that are Weir's own.
    static let ownSchemes: Set = ["rtsp", "rtspt", "rtspu", "rtsph", "rtsps", "rtp", "http", "https", "mms", "mmsh", "file"]

    /// Without user and password.
    package var description: String {
        guard let colon = text.firstRange(of: "://") else { return text }
        let rest = text[colon.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard let at = authority.lastIndex(of: "@") else { return text }
        return String(text[..<colon.upperBound] + rest[rest.index(after: at)...])
    }
}
