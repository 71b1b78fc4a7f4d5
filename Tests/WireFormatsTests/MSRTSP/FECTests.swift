import Testing

@testable import WireFormats

struct FECTests {
    @Test func countsInTheField() {
        #expect(GF256.multiply(2, 0x80) == 0x1D && GF256.multiply(0, 7) == 0 && GF256.multiply(1, 7) == 7)
        for a in 1...255 as ClosedRange<UInt8> { #expect(GF256.multiply(a, GF256.inverse(a)) == 1) }
    }

    /// Six packets, four of FEC: the rows and what they give, computed apart from this code by inverting the matrix.
    @Test func vectors() {
        let rows: [[UInt8]] = [
            [0xBA, 0x69, 0xD3, 0xD2, 0x68, 0xBB], [0xFE, 0x60, 0x89, 0x60, 0xF7, 0x81], [0x56, 0x3A, 0x7B, 0x93, 0xAC, 0x29],
            [0xD8, 0x02, 0xCD, 0x25, 0x95, 0xA6],
        ]
        #expect((0..<4).map { VandermondeCode.coefficients(row: $0, count: 6) } == rows)
        let sources: [[UInt8]] = [
            [0xDF, 0xE3, 0xAB, 0xC9, 0x41, 0xCF, 0xF8, 0xF5], [0xC5, 0x6B, 0xE7, 0x1B, 0xB8, 0xA5, 0x42, 0x2F],
            [0x4D, 0xB1, 0xFC, 0xA7, 0x35, 0x4E, 0x67, 0xDC], [0x6F, 0x4C, 0xA7, 0xB4, 0x62, 0x4B, 0x67, 0x7E],
            [0x29, 0xC5, 0xCA, 0x1D, 0x2E, 0x4F, 0xA4, 0x69], [0xFA, 0x1B, 0xEB, 0xD2, 0x4B, 0xC2, 0x68, 0x47],
        ]
        let sums: [[UInt8]] = [
            [0x58, 0xC0, 0xC8, 0xCC, 0x90, 0x52, 0xB0, 0xC6], [0x79, 0x76, 0x23, 0x12, 0x1B, 0xFD, 0x19, 0xEF],
            [0x6E, 0xE9, 0x54, 0x74, 0x14, 0x2B, 0x69, 0x55], [0x8A, 0xF2, 0x34, 0xC0, 0x1E, 0x73, 0xD9, 0x37],
        ]
        for (row, sum) in zip(rows, sums) {
            let own = (0..<8).map { column in zip(row, sources).reduce(UInt8(0)) { $0 ^ GF256.multiply($1.0, $1.1[column]) } }
            #expect(own == sum)
        }
    }

    @Test(
        arguments: [
            (1, 1, 1, true), (24, 24, 1, true), (24, 1, 1, true), (4, 1, 6, true), (3, 2, 11, true), (2, 1, 12, true), (1, 1, 12, true),
            (0, 1, 1, false), (25, 1, 1, false), (4, 5, 1, false), (4, 0, 1, false), (4, 1, 0, false), (4, 1, 13, false), (24, 1, 2, false),
            (5, 1, 6, false),
        ] as [(UInt8, UInt8, UInt8, Bool)]) func ranges(_ span: UInt8, _ perSpan: UInt8, _ margin: UInt8, isGood: Bool) throws
    {
        #expect((FECParameters(span: span, perSpan: perSpan, burstMargin: margin) != nil) == isGood)
        let defaults = try #require(FECParameters(span: 24, perSpan: 1))
        let offer = FECOffer(span: span, perSpan: perSpan, burstMargin: margin)
        #expect((offer.parameters(defaults: defaults) != nil) == isGood)
        #expect(FECOffer().parameters(defaults: defaults) == defaults)
    }

    /// RTP packets of media and FEC: `spans` blocks of them, their lengths differing.
    private static func session(_ parameters: FECParameters, blocks: Int) throws -> [[UInt8]] {
        var packetiser = ASFRTPPacketiser(
            packetBytes: 128, form: .datagrams(bytesMax: 1_452), ssrc: 7, sequence: 65_500, fec: FECSettings(parameters))
        var bytes: [UInt8] = []
        for index in 0..<(blocks * Int(parameters.span) * Int(parameters.burstMargin)) {
            _ = try packetiser.append(index % 3 == 0 ? ASFSample.packet1 : ASFSample.packet0, to: &bytes)
        }
        return rtpFrames(bytes).map(\.packet)
    }

    private static func isMedia(_ packet: [UInt8]) -> Bool { packet[1] & 0x7F == 96 }

    /// Of every span as many packets may be lost as it has of FEC: bursts of that many times the margin, wherever they lie.
    @Test(arguments: [(24, 1, 1), (4, 1, 6), (6, 4, 1), (3, 2, 5), (1, 1, 1), (10, 10, 2)] as [(UInt8, UInt8, UInt8)])
    func recoversBursts(_ span: UInt8, _ perSpan: UInt8, _ margin: UInt8) throws {
        let parameters = try #require(FECParameters(span: span, perSpan: perSpan, burstMargin: margin))
        let packets = try Self.session(parameters, blocks: 3)
        let block = (Int(span) + Int(perSpan)) * Int(margin), burst = Int(perSpan) * Int(margin)
        for start in stride(from: 0, through: Int(span) * Int(margin) - burst, by: 1) {
            var decoder = FECDecoder(fecPayloadType: 98)
            var have: Set<[UInt8]> = []
            for (index, packet) in packets.enumerated() where !(start..<(start + burst)).contains(index % block) {
                if Self.isMedia(packet) { have.insert(packet) }
                decoder.take(packet.span) { have.insert($0) }
            }
            #expect(have == Set(packets.filter(Self.isMedia)), "a burst at \(start)")
            #expect(decoder.counters == .init(recovered: UInt64(3 * burst), malformed: 0, spansLost: 0))
        }
    }

    /// Any k of k + f packets are enough, in any order.
    @Test func recoversFromAnything() throws {
        let parameters = try #require(FECParameters(span: 5, perSpan: 3))
        let packets = try Self.session(parameters, blocks: 1)
        for lost in 0..<256 where lost.nonzeroBitCount <= 3 {
            var decoder = FECDecoder(fecPayloadType: 98)
            var have: Set<[UInt8]> = []
            for (index, packet) in packets.enumerated().reversed() where lost >> index & 1 == 0 {
                if Self.isMedia(packet) { have.insert(packet) }
                decoder.take(packet.span) { have.insert($0) }
            }
            #expect(have == Set(packets.filter(Self.isMedia)))
        }
    }

    @Test func saysWhatAFecPacketProtects() throws {
        let parameters = try #require(FECParameters(span: 3, perSpan: 1, burstMargin: 2))
        let packets = try Self.session(parameters, blocks: 1)
        let fec = packets.filter { !Self.isMedia($0) }
        #expect(fec.count == 2 && packets.count == 8)
        for (index, packet) in fec.enumerated() {
            let header = try RTPHeader(packet.span)
            let parsed = FECHeader(packet.span.extracting(12..<packet.count))
            let own = try #require(parsed)
            #expect(header.marker && header.payloadType == 98 && header.sequence == 65_506 + UInt16(index) && header.timestamp == 0)
            #expect(own.base == 65_500 + UInt16(index) && own.mask == 0b1_0101 && own.index == 0 && own.count == 1)
        }
    }

    /// Too many losses, other lengths, masks of nothing: nothing comes out, and nothing is held without bound.
    @Test func isBounded() throws {
        let parameters = try #require(FECParameters(span: 4, perSpan: 1))
        let packets = try Self.session(parameters, blocks: 60)
        var decoder = FECDecoder(fecPayloadType: 98)
        for packet in packets where !Self.isMedia(packet) { decoder.take(packet.span) { _ in Issue.record("something was made up") } }
        #expect(decoder.counters == .init(recovered: 0, malformed: 0, spansLost: 60 - UInt64(FECDecoder.spansMax)))
        let fec = try #require(packets.first { !Self.isMedia($0) })
        for (offset, value) in [(16, UInt8(0x80)), (24, 24), (26, 1)] {
            var broken = fec
            broken[offset] = value
            decoder.take(broken.span) { _ in Issue.record("something was made up") }
        }
        #expect(decoder.counters.malformed == 3)
    }

    /// A gap in the numbers begins a span anew; nothing is sent for the one before.
    @Test func beginsAnewAtAGap() throws {
        let parameters = try #require(FECParameters(span: 2, perSpan: 1))
        var encoder = FECEncoder(FECSettings(parameters), ssrc: 1, rtpBytesMax: 100)
        func packet(_ sequence: UInt8) -> [UInt8] { [0x80, 96, 0, sequence] + [UInt8](repeating: 3, count: 20) }
        let due = ([1, 3, 4] as [UInt8]).map { number in
            let bytes = packet(number)
            return encoder.take(bytes.span)
        }
        #expect(due == [false, false, true])
        var bytes: [UInt8] = []
        var sequence: UInt16 = 5
        #expect(encoder.append(channel: 2, sequence: &sequence, to: &bytes) == 1 && sequence == 6)
        let header = FECHeader(bytes.span.extracting(16..<bytes.count))
        #expect(header?.base == 3)
    }
}
