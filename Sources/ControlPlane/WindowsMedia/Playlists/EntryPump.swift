import NIOCore
import Signalling
import WireFormats

/// Sends one entry of a playlist to one player, or to a broadcast: a file at its pace, or what is live for as long as it may. Belongs to the
/// event loop.
final class EntryPump {
    /// What is sent, and how.
    struct Plan {
        let opened: OpenedEntry
        var selection: WMSPSelection
        /// Where a player wants to begin; never before the entry does.
        var position = WMSPPosition.beginning
        /// When the first packet is due; nil: at once.
        var start: NIODeadline?
        var fastStart: SendClock.FastStart?
        /// Times real time, in thousandths, whichever way.
        var speedThousandths = 1_000
        /// 1, or another rate of what can be wound: see ``MediaWish/rate``.
        var rate = 1.0
        /// With a rate below 0: from the end of the entry.
        var isFromEnd = false
    }

    var write: ((_ packet: [UInt8], _ number: UInt32) -> Void)?
    var flush: (() -> Bool)?
    /// Once, and never after ``stop()``.
    var onEnd: ((PumpEnd) -> Void)?
    /// When the last packet was due.
    var lastDue: NIODeadline? { filePump?.lastDue ?? (pump as? PulledPump)?.lastDue ?? lastTaken }
    /// The send time of the last packet of a file, in milliseconds; nil backwards.
    var sendTime: UInt32? { filePump?.sendTime }
    /// How much of a file was sent, in milliseconds; nil for what is live, and goes as it comes.
    var contentMilliseconds: UInt64? {
        if case .file = plan.opened.media { return filePump?.contentMilliseconds ?? 0 }
        return (pump as? PulledPump)?.contentMilliseconds
    }
    var lagMilliseconds: Double { pump?.lagMilliseconds ?? 0 }
    /// Live packets that the player was too slow for.
    private(set) var packetsMissed: UInt64 = 0

    private var plan: Plan
    private let eventLoop: any EventLoop
    private var pump: (any MediaPump)?
    private var filePump: FilePump? { pump as? FilePump }
    private var tap: WindowsMediaBroadcast?
    private var filter: ASFFilter
    private var lastTaken: NIODeadline?
    private var hasBegun = false
    private var isFull = false
    private var isPaused = false
    private var isOver = false
    private let timer: LoopTimer

    /// A pump that sends nothing yet.
    init(_ plan: Plan, eventLoop: any EventLoop) {
        self.plan = plan
        self.eventLoop = eventLoop
        filter = ASFFilter(plan.selection, of: plan.opened.header)
        timer = LoopTimer(eventLoop)
    }

    func start() {
        switch plan.opened.media {
        case .file(let file):
            file.locate(position, streams: plan.selection.streams, on: eventLoop).assumeIsolated().whenComplete { [weak self] result in
                guard let self, !isOver else { return }
                switch result {
                case .success(let first): begin(file, first)
                case .failure(let error): end(.failed("\(error)"))
                }
            }
        case .live(let broadcast):
            guard plan.opened.isCurrent else {
                // Later: whoever starts it is not done with that.
                return eventLoop.assumeIsolated().execute { [weak self] in self?.end(.failed("it ended, or changed, before its turn")) }
            }
            if let pull = plan.opened.pull { return begin(pull) }
            tap = broadcast
            broadcast.addTap(self)
            if let milliseconds = plan.opened.entry.durationMilliseconds {
                timer.start(milliseconds: Int(clamping: milliseconds)) { [weak self] in self?.end(.done) }
            }
        }
    }

    private var position: WMSPPosition {
        let entry = plan.opened.entry
        let from = UInt32(clamping: entry.fromMilliseconds)
        if plan.isFromEnd, plan.rate < 0, case .file(let file) = plan.opened.media {
            guard let end = plan.opened.endMilliseconds else { return .packet(UInt64(max(file.packetCount, 1) - 1)) }
            return .time(milliseconds: UInt32(clamping: end))
        }
        return switch plan.position {
        case .beginning: from > 0 ? .time(milliseconds: from) : .beginning
        case .time(let milliseconds): .time(milliseconds: max(milliseconds, from))
        case .packet: plan.position
        }
    }

    private func begin(_ file: WindowsMediaFile, _ first: UInt32) {
        let pump: any MediaPump = plan.rate < 0 ? rewind(file, first) : forward(file, first)
        self.pump = pump
        pump.write = write
        pump.flush = flush
        // Backwards, what ends at its beginning was rewound, wherever in its source that is.
        pump.onEnd = { [weak self] end in
            guard let self else { return }
            self.end(plan.rate < 0 && end == .done ? .rewound : end)
        }
        if !isPaused { pump.start() }
    }

    private func begin(_ pull: EntryPull) {
        let pump = PulledPump(
            pull, header: plan.opened.header, selection: plan.selection, start: plan.start, fastStart: plan.fastStart,
            lengthMilliseconds: plan.opened.entry.durationMilliseconds, eventLoop: eventLoop)
        self.pump = pump
        pump.write = write
        pump.flush = flush
        pump.onEnd = { [weak self] in self?.end($0) }
        if !isPaused { pump.start() }
    }

    private func rewind(_ file: WindowsMediaFile, _ first: UInt32) -> RewindPump {
        var filePlan = RewindPump.Plan(file: file, selection: plan.selection, packet: first, speedThousandths: plan.speedThousandths)
        let from = UInt32(clamping: plan.opened.entry.fromMilliseconds)
        if from > 0 { filePlan.endMilliseconds = file.header.file.prerollMilliseconds &+ from }
        return RewindPump(plan: filePlan, eventLoop: eventLoop)
    }

    private func forward(_ file: WindowsMediaFile, _ first: UInt32) -> FilePump {
        let selection = MediaWish.selection(plan.selection, of: file.header, at: plan.rate)
        var filePlan = FilePump.Plan(file: file, selection: selection, packets: min(first, file.packetCount)..<file.packetCount)
        filePlan.start = plan.start
        filePlan.fastStart = plan.fastStart
        filePlan.speedThousandths = plan.speedThousandths
        filePlan.endMilliseconds = plan.opened.endMilliseconds.map(UInt32.init(clamping:))
        return FilePump(plan: filePlan, eventLoop: eventLoop)
    }

    /// Sends nothing until ``goOn()``.
    func pause() {
        isPaused = true
        pump?.pause()
        hasBegun = false
    }

    /// Goes on after ``pause()``; what is live where it is now.
    func goOn() {
        guard isPaused else { return }
        isPaused = false
        pump?.start()
    }

    func stop() {
        guard !isOver else { return }
        isOver = true
        timer.stop()
        pump?.stop()
        tap?.removeTap(self)
        tap = nil
        write = nil
        flush = nil
        onEnd = nil
    }

    /// Other streams from here on.
    func select(_ selection: WMSPSelection) {
        plan.selection = selection
        filter.select(selection)
        // What is sent at another rate is chosen by that.
        if plan.rate < MediaWish.thinningRate { pump?.select(selection) }
    }

    /// The player takes more again.
    func resume() {
        isFull = false
        pump?.resume()
    }

    private func end(_ end: PumpEnd) {
        guard !isOver else { return }
        // What is flushed may come round to the tap.
        tap?.removeTap(self)
        tap = nil
        _ = flush?()
        let onEnd = onEnd
        stop()
        onEnd?(end)
    }
}

extension EntryPump: WindowsMediaTap {
    func tapped(_ packet: [UInt8], number: UInt32) {
        guard !isPaused else { return }
        // A player that was too slow goes on where it can be entered.
        if isFull {
            packetsMissed += 1
            hasBegun = false
            return
        }
        if !hasBegun {
            guard filter.isStart(packet) else { return }
            filter = ASFFilter(plan.selection, of: plan.opened.header)
            hasBegun = true
        }
        lastTaken = eventLoop.now
        if let kept = filter.filter(packet) { write?(kept, number) }
    }

    func tapFlushed() { if flush?() == false { isFull = true } }

    // What comes behind another header is another programme.
    func tapHeaderChanged() { end(.done) }

    func tapEnded(_ reason: String) { end(.done) }
}
