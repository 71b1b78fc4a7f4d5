/// The `Transport` header of REGISTER and DEREGISTER, which are LIVE555's: how a back end wants its stream to be fetched, and what the
/// proxy shall call it. It has nothing but its name in common with the header of SETUP.
package struct RegisterHeader: Sendable, Hashable {
    /// How media is to be asked for.
    package enum Delivery: String, Sendable, CaseIterable { case udp, interleaved }

    /// The connection that brought REGISTER is to be used for everything: the proxy sends its DESCRIBE there.
    package var reusesConnection = false
    /// Nil: not said, which LIVE555 takes for UDP.
    package var delivery: Delivery?
    /// The name at the proxy; nil: the proxy chooses.
    package var suffix: String?

    /// Parameters of one header that are looked at.
    package static let parameterCountMax = 16
    /// Longest suffix.
    package static let suffixBytesMax = 255

    private static let name = "Transport"

    /// A header.
    package init(reusesConnection: Bool = false, delivery: Delivery? = nil, suffix: String? = nil) {
        self.reusesConnection = reusesConnection
        self.delivery = delivery
        self.suffix = suffix
    }

    /// Reads a value. Tolerated: any order and case, blanks, quotes, a `;` at either end, parameters that are not known, and a delivery
    /// that is neither word (then none was said). Refused: a suffix that is too long or cannot stand in a header again.
    package init(parsing value: String) throws(RTSPHeaderError) {
        let parts = value.byteSlice.splitOutsideQuotes(ASCII.semicolon)
        guard parts.count <= Self.parameterCountMax else { throw .tooMany(header: Self.name, countMax: Self.parameterCountMax) }
        for part in parts {
            let (key, rest) = part.trimmed.split(atFirst: ASCII.equals)
            let value = rest.map { $0.trimmed.unquoted.trimmed }
            switch (key.trimmed.lowercasedText, value) {
            case ("reuse_connection", nil): reusesConnection = true
            case ("preferred_delivery_protocol", let value?): delivery = Delivery(rawValue: value.lowercasedText)
            case ("proxy_url_suffix", let value?) where !value.isEmpty:
                guard value.count <= Self.suffixBytesMax, value.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"\";,\\".utf8.contains($0) }) else {
                    throw .malformed(header: Self.name, parameter: "proxy_url_suffix", value: RTSPFirstLine.excerpt(value))
                }
                suffix = value.text
            default: break
            }
        }
    }

    /// The header's value, spelled as LIVE555 does: its parser knows no quotes and compares `reuse_connection` by its letters. Empty
    /// when nothing is said.
    package var text: String {
        var parts: [String] = []
        if reusesConnection { parts.append("reuse_connection") }
        if let delivery { parts.append("preferred_delivery_protocol=\(delivery.rawValue)") }
        if let suffix { parts.append("proxy_url_suffix=\(suffix)") }
        return parts.joined(separator: "; ")
    }
}
