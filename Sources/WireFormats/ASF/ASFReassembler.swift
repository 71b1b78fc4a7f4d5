/// One media object: a frame of video, some audio, a command.
package struct ASFMediaObject: Sendable, Hashable {
    /// 1–127.
    package var stream: UInt8
    /// Its number modulo 256.
    package var number: UInt8
    package var isKey: Bool
    /// In milliseconds with the preroll.
    package var presentationTime: UInt32
    package var bytes: [UInt8]
    /// What stands behind the first eight bytes of replicated data, in the order of the stream's extension systems.
    package var extensions: [UInt8]

    /// An object.
    package init(stream: UInt8, number: UInt8, isKey: Bool, presentationTime: UInt32, bytes: [UInt8], extensions: [UInt8] = []) {
        self.stream = stream
        self.number = number
        self.isKey = isKey
        self.presentationTime = presentationTime
        self.bytes = bytes
        self.extensions = extensions
    }
}

/// Puts media objects together from the payloads of packets. Memory grows with what came, never with what a field promises.
package struct ASFReassembler: Sendable {
    /// Bytes of all objects that are being put together, unless the caller says otherwise.
    package static let bytesMaxDefault = 8 << 20

    private struct Open {
        var number: UInt32
        var objectBytes: UInt32
        var object: ASFMediaObject

        /// What counts against the limit.
        var byteCount: Int { object.bytes.count &+ object.extensions.count }
    }

    private let bytesMax: Int
    private var open: [UInt8: Open] = [:]
    private var bytesHeld = 0

    /// Objects that were given up: a fragment was missing, or did not fit, or there was no room.
    package private(set) var objectsDropped: UInt64 = 0

    /// Nothing is open.
    package init(bytesMax: Int = bytesMaxDefault) { self.bytesMax = bytesMax }

    /// Forgets what is open: after a gap or a seek.
    package mutating func reset() {
        objectsDropped &+= UInt64(open.count)
        open = [:]
        bytesHeld = 0
    }

    /// Takes a packet, and hands out each object that ends in it. Throws at the first payload that cannot be read; those before it are taken.
    package mutating func take(
        _ bytes: Span<UInt8>, packetBytes: Int, _ body: (ASFMediaObject) -> Void
    ) throws(ASFPacketError) {
        var payloads = ASFPayloads(try ASFPacket(bytes, packetBytes: packetBytes))
        while let payload = try payloads.next(in: bytes) {
            if payload.isCompressed { try takeCompressed(payload, bytes, body) } else { take(payload, bytes, body) }
        }
    }

    private mutating func takeCompressed(
        _ payload: ASFPayload, _ bytes: Span<UInt8>, _ body: (ASFMediaObject) -> Void
    ) throws(ASFPacketError) {
        drop(payload.stream)
        var parts = ASFSubPayloads(payload)
        while let part = try parts.next(in: bytes) {
            body(
                ASFMediaObject(
                    stream: payload.stream,
                    number: UInt8(truncatingIfNeeded: payload.objectNumber &+ UInt32(truncatingIfNeeded: part.index)),
                    isKey: payload.isKey, presentationTime: part.presentationTime, bytes: [UInt8](bytes, part.dataOffset..<part.end)))
        }
    }

    private mutating func take(_ payload: ASFPayload, _ bytes: Span<UInt8>, _ body: (ASFMediaObject) -> Void) {
        if payload.offset == 0 {
            drop(payload.stream)
            // Without a size nobody knows where the object ends.
            guard let time = payload.presentationTime else { return objectsDropped &+= 1 }
            let extensions = [UInt8](
                bytes, min(payload.replicatedOffset &+ 8, payload.dataOffset)..<(payload.replicatedOffset &+ payload.replicatedBytes))
            open[payload.stream] = Open(
                number: payload.objectNumber, objectBytes: payload.objectBytes,
                object: ASFMediaObject(
                    stream: payload.stream, number: UInt8(truncatingIfNeeded: payload.objectNumber), isKey: payload.isKey,
                    presentationTime: time, bytes: [], extensions: extensions))
        }
        guard var object = open.removeValue(forKey: payload.stream) else { return }
        let have = object.object.bytes.count
        // What a first fragment brings is counted with it.
        if payload.offset > 0 { bytesHeld = bytesHeld &- object.byteCount }
        guard object.number == payload.objectNumber, have == Int(payload.offset),
            payload.dataBytes <= Int(object.objectBytes) &- have, object.byteCount &+ payload.dataBytes <= bytesMax &- bytesHeld
        else { return objectsDropped &+= 1 }
        object.object.bytes.append(bytes, payload.dataOffset..<payload.end)
        if object.object.bytes.count == Int(object.objectBytes) {
            body(object.object)
        } else {
            bytesHeld = bytesHeld &+ object.byteCount
            open[payload.stream] = object
        }
    }

    private mutating func drop(_ stream: UInt8) {
        guard let object = open.removeValue(forKey: stream) else { return }
        bytesHeld = bytesHeld &- object.byteCount
        objectsDropped &+= 1
    }
}
