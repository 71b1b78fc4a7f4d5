/// Which payloads of a stream a player gets: whole streams, streams thinned to key frames, and nothing whose beginning it did not get. A plain
/// value that goes from packet to packet.
package struct ASFSelection: Sendable, Hashable, BitwiseCopyable {
    /// Streams that are on.
    package var streams: ASFStreamSet
    /// Streams of these of which only key frames go.
    package var keyFramesOnly: ASFStreamSet
    /// Streams that have not begun: nothing goes before an object at which they can be entered. For a player that joins these are all, after a
    /// switch those that are new.
    package private(set) var waiting: ASFStreamSet
    /// Streams that were switched off inside an object, which still goes to its end.
    package private(set) var finishing: ASFStreamSet
    /// Streams that can be entered at key frames only, from ``ASFHeader/keyFrameStreams``.
    package var keyFrameStreams: ASFStreamSet

    /// A selection. With `joins` every stream first waits for an object at which it can be entered; without, payloads go from the first on.
    package init(
        streams: ASFStreamSet, keyFramesOnly: ASFStreamSet = [], keyFrameStreams: ASFStreamSet = [], joins: Bool = false
    ) {
        self.streams = streams
        self.keyFramesOnly = keyFramesOnly
        self.keyFrameStreams = keyFrameStreams
        waiting = joins ? streams : []
        finishing = []
    }

    /// Turns a stream on; it goes from the next object on at which it can be entered.
    package mutating func turnOn(_ stream: UInt8) {
        guard !streams.contains(stream) else { return }
        streams.insert(stream)
        waiting.insert(stream)
        finishing.remove(stream)
    }

    /// Turns a stream off; the object that has begun goes to its end.
    package mutating func turnOff(_ stream: UInt8) {
        guard streams.contains(stream) else { return }
        streams.remove(stream)
        if !waiting.contains(stream) { finishing.insert(stream) }
        waiting.remove(stream)
    }

    /// Lets every stream wait again: after a gap, a seek, or for the next player.
    package mutating func join() {
        waiting = streams
        finishing = []
    }

    /// Whether a payload goes. Ask once for each payload, in order.
    package mutating func takes(_ payload: ASFPayload) -> Bool {
        if finishing.contains(payload.stream) {
            guard payload.startsObject else { return true }
            finishing.remove(payload.stream)
            return false
        }
        guard streams.contains(payload.stream) else { return false }
        if waiting.contains(payload.stream) {
            guard payload.isEntry(keyFrameStreams: keyFrameStreams) else { return false }
            waiting.remove(payload.stream)
        }
        return payload.isKey || !keyFramesOnly.contains(payload.stream)
    }

    /// Writes what goes of a packet, at full size or without padding, into `output`, which has room for `packetBytes`; head, send time and
    /// payloads keep their bytes. Throws, and changes nothing, where the packet cannot be read.
    package mutating func write(
        _ packet: ASFPacket, _ bytes: Span<UInt8>, packetBytes: Int, form: ASFPacketForm, into output: inout OutputRawSpan
    ) throws(ASFPacketError) -> ASFPacketOutcome {
        var next = self
        var payloads = ASFPayloads(packet)
        var kept: UInt64 = 0, mask: UInt64 = 1
        var size = 0, isWhole = true
        while let payload = try payloads.next(in: bytes) {
            if next.takes(payload) {
                kept |= mask
                size = size &+ payload.end &- payload.start
            } else {
                isWhole = false
            }
            mask = mask << 1
        }
        self = next
        if kept == 0 { return .nothing }
        if isWhole {
            switch form {
            case .full: return try packet.writeFull(bytes, packetBytes: packetBytes, into: &output)
            case .stripped: return try packet.writeStripped(bytes, into: &output)
            case .sized: return try packet.writeSized(bytes, packetBytes: packetBytes, into: &output)
            }
        }
        try packet.write(bytes, kept: kept, payloadBytes: size, form: form, packetBytes: packetBytes, into: &output)
        return .written
    }

    /// What goes of a packet, as an array; nil when nothing does.
    package mutating func packet(_ bytes: [UInt8], packetBytes: Int, form: ASFPacketForm = .full) throws(ASFPacketError) -> [UInt8]? {
        let packet = try ASFPacket(bytes.span, packetBytes: packetBytes)
        var next = self
        let result = try ASFPacket.array(bytes, capacity: packetBytes) { output throws(ASFPacketError) in
            try next.write(packet, bytes.span, packetBytes: packetBytes, form: form, into: &output)
        }
        self = next
        return result.isEmpty ? nil : result
    }
}
