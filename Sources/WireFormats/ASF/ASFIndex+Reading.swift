extension ASFIndex {
    /// Bytes of all index objects that are read.
    package static let bytesMax = 16 << 20
    /// Objects behind the packets that are looked at.
    package static let objectsMax = 256

    /// The index that a file has behind its packets, checked against its size: the Index Object if there is one, else the Simple Index Objects;
    /// nil without, or when they are broken, which `flaws` then tell. The closure gives bytes of the file, fewer where there are no more.
    package static func read(
        of file: ASFFile, _ read: (_ offset: UInt64, _ count: Int) -> [UInt8]
    ) -> (index: ASFIndex?, flaws: [ASFIndexError]) {
        var simple = ASFIndex(origin: .simple), full = ASFIndex(origin: .full)
        var flaws: [ASFIndexError] = []
        var offset = file.packetsEnd + file.trailingBytes
        var bytesLeft = bytesMax
        // Simple Indexes stand in the order of the video streams' numbers.
        var videos = file.header.streams.filter { $0.kind == .video }.map(\.number).sorted()[...]
        for _ in 0..<objectsMax {
            let head = read(offset, ASFObject.headBytes)
            guard head.count == ASFObject.headBytes, offset <= file.fileBytes else { break }
            let guid = ASFGUID(head.span, at: 0), size = head.span.loadLittle64(16)
            let room = file.fileBytes - offset
            guard size >= UInt64(ASFObject.headBytes), size <= room else {
                // Trailing bytes that are no object are nothing to complain of, a broken index is.
                if guid == .simpleIndex || guid == .index { flaws.append(.objectSize(offset: offset, bytes: size, room: room)) }
                break
            }
            if guid == .simpleIndex || guid == .index {
                do throws(ASFIndexError) {
                    guard size <= UInt64(bytesLeft) else { throw .tooLong(offset: offset, bytes: size, bytesMax: bytesMax) }
                    bytesLeft -= Int(size)
                    let bytes = read(offset, Int(size))
                    guard bytes.count == Int(size) else { throw .tooShort(offset: offset, have: bytes.count, need: size) }
                    if guid == .simpleIndex {
                        guard let stream = videos.popFirst() else { throw .noStream(offset: offset) }
                        try simple.addSimple(bytes.span, stream: stream, offset: offset, file: file)
                    } else {
                        try full.addFull(bytes.span, offset: offset, file: file)
                    }
                } catch { flaws.append(error) }
            }
            offset += size
        }
        let index = full.entryCount > 0 ? full : simple
        return (index.entryCount > 0 ? index : nil, flaws)
    }

    /// File GUID 16 | interval u64 100 ns | packets u32 | entries u32 | { packet u32 | packets u16 } …
    private mutating func addSimple(
        _ bytes: Span<UInt8>, stream: UInt8, offset: UInt64, file: ASFFile
    ) throws(ASFIndexError) {
        guard bytes.count >= 56 else { throw .tooShort(offset: offset, have: bytes.count, need: 56) }
        let interval = bytes.loadLittle64(40), count = UInt64(bytes.loadLittle32(52))
        let need = 56 + count * 6
        guard UInt64(bytes.count) >= need else { throw .tooShort(offset: offset, have: bytes.count, need: need) }
        var found: [Entry] = []
        for number in 0..<Int(count) {
            let packet = bytes.loadLittle32(56 + 6 * number)
            let (time, overflow) = interval.multipliedReportingOverflow(by: UInt64(number))
            guard interval >= 10_000, !overflow, time / 10_000 <= UInt64(UInt32.max) else { throw .interval(offset: offset) }
            guard packet < UInt32(clamping: file.packetCount), packet >= found.last?.packet ?? 0 else {
                throw .entry(number, offset: offset, packet: UInt64(packet), packetCount: file.packetCount)
            }
            // Of the entries that name one packet the first says the most.
            if packet != found.last?.packet || found.isEmpty { found.append(Entry(time: UInt32(time / 10_000), packet: packet)) }
        }
        for entry in found { add(entry, stream: stream) }
    }

    /// Interval u32 ms | specifiers u16 | blocks u32 | { stream u16 | type u16 } … | blocks: entries u32 | base u64 … | offset u32 … for each entry
    private mutating func addFull(_ bytes: Span<UInt8>, offset: UInt64, file: ASFFile) throws(ASFIndexError) {
        guard bytes.count >= 34 else { throw .tooShort(offset: offset, have: bytes.count, need: 34) }
        let interval = UInt64(bytes.loadLittle32(24)), specifiers = Int(bytes.loadLittle16(28)), blocks = bytes.loadLittle32(30)
        guard interval > 0 else { throw .interval(offset: offset) }
        guard bytes.count - 34 >= 4 * specifiers else {
            throw .tooShort(offset: offset, have: bytes.count, need: UInt64(34 + 4 * specifiers))
        }
        // Of a stream that is indexed in several ways the clean points count (3), then objects, then packets.
        var chosen: [UInt8: (column: Int, type: UInt16)] = [:]
        for column in 0..<specifiers {
            let stream = UInt8(truncatingIfNeeded: bytes.loadLittle16(34 + 4 * column) & 0x7F), type = bytes.loadLittle16(36 + 4 * column)
            guard type <= 3, file.header.stream(stream) != nil else { continue }
            if chosen[stream].map({ type > $0.type }) ?? true { chosen[stream] = (column, type) }
        }
        guard specifiers > 0 else { return }
        var place = 34 + 4 * specifiers
        var number = 0
        var found: [UInt8: [Entry]] = [:]
        for _ in 0..<blocks {
            guard bytes.count - place >= 4 + 8 * specifiers else {
                throw .tooShort(offset: offset, have: bytes.count, need: UInt64(place + 4 + 8 * specifiers))
            }
            let count = UInt64(bytes.loadLittle32(place)), bases = place + 4
            let rows = bases + 8 * specifiers
            guard UInt64(bytes.count - rows) / UInt64(4 * specifiers) >= count else {
                throw .tooShort(offset: offset, have: bytes.count, need: UInt64(rows) + count * UInt64(4 * specifiers))
            }
            for row in 0..<Int(count) {
                let time = interval * UInt64(number)
                guard time <= UInt64(UInt32.max) else { throw .interval(offset: offset) }
                for (stream, choice) in chosen {
                    let value = bytes.loadLittle32(rows + 4 * (row * specifiers + choice.column))
                    guard value != .max else { continue }
                    let (byte, overflow) = bytes.loadLittle64(bases + 8 * choice.column).addingReportingOverflow(UInt64(value))
                    let packet = overflow ? UInt64.max : byte / UInt64(file.header.packetBytes)
                    guard packet < UInt64(file.packetCount), packet >= UInt64(found[stream]?.last?.packet ?? 0) else {
                        throw .entry(number, offset: offset, packet: packet, packetCount: file.packetCount)
                    }
                    if UInt32(packet) != found[stream]?.last?.packet {
                        found[stream, default: []].append(Entry(time: UInt32(time), packet: UInt32(packet)))
                    }
                }
                number += 1
            }
            place = rows + Int(count) * 4 * specifiers
        }
        for (stream, entries) in found { for entry in entries { add(entry, stream: stream) } }
    }
}
