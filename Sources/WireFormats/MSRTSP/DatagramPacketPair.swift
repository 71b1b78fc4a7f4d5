/// Packet pairs as datagrams ([MS-RTSP] 2.2.3, 2.2.7.10): three RTP packets of random bytes, sent at once, by which a client measures the link
/// and sees that datagrams reach it.
package enum DatagramPacketPair: String, Sendable, Hashable, CaseIterable {
    /// Of fixed sizes.
    case highEntropy = "high-entropy-packetpair"
    /// Of sizes by whose remainder of three the client tells their order.
    case variableSize = "high-entropy-packetpair variable-size"

    /// Bytes behind the payload headers of fixed sizes; also the most there are.
    private static let fixedSizes = [1_454, 1_455, 1_456]
    private static let variableSizes = [1_283, 1_284, 1_285]

    /// What a request's body asks for; nil for anything else.
    package init?(_ body: [UInt8]) {
        guard body.count <= 1_024 else { return nil }
        let (name, rest) =
            body.split(whereSeparator: { ASCII.isLineEnd($0) || $0 == 0 }).first.map { $0.split(atFirst: ASCII.colon) } ?? ([], nil)
        guard ASCII.equalIgnoringCase(name.trimmed, "type"), let rest else { return nil }
        let words = rest.split { ASCII.isBlank($0) || $0 == ASCII.semicolon || $0 == ASCII.comma }
        guard let first = words.first, ASCII.equalIgnoringCase(first, Self.highEntropy.rawValue) else { return nil }
        self = words.dropFirst().contains { ASCII.equalIgnoringCase($0, "variable-size") } ? .variableSize : .highEntropy
    }

    /// A request's body.
    package var body: [UInt8] { Array("type: \(rawValue)".utf8) }

    /// The three RTP packets; `random` gives what a modem cannot compress. They use three sequence numbers.
    package func packets(
        ssrc: UInt32, sequence: UInt16, payloadType: UInt8 = ASFRTPPacketiser.payloadType, random: () -> UInt8
    ) -> [[UInt8]] {
        let sizes = self == .highEntropy ? Self.fixedSizes : Self.variableSizes
        return sizes.indices.map { index in
            var bytes: [UInt8] = []
            bytes.reserveCapacity(RTPHeader.byteCountMin + 4 + sizes[index])
            bytes.append(rtpHeader: payloadType, marker: true, sequence: sequence &+ UInt16(index), timestamp: 0, ssrc: ssrc)
            // Here the length does not count the header.
            ASFPayloadHeader(hasKeyFrame: index == 0, isWhole: true, lengthOrOffset: UInt32(sizes[index])).write(to: &bytes)
            for _ in 0..<sizes[index] { bytes.append(random()) }
            return bytes
        }
    }

    /// Whether an RTP packet that came to the port of retransmissions is one of a pair of that SSRC: its timestamp is 0, and its length does not
    /// count its header.
    package static func isPair(_ packet: Span<UInt8>, ssrc: UInt32) -> Bool {
        guard let header = try? RTPHeader(packet), header.ssrc == ssrc, header.timestamp == 0, header.payloadLength > 4 else {
            return false
        }
        let payload = packet.extracting(header.payloadOffset..<header.payloadEnd)
        guard let own = try? ASFPayloadHeader(payload, at: 0), own.isWhole, own.byteCount == 4 else { return false }
        return Int(own.lengthOrOffset) == payload.count - 4
    }
}
