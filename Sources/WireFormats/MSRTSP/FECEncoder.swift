/// Makes the FEC packets of an RTP session ([MS-RTSP] 2.2.2). Sums up packets as they go: it keeps none, and allocates nothing after it was made.
package struct FECEncoder: Sendable {
    /// Length, payload type and timestamp stand before the data of a sum.
    private static let virtualBytes = 7

    private let settings: FECSettings
    private let ssrc: UInt32
    private let spanCount: Int
    private let perSpan: Int
    private let margin: Int
    private let stride: Int
    /// Of row r for the packet of number i of its span at r · span + i.
    private let coefficients: [UInt8]
    private let products: [UInt8]
    /// A sum for each FEC packet of the spans that are woven into each other.
    private var sums: [UInt8]
    /// Bytes that count in the sums of each span.
    private var lengths: [Int]
    /// Packets of these spans so far, the first one's sequence number, and the last one's timestamp.
    private var taken = 0
    private var base: UInt16 = 0
    private var timestamp: UInt32 = 0

    /// An encoder for RTP packets of at most `rtpBytesMax`.
    package init(_ settings: FECSettings, ssrc: UInt32, rtpBytesMax: Int) {
        self.settings = settings
        self.ssrc = ssrc
        spanCount = Int(settings.parameters.span)
        perSpan = Int(settings.parameters.perSpan)
        margin = Int(settings.parameters.burstMargin)
        stride = Self.virtualBytes + max(rtpBytesMax, RTPHeader.byteCountMin) - RTPHeader.byteCountMin
        coefficients = (0..<perSpan).flatMap { [spanCount] in VandermondeCode.coefficients(row: $0, count: spanCount) }
        products = GF256.products
        sums = [UInt8](repeating: 0, count: stride * perSpan * margin)
        lengths = [Int](repeating: 0, count: margin)
    }

    /// Packets that are protected together.
    package var blockCount: Int { spanCount * margin }

    /// The packet that comes next begins a span.
    package mutating func reset() {
        for index in sums.indices { sums[index] = 0 }
        for index in lengths.indices { lengths[index] = 0 }
        taken = 0
    }

    /// Takes the next RTP packet of media, which has a header of twelve bytes. True: FEC packets are due now. A packet whose sequence number does
    /// not follow, or that is too long, begins anew.
    package mutating func take(_ packet: Span<UInt8>) -> Bool {
        guard packet.count >= RTPHeader.byteCountMin, packet.count - RTPHeader.byteCountMin <= stride - Self.virtualBytes else {
            reset()
            return false
        }
        let sequence = packet.load16(2)
        if taken > 0, sequence != base &+ UInt16(truncatingIfNeeded: taken) { reset() }
        if taken == 0 { base = sequence }
        timestamp = packet.load32(4)
        let span = taken % margin, number = taken / margin
        let payload = packet.extracting(RTPHeader.byteCountMin..<packet.count)
        lengths[span] = max(lengths[span], payload.count)
        let length = UInt16(truncatingIfNeeded: payload.count), type = packet[1] & 0x7F
        let coefficients = coefficients, table = products, perSpan = perSpan, spanCount = spanCount, stride = stride
        var target = sums.mutableSpan
        let products = table.span
        for row in 0..<perSpan {
            let factor = coefficients[row &* spanCount &+ number], line = Int(factor) << 8
            let start = (span &* perSpan &+ row) &* stride
            target[start] ^= products[line | Int(length >> 8)]
            target[start &+ 1] ^= products[line | Int(length & 0xFF)]
            target[start &+ 2] ^= products[line | Int(type)]
            for index in 0..<4 { target[start &+ 3 &+ index] ^= products[line | Int(packet[4 &+ index])] }
            GF256.add(payload, times: factor, to: &target, at: start &+ Self.virtualBytes, products: products)
        }
        taken += 1
        return taken == blockCount
    }

    /// Appends the FEC packets that are due, each behind `$`, the channel and its length, and begins the next spans. Gives how many there are.
    package mutating func append(channel: UInt8, sequence: inout UInt16, to bytes: inout [UInt8]) -> Int {
        guard taken == blockCount else { return 0 }
        for row in 0..<perSpan {
            for span in 0..<margin {
                let start = (span * perSpan + row) * stride, length = lengths[span]
                var mask: UInt32 = 0
                for number in 0..<spanCount { mask |= 1 << UInt32(number * margin) }
                let header = FECHeader(
                    base: base &+ UInt16(span), length: UInt16(sums[start]) << 8 | UInt16(sums[start + 1]), payloadType: sums[start + 2],
                    mask: mask, timestamp: sums.span.load32(start + 3), index: UInt8(row), count: UInt8(perSpan))
                bytes.append(InterleavedHeader.magic)
                bytes.append(channel)
                bytes.append(big: UInt16(clamping: RTPHeader.byteCountMin + FECHeader.byteCount + length))
                bytes.append(rtpHeader: settings.payloadType, marker: true, sequence: sequence, timestamp: timestamp, ssrc: ssrc)
                header.write(to: &bytes)
                bytes.append(sums.span, (start + Self.virtualBytes)..<(start + Self.virtualBytes + length))
                sequence &+= 1
            }
        }
        reset()
        return perSpan * margin
    }
}
