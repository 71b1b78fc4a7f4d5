import Glibc
import PlaneLink
import Synchronization

/// What the workers of one engine tell each other: which streams have something new, how to wake whom, and who has ended.
@safe final class WorkerBoard: @unchecked Sendable {
    // Sendable because the words are atomics, and the descriptors are written before the threads start.
    let workers: Int
    /// Kept as long as a worker runs.
    private let resources: EngineResources?
    private let wordsPerWorker: Int
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let descriptors: UnsafeMutablePointer<Int32>
    private let ended: UnsafeMutablePointer<Atomic<Int>>
    private let failed: UnsafeMutablePointer<Atomic<UInt64>>

    init(workers: Int, streamsMax: Int, resources: EngineResources? = nil) {
        self.workers = workers
        self.resources = resources
        // Whole cache lines for each worker.
        wordsPerWorker = ((streamsMax + 63) / 64 + 7) / 8 * 8
        let total = workers * wordsPerWorker
        unsafe words = .allocate(capacity: total)
        for index in 0..<total { unsafe (words + index).initialize(to: Atomic(0)) }
        unsafe descriptors = .allocate(capacity: workers)
        unsafe descriptors.initialize(repeating: -1, count: workers)
        unsafe ended = .allocate(capacity: 1)
        unsafe ended.initialize(to: Atomic(0))
        unsafe failed = .allocate(capacity: 1)
        unsafe failed.initialize(to: Atomic(0))
    }

    deinit {
        unsafe words.deinitialize(count: workers * wordsPerWorker)
        unsafe words.deallocate()
        unsafe descriptors.deallocate()
        unsafe ended.deinitialize(count: 1)
        unsafe ended.deallocate()
        unsafe failed.deinitialize(count: 1)
        unsafe failed.deallocate()
    }

    /// Keeps memory that reports point to until the engine is gone.
    @unsafe func keep(_ memory: UnsafeMutableRawPointer) {
        if let resources { unsafe resources.keep(memory) } else { unsafe free(memory) }
    }

    /// A worker's view of it, which counts no references. Valid as long as the board.
    var view: WorkerBoardView {
        unsafe WorkerBoardView(
            workers: workers, wordsPerWorker: wordsPerWorker, words: words, descriptors: descriptors, ended: ended, failed: failed)
    }

    /// Says how a worker is woken; before its thread starts.
    func setDescriptor(_ descriptor: Int32, ofWorker worker: Int) { unsafe descriptors[worker] = descriptor }
}

/// The board as a worker uses it.
@safe struct WorkerBoardView: BitwiseCopyable {
    let workers: Int
    fileprivate let wordsPerWorker: Int
    fileprivate let words: UnsafeMutablePointer<Atomic<UInt64>>
    fileprivate let descriptors: UnsafeMutablePointer<Int32>
    fileprivate let ended: UnsafeMutablePointer<Atomic<Int>>
    fileprivate let failed: UnsafeMutablePointer<Atomic<UInt64>>

    fileprivate init(
        workers: Int, wordsPerWorker: Int, words: UnsafeMutablePointer<Atomic<UInt64>>, descriptors: UnsafeMutablePointer<Int32>,
        ended: UnsafeMutablePointer<Atomic<Int>>, failed: UnsafeMutablePointer<Atomic<UInt64>>
    ) {
        self.workers = workers
        self.wordsPerWorker = wordsPerWorker
        unsafe self.words = words
        unsafe self.descriptors = descriptors
        unsafe self.ended = ended
        unsafe self.failed = failed
    }

    /// How a worker is woken.
    func descriptor(ofWorker worker: Int) -> Int32 { unsafe descriptors[worker] }

    /// Hands a stream over to a worker. False when it has not looked at an earlier hand-over of it yet: it need not be woken.
    func handOver(_ stream: Int, to worker: Int) -> Bool {
        let bit = UInt64(1) << UInt64(stream & 63)
        let word = worker * wordsPerWorker + stream >> 6
        return unsafe words[word].bitwiseOr(bit, ordering: .acquiringAndReleasing).oldValue & bit == 0
    }

    /// Takes the streams of one word (64 slots) that were handed over to a worker.
    func take(_ word: Int, ofWorker worker: Int) -> UInt64 {
        let place = worker * wordsPerWorker + word
        guard unsafe words[place].load(ordering: .relaxed) != 0 else { return 0 }
        return unsafe words[place].exchange(0, ordering: .acquiringAndReleasing)
    }

    /// How many words there are to take.
    var wordCount: Int { wordsPerWorker }

    /// A worker has let go of everything.
    func end() { unsafe _ = ended.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing) }

    /// A worker's kernel interface has ended: nothing reaches it any more.
    func fail(_ worker: Int) {
        unsafe _ = failed.pointee.bitwiseOr(UInt64(1) << UInt64(worker), ordering: .acquiringAndReleasing)
    }

    /// Whether that happened to a worker.
    func hasFailed(_ worker: Int) -> Bool { unsafe failed.pointee.load(ordering: .relaxed) >> UInt64(worker) & 1 == 1 }

    /// Whether every worker has.
    var allHaveEnded: Bool { unsafe ended.pointee.load(ordering: .acquiring) >= workers }
}
