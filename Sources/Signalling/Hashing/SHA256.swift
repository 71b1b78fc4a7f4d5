import CNettle

/// SHA-256 (FIPS 180-4) of bytes that may come in pieces. A copy goes on by itself.
package struct SHA256: Sendable {
    package static let digestBytes = Int(SHA256_DIGEST_SIZE)

    private var context = sha256_ctx()

    package init() { unsafe nettle_sha256_init(&context) }

    /// Takes the next bytes.
    package mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return }
            unsafe nettle_sha256_update(&context, bytes.count, start)
        }
    }

    /// Takes the next bytes.
    package mutating func update(_ bytes: [UInt8]) { update(bytes.span) }

    /// The 32 bytes of the hash of all that came.
    package consuming func finalize() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Self.digestBytes)
        unsafe cnettle_sha256_digest(&context, &digest)
        return digest
    }

    /// The 32 bytes of the hash of these bytes.
    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }

    /// The 32 bytes of the authentication code of these bytes (HMAC, RFC 2104). `key` is secret, of any length.
    package static func authenticationCode(of bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        var context = hmac_sha256_ctx()
        var code = [UInt8](repeating: 0, count: digestBytes)
        unsafe nettle_hmac_sha256_set_key(&context, key.count, key)
        unsafe nettle_hmac_sha256_update(&context, bytes.count, bytes)
        unsafe cnettle_hmac_sha256_digest(&context, &code)
        return code
    }
}

/// MD5 (RFC 1321), which Digest still goes by where cameras know nothing else. It protects nothing.
package enum MD5 {
    /// The 16 bytes of the hash of these bytes.
    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var context = md5_ctx()
        var digest = [UInt8](repeating: 0, count: Int(MD5_DIGEST_SIZE))
        unsafe nettle_md5_init(&context)
        unsafe nettle_md5_update(&context, bytes.count, bytes)
        unsafe cnettle_md5_digest(&context, &digest)
        return digest
    }
}
