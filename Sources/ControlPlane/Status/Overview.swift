/// What can be known of a running relay, at one moment. The one model that `weir status`, `weir top` and whatever else looks at a relay
/// stand on: plain values, without a reference to anything that lives.
///
/// As JSON (``json()``) its members are in snake case and sorted by name; what is not known is left out. Counts are sums since the
/// start, seconds are ages at the moment of the answer.
public struct Overview: Sendable, Codable, Equatable {
    /// Grows when a member changes its meaning; new members alone do not change it.
    public static let schema = 1

    /// ``schema`` of whoever made it.
    public var schema = Overview.schema
    /// The process.
    public var program = Program()
    /// What carries the media.
    public var engine = Engine()
    /// What flows just now.
    public var rates = Rates()
    /// Sums since the start, and what there is just now.
    public var totals = Totals()
    /// What was not done, by cause; causes that never happened are there with 0.
    public var causes = Causes()
    /// How far each limit is used.
    public var limits: [LimitUse] = []
    /// Every path, by name.
    public var paths: [PathOverview] = []
    /// What makes paths of names that nobody listed, in the order of the configuration.
    public var expressions: [ExpressionOverview] = []
    /// What the forward proxy carries; left out where there is none.
    public var forwardProxy: ForwardProxyOverview?
    /// Who publishes.
    public var publishers: [PublisherOverview] = []
    /// Who reads.
    public var readers = ReaderList()
    /// How plays of what comes from elsewhere were met; left out where nothing does.
    public var cache: CacheOverview?

    /// All zero.
    package init() {}

    /// The process.
    public struct Program: Sendable, Codable, Equatable {
        /// `0.1.0`.
        public var version = ""
        /// Its number in the system.
        public var process: Int32 = 0
        /// Where it listens, `HOST:PORT`.
        public var listen = ""
        /// Since it listens.
        public var upSeconds: Double = 0
    }

    /// What carries the media.
    public struct Engine: Sendable, Codable, Equatable {
        /// `io_uring`, `epoll` or `plain`.
        public var backend = ""
        /// Why that one, in a sentence.
        public var backendReason = ""
        /// Threads that carry media.
        public var workers = 0
        /// Those of them that can carry nothing any more.
        public var workersFailed = 0
        /// Of its counters, those of ``Status/EngineFact``.
        public var facts: [String: UInt64] = [:]
    }

    /// Means over about the last second.
    public struct Rates: Sendable, Codable, Equatable {
        /// Packets and bits that readers were sent.
        public var packetsSentPerSecond: Double = 0
        /// Bits a second that readers were sent.
        public var bitsSentPerSecond: Double = 0
        /// Packets and bits that sources sent.
        public var packetsReceivedPerSecond: Double = 0
        /// Bits a second that sources sent.
        public var bitsReceivedPerSecond: Double = 0
    }

    /// Sums since the start, and what there is just now.
    public struct Totals: Sendable, Codable, Equatable {
        /// Packets that sources sent.
        public var packetsReceived: UInt64 = 0
        /// Bytes that sources sent.
        public var bytesReceived: UInt64 = 0
        /// Packets that readers were sent.
        public var packetsSent: UInt64 = 0
        /// Bytes that readers were sent.
        public var bytesSent: UInt64 = 0
        /// Paths whose media flows.
        public var sourcesPlaying = 0
        /// Paths that were added and removed while it runs.
        public var pathsAdded = 0
        /// Paths that were removed while it runs.
        public var pathsRemoved = 0
        /// Readers that are sent media, and sessions that record.
        public var readersPlaying = 0
        /// Sessions that record.
        public var publishers = 0
        /// Open connections and sessions, and how many there were.
        public var connections = 0
        /// Connections since the start.
        public var connectionsEver = 0
        /// Open sessions.
        public var sessions = 0
        /// Sessions since the start.
        public var sessionsEver = 0
        /// Readers that were sent to another relay since there was no room, and requests that `redirect:` sent elsewhere.
        public var readersRedirected = 0
        /// Requests that `redirect:` sent elsewhere.
        public var redirections = 0
        /// Requests that were answered, and those of them with 4xx or 5xx.
        public var requests = 0
        /// Requests that were answered with 4xx or 5xx.
        public var requestsRefused = 0
        /// Receiver reports that readers sent.
        public var receiverReports = 0
        /// Datagrams that the kernel dropped before they could be received, since a buffer was full: of sources, and of readers' reports.
        public var sourceDatagramsDropped: UInt64 = 0
        /// Reports that were left out on their way to a ``RelayReports`` that is too slow.
        public var reportsUnobserved: UInt64 = 0
        /// Datagrams of readers' reports that the kernel dropped.
        public var reportDatagramsDropped: UInt64 = 0
    }

    /// Counters by cause.
    public struct Causes: Sendable, Codable, Equatable {
        /// Packets (or readers) that were given up, by ``Status/Drop``.
        public var drops: [String: UInt64] = [:]
        /// What the server turned away, by ``ServerRefusal``.
        public var refusals: [String: Int] = [:]
        /// Sessions that ended, by ``SessionEnd``.
        public var sessionEnds: [String: Int] = [:]
        /// What sources sent and could not be used: foreign, malformed, oversize datagrams, frames on unknown channels.
        public var sourceFaults: [String: UInt64] = [:]
        /// What became of sessions of Windows Media: opened, evicted for others, refused, taken over by a new connection, mistaken (requests
        /// that named one of somebody else, or none), and connections closed since too many answers were owed.
        public var windowsMedia: [String: Int] = [:]
    }

    /// One limit.
    public struct LimitUse: Sendable, Codable, Equatable {
        /// Its name in the configuration, `connections`.
        public var name: String
        /// How much is in use, and how much there may be.
        public var used: Int
        /// How much there may be.
        public var max: Int
    }

    /// Some of the readers, the worst first, and how many there are in all.
    public struct ReaderList: Sendable, Codable, Equatable {
        /// All reading sessions, playing or not.
        public var count = 0
        /// By transport: `udp`, `tcp`, `multicast`, `none` (not set up yet).
        public var byTransport: [String: Int] = [:]
        /// Those more than a second behind the live stream.
        public var behind = 0
        /// Those whose last receiver report tells of 1 % loss or more.
        public var lossy = 0
        /// Those that sent receiver reports and have sent none for 30 s while they play.
        public var silent = 0
        /// As many as were asked for.
        public var shown: [ReaderOverview] = []
    }
}

/// One path.
public struct PathOverview: Sendable, Codable, Equatable {
    /// Its name.
    public var name = ""
    /// Where its media comes from, without a password: a URL, a file, `publish`.
    public var source = ""
    /// How it came to be, in words; left out for those of the configuration.
    public var origin: String?
    /// Where else it is registered, and how that stands, in words.
    public var registrations: [String] = []
    /// `idle` (nobody wants it), `described` (known, not playing), `playing`, `waiting` (for a publisher, or for the source), `failed`.
    public var state = State.idle
    /// What the source does, in words.
    public var words = ""
    /// Since the state is what it is.
    public var stateSeconds: Double = 0
    /// What went wrong last, also when all is well again.
    public var lastError: LastError?
    /// Until the source is tried again.
    public var nextTrySeconds: Double?
    /// Sessions that read it, playing or not, and those that are sent media.
    public var readers = 0
    /// Sessions that are sent media.
    public var readersLive: UInt64 = 0
    /// How many there may be (left out where there is no such bound), and those that were sent to another relay for that.
    public var readersMax: Int?
    /// Readers that were sent to another relay since the path was full.
    public var readersRedirected: Int?
    /// What its source sent and its readers were sent.
    public var packetsReceived: UInt64 = 0
    /// Bytes that its source sent.
    public var bytesReceived: UInt64 = 0
    /// Packets that its readers were sent.
    public var packetsSent: UInt64 = 0
    /// Bytes that its readers were sent.
    public var bytesSent: UInt64 = 0
    /// What its source sent in the last second, in bits.
    public var bitsReceivedPerSecond: Double = 0
    /// What its readers were sent in the last second, in bits.
    public var bitsSentPerSecond: Double = 0
    /// Packets that its readers missed.
    public var packetsDropped: UInt64 = 0
    /// Datagrams of the source that the kernel dropped.
    public var receiveDrops: UInt64 = 0
    /// Time lines of its source's tracks so far: as many as it has tracks, and as many more each time that it came back.
    public var epochs: UInt64 = 0
    /// What fills gaps of its source; left out where that is off.
    public var slate: SlateOverview?
    /// How often its source's wall clock was set, and its sender reports that cannot be true.
    public var clockSteps: UInt64 = 0
    /// Sender reports of its source that cannot be true.
    public var reportsUnusable: UInt64 = 0
    /// Frames that ended without their last packet because the source did.
    public var framesCut: UInt64 = 0
    /// Its tracks, while it has a stream.
    public var tracks: [TrackOverview] = []
    /// The codecs of the source's other media, which the path leaves out.
    public var tracksLeftOut: [String] = []
    /// Its sources in the order of preference, where it has backups.
    public var legs: [LegOverview] = []
    /// The programs that its tracks go through, while its source is known; left out for a path that has none.
    public var transforms: [TransformOverview]?
    /// What its playlist does; left out for a path that has none.
    public var playlist: PlaylistOverview?
    /// How plays of it were met, where its media comes from elsewhere and was played.
    public var cache: PathCacheOverview?

    /// See ``state``.
    public enum State: String, Sendable, Codable, CaseIterable { case idle, described, playing, waiting, failed }

    /// What went wrong, and when.
    public struct LastError: Sendable, Codable, Equatable {
        /// In words.
        public var words = ""
        /// How long ago it was said last.
        public var secondsAgo: Double = 0
        /// Since when the trouble lasts; left out when it is over.
        public var sinceSeconds: Double?
        /// Failures in a row, and since the start.
        public var inARow = 0
        /// Failures since the start.
        public var ever = 0
    }
}

/// One of several sources of a path.
public struct LegOverview: Sendable, Codable, Equatable {
    /// `primary`, `backup 1` and so on.
    public var role = ""
    /// As in the configuration, without a password.
    public var source = ""
    /// What it does, in words.
    public var words = ""
    /// Whether it is the one that the path's media comes from.
    public var isFeeding = false
    /// Whether it could play at once, or plays.
    public var isReady = false
    /// How often it was changed to, and how often it failed.
    public var timesTaken = 0
    /// How often it failed.
    public var failures = 0
    /// What went wrong last, and how long ago.
    public var lastError: String?
    /// How long ago that was.
    public var lastErrorSecondsAgo: Double?
    /// Until it is tried again.
    public var nextTrySeconds: Double?
    /// Where all sources play at once: what this one brought.
    public var merge: MergeOverview?
}

/// What one of several sources that play at once brought, all tracks together.
public struct MergeOverview: Sendable, Codable, Equatable {
    /// Packets that arrived; the first of their number; those of them that filled a gap of the others.
    public var packets: UInt64 = 0
    /// Packets that were the first of their number.
    public var taken: UInt64 = 0
    /// Those of them that filled a gap of the others.
    public var filled: UInt64 = 0
    /// Those that were there already, came too late, or are not of the stream that plays.
    public var duplicates: UInt64 = 0
    /// Packets that came too late.
    public var late: UInt64 = 0
    /// Packets that are not of the stream that plays.
    public var foreign: UInt64 = 0
    /// Packets that it lost itself, by its own numbers.
    public var lost: Int64 = 0
    /// How far it is behind the first.
    public var lagMilliseconds: Double = 0

    package init() {}
}

/// What fills the gap while a path's source is away.
public struct SlateOverview: Sendable, Codable, Equatable {
    /// `last-key-frame`, or the clip's file.
    public var kind = ""
    /// Whether readers are sent it just now, and since when.
    public var isOn = false
    /// Since when readers are sent it.
    public var sinceSeconds: Double?
    /// How often it began, and the frames that it sent, since the start.
    public var times = 0
    /// Frames that it sent since the start.
    public var frames: UInt64 = 0
    /// Why it cannot be used for this source, in words.
    public var trouble: String?
}

/// One expression that makes paths.
public struct ExpressionOverview: Sendable, Codable, Equatable {
    /// As the configuration has it, `~^cam-(\d+)$`.
    public var name = ""
    /// Where the media of its paths comes from.
    public var source = ""
    /// Its paths just now, at most, and since the start.
    public var instances = 0
    /// How many paths it may make at a time.
    public var instancesMax = 0
    /// Paths that it made since the start.
    public var instancesEver = 0
    /// Requests that found no room for one more.
    public var instancesRefused = 0
    /// Names whose source could not be had that are remembered, at most, and requests that were answered by that.
    public var negatives = 0
    /// How many such names are remembered at most.
    public var negativesMax = 0
    /// Requests that were answered by that.
    public var negativeAnswers = 0
}

/// One track of a path's source, by the source's own numbers.
public struct TrackOverview: Sendable, Codable, Equatable {
    /// Its name in the description, `trackID=0`: the same as long as the stream has the track.
    public var control = ""
    /// Its number in the stream; its multicast port is twice that above the group's.
    public var number = 0
    /// `H.264`.
    public var codec = ""
    /// Ticks of its clock in a second.
    public var clockRate: UInt32 = 0
    /// RTP packets that came.
    public var packets: UInt64 = 0
    /// Bytes that came.
    public var bytes: UInt64 = 0
    /// Packets of this epoch that never came, by their sequence numbers (negative: some came twice).
    public var lost: Int64 = 0
    /// Interarrival jitter (RFC 3550 section 6.4.1).
    public var jitterMilliseconds: Double = 0
    /// Key frames that came.
    public var keyFrames: UInt64 = 0
    /// `plays`, `no packet yet`, `no packet for 12 s`; and for how long it has been silent.
    public var words = ""
    /// For how long it has been silent.
    public var silentSeconds: Double = 0
    /// Where packets are put in order (a jitter buffer, or several sources at once): those that wait just now, numbers that were given
    /// up, and how often there was no room to wait.
    public var waiting: UInt64 = 0
    /// Numbers that were given up.
    public var missing: UInt64 = 0
    /// How often there was no room to wait.
    public var overflows: UInt64 = 0
    /// The largest packet since the source was dialled, as readers get it.
    public var packetBytesMax: UInt64 = 0
    /// Packets of the source that were cut into smaller ones, and such that were too large and could not be, or were not to be.
    public var packetsFragmented: UInt64 = 0
    /// Packets that were too large and could not be cut, or were not to be.
    public var packetsOversize: UInt64 = 0
}

/// One reader.
public struct ReaderOverview: Sendable, Codable, Equatable {
    /// The beginning of its session's id, as in the log.
    public var session = ""
    /// The path that it reads.
    public var path = ""
    /// `HOST:PORT` of its connection, or of its first track's RTP.
    public var address = ""
    /// Its own words; printable, at most ``agentCharactersMax``.
    public var userAgent: String?
    /// Who logged in.
    public var user: String?
    /// `udp`, `tcp`, `multicast`, or `none` before its first SETUP.
    public var transport = ""
    /// `ready` (set up, or paused), `starting`, `playing`.
    public var state = ""
    /// How its play was met, where the media comes from elsewhere: `HIT fresh`.
    public var cache: String?
    /// Since its SETUP.
    public var sinceSeconds: Double = 0
    /// What it was sent; over UDP what was due to it by the counters of its tracks. Without what it missed (``packetsMissed``), as far as
    /// the engine has told: at once, then once a minute. Left out for multicast, where the group is sent to.
    public var packetsSent: UInt64?
    /// Bytes that it was sent, as ``packetsSent`` counts.
    public var bytesSent: UInt64?
    /// Packets that the engine did not send since it was too slow.
    public var packetsMissed: UInt64 = 0
    /// How far what it has lies behind the live stream. TCP: of what it was due and has not acknowledged; UDP: by its last receiver report.
    public var lagMilliseconds: Double?
    /// TCP: bytes that wait in the connection, and whether it takes no more just now.
    public var queuedBytes: Int?
    /// TCP: whether it takes no more just now.
    public var isBlocked: Bool?
    /// By receiver reports; over TCP by the kernel where a reader sends none.
    public var roundTripMilliseconds: Double?
    /// By its last receiver reports (the worst of its tracks), and over all its time.
    public var lossPercent: Double?
    /// Packets that it lost over all its time.
    public var packetsLost: Int?
    /// Interarrival jitter by its last receiver reports.
    public var jitterMilliseconds: Double?
    /// Receiver reports so far, and the age of the last.
    public var reports = 0
    /// The age of its last receiver report.
    public var reportSecondsAgo: Double?

    /// What is kept of a peer's words about itself.
    public static let agentCharactersMax = 80
}

/// One publisher.
public struct PublisherOverview: Sendable, Codable, Equatable {
    /// The beginning of its session's id, as in the log.
    public var session = ""
    /// The path that it publishes to.
    public var path = ""
    /// `HOST:PORT` of its connection.
    public var address = ""
    /// Its own words; printable, at most ``ReaderOverview/agentCharactersMax``.
    public var userAgent: String?
    /// Who logged in.
    public var user: String?
    /// `udp` or `tcp`.
    public var transport = ""
    /// `ready` or `recording`.
    public var state = ""
    /// Since its ANNOUNCE.
    public var sinceSeconds: Double = 0
}
