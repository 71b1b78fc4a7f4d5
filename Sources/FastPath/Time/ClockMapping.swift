/// A straight line between a track's RTP timestamps and time: one moment that is known on both, and the clock's nominal rate.
///
/// Time is in nanoseconds of any clock (`Int64`); timestamps are modulo 2^32, so a timestamp is looked for within half a turn of the known
/// moment: ``follow(timestamp:clockRate:)`` moves that moment along. All arithmetic wraps; no timestamp, rate or time makes it trap.
struct ClockMapping: BitwiseCopyable, Equatable {
    /// The moment that is known.
    var timestamp: UInt32 = 0
    var nanoseconds: Int64 = 0

    /// When a timestamp is.
    func nanoseconds(of timestamp: UInt32, clockRate: UInt32) -> Int64 {
        nanoseconds &+ Self.nanoseconds(ticks: Int32(bitPattern: timestamp &- self.timestamp), clockRate: clockRate)
    }

    /// Where the clock stands at a time, to the nearest tick.
    func timestamp(at time: Int64, clockRate: UInt32) -> UInt32 {
        let rate = Int64(clockRate)
        let (seconds, rest) = (time &- nanoseconds).quotientAndRemainder(dividingBy: Self.second)
        // Rounded to the nearest; `rest` has the sign of the span.
        let half = rest < 0 ? -Self.second / 2 : Self.second / 2
        let ticks = seconds &* rate &+ (rest &* rate &+ half) / Self.second
        return timestamp &+ UInt32(truncatingIfNeeded: ticks)
    }

    /// Moves the known moment along the line, in whole seconds and so without an error, to within a second of a timestamp.
    mutating func follow(timestamp: UInt32, clockRate: UInt32) {
        move(seconds: Int64(Int32(bitPattern: timestamp &- self.timestamp)) / Int64(max(clockRate, 1)), clockRate)
    }

    /// The same to within a second of a time.
    mutating func follow(time: Int64, clockRate: UInt32) { move(seconds: (time &- nanoseconds) / Self.second, clockRate) }

    private mutating func move(seconds: Int64, _ clockRate: UInt32) {
        timestamp &+= UInt32(truncatingIfNeeded: seconds &* Int64(clockRate))
        nanoseconds &+= seconds &* Self.second
    }

    /// A span of ticks; a clock rate of 0 is taken for 1.
    static func nanoseconds(ticks: Int32, clockRate: UInt32) -> Int64 { Int64(ticks) * second / Int64(max(clockRate, 1)) }

    static let second: Int64 = 1_000_000_000
}

/// How far apart two times are, however wild they are.
func distance(_ left: Int64, _ right: Int64) -> UInt64 { (left &- right).magnitude }

/// A number kept within a bound on both sides.
func bounded(_ value: Int64, by bound: Int64) -> Int64 { min(max(value, 0 &- bound), bound) }
