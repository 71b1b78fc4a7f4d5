/// Decides when a slate begins and ends. Pure: it is shown the source's counters now and then.
struct SlateWatch {
    /// What is to be done.
    enum Step: Equatable { case begin, end }

    /// What is seen at one moment.
    struct Sight {
        /// Packets of the pacing track that the source sent so far.
        var packets: UInt64
        /// Packets of it that came, and wait to be put in order.
        var waiting: UInt64 = 0
        /// From one of its frames to the next; 0: not known.
        var frameNanoseconds: UInt64 = 0
        /// Whether the source is there, as far as its connection tells.
        var isConnected = true
        /// Whether somebody reads, or wants to.
        var isWatched = true
        /// Nanoseconds of a clock that goes forward.
        var now: UInt64
    }

    /// Nothing may come for so long.
    let afterNanoseconds: UInt64
    private(set) var isOn = false
    private var packets: UInt64 = 0
    private var changedAt: UInt64 = 0

    /// A source of few frames is away when this many did not come.
    private static let framesMissedMin: UInt64 = 3

    init(afterMilliseconds: Int) { afterNanoseconds = UInt64(clamping: afterMilliseconds) * 1_000_000 }

    /// Looks.
    mutating func look(_ sight: Sight) -> Step? {
        if sight.packets != packets {
            packets = sight.packets
            changedAt = sight.now
            return turn(false)
        }
        if isOn { return sight.isWatched ? nil : turn(false) }
        // A gap is being waited for: behind it the source goes on.
        if sight.waiting > 0 { changedAt = sight.now }
        // Before its first packet a source is not away.
        guard packets > 0, sight.isWatched else { return nil }
        let frames = sight.frameNanoseconds.multipliedReportingOverflow(by: Self.framesMissedMin)
        let wait = sight.isConnected && !frames.overflow ? max(afterNanoseconds, frames.partialValue) : afterNanoseconds
        return sight.now &- changedAt >= wait ? turn(true) : nil
    }

    private mutating func turn(_ on: Bool) -> Step? {
        guard isOn != on else { return nil }
        isOn = on
        return on ? .begin : .end
    }
}
