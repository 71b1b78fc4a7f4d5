import PlaneLink
import WireFormats

/// Parameter sets in front of key frames that bring none, where readers were given others: by the description that they set up their
/// sessions with, or by a clip. Before each of them, since one may be lost or skipped, and readers come and go.
///
/// The packets are the relay's own, so readers' numbers run ahead of the source's by as many (`sequenceOffset` grows), as with packets
/// that are cut: what comes late from before them is not used.
extension Worker where K: ~Copyable {
    mutating func setPreface(_ stream: Int, _ track: Int, _ buffer: LinkBuffer) {
        guard track < streams[stream].state.trackCount else { return counters.add(.datagramsMalformed) }
        let count = streams[stream].state.prefaces.set(track, buffer)
        streams[stream].state.tracks[track].prefaceBytes = UInt16(truncatingIfNeeded: count ?? 0)
        if count == nil { counters.add(.datagramsMalformed) }
    }

    /// Writes what goes before this packet of the source, if anything does.
    mutating func writePreface(_ stream: Int, _ track: Int, _ header: RTPHeader, _ marks: FrameMarks) {
        let state = streams[stream].state.tracks[track]
        let timestamp = header.timestamp &+ state.timestampOffset
        let startsKeyFrame = marks.contains(.startsKeyFrame)
        guard startsKeyFrame || state.isPrefaceOwed else { return }
        if marks.contains(.parameterSets) {
            streams[stream].state.tracks[track].isPrefaceOwed = false
            return
        }
        let isRepeated = state.hasKeyFrame && state.keyFrameTimestamp == timestamp
        guard state.isPrefaceOwed || !isRepeated else { return }
        // Of what comes late the place is taken.
        let ahead = Int16(bitPattern: header.sequence &+ state.sequenceOffset &- state.sequenceOut)
        guard !state.hasOutput || ahead > 0 else { return }
        let beginsKeyFrame = startsKeyFrame && isNewKeyFrame(stream, track, timestamp)
        var sequence = header.sequence &+ state.sequenceOffset
        var count: UInt16 = 0
        var offset = 0
        while offset < Int(state.prefaceBytes) {
            let part = unsafe streams[stream].state.prefaces.part(track, at: offset)
            let isFirst = count == 0
            guard
                unsafe writeSet(
                    stream, track, part.bytes, part.count, sequence, timestamp, header.payloadType,
                    beginsKeyFrame: beginsKeyFrame && isFirst)
            else { break }
            sequence &+= 1
            count &+= 1
            offset = unsafe part.next
        }
        guard count > 0 else {
            // Then the key frame begins with the source's own packet.
            if beginsKeyFrame { streams[stream].state.counters.add(track, .keyFrames, 0 &- 1) }
            streams[stream].state.tracks[track].hasKeyFrame = state.hasKeyFrame
            streams[stream].state.tracks[track].keyFrameTimestamp = state.keyFrameTimestamp
            return
        }
        // One that was cut, since the log has no room, is owed still.
        if offset == Int(state.prefaceBytes) { streams[stream].state.tracks[track].isPrefaceOwed = false }
        streams[stream].state.tracks[track].sequenceOffset &+= count
        streams[stream].state.tracks[track].hasCut = true
        streams[stream].state.tracks[track].cutSequence = header.sequence &- 1
    }

    @unsafe private mutating func writeSet(
        _ stream: Int, _ track: Int, _ payload: UnsafeRawPointer, _ count: Int, _ sequence: UInt16, _ timestamp: UInt32,
        _ payloadType: UInt8, beginsKeyFrame: Bool
    ) -> Bool {
        let length = RTPHeader.byteCountMin + count
        guard let room = unsafe streams[stream].state.writer.room(for: length) else {
            counters.add(.packetsLogPinned)
            return false
        }
        unsafe room.storeBytes(of: 0x80, as: UInt8.self)
        unsafe room.storeBytes(of: payloadType, toByteOffset: 1, as: UInt8.self)
        unsafe room.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
        unsafe room.storeBytes(of: timestamp.bigEndian, toByteOffset: 4, as: UInt32.self)
        unsafe room.storeBytes(of: streams[stream].state.tracks[track].plan.ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
        unsafe (room + RTPHeader.byteCountMin).copyMemory(from: payload, byteCount: count)
        let isAnchor = track == streams[stream].state.anchor
        if isAnchor {
            unsafe streams[stream].state.keeper?.take(
                room, length, sequence: sequence, timestamp: timestamp, marks: beginsKeyFrame ? .startsWithParameterSets : .parameterSets,
                endsFrame: false)
        }
        advance(stream, track, sequence, timestamp, payloadBytes: count, endsFrame: false)
        append(
            stream, length, UInt8(2 * track), beginsKeyFrame ? .startsKeyFrame : [], sequence, timestamp, isFrameEnd: false,
            isSource: false)
        let streamCounters = streams[stream].state.counters
        streamCounters.add(.prefacePackets)
        streamCounters.set(track, .sequenceOut, UInt64(streams[stream].state.tracks[track].sequenceOut))
        streamCounters.set(track, .timestampOut, UInt64(streams[stream].state.tracks[track].timestampOut))
        if beginsKeyFrame, isAnchor {
            // The packet's number plus one.
            streams[stream].state.board.store(.keyFrame, streams[stream].state.writer.head)
            lookForKeyFrame(stream)
        }
        return true
    }
}
