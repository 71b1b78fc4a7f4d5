/// What a receiver says of one source (RFC 3550 section 6.4.1), 24 bytes.
package struct RTCPReportBlock: Sendable, Hashable, BitwiseCopyable {
    /// Bytes of a block.
    package static let byteCount = 24

    /// The source.
    package var ssrc: UInt32
    /// Packets lost since the report before, in 1/256 of those expected.
    package var fractionLost: UInt8
    /// Packets lost since the beginning, of 24 bits with a sign.
    package var lostTotal: Int32
    /// The highest sequence number received, its cycles in the upper half.
    package var highestSequence: UInt32
    /// Interarrival jitter in timestamp units.
    package var jitter: UInt32
    /// The middle 32 bits of the last sender report's NTP time; 0 when there was none.
    package var lastSenderReport: UInt32
    /// Time since that report, in 1/65,536 s.
    package var delaySinceLastSenderReport: UInt32

    /// A block. What `lostTotal` has beyond 24 bits is cut to the nearest number that fits.
    package init(
        ssrc: UInt32, fractionLost: UInt8, lostTotal: Int32, highestSequence: UInt32, jitter: UInt32, lastSenderReport: UInt32,
        delaySinceLastSenderReport: UInt32
    ) {
        self.ssrc = ssrc
        self.fractionLost = fractionLost
        self.lostTotal = min(max(lostTotal, -0x80_0000), 0x7F_FFFF)
        self.highestSequence = highestSequence
        self.jitter = jitter
        self.lastSenderReport = lastSenderReport
        self.delaySinceLastSenderReport = delaySinceLastSenderReport
    }

    /// The block at an offset that has been checked.
    init(_ bytes: Span<UInt8>, at offset: Int) {
        ssrc = bytes.load32(offset)
        fractionLost = bytes[offset &+ 4]
        let lost = bytes.load32(offset &+ 4) & 0xFF_FFFF
        lostTotal = Int32(bitPattern: lost << 8) >> 8
        highestSequence = bytes.load32(offset &+ 8)
        jitter = bytes.load32(offset &+ 12)
        lastSenderReport = bytes.load32(offset &+ 16)
        delaySinceLastSenderReport = bytes.load32(offset &+ 20)
    }

    func write(into bytes: inout OutputRawSpan) {
        bytes.append32(ssrc)
        bytes.append32(UInt32(fractionLost) << 24 | UInt32(bitPattern: lostTotal) & 0xFF_FFFF)
        bytes.append32(highestSequence)
        bytes.append32(jitter)
        bytes.append32(lastSenderReport)
        bytes.append32(delaySinceLastSenderReport)
    }
}

/// What a sender says of itself (RFC 3550 section 6.4.1), without the report blocks.
package struct RTCPSenderReport: Sendable, Hashable, BitwiseCopyable {
    /// The sender.
    package var ssrc: UInt32
    /// The moment of the report, seconds since 1900 in the upper half.
    package var ntp: NTPTime
    /// The same moment on the RTP clock.
    package var rtpTimestamp: UInt32
    /// Packets sent since the beginning, modulo 2^32.
    package var packetCount: UInt32
    /// Bytes of payload sent since the beginning, modulo 2^32.
    package var octetCount: UInt32

    /// A report.
    package init(ssrc: UInt32, ntp: NTPTime, rtpTimestamp: UInt32, packetCount: UInt32, octetCount: UInt32) {
        self.ssrc = ssrc
        self.ntp = ntp
        self.rtpTimestamp = rtpTimestamp
        self.packetCount = packetCount
        self.octetCount = octetCount
    }

    /// The report that a packet is; nil when it is another kind or too short. `bytes` is the compound that gave the packet.
    package init?(_ packet: RTCPPacket, in bytes: Span<UInt8>) {
        guard packet.packetType == RTCPPacketType.senderReport, packet.contentLength >= 24, packet.end <= bytes.count else { return nil }
        let start = packet.offset &+ 4
        ssrc = bytes.load32(start)
        ntp = NTPTime(UInt64(bytes.load32(start &+ 4)) << 32 | UInt64(bytes.load32(start &+ 8)))
        rtpTimestamp = bytes.load32(start &+ 12)
        packetCount = bytes.load32(start &+ 16)
        octetCount = bytes.load32(start &+ 20)
    }
}

extension RTCPPacket {
    /// The SSRC of whoever sent the packet: of reports, BYE, APP and feedback the first word. Nil when there is none.
    package func senderSSRC(in bytes: Span<UInt8>) -> UInt32? {
        guard contentLength >= 4, end <= bytes.count else { return nil }
        return bytes.load32(offset &+ 4)
    }

    /// How many report blocks a sender or receiver report has: as many as it says and as fit.
    package var reportBlockCount: Int {
        let header: Int
        switch packetType {
        case RTCPPacketType.senderReport: header = 24
        case RTCPPacketType.receiverReport: header = 4
        default: return 0
        }
        return contentLength < header ? 0 : min(Int(count), (contentLength &- header) / RTCPReportBlock.byteCount)
    }

    /// A report block, by its number below ``reportBlockCount``; nil for others.
    package func reportBlock(_ number: Int, in bytes: Span<UInt8>) -> RTCPReportBlock? {
        guard number >= 0, number < reportBlockCount, end <= bytes.count else { return nil }
        let header = packetType == RTCPPacketType.senderReport ? 28 : 8
        return RTCPReportBlock(bytes, at: offset &+ header &+ number &* RTCPReportBlock.byteCount)
    }

    /// Whether a BYE names that source. A BYE that names none means its sender, which nobody knows then: false.
    package func saysGoodbye(of ssrc: UInt32, in bytes: Span<UInt8>) -> Bool {
        guard packetType == RTCPPacketType.bye, end <= bytes.count else { return false }
        for number in 0..<min(Int(count), contentLength / 4) where bytes.load32(offset &+ 4 &+ 4 &* number) == ssrc { return true }
        return false
    }

    /// Whether it asks for a key frame: PLI or FIR (RFC 4585 section 6.3.1, RFC 5104 section 4.3.1).
    package var asksForKeyFrame: Bool { packetType == RTCPPacketType.payloadFeedback && (count == 1 || count == 4) }

    /// The CNAME of the first chunk of a source description; nil when there is none. Tolerated: items without end, as some cameras send.
    package func canonicalName(in bytes: Span<UInt8>) -> String? {
        guard packetType == RTCPPacketType.sourceDescription, end <= bytes.count else { return nil }
        var item = offset &+ 8
        while item &+ 2 <= end, bytes[item] != 0 {
            let length = Int(bytes[item &+ 1])
            guard item &+ 2 &+ length <= end else { return nil }
            if bytes[item] == 1 {
                var name: [UInt8] = []
                for index in (item &+ 2)..<(item &+ 2 &+ length) { name.append(bytes[index]) }
                return name[...].text
            }
            item = item &+ 2 &+ length
        }
        return nil
    }
}
