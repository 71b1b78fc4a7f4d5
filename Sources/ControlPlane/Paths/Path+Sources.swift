import Signalling

/// What its source is.
extension Path {
    /// The ASF file that its players each have a place in; nil for other paths.
    var windowsMediaFile: WindowsMediaFileSource? { source as? WindowsMediaFileSource }

    /// Windows Media elsewhere, of whatever kind; nil for other paths.
    var windowsMediaProxy: WindowsMediaProxy? { source as? WindowsMediaProxy }

    /// Live Windows Media; nil for other paths, and while it is not known to be live.
    var windowsMediaLive: (any WindowsMediaLive)? { windowsMediaProxy?.live ?? source as? any WindowsMediaLive }

    /// What is served is ASF, not RTP: so its settings say, or its source turned out to be.
    var isWindowsMedia: Bool { settings.source.isWindowsMedia || windowsMediaProxy != nil || windowsMediaLive != nil }

    /// An RTSP server that has not said yet whether it has RTP or Windows Media.
    var mayBeWindowsMedia: Bool {
        guard case .pull = settings.source else { return false }
        return live == nil && stage == nil && settings.redundancy.backups.isEmpty
    }

    /// It never said anything, either.
    var isUndecided: Bool { mayBeWindowsMedia && !hasBeenRTP && !isWindowsMedia }

    /// The playlist that it plays; nil for other paths.
    var programme: PlaylistProgramme? { (source as? any PlaylistOwner)?.programme }

    /// What keeps the stored media of the path's server; nil for other paths.
    var cachedPull: RTSPCachedPull? { source as? RTSPCachedPull }
}
