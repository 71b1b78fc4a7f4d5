import Testing

@testable import WireFormats

struct ASFPacketTests {
    @Test func readsTheSample() throws {
        let first = try ASFPacket(ASFSample.packet0, packetBytes: 128)
        #expect(first.sendTime == 0 && first.duration == 100 && first.paddingLength == 20 && first.payloadsEnd == 108)
        #expect(!first.hasSeveralPayloads && first.errorCorrectionBytes == 3 && first.sendTimeOffset == 7)
        let second = try ASFPacket(ASFSample.packet1, packetBytes: 128)
        #expect(second.sendTime == 100 && second.duration == 75 && second.paddingLength == 15 && second.payloadCount == 2)
        let contents =
            try asfContents(ASFSample.packet0, packetBytes: 128) + asfContents(ASFSample.packet1, packetBytes: 128)
        #expect(contents.map(\.objectBytes) == [80, 30, 36] && contents.map(\.time) == [1_000, 1_100, 1_138])
        #expect(contents.map(\.number) == [0, 1, 2] && contents.allSatisfy { $0.isKey && $0.stream == 1 && $0.offset == 0 })
        for (index, content) in contents.enumerated() { #expect(content.data == ASFSample.object(index, count: [80, 30, 36][index])) }
    }

    /// All the ways in which a server may have left out the padding (ASF's own way among them) read the same.
    @Test(
        arguments: [
            ASFSample.packet0, Array(ASFSample.packet0[..<108]),
            [0x82, 0, 0, 0x40, 0x5D, 0x6C, 0] + ASFSample.packet0[7..<108],
            [0x82, 0, 0, 0x10, 0x5D, 0, 0] + ASFSample.packet0[7..<108],
            [0x82, 0, 0, 0x00, 0x5D] + ASFSample.packet0[7..<108],
            [0x82, 0, 0, 0x50, 0x5D, 0x80, 0, 0x12, 0] + ASFSample.packet0[7..<110] + [UInt8](repeating: 0, count: 16),
            // Without error correction.
            Array(ASFSample.packet0[3..<108]).replacing(at: 2, with: [23, 0]),
        ] as [[UInt8]])
    func readsWhatCameShort(_ bytes: [UInt8]) throws {
        #expect(try asfContents(bytes, packetBytes: 128).map(\.data) == [ASFSample.object(0, count: 80)])
    }

    @Test func readsCompressedPayloads() throws {
        let parts: [UInt8] = [3, 1, 2, 3, 0, 2, 9, 9]
        let head: [UInt8] = [0x82, 0, 0, 1, 0x5D, 1, 0, 0, 0, 0, 0, 0x81] + [0x83, 7] + le32(500) + [1, 20] + le16(parts.count)
        let bytes = head + parts
        let payloads = try asfPayloads(bytes, packetBytes: 128)
        let payload = try #require(payloads.first)
        #expect(payload.isCompressed && payload.presentationTime == 500 && payload.timeDelta == 20 && payload.startsObject)
        #expect(payload.objectBytes == 0 && payload.offset == 0 && payload.stream == 3)
        var walk = ASFSubPayloads(payload)
        var found: [[UInt8]] = [], times: [UInt32] = []
        while let object = try walk.next(in: bytes.span) {
            found.append(Array(bytes[object.dataOffset..<object.end]))
            times.append(object.presentationTime)
        }
        #expect(found == [[1, 2, 3], [], [9, 9]] && times == [500, 520, 540])
    }

    @Test func namesBrokenParts() throws {
        let bytes: [UInt8] = [0x82, 0, 0, 1, 0x5D, 1, 0, 0, 0, 0, 0, 0x81] + [0x83, 7] + le32(500) + [1, 20] + le16(3) + [3, 1, 2]
        let payload = try #require(try asfPayloads(bytes, packetBytes: 128).first)
        var walk = ASFSubPayloads(payload)
        do {
            while try walk.next(in: bytes.span) != nil {}
            Issue.record("a part outside was taken")
        } catch { #expect(error == .subPayload(length: 3, offset: 22, have: 2)) }
    }

    @Test(
        arguments: [
            ([], .tooShort(offset: 0, have: 0, need: 1)),
            ([0x82], .tooShort(offset: 3, have: 0, need: 2)),
            ([0x82, 0, 0, 0], .tooShort(offset: 3, have: 1, need: 2)),
            ([0xC2, 0, 0], .errorCorrection(0xC2)),
            ([0x92, 0, 0], .errorCorrection(0x92)),
            ([0x82, 0, 0, 0, 0x1D], .propertyFlags(0x1D, offset: 4)),
            ([0x82, 0, 0, 0x7F, 0x5D] + le32(0, 0, 0, 0), .tooShort(offset: 5, have: 16, need: 18)),
            ([0x82, 0, 0, 0x40, 0x5D] + le16(0) + le32(0) + le16(0), .packetLength(0, offset: 5, have: 13)),
            ([0x82, 0, 0, 0x40, 0x5D] + le16(14) + le32(0) + le16(0), .packetLength(14, offset: 5, have: 13)),
            ([0x82, 0, 0, 0x60, 0x5D] + le32(-1) + le32(0) + le16(0), .packetLength(.max, offset: 5, have: 15)),
            ([0x82, 0, 0, 0x50, 0x5D] + le16(15, 1) + le32(0) + le16(0), .paddingLength(1, offset: 7, have: 0)),
            ([0x82, 0, 0, 0x18, 0x5D] + le32(-1) + le32(0) + le16(0), .paddingLength(.max, offset: 5, have: 113)),
            ([0x82, 0, 0, 0x01, 0x5D] + le32(0) + le16(0), .tooShort(offset: 11, have: 0, need: 1)),
            ([0x82, 0, 0, 0x01, 0x5D] + le32(0) + le16(0) + [0x80], .noPayloads(offset: 11)),
            ([0x82, 0, 0, 0x01, 0x5D] + le32(0) + le16(0) + [0x01], .noPayloadLengths(offset: 11)),
            ([UInt8](repeating: 0, count: 129), .tooLong(bytes: 129, packetBytes: 128)),
        ] as [([UInt8], ASFPacketError)])
    func refusesHeads(_ test: (bytes: [UInt8], error: ASFPacketError)) {
        #expect(throws: test.error) { try ASFPacket(test.bytes, packetBytes: 128) }
        #expect(!test.error.description.isEmpty)
    }

    @Test(
        arguments: [
            // Single.
            (0, [0x81], .tooShort(offset: 11, have: 1, need: 7)),
            (0, [0x80, 0] + le32(0) + [0], .streamNumber(offset: 11)),
            (0, [0x81, 0] + le32(0) + [2, 0, 0], .replicatedLength(2, offset: 11)),
            (0, [0x81, 0] + le32(0) + [7, 0, 0], .replicatedLength(7, offset: 11)),
            (0, [0x81, 0] + le32(0) + [8] + le32(1) + [0], .tooShort(offset: 18, have: 5, need: 8)),
            (0, [0x81, 0] + le32(0) + [255] + le32(1, 1), .tooShort(offset: 18, have: 8, need: 255)),
            (0, [0x81, 0] + le32(0) + [1], .tooShort(offset: 18, have: 0, need: 1)),
            // Several, with a WORD of length.
            (0x82, [0x81, 0] + le32(0) + [8] + le32(1, 1) + [1], .tooShort(offset: 27, have: 1, need: 2)),
            (0x82, [0x81, 0] + le32(0) + [8] + le32(1, 1) + le16(1), .payloadLength(1, offset: 29, have: 0)),
            (0x82, [0x81, 0] + le32(0) + [8] + le32(1, 1) + le16(1) + [1], .tooShort(offset: 30, have: 0, need: 7)),
            (0xC1, [0x81, 0] + le32(0) + [8] + le32(1, 1) + le32(-1), .payloadLength(.max, offset: 31, have: 0)),
        ] as [(UInt8, [UInt8], ASFPacketError)])
    func refusesPayloads(_ test: (flags: UInt8, bytes: [UInt8], error: ASFPacketError)) {
        let head: [UInt8] = [0x82, 0, 0, test.flags == 0 ? 0 : 1, 0x5D, 0, 0, 0, 0, 0, 0] + (test.flags == 0 ? [] : [test.flags])
        #expect(throws: test.error) { try asfPayloads(head + test.bytes, packetBytes: 128) }
        #expect(!test.error.description.isEmpty)
    }

    @Test func setsOfStreams() {
        var set: ASFStreamSet = [1, 63, 64, 127, 128, 255]
        #expect(set.numbers == [1, 63, 64, 127] && set.count == 4 && !set.contains(255) && !set.contains(2))
        set.remove(64)
        set.remove(200)
        #expect(set == [1, 63, 127] && set.subtracting([1]).union([2]) == [2, 63, 127] && ASFStreamSet.all.count == 128)
    }
}

extension [UInt8] {
    func replacing(at offset: Int, with bytes: [UInt8]) -> [UInt8] { Array(self[..<offset]) + bytes + self[(offset + bytes.count)...] }
}
