/// What `weir cache ls` shows.
package struct CacheListing: Sendable, Codable, Equatable {
    /// An object of it.
    package struct Row: Sendable, Codable, Equatable {
        package var id: String
        package var key: String
        package var url: String
        package var kind: CacheKind
        /// Bytes of the content that are there, and of all of it where that is known.
        package var bytesHere: Int64
        package var bytesWhole: Int64?
        package var whole: Bool
        package var pinned: Bool
        package var uses: Int
        /// The units that are there, `0-99,200-299`.
        package var ranges: String
        package var unitBytes: Int
        package var units: Int?
        package var headBytes: Int
        package var etag: String?
        package var lastModified: String?
        package var cacheControl: String?
        /// Seconds since it was made, used, confirmed by the origin, and its checksums were looked at (left out: never).
        package var ageSeconds: Int64
        package var usedSecondsAgo: Int64
        package var validatedSecondsAgo: Int64
        package var verifiedSecondsAgo: Int64?
        /// Its data, below the cache's directory.
        package var file: String
    }

    package var directory: String
    package var rows: [Row]
    /// Keys that are pinned and have no object yet.
    package var pinsWithoutObject: [String]

    package init(directory: String, records: [CacheRecord], pins: [String], now: Int64 = CacheClock.now()) {
        self.directory = directory
        rows = records.map { Row($0, now: now) }
        let keys = Set(records.map(\.key))
        pinsWithoutObject = pins.filter { !keys.contains($0) }
    }

    /// For people.
    package func lines(_ width: Int) -> [String] {
        guard !rows.isEmpty || !pinsWithoutObject.isEmpty else { return ["the cache \(directory) holds nothing that was asked for"] }
        var grid = Grid(["ID", "HERE", "OF", "%", "AGE", "USED", "USES", "PIN", "URL"], right: [1, 2, 3, 4, 5, 6])
        for row in rows {
            grid.add([
                String(row.id.prefix(8)), OverviewTable.bytes(Double(row.bytesHere)),
                row.bytesWhole.map { OverviewTable.bytes(Double($0)) } ?? "-",
                row.whole ? "100" : row.bytesWhole.map { "\(min(99, row.bytesHere.times(100) / max($0, 1)))" } ?? "-",
                OverviewTable.duration(Double(row.validatedSecondsAgo)), OverviewTable.duration(Double(row.usedSecondsAgo)), "\(row.uses)",
                row.pinned ? "pin" : "", row.url.isEmpty ? row.key : row.url,
            ])
        }
        for key in pinsWithoutObject { grid.add(["-", "-", "-", "-", "-", "-", "-", "pin", key]) }
        return grid.lines(width, notes: [])
    }
}

extension CacheListing.Row {
    init(_ record: CacheRecord, now: Int64) {
        func size(_ units: Int) -> Int64 { Int64(units).times(Int64(record.unitBytes)).plus(Int64(record.headBytes)) }
        func ago(_ time: Int64) -> Int64 { now.less(time) }
        self.init(
            id: record.id, key: record.key, url: record.url, kind: record.kind, bytesHere: size(UnitRanges(record.ranges).units),
            bytesWhole: record.units.map(size), whole: record.isWhole, pinned: record.isPinned, uses: record.uses,
            ranges: UnitRanges(record.ranges).text, unitBytes: record.unitBytes, units: record.units, headBytes: record.headBytes,
            etag: record.facts.etag, lastModified: record.facts.lastModified, cacheControl: record.facts.cacheControl,
            ageSeconds: ago(record.createdAt), usedSecondsAgo: ago(record.usedAt), validatedSecondsAgo: ago(record.facts.validatedAt),
            verifiedSecondsAgo: record.verifiedAt > 0 ? ago(record.verifiedAt) : nil, file: CacheLayout.data(record.id, record.kind))
    }
}

/// What `weir cache stats` shows: sums over the index.
package struct CacheStatistics: Sendable, Codable, Equatable {
    package var directory: String
    /// The process of the relay that writes it; left out: none does.
    package var relayProcess: Int?
    package var objects = 0
    package var whole = 0
    package var pinned = 0
    package var pinsWithoutObject = 0
    /// Bytes that objects are charged with, and what is free on their file system.
    package var bytes: Int64 = 0
    package var bytesPinned: Int64 = 0
    package var bytesFree: Int64?
    package var uses = 0
    /// Objects of which no checksum was ever wrong, and were looked at within a week.
    package var verifiedThisWeek = 0
    package var objectsByKind: [String: Int] = [:]

    package init(_ view: CacheView, now: Int64 = CacheClock.now()) throws(CacheTrouble) {
        directory = view.directory
        relayProcess = view.owner
        bytesFree = view.freeBytes
        let pins = Set(try view.pins())
        let records = try view.records()
        for record in records {
            objects += 1
            if record.isWhole { whole += 1 }
            if record.isPinned {
                pinned += 1
                bytesPinned = bytesPinned.plus(record.bytes)
            }
            bytes = bytes.plus(record.bytes)
            uses = Int(clamping: Int64(uses).plus(Int64(record.uses)))
            if record.verifiedAt > now - 7 * 86_400 { verifiedThisWeek += 1 }
            objectsByKind[record.kind.rawValue, default: 0] += 1
        }
        pinsWithoutObject = pins.subtracting(records.map(\.key)).count
    }

    /// For people.
    package var lines: [String] {
        func size(_ bytes: Int64) -> String { OverviewTable.bytes(Double(bytes)) }
        return [
            "cache      \(directory)",
            "relay      \(relayProcess.map { $0 > 0 ? "process \($0)" : "runs" } ?? "none")",
            "objects    \(objects): \(whole) whole, \(objects - whole) in part; "
                + objectsByKind.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", "),
            "bytes      \(size(bytes))\(bytesFree.map { ", \(size($0)) free on the file system" } ?? "")",
            "pinned     \(pinned) (\(size(bytesPinned)))\(pinsWithoutObject > 0 ? ", and \(pinsWithoutObject) not here yet" : "")",
            "uses       \(uses)",
            "checksums  \(verifiedThisWeek) of \(objects) objects looked at within a week",
        ]
    }
}
