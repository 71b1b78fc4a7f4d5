import Glibc

extension HostAddress {
    /// A numeric address: `192.0.2.7` or `2001:db8::7`, with the interface behind `%` where it is link-local (`fe80::1%eth0`). Nil for
    /// anything else; names are not looked up, so nothing waits.
    public init?(parsing text: String) {
        var ipv4 = in_addr()
        if unsafe inet_pton(AF_INET, text, &ipv4) == 1 {
            self.init(ipv4: UInt32(bigEndian: ipv4.s_addr))
            return
        }
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var ipv6 = in6_addr()
        guard unsafe inet_pton(AF_INET6, String(parts[0]), &ipv6) == 1 else { return nil }
        var scope: UInt32 = 0
        if parts.count == 2 {
            scope = unsafe UInt32(parts[1]) ?? if_nametoindex(String(parts[1]))
            guard scope > 0 else { return nil }
        }
        let halves = unsafe withUnsafeBytes(of: ipv6) { bytes in
            unsafe (
                UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        self.init(high: halves.0, low: halves.1, scope: scope)
    }

    /// The address as numbers: `192.0.2.7`, `2001:db8::7`, `fe80::1%2`.
    public var numericText: String {
        if let ipv4 { return "\(ipv4 >> 24).\(ipv4 >> 16 & 0xFF).\(ipv4 >> 8 & 0xFF).\(ipv4 & 0xFF)" }
        var bytes = (high.bigEndian, low.bigEndian)
        var text = [CChar](repeating: 0, count: 64)
        guard unsafe inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count)) != nil else { return "::" }
        let number = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: number, as: UTF8.self) + (scope > 0 ? "%\(scope)" : "")
    }

    /// Whether it names a group (RFC 5771, RFC 4291 section 2.7).
    var isGroup: Bool { ipv4.map { $0 >> 28 == 0xE } ?? (high >> 56 == 0xFF) }
}
