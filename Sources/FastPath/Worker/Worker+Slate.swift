import PlaneLink
import WireFormats

/// What fills the gap while a source is away: its last key frame again, or packets of a clip, as the same time line. It ends at the
/// packet that the source's new time line begins with.
extension Worker where K: ~Copyable {
    /// Tracks of which nothing came for so long are the slate's until the source is back. Video comes back at a key frame: what
    /// readers were sent meanwhile is not what the source's other frames build upon.
    mutating func beginSlate(_ stream: Int, silentNanoseconds: UInt64) {
        for track in 0..<streams[stream].state.trackCount {
            let state = streams[stream].state.tracks[track]
            guard state.hasOutput else { continue }
            if state.isSlate, !state.hasInput {
                streams[stream].state.tracks[track].isSlateOpen = false
                if track == streams[stream].state.anchor { _ = givesUpPicture(stream, silentNanoseconds) }
                continue
            }
            guard now &- state.arrival >= silentNanoseconds else { continue }
            // What waits to be put in order has come, and is about to go on.
            let stage = streams[stream].state.reorder
            if track < stage.tracks, stage[track].waiting > 0 { continue }
            if track == streams[stream].state.anchor {
                guard givesUpPicture(stream, silentNanoseconds) else { continue }
                forgetKeyFrames(stream)
            }
            streams[stream].state.tracks[track].hasInput = false
            streams[stream].state.tracks[track].clock.beginLine()
            streams[stream].state.tracks[track].clock.hasEarly = false
            streams[stream].state.tracks[track].isSlate = true
            streams[stream].state.tracks[track].isSlateOpen = false
            streams[stream].state.tracks[track].hasSlatePicture = false
            streams[stream].state.tracks[track].keyFrameDeadline = .max
        }
    }

    /// Drops a picture of which nothing more came for so long: the source that comes back would send its half on. False while one is
    /// still coming in.
    private func givesUpPicture(_ stream: Int, _ silentNanoseconds: UInt64) -> Bool {
        guard let stage = streams[stream].state.pictures else { return true }
        guard stage.bytes == 0 || now &- stage.heldAt >= silentNanoseconds else { return false }
        forgetPictures(stream)
        return true
    }

    /// Sends the last whole key frame again, if its track is the slate's.
    mutating func repeatKeyFrame(_ stream: Int) {
        let anchor = streams[stream].state.anchor
        guard anchor >= 0, isFilling(stream, anchor) else { return }
        streams[stream].state.keeper?.settle()
        guard let keeper = streams[stream].state.keeper, keeper.keptBytes > 0 else { return }
        closeFrame(stream, anchor)
        let timestamp = slateTime(stream, anchor)
        if streams[stream].state.tracks[anchor].keyFrames == .h265 { endSequence(stream, anchor, timestamp) }
        var offset = 0
        while offset < keeper.keptBytes {
            let packet = unsafe keeper.packet(at: offset)
            let isFirst = offset == 0
            // The rest of a frame of which a packet is missing is no use to anybody.
            guard unsafe fill(stream, anchor, packet.bytes, packet.count, timestamp, startsKeyFrame: isFirst) else { return }
            offset = unsafe packet.next
        }
        streams[stream].state.tracks[anchor].isSlateOpen = true
        streams[stream].state.tracks[anchor].hasSlatePicture = true
        streams[stream].state.counters.add(.slateFrames)
    }

    /// Takes a packet of a clip. Not used where the source is there, or before the clip's first key frame.
    @unsafe mutating func ingestSlate(_ stream: Int, channel: UInt8, _ bytes: UnsafeRawPointer, _ count: Int) {
        let track = Int(channel) / 2
        guard channel & 1 == 0, track < streams[stream].state.trackCount, isFilling(stream, track) else { return }
        let span = unsafe Span<UInt8>(_unsafeStart: bytes.assumingMemoryBound(to: UInt8.self), count: count)
        guard let header = try? RTPHeader(span) else { return counters.add(.datagramsMalformed) }
        let codec = streams[stream].state.tracks[track].keyFrames
        let payload = span.extracting(header.payloadOffset..<header.payloadEnd)
        let startsKeyFrame = codec != .opaque && frameMarks(codec: codec, payload: payload).contains(.startsKeyFrame)
        if !streams[stream].state.tracks[track].isSlateOpen {
            guard codec == .opaque || startsKeyFrame else { return }
            closeFrame(stream, track)
            let timestamp = slateTime(stream, track)
            if codec == .h265 { endSequence(stream, track, timestamp) }
            streams[stream].state.tracks[track].slateOffset = timestamp &- header.timestamp
            streams[stream].state.tracks[track].isSlateOpen = true
            streams[stream].state.tracks[track].hasSlatePicture = true
        }
        let timestamp = header.timestamp &+ streams[stream].state.tracks[track].slateOffset
        let isNew = startsKeyFrame && timestamp != streams[stream].state.tracks[track].keyFrameTimestamp
        if isNew { streams[stream].state.tracks[track].keyFrameTimestamp = timestamp }
        if unsafe fill(stream, track, bytes, count, timestamp, startsKeyFrame: isNew), header.marker, track == streams[stream].state.anchor
        {
            streams[stream].state.counters.add(.slateFrames)
        }
    }

    /// The source's first packet has come, with this timestamp of its own. Nothing of the slate goes behind it.
    mutating func endSlate(_ stream: Int, _ track: Int, _ header: RTPHeader) {
        let state = streams[stream].state.tracks[track]
        streams[stream].state.tracks[track].isSlate = false
        guard state.hasSlatePicture else { return }
        if state.keyFrames == .h265 { endSequence(stream, track, header.timestamp &+ state.timestampOffset) }
        streams[stream].state.tracks[track].sequenceOffset = streams[stream].state.tracks[track].sequenceOut &+ 1 &- header.sequence
    }

    /// Whether a track waits for its source.
    private func isFilling(_ stream: Int, _ track: Int) -> Bool {
        streams[stream].state.tracks[track].isSlate && !streams[stream].state.tracks[track].hasInput
    }

    /// The readers' time just now: it runs on as the source's would have.
    private func slateTime(_ stream: Int, _ track: Int) -> UInt32 {
        let state = streams[stream].state.tracks[track]
        let passed = state.plan.ticks(now &- state.arrival)
        return state.timestampMax &+ UInt32(truncatingIfNeeded: max(passed, max(UInt64(state.timestampStep), 1)))
    }

    /// An aggregation packet (RFC 7798 section 4.4.2) with an end of sequence (type 36) and the access unit delimiter (35) of what
    /// follows: alone it is too short for FFmpeg, which takes no payload of two bytes.
    private static var sequenceEnd: [11 of UInt8] { [0x60, 0x01, 0, 2, 0x48, 0x01, 0, 3, 0x46, 0x01, 0x10] }

    /// H.265's end of sequence (ITU-T H.265 section 7.4.2.4.4): the key frame behind it begins anew, also one that refers back (CRA),
    /// whose picture order count would otherwise be there twice.
    private mutating func endSequence(_ stream: Int, _ track: Int, _ timestamp: UInt32) {
        unsafe withUnsafeBytes(of: Self.sequenceEnd) { bytes in
            if let base = bytes.baseAddress { unsafe fillPayload(stream, track, base, bytes.count, timestamp) }
        }
    }

    /// Writes a packet of the relay's own with this payload.
    @unsafe private mutating func fillPayload(
        _ stream: Int, _ track: Int, _ payload: UnsafeRawPointer, _ count: Int, _ timestamp: UInt32
    ) {
        let length = RTPHeader.byteCountMin + count
        guard let room = unsafe streams[stream].state.writer.room(for: length) else { return counters.add(.packetsLogPinned) }
        unsafe room.storeBytes(of: 0x80, as: UInt8.self)
        unsafe room.storeBytes(of: streams[stream].state.tracks[track].payloadType, toByteOffset: 1, as: UInt8.self)
        unsafe (room + RTPHeader.byteCountMin).copyMemory(from: payload, byteCount: count)
        unsafe finishFill(stream, track, room, length, timestamp, startsKeyFrame: false)
    }

    /// Writes an RTP packet as the track's next one.
    @unsafe private mutating func fill(
        _ stream: Int, _ track: Int, _ packet: UnsafeRawPointer, _ count: Int, _ timestamp: UInt32, startsKeyFrame: Bool
    ) -> Bool {
        guard let room = unsafe streams[stream].state.writer.room(for: count) else {
            counters.add(.packetsLogPinned)
            return false
        }
        unsafe room.copyMemory(from: packet, byteCount: count)
        unsafe finishFill(stream, track, room, count, timestamp, startsKeyFrame: startsKeyFrame)
        return true
    }

    @unsafe private mutating func finishFill(
        _ stream: Int, _ track: Int, _ room: UnsafeMutableRawPointer, _ count: Int, _ timestamp: UInt32, startsKeyFrame: Bool
    ) {
        let sequence = streams[stream].state.tracks[track].sequenceOut &+ 1
        let marker = unsafe room.load(fromByteOffset: 1, as: UInt8.self) & 0x80 != 0
        unsafe room.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
        unsafe room.storeBytes(of: timestamp.bigEndian, toByteOffset: 4, as: UInt32.self)
        unsafe room.storeBytes(of: streams[stream].state.tracks[track].plan.ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
        streams[stream].state.tracks[track].sequenceOut = sequence
        streams[stream].state.tracks[track].isFrameOpen = !marker
        streams[stream].state.tracks[track].timestampOut = timestamp
        if Int32(bitPattern: timestamp &- streams[stream].state.tracks[track].timestampMax) > 0 {
            streams[stream].state.tracks[track].timestampMax = timestamp
        }
        streams[stream].state.tracks[track].arrival = now
        streams[stream].state.tracks[track].packetsOut &+= 1
        streams[stream].state.tracks[track].octetsOut &+= UInt32(truncatingIfNeeded: count - RTPHeader.byteCountMin)
        let isAnchor = track == streams[stream].state.anchor
        append(
            stream, count, UInt8(2 * track), startsKeyFrame && isAnchor ? .startsKeyFrame : [], sequence, timestamp, isFrameEnd: marker,
            isSource: false)
        let streamCounters = streams[stream].state.counters
        streamCounters.add(.slatePackets)
        streamCounters.set(track, .sequenceOut, UInt64(sequence))
        streamCounters.set(track, .timestampOut, UInt64(timestamp))
        if startsKeyFrame, isAnchor {
            streams[stream].state.board.store(.keyFrame, streams[stream].state.writer.head)
            lookForKeyFrame(stream)
        }
        logWantedReports(stream)
    }
}
