// MPEG-4 Part 2, MPEG-1/2 video, JPEG and MPEG transport streams.

/// How far a start code is looked for in one payload.
@usableFromInline package let startCodeSearchBytesMax = 512

/// MPEG-4 Part 2, RFC 6416 section 5: configuration and frames begin with a packet. 00–1F video object, 20–2F object layer, B0
/// object sequence, B3 group, B5 visual object, B6 frame, whose next two bits are 00 for an intra frame.
@inlinable package func mpeg4Part2FrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 4, payload[0] == 0, payload[1] == 0, payload[2] == 1 else { return [] }
    var marks: FrameMarks = []
    var offset = 0
    let end = min(payload.count, startCodeSearchBytesMax) &- 3
    while offset < end {
        guard payload[offset] == 0, payload[offset &+ 1] == 0, payload[offset &+ 2] == 1 else {
            offset = offset &+ 1
            continue
        }
        switch payload[offset &+ 3] {
        case 0x00...0x2F, 0xB0, 0xB5: marks.insert(.parameterSets)
        case 0xB6:
            guard offset &+ 4 < payload.count else { return [] }
            return payload[offset &+ 4] & 0xC0 == 0 ? marks.union(.startsWithPicture) : []
        default: break
        }
        offset = offset &+ 4
    }
    // Configuration in a packet of its own: the intra frame is next.
    return marks.contains(.parameterSets) ? marks.union(.startsKeyFrame) : []
}

/// MPEG-1 and MPEG-2 video, RFC 2250 section 3.4. Header: MBZ(5) T(1) TR(10) AN(1) N(1) S(1) B(1) E(1) P(3) and eight bits of vectors;
/// with T another four bytes. P is 1 for an intra picture. A key frame begins with a sequence header, a group of pictures or the picture itself.
@inlinable package func mpeg12VideoFrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 4 else { return [] }
    let start = payload[0] & 0x04 != 0 ? 8 : 4
    guard payload.count >= start &+ 4, payload[start] == 0, payload[start &+ 1] == 0, payload[start &+ 2] == 1 else { return [] }
    let isIntra = payload[2] & 0x07 == 1
    switch payload[start &+ 3] {
    case 0xB3: return isIntra ? [.startsKeyFrame, .parameterSets, .keyPicture] : .parameterSets
    case 0xB8, 0x00: return isIntra ? .startsWithPicture : []
    default: return []
    }
}

/// JPEG, RFC 2435 section 3.1: a byte of its own, then the fragment's offset of 24 bits. Every frame stands alone.
@inlinable package func jpegFrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 8, payload[1] == 0, payload[2] == 0, payload[3] == 0 else { return [] }
    return .startsWithPicture
}

/// MPEG transport stream, RFC 2250 section 2: whole packets of 188 bytes. A key frame begins where the adaptation field has
/// random_access_indicator and the payload begins a PES packet of video (FFmpeg sets the indicator on audio too). Readers may
/// begin at this RTP packet: program tables come several times a second.
@inlinable package func mp2tFrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    var offset = 0
    while payload.count &- offset >= 188 {
        if payload[offset] == 0x47, isRandomAccessToVideo(payload, offset) { return .startsWithPicture }
        offset = offset &+ 188
    }
    return []
}

/// Transport packet: sync 47; TEI(1) PUSI(1) priority(1) PID(13); scrambling(2) adaptation(2) counter(4); adaptation field: length,
/// discontinuity(1) random access(1) …
@inlinable package func isRandomAccessToVideo(_ payload: Span<UInt8>, _ offset: Int) -> Bool {
    guard payload[offset &+ 1] & 0x40 != 0, payload[offset &+ 3] & 0x30 == 0x30 else { return false }
    let length = Int(payload[offset &+ 4])
    // Behind the field there must be room for 00 00 01 and the stream's kind.
    guard length > 0, length <= 188 &- 5 &- 4, payload[offset &+ 5] & 0x40 != 0 else { return false }
    let pes = offset &+ 5 &+ length
    guard payload[pes] == 0, payload[pes &+ 1] == 0, payload[pes &+ 2] == 1 else { return false }
    // E0–EF are MPEG video of any kind, FD extended stream kinds (VC-1 among them).
    let kind = payload[pes &+ 3]
    return kind & 0xF0 == 0xE0 || kind == 0xFD
}
