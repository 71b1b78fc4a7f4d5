import Signalling

/// Room: what each object is charged with, and what goes when there is none.
extension CacheStore {
    /// Sets aside `bytes` in all for an object that is held, before they are written. Takes more than is asked where there is more, so that
    /// this is seldom called. `.full`, `.tooLarge`: nothing has changed.
    func reserve(id: String, bytes: Int64, isStructureHeld: Bool = false) throws(CacheTrouble) {
        guard bytes <= settings.objectBytesMax else {
            throw refusal(.tooLarge, "an object would take \(bytes) bytes, more than cache-object-max allows (\(settings.objectBytesMax))")
        }
        let step = min(bytes.plus(CacheLimits.reserveBytes), settings.objectBytesMax)
        switch take(id, bytes: bytes, wish: step) {
        case .had: return
        case .taken(let more):
            let short = shortOfFree(more)
            if short <= 0 { return }
            // What others put on the disk counts, too.
            if try evict(short, isStructureHeld), shortOfFree(more) <= 0 { return }
            give(id, back: more)
            throw refusal(
                .full, "the file system of \(settings.directory) has less than cache-free-min free (\(settings.freeBytesMin) bytes)")
        case .short(let missing):
            if try evict(missing, isStructureHeld) {
                switch take(id, bytes: bytes, wish: bytes) {
                case .had, .taken: return
                case .short: break
                }
            }
            throw refusal(.full, "cache-size (\(settings.bytesMax) bytes) is taken up by objects that are pinned or in use")
        }
    }

    private enum Taken { case had, taken(Int64), short(Int64) }

    private func take(_ id: String, bytes: Int64, wish: Int64) -> Taken {
        state.withLock { state in
            guard let charge = state.inUse[id]?.charge else { return .short(bytes) }
            guard bytes > charge else { return .had }
            let room = settings.bytesMax.minus(state.counters.bytes)
            let more = min(wish - charge, room)
            guard more >= bytes - charge else { return .short((bytes - charge).minus(room)) }
            state.inUse[id]?.charge += more
            state.counters.bytes += more
            return .taken(more)
        }
    }

    private func give(_ id: String, back bytes: Int64) {
        state.withLock { state in
            state.inUse[id]?.charge -= bytes
            state.counters.bytes -= bytes
        }
    }

    /// Bytes that are missing on the file system for `more` and what has to stay free.
    private func shortOfFree(_ more: Int64) -> Int64 {
        guard settings.freeBytesMin > 0, let free = try? files.freeBytes(lock.directory) else { return 0 }
        return settings.freeBytesMin.plus(more).minus(free)
    }

    /// A ``CacheObject`` is gone, with its descriptors. With the last one nobody holds the object any more: it is charged with what the index
    /// says of it. `bytes` nil: the index never named it.
    func releaseUse(id: String, token: UInt64, bytes: Int64?) {
        state.withLock { state in
            guard var use = state.inUse[id] else { return }
            use.holders -= 1
            if use.token == token { use.listedBytes = bytes }
            guard use.holders <= 0 else {
                state.inUse[id] = use
                return
            }
            state.inUse[id] = nil
            state.counters.bytes = state.counters.bytes.less(use.charge)
            if use.isListed, let bytes = use.listedBytes { state.counters.bytes = state.counters.bytes.plus(bytes) }
        }
    }

    /// Lets objects go until `needed` bytes are free. True when they are.
    func evict(_ needed: Int64, _ isStructureHeld: Bool) throws(CacheTrouble) -> Bool {
        if isStructureHeld { return try evict(needed) }
        return try structure.withLock { _ throws(CacheTrouble) in try evict(needed) }
    }

    /// The same; `structure` is held.
    private func evict(_ needed: Int64) throws(CacheTrouble) -> Bool {
        let candidates = try candidates()
        // A hundredth of the cache at a time, so that a busy cache does not look through its index for every few megabytes.
        let amounts = [max(needed, settings.bytesMax / 100), needed]
        for amount in amounts {
            let victims = rule.victims(candidates.map(\.candidate), needing: amount, now: CacheClock.now())
            guard !victims.isEmpty else { continue }
            let freed = try remove(victims, of: candidates, because: .evicted)
            if freed >= needed { return true }
        }
        return false
    }

    /// Room for one object more under `cache-objects-max`; `structure` is held.
    func makeRoomForObject() throws(CacheTrouble) {
        guard state.withLock({ $0.counters.objects }) >= settings.objectsMax else { return }
        let candidates = try candidates()
        let victims = rule.victims(candidates.map(\.candidate), needing: 1, now: CacheClock.now())
        guard try remove(victims, of: candidates, because: .evicted) > 0 else {
            throw refusal(.full, "the cache holds \(settings.objectsMax) objects (cache-objects-max), all pinned or in use")
        }
    }

    /// Limits that are smaller than when the cache was written last: what is worth least goes until they hold. What is pinned or in use stays,
    /// and of the rest goes all where that is not enough. Once for each time that the cache is opened. `structure` is not held.
    func shrink() throws(CacheTrouble) {
        func isTooMuch(_ counters: CacheCounters) -> Bool { counters.bytes > settings.bytesMax || counters.objects > settings.objectsMax }
        guard state.withLock({ $0.isShrinkDue }) else { return }
        if isTooMuch(state.withLock { $0.counters }) { try letGoOfMost(isTooMuch) }
        state.withLock { $0.isShrinkDue = false }
    }

    private func letGoOfMost(_ isTooMuch: (CacheCounters) -> Bool) throws(CacheTrouble) {
        try structure.withLock { _ throws(CacheTrouble) in
            let candidates = try candidates()
            let bytes = Dictionary(candidates.map { ($0.record.id, $0.record.bytes) }) { first, _ in first }
            let all = bytes.values.reduce(Int64(0)) { $0.plus($1) }
            var rest = state.withLock { $0.counters }
            // In the order in which all would go.
            let victims = rule.victims(candidates.map(\.candidate), needing: all, now: CacheClock.now()).prefix { id in
                guard isTooMuch(rest) else { return false }
                rest.bytes = rest.bytes.less(bytes[id] ?? 0)
                rest.objects -= 1
                return true
            }
            _ = try remove(Array(victims), of: candidates, because: .evicted)
        }
    }

    /// Objects that nobody used for too long go; `structure` is not held.
    func removeIdle() throws(CacheTrouble) {
        guard settings.idleSecondsMax > 0 else { return }
        let border = CacheClock.now() - settings.idleSecondsMax
        guard try index.hasUnpinned(usedBefore: border) else { return }
        try structure.withLock { _ throws(CacheTrouble) in
            let candidates = try candidates()
            let idle = candidates.filter { $0.record.usedAt < border }.map(\.record.id)
            _ = try remove(idle, of: candidates, because: .idle)
        }
    }

    private struct Listing: Sendable {
        let record: CacheRecord
        let candidate: CacheEviction.Candidate
    }

    /// What may go: not pinned, not in use.
    private func candidates() throws(CacheTrouble) -> [Listing] {
        try flushTouches()
        let kept = state.withLock { $0.ghosts.union($0.inUse.keys) }
        return try index.unpinned().filter { !kept.contains($0.id) }.map { record in
            let whole = record.units.map { Int64($0).times(Int64(record.unitBytes)).plus(Int64(record.headBytes)) }
            return Listing(
                record: record,
                candidate: CacheEviction.Candidate(
                    id: record.id, bytes: record.bytes, wholeBytes: whole, createdAt: record.createdAt, usedAt: record.usedAt,
                    uses: record.uses))
        }
    }

    private func remove(_ ids: [String], of listings: [Listing], because cause: CacheRemoval) throws(CacheTrouble) -> Int64 {
        guard !ids.isEmpty else { return 0 }
        let chosen = Set(ids)
        let records = listings.map(\.record).filter { chosen.contains($0.id) }
        try index.delete(records.map(\.id))
        for record in records { removed(record, because: cause) }
        return records.reduce(Int64(0)) { $0.plus($1.bytes) }
    }

    /// Tells the index of uses that it does not know yet.
    func flushTouches() throws(CacheTrouble) {
        let touches = state.withLock { state in
            defer { state.touches = [:] }
            return state.touches
        }
        try index.add(touches)
    }
}
