import Synchronization

/// A file of packets of one size that lie one behind the other, which readers are sent from their own places
/// (``Command/addStoredStream(_:_:_:)``).
public struct StoredPlan: Sendable, BitwiseCopyable, Equatable {
    /// The open file, the control plane's until ``Report/streamRemoved(_:)``.
    public let descriptor: Int32
    /// Where packet 0 begins.
    public let offset: UInt64
    /// Bytes of a packet.
    public let packetBytes: UInt32
    /// Packets, counted from 0.
    public let packetCount: UInt32
    /// So many packets, from a number on that this divides, are read and sent together.
    public let blockPackets: UInt32
    /// What it lies on (`st_dev`): files that may hang together share what reads may hold.
    public let device: UInt64

    /// A packet with its framing goes with a length of 16 bits.
    public static let packetBytesMax = 65_000
    /// What a block has at most, so that one send takes it.
    public static let blockPacketsMax = 48
    /// Their numbers are compared as they go round.
    public static let packetCountMax = UInt32(Int32.max)

    /// A plan whose blocks hold about so many bytes, and no more than `limits` gives a block room; nil for packets that the engine does not
    /// send from files: none, too large or too many.
    public init?(
        descriptor: Int32, device: UInt64 = 0, offset: UInt64, packetBytes: Int, packetCount: UInt32, blockBytes: Int, limits: Limits
    ) {
        let room = min(limits.storedBlockBytes, Limits.storedBlockBytesMax)
        guard packetBytes > 0, packetBytes <= min(Self.packetBytesMax, room), packetCount > 0, packetCount <= Self.packetCountMax,
            offset <= UInt64(Int64.max) / 2
        else { return nil }
        self.descriptor = descriptor
        self.device = device
        self.offset = offset
        self.packetBytes = UInt32(packetBytes)
        self.packetCount = packetCount
        let wanted = min(max(blockBytes, packetBytes), room) / packetBytes
        blockPackets = UInt32(min(max(wanted, 1), Self.blockPacketsMax))
    }
}

/// What goes around each stored packet that a reader is sent.
public struct StoredFraming: Sendable, BitwiseCopyable, Equatable {
    /// `$D` of WMSP ([MS-WMSP] 2.2.3.1.1) has this as its incarnation; its location is the packet's number.
    public let incarnation: UInt8
    /// Its flags count the reader's packets, beginning with this number.
    public let firstFlags: UInt8
    /// Each goes as a chunk of HTTP's transfer coding (RFC 9112 section 7.1).
    public let isChunked: Bool

    /// Framing of WMSP.
    public init(incarnation: UInt8, firstFlags: UInt8 = 0, isChunked: Bool) {
        self.incarnation = incarnation
        self.firstFlags = firstFlags
        self.isChunked = isChunked
    }
}

/// How far a stored reader was sent its packets: the engine writes, the control plane reads. Made by the control plane, and freed by it after
/// ``Report/subscriberRemoved(_:)``.
@safe public struct StoredProgress: @unchecked Sendable, BitwiseCopyable {
    // Sendable because the word is atomic.
    private let word: UnsafeMutablePointer<Atomic<UInt64>>

    /// A word of its own.
    public init(packet: UInt32) {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: Atomic(UInt64(packet)))
    }

    /// The number of the first packet that the kernel has taken nothing of: what is left of one that it took a part of goes before it.
    public var packet: UInt32 { unsafe UInt32(truncatingIfNeeded: word.pointee.load(ordering: .relaxed)) }

    /// For the engine.
    public func set(_ packet: UInt64) { unsafe word.pointee.store(packet, ordering: .relaxed) }

    /// Frees the word.
    public func free() {
        unsafe word.deinitialize(count: 1)
        unsafe word.deallocate()
    }
}
