/// Why bytes are no payload header of ASF over RTP.
package enum ASFPayloadHeaderError: Error, Hashable, CustomStringConvertible {
    /// Fewer bytes than the header takes.
    case tooShort(offset: Int, have: Int, need: Int)
    /// Nothing stands behind it.
    case empty(offset: Int)

    /// What was wrong, in words.
    package var description: String {
        switch self {
        case .tooShort(let offset, let have, let need):
            "the ASF payload header at byte \(offset) takes \(need) bytes, of which \(have) are there"
        case .empty(let offset): "nothing stands behind the ASF payload header at byte \(offset)"
        }
    }
}

/// What stands before each ASF packet, or piece of one, in an RTP packet ([MS-RTSP] 2.2.1). All numbers are big-endian.
///
///     +-+-+-+-+-+-----+-------------------------------+
///     |S|L|R|D|I|  0  |       length or offset        |
///     +-+-+-+-+-+-----+-------------------------------+
///     | relative timestamp, if R | duration, if D | location, if I |
///     +------------------------------------------------------------+
package struct ASFPayloadHeader: Sendable, Hashable, BitwiseCopyable {
    /// Bytes without the fields that may be absent, and with all of them.
    package static let byteCountMin = 4
    package static let byteCountMax = 16

    /// S: a payload of the ASF packet has the key bit; the same in all its pieces.
    package var hasKeyFrame: Bool
    /// L: a whole ASF packet follows. Else a piece, which is the rest of the RTP packet.
    package var isWhole: Bool
    /// With L its length, counted from this header's first byte (servers and players; the document says: from its end). Without, where the piece
    /// belongs in its ASF packet. 24 bits.
    package var lengthOrOffset: UInt32
    /// R: milliseconds from the RTP timestamp to the ASF packet's send time.
    package var relativeTimestamp: Int32?
    /// D: the ASF packet's duration in milliseconds.
    package var duration: UInt32?
    /// I: the number of the ASF packet in its content.
    package var locationID: UInt32?

    /// A header.
    package init(
        hasKeyFrame: Bool, isWhole: Bool, lengthOrOffset: UInt32, relativeTimestamp: Int32? = nil, duration: UInt32? = nil,
        locationID: UInt32? = nil
    ) {
        self.hasKeyFrame = hasKeyFrame
        self.isWhole = isWhole
        self.lengthOrOffset = lengthOrOffset & 0xFF_FFFF
        self.relativeTimestamp = relativeTimestamp
        self.duration = duration
        self.locationID = locationID
    }

    /// Its bytes.
    package var byteCount: Int {
        4 &+ (relativeTimestamp == nil ? 0 : 4) &+ (duration == nil ? 0 : 4) &+ (locationID == nil ? 0 : 4)
    }

    /// The header at `offset`, behind which at least one byte stands. The three bits without a meaning may have any value.
    package init(_ bytes: Span<UInt8>, at offset: Int) throws(ASFPayloadHeaderError) {
        let have = bytes.count &- offset
        guard have >= 4 else { throw .tooShort(offset: offset, have: max(have, 0), need: 4) }
        let first = bytes.load32(offset), flags = bytes[offset]
        hasKeyFrame = flags & 0x80 != 0
        isWhole = flags & 0x40 != 0
        lengthOrOffset = first & 0xFF_FFFF
        let need = 4 &+ 4 &* ((flags >> 3) & 7).nonzeroBitCount
        guard have >= need else { throw .tooShort(offset: offset, have: have, need: need) }
        guard have > need else { throw .empty(offset: offset) }
        var place = offset &+ 4
        if flags & 0x20 != 0 {
            relativeTimestamp = Int32(bitPattern: bytes.load32(place))
            place = place &+ 4
        }
        if flags & 0x10 != 0 {
            duration = bytes.load32(place)
            place = place &+ 4
        }
        if flags & 0x08 != 0 { locationID = bytes.load32(place) }
    }

    /// Appends the header.
    package func write(to bytes: inout [UInt8]) {
        let flags: UInt32 =
            (hasKeyFrame ? 0x80 : 0) | (isWhole ? 0x40 : 0) | (relativeTimestamp == nil ? 0 : 0x20) | (duration == nil ? 0 : 0x10)
            | (locationID == nil ? 0 : 0x08)
        bytes.append(big: flags << 24 | lengthOrOffset)
        if let relativeTimestamp { bytes.append(big: UInt32(bitPattern: relativeTimestamp)) }
        if let duration { bytes.append(big: duration) }
        if let locationID { bytes.append(big: locationID) }
    }
}

extension [UInt8] {
    /// Appends a number of 16 bits, the highest byte first.
    mutating func append(big value: UInt16) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    /// Appends a number of 32 bits, the highest byte first.
    mutating func append(big value: UInt32) {
        append(big: UInt16(truncatingIfNeeded: value >> 16))
        append(big: UInt16(truncatingIfNeeded: value))
    }
}
