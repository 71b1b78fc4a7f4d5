import NIOCore

/// A reader of Windows Media, as status shows it.
protocol WindowsMediaReader: AnyObject {
    var path: Path { get }
    /// How its media goes to it.
    var transportWords: String { get }
    /// By how much the last packet was late.
    var lagMilliseconds: Double { get }
    func readerOverview(now: NIODeadline) -> ReaderOverview
}

extension WindowsMediaPlayer: WindowsMediaReader {
    var transportWords: String { Self.transportWord }
}

extension MSRTSPPlayer: WindowsMediaReader {
    /// What an operator may know of it.
    func readerOverview(now: NIODeadline) -> ReaderOverview {
        var overview = ReaderOverview()
        overview.session = words
        overview.path = path.name
        overview.address = line.connection.words
        overview.userAgent = line.connection.agent
        overview.user = user.map(PeerWords.printable)
        overview.transport = transportWords
        overview.state = isPlaying ? "playing" : "ready"
        overview.sinceSeconds = (Double((now - began).nanoseconds) / 1e9).tenths
        // The engine keeps no count for each reader of a broadcast.
        if let sent {
            overview.packetsSent = sent.packets
            overview.bytesSent = sent.bytes
        }
        overview.packetsMissed = packetsMissed
        overview.lagMilliseconds = lagMilliseconds.tenths
        return overview
    }
}
