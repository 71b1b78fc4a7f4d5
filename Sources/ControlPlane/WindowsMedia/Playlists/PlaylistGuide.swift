import NIOCore
import Signalling

/// The way of one reader through a playlist: knows what comes next before it is due, opens it early, and says when to go on. Belongs to the
/// event loop.
final class PlaylistGuide {
    /// The entry that is to be played from now on, and whether the one before was played to its end.
    var onEnter: ((_ opened: OpenedEntry, _ entryEnded: Bool) -> Void)?
    /// The entry that plays has to end now: another one will be entered.
    var onLeave: (() -> Void)?
    /// There is nothing more: with nil, or with why nothing can be played.
    var onFinished: ((String?) -> Void)?
    /// How fast an entry is gone through, in thousandths; 0 or less: backwards, where the next one does not follow.
    var pace: (OpenedEntry) -> Int = { _ in 1_000 }
    /// Why something live cannot be played here; nil when it can.
    var objection: ((any WindowsMediaLive) -> String?)?

    private enum Next {
        case unknown
        case opening
        case waiting
        case ready(OpenedEntry)
        case over(PlaylistEnd)
    }

    private let run: PlaylistRun
    private let opener: PlaylistOpener
    private let eventLoop: any EventLoop
    private var next = Next.unknown
    /// Counts what was planned, so that what was opened in vain is told apart.
    private var attempt = 0
    private var isDue = false
    private var hasEnded = false
    private var isSilent = false
    private var isOver = false
    /// Of what was opened early: it stays dialled until it is entered.
    private var awaited: Path?
    private let lookAhead: LoopTimer
    private let timer: LoopTimer

    /// So long before an entry ends the next one is opened.
    static let lookAheadMilliseconds: UInt64 = 5_000

    /// A walk that stands still.
    init(_ run: PlaylistRun, opener: PlaylistOpener, eventLoop: any EventLoop) {
        self.run = run
        self.opener = opener
        self.eventLoop = eventLoop
        lookAhead = LoopTimer(eventLoop)
        timer = LoopTimer(eventLoop)
        run.onChange = { [weak self] in self?.changed() }
        run.onSwitch = { [weak self] step in self?.switched(step) }
    }

    /// Ends it; the run is the owner's to close.
    func stop() {
        isOver = true
        attempt += 1
        lookAhead.stop()
        timer.stop()
        run.onChange = nil
        run.onSwitch = nil
        onEnter = nil
        onLeave = nil
        onFinished = nil
        objection = nil
        release()
    }

    /// Plays what was planned and opened by ``PlaylistOpener/first(of:step:_:)``, from that time of its source on.
    func begins(with opened: OpenedEntry, from milliseconds: UInt64 = 0) {
        _ = run.begin()
        entered(opened, past: milliseconds - min(opened.entry.fromMilliseconds, milliseconds))
    }

    /// Goes on to the next entry, as soon as it is open. `hasEnded`: the one before was played to its end.
    func goOn(hasEnded: Bool) {
        isDue = true
        self.hasEnded = hasEnded
        // What was over before its time does not hurry a list of nothing else along.
        if hasEnded, !isOver, let step = run.ended() { return take(step) }
        goOn()
    }

    private func goOn() {
        guard isDue, !isOver else { return }
        switch next {
        case .unknown: plan(at: .now())
        case .opening, .waiting: break
        case .over(let end):
            isDue = false
            switch end {
            case .done: onFinished?(nil)
            case .nothingPlays(let why): onFinished?(why)
            }
        case .ready(let opened):
            if opened.entry.delayMilliseconds > 0, !isSilent {
                isSilent = true
                return timer.start(milliseconds: Int(clamping: opened.entry.delayMilliseconds)) { [weak self] in self?.goOn() }
            }
            guard !timer.isRunning else { return }
            // It ended, or changed, before its turn: the same once more, or what comes when that cannot be had.
            guard opened.isCurrent else { return plan(at: .now()) }
            isSilent = false
            isDue = false
            let hasEnded = hasEnded
            _ = run.begin()
            entered(opened)
            onEnter?(opened, hasEnded)
            release()
        }
    }

    private func entered(_ opened: OpenedEntry, past: UInt64 = 0) {
        next = .unknown
        attempt += 1
        let pace = pace(opened)
        guard pace > 0, let whole = opened.milliseconds else { return lookAhead.stop() }
        let length = (whole - min(past, whole)) / UInt64(pace) * 1_000
        let until = length - min(length, Self.lookAheadMilliseconds)
        lookAhead.start(milliseconds: Int(clamping: until)) { [weak self] in
            guard let self, case .unknown = next else { return }
            take(run.plan(at: .now() + .milliseconds(Int64(min(length, Self.lookAheadMilliseconds))), isEnd: false))
        }
    }

    private func release() {
        let path = awaited
        awaited = nil
        path?.readerLeft()
    }

    private func plan(at time: NIODeadline) { take(run.plan(at: time)) }

    private func take(_ step: PlaylistStep) {
        guard !isOver else { return }
        attempt += 1
        // Behind what comes now: it may be of the same path.
        let before = awaited
        awaited = nil
        defer { before?.readerLeft() }
        switch step {
        case .open(let entry):
            next = .opening
            let attempt = attempt
            opener.open(entry, of: run, objection: objection) { [weak self] result in
                guard let self, self.attempt == attempt, !isOver else { return }
                switch result {
                case .success(let opened):
                    next = .ready(opened)
                    awaited = opener.path(of: entry)
                    awaited?.readerArrived()
                    goOn()
                case .failure(let why): take(run.openFailed(why.description))
                }
            }
        case .wait(let milliseconds):
            next = .waiting
            timer.start(milliseconds: Int(clamping: max(milliseconds, 1))) { [weak self] in
                guard let self else { return }
                next = .unknown
                plan(at: .now())
            }
        case .finished(let end):
            next = .over(end)
            goOn()
        }
    }

    /// What was prepared is void.
    private func changed() {
        guard !isOver else { return }
        attempt += 1
        timer.stop()
        isSilent = false
        let wasPrepared = if case .unknown = next { false } else { true }
        next = .unknown
        if isDue || wasPrepared { plan(at: .now()) }
    }

    private func switched(_ step: PlaylistStep) {
        guard !isOver else { return }
        lookAhead.stop()
        timer.stop()
        isSilent = false
        onLeave?()
        isDue = true
        hasEnded = false
        take(step)
    }
}

extension PlaylistOpener {
    /// How long a player waits for the first entry.
    static let firstTime = TimeAmount.seconds(8)

    /// Opens what a step says, or what comes instead of it when that cannot be opened. `done` is called later in the event loop, once.
    func first(
        of run: PlaylistRun, _ step: PlaylistStep, until deadline: NIODeadline = .now() + firstTime,
        _ done: @escaping (Result<OpenedEntry, PathError>) -> Void
    ) {
        switch step {
        case .open(let entry):
            open(entry, of: run) { [self] result in
                switch result {
                case .success(let opened): done(.success(opened))
                case .failure(let why):
                    // Nobody waits for longer: a list of nothing but what is broken is not gone through for each who asks.
                    guard .now() < deadline else {
                        let words = "nothing of the playlist could be opened in time: \(why)"
                        return done(.failure(.notReady(words, retryAfterSeconds: Path.retryAfterSeconds)))
                    }
                    first(of: run, run.openFailed(why.description), until: deadline, done)
                }
            }
        case .wait(let milliseconds):
            guard NIODeadline.now() + .milliseconds(Int64(clamping: milliseconds)) < deadline else {
                return done(
                    .failure(.notReady("nothing of the playlist can be played just now", retryAfterSeconds: Path.retryAfterSeconds)))
            }
            wait(milliseconds) { [self] in first(of: run, run.plan(at: .now()), until: deadline, done) }
        case .finished(.nothingPlays(let why)):
            done(.failure(.notReady("nothing of the playlist can be played: \(why)", retryAfterSeconds: Path.retryAfterSeconds)))
        case .finished(.done):
            done(.failure(.notReady("the playlist is over", retryAfterSeconds: Path.retryAfterSeconds)))
        }
    }

    private func wait(_ milliseconds: UInt64, _ body: @escaping () -> Void) {
        // Kept by what it runs.
        let timer = LoopTimer(eventLoop)
        timer.start(milliseconds: Int(clamping: max(milliseconds, 1))) { body() }
    }
}
