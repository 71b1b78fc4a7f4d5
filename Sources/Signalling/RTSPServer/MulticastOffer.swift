/// One track's part of a path's multicast group, as SETUP is answered with it.
package struct MulticastOffer: Sendable, Equatable {
    /// The group's numeric address, without brackets.
    package var group: String
    /// The port that the track's RTP is sent to; RTCP's is the one above.
    package var port: UInt16
    /// Time to live (IPv4) or hop limit (IPv6).
    package var ttl: UInt8
    /// Whether readers may have the path by multicast only.
    package var isOnly: Bool

    /// A part of a group.
    package init(group: String, port: UInt16, ttl: UInt8, isOnly: Bool = false) {
        self.group = group
        self.port = port
        self.ttl = ttl
        self.isOnly = isOnly
    }
}
