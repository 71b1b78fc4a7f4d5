/// Where playing can begin in a recording: at key frames, or where there are none every half second. It grows with the recording, and
/// stands behind the packets of one that is whole.
///
///     entries: microseconds i64, first byte u64, first byte of the key frame u64
///     lateness microseconds i64 | end microseconds i64 | bytes of packets u64 | entries u32 | "WRI1"       (big-endian)
package struct RecordingIndex: Sendable, Hashable {
    /// One place.
    package struct Entry: Sendable, Hashable, BitwiseCopyable {
        /// What is shown first.
        package var microseconds: Int64
        /// The first packet of any track that is not before that time.
        package var first: UInt64
        /// The first packet of the key frame.
        package var keyFrame: UInt64

        /// An entry.
        package init(microseconds: Int64, first: UInt64, keyFrame: UInt64) {
            self.microseconds = microseconds
            self.first = first
            self.keyFrame = keyFrame
        }
    }

    /// Entries that are kept; of more every second one goes.
    package static let entriesMax = 1 << 16
    private static let entryByteCount = 24
    /// Bytes behind the entries.
    package static let trailerByteCount = 32
    private static let magic: UInt32 = 0x5752_4931

    /// By time and place.
    package private(set) var entries: [Entry] = []
    /// By so much packets come later than ones of a later time that were sent before them, at most: pictures that are shown in another
    /// order than sent, and tracks that the origin does not send side by side.
    package var latenessMicroseconds: Int64 = 0
    /// Where the media ends.
    package var endMicroseconds: Int64 = 0

    /// Every so many-th is taken: grows when there are too many.
    private var stride = 1
    private var skipped = 0

    /// An index of nothing.
    package init() {}

    /// Takes a place, if it is behind those that there are.
    package mutating func append(_ entry: Entry) {
        if let last = entries.last, entry.microseconds <= last.microseconds || entry.keyFrame <= last.keyFrame { return }
        skipped += 1
        guard skipped >= stride || entries.isEmpty else { return }
        skipped = 0
        if entries.count >= Self.entriesMax {
            entries = entries.enumerated().compactMap { $0.offset % 2 == 0 ? $0.element : nil }
            stride *= 2
        }
        entries.append(entry)
    }

    /// Where to begin for a time: the last place that is not behind it, else the first there is. Nil: there is none yet.
    package func place(for microseconds: Int64) -> Entry? {
        var low = 0, high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].microseconds <= microseconds { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? entries[low - 1] : entries.first
    }

    /// What stands behind so many bytes of packets.
    package func serialized(behind bytesOfPackets: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        func put(_ value: UInt64) {
            bytes += bigEndian(UInt32(truncatingIfNeeded: value >> 32))
            bytes += bigEndian(UInt32(truncatingIfNeeded: value))
        }
        for entry in entries {
            put(UInt64(bitPattern: entry.microseconds))
            put(entry.first)
            put(entry.keyFrame)
        }
        put(UInt64(bitPattern: latenessMicroseconds))
        put(UInt64(bitPattern: endMicroseconds))
        put(bytesOfPackets)
        bytes += bigEndian(UInt32(truncatingIfNeeded: entries.count))
        bytes += bigEndian(Self.magic)
        return bytes
    }

    /// How many bytes at the end of a recording of `count` are the index, by its last ``trailerByteCount``.
    package static func byteCount(trailer: [UInt8], of count: UInt64) throws(RecordingError) -> Int {
        guard trailer.count == trailerByteCount else { throw .index("its last \(trailer.count) bytes are not \(trailerByteCount)") }
        let bytes = trailer.span
        guard bytes.load32(28) == magic else { throw .index("it does not end as one") }
        let entries = bytes.load32(24)
        guard entries <= entriesMax else { throw .index("it has \(entries) entries") }
        let own = Int(entries) * entryByteCount + trailerByteCount
        let packets = UInt64(bytes.load32(16)) << 32 | UInt64(bytes.load32(20))
        guard UInt64(own) <= count, packets == count - UInt64(own) else { throw .index("\(packets) bytes of packets do not fit \(count)") }
        return own
    }

    /// The index that stands behind so many bytes of packets.
    package init(_ bytes: [UInt8], behind bytesOfPackets: UInt64) throws(RecordingError) {
        let own = try Self.byteCount(
            trailer: Array(bytes.suffix(Self.trailerByteCount)), of: bytesOfPackets &+ UInt64(bytes.count))
        guard own == bytes.count else { throw .index("it has \(bytes.count) bytes of \(own)") }
        let span = bytes.span
        func take(_ offset: Int) -> UInt64 { UInt64(span.load32(offset)) << 32 | UInt64(span.load32(offset &+ 4)) }
        for offset in Swift.stride(from: 0, to: own - Self.trailerByteCount, by: Self.entryByteCount) {
            let entry = Entry(
                microseconds: Int64(bitPattern: take(offset)), first: take(offset + 8), keyFrame: take(offset + 16))
            let isBehind = entries.last.map { $0.microseconds < entry.microseconds && $0.keyFrame < entry.keyFrame } ?? true
            guard isBehind, entry.first <= entry.keyFrame, entry.keyFrame < bytesOfPackets,
                (-RecordedPacket.microsecondsMax...RecordedPacket.microsecondsMax).contains(entry.microseconds)
            else { throw .index("entry \(entries.count) is out of order") }
            entries.append(entry)
        }
        let trailer = own - Self.trailerByteCount
        latenessMicroseconds = Int64(bitPattern: take(trailer))
        endMicroseconds = Int64(bitPattern: take(trailer + 8))
        guard (0...RecordedPacket.microsecondsMax).contains(latenessMicroseconds),
            (0...RecordedPacket.microsecondsMax).contains(endMicroseconds)
        else { throw .index("its times cannot be") }
    }
}
