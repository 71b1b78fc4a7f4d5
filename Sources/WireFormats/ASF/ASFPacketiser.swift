/// Makes packets of media objects: the other half of ``ASFReassembler``. Objects go in in the order in which they are to be sent.
///
/// Each packet is `82 00 00`, several payloads with lengths and a WORD of padding; a fragment that fills a packet alone is written as a single
/// payload. A packet is handed out when the next one begins, for its duration is the time until then.
package struct ASFPacketiser: Sendable {
    private static let severalHeadBytes = 14
    private static let singleHeadBytes = 11
    private static let payloadHeadBytes = 15
    private static let payloadsMax = 63

    private let packetBytes: Int
    private let prerollMilliseconds: UInt32
    /// The packet that is being filled: payloads only.
    private var payloads: [UInt8] = []
    private var payloadCount = 0
    private var sendTime: UInt32 = 0
    /// A whole packet that waits for its duration, and where that stands.
    private var waiting: [UInt8] = []
    private var waitingTime: UInt32 = 0
    private var waitingOffset = 0

    /// Objects that were left out: their extensions take more than a packet or a length byte has room for.
    package private(set) var objectsDropped: UInt64 = 0

    /// Packets of that size; nil when no payload fits. Send times are presentation times less the preroll.
    package init?(packetBytes: Int, prerollMilliseconds: UInt32) {
        guard packetBytes >= ASFHeader.packetBytesMin, packetBytes <= ASFHeader.packetBytesMax else { return nil }
        self.packetBytes = packetBytes
        self.prerollMilliseconds = prerollMilliseconds
    }

    /// Adds an object; hands out the packets that are done.
    package mutating func add(_ object: ASFMediaObject, _ body: ([UInt8]) -> Void) {
        let headBytes = Self.payloadHeadBytes + object.extensions.count
        guard object.extensions.count <= 247, Self.severalHeadBytes + headBytes + 3 <= packetBytes else { return objectsDropped &+= 1 }
        var offset = 0
        repeat {
            let left = object.bytes.count - offset
            let single = packetBytes - Self.singleHeadBytes - headBytes
            if payloadCount > 0, room < headBytes + 3 || payloadCount == Self.payloadsMax { close(body) }
            if payloadCount == 0 { begin(at: object.presentationTime) }
            if payloadCount == 0, left >= single {
                writeHead(of: object, offset: offset)
                payloads += object.bytes[offset..<(offset + single)]
                offset += single
                finish(flags: 0, head: [], count: nil, body)
            } else {
                let count = min(left, room - headBytes - 2)
                writeHead(of: object, offset: offset)
                payloads.appendLittle16(UInt16(truncatingIfNeeded: count))
                payloads += object.bytes[offset..<(offset + count)]
                offset += count
                payloadCount += 1
            }
        } while offset < object.bytes.count
    }

    /// Hands out what is left.
    package mutating func flush(_ body: ([UInt8]) -> Void) {
        if payloadCount > 0 { close(body) }
        if !waiting.isEmpty { body(waiting) }
        waiting = []
    }

    private var room: Int { packetBytes - Self.severalHeadBytes - payloads.count }

    /// Send times never go back; they are numbers of 32 bits that may wrap.
    private mutating func begin(at presentationTime: UInt32) {
        let time = presentationTime >= prerollMilliseconds ? presentationTime - prerollMilliseconds : 0
        if waiting.isEmpty || Int32(bitPattern: time &- waitingTime) > 0 { sendTime = time } else { sendTime = waitingTime }
    }

    private mutating func writeHead(of object: ASFMediaObject, offset: Int) {
        payloads.append((object.isKey ? 0x80 : 0) | object.stream & 0x7F)
        payloads.append(object.number)
        payloads.appendLittle32(UInt32(truncatingIfNeeded: offset))
        payloads.append(UInt8(truncatingIfNeeded: 8 + object.extensions.count))
        payloads.appendLittle32(UInt32(truncatingIfNeeded: object.bytes.count))
        payloads.appendLittle32(object.presentationTime)
        payloads += object.extensions
    }

    private mutating func close(_ body: ([UInt8]) -> Void) {
        var padding: [UInt8] = []
        padding.appendLittle16(UInt16(truncatingIfNeeded: room))
        finish(flags: 0x11, head: padding, count: 0x80 | UInt8(truncatingIfNeeded: payloadCount), body)
    }

    private mutating func finish(flags: UInt8, head: [UInt8], count: UInt8?, _ body: ([UInt8]) -> Void) {
        if !waiting.isEmpty {
            let duration = min(sendTime &- waitingTime, 0xFFFF)
            waiting.storeLittle(UInt16(duration), at: waitingOffset)
            body(waiting)
        }
        var packet: [UInt8] = [0x82, 0, 0, flags, 0x5D]
        packet.reserveCapacity(packetBytes)
        packet += head
        packet.appendLittle32(sendTime)
        waitingOffset = packet.count
        packet.appendLittle16(0)
        if let count { packet.append(count) }
        packet += payloads
        packet += [UInt8](repeating: 0, count: max(packetBytes - packet.count, 0))
        waiting = packet
        waitingTime = sendTime
        payloads.removeAll(keepingCapacity: true)
        payloadCount = 0
    }
}
