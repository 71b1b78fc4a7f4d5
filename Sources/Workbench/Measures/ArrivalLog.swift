/// When a sampled reader got which packet of one track.
package struct ArrivalLog: Sendable {
    /// The packets' sequence numbers by our own count.
    package private(set) var account = SequenceAccount()
    private var points: [LeastDelayLine.Point] = []
    private var stride = 1
    private var untilNext = 1
    private let nanosecondsPerTick: Double
    private var firstArrival: Double?
    private var firstTimestamp: UInt32?
    private var lastTimestamp: UInt32 = 0
    /// Timestamp ticks from the first packet to the newest one, beyond 32 bits.
    private var ticks: Int64 = 0

    /// Beyond so many points every second is dropped and half of what comes is kept: a run of hours fits.
    package static let pointsMax = 1 << 19

    /// A server may begin with the past and send it faster than it was made (a join burst). Within this time after a reader's
    /// first packet, what comes before its delay has fallen to within ``liveNanoseconds`` of the least is not lateness.
    package static let burstNanosecondsMax = 5e9
    /// See ``burstNanosecondsMax``.
    package static let liveNanoseconds = 20e6

    /// For a track of this clock rate, at least 1 Hz.
    package init(clockRate: UInt32) {
        nanosecondsPerTick = 1e9 / Double(max(clockRate, 1))
    }

    /// Notes a packet.
    package mutating func take(sequence: UInt16, timestamp: UInt32, arrivalNanoseconds: UInt64) {
        account.take(sequence)
        if firstTimestamp == nil {
            firstArrival = Double(arrivalNanoseconds)
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

    /// Lateness of every packet noted since the reader met the live stream, in milliseconds.
    package var latenessMilliseconds: [Double] {
        guard let line = LeastDelayLine(through: points) else { return [] }
        let lateness = points.map { max(0, line.lateness(of: $0)) }
        let burstEnd = (firstArrival ?? 0) + Self.burstNanosecondsMax
        let live = points.indices.prefix { points[$0].arrival < burstEnd }.first { lateness[$0] <= Self.liveNanoseconds }
        // One that did not meet it in that time is late, not bursting.
        return lateness.dropFirst(live ?? 0).map { $0 / 1e6 }
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
