import PlaneLink
import WireFormats

/// Which track of a stream each media of a source feeds. A source knows its media by their places among those that a relay takes
/// (``SessionDescription/receivableMedia``); a stream's tracks keep their numbers whatever order its source names them in.
struct TrackMap: Sendable, Equatable {
    /// By place; nil for media that are left out.
    private var numbers: [Int?]

    /// A map of these track numbers, by place.
    init(_ numbers: [Int?]) { self.numbers = numbers }

    /// How many media the source has, those that are left out too.
    var count: Int { numbers.count }

    /// The track that a media feeds; nil when it is left out, and for places that there are not.
    subscript(place: Int) -> Int? { numbers.indices.contains(place) ? numbers[place] : nil }

    /// The place of the media that feeds a track; nil when none does.
    func place(ofTrack number: Int) -> Int? { numbers.firstIndex { $0 == number } }

    /// The media that are taken, in the source's order, with their tracks.
    var taken: [(place: Int, track: Int)] { numbers.enumerated().compactMap { place, track in track.map { (place, $0) } } }

    /// For a source whose frames come on the channels 2 × place (RTP) and the next (RTCP).
    var channels: ChannelMap {
        var map = ChannelMap()
        for (place, track) in taken {
            map[2 * track] = UInt8(truncatingIfNeeded: 2 * place)
            map[2 * track + 1] = UInt8(truncatingIfNeeded: 2 * place + 1)
        }
        return map
    }
}
