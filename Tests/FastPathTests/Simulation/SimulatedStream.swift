import PlaneLink

@testable import FastPath

/// One stream of a simulation, from its `addStream` to its end: memory, policy, and the source with its clock.
final class SimulatedStream {
    let handle: StreamHandle
    let memory: StreamMemory
    let policy: StreamPolicy
    let codec: TrackCodec
    /// Its packets go as they are fed. With their framing, to TCP readers alone, they are interleaved frames all the same, so that readers can
    /// tell them apart; of finished RTP the framing is the engine's.
    let isVerbatim: Bool
    let isFinished: Bool
    /// What is part of its packets before their RTP header.
    var headBytes: Int { isVerbatim && !isFinished ? FeedDraft.headBytes : 0 }
    /// Of a verbatim stream: packets fed so far.
    var packetsFed = 0
    /// The worker that the router chose; -1 until then.
    var home = -1
    let packetBytes: ClosedRange<Int>
    let keyFrameBytes: ClosedRange<Int>
    private(set) var log: SimulatedLog?
    /// `removeStream` was submitted; `streamRemoved` was reported.
    var isRemoved = false
    var isGone = false
    /// The largest share that a reader who catches up may have been given.
    var shareBytesMax = PacingPolicy.burstBytes
    /// Packets from here on were logged while nothing was refused.
    var calmSince = Int.max
    /// Packets that its readers missed, as far as the simulation saw it.
    var packetsMissed = 0

    // MARK: The source

    var source: SourceHandle?
    private(set) var epoch = 0
    /// The epoch of what the engine has taken from its queue so far.
    var epochTaken = 0
    private var epochBegan: [UInt64]
    private var timestampBase: [UInt32]
    private var tracks: [Track]
    private var framesToKeyFrame = 0
    /// What is left of a frame that goes in several feeds.
    private(set) var drafts: [FeedDraft] = []

    private struct Track {
        var ssrc: UInt32
        var sequence: UInt16
        var timestamp: UInt32 = 0
        /// The engine has surely taken a packet of this time line.
        var hasBegun = false
        /// The source began anew without a word: the engine wants two packets to believe it.
        var isUnannounced = false
    }

    static let clockRates: [UInt32] = [90_000, 48_000]

    init(_ simulation: Simulation, handle: StreamHandle) {
        self.handle = handle
        let circumstances = simulation.circumstances
        memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0), workers: circumstances.workers)
        policy = circumstances.makePolicy(&simulation.random)
        // By a random number of its own, so that runs without such streams are what they were.
        var kind = SplitMix64(seed: simulation.seed &* 31 &+ UInt64(handle.index) &* 7 &+ UInt64(handle.generation))
        isVerbatim = kind.happens(250)
        isFinished = isVerbatim && kind.happens(600)
        codec = isVerbatim || simulation.random.happens(850) ? .h264 : .opaque
        packetBytes = simulation.random.pick(circumstances.packetBytes)
        keyFrameBytes = simulation.random.pick(circumstances.keyFrameBytes)
        epochBegan = [simulation.time]
        timestampBase = [UInt32(truncatingIfNeeded: simulation.random.next())]
        tracks = (0..<2).map { _ in Self.newTrack(&simulation.random) }
        log = SimulatedLog(simulation, self)
    }

    private static func newTrack(_ random: inout SplitMix64) -> Track {
        // Often near the end of the numbers, so that they wrap.
        let sequence = UInt16(truncatingIfNeeded: random.happens(500) ? 65_500 + random.below(36) : random.below(65_536))
        return Track(ssrc: UInt32(truncatingIfNeeded: random.next()) | 1, sequence: sequence)
    }

    func ssrc(_ track: Int) -> UInt32 { 0x5EED_0000 + UInt32(handle.generation) << 8 + UInt32(handle.index) << 4 + UInt32(track) }

    func plan(_ track: Int) -> TrackPlan {
        TrackPlan(clockRate: Self.clockRates[track], codec: track == 0 ? codec : .opaque, ssrc: ssrc(track))
    }

    /// Whether the source may begin anew without a word.
    var mayRestart: Bool { !isVerbatim && drafts.isEmpty && tracks.allSatisfy { $0.hasBegun && !$0.isUnannounced } }

    /// The source begins anew: other SSRCs, other numbers, another time.
    func beginEpoch(_ simulation: Simulation, announced: Bool) {
        epoch += 1
        epochBegan.append(simulation.time)
        timestampBase.append(UInt32(truncatingIfNeeded: simulation.random.next()))
        for track in tracks.indices {
            tracks[track] = Self.newTrack(&simulation.random)
            tracks[track].isUnannounced = !announced
        }
        drafts.removeAll()
        framesToKeyFrame = simulation.random.below(4)
    }

    // MARK: Clocks

    private func ticks(_ track: Int, epoch: Int, at time: Int64) -> UInt32 {
        let passed = time - Int64(epochBegan[epoch])
        let ticks = UInt32(truncatingIfNeeded: plan(track).ticks(passed.magnitude))
        return passed < 0 ? timestampBase[epoch] &- ticks : timestampBase[epoch] &+ ticks
    }

    private static let wallClockSeconds: UInt64 = 3_900_000_000
    /// The same date, when the simulation's time is 0.
    static var unixNanoseconds: UInt64 { (wallClockSeconds - 2_208_988_800) * 1_000_000_000 }

    /// The source's wall clock as NTP time: the simulation's own time behind a fixed date.
    static func wallClock(at time: UInt64) -> UInt64 {
        (wallClockSeconds + time / 1_000_000_000) << 32 | ((time % 1_000_000_000) << 32) / 1_000_000_000
    }

    /// What a track's clock shows at a time of the wall clock. A report may name one from before the epoch began: readers' time, in which
    /// it is made, is behind by what a splice had to move packets ahead. Both clocks are lines, so that is no less exact.
    func timestamp(_ track: Int, epoch: Int, atWallClock ntp: UInt64) -> UInt32 {
        let seconds = Int64(ntp >> 32) - Int64(Self.wallClockSeconds)
        let nanoseconds = Int64(((ntp & 0xFFFF_FFFF) * 1_000_000_000 + 1 << 31) >> 32)
        return ticks(track, epoch: epoch, at: seconds * 1_000_000_000 + nanoseconds)
    }

    // MARK: Frames

    /// The next bytes that the source sends: a frame or a piece of one, with whatever else is due.
    func nextFeed(_ simulation: Simulation, wantsKeyFrame: Bool = false) -> FeedDraft {
        if drafts.isEmpty { compose(simulation, wantsKeyFrame: wantsKeyFrame) }
        return drafts.removeFirst()
    }

    private var newDraft: FeedDraft { FeedDraft(isVerbatim: isVerbatim, headBytes: headBytes) }

    private func compose(_ simulation: Simulation, wantsKeyFrame: Bool) {
        var draft = newDraft
        if simulation.random.happens(300) { addAudio(&draft, simulation) }
        let isKeyFrame = wantsKeyFrame || framesToKeyFrame <= 0
        framesToKeyFrame = isKeyFrame ? simulation.random.within(2...12) : framesToKeyFrame - 1
        let isLarge = isKeyFrame || simulation.circumstances.hasLargeFrames
        let bytes = simulation.random.within(keyFrameBytes) / (isLarge ? 1 : 10)
        addFrame(&draft, simulation, bytes: bytes, isKeyFrame: isKeyFrame)
        if simulation.random.happens(300) { addAudio(&draft, simulation) }
        for track in 0..<2 where !isVerbatim && simulation.random.happens(60) && !tracks[track].isUnannounced {
            draft.addReport(
                track: track, ssrc: tracks[track].ssrc, ntp: Self.wallClock(at: simulation.time),
                timestamp: ticks(track, epoch: epoch, at: Int64(simulation.time)))
        }
        if !isVerbatim, simulation.random.happens(10) { draft.addRubbish() }
        drafts.append(draft)
    }

    private func addFrame(_ draft: inout FeedDraft, _ simulation: Simulation, bytes: Int, isKeyFrame: Bool) {
        let isOdd = simulation.random.happens(200)
        let size = simulation.random.within(packetBytes)
        // No frame is more than the log's records.
        var left = min(max(bytes, FeedDraft.packetBytesMin), 200 * size)
        let timestamp = nextTimestamp(0, simulation)
        let hasMarker = !simulation.random.happens(30)
        var isFirst = true
        while left > 0 {
            let wanted = isOdd ? simulation.random.within(packetBytes) : size
            let count = max(min(wanted, left), FeedDraft.packetBytesMin)
            left -= count
            addPacket(
                &draft, simulation, 0, count, timestamp, startsKeyFrame: isKeyFrame && isFirst && codec != .opaque,
                marker: left <= 0 && hasMarker)
            isFirst = false
            if simulation.random.happens(20) { addAudio(&draft, simulation) }
            if simulation.random.happens(30), left > 0 {
                drafts.append(draft)
                draft = newDraft
            }
        }
    }

    private func addAudio(_ draft: inout FeedDraft, _ simulation: Simulation) {
        guard !isVerbatim else { return }
        let count = simulation.random.within(FeedDraft.packetBytesMin...300)
        addPacket(&draft, simulation, 1, count, nextTimestamp(1, simulation), startsKeyFrame: false, marker: true)
    }

    private func nextTimestamp(_ track: Int, _ simulation: Simulation) -> UInt32 {
        let now = ticks(track, epoch: epoch, at: Int64(simulation.time))
        let after = tracks[track].timestamp &+ 1
        // Frames that come at the same instant are still one after the other.
        tracks[track].timestamp = tracks[track].timestamp != 0 && Int32(bitPattern: now &- after) < 0 ? after : now
        return tracks[track].timestamp
    }

    private func addPacket(
        _ draft: inout FeedDraft, _ simulation: Simulation, _ track: Int, _ count: Int, _ timestamp: UInt32, startsKeyFrame: Bool,
        marker: Bool
    ) {
        var place = FeedDraft.Place(
            offset: 0, count: count, number: simulation.nextPacketNumber(), track: track, sequence: tracks[track].sequence,
            timestamp: timestamp, startsKeyFrame: startsKeyFrame)
        // Lost on the way to the engine: the number is missing for all readers.
        if simulation.random.happens(simulation.circumstances.sourceLossPermille) { place.sequence &+= 1 }
        if !isVerbatim, simulation.random.happens(simulation.circumstances.strayPermille), tracks[track].hasBegun {
            var stray = place
            stray.isStray = true
            stray.startsKeyFrame = false
            stray.number = simulation.nextPacketNumber()
            draft.addPacket(stray, marker: true, ssrc: 0x5000_0000 + UInt32(stray.number))
        }
        if tracks[track].isUnannounced {
            var first = place
            first.isStray = true
            first.startsKeyFrame = false
            first.number = simulation.nextPacketNumber()
            draft.addPacket(first, marker: false, ssrc: tracks[track].ssrc)
            place.sequence &+= 1
            tracks[track].isUnannounced = false
            tracks[track].hasBegun = true
        }
        if epoch == 0 || codec == .opaque || track == 1 || startsKeyFrame { tracks[track].hasBegun = true }
        draft.addPacket(place, marker: marker, ssrc: tracks[track].ssrc)
        tracks[track].sequence = place.sequence &+ 1
    }
}
