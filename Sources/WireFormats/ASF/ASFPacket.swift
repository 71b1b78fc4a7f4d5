/// The head of an ASF data packet. A plain value: it says where its payloads lie, it holds no bytes. Walk over them with ``ASFPayloads``.
///
///     [error correction: flags u8, data] | length types u8 | property flags u8 | [packet length] | [sequence] | [padding length]
///     | send time u32 ms | duration u16 ms | [several: payload count and length type u8] | payloads | padding
package struct ASFPacket: Sendable, Hashable, BitwiseCopyable {
    /// Bytes that came. Less than the stream's packets have where a server took the padding out.
    package let byteCount: Int
    /// Bytes of error correction flags and data: 0, or mostly 3.
    package let errorCorrectionBytes: Int
    /// The bits of the two flag bytes; see ASF section 5.2.2.
    package let lengthFlags: UInt8
    package let propertyFlags: UInt8
    /// The explicit length; nil where the packet goes to its end.
    package let explicitLength: UInt32?
    /// 0 where the field is absent.
    package let paddingLength: UInt32
    /// When the packet is due, in milliseconds.
    package let sendTime: UInt32
    /// Milliseconds until the next one is.
    package let duration: UInt16
    /// Whether payloads carry lengths; there may still be only one.
    package let hasSeveralPayloads: Bool
    /// 1–63.
    package let payloadCount: Int
    /// Bytes that a payload's length takes; 0 for a single payload.
    package let payloadLengthBytes: Int
    /// Where send time and duration stand.
    package let sendTimeOffset: Int
    /// Where the first payload begins, and where the last one ends at most: padding excluded.
    package let payloadsOffset: Int
    package let payloadsEnd: Int

    /// The packet that `bytes` are: a whole one of `packetBytes`, or one whose padding was taken out in any of the known ways.
    package init(_ bytes: Span<UInt8>, packetBytes: Int) throws(ASFPacketError) {
        let count = bytes.count
        guard count <= packetBytes else { throw .tooLong(bytes: count, packetBytes: packetBytes) }
        guard count >= 1 else { throw .tooShort(offset: 0, have: 0, need: 1) }
        byteCount = count
        var offset = 0
        if bytes[0] & 0x80 != 0 {
            // Bits 5 and 6 are the length's type, of which only one is defined; bit 4 says that what follows is opaque.
            guard bytes[0] & 0x70 == 0 else { throw .errorCorrection(bytes[0]) }
            offset = 1 &+ Int(bytes[0] & 0x0F)
        }
        errorCorrectionBytes = offset
        guard count &- offset >= 2 else { throw .tooShort(offset: offset, have: max(count &- offset, 0), need: 2) }
        let flags = bytes[offset]
        lengthFlags = flags
        propertyFlags = bytes[offset &+ 1]
        // Stream numbers and media object numbers take a byte in every file there is.
        guard propertyFlags & 0xC0 == 0x40 else { throw .propertyFlags(propertyFlags, offset: offset &+ 1) }
        offset = offset &+ 2
        let packetLengthBytes = Self.fieldBytes(flags >> 5), sequenceBytes = Self.fieldBytes(flags >> 1)
        let paddingBytes = Self.fieldBytes(flags >> 3)
        let need = packetLengthBytes &+ sequenceBytes &+ paddingBytes &+ 6
        guard count &- offset >= need else { throw .tooShort(offset: offset, have: count &- offset, need: need) }
        let lengthOffset = offset
        explicitLength = packetLengthBytes > 0 ? bytes.loadLittle(offset, byteCount: packetLengthBytes) : nil
        offset = offset &+ packetLengthBytes &+ sequenceBytes
        let paddingOffset = offset
        paddingLength = bytes.loadLittle(offset, byteCount: paddingBytes)
        offset = offset &+ paddingBytes
        sendTimeOffset = offset
        sendTime = bytes.loadLittle32(offset)
        duration = bytes.loadLittle16(offset &+ 4)
        offset = offset &+ 6
        hasSeveralPayloads = flags & 1 != 0
        if hasSeveralPayloads {
            guard count > offset else { throw .tooShort(offset: offset, have: 0, need: 1) }
            payloadCount = Int(bytes[offset] & 0x3F)
            payloadLengthBytes = Self.fieldBytes(bytes[offset] >> 6)
            guard payloadCount > 0 else { throw .noPayloads(offset: offset) }
            guard payloadLengthBytes > 0 else { throw .noPayloadLengths(offset: offset) }
            offset = offset &+ 1
        } else {
            payloadCount = 1
            payloadLengthBytes = 0
        }
        payloadsOffset = offset
        // An explicit length counts the padding; without one the packet has P bytes, of which a server may have sent no more than it needed.
        let padding = Int(paddingLength)
        if let length = explicitLength {
            let end = Int(length)
            guard end <= count, end >= offset else { throw .packetLength(length, offset: lengthOffset, have: count) }
            guard padding <= end &- offset else { throw .paddingLength(paddingLength, offset: paddingOffset, have: end &- offset) }
            payloadsEnd = end &- padding
        } else {
            guard padding <= packetBytes &- offset else {
                throw .paddingLength(paddingLength, offset: paddingOffset, have: packetBytes &- offset)
            }
            payloadsEnd = min(packetBytes &- padding, count)
        }
    }

    /// Bytes from whose beginning ``sendTime(ofHead:)`` tells, whatever the packet.
    package static let sendTimeHeadBytes = 34

    /// The send time of the packet that begins so, for who looks at nothing else; nil where the bytes are too few, or begin no packet.
    package static func sendTime(ofHead bytes: Span<UInt8>) -> UInt32? {
        guard bytes.count >= 1 else { return nil }
        var offset = bytes[0] & 0x80 != 0 ? 1 &+ Int(bytes[0] & 0x0F) : 0
        guard bytes.count &- offset >= 2 else { return nil }
        let flags = bytes[offset]
        offset = offset &+ 2 &+ fieldBytes(flags >> 5) &+ fieldBytes(flags >> 1) &+ fieldBytes(flags >> 3)
        return bytes.count &- offset >= 4 ? bytes.loadLittle32(offset) : nil
    }

    /// Bytes of the packet that are neither head nor payloads' room.
    package var paddingBytes: Int { byteCount &- payloadsEnd }

    /// Bytes of a field whose type is in the lowest two bits.
    static func fieldBytes(_ type: UInt8) -> Int {
        let type = Int(type & 3)
        return type == 3 ? 4 : type
    }
}

extension Span<UInt8> {
    /// A number of 0, 1, 2 or 4 bytes at an offset that the caller has checked.
    func loadLittle(_ offset: Int, byteCount: Int) -> UInt32 {
        switch byteCount {
        case 1: UInt32(self[offset])
        case 2: UInt32(loadLittle16(offset))
        case 4: loadLittle32(offset)
        default: 0
        }
    }
}
