/// Whether what breaks is worth going on with: an origin whose media ends before its time would be asked for its end for ever.
struct ReplayProgress {
    /// Where it broke last.
    private var brokeAt: Int64?

    /// What is played between two breaks, at least.
    static let microsecondsMin: Int64 = 1_000_000

    /// It broke at that place of the media: whether the origin is to be asked for the rest.
    mutating func goesOn(from reached: Int64) -> Bool {
        defer { brokeAt = reached }
        guard let brokeAt else { return true }
        return reached >= brokeAt + Self.microsecondsMin
    }
}
