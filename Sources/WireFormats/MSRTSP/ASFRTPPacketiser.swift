/// Makes RTP packets of ASF packets ([MS-RTSP] 2.2.1): one ASF packet, or a piece of one, in each. Owns the next sequence number of its RTP session.
///
/// Padding is taken out, and the packet's length written in; an ASF packet without padding goes as it is. Both FFmpeg and GStreamer lose packets
/// of any other form. The RTP timestamp is the send time.
package struct ASFRTPPacketiser: Sendable {
    /// How long RTP packets may be.
    package enum Form: Sendable, Hashable {
        /// No RTP packet has more than that, the twelve bytes of its header included: longer ASF packets go in pieces of about one length.
        case datagrams(bytesMax: Int)
        /// One RTP packet for each ASF packet, as interleaved readers get it.
        case whole
    }

    /// What a datagram may carry on a path of 1,500 bytes, with IPv6.
    package static let datagramBytesMaxDefault = 1_452
    /// The payload type of everything but FEC: players drop packets whose type is not that of the `m=` line.
    package static let payloadType: UInt8 = 96

    /// The next RTP packet's.
    package var sequence: UInt16
    /// How it was asked to cut.
    package let form: Form
    /// Of every packet.
    package let ssrc: UInt32
    /// Of every packet but those of FEC.
    package let payloadType: UInt8
    private var packetBytes: Int
    private let splitsPayloads: Bool
    private let sendsLocation: Bool
    private let rtpBytesMax: Int
    private var fec: FECEncoder?

    /// A packetiser of an RTP session, for packets of at most `packetBytes` (P of the header).
    ///
    /// - Parameter splitsPayloads: whether an ASF packet of several payloads goes as one of a single payload for each: FFmpeg's seeks want it.
    /// - Parameter sendsLocation: whether headers say which packet of its content it is: only for clients that listed `locid`.
    /// - Parameter fec: whether FEC packets go with them, in the same sequence of numbers; never with ``Form/whole``.
    package init(
        packetBytes: Int, form: Form, ssrc: UInt32, payloadType: UInt8 = ASFRTPPacketiser.payloadType, sequence: UInt16,
        splitsPayloads: Bool = false, sendsLocation: Bool = false, fec: FECSettings? = nil
    ) {
        self.packetBytes = packetBytes
        self.form = form
        self.ssrc = ssrc
        self.payloadType = payloadType & 0x7F
        self.sequence = sequence
        self.splitsPayloads = splitsPayloads
        self.sendsLocation = sendsLocation
        switch form {
        case .whole: rtpBytesMax = 0xFFFF
        case .datagrams(let bytesMax):
            // A FEC packet is that much longer than what it protects.
            let fecBytes = fec == nil ? 0 : FECHeader.byteCount
            rtpBytesMax = max(min(bytesMax, 65_507) - fecBytes, RTPHeader.byteCountMin + ASFPayloadHeader.byteCountMax + 16)
            if let fec { self.fec = FECEncoder(fec, ssrc: ssrc, rtpBytesMax: rtpBytesMax) }
        }
    }

    /// The longest RTP packet that it makes, of media or FEC.
    package var rtpPacketBytesMax: Int {
        let whole = RTPHeader.byteCountMin + headerBytes + packetBytes
        return min(whole, rtpBytesMax) + (fec == nil ? 0 : FECHeader.byteCount)
    }

    /// Packets of another size follow; what of a span for FEC was begun goes unprotected.
    package mutating func begin(packetBytes: Int) {
        self.packetBytes = packetBytes
        fec?.reset()
    }

    private var headerBytes: Int { ASFPayloadHeader.byteCountMin + (sendsLocation ? 4 : 0) }

    /// Appends an ASF packet as RTP packets, each behind `$`, a channel and its length: what readers of the connection get, and what a stream of
    /// the engine is fed. Its first RTP packet goes to `firstChannel`, the others, and FEC's, to `channel`. Gives how many there are, which is how
    /// many sequence numbers were used.
    ///
    /// - Throws: where the packet cannot be read; nothing is appended then.
    package mutating func append(
        _ packet: [UInt8], locationID: UInt32 = 0, channel: UInt8 = 0, firstChannel: UInt8? = nil, to bytes: inout [UInt8]
    ) throws(ASFPacketError) -> Int {
        let head = try ASFPacket(packet.span, packetBytes: packetBytes)
        var count = 0
        var place = Place(channel: channel, nextChannel: firstChannel ?? channel, locationID: sendsLocation ? locationID : nil)
        if splitsPayloads, head.hasSeveralPayloads {
            for part in try head.split(packet) { count += append(part.bytes, head.sendTime, part.isKey, &place, to: &bytes) }
        } else {
            let isKey = try head.hasKeyPayload(packet.span)
            let sized = try ASFPacket.array(packet, capacity: packetBytes) { [packetBytes] output throws(ASFPacketError) in
                try head.writeSized(packet.span, packetBytes: packetBytes, into: &output)
            }
            count = append(sized, head.sendTime, isKey, &place, to: &bytes)
        }
        return count
    }

    private struct Place {
        let channel: UInt8
        var nextChannel: UInt8
        let locationID: UInt32?
    }

    private mutating func append(
        _ packet: [UInt8], _ sendTime: UInt32, _ isKey: Bool, _ place: inout Place, to bytes: inout [UInt8]
    ) -> Int {
        let room = rtpBytesMax - RTPHeader.byteCountMin - headerBytes
        // Pieces of one length make longer trains.
        let pieces = max((packet.count + room - 1) / room, 1)
        let pieceBytes = (packet.count + pieces - 1) / pieces
        var offset = 0, count = 0
        while offset < packet.count {
            let end = min(offset + pieceBytes, packet.count)
            let header = ASFPayloadHeader(
                hasKeyFrame: isKey, isWhole: pieces == 1,
                lengthOrOffset: UInt32(clamping: pieces == 1 ? headerBytes + packet.count : offset),
                locationID: place.locationID)
            let rtpBytes = RTPHeader.byteCountMin + headerBytes + end - offset
            bytes.append(InterleavedHeader.magic)
            bytes.append(place.nextChannel)
            bytes.append(big: UInt16(clamping: rtpBytes))
            let start = bytes.count
            bytes.append(rtpHeader: payloadType, marker: end == packet.count, sequence: sequence, timestamp: sendTime, ssrc: ssrc)
            header.write(to: &bytes)
            bytes.append(packet.span, offset..<end)
            sequence &+= 1
            place.nextChannel = place.channel
            count += 1 + protect(start..<bytes.count, place.channel, to: &bytes)
            offset = end
        }
        return count
    }

    private mutating func protect(_ range: Range<Int>, _ channel: UInt8, to bytes: inout [UInt8]) -> Int {
        guard fec != nil else { return 0 }
        let isDue = fec?.take(bytes.span.extracting(range)) ?? false
        guard isDue else { return 0 }
        return fec?.append(channel: channel, sequence: &sequence, to: &bytes) ?? 0
    }
}

extension [UInt8] {
    /// Appends an RTP header of twelve bytes.
    mutating func append(rtpHeader payloadType: UInt8, marker: Bool, sequence: UInt16, timestamp: UInt32, ssrc: UInt32) {
        append(0x80)
        append((marker ? 0x80 : 0) | payloadType & 0x7F)
        append(big: sequence)
        append(big: timestamp)
        append(big: ssrc)
    }
}

extension ASFPacket {
    /// Whether a payload has the key bit.
    package func hasKeyPayload(_ bytes: Span<UInt8>) throws(ASFPacketError) -> Bool {
        var payloads = ASFPayloads(self)
        while let payload = try payloads.next(in: bytes) {
            if payload.isKey { return true }
        }
        return false
    }

    /// A packet of a single payload for each payload of this one, with its length, and with the key bit said beside.
    func split(_ bytes: [UInt8]) throws(ASFPacketError) -> [(bytes: [UInt8], isKey: Bool)] {
        var parts: [(bytes: [UInt8], isKey: Bool)] = []
        let source = bytes.span
        var payloads = ASFPayloads(self)
        while let payload = try payloads.next(in: source) {
            let headEnd = payload.dataOffset - payloadLengthBytes
            var part: [UInt8] = []
            let size = errorCorrectionBytes + 10 + headEnd - payload.start + payload.dataBytes
            part.reserveCapacity(size)
            part.append(source, 0..<errorCorrectionBytes)
            part.append(lengthFlags & 0x80 | 0x40)
            part.append(propertyFlags)
            part.appendLittle16(UInt16(clamping: size))
            part.append(source, sendTimeOffset..<(sendTimeOffset + 6))
            part.append(source, payload.start..<headEnd)
            part.append(source, payload.dataOffset..<payload.end)
            parts.append((part, payload.isKey))
        }
        return parts
    }
}
