/// When a sampled reader got which packet of one track.
package struct ArrivalLog: Sendable {
    /// The packets' sequence numbers by our own count.
    package private(set) var account = SequenceAccount()
    private var points: [LeastDelayLine.Point] = []
    private var stride = 1
    private var untilNext = 1
    private let nanosecondsPerTick: Double
    private var firstTimestamp: UInt32?
    private var lastTimestamp: UInt32 = 0
    /// Timestamp ticks from the first packet to the newest one, beyond 32 bits.
    private var ticks: Int64 = 0

    /// Beyond so many points every second is dropped and half of what comes is kept: a run of hours fits.
    package static let pointsMax = 1 << 19

    /// For a track of this clock rate, at least 1 Hz.
    package init(clockRate: UInt32) {
        nanosecondsPerTick = 1e9 / Double(max(clockRate, 1))
    }

    /// Notes a packet.
    package mutating func take(sequence: UInt16, timestamp: UInt32, arrivalNanoseconds: UInt64) {
        account.take(sequence)
        if firstTimestamp == nil {
            firstTimestamp = timestamp
            lastTimestamp = timestamp
        }
        ticks &+= Int64(Int32(bitPattern: timestamp &- lastTimestamp))
        lastTimestamp = timestamp
        untilNext -= 1
        guard untilNext == 0 else { return }
        untilNext = stride
        points.append(.init(media: Double(ticks) * nanosecondsPerTick, arrival: Double(arrivalNanoseconds)))
        if points.count >= Self.pointsMax { thin() }
    }

    /// Forgets the packets so far, not the count of their sequence numbers.
    package mutating func forgetPoints() {
        points.removeAll(keepingCapacity: true)
        stride = 1
        untilNext = 1
    }

    /// Lateness of every packet noted, in milliseconds.
    package var latenessMilliseconds: [Double] {
        guard let line = LeastDelayLine(through: points) else { return [] }
        return points.map { max(0, line.lateness(of: $0)) / 1e6 }
    }

    private mutating func thin() {
        var kept: [LeastDelayLine.Point] = []
        kept.reserveCapacity(Self.pointsMax)
        for index in Swift.stride(from: 0, to: points.count, by: 2) { kept.append(points[index]) }
        points = kept
        stride *= 2
        untilNext = stride
    }
}
