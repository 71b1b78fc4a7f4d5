extension Configuration {
    /// What it names that nobody registered: keys, and what is wrong with them.
    func extensionProblems(_ extensions: RelayExtensions) -> [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        let transforms = Array(extensions.transforms.keys)
        for scheme in extensions.sources.keys.sorted() where !CustomURL.isScheme(scheme) || CustomURL.ownSchemes.contains(scheme) {
            let trouble = CustomURL.isScheme(scheme) ? "it is Weir's own" : "it is no scheme of a URL, in small letters"
            problems.append(("", "this program registers sources of the scheme `\(scheme)`: \(trouble)"))
        }
        for path in paths {
            func check(_ source: PathSettings.Source, _ key: String) {
                guard case .custom(let url) = source, extensions.sources[url.scheme] == nil else { return }
                let known = extensions.sources.isEmpty ? "" : "a URL with \(extensions.sources.keys.sorted().joined(separator: ", ")), "
                problems.append(
                    (
                        "paths.\(path.name).\(key)",
                        "a source of the kind `\(url.scheme)://` is not built; write \(known)an rtsp:// or mmsh:// URL, a file (.asf, .wmv, .rtpdump) or publish"
                    ))
            }
            check(path.source, "source")
            for backup in path.redundancy.backups { check(backup, "backups") }
            for rule in path.transforms {
                guard let use = rule.use, extensions.transforms[use] == nil else { continue }
                let words =
                    transforms.isEmpty
                    ? "this program has no transforms of its own (docs/embedding-relay.md); run a program with `exec:`"
                    : Suggestion.unknown(use, among: transforms)
                problems.append(("paths.\(path.name).transform.\(rule.name).use", "`\(use)` names no transform; \(words)"))
            }
        }
        return problems
    }
}
