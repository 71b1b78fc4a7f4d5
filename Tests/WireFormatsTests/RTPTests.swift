import Testing

@testable import WireFormats

struct RTPHeaderTests {
    static let plain: [UInt8] = [0x80, 0xE0, 0x12, 0x34, 1, 2, 3, 4, 0xDE, 0xAD, 0xBE, 0xEF]

    @Test func readsEveryField() throws {
        let header = try RTPHeader((Self.plain + [9, 9]))
        #expect(header.marker && header.payloadType == 96 && header.sequence == 0x1234 && header.timestamp == 0x0102_0304)
        #expect(header.ssrc == 0xDEAD_BEEF && header.payloadOffset == 12 && header.payloadEnd == 14 && header.payloadLength == 2)
        #expect(header.packet(payload: [9, 9]) == Self.plain + [9, 9])
        let written = [UInt8](capacity: 12) { header.write(into: &$0) }
        #expect(written == Self.plain)
    }

    @Test func readsContributorsExtensionAndPadding() throws {
        var bytes = Self.plain
        bytes[0] = 0x80 | 0x20 | 0x10 | 2
        bytes += [0, 0, 0, 1, 0, 0, 0, 2]  // contributors
        bytes += [0xBE, 0xDE, 0, 1, 7, 7, 7, 7]  // extension of one word
        bytes += [5, 5, 5, 0, 0, 3]  // payload of three, padding of three
        let header = try RTPHeader(bytes)
        #expect(header.csrcCount == 2 && header.hasExtension && header.hasPadding)
        #expect(header.payloadOffset == 28 && header.payloadEnd == 31)
    }

    @Test(
        arguments: [
            ([], RTPHeaderError.tooShort(have: 0, need: 12)), (Array(plain.dropLast()), .tooShort(have: 11, need: 12)),
            ([0x40] + plain.dropFirst(), .version(1)),
            ([0x81] + plain.dropFirst(), .tooShort(have: 12, need: 16)), ([0x90] + plain.dropFirst(), .tooShort(have: 12, need: 16)),
            ([0x90] + plain.dropFirst() + [0, 0, 0xFF, 0xFF], .tooShort(have: 16, need: 16 + 4 * 65_535)),
            ([0xA0] + plain.dropFirst(), .padding(count: 0, have: 0)), ([0xA0] + plain.dropFirst() + [0], .padding(count: 0, have: 1)),
            ([0xA0] + plain.dropFirst() + [1, 3], .padding(count: 3, have: 2)),
        ] as [([UInt8], RTPHeaderError)])
    func refuses(_ test: (bytes: [UInt8], error: RTPHeaderError)) {
        #expect(throws: test.error) { try RTPHeader(test.bytes) }
    }

    @Test func paddingMayBeAll() throws {
        let header = try RTPHeader(([0xA0] + Self.plain.dropFirst() + [0, 2]))
        #expect(header.payloadLength == 0)
    }

    @Test func rewritesInPlace() throws {
        var bytes = Self.plain
        var span = bytes.mutableSpan
        RTPHeader.rewrite(&span, sequence: 0xFFFE, timestamp: 0x8000_0001, ssrc: 7)
        let header = try RTPHeader(bytes)
        #expect(
            header.sequence == 0xFFFE && header.timestamp == 0x8000_0001 && header.ssrc == 7 && header.marker && header.payloadType == 96)
    }

    @Test func tellsRTCPByTheSecondByte() {
        #expect([191, 192, 200, 223, 224].map { RTPHeader.isRTCP(secondByte: $0) } == [false, true, true, true, false])
    }

    @Test(arguments: [(0, 1, 1), (65_535, 0, 1), (0, 65_535, -1), (0, 0x7FFF, 0x7FFF), (0, 0x8000, -0x8000)] as [(UInt16, UInt16, Int16)])
    func measuresDistances(_ test: (from: UInt16, to: UInt16, distance: Int16)) {
        #expect(SequenceArithmetic.distance(from: test.from, to: test.to) == test.distance)
    }

    @Test func extendsNumbers() {
        #expect(SequenceArithmetic.extended(UInt16(2), near: 65_535) == 65_538)
        #expect(SequenceArithmetic.extended(UInt16(65_535), near: 65_538) == 65_535)
        #expect(SequenceArithmetic.extended(UInt32(5), near: 0xFFFF_FFFF) == 0x1_0000_0005)
        #expect(SequenceArithmetic.distance(from: UInt32.max, to: 4) == 5)
    }
}

struct InterleavedHeaderTests {
    @Test func readsAndWrites() throws {
        let header = try #require(InterleavedHeader([0x24, 3, 0x12, 0x34]))
        #expect(header.channel == 3 && header.payloadLength == 0x1234 && header.bigEndianValue == 0x2403_1234)
        let written = [UInt8](capacity: 4) { header.write(into: &$0) }
        #expect(written == [0x24, 3, 0x12, 0x34])
        #expect(InterleavedHeader([0x24, 3, 0]) == nil)
        #expect(InterleavedHeader([0x23, 3, 0, 0]) == nil)
        #expect(InterleavedHeader.frame(channel: 1, payload: [9]) == [0x24, 1, 0, 1, 9])
    }
}

struct ReceptionStatisticsTests {
    func received(_ sequences: [UInt16], probation: Bool = false) -> ReceptionStatistics {
        var statistics = ReceptionStatistics(needsProbation: probation)
        for sequence in sequences { _ = statistics.receive(sequence: sequence, timestamp: 0, arrival: 0) }
        return statistics
    }

    @Test(
        arguments: [
            ([1, 2, 3], 3, 3, 0), ([1, 3], 3, 2, 1), ([1, 3, 2], 3, 3, 0), ([65_534, 65_535, 0, 1], 4, 4, 0), ([65_535, 2], 4, 2, 2),
            ([5, 5, 5], 1, 3, -2),
            ([100, 2_000], 1_901, 2, 1_899), ([], 0, 0, 0),
        ] as [([UInt16], UInt32, UInt32, Int32)])
    func counts(_ test: (sequences: [UInt16], expected: UInt32, received: UInt32, lost: Int32)) {
        let statistics = received(test.sequences)
        #expect(statistics.expected == test.expected)
        #expect(statistics.received == test.received)
        #expect(statistics.lostTotal == test.lost)
    }

    @Test func countsCycles() {
        #expect(received([65_535, 0]).highestExtended == 0x1_0000)
        // One late packet across the border does not count a cycle.
        #expect(received([65_534, 0, 65_535]).highestExtended == 0x1_0000)
    }

    @Test func wantsTwoInARow() {
        var statistics = ReceptionStatistics()
        #expect(statistics.receive(sequence: 9, timestamp: 0, arrival: 0) == .onProbation)
        #expect(!statistics.isValid && statistics.expected == 0)
        #expect(statistics.receive(sequence: 50, timestamp: 0, arrival: 0) == .onProbation)
        #expect(statistics.receive(sequence: 51, timestamp: 0, arrival: 0) == .counted)
        #expect(statistics.isValid && statistics.received == 1 && statistics.expected == 1)
    }

    @Test func noticesARestart() {
        var statistics = received([10, 11, 12])
        #expect(statistics.receive(sequence: 40_000, timestamp: 0, arrival: 0) == .suspicious)
        #expect(statistics.receive(sequence: 40_001, timestamp: 0, arrival: 0) == .restarted)
        #expect(statistics.expected == 1 && statistics.received == 1 && statistics.highestExtended == 40_001)
        #expect(statistics.receive(sequence: 39_990, timestamp: 0, arrival: 0) == .lateOrDuplicate)
        // A single stray packet is no restart.
        #expect(statistics.receive(sequence: 7, timestamp: 0, arrival: 0) == .suspicious)
        #expect(statistics.receive(sequence: 40_002, timestamp: 0, arrival: 0) == .counted)
        #expect(statistics.receive(sequence: 8, timestamp: 0, arrival: 0) == .suspicious)
    }

    @Test func reportsFractionsPerInterval() {
        var statistics = received([1, 2, 3, 5])
        let first = statistics.reportBlock(ssrc: 7, lastSenderReport: 8, delaySinceLastSenderReport: 9)
        #expect(first.fractionLost == 51 && first.lostTotal == 1 && first.highestSequence == 5)  // 1 of 5, in 1/256
        #expect(first.ssrc == 7 && first.lastSenderReport == 8 && first.delaySinceLastSenderReport == 9)
        _ = statistics.receive(sequence: 6, timestamp: 0, arrival: 0)
        #expect(statistics.reportBlock(ssrc: 7, lastSenderReport: 0, delaySinceLastSenderReport: 0).fractionLost == 0)
        #expect(statistics.reportBlock(ssrc: 7, lastSenderReport: 0, delaySinceLastSenderReport: 0).fractionLost == 0)
    }

    @Test func measuresJitter() {
        var statistics = ReceptionStatistics(needsProbation: false)
        _ = statistics.receive(sequence: 1, timestamp: 1_000, arrival: 5_000)
        _ = statistics.receive(sequence: 2, timestamp: 2_000, arrival: 6_160)
        #expect(statistics.jitter == 10)  // 160 / 16
        for number in 3..<200 as Range<UInt16> {
            _ = statistics.receive(sequence: number, timestamp: UInt32(number) * 1_000, arrival: UInt32(number) * 1_000 + 4_160)
        }
        #expect(statistics.jitter == 0)
    }

    @Test func survivesEveryNumber() {
        var statistics = ReceptionStatistics()
        for number in 0..<200_000 as Range<UInt32> {
            _ = statistics.receive(sequence: UInt16(truncatingIfNeeded: number &* 7_919), timestamp: number &* 0x9E37_79B9, arrival: number)
        }
        let block = statistics.reportBlock(ssrc: 0, lastSenderReport: 0, delaySinceLastSenderReport: 0)
        #expect((-0x80_0000...0x7F_FFFF).contains(block.lostTotal))
    }
}
