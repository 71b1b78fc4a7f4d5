/// Two ports, RTP's and RTCP's.
package struct PortPair: Sendable, Hashable {
    /// RTP. 0 stands for none in answers of some servers.
    package var rtp: UInt16
    /// RTCP; nil when only one number was given.
    package var rtcp: UInt16?

    /// A pair.
    package init(rtp: UInt16, rtcp: UInt16? = nil) {
        self.rtp = rtp
        self.rtcp = rtcp
    }

    /// RTCP's port as given, else the one above RTP's; nil when there is none above 65,535 or RTP has none.
    package var rtcpPort: UInt16? { rtcp ?? (rtp == 0 || rtp == .max ? nil : rtp &+ 1) }

    /// `5000-5001`, or `5000`.
    package var text: String { rtcp.map { "\(rtp)-\($0)" } ?? "\(rtp)" }
}

/// Two channels of an interleaved connection, RTP's and RTCP's.
package struct ChannelPair: Sendable, Hashable {
    /// RTP.
    package var rtp: UInt8
    /// RTCP; nil when only one number was given (`interleaved=0`).
    package var rtcp: UInt8?

    /// A pair.
    package init(rtp: UInt8, rtcp: UInt8? = nil) {
        self.rtp = rtp
        self.rtcp = rtcp
    }

    /// RTCP's channel as given, else the one above RTP's; nil when there is none above 255.
    package var rtcpChannel: UInt8? { rtcp ?? (rtp == .max ? nil : rtp &+ 1) }

    /// `0-1`, or `0`.
    package var text: String { rtcp.map { "\(rtp)-\($0)" } ?? "\(rtp)" }
}

/// One way of carrying media, as a client offers it or a server chose it (RFC 2326 section 12.39).
package struct TransportSpec: Sendable, Hashable {
    /// What carries the packets.
    package enum LowerTransport: Sendable, Hashable { case udp, tcp }
    /// What a session is for.
    package enum Mode: Sendable, Hashable {
        case play, record
        /// Any other word, in small letters.
        case other(String)
    }

    /// Protocol, profile and lower transport as spelled: `RTP/AVP`, `RTP/AVP/UDP`, `RTP/AVP/TCP`, `RTP/SAVP`, … An answer must
    /// repeat it literally: clients compare it.
    package var protocolToken: String
    /// Whether the spec says `multicast`. (`unicast` is the form without.)
    package var isMulticast = false
    /// Whether the spec says `unicast`.
    package var isUnicast = false
    /// Where media shall go; empty when the word stands without a value. Not to be trusted: see RFC 2326 section 12.39.
    package var destination: String?
    /// Where media comes from.
    package var source: String?
    /// Channels on the RTSP connection.
    package var interleaved: ChannelPair?
    /// Ports of a multicast group.
    package var port: PortPair?
    /// Ports of the client.
    package var clientPort: PortPair?
    /// Ports of the server.
    package var serverPort: PortPair?
    /// Time to live of multicast packets.
    package var ttl: UInt8?
    /// Number of multicast layers.
    package var layers: UInt16?
    /// Whether a recording shall be continued rather than replaced.
    package var append = false
    /// The synchronisation source of the media.
    package var ssrc: UInt32?
    /// What for; nil when not said, which means playing.
    package var mode: Mode?
    /// Whether RTP and RTCP share a port (RFC 5761, in the spelling of RFC 7826).
    package var rtcpMux = false
    /// How packets are protected ([MS-RTSP] 2.2.6.11), in hexadecimal; nil where none of its parameters is there.
    package var fec: FECOffer?
    /// Parameters that none of the above holds, as spelled, in order.
    package var others: [String] = []

    /// A spec of that protocol token.
    package init(protocolToken: String) { self.protocolToken = protocolToken }

    /// The profile in capital letters: `AVP`, `AVPF`, `SAVP`, …; empty if the token has none.
    package var profile: String {
        let parts = protocolToken.uppercased().utf8.split(separator: ASCII.slash)
        return parts.count > 1 ? String(decoding: Array(parts[1]), as: UTF8.self) : ""
    }

    /// Whether it is plain RTP, `RTP/AVP` or `RTP/AVPF` over UDP or TCP: what Weir can carry.
    package var isPlainRTP: Bool {
        let parts = protocolToken.uppercased().utf8.split(separator: ASCII.slash).map { String(decoding: Array($0), as: UTF8.self) }
        guard parts.count == 2 || parts.count == 3, parts[0] == "RTP", parts[1] == "AVP" || parts[1] == "AVPF" else { return false }
        return parts.count == 2 || parts[2] == "UDP" || parts[2] == "TCP"
    }

    /// UDP unless the token names TCP, or channels are given: the Escam Q6 answers `RTP/AVP;…;interleaved=0-1`.
    package var lowerTransport: LowerTransport {
        if protocolToken.uppercased().utf8.split(separator: ASCII.slash).dropFirst(2).first.map({ Array($0) == Array("TCP".utf8) }) ?? false
        {
            return .tcp
        }
        return interleaved == nil ? .udp : .tcp
    }
}

/// The `Transport` header.
package enum TransportHeader {
    /// Specs of one header that are looked at.
    package static let specCountMax = 16
    /// Parameters of one spec that are looked at.
    package static let parameterCountMax = 32

    private static let name = "Transport"

    /// The specs in the client's order of preference, at least one.
    ///
    /// Tolerated: blanks around everything (`ssrc= d6d6627` of Hikvision), a `;` at the end, quotes, any case, unknown
    /// parameters, an `ssrc` of up to eight digits. Refused: numbers that are negative, too large or no numbers.
    package static func parse(_ value: String) throws(RTSPHeaderError) -> [TransportSpec] {
        var specs: [TransportSpec] = []
        for part in value.byteSlice.splitOutsideQuotes(ASCII.comma) {
            let part = part.trimmed
            if part.isEmpty { continue }
            guard specs.count < specCountMax else { throw .tooMany(header: name, countMax: specCountMax) }
            specs.append(try spec(part))
        }
        guard !specs.isEmpty else { throw .empty(header: name) }
        return specs
    }

    private static func spec(_ bytes: ArraySlice<UInt8>) throws(RTSPHeaderError) -> TransportSpec {
        let parts = bytes.splitOutsideQuotes(ASCII.semicolon)
        let token = parts.first.map(\.trimmed) ?? []
        guard !token.isEmpty, token.allSatisfy({ ASCII.isToken($0) || $0 == ASCII.slash }) else {
            throw .malformed(header: name, parameter: "the protocol", value: RTSPFirstLine.excerpt(token))
        }
        guard parts.count <= parameterCountMax else { throw .tooMany(header: name, countMax: parameterCountMax) }
        var spec = TransportSpec(protocolToken: token.text)
        for part in parts.dropFirst() {
            let part = part.trimmed
            if part.isEmpty { continue }
            let (key, rest) = part.split(atFirst: ASCII.equals)
            try set(key.trimmed.lowercasedText, rest.map { $0.trimmed.unquoted.trimmed }, whole: part, of: &spec)
        }
        return spec
    }

    private static func set(
        _ key: String, _ value: ArraySlice<UInt8>?, whole: ArraySlice<UInt8>, of spec: inout TransportSpec
    ) throws(RTSPHeaderError) {
        switch (key, value) {
        case ("unicast", nil): spec.isUnicast = true
        case ("multicast", nil): spec.isMulticast = true
        case ("append", nil): spec.append = true
        case ("rtcp-mux", nil): spec.rtcpMux = true
        case ("destination", let value): spec.destination = try value.map { value throws(RTSPHeaderError) in try word(value, key) } ?? ""
        case ("source", let value?): spec.source = try word(value, key)
        case ("interleaved", let value?):
            let pair = try numbers(value, key, max: 255)
            spec.interleaved = ChannelPair(rtp: UInt8(truncatingIfNeeded: pair.0), rtcp: pair.1.map { UInt8(truncatingIfNeeded: $0) })
        case ("port", let value?): spec.port = try ports(value, key)
        case ("client_port", let value?): spec.clientPort = try ports(value, key)
        case ("server_port", let value?): spec.serverPort = try ports(value, key)
        case ("ttl", let value?): spec.ttl = UInt8(truncatingIfNeeded: try number(value, key, max: 255))
        case ("layers", let value?): spec.layers = UInt16(truncatingIfNeeded: try number(value, key, max: 65_535))
        case ("ssrc", let value?):
            guard let ssrc = ASCII.hexadecimal(value) else { throw malformed(key, value) }
            spec.ssrc = ssrc
        case ("mode", let value?):
            switch value.lowercasedText {
            case "play": spec.mode = .play
            case "record", "receive": spec.mode = .record
            case _: spec.mode = .other(try word(value, key).lowercased())
            }
        case ("fecspan", let value?): spec.fec = (spec.fec ?? FECOffer()).with(span: try byte(value, key))
        case ("fecperspan", let value?): spec.fec = (spec.fec ?? FECOffer()).with(perSpan: try byte(value, key))
        case ("fecburstmargin", let value?): spec.fec = (spec.fec ?? FECOffer()).with(burstMargin: try byte(value, key))
        default: spec.others.append(whole.text)
        }
    }

    private static func byte(_ value: ArraySlice<UInt8>, _ key: String) throws(RTSPHeaderError) -> UInt8 {
        guard let number = ASCII.hexadecimal(value) else { throw malformed(key, value) }
        guard let byte = UInt8(exactly: number) else {
            throw .outOfRange(header: name, parameter: key, value: RTSPFirstLine.excerpt(value), max: 255)
        }
        return byte
    }

    /// Text that can stand in a header again without quotes.
    private static func word(_ value: ArraySlice<UInt8>, _ key: String) throws(RTSPHeaderError) -> String {
        for byte in value where byte <= 0x20 || byte == 0x7F || "\";,\\".utf8.contains(byte) { throw malformed(key, value) }
        return value.text
    }

    private static func ports(_ value: ArraySlice<UInt8>, _ key: String) throws(RTSPHeaderError) -> PortPair {
        let pair = try numbers(value, key, max: 65_535)
        return PortPair(rtp: UInt16(truncatingIfNeeded: pair.0), rtcp: pair.1.map { UInt16(truncatingIfNeeded: $0) })
    }

    /// `a` or `a-b`.
    private static func numbers(_ value: ArraySlice<UInt8>, _ key: String, max: UInt64) throws(RTSPHeaderError) -> (UInt64, UInt64?) {
        let (first, second) = value.split(atFirst: ASCII.dash)
        guard let second else { return (try number(first, key, max: max), nil) }
        // "-5" is a negative number and "255-" half a pair: neither can be meant.
        guard !first.isEmpty, !second.isEmpty else { throw malformed(key, value) }
        return (try number(first.trimmed, key, max: max), try number(second.trimmed, key, max: max))
    }

    private static func number(_ value: ArraySlice<UInt8>, _ key: String, max: UInt64) throws(RTSPHeaderError) -> UInt64 {
        if let number = ASCII.decimal(value, max: max) { return number }
        if !value.isEmpty, value.allSatisfy(ASCII.isDigit) {
            throw .outOfRange(header: name, parameter: key, value: RTSPFirstLine.excerpt(value), max: max)
        }
        throw malformed(key, value)
    }

    private static func malformed(_ key: String, _ value: ArraySlice<UInt8>) -> RTSPHeaderError {
        .malformed(header: name, parameter: key, value: RTSPFirstLine.excerpt(value))
    }

    /// The header's value, specs in their order.
    package static func text(_ specs: [TransportSpec]) -> String {
        specs.map(text).joined(separator: ",")
    }

    /// One spec, in the order that RFC 2326 uses in its examples.
    package static func text(_ spec: TransportSpec) -> String {
        var parts = [spec.protocolToken]
        if spec.isUnicast { parts.append("unicast") }
        if spec.isMulticast { parts.append("multicast") }
        if let value = spec.destination { parts.append(value.isEmpty ? "destination" : "destination=\(value)") }
        if let value = spec.source { parts.append("source=\(value)") }
        if let value = spec.interleaved { parts.append("interleaved=\(value.text)") }
        if let value = spec.port { parts.append("port=\(value.text)") }
        if let value = spec.clientPort { parts.append("client_port=\(value.text)") }
        if let value = spec.serverPort { parts.append("server_port=\(value.text)") }
        if let value = spec.ttl { parts.append("ttl=\(value)") }
        if let value = spec.layers { parts.append("layers=\(value)") }
        if spec.append { parts.append("append") }
        if let value = spec.ssrc {
            let digits = String(value, radix: 16, uppercase: true)
            parts.append("ssrc=\(String(repeating: "0", count: 8 - digits.utf8.count))\(digits)")
        }
        switch spec.mode {
        case .play?: parts.append("mode=\"PLAY\"")
        case .record?: parts.append("mode=\"RECORD\"")
        case .other(let word)?: parts.append("mode=\"\(word)\"")
        case nil: break
        }
        if spec.rtcpMux { parts.append("RTCP-mux") }
        return (parts + fecParts(spec) + spec.others).joined(separator: ";")
    }

    private static func fecParts(_ spec: TransportSpec) -> [String] {
        guard let fec = spec.fec else { return [] }
        return [("FecSpan", fec.span), ("FecPerSpan", fec.perSpan), ("FecBurstMargin", fec.burstMargin)].compactMap { name, value in
            value.map { "\(name)=\(String($0, radix: 16))" }
        }
    }

    /// One spec in the order and the spelling of Windows Media: `RTP/AVP/UDP;unicast;server_port=…;client_port=…;ssrc=2f73682b;mode=PLAY`.
    package static func windowsMediaText(_ spec: TransportSpec) -> String {
        var parts = [spec.protocolToken]
        if spec.isUnicast { parts.append("unicast") }
        if let value = spec.source { parts.append("source=\(value)") }
        if let value = spec.serverPort { parts.append("server_port=\(value.text)") }
        if let value = spec.clientPort { parts.append("client_port=\(value.text)") }
        if let value = spec.interleaved { parts.append("interleaved=\(value.text)") }
        if let value = spec.ssrc {
            let digits = String(value, radix: 16)
            parts.append("ssrc=\(String(repeating: "0", count: 8 - digits.utf8.count))\(digits)")
        }
        switch spec.mode {
        case .play?: parts.append("mode=PLAY")
        case .record?: parts.append("mode=RECORD")
        case .other(let word)?: parts.append("mode=\(word)")
        case nil: break
        }
        return (parts + fecParts(spec)).joined(separator: ";")
    }
}
