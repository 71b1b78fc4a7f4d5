/// What stands before the packets of a recording: what the origin said of it, as text.
///
///     weir-recording 1
///     length 30000000
///     track 0 90000 3735928559
///     track 1 48000 17
///                                  (an empty line, and the origin's description)
package struct RecordingHead: Sendable, Hashable {
    /// Bytes that are looked at, at most.
    package static let bytesMax = SessionDescription.bytesMax + 4_096

    /// What is to be known of a track beside its media description.
    package struct Track: Sendable, Hashable {
        /// Its place among the description's media.
        package var media: Int
        /// Ticks per second of its timestamps.
        package var clockRate: UInt32
        /// The timestamp that stands for the media's beginning.
        package var base: UInt32

        /// A track.
        package init(media: Int, clockRate: UInt32, base: UInt32) {
            self.media = media
            self.clockRate = clockRate
            self.base = base
        }
    }

    /// The media's length by the origin's word.
    package var microseconds: Int64
    /// By number.
    package var tracks: [Track]
    /// What the origin described, as it came.
    package var description: SessionDescription

    /// A head.
    package init(microseconds: Int64, tracks: [Track], description: SessionDescription) {
        self.microseconds = microseconds
        self.tracks = tracks
        self.description = description
    }

    private static let magic = "weir-recording 1"

    /// The head's bytes.
    package func serialized() -> [UInt8] {
        var text = "\(Self.magic)\nlength \(microseconds)\n"
        for track in tracks { text += "track \(track.media) \(track.clockRate) \(track.base)\n" }
        return Array((text + "\n").utf8) + description.serialized()
    }

    /// The head that the bytes are.
    package init(_ bytes: [UInt8]) throws(RecordingError) {
        guard bytes.count <= Self.bytesMax else { throw .head("it has \(bytes.count) bytes") }
        var rest = bytes[...]
        func line() throws(RecordingError) -> [ArraySlice<UInt8>] {
            let (line, behind) = rest.split(atFirst: ASCII.lineFeed)
            guard let behind else { throw .head("it ends in a line") }
            rest = behind
            return line.split(separator: ASCII.space)
        }
        let first = try line()
        guard first.map(\.text).joined(separator: " ") == Self.magic else { throw .head("it does not begin with \(Self.magic)") }
        let length = try line()
        guard length.count == 2, length[0].text == "length",
            let microseconds = ASCII.decimal(length[1], max: UInt64(RecordedPacket.microsecondsMax))
        else { throw .head("it says no length") }
        self.microseconds = Int64(microseconds)
        tracks = []
        while true {
            let words = try line()
            if words.isEmpty { break }
            guard words.count == 4, words[0].text == "track", tracks.count < Int(RecordedPacket.tracksMax),
                let media = ASCII.decimal(words[1], max: UInt64(SessionDescription.mediaCountMax)),
                let clock = ASCII.decimal(words[2], max: UInt64(UInt32.max)), clock > 0,
                let base = ASCII.decimal(words[3], max: UInt64(UInt32.max))
            else { throw .head("line \(tracks.count + 3) is no track") }
            tracks.append(
                Track(media: Int(media), clockRate: UInt32(truncatingIfNeeded: clock), base: UInt32(truncatingIfNeeded: base)))
        }
        do throws(SDPError) { description = try SessionDescription(Array(rest)) } catch { throw .head(error.description) }
        guard !tracks.isEmpty, tracks.allSatisfy({ description.media.indices.contains($0.media) }) else { throw .head("it has no tracks") }
    }
}
