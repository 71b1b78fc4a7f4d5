import Signalling
import WireFormats

/// By what caches tell one version of a playlist from another: where whoever plays it is given the same, from the first entry to the last.
enum PlaylistEtag {
    /// Looks at the files, which blocks. Nil where two ways through it may differ: something of it is live, chosen, or goes by the time; and where
    /// something is not there.
    static func of(_ root: PlaylistNode) -> String? {
        var lines: [String] = []
        guard add(root, &lines), !lines.isEmpty else { return nil }
        let digest = SHA256.hash(lines.flatMap { Array($0.utf8) + [0x0A] })
        return "\"\(Hexadecimal.text(of: digest.prefix(12)))\""
    }

    private static func add(_ node: PlaylistNode, _ lines: inout [String]) -> Bool {
        guard node.timing == PlaylistTiming() else { return false }
        switch node.kind {
        case .alternatives, .exclusive: return false
        case .sequence(let nodes):
            lines.append("(\(node.descriptions)")
            for child in nodes { guard add(child, &lines) else { return false } }
            lines.append(")")
        case .media(let media):
            guard case .file(let name) = media.location, let version = WindowsMediaFile.version(of: name) else { return false }
            lines.append("\(name) \(version.inode) \(version.byteCount) \(version.modified)")
            lines.append(
                "\(media.name ?? "") \(media.role ?? "") \(media.forbidsSkipping) \(media.forbidsReceding) "
                    + "\(media.clipBegin ?? 0) \(media.clipEnd ?? .max) \(node.descriptions)")
        }
        return true
    }
}
