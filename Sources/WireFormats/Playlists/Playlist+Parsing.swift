extension Playlist {
    /// Reads a playlist: `.wsx` or ASX, told by its outermost element. Throws where it stands what is wrong.
    package init(_ bytes: [UInt8], limits: PlaylistLimits = PlaylistLimits()) throws(PlaylistError) {
        guard bytes.count <= limits.bytesMax else {
            throw PlaylistError(
                line: nil, "it has \(bytes.count) bytes; a playlist has up to \(limits.bytesMax)", limit: "bytesMax")
        }
        let text = try MarkupText.decoded(bytes)
        let root = try MarkupReader.read(text, limits: limits)
        switch root.name {
        case "smil":
            var builder = WSXBuilder(limits: limits)
            let node = try builder.container(root)
            self.init(form: .wsx, root: node, ignored: builder.ignored)
        case "asx":
            var builder = ASXBuilder()
            let node = try builder.root(root)
            self.init(form: .asx, root: node, ignored: builder.ignored)
        default:
            throw PlaylistError(
                line: root.line, element: root.name, "this is no playlist: the outermost element is <smil> (.wsx) or <asx> (ASX)")
        }
    }

    /// Whether bytes begin as a playlist does, whatever the file is called.
    package static func isOne(_ beginning: [UInt8]) -> Bool {
        // The end may have been cut in the middle of a character.
        let even = beginning.dropLast(beginning.count % 2)
        for bytes in [beginning, Array(even)] {
            guard let text = try? MarkupText.decoded(bytes) else { continue }
            let lowered = text.map(ASCII.lowercased)
            for tag in ["<smil", "<asx", "<?wsx"] where lowered.end(ofFirst: tag) != nil { return true }
        }
        return false
    }
}

/// What was passed over, each kind once.
struct PassedOver {
    private(set) var words: [String] = []
    private var seen: Set<String> = []
    private static let max = 64

    mutating func note(_ what: String, line: Int) {
        guard seen.count < Self.max, seen.insert(what).inserted else { return }
        words.append("\(line): \(PlaylistError.clean(what))")
    }
}
