/// Where in a file the streams can be entered: for a presentation time, the packet in which the last such object at or before it begins.
package struct ASFIndex: Sendable, Hashable {
    /// What it was made of.
    package enum Origin: String, Sendable, Hashable {
        /// Simple Index Objects: one of each video stream.
        case simple
        /// An Index Object.
        case full
        /// A walk over the packets.
        case scan
    }

    /// From `time` on (milliseconds with the preroll), until the next entry's time, the stream is to be entered in `packet`.
    package struct Entry: Sendable, Hashable, BitwiseCopyable {
        package var time: UInt32
        package var packet: UInt32

        /// An entry.
        package init(time: UInt32, packet: UInt32) {
            self.time = time
            self.packet = packet
        }
    }

    /// Entries of all streams together; those beyond are left out, and found by looking.
    package static let entriesMax = 1 << 20

    package let origin: Origin
    private var streams: [UInt8: [Entry]] = [:]
    /// Entries of all streams.
    package private(set) var entryCount = 0

    /// Without entries.
    package init(origin: Origin) { self.origin = origin }

    /// The streams that are indexed.
    package var streamNumbers: ASFStreamSet {
        var set = ASFStreamSet()
        for number in streams.keys { set.insert(number) }
        return set
    }

    /// A stream's entries, times rising.
    package func entries(stream: UInt8) -> [Entry] { streams[stream] ?? [] }

    /// Adds an entry behind a stream's last. One that is not later than that by `spacing` milliseconds, or in the same packet, is left out.
    package mutating func add(_ entry: Entry, stream: UInt8, spacing: UInt32 = 0) {
        guard entryCount < Self.entriesMax else { return }
        if let last = streams[stream]?.last {
            guard entry.time > last.time, entry.time - last.time >= spacing, entry.packet > last.packet else { return }
        }
        streams[stream, default: []].append(entry)
        entryCount += 1
    }

    /// The entry for a time; nil before the first, and for a stream that is not indexed.
    package func entry(stream: UInt8, atOrBefore time: UInt32) -> Entry? {
        guard let entries = streams[stream] else { return nil }
        var low = 0, high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].time <= time { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? entries[low - 1] : nil
    }
}

/// What is wrong with a file's index; it is then done without. Offsets are those of the file.
package enum ASFIndexError: Error, Hashable, CustomStringConvertible {
    /// An object that says it has `bytes` bytes where `room` are left.
    case objectSize(offset: UInt64, bytes: UInt64, room: UInt64)
    /// An index above the limit.
    case tooLong(offset: UInt64, bytes: UInt64, bytesMax: Int)
    /// Fewer bytes than its counts need.
    case tooShort(offset: UInt64, have: Int, need: UInt64)
    /// An interval of 0, or one that leads to times beyond 32 bits.
    case interval(offset: UInt64)
    /// An entry that points behind the last packet, or before that of the entry before it.
    case entry(Int, offset: UInt64, packet: UInt64, packetCount: Int)
    /// A Simple Index for no video stream.
    case noStream(offset: UInt64)

    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .objectSize(let offset, let bytes, let room):
            "the object at byte \(offset) says it has \(bytes) bytes; it must have 24 to \(room)"
        case .tooLong(let offset, let bytes, let max): "the index at byte \(offset) has \(bytes) bytes; \(max) are taken"
        case .tooShort(let offset, let have, let need): "the index at byte \(offset) has \(have) of the \(need) bytes that its counts need"
        case .interval(let offset): "the index at byte \(offset) has an interval that gives no times"
        case .entry(let number, let offset, let packet, let count):
            "entry \(number) of the index at byte \(offset) points at packet \(packet), before the one before it or outside of the \(count) there are"
        case .noStream(let offset): "the index at byte \(offset) is of a stream that does not exist"
        }
    }
}
