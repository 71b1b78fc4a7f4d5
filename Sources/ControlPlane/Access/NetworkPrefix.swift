import PlaneLink

/// The addresses that begin alike: `192.168.1.0/24`, `fd00::/8`, or one alone.
package struct NetworkPrefix: Sendable, Hashable, CustomStringConvertible {
    /// The lowest address.
    let address: HostAddress
    /// Leading bits that count, of 128: an IPv4 address lies behind 96 others.
    let bits: Int
    /// As it was written.
    package let description: String

    /// Reads `ADDRESS` or `ADDRESS/BITS`.
    init(parsing text: String) throws(ValueProblem) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = HostAddress(numeric: String(parts[0])), host.scope == 0 else {
            throw ValueProblem("`\(text)` is no address; write one, such as 192.168.1.10, or a network, such as 192.168.1.0/24 or fd00::/8")
        }
        let width = host.ipv4 == nil ? 128 : 32
        var length = width
        if parts.count == 2 {
            length = try SettingValue.number(String(parts[1]), in: 0...width)
        }
        bits = length + 128 - width
        address = Self.masked(host, bits)
        guard address == host else {
            throw ValueProblem("`\(text)` has bits set behind the first \(length); the network is \(address.text)/\(length)")
        }
        description = text
    }

    /// Whether the address lies in it. The interface of a link-local address does not matter.
    func contains(_ host: HostAddress) -> Bool { Self.masked(host, bits) == address }

    /// The address with all but the leading bits put to 0.
    static func masked(_ host: HostAddress, _ bits: Int) -> HostAddress {
        HostAddress(
            high: host.high & ~(bits >= 64 ? 0 : UInt64.max >> UInt64(bits)),
            low: host.low & ~(bits >= 128 ? 0 : bits <= 64 ? UInt64.max : UInt64.max >> UInt64(bits - 64)))
    }
}
