import Testing

@testable import WireFormats

/// The bytes of a text of hexadecimal digits and blanks.
func hex(_ text: String) -> [UInt8] {
    text.split(separator: " ").compactMap { UInt8($0, radix: 16) }
}

@Suite struct WMSPFramingTests {
    @Test(
        arguments: [
            (WMSPFraming.endOfStream(.done), "24 45 04 00 00 00 00 00"), (WMSPFraming.endOfStream(.entryDone), "24 45 04 00 01 00 00 00"),
            (WMSPFraming.endOfStream(.rewound), "24 45 04 00 09 2f 0d 00"), (WMSPFraming.streamChange(), "24 43 04 00 00 00 00 00"),
            (WMSPFraming.streamChange(.previousEntry), "24 43 04 00 be 14 0d 40"), (WMSPFraming.pipelineTest, "24 54 00 00"),
        ] as [([UInt8], String)])
    func goldenPacketsWithoutPayload(bytes: [UInt8], expected: String) { #expect(bytes == hex(expected)) }

    @Test(
        arguments: [
            (128, UInt32(0), UInt8(0), UInt8(0), false, "24 44 88 00 00 00 00 00 00 00 88 00"),
            (108, 1_000, 2, 37, true, "a4 44 74 00 e8 03 00 00 02 25 74 00"),
        ] as [(Int, UInt32, UInt8, UInt8, Bool, String)])
    func goldenData(count: Int, location: UInt32, incarnation: UInt8, sequence: UInt8, more: Bool, head: String) throws {
        let payload = [UInt8](repeating: 7, count: count)
        let bytes = try #require(
            WMSPFraming.data(payload, locationID: location, incarnation: incarnation, sequence: sequence, nextFollows: more))
        #expect(bytes == hex(head) + payload)
        var parser = WMSPParser()
        parser.append(bytes)
        let packet = try parser.next()
        #expect(packet?.kind == .data && packet?.payload == payload && packet?.locationID == location && packet?.flags == sequence)
        #expect(packet?.incarnation == incarnation && packet?.nextFollows == more)
    }

    @Test func goldenHeaders() throws {
        #expect(
            Array(WMSPFraming.header([UInt8](repeating: 1, count: 326)).prefix(12)) == hex("24 48 4e 01 00 00 00 00 00 0c 4e 01"))
        let split = WMSPFraming.header([UInt8](repeating: 1, count: 100_000))
        #expect(Array(split.prefix(12)) == hex("24 48 ff ff 00 00 00 00 00 04 ff ff"))
        #expect(Array(split[(12 + 65_527)...].prefix(12)) == hex("24 48 b1 86 01 00 00 00 00 08 b1 86"))
        #expect(split.count == 100_024)
        #expect(WMSPFraming.data([UInt8](repeating: 0, count: 65_527), locationID: 0)?.count == 65_539)
        #expect(WMSPFraming.data([UInt8](repeating: 0, count: 65_528), locationID: 0) == nil)
        let empty = WMSPFraming.header([])
        #expect(empty == hex("24 48 08 00 00 00 00 00 00 0c 08 00"))
    }

    @Test func goldenMetadata() throws {
        let metadata = WMSPMetadata(playlistGenID: 7, features: [.seekable, .stridable, .playlist, .skipBackward, .skipForward])
        let text = #"playlist-gen-id=7, broadcast-id=0, features="seekable,stridable,playlist,skipbackward,skipforward""#
        let expected =
            hex("24 4d 7d 00 00 00 00 00 00 0c 7d 00") + Array(text.utf8) + hex("00 38 2c 6c 61 6e 67 75 61 67 65 2c 33 31 2c 30 2c 0d 0a")
        #expect(WMSPFraming.metadata(metadata.serialized()) == expected)
        #expect(expected.count == 129)
        #expect(try WMSPMetadata(metadata.serialized()) == metadata)
    }

    @Test(arguments: [(412, "9c 01"), (504, "f8 01"), (2_000, "f8 01"), (0, "00 00")])
    func packetPairs(headBytes: Int, reason: String) throws {
        let bytes = WMSPFraming.packetPair(headBytes: headBytes) { 0xAB }
        #expect(bytes.count == WMSPFraming.packetPairBytes)
        #expect(Array(bytes.prefix(8)) == hex("24 50 f8 01 \(reason) 00 00"))
        let first = 512 - min(headBytes, 504)
        #expect(Array(bytes[first...].prefix(4)) == hex("24 50 f8 01"))
        #expect(Array(bytes[(first + 512)...].prefix(4)) == hex("24 50 18 04"))
        // And the parser finds what stands behind them, however they are cut.
        for step in [1, 7, 4_096] {
            #expect(
                try packets(bytes + WMSPFraming.streamChange(), step: step).map(\.kind) == [
                    .packetPair, .packetPair, .packetPair, .streamChange,
                ])
        }
    }

    @Test func vlcAndFFmpegEndWithoutReason() throws {
        // `24 45 08 00 <number> 00 00 08 00`, as both write it.
        let found = try packets(hex("24 45 08 00 2a 00 00 00 00 00 08 00"), step: 1)
        #expect(found.map(\.kind) == [.endOfStream] && found.first?.reason == .done)
    }

    @Test func piecesMakeAWhole() throws {
        let object = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var pieces = WMSPPieces()
        var whole: [UInt8]?
        for packet in try packets(WMSPFraming.header(object, incarnation: 3), step: 50_000) {
            #expect(whole == nil)
            whole = try pieces.take(packet)
            #expect(pieces.isUnfinished == (whole == nil))
        }
        #expect(whole == object)
    }

    @Test func piecesAreBounded() throws {
        var pieces = WMSPPieces()
        var packet = WMSPPacket(kind: .header)
        packet.payload = [UInt8](repeating: 0, count: WMSPFraming.payloadBytesMax)
        #expect(throws: WMSPPieces.Trouble.firstMissing) { try pieces.take(packet) }
        packet.flags = WMSPPacket.firstPiece
        _ = try pieces.take(packet)
        packet.flags = 0
        for _ in 0..<15 { _ = try pieces.take(packet) }
        #expect(throws: WMSPPieces.Trouble.tooLong(bytesMax: 1 << 20)) { try pieces.take(packet) }
    }

    @Test(
        arguments: [
            ("25 44", WMSPParser.Trouble.noPacket(byte: 0x25, at: 0)), ("24 58", .unknownKind(0x58, at: 0)),
            ("24 54 00 00 00", .noPacket(byte: 0, at: 4)), ("24 54 01 00", .wrongLength(1, .pipelineTest, at: 2)),
            ("24 45 05 00", .wrongLength(5, .endOfStream, at: 2)), ("24 43 08 00", .wrongLength(8, .streamChange, at: 2)),
            ("24 43 ff ff", .wrongLength(65_535, .streamChange, at: 2)), ("24 44 07 00", .wrongLength(7, .data, at: 2)),
            ("24 48 00 00", .wrongLength(0, .header, at: 2)),
            ("24 44 09 00 00 00 00 00 00 00 0a 00", .lengthsDiffer(9, 10, at: 10)),
            ("24 54 00 00 24 44 ff ff 00 00 00 00 00 00 08 00", .lengthsDiffer(65_535, 8, at: 14)),
            ("24 50 f7 01", .wrongLength(503, .packetPair, at: 2)), ("24 50 f8 01 f9 01 00 00", .wrongPair(505, at: 4)),
            ("24 50 f8 01 ff ff ff ff", .wrongPair(.max, at: 4)),
        ] as [(String, WMSPParser.Trouble)])
    func lyingBytes(text: String, trouble: WMSPParser.Trouble) {
        for step in [1, 100] { #expect(throws: trouble) { try packets(hex(text), step: step) } }
        #expect(!trouble.description.isEmpty)
    }

    @Test func aFourthPairIsTooMany() {
        let bytes = WMSPFraming.packetPair(headBytes: 100) { 0 }
        #expect(throws: WMSPParser.Trouble.tooManyPairs(at: 2_080)) { try packets(bytes + [0x24, 0x50, 0xF8, 0x01], step: 64) }
    }

    @Test func unfinishedPacketsAreKeptAndNoMore() throws {
        var parser = WMSPParser()
        parser.append(hex("24 44 ff ff 00 00 00 00 00 00 ff ff"))
        for _ in 0..<65 { parser.append([UInt8](repeating: 0, count: 1_000)); #expect(try parser.next() == nil) }
        parser.append([UInt8](repeating: 0, count: 527))
        #expect(try parser.next()?.payload.count == 65_527)
        #expect(parser.bytesBuffered == 0 && parser.bytesConsumed == 65_539)
    }

    private func packets(_ bytes: [UInt8], step: Int) throws -> [WMSPPacket] {
        var parser = WMSPParser()
        var found: [WMSPPacket] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            parser.append(Array(bytes[start..<min(start + step, bytes.count)]))
            while let packet = try parser.next() { found.append(packet) }
        }
        return found
    }
}
