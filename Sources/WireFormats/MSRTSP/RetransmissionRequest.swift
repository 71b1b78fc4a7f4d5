/// A client's request to send packets once more ([MS-RTSP] 2.2.4): a compound of RTCP with the name of the stream of retransmissions, and a generic
/// NACK (RFC 4585 section 6.2.1).
package struct RetransmissionRequest: Sendable, Hashable {
    /// A packet that is missing, and which of the sixteen behind it.
    package struct Entry: Sendable, Hashable {
        package var packetID: UInt16
        /// Bit i: the packet of number `packetID` + 1 + i is missing, too.
        package var following: UInt16

        /// An entry.
        package init(packetID: UInt16, following: UInt16 = 0) {
            self.packetID = packetID
            self.following = following
        }

        /// How many packets it asks for.
        package var count: Int { 1 + following.nonzeroBitCount }
    }

    /// Entries of one NACK, which a client should not exceed.
    package static let entriesMax = 32
    /// Packets of one NACK that a server looks for; those behind them are left out.
    package static let packetsMax = 128
    /// What stands in the name behind the SSRC.
    private static let nameSuffix = "@WMS:7ff42e07-3c7c-4eb5-9c17-6bdd11ad90de"
    private static let nackFormat: UInt8 = 1
    /// The bit E of the format, which servers must ignore and clients should set.
    private static let nackBit: UInt8 = 0x10

    /// The SSRC that SETUP gave to the stream of retransmissions, as the name says it.
    package var retransmissionSSRC: UInt32
    /// Whoever asks.
    package var senderSSRC: UInt32
    /// The stream that packets are missing of.
    package var mediaSSRC: UInt32
    /// What is missing.
    package var entries: [Entry]

    /// A request.
    package init(retransmissionSSRC: UInt32, senderSSRC: UInt32, mediaSSRC: UInt32, entries: [Entry]) {
        self.retransmissionSSRC = retransmissionSSRC
        self.senderSSRC = senderSSRC
        self.mediaSSRC = mediaSSRC
        self.entries = entries
    }

    /// The request that a compound is; nil for anything else. Several NACKs of one compound are read as one, if they are of one stream; at most
    /// ``packetsMax`` packets.
    package init?(_ bytes: Span<UInt8>) {
        var compound = RTCPCompound()
        var name: UInt32?
        var request: RetransmissionRequest?
        var left = Self.packetsMax
        do throws(RTCPError) {
            while let packet = try compound.next(in: bytes) {
                if name == nil { name = packet.canonicalName(in: bytes).flatMap(Self.ssrc) }
                guard packet.packetType == RTCPPacketType.transportFeedback, packet.count & ~Self.nackBit == Self.nackFormat,
                    packet.contentLength >= 12
                else { continue }
                let sender = bytes.load32(packet.offset + 4), media = bytes.load32(packet.offset + 8)
                if request == nil {
                    request = RetransmissionRequest(retransmissionSSRC: 0, senderSSRC: sender, mediaSSRC: media, entries: [])
                }
                guard request?.mediaSSRC == media else { continue }
                var offset = packet.offset + 12
                while offset + 4 <= packet.end, left > 0 {
                    var entry = Entry(packetID: bytes.load16(offset), following: bytes.load16(offset + 2))
                    while entry.count > left { entry.following &= ~(0x8000 >> UInt16(entry.following.leadingZeroBitCount)) }
                    left -= entry.count
                    request?.entries.append(entry)
                    offset += 4
                }
            }
        } catch { return nil }
        guard let name, var request, !request.entries.isEmpty else { return nil }
        request.retransmissionSSRC = name
        self = request
    }

    private static func ssrc(_ name: String) -> UInt32? {
        let digits = name.byteSlice.prefix { ASCII.isDigit($0) }
        guard digits.count <= 10, ASCII.equalIgnoringCase(name.byteSlice.dropFirst(digits.count), nameSuffix) else { return nil }
        return ASCII.decimal(digits, max: UInt64(UInt32.max)).map { UInt32(truncatingIfNeeded: $0) }
    }

    /// The sequence numbers, in their order.
    package var sequences: [UInt16] {
        entries.flatMap { entry in
            [entry.packetID] + (0..<16).filter { entry.following >> UInt16($0) & 1 != 0 }.map { entry.packetID &+ 1 &+ UInt16($0) }
        }
    }

    /// Entries for sequence numbers, which rise (over 65,535, too).
    package static func entries(for sequences: [UInt16]) -> [Entry] {
        var entries: [Entry] = []
        for sequence in sequences {
            if let last = entries.last {
                let distance = sequence &- last.packetID
                if distance == 0 { continue }
                if distance <= 16 {
                    entries[entries.count - 1].following |= 1 << (distance - 1)
                    continue
                }
            }
            entries.append(Entry(packetID: sequence))
        }
        return entries
    }

    /// The compounds that ask for these packets: as many as it takes, each of at most ``entriesMax`` entries.
    package static func compounds(
        for sequences: [UInt16], retransmissionSSRC: UInt32, senderSSRC: UInt32, mediaSSRC: UInt32
    ) -> [[UInt8]] {
        let entries = entries(for: sequences)
        return stride(from: 0, to: entries.count, by: entriesMax).map { start in
            RetransmissionRequest(
                retransmissionSSRC: retransmissionSSRC, senderSSRC: senderSSRC, mediaSSRC: mediaSSRC,
                entries: Array(entries[start..<min(start + entriesMax, entries.count)])
            ).serialized()
        }
    }

    /// The compound; of more than ``entriesMax`` entries those are left out.
    package func serialized() -> [UInt8] {
        let name = Array("\(retransmissionSSRC)\(Self.nameSuffix)".utf8)
        let entries = entries.prefix(Self.entriesMax)
        // An item ends with a zero, and fills up a word.
        let descriptionBytes = (8 + 2 + name.count + 1 + 3) & ~3
        var bytes: [UInt8] = [0x81, RTCPPacketType.sourceDescription]
        bytes.append(big: UInt16(descriptionBytes / 4 - 1))
        bytes.append(big: senderSSRC)
        bytes += [1, UInt8(name.count)]
        bytes += name
        bytes += [UInt8](repeating: 0, count: descriptionBytes - bytes.count)
        bytes += [0x80 | Self.nackBit | Self.nackFormat, RTCPPacketType.transportFeedback]
        bytes.append(big: UInt16(2 + entries.count))
        bytes.append(big: senderSSRC)
        bytes.append(big: mediaSSRC)
        for entry in entries {
            bytes.append(big: entry.packetID)
            bytes.append(big: entry.following)
        }
        return bytes
    }
}
