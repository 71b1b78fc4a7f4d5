/// One track that a session set up.
package struct SessionTrack: Sendable, Equatable {
    /// How its packets travel between client and server.
    package enum Transport: Sendable, Equatable {
        /// The client's UDP ports; the same one twice where RTP and RTCP share it (RFC 5761).
        case datagram(rtp: UInt16, rtcp: UInt16)
        /// Channels of the RTSP connection (RFC 2326 section 10.12).
        case interleaved(rtp: UInt8, rtcp: UInt8)
        /// The ports of the path's multicast group, which all its multicast sessions share.
        case multicast(rtp: UInt16, rtcp: UInt16)

        /// What carries the packets, without numbers. One session uses one kind.
        package var kind: Kind {
            switch self {
            case .datagram: .datagram
            case .interleaved: .interleaved
            case .multicast: .multicast
            }
        }
        /// Whether it is the RTSP connection.
        package var isInterleaved: Bool { kind == .interleaved }
    }

    /// The ways that packets travel.
    package enum Kind: Sendable, Equatable, CaseIterable {
        case datagram, interleaved, multicast

        /// In words: the session's other tracks use …
        package var words: String {
            switch self {
            case .datagram: "UDP"
            case .interleaved: "the RTSP connection"
            case .multicast: "multicast"
            }
        }
    }

    /// Its number in the stream.
    package let number: Int
    /// The URL of its SETUP, literally: what RTP-Info must name it by.
    package let url: String
    /// How its packets travel.
    package let transport: Transport

    /// A track that was set up.
    package init(number: Int, url: String, transport: Transport) {
        self.number = number
        self.url = url
        self.transport = transport
    }
}
