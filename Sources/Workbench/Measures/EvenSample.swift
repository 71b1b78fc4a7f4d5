/// Which of many are looked at closely: spread evenly from the first to the last, since servers send in order and neighbours say
/// little about how far apart the ends are.
package struct EvenSample: Equatable, Sendable {
    /// The indices, ascending.
    package let indices: [Int]
    private let members: Set<Int>

    /// At most `max` of `count`.
    package init(max: Int, of count: Int) {
        let size = Swift.max(0, Swift.min(max, count))
        indices = size < 2 ? Array(0..<size) : (0..<size).map { $0 * (count - 1) / (size - 1) }
        members = Set(indices)
    }

    /// How many there are.
    package var count: Int { indices.count }
    /// Whether one of the many is among them.
    package func contains(_ index: Int) -> Bool { members.contains(index) }
}
