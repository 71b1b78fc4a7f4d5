import NIOCore
import WireFormats

/// Recordings in the cache on disk. Belongs to the event loop; what blocks is done by the desk's threads.
final class CachedRecordings: RecordingStore {
    private let desk: CacheDesk

    init(_ desk: CacheDesk) { self.desk = desk }

    /// What the cache's answers are made of; they travel between threads.
    private struct Found: Sendable {
        let object: CacheObject
        let facts: CacheFacts
        let units: Int
    }

    func find(_ key: String, _ done: @escaping (StoredRecording?) -> Void) {
        desk.reading { store -> Found? in
            guard let record = try store.find(key), record.kind == .rtsp, record.isWhole, let object = try store.open(key),
                let units = object.units, object.isWhole
            else { return nil }
            return Found(object: object, facts: object.facts, units: units)
        }.assumeIsolated().whenComplete { [desk] result in
            guard case .success(let found?) = result else { return done(nil) }
            var words = OriginWords()
            words.etag = found.facts.etag
            words.lastModified = found.facts.lastModified
            words.cacheControl = found.facts.cacheControl
            words.wasChallenged = found.facts.dialect == CachedRecording.challengedDialect
            done(
                StoredRecording(
                    head: found.object.head, byteCount: UInt64(clamping: found.units), words: words,
                    ageSeconds: CacheClock.now() - found.facts.validatedAt, storage: CachedRecording(found.object, desk)))
        }
    }

    func create(
        _ key: String, url: String, head: [UInt8], words: OriginWords, _ done: @escaping (Result<any RecordingStorage, any Error>) -> Void
    ) {
        let description = CacheDescription(
            key: key, kind: .rtsp, url: url, head: head, unitBytes: 1, units: nil, facts: CachedRecording.facts(words))
        desk.writing { try $0.create(description) }.assumeIsolated().whenComplete { [desk] result in
            done(result.map { CachedRecording($0, desk) })
        }
    }
}

/// One of them.
final class CachedRecording: RecordingStorage {
    private let object: CacheObject
    private let desk: CacheDesk
    private var end = 0

    /// What was asked a password for is kept under that word, so that it is judged so by the next relay that opens the cache.
    static let challengedDialect = "rtsp-challenged"

    init(_ object: CacheObject, _ desk: CacheDesk) {
        self.object = object
        self.desk = desk
        end = object.units ?? 0
    }

    static func facts(_ words: OriginWords) -> CacheFacts {
        CacheFacts(
            etag: words.etag, lastModified: words.lastModified, cacheControl: words.cacheControl,
            dialect: words.wasChallenged ? challengedDialect : "rtsp")
    }

    func append(_ bytes: [UInt8], _ done: @escaping ((any Error)?) -> Void) {
        let place = end
        end += bytes.count
        desk.writing { [object] _ in
            try object.write(bytes, atUnit: place)
            if object.wantsCommit { try object.commit() }
        }.assumeIsolated().whenComplete { result in
            if case .failure(let error) = result { done(error) } else { done(nil) }
        }
    }

    func read(_ range: Range<UInt64>, _ done: @escaping (Result<[UInt8], any Error>) -> Void) {
        desk.reading { [object] _ in try object.read(Int(clamping: range.lowerBound)..<Int(clamping: range.upperBound)) }
            .assumeIsolated().whenComplete { done($0) }
    }

    func finish(_ done: @escaping ((any Error)?) -> Void) {
        let units = end
        desk.writing { [object] _ in try object.finish(units: units) }.assumeIsolated().whenComplete { result in
            if case .failure(let error) = result { done(error) } else { done(nil) }
        }
    }

    func validated(_ words: OriginWords) {
        let facts = Self.facts(words)
        _ = desk.writing { [object] in try $0.validate(id: object.id, facts) }
    }

    var isGone: Bool { object.isGone || !object.isReadable }

    func remove() { _ = desk.writing { [object] in try $0.remove(object.key, id: object.id, because: .changed) } }

    func abandon() { _ = desk.writing { [object] _ in object.abandon() } }
}
