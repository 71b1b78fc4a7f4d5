import WireFormats

/// One pass through something of a playlist, as a player is told of it: the next pass through the same is another entry.
package struct PlaylistEntry: Sendable, Hashable {
    /// `playlist-gen-id`, and what `playlist-seek-id` names: never 0, another one for each entry of a reader.
    package var generation: UInt32
    /// The element of the document, which edits do not change: ``PlaylistNode/number``.
    package var node: UInt32
    /// Its `id` in the file.
    package var id: String?
    package var media: PlaylistMedia
    /// What viewers are told of it (`$M`): its own, and before that what the groups around it say.
    package var descriptions: [PlaylistDescription]
    /// Silence before it, in milliseconds.
    package var delayMilliseconds: UInt64
    /// Where in the source it begins, in the source's own time: `clipBegin`, or where it was interrupted.
    package var fromMilliseconds: UInt64
    /// Where in the source it ends, in the source's own time; nil: at its end.
    package var toMilliseconds: UInt64?
    /// How long it may play; nil: to its end. Both bounds hold.
    package var durationMilliseconds: UInt64?
    /// So much of what is left of it is played, in thousandths: the last round of a `repeatCount` with a fraction. Nil: all.
    package var thousandths: UInt32?
    /// The line of the file it stands in.
    package var line: Int

    /// For logs and tables: its name, else its source.
    package var words: String { media.name ?? media.source }
    /// Whether its source has no end and no places to seek to.
    package var isLive: Bool {
        switch media.location {
        case .path, .url: true
        case .file, .kept, .broken, .unresolved: false
        }
    }
}

/// What a reader of a playlist does next.
package enum PlaylistStep: Sendable, Hashable {
    /// Open this, then ``PlaylistCursor/begin(now:)``; or ``PlaylistCursor/openFailed(_:now:)``.
    case open(PlaylistEntry)
    /// Nothing can be played just now: ask again after so many milliseconds.
    case wait(milliseconds: UInt64)
    /// Everything was played, or nothing could be.
    case finished(PlaylistEnd)
}

/// How a playlist came to its end.
package enum PlaylistEnd: Sendable, Hashable {
    case done
    /// No entry could be opened; the last reason.
    case nothingPlays(String)
}

/// Why a reader cannot go where it asked to.
package enum PlaylistRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// The entry that plays forbids it (`noSkip`, `noRecede`).
    case forbidden(entry: String)
    /// There is nothing before, or behind, that entry.
    case noNeighbour(forward: Bool)
    /// No reader is there who could go anywhere.
    case nobodyPlays
    /// No entry is called so.
    case unknown(String)
    /// Several are.
    case ambiguous(String, [UInt32])
    /// The document has its most.
    case full(entriesMax: Int)

    package var description: String {
        switch self {
        case .forbidden(let entry): "\(entry) cannot be skipped (noSkip, or noRecede)"
        case .noNeighbour(let forward): forward ? "nothing follows" : "nothing is before it"
        case .nobodyPlays: "nobody plays it just now"
        case .unknown(let name): "no entry is called `\(name)`; weir playlist ls lists them"
        case .ambiguous(let name, let numbers):
            "`\(name)` is the name of several entries; take one of the numbers \(numbers.map(String.init).joined(separator: ", "))"
        case .full(let max): "the playlist has \(max) elements already (playlist-entries)"
        }
    }
}
