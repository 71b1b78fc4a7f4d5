import Foundation
import Glibc
import Testing

@testable import ControlPlane

/// A cache in a directory of its own, which goes away with it, and objects whose every byte is known.
final class CacheFixture: Sendable {
    let directory: String

    init() throws {
        directory = NSTemporaryDirectory() + "weir-cache-\(UUID().uuidString)"
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func settings(bytesMax: Int64 = 64 << 20) -> CacheSettings {
        var settings = CacheSettings(directory: directory)
        settings.bytesMax = bytesMax
        settings.freeBytesMin = 0
        return settings
    }

    func open(bytesMax: Int64 = 64 << 20, files: any CacheFiles = SystemFiles()) throws -> CacheStore {
        try CacheStore.open(settings(bytesMax: bytesMax), files: files)
    }

    /// An object of so many units of 1,000 bytes.
    static func description(_ key: String, units: Int? = 100, version: Int = 1, unitBytes: Int = 1_000) -> CacheDescription {
        CacheDescription(
            key: key, kind: .asf, url: "mmsh://origin.example/\(key)", head: CacheExercise.head(key, version: version),
            unitBytes: unitBytes,
            units: units, facts: CacheFacts(etag: "\"\(version)\"", cacheControl: "public", dialect: "wmsp"))
    }

    static func units(_ key: String, _ range: Range<Int>, version: Int = 1, unitBytes: Int = 1_000) -> [UInt8] {
        CacheExercise.units(key, version: version, range, bytes: unitBytes)
    }

    /// A whole, committed object.
    @discardableResult
    static func fill(_ store: CacheStore, _ key: String, units: Int = 100, version: Int = 1) throws -> CacheObject {
        let object = try store.create(description(key, units: units, version: version))
        try object.write(Self.units(key, 0..<units, version: version), atUnit: 0)
        try object.commit()
        return object
    }

    /// The data and the side file of an object, and everything else below `objects`, sorted.
    var files: [String] {
        let objects = "\(directory)/objects"
        let all = (FileManager.default.enumerator(atPath: objects)?.allObjects as? [String]) ?? []
        return all.filter { $0.count > 2 }.map { "\(objects)/\($0)" }.sorted()
    }

    func file(_ record: CacheRecord) -> String { "\(directory)/\(CacheLayout.data(record.id, record.kind))" }
    func side(_ record: CacheRecord) -> String { "\(directory)/\(CacheLayout.side(record.id))" }

    /// Changes the index behind everybody's back.
    func sql(_ text: String) throws {
        let index = try CacheIndex.open(directory: directory, as: .beside)
        defer { index.close() }
        try index.write { try $0.execute(sql: text) }
    }

    /// Turns a bit of a file.
    static func spoil(_ path: String, at offset: Int) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: path))
        try handle.seek(toOffset: UInt64(offset))
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: [byte ^ 1])
        try handle.close()
    }
}

/// What a call throws, as its kind; nil: nothing.
func troubleKind(_ body: () throws -> Void) -> CacheTrouble.Kind? {
    do {
        try body()
        return nil
    } catch {
        return (error as? CacheTrouble)?.kind
    }
}
