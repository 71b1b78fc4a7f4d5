/// Names a stream in both planes: a slot and the generation of its use.
///
/// A handle whose generation is not the slot's current one is stale; the engine ignores commands that carry it and counts
/// them (``EngineCounter/staleCommands``), so a late command can never touch a slot's next user.
public struct StreamHandle: Hashable, Sendable, BitwiseCopyable {
    /// The slot, `0..<Limits.streamsMax`.
    public let index: UInt32
    /// Counts the uses of the slot.
    public let generation: UInt32

    /// A handle for the given use of a slot.
    public init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

/// Names a subscriber (one reader of one stream) in both planes; see ``StreamHandle`` for the meaning of the parts.
public struct SubscriberHandle: Hashable, Sendable, BitwiseCopyable {
    /// The slot, `0..<Limits.subscribersMax`.
    public let index: UInt32
    /// Counts the uses of the slot.
    public let generation: UInt32

    /// A handle for the given use of a slot.
    public init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

/// Names a source (one socket that media is received from) in both planes; see ``StreamHandle`` for the meaning of the parts.
public struct SourceHandle: Hashable, Sendable, BitwiseCopyable {
    /// The slot, `0..<Limits.sourcesMax`.
    public let index: UInt32
    /// Counts the uses of the slot.
    public let generation: UInt32

    /// A handle for the given use of a slot.
    public init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

/// Gives out slots with generations. Belongs to the side that makes handles (the control plane); not thread-safe.
///
/// A slot is free again only when its owner says so, which is after the engine reported that it no longer uses it.
public struct HandleTable: Sendable {
    private var generations: [UInt32] = []
    private var free: [UInt32] = []
    private let slotsMax: Int
    /// How many slots are in use.
    public private(set) var inUse = 0

    /// A table of at most `slotsMax` slots; memory grows with use.
    public init(slotsMax: Int) {
        self.slotsMax = slotsMax
    }

    /// A free slot and its new generation, or nil when all are in use.
    public mutating func take() -> (index: UInt32, generation: UInt32)? {
        if let index = free.popLast() {
            inUse += 1
            return (index, generations[Int(index)])
        }
        guard generations.count < slotsMax else { return nil }
        generations.append(1)
        inUse += 1
        return (UInt32(generations.count - 1), 1)
    }

    /// Gives a slot back. Its next use has another generation.
    public mutating func release(index: UInt32) {
        precondition(Int(index) < generations.count, "released a slot that was never taken")
        generations[Int(index)] &+= 1
        free.append(index)
        inUse -= 1
    }
}
