import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// An entry of a playlist with what it plays, opened.
struct OpenedEntry {
    /// What an entry plays.
    enum Media {
        case file(WindowsMediaFile)
        case live(WindowsMediaBroadcast)
    }

    let entry: PlaylistEntry
    let media: Media
    /// The header of what it plays.
    let header: ASFHeader
    /// What a player is told of it.
    let facts: WMSPContent
    /// Where ``Media/live(_:)`` was pulled for this entry alone: what comes of it.
    let pull: EntryPull?

    /// Whether it can still be played as it was opened: what is live may have ended since, or have another header.
    var isCurrent: Bool {
        switch media {
        case .file: true
        // What came of it is kept, also when that was all.
        case .live where pull != nil: if case .failed? = pull?.end { false } else { true }
        case .live(let broadcast): !broadcast.isOver && broadcast.header.bytes == header.bytes
        }
    }

    /// How long it plays; nil for what has no end that is known.
    var milliseconds: UInt64? {
        let from = entry.fromMilliseconds
        return [contentMilliseconds.map { $0 - min(from, $0) }, endMilliseconds.map { $0 - min(from, $0) }].compactMap(\.self).min()
    }

    /// Where in its source it ends by the playlist's word, in milliseconds of that; nil: where the source does.
    var endMilliseconds: UInt64? {
        let from = entry.fromMilliseconds
        var ends = [entry.toMilliseconds]
        if let duration = entry.durationMilliseconds {
            let (end, overflow) = from.addingReportingOverflow(duration)
            ends.append(overflow ? .max : end)
        }
        if let thousandths = entry.thousandths, let end = ([contentMilliseconds] + ends).compactMap(\.self).min() {
            let whole = end - min(from, end)
            ends.append(from + (whole / 1_000 * UInt64(thousandths) + whole % 1_000 * UInt64(thousandths) / 1_000))
        }
        return ends.compactMap(\.self).min()
    }

    private var contentMilliseconds: UInt64? { if case .file = media { header.file.contentMilliseconds } else { nil } }
}

/// Finds what entries of playlists name. Belongs to the event loop.
final class PlaylistOpener {
    /// Why an entry cannot be played, in words.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    let eventLoop: any EventLoop
    private let table: () -> PathTable?

    /// An opener that finds paths of this relay in `table`.
    init(eventLoop: any EventLoop, table: @escaping () -> PathTable?) {
        self.eventLoop = eventLoop
        self.table = table
    }

    /// Opens an entry for somebody's way through a playlist.
    func open(
        _ entry: PlaylistEntry, of run: PlaylistRun, objection: ((any WindowsMediaLive) -> String?)? = nil,
        _ done: @escaping (Result<OpenedEntry, Trouble>) -> Void
    ) {
        if let kept = run.kept { return kept.open(entry, done) }
        let etag = run.etag
        open(entry, pulls: run.pulls, objection: objection) { result in
            done(
                result.map { opened in
                    guard let etag else { return opened }
                    var facts = opened.facts
                    facts.etag = etag
                    return OpenedEntry(entry: opened.entry, media: opened.media, header: opened.header, facts: facts, pull: opened.pull)
                })
        }
    }

    /// Opens an entry; what is elsewhere, and no path's source, is pulled by `pulls`. `objection` says why what is live cannot be had by
    /// whoever asks. `done` is called later in the event loop, once.
    func open(
        _ entry: PlaylistEntry, pulls: PlaylistPulls?, objection: ((any WindowsMediaLive) -> String?)? = nil,
        _ done: @escaping (Result<OpenedEntry, Trouble>) -> Void
    ) {
        switch entry.media.location {
        case .file(let name):
            NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { try WindowsMediaFile.open(name) }
                .assumeIsolated().whenComplete { result in
                    switch result {
                    case .success(let file):
                        done(.success(OpenedEntry(entry: entry, media: .file(file), header: file.header)))
                    case .failure(let error): done(.failure(Trouble(description: "\(error)")))
                    }
                }
        case .path(let name):
            guard let path = table()?.path(named: name) else { return later(done, "there is no path \(name)") }
            open(entry, path, objection, done)
        case .url(let text):
            let url: WMSPSourceURL
            do throws(WMSPSourceURL.Trouble) { url = try WMSPSourceURL(text) } catch { return later(done, error.description) }
            if let path = path(of: entry) { return open(entry, path, objection, done) }
            guard let pulls else { return later(done, "\(url) is pulled by a path only: give it one, and name that in the playlist") }
            pulls.open(url) { [self] result in
                eventLoop.assumeIsolated().execute {
                    done(
                        result.map { pull, broadcast in
                            OpenedEntry(entry: entry, media: .live(broadcast), header: broadcast.header, pull: pull)
                        })
                }
            }
        case .broken(let why): later(done, why)
        case .kept, .unresolved: later(done, "nobody looked where \(entry.words) is")
        }
    }

    private func open(
        _ entry: PlaylistEntry, _ path: Path, _ objection: ((any WindowsMediaLive) -> String?)?,
        _ done: @escaping (Result<OpenedEntry, Trouble>) -> Void
    ) {
        if let proxy = path.windowsMediaProxy { return open(entry, proxy, path, objection, done) }
        guard let live = path.windowsMediaLive else { return later(done, "/\(path.name) is no live Windows Media") }
        if let words = objection?(live) { return later(done, words) }
        live.broadcast(of: path) { [self] result in
            eventLoop.assumeIsolated().execute {
                switch result {
                case .success(let broadcast): done(.success(OpenedEntry(entry: entry, media: .live(broadcast), header: broadcast.header)))
                case .failure(let error): done(.failure(Trouble(description: "\(error)")))
                }
            }
        }
    }

    /// What comes from elsewhere may turn out to be a file.
    private func open(
        _ entry: PlaylistEntry, _ proxy: WindowsMediaProxy, _ path: Path, _ objection: ((any WindowsMediaLive) -> String?)?,
        _ done: @escaping (Result<OpenedEntry, Trouble>) -> Void
    ) {
        _ = proxy.content(for: ProxyAsk(dialect: .wmsp, stage: .play), of: path) { [self, weak proxy] result in
            eventLoop.assumeIsolated().execute {
                switch result {
                case .success(.file(let file)): done(.success(OpenedEntry(entry: entry, media: .file(file), header: file.header)))
                case .success(.live(let broadcast)):
                    if let words = proxy?.live.flatMap({ objection?($0) }) { return done(.failure(Trouble(description: words))) }
                    done(.success(OpenedEntry(entry: entry, media: .live(broadcast), header: broadcast.header)))
                case .success(.playlist(let start)):
                    start.reader.close()
                    done(.failure(Trouble(description: "/\(path.name) is a playlist")))
                case .failure(let error): done(.failure(Trouble(description: "\(error)")))
                }
            }
        }
    }

    private func later(_ done: @escaping (Result<OpenedEntry, Trouble>) -> Void, _ words: String) {
        eventLoop.assumeIsolated().execute { done(.failure(Trouble(description: words))) }
    }

    /// The path of a live entry, so that somebody can be counted among its readers.
    func path(of entry: PlaylistEntry) -> Path? {
        switch entry.media.location {
        case .path(let name): table()?.path(named: name)
        // What a path pulls already is not pulled once more.
        case .url(let text): (try? WMSPSourceURL(text)).flatMap { url in table()?.all.first { $0.settings.source.isPlace(url) } }
        case .file, .kept, .broken, .unresolved: nil
        }
    }
}

extension OpenedEntry {
    init(entry: PlaylistEntry, media: Media, header: ASFHeader, pull: EntryPull? = nil) {
        self.entry = entry
        self.pull = pull
        self.media = media
        self.header = header
        var features: WMSPFeatures = [.playlist]
        if case .file = media, !entry.media.forbidsSkipping {
            // What has no key frames has nothing to show while it is wound.
            features.formUnion(header.keyFrameStreams.isEmpty ? [.seekable] : [.seekable, .stridable])
        }
        if !entry.media.forbidsReceding { features.insert(.skipBackward) }
        if !entry.media.forbidsSkipping { features.insert(.skipForward) }
        var facts = WMSPContent(features: features, header: header, playlistGenID: entry.generation)
        // Old players are given all entries behind one header, which must not say how long it all is.
        let live = try? header.rewritten(ASFRewrite(form: .live, declaresNoData: true, bytesMax: ASFRewrite.legacyBytesMax))
        facts.legacyHeader = live ?? facts.legacyHeader
        facts.cacheControl = "max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate, x-wms-stream-type=\"playlist\""
        facts.descriptions = [ContentDescription(language: "", Self.items(entry, header))]
        self.facts = facts
    }

    /// What `$M` tells of an entry, in the order in which Windows Media Services do.
    static func items(_ entry: PlaylistEntry, _ header: ASFHeader) -> [ContentDescription.Item] {
        var items = [ContentDescription.Item("WMS_CONTENT_DESCRIPTION_SERVER_BRANDING_INFO", .lpwstr, "Weir")]
        items += entry.descriptions.map { ContentDescription.Item($0.name, .lpwstr, $0.value) }
        let start = entry.fromMilliseconds &+ UInt64(header.file.prerollMilliseconds)
        items.append(ContentDescription.Item("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_START_OFFSET", .i4, "\(start)"))
        let whole = header.file.contentMilliseconds.map { min($0, entry.toMilliseconds ?? $0) }
        if let length = [whole.map { $0 - min(entry.fromMilliseconds, $0) }, entry.durationMilliseconds].compactMap(\.self).min() {
            items.append(ContentDescription.Item("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_DURATION", .i4, "\(length)"))
        }
        let isCopied = entry.descriptions.isEmpty ? "0" : "1"
        items.append(ContentDescription.Item("WMS_CONTENT_DESCRIPTION_COPIED_METADATA_FROM_PLAYLIST_FILE", .i4, isCopied))
        items.append(ContentDescription.Item("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL", .lpwstr, entry.media.name ?? entry.publicName))
        if let role = entry.media.role { items.append(ContentDescription.Item("WMS_CONTENT_DESCRIPTION_ROLE", .lpwstr, role)) }
        return items
    }
}

extension PlaylistEntry {
    /// The source's name without the folder it lies in: where files lie is nobody's business.
    var publicName: String { media.source.split(separator: "/").last.map(String.init) ?? media.source }
}
