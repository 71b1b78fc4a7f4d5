import Signalling

extension PathSettings {
    /// The stored media of its RTSP server is kept.
    var keepsStoredMedia: Bool {
        guard case .pull = source else { return false }
        return cache.keeping == .yes || cache.keeping == .force
    }
}

extension Configuration {
    /// What cannot be together with stored media that is kept; each reader of it has its own place.
    var recordingProblems: [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        for path in paths where path.keepsStoredMedia {
            if case .pull(let url) = path.source, url.isTunnelled {
                problems.append(
                    (
                        "paths.\(path.name).source",
                        "with `cache` the media of an RTSP server is taken over TCP, and not through HTTP: write rtsp://"
                    )
                )
            }
            for (key, isSet) in [
                ("dial", path.dial != .onDemand), ("transform", !path.transforms.isEmpty),
                ("backups", !path.redundancy.backups.isEmpty), ("slate", path.slate != .off),
                ("multicast", path.multicast != MulticastSettings()),
            ] where isSet {
                problems.append(
                    (
                        "paths.\(path.name).\(key)",
                        "with `cache` each reader plays the media of an RTSP server from its own "
                            + "place, and this is about what all see at the same time; leave out one of the two"
                    ))
            }
        }
        return problems
    }
}
