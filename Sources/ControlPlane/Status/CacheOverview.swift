/// How players' requests for what comes from elsewhere were met, what is kept of it, and what waits to be told to origins.
public struct CacheOverview: Sendable, Codable, Equatable {
    /// Plays out of the cache, without asking the origin.
    public var hits = 0
    /// Plays from the origin, of what is kept from then on.
    public var misses = 0
    /// Plays out of the cache, after the origin said that it is what it was.
    public var revalidations = 0
    /// Plays of a stream of the origin's that others are sent, too.
    public var splits = 0
    /// Plays from the origin for one player alone.
    public var bypasses = 0
    /// Bytes of media that players were given out of what is kept.
    public var bytesFromCache: UInt64 = 0
    /// Bytes of media that came from origins.
    public var bytesFromOrigin: UInt64 = 0
    /// What lies on the disk; left out where nothing is kept there.
    public var store: Store?
    /// What is held in memory, and how content is fetched.
    public var fills = Fills()
    /// What origins are to hear.
    public var notices = NoticesOverview()

    package init() {}

    /// Whether any play was met, and in which way.
    var plays: Int { hits + misses + revalidations + splits + bypasses }

    /// What is held in memory, and how content is fetched.
    public struct Fills: Sendable, Codable, Equatable {
        /// Bytes of memory that are set aside for content that may not lie, or does not get, on the disk.
        public var memoryBytes = 0
        /// How many may be.
        public var memoryBytesMax = 0
        /// Contents for which there was no room, or not all that they wanted.
        public var memoryRefused = 0
        /// Players that waited for a session with the origin to find the place that they sought.
        public var searchesQueued = 0
        /// Of them those that were given none.
        public var searchesRefused = 0

        package init() {}
    }

    /// What lies on the disk.
    public struct Store: Sendable, Codable, Equatable {
        /// Where.
        public var directory = ""
        /// Contents.
        public var objects = 0
        /// How many there may be.
        public var objectsMax = 0
        /// Bytes that they take.
        public var bytes: UInt64 = 0
        /// Bytes that they may take.
        public var bytesMax: UInt64 = 0
        /// Contents that made room for others.
        public var evictions = 0
        /// Writes that failed, each with the content that was being written.
        public var writeFailures = 0
        /// Contents that were found damaged and let go of.
        public var damaged = 0

        package init() {}
    }
}

/// What origins asked to hear of plays (`x-wms-event-subscription`), and what became of it.
public struct NoticesOverview: Sendable, Codable, Equatable {
    /// That wait to be told.
    public var waiting = 0
    /// Their bytes.
    public var waitingBytes = 0
    /// How many may wait.
    public var waitingMax = 0
    /// Origins that could not be reached when they were told last.
    public var originsAway = 0
    /// That were to be told since the start.
    public var made = 0
    /// That origins took.
    public var delivered = 0
    /// That origins did not want.
    public var refused = 0
    /// Attempts at origins that were away.
    public var attemptsFailed = 0
    /// That there was no room for.
    public var overflowed = 0
    /// That waited too long.
    public var expired = 0
    /// That an earlier run left.
    public var restored = 0
    /// That could not be written down, and would be lost at a restart.
    public var writeFailures = 0
    /// What was wrong last while an origin is away.
    public var trouble: String?
    /// What players logged, by kind: `connect`, `streaming`, `legacy`, `rendering`, `unusable`.
    public var logs: [String: Int] = [:]
    /// What relays behind this one told: `remote_open`, `remote_close`, `remote_log`.
    public var eventsHeard: [String: Int] = [:]

    package init() {}
}

/// How plays of one path were met.
public struct PathCacheOverview: Sendable, Codable, Equatable {
    /// Plays, by `HIT`, `MISS`, `REVALIDATED`, `SPLIT`, `BYPASS`; those that never were are left out.
    public var plays: [String: Int] = [:]
    /// The last one, with its reason: `HIT fresh`.
    public var last = ""
    /// Bytes of media that players were given out of what is kept.
    public var bytesFromCache: UInt64 = 0
    /// Bytes of media that came from the origin.
    public var bytesFromOrigin: UInt64 = 0

    package init() {}
}

extension PathCacheOverview {
    /// Nil where nothing that comes from elsewhere was played.
    init?(_ counts: ProxyCounts) {
        guard !counts.isEmpty else { return nil }
        for (word, count) in counts.plays { plays[word.rawValue] = count }
        last = counts.last?.words ?? ""
        bytesFromCache = counts.bytesFromCache
        bytesFromOrigin = counts.bytesFromOrigin
    }
}

extension CacheOverview {
    /// How plays were met.
    mutating func take(_ counts: ProxyCounts) {
        hits = counts.plays[.hit] ?? 0
        misses = counts.plays[.miss] ?? 0
        revalidations = counts.plays[.revalidated] ?? 0
        splits = counts.plays[.split] ?? 0
        bypasses = counts.plays[.bypass] ?? 0
        bytesFromCache = counts.bytesFromCache
        bytesFromOrigin = counts.bytesFromOrigin
    }
}

extension CacheOverview.Fills {
    /// As it is now.
    init(_ commons: ProxyCommons) {
        memoryBytes = commons.memory.bytes
        memoryBytesMax = commons.memory.bytesMax
        memoryRefused = commons.memory.refused
        searchesQueued = commons.counts.searchesQueued
        searchesRefused = commons.counts.searchesRefused
    }
}

extension CacheOverview.Store {
    /// As it is now.
    init(_ store: CacheStore) {
        let counters = store.counters
        directory = PeerWords.printable(store.settings.directory)
        objects = counters.objects
        objectsMax = store.settings.objectsMax
        bytes = UInt64(clamping: counters.bytes)
        bytesMax = UInt64(clamping: counters.bytesMax)
        evictions = Int(clamping: counters.evicted)
        writeFailures = Int(clamping: counters.failed)
        damaged = Int(clamping: counters.damaged)
    }
}
