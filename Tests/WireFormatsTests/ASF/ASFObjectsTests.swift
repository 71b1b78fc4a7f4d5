import Testing

@testable import WireFormats

struct ASFObjectsTests {
    static func reassemble(_ packets: [[UInt8]], packetBytes: Int, with reassembler: inout ASFReassembler) throws -> [ASFMediaObject] {
        var found: [ASFMediaObject] = []
        for packet in packets { try reassembler.take(packet.span, packetBytes: packetBytes) { found.append($0) } }
        return found
    }

    static func packetise(_ objects: [ASFMediaObject], packetBytes: Int, preroll: UInt32 = 1_000) throws -> [[UInt8]] {
        var packetiser = try #require(ASFPacketiser(packetBytes: packetBytes, prerollMilliseconds: preroll))
        var packets: [[UInt8]] = []
        for object in objects { packetiser.add(object) { packets.append($0) } }
        packetiser.flush { packets.append($0) }
        #expect(packetiser.objectsDropped == 0)
        return packets
    }

    @Test func joinsTheSample() throws {
        var reassembler = ASFReassembler()
        let objects = try Self.reassemble([ASFSample.packet0, ASFSample.packet1], packetBytes: 128, with: &reassembler)
        #expect(objects.map(\.bytes.count) == [80, 30, 36] && objects.map(\.presentationTime) == [1_000, 1_100, 1_138])
        #expect(objects.indices.allSatisfy { objects[$0].bytes == ASFSample.object($0, count: [80, 30, 36][$0]) })
        #expect(reassembler.objectsDropped == 0)
    }

    /// Objects of all sizes, over packets of all sizes: what comes out is what went in.
    @Test(arguments: [36, 64, 100, 128, 1_450, 3_200, 65_536], [0, 2, 20]) func splitsAndJoins(packetBytes: Int, extensionBytes: Int) throws
    {
        guard packetBytes >= 32 + extensionBytes else { return }
        var random = ASFRandom(seed: UInt64(packetBytes * 31 + extensionBytes))
        var objects: [ASFMediaObject] = []
        for index in 0..<60 {
            let count = [0, 1, Int(random.next() % 200), Int(random.next() % 9_000)][Int(random.next() % 4)]
            objects.append(
                ASFMediaObject(
                    stream: UInt8(1 + random.next() % 3), number: UInt8(truncatingIfNeeded: index), isKey: random.next() % 4 == 0,
                    presentationTime: UInt32(1_000 + index * 40), bytes: (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) },
                    extensions: [UInt8](repeating: UInt8(index), count: extensionBytes)))
        }
        let packets = try Self.packetise(objects, packetBytes: packetBytes)
        #expect(packets.allSatisfy { $0.count == packetBytes })
        var reassembler = ASFReassembler()
        #expect(try Self.reassemble(packets, packetBytes: packetBytes, with: &reassembler) == objects)
        #expect(reassembler.objectsDropped == 0)
        let heads = try packets.map { try ASFPacket($0, packetBytes: packetBytes) }
        for (head, next) in zip(heads, heads.dropFirst()) { #expect(head.sendTime + UInt32(head.duration) == next.sendTime) }
        // Without padding the same comes out.
        let stripped = try packets.map { try ASFPacket.stripped($0, packetBytes: packetBytes) }
        #expect(try Self.reassemble(stripped, packetBytes: packetBytes, with: &reassembler) == objects)
    }

    @Test func refusesToPacketiseWhatDoesNotFit() throws {
        #expect(ASFPacketiser(packetBytes: 31, prerollMilliseconds: 0) == nil)
        #expect(ASFPacketiser(packetBytes: 65_537, prerollMilliseconds: 0) == nil)
        var packetiser = try #require(ASFPacketiser(packetBytes: 32, prerollMilliseconds: 0))
        packetiser.add(ASFMediaObject(stream: 1, number: 0, isKey: true, presentationTime: 0, bytes: [1], extensions: [1])) { _ in }
        #expect(packetiser.objectsDropped == 1)
    }

    @Test func givesUpWhatDoesNotFitTogether() throws {
        func packet(_ payloads: [UInt8]...) -> [UInt8] { asfMixedPacket(payloads: payloads) }
        var reassembler = ASFReassembler(bytesMax: 100)
        let packets = [
            packet(asfPayload(1, number: 0, of: 4, [1, 2]), asfPayload(1, number: 0, offset: 3, of: 4, [4])),  // A gap.
            packet(asfPayload(1, number: 1, of: 4, [1, 2]), asfPayload(1, number: 2, offset: 2, of: 4, [3, 4])),  // Another object's end.
            packet(asfPayload(1, number: 3, offset: 2, of: 4, [3, 4])),  // No beginning.
            packet(asfPayload(1, number: 4, of: 2, [1, 2, 3])),  // More than its size.
            packet(asfPayload(1, number: 5, of: 0x7FFF_FFFF, [1, 2]), asfPayload(1, number: 6, of: 2, [7, 7])),  // A lie.
            packet(asfPayload(2, number: 7, of: 500, [UInt8](repeating: 1, count: 90))),
            packet(asfPayload(3, number: 8, of: 20, [UInt8](repeating: 1, count: 20))),  // No room beside the one before.
            packet(asfPayload(2, number: 7, offset: 90, of: 500, [UInt8](repeating: 1, count: 20))),  // Nor for its own end.
            packet(asfPayload(3, number: 9, of: 20, [UInt8](repeating: 1, count: 20))),
        ]
        let objects = try Self.reassemble(packets, packetBytes: 200, with: &reassembler)
        #expect(objects.map(\.number) == [6, 9])
        #expect(reassembler.objectsDropped == 6)
    }

    @Test(
        arguments: [
            ("MP43", [], [0x3F], true), ("MP43", [], [0x40], false), ("WMV1", [], [0x00], true), ("WMV1", [], [0x7F], false),
            ("WMV2", [], [0x7F], true), ("WMV2", [], [0x80], false),
            // Interpolation, range reduction and B frames shift the type.
            ("WMV3", [0, 0, 0, 0], [0b0001_1111], true), ("WMV3", [0, 0, 0, 0], [0b0010_0000], false),
            ("WMV3", [0, 0, 0, 0x90], [0b0000_1000], true), ("WMV3", [0, 0, 0, 0x90], [0b0000_0000], false),
            ("WMV3", [0, 0, 0, 0x10], [0b0001_0000], true), ("WMV3", [0, 0, 0, 2], [0b0000_1111], true), ("WMV3", [], [0], nil),
            ("WVC1", [], [0, 0, 1, 0x0F, 1], true), ("WVC1", [], [0, 0, 1, 0x0D, 1], false), ("WVC1", [], [0xC0, 0, 0, 0], nil),
            ("XVID", [], [0, 0, 1, 0xB0, 1, 0, 0, 1, 0xB6, 0x10], true), ("XVID", [], [0, 0, 1, 0xB6, 0x50], false), ("XVID", [], [1], nil),
            ("H264", [], [0, 0, 0, 1, 9, 0, 0, 1, 0x65], true), ("H264", [], [0, 0, 0, 1, 0x41], false), ("WHAT", [], [0], nil),
            ("MPG4", [], [0, 0, 1, 0, 0b1111_1001], true), ("MPG4", [], [0, 0, 1, 0, 0b0000_0010], false), ("MJPG", [], [1], true),
            ("WMV2", [], [], nil),
        ] as [(String, [UInt8], [UInt8], Bool?)])
    func knowsKeyPictures(_ test: (codec: String, extra: [UInt8], data: [UInt8], isKey: Bool?)) throws {
        let format = try #require(ASFVideoFormat(asfVideo(test.codec, extra: test.extra)))
        let isKey = format.isKeyPicture(test.data.span)
        #expect(isKey == test.isKey)
    }
}

/// SplitMix64: the same numbers every time.
struct ASFRandom {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
