import WireFormats

/// How a track's media is asked for.
package enum TrackOffer: Sendable, Equatable {
    /// To these UDP ports of ours.
    case datagrams(PortPair)
    /// On the RTSP connection, on channels 2 × track and the next.
    case interleaved
    /// To a group that the server chooses.
    case multicast
}

/// How the server said that it sends a track's media.
package enum TrackTransport: Sendable, Equatable {
    /// From these ports (nil or 0: it does not say) of `source` (nil: of the RTSP server).
    /// With `isMultiplexed` RTCP travels on RTP's ports (RFC 5761).
    case datagrams(serverPorts: PortPair?, source: String?, isMultiplexed: Bool = false)
    /// On the RTSP connection, on these channels (RTCP nil: on none).
    case interleaved(rtp: UInt8, rtcp: UInt8?)
    /// To a group.
    case multicast(GroupAddress)
}

/// Where a server sends a track by multicast. Addresses are as spelled; nobody has looked whether they are any.
package struct GroupAddress: Sendable, Equatable {
    /// The group.
    package var group: String
    /// Its ports; RTP's is not 0.
    package var ports: PortPair
    /// Who sends; nil when neither SETUP's answer nor the description says it.
    package var source: String?

    /// An address.
    package init(group: String, ports: PortPair, source: String? = nil) {
        self.group = group
        self.ports = ports
        self.source = source
    }
}
