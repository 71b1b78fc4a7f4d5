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
    /// Which plan of its track it was logged under (``StreamState/plans``).
    let plan: UInt8
    private var reserved: UInt8 = 0
    var timestamp: UInt32
    private var reserved2: UInt32 = 0

    init(
        position: UInt64, arrival: UInt64, length: UInt16, channel: UInt8, plan: UInt8, flags: PacketFlags, sequence: UInt16,
        timestamp: UInt32
    ) {
        self.plan = plan
        self.position = position
        self.arrival = arrival
        self.length = length
        self.channel = channel
        self.flags = flags
        self.sequence = sequence
        self.timestamp = timestamp
    }

    /// The first byte after the packet, counted from the stream's beginning.
    var end: UInt64 { position + UInt64(length) }
}

/// The recent past of a stream as every worker reads it: packets one after the other in a circular arena, and a record of each.
///
/// A packet is written once and never changed, and never reaches the arena's end, so packets whose positions follow each other lie
/// next to each other in memory, too: they can be one train. Packets are named by their number since the stream began. Whoever reads a packet has pinned it, or
/// an older one, and seen that the tail is not beyond it (``StreamBoard``).
@safe struct PacketLog: BitwiseCopyable {
    fileprivate let arena: UnsafeMutableRawPointer
    fileprivate let arenaBytes: UInt64
    fileprivate let records: UnsafeMutablePointer<PacketRecord>
    fileprivate let recordMask: UInt64

    init(memory: StreamMemory) {
        precondition(MemoryLayout<PacketRecord>.stride == StreamMemory.recordBytes)
        unsafe arena = memory.arena
        arenaBytes = UInt64(memory.arenaBytes)
        unsafe records = memory.records.bindMemory(to: PacketRecord.self, capacity: memory.recordCount)
        recordMask = UInt64(memory.recordCount - 1)
    }

    /// The record of a pinned packet.
    func record(_ number: UInt64) -> PacketRecord {
        unsafe records[Int(number & recordMask)]
    }

    /// The bytes at a record's place.
    @unsafe func bytes(of record: PacketRecord) -> UnsafeRawPointer {
        unsafe UnsafeRawPointer(arena + Int(record.position % arenaBytes))
    }
}

/// The log's end, for the stream's home worker alone: where the next packet goes, and how the oldest make room for it.
@safe struct LogWriter: BitwiseCopyable {
    private let log: PacketLog
    private let board: StreamBoard
    private let workers: Int
    /// Where the next byte goes.
    private var write: UInt64 = 0
    /// Bytes and records below these may be written without asking.
    private var writableEnd: UInt64 = 0
    private var recordsEnd: UInt64 = 0
    /// The number of the next packet, and of the oldest one.
    private(set) var head: UInt64 = 0
    private(set) var tail: UInt64 = 0

    /// Room is made so far ahead, so that workers are asked once for many packets.
    private static let recordsAhead: UInt64 = 64
    private let bytesAhead: UInt64

    init(log: PacketLog, board: StreamBoard, workers: Int) {
        self.log = log
        self.board = board
        self.workers = workers
        bytesAhead = min(log.arenaBytes / 16, 64 << 10)
    }

    private func start(for length: Int) -> UInt64 {
        let left = log.arenaBytes - write % log.arenaBytes
        // A packet that ended just at the arena's end would be followed by the arena's beginning, and a train would run beyond it.
        return left > UInt64(length) ? write : write + left
    }

    /// Room for a packet of `length` bytes at the log's end; it belongs to the log after ``append(length:channel:plan:flags:arrival:sequence:timestamp:)``.
    /// Nil when a worker still sends what lies there.
    @unsafe mutating func room(for length: Int) -> UnsafeMutableRawPointer? {
        let position = start(for: length)
        let end = position + UInt64(length)
        if end > writableEnd || head >= recordsEnd {
            guard makeRoom(end) else { return nil }
        }
        return unsafe log.arena + Int(position % log.arenaBytes)
    }

    /// Moves the tail over what is about to be written over, unless a worker has pinned it.
    private mutating func makeRoom(_ end: UInt64) -> Bool {
        let bytesTarget = end + bytesAhead
        let recordsTarget = head + Self.recordsAhead
        var newTail = tail
        if recordsTarget > log.recordMask + 1 { newTail = min(max(newTail, recordsTarget - log.recordMask - 1), head) }
        while newTail < head, log.record(newTail).position + log.arenaBytes < bytesTarget { newTail += 1 }
        if newTail != tail {
            board.store(.tail, newTail)
            for worker in 0..<workers where board.load(worker, .pin) < newTail {
                board.store(.tail, tail)
                return false
            }
            tail = newTail
        }
        writableEnd = bytesTarget
        recordsEnd = recordsTarget
        return true
    }

    /// Makes the bytes written to ``room(for:)`` the next packet. Its number is the head before the call.
    mutating func append(
        length: Int, channel: UInt8, plan: UInt8, flags: PacketFlags, arrival: UInt64, sequence: UInt16, timestamp: UInt32
    ) {
        let position = start(for: length)
        unsafe log.records[Int(head & log.recordMask)] = PacketRecord(
            position: position, arrival: arrival, length: UInt16(truncatingIfNeeded: length), channel: channel, plan: plan,
            flags: flags, sequence: sequence, timestamp: timestamp)
        write = position + UInt64(length)
        head += 1
        board.publish(.head, head)
    }
}
