import NIOCore
import PlaneLink

extension WindowsMediaPlayer {
    /// How this player's media goes to it, as status calls it.
    static let transportWord = "http"

    /// What an operator may know of it.
    func readerOverview(now: NIODeadline) -> ReaderOverview {
        var overview = ReaderOverview()
        overview.session = "\(play.session)"
        overview.path = path.name
        overview.address = connection.words
        overview.userAgent = PeerWords.printable(String(connection.agent.prefix(ReaderOverview.agentCharactersMax)))
        overview.transport = Self.transportWord
        overview.state = "playing"
        overview.cache = proxied.map { PeerWords.printable($0.outcome.words) }
        overview.sinceSeconds = (Double((now - began).nanoseconds) / 1e9).tenths
        // The engine keeps no count for each reader of a broadcast.
        if broadcast == nil {
            overview.packetsSent = packetsSent
            overview.bytesSent = bytesSent
        }
        overview.packetsMissed = packetsMissed
        overview.lagMilliseconds = lagMilliseconds.tenths
        return overview
    }
}

extension PathOverview {
    /// What only a path of Windows Media can say.
    mutating func take(windowsMedia path: Path) {
        guard path.isWindowsMedia else { return }
        if path.readers > 0, path.lastTrouble == nil { state = .playing }
        guard let broadcast = path.windowsMediaLive?.broadcast else { return }
        packetsReceived = broadcast.packetsReceived
        bytesReceived = broadcast.bytesReceived
        for counters in broadcast.counters {
            readersLive += counters[.readersLive]
            packetsSent += counters[.packetsSent]
            bytesSent += counters[.bytesSent]
            packetsDropped += counters[.packetsDropped]
        }
    }
}
