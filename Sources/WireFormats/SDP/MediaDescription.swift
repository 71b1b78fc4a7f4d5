/// One media block of a session description: an `m=` line and those behind it.
package struct MediaDescription: Sendable, Hashable {
    /// Which way media flows, seen from whoever wrote the description.
    package enum Direction: String, Sendable, Hashable { case sendrecv, sendonly, recvonly, inactive }

    /// `video`, `audio`, `application`, … as spelled. Some cameras make up words (TP-Link IPC44).
    package var kind: String
    /// The port; 0 in RTSP.
    package var port: UInt16
    /// How many ports (`m=video 5000/2 …`); nil when not said.
    package var portCount: UInt16?
    /// `RTP/AVP` and the like.
    package var proto: String
    /// The formats as spelled: payload types for RTP.
    package var formats: [String]
    /// The lines behind `m=`, in order.
    package var lines: [SDPLine]

    /// A media block.
    package init(
        kind: String, port: UInt16 = 0, portCount: UInt16? = nil, proto: String = "RTP/AVP", formats: [String], lines: [SDPLine] = []
    ) {
        self.kind = kind
        self.port = port
        self.portCount = portCount
        self.proto = proto
        self.formats = formats
        self.lines = lines
    }

    /// The value of the `m=` line.
    package var mediaLine: String {
        let ports = portCount.map { "\(port)/\($0)" } ?? "\(port)"
        return ([kind, ports, proto] + formats).joined(separator: " ")
    }

    /// The formats that are payload types, in order.
    package var payloadTypes: [UInt8] {
        formats.compactMap { ASCII.decimal($0.byteSlice, max: 127).map { UInt8(truncatingIfNeeded: $0) } }
    }

    /// The format of a payload type: by `a=rtpmap`, else by RFC 3551's table.
    package func format(_ payloadType: UInt8) -> RTPFormat? {
        for line in lines where line.isAttribute("rtpmap") {
            if let format = Self.format(line), format.payloadType == payloadType { return format }
        }
        return StaticPayloadType.format(payloadType)
    }

    /// The format of the first payload type, which is the one a server sends. Where it has no map, the first map there is.
    package var format: RTPFormat? {
        if let first = payloadTypes.first, let format = format(first) { return format }
        return lines.lazy.filter { $0.isAttribute("rtpmap") }.compactMap(Self.format).first
    }

    /// The codec of ``format``.
    package var codec: MediaCodec { format?.codec ?? .other("") }

    /// The RTP clock of ``format`` in Hz; 90,000 when nothing says it, and 48,000 for Opus always.
    package var clockRate: UInt32 { codec == .opus ? 48_000 : format?.clockRate ?? 90_000 }

    /// `a=control`; nil when there is none.
    package var control: String? { lines.attribute("control") }

    /// The direction; sendrecv when not said.
    package var direction: Direction {
        for line in lines {
            if let name = line.attributeName, let direction = Direction(rawValue: name.lowercased()) { return direction }
        }
        return .sendrecv
    }

    /// Whether it is ONVIF's back channel, which takes audio instead of sending it.
    package var isBackChannel: Bool { direction == .sendonly }

    /// `b=AS` in bit/s, or `b=TIAS`; nil when neither says anything.
    package var bitRate: UInt64? {
        lines.bandwidth("AS").flatMap { $0 <= 1_000_000_000 ? $0 * 1_000 : nil } ?? lines.bandwidth("TIAS")
    }

    /// `a=fmtp` of a payload type, behind the type and without blanks; nil when there is none, "" when it is empty.
    package func formatParameters(_ payloadType: UInt8) -> String? {
        for line in lines where line.isAttribute("fmtp") {
            if let (type, text) = Self.formatParameters(line), type == payloadType { return text }
        }
        return nil
    }

    /// One parameter of `a=fmtp` of the first payload type, by its name in any case.
    package func formatParameter(_ name: String) -> String? {
        guard let type = payloadTypes.first, let text = formatParameters(type) else { return nil }
        for part in text.byteSlice.split(separator: ASCII.semicolon) {
            let (key, value) = part.split(atFirst: ASCII.equals)
            if ASCII.equalIgnoringCase(key.trimmed, name) { return (value ?? []).trimmed.text }
        }
        return nil
    }

    /// `96 H264/90000` or `97 opus/48000/2`; nil when it is not of that form.
    static func format(_ line: SDPLine) -> RTPFormat? {
        guard let value = line.bytes[...].split(atFirst: ASCII.colon).1?.trimmed, let blank = value.firstIndex(where: ASCII.isBlank),
            let type = ASCII.decimal(value[..<blank], max: 127)
        else { return nil }
        let parts = value[blank...].trimmed.split(separator: ASCII.slash, omittingEmptySubsequences: false).map(\.trimmed)
        guard parts.count >= 2, !parts[0].isEmpty, let clock = ASCII.decimal(parts[1], max: UInt64(UInt32.max)), clock > 0 else {
            return nil
        }
        let channels = parts.count > 2 ? ASCII.decimal(parts[2], max: 65_535).map { UInt16(truncatingIfNeeded: $0) } : nil
        return RTPFormat(UInt8(truncatingIfNeeded: type), parts[0].text, UInt32(truncatingIfNeeded: clock), channels)
    }

    /// The payload type and the text of an `a=fmtp` line.
    static func formatParameters(_ line: SDPLine) -> (UInt8, String)? {
        guard let value = line.bytes[...].split(atFirst: ASCII.colon).1?.trimmed else { return nil }
        let digits = value.prefix { !ASCII.isBlank($0) }
        guard let type = ASCII.decimal(digits, max: 127) else { return nil }
        return (UInt8(truncatingIfNeeded: type), value[digits.endIndex...].trimmed.text)
    }
}
