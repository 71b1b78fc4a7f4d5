import NIOCore
import Signalling
import WireFormats

/// One version of a playlist that comes from an origin: what it consists of, and its entries, each an object of its own. Belongs to the event loop.
final class ProxiedList {
    /// What the origin said last.
    var facts: OriginFacts
    let list: KeptList
    /// The object of the cache that says so.
    let stored: CacheObject
    /// What ways through it go by.
    let programme: PlaylistProgramme
    let origin: String
    /// The origin has another one.
    private(set) var isOutdated = false
    /// Something of an entry changed: how much is here, who reads it.
    var onChange: (() -> Void)?

    private var objects: [Int: ProxiedObject] = [:]
    private var waiting: [Int: [(ProxiedObject?) -> Void]] = [:]
    private let make: (_ entry: OriginEntry, _ header: ASFHeader, _ facts: OriginFacts, _ stored: CacheObject?) -> ProxiedObject?
    private let desk: CacheDesk

    /// `make` makes an object of an entry, with what brings it; nil: there is nobody any more who could.
    init(
        _ list: KeptList, _ facts: OriginFacts, stored: CacheObject, programme: PlaylistProgramme, origin: String, desk: CacheDesk,
        make: @escaping (_ entry: OriginEntry, _ header: ASFHeader, _ facts: OriginFacts, _ stored: CacheObject?) -> ProxiedObject?
    ) {
        self.list = list
        self.facts = facts
        self.stored = stored
        self.programme = programme
        self.origin = origin
        self.desk = desk
        self.make = make
    }

    /// It may be given to others.
    var isOfUse: Bool { !isOutdated && !stored.isGone }
    /// Somebody reads an entry, or it is being fetched.
    var isActive: Bool { objects.values.contains { $0.fill.isActive } }
    var readerCount: Int { objects.values.reduce(0) { $0 + $1.fill.readerCount } }
    var wholeCount: Int { objects.values.count { $0.fill.isWhole } }

    /// How much of an entry is kept; nil: nobody has it open.
    func extent(of index: Int) -> ProxySituation.Object.Extent? {
        guard let object = objects[index], object.isOfUse, object.stored != nil else { return nil }
        return object.fill.isWhole ? .whole : object.fill.here.isEmpty ? .empty : .partial
    }

    /// Nobody new is given it: whoever plays it goes on as far as it is here.
    func outdate(_ words: String) {
        guard !isOutdated else { return }
        isOutdated = true
        for object in objects.values { object.fill.changed(words) }
    }

    /// Lets go of the origin.
    func stop() {
        for object in objects.values { object.fill.stop() }
        programme.stop()
    }

    /// Forgets what is neither read nor fetched.
    func tidy() { objects = objects.filter { $0.value.fill.isActive || $0.value.fill.sessionCount > 0 } }

    /// An entry, from the cache or new; in memory alone where it cannot be kept. Nil: Weir stops.
    func object(_ index: Int, _ done: @escaping (ProxiedObject?) -> Void) {
        if let object = objects[index], object.isOfUse || isOutdated { return done(object) }
        waiting[index, default: []].append(done)
        guard waiting[index]?.count == 1 else { return }
        guard let header = list.entries[index].asf else {
            waiting[index] = nil
            return done(nil)
        }
        let id = stored.id, listKey = stored.key, key = KeptList.key(of: index, list: stored.key, id: id)
        let order = CacheDescription(
            key: key, kind: .asf, url: "\(origin)#\(index + 1)", head: header.bytes, unitBytes: header.packetBytes,
            units: Int(list.entries[index].packets), facts: facts.kept)
        desk.writing { store -> CacheObject? in
            // What belongs to a list that went would never go itself.
            guard try store.find(listKey)?.id == id else { return nil }
            if let object = try store.open(key), object.head == order.head, object.unitBytes == order.unitBytes,
                object.units == order.units
            {
                return object
            }
            return try store.create(order)
        }.assumeIsolated().whenComplete { [self] result in
            if case .failure(let error) = result {
                programme.note("an entry is not kept", error)
            }
            let object = make(OriginEntry(list: list, index: index, etag: facts.etag), header, facts, (try? result.get()) ?? nil)
            objects[index] = object
            object?.fill.onChange(self) { [weak self, weak object] in
                guard let self else { return }
                if let object, object.fill.isOutdated, objects[index] === object { isOutdated = true }
                onChange?()
            }
            for done in waiting.removeValue(forKey: index) ?? [] { done(object) }
        }
    }
}

/// A playlist of an origin as one player is given it. Belongs to the event loop.
final class ProxiedListView: KeptEntries {
    private let list: ProxiedList
    private let outcome: ProxyOutcome
    private let dialect: OriginFacts.Dialect
    private let eventLoop: any EventLoop

    init(_ list: ProxiedList, _ outcome: ProxyOutcome, for dialect: OriginFacts.Dialect, on eventLoop: any EventLoop) {
        self.list = list
        self.outcome = outcome
        self.dialect = dialect
        self.eventLoop = eventLoop
    }

    var inAll: (packets: Int, bytes: UInt64) {
        list.list.entries.reduce(into: (0, 0)) { sum, entry in
            sum.packets += Int(entry.packets)
            sum.bytes += UInt64(entry.header.count) + UInt64(entry.packets) * UInt64(entry.asf?.packetBytes ?? 0)
        }
    }

    func open(_ entry: PlaylistEntry, _ done: @escaping (Result<OpenedEntry, PlaylistOpener.Trouble>) -> Void) {
        eventLoop.assumeIsolated().execute { [self] in
            guard case .kept(let index) = entry.media.location, list.list.entries.indices.contains(index) else {
                return done(.failure(PlaylistOpener.Trouble(description: "the playlist has no such entry")))
            }
            list.object(index) { [self] object in
                guard let object else { return done(.failure(PlaylistOpener.Trouble(description: "Weir stops"))) }
                // The way to an entry takes a while: it is gone before the player is there. The first one is played at once.
                if index > 0, object.fill.here.run(from: 0).isEmpty { object.fill.locate(.beginning, streams: []) { _ in } }
                done(.success(opened(entry, list.list.entries[index], object)))
            }
        }
    }

    private func opened(_ entry: PlaylistEntry, _ kept: KeptList.Entry, _ object: ProxiedObject) -> OpenedEntry {
        let file = object.file(outcome, for: dialect, on: eventLoop)
        let opened = OpenedEntry(entry: entry, media: .file(file), header: file.header)
        var facts = opened.facts
        // What is not all here cannot be wound.
        if !file.isWhole { facts.features.remove(.stridable) }
        if let told = kept.told {
            facts.features.formIntersection(told.features.union([.playlist, .stridable]))
            if !told.descriptions.isEmpty { facts.descriptions = told.descriptions }
        }
        facts.cacheControl = list.facts.cacheControl(for: dialect, now: CacheClock.now())
        facts.etag = list.facts.etag
        facts.lastModified = list.facts.lastModified
        return OpenedEntry(entry: entry, media: .file(file), header: file.header, facts: facts, pull: nil)
    }
}
