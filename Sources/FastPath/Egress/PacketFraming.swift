/// What goes around each packet that a TCP reader is sent.
enum PacketFraming: UInt8, BitwiseCopyable {
    /// `$`, the channel, the length (RFC 2326 section 10.12).
    case interleaved
    /// Nothing: the packets of a verbatim stream bring their own framing.
    case bare
    /// A chunk of HTTP's transfer coding (RFC 9112 section 7.1): the length in hexadecimal and a line end before, a line end behind.
    case chunk

    /// The most that goes around one packet: four digits and two line ends.
    static let bytesMax = 8

    /// Bytes around a packet of 1 to 65,535 bytes.
    @inline(__always) func bytes(around count: Int) -> Int {
        switch self {
        case .interleaved: 4
        case .bare: 0
        case .chunk: Self.digits(count) + 4
        }
    }

    private static func digits(_ count: Int) -> Int { count > 0xFFF ? 4 : count > 0xFF ? 3 : count > 0xF ? 2 : 1 }

    /// Writes a packet with what goes around it; `wire` is its channel, where it has one. How many bytes that made.
    @unsafe @inline(__always)
    func write(_ packet: UnsafeRawPointer, _ count: Int, wire: UInt8, to place: UnsafeMutableRawPointer) -> Int {
        switch self {
        case .interleaved:
            let word = UInt32(0x24) << 24 | UInt32(wire) << 16 | UInt32(truncatingIfNeeded: count) & 0xFFFF
            unsafe place.storeBytes(of: word.bigEndian, as: UInt32.self)
            unsafe (place + 4).copyMemory(from: packet, byteCount: count)
            return 4 + count
        case .bare:
            unsafe place.copyMemory(from: packet, byteCount: count)
            return count
        case .chunk:
            let digits = Self.digits(count)
            var offset = 0
            while offset < digits {
                let digit = UInt8(truncatingIfNeeded: count >> (4 * (digits - 1 - offset))) & 0xF
                unsafe place.storeBytes(of: digit < 10 ? 0x30 + digit : 0x57 + digit, toByteOffset: offset, as: UInt8.self)
                offset += 1
            }
            unsafe place.storeBytes(of: UInt16(0x0D0A).bigEndian, toByteOffset: digits, as: UInt16.self)
            unsafe (place + digits + 2).copyMemory(from: packet, byteCount: count)
            unsafe place.storeBytes(of: UInt16(0x0D0A).bigEndian, toByteOffset: digits + 2 + count, as: UInt16.self)
            return digits + 4 + count
        }
    }
}
