/// Cuts one RTP payload of H.264 or H.265 into smaller ones that mean the same to a receiver: a NAL unit into fragments (RFC 6184 section
/// 5.8, RFC 7798 section 4.4.3), a fragment into smaller fragments, an aggregate into smaller aggregates, single units and fragments.
///
/// A plain value without bytes of its own: each piece is up to three new bytes and a range of the payload. No allocation. The pieces of
/// a payload are at most ``piecesMax(payload:bytesMax:)``.
package struct NALFragmenter: Sendable, BitwiseCopyable {
    /// One smaller payload: `prefixCount` bytes of `prefix`, then `payload[start..<end]`.
    package struct Piece: Sendable, BitwiseCopyable {
        /// New bytes: the most significant byte of the three comes first.
        package let prefix: UInt32
        /// 0–3.
        package let prefixCount: Int
        /// The range of the payload behind them.
        package let start: Int
        package let end: Int

        /// Bytes in all.
        @inlinable package var count: Int { prefixCount &+ end &- start }

        /// One of the new bytes, `0..<prefixCount`.
        @inlinable package func prefixByte(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: prefix >> UInt32(16 &- 8 &* index)) }

        @inlinable init(prefix: UInt32 = 0, prefixCount: Int = 0, start: Int, end: Int) {
            self.prefix = prefix
            self.prefixCount = prefixCount
            self.start = start
            self.end = end
        }
    }

    /// No smaller payloads are made than this: below, heads would outgrow what they stand before.
    package static let bytesMin = 64

    @usableFromInline let isH265: Bool
    @usableFromInline let bytesMax: Int
    /// What the next piece may have; differs for the first one.
    @usableFromInline var space: Int
    /// Aggregates: the place of the next size, and where they end. Equal when there is none left.
    @usableFromInline var next: Int
    @usableFromInline let end: Int
    /// The unit that is being cut: data that is left of it.
    @usableFromInline var data = 0
    @usableFromInline var dataEnd = 0
    /// Two bytes to begin a fragment with, and its type; whether the unit's first and last bytes are in the payload.
    @usableFromInline var head: UInt32 = 0
    @usableFromInline var type: UInt8 = 0
    @usableFromInline var starts = false
    @usableFromInline var ends = false
    /// A payload that goes as it is.
    @usableFromInline var isWhole = false

    /// How to cut `payload` into pieces of at most `bytesMax` bytes, the first of at most `firstBytesMax`; both are at least ``bytesMin``. Nil
    /// where that cannot be done: another codec or packet type (FU-B, STAP-B, MTAP, PACI), or an aggregate that makes no sense.
    @inlinable package init?(codec: KeyFrameCodec, payload: Span<UInt8>, firstBytesMax: Int, bytesMax: Int) {
        guard codec == .h264 || codec == .h265, firstBytesMax >= Self.bytesMin, bytesMax >= Self.bytesMin, payload.count > 2 else {
            return nil
        }
        isH265 = codec == .h265
        self.bytesMax = bytesMax
        space = firstBytesMax
        end = payload.count
        next = payload.count
        let kind = isH265 ? (payload[0] >> 1) & 0x3F : payload[0] & 0x1F
        switch (isH265, kind) {
        case (false, 24), (true, 48):
            guard let first = Self.firstUnit(payload, isH265: isH265) else { return nil }
            next = first
        case _ where payload.count <= firstBytesMax && (isH265 ? kind < 50 : kind < 24 || kind == 28):
            isWhole = true
        case (false, 28):
            head = UInt32(payload[0]) << 16
            // The reserved bit stays as it is: some cameras set it.
            type = payload[1] & 0x3F
            starts = payload[1] & 0x80 != 0
            ends = payload[1] & 0x40 != 0
            (data, dataEnd) = (2, payload.count)
        case (true, 49):
            head = UInt32(payload[0]) << 16 | UInt32(payload[1]) << 8
            type = payload[2] & 0x3F
            starts = payload[2] & 0x80 != 0
            ends = payload[2] & 0x40 != 0
            (data, dataEnd) = (3, payload.count)
        case (false, 1..<24), (true, 0..<48): beginUnit(payload, 0, payload.count)
        default: return nil
        }
    }

    /// The most pieces that a payload of so many bytes can become: of three next to each other there is always one that is full, or two
    /// that would not fit together.
    @inlinable package static func piecesMax(payload: Int, bytesMax: Int) -> Int { payload * 3 / max(bytesMax - 3, 1) + 3 }

    /// Whether every piece was given out.
    @inlinable package var isDone: Bool { !isWhole && data == dataEnd && next == end }

    /// The next piece of the same `payload`; nil when there is none.
    @inlinable package mutating func piece(of payload: Span<UInt8>) -> Piece? {
        let space = space
        self.space = bytesMax
        if isWhole {
            isWhole = false
            return Piece(start: 0, end: end)
        }
        if data < dataEnd { return fragment(space) }
        guard next < end else { return nil }
        let first = next
        let unit = first &+ 2
        let unitEnd = unit &+ Int(payload.load16(first))
        var groupEnd = unitEnd
        let headCount = isH265 ? 2 : 1
        // As many units as fit stay together; a size of 0 ends the group, for it is nothing that anybody should get.
        while groupEnd < end {
            let size = Int(payload.load16(groupEnd))
            guard size > 0, headCount &+ (groupEnd &+ 2 &+ size &- first) <= space else { break }
            groupEnd = groupEnd &+ 2 &+ size
        }
        next = Self.skipEmpty(payload, groupEnd)
        if groupEnd > unitEnd {
            let prefix = isH265 ? UInt32(payload[0]) << 16 | UInt32(payload[1]) << 8 : UInt32(payload[0]) << 16
            return Piece(prefix: prefix, prefixCount: headCount, start: first, end: groupEnd)
        }
        if unitEnd &- unit <= space { return Piece(start: unit, end: unitEnd) }
        beginUnit(payload, unit, unitEnd)
        return fragment(space)
    }

    @inlinable mutating func beginUnit(_ payload: Span<UInt8>, _ unit: Int, _ unitEnd: Int) {
        starts = true
        ends = true
        dataEnd = unitEnd
        if isH265 {
            head = UInt32(payload[unit] & 0x81 | 49 << 1) << 16 | UInt32(payload[unit &+ 1]) << 8
            type = (payload[unit] >> 1) & 0x3F
            data = unit &+ 2
        } else {
            head = UInt32(payload[unit] & 0xE0 | 28) << 16
            type = payload[unit] & 0x1F
            data = unit &+ 1
        }
    }

    @inlinable mutating func fragment(_ space: Int) -> Piece {
        let prefixCount = isH265 ? 3 : 2
        let count = min(space &- prefixCount, dataEnd &- data)
        let start = data
        data = data &+ count
        let header = type | (starts ? 0x80 : 0) | (ends && data == dataEnd ? 0x40 : 0)
        starts = false
        return Piece(prefix: head | UInt32(header) << (isH265 ? 0 : 8), prefixCount: prefixCount, start: start, end: data)
    }

    /// The place of an aggregate's first unit's size; nil when sizes and payload do not agree, or a unit is what may not stand in one.
    @inlinable static func firstUnit(_ payload: Span<UInt8>, isH265: Bool) -> Int? {
        let headCount = isH265 ? 2 : 1
        var offset = headCount
        while offset < payload.count {
            guard payload.count &- offset >= 2 else { return nil }
            let size = Int(payload.load16(offset))
            let unit = offset &+ 2
            guard unit &+ size <= payload.count else { return nil }
            if size > 0 {
                let kind = isH265 ? (payload[unit] >> 1) & 0x3F : payload[unit] & 0x1F
                guard size >= headCount, isH265 ? kind < 48 : kind < 24 else { return nil }
            }
            offset = unit &+ size
        }
        let first = skipEmpty(payload, headCount)
        return first < payload.count ? first : nil
    }

    @inlinable static func skipEmpty(_ payload: Span<UInt8>, _ offset: Int) -> Int {
        var offset = offset
        while offset < payload.count, payload.load16(offset) == 0 { offset = offset &+ 2 }
        return offset
    }
}
