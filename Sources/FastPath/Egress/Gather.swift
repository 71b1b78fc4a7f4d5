import Glibc

/// Room for the iovecs of one batch of interleaved sends that carry more than a block. Free again after each flush.
@safe struct GatherSpace: ~Copyable {
    /// One iovec, as the kernel lays it out.
    @unsafe private struct Vector: BitwiseCopyable {
        var base: UnsafeRawPointer?
        var count: Int
    }

    /// Vectors of one send: replies (their number is kept in a byte), the rest of a packet before them and a block behind. Linux
    /// takes 1,024 (IOV_MAX).
    private static let vectorsPerSendMax = 257
    private static let vectorsMax = 16_384

    private let vectors: UnsafeMutablePointer<Vector>
    private var used = 0
    private var sendStart = 0
    private(set) var sendBytes = 0

    /// Nil when there is no memory.
    init?() {
        guard let vectors = unsafe calloc(Self.vectorsMax, MemoryLayout<Vector>.stride) else { return nil }
        unsafe self.vectors = vectors.bindMemory(to: Vector.self, capacity: Self.vectorsMax)
    }

    deinit { unsafe free(vectors) }

    /// Forgets everything; after a flush.
    mutating func reset() { used = 0 }

    /// Whether a send of the largest size still fits.
    var hasRoom: Bool { used + Self.vectorsPerSendMax <= Self.vectorsMax }

    /// Begins the vectors of a send.
    mutating func begin() {
        sendStart = used
        sendBytes = 0
    }

    var sendVectorCount: Int { used - sendStart }

    @unsafe var sendVectors: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(vectors + sendStart) }

    /// Adds bytes that stay where they are until the flush.
    @unsafe mutating func add(_ base: UnsafeRawPointer, _ count: Int) {
        unsafe vectors[used] = Vector(base: base, count: count)
        used += 1
        sendBytes += count
    }
}

/// What is left of packets that went out in part: a place for each reader, of which only the pages in use take memory.
@safe struct RemainderSlab: ~Copyable {
    private let base: UnsafeMutableRawPointer
    private let mapped: Int
    /// The largest packet with what goes around it.
    static let bytesPerReader = 65_535 + PacketFraming.bytesMax + 1

    /// Nil when the address space is not to be had.
    init?(readers: Int) {
        mapped = max(readers, 1) * Self.bytesPerReader
        guard let memory = unsafe mmap(nil, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            unsafe memory != MAP_FAILED
        else { return nil }
        unsafe base = memory
    }

    deinit { unsafe munmap(base, mapped) }

    @unsafe func place(of reader: Int) -> UnsafeMutableRawPointer { unsafe base + reader * Self.bytesPerReader }
}
