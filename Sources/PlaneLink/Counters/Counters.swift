import Synchronization

/// Counters of the whole engine. Written by the engine's thread alone, read by anyone.
public enum EngineCounter: Int, CaseIterable, Sendable {
    /// Packets and bytes taken from sources into packet logs.
    case packetsReceived, bytesReceived
    /// Packets and bytes (RTP or RTCP, without framing) that the kernel took for readers.
    case packetsSent, bytesSent
    /// Submissions that carried them: `packetsSent / sendsSubmitted` is the mean train.
    case sendsSubmitted
    /// Datagrams not from the expected peer, or not RTP/RTCP at all.
    case datagramsForeign, datagramsMalformed
    /// Datagrams longer than a receive buffer, cut by the kernel and not used.
    case datagramsOversize
    /// Interleaved frames on a channel that was never set up.
    case framesUnknownChannel
    /// Video packets held back until the key frame that a new epoch begins with.
    case packetsBeforeKeyFrame
    /// Readers that fell out of a stream's window, and packets they missed by it.
    case ringOverruns, packetsOverrun
    /// UDP sends that the kernel refused for want of room, tried again later; and packets given up after that.
    case sendsDeferred, packetsDroppedNoRoom
    /// Trains refused by the path (`EIO`, `EINVAL`, `EMSGSIZE`), sent again packet by packet.
    case trainsRefused
    /// Packets refused for good (host unreachable and the like).
    case packetsRefused
    /// TCP sends that took less than offered.
    case shortWrites
    /// Readers given up, by cause.
    case readersStalled, readersConnectionLost, readersQueueFull
    /// Receive buffers exhausted: the socket held the data meanwhile.
    case receiveBuffersExhausted
    /// Completions that the kernel had to keep aside.
    case completionOverflows
    /// Commands whose handle was stale.
    case staleCommands
    /// Reports of statistics dropped because the queue was more than half full.
    case reportsDropped
    /// Turns of the loop, and system calls made by the backend.
    case turns, systemCalls
    /// Nanoseconds from a frame's arrival to its last send, summed, and the number of fan-outs summed over.
    case fanOutNanoseconds, fanOuts
}

/// Counters of one stream.
public enum StreamCounter: Int, CaseIterable, Sendable {
    case packetsReceived, bytesReceived, packetsSent, bytesSent
    /// Readers that are being sent media just now.
    case readersLive
    case ringOverruns, packetsDropped
    /// When the last packet arrived, nanoseconds of the monotonic clock; 0 before the first.
    case lastArrivalNanoseconds
    /// How often the time line was spliced.
    case epochs
    /// Packets in the log so far.
    case packetsLogged
}

/// Counters of one track, as RFC 3550 wants them for a receiver report.
public enum TrackCounter: Int, CaseIterable, Sendable {
    case packets, bytes
    /// Extended highest sequence number received, of the source's own numbers in this epoch.
    case sequenceHighest
    /// Packets expected in this epoch by the sequence numbers.
    case expected
    /// Packets received in this epoch.
    case receivedInEpoch
    /// Interarrival jitter in timestamp units.
    case jitter
    /// The source's SSRC.
    case ssrc
    /// Sequence number and timestamp of the last packet as readers see them.
    case sequenceOut, timestampOut
    /// Middle 32 bits of the last sender report's NTP time, and its arrival in nanoseconds of the monotonic clock.
    case lastSenderReport, lastSenderReportArrival
    /// Key frames seen.
    case keyFrames
}

/// A block of 64-bit counters with one writer. Reads and writes are relaxed: each counter is right by itself, and no other
/// memory is published by it.
@safe public struct CounterBlock: @unchecked Sendable, BitwiseCopyable {
    // Sendable because every access goes through an atomic.
    @usableFromInline let base: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let count: Int

    init(count: Int) {
        unsafe base = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: count)
        self.count = count
        for index in 0..<count { unsafe (base + index).initialize(to: Atomic(0)) }
    }

    /// The value of a counter.
    public subscript(index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return unsafe base[index].load(ordering: .relaxed)
    }

    /// Adds to a counter; for the one writer (a load and a store, no locked instruction).
    @inlinable public func add(_ index: Int, _ amount: UInt64) {
        assert(index >= 0 && index < count)
        let old = unsafe base[index].load(ordering: .relaxed)
        unsafe base[index].store(old &+ amount, ordering: .relaxed)
    }

    /// Sets a counter; for the one writer.
    @inlinable public func set(_ index: Int, _ value: UInt64) {
        assert(index >= 0 && index < count)
        unsafe base[index].store(value, ordering: .relaxed)
    }

    func free() {
        unsafe base.deinitialize(count: count)
        unsafe base.deallocate()
    }
}

/// The engine's counters; live as long as the process.
public struct EngineCounters: Sendable, BitwiseCopyable {
    @usableFromInline let block: CounterBlock

    /// A new block, all zero.
    public init() { block = CounterBlock(count: EngineCounter.allCases.count) }

    /// The value of a counter.
    public subscript(counter: EngineCounter) -> UInt64 { block[counter.rawValue] }
    /// Adds to a counter; for the engine.
    @inlinable public func add(_ counter: EngineCounter, _ amount: UInt64 = 1) { block.add(counter.rawValue, amount) }
    /// Frees the block. Nobody may read or write it afterwards.
    public func free() { block.free() }
}

/// A stream's counters and its tracks'; part of ``StreamMemory``.
public struct StreamCounters: Sendable, BitwiseCopyable {
    @usableFromInline let block: CounterBlock
    @usableFromInline static let tracksStart = StreamCounter.allCases.count
    @usableFromInline static let perTrack = TrackCounter.allCases.count

    init() { block = CounterBlock(count: Self.tracksStart + Self.perTrack * tracksPerStreamMax) }

    /// The value of a counter of the stream.
    public subscript(counter: StreamCounter) -> UInt64 { block[counter.rawValue] }
    /// The value of a counter of a track, `0..<8`.
    public subscript(track: Int, counter: TrackCounter) -> UInt64 {
        block[Self.tracksStart + track * Self.perTrack + counter.rawValue]
    }
    /// Adds to a counter; for the engine.
    @inlinable public func add(_ counter: StreamCounter, _ amount: UInt64 = 1) { block.add(counter.rawValue, amount) }
    /// Sets a counter; for the engine.
    @inlinable public func set(_ counter: StreamCounter, _ value: UInt64) { block.set(counter.rawValue, value) }
    /// Adds to a track's counter; for the engine.
    @inlinable public func add(_ track: Int, _ counter: TrackCounter, _ amount: UInt64 = 1) {
        block.add(Self.tracksStart + track * Self.perTrack + counter.rawValue, amount)
    }
    /// Sets a track's counter; for the engine.
    @inlinable public func set(_ track: Int, _ counter: TrackCounter, _ value: UInt64) {
        block.set(Self.tracksStart + track * Self.perTrack + counter.rawValue, value)
    }

    func free() { block.free() }
}
