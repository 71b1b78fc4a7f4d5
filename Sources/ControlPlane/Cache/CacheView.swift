import Foundation
import Glibc
import Signalling

/// A cache as `weir cache` sees it: beside the relay that writes it, or without one.
///
/// Looking needs nothing of the relay: the index is read through SQLite, checksums from the files. What is to be changed is asked for through
/// the index, and the relay does it within a second; where no relay runs, this takes the lock and does it itself. Pins are written to
/// the index by whoever is asked.
package final class CacheView: Sendable {
    package let directory: String
    private let index: CacheIndex

    /// Opens the index of a cache that is there. Throws ``CacheTrouble``.
    package init(_ directory: String) throws(CacheTrouble) {
        self.directory = directory
        index = try CacheIndex.open(directory: directory, as: .beside)
    }

    /// The process of the relay that writes it now; nil: there is none.
    package var owner: Int? { CacheLock.owner(directory) }

    /// Bytes that are free on the file system; nil where it does not say.
    package var freeBytes: Int64? {
        guard let folder = try? openDirectory() else { return nil }
        defer { SystemFiles().close(folder) }
        return try? SystemFiles().freeBytes(folder)
    }

    /// All objects, those used last first.
    package func records() throws(CacheTrouble) -> [CacheRecord] { try index.records(limit: .max) }

    /// The keys that are pinned, whether there is an object under them or not.
    package func pins() throws(CacheTrouble) -> [String] { try index.pins() }

    /// The objects that a word of the command line names: a URL (in any spelling that means the same), or the beginning of an identity of 6
    /// digits or more.
    package static func matching(_ name: String, in records: [CacheRecord]) -> [CacheRecord] {
        let keys = Set(keys(name) + [name])
        return records.filter { record in
            // Behind a URL of which not all tracks are taken stands which.
            keys.contains(String(record.key.prefix { $0 != " " })) || record.url == name
                || (name.utf8.count >= 6 && record.id.hasPrefix(name))
        }
    }

    /// The keys that a URL can have in the cache; none where it can have none.
    package static func keys(_ url: String) -> [String] { ((try? CacheKey.candidates(url)) ?? []).map(\.url) }

    /// Pins a key, or ends that.
    package func pin(_ key: String, _ isPinned: Bool) throws(CacheTrouble) {
        try CacheStore.checkKey(key)
        try index.setPin(key, isPinned)
        let files = SystemFiles()
        let folder = try openDirectory()
        defer { files.close(folder) }
        try CacheStore.writePins(try index.pins(), files: files, directory: folder)
    }

    private func openDirectory() throws(CacheTrouble) -> CInt {
        do throws(SystemRefusal) { return try SystemFiles().open(directory, in: AT_FDCWD, O_RDONLY | O_DIRECTORY) } catch {
            throw CacheTrouble(.directory, "\(directory): \(error)")
        }
    }

    /// Lets go of objects. True: it is done; false: a relay that writes the cache was asked, and has not done it within `patience`.
    package func remove(_ records: [CacheRecord], because cause: CacheRemoval, patience: Duration = .seconds(10)) throws(CacheTrouble)
        -> Bool
    {
        guard !records.isEmpty else { return true }
        let number = try ask(records, because: cause)
        let end = ContinuousClock.now + patience
        repeat {
            if owner == nil {
                do throws(CacheTrouble) {
                    // One that starts just now does it itself.
                    let store = try CacheStore.open(.withoutLimits(directory))
                    defer { store.close() }
                    try store.doRequests()
                } catch {
                    if error.kind != .inUse { throw error }
                }
            }
            if try isDone(number) { return true }
            Thread.sleep(forTimeInterval: 0.1)
        } while ContinuousClock.now < end
        return try isDone(number)
    }

    /// Asks whoever writes the cache to let go of objects; returns what ``isDone(_:)`` takes.
    func ask(_ records: [CacheRecord], because cause: CacheRemoval) throws(CacheTrouble) -> Int64 {
        try index.ask(cause, ids: records.map(\.id))
    }

    func isDone(_ number: Int64) throws(CacheTrouble) -> Bool { try index.isDone(number) }

    /// What looking at an object's checksums found.
    package struct Verdict: Sendable, Equatable {
        package var bytes: Int64 = 0
        /// What is wrong; nil: nothing is.
        package var trouble: String?
        /// It went while it was looked at.
        package var isGone = false
    }

    /// Reads all of an object from the disk and compares its checksums, whatever was looked at before.
    package func verify(_ record: CacheRecord) throws(CacheTrouble) -> Verdict {
        let files = SystemFiles()
        let folder = try openDirectory()
        defer { files.close(folder) }
        var verdict = CacheCheck.run(record, files: files, directory: folder)
        if verdict.trouble != nil, try index.record(id: record.id) == nil {
            verdict.trouble = nil
            verdict.isGone = true
        }
        return verdict
    }
}

/// Compares an object with its checksums.
enum CacheCheck {
    static func run(_ record: CacheRecord, files: any CacheFiles, directory: CInt) -> CacheView.Verdict {
        var verdict = CacheView.Verdict()
        do {
            let contents = try SideFile.load(record.id, files: files, directory: directory)
            let description = contents.description
            let data = try files.open(CacheLayout.data(record.id, record.kind), in: directory, 0)
            defer { files.close(data) }
            let head = try files.read(data, at: 0, count: description.headBytes)
            guard CacheDigest(of: head).text == description.head else {
                verdict.trouble = "its head is not what it was"
                return verdict
            }
            for extent in contents.extents.extents {
                let offset = Int64(description.headBytes) + Int64(extent.first) * Int64(description.unitBytes)
                let count = extent.count * description.unitBytes
                files.forget(data, at: offset, count: count)
                let bytes = try files.read(data, at: offset, count: count)
                verdict.bytes += Int64(bytes.count)
                guard bytes.count == count, extent.matches(bytes, id: record.id) else {
                    verdict.trouble = "units \(extent.first) to \(extent.range.upperBound - 1) are not what they were"
                    return verdict
                }
            }
            let here = contents.extents.ranges
            if let missing = record.ranges.first(where: { !here.contains($0) }) {
                verdict.trouble = "units \(missing.lowerBound) to \(missing.upperBound - 1) are named in the index and not there"
            }
        } catch {
            verdict.trouble = "\(error)"
        }
        return verdict
    }
}
