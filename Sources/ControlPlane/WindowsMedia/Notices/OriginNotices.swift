import Glibc
import Logging
import NIOCore
import Signalling
import WireFormats

/// What becomes of plays that come from elsewhere: counts how they were met, and tells origins what they asked for, now or when they are there
/// again. Belongs to the event loop.
final class OriginNotices {
    /// Tells an origin of one notice; answers once, within seconds.
    typealias Delivery = (_ notice: OriginNotice, _ done: @escaping (OriginNoticeOutcome) -> Void) -> Void

    /// What tells origins. Without it nothing is queued.
    var deliver: Delivery?
    /// What players logged, by kind.
    private(set) var logs: [WMSPLogKind: Int] = [:]
    /// What relays behind this one told, by kind.
    private(set) var eventsHeard: [RemoteEvent.Kind: Int] = [:]

    private let eventLoop: any EventLoop
    private let logger: Logger
    private var plays = RelayedPlays()
    private var queue: OriginNoticeQueue
    private var store: (any NoticeStore)?
    private let timer: LoopTimer
    private var trouble: String?
    private var isStopped = false
    private var load = HostLoad()

    /// What comes before it is known what an earlier run left has to wait; so much of it does.
    private var early: [OriginNotice]?
    private static let earlyMax = 1_024
    /// When it is tried again to read what an earlier run left.
    private let reload: LoopTimer
    /// Waits for that, at the end.
    private var onLoaded: (() -> Void)?

    /// Nothing waits.
    init(eventLoop: any EventLoop, logger: Logger, settings: OriginNoticeQueue.Settings = .init()) {
        self.eventLoop = eventLoop
        self.logger = logger
        queue = OriginNoticeQueue(settings: settings)
        timer = LoopTimer(eventLoop)
        reload = LoopTimer(eventLoop)
    }

    private var now: UInt64 { eventLoop.now.uptimeNanoseconds / 1_000_000 }
    private var unixSeconds: Int64 { Int64(time(nil)) }

    /// What waits is kept there from now on; what an earlier run left there is told first.
    func keep(in store: any NoticeStore) {
        guard !isStopped else { return }
        self.store = store
        early = []
        load(from: store, 1)
    }

    /// Reads what an earlier run left: without it nothing may be written there, since it would be written over.
    private func load(from store: any NoticeStore, _ attempt: Int) {
        store.load { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let entries):
                if !entries.isEmpty {
                    logger.info("origins have not heard all of an earlier run", metadata: ["notices": "\(entries.count)"])
                }
                perform(queue.restore(entries, now: now, unixSeconds: unixSeconds))
            case .failure where attempt < Self.loadsMax && !isStopped:
                return reload.start(milliseconds: 500 << attempt) { [weak self] in
                    self?.load(from: store, attempt + 1)
                }
            case .failure(let error):
                logger.warning(
                    "what an earlier run left for origins cannot be read; what waits now will not outlive this one",
                    metadata: ["trouble": "\(error)"])
                self.store = nil
            }
            let early = self.early ?? []
            self.early = nil
            if deliver != nil { for notice in early { perform(queue.add(notice, now: now, unixSeconds: unixSeconds)) } }
            let onLoaded = onLoaded
            self.onLoaded = nil
            onLoaded?()
        }
    }

    /// So often is it tried to read it.
    private static let loadsMax = 5

    /// Tells no more. What waits stays where it is kept; `done` runs when all of it is there.
    func stop(_ done: @escaping () -> Void = {}) {
        // Plays that end with the relay are told of by the next run.
        if deliver != nil { deliver = { _, done in done(.away("Weir stops")) } }
        send(plays.allOver())
        isStopped = true
        timer.stop()
        guard let store else { return done() }
        // Answers that come meanwhile are heard yet.
        let end = { [weak self] in
            store.whenIdle {
                self?.store = nil
                done()
            }
        }
        guard early != nil else { return end() }
        onLoaded = end
        guard reload.isRunning else { return }
        reload.stop()
        load(from: store, Self.loadsMax)
    }

    /// How busy this machine is.
    var processorPercent: Int? { load.percent(now: now) }

    /// A log came that nobody else is to hear.
    func count(_ kind: WMSPLogKind) { logs[kind, default: 0] += 1 }

    /// A relay behind this one told something.
    func count(_ kind: RemoteEvent.Kind) { eventsHeard[kind, default: 0] += 1 }

    // MARK: Plays

    /// A session is being sent media from now on.
    func began(_ session: RelayedPlays.Session, _ content: ProxiedContent?, of path: Path, agent: String) {
        guard let content else { return }
        path.proxyCounts.count(content.outcome)
        path.proxied = content
        // Of what is fetched while it is played the origin knows by itself.
        let isOpened = content.isCached && [.hit, .revalidated].contains(content.outcome.word)
        send(plays.began(session, .init(url: content.origin, events: content.events, isCached: isOpened, agent: agent)))
    }

    /// It is sent no more; its player may log yet.
    func mediaEnded(_ session: RelayedPlays.Session) {
        plays.mediaEnded(session, now: now)
        wait()
    }

    /// The session is over.
    func over(_ session: RelayedPlays.Session) { send(plays.over(session)) }

    /// A player's log came. What `event` makes of it for the origin is told there, if that asked for it; true: it is known who is to hear it.
    func logged(_ session: RelayedPlays.Session, _ kind: WMSPLogKind, _ event: (_ url: String) -> RemoteEvent?) -> Bool {
        logs[kind, default: 0] += 1
        guard let content = plays[session] else { return false }
        send(plays.logged(session, content.events.contains(.log) ? event(content.url) : nil))
        return true
    }

    /// A relay behind this one tells what a player of its own did.
    func heard(_ event: RemoteEvent, of path: Path, agent: String) {
        guard let content = path.proxied else { return }
        let wanted: MSRTSPCacheControl.Events =
            switch event.kind {
            case .open: .open
            case .close: .close
            case .log: .log
            }
        if content.events.contains(wanted) { send([OriginNotice(url: content.origin, event: event, agent: agent)]) }
    }

    // MARK: Origins

    private func send(_ notices: [OriginNotice]) {
        defer { wait() }
        guard deliver != nil, !isStopped else { return }
        if let early {
            self.early = early + notices.prefix(Self.earlyMax - early.count)
            return
        }
        for notice in notices { perform(queue.add(notice, now: now, unixSeconds: unixSeconds)) }
    }

    private func perform(_ actions: [OriginNoticeQueue.Action]) {
        for action in actions {
            switch action {
            case .keep(let entry): store?.keep(entry)
            case .forget(let numbers): store?.forget(numbers)
            case .deliver(let number, let notice): if !isStopped { tell(number, notice) }
            }
        }
        say(queue.trouble)
        wait()
    }

    private func tell(_ number: Int64, _ notice: OriginNotice) {
        let answer = { [weak self] (outcome: OriginNoticeOutcome) in
            guard let self else { return }
            // It stays where it is kept.
            if isStopped, case .away = outcome { return }
            if case .refused(let words) = outcome {
                logger.notice(
                    "an origin did not take what it asked for",
                    metadata: [
                        "event": "\(notice.event.kind)", "origin": "\(PeerWords.printable(notice.place))",
                        "why": "\(PeerWords.printable(words))",
                    ])
            }
            perform(queue.answered(number, outcome, now: now))
        }
        guard let deliver else { return answer(.away("nobody tells it")) }
        // Answers never come while what leads to them is still being done.
        let eventLoop = eventLoop
        deliver(notice) { outcome in eventLoop.assumeIsolated().execute { answer(outcome) } }
    }

    private func say(_ words: String?) {
        guard words != trouble else { return }
        let wasAway = trouble != nil
        trouble = words
        if let words, !wasAway {
            logger.warning(
                "an origin that wants to hear of plays is away; what it has not heard waits",
                metadata: ["why": "\(PeerWords.printable(words))"])
        } else if words == nil {
            logger.info("origins have heard what waited")
        }
    }

    private func wait() {
        guard !isStopped, let due = [queue.deadline, plays.deadline].compactMap({ $0 }).min() else { return timer.stop() }
        timer.start(at: .uptimeNanoseconds(max(due, now &+ 1) &* 1_000_000)) { [weak self] in
            guard let self, !isStopped else { return }
            send(plays.timeElapsed(now: now))
            perform(queue.timeElapsed(now: now, unixSeconds: unixSeconds))
        }
    }

    /// How many wait to be told, and may.
    var waitingCount: Int { queue.count }
    var waitingMax: Int { queue.settings.countMax }

    /// What status says of it.
    var overview: NoticesOverview {
        let counters = queue.counters
        var overview = NoticesOverview()
        overview.waiting = queue.count
        overview.waitingBytes = queue.byteCount
        overview.waitingMax = queue.settings.countMax
        overview.originsAway = queue.placesAway
        overview.made = counters.made
        overview.delivered = counters.delivered
        overview.refused = counters.refused
        overview.attemptsFailed = counters.attemptsFailed
        overview.overflowed = counters.overflowed
        overview.expired = counters.expired
        overview.restored = counters.restored
        overview.writeFailures = store?.failures ?? 0
        overview.trouble = queue.trouble.map(PeerWords.printable)
        for kind in WMSPLogKind.allCases { overview.logs[kind.rawValue] = logs[kind] ?? 0 }
        for kind in RemoteEvent.Kind.allCases { overview.eventsHeard["remote_\(kind)"] = eventsHeard[kind] ?? 0 }
        return overview
    }
}
