import PlaneLink
import WireFormats

/// From the source to the readers of all workers: when what was logged may be sent, and at which pace.
extension Worker where K: ~Copyable {
    /// With fewer readers than this a packet does not wait for its frame.
    static var audienceWorthWaiting: Int { 16 }
    /// While a frame is spread over time, a piece of it is released so often.
    static var paceNanoseconds: UInt64 { 1_000_000 }
    /// The part of a frame's interval that it is spread over, in sixteenths.
    static var paceSixteenths: UInt64 { 14 }
    /// No slower, in bytes per second: a frame that is a little too large for one burst is soon gone.
    static var paceRateMin: UInt64 { 8_000_000 }
    /// The frame interval taken where the stream has not shown its own, and the bounds of what it may show.
    static var frameNanosecondsDefault: UInt64 { 20_000_000 }
    static var frameNanosecondsMin: UInt64 { 4_000_000 }
    static var frameNanosecondsMax: UInt64 { 100_000_000 }

    /// Makes what was written to the log's room a packet of it, and decides when it is due.
    mutating func append(
        _ stream: Int, _ count: Int, _ channel: UInt8, _ flags: PacketFlags, _ sequence: UInt16, _ timestamp: UInt32, isFrameEnd: Bool,
        isSource: Bool = true
    ) {
        streams[stream].state.writer.append(
            length: count, channel: channel, plan: streams[stream].state.plans[Int(channel) / 2], flags: flags, arrival: now,
            sequence: sequence,
            timestamp: timestamp)
        let streamCounters = streams[stream].state.counters
        streamCounters.add(.packetsLogged)
        if isSource {
            streamCounters.add(.packetsReceived)
            streamCounters.add(.bytesReceived, UInt64(count))
            streamCounters.set(.lastArrivalNanoseconds, now)
        }
        noteRate(stream, count)
        guard streams[stream].state.releaseAt != now else { return }
        // A few readers cost less than a train saves: an idle relay sends at once.
        if isFrameEnd || limits.delayMicrosecondsMax == 0 || audience(stream) < Self.audienceWorthWaiting {
            // What is being spread over time already goes on at its pace.
            if !isPacing(stream) { streams[stream].state.releaseAt = now }
        } else {
            streams[stream].state.releaseAt = min(streams[stream].state.releaseAt, now + frameWaitNanoseconds)
        }
        markDirty(stream)
    }

    /// Shows all workers, once a second, how much the stream makes.
    private func noteRate(_ stream: Int, _ count: Int) {
        streams[stream].state.rateBytes &+= UInt64(count)
        let passed = now &- streams[stream].state.rateSince
        guard passed >= 1_000_000_000 else { return }
        if passed < 10_000_000_000 {
            streams[stream].state.board.publish(.rate, streams[stream].state.rateBytes * 1_000 / (passed / 1_000_000))
        }
        streams[stream].state.rateBytes = 0
        streams[stream].state.rateSince = now
    }

    /// How long packets wait for the end of their frame.
    private var frameWaitNanoseconds: UInt64 {
        UInt64(min(limits.delayMicrosecondsMax, Limits.collectMicrosecondsMin)) * 1_000
    }

    /// Readers of the stream, of all workers.
    func audience(_ stream: Int) -> Int {
        var audience: UInt64 = 0
        for worker in 0..<peers.workers { audience &+= streams[stream].state.board.load(worker, .audience) }
        return Int(clamping: audience)
    }

    /// Lets readers have what was logged, or as much of it as the pace allows, and tells the workers that have some.
    mutating func release(_ stream: Int) {
        let head = streams[stream].state.writer.head
        streams[stream].state.releaseAt = .max
        guard head > streams[stream].state.released else { return }
        let end = pacedEnd(stream, head)
        if end < head {
            streams[stream].state.releaseAt = now + Self.paceNanoseconds
            counters.add(.pacedTurns)
        }
        guard end > streams[stream].state.released else { return }
        streams[stream].state.released = end
        streams[stream].state.board.store(.released, end)
        tellWorkers(stream)
    }

    /// Has the workers that have readers of the stream look at it.
    mutating func tellWorkers(_ stream: Int) {
        for worker in 0..<peers.workers where streams[stream].state.board.load(worker, .audience) > 0 {
            if worker == index {
                markDue(stream, at: now)
            } else {
                counters.add(.handovers)
                if peers.handOver(stream, to: worker) { kernel.notify(peer: peers.descriptor(ofWorker: worker)) }
            }
        }
    }

    // MARK: Pace

    private func isPacing(_ stream: Int) -> Bool {
        streams[stream].state.paceRate > 0 && streams[stream].state.released < streams[stream].state.writer.head
            && streams[stream].state.releaseAt != .max
    }

    /// How far the pace lets go now. Bytes that may leave at once grow with time up to a burst; what is due beyond them waits.
    private func pacedEnd(_ stream: Int, _ head: UInt64) -> UInt64 {
        let policy = streams[stream].state.policy.pacing
        // Nobody to spare: then nothing is spread over time either.
        if policy == .off || audience(stream) == 0 { return head }
        let log = streams[stream].state.log
        // A pace below the stream's own rate: what left the window cannot be sent any more.
        streams[stream].state.released = max(streams[stream].state.released, streams[stream].state.writer.tail)
        let first = log.record(streams[stream].state.released).position
        let pending = log.record(head - 1).end - first
        let burst = UInt64(PacingPolicy.burstBytes)
        refillTokens(stream, policy, burst)
        if pending <= streams[stream].state.paceTokens {
            streams[stream].state.paceTokens -= pending
            streams[stream].state.paceRate = 0
            return head
        }
        switch policy {
        case .off: return head
        case .fixed(let bitsPerSecond): streams[stream].state.paceRate = max(bitsPerSecond / 8, 1)
        case .adaptive:
            // Whatever has piled up is to be gone in the same part of a frame's interval.
            let span = frameNanoseconds(stream) * Self.paceSixteenths / 16
            let wanted = max(pending * 1_000_000_000 / max(span, 1), Self.paceRateMin)
            streams[stream].state.paceRate = max(streams[stream].state.paceRate, wanted)
        }
        let allowed = first + streams[stream].state.paceTokens
        var end = streams[stream].state.released
        while end < head, log.record(end).end <= allowed { end += 1 }
        // A packet that is larger than a whole burst goes alone.
        if end == streams[stream].state.released, streams[stream].state.paceTokens == burst { end += 1 }
        if end > streams[stream].state.released {
            streams[stream].state.paceTokens -= min(log.record(end - 1).end - first, streams[stream].state.paceTokens)
        }
        return end
    }

    private func refillTokens(_ stream: Int, _ policy: PacingPolicy, _ burst: UInt64) {
        let passed = min(now &- streams[stream].state.pacedAt, 1_000_000_000)
        // At rest the allowance is whole again after one frame's interval.
        var rate = burst * 1_000_000_000 / frameNanoseconds(stream)
        if case .fixed(let bitsPerSecond) = policy { rate = bitsPerSecond / 8 }
        if streams[stream].state.paceRate > 0 { rate = streams[stream].state.paceRate }
        let grown = rate.multipliedReportingOverflow(by: passed)
        let added = grown.overflow ? burst : grown.partialValue / 1_000_000_000
        // A slow pace makes less than a byte at a time: then the time counts on.
        guard added > 0 else { return }
        streams[stream].state.pacedAt = now
        streams[stream].state.paceTokens = min(streams[stream].state.paceTokens + min(added, burst), burst)
    }

    /// The stream's own frame interval, as its anchor track shows it.
    private func frameNanoseconds(_ stream: Int) -> UInt64 {
        let anchor = streams[stream].state.anchor
        guard anchor >= 0 else { return Self.frameNanosecondsDefault }
        let step = UInt64(streams[stream].state.tracks[anchor].timestampStep)
        guard step > 0 else { return Self.frameNanosecondsDefault }
        let span = step * 1_000_000_000 / UInt64(streams[stream].state.tracks[anchor].plan.clockRate)
        return min(max(span, Self.frameNanosecondsMin), Self.frameNanosecondsMax)
    }
}
