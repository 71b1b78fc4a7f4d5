/// Exact percentiles of a set of samples, by nearest rank: a value that was really measured.
package struct Percentiles: Equatable, Sendable {
    /// The middle.
    package let p50: Double
    /// What one in a hundred exceeds.
    package let p99: Double
    /// The largest.
    package let max: Double

    /// Nil without samples. Sorts them in place.
    package init?(_ samples: inout [Double]) {
        guard !samples.isEmpty else { return nil }
        samples.sort()
        p50 = samples[Self.rank(50, of: samples.count)]
        p99 = samples[Self.rank(99, of: samples.count)]
        max = samples[samples.count - 1]
    }

    /// Nil without samples.
    package init?(of samples: [Double]) {
        var copy = samples
        self.init(&copy)
    }

    private static func rank(_ percent: Int, of count: Int) -> Int {
        // The smallest index that at least `percent` of the samples do not exceed.
        Swift.max(0, (count * percent + 99) / 100 - 1)
    }

    /// `{"p50":…,"p99":…}`, with `max` if wanted; `null` members without samples.
    package static func json(_ percentiles: Percentiles?, withMax: Bool) -> JSONValue {
        var members: [JSONValue.JSONMember] = [
            .init(name: "p50", value: .optional(percentiles?.p50)),
            .init(name: "p99", value: .optional(percentiles?.p99)),
        ]
        if withMax { members.append(.init(name: "max", value: .optional(percentiles?.max))) }
        return .object(members)
    }
}

/// The middle value, of an even number the mean of the two middle ones; nil without values.
package func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
