/// Why a datagram is not RTP.
package enum RTPHeaderError: Error, Hashable, BitwiseCopyable {
    /// Fewer bytes than the header (with its CSRC list and extension) takes.
    case tooShort(have: Int, need: Int)
    /// Version other than 2.
    case version(UInt8)
    /// The padding count is 0, or more than there is behind the header.
    case padding(count: UInt8, have: Int)
}

/// The header of an RTP packet (RFC 3550 section 5.1). A plain value: it says where the payload lies, it holds no bytes.
///
///      0               1               2               3
///     +-+-+-+-+-------+-+-------------+-------------------------------+
///     | V |P|X|  CC   |M|     PT      |        sequence number        |
///     +---+-+-+-------+-+-------------+-------------------------------+
///     |                           timestamp                           |
///     +---------------------------------------------------------------+
///     |                             SSRC                              |
///     +---------------------------------------------------------------+
///     |                     CSRC, CC times 4 bytes                    |
///     +-------------------------------+-------------------------------+
///     |   extension profile, if X     |     length in 32-bit words    |
///     +-------------------------------+-------------------------------+
package struct RTPHeader: Sendable, Hashable, BitwiseCopyable {
    /// Bytes without CSRC list and extension.
    package static let byteCountMin = 12

    /// Always 2 for a header that was read.
    @inlinable package var version: UInt8 { 2 }
    /// Whether padding follows the payload; ``payloadEnd`` excludes it.
    package var hasPadding: Bool
    /// Whether an extension header stood before the payload.
    package var hasExtension: Bool
    /// Contributing sources, 0–15.
    package var csrcCount: UInt8
    /// The marker bit: for video the last packet of a frame.
    package var marker: Bool
    /// 0–127.
    package var payloadType: UInt8
    /// The sequence number.
    package var sequence: UInt16
    /// The timestamp, in units of the track's clock rate.
    package var timestamp: UInt32
    /// The synchronisation source.
    package var ssrc: UInt32
    /// Where the payload begins in the packet.
    package var payloadOffset: Int
    /// Where the payload ends in the packet, padding excluded; never below ``payloadOffset``.
    package var payloadEnd: Int

    /// Bytes of payload, possibly 0.
    @inlinable package var payloadLength: Int { payloadEnd &- payloadOffset }

    /// A header to be written, without CSRC list, extension and padding.
    @inlinable package init(payloadType: UInt8, marker: Bool, sequence: UInt16, timestamp: UInt32, ssrc: UInt32, payloadLength: Int = 0) {
        hasPadding = false
        hasExtension = false
        csrcCount = 0
        self.marker = marker
        self.payloadType = payloadType & 0x7F
        self.sequence = sequence
        self.timestamp = timestamp
        self.ssrc = ssrc
        payloadOffset = 12
        payloadEnd = 12 &+ (payloadLength < 0 ? 0 : payloadLength)
    }

    /// The header of the packet that `bytes` is.
    @inlinable package init(_ bytes: Span<UInt8>) throws(RTPHeaderError) {
        let count = bytes.count
        guard count >= 12 else { throw .tooShort(have: count, need: 12) }
        let first = bytes[0], second = bytes[1]
        guard first >> 6 == 2 else { throw .version(first >> 6) }
        hasPadding = first & 0x20 != 0
        hasExtension = first & 0x10 != 0
        csrcCount = first & 0x0F
        marker = second & 0x80 != 0
        payloadType = second & 0x7F
        sequence = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        timestamp = UInt32(bytes[4]) << 24 | UInt32(bytes[5]) << 16 | UInt32(bytes[6]) << 8 | UInt32(bytes[7])
        ssrc = UInt32(bytes[8]) << 24 | UInt32(bytes[9]) << 16 | UInt32(bytes[10]) << 8 | UInt32(bytes[11])
        var offset = 12 &+ 4 &* Int(first & 0x0F)
        if first & 0x10 != 0 {
            guard count >= offset &+ 4 else { throw .tooShort(have: count, need: offset &+ 4) }
            offset = offset &+ 4 &+ 4 &* (Int(bytes[offset &+ 2]) << 8 | Int(bytes[offset &+ 3]))
        }
        guard count >= offset else { throw .tooShort(have: count, need: offset) }
        var end = count
        if first & 0x20 != 0 {
            let padding = count > offset ? bytes[count &- 1] : 0
            guard padding > 0, Int(padding) <= count &- offset else { throw .padding(count: padding, have: count &- offset) }
            end = count &- Int(padding)
        }
        payloadOffset = offset
        payloadEnd = end
    }

    /// Appends the twelve bytes of a header without CSRC list, extension and padding.
    @inlinable package func write(into bytes: inout OutputRawSpan) {
        bytes.append(0x80)
        bytes.append((marker ? 0x80 : 0) | payloadType & 0x7F)
        bytes.append(UInt8(truncatingIfNeeded: sequence >> 8))
        bytes.append(UInt8(truncatingIfNeeded: sequence))
        bytes.append32(timestamp)
        bytes.append32(ssrc)
    }

    /// A whole packet.
    package func packet(payload: [UInt8]) -> [UInt8] {
        [0x80, (marker ? 0x80 : 0) | payloadType & 0x7F, UInt8(truncatingIfNeeded: sequence >> 8), UInt8(truncatingIfNeeded: sequence)]
            + bigEndian(timestamp) + bigEndian(ssrc) + payload
    }

    /// Writes sequence number, timestamp and SSRC over those of the packet in `bytes`, which has at least twelve.
    @inlinable package static func rewrite(_ bytes: inout MutableSpan<UInt8>, sequence: UInt16, timestamp: UInt32, ssrc: UInt32) {
        precondition(bytes.count >= 12)
        bytes[2] = UInt8(truncatingIfNeeded: sequence >> 8)
        bytes[3] = UInt8(truncatingIfNeeded: sequence)
        bytes[4] = UInt8(truncatingIfNeeded: timestamp >> 24)
        bytes[5] = UInt8(truncatingIfNeeded: timestamp >> 16)
        bytes[6] = UInt8(truncatingIfNeeded: timestamp >> 8)
        bytes[7] = UInt8(truncatingIfNeeded: timestamp)
        bytes[8] = UInt8(truncatingIfNeeded: ssrc >> 24)
        bytes[9] = UInt8(truncatingIfNeeded: ssrc >> 16)
        bytes[10] = UInt8(truncatingIfNeeded: ssrc >> 8)
        bytes[11] = UInt8(truncatingIfNeeded: ssrc)
    }

    /// Whether a packet of a socket that carries both is RTCP: the second byte is 192–223 (RFC 5761 section 4).
    @inlinable package static func isRTCP(secondByte: UInt8) -> Bool { secondByte >= 192 && secondByte <= 223 }
}
