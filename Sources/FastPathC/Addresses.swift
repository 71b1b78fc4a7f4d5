import CFastPath
import FastPath
import Glibc

/// A host and port out of a socket address; `.any` and 0 for NULL.
@unsafe func hostAndPort(_ address: UnsafePointer<sockaddr>?, _ length: socklen_t, _ name: String) throws(Failure) -> (HostAddress, UInt16)
{
    guard let address = unsafe address else { return (.any, 0) }
    let bytes = unsafe UnsafeRawBufferPointer(start: address, count: Int(length))
    guard bytes.count >= MemoryLayout<sa_family_t>.size else { throw Failure(argument: "\(name)_length is \(length)") }
    switch Int32(unsafe bytes.loadUnaligned(as: sa_family_t.self)) {
    case AF_INET where bytes.count >= MemoryLayout<sockaddr_in>.size:
        let ipv4 = unsafe bytes.loadUnaligned(as: sockaddr_in.self)
        return (HostAddress(ipv4: UInt32(bigEndian: ipv4.sin_addr.s_addr)), UInt16(bigEndian: ipv4.sin_port))
    case AF_INET6 where bytes.count >= MemoryLayout<sockaddr_in6>.size:
        let ipv6 = unsafe bytes.loadUnaligned(as: sockaddr_in6.self)
        let halves = unsafe withUnsafeBytes(of: ipv6.sin6_addr) { half in
            unsafe (half.loadUnaligned(as: UInt64.self), half.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        let host = HostAddress(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1), scope: ipv6.sin6_scope_id)
        return (host, UInt16(bigEndian: ipv6.sin6_port))
    case AF_INET, AF_INET6:
        throw Failure(argument: "\(name)_length is \(length), too short for an address of its family")
    default:
        throw Failure(argument: "\(name) must be an IPv4 or IPv6 address (AF_INET, AF_INET6)")
    }
}

/// The same of an address that must be there.
@unsafe func requiredHostAndPort(
    _ address: UnsafePointer<sockaddr>?, _ length: socklen_t, _ name: String
) throws(Failure) -> (HostAddress, UInt16) {
    guard unsafe address != nil else { throw Failure(argument: "\(name) is NULL") }
    return try unsafe hostAndPort(address, length, name)
}

/// The wire channels of a connection; NULL: each its own number.
@unsafe func channelMap(_ channels: UnsafePointer<Int16>?, _ count: Int) throws(Failure) -> ChannelMap {
    guard let channels = unsafe channels else { return ChannelMap(identity: Int(FP_CHANNELS_MAX)) }
    guard (0...Int(FP_CHANNELS_MAX)).contains(count) else { throw Failure(argument: "channel_count must be 0 to \(FP_CHANNELS_MAX)") }
    var map = ChannelMap()
    for channel in 0..<count {
        let wire = unsafe channels[channel]
        guard (-1...255).contains(wire) else { throw Failure(argument: "channels[\(channel)] is \(wire), and must be -1 to 255") }
        map[channel] = UInt8(exactly: wire)
    }
    return map
}

/// The ports of a reader; NULL: one after the other from `first`.
@unsafe func portMap(_ ports: UnsafePointer<UInt16>?, _ count: Int, first: UInt16) throws(Failure) -> PortMap {
    var map = PortMap()
    guard let ports = unsafe ports else {
        guard first > 0, first <= UInt16.max - UInt16(FP_CHANNELS_MAX) else {
            throw Failure(argument: "address has port \(first); without ports it must be 1 to \(UInt16.max - UInt16(FP_CHANNELS_MAX))")
        }
        for channel in 0..<Int(FP_CHANNELS_MAX) { map[channel] = first + UInt16(channel) }
        return map
    }
    guard (0...Int(FP_CHANNELS_MAX)).contains(count) else { throw Failure(argument: "port_count must be 0 to \(FP_CHANNELS_MAX)") }
    for channel in 0..<count { map[channel] = unsafe ports[channel] }
    return map
}

/// A name of the program's; nil for NULL.
@unsafe func string(_ text: UnsafePointer<CChar>?) -> String? { unsafe text.map { unsafe String(cString: $0) } }
