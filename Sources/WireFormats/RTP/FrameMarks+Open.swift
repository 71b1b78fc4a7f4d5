// AV1, VP8 and VP9.

/// AV1, "RTP Payload Format For AV1" section 4.4. Aggregation header: Z(1) Y(1) W(2) N(1) and three bits of nothing; N marks the
/// first packet of a coded video sequence, which cannot go on from an earlier packet (Z).
@inlinable package func av1FrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 2, payload[0] & 0x08 != 0, payload[0] & 0x80 == 0 else { return [] }
    return [.startsKeyFrame, .parameterSets, .keyPicture]
}

/// VP8, RFC 7741 section 4.2. Descriptor: X(1) R(1) N(1) S(1) R(1) PID(3), then what X announces: I(1) L(1) T(1) K(1), a
/// picture number of one or two bytes, TL0PICIDX, and TID with KEYIDX. Behind it the frame header, whose lowest bit is 0 in a
/// key frame.
@inlinable package func vp8FrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 2, payload[0] & 0x10 != 0, payload[0] & 0x07 == 0 else { return [] }
    var offset = 1
    if payload[0] & 0x80 != 0 {
        let extensions = payload[1]
        offset = 2
        if extensions & 0x80 != 0 {
            guard offset < payload.count else { return [] }
            offset = offset &+ (payload[offset] & 0x80 != 0 ? 2 : 1)
        }
        if extensions & 0x40 != 0 { offset = offset &+ 1 }
        if extensions & 0x30 != 0 { offset = offset &+ 1 }
    }
    guard offset < payload.count, payload[offset] & 0x01 == 0 else { return [] }
    return .startsWithPicture
}

/// VP9, RFC 9628 section 4.2. Descriptor: I(1) P(1) L(1) F(1) B(1) E(1) V(1) Z(1); a frame that is not predicted from others (P = 0)
/// begins here (B = 1). With layers (L), the byte behind the picture number is TID(3) U(1) SID(3) D(1): only spatial layer 0 counts.
@inlinable package func vp9FrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 2, payload[0] & 0x40 == 0, payload[0] & 0x08 != 0 else { return [] }
    if payload[0] & 0x20 != 0 {
        var offset = 1
        if payload[0] & 0x80 != 0 { offset = payload[1] & 0x80 != 0 ? 3 : 2 }
        guard offset < payload.count, (payload[offset] >> 1) & 0x07 == 0 else { return [] }
    }
    return .startsWithPicture
}
