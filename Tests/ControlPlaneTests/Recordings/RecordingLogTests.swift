import Testing
import WireFormats

@testable import ControlPlane

/// Keeps what it is given in memory; answers when it is told to.
final class StorageScript: RecordingStorage {
    struct Full: Error {}
    var bytes: [UInt8] = []
    var isFinished = false
    var isAbandoned = false
    var isRemoved = false
    /// Fails from the append of that number on.
    var failsAt = Int.max
    var appends = 0
    private var waiting: [() -> Void] = []
    var answersAtOnce = true

    func answer() {
        let now = waiting
        waiting = []
        for done in now { done() }
    }

    func append(_ more: [UInt8], _ done: @escaping ((any Error)?) -> Void) {
        appends += 1
        let fails = appends >= failsAt
        let work = { [self] in
            if !fails { bytes += more }
            done(fails ? Full() : nil)
        }
        if answersAtOnce { work() } else { waiting.append(work) }
    }

    func read(_ range: Range<UInt64>, _ done: @escaping (Result<[UInt8], any Error>) -> Void) {
        done(.success(Array(bytes[Int(range.lowerBound)..<min(Int(range.upperBound), bytes.count)])))
    }

    func finish(_ done: @escaping ((any Error)?) -> Void) {
        isFinished = true
        done(nil)
    }

    func validated(_ words: OriginWords) {}
    func abandon() { isAbandoned = true }
    func remove() { isRemoved = true }
    var isGone = false
}

@Suite struct RecordingLogTests {
    /// Pieces that tell where they belong.
    static func piece(_ number: Int, _ count: Int = 1_000) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) } }

    static func all(of log: RecordingLog, from start: UInt64 = 0) -> [UInt8]? {
        var bytes: [UInt8] = []
        var failed = false
        while start + UInt64(bytes.count) < log.end, !failed {
            log.read(at: start + UInt64(bytes.count), count: 100_000) { result in
                if case .success(let more) = result, !more.isEmpty { bytes += more } else { failed = true }
            }
        }
        return failed ? nil : bytes
    }

    @Test(arguments: [true, false]) func whatIsKeptIsWhatCame(answersAtOnce: Bool) {
        let storage = StorageScript()
        storage.answersAtOnce = answersAtOnce
        let log = RecordingLog(isWindow: false)
        var expected: [UInt8] = []
        for number in 0..<3_000 {
            // The store is there a little later than the first packets.
            if number == 70 { log.keep(in: storage) }
            if number % 500 == 0 { storage.answer() }
            log.append(Self.piece(number))
            expected += Self.piece(number)
        }
        #expect(Self.all(of: log) == expected)
        #expect(Self.all(of: log, from: 1_234_567) == Array(expected[1_234_567...]))
        var isWhole = false
        log.finish { isWhole = $0 == nil }
        for _ in 0..<200 { storage.answer() }
        #expect(isWhole && storage.isFinished)
        #expect(storage.bytes == expected)
        #expect(log.held == 0)
        #expect(Self.all(of: log) == expected)
    }

    /// What could not be written is in memory for a while; what was written can still be read.
    @Test func failureKeepsWhatIsThere() {
        let storage = StorageScript()
        storage.failsAt = 4
        let log = RecordingLog(isWindow: false)
        log.keep(in: storage)
        for number in 0..<2_000 { log.append(Self.piece(number)) }
        #expect(log.trouble is StorageScript.Full)
        #expect(Self.all(of: log)?.count == 2_000_000)
        var error: (any Error)?
        log.finish { error = $0 }
        #expect(error is StorageScript.Full)
        #expect(!storage.isFinished)
        // Memory has a bound.
        for number in 0..<20_000 { log.append(Self.piece(number)) }
        var gone = false
        log.read(at: 500_000, count: 1_000) { if case .failure(let error) = $0 { gone = error is RecordingLog.Gone } }
        #expect(gone)
    }

    /// What is let go of is read on by those who read it, and is never whole for anybody else.
    @Test(arguments: [true, false]) func whatIsLetGoOfCanBeRead(hasPlace: Bool) {
        let storage = StorageScript()
        let log = RecordingLog(isWindow: false)
        if hasPlace { log.keep(in: storage) } else { log.awaitStorage() }
        for number in 0..<1_000 { log.append(Self.piece(number)) }
        log.letGo()
        #expect(storage.isRemoved == hasPlace && log.trouble != nil)
        for number in 1_000..<1_500 { log.append(Self.piece(number)) }
        #expect(Self.all(of: log)?.count == 1_500_000)
        var error: (any Error)?
        log.finish { error = $0 }
        #expect(error != nil && !storage.isFinished && log.isSettled)
    }

    @Test func windowLetsGoOfWhatItsReaderHad() {
        let log = RecordingLog(isWindow: true)
        for number in 0..<1_000 { log.append(Self.piece(number)) }
        #expect(log.held == 1_000_000)
        log.consumed(to: 700_000)
        #expect(log.held == 300_000)
        #expect(Self.all(of: log, from: 700_000)?.count == 300_000)
        var gone = false
        log.read(at: 0, count: 1_000) { if case .failure = $0 { gone = true } }
        #expect(gone)
    }

    /// A clip that ends before there is a place for it is kept all the same.
    @Test(arguments: [true, false]) func endsBeforeItsPlaceIsThere(succeeds: Bool) {
        let storage = StorageScript()
        let log = RecordingLog(isWindow: false)
        log.awaitStorage()
        log.append(Self.piece(1))
        var outcome: (any Error)??
        log.finish { outcome = .some($0) }
        #expect(outcome == nil && !log.isSettled)
        if succeeds { log.keep(in: storage) } else { log.fails(StorageScript.Full()) }
        #expect(log.isSettled && outcome != nil)
        #expect(storage.isFinished == succeeds)
        #expect(storage.bytes == (succeeds ? Self.piece(1) : []))
    }

    /// Whoever waits for the disk hears of each thing written, though nobody reads and nothing comes.
    @Test func saysWhatWasWritten() {
        let storage = StorageScript()
        storage.answersAtOnce = false
        let log = RecordingLog(isWindow: false)
        for number in 0..<1_000 { log.append(Self.piece(number)) }
        var held: [UInt64] = []
        log.onStored = { [unowned log] in held.append(log.held) }
        log.keep(in: storage)
        for _ in 0..<5 { storage.answer() }
        #expect(held.count == 6 && held == held.sorted(by: >) && held.first == 1_000_000)
        log.fails(StorageScript.Full())
        #expect(held.count == 7)
    }
}
