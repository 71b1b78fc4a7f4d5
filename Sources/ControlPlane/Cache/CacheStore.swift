import Signalling
import Synchronization

/// The cache on disk: objects in files of their own, an index of them in SQLite.
///
/// What is promised: an object is served as it was written, or not at all. Units are written, then brought to the disk, then their checksums
/// written beside them and brought there, then named in the index; so whatever ends the process or the machine, what is named is there.
/// Calls block (on the disk, on each other) unless they say otherwise, and may come from any thread: ``CacheDesk`` is the way from an event
/// loop. All throw ``CacheTrouble``.
///
/// Locks, outermost first: an object's (``CacheObject``), `structure` (what comes and goes), `state` (numbers; never held across a call).
package final class CacheStore: Sendable {
    package let settings: CacheSettings
    let files: any CacheFiles
    let lock: CacheLock
    let index: CacheIndex
    let rule: CacheEviction
    let state = Mutex(State())
    /// Held while objects come and go.
    let structure = Mutex(())
    let walk = Mutex(CacheWalk())

    struct State {
        var isClosed = false
        var counters = CacheCounters()
        var inUse: [String: Use] = [:]
        var touches: [String: CacheTouch] = [:]
        /// Objects that are gone but for their rows, which could not be deleted (the disk is full): nobody may find them.
        var ghosts: Set<String> = []
        /// Folders out of which names were taken that may still be on the disk.
        var foldersToSync: Set<String> = []
        /// It was not looked yet whether what is here is within the limits.
        var isShrinkDue = true
        /// By which one use of an object is told from a later one.
        var nextToken: UInt64 = 1
    }

    /// An object that somebody holds.
    struct Use {
        /// Whom others are given; nil: it is being made, or just now let go of.
        weak var object: CacheObject?
        /// Of the ``CacheObject`` that came last.
        var token: UInt64
        /// Bytes that are set aside for it.
        var charge: Int64
        /// Whether the index still has it.
        var isListed = true
        /// Each ``CacheObject`` of it that still has its descriptors: more than one when it is opened again while the last one is on its way out.
        var holders = 1
        /// What the index charges it with, as far as the last ``CacheObject`` knew when it went; nil: it never was in the index, or is held.
        var listedBytes: Int64?
    }

    init(settings: CacheSettings, files: any CacheFiles, lock: CacheLock, index: CacheIndex) {
        self.settings = settings
        self.files = files
        self.lock = lock
        self.index = index
        rule = CacheEviction(idleSecondsMax: settings.idleSecondsMax > 0 ? settings.idleSecondsMax : nil)
    }

    /// Opens a cache to write it; makes it where there is none. Takes away what a crash left half.
    package static func open(_ settings: CacheSettings) throws(CacheTrouble) -> CacheStore { try open(settings, files: SystemFiles()) }

    static func open(_ settings: CacheSettings, files: any CacheFiles) throws(CacheTrouble) -> CacheStore {
        let lock = try CacheLock.take(settings.directory, files: files)
        let listed = try listed(files, lock.directory, settings.directory)
        guard listed.isEmpty || hasIndex(files, lock.directory) else {
            throw CacheTrouble(
                .indexDamaged, "\(settings.directory) holds \(listed.count) objects and no index; \(CacheIndex.remedy(settings.directory))")
        }
        let index = try CacheIndex.open(directory: settings.directory, as: .owner)
        // The names of the index and of the objects' directory are on the disk before anything is said to be kept.
        do throws(SystemRefusal) {
            try files.makeDirectory(CacheLayout.objects, in: lock.directory)
            try files.syncDirectory(".", in: lock.directory)
        } catch {
            throw CacheTrouble(
                .directory,
                "the cache's directory \(settings.directory) cannot be used: \(error)\(CacheLock.remedy(error.number, settings.directory))")
        }
        let store = CacheStore(settings: settings, files: files, lock: lock, index: index)
        try store.recover(listed)
        return store
    }

    /// Ends it: commits what was written. Objects that are still held can be read on.
    package func close() {
        commitHeld { _ in true }
        try? flushTouches()
        syncRemovals()
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        walk.withLock { $0.end(files) }
        index.close()
        lock.release()
    }

    /// Commits objects that are held. What fails is let go of, and whoever writes it next hears so.
    func commitHeld(_ isDue: (CacheObject) -> Bool) {
        let ids = state.withLock { state in state.isClosed ? [] : Array(state.inUse.keys) }
        for id in ids {
            guard let object = state.withLock({ $0.inUse[id]?.object }), object.removal == nil, isDue(object) else { continue }
            try? object.commit()
        }
    }

    /// Numbers as they are now. Does not block.
    package var counters: CacheCounters {
        state.withLock { state in
            var counters = state.counters
            counters.bytesMax = settings.bytesMax
            counters.objectsInUse = state.inUse.count
            return counters
        }
    }

    /// A row that stands for something.
    func real(_ record: CacheRecord?) -> CacheRecord? {
        guard let record, !state.withLock({ $0.ghosts.contains(record.id) }) else { return nil }
        return record
    }

    func count(_ change: (inout CacheCounters) -> Void) { state.withLock { change(&$0.counters) } }

    /// Counts a refusal and hands it on.
    func refusal(_ kind: CacheTrouble.Kind, _ words: String) -> CacheTrouble {
        count { $0.count(kind) }
        return CacheTrouble(kind, words)
    }
}
