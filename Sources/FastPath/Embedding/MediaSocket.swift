import Glibc

/// The UDP sockets that a ``Splitter`` opens itself.
enum MediaSocket {
    /// What is asked of the kernel for a receive and a send buffer; it grants what the system allows.
    private static let receiveBytesWanted: Int32 = 4 << 20
    private static let sendBytesWanted: Int32 = 8 << 20

    // What Glibc's module for Swift does not name.
    private static let ipv4All: Int32 = 49  // IP_MULTICAST_ALL
    private static let ipv6All: Int32 = 29  // IPV6_MULTICAST_ALL

    /// A bound UDP socket, not blocking. `HostAddress.any` takes IPv4 and IPv6 where the machine has both.
    static func open(host: HostAddress, port: UInt16, isShared: Bool = false, reusesAddress: Bool = false) throws(SplitterError) -> Int32 {
        if host == .any {
            do throws(SplitterError) { return try bound(host, port, isIPv4: false, isShared, reusesAddress) } catch .system(_, EAFNOSUPPORT)
            {
                return try bound(HostAddress(ipv4: 0), port, isIPv4: true, isShared, reusesAddress)
            }
        }
        return try bound(host, port, isIPv4: host.ipv4 != nil, isShared, reusesAddress)
    }

    private static func bound(
        _ host: HostAddress, _ port: UInt16, isIPv4: Bool, _ isShared: Bool, _ reusesAddress: Bool
    ) throws(SplitterError) -> Int32 {
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(isIPv4 ? AF_INET : AF_INET6, type, 0)
        guard descriptor >= 0 else { throw .system(what: "socket", errorNumber: errno) }
        if reusesAddress { set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) }
        if isShared { set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        if !isIPv4 { set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        var address = SocketAddressBytes(host: host, port: port, isIPv4Socket: isIPv4)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe bind(
                descriptor, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
                socklen_t(SocketAddressBytes.count(isIPv4Socket: isIPv4)))
        }
        guard result == 0 else {
            let number = errno
            Glibc.close(descriptor)
            throw .system(what: "bind to \(host.numericText) port \(port)", errorNumber: number)
        }
        return descriptor
    }

    /// Pairs of sockets at the same two ports, RTP on an even one and RTCP on the next: what is sent from any of them looks the same.
    /// No other program can join, or use the ports. `rtpPort` 0: the kernel chooses.
    static func openPairs(host: HostAddress, rtpPort: UInt16, count: Int) throws(SplitterError) -> (pairs: [(Int32, Int32)], port: UInt16) {
        var pairs: [(Int32, Int32)] = []
        do throws(SplitterError) {
            let first = try openPair(host: host, rtpPort: rtpPort)
            pairs.append(first)
            let port = self.port(of: first.0)
            share(pairs, true)
            for _ in 1..<max(count, 1) {
                let rtp = try open(host: host, port: port, isShared: true)
                do throws(SplitterError) { pairs.append((rtp, try open(host: host, port: port &+ 1, isShared: true))) } catch {
                    Glibc.close(rtp)
                    throw error
                }
            }
            share(pairs, false)
            for (rtp, rtcp) in pairs {
                widenSend(rtp)
                widenSend(rtcp)
            }
            return (pairs, port)
        } catch {
            for (rtp, rtcp) in pairs { close([rtp, rtcp]) }
            throw error
        }
    }

    private static func openPair(host: HostAddress, rtpPort: UInt16) throws(SplitterError) -> (Int32, Int32) {
        var last = SplitterError.system(what: "a pair of UDP ports", errorNumber: EADDRINUSE)
        for _ in 0..<(rtpPort == 0 ? 64 : 1) {
            let first = try open(host: host, port: rtpPort)
            let port = self.port(of: first)
            // The kernel gave an odd port: its even neighbour may be free as well.
            let isEven = port % 2 == 0
            do throws(SplitterError) {
                let other = try open(host: host, port: isEven ? port &+ 1 : port &- 1)
                return isEven ? (first, other) : (other, first)
            } catch {
                Glibc.close(first)
                last = error
            }
        }
        throw last
    }

    private static func share(_ pairs: [(Int32, Int32)], _ isShared: Bool) {
        for (rtp, rtcp) in pairs {
            set(rtp, SOL_SOCKET, SO_REUSEPORT, isShared ? 1 : 0)
            set(rtcp, SOL_SOCKET, SO_REUSEPORT, isShared ? 1 : 0)
        }
    }

    /// Closes sockets.
    static func close(_ descriptors: [Int32]) {
        for descriptor in descriptors { Glibc.close(descriptor) }
    }

    // MARK: Multicast

    /// How what a socket sends to groups leaves: by which interface, how far, and whether to this machine, too.
    static func prepareSending(
        _ descriptor: Int32, isIPv6: Bool, interface: Int32, timeToLive: UInt8, loops: Bool
    ) throws(SplitterError) {
        let level = isIPv6 ? Int32(IPPROTO_IPV6) : Int32(IPPROTO_IP)
        var isDone = set(descriptor, level, isIPv6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, Int32(timeToLive))
        isDone = set(descriptor, level, isIPv6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, loops ? 1 : 0) && isDone
        if isDone, interface > 0 {
            if isIPv6 {
                isDone = set(descriptor, level, IPV6_MULTICAST_IF, interface)
            } else {
                var request = ip_mreqn(imr_multiaddr: in_addr(), imr_address: in_addr(), imr_ifindex: interface)
                isDone = unsafe setsockopt(descriptor, level, IP_MULTICAST_IF, &request, socklen_t(MemoryLayout<ip_mreqn>.size)) == 0
            }
        }
        guard isDone else { throw .system(what: "multicast options of a socket", errorNumber: errno) }
    }

    /// A socket that hears a group and nothing else.
    static func open(group: MulticastGroup) throws(SplitterError) -> Int32 {
        let interface = try index(ofInterface: group.interface)
        let isIPv4 = group.address.ipv4 != nil
        if let source = group.source, (source.ipv4 != nil) != isIPv4 {
            throw .argument(name: "group.source", allowed: "of the same family (IPv4 or IPv6) as the group, or nil")
        }
        let local =
            isIPv4 || interface == 0
            ? group.address : HostAddress(high: group.address.high, low: group.address.low, scope: UInt32(interface))
        let descriptor = try open(host: local, port: group.port, reusesAddress: true)
        do throws(SplitterError) {
            try join(descriptor, group, interface)
            widenReceive(descriptor)
            return descriptor
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    private static func join(_ descriptor: Int32, _ group: MulticastGroup, _ interface: Int32) throws(SplitterError) {
        let isIPv4 = group.address.ipv4 != nil
        let level = isIPv4 ? Int32(IPPROTO_IP) : Int32(IPPROTO_IPV6)
        // Without this a socket also hears what others of this machine have joined on the same port, filters or not.
        set(descriptor, level, isIPv4 ? ipv4All : ipv6All, 0)
        let result: Int32
        if let source = group.source {
            var request = group_source_req()
            request.gsr_interface = UInt32(interface)
            request.gsr_group = storage(group.address, isIPv4)
            request.gsr_source = storage(source, isIPv4)
            result = unsafe setsockopt(
                descriptor, level, Int32(MCAST_JOIN_SOURCE_GROUP), &request, socklen_t(MemoryLayout<group_source_req>.size))
        } else {
            var request = group_req()
            request.gr_interface = UInt32(interface)
            request.gr_group = storage(group.address, isIPv4)
            result = unsafe setsockopt(descriptor, level, Int32(MCAST_JOIN_GROUP), &request, socklen_t(MemoryLayout<group_req>.size))
        }
        guard result == 0 else { throw .system(what: "join of \(group.address.numericText)", errorNumber: errno) }
    }

    private static func storage(_ host: HostAddress, _ isIPv4: Bool) -> sockaddr_storage {
        var storage = sockaddr_storage()
        let address = SocketAddressBytes(host: host, port: 0, isIPv4Socket: isIPv4)
        unsafe withUnsafeMutableBytes(of: &storage) { place in
            unsafe withUnsafeBytes(of: address) { unsafe place.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(place.count))) }
        }
        return storage
    }

    /// The number of an interface; 0 for none in particular.
    static func index(ofInterface name: String?) throws(SplitterError) -> Int32 {
        guard let name else { return 0 }
        let index = unsafe if_nametoindex(name)
        guard index > 0 else { throw .argument(name: "interface", allowed: "the name of an interface of this machine, or nil") }
        return Int32(bitPattern: index)
    }

    // MARK: What descriptors are

    /// A descriptor's socket type, or nil when it is no open socket.
    static func type(of descriptor: Int32) -> Int32? { get(descriptor, SOL_SOCKET, SO_TYPE) }

    /// Whether a descriptor is a bound or unbound IPv4 or IPv6 datagram socket.
    static func isDatagram(_ descriptor: Int32) -> Bool {
        guard type(of: descriptor) == Int32(SOCK_DGRAM.rawValue), let domain = get(descriptor, SOL_SOCKET, SO_DOMAIN) else { return false }
        return domain == AF_INET || domain == AF_INET6
    }

    /// Whether a descriptor is a connected stream socket.
    static func isConnectedStream(_ descriptor: Int32) -> Bool {
        guard type(of: descriptor) == Int32(SOCK_STREAM.rawValue) else { return false }
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getpeername(descriptor, $0, &size) == 0 }
        }
    }

    /// The port that a socket is bound to, or 0.
    static func port(of descriptor: Int32) -> UInt16 {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &size) }
        }
        guard result == 0 else { return 0 }
        // The port stands at the same place in both families' addresses.
        return unsafe withUnsafeBytes(of: storage) { unsafe UInt16($0[2]) << 8 | UInt16($0[3]) }
    }

    // MARK: Options

    /// Makes a receive buffer as large as wanted, or as allowed. FORCE passes the system's limit and needs CAP_NET_ADMIN.
    static func widenReceive(_ descriptor: Int32) {
        if !set(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, receiveBytesWanted) { set(descriptor, SOL_SOCKET, SO_RCVBUF, receiveBytesWanted) }
    }

    /// Has what arrives at sockets that nobody reads take next to no memory.
    static func narrowReceive(_ descriptors: [Int32]) {
        for descriptor in descriptors { set(descriptor, SOL_SOCKET, SO_RCVBUF, 1) }
    }

    private static func widenSend(_ descriptor: Int32) {
        if !set(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, sendBytesWanted) { set(descriptor, SOL_SOCKET, SO_SNDBUF, sendBytesWanted) }
    }

    @discardableResult
    private static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) -> Bool {
        var value = value
        return unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    private static func get(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return unsafe getsockopt(descriptor, level, name, &value, &size) == 0 ? value : nil
    }
}
