/// Gets ASF packets out of RTP packets, which go in in the order of their sequence numbers. Holds no more than one unfinished packet.
///
/// Tolerated: lengths that count the payload header and such that do not, several ASF packets in one RTP packet, a marker bit that is missing on a
/// last piece (one that FEC recovered has none).
package struct ASFRTPReceiver: Sendable {
    /// An ASF packet as it was received.
    package struct Packet: Sendable, Hashable {
        /// All P bytes of it where the receiver was told to pad; else what came.
        package var bytes: [UInt8]
        /// Which packet of its content it is, if the server says.
        package var locationID: UInt32?
        /// In milliseconds.
        package var sendTime: UInt32
        /// As the server says.
        package var hasKeyFrame: Bool
    }

    /// What became of what came.
    package struct Counters: Sendable, Hashable {
        /// ASF packets that were given out.
        package var packets: UInt64 = 0
        /// ASF packets of which a piece was missing.
        package var packetsIncomplete: UInt64 = 0
        /// RTP payloads, and ASF packets in them, that are none.
        package var malformed: UInt64 = 0
    }

    /// Bytes above P that a packet may have: a length that was written in.
    private static let excessBytesMax = 16

    private var packetBytes: Int
    private let isPadded: Bool
    private var begun: Packet?
    /// A number is missing behind what was begun.
    private var isInterrupted = false
    /// Pieces go by until a packet begins.
    private var isSkipping = false
    /// What happened so far.
    package private(set) var counters = Counters()

    /// Nothing came yet. `packetBytes` is P of the header.
    package init(packetBytes: Int, isPadded: Bool) {
        self.packetBytes = packetBytes
        self.isPadded = isPadded
    }

    /// Packets of another size follow.
    package mutating func begin(packetBytes: Int) {
        gap()
        self.packetBytes = packetBytes
    }

    /// Sequence numbers are missing, or others follow: what was begun cannot be finished.
    ///
    /// With `isOne` a single number is missing where FEC has numbers, too: if that was one of FEC, the next piece goes on where the last one
    /// ended, which it does in no other case.
    package mutating func gap(isOne: Bool = false) {
        guard begun != nil else { return }
        guard !isOne || isInterrupted else {
            isInterrupted = true
            return
        }
        isInterrupted = false
        begun = nil
        counters.packetsIncomplete &+= 1
        isSkipping = true
    }

    /// Takes the payload of an RTP packet with that packet's timestamp and marker bit, and hands out each ASF packet that ends in it. What cannot
    /// be used is counted.
    package mutating func take(_ payload: Span<UInt8>, timestamp: UInt32, marker: Bool, _ body: (Packet) -> Void) {
        var offset = 0
        while offset < payload.count {
            let header: ASFPayloadHeader
            do throws(ASFPayloadHeaderError) { header = try ASFPayloadHeader(payload, at: offset) } catch {
                counters.malformed &+= 1
                return gap()
            }
            let start = offset &+ header.byteCount
            if isInterrupted, header.isWhole || header.lengthOrOffset == 0 { gap() }
            guard header.isWhole else { return take(piece: payload.extracting(start..<payload.count), header, marker, body) }
            finishBegun(body)
            let end = Self.end(of: header, at: offset, in: payload)
            give(
                Packet(bytes: [UInt8](payload, start..<end), locationID: header.locationID, sendTime: 0, hasKeyFrame: header.hasKeyFrame),
                body)
            offset = end
        }
    }

    /// Where a whole packet ends: its length counts from the header's beginning, or from its end.
    private static func end(of header: ASFPayloadHeader, at offset: Int, in payload: Span<UInt8>) -> Int {
        let rest = payload.count &- offset, length = Int(header.lengthOrOffset), start = offset &+ header.byteCount
        if length >= rest || length == rest &- header.byteCount { return payload.count }
        let inclusive = offset &+ length, exclusive = start &+ length
        if length > header.byteCount, isBeginning(payload, inclusive) { return inclusive }
        if length > 0, exclusive < payload.count, isBeginning(payload, exclusive) { return exclusive }
        return length > header.byteCount ? inclusive : payload.count
    }

    /// Whether another header and the beginning of an ASF packet stand there, as far as can be told.
    private static func isBeginning(_ payload: Span<UInt8>, _ offset: Int) -> Bool {
        guard let header = try? ASFPayloadHeader(payload, at: offset), payload[offset] & 0x07 == 0 else { return false }
        let rest = payload.count &- offset
        guard header.isWhole, Int(header.lengthOrOffset) <= rest else { return false }
        return payload[offset &+ header.byteCount] & 0xF0 == 0x80
    }

    private mutating func take(piece: Span<UInt8>, _ header: ASFPayloadHeader, _ marker: Bool, _ body: (Packet) -> Void) {
        let offset = Int(header.lengthOrOffset)
        if offset == 0 {
            finishBegun(body)
            begun = Packet(bytes: [], locationID: nil, sendTime: 0, hasKeyFrame: header.hasKeyFrame)
            isSkipping = false
        }
        guard let have = begun?.bytes.count, have == offset, piece.count <= packetBytes + Self.excessBytesMax - have else {
            if begun == nil, !isSkipping {
                counters.packetsIncomplete &+= 1
                isSkipping = true
            }
            return gap()
        }
        isInterrupted = false
        begun?.bytes.append(piece, 0..<piece.count)
        if let location = header.locationID { begun?.locationID = location }
        if marker || isWhole { finishBegun(body) }
    }

    /// Whether what was begun has as many bytes as it says, or all.
    private var isWhole: Bool {
        guard let begun else { return false }
        let count = begun.bytes.count
        if let length = ASFPacket.explicitLength(ofHead: begun.bytes.span) { return count >= Int(length) }
        return count >= packetBytes
    }

    private mutating func finishBegun(_ body: (Packet) -> Void) {
        guard let packet = begun else { return }
        begun = nil
        give(packet, body)
    }

    private mutating func give(_ packet: Packet, _ body: (Packet) -> Void) {
        var packet = packet
        isSkipping = false
        guard packet.bytes.count <= packetBytes + Self.excessBytesMax,
            let head = try? ASFPacket(packet.bytes.span, packetBytes: max(packetBytes, packet.bytes.count)),
            let whole = try? head.padded(packet.bytes, packetBytes: packetBytes)
        else { return counters.malformed &+= 1 }
        if isPadded { packet.bytes = whole }
        packet.sendTime = head.sendTime
        counters.packets &+= 1
        body(packet)
    }
}

extension ASFPacket {
    /// The explicit length of the packet that begins so; nil where it has none, and where the bytes are too few to tell.
    static func explicitLength(ofHead bytes: Span<UInt8>) -> UInt32? {
        guard bytes.count >= 1 else { return nil }
        let offset = bytes[0] & 0x80 != 0 ? 1 &+ Int(bytes[0] & 0x0F) : 0
        guard bytes.count > offset else { return nil }
        let size = fieldBytes(bytes[offset] >> 5)
        guard size > 0, bytes.count &- offset >= 2 &+ size else { return nil }
        return bytes.loadLittle(offset &+ 2, byteCount: size)
    }

    /// The packet at full size, which may be less than it has because of a length that was written in. Throws what reading its payloads does,
    /// and where they do not fit.
    fileprivate func padded(_ bytes: [UInt8], packetBytes: Int) throws(ASFPacketError) -> [UInt8] {
        let size = try payloadBytes(bytes.span, kept: .max)
        if byteCount == packetBytes { return bytes }
        let need = errorCorrectionBytes + 8 + (hasSeveralPayloads ? 1 : 0) + size
        guard need <= packetBytes else { throw .tooLong(bytes: need, packetBytes: packetBytes) }
        return try Self.array(bytes, capacity: packetBytes) { output throws(ASFPacketError) in
            try write(bytes.span, kept: .max, payloadBytes: size, form: .full, packetBytes: packetBytes, into: &output)
            return .written
        }
    }
}
