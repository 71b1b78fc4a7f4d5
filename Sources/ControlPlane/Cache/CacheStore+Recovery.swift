import Glibc

/// What happens when a cache is opened.
extension CacheStore {
    /// The files of an object that lie in its folder.
    struct Listed: Sendable, Equatable {
        var hasSide = false
        var kinds: [CacheKind] = []
    }

    static func hasIndex(_ files: any CacheFiles, _ directory: CInt) -> Bool { isThere(CacheLayout.index, files, directory) }

    static func isThere(_ name: String, _ files: any CacheFiles, _ directory: CInt) -> Bool {
        guard let descriptor = try? files.open(name, in: directory, O_RDONLY) else { return false }
        files.close(descriptor)
        return true
    }

    /// All objects of which there are files, by their identity. Whatever else lies there is none of ours and stays.
    static func listed(_ files: any CacheFiles, _ directory: CInt, _ path: String) throws(CacheTrouble) -> [String: Listed] {
        var listed: [String: Listed] = [:]
        do throws(SystemRefusal) {
            for folder in try files.names(in: CacheLayout.objects, of: directory) where folder.utf8.count == 2 {
                for name in try files.names(in: "\(CacheLayout.objects)/\(folder)", of: directory) {
                    let parts = name.split(separator: ".", maxSplits: 1)
                    guard parts.count == 2, CacheLayout.isID(parts[0]), parts[0].hasPrefix(folder) else { continue }
                    if parts[1] == "side" {
                        listed[String(parts[0]), default: Listed()].hasSide = true
                    } else if let kind = CacheKind.allCases.first(where: { $0.fileExtension == parts[1] }) {
                        listed[String(parts[0]), default: Listed()].kinds.append(kind)
                    }
                }
            }
        } catch {
            throw CacheTrouble(.directory, "\(path) cannot be read: \(error)")
        }
        return listed
    }

    /// Makes index and files agree: what is named without being there is forgotten; what is there without being named is what a crash left of
    /// an object that was being made or taken away, and goes. Nothing goes unless the index is sound.
    func recover(_ listed: [String: Listed]) throws(CacheTrouble) {
        var lost = try index.unreadableIDs()
        var known: Set<String> = []
        var bytes: Int64 = 0
        for record in try index.records(limit: .max) {
            let files = listed[record.id]
            let isThere = files?.hasSide == true && files?.kinds.contains(record.kind) == true
            // A recording is of use when it is whole; nobody goes on with half of one.
            let isOfUse = !record.ranges.isEmpty && (record.kind == .asf || record.isWhole)
            if isThere, isOfUse {
                known.insert(record.id)
                bytes = bytes.plus(record.bytes)
            } else {
                lost.append(record.id)
            }
        }
        // Files first: on a full disk there is room for the rest only then, if at all.
        let leftover = listed.keys.filter { !known.contains($0) }
        for id in leftover { removeFiles(id, CacheKind.allCases) }
        if (try? index.delete(lost)) == nil { state.withLock { $0.ghosts = Set(lost) } }
        let count = UInt64(Set(lost).union(leftover).count)
        state.withLock { state in
            state.counters.objects = known.count
            state.counters.bytes = bytes
            state.counters.lostAtOpen = count
        }
        // Limits may have been made smaller. What cannot be told to the index now goes with the next upkeep.
        try? shrink()
        // The file that survives an index says the same from now on; with a full disk it says so after the next pin.
        try? writePins()
    }

    /// Takes an object's files away, that which explains it first: what remains of it after a crash explains nothing and is cleared away.
    func removeFiles(_ id: String, _ kinds: [CacheKind]) {
        // What cannot be removed now is cleared away when the cache is opened next.
        try? files.remove(CacheLayout.side(id), in: lock.directory)
        for kind in kinds { try? files.remove(CacheLayout.data(id, kind), in: lock.directory) }
        state.withLock { _ = $0.foldersToSync.insert(CacheLayout.folder(id)) }
    }

    /// Brings to the disk that names were taken away: without it an object may be there again after a loss of power, and a row of the index
    /// with it, which is not flushed at once either. What fails is tried again with the next upkeep.
    func syncRemovals() {
        let folders = state.withLock { state in
            defer { state.foldersToSync = [] }
            return state.foldersToSync
        }
        for folder in folders {
            do throws(SystemRefusal) { try files.syncDirectory(folder, in: lock.directory) } catch {
                if error.number != ENOENT { state.withLock { _ = $0.foldersToSync.insert(folder) } }
            }
        }
    }
}
