import PlaneLink

/// How the readers of a path are treated: what becomes a ``StreamPolicy``.
package struct ReaderSettings: Sendable, Equatable {
    /// What becomes of a reader that is too far behind.
    package enum Overload: String, Sendable, CaseIterable {
        /// It goes on at a key frame (with a stream that has none: as ``dropOldest``).
        case skipToKeyFrame = "skip-to-keyframe"
        /// It goes on at the oldest packet that is within bounds.
        case dropOldest = "drop-oldest"
        /// As ``dropOldest``, but not for longer than ``ReaderSettings/disconnectAfterMilliseconds``.
        case disconnect
    }

    /// How fast packets leave once they are due.
    package var pacing = PacingPolicy.adaptive
    /// Whether newcomers begin at a key frame of the past.
    package var burstsAtJoin = true
    /// The bounds and the speed of that.
    package var joinBurst = JoinBurst()
    /// What becomes of a reader that is too far behind.
    package var overload = Overload.skipToKeyFrame
    /// With ``Overload/disconnect``: how long a reader may be too far behind, in milliseconds.
    package var disconnectAfterMilliseconds = 5_000
    /// How far behind is too far, in milliseconds; 0: as far as the window reaches.
    package var lagMilliseconds = 0
    /// The same in bytes of the stream; 0: as far as the window reaches.
    package var lagBytes = 0
    /// Whose wall clock the readers' sender reports tell.
    package var clock = Clock.relay

    /// Whose wall clock sender reports tell.
    package enum Clock: String, Sendable, CaseIterable {
        /// The relay's.
        case relay
        /// The source's, where it makes sense.
        case origin
    }

    /// The defaults.
    package init() {}

    /// The same for the engine.
    var policy: StreamPolicy {
        var policy = StreamPolicy()
        policy.pacing = pacing
        policy.joinBurst = burstsAtJoin ? joinBurst : nil
        policy.overload = self.policy(for: overload)
        policy.lagNanosecondsMax = Self.nanoseconds(lagMilliseconds)
        policy.lagBytesMax = UInt64(clamping: lagBytes)
        policy.clock = clock == .origin ? .origin : .relay
        return policy
    }

    /// A word as the engine's policy.
    func policy(for overload: Overload) -> OverloadPolicy {
        switch overload {
        case .skipToKeyFrame: .skipToKeyFrame
        case .dropOldest: .dropOldest
        case .disconnect: .disconnect(afterNanoseconds: Self.nanoseconds(disconnectAfterMilliseconds))
        }
    }

    static func nanoseconds(_ milliseconds: Int) -> UInt64 { UInt64(clamping: milliseconds) &* 1_000_000 }
}

extension PathSettings {
    /// The keys of a path that say how its readers are treated.
    static let readerFields: [Field<PathSettings>] = [
        Field(key: "pacing") { (path, text) throws(ValueProblem) in path.readers.pacing = try SettingValue.pacing(text) },
        Field(key: "join-burst") { (path, text) throws(ValueProblem) in path.readers.burstsAtJoin = try SettingValue.flag(text) },
        Field(key: "join-burst-time") { (path, text) throws(ValueProblem) in
            path.readers.joinBurst.nanosecondsMax = ReaderSettings.nanoseconds(try SettingValue.milliseconds(text, max: 60_000))
        },
        Field(key: "join-burst-bytes") { (path, text) throws(ValueProblem) in
            path.readers.joinBurst.bytesMax = UInt64(clamping: try SettingValue.bytes(text))
        },
        Field(key: "join-burst-speed") { (path, text) throws(ValueProblem) in
            path.readers.joinBurst.speedTenths = UInt32(clamping: try SettingValue.speedTenths(text))
        },
        Field(key: "overload") { (path, text) throws(ValueProblem) in
            path.readers.overload = try SettingValue.word(text, of: ReaderSettings.Overload.self)
        },
        Field(key: "disconnect-after") { (path, text) throws(ValueProblem) in
            path.readers.disconnectAfterMilliseconds = try SettingValue.milliseconds(text, max: 600_000)
        },
        Field(key: "lag-time") { (path, text) throws(ValueProblem) in
            path.readers.lagMilliseconds = try SettingValue.milliseconds(text, max: 60_000)
        },
        Field(key: "clock") { (path, text) throws(ValueProblem) in
            path.readers.clock = try SettingValue.word(text, of: ReaderSettings.Clock.self)
        },
        Field(key: "lag-bytes") { (path, text) throws(ValueProblem) in
            path.readers.lagBytes = text == "0" ? 0 : try SettingValue.bytes(text)
        },
    ]

    /// Sets one option of the command line by its key, as the file would.
    package mutating func set(option: String, key: String, to text: String) throws(ConfigurationErrors) {
        guard let field = Self.fields.first(where: { $0.key == key }) else { preconditionFailure("no such key: \(key)") }
        do throws(ValueProblem) {
            try field.set(&self, text)
        } catch {
            throw ConfigurationErrors(errors: [.init(place: .option(option), key: "", problem: error.text)])
        }
    }
}

extension SettingValue {
    /// `off`, `adaptive` or a bit rate.
    static func pacing(_ text: String) throws(ValueProblem) -> PacingPolicy {
        switch text {
        case "off": return .off
        case "adaptive": return .adaptive
        default:
            guard let rate = try? bitRate(text) else {
                throw ValueProblem(
                    "`\(text)` is no pacing; write off, adaptive, or the bits per second that one reader gets at most, such as 20M")
            }
            return .fixed(bitsPerSecond: UInt64(clamping: rate))
        }
    }

    /// `4` or `2.5` (times real time), in tenths: 1.1 to 100.
    static func speedTenths(_ text: String) throws(ValueProblem) -> Int {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        var tenths: Int?
        if parts.count == 1 || parts.count == 2 && parts[1].utf8.count == 1, let whole = digits(parts[0]), whole <= 100 {
            tenths = parts.count == 1 ? whole * 10 : digits(parts[1]).map { whole * 10 + $0 }
        }
        guard let tenths, (11...1_000).contains(tenths) else {
            throw ValueProblem("`\(text)` is no speed from 1.1 to 100; write how many times faster than real time, such as 4 or 2.5")
        }
        return tenths
    }

    private static func digits(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }
}
