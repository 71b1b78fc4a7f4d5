import WireFormats

/// How a track's media is asked for.
package enum TrackOffer: Sendable, Equatable {
    /// To these UDP ports of ours.
    case datagrams(PortPair)
    /// On the RTSP connection, on channels 2 × track and the next.
    case interleaved
}

/// How the server said that it sends a track's media.
package enum TrackTransport: Sendable, Equatable {
    /// From these ports (nil or 0: it does not say) of `source` (nil: of the RTSP server).
    case datagrams(serverPorts: PortPair?, source: String?)
    /// On the RTSP connection, on these channels (RTCP nil: on none).
    case interleaved(rtp: UInt8, rtcp: UInt8?)
}
