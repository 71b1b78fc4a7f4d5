/// The hash functions of Digest (RFC 7616 section 3.3). `-sess` variants are not among them: no RTSP product was seen to ask for one.
package enum DigestAlgorithm: String, Sendable, CaseIterable {
    case md5 = "MD5"
    case sha256 = "SHA-256"

    /// The algorithm of that name in any case; nil for an unknown one.
    package init?(named name: String) {
        guard let match = Self.allCases.first(where: { $0.rawValue == name.uppercased() }) else { return nil }
        self = match
    }

    /// The hash of the text's UTF-8 bytes in lower-case hexadecimal digits.
    package func hash(_ text: String) -> String {
        let bytes = Array(text.utf8)
        return switch self {
        case .md5: Hexadecimal.text(of: MD5.hash(bytes))
        case .sha256: Hexadecimal.text(of: SHA256.hash(bytes))
        }
    }
}
