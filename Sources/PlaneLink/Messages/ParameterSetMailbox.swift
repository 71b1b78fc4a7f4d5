import Synchronization

/// By which the engine shows the parameter sets that a stream's tracks carry: one box for each track, which belongs to one side at a time.
///
/// While a box is empty it is the engine's: it writes there what it finds, and hands it over with ``Report/parameterSets(_:track:)``. Until
/// the control plane empties it the engine leaves it alone, whatever the source sends. So neither waits for the other, and a source
/// whose sets change all the time costs as much as the control plane allows.
@safe public struct ParameterSetMailbox: @unchecked Sendable, BitwiseCopyable {
    // Sendable because a box's bytes are touched by one side at a time, and its atomic says by which.
    private let states: UnsafeMutablePointer<Atomic<UInt64>>
    private let bytes: UnsafeMutableRawPointer

    /// Bytes of one box. Sets are rarely more than 200 together; a set that does not fit is not learnt.
    public static let bytesMax = 2_048

    init() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: tracksPerStreamMax * 8, alignment: 64)
        unsafe states = memory.bindMemory(to: Atomic<UInt64>.self, capacity: tracksPerStreamMax)
        for track in 0..<tracksPerStreamMax { unsafe (states + track).initialize(to: Atomic(0)) }
        unsafe bytes = UnsafeMutableRawPointer.allocate(byteCount: tracksPerStreamMax * Self.bytesMax, alignment: 64)
        unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0, count: tracksPerStreamMax * Self.bytesMax)
    }

    /// Whether a track's box is the engine's.
    public func isEmpty(_ track: Int) -> Bool {
        precondition(track >= 0 && track < tracksPerStreamMax)
        return unsafe states[track].load(ordering: .acquiring) == 0
    }

    /// The engine: the box, ``bytesMax`` bytes, while it is empty.
    @unsafe public func box(_ track: Int) -> UnsafeMutableRawPointer {
        precondition(track >= 0 && track < tracksPerStreamMax)
        return unsafe bytes + track * Self.bytesMax
    }

    /// The engine: hands over the first `count` bytes, NAL units with two bytes of length before each, the higher one first.
    public func fill(_ track: Int, count: Int) {
        precondition(track >= 0 && track < tracksPerStreamMax && count > 0 && count <= Self.bytesMax)
        unsafe states[track].store(UInt64(count), ordering: .releasing)
    }

    /// The control plane: the NAL units in the box; none when it is empty. It stays full until ``empty(_:)``.
    public func units(_ track: Int) -> [[UInt8]] {
        precondition(track >= 0 && track < tracksPerStreamMax)
        let count = unsafe Int(states[track].load(ordering: .acquiring))
        let all = unsafe Array(UnsafeRawBufferPointer(start: box(track), count: min(count, Self.bytesMax)))
        var units: [[UInt8]] = []
        var offset = 0
        while all.count - offset >= 2 {
            let end = offset + 2 + Int(all[offset]) << 8 + Int(all[offset + 1])
            guard end <= all.count else { break }
            units.append(Array(all[(offset + 2)..<end]))
            offset = end
        }
        return units
    }

    /// The control plane: gives the box back to the engine.
    public func empty(_ track: Int) {
        precondition(track >= 0 && track < tracksPerStreamMax)
        unsafe states[track].store(0, ordering: .releasing)
    }

    func free() {
        unsafe states.deinitialize(count: tracksPerStreamMax)
        unsafe states.deallocate()
        unsafe bytes.deallocate()
    }
}
