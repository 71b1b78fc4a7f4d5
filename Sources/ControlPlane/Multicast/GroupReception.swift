import NIOCore
import PlaneLink
import Signalling

/// How a group is received that an RTSP server named.
enum GroupReception {
    /// Where to join: at the interface of that name, else at the one that the connection uses. Nil (as the routes say) for a server on
    /// this machine: what it sends to a group does not travel the way the connection does.
    static func interface(named name: String?, local: SocketAddress?) throws(MulticastTrouble) -> NetworkInterface? {
        if let name { return try NetworkInterface.named(name) }
        guard let host = HostAddress(local), !host.isLoopback else { return nil }
        return NetworkInterface.holding(host)
    }

    /// What to join and whom to hear: the sender that the server names, if that can be; else, of a source-specific group, the server
    /// (which may have other addresses than the connection's); else everybody.
    static func plan(_ address: GroupAddress, server: SocketAddress) throws(MulticastTrouble) -> ReceptionPlan.Track {
        guard let group = HostAddress(numeric: address.group), group.isMulticast else {
            throw MulticastTrouble("the server answers with `\(address.group.prefix(64))`, which is no multicast group")
        }
        guard let rtcp = address.ports.rtcpPort, rtcp > 0, address.ports.rtp > 0, rtcp != address.ports.rtp else {
            throw MulticastTrouble("the server names no two ports of the group (port=\(address.ports.text))")
        }
        let server = HostAddress(server)
        let named = address.source.flatMap { HostAddress(numeric: $0) }.flatMap {
            $0.isUnspecified || $0.isMulticast || $0.isLoopback ? nil : $0
        }
        // A server behind an address translator names an address that its packets do not have when they come here.
        let isTrusted = named.map { $0.isGlobal || server?.isGlobal == false } ?? false
        let sender = isTrusted ? named : group.isSourceSpecific ? server.flatMap { $0.isLoopback ? nil : $0 } : nil
        let senders: GroupSocket.Senders
        if let sender, (sender.ipv4 == nil) == (group.ipv4 == nil) {
            senders = .only([sender])
        } else if group.isSourceSpecific {
            throw MulticastTrouble("\(group.text) is a source-specific group (RFC 4607), and the server does not say who sends to it")
        } else {
            senders = .all
        }
        return ReceptionPlan.Track(address: group, rtpPort: address.ports.rtp, rtcpPort: rtcp, senders: senders)
    }
}
