import Synchronization

/// The memory of one stream: the packet log's arena and records, what its workers tell each other, and its counters. Made and
/// freed by the control plane, used by the engine from `addStream` until `streamRemoved` is reported.
@safe public struct StreamMemory: @unchecked Sendable, BitwiseCopyable {
    // Sendable because it is handed over whole with the command and back with the report; between the engine's workers the
    // board's atomics say who may touch which part of arena and records.
    /// Start of `arenaBytes` bytes.
    @unsafe public let arena: UnsafeMutableRawPointer
    /// How much of the recent past the arena holds.
    public let arenaBytes: Int
    /// Start of `recordCount` records of ``recordBytes`` bytes, 16-byte aligned.
    @unsafe public let records: UnsafeMutableRawPointer
    /// A power of two.
    public let recordCount: Int
    /// Start of `keyFrameBytes` bytes for the last key frame; nil where none is kept.
    @unsafe public let keyFrames: UnsafeMutableRawPointer?
    /// Start of ``StreamSizing/prefaceBytesMax`` bytes for each track that a stream can have (``Command/setPreface(_:track:_:)``).
    @unsafe public let prefaces: UnsafeMutableRawPointer
    /// See ``StreamSizing/keyFrameBytes``.
    public let keyFrameBytes: Int
    /// Start of `pictureBytes` bytes for the picture that is coming in; nil where packets go on as they come.
    @unsafe public let picture: UnsafeMutableRawPointer?
    /// See ``StreamSizing/pictureBytes``.
    public let pictureBytes: Int
    /// What the workers tell each other of the log.
    public let board: StreamBoard
    /// The stream's counters.
    public let counters: StreamCounters
    /// What its tracks show of their parameter sets.
    public let parameterSets: ParameterSetMailbox

    /// Bytes that one packet's record takes.
    public static let recordBytes = 32

    /// Allocates for an engine of so many workers, and touches every page, so that the packet path meets no page fault.
    public init(sizing: StreamSizing, workers: Int = 1) {
        let records = UnsafeMutableRawPointer.allocate(byteCount: sizing.recordCount * Self.recordBytes, alignment: 64)
        unsafe records.initializeMemory(as: UInt8.self, repeating: 0, count: sizing.recordCount * Self.recordBytes)
        let arena = UnsafeMutableRawPointer.allocate(byteCount: sizing.arenaBytes, alignment: 4096)
        unsafe arena.initializeMemory(as: UInt8.self, repeating: 0, count: sizing.arenaBytes)
        unsafe self.arena = arena
        unsafe self.records = records
        arenaBytes = sizing.arenaBytes
        keyFrameBytes = sizing.keyFrameBytes
        if sizing.keyFrameBytes > 0 {
            let keyFrames = UnsafeMutableRawPointer.allocate(byteCount: sizing.keyFrameBytes, alignment: 4096)
            unsafe keyFrames.initializeMemory(as: UInt8.self, repeating: 0, count: sizing.keyFrameBytes)
            unsafe self.keyFrames = keyFrames
        } else {
            unsafe keyFrames = nil
        }
        pictureBytes = sizing.pictureBytes
        if sizing.pictureBytes > 0 {
            let picture = UnsafeMutableRawPointer.allocate(byteCount: sizing.pictureBytes, alignment: 4096)
            unsafe picture.initializeMemory(as: UInt8.self, repeating: 0, count: sizing.pictureBytes)
            unsafe self.picture = picture
        } else {
            unsafe picture = nil
        }
        let prefaceBytes = tracksPerStreamMax * StreamSizing.prefaceBytesMax
        let prefaces = UnsafeMutableRawPointer.allocate(byteCount: prefaceBytes, alignment: 64)
        unsafe prefaces.initializeMemory(as: UInt8.self, repeating: 0, count: prefaceBytes)
        unsafe self.prefaces = prefaces
        recordCount = sizing.recordCount
        board = StreamBoard(workers: workers)
        counters = StreamCounters(workers: workers)
        parameterSets = ParameterSetMailbox()
    }

    /// Frees everything. To be called once, by the side that made it, after the engine reported the stream removed.
    public func free() {
        unsafe arena.deallocate()
        unsafe records.deallocate()
        unsafe keyFrames?.deallocate()
        unsafe picture?.deallocate()
        unsafe prefaces.deallocate()
        board.free()
        counters.free()
        parameterSets.free()
    }
}

/// The atomics by which a stream's home worker, which writes its log, and the workers that read it keep out of each other's way.
///
/// Packets are named by their number since the stream began. The home worker writes the first line; each worker writes one of
/// its own.
@safe public struct StreamBoard: @unchecked Sendable, BitwiseCopyable {
    // Sendable because everything in it is an atomic.
    /// One worker's line.
    public enum Line: Int {
        /// The lowest packet that the worker is reading; all ones while it reads none.
        case pin
        /// Readers of this worker that packets of the stream concern.
        case audience
        /// Not 0: newcomers want sender reports.
        case wantsReports
    }

    /// What the home worker says.
    public enum Home: Int {
        /// The number of the next packet to be logged; records below it are whole.
        case head
        /// Packets below this may be sent.
        case released
        /// The oldest packet that is still whole, and stays so for whoever pinned it before he read this.
        case tail
        /// The number of the newest key frame's first packet plus one; 0 before the first.
        case keyFrame
        /// Bytes of the stream in its last whole second.
        case rate
        /// Which worker is the home worker; written by the engine before any worker hears of the stream.
        case home
        /// A byte for each track, track 0's lowest: how often it was planned anew, as far as the home worker has got.
        case plans
        /// Readers begin at no packet before this.
        case beginning
    }

    @usableFromInline let base: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let workers: Int
    /// Words of a cache line.
    @usableFromInline static var perLine: Int { 8 }

    init(workers: Int) {
        self.workers = max(workers, 1)
        let total = (self.workers + 1) * Self.perLine
        let memory = UnsafeMutableRawPointer.allocate(byteCount: total * 8, alignment: 64)
        unsafe base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: total)
        for index in 0..<total { unsafe (base + index).initialize(to: Atomic(0)) }
        for worker in 0..<self.workers { store(worker, .pin, .max) }
    }

    @inlinable func place(_ worker: Int, _ word: Line) -> Int {
        precondition(worker >= 0 && worker < workers)
        return (worker + 1) * Self.perLine + word.rawValue
    }

    /// A word of the home worker. All access is sequentially consistent: who pins and then reads the tail, and who moves the
    /// tail and then reads the pins, cannot both miss what the other did.
    @inlinable public func load(_ word: Home) -> UInt64 { unsafe base[word.rawValue].load(ordering: .sequentiallyConsistent) }
    /// Writes a word of the home worker; for the home worker.
    @inlinable public func store(_ word: Home, _ value: UInt64) {
        unsafe base[word.rawValue].store(value, ordering: .sequentiallyConsistent)
    }
    /// The same where nothing but the words written before must be seen: for what is written once a packet.
    @inlinable public func publish(_ word: Home, _ value: UInt64) { unsafe base[word.rawValue].store(value, ordering: .releasing) }

    /// A word of a worker's line.
    @inlinable public func load(_ worker: Int, _ word: Line) -> UInt64 {
        unsafe base[place(worker, word)].load(ordering: .sequentiallyConsistent)
    }
    /// Writes a word of a worker's line.
    @inlinable public func store(_ worker: Int, _ word: Line, _ value: UInt64) {
        unsafe base[place(worker, word)].store(value, ordering: .sequentiallyConsistent)
    }

    func free() {
        unsafe base.deinitialize(count: (workers + 1) * Self.perLine)
        unsafe base.deallocate()
    }
}
