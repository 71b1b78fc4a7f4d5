import NIOCore
import Signalling
import WireFormats

/// Sends what an entry pulls from elsewhere to one player, at its pace. Belongs to the event loop.
final class PulledPump: MediaPump {
    var write: ((_ packet: [UInt8], _ number: UInt32) -> Void)?
    var flush: (() -> Bool)?
    var onEnd: ((PumpEnd) -> Void)?
    /// When the last packet was due, and its send time.
    private(set) var lastDue: NIODeadline?
    private(set) var sendTime: UInt32 = 0
    /// How much of the content was sent, in milliseconds.
    var contentMilliseconds: UInt64 { gapMilliseconds + lastDuration }

    private let pull: EntryPull
    private let eventLoop: any EventLoop
    private let packetBytes: Int
    private let lengthMilliseconds: UInt64?
    private var filter: ASFFilter
    private var clock: SendClock?
    private let makeClock: (NIODeadline) -> SendClock
    private var ahead: (packet: [UInt8], number: UInt32, sendTime: UInt32, duration: UInt16, due: NIODeadline)?
    private var hasSent = false
    private var gapMilliseconds: UInt64 = 0
    private var lastDuration: UInt64 = 0
    private var isHeld = false
    private var isPaused = true
    private var pausedAt: NIODeadline?
    private var isOver = false
    private let timer: LoopTimer

    /// A pump that sends nothing yet, of what was pulled with this header.
    init(
        _ pull: EntryPull, header: ASFHeader, selection: WMSPSelection, start: NIODeadline?, fastStart: SendClock.FastStart?,
        lengthMilliseconds: UInt64?, eventLoop: any EventLoop
    ) {
        self.pull = pull
        self.eventLoop = eventLoop
        self.lengthMilliseconds = lengthMilliseconds
        packetBytes = header.packetBytes
        filter = ASFFilter(selection, of: header)
        makeClock = { SendClock(start: start ?? $0, fastStart: fastStart, speedThousandths: 1_000) }
        timer = LoopTimer(eventLoop)
    }

    func start() {
        if let pausedAt {
            // A pause is no time that would have to be made up for.
            let pause = eventLoop.now - pausedAt
            clock?.shift(by: pause)
            if let due = ahead?.due { ahead?.due = due + pause }
        }
        pausedAt = nil
        isPaused = false
        pull.onMore = { [weak self] in self?.run() }
        run()
    }

    func stop() {
        isOver = true
        timer.stop()
        pull.onMore = nil
        pull.stop()
        write = nil
        flush = nil
        onEnd = nil
    }

    func pause() {
        if !isPaused { pausedAt = eventLoop.now }
        isPaused = true
        timer.stop()
    }

    func resume() {
        guard isHeld else { return }
        isHeld = false
        run()
    }

    func select(_ selection: WMSPSelection) { filter.select(selection) }

    var lagMilliseconds: Double {
        guard let ahead, !isPaused else { return 0 }
        return max(Double((eventLoop.now - ahead.due).nanoseconds) / 1e6, 0)
    }

    private func run() {
        let horizon = eventLoop.now + .milliseconds(FilePump.quantumMilliseconds)
        var written = 0
        while !isOver, !isHeld, !isPaused {
            guard let next = ahead ?? take() else {
                _ = passOn()
                if let over = pull.end { end(over) }
                return
            }
            ahead = next
            guard next.due <= horizon else {
                guard passOn() else { return }
                return timer.start(at: next.due - .milliseconds(FilePump.quantumMilliseconds / 2)) { [weak self] in self?.run() }
            }
            ahead = nil
            count(next.sendTime, next.duration)
            if let lengthMilliseconds, gapMilliseconds > lengthMilliseconds { return end(.done) }
            lastDue = next.due
            if let kept = filter.filter(next.packet) {
                write?(kept, next.number)
                written += kept.count
            }
            guard written >= FilePump.writeBytes else { continue }
            written = 0
            guard passOn() else { return }
        }
    }

    private func take() -> (packet: [UInt8], number: UInt32, sendTime: UInt32, duration: UInt16, due: NIODeadline)? {
        guard let (packet, number) = pull.next() else { return nil }
        let head = try? ASFPacket(packet.span, packetBytes: packetBytes)
        let time = head?.sendTime ?? sendTime
        if clock == nil { clock = makeClock(eventLoop.now) }
        let due = clock?.take(sendTime: time, bytes: packet.count) ?? eventLoop.now
        return (packet, number, time, head?.duration ?? 0, due)
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

    private func end(_ end: PumpEnd) {
        guard !isOver else { return }
        _ = flush?()
        let onEnd = onEnd
        stop()
        onEnd?(end)
    }
}
