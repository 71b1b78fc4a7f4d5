import NIOCore
import Signalling
import WireFormats

/// Sends a recording to one reader from one place on, by the media's time. Belongs to the event loop.
///
/// Packets go in the order in which the origin sent them, each no later than its time. What is overdue (the reader was slow, or the
/// recording) follows as fast as it is taken; where the reader cannot say so (``ReplayOutlet/isPaced``) at a ``ReplayPace``. At the end of one that
/// is still made it waits.
final class ReplayPump {
    /// Why it ends.
    enum End {
        case done
        /// The rest is not to be had here; why.
        case broken(String)
    }

    /// Takes a packet: its track, its time, and its bytes as they were recorded.
    var write: ((_ track: Int, _ packet: ArraySlice<UInt8>) -> Void)?
    /// Lets the reader have what was written; false: it takes no more until ``resume()``.
    var flush: (() -> Bool)?
    var onEnd: ((End) -> Void)?

    let recording: Recording
    /// The record that is next.
    private(set) var position: UInt64
    /// Where in the media the last packet was.
    private(set) var reached: Int64
    private let clock: () -> ReplayClock
    private let eventLoop: any EventLoop
    private let timer: LoopTimer
    private let from: RecordingIndex.Entry?
    private let end: Int64?
    private var pace: ReplayPace?
    private var block: [UInt8] = []
    private var blockStart: UInt64
    private var latest: Int64?
    private var isReading = false
    private var isHeld = false
    private var isPaused = true
    private var isWaiting = false
    private var isOver = false
    private var due: NIODeadline?

    /// How much earlier than due packets may go, and so how often a reader is looked at.
    static let quantumMilliseconds: Int64 = 20
    static let blockBytes = 128 << 10
    /// Bytes that are written before the reader is asked whether it takes more.
    static let writeBytes = 32 << 10

    /// From a place of the index on, or where another pump stopped (`position`); to the time `end`. `isPaced`: what is overdue is held back.
    init(
        _ recording: Recording, from: RecordingIndex.Entry?, position: UInt64, reached: Int64, end: Int64?, isPaced: Bool,
        eventLoop: any EventLoop, clock: @escaping () -> ReplayClock
    ) {
        self.recording = recording
        self.from = from
        self.position = position
        self.reached = reached
        self.end = end
        pace = isPaced ? ReplayPace(from: reached) : nil
        self.eventLoop = eventLoop
        self.clock = clock
        blockStart = position
        timer = LoopTimer(eventLoop)
    }

    func start() {
        isPaused = false
        run()
    }

    /// Sends nothing until ``start()``; another pump may go on from here.
    func pause() {
        isPaused = true
        timer.stop()
    }

    /// Sends and says nothing more.
    func stop() {
        isOver = true
        timer.stop()
        write = nil
        flush = nil
        onEnd = nil
    }

    /// The reader takes more again.
    func resume() {
        guard isHeld else { return }
        isHeld = false
        run()
    }

    /// How late the next packet is.
    var lagMilliseconds: Double {
        guard let due, !isPaused else { return 0 }
        return max(Double((eventLoop.now - due).nanoseconds) / 1e6, 0)
    }

    private func run() {
        guard !isOver, !isHeld, !isPaused, !isReading, !isWaiting else { return }
        let clock = clock()
        let horizon = eventLoop.now + .milliseconds(Self.quantumMilliseconds)
        var written = 0
        while !isOver {
            let offset = Int(position - blockStart)
            let record: RecordedPacket?
            do throws(RecordingError) { record = try RecordedPacket(block.span, at: offset) } catch { return finish(.broken("\(error)")) }
            guard let record else {
                guard passOn() else { return }
                return more()
            }
            let time = record.microseconds
            if !isBefore(record) {
                let latest = max(latest ?? time, time)
                // Everything goes as early as the latest of the packets that are sent before something earlier.
                let place = latest - recording.index.latenessMicroseconds
                if let end, place >= end { return finish(.done) }
                let onTime = clock.due(place)
                let earliest = pace?.earliest(place, due: onTime) ?? onTime
                let due = NIODeadline.uptimeNanoseconds(earliest)
                self.due = NIODeadline.uptimeNanoseconds(onTime)
                guard due <= horizon else {
                    guard passOn() else { return }
                    return timer.start(at: due - .milliseconds(Self.quantumMilliseconds / 2)) { [weak self] in self?.run() }
                }
                self.due = nil
                self.latest = latest
                pace?.sent(place, earliest: earliest, now: eventLoop.now.uptimeNanoseconds)
                reached = max(reached, min(place, time))
                if end.map({ time <= $0 }) ?? true {
                    let first = offset + RecordedPacket.headerByteCount
                    write?(Int(record.track), block[first..<(first + record.byteCount)])
                    written += record.byteCount
                }
            }
            position += UInt64(record.recordByteCount)
            guard written >= Self.writeBytes else { continue }
            written = 0
            guard passOn() else { return }
        }
    }

    /// What belongs before the place where playing begins.
    private func isBefore(_ record: RecordedPacket) -> Bool {
        guard let from else { return false }
        if let anchor = recording.anchor, Int(record.track) == anchor { return position < from.keyFrame }
        return record.microseconds < from.microseconds
    }

    private func passOn() -> Bool {
        if flush?() == false { isHeld = true }
        return !isHeld
    }

    /// Reads on, or waits for more.
    private func more() {
        let last = recording.endOfPackets
        guard position < last else {
            switch recording.state {
            case .whole: return finish(.done)
            case .broken(let words): return finish(.broken(words))
            case .described, .growing:
                isWaiting = true
                return recording.whenChanged { [weak self] in
                    guard let self else { return }
                    isWaiting = false
                    run()
                }
            }
        }
        isReading = true
        let position = position
        recording.consumed(to: position)
        let count = Int(min(UInt64(Self.blockBytes), last - position))
        recording.log.read(at: position, count: count) { [weak self] result in
            guard let self, !isOver else { return }
            isReading = false
            switch result {
            case .success(let bytes) where bytes.isEmpty: finish(.broken("the recording ends too early"))
            case .success(let bytes):
                // What stands behind the packets is none.
                block = bytes.count > Int(last - position) ? Array(bytes.prefix(Int(last - position))) : bytes
                blockStart = position
                // A reading may be done at once, from within the loop above.
                eventLoop.assumeIsolated().execute { [weak self] in self?.run() }
            case .failure(let error): finish(.broken("\(error)"))
            }
        }
    }

    private func finish(_ end: End) {
        guard !isOver else { return }
        _ = flush?()
        let onEnd = onEnd
        stop()
        onEnd?(end)
    }
}
