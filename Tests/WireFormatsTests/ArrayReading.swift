@testable import WireFormats

// The same calls over arrays: `#expect` cannot take a span, which may not escape.

extension RTPHeader {
    init(_ bytes: [UInt8]) throws(RTPHeaderError) { try self.init(bytes.span) }
}

extension InterleavedHeader {
    init?(_ bytes: [UInt8]) { self.init(bytes.span) }
}

extension RTCPCompound {
    static func isValid(_ bytes: [UInt8]) -> Bool { isValid(bytes.span) }
}

extension RTCPSenderReport {
    init?(_ packet: RTCPPacket, in bytes: [UInt8]) { self.init(packet, in: bytes.span) }
}

extension RTCPPacket {
    func senderSSRC(in bytes: [UInt8]) -> UInt32? { senderSSRC(in: bytes.span) }
    func reportBlock(_ number: Int, in bytes: [UInt8]) -> RTCPReportBlock? { reportBlock(number, in: bytes.span) }
    func saysGoodbye(of ssrc: UInt32, in bytes: [UInt8]) -> Bool { saysGoodbye(of: ssrc, in: bytes.span) }
    func canonicalName(in bytes: [UInt8]) -> String? { canonicalName(in: bytes.span) }
}

extension RTPDumpReader {
    init(_ bytes: [UInt8]) throws(RTPDumpError) { try self.init(bytes.span) }
    mutating func next(in bytes: [UInt8]) throws(RTPDumpError) -> RTPDumpRecord? { try next(in: bytes.span) }
}

/// The packets of a compound.
func packets(_ bytes: [UInt8]) throws(RTCPError) -> [RTCPPacket] {
    var compound = RTCPCompound()
    var found: [RTCPPacket] = []
    while let packet = try compound.next(in: bytes.span) { found.append(packet) }
    return found
}

func frameMarks(codec: KeyFrameCodec, payload: [UInt8]) -> FrameMarks { frameMarks(codec: codec, payload: payload.span) }
