extension OutputRawSpan {
    /// Appends a number of 32 bits, the highest byte first.
    @inlinable package mutating func append32(_ value: UInt32) {
        append(UInt8(truncatingIfNeeded: value >> 24))
        append(UInt8(truncatingIfNeeded: value >> 16))
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }
}

extension Span<UInt8> {
    /// The 16 bits at an offset that the caller has checked.
    @inlinable package func load16(_ offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset &+ 1]) }

    /// The 32 bits at an offset that the caller has checked.
    @inlinable package func load32(_ offset: Int) -> UInt32 {
        UInt32(self[offset]) << 24 | UInt32(self[offset &+ 1]) << 16 | UInt32(self[offset &+ 2]) << 8 | UInt32(self[offset &+ 3])
    }
}

/// The four bytes of a number, the highest first.
func bigEndian(_ value: UInt32) -> [UInt8] {
    [
        UInt8(truncatingIfNeeded: value >> 24), UInt8(truncatingIfNeeded: value >> 16), UInt8(truncatingIfNeeded: value >> 8),
        UInt8(truncatingIfNeeded: value),
    ]
}
