import WireFormats

/// Where the bytes of a recording lie beside memory. Belongs to the event loop; what blocks is done elsewhere.
protocol RecordingStorage: AnyObject {
    /// Writes these bytes behind those that were written; `done` gets what went wrong. What was written can be read, whatever goes wrong
    /// later.
    func append(_ bytes: [UInt8], _ done: @escaping ((any Error)?) -> Void)
    /// Bytes from `range.lowerBound` on, at least one and not beyond its end.
    func read(_ range: Range<UInt64>, _ done: @escaping (Result<[UInt8], any Error>) -> Void)
    /// These are all bytes there are: it is whole.
    func finish(_ done: @escaping ((any Error)?) -> Void)
    /// The origin still has this.
    func validated(_ words: OriginWords)
    /// It is of no use to anybody who comes later.
    func abandon()
    /// The origin has something else now.
    func remove()
    /// It was purged or replaced, or is damaged: nobody new is to be given it.
    var isGone: Bool { get }
}

/// A recording that is kept.
struct StoredRecording {
    var head: [UInt8]
    var byteCount: UInt64
    var words: OriginWords
    /// Seconds since the origin said so.
    var ageSeconds: Int64
    var storage: any RecordingStorage
}

/// The recordings that are kept, by key. Belongs to the event loop.
protocol RecordingStore: AnyObject {
    /// The whole recording under a key, if there is one.
    func find(_ key: String, _ done: @escaping (StoredRecording?) -> Void)
    /// A new one, which takes the place of what is there.
    func create(
        _ key: String, url: String, head: [UInt8], words: OriginWords, _ done: @escaping (Result<any RecordingStorage, any Error>) -> Void)
}

/// The bytes of a recording, in order: those that came last in memory, the others where they are kept. Without storage it is a window:
/// what its one reader has had goes. Belongs to the event loop.
final class RecordingLog {
    /// Why bytes cannot be had.
    struct Gone: Error, CustomStringConvertible { var description: String { "that part of the recording is not kept" } }

    private struct Chunk {
        let start: UInt64
        var bytes: [UInt8] = []
        var end: UInt64 { start + UInt64(bytes.count) }
    }

    /// Behind the last byte.
    private(set) var end: UInt64
    /// What could not be written, if anything: what follows is in memory for a while, and is not kept.
    private(set) var trouble: (any Error)?
    private var chunks: [Chunk] = []
    private var storage: (any RecordingStorage)?
    /// Bytes that are in the storage, and those that are on the way there.
    private var storedEnd: UInt64
    private var storingEnd: UInt64
    private var finishing: (((any Error)?) -> Void)?
    /// All of it is kept, or that was given up.
    private(set) var isSettled = false
    /// Something was written, or will never be.
    var onStored: (() -> Void)?
    /// Somebody makes room for it: ``keep(in:)`` or ``fails(_:)`` follows.
    private var awaitsStorage = false
    private let isWindow: Bool
    /// A window's reader has had what is before this.
    private var consumed: UInt64 = 0

    /// Bytes that are written at once.
    static let chunkBytes = 64 << 10
    /// What stays in memory though it is written: readers who go with the recording find it there.
    static let hotBytes: UInt64 = 1 << 20
    /// What may be in memory and is not written, where writing has failed or is slow, and in a window.
    static let heldBytesMax: UInt64 = 16 << 20
    /// A window that holds so much takes no more for a while.
    static let windowBytes: UInt64 = 2 << 20

    /// A log that grows in memory until ``keep(in:)``. `isWindow`: for one reader.
    init(isWindow: Bool) {
        self.isWindow = isWindow
        end = 0
        storedEnd = 0
        storingEnd = 0
    }

    /// A log that is whole, and kept.
    init(storage: any RecordingStorage, byteCount: UInt64) {
        isWindow = false
        end = byteCount
        storedEnd = byteCount
        storingEnd = byteCount
        self.storage = storage
        isSettled = true
    }

    /// Bytes that its reader has not had yet.
    var ahead: UInt64 { end - min(consumed, end) }
    /// Bytes in memory that cannot be let go of.
    var held: UInt64 { end - (isWindow ? min(consumed, end) : storedEnd) }

    /// ``keep(in:)`` or ``fails(_:)`` will follow: what ends before that is not given up.
    func awaitStorage() { awaitsStorage = true }

    /// From now on what there is and what comes is written there.
    func keep(in storage: any RecordingStorage) {
        awaitsStorage = false
        self.storage = storage
        store()
        onStored?()
    }

    /// There is nowhere to keep it: what comes is in memory for a while.
    func fails(_ error: any Error) {
        awaitsStorage = false
        trouble = trouble ?? error
        store()
        onStored?()
    }

    func append(_ bytes: [UInt8]) {
        if let last = chunks.last, last.bytes.count + bytes.count <= Self.chunkBytes {
            chunks[chunks.count - 1].bytes += bytes
        } else {
            var chunk = Chunk(start: end)
            chunk.bytes.reserveCapacity(Self.chunkBytes)
            chunk.bytes += bytes
            chunks.append(chunk)
        }
        end += UInt64(bytes.count)
        store()
        trim()
    }

    /// Nothing more follows: `done` when all is written.
    func finish(_ done: @escaping ((any Error)?) -> Void) {
        finishing = done
        store()
    }

    /// A window's reader has had all before that place.
    func consumed(to position: UInt64) {
        consumed = max(consumed, position)
        trim()
    }

    func abandon() { storage?.abandon() }

    /// Nobody new is to be given it: it is kept no more. What was written can be read by those who play it, and what comes is in memory for a while.
    func letGo() {
        storage?.remove()
        fails(Gone())
    }

    /// What is kept of it is no more.
    var isGone: Bool { storage?.isGone ?? false }
    func validated(_ words: OriginWords) { storage?.validated(words) }

    /// Some of the bytes from `position` on, whole records where they are in memory; `done` may run at once.
    func read(at position: UInt64, count: Int, _ done: @escaping (Result<[UInt8], any Error>) -> Void) {
        guard position < end else { return done(.success([])) }
        if let first = chunks.first, position >= first.start {
            // The places of chunks grow: the last one that begins before it is the one.
            var low = 0, high = chunks.count
            while low < high {
                let middle = (low + high) / 2
                if chunks[middle].start <= position { low = middle + 1 } else { high = middle }
            }
            let chunk = chunks[low - 1]
            return done(.success(Array(chunk.bytes[Int(position - chunk.start)...])))
        }
        guard let storage, position < storedEnd else { return done(.failure(Gone())) }
        storage.read(position..<min(storedEnd, position + UInt64(count)), done)
    }

    private func store() {
        guard let storage, storingEnd == storedEnd, trouble == nil else { return finishIfDone() }
        guard let chunk = chunks.first(where: { $0.start >= storingEnd && !$0.bytes.isEmpty }) else { return finishIfDone() }
        // The last one may still grow.
        guard chunk.end < end || finishing != nil else { return }
        storingEnd = chunk.end
        storage.append(chunk.bytes) { [weak self] error in
            guard let self else { return }
            if let error {
                trouble = error
                storingEnd = storedEnd
            } else {
                storedEnd = storingEnd
            }
            trim()
            store()
            onStored?()
        }
    }

    private func finishIfDone() {
        guard let finishing, storingEnd == storedEnd, !awaitsStorage else { return }
        guard trouble == nil, let storage else {
            self.finishing = nil
            isSettled = true
            return finishing(trouble ?? Gone())
        }
        guard storedEnd == end else { return }
        self.finishing = nil
        storage.finish { [weak self] error in
            self?.isSettled = true
            finishing(error)
        }
    }

    private func trim() {
        let kept: UInt64
        if isWindow {
            kept = consumed
        } else if trouble != nil || storage == nil {
            kept = end > Self.heldBytesMax ? end - Self.heldBytesMax : 0
        } else {
            kept = min(storedEnd, end > Self.hotBytes ? end - Self.hotBytes : 0)
        }
        var count = 0
        while count < chunks.count - 1, chunks[count].end <= kept { count += 1 }
        if count > 0 { chunks.removeFirst(count) }
    }
}
