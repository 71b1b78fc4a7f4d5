/// What a probe found out about a stream.
package struct ProbeReport: Sendable {
    /// One track.
    package struct Track: Sendable {
        /// `video`, `audio`, …
        package var kind: String
        /// The codec, for people.
        package var codec: String
        /// The encoding as the description names it.
        package var encoding: String
        /// RTP payload type.
        package var payloadType: UInt8
        /// RTP clock in Hz.
        package var clockRate: UInt32
        /// RTP packets seen.
        package var packets: UInt64
        /// Sequence numbers skipped.
        package var lost: UInt64
        /// Payload bits per second; nil with less than two packets.
        package var bitsPerSecond: Double?
        /// Different RTP timestamps per second; nil with less than two.
        package var framesPerSecond: Double?
        /// Key frames seen; nil for codecs without.
        package var keyFrames: Int?
        /// Mean seconds between two of them by the RTP timestamps; nil with less than two.
        package var keyFrameSeconds: Double?
    }

    /// What was probed, without its password.
    package var source: String
    /// `tcp`, `udp` or `file`.
    package var transport: String
    /// Seconds of media or of listening.
    package var duration: Double
    /// The tracks in the description's order.
    package var tracks: [Track]
    /// The session description as it came.
    package var description: String

    /// The result as one JSON object.
    package var json: JSONValue {
        .members([
            "url": .text(source),
            "transport": .text(transport),
            "duration": .number(duration),
            "tracks": .array(
                tracks.map { track in
                    .members([
                        "kind": .text(track.kind),
                        "codec": .text(track.codec),
                        "encoding": .text(track.encoding),
                        "payload_type": .integer(Int64(track.payloadType)),
                        "clock_rate": .integer(Int64(track.clockRate)),
                        "packets": .count(track.packets),
                        "lost": .count(track.lost),
                        "bit_rate": .optional(track.bitsPerSecond?.rounded()),
                        "frame_rate": .optional(track.framesPerSecond),
                        "key_frames": track.keyFrames.map { .integer(Int64($0)) } ?? .null,
                        "key_frame_interval_s": .optional(track.keyFrameSeconds),
                    ])
                }),
            "sdp": .text(description),
        ])
    }

    /// The result for people.
    package var text: String {
        var lines = ["\(source) over \(transport), \(Self.decimal(duration)) s"]
        for (index, track) in tracks.enumerated() {
            var parts = ["\(index): \(track.kind) \(track.codec), \(track.clockRate) Hz, payload type \(track.payloadType)"]
            parts.append("\(track.packets) packets, \(track.lost) lost")
            if let rate = track.bitsPerSecond { parts.append("\(Self.decimal(rate / 1_000)) kbit/s") }
            if let rate = track.framesPerSecond, track.kind == "video" { parts.append("\(Self.decimal(rate)) frames/s") }
            if let count = track.keyFrames {
                parts.append(track.keyFrameSeconds.map { "a key frame every \(Self.decimal($0)) s" } ?? "\(count) key frames seen")
            }
            lines.append(parts.joined(separator: ", "))
        }
        return lines.joined(separator: "\n") + "\n\n" + description
    }

    private static func decimal(_ value: Double) -> String { String((value * 100).rounded() / 100) }
}
