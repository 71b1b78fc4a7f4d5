import Signalling
import WireFormats

/// A session's place in a playlist: it outlives connections and Plays, as the session does. Belongs to the event loop.
final class PlaylistReader {
    let path: Path
    let run: PlaylistRun
    /// How the request was met with which it began, where the playlist comes from elsewhere.
    var proxied: ProxiedContent?
    /// The entry that plays, or was played last.
    private(set) var current: OpenedEntry?
    /// What was opened for a session that has played nothing yet.
    var prepared: OpenedEntry?
    /// A session has it, and closes it.
    var isKept = false
    /// Everything was played: the next Play begins anew.
    var isOver = false
    /// Who is sending it.
    weak var play: PlaylistPlay?
    /// The entry was come to backwards, and not played yet: whoever goes on backwards begins at its end.
    private(set) var isAtEnd = false
    /// The generation of the entry that was rewound to its beginning before that; players know it, and not yet the one that they came to.
    private var rewound: UInt32?
    /// How far the entry that plays was sent, in milliseconds of its own time.
    private(set) var sentMilliseconds: UInt32 = 0
    /// Entries that were played before, for a player that asks to go on from one that it still renders.
    private var recent: [OpenedEntry] = []

    private static let recentMax = 4
    /// For so long players may render what came before the entry that plays.
    private static let renderedMillisecondsMax: UInt64 = 15_000

    init(path: Path, run: PlaylistRun) {
        self.path = path
        self.run = run
    }

    /// An entry is played from now on.
    func enter(_ opened: OpenedEntry) {
        isAtEnd = false
        rewound = nil
        if let current, current.entry.generation != opened.entry.generation {
            recent.append(current)
            if recent.count > Self.recentMax { recent.removeFirst() }
            sentMilliseconds = 0
        }
        current = opened
        prepared = nil
    }

    /// The entry that plays was rewound to its beginning: this one stands before it.
    func recede(to opened: OpenedEntry) {
        let before = current?.entry.generation
        enter(opened)
        isAtEnd = true
        rewound = before
    }

    /// Which entry a player means by a generation that goes on backwards from where it was rewound to.
    func backwards(from generation: UInt32) -> UInt32 {
        isAtEnd && generation == rewound ? current?.entry.generation ?? generation : generation
    }

    /// What was opened under that generation, if that is not too long ago.
    func opened(_ generation: UInt32) -> OpenedEntry? {
        ([current].compactMap(\.self) + recent).first { $0.entry.generation == generation }
    }

    /// The entry that plays was sent so far.
    func sent(_ milliseconds: UInt32) { sentMilliseconds = max(sentMilliseconds, milliseconds) }

    /// Where a player may begin in an entry: anywhere in what can be skipped, else nowhere behind what it was sent of it.
    func position(_ wanted: WMSPPosition, in opened: OpenedEntry) -> WMSPPosition {
        guard opened.entry.media.forbidsSkipping else { return wanted }
        if case .time(let milliseconds) = wanted, milliseconds <= sentMilliseconds { return wanted }
        return .beginning
    }

    /// Whether a player may go on in an entry that is not the one that plays. What it still renders of the one before does not count as
    /// going back.
    func allows(_ generation: UInt32) throws(PlaylistRefusal) {
        guard let current, current.entry.generation != generation else { return }
        let media = current.entry.media
        let isRendered = generation == recent.last?.entry.generation && run.currentMilliseconds < Self.renderedMillisecondsMax
        let isForward = generation > current.entry.generation
        guard isForward ? media.forbidsSkipping : media.forbidsReceding && !isRendered else { return }
        throw .forbidden(entry: current.entry.words)
    }

    func close() {
        play = nil
        run.close()
    }
}

/// What a Describe or a Play of a playlist begins with.
struct PlaylistStart {
    let reader: PlaylistReader
    /// What media begins with.
    let opened: OpenedEntry
    /// What the player is told: of this entry, or of the one from which it goes on to this one.
    let facts: WMSPContent
    /// Whoever goes backwards begins at its end.
    var isFromEnd = false
}

/// Where in a playlist somebody who goes through it wants to go on.
struct PlaylistSeek {
    /// The entry that the rest is about (`playlist-seek-id`); nil or 0: the one that plays.
    var generation: UInt32?
    /// The one before (below 0) or behind (above 0) it (`pl-offset`).
    var offset = 0
    var rate = 1.0
    /// A time, a packet or an offset was named.
    var hasPlace = false
}
