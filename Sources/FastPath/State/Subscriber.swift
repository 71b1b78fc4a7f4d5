import PlaneLink

/// One reader as the worker keeps it: an address or a connection, and a cursor into its stream's log.
struct Subscriber: BitwiseCopyable {
    enum State: UInt8, BitwiseCopyable {
        /// The slot is free.
        case free
        /// Added, or paused: no media.
        case quiet
        /// Waits for its first packet.
        case armed
        /// Knows its first packet, waits for `go`.
        case joined
        /// Sent media.
        case playing
        /// Fell out of the window; goes on at the next key frame.
        case skipping
        /// Removed; the kernel still owes an event.
        case closing
    }

    var generation: UInt32
    var state: State
    var list: SubscriberList.Name
    /// A TCP reader.
    var isInterleaved: Bool
    /// Of a verbatim stream.
    var isVerbatim: Bool
    /// TCP: what goes around its packets.
    var framing: PacketFraming
    /// Is being sent the past, faster than it was made; until it meets the live stream.
    var isBursting: Bool
    /// A TCP reader whose socket is full; the kernel tells when it has room.
    var isBlocked: Bool
    var hasFailed: Bool
    var sockets: UInt8
    var sendsQueued: UInt8
    /// The path refuses trains, and its class has no memory: one packet a message.
    var refusesTrains: Bool
    var hasOverload: Bool
    /// UDP: the class of its address (``DestinationTable``).
    var destination: UInt16
    var stream: UInt32
    var next: UInt32
    var previous: UInt32
    /// The next packet's number.
    var cursor: UInt64
    /// Of a verbatim stream: it begins with the packet that has this number as it was fed, and has not come to it.
    var beginning: UInt32
    var hasBeginning: Bool
    var host: HostAddress
    var ports: PortMap
    var channels: ChannelMap
    var file: KernelFile
    /// UDP: not sent to before this time; TCP: full since.
    var blockedAt: UInt64
    /// UDP: its socket has been full since this time, 0 when it is not.
    var deferredAt: UInt64
    /// Behind since this time, 0 when it is not.
    var lagSince: UInt64
    /// Packets missed since they were last reported, and when that was.
    var missed: UInt32
    var missReportedAt: UInt64
    /// Bursting: bytes of one share (``Worker/shareNanoseconds``).
    var burstShare: UInt32
    /// Bytes that may still be sent before ``blockedAt`` is moved on.
    var burstLeft: Int32
    /// TCP: how much of the past it wants, at how many bytes a second at most (0: as many as it takes), and when it is sent more of it.
    var burstNanoseconds: UInt64
    var burstBytesPerSecond: UInt64
    var burstAt: UInt64
    /// TCP: what its full socket held when it was last looked at.
    var queuedBytes: UInt32
    /// TCP: sends of which the kernel still holds the bytes.
    var sendsHeld: UInt32
    var overload: OverloadPolicy
    /// What is left of a packet that went out in part: bytes of this reader's place in the remainder slab.
    var remainderStart: UInt32
    var remainderCount: UInt32
    /// The bytes of that packet itself.
    var remainderPayload: UInt32
    /// Of the send in flight: bytes, replies and media packets in it, the bytes of these themselves, and the cursor before and after it.
    var offeredBytes: UInt32
    var offeredReplies: UInt32
    var offeredPackets: UInt32
    var offeredPayload: UInt32
    var offeredFirst: UInt64
    var offeredEnd: UInt64
    /// Queue of replies: first and last node.
    var sendFirst: UInt32
    var sendLast: UInt32
    /// Of a stored stream (``StoredReader``).
    var stored = StoredReader()

    var isActive: Bool { state != .free && state != .closing }

    /// Whether the reader set a channel of the stream up.
    func takes(_ channel: Int) -> Bool {
        isInterleaved ? channels[channel] != nil : ports[channel] != 0
    }
}

/// Readers of a stream in one condition: a list through their slots. No memory of its own, removal in constant time.
struct SubscriberList: BitwiseCopyable {
    enum Name: UInt8, BitwiseCopyable {
        case none
        /// UDP, no media.
        case quiet
        /// UDP, sent everything up to the stream's `sent`: they share each train's description.
        case live
        /// UDP, with a cursor of their own.
        case lagging
        /// TCP, all of them.
        case interleaved
    }

    static let end = UInt32.max

    var first = Self.end
    var last = Self.end
    var count: UInt32 = 0

    init() {}

    /// Adds a reader at the end.
    mutating func append(_ index: UInt32, _ name: Name, in slab: borrowing Slab<Subscriber>) {
        let slot = Int(index)
        slab[slot].list = name
        slab[slot].next = Self.end
        slab[slot].previous = last
        if last == Self.end { first = index } else { slab[Int(last)].next = index }
        last = index
        count += 1
    }

    /// Takes a reader out.
    mutating func remove(_ index: UInt32, in slab: borrowing Slab<Subscriber>) {
        let slot = Int(index)
        let next = slab[slot].next
        let previous = slab[slot].previous
        if previous == Self.end { first = next } else { slab[Int(previous)].next = next }
        if next == Self.end { last = previous } else { slab[Int(next)].previous = previous }
        slab[slot].list = .none
        count -= 1
    }
}
