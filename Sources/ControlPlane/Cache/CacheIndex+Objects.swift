import GRDB

/// What is asked of the index, and told it.
extension CacheIndex {
    private static let columns = "object.*, pin.key IS NOT NULL AS is_pinned FROM object LEFT JOIN pin USING (key)"

    func record(key: String) throws(CacheTrouble) -> CacheRecord? {
        try read { try Row.fetchOne($0, sql: "SELECT \(Self.columns) WHERE object.key = ?", arguments: [key]).flatMap(CacheRecord.init) }
    }

    func record(id: String) throws(CacheTrouble) -> CacheRecord? {
        try read { try Row.fetchOne($0, sql: "SELECT \(Self.columns) WHERE object.id = ?", arguments: [id]).flatMap(CacheRecord.init) }
    }

    /// The objects, those used last first.
    func records(limit: Int) throws(CacheTrouble) -> [CacheRecord] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT \(Self.columns) ORDER BY used_at DESC, id LIMIT ?", arguments: [limit])
                .compactMap(CacheRecord.init)
        }
    }

    /// The entries of a playlist.
    func entries(of list: CacheRecord) throws(CacheTrouble) -> [CacheRecord] {
        let prefix = CacheStore.entryPrefix(list: list.key, id: list.id)
        return try read { database in
            // What begins with the prefix, whose last sign is followed by `.`.
            try Row.fetchAll(
                database, sql: "SELECT \(Self.columns) WHERE object.key >= ? AND object.key < ?",
                arguments: [prefix, "\(prefix.dropLast())."]
            ).compactMap(CacheRecord.init)
        }
    }

    /// Rows that say something that cannot be.
    func unreadableIDs() throws(CacheTrouble) -> [String] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT \(Self.columns)").filter { CacheRecord($0) == nil }.compactMap {
                String.fromDatabaseValue($0["id"])
            }
        }
    }

    /// How many objects there are.
    func count() throws(CacheTrouble) -> Int { try read { try Int.fetchOne($0, sql: "SELECT count(*) FROM object") ?? 0 } }

    /// Puts an object in, in the place of the one that has its key; returns that one.
    func insert(_ record: CacheRecord) throws(CacheTrouble) -> CacheRecord? {
        try write { database in
            let old = try Row.fetchOne(database, sql: "SELECT \(Self.columns) WHERE object.key = ?", arguments: [record.key])
            try database.execute(sql: "DELETE FROM object WHERE key = ?", arguments: [record.key])
            let facts = record.facts
            try database.execute(
                sql: """
                    INSERT INTO object (id, key, kind, url, unit_bytes, units, head_bytes, ranges, bytes, is_whole, etag, last_modified,
                        content_bytes, cache_control, dialect, validated_at, created_at, used_at, verified_at, uses)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    record.id, record.key, record.kind.rawValue, record.url, record.unitBytes, record.units, record.headBytes,
                    UnitRanges(record.ranges).text, record.bytes, record.isWhole, facts.etag, facts.lastModified, facts.contentBytes,
                    facts.cacheControl, facts.dialect, facts.validatedAt, record.createdAt, record.usedAt, record.verifiedAt, record.uses,
                ])
            return old.flatMap(CacheRecord.init)
        }
    }

    /// What of an object is there now. False: there is no such object any more.
    func update(id: String, ranges: UnitRanges, units: Int?, bytes: Int64, isWhole: Bool) throws(CacheTrouble) -> Bool {
        try write { database in
            try database.execute(
                sql: "UPDATE object SET ranges = ?, units = ?, bytes = ?, is_whole = ? WHERE id = ?",
                arguments: [ranges.text, units, bytes, isWhole, id])
            return database.changesCount > 0
        }
    }

    func update(id: String, facts: CacheFacts) throws(CacheTrouble) -> Bool {
        try write { database in
            try database.execute(
                sql: """
                    UPDATE object SET etag = ?, last_modified = ?, content_bytes = ?, cache_control = ?, dialect = ?, validated_at = ?
                    WHERE id = ?
                    """,
                arguments: [
                    facts.etag, facts.lastModified, facts.contentBytes, facts.cacheControl, facts.dialect, facts.validatedAt, id,
                ])
            return database.changesCount > 0
        }
    }

    func update(id: String, verifiedAt: Int64) throws(CacheTrouble) {
        try write { try $0.execute(sql: "UPDATE object SET verified_at = ? WHERE id = ?", arguments: [verifiedAt, id]) }
    }

    /// Uses that were counted since.
    func add(_ touches: [String: CacheTouch]) throws(CacheTrouble) {
        guard !touches.isEmpty else { return }
        try write { database in
            for (id, touch) in touches {
                try database.execute(
                    sql: "UPDATE object SET uses = min(max(uses, 0), ?) + ?, used_at = max(used_at, ?) WHERE id = ?",
                    arguments: [CacheLimits.usesMax, min(touch.uses, Int(CacheLimits.usesMax)), touch.usedAt, id])
            }
        }
    }

    /// Takes objects out; nothing of them may be named when their files go.
    func delete(_ ids: [String]) throws(CacheTrouble) {
        guard !ids.isEmpty else { return }
        try write { database in
            for id in ids { try database.execute(sql: "DELETE FROM object WHERE id = ?", arguments: [id]) }
        }
    }

    /// Objects that may go: not pinned.
    func unpinned() throws(CacheTrouble) -> [CacheRecord] {
        try read { database in
            let pins = try Set(String.fetchAll(database, sql: "SELECT key FROM pin"))
            // The entries of a playlist stay with it.
            return try Row.fetchAll(database, sql: "SELECT \(Self.columns) WHERE pin.key IS NULL").compactMap(CacheRecord.init).filter {
                guard let end = $0.key.utf8.firstIndex(of: UInt8(ascii: "#")) else { return true }
                return !pins.contains(String($0.key[..<end]))
            }
        }
    }

    /// The object whose checksums were looked at longest ago, if that was before a time.
    func stalest(before time: Int64) throws(CacheTrouble) -> CacheRecord? {
        try read { database in
            try Row.fetchOne(
                database, sql: "SELECT \(Self.columns) WHERE verified_at < ? AND ranges <> '' ORDER BY verified_at, id LIMIT 1",
                arguments: [time]
            ).flatMap(CacheRecord.init)
        }
    }

    func hasUnpinned(usedBefore time: Int64) throws(CacheTrouble) -> Bool {
        try read { database in
            try Bool.fetchOne(
                database, sql: "SELECT 1 FROM object WHERE used_at < ? AND key NOT IN (SELECT key FROM pin) LIMIT 1", arguments: [time])
                ?? false
        }
    }

    // Pins

    func pins() throws(CacheTrouble) -> [String] {
        try read { try String.fetchAll($0, sql: "SELECT key FROM pin ORDER BY key") }
    }

    func setPin(_ key: String, _ isPinned: Bool) throws(CacheTrouble) {
        try write { database in
            try database.execute(
                sql: isPinned ? "INSERT OR IGNORE INTO pin (key) VALUES (?)" : "DELETE FROM pin WHERE key = ?", arguments: [key])
        }
    }

    // What `weir cache` asks of the relay that writes the directory

    func ask(_ cause: CacheRemoval, ids: [String]) throws(CacheTrouble) -> Int64 {
        try write { database in
            for id in ids {
                try database.execute(sql: "INSERT INTO request (id, cause) VALUES (?, ?)", arguments: [id, cause.rawValue])
            }
            return database.lastInsertedRowID
        }
    }

    /// Whether all that was asked up to that number was done.
    func isDone(_ number: Int64) throws(CacheTrouble) -> Bool {
        try read { try Int.fetchOne($0, sql: "SELECT count(*) FROM request WHERE number <= ?", arguments: [number]) == 0 }
    }

    /// What was asked and not done yet.
    func requests() throws(CacheTrouble) -> [(number: Int64, id: String, cause: CacheRemoval)] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM request ORDER BY number LIMIT 1000").map { row in
                (
                    Int64.fromDatabaseValue(row["number"]) ?? 0, String.fromDatabaseValue(row["id"]) ?? "",
                    String.fromDatabaseValue(row["cause"]).flatMap(CacheRemoval.init) ?? .purged
                )
            }
        }
    }

    func forgetRequests(upTo number: Int64) throws(CacheTrouble) {
        try write { try $0.execute(sql: "DELETE FROM request WHERE number <= ?", arguments: [number]) }
    }
}

extension CacheIndex {
    /// Takes over what waits to be told to origins from an index that was given up. Returns how much; 0 also where that index cannot be read.
    func takeNotices(from path: String) -> Int {
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        let rows = try? DatabaseQueue(path: path, configuration: configuration).read {
            try Row.fetchAll($0, sql: "SELECT number, url, agent, made_at, body FROM notice ORDER BY number").map {
                Array($0.databaseValues)
            }
        }
        guard let rows, !rows.isEmpty else { return 0 }
        let taken = try? write { database in
            try NoticeTable.create(in: database)
            for row in rows {
                try database.execute(
                    sql: "INSERT OR IGNORE INTO notice (number, url, agent, made_at, body) VALUES (?, ?, ?, ?, ?)",
                    arguments: StatementArguments(row))
            }
            return rows.count
        }
        return taken ?? 0
    }
}

/// Uses of an object that the index does not know yet.
struct CacheTouch: Sendable, Equatable {
    var uses: Int
    var usedAt: Int64
}

extension CacheRecord {
    /// Nil where a row says what cannot be. Nothing in it traps: the file may have been written by anybody.
    fileprivate init?(_ row: Row) {
        func text(_ name: String) -> String? { String.fromDatabaseValue(row[name]) }
        func number(_ name: String) -> Int64? { Int64.fromDatabaseValue(row[name]) }
        guard let id = text("id"), CacheLayout.isID(id), let key = text("key"), let kind = text("kind").flatMap(CacheKind.init),
            let unitBytes = number("unit_bytes"), (1...Int64(CacheLimits.unitBytesMax)).contains(unitBytes),
            let headBytes = number("head_bytes"), (0...Int64(CacheLimits.headBytesMax)).contains(headBytes),
            let ranges = text("ranges").flatMap(UnitRanges.init(text:)),
            CacheLimits.canHave(units: ranges.ranges.last?.upperBound ?? 0, of: Int(unitBytes)),
            let charged = number("bytes"), (0...(2 * CacheLimits.contentBytesMax)).contains(charged)
        else { return nil }
        // Whoever reckons an age with it does not overflow.
        func time(_ name: String) -> Int64 { min(max(number(name) ?? 0, 0), CacheLimits.secondsMax) }
        let units = number("units").map { Int(clamping: $0) }
        if let units, !CacheLimits.canHave(units: units, of: Int(unitBytes)) { return nil }
        // What it is charged with follows from the rest: the column is for those who look into the file by other means.
        let bytes = CacheLayout.charge(
            headBytes: Int(headBytes), unitBytes: Int(unitBytes), units: ranges.units)
        self.init(
            id: id, key: key, kind: kind, url: text("url") ?? "", unitBytes: Int(unitBytes), units: units,
            headBytes: Int(headBytes), ranges: ranges.ranges, bytes: bytes, isWhole: number("is_whole") == 1,
            facts: CacheFacts(
                etag: text("etag"), lastModified: text("last_modified"), contentBytes: number("content_bytes"),
                cacheControl: text("cache_control"), dialect: text("dialect"), validatedAt: time("validated_at")),
            createdAt: time("created_at"), usedAt: time("used_at"), verifiedAt: time("verified_at"),
            uses: Int(min(max(number("uses") ?? 0, 0), CacheLimits.usesMax)), isPinned: number("is_pinned") == 1)
    }
}
