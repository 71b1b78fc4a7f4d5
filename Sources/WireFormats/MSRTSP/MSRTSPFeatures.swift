/// What can be done with content: the tokens of `a=type` ([MS-RTSP] 2.2.5.1).
package struct MSRTSPFeatures: NamedTokens, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// All see the same at the same time.
    package static let broadcast = MSRTSPFeatures(rawValue: 1 << 0)
    /// The last entry of a playlist.
    package static let lastEntry = MSRTSPFeatures(rawValue: 1 << 1)
    /// Play may not begin elsewhere than at the beginning.
    package static let notSeekable = MSRTSPFeatures(rawValue: 1 << 2)
    /// Play may not have a rate other than 1.
    package static let notStridable = MSRTSPFeatures(rawValue: 1 << 3)
    /// An entry of a playlist that the server keeps.
    package static let playlist = MSRTSPFeatures(rawValue: 1 << 4)
    /// The entry before may be asked for.
    package static let skipBackward = MSRTSPFeatures(rawValue: 1 << 5)
    /// The entry behind may be asked for.
    package static let skipForward = MSRTSPFeatures(rawValue: 1 << 6)

    static let names: [(MSRTSPFeatures, String)] = [
        (.broadcast, "broadcast"), (.lastEntry, "lastentry"), (.notSeekable, "notseekable"), (.notStridable, "notstridable"),
        (.playlist, "playlist"), (.skipBackward, "skipbackward"), (.skipForward, "skipforward"),
    ]

    /// The tokens of a list; unknown ones are left out.
    package init(_ text: String) {
        self = []
        for word in text.byteSlice.split(whereSeparator: { $0 == ASCII.comma || ASCII.isBlank($0) }) { insert(named: word) }
    }

    /// The list; empty where there is nothing to say.
    package var text: String { text(separator: ",") }

    /// The same as WMSP says it.
    package init(_ features: WMSPFeatures) {
        self = []
        if features.contains(.broadcast) { insert(.broadcast) }
        if features.contains(.last) { insert(.lastEntry) }
        if !features.contains(.seekable) { insert(.notSeekable) }
        if !features.contains(.stridable) { insert(.notStridable) }
        if features.contains(.playlist) { insert(.playlist) }
        if features.contains(.skipBackward) { insert(.skipBackward) }
        if features.contains(.skipForward) { insert(.skipForward) }
    }

    /// The same for WMSP.
    package var wmsp: WMSPFeatures {
        var features: WMSPFeatures = []
        if contains(.broadcast) { features.insert(.broadcast) }
        if contains(.lastEntry) { features.insert(.last) }
        if !contains(.notSeekable) { features.insert(.seekable) }
        if !contains(.notStridable) { features.insert(.stridable) }
        if contains(.playlist) { features.insert(.playlist) }
        if contains(.skipBackward) { features.insert(.skipBackward) }
        if contains(.skipForward) { features.insert(.skipForward) }
        return features
    }
}
