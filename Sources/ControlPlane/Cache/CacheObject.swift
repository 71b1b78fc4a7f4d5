import Glibc
import Signalling
import Synchronization

/// One version of one content, on disk.
///
/// Held: in use. Whoever lets go of the last reference frees its descriptors; what was written and not committed by then is written again
/// by the next. Threads may call at the same time; writes follow each other. What blocks says so.
package final class CacheObject: Sendable {
    package let id: String
    package let key: String
    package let kind: CacheKind
    package let url: String
    /// What stands before the units.
    package let head: [UInt8]
    package let unitBytes: Int
    let createdAt: Int64
    /// The data file, for reading. Valid as long as the object is held; ``verify(_:)`` comes first.
    package let descriptor: CInt
    let store: CacheStore
    private let token: UInt64
    let state: Mutex<State>
    /// Held while units are written.
    let writing: Mutex<Writing>
    /// Held while what was written is made durable: writes go on meanwhile.
    let committing: Mutex<Side>

    struct State: Sendable {
        var units: Int?
        var facts: CacheFacts
        /// Units that can be read: on the disk, or written by this process.
        var here = UnitRanges()
        /// Checksums of what is committed.
        var table = ExtentTable()
        var removal: CacheRemoval?
        /// What was written can be trusted to be there.
        var isReadable = true
        var isWhole = false
        /// What its row in the index says that it is charged with; nil: it has none yet.
        var listedBytes: Int64?
        /// Since the last commit.
        var bytesUncommitted = 0
        var firstUncommittedAt: ContinuousClock.Instant?
    }

    /// Units that follow each other, on their way to one checksum.
    struct Building: Sendable {
        var first: Int
        var next: Int
        var hash: SHA256
    }

    struct Writing: Sendable {
        var building: [Building] = []
        /// Written, with checksums, not committed.
        var fresh: [CacheExtent] = []
        /// Checksums that the object has in all, those of `building` not counted.
        var extents = 0
    }

    /// The side file.
    struct Side: Sendable {
        /// Open while somebody writes; else -1.
        var descriptor: CInt
        var end: Int
        /// The names of both files are on the disk.
        var isNamed: Bool
    }

    /// A new one, whose files are there.
    init(
        new description: CacheDescription, id: String, store: CacheStore, descriptor: CInt, side: CInt, sideEnd: Int, token: UInt64
    ) {
        self.id = id
        key = description.key
        kind = description.kind
        url = description.url
        head = description.head
        unitBytes = description.unitBytes
        createdAt = CacheClock.now()
        self.descriptor = descriptor
        self.store = store
        self.token = token
        state = Mutex(State(units: description.units, facts: description.facts))
        writing = Mutex(Writing())
        committing = Mutex(Side(descriptor: side, end: sideEnd, isNamed: false))
    }

    /// One that lies there.
    private init(
        _ contents: SideFile.Contents, _ record: CacheRecord, head: [UInt8], store: CacheStore, descriptor: CInt, token: UInt64
    ) {
        let description = contents.description
        id = description.id
        key = description.key
        kind = description.kind
        url = description.url
        self.head = head
        unitBytes = description.unitBytes
        createdAt = description.createdAt
        self.descriptor = descriptor
        self.store = store
        self.token = token
        var state = State(units: contents.units, facts: record.facts, here: contents.extents.ranges, table: contents.extents)
        state.listedBytes = record.bytes
        state.isWhole = state.units.map { state.here.contains(0..<$0) } ?? false
        self.state = Mutex(state)
        writing = Mutex(Writing(extents: contents.extents.count))
        committing = Mutex(Side(descriptor: -1, end: contents.end, isNamed: true))
    }

    /// Opens what the index names. Throws `.damaged` when it is not there as it says itself.
    static func load(_ record: CacheRecord, store: CacheStore, token: UInt64) throws(CacheTrouble) -> CacheObject {
        let files = store.files
        let contents: SideFile.Contents
        do throws(CacheTrouble) {
            contents = try SideFile.load(record.id, files: files, directory: store.lock.directory)
        } catch {
            throw CacheTrouble(error.kind, "object \(record.id) of \(record.url): \(error)")
        }
        guard contents.description.key == record.key, contents.description.kind == record.kind else {
            throw CacheTrouble(.damaged, "object \(record.id) is not of \(record.key)")
        }
        var descriptor: CInt = -1
        do throws(SystemRefusal) {
            descriptor = try files.open(CacheLayout.data(record.id, record.kind), in: store.lock.directory, O_RDWR)
            let head = try files.read(descriptor, at: 0, count: contents.description.headBytes)
            if CacheDigest(of: head).text == contents.description.head {
                return CacheObject(contents, record, head: head, store: store, descriptor: descriptor, token: token)
            }
        } catch {
            if descriptor >= 0 { files.close(descriptor) }
            throw CacheTrouble(.damaged, "object \(record.id) of \(record.url): \(error)")
        }
        files.close(descriptor)
        throw CacheTrouble(.damaged, "object \(record.id) of \(record.url): its head is damaged")
    }

    deinit {
        let side = committing.withLock { $0.descriptor }
        if side >= 0 { store.files.close(side) }
        store.files.close(descriptor)
        store.releaseUse(id: id, token: token, bytes: state.withLock { $0.listedBytes })
    }

    /// Where a unit lies in the file.
    package func offset(ofUnit unit: Int) -> Int64 { Int64(head.count) &+ Int64(unit) &* Int64(unitBytes) }

    // What is known without blocking

    package var units: Int? { state.withLock { $0.units } }
    package var facts: CacheFacts { state.withLock { $0.facts } }
    /// What can be read now: what is committed, and what this process wrote.
    package var ranges: [Range<Int>] { state.withLock { $0.here.ranges } }
    /// All units are there and committed.
    package var isWhole: Bool { state.withLock { $0.isWhole } }
    /// Why it was let go of; nil: it was not. Nothing is written to it then.
    package var removal: CacheRemoval? { state.withLock { $0.removal } }
    /// False when not even what came before can be trusted any more: a checksum was wrong, the disk had an error. Reads throw `.gone` then. A
    /// disk that is full, a purge and a new version leave it true: its present players finish.
    package var isReadable: Bool { state.withLock { $0.isReadable } }
    package var isGone: Bool { removal != nil }
    /// The end of what can be read from `unit` on; nil when it is not there.
    package func end(ofRunFrom unit: Int) -> Int? { state.withLock { $0.here.end(ofRunFrom: unit) } }

    func setFacts(_ facts: CacheFacts) { state.withLock { $0.facts = facts } }
    func distrust() { state.withLock { $0.isReadable = false } }

    func letGo(_ cause: CacheRemoval) {
        state.withLock { state in
            if state.removal == nil || cause == .damaged { state.removal = cause }
            if cause == .damaged { state.isReadable = false }
        }
    }

    /// Its row in the index charges it with so much.
    func isListed(bytes: Int64) { state.withLock { $0.listedBytes = bytes } }

    func charge(of units: Int) -> Int64 { CacheLayout.charge(headBytes: head.count, unitBytes: unitBytes, units: units) }

    /// Its row in the index.
    func record(bytes: Int64) -> CacheRecord {
        let state = state.withLock { $0 }
        return CacheRecord(
            id: id, key: key, kind: kind, url: url, unitBytes: unitBytes, units: state.units, headBytes: head.count, ranges: [],
            bytes: bytes,
            isWhole: false, facts: state.facts, createdAt: createdAt, usedAt: createdAt, verifiedAt: 0, uses: 0, isPinned: false)
    }

    static func sideDescription(_ id: String, _ description: CacheDescription) -> SideFile.Description {
        SideFile.Description(
            id: id, key: description.key, kind: description.kind, url: description.url, unitBytes: description.unitBytes,
            units: description.units, headBytes: description.head.count, head: CacheDigest(of: description.head).text,
            facts: description.facts, createdAt: CacheClock.now())
    }
}
