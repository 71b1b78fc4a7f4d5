import Glibc
import PlaneLink

/// A stretch of a file, read once for all readers that are there at about the same time.
struct StoredBlock: BitwiseCopyable {
    enum Phase: UInt8, BitwiseCopyable {
        case free
        /// The kernel holds its memory.
        case loading
        /// The kernel still holds its memory, for a read that was given up.
        case lost
        case ready
    }

    var phase: Phase
    /// Counts its uses, so that a completion is taken for none but its own.
    var generation: UInt32
    /// What its file lies on (``StoredPlan/device``).
    var device: UInt64
    /// The stream's slot, and which of its blocks.
    var stream: UInt32
    var number: UInt32
    /// Bytes that are there, and that should be.
    var filled: UInt32
    var wanted: UInt32
    /// It is read by a thread of the kernel's, which may wait for the disk.
    var waits: Bool
    /// Readers in the list of those that may be sent something, for which it is kept.
    var claims: UInt32
    /// The send batch in which it was used last, and the order of its last use.
    var batch: UInt64
    var usedAt: UInt64
    var askedAt: UInt64
    /// Readers that wait for it.
    var waiting: StoredList

    /// The kernel holds its memory.
    var isHeld: Bool { phase == .loading || phase == .lost }
}

/// The blocks of a worker and room for what goes before the packets of a batch. All of it is made once; where it may be locked all
/// of it is in memory from the first file on, elsewhere only the pages that were touched.
@safe struct StoredBlocks: ~Copyable {
    let count: Int
    let blockBytes: Int
    private let base: UnsafeMutableRawPointer
    let blocks: Slab<StoredBlock>
    private let heads: UnsafeMutableRawPointer
    private var headsUsed = 0
    private var uses: UInt64 = 0
    /// The batch of sends that is being made.
    private(set) var batch: UInt64 = 1
    private var isUsed = false
    /// A block may have become free, or somebody has begun to wait for one, since those who wait were looked at.
    var mayServe = false
    /// The kernel knows the memory by this index; -1: it does not.
    var registered: Int32 = -1
    var isRegistrationTried = false

    private static let headsBytes = 256 << 10

    /// Nil when the address space is not to be had.
    init?(count: Int, bytes: Int) {
        self.count = min(max(count, 2), 4_096)
        blockBytes = min(max(bytes, 4_096), Limits.storedBlockBytesMax)
        guard let blocks = Slab<StoredBlock>(count: self.count),
            let memory = unsafe mmap(
                nil, self.count * blockBytes + Self.headsBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            unsafe memory != MAP_FAILED
        else { return nil }
        self.blocks = blocks
        unsafe base = memory
        unsafe heads = memory + self.count * blockBytes
    }

    /// The kernel may still write to the memory: then it is never given back, for what is mapped there next would be written over.
    var isKept = false

    deinit { if !isKept { unsafe munmap(base, count * blockBytes + Self.headsBytes) } }

    /// Whether the kernel holds memory of a block.
    var isHeld: Bool {
        for block in 0..<count where blocks[block].isHeld { return true }
        return false
    }

    /// All blocks' memory, to make it known to the kernel.
    @unsafe var memory: UnsafeMutableRawPointer { unsafe base }

    @unsafe func bytes(of block: Int) -> UnsafeMutableRawPointer { unsafe base + block * blockBytes }

    /// The block of that stream and number, read, being read or lost; -1 when there is none.
    func find(_ stream: Int, _ number: UInt32) -> Int {
        var block = 0
        while block < count {
            if blocks[block].number == number, blocks[block].stream == UInt32(truncatingIfNeeded: stream), blocks[block].phase != .free {
                return block
            }
            block += 1
        }
        return -1
    }

    /// What there is for a read.
    enum Room {
        case block(Int)
        /// All are in use.
        case none
        /// Reads of its file, or of what that lies on, hold their share.
        case noneOfShare
        /// All of that share is held by reads that were given up.
        case lost
    }

    /// The block whose use is longest ago, of those that nobody waits for and that the batch does not use, made another one that is being
    /// read. Reads of one file hold no more than a quarter of the blocks that others leave them, those of all files on one device a third: a
    /// disk that does not answer leaves some to others, and a second one, too.
    mutating func take(_ stream: Int, _ plan: StoredPlan, _ number: UInt32, wanted: Int, now: UInt64) -> Room {
        var oldest = -1
        var held = 0, ofDevice = 0, ofStream = 0, lostOfDevice = 0, lostOfStream = 0
        var block = 0
        while block < count {
            if blocks[block].isHeld {
                let isLost = blocks[block].phase == .lost
                held += 1
                if blocks[block].device == plan.device {
                    ofDevice += 1
                    if isLost { lostOfDevice += 1 }
                }
                if blocks[block].stream == UInt32(truncatingIfNeeded: stream) {
                    ofStream += 1
                    if isLost { lostOfStream += 1 }
                }
            } else if blocks[block].claims == 0, blocks[block].batch != batch {
                if oldest < 0 || blocks[block].usedAt < blocks[oldest].usedAt { oldest = block }
            }
            block += 1
        }
        guard 3 * ofStream < count - held else { return ofStream > 0 && lostOfStream == ofStream ? .lost : .noneOfShare }
        guard 2 * ofDevice < count - held else { return ofDevice > 0 && lostOfDevice == ofDevice ? .lost : .noneOfShare }
        guard oldest >= 0 else { return .none }
        uses += 1
        blocks[oldest] = StoredBlock(
            phase: .loading, generation: (blocks[oldest].generation &+ 1) & 0xFF_FFFF, device: plan.device,
            stream: UInt32(truncatingIfNeeded: stream), number: number, filled: 0, wanted: UInt32(truncatingIfNeeded: wanted), waits: false,
            claims: 0,
            batch: 0, usedAt: uses, askedAt: now, waiting: StoredList())
        return .block(oldest)
    }

    /// A block is free: what it had is nobody's any more.
    func release(_ block: Int) {
        blocks[block].phase = .free
        blocks[block].usedAt = 0
    }

    /// A block is used in the batch that is being made: it stays as it is until ``endBatch()``.
    mutating func use(_ block: Int) {
        uses += 1
        blocks[block].usedAt = uses
        blocks[block].batch = batch
        isUsed = true
    }

    /// The batch was sent.
    mutating func endBatch() {
        if isUsed { mayServe = true }
        isUsed = false
        batch += 1
        headsUsed = 0
    }

    /// Whether there is room for what goes before the packets of one more send.
    var hasRoom: Bool { headsUsed + (StoredPlan.blockPacketsMax + 1) * StoredFraming.headBytesMax <= Self.headsBytes }

    /// Room for what goes before one packet.
    @unsafe mutating func head() -> UnsafeMutableRawPointer {
        let place = unsafe heads + headsUsed
        headsUsed += StoredFraming.headBytesMax
        return unsafe place
    }
}

extension StoredFraming {
    /// The end of a chunk, four digits and a line end, and `$D`.
    static let headBytesMax = 24
    private static let dataHeadBytes = 12

    /// Bytes before a packet of that size, and behind it.
    func bytes(around packetBytes: Int) -> (before: Int, behind: Int) {
        guard isChunked else { return (Self.dataHeadBytes, 0) }
        return (Self.digits(packetBytes + Self.dataHeadBytes) + 2 + Self.dataHeadBytes, 2)
    }

    private static func digits(_ count: Int) -> Int { count > 0xFFF ? 4 : count > 0xFF ? 3 : count > 0xF ? 2 : 1 }

    /// Writes what goes before a packet; how many bytes that made.
    @unsafe func writeHead(packetBytes: Int, number: UInt32, flags: UInt8, to place: UnsafeMutableRawPointer) -> Int {
        var offset = 0
        if isChunked {
            let count = packetBytes + Self.dataHeadBytes
            let digits = Self.digits(count)
            while offset < digits {
                let digit = UInt8(truncatingIfNeeded: count >> (4 * (digits - 1 - offset))) & 0xF
                unsafe place.storeBytes(of: digit < 10 ? 0x30 + digit : 0x57 + digit, toByteOffset: offset, as: UInt8.self)
                offset += 1
            }
            unsafe Self.writeLineEnd(to: place + offset)
            offset += 2
        }
        let length = UInt64(truncatingIfNeeded: packetBytes + 8) & 0xFFFF
        let low = 0x4424 | length << 16 | UInt64(number) << 32
        unsafe (place + offset).storeBytes(of: low.littleEndian, as: UInt64.self)
        let high = UInt32(incarnation) | UInt32(flags) << 8 | UInt32(truncatingIfNeeded: length) << 16
        unsafe (place + offset + 8).storeBytes(of: high.littleEndian, as: UInt32.self)
        return offset + Self.dataHeadBytes
    }

    /// Writes the end of a chunk.
    @unsafe static func writeLineEnd(to place: UnsafeMutableRawPointer) {
        unsafe place.storeBytes(of: UInt16(0x0D0A).bigEndian, as: UInt16.self)
    }
}
