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
        var speedThousandths = 1_000
    }

    var write: ((_ packet: [UInt8], _ number: UInt32) -> Void)?
    var flush: (() -> Bool)?
    /// Once, and never after ``stop()``.
    var onEnd: ((PumpEnd) -> Void)?
    /// When the last packet was due.
    var lastDue: NIODeadline? { pump?.lastDue ?? lastTaken }
    /// The send time of the last packet of a file, in milliseconds.
    var sendTime: UInt32? { pump?.sendTime }
    var lagMilliseconds: Double { pump?.lagMilliseconds ?? 0 }
    /// Live packets that the player was too slow for.
    private(set) var packetsMissed: UInt64 = 0

    private var plan: Plan
    private let eventLoop: any EventLoop
    private var pump: FilePump?
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
            tap = broadcast
            broadcast.addTap(self)
            if let milliseconds = plan.opened.entry.durationMilliseconds {
                timer.start(milliseconds: Int(clamping: milliseconds)) { [weak self] in self?.end(.done) }
            }
        }
    }

    private var position: WMSPPosition {
        let from = UInt32(clamping: plan.opened.entry.fromMilliseconds)
        return switch plan.position {
        case .beginning: from > 0 ? .time(milliseconds: from) : .beginning
        case .time(let milliseconds): .time(milliseconds: max(milliseconds, from))
        case .packet: plan.position
        }
    }

    private func begin(_ file: WindowsMediaFile, _ first: UInt32) {
        var filePlan = FilePump.Plan(file: file, selection: plan.selection, packets: min(first, file.packetCount)..<file.packetCount)
        filePlan.start = plan.start
        filePlan.fastStart = plan.fastStart
        filePlan.speedThousandths = plan.speedThousandths
        let entry = plan.opened.entry
        let longest = entry.durationMilliseconds.map { entry.fromMilliseconds &+ $0 }
        filePlan.endMilliseconds = [entry.toMilliseconds, longest].compactMap(\.self).min().map(UInt32.init(clamping:))
        let pump = FilePump(plan: filePlan, eventLoop: eventLoop)
        self.pump = pump
        pump.write = write
        pump.flush = flush
        pump.onEnd = { [weak self] in self?.end($0) }
        if !isPaused { pump.start() }
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
        pump?.select(selection)
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
