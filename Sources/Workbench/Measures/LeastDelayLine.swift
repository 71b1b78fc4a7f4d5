/// How late packets are, without a common clock: the line through the RTP timestamps that no packet arrived before. A packet
/// on it had the least delay; what it lies above the line is its lateness.
///
/// The line's slope may differ from the clock rate by as much as real clocks do and no more, so that drift of a camera's clock
/// is not lateness and a server that falls behind is.
package struct LeastDelayLine: Equatable, Sendable {
    /// One packet: the time its RTP timestamp says and the time it came, both in nanoseconds from any origin.
    package struct Point: Equatable, Sendable {
        /// RTP timestamp ÷ clock rate.
        package var media: Double
        /// When it arrived.
        package var arrival: Double

        /// A packet.
        package init(media: Double, arrival: Double) {
            self.media = media
            self.arrival = arrival
        }
    }

    /// Arrival at media time 0.
    package let offset: Double
    /// Nanoseconds of our clock per nanosecond of media time.
    package let slope: Double

    /// The largest drift taken for a clock's: 200 parts per million.
    package static let driftMax = 200e-6

    /// Of all lines with no packet below, the one with the least lateness in sum. Nil without packets.
    package init?(through points: [Point]) {
        guard let first = points.first else { return nil }
        // The sum of lateness as a function of the slope is convex, and least where the line lies on the lower hull's edge
        // over the mean media time; so the slope is that edge's, brought into what clocks do. For precision everything is
        // taken relative to the first packet.
        let relative = points.map { Point(media: $0.media - first.media, arrival: $0.arrival - first.arrival) }
        let mean = relative.reduce(0) { $0 + $1.media } / Double(relative.count)
        let hull = Self.lowerHull(relative)
        var edge = 1.0
        if let right = hull.firstIndex(where: { $0.media > mean }), right > 0 {
            let a = hull[right - 1]
            let b = hull[right]
            if b.media > a.media { edge = (b.arrival - a.arrival) / (b.media - a.media) }
        }
        let slope = min(max(edge, 1 - Self.driftMax), 1 + Self.driftMax)
        let least = relative.reduce(Double.infinity) { min($0, $1.arrival - slope * $1.media) }
        self.slope = slope
        offset = first.arrival + least - slope * first.media
    }

    /// How far above the line a packet came, nanoseconds; not below 0 but for rounding.
    package func lateness(of point: Point) -> Double {
        point.arrival - (offset + slope * point.media)
    }

    /// The lower convex hull, by media time (Andrew's monotone chain).
    private static func lowerHull(_ points: [Point]) -> [Point] {
        let sorted = points.sorted { ($0.media, $0.arrival) < ($1.media, $1.arrival) }
        var hull: [Point] = []
        for point in sorted {
            while hull.count >= 2 {
                let a = hull[hull.count - 2]
                let b = hull[hull.count - 1]
                let turn = (b.media - a.media) * (point.arrival - a.arrival) - (b.arrival - a.arrival) * (point.media - a.media)
                if turn > 0 { break }
                hull.removeLast()
            }
            hull.append(point)
        }
        return hull
    }
}
