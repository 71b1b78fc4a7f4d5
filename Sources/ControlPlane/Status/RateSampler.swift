import NIOCore
import PlaneLink

/// Rates over about the last second, of the engine and of each path, from counters that are looked at once a second.
struct RateSampler {
    /// Bits a second of one path.
    struct PathRate: Equatable {
        var received: Double
        var sent: Double
    }

    /// Of the engine.
    private(set) var whole = Overview.Rates()
    private var rates: [String: PathRate] = [:]
    private var before: (at: NIODeadline, counts: [UInt64])?
    private var pathsBefore: [String: (stream: StreamHandle, received: UInt64, sent: UInt64)] = [:]

    /// A path's; nil before its stream was looked at twice.
    func path(_ name: String) -> PathRate? { rates[name] }

    /// Looks at the counters.
    mutating func take(_ counters: EngineCounters, _ paths: [Path], now: NIODeadline) {
        let counts = [counters[.packetsSent], counters[.bytesSent], counters[.packetsReceived], counters[.bytesReceived]]
        let seconds = before.map { max(Double((now - $0.at).nanoseconds) / 1e9, 0.001) } ?? 0
        if let before {
            let rate = zip(before.counts, counts).map { (Double($1 &- $0) / seconds).tenths }
            whole = Overview.Rates(
                packetsSentPerSecond: rate[0], bitsSentPerSecond: rate[1] * 8, packetsReceivedPerSecond: rate[2],
                bitsReceivedPerSecond: rate[3] * 8)
        }
        before = (now, counts)
        let earlier = pathsBefore
        pathsBefore = [:]
        rates = [:]
        for path in paths {
            guard let live = path.live else { continue }
            let received = live.counters[.bytesReceived], sent = live.counters[.bytesSent]
            pathsBefore[path.name] = (live.handle, received, sent)
            guard let old = earlier[path.name], old.stream == live.handle, seconds > 0 else { continue }
            rates[path.name] = PathRate(
                received: (Double(received &- old.received) * 8 / seconds).tenths, sent: (Double(sent &- old.sent) * 8 / seconds).tenths)
        }
    }
}
