import Glibc
import NIOCore
import PlaneLink

/// The socket options of multicast, for both address families (RFC 3493, RFC 3678).
enum GroupSocket {
    /// Whom to hear of a group.
    enum Senders: Equatable {
        case all
        case only([HostAddress])
        case allBut([HostAddress])
    }

    // What Glibc's module for Swift does not name.
    private static let ipv4All: CInt = 49  // IP_MULTICAST_ALL
    private static let ipv6All: CInt = 29  // IPV6_MULTICAST_ALL

    /// How what a socket sends to groups leaves: by which interface (nil: as the routes say), how far, and whether to this machine, too.
    static func prepareSending(
        _ descriptor: CInt, isIPv6: Bool, interface: NetworkInterface?, ttl: UInt8, loops: Bool
    ) throws(MulticastTrouble) {
        let level = isIPv6 ? CInt(IPPROTO_IPV6) : CInt(IPPROTO_IP)
        var isDone = BoundSocket.set(descriptor, level, isIPv6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, CInt(ttl))
        isDone = BoundSocket.set(descriptor, level, isIPv6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, loops ? 1 : 0) && isDone
        guard isDone else { throw MulticastTrouble("the kernel refuses multicast options: \(words(errno))") }
        guard let interface else { return }
        if isIPv6 {
            isDone = BoundSocket.set(descriptor, level, IPV6_MULTICAST_IF, interface.index)
        } else {
            var request = ip_mreqn(imr_multiaddr: in_addr(), imr_address: in_addr(), imr_ifindex: interface.index)
            isDone = unsafe setsockopt(descriptor, level, IP_MULTICAST_IF, &request, socklen_t(MemoryLayout<ip_mreqn>.size)) == 0
        }
        guard isDone else { throw MulticastTrouble("the interface \(interface.name) cannot send multicast: \(words(errno))") }
    }

    /// Joins a group at an interface (nil: as the routes say). The membership ends with the socket.
    static func join(
        _ descriptor: CInt, group: HostAddress, interface: NetworkInterface?, senders: Senders
    ) throws(MulticastTrouble) {
        let isIPv6 = group.ipv4 == nil
        let level = isIPv6 ? CInt(IPPROTO_IPV6) : CInt(IPPROTO_IP)
        // Without this a socket also hears what others of this machine have joined on the same port, filters or not.
        BoundSocket.set(descriptor, level, isIPv6 ? ipv6All : ipv4All, 0)
        let index = UInt32(interface?.index ?? 0)
        guard let address = group.socketAddress(port: 0) else { throw MulticastTrouble("\(group.text) is no group") }
        switch senders {
        case .only(let sources):
            for source in sources { try joinSource(descriptor, level, CInt(MCAST_JOIN_SOURCE_GROUP), index, address, group, source) }
        case .all, .allBut:
            var request = group_req()
            request.gr_interface = index
            request.gr_group = address.storage
            guard unsafe setsockopt(descriptor, level, CInt(MCAST_JOIN_GROUP), &request, socklen_t(MemoryLayout<group_req>.size)) == 0
            else {
                throw refused(group, nil)
            }
            if case .allBut(let sources) = senders {
                for source in sources { try joinSource(descriptor, level, CInt(MCAST_BLOCK_SOURCE), index, address, group, source) }
            }
        }
    }

    private static func joinSource(
        _ descriptor: CInt, _ level: CInt, _ option: CInt, _ index: UInt32, _ address: SocketAddress, _ group: HostAddress,
        _ source: HostAddress
    ) throws(MulticastTrouble) {
        guard (source.ipv4 == nil) == (group.ipv4 == nil), let from = source.socketAddress(port: 0) else {
            throw MulticastTrouble("the source \(source.text) is not of the same family (IPv4 or IPv6) as the group \(group.text)")
        }
        var request = group_source_req()
        request.gsr_interface = index
        request.gsr_group = address.storage
        request.gsr_source = from.storage
        let result = unsafe setsockopt(descriptor, level, option, &request, socklen_t(MemoryLayout<group_source_req>.size))
        guard result == 0 else { throw refused(group, source) }
    }

    private static func refused(_ group: HostAddress, _ source: HostAddress?) -> MulticastTrouble {
        let what = source.map { "\(group.text) with the source \($0.text)" } ?? group.text
        switch errno {
        case ENODEV:
            return MulticastTrouble("cannot join \(what): no route leads to it; name an interface (`interface=eth0`), or add a route")
        case ENOBUFS:
            return MulticastTrouble(
                "cannot join \(what): the system allows no more memberships for one socket (sysctl net.ipv4.igmp_max_memberships, "
                    + "net.ipv4.igmp_max_msf)")
        default: return MulticastTrouble("cannot join \(what): \(words(errno))")
        }
    }

    /// The address that packets to a group come from, as the routes and these options say.
    static func source(
        of group: HostAddress, port: UInt16, interface: NetworkInterface?
    ) throws(MulticastTrouble) -> HostAddress {
        let isIPv6 = group.ipv4 == nil
        let descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw MulticastTrouble("no socket: \(words(errno))") }
        defer { close(descriptor) }
        try prepareSending(descriptor, isIPv6: isIPv6, interface: interface, ttl: 1, loops: true)
        guard let address = group.socketAddress(port: port) else { throw MulticastTrouble("\(group.text) is no group") }
        guard unsafe address.withSockAddr({ pointer, size in unsafe connect(descriptor, pointer, socklen_t(size)) }) == 0 else {
            throw MulticastTrouble(
                "cannot send to \(group.text): \(words(errno)); name an interface (multicast-interface), or add a route "
                    + "(`ip route add \(isIPv6 ? "ff00::/8" : "224.0.0.0/4") dev eth0`)")
        }
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &size) }
        }
        guard result == 0, let host = HostAddress(storage) else { throw MulticastTrouble("no source address: \(words(errno))") }
        return host
    }

    static func words(_ errorNumber: CInt) -> String { unsafe String(cString: strerror(errorNumber)) }
}

extension HostAddress {
    /// The host of what the kernel wrote; nil for another family than IPv4 and IPv6.
    init?(_ storage: sockaddr_storage) {
        let bytes = unsafe withUnsafeBytes(of: storage) { unsafe Array($0.prefix(28)) }
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch CInt(storage.ss_family) {
        case AF_INET: self.init(ipv4: UInt32(truncatingIfNeeded: number(4..<8)))
        case AF_INET6: self.init(high: number(8..<16), low: number(16..<24))
        default: return nil
        }
    }
}

extension SocketAddress {
    /// As the structure that both families fit in.
    fileprivate var storage: sockaddr_storage {
        var storage = sockaddr_storage()
        unsafe withSockAddr { pointer, size in
            unsafe withUnsafeMutableBytes(of: &storage) { unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: size)) }
        }
        return storage
    }
}
