/// How key frames are told in a track's payload; the engine's view of a codec.
public enum TrackCodec: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// A codec whose key frames the engine does not know, or audio: a reader may start at any packet.
    case opaque
    case h264, h265, av1, vp8, vp9, mpeg4Part2, mpeg12Video, jpeg, mp2t
}

/// What the engine needs to know of one track. The track's number is its place in the stream; its RTP travels on channel
/// `2 × number`, its RTCP on the next.
public struct TrackPlan: Sendable, BitwiseCopyable {
    /// RTP clock rate in Hz, at least 1.
    public var clockRate: UInt32
    /// How to find key frames.
    public var codec: TrackCodec
    /// The one SSRC that readers see for the life of the stream, whatever the source does.
    public var ssrc: UInt32
    /// Whether its packets may be cut into smaller ones; false where they carry decoding order numbers (H.264's `packetization-mode=2`,
    /// H.265's `sprop-max-don-diff`).
    public var mayBeFragmented = true

    /// A plan; a clock rate of 0 is taken as 90,000.
    public init(clockRate: UInt32, codec: TrackCodec, ssrc: UInt32) {
        self.clockRate = clockRate == 0 ? 90_000 : clockRate
        self.codec = codec
        self.ssrc = ssrc
    }

    /// A span of time in ticks of the track's clock. No clock rate that a description may name and no span make it overflow.
    @inlinable public func ticks(_ nanoseconds: UInt64) -> UInt64 {
        let rate = UInt64(clockRate)
        return nanoseconds / 1_000_000_000 &* rate &+ nanoseconds % 1_000_000_000 &* rate / 1_000_000_000
    }
}

/// How many tracks a stream can have; a fixed part of the link's layout (commands carry this many plans).
public let tracksPerStreamMax = 8
/// Two channels per track: RTP and RTCP.
public let channelsPerStreamMax = 16
