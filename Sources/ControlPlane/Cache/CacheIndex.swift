import GRDB
import Glibc

/// The index: one row for each object, in SQLite (WAL, so that `weir cache` reads while a relay writes). It sums up what the objects' side
/// files say; after a crash it may know less than they do, never more. Calls block and throw ``CacheTrouble``.
final class CacheIndex: Sendable {
    /// "WEIR", in the file's header: this is no other program's database.
    static let applicationID: Int32 = 0x5745_4952
    let path: String
    private let directory: String
    private let database: any DatabaseWriter

    private init(directory: String, path: String, database: any DatabaseWriter) {
        self.directory = directory
        self.path = path
        self.database = database
    }

    /// Who opens it.
    enum Role {
        /// The one that writes the objects: makes the file when it is not there, and brings it to this version.
        case owner
        /// Whoever looks at it beside the owner, or asks the owner for something through it.
        case beside
    }

    static func open(directory: String, as role: Role) throws(CacheTrouble) -> CacheIndex {
        let path = "\(directory)/\(CacheLayout.index)"
        do {
            var configuration = GRDB.Configuration()
            configuration.busyMode = .timeout(10)
            configuration.maximumReaderCount = 3
            configuration.label = "weir-cache"
            if role == .beside, unsafe access(path, F_OK) != 0 {
                throw CacheTrouble(.directory, "\(directory) holds no cache (there is no \(CacheLayout.index) in it)")
            }
            // Looked at before anything is changed in it, also its journal mode: what is newer or foreign stays as it is.
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            let isNew = try queue.read { database in try CacheIndex.check(database, path: path, directory: directory) }
            let version = try queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
            guard role == .owner else {
                guard version == steps.count else {
                    throw CacheTrouble(.indexNewer, "\(path) is of an older Weir; a relay that opens this cache once brings it up to date")
                }
                return CacheIndex(directory: directory, path: path, database: queue)
            }
            try queue.close()
            let pool = try DatabasePool(path: path, configuration: configuration)
            if isNew || version < steps.count { try migrate(pool) }
            return CacheIndex(directory: directory, path: path, database: pool)
        } catch {
            throw trouble(error, path: path, directory: directory)
        }
    }

    /// Ends it. The file alone is the index then; its log is empty (the library keeps it for those who may only read).
    func close() {
        _ = try? database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try? database.close()
    }

    /// True for a file without anything in it.
    private static func check(_ database: Database, path: String, directory: String) throws -> Bool {
        let application = try Int32.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
        if application == 0, version == 0, tables == 0 { return true }
        guard application == applicationID else {
            throw CacheTrouble(.indexDamaged, "\(path) is a database of another program; \(remedy(directory))")
        }
        guard version <= steps.count else {
            throw CacheTrouble(
                .indexNewer,
                "\(path) is of a newer Weir (form \(version), this one writes \(steps.count)): use that one, or another directory; \(remedy(directory))"
            )
        }
        let words = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "nothing"
        guard words == "ok" else { throw CacheTrouble(.indexDamaged, "\(path) is damaged (\(words)); \(remedy(directory))") }
        return false
    }

    /// What to do about an index that cannot be used.
    static func remedy(_ directory: String) -> String {
        "'weir cache verify --rebuild --cache \(directory)' makes a new index from the objects, and keeps this one beside it"
    }

    /// One step for each form that there was; what a file was made with stands in its `user_version`.
    private static let steps = [
        """
        CREATE TABLE object (
            id TEXT NOT NULL PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, url TEXT NOT NULL,
            unit_bytes INTEGER NOT NULL, units INTEGER, head_bytes INTEGER NOT NULL,
            ranges TEXT NOT NULL, bytes INTEGER NOT NULL, is_whole INTEGER NOT NULL,
            etag TEXT, last_modified TEXT, content_bytes INTEGER, cache_control TEXT, dialect TEXT, validated_at INTEGER NOT NULL,
            created_at INTEGER NOT NULL, used_at INTEGER NOT NULL, verified_at INTEGER NOT NULL, uses INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX object_by_use ON object (used_at);
        CREATE INDEX object_by_look ON object (verified_at);
        CREATE TABLE pin (key TEXT NOT NULL PRIMARY KEY) STRICT;
        CREATE TABLE request (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, cause TEXT NOT NULL) STRICT;
        """
    ]

    private static func migrate(_ pool: DatabasePool) throws {
        try pool.write { database in
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            for step in steps.dropFirst(version) { try database.execute(sql: step) }
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            try database.execute(sql: "PRAGMA user_version = \(steps.count)")
        }
    }

    /// Reads; what is thrown is a ``CacheTrouble``.
    func read<T: Sendable>(_ body: @Sendable (Database) throws -> T) throws(CacheTrouble) -> T {
        do { return try database.read(body) } catch { throw Self.trouble(error, path: path, directory: directory) }
    }

    /// One transaction.
    func write<T: Sendable>(_ body: @Sendable (Database) throws -> T) throws(CacheTrouble) -> T {
        do { return try database.write(body) } catch { throw Self.trouble(error, path: path, directory: directory) }
    }

    private static func trouble(_ error: any Error, path: String, directory: String) -> CacheTrouble {
        if let error = error as? CacheTrouble { return error }
        guard let error = error as? DatabaseError else { return CacheTrouble(.failed, "\(path): \(error)") }
        let words = error.message ?? "\(error.resultCode)"
        return switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: CacheTrouble(.indexDamaged, "\(path) is damaged (\(words)); \(remedy(directory))")
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            CacheTrouble(.inUse, "\(path) is locked by another program for more than 10 s: which one, says 'fuser \(path)'")
        case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH, .SQLITE_READONLY:
            CacheTrouble(
                .directory, "\(path) cannot be opened (\(words)): the user of this process needs to read and write in \(directory)")
        case .SQLITE_FULL: CacheTrouble(.failed, "\(path) cannot be written: \(words)\(CacheLock.remedy(ENOSPC, directory))")
        default: CacheTrouble(.failed, "\(path): \(words)")
        }
    }
}
