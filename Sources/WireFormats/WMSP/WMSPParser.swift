/// Takes the body of a WMSP response apart, however it was cut ([MS-WMSP] 2.2.3). Chunks were taken off before.
///
/// Feed with ``append(_:)``, drain with ``next()`` until it gives nil. It keeps one unfinished packet (at most 65,539 bytes) and what was
/// appended behind it and not yet drained.
///
/// Tolerated, because servers send it: `$E` with the eight bytes of a data head in place of a reason (VLC, FFmpeg); any AFFlags and
/// LocationId; the bit B. The `Reason` of `$P` is not counted by its length, and the first and third are as much shorter and longer as
/// it says.
package struct WMSPParser: Sendable {
    /// Why the bytes are no packets. Nothing behind it can be read.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// A packet does not begin with `$`: the byte that stands there, and where in the body.
        case noPacket(byte: UInt8, at: UInt64)
        /// A packet of a kind that is not known.
        case unknownKind(UInt8, at: UInt64)
        /// A length that its kind cannot have.
        case wrongLength(UInt16, WMSPPacketKind, at: UInt64)
        /// The second length of a packet is not the first.
        case lengthsDiffer(UInt16, UInt16, at: UInt64)
        /// The reason of a `$P` that is longer than what it is taken from.
        case wrongPair(UInt32, at: UInt64)
        /// A fourth `$P`.
        case tooManyPairs(at: UInt64)

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .noPacket(let byte, let at): "byte \(at) of the body, \(hexText(byte)), stands where a packet ('$') must begin"
            case .unknownKind(let kind, let at): "the packet at byte \(at) is of the unknown kind \(hexText(kind))"
            case .wrongLength(let length, let kind, let at): "the length \(length) at byte \(at) is impossible for $\(kind.letter)"
            case .lengthsDiffer(let first, let second, let at):
                "the length \(second) at byte \(at) is not the \(first) of the packet's beginning"
            case .wrongPair(let reason, let at): "the reason \(reason) of the $P at byte \(at) is more than 504"
            case .tooManyPairs(let at): "a fourth $P stands at byte \(at)"
            }
        }
    }

    private static let pairLengths: [UInt16] = [504, 504, 1_048]

    private var buffer: [UInt8] = []
    private var start = 0
    private var pairs = 0
    private var trouble: Trouble?
    /// Bytes of the body that the packets given out so far took.
    package private(set) var bytesConsumed: UInt64 = 0

    /// A parser at the beginning of a body.
    package init() {}

    /// Bytes appended and not yet given out.
    package var bytesBuffered: Int { buffer.count - start }

    /// Takes the next bytes of the body.
    package mutating func append(_ bytes: [UInt8]) {
        if start > 0, start >= buffer.count - start {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole packet, nil if more bytes are needed.
    ///
    /// - Throws: what is wrong with the body; the same again at each later call.
    package mutating func next() throws(Trouble) -> WMSPPacket? {
        if let trouble { throw trouble }
        do throws(Trouble) { return try step() } catch {
            trouble = error
            throw error
        }
    }

    private mutating func step() throws(Trouble) -> WMSPPacket? {
        let count = buffer.count - start
        guard count > 0 else { return nil }
        let first = buffer[start]
        guard first & ~WMSPFraming.nextFollowsBit == WMSPFraming.magic else { throw .noPacket(byte: first, at: bytesConsumed) }
        guard count > 1 else { return nil }
        guard let kind = WMSPPacketKind(rawValue: buffer[start + 1]) else { throw .unknownKind(buffer[start + 1], at: bytesConsumed) }
        guard count > 3 else { return nil }
        let length = load16(2)
        var packet = WMSPPacket(kind: kind)
        packet.nextFollows = first != WMSPFraming.magic
        switch kind {
        case .pipelineTest:
            guard length == 0 else { throw .wrongLength(length, kind, at: bytesConsumed + 2) }
            return finish(packet, payload: 0, head: 4)
        case .endOfStream, .streamChange:
            guard length == 4 || kind == .endOfStream && length == 8 else { throw .wrongLength(length, kind, at: bytesConsumed + 2) }
            guard count >= 4 + Int(length) else { return nil }
            // With 8 bytes, the first four count packets: there is no reason then.
            packet.reason = length == 4 ? WMSPReason(rawValue: load32(4)) : .done
            return finish(packet, payload: 0, head: 4 + Int(length))
        case .packetPair:
            guard pairs < Self.pairLengths.count else { throw .tooManyPairs(at: bytesConsumed) }
            guard length == Self.pairLengths[pairs] else { throw .wrongLength(length, kind, at: bytesConsumed + 2) }
            guard count >= 8 else { return nil }
            let reason = load32(4)
            guard reason <= 504 else { throw .wrongPair(reason, at: bytesConsumed + 4) }
            let payload = Int(length) + [-Int(reason), 0, Int(reason)][pairs]
            guard count >= 8 + payload else { return nil }
            pairs += 1
            return finish(packet, payload: payload, head: 8)
        case .data, .header, .metadata:
            guard length >= 8 else { throw .wrongLength(length, kind, at: bytesConsumed + 2) }
            guard count >= WMSPFraming.dataHeadBytes else { return nil }
            let again = load16(10)
            guard again == length else { throw .lengthsDiffer(length, again, at: bytesConsumed + 10) }
            guard count >= 4 + Int(length) else { return nil }
            packet.locationID = load32(4)
            packet.incarnation = buffer[start + 8]
            packet.flags = buffer[start + 9]
            return finish(packet, payload: Int(length) - 8, head: WMSPFraming.dataHeadBytes)
        }
    }

    private mutating func finish(_ packet: WMSPPacket, payload: Int, head: Int) -> WMSPPacket {
        var packet = packet
        packet.payload = Array(buffer[(start + head)..<(start + head + payload)])
        start += head + payload
        bytesConsumed &+= UInt64(head + payload)
        if start == buffer.count {
            buffer = []
            start = 0
        }
        return packet
    }

    private func load16(_ offset: Int) -> UInt16 { UInt16(buffer[start + offset]) | UInt16(buffer[start + offset + 1]) << 8 }

    private func load32(_ offset: Int) -> UInt32 { UInt32(load16(offset)) | UInt32(load16(offset + 2)) << 16 }
}

extension WMSPPacketKind {
    /// As in `$H`.
    package var letter: Character { Character(Unicode.Scalar(rawValue)) }
}

/// Joins the pieces of an `$H` or of an `$M`.
package struct WMSPPieces: Sendable {
    /// Why pieces do not make a whole.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// Together more than the limit.
        case tooLong(bytesMax: Int)
        /// A piece that is not the first, and no first one came.
        case firstMissing

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .tooLong(let max): "the pieces are together longer than \(max) bytes"
            case .firstMissing: "a piece came before the first one"
            }
        }
    }

    /// The longest whole.
    package static let bytesMax = 1 << 20

    private var bytes: [UInt8]?

    /// No piece yet.
    package init() {}

    /// Whether pieces are here whose last one is not.
    package var isUnfinished: Bool { bytes != nil }

    /// Takes a piece; gives the whole with the last one. A first piece begins anew.
    package mutating func take(_ packet: WMSPPacket) throws(Trouble) -> [UInt8]? {
        if packet.flags & WMSPPacket.firstPiece != 0 { bytes = [] }
        guard let before = bytes else { throw .firstMissing }
        guard packet.payload.count <= Self.bytesMax - before.count else { throw .tooLong(bytesMax: Self.bytesMax) }
        bytes = nil
        let whole = before + packet.payload
        if packet.flags & WMSPPacket.lastPiece != 0 { return whole }
        bytes = whole
        return nil
    }
}
