/// Which units of an object are there: ranges, sorted, apart from each other.
struct UnitRanges: Sendable, Equatable {
    private(set) var ranges: [Range<Int>] = []

    init() {}

    /// Sorted or not, touching or not.
    init(_ ranges: [Range<Int>]) { for range in ranges { insert(range) } }

    var isEmpty: Bool { ranges.isEmpty }
    var count: Int { ranges.count }
    /// Units in all.
    var units: Int { ranges.reduce(0) { $0 + $1.count } }

    /// The first range that ends behind `unit`.
    private func place(of unit: Int) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound > unit { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The end of what is there from `unit` on; nil when it is not there.
    func end(ofRunFrom unit: Int) -> Int? {
        let index = place(of: unit)
        return index < ranges.count && ranges[index].contains(unit) ? ranges[index].upperBound : nil
    }

    /// Whether all of a range is there.
    func contains(_ range: Range<Int>) -> Bool {
        range.isEmpty || (end(ofRunFrom: range.lowerBound) ?? range.lowerBound) >= range.upperBound
    }

    /// The parts of a range that are not there, in their order.
    func missing(in range: Range<Int>) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var next = range.lowerBound
        var index = place(of: next)
        while next < range.upperBound {
            guard index < ranges.count, ranges[index].lowerBound < range.upperBound else {
                parts.append(next..<range.upperBound)
                break
            }
            if ranges[index].lowerBound > next { parts.append(next..<ranges[index].lowerBound) }
            next = max(next, ranges[index].upperBound)
            index += 1
        }
        return parts
    }

    mutating func insert(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        // Ranges that touch become one, so a range that ends where this begins belongs to it.
        let first = place(of: range.lowerBound - 1)
        var end = first
        var merged = range
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
            merged = min(merged.lowerBound, ranges[end].lowerBound)..<max(merged.upperBound, ranges[end].upperBound)
            end += 1
        }
        ranges.replaceSubrange(first..<end, with: CollectionOfOne(merged))
    }

    mutating func remove(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        var kept: [Range<Int>] = []
        let first = place(of: range.lowerBound)
        var end = first
        while end < ranges.count, ranges[end].lowerBound < range.upperBound {
            let old = ranges[end]
            if old.lowerBound < range.lowerBound { kept.append(old.lowerBound..<range.lowerBound) }
            if old.upperBound > range.upperBound { kept.append(range.upperBound..<old.upperBound) }
            end += 1
        }
        ranges.replaceSubrange(first..<end, with: kept)
    }

    /// What is in both.
    func intersection(_ other: UnitRanges) -> UnitRanges {
        var result = UnitRanges()
        for range in ranges {
            var part = UnitRanges([range])
            for gap in other.missing(in: range) { part.remove(gap) }
            for piece in part.ranges { result.insert(piece) }
        }
        return result
    }

    /// `0-99,200-299`, as the index holds them.
    var text: String { ranges.map { "\($0.lowerBound)-\($0.upperBound - 1)" }.joined(separator: ",") }

    /// Reads ``text``; nil when it is something else.
    init?(text: String) {
        guard !text.isEmpty else { return }
        var last = -1
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count == 2, let first = Int(ends[0]), let end = Int(ends[1]), first > last, end >= first, end < Int.max else {
                return nil
            }
            ranges.append(first..<(end + 1))
            last = end
        }
        self = UnitRanges(ranges)
    }
}
