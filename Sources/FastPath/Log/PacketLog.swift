import PlaneLink

/// What a packet's record says of it.
struct PacketFlags: OptionSet, BitwiseCopyable {
    let rawValue: UInt8
    /// The first packet of a key frame of the stream's anchor track.
    static let startsKeyFrame = PacketFlags(rawValue: 1)
    /// The last packet of a frame (RTP marker).
    static let endsFrame = PacketFlags(rawValue: 2)
}

/// Where a packet lies and what it is. 32 bytes, two to a cache line.
struct PacketRecord: BitwiseCopyable {
    /// Its first byte, counted from the stream's beginning; the place in the arena is this modulo the arena's size.
    var position: UInt64
    /// Monotonic nanoseconds.
    var arrival: UInt64
    var length: UInt16
    var channel: UInt8
    var flags: PacketFlags
    /// Of an RTP packet, as readers see them.
    var sequence: UInt16
    private var reserved: UInt16 = 0
    var timestamp: UInt32
    private var reserved2: UInt32 = 0

    init(position: UInt64, arrival: UInt64, length: UInt16, channel: UInt8, flags: PacketFlags, sequence: UInt16, timestamp: UInt32) {
        self.position = position
        self.arrival = arrival
        self.length = length
        self.channel = channel
        self.flags = flags
        self.sequence = sequence
        self.timestamp = timestamp
    }
}

/// The recent past of a stream: packets one after the other in a circular arena, and a record of each.
///
/// A packet is written once and never changed, and never lies across the arena's end, so consecutive packets of equal size
/// are one contiguous train. Packets are named by their number since the stream began; a number is *valid* while neither its
/// record nor its bytes have been written over.
@safe struct PacketLog: BitwiseCopyable {
    private let arena: UnsafeMutableRawPointer
    private let arenaBytes: UInt64
    private let records: UnsafeMutablePointer<PacketRecord>
    private let recordMask: UInt64
    /// Where the next byte goes.
    private var write: UInt64 = 0
    /// The number of the next packet.
    private(set) var head: UInt64 = 0

    init(memory: StreamMemory) {
        precondition(MemoryLayout<PacketRecord>.stride == StreamMemory.recordBytes)
        unsafe arena = memory.arena
        arenaBytes = UInt64(memory.arenaBytes)
        unsafe records = memory.records.bindMemory(to: PacketRecord.self, capacity: memory.recordCount)
        recordMask = UInt64(memory.recordCount - 1)
    }

    /// Room for a packet of `length` bytes at the log's end; it belongs to the log after ``append(length:channel:flags:arrival:sequence:timestamp:)``.
    @unsafe func room(for length: Int) -> UnsafeMutableRawPointer {
        unsafe arena + Int(start(for: length) % arenaBytes)
    }

    private func start(for length: Int) -> UInt64 {
        let left = arenaBytes - write % arenaBytes
        return left >= UInt64(length) ? write : write + left
    }

    /// Makes the bytes written to ``room(for:)`` the next packet. Its number is the head before the call.
    mutating func append(
        length: Int, channel: UInt8, flags: PacketFlags, arrival: UInt64, sequence: UInt16, timestamp: UInt32
    ) {
        let position = start(for: length)
        unsafe records[Int(head & recordMask)] = PacketRecord(
            position: position, arrival: arrival, length: UInt16(truncatingIfNeeded: length), channel: channel, flags: flags,
            sequence: sequence, timestamp: timestamp)
        write = position + UInt64(length)
        head += 1
    }

    /// The record of a packet. The number must be valid.
    func record(_ number: UInt64) -> PacketRecord {
        unsafe records[Int(number & recordMask)]
    }

    /// Whether a packet that was logged is still there.
    func isValid(_ number: UInt64) -> Bool {
        guard number < head, head - number <= recordMask + 1 else { return number == head }
        return write - record(number).position <= arenaBytes
    }

    /// The bytes at a record's place.
    @unsafe func bytes(of record: PacketRecord) -> UnsafeRawPointer {
        unsafe UnsafeRawPointer(arena + Int(record.position % arenaBytes))
    }
}
