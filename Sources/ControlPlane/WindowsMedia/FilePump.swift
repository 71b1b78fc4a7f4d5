import NIOCore
import Signalling
import WireFormats

/// Sends an ASF file to one player from one place on, at its pace. Belongs to the event loop; the file is read beside it.
///
/// Packets go out a little before they are due, as many at once as are due within ``quantumMilliseconds``. A player that takes less than
/// that is not hurried: what is overdue follows as fast as it takes it.
final class FilePump: MediaPump {
    /// From where, and how.
    struct Plan {
        let file: WindowsMediaFile
        /// Which streams, and how much of them.
        var selection: WMSPSelection
        /// The first packet, and the one before which it ends.
        var packets: Range<UInt32>
        /// When the first packet is due; nil: at once.
        var start: NIODeadline?
        /// The send time behind which nothing goes.
        var endMilliseconds: UInt32?
        var fastStart: SendClock.FastStart?
        /// The same, counted from the first packet's.
        var lengthMilliseconds: UInt32?
        /// Times real time, in thousandths.
        var speedThousandths = 1_000
    }

    var write: ((_ packet: [UInt8], _ number: UInt32) -> Void)?
    var flush: (() -> Bool)?
    var onEnd: ((PumpEnd) -> Void)?
    /// Runs, once, when everything goes as it is from ``position`` on. The pump sends nothing more until ``resume()``, or is stopped.
    var onWhole: (() -> Void)?
    /// The packet that is sent next.
    private(set) var position: UInt32
    /// When the last one was due.
    private(set) var lastDue: NIODeadline?
    /// The send time of the last one, in milliseconds.
    private(set) var sendTime: UInt32 = 0
    /// How much of the content was sent, in milliseconds, the last packet's own time included.
    var contentMilliseconds: UInt64 { gapMilliseconds + lastDuration }

    private(set) var plan: Plan
    private let eventLoop: any EventLoop
    private var clock: SendClock?
    private var filter: ASFFilter
    private var block: [UInt8] = []
    private var blockStart: UInt32
    private var ahead: [UInt8]?
    private var isReading = false
    private var isHeld = false
    private var isPaused = false
    private var pausedAt: NIODeadline?
    private var hasSent = false
    private var gapMilliseconds: UInt64 = 0
    private var lastDuration: UInt64 = 0
    private var isOver = false
    /// The next packet's time, when it was computed and the packet is not sent yet.
    private var due: NIODeadline?
    private let timer: LoopTimer
    private let reader = SupplyReader()
    private var losses = 0

    /// How much earlier than due packets may go, and so how often a player is looked at.
    static let quantumMilliseconds: Int64 = 50
    /// Bytes that are read at once. One more such block is read ahead.
    static let blockBytes = 128 << 10
    /// How often what was here and is lost is asked for again.
    private static let lossesMax = 3
    /// Bytes that are written before the player is asked whether it takes more.
    static let writeBytes = 64 << 10

    /// A pump that sends nothing yet.
    init(plan: Plan, eventLoop: any EventLoop) {
        self.plan = plan
        self.eventLoop = eventLoop
        position = plan.packets.lowerBound
        blockStart = position
        filter = ASFFilter(plan.selection, of: plan.file.header)
        timer = LoopTimer(eventLoop)
    }

    /// Begins. The first packets go out in this turn of the loop, or when they are read.
    func start() {
        isPaused = false
        if let pausedAt {
            // A pause is no time that would have to be made up for.
            let pause = eventLoop.now - pausedAt
            clock?.shift(by: pause)
            due = due.map { $0 + pause }
            plan.start = plan.start.map { $0 + pause }
        }
        pausedAt = nil
        run()
    }

    /// Sends nothing more and says nothing more.
    func stop() {
        isOver = true
        timer.stop()
        plan.file.supply?.left(reader)
        write = nil
        flush = nil
        onEnd = nil
        onWhole = nil
    }

    /// Other streams from the next packet on.
    func select(_ selection: WMSPSelection) { filter.select(selection) }

    /// Sends nothing until ``start()``.
    func pause() {
        if !isPaused { pausedAt = eventLoop.now }
        isPaused = true
        timer.stop()
    }

    /// How late the next packet is; 0 while the player takes what it is sent.
    var lagMilliseconds: Double {
        guard let due, !isPaused else { return 0 }
        return max(Double((eventLoop.now - due).nanoseconds) / 1e6, 0)
    }

    /// The player takes more again.
    func resume() {
        guard isHeld else { return }
        isHeld = false
        run()
    }

    /// How far it is, for another that goes on.
    struct Progress {
        var position: UInt32
        var clock: SendClock?
        var due: NIODeadline?
        var lastDue: NIODeadline?
    }

    /// How far it is.
    var progress: Progress { Progress(position: position, clock: clock, due: due, lastDue: lastDue) }

    /// Goes on where another was, which sent all streams whole; before ``start()``.
    func goOn(_ progress: Progress) {
        filter = ASFFilter(WMSPSelection(whole: plan.file.header.streamNumbers), of: plan.file.header, joins: false)
        filter.select(plan.selection)
        position = progress.position
        blockStart = position
        clock = progress.clock
        due = progress.due
        lastDue = progress.lastDue
    }

    private var packetBytes: Int { plan.file.header.packetBytes }
    private var blockPackets: UInt32 { UInt32(clamping: max(Self.blockBytes / packetBytes, 1)) }

    private func run() {
        let horizon = eventLoop.now + .milliseconds(Self.quantumMilliseconds)
        var written = 0
        while !isOver, !isHeld, !isPaused {
            guard position < plan.packets.upperBound else { return end(.done) }
            guard let packet = next() else { return }
            let head = try? ASFPacket(packet.span, packetBytes: packetBytes)
            let time = head?.sendTime ?? sendTime
            if let length = plan.lengthMilliseconds {
                plan.lengthMilliseconds = nil
                plan.endMilliseconds = time &+ min(length, .max - time)
            }
            if let last = plan.endMilliseconds, time > last { return end(.done) }
            let due = due ?? take(time)
            self.due = due
            guard due <= horizon else {
                guard passOn() else { return }
                return timer.start(at: due - .milliseconds(Self.quantumMilliseconds / 2)) { [weak self] in self?.run() }
            }
            self.due = nil
            lastDue = due
            count(time, head?.duration ?? 0)
            if let kept = filter.filter(packet) {
                write?(kept, position)
                written += kept.count
            }
            position += 1
            if let onWhole, filter.passesAll {
                self.onWhole = nil
                _ = flush?()
                isHeld = true
                return onWhole()
            }
            guard written >= Self.writeBytes else { continue }
            written = 0
            guard passOn() else { return }
        }
    }

    private func count(_ time: UInt32, _ duration: UInt16) {
        if hasSent, time > sendTime { gapMilliseconds += min(UInt64(time - sendTime), SendClock.gapMillisecondsMax) }
        lastDuration = UInt64(duration)
        hasSent = true
        sendTime = time
    }

    /// Lets the player have what was written. False: it takes no more until ``resume()``.
    private func passOn() -> Bool {
        if flush?() == false { isHeld = true }
        return !isHeld
    }

    private func take(_ sendTime: UInt32) -> NIODeadline {
        if clock == nil {
            clock = SendClock(start: plan.start ?? eventLoop.now, fastStart: plan.fastStart, speedThousandths: plan.speedThousandths)
        }
        return clock?.take(sendTime: sendTime, bytes: packetBytes) ?? eventLoop.now
    }

    /// The packet at ``position``; nil while it is being read.
    private func next() -> [UInt8]? {
        let offset = Int(position - blockStart) * packetBytes
        if offset + packetBytes <= block.count {
            read()
            return Array(block[offset..<(offset + packetBytes)])
        }
        guard let ahead else {
            _ = passOn()
            read()
            return nil
        }
        blockStart = position
        block = ahead
        self.ahead = nil
        guard !block.isEmpty else {
            end(.failed("\(plan.file.name) ends at packet \(position); it had \(plan.packets.upperBound)"))
            return nil
        }
        return next()
    }

    /// Reads the block behind the one at hand.
    private func read() {
        guard !isReading, ahead == nil else { return }
        let first = blockStart + UInt32(clamping: block.count / packetBytes)
        guard first < plan.packets.upperBound else { return }
        let range = first..<(first + min(blockPackets, plan.packets.upperBound - first))
        isReading = true
        guard let supply = plan.file.supply else { return read(range) }
        supply.want(range, for: reader) { [weak self] result in
            guard let self, !isOver else { return }
            switch result {
            case .success(let here) where here.isEmpty:
                // It is shorter than it was said to be.
                isReading = false
                plan.packets = min(plan.packets.lowerBound, first)..<first
                goOn()
            case .success(let here): read(here)
            case .failure(let error): end(.failed("\(error)"))
            }
        }
    }

    private func read(_ range: Range<UInt32>) {
        let file = plan.file
        file.onThread(eventLoop) { try file.read(packets: range) }
            .assumeIsolated().whenComplete { [weak self] result in
                guard let self, !isOver else { return }
                isReading = false
                switch result {
                case .success(let bytes) where bytes.isEmpty && isLost(range): return read()
                case .success(let bytes): ahead = bytes
                case .failure where isLost(range): return read()
                case .failure(let error): return end(.failed("\(error)"))
                }
                goOn()
            }
    }

    /// What cannot be read is wanted again of whoever brings it, a few times.
    private func isLost(_ range: Range<UInt32>) -> Bool {
        guard let supply = plan.file.supply, losses < Self.lossesMax else { return false }
        losses += 1
        supply.lost(range)
        return true
    }

    /// Whoever waits for packets waits for nothing else.
    private func goOn() { if !timer.isRunning, !isHeld, !isPaused { run() } }

    private func end(_ end: PumpEnd) {
        guard !isOver else { return }
        _ = flush?()
        let onEnd = onEnd
        stop()
        onEnd?(end)
    }
}
