/// Distances on the circles that RTP counts on. Half of a circle ahead is the farthest; exactly half counts as behind.
package enum SequenceArithmetic {
    /// How far `to` is ahead of `from`, negative if it is behind.
    @inlinable package static func distance(from: UInt16, to: UInt16) -> Int16 { Int16(bitPattern: to &- from) }

    /// How far `to` is ahead of `from`, negative if it is behind.
    @inlinable package static func distance(from: UInt32, to: UInt32) -> Int32 { Int32(bitPattern: to &- from) }

    /// The number of 64 bits nearest to `reference` whose low 16 bits are `sequence`.
    @inlinable package static func extended(_ sequence: UInt16, near reference: Int64) -> Int64 {
        reference &+ Int64(distance(from: UInt16(truncatingIfNeeded: reference), to: sequence))
    }

    /// The number of 64 bits nearest to `reference` whose low 32 bits are `timestamp`.
    @inlinable package static func extended(_ timestamp: UInt32, near reference: Int64) -> Int64 {
        reference &+ Int64(distance(from: UInt32(truncatingIfNeeded: reference), to: timestamp))
    }
}
