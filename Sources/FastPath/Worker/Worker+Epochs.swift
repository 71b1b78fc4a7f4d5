import PlaneLink
import WireFormats

/// Where the time lines of a source lie in the one of its readers.
extension Worker where K: ~Copyable {
    /// Audio of a new epoch that is this much older than what readers have heard is left out; what is older still goes on as it can.
    static var overlapNanosecondsMax: Int64 { 2_000_000_000 }

    mutating func beginEpoch(_ stream: Int) {
        resetOrder(stream)
        // Newcomers are not sent what was before the break.
        forgetKeyFrames(stream)
        if streams[stream].state.isVerbatim { return streams[stream].state.counters.add(.epochs) }
        forgetPictures(stream)
        slew(stream)
        streams[stream].state.clock.beginEpoch()
        for track in 0..<streams[stream].state.trackCount {
            streams[stream].state.tracks[track].hasInput = false
            streams[stream].state.tracks[track].clock.beginLine()
            streams[stream].state.tracks[track].clock.hasEarly = false
            // Behind a slate the time runs from the first packet that is held back.
            let isSlate = streams[stream].state.tracks[track].isSlate
            streams[stream].state.tracks[track].keyFrameDeadline = isSlate ? .max : now + Self.keyFrameWaitNanoseconds
            forgetPackets(stream, track)
        }
    }

    /// Nobody begins at what was logged so far.
    func forgetKeyFrames(_ stream: Int) {
        streams[stream].state.board.store(.keyFrame, 0)
        streams[stream].state.board.store(.beginning, streams[stream].state.writer.head)
    }

    /// Lets what readers are told of time come nearer to what is true.
    func slew(_ stream: Int) {
        let (shift, elapsed) = streams[stream].state.clock.slew(at: now)
        guard elapsed > 0 else { return }
        for track in 0..<streams[stream].state.trackCount {
            let rate = streams[stream].state.tracks[track].plan.clockRate
            streams[stream].state.tracks[track].clock.slew(shift: shift, elapsed: elapsed, clockRate: rate)
        }
    }

    /// Something else follows what the source sent last. If that was in the middle of a frame, a number is left out: a receiver that
    /// saw none missing would take the next frame for the rest of this one, and lose both. Audio has no frames of several packets.
    func closeFrame(_ stream: Int, _ track: Int) {
        let state = streams[stream].state.tracks[track]
        guard state.isFrameOpen, state.plan.codec != .opaque else { return }
        streams[stream].state.tracks[track].isFrameOpen = false
        streams[stream].state.tracks[track].sequenceOut &+= 1
        streams[stream].state.counters.add(.framesCut)
    }

    /// Begins a time line of the source: readers see the next sequence number, and the time that really passed. False when its packet
    /// belongs before what they have heard, and is left out.
    mutating func splice(_ stream: Int, _ track: Int, _ header: RTPHeader) -> Bool {
        slew(stream)
        let isNewEpoch = !streams[stream].state.tracks[track].hasInput
        streams[stream].state.tracks[track].clock.beginLine()
        guard let timestamp = place(stream, track, header, isNewEpoch: isNewEpoch) else {
            counters.add(.packetsBeforeSplice)
            return false
        }
        if track == streams[stream].state.anchor {
            dropPicture(stream)
            streams[stream].state.pictures?.begin(with: header)
        }
        closeFrame(stream, track)
        let state = streams[stream].state.tracks[track]
        if state.hasOutput {
            streams[stream].state.tracks[track].sequenceOffset = state.sequenceOut &+ 1 &- header.sequence
            streams[stream].state.tracks[track].timestampOffset = timestamp &- header.timestamp
        }
        streams[stream].state.tracks[track].hasInput = true
        streams[stream].state.tracks[track].isLineNew = true
        streams[stream].state.tracks[track].hasCut = false
        streams[stream].state.tracks[track].isPrefaceOwed = true
        if track == streams[stream].state.anchor { streams[stream].state.keeper?.interrupt() }
        streams[stream].state.tracks[track].candidateCount = 0
        streams[stream].state.tracks[track].ssrcIn = header.ssrc
        streams[stream].state.tracks[track].reception = ReceptionStatistics(needsProbation: false)
        streams[stream].state.counters.add(.epochs)
        streams[stream].state.counters.set(track, .ssrc, UInt64(header.ssrc))
        return true
    }

    /// The timestamp that readers see of a time line's first packet; nil when it is to be left out.
    ///
    /// By the source's report where one came before it: then all tracks are placed by the same offset. Else by arrival, less what this
    /// track is usually delayed.
    private mutating func place(_ stream: Int, _ track: Int, _ header: RTPHeader, isNewEpoch: Bool) -> UInt32? {
        let state = streams[stream].state.tracks[track]
        let rate = state.plan.clockRate
        let estimate = state.clock.estimate(at: now)
        var time: Int64?
        let early = state.clock.early
        if state.clock.hasEarly, isNewEpoch || early.ssrc == header.ssrc {
            time = streams[stream].state.clock.place(
                early, timestamp: header.timestamp, clockRate: rate, estimate: estimate, isNewEpoch: isNewEpoch)
        }
        streams[stream].state.tracks[track].clock.hasEarly = false
        guard state.hasOutput else {
            let line = ClockMapping(timestamp: header.timestamp, nanoseconds: time ?? estimate)
            begin(stream, track, line, isReported: time != nil)
            return header.timestamp
        }
        let step = max(state.timestampStep, 1)
        let stepNanoseconds = ClockMapping.nanoseconds(ticks: Int32(clamping: step), clockRate: rate)
        // After hours the difference of two timestamps says nothing any more: they have gone round.
        let isStale = isStale(state)
        var told = state.clock.told
        if isStale { told.follow(time: estimate, clockRate: rate) }
        let floor =
            isStale
            ? estimate &- Int64(StreamClock.reachNanoseconds)
            : told.nanoseconds(of: state.timestampMax, clockRate: rate) &+ stepNanoseconds
        if let known = time {
            if !streams[stream].state.clock.isPlaced {
                // No track goes back, and none has to leave anything out, if all go on after what the last of them said.
                let raise = max(latest(stream, floor) &- known, 0)
                streams[stream].state.clock.place(raise: raise)
                time = known &+ raise
            } else if known < floor, floor &- known <= Self.overlapNanosecondsMax, state.plan.codec == .opaque, !state.isSlate {
                streams[stream].state.tracks[track].clock.hasEarly = true
                return nil
            }
        }
        var timestamp = told.timestamp(at: max(time ?? estimate, floor), clockRate: rate)
        if isStale {
            streams[stream].state.tracks[track].timestampMax = timestamp &- step
        } else if Int32(bitPattern: timestamp &- state.timestampMax) < Int32(clamping: step) {
            timestamp = state.timestampMax &+ step
        }
        told.follow(timestamp: timestamp, clockRate: rate)
        streams[stream].state.tracks[track].clock.told = told
        if let time {
            var line = ClockMapping(timestamp: timestamp, nanoseconds: time)
            // To the nanosecond, not to the tick.
            let origin = line.nanoseconds(of: early.timestamp &+ (timestamp &- header.timestamp), clockRate: rate)
            line = ClockMapping(timestamp: early.timestamp &+ (timestamp &- header.timestamp), nanoseconds: origin)
            setReported(stream, track, line, early.arrival)
        }
        return timestamp
    }

    /// Whether a track was silent for so long that its clock has gone half round, or nearly.
    private func isStale(_ state: TrackState) -> Bool { state.plan.ticks(now &- state.arrival) >= 1 << 30 }

    /// The end of what readers have of the tracks that are not in this epoch yet.
    private func latest(_ stream: Int, _ floor: Int64) -> Int64 {
        var latest = floor
        for track in 0..<streams[stream].state.trackCount {
            let state = streams[stream].state.tracks[track]
            guard state.hasOutput, !state.hasInput, !isStale(state) else { continue }
            let end = state.clock.told.nanoseconds(of: state.timestampMax, clockRate: state.plan.clockRate)
            // What is far ahead of all time says nothing.
            if end &- Int64(truncatingIfNeeded: now) < Int64(StreamClock.reachNanoseconds) { latest = max(latest, end) }
        }
        return latest
    }

    /// A track's first line.
    private func begin(_ stream: Int, _ track: Int, _ line: ClockMapping, isReported: Bool) {
        streams[stream].state.tracks[track].clock.told = line
        streams[stream].state.tracks[track].clock.hasLine = true
        streams[stream].state.tracks[track].clock.began = now
        guard isReported else { return }
        streams[stream].state.clock.place(raise: 0)
        setReported(stream, track, line, now)
    }

    private func setReported(_ stream: Int, _ track: Int, _ line: ClockMapping, _ arrival: UInt64) {
        streams[stream].state.tracks[track].clock.reported = line
        streams[stream].state.tracks[track].clock.isReported = true
        streams[stream].state.tracks[track].clock.reportedAt = arrival
        // The source's clock is told as it is, and so is a track that nobody was told of.
        let isExact = streams[stream].state.policy.clock == .origin || !streams[stream].state.tracks[track].clock.isTold
        if isExact { streams[stream].state.tracks[track].clock.told = line }
    }
}
