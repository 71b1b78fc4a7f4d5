/// A way to log in that the server may offer.
package enum LoginMethod: String, Sendable, CaseIterable {
    /// Digest with SHA-256 (RFC 7616).
    case digestSHA256 = "digest-sha256"
    /// Digest with MD5, in the form of RFC 2069 that all clients speak.
    case digestMD5 = "digest-md5"
    /// The password as it is (RFC 7617): anybody on the way can read it.
    case basic

    /// The algorithm of Digest; nil for Basic.
    package var algorithm: DigestAlgorithm? {
        switch self {
        case .digestSHA256: .sha256
        case .digestMD5: .md5
        case .basic: nil
        }
    }
}
