/// How far apart the sampled readers get the same packet: from the first of them to the last.
package struct SpreadLog: Sendable {
    private struct Slot {
        var sequence: UInt16 = 0
        var timestamp: UInt32 = 0
        var readers = 0
        var first: UInt64 = 0
        var last: UInt64 = 0
    }

    /// Packets that may be under way to the readers at a time.
    private static let slotCount = 8_192
    private var slots: [Slot]
    private var spreads: [Double] = []
    private let readers: Int

    /// For so many readers of the same track. A packet counts when every one of them had it.
    package init(readers: Int) {
        self.readers = readers
        slots = Array(repeating: Slot(), count: Self.slotCount)
    }

    /// Notes that one reader got a packet.
    package mutating func take(sequence: UInt16, timestamp: UInt32, arrivalNanoseconds: UInt64) {
        let index = Int(sequence) % Self.slotCount
        var slot = slots[index]
        if slot.readers == 0 || slot.sequence != sequence || slot.timestamp != timestamp {
            slot = Slot(sequence: sequence, timestamp: timestamp, first: arrivalNanoseconds, last: arrivalNanoseconds)
        }
        slot.readers += 1
        slot.first = min(slot.first, arrivalNanoseconds)
        slot.last = max(slot.last, arrivalNanoseconds)
        if slot.readers == readers, spreads.count < ArrivalLog.pointsMax {
            spreads.append(Double(slot.last - slot.first) / 1e6)
        }
        slots[index] = slot
    }

    /// Milliseconds from first to last reader; nil with fewer than two readers, or when the server numbers each reader's
    /// packets differently.
    package var percentiles: Percentiles? { readers < 2 ? nil : Percentiles(of: spreads) }
}
