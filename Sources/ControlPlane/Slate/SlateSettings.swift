import WireFormats

/// What readers are sent while a path's source is away.
package enum SlateSettings: Sendable, Equatable {
    /// Nothing: the picture stands, and players wait as long as they please. The default, since nobody should take the past for the
    /// present who has not asked for it.
    case off
    /// The source's last key frame, again and again.
    case lastKeyFrame
    /// A recording (rtpdump), in a loop.
    case clip(String)

    /// Reads `off`, `last-key-frame` or the name of an rtpdump file.
    init(_ text: String) throws(ValueProblem) {
        switch text {
        case "off", "false", "no": self = .off
        case "last-key-frame": self = .lastKeyFrame
        case _ where text.hasSuffix(".rtpdump"): self = .clip(text)
        default: throw ValueProblem("`\(text)` is not known; write off, last-key-frame or a file that ends in .rtpdump")
        }
    }

    /// `off`, `last-key-frame` or the file.
    var words: String {
        switch self {
        case .off: "off"
        case .lastKeyFrame: "last-key-frame"
        case .clip(let file): file
        }
    }
}

extension PathSettings {
    /// The keys of a path's slate.
    static let slateFields: [Field<PathSettings>] = [
        Field(key: "slate") { (path, text) throws(ValueProblem) in path.slate = try SlateSettings(text) },
        Field(key: "slate-after") { (path, text) throws(ValueProblem) in
            let milliseconds = try SettingValue.milliseconds(text, max: 60_000)
            guard milliseconds >= Slate.afterMillisecondsMin else {
                throw ValueProblem("`\(text)` is too short; a source that hesitates is not away: at least \(Slate.afterMillisecondsMin)ms")
            }
            path.slateAfterMilliseconds = milliseconds
        },
    ]
}

extension MediaCodec {
    /// Whether a decoder takes a key frame of this codec again at any place, as it is. Not those whose frames carry a clock or a
    /// continuity counter of their own (MPEG-TS, MPEG-1/2 video, MPEG-4 Part 2).
    var hasRepeatableKeyFrames: Bool {
        switch self {
        case .h264, .h265, .av1, .vp8, .vp9, .jpeg: true
        default: false
        }
    }
}
