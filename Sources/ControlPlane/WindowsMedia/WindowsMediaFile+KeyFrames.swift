import WireFormats

/// One key frame of a file, in the packets that hold it.
struct ASFKeyFrame: Sendable {
    /// The packet in which it begins.
    var firstPacket: UInt32
    /// With the preroll.
    var presentationTime: UInt32
    /// At full size, with nothing else in them, in the file's order.
    var packets: [(number: UInt32, bytes: [UInt8])]
}

extension WindowsMediaFile {
    /// The last key frame of the leading one of these streams that begins in a packet or before it; nil when there is none. Blocking.
    func keyFrame(atOrBefore packet: UInt32, streams: ASFStreamSet) throws(Trouble) -> ASFKeyFrame? {
        let found = start(.packet(UInt64(packet)), streams: streams)
        guard let stream = found.stream, let time = found.presentationTime, let first = UInt32(exactly: found.packet), first <= packet
        else { return nil }
        var frame = ASFKeyFrame(firstPacket: first, presentationTime: time, packets: [])
        var wanted = ASFStreamSet()
        wanted.insert(stream)
        var selection = ASFSelection(streams: wanted, keyFramesOnly: wanted, keyFrameStreams: header.keyFrameStreams, joins: true)
        var object: UInt32?
        let end = min(packetCount, first &+ Self.keyFramePacketsMax)
        var next = first
        while next < end {
            let block = try read(packets: next..<min(next + Self.keyFrameBlockPackets, end))
            guard !block.isEmpty else { break }
            for index in 0..<(block.count / header.packetBytes) {
                let bytes = Array(block[(index * header.packetBytes)..<((index + 1) * header.packetBytes)])
                // A packet that cannot be read is left out, as everywhere.
                if let kept = try? selection.packet(bytes, packetBytes: header.packetBytes) { frame.packets.append((next, kept)) }
                if isWhole(bytes.span, stream, time, &object) { return frame }
                next += 1
            }
        }
        return frame
    }

    /// Whether the object of that time, which `object` names once it has begun, ends in this packet.
    private func isWhole(_ bytes: Span<UInt8>, _ stream: UInt8, _ time: UInt32, _ object: inout UInt32?) -> Bool {
        guard let packet = try? ASFPacket(bytes, packetBytes: header.packetBytes) else { return false }
        var payloads = ASFPayloads(packet)
        while let payload = try? payloads.next(in: bytes) {
            guard payload.stream == stream else { continue }
            if object == nil, payload.startsObject, payload.presentationTime == time { object = payload.objectNumber }
            if payload.objectNumber == object, payload.endsObject { return true }
        }
        return false
    }

    /// A key frame is looked for the end of in no more than this, 64 packets at a time.
    private static var keyFramePacketsMax: UInt32 { 4_096 }
    private static var keyFrameBlockPackets: UInt32 { 64 }
}
