/// Whether what came is all there is of media whose length is known, track by track.
///
/// A track's end is known when the origin said goodbye on it (RTCP BYE), when its last packet is of the media's described end, or when another
/// track has come to that end and the origin, which is there and answers, sends nothing more of any. That a connection closed, or broke, says
/// nothing.
struct RecordingCoverage {
    private struct Track {
        let name: String
        /// Others (text, data) are silent for as long as they have nothing to say.
        let isContinuous: Bool
        var first: Int64?
        var last: Int64 = 0
    }

    /// The media's length.
    private let microseconds: Int64
    private var tracks: [Track]
    /// The latest time.
    private(set) var reach: Int64 = -1

    /// What is missing at the beginning and at the end of whole media, at most: servers round its length, and the last packet begins
    /// before it ends.
    static let tailMicroseconds: Int64 = 1_500_000

    /// `kinds`: of the tracks, in SDP's words.
    init(microseconds: Int64, kinds: [String]) {
        self.microseconds = microseconds
        tracks = kinds.map { Track(name: $0, isContinuous: $0 == "audio" || $0 == "video") }
    }

    /// A packet came.
    mutating func take(_ track: Int, at time: Int64) {
        guard tracks.indices.contains(track) else { return }
        if tracks[track].first == nil { tracks[track].first = time }
        tracks[track].last = max(tracks[track].last, time)
        reach = max(reach, time)
    }

    /// Some packet is of the media's end, or of what is behind it.
    var reachesEnd: Bool { reach >= 0 && reach >= microseconds - Self.tailMicroseconds }

    /// Why it is not whole; nil where it is. `goodbyes`: the tracks of which the origin has no more, by its word; `isSilent`: it has no more of any,
    /// as it is there and sends nothing.
    func trouble(goodbyes: [Bool], isSilent: Bool = false) -> String? {
        guard reachesEnd else { return "the end is missing" }
        guard reach <= microseconds + Self.tailMicroseconds else { return "there are packets of a time behind the media's end" }
        for (track, saidGoodbye) in zip(tracks, goodbyes) {
            guard let first = track.first else {
                if track.isContinuous, !saidGoodbye { return "nothing came of \(track.name)" }
                continue
            }
            guard track.isContinuous else { continue }
            guard abs(first) <= Self.tailMicroseconds else { return "the beginning of \(track.name) is missing" }
            guard saidGoodbye || isSilent || track.last >= microseconds - Self.tailMicroseconds else {
                return "the end of \(track.name) is missing"
            }
        }
        return nil
    }
}
