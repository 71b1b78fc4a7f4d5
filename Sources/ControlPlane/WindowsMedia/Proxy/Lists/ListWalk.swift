import NIOCore
import Signalling
import WireFormats

/// Finds out what a playlist of an origin consists of: plays the end of each entry, and sees what the origin goes on to, up to the list's end.
/// Belongs to the event loop; keeps itself until it is done.
final class ListWalk: OriginPlayOwner {
    typealias Done = (Result<(list: KeptList, statement: OriginStatement), KeptList.Unfit>) -> Void

    private var entries: [KeptList.Entry] = []
    private var play: OriginPlay?
    private var statement: OriginStatement?
    private var done: Done?
    private var keeper: ListWalk?
    private let timer: LoopTimer
    private let eventLoop: any EventLoop

    /// So long it may take in all.
    static let milliseconds = 30_000

    /// Begins; `done` is called once, never before this returns.
    init(on eventLoop: any EventLoop, _ make: (any OriginPlayOwner) -> OriginPlay, _ done: @escaping Done) {
        self.done = done
        self.eventLoop = eventLoop
        timer = LoopTimer(eventLoop)
        keeper = self
        let play = make(self)
        self.play = play
        play.followsEntries = false
        timer.start(milliseconds: Self.milliseconds) { [weak self] in self?.fail("it takes too long to find out what it consists of") }
        play.open()
    }

    /// `done` is not called any more.
    func cancel() {
        done = nil
        finish()
    }

    private func finish() {
        timer.stop()
        let play = play
        self.play = nil
        keeper = nil
        // Not while it says something.
        if let play { eventLoop.assumeIsolated().execute { play.leave() } }
    }

    private func fail(_ words: String, isPassing: Bool = false) {
        let done = done
        self.done = nil
        finish()
        done?(.failure(KeptList.Unfit(description: words, isPassing: isPassing)))
    }

    private func add(_ description: OriginPlay.Description) -> Bool {
        guard entries.count < KeptList.entriesMax else {
            fail("it has more than \(KeptList.entriesMax) entries")
            return false
        }
        guard entries.reduce(description.header.bytes.count, { $0 + $1.header.count }) <= KeptList.headerBytesMax else {
            fail("the headers of its entries have more than \(KeptList.headerBytesMax) bytes")
            return false
        }
        do throws(KeptList.Unfit) { entries.append(try KeptList.Entry(description)) } catch {
            fail("entry \(entries.count + 1): \(error)")
            return false
        }
        return true
    }

    /// Plays the end of the entry that it is at: what follows shows then.
    private func goToEnd() {
        guard let play, let entry = entries.last else { return }
        play.play(from: entry.packets > 1 ? .packet(UInt64(entry.packets - 1)) : .beginning, pace: .asFastAsAllowed)
    }

    // MARK: OriginPlayOwner

    func originDescribed(_ play: OriginPlay, _ description: OriginPlay.Description) {
        statement = description.statement
        guard description.isPlaylist else { return fail("the origin describes it as one file") }
        if add(description) { goToEnd() }
    }

    func originBegan(_ play: OriginPlay, _ start: OriginPlay.Start) {}

    func origin(_ play: OriginPlay, packet number: UInt32, _ bytes: [UInt8]) {}

    func originEntered(_ play: OriginPlay, _ description: OriginPlay.Description) {
        if add(description) { goToEnd() }
    }

    func originFinished(_ play: OriginPlay) {
        guard let statement else { return fail("it ended before it was described") }
        let done = done, list = KeptList(entries: entries)
        self.done = nil
        finish()
        done?(.success((list, statement)))
    }

    func originEnded(_ play: OriginPlay, _ end: OriginPlay.End) {
        self.play = nil
        fail("the origin: \(end.words)", isPassing: true)
    }
}
