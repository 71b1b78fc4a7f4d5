import Synchronization

/// Counters of the whole engine. Each worker writes its own, anyone reads their sum.
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
    /// Audio packets of a new epoch that belong before what readers have heard already.
    case packetsBeforeSplice
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
    case readersStalled, readersConnectionLost, readersQueueFull, readersTooSlow
    /// Packets that readers missed because they were further behind than their stream's policy allows.
    case packetsOverPolicy
    /// Newcomers that began at a key frame of the past.
    case joinBursts
    /// Turns that ended before everything due was sent, because of pacing.
    case pacedTurns
    /// Hand-overs of a stream from its home worker to another one that has readers of it.
    case handovers
    /// Packets not taken because a worker was still sending what they would have overwritten.
    case packetsLogPinned
    /// Zero-copy sends that the kernel took, those of them that it copied all the same, and those it has not given back yet.
    case zcSent, zcCopied, zcPending
    /// Receive buffers exhausted: the socket held the data meanwhile.
    case receiveBuffersExhausted
    /// How often the kernel had to keep completions aside, because the ring was full.
    case completionOverflows
    /// Commands whose handle was stale.
    case staleCommands
    /// Reports of statistics dropped because the queue was more than half full.
    case reportsDropped
    /// Turns of the loop, and system calls made by the backend.
    case turns, systemCalls
    /// Nanoseconds from a frame's arrival to its last send, summed, and the number of fan-outs summed over.
    case fanOutNanoseconds, fanOuts
    /// Packets of sources that were cut into smaller ones.
    case packetsFragmented
    /// Packets larger than their stream's ``StreamPolicy/packetBytesMax`` that went as they are.
    case packetsOversize
    /// Packets that UDP readers were not sent, because no datagram holds them.
    case packetsOverDatagram
    /// Packets that came late, from before one that was cut: their numbers are taken.
    case packetsBehindCut
    /// Parameter sets that were not learnt: together they are longer than ``ParameterSetMailbox/bytesMax``.
    case parameterSetsTooLong
    /// Packets of finished RTP that were asked for once more (``Command/resend(_:packet:following:port:)``): the kernel took them; they
    /// had left the window; the reader has not been sent them yet, no datagram holds them or the kernel refused them.
    case packetsResent, resendsTooLate, resendsRefused
    /// Blocks of files that were read for stored readers (``Command/addStoredStream(_:_:_:)``), their bytes, and the nanoseconds from asking
    /// for them to having them, summed.
    case storedReads, storedReadBytes, storedReadNanoseconds
    /// Blocks that a stored reader found read by another.
    case storedBlocksShared
    /// Blocks that could not be read, and such that ended before their last packet.
    case storedReadsFailed
    /// Times that a stored reader had to wait for a block to be free.
    case storedBlocksShort
    /// Reads of files that were given up because they took longer than ``Limits/storedWaitNanoseconds``, and stored readers that were ended
    /// because of such.
    case storedReadsOverdue, storedReadersOverdue
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
    /// Frames and packets that filled gaps while the source was away.
    case slateFrames, slatePackets
    /// How often the source's wall clock was set, by its sender reports.
    case clockSteps
    /// Sender reports that cannot be true: no wall clock, one that stands still, or another time than the packets'.
    case reportsUnusable
    /// Frames that ended without their last packet because their source did: the number behind them is left out, or, where pictures are
    /// held until they are whole, nobody was sent any of them.
    case framesCut
    /// Packets of parameter sets that went before the source's key frames (``Command/setPreface(_:track:_:)``).
    case prefacePackets
    /// Pictures that went on as they came although the stream holds them until they are whole: larger than the memory for one, or of a
    /// source that does not mark where its pictures end.
    case picturesNotHeld
    /// Packets that readers were sent once more (``Command/resend(_:packet:following:port:)``).
    case packetsResent
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
    /// Timestamp units from one frame to the next, as last seen.
    case timestampStep
    /// Middle 32 bits of the NTP time of the last sender report to readers, and its moment in nanoseconds of the monotonic clock.
    case senderReportOut, senderReportOutAt
    /// The largest packet since the source was dialled, as readers get it.
    case packetBytesMax
    /// Packets of the source that were cut into smaller ones, and such that were too large and were not.
    case packetsFragmented, packetsOversize
}

/// Counters of one track of one leg: of several sources that carry the same stream, or of one whose packets are put in order
/// (``ReorderPlan``).
public enum LegCounter: Int, CaseIterable, Sendable {
    /// Packets that arrived.
    case packets
    /// Those that were the first of their number, and those of them that filled a gap which others had left.
    case taken, filled
    /// Those that were there already, came after their gap was given up, or belong to another stream than the one that plays.
    case duplicates, late, foreign
    /// As RFC 3550 wants them for a receiver report of this leg: by its own packets, whatever other legs brought.
    case expected, received, sequenceHighest, jitter, ssrc
    /// How far it is behind the first of the legs, smoothed.
    case lagMicroseconds
    /// When its last packet arrived, nanoseconds of the monotonic clock; 0 before the first.
    case lastArrivalNanoseconds
    /// As in ``TrackCounter``.
    case lastSenderReport, lastSenderReportArrival
}

/// Counters of one track whose packets are put in order (``ReorderPlan``).
public enum ReorderCounter: Int, CaseIterable, Sendable {
    /// Packets that wait just now.
    case waiting
    /// Numbers that were given up: no leg brought them in time.
    case missing
    /// Times that packets went on before their time was over, for want of room (``ReorderPlan/packetsMax``).
    case overflows
    /// Times that the stream's numbers began anew.
    case restarts
}

/// A block of 64-bit counters for each worker. A worker writes its own, anyone reads the sums. Reads and writes are relaxed:
/// each counter is right by itself, and no other memory is published by it.
@safe public struct CounterBlock: @unchecked Sendable, BitwiseCopyable {
    // Sendable because every access goes through an atomic, and each atomic has one writer.
    @usableFromInline let base: UnsafeMutablePointer<Atomic<UInt64>>
    /// The writer's own block.
    @usableFromInline let own: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let count: Int
    private let workers: Int
    /// From one worker's block to the next: whole cache lines, so that workers do not disturb each other.
    private let stride: Int

    init(count: Int, workers: Int) {
        stride = (count + 7) / 8 * 8
        self.workers = max(workers, 1)
        let total = stride * self.workers
        let memory = UnsafeMutableRawPointer.allocate(byteCount: total * 8, alignment: 64)
        unsafe base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: total)
        unsafe own = base
        self.count = count
        for index in 0..<total { unsafe (base + index).initialize(to: Atomic(0)) }
    }

    private init(_ block: CounterBlock, worker: Int) {
        precondition(worker >= 0 && worker < block.workers)
        unsafe base = block.base
        unsafe own = block.base + worker * block.stride
        count = block.count
        workers = block.workers
        stride = block.stride
    }

    func forWorker(_ worker: Int) -> CounterBlock { CounterBlock(self, worker: worker) }

    /// The sum of a counter over all workers. What a gauge was lowered by one worker and raised by another adds up.
    public subscript(index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        var sum: UInt64 = 0
        for worker in 0..<workers { sum &+= unsafe base[worker * stride + index].load(ordering: .relaxed) }
        return sum
    }

    /// The writer's own part of a counter.
    @inlinable public func ownValue(_ index: Int) -> UInt64 {
        assert(index >= 0 && index < count)
        return unsafe own[index].load(ordering: .relaxed)
    }

    /// Adds to a counter; for the one writer (a load and a store, no locked instruction).
    @inlinable public func add(_ index: Int, _ amount: UInt64) {
        assert(index >= 0 && index < count)
        let old = unsafe own[index].load(ordering: .relaxed)
        unsafe own[index].store(old &+ amount, ordering: .relaxed)
    }

    /// Sets the writer's own part of a counter.
    @inlinable public func set(_ index: Int, _ value: UInt64) {
        assert(index >= 0 && index < count)
        unsafe own[index].store(value, ordering: .relaxed)
    }

    func free() {
        unsafe base.deinitialize(count: workers * stride)
        unsafe base.deallocate()
    }
}

/// The engine's counters; live as long as the engine.
public struct EngineCounters: Sendable, BitwiseCopyable {
    @usableFromInline let block: CounterBlock

    /// New blocks for so many workers, all zero; writes go to the first's.
    public init(workers: Int = 1) { block = CounterBlock(count: EngineCounter.allCases.count, workers: workers) }
    private init(block: CounterBlock) { self.block = block }

    /// The same counters for one worker to write.
    public func forWorker(_ worker: Int) -> EngineCounters { EngineCounters(block: block.forWorker(worker)) }

    /// The value of a counter, all workers together.
    public subscript(counter: EngineCounter) -> UInt64 { block[counter.rawValue] }
    /// What this worker alone has counted; for the engine.
    @inlinable public func ownValue(_ counter: EngineCounter) -> UInt64 { block.ownValue(counter.rawValue) }
    /// Adds to a counter; for the engine.
    @inlinable public func add(_ counter: EngineCounter, _ amount: UInt64 = 1) { block.add(counter.rawValue, amount) }
    /// Frees the blocks. Nobody may read or write them afterwards.
    public func free() { block.free() }
}

/// A stream's counters and its tracks'; part of ``StreamMemory``.
public struct StreamCounters: Sendable, BitwiseCopyable {
    @usableFromInline let block: CounterBlock
    @usableFromInline static let tracksStart = StreamCounter.allCases.count
    @usableFromInline static let perTrack = TrackCounter.allCases.count

    @usableFromInline static let reorderStart = tracksStart + perTrack * tracksPerStreamMax
    @usableFromInline static let perReorder = ReorderCounter.allCases.count
    @usableFromInline static let legsStart = reorderStart + perReorder * tracksPerStreamMax
    @usableFromInline static let perLeg = LegCounter.allCases.count

    /// Counters of no stream: nobody writes them, and they stay zero.
    public static let none = StreamCounters(workers: 1)

    init(workers: Int) {
        block = CounterBlock(count: Self.legsStart + Self.perLeg * tracksPerStreamMax * legsPerStreamMax, workers: workers)
    }
    private init(block: CounterBlock) { self.block = block }

    /// The same counters for one worker to write.
    public func forWorker(_ worker: Int) -> StreamCounters { StreamCounters(block: block.forWorker(worker)) }

    /// The value of a counter of the stream.
    public subscript(counter: StreamCounter) -> UInt64 { block[counter.rawValue] }
    /// The value of a counter of a track, `0..<8`.
    public subscript(track: Int, counter: TrackCounter) -> UInt64 {
        block[Self.tracksStart + track * Self.perTrack + counter.rawValue]
    }
    /// The value of a counter of a track whose packets are put in order.
    public subscript(track: Int, counter: ReorderCounter) -> UInt64 {
        block[Self.reorderStart + track * Self.perReorder + counter.rawValue]
    }
    /// The value of a counter of a leg's track.
    public subscript(leg leg: Int, track: Int, counter: LegCounter) -> UInt64 { block[Self.place(leg, track, counter)] }
    @inlinable static func place(_ leg: Int, _ track: Int, _ counter: LegCounter) -> Int {
        legsStart + (leg * tracksPerStreamMax + track) * perLeg + counter.rawValue
    }
    /// Adds to a counter; for the engine.
    @inlinable public func add(_ track: Int, _ counter: ReorderCounter, _ amount: UInt64 = 1) {
        block.add(Self.reorderStart + track * Self.perReorder + counter.rawValue, amount)
    }
    /// Sets a counter; for the engine.
    @inlinable public func set(_ track: Int, _ counter: ReorderCounter, _ value: UInt64) {
        block.set(Self.reorderStart + track * Self.perReorder + counter.rawValue, value)
    }
    /// Adds to a leg's counter; for the engine.
    @inlinable public func add(leg: Int, _ track: Int, _ counter: LegCounter, _ amount: UInt64 = 1) {
        block.add(Self.place(leg, track, counter), amount)
    }
    /// Sets a leg's counter; for the engine.
    @inlinable public func set(leg: Int, _ track: Int, _ counter: LegCounter, _ value: UInt64) {
        block.set(Self.place(leg, track, counter), value)
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
    /// Sets all counters of a track to 0; for the engine.
    @inlinable public func clear(_ track: Int) {
        for counter in 0..<Self.perTrack { block.set(Self.tracksStart + track * Self.perTrack + counter, 0) }
    }

    func free() { block.free() }
}
