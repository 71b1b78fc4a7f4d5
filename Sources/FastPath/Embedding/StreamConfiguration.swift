/// What a new stream of a ``Splitter`` is like.
public struct StreamConfiguration: Sendable {
    /// One to eight tracks. A track's number is its place here; RTP of track `n` is channel `2n`, its RTCP channel `2n + 1`.
    public var tracks: [TrackPlan]
    /// Bits per second of all tracks together, `1...10_000_000_000`, by which the memory for packets is reckoned. Nil:
    /// `Limits.bitRateDefault`. A source that sends more makes the window shorter, nothing else.
    public var bitRate: Int?
    /// How much of the past is kept for readers that are behind or join late, `1...60_000` milliseconds. Nil:
    /// `Limits.windowMilliseconds`.
    public var windowMilliseconds: Int?
    /// How readers are treated.
    public var policy: StreamPolicy

    /// A stream of these tracks, else with the defaults.
    public init(
        tracks: [TrackPlan], bitRate: Int? = nil, windowMilliseconds: Int? = nil, policy: StreamPolicy = StreamPolicy()
    ) {
        self.tracks = tracks
        self.bitRate = bitRate
        self.windowMilliseconds = windowMilliseconds
        self.policy = policy
    }
}

/// Where a reader begins.
public enum Beginning: Sendable, CaseIterable {
    /// At the next packet of any kind.
    case now
    /// At the newest key frame that the stream's `StreamPolicy.joinBurst` allows to go back to, else at the next one. Where the
    /// stream has no video track, or the reader did not set it up, the same as ``now``.
    case keyFrame
}

/// A multicast group as a source hears it.
public struct MulticastGroup: Sendable, Hashable {
    /// The group's address, IPv4 (224.0.0.0/4) or IPv6 (ff00::/8).
    public var address: HostAddress
    /// The port, 1 or more.
    public var port: UInt16
    /// The name of the interface to join at, such as `eth0`; nil: as the routes say.
    public var interface: String?
    /// The only sender to hear (source-specific multicast, RFC 4607); nil: any.
    public var source: HostAddress?

    /// A group, at the interface that the routes say, from any sender, unless told otherwise.
    public init(address: HostAddress, port: UInt16, interface: String? = nil, source: HostAddress? = nil) {
        self.address = address
        self.port = port
        self.interface = interface
        self.source = source
    }
}

/// Names the sockets that UDP readers are sent from; see ``Splitter/openDatagramSender(rtpPort:host:)``.
public struct SenderID: Hashable, Sendable {
    /// The slot, `0..<Limits.egressMax`.
    public let index: UInt32
    /// Counts the uses of the slot.
    public let generation: UInt32

    /// A name from its parts.
    public init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}
