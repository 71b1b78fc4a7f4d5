import NIOCore

/// A reader of Windows Media, as status shows it.
protocol WindowsMediaReader: AnyObject {
    var path: Path { get }
    /// How its media goes to it.
    var transportWords: String { get }
    /// What is to be told of what it plays; nil for what this relay has of its own.
    var proxied: ProxiedContent? { get }
    /// Bytes that it was sent so far.
    var bytesSoFar: UInt64 { get }
    /// By how much the last packet was late.
    var lagMilliseconds: Double { get }
    func readerOverview(now: NIODeadline) -> ReaderOverview
}

extension WindowsMediaReader {
    /// Those of them that were kept here already.
    var bytesFromCache: UInt64 {
        guard let proxied, proxied.isCached, [.hit, .revalidated].contains(proxied.outcome.word) else { return 0 }
        return bytesSoFar
    }
}

extension WindowsMediaPlayer: WindowsMediaReader {
    var bytesSoFar: UInt64 { bytesSent }
    var transportWords: String { Self.transportWord }
}

extension MSRTSPPlayer: WindowsMediaReader {
    var bytesSoFar: UInt64 { sent?.bytes ?? 0 }

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
        overview.cache = proxied.map { PeerWords.printable($0.outcome.words) }
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
