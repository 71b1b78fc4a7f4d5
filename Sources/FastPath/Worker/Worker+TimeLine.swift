import Glibc
import PlaneLink
import WireFormats

/// The path of a packet into its stream: checked once, rewritten once, copied once.
extension Worker where K: ~Copyable {
    /// A stray packet of another SSRC does not make a new time line; two in a row do.
    static var candidatesForSplice: Int { 2 }
    /// A jump further than this from where time went is a new time line (seconds).
    static var timestampJumpSeconds: UInt64 { 10 }
    /// A jump of sequence numbers further than this is one too (RFC 3550 appendix A.1, MAX_DROPOUT).
    static var sequenceJump: Int16 { 3_000 }
    /// Video that waits for a key frame after a splice goes on without one after so long.
    static var keyFrameWaitNanoseconds: UInt64 { 10_000_000_000 }

    /// Takes one packet into a stream. False when it was not fit to be used (counted).
    @unsafe mutating func ingest(_ stream: Int, channel: UInt8, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        guard Int(channel) < 2 * streams[stream].state.trackCount else {
            counters.add(.framesUnknownChannel)
            return false
        }
        counters.add(.packetsReceived)
        counters.add(.bytesReceived, UInt64(count))
        // RTCP may come on the channel of its media (RFC 5761 section 4).
        let kind = count > 1 ? unsafe bytes.load(fromByteOffset: 1, as: UInt8.self) : 0
        let isMedia = channel & 1 == 0 && !(kind >= 192 && kind <= 223)
        let track = Int(channel) / 2
        let isTaken: Bool
        if !isMedia {
            isTaken = unsafe ingestRTCP(stream, track, bytes, count)
        } else if holdsPictures(stream, track) {
            isTaken = unsafe holdPicture(stream, track, bytes, count)
        } else {
            isTaken = unsafe ingestRTP(stream, track, bytes, count)
        }
        if !isTaken { counters.add(.datagramsMalformed) }
        return isTaken
    }

    /// Takes a packet of media that waits for nothing any more.
    @unsafe mutating func ingestRTP(_ stream: Int, _ track: Int, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        let span = unsafe Span<UInt8>(_unsafeStart: bytes.assumingMemoryBound(to: UInt8.self), count: count)
        guard let header = try? RTPHeader(span) else { return false }
        let codec = streams[stream].state.tracks[track].keyFrames
        let payload = span.extracting(header.payloadOffset..<header.payloadEnd)
        let marks: FrameMarks = codec == .opaque ? [] : frameMarks(codec: codec, payload: payload)
        let startsKeyFrame = marks.contains(.startsKeyFrame)
        guard follow(stream, track, header, startsKeyFrame) else { return true }
        if streams[stream].state.tracks[track].isSlate { endSlate(stream, track, header) }
        streams[stream].state.tracks[track].payloadType = header.payloadType
        receive(stream, track, header)
        if marks.contains(.parameterSets) || streams[stream].state.tracks[track].setBytes > 0 {
            learnParameterSets(stream, track, header.sequence, payload)
        }
        if streams[stream].state.tracks[track].prefaceBytes > 0 { writePreface(stream, track, header, marks) }
        if isTooLarge(stream, count), unsafe storeFragments(stream, track, header, bytes, span, marks) { return true }
        if isBehindCut(stream, track, header) { return true }

        // Only the fields of the fixed header change (RFC 3550 section 5.1): the payload is the source's, byte for byte.
        let sequence = header.sequence &+ streams[stream].state.tracks[track].sequenceOffset
        let timestamp = header.timestamp &+ streams[stream].state.tracks[track].timestampOffset
        guard let room = unsafe streams[stream].state.writer.room(for: count) else {
            counters.add(.packetsLogPinned)
            return true
        }
        unsafe room.copyMemory(from: bytes, byteCount: count)
        unsafe room.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
        unsafe room.storeBytes(of: timestamp.bigEndian, toByteOffset: 4, as: UInt32.self)
        unsafe room.storeBytes(of: streams[stream].state.tracks[track].plan.ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)

        if track == streams[stream].state.anchor {
            unsafe streams[stream].state.keeper?.take(
                room, count, sequence: sequence, timestamp: timestamp, marks: marks, endsFrame: header.marker)
        }
        advance(
            stream, track, sequence, timestamp, payloadBytes: header.payloadEnd - header.payloadOffset, endsFrame: header.marker)
        noteSize(stream, track, count)
        var flags: PacketFlags = header.marker ? .endsFrame : []
        let beginsKeyFrame = startsKeyFrame && isNewKeyFrame(stream, track, timestamp)
        if beginsKeyFrame { flags.insert(.startsKeyFrame) }
        append(stream, count, UInt8(2 * track), flags, sequence, timestamp, isFrameEnd: header.marker)
        publishTimeLine(stream, track)
        if beginsKeyFrame, track == streams[stream].state.anchor {
            // The packet's number plus one.
            streams[stream].state.board.store(.keyFrame, streams[stream].state.writer.head)
            lookForKeyFrame(stream)
        }
        logWantedReports(stream)
        return true
    }

    /// A key frame's parameter sets and slices share a timestamp; only the first of them begins it.
    func isNewKeyFrame(_ stream: Int, _ track: Int, _ timestamp: UInt32) -> Bool {
        let state = streams[stream].state.tracks[track]
        if state.hasKeyFrame, state.keyFrameTimestamp == timestamp { return false }
        streams[stream].state.tracks[track].hasKeyFrame = true
        streams[stream].state.tracks[track].keyFrameTimestamp = timestamp
        streams[stream].state.counters.add(track, .keyFrames)
        return true
    }

    // MARK: Time lines

    /// Fits a packet into the track's time line, beginning a new one where the source did. False when the packet is held back.
    private mutating func follow(_ stream: Int, _ track: Int, _ header: RTPHeader, _ startsKeyFrame: Bool) -> Bool {
        let state = streams[stream].state.tracks[track]
        if !state.hasInput {
            let waits = state.hasOutput && state.plan.codec != .opaque && now < state.keyFrameDeadline
            if waits, !startsKeyFrame {
                if state.keyFrameDeadline == .max {
                    streams[stream].state.tracks[track].keyFrameDeadline = now + Self.keyFrameWaitNanoseconds
                }
                counters.add(.packetsBeforeKeyFrame)
                return false
            }
            return splice(stream, track, header)
        }
        if header.ssrc != state.ssrcIn || jumps(state, header) {
            let isSame = state.candidateCount > 0 && state.ssrcCandidate == header.ssrc
            streams[stream].state.tracks[track].ssrcCandidate = header.ssrc
            streams[stream].state.tracks[track].candidateCount = isSame ? state.candidateCount + 1 : 1
            guard isSame, state.candidateCount + 1 >= Self.candidatesForSplice else { return false }
            return splice(stream, track, header)
        }
        streams[stream].state.tracks[track].candidateCount = 0
        return true
    }

    private func jumps(_ state: TrackState, _ header: RTPHeader) -> Bool {
        let sequenceDelta = Int16(bitPattern: header.sequence &+ state.sequenceOffset &- state.sequenceOut)
        if sequenceDelta > Self.sequenceJump || sequenceDelta < -Self.sequenceJump { return true }
        let elapsed = state.plan.ticks(now &- state.arrival)
        let delta = Int64(Int32(bitPattern: header.timestamp &+ state.timestampOffset &- state.timestampOut))
        return abs(delta - Int64(clamping: elapsed)) > Int64(Self.timestampJumpSeconds * UInt64(state.plan.clockRate))
    }

    /// Counts a packet of the source as a receiver does, by the source's own numbers.
    private func receive(_ stream: Int, _ track: Int, _ header: RTPHeader) {
        let streamCounters = streams[stream].state.counters
        let arrival = UInt32(truncatingIfNeeded: streams[stream].state.tracks[track].plan.ticks(now))
        _ = streams[stream].state.tracks[track].reception.receive(
            sequence: header.sequence, timestamp: header.timestamp, arrival: arrival)
        let reception = streams[stream].state.tracks[track].reception
        streamCounters.set(track, .sequenceHighest, UInt64(reception.highestExtended))
        streamCounters.set(track, .expected, UInt64(reception.expected))
        streamCounters.set(track, .receivedInEpoch, UInt64(reception.received))
        streamCounters.set(track, .jitter, UInt64(reception.jitter))
    }

    /// Notes the newest packet of the track; a late one changes nothing.
    func advance(_ stream: Int, _ track: Int, _ sequence: UInt16, _ timestamp: UInt32, payloadBytes: Int, endsFrame: Bool) {
        let state = streams[stream].state.tracks[track]
        let streamCounters = streams[stream].state.counters
        streams[stream].state.tracks[track].packetsOut &+= 1
        streams[stream].state.tracks[track].octetsOut &+= UInt32(truncatingIfNeeded: payloadBytes)
        streamCounters.add(track, .bytes, UInt64(payloadBytes))
        if state.hasOutput, Int16(bitPattern: sequence &- state.sequenceOut) <= 0 { return }
        let step = timestamp &- state.timestampOut
        if step > 0, step < state.plan.clockRate, isStep(state, sequence) {
            streams[stream].state.tracks[track].timestampStep = state.stepBefore == 0 ? step : min(step, state.stepBefore)
            streams[stream].state.tracks[track].stepBefore = step
        }
        streams[stream].state.tracks[track].isLineNew = false
        streams[stream].state.tracks[track].sequenceOut = sequence
        streams[stream].state.tracks[track].isFrameOpen = !endsFrame
        streams[stream].state.tracks[track].timestampOut = timestamp
        streams[stream].state.tracks[track].arrival = now
        if !state.hasOutput || Int32(bitPattern: timestamp &- state.timestampMax) > 0 {
            streams[stream].state.tracks[track].timestampMax = timestamp
            streams[stream].state.tracks[track].clock.arrived(timestamp: timestamp, clockRate: state.plan.clockRate, at: now)
        }
        streams[stream].state.tracks[track].hasOutput = true
    }

    /// Whether nothing is missing between the newest packet and this one.
    private func isStep(_ state: TrackState, _ sequence: UInt16) -> Bool {
        state.hasOutput && !state.isLineNew && sequence == state.sequenceOut &+ 1
    }

    /// Shows where the track stands. After the packet is in the log: whoever reads this and then the log's head misses none.
    func publishTimeLine(_ stream: Int, _ track: Int) {
        let streamCounters = streams[stream].state.counters
        streamCounters.add(track, .packets)
        streamCounters.set(track, .sequenceOut, UInt64(streams[stream].state.tracks[track].sequenceOut))
        streamCounters.set(track, .timestampOut, UInt64(streams[stream].state.tracks[track].timestampOut))
        streamCounters.set(track, .timestampStep, UInt64(streams[stream].state.tracks[track].timestampStep))
    }
}
