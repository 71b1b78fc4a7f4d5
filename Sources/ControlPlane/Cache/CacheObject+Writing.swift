import Glibc
import Signalling

/// Units on their way to the disk.
extension CacheObject {
    /// How much may be lost with a crash: so many bytes, or what came in so long.
    private static let uncommittedBytesMax = 4 << 20
    private static let uncommittedDurationMax = Duration.seconds(5)
    /// Runs of units that grow side by side, one for each fill of the object.
    private static let buildingMax = 16

    /// Whole units that follow each other. Those that are there already are skipped. Returns how many were new. Blocks.
    ///
    /// `.full`, `.tooLarge`: what is there stays, no more is taken now. `.failed`: the disk refused, the object was let go of. `.gone`: it was
    /// let go of before.
    @discardableResult
    package func write(_ bytes: [UInt8], atUnit first: Int) throws(CacheTrouble) -> Int {
        let (count, rest) = bytes.count.quotientAndRemainder(dividingBy: unitBytes)
        guard rest == 0, first >= 0, first <= CacheLimits.unitsMax, first + count <= units ?? CacheLimits.unitsMax else {
            throw CacheTrouble(.refused, "\(bytes.count) bytes from unit \(first) on are no units of this object (\(unitBytes) bytes each)")
        }
        guard count > 0 else { return 0 }
        do throws(CacheTrouble) {
            return try writing.withLock { writing throws(CacheTrouble) in
                try write(bytes, first..<(first + count), &writing)
            }
        } catch {
            if error.kind == .failed { store.lose(self, because: .failed) }
            throw error
        }
    }

    private func write(_ bytes: [UInt8], _ range: Range<Int>, _ writing: inout Writing) throws(CacheTrouble) -> Int {
        let (here, removal) = state.withLock { ($0.here, $0.removal) }
        if let removal { throw gone(removal) }
        let missing = here.missing(in: range)
        guard !missing.isEmpty else { return 0 }
        let new = missing.reduce(0) { $0 + $1.count }
        guard here.count + missing.count <= CacheLimits.rangesMax, writing.extents + 2 * missing.count < CacheLimits.extentsMax else {
            throw store.refusal(.tooLarge, "\(url) came in too many pieces; what is there is kept")
        }
        try store.reserve(id: id, bytes: charge(of: here.units + new))
        for piece in missing {
            let slice = bytes[((piece.lowerBound - range.lowerBound) * unitBytes)..<((piece.upperBound - range.lowerBound) * unitBytes)]
            do throws(SystemRefusal) {
                try store.files.write(slice, to: descriptor, at: offset(ofUnit: piece.lowerBound))
            } catch {
                // What a full disk took before is there; after any other error nobody knows.
                if !error.isFull { distrust() }
                throw failure(error)
            }
            hash(slice, piece, &writing)
        }
        let now = ContinuousClock.now
        state.withLock { state in
            for piece in missing { state.here.insert(piece) }
            state.bytesUncommitted += new * unitBytes
            state.firstUncommittedAt = state.firstUncommittedAt ?? now
        }
        store.count { $0.bytesWritten += UInt64(new * unitBytes) }
        return new
    }

    /// Puts units that were written under checksums.
    private func hash(_ bytes: ArraySlice<UInt8>, _ range: Range<Int>, _ writing: inout Writing) {
        let unitsMax = max(1, CacheLimits.extentBytesMax / unitBytes)
        var building: Building
        if let index = writing.building.firstIndex(where: { $0.next == range.lowerBound }) {
            building = writing.building.remove(at: index)
        } else {
            building = Building(first: range.lowerBound, next: range.lowerBound, hash: CacheExtent.hash(id: id, first: range.lowerBound))
        }
        var position = bytes.startIndex
        while building.next < range.upperBound {
            let count = min(range.upperBound - building.next, building.first + unitsMax - building.next)
            let units = bytes[position..<(position + count * unitBytes)]
            building.hash.update(units.span)
            position += count * unitBytes
            building.next += count
            if building.next - building.first == unitsMax {
                close(building, &writing)
                building = Building(first: building.next, next: building.next, hash: CacheExtent.hash(id: id, first: building.next))
            }
        }
        if building.next > building.first { writing.building.append(building) }
        while writing.building.count > Self.buildingMax { close(writing.building.removeFirst(), &writing) }
    }

    private func close(_ building: Building, _ writing: inout Writing) {
        writing.fresh.append(
            CacheExtent(first: building.first, count: building.next - building.first, digest: CacheDigest(building.hash)))
        writing.extents += 1
    }

    /// So much was written without a commit that it is time for one. Does not block.
    package var wantsCommit: Bool {
        let now = ContinuousClock.now
        return state.withLock { state in
            guard state.removal == nil, let first = state.firstUncommittedAt else { return false }
            return state.bytesUncommitted >= Self.uncommittedBytesMax || now - first >= Self.uncommittedDurationMax
        }
    }

    /// Makes durable, and names in the index, all that was written before the call. Blocks.
    package func commit() throws(CacheTrouble) { try commit(units: nil) }

    /// The number of units is known now: commits, and with nothing missing the object is whole. Blocks.
    package func finish(units: Int) throws(CacheTrouble) {
        let end = state.withLock { $0.here.ranges.last?.upperBound ?? 0 }
        guard units >= end, CacheLimits.canHave(units: units, of: unitBytes), self.units == nil || self.units == units else {
            throw CacheTrouble(.refused, "\(units) units cannot be all of it: there are \(max(end, self.units ?? 0))")
        }
        try commit(units: units)
    }

    /// Lets go of this version: a recording that broke off. Blocks.
    package func abandon() { store.lose(self, because: .abandoned) }

    private func commit(units: Int?) throws(CacheTrouble) {
        do throws(CacheTrouble) {
            try committing.withLock { side throws(CacheTrouble) in try commit(units: units, &side) }
        } catch {
            if error.kind == .failed { store.lose(self, because: .failed) }
            throw error
        }
    }

    /// The order is all: the units are on the disk before their checksums are, the checksums before the index names them.
    private func commit(units: Int?, _ side: inout Side) throws(CacheTrouble) {
        if let removal { throw gone(removal) }
        let fresh = writing.withLock { writing in
            for building in writing.building { close(building, &writing) }
            writing.building = []
            defer { writing.fresh = [] }
            state.withLock { state in
                state.bytesUncommitted = 0
                state.firstUncommittedAt = nil
            }
            return writing.fresh
        }
        guard !fresh.isEmpty || units != nil else { return }
        var records = fresh.flatMap { SideFile.bytes(.extent($0), id: id) }
        if let units { records += SideFile.bytes(.units(units), id: id) }
        let files = store.files
        let directory = store.lock.directory
        do throws(SystemRefusal) {
            try files.sync(descriptor)
            if side.descriptor < 0 {
                side.descriptor = try files.open(CacheLayout.side(id), in: directory, O_RDWR)
                // What a crash tore off would stand before what is written now.
                try files.setLength(side.descriptor, Int64(side.end))
            }
            try files.write(records[...], to: side.descriptor, at: Int64(side.end))
            try files.sync(side.descriptor)
            side.end += records.count
            if !side.isNamed {
                try files.syncDirectory(CacheLayout.folder(id), in: directory)
                try files.syncDirectory(CacheLayout.objects, in: directory)
                side.isNamed = true
            }
        } catch {
            // What the kernel still shows after a failed flush may not be on the disk, and may be forgotten at any time.
            distrust()
            throw failure(error)
        }
        let now = state.withLock { state in
            for extent in fresh { state.table.insert(extent, isRight: true) }
            if let units { state.units = units }
            return (ranges: state.table.ranges, units: state.units)
        }
        let isWhole = now.units.map { now.ranges.contains(0..<$0) } ?? false
        let isListed: Bool
        let bytes = charge(of: now.ranges.units)
        do throws(CacheTrouble) {
            isListed = try store.index.update(id: id, ranges: now.ranges, units: now.units, bytes: bytes, isWhole: isWhole)
        } catch {
            // The files say more than the index then; the object is not worth two truths.
            throw CacheTrouble(.failed, "\(url) cannot be kept: \(error)")
        }
        guard isListed else { throw gone(removal ?? .purged) }
        state.withLock { state in
            state.isWhole = isWhole
            state.listedBytes = bytes
        }
        store.count { $0.commits += 1 }
    }

    private func failure(_ refusal: SystemRefusal) -> CacheTrouble {
        CacheTrouble(
            .failed,
            "\(url) cannot be kept in \(store.settings.directory): \(refusal)"
                + (refusal.isFull ? "; make room on the disk, or set cache-size or cache-free-min so that some is left" : ""))
    }

    func gone(_ cause: CacheRemoval) -> CacheTrouble { CacheTrouble(.gone, "the cache let go of \(url) (\(cause.rawValue))") }
}
