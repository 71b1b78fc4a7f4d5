import Logging
import NIOCore
import Signalling
import WireFormats

/// One version of content on demand that comes from an origin: what the origin said of it, and its packets. Belongs to the event loop.
final class ProxiedObject {
    /// What the origin said last.
    var facts: OriginFacts
    let fill: ObjectFill
    /// What can be done with it at the origin; nil where it does not say.
    let features: WMSPFeatures?
    let metadata: WMSPMetadata?
    /// For one player alone.
    let isPrivate: Bool
    /// The object of the cache; nil: it is in memory alone.
    let stored: CacheObject?
    private let packetCount: UInt32?
    private let origin: String

    init(
        facts: OriginFacts, fill: ObjectFill, stored: CacheObject?, packetCount: UInt32?, features: WMSPFeatures?, metadata: WMSPMetadata?,
        isPrivate: Bool, origin: String
    ) {
        self.facts = facts
        self.fill = fill
        self.stored = stored
        self.packetCount = packetCount
        self.features = features
        self.metadata = metadata
        self.isPrivate = isPrivate
        self.origin = origin
    }

    /// As a decision has to know it.
    var state: ProxySituation.Object {
        ProxySituation.Object(
            facts: facts, extent: fill.isWhole ? .whole : fill.here.isEmpty && !fill.isActive ? .empty : .partial,
            isVerified: stored.map { !$0.isGone } ?? true, place: stored == nil ? .memory : .disk)
    }

    /// It may be given to others.
    var isOfUse: Bool { !fill.isOutdated && !fill.isLetGo && !isPrivate && (stored == nil || fill.isKept) }

    /// It as a player gets it, in the language that he speaks.
    func file(_ outcome: ProxyOutcome, for dialect: OriginFacts.Dialect, on eventLoop: any EventLoop) -> WindowsMediaFile {
        let header = fill.header
        var possible: WMSPFeatures = [.seekable]
        // What is all here is wound here, whatever the origin could.
        if fill.isWhole, !header.keyFrameStreams.isEmpty { possible.insert(.stridable) }
        if let features, !fill.isWhole, !features.contains(.seekable) { possible = [] }
        var content = WMSPContent(features: possible, header: header)
        content.cacheControl = facts.cacheControl(for: dialect, now: CacheClock.now())
        content.etag = facts.etag
        content.lastModified = facts.lastModified
        if let metadata, !metadata.descriptions.isEmpty { content.descriptions = metadata.descriptions }
        let proxied = ProxiedContent(
            outcome: outcome, origin: origin, events: facts.cacheControl?.events ?? [], isCached: fill.isKept)
        return WindowsMediaFile(
            name: origin, header: header, packetCount: packetCount, facts: content, storage: fill.packets, supply: fill,
            isWhole: fill.isWhole, proxied: proxied, on: eventLoop)
    }
}

/// What is on the disk and being read or fetched just now, for all paths: what two of them have from the same place is one object, and is fetched
/// once. Belongs to the event loop.
final class ProxyShelf {
    private struct Place { weak var object: ProxiedObject? }
    private struct ListPlace { weak var list: ProxiedList? }
    private var places: [String: Place] = [:]
    private var lists: [String: ListPlace] = [:]
    /// Who waits for what somebody else makes just now, by key.
    private var waiting: [String: [() -> Void]] = [:]

    /// Whether whoever asks is to make what lies under a key, and to say ``made(_:)`` then; else `later` is called when it was.
    func begins(_ key: CacheKey, _ later: @escaping () -> Void) -> Bool {
        guard waiting[key.url] == nil else {
            waiting[key.url]?.append(later)
            return false
        }
        waiting[key.url] = []
        return true
    }

    /// It was made, or cannot be.
    func made(_ key: CacheKey) { for later in waiting.removeValue(forKey: key.url) ?? [] { later() } }

    /// What lies under a key.
    subscript(key: CacheKey) -> ProxiedObject? { places[key.url]?.object }

    /// The playlist under a key.
    func list(_ key: String) -> ProxiedList? { lists[key]?.list }

    /// Takes the place of the one that lay there.
    func put(_ list: ProxiedList) {
        lists = lists.filter { $0.value.list != nil }
        lists[list.stored.key] = ListPlace(list: list)
    }

    /// Takes the place of what lay there.
    func put(_ object: ProxiedObject, _ key: String) {
        places = places.filter { $0.value.object != nil }
        places[key] = Place(object: object)
    }
}

extension OriginFacts {
    /// What an origin said, word for word.
    init(_ statement: OriginStatement, length: HeaderLength? = nil, isPlayers: Bool = false, saidAt: Int64 = CacheClock.now()) {
        let dialect: Dialect = statement.dialect == .wmsp ? .wmsp : .msRTSP
        self.init(
            dialect: dialect, cacheControl: statement.cacheControl, etag: statement.etag, lastModified: statement.lastModified,
            vary: statement.vary, features: statement.features, length: length,
            credentials: isPlayers || statement.openedBy == .player ? .players : statement.openedBy == .configuration ? .operators : .none,
            saidAt: saidAt)
        if statement.isBroadcast, kind != .playlist { kind = .broadcast }
    }

    /// What Describe told.
    init(_ description: OriginPlay.Description, isPlayers: Bool, saidAt: Int64 = CacheClock.now()) {
        let header = description.header
        let length: HeaderLength =
            description.packetCount.map { .whole(bytes: UInt64(header.bytes.count) + UInt64($0) * UInt64(header.packetBytes)) } ?? .open
        self.init(description.statement, length: length, isPlayers: isPlayers, saidAt: saidAt)
        if description.isPlaylist, kind != .broadcast { kind = .playlist }
    }

    /// What is written of them beside an object that is kept.
    init(_ kept: CacheFacts) {
        self.init(
            dialect: kept.dialect.flatMap { Dialect(rawValue: $0) } ?? .wmsp, cacheControl: kept.cacheControl.map { [$0] } ?? [],
            etag: kept.etag, lastModified: kept.lastModified,
            length: .whole(bytes: kept.contentBytes.flatMap { UInt64(exactly: $0) }), saidAt: kept.validatedAt)
    }

    /// The same, to be written.
    var kept: CacheFacts {
        CacheFacts(
            etag: etag, lastModified: lastModified, contentBytes: contentBytes.flatMap { Int64(exactly: $0) },
            cacheControl: cacheControl?.text, dialect: dialect.rawValue, validatedAt: saidAt)
    }
}
