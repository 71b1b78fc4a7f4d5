import NIOCore
import Signalling
import WireFormats

/// Playlists that are kept.
extension WindowsMediaProxy {
    /// So long players wait until it is found out what a playlist consists of; then they are passed on, and who comes later has it.
    static var walkMilliseconds: Int { 6_000 }

    /// What was found in the cache under the name of a playlist.
    struct FoundList: Sendable {
        var document: [UInt8]
        /// Of each entry that there is something of, by its key: whether all of it is here.
        var entries: [String: Bool]
    }

    /// Looks at a playlist that is kept. Blocks.
    static func find(_ record: CacheRecord, in store: CacheStore) throws -> FoundList? {
        guard record.isWhole, let units = record.units, units > 0, let object = try store.open(record.key), object.id == record.id else {
            return nil
        }
        // One that is damaged is none, and is let go of by this.
        guard let document = try? object.read(0..<units), document.count == units else { return nil }
        let entries = try store.entries(of: record).filter { !$0.ranges.isEmpty }
        return FoundList(document: document, entries: Dictionary(entries.map { ($0.key, $0.isWhole) }) { first, _ in first })
    }

    /// It as a decision has to know it; nil where it cannot be read.
    func situation(_ record: CacheRecord, _ found: FoundList) -> (list: KeptList, object: ProxySituation.Object)? {
        guard let list = KeptList(found.document) else { return nil }
        let live = self.list.flatMap { $0.stored.id == record.id ? $0 : nil }
        let extents = list.entries.indices.map { index -> ProxySituation.Object.Extent in
            if let extent = live?.extent(of: index) { return extent }
            guard let isWhole = found.entries[KeptList.key(of: index, list: record.key, id: record.id)] else { return .empty }
            return isWhole ? .whole : .partial
        }
        var facts = OriginFacts(record.facts)
        facts.kind = .playlist
        facts.contentBytes = nil
        let extent: ProxySituation.Object.Extent =
            extents.allSatisfy { $0 == .whole } ? .whole : extents.allSatisfy { $0 == .empty } ? .empty : .partial
        return (list, ProxySituation.Object(facts: live?.facts ?? facts, extent: extent))
    }

    // MARK: What is given

    /// Out of what is kept.
    func serveList(_ decision: ProxyDecision, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ path: Path) {
        let isAsked = if case .says = resolution.origin { true } else { false }
        guard let desk = parts.commons.desk, let record = resolution.storedRecord, let kept = resolution.storedList else {
            forget(resolution)
            return decide(resolution, path)
        }
        func give(_ list: ProxiedList) {
            if isAsked, let facts = decision.facts { renew(list, facts) }
            self.give(list, outcome, resolution, path)
        }
        if let list, list.isOfUse, list.stored.id == record.id { return give(list) }
        if let list = parts.commons.shelf.list(record.key), list.isOfUse, list.stored.id == record.id {
            self.list = list
            return give(list)
        }
        let key = record.key
        desk.reading { store in try store.open(key) as CacheObject? }.assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            if case .failure(let error) = result { cacheFails(error) }
            guard let stored = (try? result.get()) ?? nil, stored.id == record.id else {
                forget(resolution)
                return decide(resolution, path)
            }
            give(adopt(kept, decision.facts ?? OriginFacts(record.facts), stored, desk))
        }
    }

    /// It went meanwhile.
    private func forget(_ resolution: ProxyResolution) {
        resolution.stored = nil
        resolution.storedRecord = nil
        resolution.storedList = nil
    }

    /// Whoever comes is given it from now on, by other paths, too.
    private func adopt(_ kept: KeptList, _ facts: OriginFacts, _ stored: CacheObject, _ desk: CacheDesk) -> ProxiedList {
        let url = parts.route.origin
        let programme = PlaylistProgramme(kept.root, from: url, eventLoop: eventLoop, logger: logger)
        let list = ProxiedList(kept, facts, stored: stored, programme: programme, origin: url, desk: desk) {
            [weak self] entry, header, facts, stored in
            let packets = entry.list.entries[entry.index].packets
            return self?.makeObject(header, packets, facts, stored: stored, nil, isPrivate: false, nil, nil, entry: entry)
        }
        list.onChange = { [weak self, weak list] in
            if let list, list.isOutdated { self?.outdated(list) }
            self?.tidy()
        }
        self.list = list
        parts.commons.shelf.put(list)
        return list
    }

    /// An entry turned out to be another.
    private func outdated(_ list: ProxiedList) {
        if self.list === list { self.list = nil }
        list.outdate("an entry of its playlist is another one now")
        guard let desk = parts.commons.desk else { return }
        let key = list.stored.key, id = list.stored.id
        desk.writing { store in try store.remove(key, id: id, because: .changed) }.assumeIsolated().whenFailure { [weak self] in
            self?.cacheFails($0)
        }
    }

    private func renew(_ list: ProxiedList, _ facts: OriginFacts) {
        list.facts = facts
        guard let desk = parts.commons.desk else { return }
        let id = list.stored.id, kept = facts.kept
        desk.writing { store in _ = try store.validate(id: id, kept) }.assumeIsolated().whenFailure { [weak self] in self?.cacheFails($0) }
    }

    private func give(_ list: ProxiedList, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ path: Path) {
        for waiter in finish(resolution) {
            remember(waiter.ask, .list(list, outcome))
            begin(list, outcome, for: waiter.ask.dialect, path, waiter.done)
        }
        host?.sourcePlays()
    }

    /// A way through it from its beginning, with its first entry opened.
    func begin(
        _ list: ProxiedList, _ outcome: ProxyOutcome, for dialect: OriginFacts.Dialect, _ path: Path, _ done: @escaping ProxyResolution.Done
    ) {
        let run: PlaylistRun
        do throws(PathError) { run = try list.programme.run() } catch { return done(.failure(error)) }
        run.kept = ProxiedListView(list, outcome, for: dialect, on: eventLoop)
        let reader = PlaylistReader(path: path, run: run)
        reader.proxied = ProxiedContent(
            outcome: outcome, origin: list.origin, events: list.facts.cacheControl?.events ?? [], isCached: true)
        PlaylistOpener(eventLoop: eventLoop, table: { nil }).first(of: run, run.plan(at: .now())) { result in
            if case .failure = result { run.close() }
            done(result.map { .playlist(PlaylistStart(reader: reader, opened: $0, facts: $0.facts)) }.mapError { $0 })
        }
    }

    // MARK: A new one

    /// Finds out what a playlist consists of, keeps that, and gives it to those who wait; where it cannot be kept they are passed on.
    func keepList(_ decision: ProxyDecision, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ path: Path) {
        guard let desk = parts.commons.desk, let facts = decision.facts, let key = key(for: facts),
            unfitList.map({ !$0.isSameVersion(as: facts) }) ?? true
        else { return passList(decision, ProxyOutcome(.bypass, ProxyReason.playlist.rawValue), resolution, path) }
        if let opened = resolution.opened {
            resolution.opened = nil
            opened.play.leave()
        }
        let patience = resolution.retry ?? LoopTimer(eventLoop)
        resolution.retry = patience
        if !patience.isRunning {
            patience.start(milliseconds: Self.walkMilliseconds) { [weak self] in
                self?.passList(decision, ProxyOutcome(.bypass, ProxyReason.playlist.rawValue), resolution, path)
            }
        }
        // Another path may have it from the same place at the same time.
        let shelf = parts.commons.shelf
        let mayMake = shelf.begins(key) { [weak self] in
            guard let self, !resolution.waiters.isEmpty else { return }
            look(resolution, path)
        }
        guard mayMake else { return }
        let origin = origin, tools = tools, call = call(for: resolution.ask, nil, isCache: true)
        _ = ListWalk(on: eventLoop, { OriginPlay(origin, call, tools, owner: $0) }) { [weak self] result in
            let fail = { (words: String, isForGood: Bool) in
                shelf.made(key)
                guard let self else { return }
                self.logger.notice("the playlist cannot be kept", metadata: ["why": "\(words)"])
                if isForGood { self.unfitList = facts }
                patience.stop()
                self.passList(decision, ProxyOutcome(.bypass, ProxyReason.playlist.rawValue), resolution, path)
            }
            switch result {
            case .failure(let error): fail(error.description, !error.isPassing)
            case .success((let list, let statement)):
                guard let self, OriginFacts(statement).isSameVersion(as: facts) else {
                    return fail("the origin changed it meanwhile", false)
                }
                let document = list.bytes, kept = facts.kept, url = parts.route.origin
                desk.writing { store in try store.createList(key: key.url, url: url, document: document, facts: kept) }
                    .assumeIsolated().whenComplete { [weak self] result in
                        guard let self else { return shelf.made(key) }
                        switch result {
                        case .failure(let error): fail("\(error)", false)
                        case .success(let stored):
                            patience.stop()
                            let list = adopt(list, facts, stored, desk)
                            shelf.made(key)
                            give(list, outcome, resolution, path)
                        }
                    }
            }
        }
    }

    /// A connection for each of those who wait: entry follows entry.
    func passList(_ decision: ProxyDecision, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ path: Path) {
        let facts = decision.facts ?? OriginFacts(dialect: .wmsp, saidAt: CacheClock.now())
        for waiter in finish(resolution) { openPrivate(facts, outcome, waiter, nil, path) }
    }
}
