/// Windows Media of other servers that players name in full.
public struct ForwardProxyOverview: Sendable, Codable, Equatable {
    /// What is carried just now: contents, each a path, and the servers that they are on.
    public var targets = 0
    /// How many may be carried at a time.
    public var targetsMax = 0
    /// Those that were carried since the start.
    public var targetsEver = 0
    /// The servers that ``targets`` are on.
    public var origins = 0
    /// How many that may be at a time.
    public var originsMax = 0
    /// Requests that found no room for one more, of either.
    public var targetsRefused = 0
    /// Targets that could not be had and are remembered.
    public var negatives = 0
    /// How many such are remembered at most.
    public var negativesMax = 0
    /// Requests that were answered by that.
    public var negativeAnswers = 0
}

extension ForwardProxy {
    /// What it carries just now.
    var overview: ForwardProxyOverview {
        ForwardProxyOverview(
            targets: targets.count, targetsMax: settings.targetsMax, targetsEver: counters.made, origins: originCount,
            originsMax: settings.originsMax, targetsRefused: counters.full, negatives: negativeCount, negativesMax: settings.negativesMax,
            negativeAnswers: negativeAnswers)
    }
}
