import Glibc
import PlaneLink

/// A stretch of a stream as TCP readers are sent it, made once for all that stand at the same packet and use the same channels and
/// framing.
@safe struct FramedBlock: BitwiseCopyable {
    var stream: UInt32
    /// Packets `first ..< end` of the stream, without those of channels that are not in the map, or of an older plan of their track.
    var first: UInt64
    var end: UInt64
    var channels: ChannelMap
    var framing: PacketFraming
    /// In all, and of its packets alone.
    var bytes: UInt32
    var payloadBytes: UInt32
    var packets: UInt32
    /// Where it lies in the stream's log, if it was not copied: packets that nothing goes around and that lie next to each other.
    @unsafe var inLog: UnsafeRawPointer?
    /// Sends that the kernel has not given back.
    var held: UInt32
}

/// Blocks for the sends of a batch. A block is free again after the flush, unless the kernel holds it without a copy.
@safe struct FramedBlocks: ~Copyable {
    /// Payload of one send: a call costs about the same up to here, and more would only fill the reader's socket.
    static let payloadBytesMax = 64 << 10
    /// Room for one more frame of the largest size.
    private static let roomBytes = payloadBytesMax + 65_535 + PacketFraming.bytesMax + 1
    private static let count = 64
    /// Blocks that are never sent without a copy, so that there is always one to be had.
    private static let plainCount = 16

    private let base: UnsafeMutableRawPointer
    private let blocks: Slab<FramedBlock>
    /// Blocks made since the last ``release()``, newest last.
    private let inUse: Slab<UInt8>
    private var inUseCount = 0
    private var nextPlain = 0
    private var nextHeld = plainCount

    /// Nil when there is no memory.
    init?() {
        guard let blocks = Slab<FramedBlock>(count: Self.count), let inUse = Slab<UInt8>(count: Self.count),
            let memory = unsafe mmap(
                nil, Self.count * Self.roomBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            unsafe memory != MAP_FAILED
        else { return nil }
        self.blocks = blocks
        self.inUse = inUse
        unsafe base = memory
    }

    deinit { unsafe munmap(base, Self.count * Self.roomBytes) }

    subscript(number: Int) -> FramedBlock { blocks[number] }

    /// A block's first byte. What lies in the log is to be pinned.
    @unsafe func bytes(of number: Int) -> UnsafeRawPointer {
        unsafe blocks[number].inLog ?? UnsafeRawPointer(room(number))
    }

    @unsafe private func room(_ number: Int) -> UnsafeMutableRawPointer { unsafe base + number * Self.roomBytes }

    /// A block made since the last release for this place, these channels and this framing, that ends at `limit` or before.
    func find(_ stream: UInt32, _ first: UInt64, _ channels: ChannelMap, _ framing: PacketFraming, limit: UInt64) -> Int? {
        var place = inUseCount - 1
        let oldest = max(0, inUseCount - 8)
        while place >= oldest {
            let number = Int(inUse[place])
            if blocks[number].first == first, blocks[number].stream == stream, blocks[number].end <= limit,
                blocks[number].framing == framing, blocks[number].channels == channels
            {
                return number
            }
            place -= 1
        }
        return nil
    }

    /// Whether a block can be made before the next release.
    var hasRoom: Bool { nextPlain < Self.plainCount }

    /// Makes the block that begins at `first`: what lies before `limit`, as much as one send takes. With `isHeld` from those that
    /// the kernel may keep, if one of them is free. What needs no framing is copied for those alone: else it is sent from where it lies.
    mutating func make(
        _ stream: UInt32, _ log: PacketLog, plans: TrackPlans, first: UInt64, limit: UInt64, channels: ChannelMap, framing: PacketFraming,
        isHeld: Bool
    ) -> Int {
        let number = take(isHeld: isHeld)
        inUse[inUseCount] = UInt8(number)
        inUseCount += 1
        if framing == .bare, !mayHold(number) {
            blocks[number] = inPlace(stream, log, plans: plans, first: first, limit: limit, channels: channels)
            return number
        }
        let start = unsafe room(number)
        var count = 0
        var payload = 0
        var packets: UInt32 = 0
        var packet = first
        while packet < limit, count < Self.payloadBytesMax {
            let record = log.record(packet)
            packet += 1
            guard let wire = channels[Int(record.channel)], plans.hold(record) else { continue }
            count += unsafe framing.write(log.bytes(of: record), Int(record.length), wire: wire, to: start + count)
            payload += Int(record.length)
            packets += 1
        }
        blocks[number] = unsafe FramedBlock(
            stream: stream, first: first, end: packet, channels: channels, framing: framing, bytes: UInt32(count),
            payloadBytes: UInt32(payload), packets: packets, inLog: nil, held: 0)
        return number
    }

    /// Packets that lie next to each other in the log, as much as one send takes.
    private func inPlace(
        _ stream: UInt32, _ log: PacketLog, plans: TrackPlans, first: UInt64, limit: UInt64, channels: ChannelMap
    ) -> FramedBlock {
        var start: UnsafeRawPointer?
        var next: UInt64 = 0
        var count = 0
        var packets: UInt32 = 0
        var packet = first
        while packet < limit, count < Self.payloadBytesMax {
            let record = log.record(packet)
            let isSent = channels[Int(record.channel)] != nil && plans.hold(record)
            if packets > 0, !isSent || record.position != next { break }
            packet += 1
            guard isSent else { continue }
            if packets == 0 { unsafe start = log.bytes(of: record) }
            next = record.end
            count += Int(record.length)
            packets += 1
        }
        return unsafe FramedBlock(
            stream: stream, first: first, end: packet, channels: channels, framing: .bare, bytes: UInt32(count),
            payloadBytes: UInt32(count), packets: packets, inLog: start, held: 0)
    }

    private mutating func take(isHeld: Bool) -> Int {
        if isHeld {
            for _ in Self.plainCount..<Self.count {
                let number = nextHeld
                nextHeld = nextHeld + 1 == Self.count ? Self.plainCount : nextHeld + 1
                if blocks[number].held == 0, !isInUse(number) { return number }
            }
        }
        precondition(nextPlain < Self.plainCount, "a block was made without room")
        nextPlain += 1
        return nextPlain - 1
    }

    private func isInUse(_ number: Int) -> Bool {
        for place in 0..<inUseCount where Int(inUse[place]) == number { return true }
        return false
    }

    /// Whether the kernel may keep this block.
    func mayHold(_ number: Int) -> Bool { number >= Self.plainCount }
    mutating func hold(_ number: Int) { blocks[number].held += 1 }
    mutating func letGo(_ number: Int) { if blocks[number].held > 0 { blocks[number].held -= 1 } }

    /// The batch is sent: its blocks may be made anew.
    mutating func release() {
        inUseCount = 0
        nextPlain = 0
        // The same few blocks again and again stay in the processor's cache.
        nextHeld = Self.plainCount
    }
}
