import Testing

@testable import WireFormats

/// A file made of objects: video with a key frame each second (stream 2) and audio (stream 1), packets of 200 bytes, preroll 1000 ms.
struct ASFMadeFile {
    var header: [UInt8]
    var packets: [[UInt8]]
    var behind: [UInt8] = []
    var bytes: [UInt8] { header + packets.flatMap(\.self) + behind }

    /// `seconds` of media; the header tells what is so, unless told to know nothing.
    init(seconds: Int, hasVideo: Bool = true, isTold: Bool = true, keyBits: Bool = true) throws {
        var header = asfHeader(
            children: hasVideo ? asfStream(2, .videoMedia, data: asfVideo("WMV2")) : [])
        header.replaceSubrange(0x7A..<0x82, with: le32(200, 200))
        var objects: [ASFMediaObject] = []
        for tick in 0..<(seconds * 10) {
            let time = UInt32(1_000 + tick * 100)
            if hasVideo {
                objects.append(
                    ASFMediaObject(
                        stream: 2, number: UInt8(truncatingIfNeeded: tick), isKey: keyBits && tick % 10 == 0, presentationTime: time,
                        bytes: [UInt8](repeating: UInt8(truncatingIfNeeded: tick), count: tick % 10 == 0 ? 700 : 90)))
            }
            objects.append(
                ASFMediaObject(
                    stream: 1, number: UInt8(truncatingIfNeeded: tick), isKey: false, presentationTime: time,
                    bytes: [UInt8](repeating: 7, count: 80)))
        }
        packets = try ASFObjectsTests.packetise(objects, packetBytes: 200)
        let form = ASFRewrite.Form.file(
            packets: UInt64(packets.count), playDuration: UInt64(1_000 + seconds * 1_000) * 10_000,
            sendDuration: UInt64(seconds) * 10_000_000,
            isSeekable: true)
        self.header = try ASFHeader(header).rewritten(ASFRewrite(form: isTold ? form : .live)).bytes
    }

    func file() throws -> ASFFile { ASFFile(header: try ASFHeader(header), fileBytes: UInt64(bytes.count)) }

    /// The first packet in which an object begins that is asked for.
    func packet(stream: UInt8, time: UInt32) throws -> Int? {
        try packets.firstIndex { bytes in
            try asfPayloads(bytes, packetBytes: 200).contains { $0.stream == stream && $0.offset == 0 && $0.presentationTime == time }
        }
    }

    /// A Simple Index: an entry a second, of times with the preroll.
    func simpleIndex(seconds: Int, shift: Int = 0) throws -> [UInt8] {
        var rows: [UInt8] = []
        for second in 0..<seconds {
            let packet = try packet(stream: 2, time: UInt32(max(second, 1) * 1_000)) ?? 0
            rows += le32(packet + shift) + le16(1)
        }
        return asfObject(.simpleIndex, [UInt8](0...15) + le64(10_000_000) + le32(1, seconds) + rows)
    }

    /// An Index Object in two blocks: objects of stream 1, clean points of stream 2.
    func fullIndex(seconds: Int) throws -> [UInt8] {
        var blocks: [UInt8] = []
        for half in [1..<(seconds / 2), (seconds / 2)..<seconds] {
            let firsts = try half.map { try packet(stream: 2, time: UInt32($0 * 1_000)) ?? 0 }
            let base = UInt64(200 * (firsts.first ?? 0))
            blocks += le32(half.count + (half.lowerBound == 1 ? 1 : 0)) + le64(0, base)
            if half.lowerBound == 1 { blocks += le32(-1, -1) }
            for packet in firsts { blocks += le32(200 * packet, 200 * packet - Int(base)) }
        }
        return asfObject(.index, le32(1_000) + le16(2) + le32(2) + le16(1, 2, 2, 3) + blocks)
    }
}

/// Bytes of an array as a file's.
func asfReader(_ bytes: [UInt8]) -> (UInt64, Int) -> [UInt8] {
    { offset, count in offset < UInt64(bytes.count) ? Array(bytes[Int(offset)...].prefix(max(count, 0))) : [] }
}

struct ASFFileTests {
    @Test func findsPackets() throws {
        let header = try ASFHeader(ASFSample.header)
        let file = ASFFile(header: header, fileBytes: 582)
        #expect(file.packetCount == 2 && file.packetsEnd == 582 && file.trailingBytes == 0 && !file.isCutOff && !file.needsRepair)
        #expect([-1, 0, 1, 2, .max].map { file.offset(ofPacket: $0) } == [326, 326, 454, 582, 582])
        #expect([0, 326, 453, 454, 581, 582, .max].map { file.packet(atOffset: $0) } == [0, 0, 0, 1, 1, 1, 1])
        // Cut off inside of the second packet, behind the first, before it.
        for (bytes, count, trailing) in [(581, 1, 127), (454, 1, 0), (400, 0, 74), (326, 0, 0), (0, 0, 0)] as [(UInt64, Int, UInt64)] {
            let cut = ASFFile(header: header, fileBytes: bytes)
            #expect(cut.packetCount == count && cut.trailingBytes == trailing && cut.isCutOff && cut.needsRepair, "\(bytes)")
        }
        // An index behind: the Data Object's size says where it begins.
        #expect(ASFFile(header: header, fileBytes: 1_000).packetCount == 2)
    }

    /// (size of the Data Object, packets in File Properties, in the Data Object, flags) of a file with two packets and 100 bytes behind.
    @Test(
        arguments: [
            (50, 0, 0, 1, 2, 100), (0, 0xFFFF_FFFF, 0, 1, 2, 100), (50, 2, 2, 2, 2, 0), (50, 1, 1, 2, 1, 0), (.max, 2, 2, 2, 2, 0),
            (306, 0, 0, 2, 2, 0), (307, 2, 2, 2, 2, 1), (50, .max, .max, 2, 2, 100), (50, 5, 5, 2, 2, 100), (1 << 63, 0, 1, 1, 1, 0),
        ] as [(UInt64, UInt64, UInt64, Int, Int, UInt64)])
    func believesNoCount(_ test: (size: UInt64, packets: UInt64, dataPackets: UInt64, flags: Int, count: Int, trailing: UInt64)) throws {
        var bytes = ASFSample.header
        bytes.replaceSubrange(0x124..<0x12C, with: le64(test.size))
        bytes.replaceSubrange(0x56..<0x5E, with: le64(test.packets))
        bytes.replaceSubrange(0x13C..<0x144, with: le64(test.dataPackets))
        bytes[0x76] = UInt8(test.flags)
        let file = ASFFile(header: try ASFHeader(bytes), fileBytes: 682)
        #expect(file.packetCount == test.count && file.trailingBytes == test.trailing)
    }

    @Test func mendsAHeaderThatKnowsNothing() throws {
        let made = try ASFMadeFile(seconds: 20, isTold: false)
        let file = try made.file()
        #expect(file.packetCount == made.packets.count && file.needsRepair)
        let header = try file.header.rewritten(ASFRewrite(form: file.measured(asfReader(made.bytes))))
        #expect(header.file.packetCount == UInt64(made.packets.count) && header.file.isSeekable && !header.file.isBroadcast)
        #expect(header.file.contentMilliseconds == 19_900, "the last object begins there")
        #expect(!ASFFile(header: header, fileBytes: file.fileBytes).needsRepair)
    }

    @Test func scans() throws {
        let made = try ASFMadeFile(seconds: 20)
        let file = try made.file()
        var scan = ASFScan(header: file.header)
        file.take(0..<file.packetCount, into: &scan, asfReader(made.bytes))
        #expect(scan.packets == UInt64(made.packets.count) && scan.brokenPackets == 0 && scan.backwardSendTimes == 0)
        #expect(scan.streams[1]?.objects == 200 && scan.streams[1]?.bytes == 16_000 && scan.streams[1]?.keyObjects == 0)
        #expect(scan.streams[2]?.objects == 200 && scan.streams[2]?.keyObjects == 20)
        #expect(scan.streams[2]?.firstTime == 1_000 && scan.streams[2]?.lastTime == 20_900)
        #expect(scan.index.entries(stream: 2).map(\.time) == (1...20).map { UInt32($0 * 1_000) })
        #expect(scan.index.entries(stream: 1).map(\.time) == (1...20).map { UInt32($0 * 1_000) })
        for entry in scan.index.entries(stream: 2) { #expect(try made.packet(stream: 2, time: entry.time) == Int(entry.packet)) }
        let noise: [UInt8] = [1, 2, 3]
        scan.take(noise.span, number: 99)
        #expect(scan.brokenPackets == 1 && scan.firstFlaw?.packet == 99)
    }

    @Test func readsIndexes() throws {
        var made = try ASFMadeFile(seconds: 20)
        #expect(ASFIndex.read(of: try made.file(), asfReader(made.bytes)).index == nil)
        made.behind = try made.simpleIndex(seconds: 21)
        let (simple, flaws) = ASFIndex.read(of: try made.file(), asfReader(made.bytes))
        #expect(flaws.isEmpty && simple?.origin == .simple && simple?.streamNumbers == [2] && simple?.entryCount == 20)
        #expect(simple?.entry(stream: 2, atOrBefore: 5_999)?.time == 5_000 && simple?.entry(stream: 1, atOrBefore: 5_999) == nil)
        made.behind = asfObject(ASFGUID(1, 2), [1]) + (try made.simpleIndex(seconds: 21)) + (try made.fullIndex(seconds: 20))
        let full = ASFIndex.read(of: try made.file(), asfReader(made.bytes)).index
        #expect(full?.origin == .full && full?.streamNumbers == [1, 2] && full?.entries(stream: 2).count == 19)
        for entry in full?.entries(stream: 2) ?? [] { #expect(try made.packet(stream: 2, time: entry.time) == Int(entry.packet)) }
    }

    /// With a good index, with none, with one that lies, and with one of a walk: the same packet is found, and it is the right one.
    @Test(arguments: ["none", "simple", "full", "late", "early", "scan"]) func seeks(_ kind: String) throws {
        var made = try ASFMadeFile(seconds: 20)
        switch kind {
        case "simple": made.behind = try made.simpleIndex(seconds: 21)
        case "full": made.behind = try made.fullIndex(seconds: 20)
        // Entries that point some packets away from where they should.
        case "late": made.behind = try made.simpleIndex(seconds: 19, shift: 9)
        default: break
        }
        let file = try made.file(), read = asfReader(made.bytes)
        var index = ASFIndex.read(of: file, read).index
        if kind == "early" {
            index = ASFIndex(origin: .simple)
            index?.add(ASFIndex.Entry(time: 0, packet: 0), stream: 2)
        }
        if kind == "scan" {
            var scan = ASFScan(header: file.header)
            file.take(0..<file.packetCount, into: &scan, read)
            index = scan.index
        }
        #expect((index == nil) == (kind == "none"))
        let seek = ASFSeek(file: file, index: index)
        for milliseconds in stride(from: 0, through: 25_000, by: 321) {
            let start = seek.start(atMilliseconds: UInt64(milliseconds), streams: [1, 2], read)
            let key = UInt32(1_000 + min(milliseconds / 1_000, 19) * 1_000)
            #expect(start == ASFSeek.Start(packet: try #require(try made.packet(stream: 2, time: key)), stream: 2, presentationTime: key))
        }
        #expect(seek.start(atMilliseconds: .max, streams: [1, 2], read).presentationTime == 20_000)
        // Sound alone can be entered at every object.
        let sound = seek.start(atMilliseconds: 4_567, streams: [1], read)
        #expect(sound.presentationTime == 5_500 && sound.stream == 1)
        for packet in [0, 17, made.packets.count - 1, 1 << 40] {
            let start = seek.start(atPacket: packet, streams: [1, 2], read)
            #expect(start.packet <= packet && start.stream == 2)
            #expect(try made.packet(stream: 2, time: try #require(start.presentationTime)) == start.packet)
        }
    }

    /// No key frame at or before the time: the first there is. None at all: the beginning, where each stream waits for its own.
    @Test func seeksWhereNothingIsToBeFound() throws {
        let made = try ASFMadeFile(seconds: 3, keyBits: false)
        let seek = ASFSeek(file: try made.file(), index: nil)
        // Without a stream there is nothing to look for: by the send time, and no block is read.
        var most = 0
        let nowhere = seek.start(atMilliseconds: 2_000, streams: []) { offset, count in
            most = max(most, count)
            return asfReader(made.bytes)(offset, count)
        }
        #expect(nowhere.stream == nil && most <= seek.file.header.packetBytes)
        #expect(seek.start(atMilliseconds: 2_000, streams: [1, 2], asfReader(made.bytes)) == ASFSeek.Start(packet: 0))
        let cut = try ASFMadeFile(seconds: 3)
        var late = cut
        late.packets.removeFirst(5)
        let start = ASFSeek(file: try late.file(), index: nil).start(atMilliseconds: 0, streams: [1, 2], asfReader(late.bytes))
        #expect(start.presentationTime == 2_000)
        let empty = ASFSeek(file: ASFFile(header: try ASFHeader(made.header), fileBytes: 0), index: nil)
        #expect(empty.start(atMilliseconds: 5, streams: .all, { _, _ in [] }) == ASFSeek.Start(packet: 0))
        #expect(empty.start(atPacket: 5, streams: .all, { _, _ in [] }) == ASFSeek.Start(packet: 0))
    }

    @Test(
        arguments: [
            asfObject(.simpleIndex, [1]),
            asfObject(.simpleIndex, [UInt8](repeating: 0, count: 16) + le64(10_000_000) + le32(1, 2, 0) + le16(1)),
            asfObject(.simpleIndex, [UInt8](repeating: 0, count: 16) + le64(10_000_000) + le32(1, -1)),
            asfObject(.simpleIndex, [UInt8](repeating: 0, count: 16) + le64(0) + le32(1, 1, 0) + le16(1)),
            asfObject(
                .simpleIndex,
                [UInt8](repeating: 0, count: 16) + le64(.max) + le32(1, 3, 0) + le16(1) + le32(0) + le16(1) + le32(0) + le16(1)),
            asfObject(.simpleIndex, [UInt8](repeating: 0, count: 16) + le64(10_000_000) + le32(1, 1, 1 << 20) + le16(1)),
            asfObject(
                .simpleIndex, [UInt8](repeating: 0, count: 16) + le64(10_000_000) + le32(1, 2, 9) + le16(1) + le32(8) + le16(1)),
            Array(asfObject(.simpleIndex, [UInt8](repeating: 0, count: 40))[..<60]),
            asfObject(.index, []),
            asfObject(.index, le32(0) + le16(1) + le32(1)),
            asfObject(.index, le32(1_000) + le16(65_535) + le32(1)),
            asfObject(.index, le32(1_000) + le16(1) + le32(-1) + le16(2, 3)),
            asfObject(.index, le32(1_000) + le16(1) + le32(1) + le16(2, 3) + le32(-1) + le64(0)),
            asfObject(.index, le32(1_000) + le16(1) + le32(1) + le16(2, 3) + le32(1) + le64(.max) + le32(200)),
            asfObject(.index, le32(-1) + le16(1) + le32(1) + le16(2, 3) + le32(3) + le64(0) + le32(0, 0, 200)),
        ] as [[UInt8]])
    func doesWithoutABrokenIndex(_ object: [UInt8]) throws {
        var made = try ASFMadeFile(seconds: 3)
        made.behind = object
        let (index, flaws) = ASFIndex.read(of: try made.file(), asfReader(made.bytes))
        #expect(index == nil && flaws.count == 1)
        #expect(flaws.allSatisfy { !$0.description.isEmpty })
    }

    @Test func sumsUpToALimit() {
        var index = ASFIndex(origin: .scan)
        for number in 0...UInt32(ASFIndex.entriesMax) { index.add(ASFIndex.Entry(time: number, packet: number), stream: 1) }
        #expect(index.entryCount == ASFIndex.entriesMax)
    }
}
