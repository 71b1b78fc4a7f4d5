/// How much a stream of FEC protects ([MS-RTSP] 2.2.6.11): for each span of packets so many of FEC, and how many spans are woven into each other,
/// so that a burst of losses meets each but once.
package struct FECParameters: Sendable, Hashable {
    /// Media packets of a span, 1–24.
    package static let spanMax: UInt8 = 24
    /// Spans that are woven into each other.
    package static let burstMarginMax: UInt8 = 12
    /// How far the packets of a span may be apart: what its mask can say.
    package static let distanceMax = 23

    /// Media packets of a span.
    package let span: UInt8
    /// Packets of FEC for it, 1–span.
    package let perSpan: UInt8
    /// Spans at a time, 1–12.
    package let burstMargin: UInt8

    /// Parameters within their ranges; nil for others. (span − 1) · margin must not be above ``distanceMax``.
    package init?(span: UInt8, perSpan: UInt8, burstMargin: UInt8 = 1) {
        guard (1...Self.spanMax).contains(span), perSpan >= 1, perSpan <= span, (1...Self.burstMarginMax).contains(burstMargin),
            (Int(span) - 1) * Int(burstMargin) <= Self.distanceMax
        else { return nil }
        self.span = span
        self.perSpan = perSpan
        self.burstMargin = burstMargin
    }
}

/// The same as a `Transport` header says it, in hexadecimal: as it came, perhaps out of range.
package struct FECOffer: Sendable, Hashable {
    /// `FecSpan`.
    package var span: UInt8?
    /// `FecPerSpan`.
    package var perSpan: UInt8?
    /// `FecBurstMargin`.
    package var burstMargin: UInt8?

    /// What a header says.
    package init(span: UInt8? = nil, perSpan: UInt8? = nil, burstMargin: UInt8? = nil) {
        self.span = span
        self.perSpan = perSpan
        self.burstMargin = burstMargin
    }

    /// What a server answers.
    package init(_ parameters: FECParameters) {
        span = parameters.span
        perSpan = parameters.perSpan
        burstMargin = parameters.burstMargin
    }

    func with(span: UInt8? = nil, perSpan: UInt8? = nil, burstMargin: UInt8? = nil) -> FECOffer {
        FECOffer(span: span ?? self.span, perSpan: perSpan ?? self.perSpan, burstMargin: burstMargin ?? self.burstMargin)
    }

    /// The parameters, those that are not said being the description's; nil where they are out of range.
    package func parameters(defaults: FECParameters) -> FECParameters? {
        FECParameters(span: span ?? defaults.span, perSpan: perSpan ?? defaults.perSpan, burstMargin: burstMargin ?? defaults.burstMargin)
    }
}

/// A stream of FEC.
package struct FECSettings: Sendable, Hashable {
    /// The payload type that Weir gives to FEC.
    package static let payloadTypeDefault: UInt8 = 98

    /// How much is protected.
    package var parameters: FECParameters
    /// What its packets are known by.
    package var payloadType: UInt8

    /// Settings.
    package init(_ parameters: FECParameters, payloadType: UInt8 = FECSettings.payloadTypeDefault) {
        self.parameters = parameters
        self.payloadType = payloadType & 0x7F
    }
}

/// What stands before the data of a FEC packet ([MS-RTSP] 2.2.2.4); the numbers called recovery are sums over what is protected.
///
///     +-------------------------------+-------------------------------+
///     |            SN base            |        length recovery        |
///     +-+-------------+---------------+-------------------------------+
///     |0| PT recovery |                     mask                      |
///     +-+-------------+-----------------------------------------------+
///     |                          TS recovery                          |
///     +-----+---------+-----+---------+-----+---------+---------------+
///     |  0  |  index  |  0  |  count  |  0  |  flags  |       0       |
///     +-----+---------+-----+---------+-----+---------+---------------+
package struct FECHeader: Sendable, Hashable, BitwiseCopyable {
    /// Its bytes.
    package static let byteCount = 16

    /// The sequence number of the first packet that is protected.
    package var base: UInt16
    /// Of the lengths behind RTP headers.
    package var length: UInt16
    /// Of the payload types; seven bits of eight.
    package var payloadType: UInt8
    /// Bit i: the packet of sequence number base + i is protected. 24 bits.
    package var mask: UInt32
    /// Of the timestamps.
    package var timestamp: UInt32
    /// Which packet of FEC it is of its span, from 0.
    package var index: UInt8
    /// How many its span has; 0 where the sender does not say.
    package var count: UInt8

    /// A header.
    package init(base: UInt16, length: UInt16, payloadType: UInt8, mask: UInt32, timestamp: UInt32, index: UInt8, count: UInt8) {
        self.base = base
        self.length = length
        self.payloadType = payloadType & 0x7F
        self.mask = mask & 0xFF_FFFF
        self.timestamp = timestamp
        self.index = index & 0x1F
        self.count = count & 0x1F
    }

    /// The header at the beginning of a FEC packet's payload; nil where that is too short, protects nothing, or is of an unknown form.
    package init?(_ payload: Span<UInt8>) {
        guard payload.count >= Self.byteCount, payload[4] & 0x80 == 0, payload[14] & 0x1F == 0 else { return nil }
        base = payload.load16(0)
        length = payload.load16(2)
        payloadType = payload[4] & 0x7F
        mask = payload.load32(4) & 0xFF_FFFF
        timestamp = payload.load32(8)
        index = payload[12] & 0x1F
        count = payload[13] & 0x1F
        // A span of k packets has at most k of FEC.
        guard mask != 0, Int(index) < mask.nonzeroBitCount else { return nil }
    }

    /// Appends the header.
    package func write(to bytes: inout [UInt8]) {
        bytes.append(big: base)
        bytes.append(big: length)
        bytes.append(big: UInt32(payloadType) << 24 | mask)
        bytes.append(big: timestamp)
        bytes += [index, count, 0, 0]
    }
}
