import WireFormats

/// Walks over the body of a Play from packet to packet, looking at heads alone: thousands of readers in one thread. What is to be trusted
/// byte for byte is read with `WMSPParser`.
struct WMSPWalk {
    /// What was found at one place of the body.
    enum Step: Equatable {
        /// `$D`: its number, the send time of the ASF packet in milliseconds, and the ASF packet's bytes.
        case data(number: UInt32, sendTime: UInt32?, bytes: Int)
        /// The first piece of an `$H`.
        case header
        /// `$E` that ends the media; reason 1 only ends an entry of a playlist and is passed over.
        case end(WMSPReason)
    }

    /// Bytes of a packet that are still to come and that nobody looks at.
    private var skip = 0

    /// Takes what it can and gives how many bytes that was; the rest is to be handed in again with what follows.
    ///
    /// - Throws: what stands where a packet must begin.
    mutating func take(_ bytes: Span<UInt8>, _ step: (Step) -> Void) throws(WorkbenchError) -> Int {
        var at = 0
        while at < bytes.count {
            if skip > 0 {
                let part = min(skip, bytes.count - at)
                skip -= part
                at += part
                continue
            }
            guard bytes[at] & ~WMSPFraming.nextFollowsBit == WMSPFraming.magic else {
                throw WorkbenchError("the server sent \(bytes[at]) where a packet of Windows Media must begin")
            }
            guard bytes.count - at >= 4 else { break }
            guard let kind = WMSPPacketKind(rawValue: bytes[at + 1]), kind != .packetPair else {
                throw WorkbenchError("the server sent a packet of kind \(bytes[at + 1]) in the middle of the media")
            }
            let length = Int(bytes[at + 2]) | Int(bytes[at + 3]) << 8
            let seen: Int
            switch kind {
            case .data: seen = min(length, WMSPFraming.dataHeadBytes - 4 + ASFPacket.sendTimeHeadBytes)
            case .header, .metadata: seen = min(length, WMSPFraming.dataHeadBytes - 4)
            case .endOfStream, .streamChange: seen = min(length, 8)
            case .packetPair, .pipelineTest: seen = 0
            }
            guard bytes.count - at - 4 >= seen else { break }
            try look(kind, bytes.extracting((at + 4)..<(at + 4 + seen)), length: length, step)
            at += 4 + seen
            skip = length - seen
        }
        return at
    }

    private func look(
        _ kind: WMSPPacketKind, _ head: Span<UInt8>, length: Int, _ step: (Step) -> Void
    ) throws(WorkbenchError) {
        switch kind {
        case .data:
            guard length >= 8 else { throw WorkbenchError("the server sent a $D of \(length) bytes, which is no packet") }
            let asf = head.extracting(8...)
            step(.data(number: Self.number(head), sendTime: ASFPacket.sendTime(ofHead: asf), bytes: length - 8))
        case .header:
            if length >= 8, head[5] & WMSPPacket.firstPiece != 0 { step(.header) }
        case .endOfStream:
            // With 8 bytes the first four count packets: there is no reason then.
            let reason = length == 4 ? WMSPReason(rawValue: Self.number(head)) : .done
            if reason != .entryDone { step(.end(reason)) }
        case .streamChange:
            guard length >= 4 else { return }
            let reason = WMSPReason(rawValue: Self.number(head))
            if reason.isFailure { step(.end(reason)) }
        case .metadata, .packetPair, .pipelineTest: break
        }
    }

    private static func number(_ bytes: Span<UInt8>) -> UInt32 {
        UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
    }
}
