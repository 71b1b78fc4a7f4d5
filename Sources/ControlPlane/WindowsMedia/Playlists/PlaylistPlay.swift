import Logging
import NIOCore
import Signalling
import WireFormats

/// A playlist as it is sent to one player: entry after entry. Players of version 9 are told of each change (`$E` `$C` `$M` `$H`); for older
/// ones all entries are made one. Belongs to the event loop.
///
/// At a seam the next entry begins at once, what the player buffers of it as fast as its fast start allows.
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
        /// Once: everything was sent (nil), or why no more is.
        var onEnd: (_ failure: String?) -> Void
    }

    private let reader: PlaylistReader
    private let first: OpenedEntry
    private let play: WMSPPlay
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
    private var isFirst = true
    /// An entry has ended, and the next one was not entered.
    private var isBetween = false
    /// An entry has ended, and the player has to take what it was sent before there is more.
    private var awaitsRoom = false
    private var lastDue: NIODeadline?
    private var livePath: Path?
    private let delay: LoopTimer

    /// A Play that sends nothing yet.
    init(_ start: PlaylistStart, play: WMSPPlay, opener: PlaylistOpener, logger: Logger, hooks: Hooks) {
        reader = start.reader
        first = start.opened
        current = start.opened
        self.play = play
        self.opener = opener
        self.logger = logger
        self.hooks = hooks
        selection = play.selection
        isHeld = play.isHeld
        guide = PlaylistGuide(start.reader.run, opener: opener, eventLoop: opener.eventLoop)
        delay = LoopTimer(opener.eventLoop)
        if !play.dialect.takesStreamChanges {
            splice = PlaylistSplice(header: start.opened.header)
            spliced = ASFFilter(play.selection, of: start.opened.header)
        }
    }

    var lagMilliseconds: Double { pump?.lagMilliseconds ?? 0 }
    /// Nothing more is sent.
    var isStopped: Bool { hooks == nil }

    func start() {
        reader.play = self
        guide.onEnter = { [weak self] in self?.enter($0, entryEnded: $1) }
        guide.onLeave = { [weak self] in self?.leave() }
        guide.onFinished = { [weak self] in self?.finish($0) }
        guide.begins(with: first)
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

    /// The player takes more again.
    func resume() {
        guard awaitsRoom else { return pump?.resume() ?? () }
        awaitsRoom = false
        goOn()
    }

    // MARK: Entries

    private func enter(_ opened: OpenedEntry, entryEnded: Bool) {
        current = opened
        reader.enter(opened)
        isFirst = false
        isBetween = false
        logger.debug("next entry", metadata: ["entry": "\(opened.entry.words)", "session": "\(play.session)"])
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
                    metadata: ["entry": "\(current.entry.words)", "session": "\(play.session)", "why": "\(error)"])
                return finish(nil)
            }
        }
        let header = current.header
        var plan = EntryPump.Plan(opened: current, selection: splice == nil ? selection : WMSPSelection(whole: header.streamNumbers))
        plan.speedThousandths = Int(min(max(play.speed, 0.001), 1_000) * 1_000)
        // What cannot be skipped is not hurried, either.
        if current.entry.media.forbidsSkipping { plan.speedThousandths = min(plan.speedThousandths, 1_000) }
        if isFirst { plan.position = reader.position(play.position, in: current) }
        if isFirst || splice == nil {
            plan.fastStart = SendClock.FastStart(header: header, selection: plan.selection, granted: play.fastStart, isFirst: isFirst)
        } else {
            // One time line: the first packet is due when the last one's time is over.
            plan.start = lastDue.map { max($0 + .milliseconds(Int64(splice?.lastDuration ?? 0)), opener.eventLoop.now) }
        }
        let pump = EntryPump(plan, eventLoop: opener.eventLoop)
        self.pump = pump
        pump.write = { [weak self] packet, number in self?.write(packet, number) }
        pump.flush = { [weak self] in self?.hooks?.flush() ?? false }
        pump.onEnd = { [weak self] in self?.ended($0) }
        attend()
        pump.start()
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
        awaitsRoom = hooks?.flush() == false
        if case .failed(let words) = end {
            logger.warning("an entry breaks off", metadata: ["entry": "\(current.entry.words)", "why": "\(words)"])
        }
        if !awaitsRoom { goOn() }
    }

    private func goOn() {
        let wait = splice == nil ? hooks?.changeDelay() ?? 0 : 0
        guard wait > 0 else { return guide.goOn(hasEnded: true) }
        delay.start(milliseconds: Int(clamping: wait)) { [weak self] in self?.guide.goOn(hasEnded: true) }
    }

    /// Somebody said so: the entry ends here.
    private func leave() {
        delay.stop()
        awaitsRoom = false
        endPump()
        isBetween = true
    }

    private func endPump() {
        if let pump {
            lastDue = pump.lastDue ?? lastDue
            if let sent = pump.sendTime { reader.sent(sent) }
            splice?.ends { send($0) }
            _ = hooks?.flush()
            pump.stop()
        }
        pump = nil
        livePath?.readerLeft()
        livePath = nil
    }

    private func finish(_ failure: String?) {
        reader.isOver = true
        let hooks = hooks
        stop()
        hooks?.onEnd(failure)
    }
}

extension SendClock.FastStart {
    /// For an entry: what was granted to the player at the beginning; at a seam, what the player buffers of the entry before it plays it, at
    /// the rate that was granted, or at twice its bit rate.
    init(header: ASFHeader, selection: WMSPSelection, granted: WMSPPlay.FastStart?, isFirst: Bool) {
        let own = SendClock.FastStart(header: header, selection: selection)
        guard let granted else {
            self = own
            return
        }
        self.init(
            milliseconds: isFirst ? UInt64(granted.milliseconds) : own.milliseconds, bitsPerSecond: UInt64(granted.bitsPerSecond))
    }
}
