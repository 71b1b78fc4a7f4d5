/// `Range` as MS-RTSP has it ([MS-RTSP] 2.2.6.8): a time, or packets or bytes of the content.
package enum MSRTSPRange: Sendable, Hashable {
    /// `npt=`, `smpte=`; never `clock=`.
    case time(RangeHeader)
    /// `x-asf-packet=n-[m]`: from that packet on, to that one.
    case packets(UInt64, UInt64?)
    /// `x-asf-byte=a-[b]`: from that byte of the file on.
    case bytes(UInt64, UInt64?)

    /// The header's value taken apart; a `;time=` behind it is left out. An end before the beginning is refused.
    package static func parse(_ value: String) throws(RTSPHeaderError) -> MSRTSPRange {
        let whole = value.byteSlice.split(atFirst: ASCII.semicolon).0.trimmed
        let (unit, range) = whole.split(atFirst: ASCII.equals)
        let name = unit.trimmed
        let isPackets = ASCII.equalIgnoringCase(name, "x-asf-packet")
        guard isPackets || ASCII.equalIgnoringCase(name, "x-asf-byte") else {
            let time = try RangeHeader.parse(value)
            if case .clock = time { throw .unknownForm(header: "Range", value: RTSPFirstLine.excerpt(whole)) }
            return .time(time)
        }
        let (first, second) = (range ?? []).trimmed.split(atFirst: ASCII.dash)
        let end = second?.trimmed ?? []
        // 2^64 − 1 is no number of a packet.
        guard let start = ASCII.decimal(first.trimmed, max: .max - 1) else { throw malformed(whole) }
        if end.isEmpty { return isPackets ? .packets(start, nil) : .bytes(start, nil) }
        guard let end = ASCII.decimal(end, max: .max - 1), end >= start else { throw malformed(whole) }
        return isPackets ? .packets(start, end) : .bytes(start, end)
    }

    private static func malformed(_ bytes: ArraySlice<UInt8>) -> RTSPHeaderError {
        .malformed(header: "Range", parameter: "a number", value: RTSPFirstLine.excerpt(bytes))
    }

    /// The header's value.
    package var text: String {
        switch self {
        case .time(let range): range.text
        case .packets(let start, let end): "x-asf-packet=\(start)-\(end.map(String.init) ?? "")"
        case .bytes(let start, let end): "x-asf-byte=\(start)-\(end.map(String.init) ?? "")"
        }
    }
}
