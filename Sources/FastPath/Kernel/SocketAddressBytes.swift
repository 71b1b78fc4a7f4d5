import Glibc
import PlaneLink

/// A socket address as the kernel reads it: laid out as `sockaddr_in6`, or as `sockaddr_in` in its first 16 bytes.
struct SocketAddressBytes: BitwiseCopyable {
    private var family: UInt16
    private var port: UInt16
    /// The flow of an IPv6 address (0), or the IPv4 address, in network order.
    private var flowOrIPv4: UInt32
    private var high: UInt64
    private var low: UInt64
    private var scope: UInt32

    /// Fits both families.
    static let bytesMax = 28

    /// The address of a host as a socket of the given family needs it: IPv6 sockets take IPv4 hosts in mapped form.
    init(host: HostAddress, port: UInt16, isIPv4Socket: Bool) {
        self.port = port.bigEndian
        if isIPv4Socket {
            family = UInt16(AF_INET)
            flowOrIPv4 = UInt32(truncatingIfNeeded: host.low).bigEndian
            high = 0
            low = 0
            scope = 0
        } else {
            family = UInt16(AF_INET6)
            flowOrIPv4 = 0
            high = host.high.bigEndian
            low = host.low.bigEndian
            scope = host.scope
        }
    }

    static func count(isIPv4Socket: Bool) -> Int {
        isIPv4Socket ? 16 : bytesMax
    }

    /// The host and port of what the kernel wrote, or nil for another family.
    @unsafe static func read(_ name: UnsafeRawPointer, count: Int) -> (host: HostAddress, port: UInt16)? {
        guard count >= 16 else { return nil }
        let family = Int32(unsafe name.loadUnaligned(as: sa_family_t.self))
        let port = UInt16(bigEndian: unsafe name.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        if family == AF_INET {
            return (HostAddress(ipv4: UInt32(bigEndian: unsafe name.loadUnaligned(fromByteOffset: 4, as: UInt32.self))), port)
        }
        guard family == AF_INET6, count >= bytesMax else { return nil }
        let high = UInt64(bigEndian: unsafe name.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        let low = UInt64(bigEndian: unsafe name.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        // Only link-local addresses mean anything with a scope.
        let scope = high >> 54 == 0x3FA ? unsafe name.loadUnaligned(fromByteOffset: 24, as: UInt32.self) : 0
        return (HostAddress(high: high, low: low, scope: scope), port)
    }

    /// The host that a socket is connected to, or ``HostAddress/any``.
    static func peer(ofDescriptor descriptor: Int32) -> HostAddress {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { place in
            let address = UnsafeMutableRawPointer(place)
            guard unsafe getpeername(descriptor, address.assumingMemoryBound(to: sockaddr.self), &size) == 0 else { return .any }
            return unsafe read(UnsafeRawPointer(address), count: Int(size))?.host ?? .any
        }
    }

    /// Whether a socket is an IPv4 one.
    static func isIPv4(descriptor: Int32) -> Bool {
        var family: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return unsafe getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_INET
    }
}
