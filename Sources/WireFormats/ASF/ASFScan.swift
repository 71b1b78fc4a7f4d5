/// What a walk over packets finds: times, what each stream has, and an index of the objects at which it can be entered. Of a file without an
/// index it makes one; of a stream it tells what came.
package struct ASFScan: Sendable {
    /// One stream's packets.
    package struct Stream: Sendable, Hashable {
        package var payloads: UInt64 = 0
        /// Media objects that began.
        package var objects: UInt64 = 0
        /// Those of them with the key bit.
        package var keyObjects: UInt64 = 0
        /// Bytes of media.
        package var bytes: UInt64 = 0
        /// The smallest and the largest presentation time, in milliseconds with the preroll.
        package var firstTime: UInt32?
        package var lastTime: UInt32?

        /// Nothing seen.
        package init() {}
    }

    private let packetBytes: Int
    private let keyFrameStreams: ASFStreamSet
    private let known: ASFStreamSet
    private let prerollMilliseconds: UInt32

    /// By number; only those that the header describes.
    package private(set) var streams: [UInt8: Stream] = [:]
    package private(set) var packets: UInt64 = 0
    /// Packets that could not be read, and why the first could not.
    package private(set) var brokenPackets: UInt64 = 0
    package private(set) var firstFlaw: (packet: Int, error: ASFPacketError)?
    /// Payloads of streams that the header does not describe.
    package private(set) var unknownPayloads: UInt64 = 0
    /// Packets that were due before the one before them.
    package private(set) var backwardSendTimes: UInt64 = 0
    package private(set) var paddingBytes: UInt64 = 0
    /// Send times in milliseconds, and the last packet's duration.
    package private(set) var firstSendTime: UInt32?
    package private(set) var lastSendTime: UInt32 = 0
    package private(set) var lastDuration: UInt16 = 0
    /// Where streams can be entered: of those with key frames every one, of others one object a second.
    package private(set) var index = ASFIndex(origin: .scan)

    /// Nothing seen.
    package init(header: ASFHeader) {
        packetBytes = header.packetBytes
        keyFrameStreams = header.keyFrameStreams
        known = header.streamNumbers
        prerollMilliseconds = header.file.prerollMilliseconds
    }

    /// Takes the packet of that number. What cannot be read is counted.
    package mutating func take(_ bytes: Span<UInt8>, number: Int) {
        packets &+= 1
        do throws(ASFPacketError) {
            let packet = try ASFPacket(bytes, packetBytes: packetBytes)
            if firstSendTime == nil { firstSendTime = packet.sendTime } else if packet.sendTime < lastSendTime { backwardSendTimes &+= 1 }
            lastSendTime = packet.sendTime
            lastDuration = packet.duration
            paddingBytes &+= UInt64(packet.paddingBytes)
            var payloads = ASFPayloads(packet)
            while let payload = try payloads.next(in: bytes) {
                guard known.contains(payload.stream) else {
                    unknownPayloads &+= 1
                    continue
                }
                try take(payload, bytes, number)
            }
        } catch {
            brokenPackets &+= 1
            if firstFlaw == nil { firstFlaw = (number, error) }
        }
    }

    private mutating func take(_ payload: ASFPayload, _ bytes: Span<UInt8>, _ number: Int) throws(ASFPacketError) {
        var stream = streams[payload.stream] ?? Stream()
        stream.payloads &+= 1
        var lastTime = payload.presentationTime
        if payload.isCompressed {
            var parts = ASFSubPayloads(payload)
            while let part = try parts.next(in: bytes) {
                stream.objects &+= 1
                if payload.isKey { stream.keyObjects &+= 1 }
                stream.bytes &+= UInt64(part.end &- part.dataOffset)
                lastTime = part.presentationTime
            }
        } else {
            stream.bytes &+= UInt64(payload.dataBytes)
            if payload.startsObject {
                stream.objects &+= 1
                if payload.isKey { stream.keyObjects &+= 1 }
            }
        }
        if let time = payload.presentationTime {
            stream.firstTime = min(stream.firstTime ?? time, time)
            stream.lastTime = max(stream.lastTime ?? 0, lastTime ?? 0, time)
            if payload.isEntry(keyFrameStreams: keyFrameStreams) {
                index.add(
                    ASFIndex.Entry(time: time, packet: UInt32(clamping: number)), stream: payload.stream,
                    spacing: keyFrameStreams.contains(payload.stream) ? 0 : 1_000)
            }
        }
        streams[payload.stream] = stream
    }

    /// From the first packet's send time to the end of the last, in 100 ns.
    package var sendDuration: UInt64 {
        let first = firstSendTime ?? 0
        return lastSendTime >= first ? (UInt64(lastSendTime - first) + UInt64(lastDuration)) * 10_000 : 0
    }

    /// As File Properties want it: the latest presentation time, which has the preroll in it, in 100 ns.
    package var playDuration: UInt64 {
        let last = streams.values.compactMap(\.lastTime).max() ?? 0
        return UInt64(max(last, prerollMilliseconds)) * 10_000
    }
}
