import Testing

@testable import WireFormats

struct RTCPTests {
    static let report = RTCPSenderReport(
        ssrc: 0xDEAD_BEEF, ntp: NTPTime(0xE123_4567_89AB_CDEF), rtpTimestamp: 0xFFFF_FFFE, packetCount: 10, octetCount: 12_000)
    static let block = RTCPReportBlock(
        ssrc: 5, fractionLost: 200, lostTotal: -3, highestSequence: 0x1_0002, jitter: 44, lastSenderReport: 0x4567_89AB,
        delaySinceLastSenderReport: 65_536)

    @Test(arguments: ["", "a", "we", "wei", "weir", "weir@relay", String(repeating: "x", count: 300)])
    func writesAndReadsSenderReports(_ name: String) throws {
        let bytes = RTCPWriter.senderReport(Self.report, canonicalName: name)
        #expect(bytes.count % 4 == 0 && RTCPCompound.isValid(bytes))
        let found = try packets(bytes)
        #expect(found.map(\.packetType) == [200, 202])
        #expect(RTCPSenderReport(found[0], in: bytes) == Self.report)
        #expect(found[0].senderSSRC(in: bytes) == 0xDEAD_BEEF)
        #expect(found[1].canonicalName(in: bytes) == String(name.prefix(255)))
        #expect(found[0].reportBlockCount == 0)
    }

    @Test func writesAndReadsReceiverReports() throws {
        let bytes = RTCPWriter.receiverReport(from: 7, block: Self.block, canonicalName: "weir")
        let found = try packets(bytes)
        #expect(found.map(\.packetType) == [201, 202] && found[0].reportBlockCount == 1)
        #expect(found[0].reportBlock(0, in: bytes) == Self.block)
        #expect(found[0].reportBlock(1, in: bytes) == nil && found[0].reportBlock(-1, in: bytes) == nil)
        #expect(RTCPSenderReport(found[0], in: bytes) == nil)
        let empty = RTCPWriter.receiverReport(from: 7, block: nil, canonicalName: "weir")
        #expect(Array(empty.prefix(8)) == [0x80, 201, 0, 1, 0, 0, 0, 7])
        #expect(RTCPCompound.isValid(empty))
    }

    @Test func writesGoodbyes() throws {
        let bytes = RTCPWriter.goodbye(from: 9, canonicalName: "weir")
        let found = try packets(bytes)
        #expect(found.map(\.packetType) == [201, 202, 203])
        #expect(found[2].saysGoodbye(of: 9, in: bytes) && !found[2].saysGoodbye(of: 8, in: bytes))
        #expect(!found[0].saysGoodbye(of: 9, in: bytes))
    }

    @Test func writesNothingWithoutRoom() {
        let name = Array("weir".utf8)
        for capacity in 0..<RTCPWriter.senderReportByteCount(canonicalName: name.span) {
            let bytes = [UInt8](capacity: capacity) { RTCPWriter.write(senderReport: Self.report, canonicalName: name.span, into: &$0) }
            #expect(bytes.isEmpty)
        }
    }

    @Test(
        arguments: [
            ([], RTCPError.tooShort(offset: 0, have: 0, need: 4)), ([0x80, 200, 0], .tooShort(offset: 0, have: 3, need: 4)),
            ([0x40, 200, 0, 0], .version(1, offset: 0)), ([0x80, 96, 0, 0], .notRTCP(packetType: 96, offset: 0)),
            ([0x80, 200, 0, 6, 0, 0, 0, 0], .tooShort(offset: 0, have: 8, need: 28)),
            ([0x80, 201, 0xFF, 0xFF], .tooShort(offset: 0, have: 4, need: 262_144)),
            ([0xA0, 201, 0, 1, 0, 0, 0, 0], .padding(count: 0, offset: 0)), ([0xA0, 201, 0, 1, 0, 0, 0, 8], .padding(count: 8, offset: 0)),
            ([0xA0, 201, 0, 0], .padding(count: 0, offset: 0)), ([0x80, 201, 0, 1, 0, 0, 0, 1, 0x00, 202, 0, 0], .version(0, offset: 8)),
        ] as [([UInt8], RTCPError)])
    func refuses(_ test: (bytes: [UInt8], error: RTCPError)) {
        #expect(throws: test.error) { try packets(test.bytes) }
        #expect(!RTCPCompound.isValid(test.bytes))
    }

    @Test func believesNoCountBeyondTheLength() throws {
        let bytes: [UInt8] = [0x9F, 201, 0, 1, 0, 0, 0, 1]  // 31 blocks in eight bytes
        let found = try packets(bytes)
        #expect(found[0].reportBlockCount == 0 && found[0].reportBlock(0, in: bytes) == nil)
        let bye: [UInt8] = [0x9F, 203, 0, 1, 0, 0, 0, 1]
        #expect(try packets(bye)[0].saysGoodbye(of: 1, in: bye))
        let short: [UInt8] = [0x81, 200, 0, 1, 0, 0, 0, 1]
        #expect(RTCPSenderReport(try packets(short)[0], in: short) == nil)
    }

    @Test func toleratesADescriptionWithoutEnd() throws {
        // Some cameras: the item fills the packet, no zero behind it.
        let bytes: [UInt8] = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, 0x61, 0x62]
        #expect(try packets(bytes)[0].canonicalName(in: bytes) == "ab")
        let lying: [UInt8] = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, 0x61, 0x62]
        #expect(try packets(lying)[0].canonicalName(in: lying) == nil)
    }

    @Test func toleratesPaddingAndBytesLeftOver() throws {
        let bytes: [UInt8] = [0xA0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0]
        let found = try packets(bytes)
        #expect(found.count == 1 && found[0].end == 8)
        #expect(!RTCPCompound.isValid(bytes))
    }

    @Test func knowsFeedback() throws {
        let bytes: [UInt8] = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
        #expect(try packets(bytes)[0].asksForKeyFrame)
        #expect(RTCPCompound.isValid(bytes))
        let description: [UInt8] = [0x80, 202, 0, 0]
        #expect(!RTCPCompound.isValid(description))
    }

    @Test(
        arguments: [(0, 0x83AA_7E80_0000_0000), (1_500_000_000, 0x83AA_7E81_8000_0000), (999_999_999, 0x83AA_7E80_FFFF_FFFB)]
            as [(UInt64, UInt64)])
    func convertsNTP(_ test: (nanoseconds: UInt64, value: UInt64)) {
        let time = NTPTime(unixNanoseconds: test.nanoseconds)
        #expect(time.value == test.value)
        #expect(time.unixNanoseconds == test.nanoseconds)
        #expect(time.middle == UInt32(truncatingIfNeeded: test.value >> 16))
    }

    @Test func convertsAcross2036AndTheExtremes() {
        let nanoseconds: UInt64 = 2_100_000_000 * 1_000_000_000
        #expect(NTPTime(unixNanoseconds: nanoseconds).unixNanoseconds == nanoseconds)
        for value in [0, 1, UInt64.max, UInt64.max >> 1] { _ = NTPTime(value).unixNanoseconds }
        for nanoseconds in [0, UInt64.max] {
            _ = NTPTime(unixNanoseconds: nanoseconds)
            _ = NTPTime.shortFormat(nanoseconds: nanoseconds)
            _ = NTPTime.ticks(nanoseconds: nanoseconds, clockRate: .max)
        }
        #expect(NTPTime.shortFormat(nanoseconds: 1_500_000_000) == 0x1_8000)
        #expect(NTPTime.shortFormat(nanoseconds: .max) == .max)
        #expect(NTPTime.nanoseconds(shortFormat: 0x1_8000) == 1_500_000_000)
        #expect(NTPTime.ticks(nanoseconds: 2_500_000_000, clockRate: 90_000) == 225_000)
    }
}
