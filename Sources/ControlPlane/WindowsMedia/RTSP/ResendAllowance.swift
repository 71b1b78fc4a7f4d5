import NIOCore

/// How many packets a player may be sent once more: so many at once, and so many a second. Whoever can make a server send more than it was
/// asked for could turn it against others.
struct ResendAllowance {
    /// What a player that loses one packet in ten of 4 Mbit/s needs, three times.
    static let packetsPerSecond = 120
    /// What was lost in a second of it.
    static let packetsAtOnce = 400

    private var left = Double(packetsAtOnce)
    private var last: NIODeadline

    init(now: NIODeadline) { last = now }

    /// Whether so many may go.
    mutating func take(_ packets: Int, now: NIODeadline) -> Bool {
        let seconds = max(Double((now - last).nanoseconds), 0) / 1e9
        last = now
        left = min(left + seconds * Double(Self.packetsPerSecond), Double(Self.packetsAtOnce))
        guard packets >= 0, Double(packets) <= left else { return false }
        left -= Double(packets)
        return true
    }
}
