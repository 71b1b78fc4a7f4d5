import PlaneLink
import WireFormats

extension Configuration {
    /// What does not fit together about paths of Windows Media, each with its key.
    var windowsMediaProblems: [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        for path in paths {
            func report(_ key: String, _ problem: String) { problems.append(("paths.\(path.name).\(key)", problem)) }
            if path.isBroadcast, !path.source.isWindowsMedia, !path.isPull {
                report("broadcast", "it is about ASF files, and the path's source is none; leave it out")
            }
            if path.remoteEvents != nil, !path.mayBeWindowsMedia {
                report("remote-events", "it is about Windows Media, and the path's source is none; leave it out")
            }
            if path.fec != nil, !path.mayBeWindowsMedia {
                report("fec", "it is about Windows Media, and the path's source is none; leave it out")
            }
            if path.serving != .proxy {
                if !path.hasOrigin {
                    report("serve", "it is about content that another server has, and the path's source is none; leave it out")
                } else if path.serving == .redirect, path.isBroadcast || path.dial != .onDemand {
                    let other = path.isBroadcast ? "broadcast: true" : "dial: \(path.dial.rawValue)"
                    report("serve", "with `\(other)` the source is pulled here, and redirect sends players to it; leave one of both out")
                } else if path.serving == .redirectWhenFull, path.distribution.readersMax == nil, distribution.readersMax == nil {
                    report("serve", "no `readers-max` says when it is full; write one")
                }
            }
            for key in path.cache.keys.sorted() {
                if !path.hasOrigin {
                    report(key, "it is about content that a server has on demand, and the path's source is none; leave it out")
                } else if path.isBroadcast || path.source.isWindowsMedia && path.dial != .onDemand {
                    let other = path.isBroadcast ? "broadcast: true" : "dial: \(path.dial.rawValue)"
                    report(key, "with `\(other)` all players see the same, and nothing is kept; leave one of both out")
                }
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

extension PathSettings {
    /// Whether its source is an RTSP server, which may turn out to have Windows Media.
    fileprivate var isPull: Bool {
        switch source {
        case .pull, .template: true
        default: false
        }
    }

    /// Whether its source is a server that may have something on demand.
    fileprivate var hasOrigin: Bool {
        if case .windowsMedia = source { return true }
        return isPull
    }

    /// Whether its source is Windows Media, or may turn out to be.
    fileprivate var mayBeWindowsMedia: Bool {
        if source.isWindowsMedia { return true }
        return switch source {
        case .pull, .template: true
        default: false
        }
    }
}

extension FECParameters {
    /// Reads `SPAN/PER-SPAN`.
    init(setting text: String) throws(ValueProblem) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let span = UInt8(parts[0]), let perSpan = UInt8(parts[1]),
            let parameters = FECParameters(span: span, perSpan: perSpan)
        else {
            throw ValueProblem(
                "write SPAN/PER-SPAN, as in 8/2: of 1 to \(FECParameters.spanMax) packets each, and 1 to SPAN packets of FEC for them")
        }
        self = parameters
    }
}
