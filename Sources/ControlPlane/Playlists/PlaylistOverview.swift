import NIOCore
import Signalling
import WireFormats

/// What a path's playlist does.
public struct PlaylistOverview: Sendable, Codable, Equatable {
    /// The file.
    public var file = ""
    /// Things to play in it, those of playlists and directories within it included.
    public var entries = 0
    /// Grows with every edit and every change of the file.
    public var version = 0
    /// Those who go through it: readers, or the one broadcast.
    public var runs = 0
    /// Entries that are pulled from elsewhere just now.
    public var pulls = 0
    /// Where they are: up to ``runsShownMax``, the longest there first.
    public var shown: [Run] = []
    /// What was passed over last, the latest first.
    public var passedOver: [PassedOver] = []
    /// Entries that were begun, passed over, and left before their end, all readers together.
    public var entriesBegun: UInt64 = 0
    /// Entries that could not be opened.
    public var entriesFailed: UInt64 = 0
    /// Entries that a viewer or an operator left.
    public var entriesSkipped: UInt64 = 0
    /// Pauses because nothing could be opened.
    public var pauses: UInt64 = 0
    /// Times that the file changed and was read, and that it could not be read.
    public var reloads: UInt64 = 0
    /// Changes of the file that could not be read.
    public var reloadsRefused: UInt64 = 0
    /// Limits that parts of it met, by name.
    public var limitsMet: [String: Int] = [:]
    /// Why the file cannot be read just now.
    public var lastError: String?

    /// See ``shown``.
    public static let runsShownMax = 16

    /// An entry of it.
    public struct Entry: Sendable, Codable, Equatable {
        /// Its number, which edits do not change.
        public var number: UInt32 = 0
        /// Its name, else its source.
        public var name = ""
        /// What readers know it by (`playlist-gen-id`).
        public var generation: UInt32 = 0
        /// Its role in the playlist.
        public var role: String?
    }

    /// One way through it.
    public struct Run: Sendable, Codable, Equatable {
        /// What plays; left out before the first.
        public var current: Entry?
        /// For how long it has played.
        public var seconds: Double = 0
        /// What follows; left out at the end.
        public var next: Entry?
    }

    /// An entry that could not be opened.
    public struct PassedOver: Sendable, Codable, Equatable {
        /// Its number, name and reason.
        public var number: UInt32 = 0
        /// Its name, else its source.
        public var name = ""
        /// Why.
        public var reason = ""
        /// How often, and how long ago the last time.
        public var times = 0
        /// How long ago it was passed over last.
        public var secondsAgo: Double = 0
    }

    /// The words of a few lines.
    var lines: [String] {
        var lines = ["playlist: \(entries) entries" + (lastError.map { "; \($0)" } ?? "")]
        for run in shown.prefix(3) {
            let now = run.current.map { "plays \($0.number) \($0.name) for \(OverviewTable.duration(run.seconds))" } ?? "has not begun"
            lines.append("  \(now)" + (run.next.map { ", then \($0.number) \($0.name)" } ?? ", then nothing"))
        }
        if runs > 3 { lines.append("  … \(runs) readers in all") }
        for passed in passedOver.prefix(3) {
            lines.append("  passed over \(passed.number) \(passed.name) (\(passed.times)×): \(passed.reason)")
        }
        return lines
    }
}

/// A playlist's elements, for `weir playlist ls`.
public struct PlaylistListing: Sendable, Codable, Equatable {
    /// What it does.
    public var overview = PlaylistOverview()
    /// Its elements in the order of the file; no more than ``rowsMax``.
    public var rows: [Row] = []
    /// How many there are in all.
    public var count = 0

    /// Rows of one answer.
    public static let rowsMax = 10_000

    /// One element.
    public struct Row: Sendable, Codable, Equatable {
        /// Its number, which edits do not change.
        public var number: UInt32 = 0
        /// How deep it stands.
        public var depth = 0
        /// `media`, `seq`, `switch` or `excl`.
        public var kind = ""
        /// Its name, else its source; nothing for groups.
        public var name = ""
        /// Its `id` in the file.
        public var id: String?
        /// Where it stands in its file; left out for what was inserted.
        public var line: Int?
        /// Its role.
        public var role: String?
        /// Why it cannot be played.
        public var broken: String?
        /// How many play it just now.
        public var readers = 0
    }
}

extension PlaylistProgramme {
    /// The words of a source.
    var words: String {
        if let lastTrouble { return lastTrouble }
        return document.map { "\($0.mediaCount) entries" } ?? "not read"
    }

    /// What can be known of it.
    var overview: PlaylistOverview {
        var overview = PlaylistOverview()
        overview.file = PeerWords.printable(file)
        overview.entries = document?.mediaCount ?? 0
        overview.version = document?.version ?? 0
        let running = running
        overview.runs = running.count
        overview.shown = running.prefix(PlaylistOverview.runsShownMax).map { run in
            var shown = PlaylistOverview.Run()
            shown.current = run.current.map(PlaylistOverview.Entry.init)
            shown.seconds = (Double(run.currentMilliseconds) / 1_000).tenths
            shown.next = run.following.map(PlaylistOverview.Entry.init)
            return shown
        }
        let now = eventLoop.now
        overview.passedOver = failures.reversed().map { failure in
            PlaylistOverview.PassedOver(
                number: failure.node, name: failure.words, reason: failure.reason, times: failure.times,
                secondsAgo: (Double((now - failure.at).nanoseconds) / 1e9).tenths)
        }
        overview.entriesBegun = counts.begun
        overview.entriesFailed = counts.failed
        overview.entriesSkipped = counts.skipped
        overview.pauses = counts.pauses
        overview.reloads = counts.reloads
        overview.reloadsRefused = counts.reloadsRefused
        overview.limitsMet = counts.limitsMet
        overview.pulls = pulls?.running ?? 0
        if let refused = pulls?.refused, refused > 0 { overview.limitsMet[PlaylistSettings.pullsKey] = refused }
        overview.lastError = lastTrouble.map(PeerWords.printable)
        return overview
    }

    /// Its elements.
    var listing: PlaylistListing {
        var listing = PlaylistListing()
        listing.overview = overview
        let rows = document?.rows ?? []
        listing.count = rows.count
        var playing: [UInt32: Int] = [:]
        for run in running { if let node = run.current?.node { playing[node, default: 0] += 1 } }
        listing.rows = rows.prefix(PlaylistListing.rowsMax).map { PlaylistListing.Row($0, readers: playing[$0.node.number] ?? 0) }
        return listing
    }
}

extension PlaylistOverview.Entry {
    init(_ entry: PlaylistEntry) {
        number = entry.node
        name = PeerWords.printable(entry.words)
        generation = entry.generation
        role = entry.media.role.map(PeerWords.printable)
    }
}

extension PlaylistListing.Row {
    init(_ row: PlaylistDocument.Row, readers: Int) {
        number = row.node.number
        depth = row.depth
        id = row.node.id.map(PeerWords.printable)
        line = row.node.line > 0 ? row.node.line : nil
        self.readers = readers
        switch row.node.kind {
        case .media(let media):
            kind = "media"
            name = PeerWords.printable(media.name ?? media.source)
            role = media.role.map(PeerWords.printable)
            if case .broken(let why) = media.location { broken = PeerWords.printable(why) }
        case .sequence: kind = "seq"
        case .alternatives: kind = "switch"
        case .exclusive: kind = "excl"
        }
    }
}

extension PlaylistListing {
    /// As lines for a terminal of that width.
    package func lines(_ width: Int) -> [String] {
        var grid = Grid(["NO", "LINE", "KIND", "ID", "ROLE", "PLAYS", "ENTRY"], right: [0, 1, 5])
        for row in rows {
            let name = String(repeating: "  ", count: row.depth) + (row.kind == "media" ? row.name : row.kind)
            grid.add([
                "\(row.number)", row.line.map(String.init) ?? "-", row.kind, row.id ?? "-", row.role ?? "-",
                row.readers > 0 ? "\(row.readers)" : "-", name + (row.broken.map { " (\($0))" } ?? ""),
            ])
        }
        let more = count > rows.count ? ["… \(rows.count) of \(count)"] : []
        return grid.lines(width, notes: []) + more + overview.lines
    }
}
