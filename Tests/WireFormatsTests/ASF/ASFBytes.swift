@testable import WireFormats

// The same calls over arrays, and small makers of ASF.

extension ASFHeader {
    init(_ bytes: [UInt8]) throws(ASFHeaderError) { try self.init(bytes.span) }
    static func bytesNeeded(_ bytes: [UInt8], bytesMax: Int = bytesMaxDefault) throws(ASFHeaderError) -> Int {
        try bytesNeeded(bytes.span, bytesMax: bytesMax)
    }
}

extension ASFPacket {
    init(_ bytes: [UInt8], packetBytes: Int) throws(ASFPacketError) { try self.init(bytes.span, packetBytes: packetBytes) }
}

/// The payloads of a packet.
func asfPayloads(_ bytes: [UInt8], packetBytes: Int) throws(ASFPacketError) -> [ASFPayload] {
    var payloads = ASFPayloads(try ASFPacket(bytes.span, packetBytes: packetBytes))
    var found: [ASFPayload] = []
    while let payload = try payloads.next(in: bytes.span) { found.append(payload) }
    return found
}

/// What a payload says and holds, wherever it lies.
struct ASFContent: Hashable {
    var stream: UInt8, isKey: Bool, number: UInt32, offset: UInt32, objectBytes: UInt32, time: UInt32?, data: [UInt8]

    init(_ payload: ASFPayload, _ bytes: [UInt8]) {
        stream = payload.stream
        isKey = payload.isKey
        number = payload.objectNumber
        offset = payload.offset
        objectBytes = payload.objectBytes
        time = payload.presentationTime
        data = Array(bytes[payload.dataOffset..<payload.end])
    }
}

func asfContents(_ bytes: [UInt8], packetBytes: Int) throws(ASFPacketError) -> [ASFContent] {
    try asfPayloads(bytes, packetBytes: packetBytes).map { ASFContent($0, bytes) }
}

/// The bytes of little-endian numbers.
func le16(_ values: Int...) -> [UInt8] { values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] } }
func le32(_ values: Int...) -> [UInt8] { values.flatMap { le16($0, $0 >> 16) } }
func le64(_ values: UInt64...) -> [UInt8] { values.flatMap { le32(Int($0 & 0xFFFF_FFFF), Int($0 >> 32)) } }
func utf16(_ text: String) -> [UInt8] { text.utf16.flatMap { le16(Int($0)) } }

/// An object with its head.
func asfObject(_ guid: ASFGUID, _ body: [UInt8]) -> [UInt8] { guid.bytes + le64(UInt64(24 + body.count)) + body }

/// The sample's header with other children behind its own, and children in its Header Extension.
func asfHeader(children: [UInt8] = [], extension inner: [UInt8] = []) -> [UInt8] {
    let sample = ASFSample.header
    let body =
        Array(sample[30..<0x86])
        + asfObject(.headerExtension, ASFGUID.reserved1.bytes + le16(6) + le32(inner.count) + inner)
        + sample[0xB4..<0x114] + children
    return ASFGUID.header.bytes + le64(UInt64(30 + body.count)) + le32(3) + [1, 2] + body + sample[0x114...]
}

/// A Stream Properties object.
func asfStream(_ number: Int, _ type: ASFGUID, flags: Int = 0, data: [UInt8] = []) -> [UInt8] {
    asfObject(
        .streamProperties,
        type.bytes + ASFGUID.noErrorCorrection.bytes + le64(0) + le32(data.count, 0) + le16(number | flags) + le32(0) + data)
}

/// An Extended Stream Properties object.
func asfExtended(
    _ number: Int, bitrate: Int = 0, flags: Int = 0, names: [[UInt8]] = [], systems: [[UInt8]] = [], stream: [UInt8] = []
) -> [UInt8] {
    asfObject(
        .extendedStreamProperties,
        le64(0, 0) + le32(bitrate, 3_000, 0, 0, 0, 0, 0, flags) + le16(number, 0) + le64(400_000) + le16(names.count, systems.count)
            + names.flatMap { le16(0, $0.count) + $0 } + systems.flatMap(\.self) + stream)
}

/// A video format of 320 x 240.
func asfVideo(_ fourCC: String, extra: [UInt8] = []) -> [UInt8] {
    le32(320, 240) + [2] + le16(40 + extra.count) + le32(40 + extra.count, 320, 240) + le16(1, 24) + Array(fourCC.utf8)
        + le32(0, 0, 0, 0, 0) + extra
}
