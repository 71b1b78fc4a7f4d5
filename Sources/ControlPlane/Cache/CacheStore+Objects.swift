import Glibc

/// What comes, is used and goes.
extension CacheStore {
    /// What the index says under a key; nil: nothing. No use is counted.
    package func find(_ key: String) throws(CacheTrouble) -> CacheRecord? { real(try index.record(key: key)) }

    /// The objects, those used last first.
    package func records(limit: Int) throws(CacheTrouble) -> [CacheRecord] {
        try? flushTouches()
        return try index.records(limit: limit).filter { real($0) != nil }
    }

    /// Opens an object for players and counts the use; nil: there is none. It is in use (never evicted; its data stays readable when it is
    /// purged or replaced) as long as somebody holds what is returned.
    package func open(_ key: String) throws(CacheTrouble) -> CacheObject? {
        try structure.withLock { _ throws(CacheTrouble) in
            guard let record = real(try index.record(key: key)) else { return nil }
            let object: CacheObject
            if let present = state.withLock({ $0.inUse[record.id]?.object }) {
                object = present
            } else {
                // What was committed by whoever held it until now, between the two looks, counts.
                guard let record = real(try index.record(id: record.id)), let loaded = try load(record) else { return nil }
                object = loaded
            }
            let now = CacheClock.now()
            state.withLock { state in
                state.counters.opened += 1
                state.touches[record.id] = CacheTouch(uses: (state.touches[record.id]?.uses ?? 0) + 1, usedAt: now)
            }
            return object
        }
    }

    /// A new object. The one that has its key is let go of once the new one is there; its present players finish from it.
    ///
    /// `.tooLarge`, `.full` and `.tooManyOpen` leave everything as it was.
    package func create(_ description: CacheDescription) throws(CacheTrouble) -> CacheObject {
        try check(description)
        let units = description.units
        let charge = CacheLayout.charge(headBytes: description.head.count, unitBytes: description.unitBytes, units: units ?? 0)
        guard charge <= settings.objectBytesMax else {
            throw refusal(
                .tooLarge, "\(description.url) takes \(charge) bytes, more than cache-object-max allows (\(settings.objectBytesMax))")
        }
        return try structure.withLock { _ throws(CacheTrouble) in
            try makeRoomForObject()
            let token = try takePlace()
            let id = CacheLayout.newID()
            let first = CacheLayout.charge(headBytes: description.head.count, unitBytes: description.unitBytes, units: 0)
            state.withLock { $0.inUse[id] = Use(token: token, charge: 0) }
            do throws(CacheTrouble) {
                try reserve(id: id, bytes: first, isStructureHeld: true)
                let object = try makeFiles(id, description, token: token)
                let replaced = try index.insert(object.record(bytes: first))
                object.isListed(bytes: first)
                state.withLock { state in
                    state.counters.created += 1
                    state.counters.objects += 1
                    state.inUse[id]?.object = object
                }
                if let replaced = real(replaced) { removed(replaced, because: .replaced) }
                return object
            } catch {
                removeFiles(id, [description.kind])
                releaseUse(id: id, token: token, bytes: nil)
                if error.kind == .failed { count { $0.count(CacheRemoval.failed) } }
                throw error
            }
        }
    }

    /// The origin was asked and answered: what it says now. False when that version is gone.
    @discardableResult
    package func validate(id: String, _ facts: CacheFacts) throws(CacheTrouble) -> Bool {
        try check(facts, url: "")
        guard try index.update(id: id, facts: facts) else { return false }
        state.withLock { $0.inUse[id]?.object }?.setFacts(facts)
        return true
    }

    /// Lets go of an object; with an `id` only of that version. False when there was none.
    @discardableResult
    package func remove(_ key: String, id: String? = nil, because cause: CacheRemoval) throws(CacheTrouble) -> Bool {
        let isRemoved = try structure.withLock { _ throws(CacheTrouble) in
            guard let record = real(try index.record(key: key)), id == nil || record.id == id else { return false }
            try index.delete([record.id])
            removed(record, because: cause)
            return true
        }
        if isRemoved { syncRemovals() }
        return isRemoved
    }

    /// Lets go of a version that is found wrong, whether it is still listed or only held. Never throws: what the index cannot be told now it is
    /// told later, and nobody finds the object meanwhile.
    func lose(_ object: CacheObject, because cause: CacheRemoval) {
        structure.withLock { _ in
            if loseListed(object.id, cause) { return }
            let isNews = object.removal == nil
            object.letGo(cause)
            removeFiles(object.id, [object.kind])
            if isNews { count { $0.count(cause) } }
        }
    }

    /// The same for one that nobody may hold. One that is not listed any more is none of this.
    func lose(id: String, because cause: CacheRemoval) { structure.withLock { _ in _ = loseListed(id, cause) } }

    /// `structure` is held.
    private func loseListed(_ id: String, _ cause: CacheRemoval) -> Bool {
        let record: CacheRecord?
        do throws(CacheTrouble) { record = try index.record(id: id) } catch {
            // An index that cannot even be read now may still name it.
            state.withLock { _ = $0.ghosts.insert(id) }
            return false
        }
        guard let record = real(record) else { return false }
        removed(record, because: cause)
        // After the files: with a full disk there is room for this only now, if at all.
        if (try? index.delete([id])) == nil { state.withLock { _ = $0.ghosts.insert(id) } }
        return true
    }

    /// A key that never goes by itself, whatever lies under it now or later.
    package func pin(_ key: String, _ isPinned: Bool) throws(CacheTrouble) {
        try Self.checkKey(key)
        try structure.withLock { _ throws(CacheTrouble) in
            try index.setPin(key, isPinned)
            try writePins()
        }
    }

    // Below: `structure` is held.

    /// What follows when a row went: numbers, files, and those who hold it.
    func removed(_ record: CacheRecord, because cause: CacheRemoval) {
        let object = state.withLock { state -> CacheObject? in
            state.counters.objects -= 1
            state.counters.count(cause)
            state.touches[record.id] = nil
            guard state.inUse[record.id] != nil else {
                state.counters.bytes = state.counters.bytes.less(record.bytes)
                return nil
            }
            // Its bytes stay on the disk as long as somebody holds it.
            state.inUse[record.id]?.isListed = false
            return state.inUse[record.id]?.object
        }
        object?.letGo(cause)
        removeFiles(record.id, [record.kind])
        removeEntries(of: record, because: cause)
    }

    private func load(_ record: CacheRecord) throws(CacheTrouble) -> CacheObject? {
        let token = try takePlace()
        do throws(CacheTrouble) {
            let object = try CacheObject.load(record, store: self, token: token)
            // The one before may still be on its way out: whichever goes last ends the use, and its charge stays until then.
            var charge = record.bytes
            if state.withLock({ $0.inUse[record.id] == nil }) {
                charge = mend(
                    record, ranges: UnitRanges(object.ranges), units: object.units, headBytes: object.head.count,
                    unitBytes: object.unitBytes)
                object.isListed(bytes: charge)
            }
            state.withLock { state in
                var use = state.inUse[record.id] ?? Use(token: token, charge: charge, holders: 0)
                use.object = object
                use.token = token
                use.holders += 1
                use.listedBytes = nil
                state.inUse[record.id] = use
            }
            return object
        } catch {
            guard error.kind == .damaged else { throw error }
            // Not there as the index says: it was never served and never will be.
            try index.delete([record.id])
            removed(record, because: .damaged)
            return nil
        }
    }

    /// A row that says other than the object itself (it was torn in a crash, or somebody wrote into the index) is put right. The object is not
    /// in use. Answers with what it is charged with.
    func mend(_ record: CacheRecord, ranges: UnitRanges, units: Int?, headBytes: Int, unitBytes: Int) -> Int64 {
        let isWhole = units.map { ranges.contains(0..<$0) } ?? false
        guard record.ranges != ranges.ranges || record.units != units || record.isWhole != isWhole else { return record.bytes }
        let bytes = CacheLayout.charge(headBytes: headBytes, unitBytes: unitBytes, units: ranges.units)
        // With a full disk it stays as it is until it is looked at again.
        let isMended = try? index.update(id: record.id, ranges: ranges, units: units, bytes: bytes, isWhole: isWhole)
        guard isMended == true else { return record.bytes }
        state.withLock { $0.counters.bytes = $0.counters.bytes.less(record.bytes).plus(bytes) }
        return bytes
    }

    private func makeFiles(_ id: String, _ description: CacheDescription, token: UInt64) throws(CacheTrouble) -> CacheObject {
        var data: CInt = -1
        var side: CInt = -1
        do throws(SystemRefusal) {
            try files.makeDirectory(CacheLayout.objects, in: lock.directory)
            try files.makeDirectory(CacheLayout.folder(id), in: lock.directory)
            data = try files.open(CacheLayout.data(id, description.kind), in: lock.directory, O_RDWR | O_CREAT | O_EXCL)
            try files.write(description.head[...], to: data, at: 0)
            side = try files.open(CacheLayout.side(id), in: lock.directory, O_RDWR | O_CREAT | O_EXCL)
            let start = SideFile.magic + SideFile.bytes(.description(CacheObject.sideDescription(id, description)), id: id)
            try files.write(start[...], to: side, at: 0)
            return CacheObject(new: description, id: id, store: self, descriptor: data, side: side, sideEnd: start.count, token: token)
        } catch {
            if data >= 0 { files.close(data) }
            if side >= 0 { files.close(side) }
            throw CacheTrouble(
                .failed, "the cache \(settings.directory) cannot make an object: \(error); is the disk full (df \(settings.directory))?")
        }
    }

    /// A use more, unless there are as many as may be.
    private func takePlace() throws(CacheTrouble) -> UInt64 {
        let token = state.withLock { state -> UInt64? in
            guard !state.isClosed, state.inUse.count < settings.openMax else { return nil }
            state.nextToken += 1
            return state.nextToken
        }
        guard let token else {
            throw refusal(.tooManyOpen, "\(settings.openMax) objects of the cache are in use, as many as cache-open-max allows")
        }
        return token
    }

    private func check(_ description: CacheDescription) throws(CacheTrouble) {
        try Self.checkKey(description.key)
        try check(description.facts, url: description.url)
        guard (1...CacheLimits.unitBytesMax).contains(description.unitBytes) else {
            throw CacheTrouble(.refused, "a unit of \(description.unitBytes) bytes: it may have 1 to \(CacheLimits.unitBytesMax)")
        }
        guard description.head.count <= CacheLimits.headBytesMax else {
            throw refusal(.tooLarge, "\(description.url) begins with a header of more than \(CacheLimits.headBytesMax) bytes")
        }
        guard let units = description.units else { return }
        guard CacheLimits.canHave(units: units, of: description.unitBytes) else {
            throw refusal(.tooLarge, "\(description.url) says that it has \(units) units")
        }
    }

    /// What an origin said is kept as it came, unless it is absurdly long.
    private func check(_ facts: CacheFacts, url: String) throws(CacheTrouble) {
        let texts = [facts.etag, facts.lastModified, facts.cacheControl, facts.dialect, url]
        guard texts.allSatisfy({ ($0 ?? "").utf8.count <= CacheLimits.factBytesMax }) else {
            throw refusal(.tooLarge, "an origin says more of its content than the cache keeps (\(CacheLimits.factBytesMax) bytes a line)")
        }
    }

    static func checkKey(_ key: String) throws(CacheTrouble) {
        guard !key.isEmpty, key.utf8.count <= CacheLimits.keyBytesMax, key.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw CacheTrouble(.refused, "a key has 1 to \(CacheLimits.keyBytesMax) bytes and no control characters")
        }
    }
}
