/// Takes the base 64 of an RTSP-over-HTTP tunnel's POST apart, however it was cut.
///
/// Blanks and line ends between letters are skipped. Clients encode each request for itself, so a unit may end with padding anywhere;
/// what follows begins anew.
package struct TunnelDecoder: Sendable {
    private var bits: UInt32 = 0
    private var letters = 0

    /// A byte that is no base 64.
    package struct Trouble: Error, Equatable {
        /// The byte.
        package let byte: UInt8
    }

    /// At the beginning of a unit.
    package init() {}

    /// The bytes that these letters complete, at most three for four of them and those kept from before.
    package mutating func decode(_ encoded: some Sequence<UInt8>) throws(Trouble) -> [UInt8] {
        var bytes: [UInt8] = []
        for byte in encoded {
            if byte == UInt8(ascii: "=") {
                endUnit(&bytes)
                continue
            }
            guard let value = Base64.value(of: byte) else {
                if ASCII.isBlank(byte) || byte == ASCII.carriageReturn || byte == ASCII.lineFeed { continue }
                throw Trouble(byte: byte)
            }
            bits = bits << 6 | UInt32(value)
            letters += 1
            guard letters == 4 else { continue }
            bytes.append(UInt8(truncatingIfNeeded: bits >> 16))
            bytes.append(UInt8(truncatingIfNeeded: bits >> 8))
            bytes.append(UInt8(truncatingIfNeeded: bits))
            bits = 0
            letters = 0
        }
        return bytes
    }

    private mutating func endUnit(_ bytes: inout [UInt8]) {
        switch letters {
        case 2: bytes.append(UInt8(truncatingIfNeeded: bits >> 4))
        case 3:
            bytes.append(UInt8(truncatingIfNeeded: bits >> 10))
            bytes.append(UInt8(truncatingIfNeeded: bits >> 2))
        default: break  // The second sign of a padding, or a letter too few: there is no byte in it.
        }
        bits = 0
        letters = 0
    }
}
