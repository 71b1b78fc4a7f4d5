/// How many bytes a packet takes that is written.
package enum ASFPacketForm: Sendable, Hashable, BitwiseCopyable {
    /// All P, padding included: what stands in a file, and what everybody takes.
    case full
    /// Without padding. A single payload then needs an explicit packet length, else players lose it.
    case stripped
    /// Without padding, and with an explicit packet length whatever it holds: what players of RTP want. A packet without padding stays as it is.
    case sized
}

/// What became of a packet.
package enum ASFPacketOutcome: Sendable, Hashable, BitwiseCopyable {
    /// Nothing is to be changed: use the packet as it is. Nothing was written.
    case unchanged
    /// No payload is left: do not send it. Nothing was written.
    case nothing
    /// It was written, at most P bytes.
    case written
}

extension ASFPacket {
    /// Writes the packet without its padding, unless it has none. `output` has room for the packet's bytes.
    package func writeStripped(_ bytes: Span<UInt8>, into output: inout OutputRawSpan) throws(ASFPacketError) -> ASFPacketOutcome {
        let size = try payloadBytes(bytes, kept: .max)
        guard payloadsOffset &+ size < byteCount else { return .unchanged }
        try write(bytes, kept: .max, payloadBytes: size, form: .stripped, packetBytes: byteCount, into: &output)
        return .written
    }

    /// Writes the packet at full size, unless it has that. `output` has room for `packetBytes`.
    package func writeFull(
        _ bytes: Span<UInt8>, packetBytes: Int, into output: inout OutputRawSpan
    ) throws(ASFPacketError) -> ASFPacketOutcome {
        guard byteCount < packetBytes else { return .unchanged }
        let size = try payloadBytes(bytes, kept: .max)
        try write(bytes, kept: .max, payloadBytes: size, form: .full, packetBytes: packetBytes, into: &output)
        return .written
    }

    /// Writes the packet without its padding and with its length, unless it has no padding, and either all P bytes or its length. `output`
    /// has room for `packetBytes`.
    package func writeSized(
        _ bytes: Span<UInt8>, packetBytes: Int, into output: inout OutputRawSpan
    ) throws(ASFPacketError) -> ASFPacketOutcome {
        let size = try payloadBytes(bytes, kept: .max)
        if payloadsOffset &+ size == byteCount, byteCount == packetBytes || explicitLength == UInt32(clamping: byteCount) {
            return .unchanged
        }
        // One byte less than P leaves no room for a length.
        let room = packetBytes &- errorCorrectionBytes &- 10 &- (hasSeveralPayloads ? 1 : 0) &- size
        try write(bytes, kept: .max, payloadBytes: size, form: room >= 0 ? .sized : .full, packetBytes: packetBytes, into: &output)
        return .written
    }

    /// Bytes of those payloads whose bit is set, their heads included. Throws where a payload cannot be read.
    func payloadBytes(_ bytes: Span<UInt8>, kept: UInt64) throws(ASFPacketError) -> Int {
        var payloads = ASFPayloads(self)
        var total = 0, mask: UInt64 = 1
        while let payload = try payloads.next(in: bytes) {
            if kept & mask != 0 { total = total &+ payload.end &- payload.start }
            mask = mask << 1
        }
        return total
    }

    /// Writes a packet of the same head with those payloads whose bit is set; they have `payloadBytes` bytes together. It never grows: what it
    /// needs more for padding is less than what a payload takes that was left out, or than the length that a shortened one has.
    func write(
        _ bytes: Span<UInt8>, kept: UInt64, payloadBytes: Int, form: ASFPacketForm, packetBytes: Int, into output: inout OutputRawSpan
    ) throws(ASFPacketError) {
        let size = errorCorrectionBytes &+ 8 &+ (hasSeveralPayloads ? 1 : 0) &+ payloadBytes
        var flags = lengthFlags & 0x81
        let padding = form == .full ? max(packetBytes &- size, 0) : 0
        let hasLength = form == .sized || form == .stripped && !hasSeveralPayloads
        if hasLength { flags |= 0x40 }
        if padding == 1 { flags |= 0x08 } else if padding > 1 { flags |= 0x10 }
        output.append(bytes, 0..<errorCorrectionBytes)
        output.append(flags)
        output.append(propertyFlags)
        if hasLength { output.appendLittle16(UInt16(truncatingIfNeeded: size &+ 2)) }
        if padding == 1 { output.append(0) } else if padding > 1 { output.appendLittle16(UInt16(truncatingIfNeeded: padding &- 2)) }
        output.append(bytes, sendTimeOffset..<(sendTimeOffset &+ 6))
        if hasSeveralPayloads {
            let all: UInt64 = payloadCount >= 64 ? .max : (1 << UInt64(payloadCount)) &- 1
            output.append(bytes[sendTimeOffset &+ 6] & 0xC0 | UInt8(truncatingIfNeeded: (kept & all).nonzeroBitCount))
        }
        var payloads = ASFPayloads(self)
        var mask: UInt64 = 1
        while let payload = try payloads.next(in: bytes) {
            if kept & mask != 0 { output.append(bytes, payload.start..<payload.end) }
            mask = mask << 1
        }
        if padding > 1 { for _ in 0..<(padding &- 2) { output.append(0) } }
    }

    /// The packet at full size, as an array.
    package static func full(_ bytes: [UInt8], packetBytes: Int) throws(ASFPacketError) -> [UInt8] {
        let packet = try ASFPacket(bytes.span, packetBytes: packetBytes)
        return try array(bytes, capacity: packetBytes) { output throws(ASFPacketError) in
            try packet.writeFull(bytes.span, packetBytes: packetBytes, into: &output)
        }
    }

    /// The packet without its padding, as an array.
    package static func stripped(_ bytes: [UInt8], packetBytes: Int) throws(ASFPacketError) -> [UInt8] {
        let packet = try ASFPacket(bytes.span, packetBytes: packetBytes)
        return try array(bytes, capacity: bytes.count) { output throws(ASFPacketError) in
            try packet.writeStripped(bytes.span, into: &output)
        }
    }

    /// The packet without its padding and with its length, as an array.
    package static func sized(_ bytes: [UInt8], packetBytes: Int) throws(ASFPacketError) -> [UInt8] {
        let packet = try ASFPacket(bytes.span, packetBytes: packetBytes)
        return try array(bytes, capacity: packetBytes) { output throws(ASFPacketError) in
            try packet.writeSized(bytes.span, packetBytes: packetBytes, into: &output)
        }
    }

    static func array(
        _ bytes: [UInt8], capacity: Int, _ body: (inout OutputRawSpan) throws(ASFPacketError) -> ASFPacketOutcome
    ) throws(ASFPacketError) -> [UInt8] {
        var result: Result<ASFPacketOutcome, ASFPacketError> = .success(.unchanged)
        let written = [UInt8](capacity: capacity) { output in
            do throws(ASFPacketError) { result = .success(try body(&output)) } catch { result = .failure(error) }
        }
        switch try result.get() {
        case .unchanged: return bytes
        case .nothing: return []
        case .written: return written
        }
    }
}
