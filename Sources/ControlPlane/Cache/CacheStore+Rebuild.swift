import Glibc

/// What became of an index that was made anew.
package struct CacheRebuild: Sendable, Equatable, Codable {
    /// Objects in the new index, and how many of them are whole.
    package var objects = 0
    package var whole = 0
    package var bytes: Int64 = 0
    /// Objects of which some extents were damaged: these are left out, and are fetched again.
    package var mended = 0
    /// Objects of which nothing is of use; their files stay, named in ``leftOut``.
    package var leftOut: [String] = []
    package var pins = 0
    /// What origins have yet to hear of plays, as far as the old index could be read.
    package var notices = 0
    /// Where the old index lies now; nil: there was none.
    package var oldIndex: String?
}

/// An index from nothing but the objects.
extension CacheStore {
    /// Reads every object, checks every checksum, and makes a new index of what is right. The old index is kept under another name. Nobody may
    /// write the cache meanwhile (`.inUse`). `progress` is called for each object.
    package static func rebuild(
        _ settings: CacheSettings, progress: @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) throws(CacheTrouble) -> CacheRebuild { try rebuild(settings, files: SystemFiles(), progress: progress) }

    static func rebuild(
        _ settings: CacheSettings, files: any CacheFiles, progress: @Sendable (Int, Int) -> Void
    ) throws(CacheTrouble) -> CacheRebuild {
        let lock = try CacheLock.take(settings.directory, files: files)
        let listed = try listed(files, lock.directory, settings.directory)
        var report = CacheRebuild()
        let pins = savedPins(files, lock.directory)
        if hasIndex(files, lock.directory) {
            // Never over one that was kept earlier.
            var time = CacheClock.now()
            while isThere("index-\(time).sqlite", files, lock.directory) { time += 1 }
            let name = "index-\(time).sqlite"
            for suffix in ["", "-wal", "-shm"] {
                do throws(SystemRefusal) {
                    try files.rename(CacheLayout.index + suffix, to: name + suffix, in: lock.directory)
                } catch {
                    if error.number != ENOENT { throw CacheTrouble(.directory, "\(settings.directory): \(error)") }
                }
            }
            report.oldIndex = "\(settings.directory)/\(name)"
        }
        // Also behind the new index: its name has to be there when a relay trusts it.
        defer { try? files.syncDirectory(".", in: lock.directory) }
        let index = try CacheIndex.open(directory: settings.directory, as: .owner)
        defer { index.close() }
        for pin in pins { try index.setPin(pin, true) }
        report.pins = pins.count
        if let old = report.oldIndex { report.notices = index.takeNotices(from: old) }
        // Of two versions under one key the later one is kept: it comes last here.
        var found: [(record: CacheRecord, isMended: Bool)] = []
        for (number, id) in listed.keys.sorted().enumerated() {
            progress(number, listed.count)
            guard let entry = listed[id], let record = record(id, entry, files, lock.directory) else {
                report.leftOut.append("\(settings.directory)/\(CacheLayout.folder(id))/\(id)")
                continue
            }
            found.append(record)
        }
        found.sort { $0.record.createdAt < $1.record.createdAt }
        var kept: [String: (record: CacheRecord, isMended: Bool)] = [:]
        for object in found {
            // The index is new, so this is never more than a version of the same key.
            if let older = try index.insert(object.record) {
                report.leftOut.append("\(settings.directory)/\(CacheLayout.folder(older.id))/\(older.id)")
            }
            kept[object.record.key] = object
        }
        report.objects = kept.count
        report.whole = kept.values.filter(\.record.isWhole).count
        report.mended = kept.values.filter(\.isMended).count
        report.bytes = kept.values.reduce(Int64(0)) { $0.plus($1.record.bytes) }
        progress(listed.count, listed.count)
        return report
    }

    /// What an object says of itself, as far as it is right. Its side file is written anew where some of it is not.
    private static func record(
        _ id: String, _ entry: Listed, _ files: any CacheFiles, _ directory: CInt
    ) -> (record: CacheRecord, isMended: Bool)? {
        guard entry.hasSide, let contents = try? SideFile.load(id, files: files, directory: directory),
            entry.kinds.contains(contents.description.kind)
        else { return nil }
        let description = contents.description
        guard let data = try? files.open(CacheLayout.data(id, description.kind), in: directory, O_RDONLY) else { return nil }
        defer { files.close(data) }
        guard let head = try? files.read(data, at: 0, count: description.headBytes), CacheDigest(of: head).text == description.head else {
            return nil
        }
        var right = ExtentTable()
        for extent in contents.extents.extents {
            let offset = Int64(description.headBytes) + Int64(extent.first) * Int64(description.unitBytes)
            let bytes = try? files.read(data, at: offset, count: extent.count * description.unitBytes)
            if let bytes, extent.matches(bytes, id: id) { right.insert(extent, isRight: true) }
        }
        let ranges = right.ranges
        let isMended = right.count < contents.extents.count
        let isWhole = contents.units.map { ranges.contains(0..<$0) } ?? false
        guard !ranges.isEmpty, description.kind == .asf || isWhole else { return nil }
        if isMended {
            var bytes = SideFile.magic + SideFile.bytes(.description(description), id: id)
            for extent in right.extents { bytes += SideFile.bytes(.extent(extent), id: id) }
            if let units = contents.units { bytes += SideFile.bytes(.units(units), id: id) }
            guard (try? replace(CacheLayout.side(id), with: bytes, files, directory)) != nil else { return nil }
        }
        let now = CacheClock.now()
        let charge = CacheLayout.charge(headBytes: description.headBytes, unitBytes: description.unitBytes, units: ranges.units)
        return (
            CacheRecord(
                id: id, key: description.key, kind: description.kind, url: description.url, unitBytes: description.unitBytes,
                units: contents.units, headBytes: description.headBytes, ranges: ranges.ranges, bytes: charge, isWhole: isWhole,
                facts: description.facts, createdAt: description.createdAt, usedAt: now, verifiedAt: now, uses: 0, isPinned: false),
            isMended
        )
    }

    private static func replace(
        _ name: String, with bytes: [UInt8], _ files: any CacheFiles, _ directory: CInt
    ) throws(SystemRefusal) {
        let descriptor = try files.open("\(name).new", in: directory, O_WRONLY | O_CREAT | O_TRUNC)
        defer { files.close(descriptor) }
        try files.write(bytes[...], to: descriptor, at: 0)
        try files.sync(descriptor)
        try files.rename("\(name).new", to: name, in: directory)
        try files.syncDirectory(String(name[..<(name.lastIndex(of: "/") ?? name.startIndex)]), in: directory)
    }

    /// The pins as they were written last.
    private static func savedPins(_ files: any CacheFiles, _ directory: CInt) -> [String] {
        guard let descriptor = try? files.open(CacheLayout.pins, in: directory, O_RDONLY) else { return [] }
        defer { files.close(descriptor) }
        let bytes = (try? files.read(descriptor, at: 0, count: 64 << 20)) ?? []
        return bytes.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }.filter { (try? checkKey($0)) != nil }
    }
}
