import PlaneLink

/// What becomes of RTP packets that are too large for UDP readers, and of pictures whose source dies.
package struct PacketSettings: Sendable, Equatable {
    /// What becomes of them.
    package enum Oversize: String, Sendable, CaseIterable {
        /// H.264 and H.265 are cut into smaller packets; a stream with others is refused to UDP readers (461), which take TCP.
        case fragment
        /// Nothing is cut; the stream is refused to UDP readers.
        case refuse
        /// Nothing is cut and nobody is refused: the system sends such packets in IP fragments.
        case pass
    }

    /// What becomes of them.
    package var oversize = Oversize.fragment
    /// The largest RTP packet, in bytes, that UDP readers are sent: what an Ethernet frame holds over IPv4, and what FFmpeg sends.
    package var bytesMax = 1_472

    /// Whether readers get pictures when all of their packets are there, rather than packets as they come.
    package var wholePictures = false

    /// The bounds of ``bytesMax``: below, heads would take too much of a packet; above, no datagram is possible.
    package static let bytesMaxRange = 512...65_507

    /// The defaults.
    package init() {}
}

extension PathSettings {
    /// The keys of a path that say what becomes of large packets, and of pictures that are not whole.
    static let packetFields: [Field<PathSettings>] = [
        Field(key: "udp-packet-max") { (path, text) throws(ValueProblem) in
            path.packets.bytesMax = try SettingValue.number(text, in: PacketSettings.bytesMaxRange)
        },
        Field(key: "oversize") { (path, text) throws(ValueProblem) in
            path.packets.oversize = try SettingValue.word(text, of: PacketSettings.Oversize.self)
        },
        Field(key: "whole-pictures") { (path, text) throws(ValueProblem) in path.packets.wholePictures = try SettingValue.flag(text) },
    ]

    /// How the engine is to treat the path's stream.
    var policy: StreamPolicy {
        var policy = readers.policy
        policy.packetBytesMax = UInt32(clamping: packets.bytesMax)
        policy.fragments = packets.oversize == .fragment
        return policy
    }
}
