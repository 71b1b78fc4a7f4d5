/// The four bytes before a binary frame on an RTSP connection (RFC 2326 section 10.12).
///
///      0       1         2        3
///     +-------+---------+--------+--------+
///     | 0x24  | channel | payload length  |  big-endian
///     +-------+---------+--------+--------+
package struct InterleavedHeader: Sendable, Hashable, BitwiseCopyable {
    /// `$`, which no RTSP message begins with.
    package static let magic: UInt8 = 0x24
    /// Bytes of the header.
    package static let byteCount = 4

    /// The channel that SETUP gave to a track's RTP or RTCP.
    package var channel: UInt8
    /// Bytes behind the header.
    package var payloadLength: Int

    /// A header; a payload length outside 0–65,535 is a mistake of ours.
    @inlinable package init(channel: UInt8, payloadLength: Int) {
        precondition(payloadLength >= 0 && payloadLength <= 0xFFFF)
        self.channel = channel
        self.payloadLength = payloadLength
    }

    /// The header at the beginning of `bytes`; nil if there are fewer than four, or if the first is not `$`.
    @inlinable package init?(_ bytes: Span<UInt8>) {
        guard bytes.count >= 4, bytes[0] == 0x24 else { return nil }
        channel = bytes[1]
        payloadLength = Int(bytes[2]) << 8 | Int(bytes[3])
    }

    /// The header as one number whose bytes, in big-endian order, go over the wire.
    @inlinable package var bigEndianValue: UInt32 {
        UInt32(0x24) << 24 | UInt32(channel) << 16 | UInt32(truncatingIfNeeded: payloadLength)
    }

    /// Appends the four bytes.
    @inlinable package func write(into bytes: inout OutputRawSpan) {
        bytes.append(0x24)
        bytes.append(channel)
        bytes.append(UInt8(truncatingIfNeeded: payloadLength >> 8))
        bytes.append(UInt8(truncatingIfNeeded: payloadLength))
    }

    /// A whole frame.
    package static func frame(channel: UInt8, payload: [UInt8]) -> [UInt8] {
        let header = InterleavedHeader(channel: channel, payloadLength: payload.count)
        return [magic, channel, UInt8(truncatingIfNeeded: header.payloadLength >> 8), UInt8(truncatingIfNeeded: header.payloadLength)]
            + payload
    }
}
