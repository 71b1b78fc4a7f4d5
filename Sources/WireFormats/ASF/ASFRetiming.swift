/// How the packets of one file or stream become the continuation of another's: times move, media objects are numbered on, and streams that
/// have other numbers there get those. A plain value.
package struct ASFRetiming: Sendable, BitwiseCopyable {
    /// Milliseconds that are added to send times and presentation times, modulo 2^32.
    package var milliseconds: Int32
    private var numberOffsets = InlineArray<128, UInt8>(repeating: 0)
    private var streams = InlineArray<128, UInt8>(repeating: 0)

    /// Times move, nothing else.
    package init(milliseconds: Int32 = 0) { self.milliseconds = milliseconds }

    /// What is added to the numbers of a stream's media objects; the stream's number is that of the packets that come in.
    package mutating func setNumberOffset(_ offset: UInt8, stream: UInt8) { numberOffsets[Int(stream & 0x7F)] = offset }

    /// Gives a stream another number; 0 gives it its own again.
    package mutating func setStream(_ stream: UInt8, becomes number: UInt8) { streams[Int(stream & 0x7F)] = number & 0x7F }

    /// Rewrites a packet where it stands; no byte moves. Throws, and changes nothing, where it cannot be read, or where a compressed payload's
    /// time has less than 32 bits.
    package func apply(to bytes: inout MutableSpan<UInt8>, packetBytes: Int) throws(ASFPacketError) {
        let packet = try ASFPacket(bytes.span, packetBytes: packetBytes)
        var check = ASFPayloads(packet)
        while let payload = try check.next(in: bytes.span) {
            guard !payload.isCompressed || packet.propertyFlags >> 2 & 3 == 3 || milliseconds == 0 else {
                throw .propertyFlags(packet.propertyFlags, offset: packet.errorCorrectionBytes &+ 1)
            }
        }
        let change = UInt32(bitPattern: milliseconds)
        var payloads = ASFPayloads(packet)
        while let payload = try payloads.next(in: bytes.span) {
            if let time = payload.presentationTime, milliseconds != 0 {
                let place = payload.isCompressed ? payload.offsetOffset : payload.replicatedOffset &+ 4
                Self.store(time &+ change, &bytes, place, byteCount: 4)
            }
            let numberBytes = ASFPacket.fieldBytes(packet.propertyFlags >> 4)
            let number = payload.objectNumber &+ UInt32(numberOffsets[Int(payload.stream)])
            Self.store(number, &bytes, payload.objectNumberOffset, byteCount: numberBytes)
            let stream = streams[Int(payload.stream)]
            if stream > 0 { bytes[payload.start] = bytes[payload.start] & 0x80 | stream }
        }
        Self.store(packet.sendTime &+ change, &bytes, packet.sendTimeOffset, byteCount: 4)
    }

    /// Rewrites a packet in an array.
    package func apply(to bytes: inout [UInt8], packetBytes: Int) throws(ASFPacketError) {
        var span = bytes.mutableSpan
        try apply(to: &span, packetBytes: packetBytes)
    }

    private static func store(_ value: UInt32, _ bytes: inout MutableSpan<UInt8>, _ offset: Int, byteCount: Int) {
        for index in 0..<byteCount { bytes[offset &+ index] = UInt8(truncatingIfNeeded: value >> UInt32(8 &* index)) }
    }
}
