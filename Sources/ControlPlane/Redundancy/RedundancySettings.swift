import PlaneLink

/// What a path does with several sources.
package struct RedundancySettings: Sendable, Equatable {
    /// What backups do while they are not needed.
    package enum Standby: String, Sendable, CaseIterable {
        /// Nothing: they are dialled when the source before them fails.
        case cold
        /// They are dialled and described, so that taking one is a matter of one PLAY.
        case warm
    }

    /// Taken in this order when the path's own source fails.
    package var backups: [PathSettings.Source] = []
    package var standby = Standby.cold
    /// A source before the one that plays is gone back to when it has been well for so long, in milliseconds; nil: what plays goes on
    /// until it fails.
    package var failbackMilliseconds: Int? = 30_000

    /// All sources play at once, and each packet is taken from whichever brings it first.
    package var merges = false
    /// How long a packet that one source lost is waited for from another, in milliseconds; nil: ``mergeDelayMillisecondsDefault``.
    package var mergeDelayMilliseconds: Int?
    /// How long a packet that is missing is waited for, in milliseconds; 0: not at all.
    package var jitterBufferMilliseconds = 0

    /// SMPTE ST 2022-7's classes A and B allow for 10 ms and 50 ms between two paths.
    package static let mergeDelayMillisecondsDefault = 50
    /// Packets wait no longer than this.
    package static let delayMillisecondsMax = 2_000

    /// Backups of one path at a time.
    package static let backupsMax = 3

    /// The defaults.
    package init() {}
}

extension PathSettings {
    /// The keys of a path that are about several sources.
    static let redundancyFields: [Field<PathSettings>] = [
        Field(
            key: "backups", set: { (path, text) throws(ValueProblem) in path.redundancy.backups = try RedundancySettings.sources(text) },
            isSecret: true, isList: true, listSeparator: "\n"),
        Field(key: "standby") { (path, text) throws(ValueProblem) in
            path.redundancy.standby = try SettingValue.word(text, of: RedundancySettings.Standby.self)
        },
        Field(key: "failback-after") { (path, text) throws(ValueProblem) in
            path.redundancy.failbackMilliseconds = text == "never" ? nil : try SettingValue.milliseconds(text, max: 86_400_000)
        },
        Field(key: "merge") { (path, text) throws(ValueProblem) in path.redundancy.merges = try SettingValue.flag(text) },
        Field(key: "merge-delay") { (path, text) throws(ValueProblem) in
            path.redundancy.mergeDelayMilliseconds = max(
                try SettingValue.milliseconds(text, max: RedundancySettings.delayMillisecondsMax), 1)
        },
        Field(key: "jitter-buffer") { (path, text) throws(ValueProblem) in
            path.redundancy.jitterBufferMilliseconds =
                text == "off" ? 0 : try SettingValue.milliseconds(text, max: RedundancySettings.delayMillisecondsMax)
        },
    ]
}

extension RedundancySettings {
    /// How the engine is to put packets in order; nil: it takes them as they come.
    var reorderPlan: ReorderPlan? {
        let isMerged = merges && !backups.isEmpty
        let delay = max(isMerged ? mergeDelayMilliseconds ?? Self.mergeDelayMillisecondsDefault : 0, jitterBufferMilliseconds)
        guard delay > 0 else { return nil }
        return ReorderPlan(legs: isMerged ? backups.count + 1 : 1, waitNanosecondsMax: UInt64(delay) &* 1_000_000)
    }

    /// Reads the items of a list, one a line, or words with blanks between them.
    static func sources(_ text: String) throws(ValueProblem) -> [PathSettings.Source] {
        let items = text.contains("\n") ? text.split(separator: "\n") : text.split(separator: " ")
        guard items.count <= backupsMax else { throw ValueProblem("it names \(items.count) sources; at most \(backupsMax) are possible") }
        var sources: [PathSettings.Source] = []
        for item in items {
            let source = try PathSettings.Source(String(item), takesCustom: true)
            guard source != .publish else {
                throw ValueProblem("`publish` cannot be a backup: nobody can be asked to publish; write a URL or a file")
            }
            sources.append(source)
        }
        return sources
    }
}

extension Configuration {
    /// What is wrong with the paths' several sources beyond single values, each with its path and key.
    var redundancyProblems: [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        for path in paths {
            func report(_ key: String, _ problem: String) { problems.append(("paths.\(path.name).\(key)", problem)) }
            let settings = path.redundancy
            guard !settings.backups.isEmpty else {
                for (key, isSet) in [
                    ("standby", settings.standby != .cold), ("failback-after", settings.failbackMilliseconds != 30_000),
                    ("merge", settings.merges), ("merge-delay", settings.mergeDelayMilliseconds != nil),
                ] where isSet {
                    report(key, "it is about backups, and the path has none; write `backups:` with a list of sources")
                }
                continue
            }
            if settings.mergeDelayMilliseconds != nil, !settings.merges {
                report("merge-delay", "it is about sources that play at once; write `merge: true`")
            }
            for (key, isSet) in [("standby", settings.standby != .cold), ("failback-after", settings.failbackMilliseconds != 30_000)]
            where isSet && settings.merges {
                report(key, "it is about backups that wait, and with `merge: true` all sources play at once; leave it out")
            }
            if path.source == .publish {
                report("backups", "a path that waits for a publisher cannot have backups; write `source:` with a URL or a file")
            }
            if let twice = settings.backups.enumerated().first(where: { $1 == path.source || settings.backups.prefix($0).contains($1) }) {
                report("backups", "\(twice.element) stands there twice: a source cannot stand in for itself")
            }
        }
        return problems
    }
}
