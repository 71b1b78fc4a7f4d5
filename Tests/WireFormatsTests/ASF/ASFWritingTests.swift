import Testing

@testable import WireFormats

/// A packet of several payloads, 200 bytes: key video start (stream 2), its end, audio start (1), command (3).
func asfMixedPacket(payloads: [[UInt8]], packetBytes: Int = 200) -> [UInt8] {
    let body = payloads.flatMap(\.self)
    let padding = packetBytes - 14 - body.count
    return [0x82, 0, 0, 0x11, 0x5D] + le16(padding) + le32(70) + le16(5) + [UInt8(0x80 | payloads.count)] + body
        + [UInt8](repeating: 0, count: padding)
}

func asfPayload(
    _ stream: UInt8, key: Bool = false, number: UInt8 = 0, offset: Int = 0, of size: Int, time: Int = 1_000, extensions: [UInt8] = [],
    _ data: [UInt8]
) -> [UInt8] {
    [stream | (key ? 0x80 : 0), number] + le32(offset) + [UInt8(8 + extensions.count)] + le32(size, time) + extensions
        + le16(data.count) + data
}

struct ASFWritingTests {
    @Test func stripsAsTheSampleSays() throws {
        let first = try ASFPacket.stripped(ASFSample.packet0, packetBytes: 128)
        #expect(first == [0x82, 0, 0, 0x40, 0x5D, 0x6C, 0] + ASFSample.packet0[7..<108])
        let second = try ASFPacket.stripped(ASFSample.packet1, packetBytes: 128)
        #expect(second == [0x82, 0, 0, 0x01, 0x5D] + ASFSample.packet1[6..<113])
        #expect(first.count == 108 && second.count == 112)
        // Again: nothing is left to take out.
        #expect(try ASFPacket.stripped(first, packetBytes: 128) == first)
        #expect(try ASFPacket.stripped(second, packetBytes: 128) == second)
    }

    /// Stripped and made whole again it is the same packet: byte for byte with a WORD of padding, which is what is written; else in what it holds.
    @Test(arguments: [ASFSample.packet0, ASFSample.packet1, asfMixedPacket(payloads: [asfPayload(1, of: 3, [1, 2, 3])])])
    func makesWholeAgain(_ bytes: [UInt8]) throws {
        let stripped = try ASFPacket.stripped(bytes, packetBytes: bytes.count)
        let whole = try ASFPacket.full(stripped, packetBytes: bytes.count)
        #expect(whole.count == bytes.count)
        if bytes[3] & 0x18 == 0x10 { #expect(whole == bytes) }
        #expect(try asfContents(whole, packetBytes: bytes.count) == asfContents(bytes, packetBytes: bytes.count))
        let a = try ASFPacket(whole, packetBytes: bytes.count), b = try ASFPacket(bytes, packetBytes: bytes.count)
        #expect(a.sendTime == b.sendTime && a.duration == b.duration)
        #expect(try ASFPacket.full(bytes, packetBytes: bytes.count) == bytes, "a whole packet stays untouched")
    }

    /// Padding of 0, 1, 2, 3 and 300 bytes, in both forms.
    @Test(arguments: [0, 1, 2, 3, 4, 300], [true, false]) func padsAnyCount(_ missing: Int, isSingle: Bool) throws {
        let data = [UInt8](0..<50)
        let payload = asfPayload(1, key: true, of: 50, data)
        let bytes =
            isSingle
            ? [0x82, 0, 0, 0x40, 0x5D] + le16(13 + 15 + 50) + le32(9) + le16(8) + payload[..<15] + data
            : [0x82, 0, 0, 0x01, 0x5D] + le32(9) + le16(8) + [0x81] + payload
        let size = bytes.count + missing
        let whole = try ASFPacket.full(bytes, packetBytes: size)
        #expect(whole.count == size)
        #expect(try asfContents(whole, packetBytes: size) == asfContents(bytes, packetBytes: size))
        #expect(try asfContents(ASFPacket.stripped(whole, packetBytes: size), packetBytes: size).map(\.data) == [data])
    }

    static let mixed = asfMixedPacket(payloads: [
        asfPayload(2, number: 4, offset: 90, of: 100, [UInt8](repeating: 2, count: 10)),
        asfPayload(1, number: 9, offset: 5, of: 10, [1, 1, 1, 1, 1]), asfPayload(1, number: 10, of: 4, [3, 3, 3, 3]),
        asfPayload(2, key: true, number: 5, of: 20, [UInt8](repeating: 5, count: 20)), asfPayload(3, of: 2, [6, 6]),
    ])

    @Test(
        arguments: [
            (ASFSelection(streams: .all), [0, 1, 2, 3, 4]), (ASFSelection(streams: [1]), [1, 2]),
            (ASFSelection(streams: [2, 3]), [0, 3, 4]),
            (ASFSelection(streams: [1, 2], keyFramesOnly: [2]), [1, 2, 3]), (ASFSelection(streams: [7]), []),
            (ASFSelection(streams: []), []),
            (ASFSelection(streams: [1, 2, 3], keyFrameStreams: [2], joins: true), [2, 3, 4]),
            (ASFSelection(streams: [3], keyFrameStreams: [3], joins: true), []),
        ] as [(ASFSelection, [Int])])
    func selects(_ test: (selection: ASFSelection, kept: [Int])) throws {
        let all = try asfContents(Self.mixed, packetBytes: 200)
        for form in [ASFPacketForm.full, .stripped] {
            var selection = test.selection
            let bytes = try selection.packet(Self.mixed, packetBytes: 200, form: form)
            #expect((bytes == nil) == test.kept.isEmpty)
            guard let bytes else { continue }
            #expect(try asfContents(bytes, packetBytes: 200) == test.kept.map { all[$0] })
            #expect(form == .full ? bytes.count == 200 : bytes.count < 200)
            if form == .full, test.kept.count == all.count { #expect(bytes == Self.mixed) }
            let packet = try ASFPacket(bytes, packetBytes: 200)
            #expect(packet.sendTime == 70 && packet.duration == 5 && packet.hasSeveralPayloads)
        }
    }

    @Test func switchesStreams() throws {
        func packet(_ payloads: [UInt8]...) -> [UInt8] { asfMixedPacket(payloads: payloads) }
        var selection = ASFSelection(streams: [2], keyFrameStreams: [2, 3])
        selection.turnOn(3)
        let middle = packet(
            asfPayload(2, of: 9, [1]), asfPayload(3, offset: 4, of: 9, [2]), asfPayload(3, of: 9, [3]))
        #expect(try asfContents(#require(try selection.packet(middle, packetBytes: 200)), packetBytes: 200).map(\.data) == [[1]])
        #expect(selection.waiting == [3])
        let key = packet(asfPayload(2, offset: 1, of: 9, [4]), asfPayload(3, key: true, of: 9, [5]))
        #expect(try asfContents(#require(try selection.packet(key, packetBytes: 200)), packetBytes: 200).map(\.data) == [[4], [5]])
        #expect(selection.waiting.isEmpty)
        selection.turnOff(2)
        let last = packet(asfPayload(2, offset: 2, of: 9, [6]), asfPayload(2, of: 9, [7]), asfPayload(3, key: true, offset: 1, of: 9, [8]))
        #expect(try asfContents(#require(try selection.packet(last, packetBytes: 200)), packetBytes: 200).map(\.data) == [[6], [8]])
        #expect(selection.finishing.isEmpty)
        #expect(try selection.packet(packet(asfPayload(2, of: 9, [9])), packetBytes: 200) == nil)
    }

    @Test func changesNothingForABrokenPacket() throws {
        var bytes = Self.mixed
        bytes[14 + 27 + 22 + 15] = 255
        var selection = ASFSelection(streams: [1, 2, 3], keyFrameStreams: [2], joins: true)
        let before = selection
        #expect(throws: ASFPacketError.self) { try selection.packet(bytes, packetBytes: 200) }
        #expect(selection == before)
    }

    @Test func retimes() throws {
        var retiming = ASFRetiming(milliseconds: 250)
        retiming.setNumberOffset(250, stream: 1)
        retiming.setStream(2, becomes: 5)
        var bytes = Self.mixed
        try retiming.apply(to: &bytes, packetBytes: 200)
        let contents = try asfContents(bytes, packetBytes: 200), before = try asfContents(Self.mixed, packetBytes: 200)
        #expect(contents.map(\.time) == before.map { $0.time.map { $0 + 250 } } && contents.map(\.data) == before.map(\.data))
        #expect(contents.map(\.number) == [4, 3, 4, 5, 0] && contents.map(\.stream) == [5, 1, 1, 5, 3])
        #expect(contents.map(\.isKey) == before.map(\.isKey))
        #expect(try ASFPacket(bytes, packetBytes: 200).sendTime == 320)
        // Back, below zero, and a compressed payload.
        try ASFRetiming(milliseconds: -321).apply(to: &bytes, packetBytes: 200)
        #expect(try ASFPacket(bytes, packetBytes: 200).sendTime == .max)
        var compressed: [UInt8] = [0x82, 0, 0, 1, 0x5D] + le32(0) + le16(0) + [0x81, 0x83, 7] + le32(500) + [1, 20] + le16(1) + [0]
        try retiming.apply(to: &compressed, packetBytes: 200)
        #expect(try asfPayloads(compressed, packetBytes: 200).first?.presentationTime == 750)
    }

    @Test func retimesNothingThatIsBroken() throws {
        var bytes = Self.mixed
        bytes[14 + 27 + 22 + 15] = 255
        let before = bytes
        #expect(throws: ASFPacketError.self) { try ASFRetiming(milliseconds: 1).apply(to: &bytes, packetBytes: 200) }
        #expect(bytes == before)
        var short: [UInt8] = [0x82, 0, 0, 1, 0x59] + le32(0) + le16(0) + [0x81, 0x83, 7] + le16(500) + [1, 20] + le16(1) + [0]
        #expect(throws: ASFPacketError.propertyFlags(0x59, offset: 4)) {
            try ASFRetiming(milliseconds: 1).apply(to: &short, packetBytes: 200)
        }
    }
}
