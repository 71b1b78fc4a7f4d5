/// A sender report of the source: one moment on its wall clock and on a track's clock.
struct SourceReport: BitwiseCopyable, Equatable {
    var ssrc: UInt32 = 0
    /// The source's wall clock, in nanoseconds from 1900 (``ntpNanoseconds(_:)``).
    var origin: Int64 = 0
    /// The track's clock, in the source's numbers.
    var timestamp: UInt32 = 0
    /// Monotonic nanoseconds.
    var arrival: UInt64 = 0

    /// NTP time in nanoseconds. The end of the era in 2036 shows as a step.
    static func ntpNanoseconds(_ ntp: UInt64) -> Int64 {
        Int64(ntp >> 32) * ClockMapping.second + Int64(((ntp & 0xFFFF_FFFF) * 1_000_000_000) >> 32)
    }

    /// Nanoseconds as NTP time, modulo an era.
    static func ntp(_ nanoseconds: Int64) -> UInt64 {
        var (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: ClockMapping.second)
        if rest < 0 {
            rest += ClockMapping.second
            seconds &-= 1
        }
        // Rounded up, so that what is read back as nanoseconds is the same.
        return UInt64(bitPattern: seconds) << 32 &+ ((UInt64(rest) << 32) &+ 999_999_999) / 1_000_000_000
    }
}

/// One track's place in the stream's time (``StreamClock``): what readers have been told of its clock, and what would be true.
///
/// Timestamps are as readers see them, time is the relay's own monotonic clock. The line told outlives the source's time lines: a new one is
/// fitted to it. Where the two differ, the line told moves toward the true one so slowly that no player hears it; timestamps of packets
/// are never touched for that.
struct TrackClock: BitwiseCopyable {
    /// What reports tell, and what splices are fitted to; once the track has a packet.
    var told = ClockMapping()
    var hasLine = false
    /// Readers have had a report of the track: from now on `told` moves slowly.
    var isTold = false
    /// What the source's reports say, once the present time line has one.
    var reported = ClockMapping()
    var isReported = false
    var reportedAt: UInt64 = 0
    /// A report that may belong to a time line that has no packet yet.
    var early = SourceReport()
    var hasEarly = false
    /// How much later than their time packets arrive, by `reported` where it is known, else by `told`.
    var lateness = MinimumWindow()
    /// The same of earlier time lines that had reports: a queue or an encoder that delays this track more than others.
    var latenessUsual: Int64 = 0
    /// When the track's first packet came.
    var began: UInt64 = 0

    /// How long packets are watched for the one that nothing delayed.
    static var latenessSpan: UInt64 { 4_000_000_000 }
    /// How fast what readers were told moves to what the source reports: with ``StreamClock/driftPerSecond`` 5 ms in a second.
    static var slewPerSecond: Int64 { 4_000_000 }

    /// Forgets what holds for one time line of the source only.
    mutating func beginLine() {
        if isReported, let usual = lateness.value { latenessUsual = usual }
        isReported = false
        lateness.reset()
    }

    /// The line by which the track's packets are judged.
    var line: ClockMapping { isReported ? reported : told }

    /// When a packet that arrives now was probably due: as far as arrival alone can tell.
    func estimate(at now: UInt64) -> Int64 { Int64(truncatingIfNeeded: now) &- latenessUsual }

    /// Takes notice of a packet that is newer than those before.
    mutating func arrived(timestamp: UInt32, clockRate: UInt32, at now: UInt64) {
        if told.isFar(from: timestamp, clockRate) {
            told.follow(timestamp: timestamp, clockRate: clockRate)
            reported.follow(timestamp: timestamp, clockRate: clockRate)
        }
        let late = Int64(truncatingIfNeeded: now) &- line.nanoseconds(of: timestamp, clockRate: clockRate)
        lateness.add(late, at: now, span: Self.latenessSpan)
    }

    /// Lets `told` come nearer to what is true. `shift` is what all tracks of the stream move by, `elapsed` the time since the last call.
    mutating func slew(shift: Int64, elapsed: UInt64, clockRate: UInt32) {
        guard hasLine else { return }
        if isReported {
            reported.nanoseconds &+= shift
            lateness.shift(by: 0 &- shift)
            told.nanoseconds &+= shift
            let error = self.error(clockRate)
            told.nanoseconds &+= isTold ? bounded(error, by: amount(Self.slewPerSecond, elapsed)) : error
        } else if let late = lateness.value {
            // Arrival alone. What comes earlier than it can was placed too late. What comes later may be a clock that drifts, which is
            // to be followed, or a queue that grows, which is not.
            let error = late &- latenessUsual
            let speed = error < 0 ? Self.slewPerSecond : lateness.settled != nil ? StreamClock.driftPerSecond : 0
            let step = isTold ? bounded(error, by: amount(speed, elapsed)) : error
            told.nanoseconds &+= step
            lateness.shift(by: 0 &- step)
        }
    }

    /// How far `told` is from what is known: from what the source reports, or from what cannot be by arrival.
    func error(_ clockRate: UInt32) -> Int64 {
        if isReported { return reported.nanoseconds(of: told.timestamp, clockRate: clockRate) &- told.nanoseconds }
        guard let late = lateness.value else { return 0 }
        return min(late &- latenessUsual, 0)
    }
}

extension ClockMapping {
    /// Whether the known moment should be moved along: well before half a turn of the timestamps.
    func isFar(from timestamp: UInt32, _ clockRate: UInt32) -> Bool {
        let ticks = Int32(bitPattern: timestamp &- self.timestamp).magnitude
        return ticks > 1 << 28 || ticks / 16 > clockRate
    }
}

/// What may be moved in a span of time at a speed in nanoseconds per second.
func amount(_ perSecond: Int64, _ elapsed: UInt64) -> Int64 {
    // An hour is more than anything needs.
    Int64(min(elapsed, 3_600_000_000_000)) / 1_000_000 * perSecond / 1_000
}
