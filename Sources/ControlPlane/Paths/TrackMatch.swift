import WireFormats

/// What makes a media the same track to a player that set it up: with any of this changed its packets mean something else to it.
struct TrackShape: Sendable, Equatable {
    let kind: String
    let codec: MediaCodec
    /// Hz, not 0.
    let clockRate: UInt32
    /// Audio channels; 1 where nothing says it.
    let channels: UInt16
    /// The one that packets carry; nil where the description names none.
    let payloadType: UInt8?
    /// What an audio decoder must know beforehand and never hears again. Video repeats its parameter sets in its packets.
    let audioSetup: String?
    /// Its packets carry decoding order numbers, and are stored as they come.
    let hasDecodingOrderNumbers: Bool

    /// The shape of a media.
    init(_ media: MediaDescription) {
        kind = media.kind.lowercased()
        codec = media.codec
        clockRate = max(media.clockRate, 1)
        channels = media.format?.channels ?? 1
        payloadType = media.payloadTypes.first
        audioSetup =
            kind == "audio" ? (media.formatParameter("config") ?? media.formatParameter("configuration"))?.lowercased() : nil
        hasDecodingOrderNumbers = media.hasDecodingOrderNumbers
    }
}

extension TrackShape {
    /// How it differs from a track of a stream, in words.
    func difference(from track: TrackShape, track number: Int) -> String {
        func words<Value>(_ value: Value?) -> String { value.map { "\($0)" } ?? "none" }
        if codec != track.codec { return "track \(number) is \(codec.name) instead of \(track.codec.name)" }
        if kind != track.kind { return "track \(number) is \(kind) instead of \(track.kind)" }
        if clockRate != track.clockRate { return "the clock rate of track \(number) is \(clockRate) instead of \(track.clockRate)" }
        if channels != track.channels { return "track \(number) has \(channels) channels instead of \(track.channels)" }
        if payloadType != track.payloadType {
            return "the payload type of track \(number) is \(words(payloadType)) instead of \(words(track.payloadType))"
        }
        if hasDecodingOrderNumbers != track.hasDecodingOrderNumbers {
            return "track \(number) comes \(hasDecodingOrderNumbers ? "with" : "without") decoding order numbers"
        }
        return "the decoder's setup of track \(number) is \(words(audioSetup)) instead of \(words(track.audioSetup))"
    }
}

/// Finds in a new description the tracks that a stream has already.
enum TrackMatch {
    /// For each media the index of the track that it goes on with: one of the same shape, the first of equals for the first, each
    /// once; nil where there is none. `tracks` are in the order in which they are to be taken.
    static func match(_ media: [TrackShape], to tracks: [TrackShape]) -> [Int?] {
        var free = Set(tracks.indices)
        return media.map { shape in
            let found = tracks.indices.first { free.contains($0) && tracks[$0] == shape }
            if let found { free.remove(found) }
            return found
        }
    }
}
