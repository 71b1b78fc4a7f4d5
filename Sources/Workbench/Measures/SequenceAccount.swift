/// What the sequence numbers of one RTP stream say about its way here. The rules are those of the filter in the kernel
/// (`CSinks`), so that a sampled reader checks the filter.
package struct SequenceAccount: Equatable, Sendable {
    /// Packets that arrived.
    package private(set) var packets: UInt64 = 0
    /// Numbers that were skipped and have not come since.
    package private(set) var lost: UInt64 = 0
    /// Packets that had come before.
    package private(set) var duplicates: UInt64 = 0
    /// Packets that came after a later one.
    package private(set) var reordered: UInt64 = 0
    /// Jumps back by more than ``restartDistance``: a new sequence.
    package private(set) var restarts: UInt64 = 0

    /// Bit 0: the newest number; which of the 64 newest arrived.
    private var seen: UInt64 = 0
    private var next: UInt16 = 0

    /// A packet this far behind is late; beyond, the sender began anew.
    package static let restartDistance = 3_000
    private static let window = 64

    /// Nothing has arrived yet.
    package init() {}

    /// Counts a packet.
    package mutating func take(_ sequence: UInt16) {
        defer { packets &+= 1 }
        guard packets > 0 else { return begin(at: sequence) }
        let distance = Int(Int16(bitPattern: sequence &- next))
        if distance >= 0 {
            lost &+= UInt64(distance)
            seen = distance + 1 < Self.window ? seen << UInt64(distance + 1) | 1 : 1
            next = sequence &+ 1
            return
        }
        let behind = -distance
        if behind > Self.restartDistance {
            restarts &+= 1
            begin(at: sequence)
        } else if behind > Self.window {
            reordered &+= 1  // too late to know whether it had come: what was counted lost stays lost
        } else {
            let bit: UInt64 = 1 << UInt64(behind - 1)
            if seen & bit != 0 {
                duplicates &+= 1
            } else {
                seen |= bit
                lost &-= 1
                reordered &+= 1
            }
        }
    }

    /// What came before the first counts as seen.
    private mutating func begin(at sequence: UInt16) {
        seen = .max
        next = sequence &+ 1
    }
}
