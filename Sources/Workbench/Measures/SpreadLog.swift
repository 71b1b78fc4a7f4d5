/// How far apart the sampled readers get the same packet, where the kernel's filter cannot watch all of them.
package struct SpreadLog: Sendable {
    private struct Slot {
        var timestamp: UInt32 = 0
        var readers = 0
        var packet = PacketSpread(sequence: 0, firstNanoseconds: 0, lastNanoseconds: 0)
    }

    /// Packets that may be under way to the readers at a time.
    private static let slotCount = 8_192
    private var slots: [Slot]
    private let readers: Int
    /// Packets that every reader had.
    package private(set) var packets: [PacketSpread] = []

    /// For so many readers of the same track.
    package init(readers: Int) {
        self.readers = readers
        slots = Array(repeating: Slot(), count: Self.slotCount)
    }

    /// Notes that one reader got a packet.
    package mutating func take(sequence: UInt16, timestamp: UInt32, arrivalNanoseconds: UInt64) {
        let index = Int(sequence) % Self.slotCount
        var slot = slots[index]
        if slot.readers == 0 || slot.packet.sequence != sequence || slot.timestamp != timestamp {
            slot = Slot(
                timestamp: timestamp,
                packet: .init(sequence: sequence, firstNanoseconds: arrivalNanoseconds, lastNanoseconds: arrivalNanoseconds))
        }
        slot.readers += 1
        slot.packet.firstNanoseconds = min(slot.packet.firstNanoseconds, arrivalNanoseconds)
        slot.packet.lastNanoseconds = max(slot.packet.lastNanoseconds, arrivalNanoseconds)
        if slot.readers == readers, packets.count < ArrivalLog.pointsMax { packets.append(slot.packet) }
        slots[index] = slot
    }

    /// Milliseconds from first to last reader; nil with fewer than two readers, or when the server numbers each reader's
    /// packets differently.
    package var percentiles: Percentiles? { readers < 2 ? nil : Percentiles(of: packets.map(\.milliseconds)) }
}
