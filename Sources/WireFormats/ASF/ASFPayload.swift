/// One payload of a data packet: a fragment of a media object, or (compressed) several small objects. Says where it lies, holds no bytes.
///
///     stream and key bit u8 | object number | offset into the object | replicated length | replicated data | [length] | data
///
/// Replicated data of eight bytes and more: object bytes u32, presentation time u32, extension systems. Of one byte: the payload is compressed,
/// the offset field is the presentation time, and the byte the time between its objects.
package struct ASFPayload: Sendable, Hashable, BitwiseCopyable {
    /// 1–127.
    package let stream: UInt8
    /// The key bit. All fragments of a key frame have it, and of audio often none.
    package let isKey: Bool
    /// The number of the media object, or of the first of several; it wraps.
    package let objectNumber: UInt32
    /// Where in its object the data belongs; 0 for a compressed payload.
    package let offset: UInt32
    /// Bytes of the object; 0 where the payload does not say.
    package let objectBytes: UInt32
    /// When the object plays, in milliseconds with the preroll; nil where the payload does not say.
    package let presentationTime: UInt32?
    /// Whether it holds several small objects: walk over them with ``ASFSubPayloads``.
    package let isCompressed: Bool
    /// Milliseconds between those.
    package let timeDelta: UInt8
    /// Where the payload's head begins, and in it the fields that follow the stream's number.
    package let start: Int
    package let objectNumberOffset: Int
    package let offsetOffset: Int
    /// Where replicated data begins, and its bytes.
    package let replicatedOffset: Int
    package let replicatedBytes: Int
    /// Where the data begins and ends.
    package let dataOffset: Int
    package let end: Int

    /// Bytes of data.
    package var dataBytes: Int { end &- dataOffset }

    /// Whether a media object begins here.
    package var startsObject: Bool { isCompressed || offset == 0 }

    /// Whether a media object ends here, as far as the payload says.
    package var endsObject: Bool { isCompressed || UInt64(offset) &+ UInt64(dataBytes) >= UInt64(objectBytes) }

    /// Whether the stream can be entered here; `keyFrameStreams` are those that can be entered at key frames only.
    package func isEntry(keyFrameStreams: ASFStreamSet) -> Bool {
        startsObject && (isKey || !keyFrameStreams.contains(stream))
    }
}

/// Walks over the payloads of a packet without allocating: keep it beside the bytes and pass them in.
///
///     var payloads = ASFPayloads(packet)
///     while let payload = try payloads.next(in: bytes) { … }
package struct ASFPayloads: Sendable, Hashable, BitwiseCopyable {
    private let packet: ASFPacket
    private var index = 0
    /// Where the next payload begins.
    package private(set) var offset: Int

    /// At the first payload.
    package init(_ packet: ASFPacket) {
        self.packet = packet
        offset = packet.payloadsOffset
    }

    /// The next payload; nil at the end. After an error nothing of the packet behind it can be read.
    package mutating func next(in bytes: Span<UInt8>) throws(ASFPacketError) -> ASFPayload? {
        guard index < packet.payloadCount else { return nil }
        let start = offset, end = packet.payloadsEnd
        let numberBytes = ASFPacket.fieldBytes(packet.propertyFlags >> 4), offsetBytes = ASFPacket.fieldBytes(packet.propertyFlags >> 2)
        let replicatedLengthBytes = ASFPacket.fieldBytes(packet.propertyFlags)
        let headBytes = 1 &+ numberBytes &+ offsetBytes &+ replicatedLengthBytes
        guard end &- start >= headBytes else { throw .tooShort(offset: start, have: max(end &- start, 0), need: headBytes) }
        let stream = bytes[start] & 0x7F
        guard stream > 0 else { throw .streamNumber(offset: start) }
        let numberOffset = start &+ 1, offsetOffset = numberOffset &+ numberBytes
        let offsetField = bytes.loadLittle(offsetOffset, byteCount: offsetBytes)
        let replicatedLength = bytes.loadLittle(offsetOffset &+ offsetBytes, byteCount: replicatedLengthBytes)
        var place = start &+ headBytes
        guard replicatedLength <= 1 || replicatedLength >= 8 else { throw .replicatedLength(replicatedLength, offset: start) }
        guard Int(replicatedLength) <= end &- place else {
            throw .tooShort(offset: place, have: end &- place, need: Int(replicatedLength))
        }
        let replicatedOffset = place
        let isCompressed = replicatedLength == 1
        place = place &+ Int(replicatedLength)
        var dataBytes = end &- place
        if packet.hasSeveralPayloads {
            guard dataBytes >= packet.payloadLengthBytes else {
                throw .tooShort(offset: place, have: dataBytes, need: packet.payloadLengthBytes)
            }
            let length = bytes.loadLittle(place, byteCount: packet.payloadLengthBytes)
            place = place &+ packet.payloadLengthBytes
            guard Int(length) <= end &- place else { throw .payloadLength(length, offset: place, have: end &- place) }
            dataBytes = Int(length)
        }
        index = index &+ 1
        offset = place &+ dataBytes
        return ASFPayload(
            stream: stream, isKey: bytes[start] & 0x80 != 0, objectNumber: bytes.loadLittle(numberOffset, byteCount: numberBytes),
            offset: isCompressed ? 0 : offsetField, objectBytes: replicatedLength >= 8 ? bytes.loadLittle32(replicatedOffset) : 0,
            presentationTime: isCompressed
                ? offsetField : replicatedLength >= 8 ? bytes.loadLittle32(replicatedOffset &+ 4) : nil,
            isCompressed: isCompressed, timeDelta: isCompressed ? bytes[replicatedOffset] : 0, start: start,
            objectNumberOffset: numberOffset, offsetOffset: offsetOffset, replicatedOffset: replicatedOffset,
            replicatedBytes: Int(replicatedLength), dataOffset: place, end: place &+ dataBytes)
    }
}

/// Walks over the objects of a compressed payload without allocating: `{length u8, bytes}` each.
package struct ASFSubPayloads: Sendable, Hashable, BitwiseCopyable {
    /// One object of a compressed payload.
    package struct Object: Sendable, Hashable, BitwiseCopyable {
        /// The first has 0.
        package let index: Int
        package let presentationTime: UInt32
        package let dataOffset: Int
        package let end: Int
    }

    private var index = 0
    private var offset: Int
    private let end: Int
    private let time: UInt32
    private let delta: UInt32

    /// At the first object; none of a payload that is not compressed.
    package init(_ payload: ASFPayload) {
        offset = payload.isCompressed ? payload.dataOffset : payload.end
        end = payload.end
        time = payload.presentationTime ?? 0
        delta = UInt32(payload.timeDelta)
    }

    /// The next object of the same packet's bytes; nil at the end.
    package mutating func next(in bytes: Span<UInt8>) throws(ASFPacketError) -> Object? {
        guard offset < end else { return nil }
        let length = bytes[offset]
        let start = offset &+ 1
        guard Int(length) <= end &- start else { throw .subPayload(length: length, offset: offset, have: end &- start) }
        let object = Object(
            index: index, presentationTime: time &+ UInt32(truncatingIfNeeded: index) &* delta, dataOffset: start, end: start &+ Int(length)
        )
        offset = object.end
        index = index &+ 1
        return object
    }
}
