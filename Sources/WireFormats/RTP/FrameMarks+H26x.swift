// H.264 (RFC 6184) and H.265 (RFC 7798): NAL units, alone, aggregated or in fragments.

/// H.264, RFC 6184 section 5.2. First byte: F(1) NRI(2) Type(5).
@inlinable package func h264FrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 2 else { return [] }
    switch payload[0] & 0x1F {
    case 24: return h264Aggregate(payload, at: 1, extra: 0)  // STAP-A
    case 25: return h264Aggregate(payload, at: 3, extra: 0)  // STAP-B: DON of 2 bytes, once
    case 26: return h264Aggregate(payload, at: 3, extra: 3)  // MTAP16: DON base once; DOND and 2 bytes of time offset each
    case 27: return h264Aggregate(payload, at: 3, extra: 4)  // MTAP24: the same with 3 bytes
    case 28, 29:
        // FU-A and FU-B: the FU header is S(1) E(1) R(1) Type(5), R being set by some cameras. FU-B has a DON behind it.
        guard payload[1] & 0x80 != 0 else { return [] }
        let data = payload[0] & 0x1F == 28 ? 2 : 4
        return h264Unit(type: payload[1] & 0x1F, firstData: data < payload.count ? payload[data] : 0)
    default:
        return h264Unit(type: payload[0] & 0x1F, firstData: payload[1])
    }
}

/// One NAL unit by its type and the byte behind its header. A slice's data begins with first_mb_in_slice, an Exp-Golomb number
/// whose 0 is a single set bit: later slices of an IDR picture do not begin it.
@inlinable package func h264Unit(type: UInt8, firstData: UInt8) -> FrameMarks {
    switch type {
    case 5: firstData & 0x80 != 0 ? .startsWithPicture : []
    case 7: .startsWithParameterSets
    case 8: .parameterSets
    default: []
    }
}

/// The units of an aggregation packet: `extra` bytes stand between each size and its unit; the size counts the unit alone in
/// STAP and MTAP (RFC 6184 section 5.7.2: without DOND and TS offset).
@inlinable package func h264Aggregate(_ payload: Span<UInt8>, at start: Int, extra: Int) -> FrameMarks {
    var marks: FrameMarks = []
    var offset = start
    while payload.count &- offset >= 2 &+ extra &+ 1 {
        let size = Int(payload.load16(offset))
        let unit = offset &+ 2 &+ extra
        if size > 0 {
            let firstData = size > 1 && unit &+ 1 < payload.count ? payload[unit &+ 1] : 0
            marks.formUnion(h264Unit(type: payload[unit] & 0x1F, firstData: firstData))
        }
        offset = unit &+ size
    }
    return marks
}

/// H.265, RFC 7798 section 4.4. Two bytes: F(1) Type(6) LayerId(6) TID(3). Decoding order numbers (`sprop-max-don-diff` above 0)
/// are not looked for; hardly any source sends them.
@inlinable package func h265FrameMarks(_ payload: Span<UInt8>) -> FrameMarks {
    guard payload.count >= 3 else { return [] }
    switch (payload[0] >> 1) & 0x3F {
    case 48:  // AP: sizes of 2 bytes and units
        var marks: FrameMarks = []
        var offset = 2
        while payload.count &- offset >= 4 {
            let size = Int(payload.load16(offset)), unit = offset &+ 2
            if size >= 2 {
                let firstData = size > 2 && unit &+ 2 < payload.count ? payload[unit &+ 2] : 0
                marks.formUnion(h265Unit(type: (payload[unit] >> 1) & 0x3F, firstData: firstData))
            }
            offset = unit &+ size
        }
        return marks
    case 49:  // FU: S(1) E(1) Type(6)
        guard payload[2] & 0x80 != 0 else { return [] }
        return h265Unit(type: payload[2] & 0x3F, firstData: payload.count > 3 ? payload[3] : 0)
    case let type:
        return h265Unit(type: type, firstData: payload[2])
    }
}

/// One NAL unit; a slice's first bit is first_slice_segment_in_pic_flag. 16–21 are BLA, IDR and CRA pictures.
@inlinable package func h265Unit(type: UInt8, firstData: UInt8) -> FrameMarks {
    switch type {
    case 16...21: firstData & 0x80 != 0 ? .startsWithPicture : []
    case 32, 33: .startsWithParameterSets
    case 34: .parameterSets
    default: []
    }
}
