import Signalling
import WireFormats

/// A session's place in a playlist: it outlives connections and Plays, as the session does. Belongs to the event loop.
final class PlaylistReader {
    let path: Path
    let run: PlaylistRun
    /// The entry that plays, or was played last.
    private(set) var current: OpenedEntry?
    /// A session has it, and closes it.
    var isKept = false
    /// Everything was played: the next Play begins anew.
    var isOver = false
    /// Who is sending it.
    weak var play: PlaylistPlay?
    /// Entries that were played before, for a player that asks to go on from one that it still renders.
    private var recent: [OpenedEntry] = []

    private static let recentMax = 4

    init(path: Path, run: PlaylistRun) {
        self.path = path
        self.run = run
    }

    /// An entry is played from now on.
    func enter(_ opened: OpenedEntry) {
        if let current, current.entry.generation != opened.entry.generation {
            recent.append(current)
            if recent.count > Self.recentMax { recent.removeFirst() }
        }
        current = opened
    }

    /// What was opened under that generation, if that is not too long ago.
    func opened(_ generation: UInt32) -> OpenedEntry? {
        ([current].compactMap(\.self) + recent).first { $0.entry.generation == generation }
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
}
