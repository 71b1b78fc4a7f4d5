import NIOCore
import Signalling
import WireFormats

/// Sends the key frames of an ASF file to one player, from one place on backwards, at its pace. Belongs to the event loop; the file is read
/// beside it, one key frame ahead.
///
/// Each key frame is sent in the packets that hold it, first to last, without anything else. Their times are the content's own.
final class RewindPump: MediaPump {
    /// From where, and how.
    struct Plan {
        let file: WindowsMediaFile
        /// Which streams: the first of video among them is sent.
        var selection: WMSPSelection
        /// The last packet in which the first key frame may begin.
        var packet: UInt32
        /// The presentation time, preroll included, before which nothing goes.
        var endMilliseconds: UInt32?
        /// The same, counted back from the first key frame.
        var lengthMilliseconds: UInt32?
        /// Times real time, in thousandths.
        var speedThousandths: Int
    }

    var write: ((_ packet: [UInt8], _ number: UInt32) -> Void)?
    var flush: (() -> Bool)?
    var onEnd: ((PumpEnd) -> Void)?

    private var plan: Plan
    private let eventLoop: any EventLoop
    private let timer: LoopTimer
    /// When the key frame with which it began, or went on, was due, and what its time is.
    private var origin: (due: NIODeadline, time: UInt32)?
    private var ahead: ASFKeyFrame?
    /// Key frames that begin before this packet are to come.
    private var before: UInt32
    private var isReading = false
    private var isHeld = false
    private var isPaused = true
    private var isOver = false

    /// A pump that sends nothing yet.
    init(plan: Plan, eventLoop: any EventLoop) {
        self.plan = plan
        self.eventLoop = eventLoop
        before = plan.packet &+ 1
        timer = LoopTimer(eventLoop)
    }

    func start() {
        guard isPaused else { return }
        isPaused = false
        // A pause is no time that would have to be made up for.
        origin = nil
        run()
    }

    func stop() {
        isOver = true
        timer.stop()
        write = nil
        flush = nil
        onEnd = nil
    }

    func pause() {
        isPaused = true
        timer.stop()
    }

    func resume() {
        guard isHeld else { return }
        isHeld = false
        run()
    }

    func select(_ selection: WMSPSelection) {
        plan.selection = selection
        ahead = nil
    }

    var lagMilliseconds: Double {
        guard let due = dueAhead, !isPaused else { return 0 }
        return max(Double((eventLoop.now - due).nanoseconds) / 1e6, 0)
    }

    private var dueAhead: NIODeadline? {
        guard let origin, let ahead else { return nil }
        let milliseconds = UInt64(origin.time > ahead.presentationTime ? origin.time - ahead.presentationTime : 0)
        return origin.due + .nanoseconds(Int64(clamping: milliseconds * 1_000_000_000 / UInt64(max(plan.speedThousandths, 1))))
    }

    private func run() {
        while !isOver, !isHeld, !isPaused {
            guard let frame = ahead else { return read() }
            if origin == nil { origin = (eventLoop.now, frame.presentationTime) }
            if let length = plan.lengthMilliseconds {
                plan.lengthMilliseconds = nil
                plan.endMilliseconds = frame.presentationTime - min(length, frame.presentationTime)
            }
            if let earliest = plan.endMilliseconds, frame.presentationTime < earliest { return end(.done) }
            if let due = dueAhead, due > eventLoop.now { return timer.start(at: due) { [weak self] in self?.run() } }
            ahead = nil
            for packet in frame.packets { write?(packet.bytes, packet.number) }
            if flush?() == false { isHeld = true }
        }
    }

    /// Finds the next key frame.
    private func read() {
        guard !isReading else { return }
        guard before > 0 else { return end(.rewound) }
        isReading = true
        let file = plan.file, streams = plan.selection.streams, packet = before - 1
        file.onThread(eventLoop) { try file.keyFrame(atOrBefore: packet, streams: streams) }
            .assumeIsolated().whenComplete { [weak self] result in
                guard let self, !isOver else { return }
                isReading = false
                switch result {
                case .success(let frame?):
                    before = frame.firstPacket
                    ahead = frame
                    run()
                case .success(nil):
                    before = 0
                    if !isPaused { end(.rewound) }
                case .failure(let error): end(.failed("\(error)"))
                }
            }
    }

    private func end(_ end: PumpEnd) {
        guard !isOver else { return }
        _ = flush?()
        let onEnd = onEnd
        stop()
        onEnd?(end)
    }
}
