#if canImport(WireFormats)
    import WireFormats
#endif

extension FuzzEntry {
    static func playlist(_ bytes: [UInt8]) {
        var limits = PlaylistLimits()
        limits.bytesMax = 4_096
        limits.entriesMax = 64
        limits.nestingMax = 8
        limits.attributesMax = 8
        _ = Playlist.isOne(Array(bytes.prefix(256)))
        let list: Playlist
        do throws(PlaylistError) { list = try Playlist(bytes, limits: limits) } catch {
            check(!error.problem.isEmpty, "an error without words")
            check(error.line ?? 1 >= 1, "a line before the first")
            return check(isHarmless(error.description), "a control character on its way to a terminal")
        }
        check(list.ignored.allSatisfy(isHarmless), "a control character on its way to a log")
        var elements = 0
        func walk(_ node: PlaylistNode, _ depth: Int) {
            elements += 1
            check(depth < limits.nestingMax, "deeper than the limit")
            check(node.line >= 1, "no line")
            if let media = node.media {
                check(!media.source.isEmpty, "media without a source")
                check(node.children.isEmpty, "media with children")
            }
            for child in node.children { walk(child, depth + 1) }
        }
        walk(list.root, 0)
        check(elements <= limits.entriesMax, "more elements than the limit")
        check(list.ignored.count <= 64, "too many warnings")
    }

    private static func isHarmless(_ text: String) -> Bool {
        !text.unicodeScalars.contains { $0.properties.generalCategory == .control || $0.properties.generalCategory == .format }
    }
}
