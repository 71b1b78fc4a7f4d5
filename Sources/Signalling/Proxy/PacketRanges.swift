/// Which packets (units) of an object are here: ranges that are sorted and do not touch each other, and not too many of them.
package struct PacketRanges: Sendable, Hashable {
    /// More are not held: 4,096 ranges of an hour are less than a second each.
    package static let countMaxDefault = 4_096

    /// Sorted; no two touch.
    package private(set) var ranges: [Range<Int>] = []
    /// What would make one range more is refused.
    package let countMax: Int
    /// How many packets are here.
    package private(set) var count = 0

    /// Nothing is here.
    package init(countMax: Int = Self.countMaxDefault) { self.countMax = max(1, countMax) }

    /// What an index says. Nil when they are not sorted, touch each other, are empty, begin below 0, or are too many: then the index is wrong.
    package init?(_ ranges: [Range<Int>], countMax: Int = Self.countMaxDefault) {
        self.init(countMax: countMax)
        guard ranges.count <= self.countMax else { return nil }
        var end = -1
        for range in ranges {
            guard !range.isEmpty, range.lowerBound > end else { return nil }
            end = range.upperBound
            count += range.count
        }
        self.ranges = ranges
    }

    /// All of so many.
    package init(all count: Int) {
        self.init()
        insert(0..<max(0, count))
    }

    /// Nothing is here.
    package var isEmpty: Bool { ranges.isEmpty }

    /// Takes a range in. False, and nothing changes, when that would make more ranges than ``countMax``, or it begins below 0.
    @discardableResult package mutating func insert(_ range: Range<Int>) -> Bool {
        guard range.lowerBound >= 0 else { return false }
        guard !range.isEmpty else { return true }
        // All that overlap it or touch it become one with it.
        let low = firstIndex { $0.upperBound >= range.lowerBound }
        let high = firstIndex { $0.lowerBound > range.upperBound }
        guard low < high else {
            guard ranges.count < countMax else { return false }
            ranges.insert(range, at: low)
            count += range.count
            return true
        }
        let joined = min(ranges[low].lowerBound, range.lowerBound)..<max(ranges[high - 1].upperBound, range.upperBound)
        count += joined.count - ranges[low..<high].reduce(0) { $0 + $1.count }
        ranges.replaceSubrange(low..<high, with: CollectionOfOne(joined))
        return true
    }

    /// Takes a range out, as of a block that is damaged. False, and nothing changes, when that would make too many ranges.
    @discardableResult package mutating func remove(_ range: Range<Int>) -> Bool {
        guard !range.isEmpty else { return true }
        let low = firstIndex { $0.upperBound > range.lowerBound }
        let high = firstIndex { $0.lowerBound >= range.upperBound }
        guard low < high else { return true }
        var left: [Range<Int>] = []
        if ranges[low].lowerBound < range.lowerBound { left.append(ranges[low].lowerBound..<range.lowerBound) }
        if ranges[high - 1].upperBound > range.upperBound { left.append(range.upperBound..<ranges[high - 1].upperBound) }
        guard ranges.count - (high - low) + left.count <= countMax else { return false }
        count += left.reduce(0) { $0 + $1.count } - ranges[low..<high].reduce(0) { $0 + $1.count }
        ranges.replaceSubrange(low..<high, with: left)
        return true
    }

    /// Whether a packet is here.
    package func contains(_ packet: Int) -> Bool { firstMissing(from: packet) > packet }

    /// Whether all of a range are.
    package func contains(_ range: Range<Int>) -> Bool { range.isEmpty || firstMissing(from: range.lowerBound) >= range.upperBound }

    /// The first that is not here from `packet` on; there always is one.
    package func firstMissing(from packet: Int) -> Int {
        let index = firstIndex { $0.upperBound > packet }
        return index < ranges.count && ranges[index].lowerBound <= packet ? ranges[index].upperBound : packet
    }

    /// What is here from `packet` on without a gap; empty when it is not here itself.
    package func run(from packet: Int) -> Range<Int> { packet..<firstMissing(from: packet) }

    /// The first hole from `packet` on that begins below `end`, cut at `end`; nil where all of that is here.
    package func hole(from packet: Int, below end: Int) -> Range<Int>? {
        let start = firstMissing(from: packet)
        guard start < end else { return nil }
        let index = firstIndex { $0.lowerBound > start }
        return start..<(index < ranges.count ? min(ranges[index].lowerBound, end) : end)
    }

    /// All holes of an object of so many packets.
    package func holes(of count: Int) -> [Range<Int>] {
        var holes: [Range<Int>] = []
        var place = 0
        while let hole = hole(from: place, below: count) {
            holes.append(hole)
            place = hole.upperBound
        }
        return holes
    }

    /// Whether all packets of an object of so many are here.
    package func isWhole(_ count: Int) -> Bool { contains(0..<max(0, count)) }

    /// The first range of which it is true; it is of all behind one of which it is.
    private func firstIndex(where isTrue: (Range<Int>) -> Bool) -> Int {
        var low = 0, high = ranges.count
        while low < high {
            let middle = low + (high - low) / 2
            if isTrue(ranges[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
