import Glibc
import Synchronization

/// Where background verification stands.
struct CacheWalk: Sendable {
    /// The object that is looked at.
    struct Step: Sendable {
        let id: String
        let kind: CacheKind
        let descriptor: CInt
        let contents: SideFile.Contents
        var next = 0
    }

    var step: Step?
    /// Bytes that may be read; below 0 after an extent that was larger than what was left.
    var allowance: Int64 = 0

    mutating func end(_ files: any CacheFiles) {
        if let step { files.close(step.descriptor) }
        step = nil
    }
}

/// What is done once a second, whoever plays.
extension CacheStore {
    /// An object whose checksums were all right is looked at again after a day.
    private static let verifyAgainSeconds: Int64 = 86_400
    /// No turn reads for longer.
    private static let turnDurationMax = Duration.milliseconds(100)

    /// One turn: what `weir cache` asked for, uses, objects that nobody uses any more, a share of verification. `elapsed` is the time since the
    /// last turn. Blocks, for little more than 100 ms. Throws when the index fails; the next turn may work.
    package func upkeep(elapsed: Duration) throws(CacheTrouble) {
        guard !state.withLock({ $0.isClosed }) else { return }
        // Fills that pause, or ended without a word.
        commitHeld(\.wantsCommit)
        syncRemovals()
        try layGhosts()
        try doRequests()
        try flushTouches()
        try removeIdle()
        try shrink()
        try verifyShare(elapsed: elapsed)
    }

    /// Deletes rows that could not be deleted before.
    private func layGhosts() throws(CacheTrouble) {
        guard state.withLock({ !$0.ghosts.isEmpty }) else { return }
        try structure.withLock { _ throws(CacheTrouble) in
            let ghosts = state.withLock { $0.ghosts }
            try index.delete(Array(ghosts))
            let objects = try index.count()
            state.withLock { state in
                state.ghosts.subtract(ghosts)
                state.counters.objects = objects
            }
        }
    }

    /// What other processes asked for through the index.
    func doRequests() throws(CacheTrouble) {
        let requests = try index.requests()
        guard let last = requests.last else { return }
        for request in requests {
            try structure.withLock { _ throws(CacheTrouble) in
                guard let record = real(try index.record(id: request.id)) else { return }
                try index.delete([record.id])
                removed(record, because: request.cause)
            }
        }
        // It is said to be done when it is on the disk.
        syncRemovals()
        try index.forgetRequests(upTo: last.number)
    }

    /// The pins again, in a file of their own that survives the index: one key a line. Whoever changes pins writes it.
    func writePins() throws(CacheTrouble) { try Self.writePins(try index.pins(), files: files, directory: lock.directory) }

    static func writePins(_ keys: [String], files: any CacheFiles, directory: CInt) throws(CacheTrouble) {
        do throws(SystemRefusal) {
            let name = "\(CacheLayout.pins).\(getpid())"
            let descriptor = try files.open(name, in: directory, O_WRONLY | O_CREAT | O_TRUNC)
            defer { files.close(descriptor) }
            try files.write(Array(keys.map { $0 + "\n" }.joined().utf8)[...], to: descriptor, at: 0)
            try files.sync(descriptor)
            try files.rename(name, to: CacheLayout.pins, in: directory)
            try files.syncDirectory(".", in: directory)
        } catch {
            throw CacheTrouble(.failed, "the list of pins, which a rebuild needs, cannot be written: \(error)")
        }
    }

    /// Reads as much as the rate allows, the object that was looked at longest ago first.
    private func verifyShare(elapsed: Duration) throws(CacheTrouble) {
        let rate = min(Int64(settings.verifyBytesPerSecond), 1 << 40)
        guard rate > 0 else { return }
        let milliseconds = min(elapsed / .milliseconds(1), 2_000)
        try walk.withLock { walk throws(CacheTrouble) in
            walk.allowance = min(walk.allowance + rate * Int64(milliseconds) / 1_000, max(rate, Int64(CacheLimits.extentBytesMax)))
            let begin = ContinuousClock.now
            while walk.allowance > 0, ContinuousClock.now - begin < Self.turnDurationMax {
                guard try look(&walk) else { return }
            }
        }
    }

    /// Looks at one extent. False: there is nothing to look at.
    private func look(_ walk: inout CacheWalk) throws(CacheTrouble) -> Bool {
        if walk.step == nil { walk.step = try nextStep() }
        guard var step = walk.step else { return false }
        let extents = step.contents.extents.extents
        guard step.next < extents.count else {
            walk.end(files)
            try index.update(id: step.id, verifiedAt: CacheClock.now())
            return true
        }
        let extent = extents[step.next]
        step.next += 1
        let count = extent.count * step.contents.description.unitBytes
        let offset = Int64(step.contents.description.headBytes) + Int64(extent.first) * Int64(step.contents.description.unitBytes)
        // From the disk, not from memory: that is where bits rot.
        files.forget(step.descriptor, at: offset, count: count)
        let bytes = try? files.read(step.descriptor, at: offset, count: count)
        self.count { $0.bytesVerified += UInt64(count) }
        walk.allowance -= Int64(count)
        walk.step = step
        if bytes?.count != count || bytes.map({ !extent.matches($0, id: step.id) }) ?? true {
            walk.end(files)
            lose(id: step.id, because: .damaged)
        }
        return true
    }

    private func nextStep() throws(CacheTrouble) -> CacheWalk.Step? {
        guard let record = try index.stalest(before: CacheClock.now() - Self.verifyAgainSeconds) else { return nil }
        do throws(CacheTrouble) {
            let contents = try structure.withLock { _ throws(CacheTrouble) in
                let contents = try SideFile.load(record.id, files: files, directory: lock.directory)
                if state.withLock({ $0.inUse[record.id] == nil }), let record = real(try index.record(id: record.id)) {
                    let description = contents.description
                    _ = mend(
                        record, ranges: contents.extents.ranges, units: contents.units, headBytes: description.headBytes,
                        unitBytes: description.unitBytes)
                }
                return contents
            }
            let descriptor = try? files.open(CacheLayout.data(record.id, record.kind), in: lock.directory, O_RDONLY)
            if let descriptor {
                return CacheWalk.Step(id: record.id, kind: record.kind, descriptor: descriptor, contents: contents)
            }
        } catch {
            // Of a newer Weir: not ours to judge, nor to look at again today.
            if error.kind == .indexNewer {
                try index.update(id: record.id, verifiedAt: CacheClock.now())
                return nil
            }
        }
        // It may just have gone by itself.
        lose(id: record.id, because: .damaged)
        return nil
    }
}
