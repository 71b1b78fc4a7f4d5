import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// What a path of Windows Media has to offer just now.
enum WindowsMediaContent {
    /// Each player has a place of its own in it.
    case file(WindowsMediaFile)
    /// All see the same.
    case live(WindowsMediaBroadcast)
    /// Each player has a place of its own in a playlist.
    case playlist(PlaylistStart)

    /// What the session machine has to know of it.
    var facts: WMSPContent {
        switch self {
        case .file(let file): file.facts
        case .live(let broadcast): broadcast.facts
        case .playlist(let start): start.facts
        }
    }
}

/// One session that is being sent media. Belongs to the event loop.
final class WindowsMediaPlayer {
    let play: WMSPPlay
    let path: Path
    let connection: WMSPConnection
    let began = NIODeadline.now()
    /// What was sent, without HTTP's own bytes.
    var packetsSent: UInt64 { packetsWritten + UInt64(stored?.packetsSent ?? 0) }
    var bytesSent: UInt64 { bytesWritten + UInt64(stored?.packetsSent ?? 0) * packetBytes }
    private var packetsWritten: UInt64 = 0
    private var bytesWritten: UInt64 = 0
    /// By how much the last packet was late, in milliseconds: what a slow connection is behind.
    var lagMilliseconds: Double { pump?.lagMilliseconds ?? playlist?.lagMilliseconds ?? 0 }
    /// Packets that a live player missed, for it was too slow.
    var packetsMissed: UInt64 { live?.packetsMissed ?? 0 }
    /// Another request ended the playlist that it was sent.
    var isStopped: Bool { playlist?.isStopped ?? false }

    /// What is to be told of what it plays; nil for what this relay has of its own.
    let proxied: ProxiedContent?

    private let source: WindowsMediaContent
    private unowned let server: WindowsMediaServer
    private var pump: (any MediaPump)?
    /// The same, where the engine may send.
    private var stored: StoredPump? { pump as? StoredPump }
    private var packetBytes: UInt64 {
        if case .file(let file) = source { UInt64(WMSPFraming.dataHeadBytes + file.header.packetBytes) } else { 0 }
    }
    private var live: LivePlay?
    private var playlist: PlaylistPlay?
    private var batch = ByteBuffer()
    private var sequence: UInt8 = 0
    private var isOver = false
    private var isHeld = false

    init(play: WMSPPlay, path: Path, source: WindowsMediaContent, connection: WMSPConnection, server: WindowsMediaServer) {
        self.play = play
        self.path = path
        self.source = source
        proxied = source.beginProxied()
        self.connection = connection
        self.server = server
        path.readerArrived()
    }

    /// Writes what goes before the media, then the media. `onEnd` is called once when that ends by itself.
    func start(_ opening: [UInt8], onEnd: @escaping (_ end: PumpEnd) -> Void) {
        connection.carriesMedia = true
        connection.player = self
        connection.write(opening)
        // A connection that broke just then has ended it.
        guard !isOver else { return }
        switch source {
        case .playlist(let start): begin(start, onEnd)
        case .live(let broadcast):
            let live = LivePlay(
                WindowsMediaClass(selection: play.selection), fastStart: play.fastStart, broadcast: broadcast,
                connection: WMSPLiveLine(connection, isChunked: play.isChunked, port: server.port), port: server.port)
            self.live = live
            live.onLagged = { [weak self] cause, packets in self?.server.lagged(self, cause, packets: packets) }
            live.start { failure in onEnd(failure.map { .failed($0) } ?? .done) }
        case .file(let file):
            file.locate(play.position, streams: play.selection.streams, on: server.port.eventLoop).assumeIsolated().whenComplete {
                [weak self] result in
                guard let self, !isOver else { return }
                switch result {
                case .success(let first): begin(file, first, onEnd)
                case .failure(let error): onEnd(.failed("\(error)"))
                }
            }
        }
    }

    private func begin(_ start: PlaylistStart, _ onEnd: @escaping (PumpEnd) -> Void) {
        let hooks = PlaylistPlay.Hooks(
            write: { [weak self] in self?.write($0, $1) }, flush: { [weak self] in self?.flush() ?? false },
            change: { [weak self] facts, entryEnded in
                if let self { server.changeEntry(of: play.session, to: facts, entryEnded: entryEnded) }
            },
            changeDelay: { [weak self] in self.map { $0.server.changeDelay(of: $0.play.session) } ?? 0 },
            onRecede: { [weak self] facts in if let self, !isOver { server.recede(self, to: facts) } },
            onEnd: { [weak self] end in if self?.isOver == false { onEnd(end) } })
        let playlist = PlaylistPlay(start, wish: MediaWish(play), opener: server.playlistOpener, logger: server.logger, hooks: hooks)
        self.playlist = playlist
        connection.onWritable = { [weak playlist] in playlist?.resume() }
        playlist.start()
    }

    private func begin(_ file: WindowsMediaFile, _ first: UInt32, _ onEnd: @escaping (PumpEnd) -> Void) {
        var pump = MediaWish(play).pump(of: file, from: first, on: server.port.eventLoop)
        if let filePump = pump as? FilePump, play.rate == 1, server.storedFiles.takes(file) {
            pump = StoredPump(filePump, files: server.storedFiles, line: self, port: server.port)
        }
        self.pump = pump
        pump.write = { [weak self] packet, number in self?.write(packet, number) }
        pump.flush = { [weak self] in self?.flush() ?? false }
        pump.onEnd = { [weak self] (end: PumpEnd) in
            guard let self, !isOver else { return }
            onEnd(end)
        }
        connection.onWritable = { [weak pump] in pump?.resume() }
        if !isHeld { pump.start() }
    }

    private func write(_ packet: [UInt8], _ number: UInt32) {
        let length = WMSPFraming.dataHeadBytes + packet.count
        if play.isChunked { batch.writeBytes(ChunkedCoding.head(bytes: length)) }
        var head = [UInt8](repeating: 0, count: WMSPFraming.dataHeadBytes)
        var span = head.mutableSpan
        guard
            WMSPFraming.writeDataHead(
                payloadBytes: packet.count, locationID: number, incarnation: play.incarnation, flags: sequence, to: &span)
        else { return }
        batch.writeBytes(head)
        batch.writeBytes(packet)
        if play.isChunked { batch.writeString("\r\n") }
        sequence &+= 1
        packetsWritten += 1
        bytesWritten += UInt64(length)
    }

    /// Gives what was gathered to the connection; false when that would pile up.
    private func flush() -> Bool {
        if batch.readableBytes > 0 {
            connection.write(batch)
            batch = ByteBuffer()
        }
        return connection.isWritable
    }

    /// What is sent faster than it plays from here on was granted anew.
    func hasten(_ fastStart: WMSPPlay.FastStart) { playlist?.hasten(fastStart) }

    /// Other streams, or the same again after ``hold()``.
    func select(_ selection: WMSPSelection) {
        live?.select(selection)
        if let playlist { return playlist.select(selection) }
        // What is sent at another rate is chosen by that.
        if play.rate < MediaWish.thinningRate { pump?.select(selection) }
        guard isHeld else { return }
        isHeld = false
        pump?.start()
    }

    /// No packets until ``select(_:)``.
    func hold() {
        if let playlist { return playlist.hold() }
        isHeld = true
        pump?.pause()
        live?.hold()
    }

    func sweep(now: NIODeadline) { live?.sweep(now: now) }

    /// The broadcast that it plays; nil for a file.
    var broadcast: WindowsMediaBroadcast? { if case .live(let broadcast) = source { broadcast } else { nil } }

    /// Sends nothing more.
    func stop() {
        guard !isOver else { return }
        isOver = true
        _ = flush()
        if let stored {
            packetsWritten = packetsSent
            bytesWritten = bytesSent
            stored.stop()
            // It holds on to this.
            pump = nil
        }
        pump?.stop()
        live?.stop()
        playlist?.stop()
        if connection.player === self {
            connection.player = nil
            connection.onWritable = nil
            connection.carriesMedia = false
        }
        path.readerLeft()
    }
}

extension WindowsMediaPlayer: StoredLine {
    var isChunked: Bool { play.isChunked }
    var incarnation: UInt8 { play.incarnation }
    var flags: UInt8 { sequence }

    func sent(_ packets: UInt32) {
        sequence &+= UInt8(truncatingIfNeeded: packets)
        packetsWritten += UInt64(packets)
        bytesWritten += UInt64(packets) * packetBytes
    }

    func whenFree(_ body: @escaping () -> Void) { connection.whenFree(body) }
    func duplicateDescriptor() throws -> CInt { try connection.duplicateDescriptor() }
    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool) {
        connection.handWritesOver(to: send)
    }
    func writesReturn() { connection.writesReturn() }
    func writesReturned() { connection.writesReturned() }
    func whenOver(_ body: @escaping () -> Void) { connection.whenOver(body) }
    func close() { connection.close() }
}

extension WMSPContent {
    /// A file on demand.
    init(file header: ASFHeader, byteCount: Int64, modified: Int64) {
        // What has no key frames has nothing to show while it is wound.
        let features: WMSPFeatures = header.keyFrameStreams.isEmpty ? [.seekable] : [.seekable, .stridable]
        self.init(features: features, header: header)
        lastModified = HTTPDate.format(unixSeconds: modified)
        etag = "\"\(byteCount)-\(modified)\""
        // What a Windows Media Server says of a file.
        cacheControl = "x-wms-content-size=\(byteCount), max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate"
    }
}

extension SendClock.FastStart {
    /// For players that do not ask for one: what they buffer before they play, at twice the content's bit rate.
    init(header: ASFHeader, selection: WMSPSelection) {
        let rate = max(header.bitrate(of: selection.whole), UInt64(header.file.bitrateMax), 64_000)
        self.init(
            milliseconds: UInt64(min(header.file.prerollMilliseconds, Self.prerollMillisecondsMax)),
            bitsPerSecond: 2 * min(rate, 1 << 40))
    }

    /// No header makes more than this go out at once.
    private static let prerollMillisecondsMax: UInt32 = 15_000
}
