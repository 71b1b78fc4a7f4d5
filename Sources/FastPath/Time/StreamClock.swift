import PlaneLink

/// The time of one stream: what the source's wall clock is in the relay's, the same for all tracks. An epoch is a connection of the source.
///
/// The relay's own monotonic clock is the time of the readers; a report's NTP time is that plus ``published``.
struct StreamClock: BitwiseCopyable {
    /// What became of a report.
    enum Verdict: BitwiseCopyable, Equatable {
        /// The time line's first; it may be passed on.
        case first
        /// It goes on as those before.
        case again
        /// The source's clock was set, or stands still: readers' time goes on as it was.
        case stepped
        /// It cannot be true of the packets that came.
        case unusable
    }

    /// Added to the source's wall clock it gives the relay's monotonic one.
    private(set) var offset: Int64 = 0
    private(set) var hasOffset = false
    /// A report of the present epoch was used.
    private(set) var isReported = false
    /// A track of the present epoch was placed by reports: the others must be placed by the same offset.
    private(set) var isPlaced = false
    /// The offset as reports showed it when they came: the least has waited in no queue.
    private var samples = MinimumWindow()
    /// When lines were moved last.
    private(set) var slewedAt: UInt64 = 0
    /// Added to the relay's monotonic clock it gives the NTP time that readers are told (nanoseconds).
    private(set) var published: Int64 = 0
    /// The same for the relay's wall clock.
    private let wall: Int64
    /// `published` is the source's clock.
    private var passesOrigin = false
    /// The last report of any track, to see a clock that stands still.
    private var last = SourceReport()

    /// How long reports are watched for the one that nothing delayed.
    static var sampleSpan: UInt64 { 30_000_000_000 }
    /// How fast all tracks together follow the source's clock, in nanoseconds per second: ten times as fast as a bad quartz drifts.
    static var driftPerSecond: Int64 { 1_000_000 }
    /// A clock that is further off than this was set.
    static var stepNanoseconds: UInt64 { 1_000_000_000 }
    /// A report says something of packets no further away than this.
    static var reachNanoseconds: UInt64 { 10_000_000_000 }
    /// Reports that tell the same time were sent within this.
    static var stillNanoseconds: UInt64 { 200_000_000 }
    /// NTP time of 1990: what is before that is no date.
    static let firstDate: Int64 = 2_840_140_800 * ClockMapping.second

    /// A clock of a stream that begins now.
    init(wallClock unixNanoseconds: UInt64 = 0, now: UInt64 = 0) {
        let since1900 = Int64(truncatingIfNeeded: unixNanoseconds) &+ 2_208_988_800 &* ClockMapping.second
        wall = since1900 &- Int64(truncatingIfNeeded: now)
        published = wall
        slewedAt = now
    }

    /// The source is another one now, or the same dialled again.
    mutating func beginEpoch() {
        isReported = false
        isPlaced = false
    }

    /// The offset that a report shows by itself.
    private static func sample(_ report: SourceReport) -> Int64 { Int64(truncatingIfNeeded: report.arrival) &- report.origin }

    /// The offset of a source that has said nothing in this epoch: as before where its clock has not been set, else what this report says.
    private mutating func begin(with report: SourceReport, _ mode: ClockPolicy) -> Bool {
        let sample = Self.sample(report)
        let isSame = hasOffset && distance(sample, samples.value ?? offset) <= Self.stepNanoseconds
        if !isSame { samples.reset() }
        samples.add(sample, at: report.arrival, span: Self.sampleSpan)
        // With the source's clock an offset that moved would be seen; with the relay's it is free to be better at a break.
        if !isSame || mode == .relay { offset = samples.value ?? sample }
        let hasStepped = hasOffset && !isSame
        hasOffset = true
        isReported = true
        return hasStepped
    }

    /// Takes a report of a track that has no packet in this epoch. True when the source's clock was set since the last one.
    mutating func takeEarly(_ report: SourceReport, mode: ClockPolicy) -> Bool {
        if isStill(report) { return false }
        last = report
        guard !isReported else {
            samples.add(Self.sample(report), at: report.arrival, span: Self.sampleSpan)
            return false
        }
        let hasStepped = begin(with: report, mode)
        publish(report, mode)
        return hasStepped
    }

    /// Takes a report of a track that plays. `timestamp` is the report's as readers see it.
    mutating func take(
        _ report: SourceReport, timestamp: UInt32, clockRate: UInt32, mode: ClockPolicy, track: inout TrackClock
    ) -> Verdict {
        guard track.hasLine else { return .unusable }
        if isStill(report) {
            track.beginLine()
            return .unusable
        }
        last = report
        let expected = track.line.nanoseconds(of: timestamp, clockRate: clockRate)
        // Its moment is now, give or take what a source or a network may hold back.
        guard distance(expected, Int64(truncatingIfNeeded: report.arrival)) <= Self.reachNanoseconds else { return .unusable }
        let isFirst = !track.isReported
        var hasStepped = false
        if isFirst {
            let reach = track.isTold ? Self.stepNanoseconds : Self.reachNanoseconds
            if !isReported, !track.isTold { hasStepped = begin(with: report, mode) }
            if !isReported || distance(report.origin &+ offset, expected) > reach {
                // Readers have time already: the source's clock is fitted to it.
                hasStepped = hasStepped || hasOffset && isReported
                fit(report, to: expected)
            }
            track.isReported = true
            track.lateness.reset()
        } else {
            // A clock and its wall clock run alike. An eighth is far more than any drift, and less than standing still.
            let elapsed = report.arrival &- track.reportedAt
            let reach = min(Self.stepNanoseconds, 50_000_000 + elapsed / 8)
            hasStepped = distance(report.origin &+ offset, expected) > reach
            if hasStepped { fit(report, to: expected) }
        }
        if !hasStepped { publish(report, mode) }
        track.reported = ClockMapping(timestamp: timestamp, nanoseconds: report.origin &+ offset)
        track.reportedAt = report.arrival
        isReported = true
        isPlaced = true
        samples.add(Self.sample(report), at: report.arrival, span: Self.sampleSpan)
        if !track.isTold || mode == .origin { track.told = track.reported }
        return isFirst ? .first : hasStepped ? .stepped : .again
    }

    private mutating func fit(_ report: SourceReport, to expected: Int64) {
        offset = expected &- report.origin
        hasOffset = true
        samples.reset()
    }

    /// With the source's clock its time is passed on as it is, unless it is no date.
    private mutating func publish(_ report: SourceReport, _ mode: ClockPolicy) {
        passesOrigin = mode == .origin && report.origin >= Self.firstDate
        published = passesOrigin ? 0 &- offset : wall
    }

    /// Whether the wall clock says nothing: it is absent (0, RFC 3550 section 6.4.1), or has not moved.
    private func isStill(_ report: SourceReport) -> Bool {
        report.origin == 0 || report.origin == last.origin && report.arrival &- last.arrival > Self.stillNanoseconds
    }

    /// When a time line's first packet is by the report that came before it; nil when that cannot be true. `estimate` is when it is as far as
    /// arrival tells.
    mutating func place(_ early: SourceReport, timestamp: UInt32, clockRate: UInt32, estimate: Int64, isNewEpoch: Bool) -> Int64? {
        guard early.origin != 0 else { return nil }
        let origin = ClockMapping(timestamp: early.timestamp, nanoseconds: early.origin).nanoseconds(of: timestamp, clockRate: clockRate)
        let time = origin &+ offset
        guard distance(origin, early.origin) <= Self.reachNanoseconds else { return nil }
        if isNewEpoch { return distance(time, estimate) <= Self.reachNanoseconds ? time : nil }
        // Unannounced: the wall clock may be another one as well.
        if hasOffset, distance(time, estimate) <= Self.stepNanoseconds { return time }
        offset = estimate &- origin
        hasOffset = true
        samples.reset()
        return estimate
    }

    /// Notes that a track was placed by the offset, moved by `raise` so that time does not go back.
    mutating func place(raise: Int64) {
        offset &+= raise
        if passesOrigin { published &-= raise }
        isPlaced = true
    }

    /// How far the lines of all tracks move now, and the time that has passed since the last call.
    mutating func slew(at now: UInt64) -> (shift: Int64, elapsed: UInt64) {
        let elapsed = now &- slewedAt
        // Less than the arithmetic can tell: it is kept for the next call.
        guard elapsed >= 1_000_000 else { return (0, 0) }
        slewedAt = now
        guard isReported, let sample = samples.value else { return (0, elapsed) }
        let shift = bounded(sample &- offset, by: amount(Self.driftPerSecond, elapsed))
        offset &+= shift
        if passesOrigin { published &-= shift }
        return (shift, elapsed)
    }
}
