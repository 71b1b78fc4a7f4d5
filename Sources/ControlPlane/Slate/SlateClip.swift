import PlaneLink
import WireFormats

/// A recording that can stand in for a source.
struct SlateClip {
    let clip: Clip
    private let name: String

    /// Opens the file; throws what is wrong with it.
    init(file name: String) throws(ValueProblem) {
        let clip: Clip
        do throws(Clip.Trouble) { clip = try Clip.read(name) } catch { throw ValueProblem(error.description) }
        try self.init(clip, name: name)
    }

    /// A recording whose video begins with a key frame, and brings its parameter sets along: no reader has its description.
    init(_ clip: Clip, name: String) throws(ValueProblem) {
        self.clip = clip
        self.name = name
        for (number, media) in Self.media(of: clip).enumerated() where media.codec.keyFrameCodec != .opaque {
            guard media.codec.hasRepeatableKeyFrames else {
                throw ValueProblem("\(name): \(media.codec.name) cannot be spliced into a stream; use H.264, H.265, AV1, VP8, VP9 or JPEG")
            }
            try check(number, media.codec)
        }
    }

    private func check(_ track: Int, _ codec: MediaCodec) throws(ValueProblem) {
        var marks: FrameMarks = []
        for packet in clip.packets where packet.track == track {
            let span = clip.bytes.span.extracting(packet.offset..<(packet.offset + packet.length))
            guard let header = try? RTPHeader(span) else { continue }
            marks.formUnion(
                frameMarks(codec: codec.keyFrameCodec, payload: span.extracting(header.payloadOffset..<header.payloadEnd)))
            guard marks.contains(.startsKeyFrame) else {
                throw ValueProblem("\(name): its \(codec.name) does not begin with a key frame; cut it there")
            }
            if marks.contains(.keyPicture) { break }
        }
        let needsSets = codec == .h264 || codec == .h265
        guard !needsSets || marks.isSuperset(of: [.parameterSets, .keyPicture]) else {
            throw ValueProblem(
                "\(name): its \(codec.name) has no parameter sets in front of its first key frame, and readers have those of the path's "
                    + "source; record it with them in band (ffmpeg: -bsf:v dump_extra)")
        }
    }

    private static func media(of clip: Clip) -> [MediaDescription] {
        clip.description.receivableMedia.prefix(tracksPerStreamMax).map { clip.description.media[$0] }
    }

    /// How the clip's tracks become a stream's.
    struct Fit: Equatable {
        /// Wire channels: 2 × track of the clip.
        var channels = ChannelMap()
        /// By the clip's tracks; nil: left out.
        var payloadTypes: [UInt8?]
        /// Tracks of the stream that the clip has nothing for.
        var silent: [String] = []
    }

    /// Finds a track of the clip for each of the stream's. Its video must be there; audio that it has nothing for stays silent. Throws
    /// why the clip cannot be used.
    func fit(_ description: StreamDescription) throws(ValueProblem) -> Fit {
        let own = Self.media(of: clip)
        var fit = Fit(payloadTypes: Array(repeating: nil, count: own.count))
        for (track, media) in zip(description.tracks, description.sdp.media) {
            let found = own.indices.first { fit.payloadTypes[$0] == nil && Self.isAlike(own[$0], media) }
            guard let found, let type = media.payloadTypes.first else {
                guard track.codec.keyFrameCodec == .opaque else {
                    throw ValueProblem(
                        "\(name) has no \(track.codec.name) with a clock of \(media.clockRate) Hz, as the source sends it; it has "
                            + own.map { "\($0.codec.name) with \($0.clockRate) Hz" }.joined(separator: ", "))
                }
                fit.silent.append(track.codec.name)
                continue
            }
            fit.payloadTypes[found] = type
            fit.channels[2 * track.number] = UInt8(truncatingIfNeeded: 2 * found)
        }
        return fit
    }

    private static func isAlike(_ left: MediaDescription, _ right: MediaDescription) -> Bool {
        guard left.codec == right.codec, left.clockRate == right.clockRate, left.kind == right.kind else { return false }
        // Video brings its parameters along; audio is decoded by what the description says of it.
        guard left.codec.keyFrameCodec == .opaque else { return true }
        guard left.format?.channels ?? 1 == right.format?.channels ?? 1 else { return false }
        return ["mode", "config", "sizelength", "indexlength", "indexdeltalength", "cpresent", "configuration"].allSatisfy {
            left.formatParameter($0)?.lowercased() == right.formatParameter($0)?.lowercased()
        }
    }
}
