extension OutputRawSpan {
    /// Appends a number of 16 bits, the lowest byte first.
    @inlinable package mutating func appendLittle16(_ value: UInt16) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    /// Appends a number of 32 bits, the lowest byte first.
    @inlinable package mutating func appendLittle32(_ value: UInt32) {
        appendLittle16(UInt16(truncatingIfNeeded: value))
        appendLittle16(UInt16(truncatingIfNeeded: value >> 16))
    }

    /// Appends a range of bytes that the caller has checked.
    @inlinable package mutating func append(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        for index in range { append(bytes[index]) }
    }
}

extension Span<UInt8> {
    /// The 16 bits at an offset that the caller has checked, the lowest byte first.
    @inlinable package func loadLittle16(_ offset: Int) -> UInt16 { UInt16(self[offset]) | UInt16(self[offset &+ 1]) << 8 }

    /// The 32 bits at an offset that the caller has checked, the lowest byte first.
    @inlinable package func loadLittle32(_ offset: Int) -> UInt32 {
        UInt32(self[offset]) | UInt32(self[offset &+ 1]) << 8 | UInt32(self[offset &+ 2]) << 16 | UInt32(self[offset &+ 3]) << 24
    }

    /// The 64 bits at an offset that the caller has checked, the lowest byte first.
    @inlinable package func loadLittle64(_ offset: Int) -> UInt64 {
        UInt64(loadLittle32(offset)) | UInt64(loadLittle32(offset &+ 4)) << 32
    }
}

extension [UInt8] {
    /// A copy of a range of bytes that the caller has checked.
    package init(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        self = unsafe bytes.extracting(range).withUnsafeBufferPointer { unsafe Array($0) }
    }

    /// Appends a range of bytes that the caller has checked.
    package mutating func append(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        unsafe bytes.extracting(range).withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }

    mutating func appendLittle16(_ value: UInt16) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    mutating func appendLittle32(_ value: UInt32) {
        appendLittle16(UInt16(truncatingIfNeeded: value))
        appendLittle16(UInt16(truncatingIfNeeded: value >> 16))
    }

    mutating func appendLittle64(_ value: UInt64) {
        appendLittle32(UInt32(truncatingIfNeeded: value))
        appendLittle32(UInt32(truncatingIfNeeded: value >> 32))
    }

    /// Writes a number over the bytes at an offset that the caller has checked, the lowest byte first.
    mutating func storeLittle<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
        for index in 0..<(Number.bitWidth / 8) {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> Number(truncatingIfNeeded: 8 * index))
        }
    }
}
