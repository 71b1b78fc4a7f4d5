/// Writes packets of WMSP ([MS-WMSP] 2.2.3).
package enum WMSPFraming {
    /// The first byte of a packet.
    package static let magic: UInt8 = 0x24
    /// The bit of the first byte that says that the next packet follows at once. Receivers before version 9 take the byte for broken.
    package static let nextFollowsBit: UInt8 = 0x80
    /// Bytes before the payload of `$D`, `$H` and `$M`.
    package static let dataHeadBytes = 12
    /// The longest payload of `$D`, `$H` and `$M`.
    package static let payloadBytesMax = 65_527
    /// Bytes that the three `$P` take together.
    package static let packetPairBytes = 2_080
    /// How many `$E` stand behind the first where the connection stays open without chunks: together 4,096 bytes, which push the first
    /// through proxies that gather ([MS-WMSP] 3.2.4.1).
    package static let repeatedEnds = 511

    /// Writes the ``dataHeadBytes`` bytes before a payload into a buffer, from `offset` on, which the caller has made room for.
    /// A payload above ``payloadBytesMax`` cannot be said and gives false.
    @discardableResult package static func writeDataHead(
        kind: WMSPPacketKind = .data, payloadBytes: Int, locationID: UInt32, incarnation: UInt8 = 0, flags: UInt8 = 0,
        nextFollows: Bool = false, to span: inout MutableSpan<UInt8>, at offset: Int = 0
    ) -> Bool {
        guard let payload = UInt16(exactly: payloadBytes), payloadBytes <= payloadBytesMax, offset >= 0,
            span.count >= dataHeadBytes, offset <= span.count - dataHeadBytes
        else { return false }
        let length = payload + 8
        span[offset] = nextFollows ? magic | nextFollowsBit : magic
        span[offset + 1] = kind.rawValue
        span[offset + 2] = UInt8(truncatingIfNeeded: length)
        span[offset + 3] = UInt8(truncatingIfNeeded: length >> 8)
        span[offset + 4] = UInt8(truncatingIfNeeded: locationID)
        span[offset + 5] = UInt8(truncatingIfNeeded: locationID >> 8)
        span[offset + 6] = UInt8(truncatingIfNeeded: locationID >> 16)
        span[offset + 7] = UInt8(truncatingIfNeeded: locationID >> 24)
        span[offset + 8] = incarnation
        span[offset + 9] = flags
        span[offset + 10] = UInt8(truncatingIfNeeded: length)
        span[offset + 11] = UInt8(truncatingIfNeeded: length >> 8)
        return true
    }

    /// A whole `$D`; nil for a payload above ``payloadBytesMax``.
    package static func data(
        _ asfPacket: [UInt8], locationID: UInt32, incarnation: UInt8 = 0, sequence: UInt8 = 0, nextFollows: Bool = false
    ) -> [UInt8]? {
        framed(.data, asfPacket[...], locationID: locationID, incarnation: incarnation, flags: sequence, nextFollows: nextFollows)
    }

    /// The ASF header as one `$H`, or as several where it is longer than a packet.
    package static func header(_ asfHeader: [UInt8], incarnation: UInt8 = 0) -> [UInt8] { pieces(.header, asfHeader, incarnation) }

    /// Metadata as `$M`, likewise.
    package static func metadata(_ metadata: [UInt8], incarnation: UInt8 = 0) -> [UInt8] { pieces(.metadata, metadata, incarnation) }

    /// `$E`.
    package static func endOfStream(_ reason: WMSPReason) -> [UInt8] { reasoned(.endOfStream, reason) }

    /// `$C`.
    package static func streamChange(_ reason: WMSPReason = .done) -> [UInt8] { reasoned(.streamChange, reason) }

    /// `$T`.
    package static let pipelineTest: [UInt8] = [magic, WMSPPacketKind.pipelineTest.rawValue, 0, 0]

    /// The three `$P` that begin a Describe's body (2.2.3.7). `headBytes` are those of the HTTP head before them; `random` gives what a
    /// modem cannot compress.
    package static func packetPair(headBytes: Int, random: () -> UInt8) -> [UInt8] {
        let reason = UInt16(clamping: min(max(headBytes, 0), 504))
        let r = Int(reason)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(packetPairBytes)
        // The first shares a TCP segment of 512 bytes with the head, so it is shorter; the third makes the sum good.
        for (length, payload) in [(UInt16(504), 504 - r), (504, 504), (1_048, 1_048 + r)] {
            bytes += [magic, WMSPPacketKind.packetPair.rawValue]
            bytes.append(little: length)
            bytes.append(little: UInt32(reason))
            for _ in 0..<payload { bytes.append(random()) }
        }
        return bytes
    }

    private static func reasoned(_ kind: WMSPPacketKind, _ reason: WMSPReason) -> [UInt8] {
        var bytes: [UInt8] = [magic, kind.rawValue, 4, 0]
        bytes.append(little: reason.rawValue)
        return bytes
    }

    private static func framed(
        _ kind: WMSPPacketKind, _ payload: ArraySlice<UInt8>, locationID: UInt32, incarnation: UInt8, flags: UInt8, nextFollows: Bool
    ) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: dataHeadBytes)
        bytes.reserveCapacity(dataHeadBytes + payload.count)
        var span = bytes.mutableSpan
        guard
            writeDataHead(
                kind: kind, payloadBytes: payload.count, locationID: locationID, incarnation: incarnation, flags: flags,
                nextFollows: nextFollows, to: &span)
        else { return nil }
        bytes.append(contentsOf: payload)
        return bytes
    }

    private static func pieces(_ kind: WMSPPacketKind, _ object: [UInt8], _ incarnation: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        var number: UInt32 = 0
        var start = 0
        repeat {
            let end = min(start + payloadBytesMax, object.count)
            let flags = (start == 0 ? WMSPPacket.firstPiece : 0) | (end == object.count ? WMSPPacket.lastPiece : 0)
            bytes +=
                framed(kind, object[start..<end], locationID: number, incarnation: incarnation, flags: flags, nextFollows: false) ?? []
            number &+= 1
            start = end
        } while start < object.count
        return bytes
    }
}

extension [UInt8] {
    /// Appends a number of 16 bits, the lowest byte first.
    mutating func append(little value: UInt16) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    /// Appends a number of 32 bits, the lowest byte first.
    mutating func append(little value: UInt32) {
        append(little: UInt16(truncatingIfNeeded: value))
        append(little: UInt16(truncatingIfNeeded: value >> 16))
    }
}
