/// Finds where a player is to begin. An index only says where to look: what is found is read, so that a wrong one costs time, not a picture.
package struct ASFSeek: Sendable {
    /// Where to begin.
    package struct Start: Sendable, Hashable {
        /// The packet in which the object begins.
        package var packet: Int
        /// The stream that is entered there; nil when no object was found at which one can be. Then every stream waits for its own.
        package var stream: UInt8?
        /// Its presentation time in milliseconds with the preroll.
        package var presentationTime: UInt32?

        /// A packet, with what begins in it where that is known.
        package init(packet: Int, stream: UInt8? = nil, presentationTime: UInt32? = nil) {
            self.packet = packet
            self.stream = stream
            self.presentationTime = presentationTime
        }
    }

    /// Bytes that one seek reads at most; far more than key frames are apart.
    package static let bytesMax = 32 << 20

    package let file: ASFFile
    /// The file's own index, or that of a walk over its packets; nil without.
    package var index: ASFIndex?

    /// Seeks in a file.
    package init(file: ASFFile, index: ASFIndex?) {
        self.file = file
        self.index = index
    }

    /// The last object at or before a time (milliseconds without the preroll) at which the leading one of the streams can be entered: the first
    /// video stream, and without one whichever comes. Before the first such object it is the first. The closure gives bytes of the file.
    package func start(
        atMilliseconds time: UInt64, streams: ASFStreamSet, _ read: (_ offset: UInt64, _ count: Int) -> [UInt8]
    ) -> Start {
        let leading = leading(streams)
        let (sum, overflow) = time.addingReportingOverflow(UInt64(file.header.file.prerollMilliseconds))
        let target = UInt32(clamping: overflow ? UInt64.max : sum)
        var bytesLeft = Self.bytesMax
        let last = lastPacket(sentAtOrBefore: target, read)
        guard leading.numbers.first != nil else { return Start(packet: last) }
        // Forward from where the index points, which is at most some seconds away.
        if let number = leading.numbers.first, leading.count == 1,
            let hint = index?.entry(stream: number, atOrBefore: target).map({ Int($0.packet) }), hint < file.packetCount
        {
            if let found = find(in: hint..<(max(last, hint) + 1), leading, atOrBefore: target, &bytesLeft, read) { return found }
        }
        if let found = findBackwards(from: last, leading, atOrBefore: target, &bytesLeft, read) { return found }
        return first(leading, &bytesLeft, read) ?? Start(packet: bytesLeft > 0 ? 0 : last)
    }

    /// The same for a packet: the last object that begins in it or before.
    package func start(
        atPacket packet: Int, streams: ASFStreamSet, _ read: (_ offset: UInt64, _ count: Int) -> [UInt8]
    ) -> Start {
        let packet = min(max(packet, 0), max(file.packetCount - 1, 0))
        let leading = leading(streams)
        guard leading.numbers.first != nil else { return Start(packet: packet) }
        var bytesLeft = Self.bytesMax
        if let found = findBackwards(from: packet, leading, atOrBefore: .max, &bytesLeft, read) { return found }
        return first(leading, &bytesLeft, read) ?? Start(packet: bytesLeft > 0 ? 0 : packet)
    }

    /// The first video stream of a selection that has key frames; without one all of it.
    private func leading(_ streams: ASFStreamSet) -> ASFStreamSet {
        let video = file.header.keyFrameStreams.intersection(streams)
        guard let first = video.numbers.first else { return streams }
        var leading = ASFStreamSet()
        leading.insert(first)
        return leading
    }

    /// By halving; send times that go back only make it land elsewhere.
    private func lastPacket(sentAtOrBefore time: UInt32, _ read: (UInt64, Int) -> [UInt8]) -> Int {
        var low = 0, high = file.packetCount
        while low < high {
            let middle = (low + high) / 2
            let bytes = read(file.offset(ofPacket: middle), file.header.packetBytes)
            if let packet = try? ASFPacket(bytes.span, packetBytes: file.header.packetBytes), packet.sendTime > time {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return max(low - 1, 0)
    }

    private func first(_ leading: ASFStreamSet, _ bytesLeft: inout Int, _ read: (UInt64, Int) -> [UInt8]) -> Start? {
        var next = 0
        while next < file.packetCount, bytesLeft > 0 {
            let end = min(next + perBlock, file.packetCount)
            if let found = find(in: next..<end, leading, atOrBefore: .max, &bytesLeft, read, isFirst: true) { return found }
            next = end
        }
        return nil
    }

    private func findBackwards(
        from packet: Int, _ leading: ASFStreamSet, atOrBefore time: UInt32, _ bytesLeft: inout Int, _ read: (UInt64, Int) -> [UInt8]
    ) -> Start? {
        var end = min(packet + 1, file.packetCount)
        while end > 0, bytesLeft > 0 {
            let start = max(end - perBlock, 0)
            if let found = find(in: start..<end, leading, atOrBefore: time, &bytesLeft, read) { return found }
            end = start
        }
        return nil
    }

    private var perBlock: Int { max(ASFFile.blockBytes / file.header.packetBytes, 1) }

    /// The last object of these packets at which the leading streams can be entered, or the first one.
    private func find(
        in packets: Range<Int>, _ leading: ASFStreamSet, atOrBefore time: UInt32, _ bytesLeft: inout Int,
        _ read: (UInt64, Int) -> [UInt8], isFirst: Bool = false
    ) -> Start? {
        let packetBytes = file.header.packetBytes, keyFrameStreams = file.header.keyFrameStreams
        var found: Start?
        var next = packets.lowerBound
        while next < packets.upperBound, bytesLeft > 0 {
            let count = min(perBlock, packets.upperBound - next)
            let block = read(file.offset(ofPacket: next), count * packetBytes)
            bytesLeft -= count * packetBytes
            for index in 0..<min(block.count / packetBytes, count) {
                let bytes = block.span.extracting((index * packetBytes)..<((index + 1) * packetBytes))
                guard let packet = try? ASFPacket(bytes, packetBytes: packetBytes) else { continue }
                var payloads = ASFPayloads(packet)
                while let payload = try? payloads.next(in: bytes) {
                    guard leading.contains(payload.stream), payload.isEntry(keyFrameStreams: keyFrameStreams),
                        let presented = payload.presentationTime, presented <= time
                    else { continue }
                    found = Start(packet: next + index, stream: payload.stream, presentationTime: presented)
                    if isFirst { return found }
                }
            }
            guard block.count >= count * packetBytes else { break }
            next += count
        }
        return found
    }
}
