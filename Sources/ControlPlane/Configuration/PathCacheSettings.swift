/// What is kept of one path's source, and how it is asked again.
package struct PathCacheSettings: Sendable, Equatable {
    /// Whether anything is kept.
    package enum Keeping: Sendable, Equatable {
        /// What a source of Windows Media permits; nothing of others.
        case standard
        case no
        /// What the source permits.
        case yes
        /// Also what the source says nothing of. What it forbids (`no-store`, `private`), or asked a password for, is not kept all the same.
        case force
    }

    /// What becomes of an object that is being fetched when its last reader leaves.
    package enum Fill: String, Sendable, CaseIterable {
        /// It is fetched to its end where at least a quarter is here.
        case auto
        case finish
        case stop
    }

    /// What players get while the origin cannot be reached.
    package enum Stale: String, Sendable, CaseIterable {
        /// What is whole and within its age.
        case unreachable
        /// Nothing that would have to be asked about.
        case never
    }

    /// Whether what the operator's own password opens is kept for others.
    package enum OwnCredentials: String, Sendable, CaseIterable {
        case apart, share
    }

    package var keeping = Keeping.standard
    package var fill = Fill.auto
    /// Sessions with the origin that fetch one object at the same time.
    package var fillSessionsMax = 3
    package var stale = Stale.unreachable
    package var ownCredentials = OwnCredentials.apart
    /// Seconds for which what the origin gives no age for holds; nil: it is asked about each time.
    package var ageSeconds: Int?

    /// The keys that were given, for those who have to say that they have no sense here.
    package internal(set) var keys: Set<String> = []

    package init() {}
}

extension Configuration {
    /// The keys at the top of the file that are about the cache on disk.
    static let cacheFields: [Field<Configuration>] = [
        Field(key: "cache-dir") { (section, text) throws(ValueProblem) in
            guard !text.isEmpty else { throw ValueProblem("it is empty; name a directory, or leave it out and nothing is kept") }
            section.cache.directory = text
        },
        Field(key: "cache-size") { (section, text) throws(ValueProblem) in section.cache.bytesMax = Int64(try SettingValue.bytes(text)) },
        Field(key: "cache-object-max") { (section, text) throws(ValueProblem) in
            section.cache.objectBytesMax = Int64(try SettingValue.bytes(text))
        },
        Field(key: "cache-objects-max") { (section, text) throws(ValueProblem) in
            section.cache.objectsMax = try SettingValue.number(text, in: 1...10_000_000)
        },
        Field(key: "cache-age-max") { (section, text) throws(ValueProblem) in
            section.cache.idleSecondsMax = Int64(try SettingValue.milliseconds(text, max: 3_650 * 86_400_000) / 1_000)
        },
        Field(key: "cache-free-min") { (section, text) throws(ValueProblem) in
            section.cache.freeBytesMin = text == "0" ? 0 : Int64(try SettingValue.bytes(text))
        },
        Field(key: "cache-verify-rate") { (section, text) throws(ValueProblem) in
            section.cache.verifyBytesPerSecond = text == "0" ? 0 : try SettingValue.bytes(text)
        },
        Field(key: "cache-open-max") { (section, text) throws(ValueProblem) in
            section.cache.openMax = try SettingValue.number(text, in: 1...100_000)
        },
        Field(key: "cache-memory-max") { (section, text) throws(ValueProblem) in
            section.cacheMemoryBytesMax = try SettingValue.bytes(text)
        },
    ]
}

extension PathSettings {
    /// The keys of a path that are about what is kept of its source.
    static let cacheFields: [Field<PathSettings>] = [
        Field(key: "cache") { (path, text) throws(ValueProblem) in
            switch text {
            case "yes", "true", "on": path.cache.keeping = .yes
            case "no", "false", "off": path.cache.keeping = .no
            case "force": path.cache.keeping = .force
            default: throw ValueProblem("`\(text)` is none of yes, no and force")
            }
            path.cache.keys.insert("cache")
        },
        Field(key: "cache-fill") { (path, text) throws(ValueProblem) in
            path.cache.fill = try SettingValue.word(text, of: PathCacheSettings.Fill.self)
            path.cache.keys.insert("cache-fill")
        },
        Field(key: "cache-fill-sessions") { (path, text) throws(ValueProblem) in
            path.cache.fillSessionsMax = try SettingValue.number(text, in: 1...16)
            path.cache.keys.insert("cache-fill-sessions")
        },
        Field(key: "cache-credentials") { (path, text) throws(ValueProblem) in
            path.cache.ownCredentials = try SettingValue.word(text, of: PathCacheSettings.OwnCredentials.self)
            path.cache.keys.insert("cache-credentials")
        },
        Field(key: "cache-age") { (path, text) throws(ValueProblem) in
            path.cache.ageSeconds = try SettingValue.milliseconds(text, max: 365 * 86_400_000) / 1_000
            path.cache.keys.insert("cache-age")
        },
        Field(key: "stale") { (path, text) throws(ValueProblem) in
            path.cache.stale = try SettingValue.word(text, of: PathCacheSettings.Stale.self)
            path.cache.keys.insert("stale")
        },
    ]
}
