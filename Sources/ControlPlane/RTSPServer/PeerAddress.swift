import NIOCore
import PlaneLink

extension HostAddress {
    /// The host of an IPv4 or IPv6 address; nil for a UNIX socket.
    init?(_ address: SocketAddress?) {
        switch address {
        case .v4(let v4):
            self.init(ipv4: UInt32(bigEndian: v4.address.sin_addr.s_addr))
        case .v6(let v6):
            let bytes = unsafe withUnsafeBytes(of: v6.address.sin6_addr) { unsafe Array($0) }
            func word(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
            let high = word(0..<8)
            // The scope tells interfaces apart for link-local addresses (fe80::/10) alone.
            self.init(high: high, low: word(8..<16), scope: high >> 54 == 0x3FA ? v6.address.sin6_scope_id : 0)
        case .unixDomainSocket, nil:
            return nil
        }
    }

    /// The address as people write it; a mapped IPv4 address as IPv4.
    var text: String {
        if let ipv4 { return [24, 16, 8, 0].map { (shift: UInt32) in String(ipv4 >> shift & 0xFF) }.joined(separator: ".") }
        let groups = (0..<8).map { (group: Int) -> UInt16 in
            let half = group < 4 ? high : low
            return UInt16(truncatingIfNeeded: half >> UInt64((3 - group % 4) * 16))
        }
        // The longest run of two or more zero groups becomes `::` (RFC 5952 section 4.2).
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start) + 1
        }
        func join(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
        if best.isEmpty { return join(groups[...]) }
        return join(groups[..<best.lowerBound]) + "::" + join(groups[best.upperBound...])
    }
}
