import PlaneLink

extension Configuration {
    /// What does not fit together about paths of Windows Media, each with its key.
    var windowsMediaProblems: [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        for path in paths {
            func report(_ key: String, _ problem: String) { problems.append(("paths.\(path.name).\(key)", problem)) }
            if path.isBroadcast, !path.source.isWindowsMedia {
                report("broadcast", "it is about ASF files, and the path's source is none; leave it out")
            }
            var isList = false
            if case .playlist = path.source { isList = true }
            if case .template = path.source { isList = true }
            for key in isList ? [] : path.playlist.changed {
                report(key, "it is about playlists, and the path's source is none; leave it out")
            }
            guard path.source.isWindowsMedia else { continue }
            for (key, isSet) in [
                ("transform", !path.transforms.isEmpty), ("backups", !path.redundancy.backups.isEmpty), ("slate", path.slate != .off),
                ("tracks", !path.tracks.isAll), ("multicast", path.multicast != MulticastSettings()),
                ("register-at", !path.registerAt.isEmpty),
                ("parameters", path.parameters != .off),
            ] where isSet {
                report(key, "it is about RTP, and the path's source is Windows Media (ASF); leave it out")
            }
        }
        return problems
    }
}
