import Signalling
import WireFormats

/// How much a path's playlist may be. Each limit has its key in the configuration; what meets one is counted under that.
package struct PlaylistSettings: Sendable, Equatable {
    /// Of what is read.
    package var limits = PlaylistLimits()
    /// Of those who go through it.
    package var historyMax = PlaylistCursor.Settings().historyMax
    /// Entries that are pulled from elsewhere at a time, all readers together.
    package var pullsMax = 64

    /// The defaults.
    package init() {}

    /// For a way through it.
    var cursor: PlaylistCursor.Settings {
        var settings = PlaylistCursor.Settings()
        settings.historyMax = historyMax
        return settings
    }

    /// A limit's key, for its name in ``PlaylistLimits``.
    static func key(of limit: String) -> String { keys[limit] ?? limit }

    private static let keys = [
        "bytesMax": "playlist-bytes", "entriesMax": "playlist-entries", "nestingMax": "playlist-nesting", "depthMax": "playlist-depth",
        "attributesMax": "playlist-attributes", "instantsMax": "playlist-instants",
    ]

    /// The key of what viewers cannot go back to any more.
    static let historyKey = "playlist-history"
    /// The key of what is pulled at a time.
    static let pullsKey = "playlist-pulls"

    /// Keys that say something else than the defaults.
    var changed: [String] {
        let own = Self()
        return [
            ("playlist-bytes", limits.bytesMax != own.limits.bytesMax), ("playlist-entries", limits.entriesMax != own.limits.entriesMax),
            ("playlist-nesting", limits.nestingMax != own.limits.nestingMax), ("playlist-depth", limits.depthMax != own.limits.depthMax),
            ("playlist-attributes", limits.attributesMax != own.limits.attributesMax),
            ("playlist-instants", limits.instantsMax != own.limits.instantsMax), (Self.historyKey, historyMax != own.historyMax),
            (Self.pullsKey, pullsMax != own.pullsMax),
        ].filter(\.1).map(\.0)
    }
}

extension PathSettings {
    /// The keys of a path about its playlist.
    static let playlistFields: [Field<PathSettings>] = [
        Field(key: "playlist-bytes") { (path, text) throws(ValueProblem) in
            let bytes = try SettingValue.bytes(text)
            guard bytes <= 64 << 20 else { throw ValueProblem("`\(text)` is too much; a playlist has up to 64MiB") }
            path.playlist.limits.bytesMax = bytes
        },
        Field(key: "playlist-entries") { (path, text) throws(ValueProblem) in
            path.playlist.limits.entriesMax = try SettingValue.number(text, in: 1...100_000)
        },
        Field(key: "playlist-nesting") { (path, text) throws(ValueProblem) in
            path.playlist.limits.nestingMax = try SettingValue.number(text, in: 1...128)
        },
        Field(key: "playlist-depth") { (path, text) throws(ValueProblem) in
            path.playlist.limits.depthMax = try SettingValue.number(text, in: 1...32)
        },
        Field(key: "playlist-attributes") { (path, text) throws(ValueProblem) in
            path.playlist.limits.attributesMax = try SettingValue.number(text, in: 1...1_024)
        },
        Field(key: "playlist-instants") { (path, text) throws(ValueProblem) in
            path.playlist.limits.instantsMax = try SettingValue.number(text, in: 1...1_024)
        },
        Field(key: "playlist-history") { (path, text) throws(ValueProblem) in
            path.playlist.historyMax = try SettingValue.number(text, in: 0...1_024)
        },
        Field(key: "playlist-pulls") { (path, text) throws(ValueProblem) in
            path.playlist.pullsMax = try SettingValue.number(text, in: 0...10_000)
        },
    ]
}
