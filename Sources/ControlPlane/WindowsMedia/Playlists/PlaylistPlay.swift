import Logging
import NIOCore
import Signalling
import WireFormats

/// A playlist as it is sent to one player: entry after entry. Players of version 9 are told of each change (`$E` `$C` `$M` `$H`); for older
/// ones all entries are made one. Belongs to the event loop.
///
/// At a seam the next entry begins at once, what the player buffers of it as fast as its fast start allows, as far as the player is not ahead
/// by that much already. At another rate the next entry goes on at that rate, if it can be wound. Backwards, at the beginning of an entry,
/// nothing follows: the player is told that it stands before the end of the one before, and asks for that.
final class PlaylistPlay {
    /// What it needs of the server that sends.
    struct Hooks {
        /// A packet, and its number.
        var write: (_ packet: [UInt8], _ number: UInt32) -> Void
        /// Whether more would be taken.
        var flush: () -> Bool
        /// Another entry: the session machine says so to the player, and answers with ``PlaylistPlay/select(_:)`` or ``PlaylistPlay/hold()``.
        var change: (_ facts: WMSPContent, _ entryEnded: Bool) -> Void
        /// How long the change has to wait, in milliseconds.
        var changeDelay: () -> UInt64
        /// Once: rewound to the beginning of an entry; the reader stands at the end of this one now, which is the one before.
        var onRecede: (_ facts: WMSPContent) -> Void
        /// Once: everything was sent, or rewound to the very beginning, or why no more is sent.
        var onEnd: (_ end: PumpEnd) -> Void
    }

    private let reader: PlaylistReader
    private let first: OpenedEntry
    private let isFromEnd: Bool
    private var wish: MediaWish
    private let opener: PlaylistOpener
    private let logger: Logger
    private let guide: PlaylistGuide
    private var hooks: Hooks?
    private var current: OpenedEntry
    private var pump: EntryPump?
    private var selection: WMSPSelection
    private var splice: PlaylistSplice?
    private var spliced: ASFFilter?
    private var splicedNumber: UInt32 = 0
    private var isHeld: Bool
    private var isPaused = false
    private var pausedAt: NIODeadline?
    private var isFirst = true
    private var ahead: SentAhead
    /// By how much the player may be ahead: the most that any entry's preroll, or a grant, allowed.
    private var aheadMillisecondsMax: UInt64 = 0
    /// The player asked for a fast start of the entry that it was told of.
    private var isHastened = false
    /// An entry has ended, and the next one was not entered.
    private var isBetween = false
    /// An entry has ended, and the player has to take what it was sent before there is more.
    private var awaitsRoom = false
    private var lastDue: NIODeadline?
    private var livePath: Path?
    private let delay: LoopTimer

    /// A Play that sends nothing yet.
    init(_ start: PlaylistStart, wish: MediaWish, opener: PlaylistOpener, logger: Logger, hooks: Hooks) {
        reader = start.reader
        first = start.opened
        current = start.opened
        isFromEnd = start.isFromEnd
        self.wish = wish
        self.opener = opener
        self.logger = logger
        self.hooks = hooks
        selection = wish.selection
        isHeld = wish.isHeld
        ahead = SentAhead(now: opener.eventLoop.now, paceThousandths: wish.thousandths(at: wish.rate))
        guide = PlaylistGuide(start.reader.run, opener: opener, eventLoop: opener.eventLoop)
        delay = LoopTimer(opener.eventLoop)
        if !wish.followsEntries {
            splice = PlaylistSplice(header: start.opened.header)
            spliced = ASFFilter(wish.selection, of: start.opened.header)
        }
    }

    var lagMilliseconds: Double { pump?.lagMilliseconds ?? 0 }
    /// The entry that was entered, of which nothing is sent yet; nil while one is sent.
    var entryToBegin: OpenedEntry? { pump == nil && !isBetween ? current : nil }
    /// Nothing more is sent.
    var isStopped: Bool { hooks == nil }

    func start() {
        reader.play = self
        guide.onEnter = { [weak self] in self?.enter($0, entryEnded: $1) }
        guide.onLeave = { [weak self] in self?.leave() }
        guide.onFinished = { [weak self] why in self?.finish(why.map { .failed($0) } ?? .done) }
        guide.pace = { [wish] opened in Self.pace(opened, wish) }
        if case .time(let milliseconds) = reader.position(wish.position, in: first) {
            guide.begins(with: first, from: UInt64(milliseconds))
        } else {
            guide.begins(with: first)
        }
        reader.enter(first)
        if isHeld { return }
        // The first entry fits the header that is its own.
        begin()
    }

    /// Sends nothing more. The place in the playlist is the reader's.
    func stop() {
        hooks = nil
        delay.stop()
        guide.stop()
        awaitsRoom = false
        endPump()
        current.pull?.stop()
    }

    /// Streams of the entry that plays; or the player's word that it wants the one that it was told of.
    func select(_ selection: WMSPSelection) {
        self.selection = selection
        spliced?.select(selection)
        isHeld = false
        // At the next change the session machine says what is wanted then.
        if isBetween { return }
        guard let pump else { return begin() }
        if splice == nil { pump.select(selection) }
    }

    /// Nothing of the entry that was entered, until ``select(_:)``.
    func hold() { isHeld = true }

    /// Nothing until ``goOn()``.
    func pause() {
        if !isPaused { pausedAt = opener.eventLoop.now }
        isPaused = true
        pump?.pause()
    }

    /// Goes on where it was paused.
    func goOn() {
        isPaused = false
        if let pausedAt { ahead.pass(opener.eventLoop.now - pausedAt) }
        pausedAt = nil
        pump?.goOn()
    }

    /// What goes faster than it plays was granted anew: for the entry that begins next.
    func hasten(_ fastStart: WMSPPlay.FastStart) {
        wish.fastStart = fastStart
        isHastened = isHeld
    }

    /// The player takes more again.
    func resume() {
        guard awaitsRoom else { return pump?.resume() ?? () }
        awaitsRoom = false
        follow()
    }

    // MARK: Entries

    private func enter(_ opened: OpenedEntry, entryEnded: Bool) {
        current = opened
        reader.enter(opened)
        isFirst = false
        isBetween = false
        logger.debug("next entry", metadata: ["entry": "\(opened.entry.words)", "session": "\(wish.words)"])
        attend()
        guard splice == nil else { return begin() }
        // It comes back with a selection, or a hold.
        hooks?.change(opened.facts, entryEnded)
    }

    private func begin() {
        guard hooks != nil, pump == nil else { return }
        if splice != nil {
            do throws(PlaylistSplice.Misfit) { try splice?.begins(current.header, isOwn: isFirst) } catch {
                logger.warning(
                    "an old player leaves: the entry cannot be shown behind the header it has",
                    metadata: ["entry": "\(current.entry.words)", "session": "\(wish.words)", "why": "\(error)"])
                return finish(.done)
            }
        }
        let header = current.header
        var plan = EntryPump.Plan(opened: current, selection: splice == nil ? selection : WMSPSelection(whole: header.streamNumbers))
        plan.rate = Self.rate(current, wish)
        plan.speedThousandths = wish.thousandths(at: plan.rate)
        // What cannot be skipped is not hurried, either.
        if current.entry.media.forbidsSkipping { plan.speedThousandths = min(plan.speedThousandths, 1_000) }
        if isFirst {
            plan.position = reader.position(wish.position, in: current)
            plan.isFromEnd = isFromEnd
        }
        pace(&plan)
        let pump = EntryPump(plan, eventLoop: opener.eventLoop)
        self.pump = pump
        pump.write = { [weak self] packet, number in self?.write(packet, number) }
        pump.flush = { [weak self] in self?.hooks?.flush() ?? false }
        pump.onEnd = { [weak self] in self?.ended($0) }
        attend()
        if isPaused { pump.pause() }
        pump.start()
    }

    /// When it begins, and how much of it goes faster than it plays.
    private func pace(_ plan: inout EntryPump.Plan) {
        let now = opener.eventLoop.now
        ahead.sent(0, now: now)
        // One time line: the first packet is due when the last one's time is over.
        if splice != nil, !isFirst { plan.start = lastDue.map { max($0 + .milliseconds(Int64(splice?.lastDuration ?? 0)), now) } }
        guard plan.rate == 1, wish.rate == 1 else { return }
        let own = SendClock.FastStart(header: current.header, selection: plan.selection)
        let granted = wish.fastStart
        let grantedMilliseconds = granted.map { UInt64($0.milliseconds) }
        let wanted = isFirst || isHastened ? grantedMilliseconds ?? own.milliseconds : own.milliseconds
        isHastened = false
        aheadMillisecondsMax = max(aheadMillisecondsMax, own.milliseconds, grantedMilliseconds ?? 0)
        let allowance = ahead.allowance(wanting: wanted, most: aheadMillisecondsMax, now: now)
        plan.fastStart = SendClock.FastStart(
            milliseconds: allowance.fast, bitsPerSecond: granted.map { UInt64($0.bitsPerSecond) } ?? own.bitsPerSecond)
        if splice == nil, allowance.wait > 0, wish.speed == 1 { plan.start = now + .milliseconds(Int64(clamping: allowance.wait)) }
    }

    /// The rate of an entry: what cannot be wound plays.
    private static func rate(_ opened: OpenedEntry, _ wish: MediaWish) -> Double {
        opened.facts.features.contains(.stridable) ? wish.rate : 1
    }

    private static func pace(_ opened: OpenedEntry, _ wish: MediaWish) -> Int {
        let rate = rate(opened, wish)
        return rate < 0 ? 0 : wish.thousandths(at: rate)
    }

    /// Keeps what is live dialled, also while the player is asked which streams it wants.
    private func attend() {
        guard livePath == nil else { return }
        livePath = opener.path(of: current.entry)
        livePath?.readerArrived()
    }

    private func write(_ packet: [UInt8], _ number: UInt32) {
        guard splice != nil else {
            hooks?.write(packet, number)
            return
        }
        splice?.take(packet) { send($0) }
    }

    private func send(_ packet: [UInt8]) {
        if let kept = spliced?.filter(packet) { hooks?.write(kept, splicedNumber) }
        splicedNumber &+= 1
    }

    private func ended(_ end: PumpEnd) {
        endPump()
        isBetween = true
        if case .rewound = end { return recede() }
        awaitsRoom = hooks?.flush() == false
        if case .failed(let words) = end {
            logger.warning("an entry breaks off", metadata: ["entry": "\(current.entry.words)", "why": "\(words)"])
        }
        if !awaitsRoom { follow() }
    }

    /// Goes on to the next entry, when the player wants that.
    private func follow() {
        let wait = splice == nil ? hooks?.changeDelay() ?? 0 : 0
        guard wait > 0 else { return guide.goOn(hasEnded: true) }
        delay.start(milliseconds: Int(clamping: wait)) { [weak self] in self?.guide.goOn(hasEnded: true) }
    }

    /// The beginning of an entry, backwards: goes to the one before, or what stands before that if it cannot be opened.
    private func recede() {
        // What people here say meanwhile is for those who play.
        guide.stop()
        let step: PlaylistStep
        do throws(PlaylistRefusal) { step = try reader.run.skip(by: -1, from: current.entry.generation) } catch { return finish(.rewound) }
        opener.first(of: reader.run, step) { [weak self] result in
            guard let self, let hooks else { return }
            guard case .success(let opened) = result, reader.run.begin() != nil else { return finish(.rewound) }
            reader.recede(to: opened)
            stop()
            hooks.onRecede(opened.facts)
        }
    }

    /// Somebody said so: the entry ends here.
    private func leave() {
        delay.stop()
        awaitsRoom = false
        endPump()
        // One that was entered, and never began, has no pump that would let go of it.
        current.pull?.stop()
        isBetween = true
    }

    private func endPump() {
        if let pump {
            lastDue = pump.lastDue ?? lastDue
            if let sent = pump.sendTime { reader.sent(sent) }
            ahead.sent(pump.contentMilliseconds, now: opener.eventLoop.now)
            splice?.ends { send($0) }
            _ = hooks?.flush()
            pump.stop()
        }
        pump = nil
        livePath?.readerLeft()
        livePath = nil
    }

    private func finish(_ end: PumpEnd) {
        reader.isOver = end != .rewound
        let hooks = hooks
        stop()
        hooks?.onEnd(end)
    }
}
