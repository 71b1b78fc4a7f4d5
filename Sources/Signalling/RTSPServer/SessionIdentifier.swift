/// Session ids that nobody can guess (RFC 2326 section 3.4 asks for 8 characters, we give 100 bits).
package enum SessionIdentifier {
    /// 20 characters, which even Windows Media Player's buffers hold.
    package static let characterCount = 20

    /// An id from a generator, which must be one for secrets.
    package static func make(using generator: inout some RandomNumberGenerator) -> String {
        let alphabet = Array("abcdefghijkmnpqrstuvwxyz23456789".utf8)
        let bits = [generator.next() as UInt64, generator.next() as UInt64]
        let characters = (0..<characterCount).map { index in
            alphabet[Int(truncatingIfNeeded: bits[index / 10] >> UInt64(index % 10 * 5) & 31)]
        }
        return String(decoding: characters, as: UTF8.self)
    }
}
