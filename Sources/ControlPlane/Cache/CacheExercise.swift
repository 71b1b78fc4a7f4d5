import Foundation
import Glibc
import Synchronization

/// Fills, reads, replaces and purges objects whose every byte can be computed again, on several threads, until it is ended; and looks
/// afterwards whether what the cache holds is what was put in. `tools/cache-kill` ends it at random places a thousand times.
package final class CacheExercise: Sendable {
    private let store: CacheStore
    /// A line for each commit that came back, for ``check(_:log:)``; -1: the disk is full, and what was committed may go.
    private let log: CInt
    /// How often the disk refused.
    private let refusals = Mutex(0)
    private let failure = Mutex<String?>(nil)

    /// Small, so that objects are evicted all the time.
    private static func settings(_ directory: String) -> CacheSettings {
        var settings = CacheSettings(directory: directory)
        settings.bytesMax = 12 << 20
        settings.freeBytesMin = 0
        settings.verifyBytesPerSecond = 64 << 20
        return settings
    }

    private init(store: CacheStore, log: CInt) {
        self.store = store
        self.log = log
    }

    /// What a unit of a version of a key holds.
    static func unit(_ key: String, version: Int, number: Int, bytes: Int) -> [UInt8] {
        var word: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key.utf8 { word = (word ^ UInt64(byte)) &* 0x100_0000_01B3 }
        word = (word ^ UInt64(truncatingIfNeeded: version)) &* 0x9E37_79B9_7F4A_7C15
        word = (word ^ UInt64(truncatingIfNeeded: number)) &* 0x9E37_79B9_7F4A_7C15
        return unsafe [UInt8](unsafeUninitializedCapacity: bytes) { buffer, count in
            for index in 0..<bytes {
                if index & 7 == 0 {
                    word ^= word << 13
                    word ^= word >> 7
                    word ^= word << 17
                }
                unsafe buffer[index] = UInt8(truncatingIfNeeded: word >> (UInt64(index & 7) * 8))
            }
            count = bytes
        }
    }

    static func units(_ key: String, version: Int, _ range: Range<Int>, bytes: Int) -> [UInt8] {
        range.flatMap { unit(key, version: version, number: $0, bytes: bytes) }
    }

    static func head(_ key: String, version: Int) -> [UInt8] { Array("\(key) \(version)\n".utf8) }

    /// Runs until it is ended from outside or `seconds` are over. Throws ``CacheTrouble`` where the cache did what it should not. Without a log
    /// the disk may be full. Returns how often it refused.
    @discardableResult
    package static func run(_ directory: String, log: String?, seed: UInt64, seconds: Double, threads: Int) throws(CacheTrouble) -> Int {
        let store = try CacheStore.open(settings(directory))
        let descriptor = log.map { log in unsafe open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600) } ?? -1
        guard descriptor >= 0 || log == nil else { throw CacheTrouble(.directory, "\(log ?? "") cannot be written") }
        let exercise = CacheExercise(store: store, log: descriptor)
        let end = ContinuousClock.now + .seconds(seconds)
        let workers = (0..<threads).map { number in
            let worker = Thread { exercise.work(number, seed: seed &+ UInt64(number) &* 7_919, until: end) }
            worker.start()
            return worker
        }
        while workers.contains(where: { !$0.isFinished }) {
            Thread.sleep(forTimeInterval: 0.02)
            do throws(CacheTrouble) { try store.upkeep(elapsed: .milliseconds(20)) } catch { exercise.judge(error) }
        }
        let words =
            exercise.failure.withLock { $0 }
            ?? (store.counters.damaged > 0 ? "the cache found \(store.counters.damaged) objects damaged" : nil)
        store.close()
        if descriptor >= 0 { close(descriptor) }
        if let words { throw CacheTrouble(.damaged, words) }
        return exercise.refusals.withLock { $0 }
    }

    /// What a cache says in its right mind: another thread took the object away, or all is in use; and that the disk refused, where it may.
    private func judge(_ error: CacheTrouble) {
        switch error.kind {
        case .gone, .full, .tooLarge, .absent: break
        case .failed where log < 0: refusals.withLock { $0 += 1 }
        default: fail("\(error.kind): \(error)")
        }
    }

    private func fail(_ words: String) { failure.withLock { $0 = $0 ?? words } }

    private func work(_ thread: Int, seed: UInt64, until end: ContinuousClock.Instant) {
        var random = Generator(state: seed | 1)
        while ContinuousClock.now < end, failure.withLock({ $0 == nil }) {
            do throws(CacheTrouble) {
                switch random.next() % 16 {
                case 0..<8: try fill("k\(random.next() % 12)", version: Int(random.next() % 1_000_000), &random)
                case 8..<11: try fillOn(thread, &random)
                case 11..<15: try readBack("k\(random.next() % 12)", &random)
                default: try store.remove("k\(random.next() % 12)", because: .purged)
                }
            } catch {
                judge(error)
            }
        }
    }

    private func description(_ key: String, version: Int, _ random: inout Generator) -> CacheDescription {
        CacheDescription(
            key: key, kind: .asf, url: "exercise:\(key)", head: Self.head(key, version: version),
            unitBytes: 500 + Int(random.next() % 3_000), units: 50 + Int(random.next() % 700), facts: CacheFacts(etag: "\"\(version)\""))
    }

    /// A new version of a key, filled from several places.
    private func fill(_ key: String, version: Int, _ random: inout Generator) throws(CacheTrouble) {
        let object = try store.create(description(key, version: version, &random))
        guard let units = object.units else { return }
        let target = random.next() % 3 == 0 ? Int(random.next() % UInt64(units)) : units
        var written = 0
        while written < target {
            guard let hole = UnitRanges(object.ranges).missing(in: 0..<units).first else { break }
            let first = random.next() % 8 == 0 ? Int(random.next() % UInt64(units)) : hole.lowerBound
            let range = first..<min(units, first + 1 + Int(random.next() % 60))
            written += try object.write(Self.units(key, version: version, range, bytes: object.unitBytes), atUnit: range.lowerBound)
            if random.next() % 6 == 0 { try object.commit() }
        }
        try object.commit()
    }

    /// Objects that are pinned and only ever grow: what was committed of them is there for good.
    private func fillOn(_ thread: Int, _ random: inout Generator) throws(CacheTrouble) {
        let key = "kept\(thread)"
        let version = 1
        let object: CacheObject
        if let present = try store.open(key) {
            object = present
        } else {
            try store.pin(key, true)
            object = try store.create(
                CacheDescription(
                    key: key, kind: .asf, url: "exercise:\(key)", head: Self.head(key, version: version), unitBytes: 700, units: 3_000,
                    facts: CacheFacts(etag: "\"\(version)\"")))
        }
        let first = Int(random.next() % 2_950)
        let range = first..<(first + 1 + Int(random.next() % 50))
        try object.write(Self.units(key, version: version, range, bytes: object.unitBytes), atUnit: first)
        try object.commit()
        if log >= 0 { note("\(key) \(range.lowerBound) \(range.upperBound)\n") }
    }

    private func readBack(_ key: String, _ random: inout Generator) throws(CacheTrouble) {
        guard let object = try store.open(key) else { return }
        for range in object.ranges {
            guard let words = try Self.difference(object, range) else { continue }
            fail(words)
        }
    }

    /// What in a range is not what was written; nil: nothing.
    private static func difference(_ object: CacheObject, _ range: Range<Int>) throws(CacheTrouble) -> String? {
        guard let version = object.facts.etag.flatMap({ Int($0.dropFirst().dropLast()) }) else { return "\(object.key) has no version" }
        if object.head != head(object.key, version: version) { return "the head of \(object.key) is not that of version \(version)" }
        var first = range.lowerBound
        while first < range.upperBound {
            let bytes = try object.read(first..<min(range.upperBound, first + 64))
            let count = bytes.count / object.unitBytes
            if bytes != units(object.key, version: version, first..<(first + count), bytes: object.unitBytes) {
                return "units \(first) to \(first + count - 1) of \(object.key), version \(version), are not what was written"
            }
            first += count
        }
        return nil
    }

    private func note(_ line: String) {
        let bytes = Array(line.utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(log, $0.baseAddress, $0.count) }
    }

    /// What a check saw.
    package struct Result: Sendable, Codable, Equatable {
        package var objects = 0
        package var whole = 0
        package var bytes: Int64 = 0
        /// Ranges whose commit had come back, all of them found.
        package var commits = 0
        package var lostAtOpen: UInt64 = 0
    }

    /// Opens what a run left, however it ended, and compares all that the index names, byte for byte. Throws `.damaged` with words when
    /// something differs, or when something is missing whose commit had come back.
    package static func check(_ directory: String, log: String?) throws(CacheTrouble) -> Result {
        let store = try CacheStore.open(settings(directory))
        defer { store.close() }
        var result = Result()
        result.lostAtOpen = store.counters.lostAtOpen
        for record in try store.records(limit: .max) {
            guard let object = try store.open(record.key), object.id == record.id else {
                throw CacheTrouble(.damaged, "\(record.key) is named in the index and cannot be opened")
            }
            let here = UnitRanges(object.ranges)
            guard record.ranges.allSatisfy({ here.contains($0) }) else {
                throw CacheTrouble(.damaged, "\(record.key): the index names units that are not there")
            }
            for range in object.ranges {
                if let words = try difference(object, range) { throw CacheTrouble(.damaged, words) }
                result.bytes += Int64(range.count * object.unitBytes)
            }
            result.objects += 1
            if object.isWhole { result.whole += 1 }
        }
        for line in (log.flatMap { try? String(contentsOfFile: $0, encoding: .utf8) } ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let first = Int(words[1]), let end = Int(words[2]), first < end else { continue }
            guard let object = try store.open(String(words[0])), (object.end(ofRunFrom: first) ?? first) >= end else {
                throw CacheTrouble(.damaged, "\(words[0]): units \(first) to \(end - 1) were committed and are not there")
            }
            result.commits += 1
        }
        let counters = store.counters
        guard counters.damaged == 0, counters.bytes <= counters.bytesMax else {
            throw CacheTrouble(.damaged, "\(counters.damaged) damaged objects, \(counters.bytes) of \(counters.bytesMax) bytes charged")
        }
        return result
    }

    private struct Generator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state &* 0x2545_F491_4F6C_DD1D >> 8
        }
    }
}
