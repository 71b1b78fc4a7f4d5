/// Why a file is not an rtpdump, and where it stops being one.
package enum RTPDumpError: Error, Hashable, CustomStringConvertible {
    /// The first line is not `#!rtpplay1.0 address/port`, or does not end within ``RTPDumpHeader/lineBytesMax``.
    case notRTPDump
    /// The file ends inside of the 16 bytes behind the first line.
    case headerTooShort(have: Int, need: Int)
    /// A record whose length is below its own eight bytes.
    case recordLength(Int, offset: Int)
    /// The file ends inside of a record.
    case recordTooShort(offset: Int, have: Int, need: Int)
    /// A packet that was recorded without its payload (rtpdump's `header` mode): `stored` bytes of `length`.
    case payloadMissing(offset: Int, stored: Int, length: Int)

    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .notRTPDump: "not an rtpdump: the file must begin with a line '#!rtpplay1.0 address/port'"
        case .headerTooShort(let have, let need): "the rtpdump's header has \(have) bytes of \(need)"
        case .recordLength(let length, let offset): "the record at byte \(offset) has a length of \(length); it must be at least 8"
        case .recordTooShort(let offset, let have, let need):
            "the file ends in the record at byte \(offset): \(have) bytes of \(need) are there"
        case .payloadMissing(let offset, let stored, let length):
            "the record at byte \(offset) holds \(stored) of the packet's \(length) bytes; record with 'rtpdump -F dump'"
        }
    }
}

/// The beginning of an rtpdump file: a line of text and 16 bytes (rtptools' `rtpplay` format).
///
///     #!rtpplay1.0 224.2.0.1/3456\n
///     start seconds u32 | start microseconds u32 | source address u32 | source port u16 | 0 u16     (big-endian)
package struct RTPDumpHeader: Sendable, Hashable {
    /// Bytes of the first line, its end included.
    package static let lineBytesMax = 256

    /// What stands behind `#!rtpplay1.0 `: address and port of the recorded stream.
    package var source: String
    /// When recording began, microseconds of Unix time.
    package var startMicroseconds: UInt64
    /// Where packets came from, as four bytes of IPv4; 0 when not known.
    package var sourceAddress: UInt32
    /// From which port.
    package var sourcePort: UInt16

    /// A header.
    package init(source: String = "0.0.0.0/0", startMicroseconds: UInt64 = 0, sourceAddress: UInt32 = 0, sourcePort: UInt16 = 0) {
        self.source = source
        self.startMicroseconds = startMicroseconds
        self.sourceAddress = sourceAddress
        self.sourcePort = sourcePort
    }

    static let magic = Array("#!rtpplay1.0 ".utf8)

    /// The header's bytes.
    package func serialized() -> [UInt8] {
        var bytes = Self.magic
        bytes.append(line: source)
        bytes = Array(bytes.prefix(Self.lineBytesMax - 1))
        bytes.append(ASCII.lineFeed)
        bytes += bigEndian(UInt32(truncatingIfNeeded: startMicroseconds / 1_000_000))
        bytes += bigEndian(UInt32(truncatingIfNeeded: startMicroseconds % 1_000_000))
        bytes += bigEndian(sourceAddress)
        bytes += bigEndian(UInt32(sourcePort) << 16)
        return bytes
    }
}

/// One packet of an rtpdump file: where it lies, and when it came. Holds no bytes.
///
///     length u16, these 8 bytes included | packet length u16, 0 for RTCP | milliseconds since the start u32 | packet
package struct RTPDumpRecord: Sendable, Hashable, BitwiseCopyable {
    /// Bytes before the packet.
    package static let headerByteCount = 8
    /// Bytes of a packet that fit into a record.
    package static let packetBytesMax = 65_535 - headerByteCount

    /// Where the packet begins in the file.
    package var packetOffset: Int
    /// Bytes of the packet.
    package var packetLength: Int
    /// Whether it is RTCP.
    package var isRTCP: Bool
    /// When it came, since the beginning of the recording.
    package var milliseconds: UInt32

    /// A record's bytes; nil when the packet is above ``packetBytesMax``.
    package static func serialized(packet: [UInt8], isRTCP: Bool, milliseconds: UInt32) -> [UInt8]? {
        guard packet.count <= packetBytesMax else { return nil }
        let length = UInt32(truncatingIfNeeded: packet.count + headerByteCount)
        return bigEndian(length << 16 | (isRTCP ? 0 : UInt32(truncatingIfNeeded: packet.count))) + bigEndian(milliseconds) + packet
    }
}

/// Walks over an rtpdump file that lies in memory, without allocating.
package struct RTPDumpReader: Sendable {
    /// The file's beginning.
    package let header: RTPDumpHeader
    /// Where the next record begins; at first the first one's place, to which ``rewind()`` goes back.
    package private(set) var offset: Int
    private let firstRecord: Int

    /// A reader at the first record of the file that `bytes` is.
    package init(_ bytes: Span<UInt8>) throws(RTPDumpError) {
        let magic = RTPDumpHeader.magic
        guard bytes.count >= magic.count else { throw .notRTPDump }
        for index in magic.indices where bytes[index] != magic[index] { throw .notRTPDump }
        var end = magic.count
        let limit = min(bytes.count, RTPDumpHeader.lineBytesMax)
        while end < limit, bytes[end] != ASCII.lineFeed { end += 1 }
        guard end < limit else { throw .notRTPDump }
        var source: [UInt8] = []
        for index in magic.count..<end { source.append(bytes[index]) }
        let start = end + 1
        guard bytes.count - start >= 16 else { throw .headerTooShort(have: bytes.count - start, need: 16) }
        header = RTPDumpHeader(
            source: source[...].trimmed.text,
            startMicroseconds: UInt64(bytes.load32(start)) * 1_000_000 + UInt64(bytes.load32(start + 4)),
            sourceAddress: bytes.load32(start + 8), sourcePort: bytes.load16(start + 12))
        firstRecord = start + 16
        offset = firstRecord
    }

    /// The next record; nil at the end of the file. `bytes` is the whole file, as given at first.
    package mutating func next(in bytes: Span<UInt8>) throws(RTPDumpError) -> RTPDumpRecord? {
        let have = bytes.count - offset
        if have <= 0 { return nil }
        guard have >= RTPDumpRecord.headerByteCount else {
            throw .recordTooShort(offset: offset, have: have, need: RTPDumpRecord.headerByteCount)
        }
        let length = Int(bytes.load16(offset)), packetLength = Int(bytes.load16(offset + 2))
        guard length >= RTPDumpRecord.headerByteCount else { throw .recordLength(length, offset: offset) }
        guard have >= length else { throw .recordTooShort(offset: offset, have: have, need: length) }
        let stored = length - RTPDumpRecord.headerByteCount
        guard packetLength <= stored else { throw .payloadMissing(offset: offset, stored: stored, length: packetLength) }
        let record = RTPDumpRecord(
            packetOffset: offset + RTPDumpRecord.headerByteCount, packetLength: packetLength == 0 ? stored : packetLength,
            isRTCP: packetLength == 0, milliseconds: bytes.load32(offset + 4))
        offset += length
        return record
    }

    /// Goes back to the first record.
    package mutating func rewind() { offset = firstRecord }
}
