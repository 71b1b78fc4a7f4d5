/// An IPv4 or IPv6 host address as plain bytes, without a port. Crosses the link by value.
public struct HostAddress: Hashable, Sendable, BitwiseCopyable {
    /// Bytes 0–7 of the address, network order, read as a big-endian number. IPv4 is kept in its mapped form
    /// (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2), so equal hosts compare equal however they arrived.
    public let high: UInt64
    /// Bytes 8–15, read the same way.
    public let low: UInt64
    /// The interface of a link-local address, else 0.
    public let scope: UInt32

    /// An IPv6 address from its two halves; a mapped IPv4 address stays an IPv4 address.
    public init(high: UInt64, low: UInt64, scope: UInt32 = 0) {
        self.high = high
        self.low = low
        self.scope = scope
    }

    /// An IPv4 address, `a.b.c.d` as the number `a << 24 | b << 16 | c << 8 | d`.
    public init(ipv4: UInt32) {
        self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4))
    }

    /// No host in particular (`::`).
    public static let any = HostAddress(high: 0, low: 0)

    /// The IPv4 address when this is one, mapped or not.
    public var ipv4: UInt32? {
        high == 0 && low >> 32 == 0xFFFF ? UInt32(truncatingIfNeeded: low) : nil
    }
}
