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
        self.element = element.map(Self.clean)
        self.attribute = attribute.map(Self.clean)
        self.problem = Self.clean(problem)
        self.limit = limit
    }

    /// `7: <media clipBegin>: …`, to be put behind the file's name and a colon.
    package var description: String {
        let place = [element, attribute].compactMap { $0 }.joined(separator: " ")
        return (line.map { "\($0): " } ?? "") + (place.isEmpty ? "" : "<\(place)>: ") + problem
    }

    /// A value of the file in an error: its beginning.
    static func shown(_ value: String) -> String {
        clean(String(String.UnicodeScalarView(value.unicodeScalars.prefix(64)))) + (value.unicodeScalars.count > 64 ? "…" : "")
    }

    /// Without what a terminal would act upon.
    static func clean(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isUnseen) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { isUnseen($0) ? "\u{FFFD}" : $0 }))
    }

    private static func isUnseen(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
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
    /// Instants of one `begin` or `end`.
    package var instantsMax = 64

    /// The defaults.
    package init() {}
}
