import Testing

@testable import WireFormats

struct RTPDumpTests {
    static let header = RTPDumpHeader(
        source: "224.2.0.1/3456", startMicroseconds: 1_700_000_000_250_000, sourceAddress: 0x7F00_0001, sourcePort: 5_004)

    @Test func writesAndReads() throws {
        let rtp = RTPHeaderTests.plain + [1, 2, 3], rtcp = RTCPWriter.receiverReport(from: 1, block: nil, canonicalName: "x")
        let first = try #require(RTPDumpRecord.serialized(packet: rtp, isRTCP: false, milliseconds: 0))
        let second = try #require(RTPDumpRecord.serialized(packet: rtcp, isRTCP: true, milliseconds: .max))
        let bytes = Self.header.serialized() + first + second
        #expect(Array(bytes.prefix(28)) == Array("#!rtpplay1.0 224.2.0.1/3456\n".utf8))
        var reader = try RTPDumpReader(bytes)
        #expect(reader.header == Self.header)
        for _ in 0..<2 {
            let one = try reader.next(in: bytes)
            #expect(one == RTPDumpRecord(packetOffset: 52, packetLength: 15, isRTCP: false, milliseconds: 0))
            let two = try reader.next(in: bytes)
            #expect(two?.isRTCP == true && two?.milliseconds == .max && two?.packetLength == rtcp.count)
            let end = try reader.next(in: bytes)
            #expect(end == nil)
            reader.rewind()
        }
    }

    @Test func refusesPacketsThatDoNotFit() {
        #expect(RTPDumpRecord.serialized(packet: [UInt8](repeating: 0, count: 65_527), isRTCP: false, milliseconds: 0) != nil)
        #expect(RTPDumpRecord.serialized(packet: [UInt8](repeating: 0, count: 65_528), isRTCP: false, milliseconds: 0) == nil)
    }

    @Test(arguments: [
        ("", RTPDumpError.notRTPDump), ("#!rtpplay1.0", .notRTPDump), ("#!rtpplay1.0 no end", .notRTPDump),
        ("#!rtpplay1.0 " + String(repeating: "x", count: 300) + "\n", .notRTPDump),
        ("#!rtpplay1.0 a/1\nshort", .headerTooShort(have: 5, need: 16)),
    ])
    func refusesFiles(_ test: (text: String, error: RTPDumpError)) {
        #expect(throws: test.error) { try RTPDumpReader(Array(test.text.utf8)) }
        #expect(!test.error.description.isEmpty)
    }

    @Test(
        arguments: [
            ([0, 12, 0, 4], RTPDumpError.recordTooShort(offset: 44, have: 4, need: 8)),
            ([0, 7, 0, 0, 0, 0, 0, 0], .recordLength(7, offset: 44)),
            ([0, 0, 0, 0, 0, 0, 0, 0], .recordLength(0, offset: 44)),
            ([0, 12, 0, 4, 0, 0, 0, 0, 1], .recordTooShort(offset: 44, have: 9, need: 12)),
            ([0, 9, 0, 4, 0, 0, 0, 0, 1], .payloadMissing(offset: 44, stored: 1, length: 4)),
        ] as [([UInt8], RTPDumpError)])
    func namesTheOffset(_ test: (record: [UInt8], error: RTPDumpError)) throws {
        let bytes = Self.header.serialized() + test.record
        var reader = try RTPDumpReader(bytes)
        do {
            _ = try reader.next(in: bytes)
            Issue.record("the record was taken")
        } catch {
            #expect(error == test.error)
            #expect(error.description.contains("44"))
        }
    }
}
