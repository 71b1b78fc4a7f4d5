import Testing

@testable import WireFormats

/// The RTP packets behind `$`, a channel and a length.
func rtpFrames(_ bytes: [UInt8]) -> [(channel: UInt8, packet: [UInt8])] {
    var frames: [(UInt8, [UInt8])] = []
    var offset = 0
    while offset + 4 <= bytes.count, bytes[offset] == 0x24 {
        let end = offset + 4 + Int(bytes[offset + 2]) << 8 + Int(bytes[offset + 3])
        frames.append((bytes[offset + 1], Array(bytes[(offset + 4)..<end])))
        offset = end
    }
    #expect(offset == bytes.count)
    return frames
}

/// What a receiver gets out of frames.
func received(_ frames: [[UInt8]], by receiver: inout ASFRTPReceiver) throws -> [ASFRTPReceiver.Packet] {
    var packets: [ASFRTPReceiver.Packet] = []
    for frame in frames {
        let header = try RTPHeader(frame.span)
        receiver.take(frame.span.extracting(header.payloadOffset..<header.payloadEnd), timestamp: header.timestamp, marker: header.marker) {
            packets.append($0)
        }
    }
    return packets
}

/// A packet of 3,000 bytes without padding: one key payload of stream 2.
let bigPacket: [UInt8] =
    [0x82, 0, 0, 0x00, 0x5D] + le32(5_000) + le16(40) + [0x82, 7] + le32(0) + [8] + le32(2_974, 6_000)
    + (0..<2_974).map { UInt8(truncatingIfNeeded: $0 * 7) }

struct ASFRTPTests {
    @Test(arguments: [
        // flags, length; what it says
        ([0xC0, 0x00, 0x05, 0xAE, 1], ASFPayloadHeader(hasKeyFrame: true, isWhole: true, lengthOrOffset: 1_454)),
        ([0x00, 0x01, 0x00, 0x00, 1], ASFPayloadHeader(hasKeyFrame: false, isWhole: false, lengthOrOffset: 65_536)),
        (
            [0x78, 0, 0, 17, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 0, 40, 0, 1, 0, 2, 1],
            ASFPayloadHeader(
                hasKeyFrame: false, isWhole: true, lengthOrOffset: 17, relativeTimestamp: -2, duration: 40, locationID: 65_538)
        ),
    ]) func payloadHeader(_ bytes: [UInt8], _ header: ASFPayloadHeader) throws {
        #expect(try ASFPayloadHeader(bytes.span, at: 0) == header)
        var written: [UInt8] = []
        header.write(to: &written)
        #expect(written == bytes.dropLast() && header.byteCount == written.count)
        #expect(throws: ASFPayloadHeaderError.empty(offset: 0)) { try ASFPayloadHeader(written.span, at: 0) }
        let short = Array(written.dropLast())
        #expect(throws: ASFPayloadHeaderError.self) { try ASFPayloadHeader(short.span, at: 0) }
    }

    /// What MS-RTSP's players want: no padding, the length said in 16 bits; a full packet as it is.
    @Test func writesSizedPackets() throws {
        let first = try ASFPacket.sized(ASFSample.packet0, packetBytes: 128),
            second = try ASFPacket.sized(ASFSample.packet1, packetBytes: 128)
        #expect(first == [0x82, 0, 0, 0x40, 0x5D, 0x6C, 0] + ASFSample.packet0[7..<108])
        #expect(second == [0x82, 0, 0, 0x41, 0x5D, 0x72, 0] + ASFSample.packet1[6..<113])
        #expect(try ASFPacket.sized(first, packetBytes: 128) == first)
        #expect(try ASFPacket.sized(bigPacket, packetBytes: 3_000) == bigPacket)
        // A stripped packet without a length gets one; where that does not fit, the packet is made whole.
        let implied = try ASFPacket.stripped(ASFSample.packet1, packetBytes: 128)
        #expect(try ASFPacket.sized(implied, packetBytes: 128) == second)
        let tight = try ASFPacket.sized(implied, packetBytes: implied.count + 1)
        #expect(tight.count == implied.count + 1)
        #expect(try asfContents(tight, packetBytes: tight.count) == asfContents(implied, packetBytes: 128))
    }

    @Test func framesAWholePacket() throws {
        var packetiser = ASFRTPPacketiser(packetBytes: 128, form: .whole, ssrc: 0x2F73_682B, sequence: 0xFFFF)
        var bytes: [UInt8] = []
        let count = try packetiser.append(ASFSample.packet0, locationID: 9, channel: 0, firstChannel: 1, to: &bytes)
        #expect(count == 1 && packetiser.sequence == 0)
        let asf = try ASFPacket.sized(ASFSample.packet0, packetBytes: 128)
        let rtp: [UInt8] = [0x80, 0xE0, 0xFF, 0xFF, 0, 0, 0, 0, 0x2F, 0x73, 0x68, 0x2B]
        // The length counts the header; the payload has the key bit.
        #expect(bytes == [0x24, 1, 0, 12 + 4 + 108] + rtp + [0xC0, 0, 0, 4 + 108] + asf)
        #expect(packetiser.rtpPacketBytesMax == 12 + 4 + 128)
    }

    /// Pieces of about one length, none too long; S in each, M and the first channel in one; the location where it is wanted.
    @Test(arguments: [1_452, 1_100, 800], [true, false]) func cutsIntoPieces(_ bytesMax: Int, hasLocation: Bool) throws {
        var packetiser = ASFRTPPacketiser(
            packetBytes: 3_000, form: .datagrams(bytesMax: bytesMax), ssrc: 1, sequence: 100, sendsLocation: hasLocation)
        var bytes: [UInt8] = []
        let count = try packetiser.append(bigPacket, locationID: 77, channel: 4, firstChannel: 5, to: &bytes)
        let frames = rtpFrames(bytes)
        #expect(count == frames.count && packetiser.sequence == 100 + UInt16(count))
        #expect(frames.map(\.channel) == [5] + Array(repeating: 4, count: count - 1))
        var offset = 0
        for (index, frame) in frames.enumerated() {
            let header = try RTPHeader(frame.packet.span), own = try ASFPayloadHeader(frame.packet.span, at: 12)
            #expect(frame.packet.count <= min(bytesMax, packetiser.rtpPacketBytesMax))
            #expect(header.marker == (index == count - 1) && header.timestamp == 5_000 && header.sequence == 100 + UInt16(index))
            #expect(own.hasKeyFrame && !own.isWhole && Int(own.lengthOrOffset) == offset && own.locationID == (hasLocation ? 77 : nil))
            offset += frame.packet.count - 12 - own.byteCount
        }
        #expect(offset == 3_000 && Set(frames.dropLast().map(\.packet.count)).count == 1)
        var receiver = ASFRTPReceiver(packetBytes: 3_000, isPadded: true)
        let packets = try received(frames.map(\.packet), by: &receiver)
        #expect(packets == [.init(bytes: bigPacket, locationID: hasLocation ? 77 : nil, sendTime: 5_000, hasKeyFrame: true)])
        #expect(receiver.counters == .init(packets: 1, packetsIncomplete: 0, malformed: 0))
    }

    @Test func splitsPayloads() throws {
        let mixed = asfMixedPacket(payloads: [
            asfPayload(2, key: true, of: 60, Array(0..<20)), asfPayload(1, of: 5, [1, 2, 3, 4, 5]), asfPayload(2, offset: 20, of: 60, [9]),
        ])
        var packetiser = ASFRTPPacketiser(packetBytes: 200, form: .whole, ssrc: 1, sequence: 0, splitsPayloads: true)
        var bytes: [UInt8] = []
        #expect(try packetiser.append(mixed, firstChannel: 1, to: &bytes) == 3)
        let frames = rtpFrames(bytes)
        #expect(frames.map(\.channel) == [1, 0, 0])
        let parts = frames.map { Array($0.packet[16...]) }
        #expect(try parts.flatMap { try asfContents($0, packetBytes: 200) } == asfContents(mixed, packetBytes: 200))
        for part in parts {
            let packet = try ASFPacket(part, packetBytes: 200)
            #expect(!packet.hasSeveralPayloads && packet.explicitLength == UInt32(part.count) && packet.sendTime == 70)
        }
        #expect(frames.map { $0.packet[12] & 0x80 != 0 } == [true, false, false])
        // A single payload goes as it is.
        #expect(try packetiser.append(ASFSample.packet0, to: &bytes) == 1)
    }

    @Test func refusesWhatCannotBeRead() {
        var packetiser = ASFRTPPacketiser(packetBytes: 128, form: .whole, ssrc: 1, sequence: 5)
        var bytes: [UInt8] = [1]
        #expect(throws: ASFPacketError.self) { try packetiser.append(Array(ASFSample.packet1.prefix(40)), to: &bytes) }
        #expect(bytes == [1] && packetiser.sequence == 5)
    }

    /// Lengths with and without the header, alone and several in one RTP packet.
    @Test(arguments: [4, 0], [1, 2, 3]) func takesBothLengths(_ counted: Int, count: Int) throws {
        let asf = try ASFPacket.sized(ASFSample.packet0, packetBytes: 128)
        let one = [0xC0, 0, 0, UInt8(asf.count + counted)] + asf
        let payload = (0..<count).flatMap { _ in one }
        for isPadded in [true, false] {
            var receiver = ASFRTPReceiver(packetBytes: 128, isPadded: isPadded)
            var packets: [[UInt8]] = []
            receiver.take(payload.span, timestamp: 0, marker: true) { packets.append($0.bytes) }
            let expected = isPadded ? try ASFPacket.full(asf, packetBytes: 128) : asf
            #expect(packets == Array(repeating: expected, count: count))
            #expect(receiver.counters.malformed == 0)
        }
    }

    /// A full packet to which a server added its length is two bytes longer, and becomes what it was.
    @Test func takesALengthThatWasAdded() throws {
        var longer = bigPacket
        longer[3] |= 0x40
        longer.insert(contentsOf: le16(3_002), at: 5)
        var receiver = ASFRTPReceiver(packetBytes: 3_000, isPadded: true)
        var packets: [[UInt8]] = []
        let payload: [UInt8] = [0xC0, 0, 0x0B, 0xBE] + longer
        receiver.take(payload.span, timestamp: 5_000, marker: true) { packets.append($0.bytes) }
        #expect(packets == [bigPacket])
    }

    /// Whatever piece is missing, nothing of its packet comes out, it is counted once, and the next packet is whole.
    @Test(arguments: [0, 1, 2]) func givesUpWithAMissingPiece(_ missing: Int) throws {
        var packetiser = ASFRTPPacketiser(packetBytes: 3_000, form: .datagrams(bytesMax: 1_452), ssrc: 1, sequence: 0)
        var bytes: [UInt8] = []
        for _ in 0..<2 { _ = try packetiser.append(bigPacket, to: &bytes) }
        let frames = rtpFrames(bytes).map(\.packet)
        #expect(frames.count == 6)
        var receiver = ASFRTPReceiver(packetBytes: 3_000, isPadded: false)
        var packets = try received(Array(frames[..<missing]), by: &receiver)
        receiver.gap()
        packets += try received(Array(frames[(missing + 1)...]), by: &receiver)
        #expect(packets.map(\.bytes) == [bigPacket])
        #expect(receiver.counters == .init(packets: 1, packetsIncomplete: 1, malformed: 0))
    }

    /// A packet that FEC recovered may lack the marker bit.
    @Test func endsWithoutAMarker() throws {
        var packetiser = ASFRTPPacketiser(packetBytes: 3_000, form: .datagrams(bytesMax: 1_452), ssrc: 1, sequence: 0)
        var bytes: [UInt8] = []
        _ = try packetiser.append(bigPacket, to: &bytes)
        var frames = rtpFrames(bytes).map(\.packet)
        frames[2][1] &= 0x7F
        var receiver = ASFRTPReceiver(packetBytes: 3_000, isPadded: false)
        #expect(try received(frames, by: &receiver).map(\.bytes) == [bigPacket])
    }

    @Test(arguments: [[], [0xC0], [0xC0, 0, 0, 9], [0xF8, 0, 0, 9, 0, 0, 0, 0], [0xC0, 0, 0, 9, 1, 2, 3, 4, 5]] as [[UInt8]])
    func countsWhatIsNone(_ payload: [UInt8]) {
        var receiver = ASFRTPReceiver(packetBytes: 128, isPadded: true)
        receiver.take(payload.span, timestamp: 0, marker: true) { _ in Issue.record("a packet came out") }
        #expect(receiver.counters == .init(packets: 0, packetsIncomplete: 0, malformed: payload.isEmpty ? 0 : 1))
    }

    /// What is begun never grows beyond a packet.
    @Test func isBounded() {
        var receiver = ASFRTPReceiver(packetBytes: 128, isPadded: true)
        for index in 0..<100 {
            let payload = [0, 0, UInt8((index * 40) >> 8), UInt8(truncatingIfNeeded: index * 40)] + [UInt8](repeating: 0x82, count: 40)
            receiver.take(payload.span, timestamp: 0, marker: false) { _ in Issue.record("a packet came out") }
        }
        #expect(receiver.counters.packetsIncomplete == 1)
    }
}
