import PlaneLink
import WireFormats

/// A stream's description as readers get it. There is a new value, with another ``version``, whenever the SDP changes.
struct StreamDescription: Sendable {
    /// One track.
    struct Track: Sendable, Equatable {
        /// Its number in the stream: RTP on channel 2 × number, RTCP on the next. Not its place in the description: tracks come and go.
        let number: Int
        /// `trackID=0` and so on, the same as long as the stream has the track; for a publisher, what its own SDP says.
        let control: String
        /// What the engine knows of it.
        let plan: TrackPlan
        let codec: MediaCodec

        static func == (left: Self, right: Self) -> Bool {
            left.number == right.number && left.control == right.control && left.codec == right.codec
                && left.plan.clockRate == right.plan.clockRate && left.plan.ssrc == right.plan.ssrc
        }
    }

    /// Rewritten for readers: `a=control:trackID=N`, the relay's origin, nothing of the source's connection.
    var sdp: SessionDescription
    /// In the order of the description.
    let tracks: [Track]
    /// What the media feed of the source that this was made for.
    var map: TrackMap
    /// The codecs of media that the source has and the path leaves out.
    let leftOut: [String]
    /// What readers know the stream by in RTCP (the CNAME), whatever becomes of its tracks; as the engine says it.
    let canonicalName: String
    let stream: StreamHandle
    /// Valid until the stream's end is observed; not to be read afterwards.
    let counters: StreamCounters
    var version: Int
    /// Where reports on it go; nil: nobody wants to hear of them.
    var scope: ReportScope?
    /// Which of the stream's legs whoever feeds it is; nil: it has none.
    var leg: Int?

    /// The track of that number; nil when the stream has none just now.
    func track(_ number: Int) -> Track? { tracks.first { $0.number == number } }

    /// Whether what a player set up by this description goes on as it was by another one of the same stream.
    func keeps(_ numbers: [Int], in next: StreamDescription) -> Bool {
        numbers.allSatisfy { number in
            guard let before = track(number), let after = next.track(number) else { return false }
            return before.plan.ssrc == after.plan.ssrc
        }
    }

    /// `H.264, AAC`.
    var words: String { tracks.map(\.codec.name).joined(separator: ", ") }
}
