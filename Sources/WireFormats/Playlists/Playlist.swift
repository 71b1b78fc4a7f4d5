/// A playlist as its file says it: `.wsx` (the part of SMIL 2.0 that Windows Media Services know) or ASX. Nothing is opened or looked up here.
package struct Playlist: Sendable, Hashable {
    /// How a playlist is written.
    package enum Form: String, Sendable, Hashable {
        /// `<smil>`, as server-side playlists (`.wsx`) are.
        case wsx
        /// `<asx>`, as those for players are.
        case asx
    }

    package var form: Form
    /// Everything, as a sequence.
    package var root: PlaylistNode
    /// Elements and attributes that were passed over, each once, with their line: for a warning.
    package var ignored: [String] = []

    /// A playlist.
    package init(form: Form, root: PlaylistNode, ignored: [String] = []) {
        self.form = form
        self.root = root
        self.ignored = ignored
    }
}

/// One element of a playlist: something to play, or several of them and the order in which they are played.
package struct PlaylistNode: Sendable, Hashable {
    /// What it is.
    package indirect enum Kind: Sendable, Hashable {
        /// Something to play: a leaf.
        case media(PlaylistMedia)
        /// One after the other (`seq`, `smil`, `asx`, `repeat`).
        case sequence([PlaylistNode])
        /// The first that can be opened (`switch`; an ASX entry with several `ref`).
        case alternatives([PlaylistNode])
        /// One at a time, whichever is due (`excl`).
        case exclusive([PlaylistNode])
    }

    /// Names it within one document, however that is edited: given by whoever loads it, 0 before.
    package var number: UInt32 = 0
    /// `id` of the file.
    package var id: String?
    /// Where it stands in its file, from 1.
    package var line: Int
    package var timing = PlaylistTiming()
    /// What is told of it and of all that is in it: `clientData`, or `title`, `author` … of ASX, in their order.
    package var descriptions: [PlaylistDescription] = []
    /// Within `excl`: which priority class it belongs to, and how that class treats interruptions.
    package var priority = PlaylistPriority()
    package var kind: Kind

    /// A node.
    package init(line: Int, kind: Kind) {
        self.line = line
        self.kind = kind
    }

    /// What it contains; nothing for something to play.
    package var children: [PlaylistNode] {
        get {
            switch kind {
            case .media: []
            case .sequence(let nodes), .alternatives(let nodes), .exclusive(let nodes): nodes
            }
        }
        set {
            switch kind {
            case .media: break
            case .sequence: kind = .sequence(newValue)
            case .alternatives: kind = .alternatives(newValue)
            case .exclusive: kind = .exclusive(newValue)
            }
        }
    }

    /// What it plays itself.
    package var media: PlaylistMedia? { if case .media(let media) = kind { media } else { nil } }
}

/// Something to play.
package struct PlaylistMedia: Sendable, Hashable {
    /// Where it is found.
    package enum Location: Sendable, Hashable {
        /// Nobody has looked yet.
        case unresolved
        /// An ASF file.
        case file(String)
        /// Another path of this relay, live.
        case path(String)
        /// A live source elsewhere (`mmsh://`, `mms://`, `http://`).
        case url(String)
        /// An entry of a playlist that comes from elsewhere and is kept here, counted from 0.
        case kept(Int)
        /// Nothing that could be played, and why.
        case broken(String)
    }

    /// As written, with what ASX's `base` puts before it.
    package var source: String
    package var location = Location.unresolved
    /// What is played of it, in milliseconds of its own time; nil: from its beginning, to its end.
    package var clipBegin: UInt64?
    package var clipEnd: UInt64?
    /// `mediaName`: what logs call it.
    package var name: String?
    /// What it is for, such as `Advertisement`.
    package var role: String?
    /// Viewers cannot skip, seek or wind within it.
    package var forbidsSkipping = false
    /// Viewers cannot go back from it to what was before.
    package var forbidsReceding = false

    /// Something to play, whole.
    package init(source: String) { self.source = source }
}

/// A name and a value that viewers are told.
package struct PlaylistDescription: Sendable, Hashable {
    package var name: String
    package var value: String

    /// A pair.
    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// When an element plays, how long and how often. Times are milliseconds.
package struct PlaylistTiming: Sendable, Hashable {
    /// When an element begins or ends.
    package enum Instant: Sendable, Hashable {
        /// So long after its parent began, or in a sequence after its predecessor ended.
        case offset(UInt64)
        /// So long after something happened: another element began or ended (`ID.begin`, `ID.end`), or somebody said so (`weir playlist
        /// jump`).
        case event(String, after: UInt64)
        /// Never by itself.
        case indefinite
    }

    /// How often an element plays, all told.
    package enum Count: Sendable, Hashable {
        /// Whole rounds; 0 where ``PlaylistTiming/repeatThousandths`` of one are all.
        case times(UInt32)
        case indefinite
    }

    /// When it begins: at any of these. Empty: at its turn.
    package var begin: [Instant] = []
    /// When it ends at the latest: at the first of these.
    package var end: [Instant] = []
    /// How long it plays at most, once.
    package var duration: UInt64?
    package var repeatCount: Count?
    /// Of one more round behind those, so much of it is played, in thousandths: less than 1,000.
    package var repeatThousandths: UInt32 = 0
    /// How long all its repetitions together play at most; `.max` for `indefinite`.
    package var repeatDuration: UInt64?

    /// Plays once, to its end.
    package init() {}

    /// Whether it plays more than once.
    package var repeats: Bool {
        switch repeatCount {
        case .times(let times): times > 1 || times == 1 && repeatThousandths > 0
        case .indefinite: true
        case nil: repeatDuration != nil
        }
    }
}

/// How elements of an `excl` treat those that are due while they play.
package struct PlaylistPriority: Sendable, Hashable {
    /// What becomes of the one that plays, or of the one that is due.
    package enum Rule: String, Sendable, CaseIterable {
        /// The one that plays ends.
        case stop
        /// The one that plays goes on later where it was.
        case pause
        /// The one that is due waits.
        case `defer`
        /// The one that is due is left out.
        case never
    }

    /// The class: 0 is the most important.
    package var rank = 0
    /// By elements of the same class.
    package var peers = Rule.stop
    /// By those of more important classes.
    package var higher = Rule.pause
    /// By those of less important ones.
    package var lower = Rule.defer

    /// The class that everything without one is in.
    package init() {}
}
