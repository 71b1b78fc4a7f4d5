/// Where packets lie in a file, whatever its header says of their number: files are cut off, go on behind what was declared, and were written
/// by recorders that never came back to fill in their counts.
package struct ASFFile: Sendable, Hashable {
    package let header: ASFHeader
    /// Bytes of the file.
    package let fileBytes: UInt64
    /// Whole packets that there are.
    package let packetCount: Int
    /// Where packets end: an index may follow.
    package let packetsEnd: UInt64
    /// Bytes behind the last whole packet that are neither a packet nor declared to be something else.
    package let trailingBytes: UInt64
    /// Packets that the header declares; nil when it does not know, or cannot mean it.
    package let packetsDeclared: UInt64?

    /// Of a file of so many bytes that begins with the header.
    package init(header: ASFHeader, fileBytes: UInt64) {
        self.header = header
        self.fileBytes = fileBytes
        let start = UInt64(header.bytes.count), packetBytes = UInt64(header.packetBytes)
        let room = fileBytes > start ? fileBytes - start : 0
        // A Data Object that ends behind the file was cut off; one of 50 bytes, or of less, was never filled in.
        let head = UInt64(ASFDataHead.byteCount)
        let isSized = header.data.byteCount > head && header.data.byteCount - head <= room
        let data = isSized ? header.data.byteCount - head : room
        var declared = header.file.isBroadcast ? 0 : header.file.packetCount
        if declared == 0 || declared >= 0xFFFF_FFFF { declared = header.data.packetCount }
        packetsDeclared = declared > 0 && declared < 0xFFFF_FFFF ? declared : nil
        var count = data / packetBytes
        // Without the object's size, what follows the declared packets may be an index.
        if !isSized, let packetsDeclared { count = min(count, packetsDeclared) }
        count = min(count, UInt64(Int32.max))
        packetCount = Int(count)
        packetsEnd = start + count * packetBytes
        trailingBytes = !isSized && packetsDeclared == count ? 0 : data - count * packetBytes
    }

    /// Whether packets are missing that the header declares.
    package var isCutOff: Bool { packetsDeclared.map { $0 > UInt64(packetCount) } ?? false }

    /// Where a packet begins in the file; for numbers outside the first one, or the end of the last.
    package func offset(ofPacket number: Int) -> UInt64 {
        UInt64(header.bytes.count) + UInt64(min(max(number, 0), packetCount)) * UInt64(header.packetBytes)
    }

    /// The packet in which an offset of the file lies; the first for the header, the last for what is behind.
    package func packet(atOffset offset: UInt64) -> Int {
        let start = UInt64(header.bytes.count)
        guard offset > start, packetCount > 0 else { return 0 }
        return Int(min((offset - start) / UInt64(header.packetBytes), UInt64(packetCount - 1)))
    }

    /// Whether the header says too little, or what is not so, for a player that seeks: write it again with ``measured(_:)``.
    package var needsRepair: Bool {
        header.file.isBroadcast || header.file.playDuration == 0 || packetsDeclared != UInt64(packetCount)
            || header.file.packetCount != UInt64(packetCount)
    }

    /// Bytes that are read at a time.
    static let blockBytes = 64 << 10

    /// The form of a header that says what is so; durations come from the first and the last packets. The closure gives bytes of the file, fewer
    /// where there are no more.
    package func measured(_ read: (_ offset: UInt64, _ count: Int) -> [UInt8]) -> ASFRewrite.Form {
        var scan = ASFScan(header: header)
        let perBlock = max(Self.blockBytes / header.packetBytes, 1)
        take(0..<min(1, packetCount), into: &scan, read)
        // The last object of the stream that ends last may lie some packets before the end.
        take(max(packetCount - 2 * perBlock, 0)..<packetCount, into: &scan, read)
        return .file(
            packets: UInt64(packetCount), playDuration: scan.playDuration, sendDuration: scan.sendDuration, isSeekable: packetCount > 0)
    }

    /// Feeds packets to a scan, in blocks; fewer where the file cannot be read.
    package func take(_ packets: Range<Int>, into scan: inout ASFScan, _ read: (_ offset: UInt64, _ count: Int) -> [UInt8]) {
        let perBlock = max(Self.blockBytes / header.packetBytes, 1)
        var next = packets.lowerBound
        while next < packets.upperBound {
            let count = min(perBlock, packets.upperBound - next)
            let block = read(offset(ofPacket: next), count * header.packetBytes)
            let whole = block.count / header.packetBytes
            for index in 0..<min(whole, count) {
                let start = index * header.packetBytes
                scan.take(block.span.extracting(start..<(start + header.packetBytes)), number: next + index)
            }
            guard whole >= count else { return }
            next += count
        }
    }
}
