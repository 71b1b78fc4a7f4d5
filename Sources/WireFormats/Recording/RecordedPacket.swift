/// Why bytes are no recording.
package enum RecordingError: Error, Hashable, CustomStringConvertible {
    /// A record whose packet is shorter than RTP's header.
    case packetTooShort(Int, offset: Int)
    /// A record of a track that there cannot be.
    case track(UInt8, offset: Int)
    /// A time before the beginning of all time, or beyond ``RecordedPacket/microsecondsMax``.
    case time(Int64, offset: Int)
    /// The head is none; what is wrong with it.
    case head(String)
    /// The end is none; what is wrong with it.
    case index(String)

    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .packetTooShort(let bytes, let offset): "the record at byte \(offset) holds a packet of \(bytes) bytes"
        case .track(let track, let offset): "the record at byte \(offset) is of track \(track)"
        case .time(let time, let offset): "the record at byte \(offset) is of time \(time)"
        case .head(let words): "the recording's head cannot be read: \(words)"
        case .index(let words): "the recording's index cannot be read: \(words)"
        }
    }
}

/// One RTP packet of a recording, and where it lies in time. Holds no bytes.
///
///     packet length u16 | track u8 | flags u8 (1: a key frame begins) | microseconds i64 | packet       (big-endian)
///
/// Packets lie in the order in which the origin sent them. The time is the media's own (npt), by the packet's timestamp: it goes back and
/// forth where pictures are sent in another order than they are shown.
package struct RecordedPacket: Sendable, Hashable, BitwiseCopyable {
    /// Bytes before the packet.
    package static let headerByteCount = 12
    /// Tracks of a recording, at most.
    package static let tracksMax: UInt8 = 8
    /// No time is further from the beginning: a year.
    package static let microsecondsMax: Int64 = 366 * 86_400 * 1_000_000

    /// The number of its track.
    package var track: UInt8
    /// A decoder can begin with it.
    package var startsKeyFrame: Bool
    /// When it is to be shown, from the beginning of the media.
    package var microseconds: Int64
    /// Bytes of the packet, RTP's header included.
    package var byteCount: Int

    /// A record; nil for what no record can say.
    package init?(track: UInt8, startsKeyFrame: Bool, microseconds: Int64, byteCount: Int) {
        guard track < Self.tracksMax, abs(max(microseconds, -Int64.max)) <= Self.microsecondsMax, byteCount >= RTPHeader.byteCountMin,
            byteCount <= 0xFFFF
        else { return nil }
        self.track = track
        self.startsKeyFrame = startsKeyFrame
        self.microseconds = microseconds
        self.byteCount = byteCount
    }

    /// Bytes of the record with its packet.
    package var recordByteCount: Int { Self.headerByteCount &+ byteCount }

    /// The record at `offset` of `bytes`; nil where the bytes end before it is whole. The packet lies behind the header.
    package init?(_ bytes: Span<UInt8>, at offset: Int) throws(RecordingError) {
        guard offset >= 0, offset <= bytes.count, bytes.count &- offset >= Self.headerByteCount else { return nil }
        byteCount = Int(bytes.load16(offset))
        guard byteCount >= RTPHeader.byteCountMin else { throw .packetTooShort(byteCount, offset: offset) }
        track = bytes[offset &+ 2]
        guard track < Self.tracksMax else { throw .track(track, offset: offset) }
        startsKeyFrame = bytes[offset &+ 3] & 1 != 0
        let time = UInt64(bytes.load32(offset &+ 4)) << 32 | UInt64(bytes.load32(offset &+ 8))
        microseconds = Int64(bitPattern: time)
        guard microseconds >= -Self.microsecondsMax, microseconds <= Self.microsecondsMax else { throw .time(microseconds, offset: offset) }
        guard bytes.count &- offset >= recordByteCount else { return nil }
    }

    /// Appends the record of a packet, which has ``byteCount`` bytes.
    package func append(_ packet: [UInt8], to bytes: inout [UInt8]) {
        bytes.append(UInt8(truncatingIfNeeded: byteCount >> 8))
        bytes.append(UInt8(truncatingIfNeeded: byteCount))
        bytes.append(track)
        bytes.append(startsKeyFrame ? 1 : 0)
        bytes += bigEndian(UInt32(truncatingIfNeeded: microseconds >> 32))
        bytes += bigEndian(UInt32(truncatingIfNeeded: microseconds))
        bytes += packet
    }
}
