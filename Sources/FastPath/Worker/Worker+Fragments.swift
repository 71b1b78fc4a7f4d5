import Glibc
import PlaneLink
import WireFormats

/// Packets that are too large for UDP readers: cut when they are stored, so that all readers share the one stored copy.
///
/// One packet of the source becomes several, so from there on readers' numbers run ahead of the source's by as many more
/// (`sequenceOffset` grows). A gap in the source's numbers stays the gap that it is. A packet that comes late, from before the last one
/// that was cut, has lost its place and is not used: its number may be taken. Sources over TCP have no late packets.
extension Worker where K: ~Copyable {
    /// Whether a packet is more than UDP readers should be sent.
    func isTooLarge(_ stream: Int, _ count: Int) -> Bool {
        let most = streams[stream].state.policy.packetBytesMax
        return most > 0 && count > Int(most)
    }

    /// Whether a packet comes from before the last one that was cut, or is that one again (counted).
    func isBehindCut(_ stream: Int, _ track: Int, _ header: RTPHeader) -> Bool {
        guard streams[stream].state.tracks[track].hasCut else { return false }
        let ahead = Int16(bitPattern: header.sequence &- streams[stream].state.tracks[track].cutSequence)
        if ahead > 0 {
            // Half the circle on, the number would seem to be from before.
            if ahead > 16_384 { streams[stream].state.tracks[track].hasCut = false }
            return false
        }
        counters.add(.packetsBehindCut)
        return true
    }

    /// Notes how large packets of the track are, and tells once when they are too large.
    mutating func noteSize(_ stream: Int, _ track: Int, _ count: Int) {
        let size = UInt32(truncatingIfNeeded: count)
        if size > streams[stream].state.tracks[track].packetBytesMax {
            streams[stream].state.tracks[track].packetBytesMax = size
            streams[stream].state.counters.set(track, .packetBytesMax, UInt64(size))
        }
        guard isTooLarge(stream, count) else { return }
        counters.add(.packetsOversize)
        streams[stream].state.counters.add(track, .packetsOversize)
        guard !streams[stream].state.tracks[track].hasSaidTooLarge, canReportLossy else { return }
        streams[stream].state.tracks[track].hasSaidTooLarge = true
        report(.packetTooLarge(streams[stream].state.handle, track: UInt8(truncatingIfNeeded: track), bytes: size))
    }

    /// What was noted of a source's packets holds for that source alone.
    func forgetPackets(_ stream: Int, _ track: Int) {
        streams[stream].state.tracks[track].packetBytesMax = 0
        streams[stream].state.counters.set(track, .packetBytesMax, 0)
        streams[stream].state.tracks[track].setHash = 0
        streams[stream].state.tracks[track].setBytes = 0
        streams[stream].state.tracks[track].isSetOpen = false
    }

    /// Stores a packet as several smaller ones. False when it cannot be cut.
    ///
    /// The source's header with its contributing sources and extension goes with the first of them where it leaves room, padding with
    /// none; the marker with the last.
    @unsafe mutating func storeFragments(
        _ stream: Int, _ track: Int, _ header: RTPHeader, _ bytes: UnsafeRawPointer, _ packet: Span<UInt8>, _ marks: FrameMarks
    ) -> Bool {
        guard streams[stream].state.policy.fragments, streams[stream].state.tracks[track].plan.mayBeFragmented else { return false }
        let most = Int(streams[stream].state.policy.packetBytesMax)
        let whole = header.payloadOffset
        let firstHead = whole <= most / 2 ? whole : RTPHeader.byteCountMin
        let payload = packet.extracting(header.payloadOffset..<header.payloadEnd)
        let cut = NALFragmenter(
            codec: streams[stream].state.tracks[track].keyFrames, payload: payload, firstBytesMax: most - firstHead,
            bytesMax: most - RTPHeader.byteCountMin)
        guard var pieces = cut else { return false }
        if isBehindCut(stream, track, header) || isLate(stream, track, header) { return true }
        counters.add(.packetsFragmented)
        streams[stream].state.counters.add(track, .packetsFragmented)

        let timestamp = header.timestamp &+ streams[stream].state.tracks[track].timestampOffset
        var sequence = header.sequence &+ streams[stream].state.tracks[track].sequenceOffset
        let beginsKeyFrame = marks.contains(.startsKeyFrame) && isNewKeyFrame(stream, track, timestamp)
        var head = firstHead
        var isFirst = true
        var count: UInt16 = 0
        while let piece = pieces.piece(of: payload) {
            let isLast = pieces.isDone
            let length = head + piece.count
            guard let room = unsafe streams[stream].state.writer.room(for: length) else {
                // Without its first piece the rest is of no use to anybody.
                counters.add(.packetsLogPinned)
                if isFirst { return true }
                sequence &+= 1
                count &+= 1
                continue
            }
            unsafe write(room, header, bytes, head: head, marker: header.marker && isLast)
            unsafe room.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
            unsafe room.storeBytes(of: timestamp.bigEndian, toByteOffset: 4, as: UInt32.self)
            unsafe room.storeBytes(of: streams[stream].state.tracks[track].plan.ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
            var place = head
            while place - head < piece.prefixCount {
                unsafe room.storeBytes(of: piece.prefixByte(place - head), toByteOffset: place, as: UInt8.self)
                place += 1
            }
            unsafe (room + place).copyMemory(from: bytes + header.payloadOffset + piece.start, byteCount: piece.end - piece.start)

            if track == streams[stream].state.anchor {
                unsafe streams[stream].state.keeper?.take(
                    room, length, sequence: sequence, timestamp: timestamp, marks: marks, endsFrame: header.marker && isLast)
            }
            advance(stream, track, sequence, timestamp, payloadBytes: piece.count, endsFrame: header.marker && isLast)
            noteSize(stream, track, length)
            var flags: PacketFlags = header.marker && isLast ? .endsFrame : []
            if beginsKeyFrame && isFirst { flags.insert(.startsKeyFrame) }
            append(stream, length, UInt8(2 * track), flags, sequence, timestamp, isFrameEnd: header.marker && isLast)
            publishTimeLine(stream, track)
            if beginsKeyFrame, isFirst, track == streams[stream].state.anchor {
                // The packet's number plus one.
                streams[stream].state.board.store(.keyFrame, streams[stream].state.writer.head)
                lookForKeyFrame(stream)
            }
            isFirst = false
            head = RTPHeader.byteCountMin
            sequence &+= 1
            count &+= 1
        }
        streams[stream].state.tracks[track].sequenceOffset &+= count &- 1
        streams[stream].state.tracks[track].hasCut = true
        streams[stream].state.tracks[track].cutSequence = header.sequence
        logWantedReports(stream)
        return true
    }

    /// Whether a packet that would become several comes late: there is one number for it at most (counted).
    private func isLate(_ stream: Int, _ track: Int, _ header: RTPHeader) -> Bool {
        let state = streams[stream].state.tracks[track]
        let ahead = Int16(bitPattern: header.sequence &+ state.sequenceOffset &- state.sequenceOut)
        guard state.hasOutput, ahead <= 0 else { return false }
        counters.add(.packetsBehindCut)
        return true
    }

    /// The head of one piece: the source's whole one, or its first twelve bytes without what announces more.
    @unsafe private func write(
        _ room: UnsafeMutableRawPointer, _ header: RTPHeader, _ bytes: UnsafeRawPointer, head: Int, marker: Bool
    ) {
        unsafe room.copyMemory(from: bytes, byteCount: head)
        let first = unsafe bytes.load(as: UInt8.self)
        unsafe room.storeBytes(of: head == header.payloadOffset ? first & 0xDF : 0x80, as: UInt8.self)
        unsafe room.storeBytes(of: header.payloadType | (marker ? 0x80 : 0), toByteOffset: 1, as: UInt8.self)
    }
}
