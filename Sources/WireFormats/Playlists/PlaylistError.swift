/// What is wrong with a playlist: where, and what would be right.
package struct PlaylistError: Error, Sendable, Hashable, CustomStringConvertible {
    /// From 1; nil for the file as a whole.
    package var line: Int?
    /// As it stands in the file.
    package var element: String?
    package var attribute: String?
    package var problem: String
    /// The limit that was met, where it was one: ``PlaylistLimits``' name for it.
    package var limit: String?

    /// An error.
    package init(line: Int?, element: String? = nil, attribute: String? = nil, _ problem: String, limit: String? = nil) {
        self.line = line
        self.element = element
        self.attribute = attribute
        self.problem = problem
        self.limit = limit
    }

    /// `7: <media clipBegin>: …`, to be put behind the file's name and a colon.
    package var description: String {
        let place = [element, attribute].compactMap { $0 }.joined(separator: " ")
        return (line.map { "\($0): " } ?? "") + (place.isEmpty ? "" : "<\(place)>: ") + problem
    }

    /// A value of the file in an error: its beginning, without what a terminal would act upon.
    static func shown(_ value: String) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in value.unicodeScalars.prefix(64) {
            shown.append(
                scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format ? "\u{FFFD}" : scalar)
        }
        return String(shown) + (value.unicodeScalars.count > 64 ? "…" : "")
    }
}

/// How much a playlist may be.
package struct PlaylistLimits: Sendable, Hashable {
    /// Bytes of one file.
    package var bytesMax = 1 << 20
    /// Elements of one document, those of nested playlists and directories included.
    package var entriesMax = 10_000
    /// Elements within elements in one file.
    package var nestingMax = 32
    /// Playlists and directories within playlists.
    package var depthMax = 8
    /// Attributes of one element.
    package var attributesMax = 64

    /// The defaults.
    package init() {}
}
