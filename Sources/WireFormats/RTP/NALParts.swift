/// The NAL units of one RTP payload of H.264 or H.265, whole ones and fragments, in order. A plain value without bytes of its own; what
/// makes no sense ends it. No allocation.
package struct NALParts: Sendable, BitwiseCopyable {
    /// A unit, or a piece of one.
    package struct Part: Sendable, BitwiseCopyable {
        /// 0–31, or 0–63 for H.265.
        package let type: UInt8
        /// The unit's header where the payload does not have it (the first fragment): `headerCount` bytes, the most significant of the two first.
        package let header: UInt16
        /// 0–2.
        package let headerCount: Int
        /// The range of the payload that holds the rest.
        package let start: Int
        package let end: Int
        /// Whether the unit begins and ends here.
        package let isFirst: Bool
        package let isLast: Bool

        @inlinable init(
            type: UInt8, header: UInt16 = 0, headerCount: Int = 0, start: Int, end: Int, isFirst: Bool = true, isLast: Bool = true
        ) {
            self.type = type
            self.header = header
            self.headerCount = headerCount
            self.start = start
            self.end = end
            self.isFirst = isFirst
            self.isLast = isLast
        }

        /// Whether it is a parameter set, or of one: H.264's SPS and PPS, H.265's VPS, SPS and PPS.
        @inlinable package func isParameterSet(_ codec: KeyFrameCodec) -> Bool {
            codec == .h264 ? type == 7 || type == 8 : codec == .h265 && type >= 32 && type <= 34
        }

        /// Whether it is picture data: parameter sets that came before belong to it.
        @inlinable package func isPicture(_ codec: KeyFrameCodec) -> Bool {
            codec == .h264 ? type >= 1 && type <= 5 || type == 20 || type == 21 : codec == .h265 && type < 32
        }
    }

    @usableFromInline let isH265: Bool
    @usableFromInline var next: Int
    @usableFromInline var isAggregate = false
    /// What stands between a size and its unit.
    @usableFromInline var extra = 0

    /// The parts of `payload`. Of a payload of another codec there are none.
    @inlinable package init(codec: KeyFrameCodec, payload: Span<UInt8>) {
        isH265 = codec == .h265
        next = 0
        guard codec == .h264 || codec == .h265, payload.count > (isH265 ? 2 : 1) else {
            next = payload.count
            return
        }
        let kind = isH265 ? (payload[0] >> 1) & 0x3F : payload[0] & 0x1F
        switch (isH265, kind) {
        case (false, 24): (isAggregate, next) = (true, 1)
        case (false, 25): (isAggregate, next) = (true, 3)
        case (false, 26): (isAggregate, next, extra) = (true, 3, 3)
        case (false, 27): (isAggregate, next, extra) = (true, 3, 4)
        case (true, 48): (isAggregate, next) = (true, 2)
        default: break
        }
    }

    /// The next part of the same `payload`; nil when there is none.
    @inlinable package mutating func part(of payload: Span<UInt8>) -> Part? {
        let headCount = isH265 ? 2 : 1
        if isAggregate {
            while payload.count &- next >= 2 &+ extra &+ headCount {
                let size = Int(payload.load16(next))
                let unit = next &+ 2 &+ extra
                guard unit &+ size <= payload.count else { break }
                next = unit &+ size
                if size >= headCount { return Part(type: type(payload[unit]), start: unit, end: next) }
            }
            next = payload.count
            return nil
        }
        guard next < payload.count else { return nil }
        next = payload.count
        let kind = type(payload[0])
        let isFragment = isH265 ? kind == 49 : kind == 28 || kind == 29
        guard isFragment else { return Part(type: kind, start: 0, end: payload.count) }
        let fragment = payload[headCount]
        let start = headCount &+ (kind == 29 ? 3 : 1)
        guard start <= payload.count else { return nil }
        let isFirst = fragment & 0x80 != 0
        let type = fragment & (isH265 ? 0x3F : 0x1F)
        let header =
            isH265 ? UInt16(payload[0] & 0x81 | type << 1) << 8 | UInt16(payload[1]) : UInt16(payload[0] & 0xE0 | type) << 8
        return Part(
            type: type, header: header, headerCount: isFirst ? headCount : 0, start: start, end: payload.count, isFirst: isFirst,
            isLast: fragment & 0x40 != 0)
    }

    @inlinable func type(_ byte: UInt8) -> UInt8 { isH265 ? (byte >> 1) & 0x3F : byte & 0x1F }
}
