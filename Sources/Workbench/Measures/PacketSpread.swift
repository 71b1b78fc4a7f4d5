/// When one packet came to the first and to the last of several readers.
package struct PacketSpread: Equatable, Sendable, Codable {
    /// RTP sequence number.
    package var sequence: UInt16
    /// Arrival at the first of the readers, nanoseconds of a clock that all of them share.
    package var firstNanoseconds: UInt64
    /// Arrival at the last of them.
    package var lastNanoseconds: UInt64

    /// A packet's first and last arrival.
    package init(sequence: UInt16, firstNanoseconds: UInt64, lastNanoseconds: UInt64) {
        self.sequence = sequence
        self.firstNanoseconds = firstNanoseconds
        self.lastNanoseconds = lastNanoseconds
    }

    /// From first to last.
    package var milliseconds: Double {
        lastNanoseconds > firstNanoseconds ? Double(lastNanoseconds - firstNanoseconds) / 1e6 : 0
    }

    /// Equal numbers further apart than this are two packets: numbers come again.
    private static let samePacketNanosecondsMax: UInt64 = 30_000_000_000

    /// The packets that every group of readers saw, from the first reader of any group to the last of any.
    package static func merged(_ groups: [[PacketSpread]]) -> [PacketSpread] {
        guard var merged = groups.first else { return [] }
        for group in groups.dropFirst() {
            let others = Dictionary(grouping: group, by: \.sequence)
            merged = merged.compactMap { packet in
                func distance(_ other: PacketSpread) -> UInt64 {
                    max(packet.firstNanoseconds, other.firstNanoseconds) - min(packet.firstNanoseconds, other.firstNanoseconds)
                }
                guard let other = others[packet.sequence]?.min(by: { distance($0) < distance($1) }),
                    distance(other) <= samePacketNanosecondsMax
                else { return nil }
                return PacketSpread(
                    sequence: packet.sequence, firstNanoseconds: min(packet.firstNanoseconds, other.firstNanoseconds),
                    lastNanoseconds: max(packet.lastNanoseconds, other.lastNanoseconds))
            }
        }
        return merged
    }
}
