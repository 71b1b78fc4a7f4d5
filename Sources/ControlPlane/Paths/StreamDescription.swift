import PlaneLink
import WireFormats

/// A stream's description as readers get it. There is a new value, with another ``version``, whenever the SDP changes.
struct StreamDescription: Sendable {
    /// One track.
    struct Track: Sendable, Equatable {
        /// Its place in the stream: RTP on channel 2 × number, RTCP on the next.
        let number: Int
        /// `trackID=0` and so on; for a publisher, what its own SDP says.
        let control: String
        /// What the engine knows of it.
        let plan: TrackPlan
        let codec: MediaCodec

        static func == (left: Self, right: Self) -> Bool {
            left.number == right.number && left.control == right.control && left.codec == right.codec
                && left.plan.clockRate == right.plan.clockRate
        }
    }

    /// Rewritten for readers: `a=control:trackID=N`, the relay's origin, nothing of the source's connection.
    var sdp: SessionDescription
    let tracks: [Track]
    let stream: StreamHandle
    /// Valid until the stream's end is observed; not to be read afterwards.
    let counters: StreamCounters
    var version: Int
    /// Which of the stream's legs whoever feeds it is; nil: it has none.
    var leg: Int?

    /// `H.264, AAC`.
    var words: String { tracks.map(\.codec.name).joined(separator: ", ") }
}
