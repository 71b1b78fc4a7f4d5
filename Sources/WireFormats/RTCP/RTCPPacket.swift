/// Why bytes are not RTCP.
package enum RTCPError: Error, Hashable, BitwiseCopyable {
    /// Fewer bytes behind `offset` than a packet's header or its length say.
    case tooShort(offset: Int, have: Int, need: Int)
    /// A version other than 2 at `offset`.
    case version(UInt8, offset: Int)
    /// A packet type outside 192–223 at `offset`.
    case notRTCP(packetType: UInt8, offset: Int)
    /// A padding count of 0, no multiple of 4, or more than the packet has.
    case padding(count: UInt8, offset: Int)
}

/// What kinds of packets there are (RFC 3550 section 12.1, RFC 4585, RFC 3611).
package enum RTCPPacketType {
    /// Sender report.
    package static let senderReport: UInt8 = 200
    /// Receiver report.
    package static let receiverReport: UInt8 = 201
    /// Source description.
    package static let sourceDescription: UInt8 = 202
    /// Goodbye.
    package static let bye: UInt8 = 203
    /// Application-defined.
    package static let application: UInt8 = 204
    /// Transport feedback: NACK (format 1), TWCC (15).
    package static let transportFeedback: UInt8 = 205
    /// Payload feedback: PLI (format 1), FIR (4), REMB (15).
    package static let payloadFeedback: UInt8 = 206
    /// Extended report.
    package static let extendedReport: UInt8 = 207
}

/// One packet of a compound: its header, and where it lies. Holds no bytes.
///
///      0               1               2               3
///     +---+-+---------+---------------+-------------------------------+
///     | V |P| RC/FMT  |      PT       |   32-bit words behind these   |
///     +---+-+---------+---------------+-------------------------------+
package struct RTCPPacket: Sendable, Hashable, BitwiseCopyable {
    /// Reports, chunks or sources inside; for feedback its format.
    package var count: UInt8
    /// See ``RTCPPacketType``.
    package var packetType: UInt8
    /// Where the header begins in the compound.
    package var offset: Int
    /// Where the packet's content ends, padding excluded; at least `offset + 4`.
    package var end: Int

    @usableFromInline init(count: UInt8, packetType: UInt8, offset: Int, end: Int) {
        self.count = count
        self.packetType = packetType
        self.offset = offset
        self.end = end
    }

    /// Bytes behind the header.
    @inlinable package var contentLength: Int { end &- offset &- 4 }
}

/// Walks over the packets of a compound (RFC 3550 section 6.1) without allocating: keep it beside the bytes and pass them in.
///
///     var compound = RTCPCompound()
///     while let packet = try compound.next(in: bytes) { … }
package struct RTCPCompound: Sendable, Hashable, BitwiseCopyable {
    /// Where the next packet begins.
    package private(set) var offset = 0

    /// At the beginning.
    package init() {}

    /// The next packet; nil at the end. Tolerated: fewer than four bytes left over, padding on any packet, any order.
    package mutating func next(in bytes: Span<UInt8>) throws(RTCPError) -> RTCPPacket? {
        let have = bytes.count &- offset
        guard have >= 4 else {
            if offset == 0 { throw .tooShort(offset: 0, have: have, need: 4) }
            return nil
        }
        let first = bytes[offset], packetType = bytes[offset &+ 1]
        guard first >> 6 == 2 else { throw .version(first >> 6, offset: offset) }
        guard packetType >= 192, packetType <= 223 else { throw .notRTCP(packetType: packetType, offset: offset) }
        let length = 4 &+ 4 &* Int(bytes.load16(offset &+ 2))
        guard have >= length else { throw .tooShort(offset: offset, have: have, need: length) }
        var end = offset &+ length
        if first & 0x20 != 0 {
            let padding = length > 4 ? bytes[end &- 1] : 0
            guard padding > 0, padding & 3 == 0, Int(padding) <= length &- 4 else { throw .padding(count: padding, offset: offset) }
            end = end &- Int(padding)
        }
        let packet = RTCPPacket(count: first & 0x1F, packetType: packetType, offset: offset, end: end)
        offset = offset &+ length
        return packet
    }

    /// Whether the bytes are a compound as RFC 3550 appendix A.2 wants it: version 2, a report first (or, for reduced-size RTCP,
    /// feedback, RFC 5506), lengths that add up. More tolerant than the RFC in one thing: padding may stand anywhere.
    package static func isValid(_ bytes: Span<UInt8>) -> Bool {
        var compound = RTCPCompound()
        var isFirst = true
        while true {
            do {
                guard let packet = try compound.next(in: bytes) else { return !isFirst && compound.offset == bytes.count }
                if isFirst, packet.packetType == RTCPPacketType.sourceDescription || packet.packetType == RTCPPacketType.application {
                    return false
                }
                isFirst = false
            } catch { return false }
        }
    }
}
