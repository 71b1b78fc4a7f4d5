import NIOCore
import PlaneLink

/// Looks after the media of one connection: whether it begins, whether it goes on, and when to report on it.
final class MediaWatch {
    enum Event {
        /// Nothing arrived within the first time.
        case noFirstPacket
        /// Nothing arrived on any track for so many seconds. (One silent track is normal: a muted camera.)
        case silent(seconds: Int)
        /// RTCP is due.
        case reportIsDue
        /// The sockets' drop counters are to be read.
        case dropsAreDue
    }

    private let first: LoopTimer
    private let pulse: Pulse
    private let eventLoop: any EventLoop
    private var listener: Int?
    private let silenceMilliseconds: Int
    private let firstMilliseconds: Int?
    private var hasArrived = false

    /// RFC 3550 section 6.2's least interval.
    static let reportMilliseconds = 5_000
    private static let dropsMilliseconds: Int64 = 1_000

    /// A watch that does not look yet.
    init(_ port: EnginePort, silenceMilliseconds: Int, firstMilliseconds: Int?) {
        first = LoopTimer(port.eventLoop)
        pulse = port.pulse
        eventLoop = port.eventLoop
        self.silenceMilliseconds = silenceMilliseconds
        self.firstMilliseconds = firstMilliseconds
    }

    /// Begins to look; ``Event/reportIsDue`` comes at once and then every five seconds.
    func start(_ counters: StreamCounters, _ onEvent: @escaping (Event) -> Void) {
        let began = eventLoop.now
        var reported = began, drained = began
        if let firstMilliseconds, !hasArrived { first.start(milliseconds: firstMilliseconds) { onEvent(.noFirstPacket) } }
        if let listener { pulse.remove(listener) }
        listener = pulse.add { [silenceMilliseconds, eventLoop] in
            let now = eventLoop.now
            if now - reported >= .milliseconds(Int64(Self.reportMilliseconds)) {
                reported = now
                onEvent(.reportIsDue)
            }
            if now - drained >= .milliseconds(Self.dropsMilliseconds) {
                drained = now
                onEvent(.dropsAreDue)
            }
            let last = max(counters[.lastArrivalNanoseconds], began.uptimeNanoseconds)
            let silence = now.uptimeNanoseconds > last ? (now.uptimeNanoseconds - last) / 1_000_000 : 0
            if silence >= UInt64(silenceMilliseconds) { onEvent(.silent(seconds: silenceMilliseconds / 1_000)) }
        }
        onEvent(.reportIsDue)
    }

    /// Media began.
    func firstPacketArrived() {
        hasArrived = true
        first.stop()
    }

    /// Looks no more.
    func stop() {
        first.stop()
        if let listener { pulse.remove(listener) }
        listener = nil
    }
}
