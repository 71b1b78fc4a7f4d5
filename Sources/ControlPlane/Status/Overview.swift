/// What can be known of a running relay, at one moment. The one model that `weir status`, `weir top` and whatever else looks at a relay
/// stand on: plain values, without a reference to anything that lives.
///
/// As JSON (``json()``) its members are in snake case and sorted by name; what is not known is left out. Counts are sums since the
/// start, seconds are ages at the moment of the answer.
package struct Overview: Sendable, Codable, Equatable {
    /// Grows when a member changes its meaning; new members alone do not change it.
    package static let schema = 1

    /// ``schema`` of whoever made it.
    package var schema = Overview.schema
    /// The process.
    package var program = Program()
    /// What carries the media.
    package var engine = Engine()
    /// What flows just now.
    package var rates = Rates()
    /// Sums since the start, and what there is just now.
    package var totals = Totals()
    /// What was not done, by cause; causes that never happened are there with 0.
    package var causes = Causes()
    /// How far each limit is used.
    package var limits: [LimitUse] = []
    /// Every path, by name.
    package var paths: [PathOverview] = []
    /// What makes paths of names that nobody listed, in the order of the configuration.
    package var expressions: [ExpressionOverview] = []
    /// Who publishes.
    package var publishers: [PublisherOverview] = []
    /// Who reads.
    package var readers = ReaderList()

    /// All zero.
    package init() {}

    /// The process.
    package struct Program: Sendable, Codable, Equatable {
        /// `0.1.0`.
        package var version = ""
        /// Its number in the system.
        package var process: Int32 = 0
        /// Where it listens, `HOST:PORT`.
        package var listen = ""
        /// Since it listens.
        package var upSeconds: Double = 0
    }

    /// What carries the media.
    package struct Engine: Sendable, Codable, Equatable {
        /// `io_uring`, `epoll` or `plain`.
        package var backend = ""
        /// Why that one, in a sentence.
        package var backendReason = ""
        /// Threads that carry media.
        package var workers = 0
        /// Those of them that can carry nothing any more.
        package var workersFailed = 0
        /// Of its counters, those of ``Status/EngineFact``.
        package var facts: [String: UInt64] = [:]
    }

    /// Means over about the last second.
    package struct Rates: Sendable, Codable, Equatable {
        /// Packets and bits that readers were sent.
        package var packetsSentPerSecond: Double = 0
        package var bitsSentPerSecond: Double = 0
        /// Packets and bits that sources sent.
        package var packetsReceivedPerSecond: Double = 0
        package var bitsReceivedPerSecond: Double = 0
    }

    /// Sums since the start, and what there is just now.
    package struct Totals: Sendable, Codable, Equatable {
        package var packetsReceived: UInt64 = 0
        package var bytesReceived: UInt64 = 0
        package var packetsSent: UInt64 = 0
        package var bytesSent: UInt64 = 0
        /// Paths whose media flows.
        package var sourcesPlaying = 0
        /// Paths that were added and removed while it runs.
        package var pathsAdded = 0
        package var pathsRemoved = 0
        /// Readers that are sent media, and sessions that record.
        package var readersPlaying = 0
        package var publishers = 0
        /// Open connections and sessions, and how many there were.
        package var connections = 0
        package var connectionsEver = 0
        package var sessions = 0
        package var sessionsEver = 0
        /// Readers that were sent to another relay since there was no room, and requests that `redirect:` sent elsewhere.
        package var readersRedirected = 0
        package var redirections = 0
        /// Requests that were answered, and those of them with 4xx or 5xx.
        package var requests = 0
        package var requestsRefused = 0
        /// Receiver reports that readers sent.
        package var receiverReports = 0
        /// Datagrams that the kernel dropped before they could be received, since a buffer was full: of sources, and of readers' reports.
        package var sourceDatagramsDropped: UInt64 = 0
        package var reportDatagramsDropped: UInt64 = 0
    }

    /// Counters by cause.
    package struct Causes: Sendable, Codable, Equatable {
        /// Packets (or readers) that were given up, by ``Status/Drop``.
        package var drops: [String: UInt64] = [:]
        /// What the server turned away, by ``ServerRefusal``.
        package var refusals: [String: Int] = [:]
        /// Sessions that ended, by ``SessionEnd``.
        package var sessionEnds: [String: Int] = [:]
        /// What sources sent and could not be used: foreign, malformed, oversize datagrams, frames on unknown channels.
        package var sourceFaults: [String: UInt64] = [:]
    }

    /// One limit.
    package struct LimitUse: Sendable, Codable, Equatable {
        /// Its name in the configuration, `connections`.
        package var name: String
        /// How much is in use, and how much there may be.
        package var used: Int
        package var max: Int
    }

    /// Some of the readers, the worst first, and how many there are in all.
    package struct ReaderList: Sendable, Codable, Equatable {
        /// All reading sessions, playing or not.
        package var count = 0
        /// By transport: `udp`, `tcp`, `multicast`, `none` (not set up yet).
        package var byTransport: [String: Int] = [:]
        /// Those more than a second behind the live stream.
        package var behind = 0
        /// Those whose last receiver report tells of 1 % loss or more.
        package var lossy = 0
        /// Those that sent receiver reports and have sent none for 30 s while they play.
        package var silent = 0
        /// As many as were asked for.
        package var shown: [ReaderOverview] = []
    }
}

/// One path.
package struct PathOverview: Sendable, Codable, Equatable {
    /// Its name.
    package var name = ""
    /// Where its media comes from, without a password: a URL, a file, `publish`.
    package var source = ""
    /// How it came to be, in words; left out for those of the configuration.
    package var origin: String?
    /// Where else it is registered, and how that stands, in words.
    package var registrations: [String] = []
    /// `idle` (nobody wants it), `described` (known, not playing), `playing`, `waiting` (for a publisher, or for the source), `failed`.
    package var state = State.idle
    /// What the source does, in words.
    package var words = ""
    /// Since the state is what it is.
    package var stateSeconds: Double = 0
    /// What went wrong last, also when all is well again.
    package var lastError: LastError?
    /// Until the source is tried again.
    package var nextTrySeconds: Double?
    /// Sessions that read it, playing or not, and those that are sent media.
    package var readers = 0
    package var readersLive: UInt64 = 0
    /// How many there may be (left out where there is no such bound), and those that were sent to another relay for that.
    package var readersMax: Int?
    package var readersRedirected: Int?
    /// What its source sent and its readers were sent.
    package var packetsReceived: UInt64 = 0
    package var bytesReceived: UInt64 = 0
    package var packetsSent: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var bitsReceivedPerSecond: Double = 0
    package var bitsSentPerSecond: Double = 0
    /// Packets that its readers missed.
    package var packetsDropped: UInt64 = 0
    /// Datagrams of the source that the kernel dropped.
    package var receiveDrops: UInt64 = 0
    /// Time lines of its source's tracks so far: as many as it has tracks, and as many more each time that it came back.
    package var epochs: UInt64 = 0
    /// What fills gaps of its source; left out where that is off.
    package var slate: SlateOverview?
    /// How often its source's wall clock was set, and its sender reports that cannot be true.
    package var clockSteps: UInt64 = 0
    package var reportsUnusable: UInt64 = 0
    /// Its tracks, while it has a stream.
    package var tracks: [TrackOverview] = []
    /// The codecs of the source's other media, which the path leaves out.
    package var tracksLeftOut: [String] = []
    /// Its sources in the order of preference, where it has backups.
    package var legs: [LegOverview] = []
    /// The programs that its tracks go through, while its source is known; left out for a path that has none.
    package var transforms: [TransformOverview]?

    /// See ``state``.
    package enum State: String, Sendable, Codable, CaseIterable { case idle, described, playing, waiting, failed }

    /// What went wrong, and when.
    package struct LastError: Sendable, Codable, Equatable {
        /// In words.
        package var words = ""
        /// How long ago it was said last.
        package var secondsAgo: Double = 0
        /// Since when the trouble lasts; left out when it is over.
        package var sinceSeconds: Double?
        /// Failures in a row, and since the start.
        package var inARow = 0
        package var ever = 0
    }
}

/// One of several sources of a path.
package struct LegOverview: Sendable, Codable, Equatable {
    /// `primary`, `backup 1` and so on.
    package var role = ""
    /// As in the configuration, without a password.
    package var source = ""
    /// What it does, in words.
    package var words = ""
    /// Whether it is the one that the path's media comes from.
    package var isFeeding = false
    /// Whether it could play at once, or plays.
    package var isReady = false
    /// How often it was changed to, and how often it failed.
    package var timesTaken = 0
    package var failures = 0
    /// What went wrong last, and how long ago.
    package var lastError: String?
    package var lastErrorSecondsAgo: Double?
    /// Until it is tried again.
    package var nextTrySeconds: Double?
    /// Where all sources play at once: what this one brought.
    package var merge: MergeOverview?
}

/// What one of several sources that play at once brought, all tracks together.
package struct MergeOverview: Sendable, Codable, Equatable {
    /// Packets that arrived; the first of their number; those of them that filled a gap of the others.
    package var packets: UInt64 = 0
    package var taken: UInt64 = 0
    package var filled: UInt64 = 0
    /// Those that were there already, came too late, or are not of the stream that plays.
    package var duplicates: UInt64 = 0
    package var late: UInt64 = 0
    package var foreign: UInt64 = 0
    /// Packets that it lost itself, by its own numbers.
    package var lost: Int64 = 0
    /// How far it is behind the first.
    package var lagMilliseconds: Double = 0

    package init() {}
}

/// What fills the gap while a path's source is away.
package struct SlateOverview: Sendable, Codable, Equatable {
    /// `last-key-frame`, or the clip's file.
    package var kind = ""
    /// Whether readers are sent it just now, and since when.
    package var isOn = false
    package var sinceSeconds: Double?
    /// How often it began, and the frames that it sent, since the start.
    package var times = 0
    package var frames: UInt64 = 0
    /// Why it cannot be used for this source, in words.
    package var trouble: String?
}

/// One expression that makes paths.
package struct ExpressionOverview: Sendable, Codable, Equatable {
    /// As the configuration has it, `~^cam-(\d+)$`.
    package var name = ""
    /// Where the media of its paths comes from.
    package var source = ""
    /// Its paths just now, at most, and since the start.
    package var instances = 0
    package var instancesMax = 0
    package var instancesEver = 0
    /// Requests that found no room for one more.
    package var instancesRefused = 0
    /// Names whose source could not be had that are remembered, at most, and requests that were answered by that.
    package var negatives = 0
    package var negativesMax = 0
    package var negativeAnswers = 0
}

/// One track of a path's source, by the source's own numbers.
package struct TrackOverview: Sendable, Codable, Equatable {
    /// Its name in the description, `trackID=0`: the same as long as the stream has the track.
    package var control = ""
    /// Its number in the stream; its multicast port is twice that above the group's.
    package var number = 0
    /// `H.264`.
    package var codec = ""
    /// Ticks of its clock in a second.
    package var clockRate: UInt32 = 0
    package var packets: UInt64 = 0
    package var bytes: UInt64 = 0
    /// Packets of this epoch that never came, by their sequence numbers (negative: some came twice).
    package var lost: Int64 = 0
    package var jitterMilliseconds: Double = 0
    package var keyFrames: UInt64 = 0
    /// `plays`, `no packet yet`, `no packet for 12 s`; and for how long it has been silent.
    package var words = ""
    package var silentSeconds: Double = 0
    /// Where packets are put in order (a jitter buffer, or several sources at once): those that wait just now, numbers that were given
    /// up, and how often there was no room to wait.
    package var waiting: UInt64 = 0
    package var missing: UInt64 = 0
    package var overflows: UInt64 = 0
    /// The largest packet since the source was dialled, as readers get it.
    package var packetBytesMax: UInt64 = 0
    /// Packets of the source that were cut into smaller ones, and such that were too large and could not be, or were not to be.
    package var packetsFragmented: UInt64 = 0
    package var packetsOversize: UInt64 = 0
}

/// One reader.
package struct ReaderOverview: Sendable, Codable, Equatable {
    /// The beginning of its session's id, as in the log.
    package var session = ""
    package var path = ""
    /// `HOST:PORT` of its connection, or of its first track's RTP.
    package var address = ""
    /// Its own words; printable, at most ``agentCharactersMax``.
    package var userAgent: String?
    /// Who logged in.
    package var user: String?
    /// `udp`, `tcp`, `multicast`, or `none` before its first SETUP.
    package var transport = ""
    /// `ready` (set up, or paused), `starting`, `playing`.
    package var state = ""
    /// Since its SETUP.
    package var sinceSeconds: Double = 0
    /// What it was sent; over UDP what was due to it by the counters of its tracks. Without what it missed (``packetsMissed``), as far as
    /// the engine has told: at once, then once a minute. Left out for multicast, where the group is sent to.
    package var packetsSent: UInt64?
    package var bytesSent: UInt64?
    /// Packets that the engine did not send since it was too slow.
    package var packetsMissed: UInt64 = 0
    /// How far what it has lies behind the live stream. TCP: of what it was due and has not acknowledged; UDP: by its last receiver report.
    package var lagMilliseconds: Double?
    /// TCP: bytes that wait in the connection, and whether it takes no more just now.
    package var queuedBytes: Int?
    package var isBlocked: Bool?
    /// By receiver reports; over TCP by the kernel where a reader sends none.
    package var roundTripMilliseconds: Double?
    /// By its last receiver reports (the worst of its tracks), and over all its time.
    package var lossPercent: Double?
    package var packetsLost: Int?
    package var jitterMilliseconds: Double?
    /// Receiver reports so far, and the age of the last.
    package var reports = 0
    package var reportSecondsAgo: Double?

    /// What is kept of a peer's words about itself.
    package static let agentCharactersMax = 80
}

/// One publisher.
package struct PublisherOverview: Sendable, Codable, Equatable {
    package var session = ""
    package var path = ""
    package var address = ""
    package var userAgent: String?
    package var user: String?
    package var transport = ""
    /// `ready` or `recording`.
    package var state = ""
    package var sinceSeconds: Double = 0
}
