import Signalling
import Testing
import WireFormats

/// What origins say, what it permits, and what is told on.
struct OriginFactsTests {
    static let file = "no-cache, x-wms-content-size=923118, max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate"

    static func facts(
        _ cacheControl: String?, _ dialect: OriginFacts.Dialect = .wmsp, etag: String? = nil, modified: String? = nil, vary: [String] = [],
        features: WMSPFeatures? = nil, length: OriginFacts.HeaderLength? = .whole(bytes: 923_118),
        credentials: OriginFacts.Credentials = .none, at time: Int64 = 1_000
    ) -> OriginFacts {
        OriginFacts(
            dialect: dialect, cacheControl: cacheControl.map { [$0] } ?? [], etag: etag, lastModified: modified, vary: vary,
            features: features,
            length: length, credentials: credentials, saidAt: time)
    }

    @Test(
        "what it is",
        arguments: [
            // GetContentInfo alone.
            (Self.file, nil, nil, OriginFacts.Kind.onDemand),
            ("no-cache", nil, nil, .unknown),
            ("x-wms-content-size=0, public", nil, nil, .unknown),
            ("no-cache, x-wms-stream-type=\"broadcast\"", nil, nil, .broadcast),
            ("no-cache, x-wms-stream-type=\"playlist\", public", nil, nil, .playlist),
            // Live wins over everything else that is said.
            ("x-wms-content-size=5, x-wms-stream-type=\"broadcast,playlist\"", .seekable, .whole(bytes: 5), .broadcast),
            (Self.file, .broadcast, .whole(bytes: 5), .broadcast),
            (Self.file, [.live, .seekable], nil, .broadcast),
            (Self.file, [.playlist, .seekable], .whole(bytes: 5), .playlist),
            ("no-cache", .seekable, nil, .onDemand),
            // Described.
            ("no-cache", [], .whole(bytes: nil), .onDemand),
            ("no-cache", nil, .whole(bytes: 9), .onDemand),
            ("no-cache", nil, .open, .unknown),
            (Self.file, nil, .open, .unknown),
            ("no-cache", .seekable, .open, .unknown),
        ] as [(String, WMSPFeatures?, OriginFacts.HeaderLength?, OriginFacts.Kind)])
    func kinds(_ control: String, _ features: WMSPFeatures?, _ length: OriginFacts.HeaderLength?, _ kind: OriginFacts.Kind) {
        let facts = Self.facts(control, features: features, length: length)
        #expect(facts.kind == kind && facts.isDescribed == (length != nil))
    }

    @Test func validatorsThatAreNone() {
        let facts = Self.facts(nil, etag: "  ", modified: String(repeating: "x", count: OriginFacts.validatorBytesMax + 1))
        #expect(facts.etag == nil && facts.lastModified == nil && facts.cacheControl == nil)
        #expect(Self.facts("", etag: "\"a\u{1}\"").etag == nil)
        #expect(Self.facts("  ").cacheControl == nil)
        #expect(Self.facts(nil, etag: " \"5\" ").etag == "\"5\"")
        #expect(Self.facts(Self.file, length: .whole(bytes: 7)).contentBytes == 7)
        #expect(Self.facts(Self.file, length: .whole(bytes: nil)).contentBytes == 923_118)
    }

    @Test(
        "others may be given something else",
        arguments: [
            ([], false), (["Accept"], false), (["accept", ""], false), (["Accept, User-Agent"], true), (["*"], true), (["Cookie"], true),
        ] as [([String], Bool)])
    func vary(_ lines: [String], _ varies: Bool) { #expect(Self.facts(Self.file, vary: lines).varies == varies) }

    @Test func laterWordsGoBeforeEarlier() {
        let info = Self.facts(Self.file, etag: "\"1\"", modified: "Sun", length: nil)
        let described = Self.facts(nil, .msRTSP, etag: "\"2\"", length: .whole(bytes: 10), credentials: .operators, at: 1_005)
        let both = info.updated(by: described)
        #expect(both.cacheControl == info.cacheControl && both.dialect == .wmsp && both.etag == "\"2\"" && both.lastModified == "Sun")
        #expect(
            both.isDescribed && both.contentBytes == 10 && both.saidAt == 1_005 && both.credentials == .operators && both.kind == .onDemand)
        let again = both.updated(by: Self.facts("no-cache", length: nil, at: 2_000))
        #expect(
            again.cacheControl == MSRTSPCacheControl(.noCache) && again.kind == .onDemand && again.isDescribed && again.contentBytes == 10)
        #expect(again.credentials == .operators)
    }

    @Test(
        "which version it is",
        arguments: [
            // Tags decide, weak or not, with quotes or without; unless the sizes contradict them.
            ("\"5\"", nil, 9, "\"5\"", nil, 9, true), ("\"5\"", nil, 9, "W/\"5\"", nil, 9, true), ("\"5\"", nil, 9, "5", nil, 9, true),
            ("\"5\"", "Sun", 9, "\"6\"", "Sun", 9, false), ("\"5\"", "Sun", 9, "\"5\"", "Mon", 9, true),
            ("\"5\"", nil, 9, "\"5\"", nil, 8, false),
            ("\"a\"", nil, 9, "\"A\"", nil, 9, false),
            // Then dates and sizes.
            (nil, "Sun", 9, nil, "Sun", 9, true), (nil, "Sun", 9, nil, "Mon", 9, false), (nil, "Sun", 9, nil, "Sun", 8, false),
            ("\"5\"", "Sun", 9, nil, "Sun", 9, true), ("\"5\"", "Sun", 9, nil, nil, 9, false), (nil, "Sun", nil, nil, "Sun", nil, true),
            (nil, "Sun", nil, nil, "Sun", 9, false),
            // Nothing to tell it by.
            (nil, nil, 9, nil, nil, 9, false), (nil, nil, nil, nil, nil, nil, false), (nil, "Sun", 9, nil, nil, 9, false),
        ] as [(String?, String?, UInt64?, String?, String?, UInt64?, Bool)])
    func versions(
        _ tag: String?, _ date: String?, _ size: UInt64?, _ otherTag: String?, _ otherDate: String?, _ otherSize: UInt64?, _ isSame: Bool
    ) {
        func facts(_ tag: String?, _ date: String?, _ size: UInt64?) -> OriginFacts {
            Self.facts("no-cache, public" + (size.map { ", x-wms-content-size=\($0)" } ?? ""), etag: tag, modified: date)
        }
        #expect(facts(tag, date, size).isSameVersion(as: facts(otherTag, otherDate, otherSize)) == isSame)
        #expect(facts(otherTag, otherDate, otherSize).isSameVersion(as: facts(tag, date, size)) == isSame)
    }

    @Test func tagsOfTwoLanguagesDoNotCompare() {
        let http = Self.facts(Self.file, etag: "\"923118\"", modified: "Sun")
        var rtsp = Self.facts("x-wms-content-size=923118, must-revalidate", .msRTSP, etag: "{A}", modified: "Sun")
        #expect(http.isSameVersion(as: rtsp) && rtsp.isSameVersion(as: http))
        rtsp.lastModified = "Mon"
        #expect(!http.isSameVersion(as: rtsp))
    }

    // MARK: May it be kept?

    @Test(
        "what may be kept by the origin's words",
        arguments: [
            // Windows Media over HTTP: the no-cache in front is not for it.
            (.wmsp, Self.file, nil), (.wmsp, "no-cache", .noPermission), (.wmsp, nil, .noPermission), (.wmsp, "no-cache, public", nil),
            (.wmsp, "no-cache, proxy-public", nil), (.wmsp, "no-cache, user-public", .noPermission),
            (.wmsp, "no-cache, must-revalidate, proxy-revalidate", .noPermission), (.wmsp, "no-cache, max-age=60", .noPermission),
            (.wmsp, "no-cache, private", .private), (.wmsp, "no-cache, private, public", .private),
            (.wmsp, "no-cache, private, proxy-public", nil), (.wmsp, "no-cache, private, user-public", .private),
            // Over RTSP it is.
            (.msRTSP, "max-age=86399, must-revalidate, proxy-revalidate", nil), (.msRTSP, "no-cache", .noCache),
            (.msRTSP, nil, .noPermission),
            (.msRTSP, "max-age=60", .noPermission), (.msRTSP, "public", nil), (.msRTSP, "must-revalidate", nil),
            (.msRTSP, "proxy-revalidate", nil),
            (.msRTSP, "no-cache, public, proxy-public", .noCache), (.msRTSP, "private, public", .private),
            (.msRTSP, "proxy-public, user-public", .noPermission), (.msRTSP, "no-user-cache", .noPermission),
            (.msRTSP, "no-user-cache, public", nil), (.msRTSP, "no-user-cache, must-revalidate", .noPermission),
            (.msRTSP, "no-user-cache, proxy-revalidate", nil), (.msRTSP, "private, proxy-public, public", .private),
            // Other RTSP: an operator asked for it.
            (.rtsp, nil, nil), (.rtsp, "max-age=60", nil), (.rtsp, "no-cache", .noCache), (.rtsp, "private", .private),
            (.rtsp, "must-revalidate", nil),
        ] as [(OriginFacts.Dialect, String?, ProxyReason?)])
    func permissions(_ dialect: OriginFacts.Dialect, _ control: String?, _ reason: ProxyReason?) {
        let permission = Self.facts(control, dialect).permission(ProxyPolicy())
        #expect(permission == reason.map { .nowhere($0) } ?? .disk)
        // `cache: force` is for what only does not permit it.
        var forced = ProxyPolicy()
        forced.keeping = .forced
        #expect(Self.facts(control, dialect).permission(forced) == (reason == .private ? .nowhere(.private) : .disk))
        var off = ProxyPolicy()
        off.keeping = .nothing
        #expect(Self.facts(control, dialect).permission(off) == .nowhere(.cacheOff))
    }

    @Test func whatElseStandsAgainstIt() {
        var policy = ProxyPolicy()
        policy.memoryBytesMax = 1_000_000
        policy.diskBytesMax = 2_000_000
        func permission(_ change: (inout OriginFacts) -> Void) -> OriginFacts.Permission {
            var facts = Self.facts(Self.file)
            change(&facts)
            return facts.permission(policy)
        }
        for keeping in [ProxyPolicy.Keeping.permitted, .forced] {
            policy.keeping = keeping
            #expect(permission { _ in } == .disk)
            #expect(permission { $0.credentials = .players } == .nowhere(.challenged))
            #expect(permission { $0.credentials = .operators } == .nowhere(.operatorsCredentials))
            #expect(permission { $0.varies = true } == .nowhere(.varies))
            #expect(permission { $0.kind = .playlist } == .nowhere(.playlist))
            #expect(permission { $0.contentBytes = nil } == .nowhere(.sizeUnknown))
            #expect(permission { $0.contentBytes = 2_000_000 } == .disk)
            #expect(permission { $0.contentBytes = 2_000_001 } == .nowhere(.tooLarge))
            #expect(permission { $0.cacheControl?.flags.insert(.noStore) } == .memory)
            #expect(permission { ($0.contentBytes = 1_000_001, $0.cacheControl?.flags.insert(.noStore)).0 } == .nowhere(.noStore))
        }
        policy.sharesOperators = true
        #expect(permission { $0.credentials = .operators } == .disk)
        #expect(permission { $0.credentials = .players } == .nowhere(.challenged))
        policy.keepsPlaylists = true
        #expect(permission { ($0.kind = .playlist, $0.contentBytes = nil).0 } == .disk)
        var recording = Self.facts(nil, .rtsp, length: .whole(bytes: nil))
        #expect(recording.permission(policy) == .disk)
        recording.cacheControl = MSRTSPCacheControl(.noStore)
        #expect(recording.permission(policy) == .nowhere(.noStore))
    }

    // MARK: How long?

    @Test(
        "when the origin is asked",
        arguments: [
            (.wmsp, "no-cache, proxy-public, max-age=60", false), (.wmsp, "no-cache, proxy-public, max-age=60, proxy-revalidate", true),
            (.wmsp, "no-cache, proxy-public, max-age=60, must-revalidate", true), (.msRTSP, "public, max-age=60", false),
            (.msRTSP, "max-age=60, must-revalidate", false), (.msRTSP, "max-age=60, proxy-revalidate", true),
            (.rtsp, "max-age=60, proxy-revalidate, must-revalidate", false), (.rtsp, nil, false),
        ] as [(OriginFacts.Dialect, String?, Bool)])
    func asking(_ dialect: OriginFacts.Dialect, _ control: String?, _ isAsked: Bool) {
        #expect(Self.facts(control, dialect).isAskedEachTime == isAsked)
    }

    @Test(
        "how old it may be",
        arguments: [
            ("public, max-age=60", 0, 1_000, true), ("public, max-age=60", 0, 1_059, true), ("public, max-age=60", 0, 1_060, false),
            ("public, max-age=0", 3_600, 1_000, false), ("public", 0, 1_000, false), ("public", 100, 1_099, true),
            ("public", 100, 1_100, false),
            // A clock that was set back, and times that no clock shows.
            ("public, max-age=60", 0, 999, false), ("public, max-age=4294967295", 0, Int64.min, false),
            ("public, max-age=60", 0, Int64.max, false),
            ("public, max-age=99999999999999999999", 0, 4_000_000_000, true),
        ] as [(String, UInt32, Int64, Bool)])
    func age(_ control: String, _ ageDefault: UInt32, _ now: Int64, _ isWithin: Bool) {
        var policy = ProxyPolicy()
        policy.ageDefaultSeconds = ageDefault
        #expect(Self.facts(control, .msRTSP).isWithinAge(policy, now: now) == isWithin)
    }

    // MARK: May it be shared?

    @Test(
        "who may share a broadcast",
        arguments: [
            (.wmsp, "no-cache, x-wms-stream-type=\"broadcast\", x-wms-proxy-split", true, .proxySplit),
            (.msRTSP, "no-cache, x-wms-proxy-split", true, .proxySplit),
            (.wmsp, "no-cache, x-wms-stream-type=\"broadcast\"", false, .noSplitPermission),
            (.wmsp, "no-cache, private", false, .noSplitPermission), (.wmsp, nil, true, .originSilent), (.msRTSP, nil, true, .originSilent),
            // All that WMSP says begins so.
            (.wmsp, "no-cache", true, .originSilent), (.msRTSP, "no-cache", false, .noSplitPermission),
        ] as [(OriginFacts.Dialect, String?, Bool, ProxyReason)])
    func splitting(_ dialect: OriginFacts.Dialect, _ control: String?, _ isPermitted: Bool, _ reason: ProxyReason) {
        var facts = Self.facts(control, dialect), policy = ProxyPolicy()
        #expect(facts.splitting(policy) == (isPermitted, reason))
        facts.credentials = .operators
        #expect(facts.splitting(policy) == (isPermitted, reason))
        policy.splitting = .always
        #expect(facts.splitting(policy) == (true, .operatorShares))
        facts.credentials = .players
        #expect(facts.splitting(policy) == (false, .challenged))
        policy.splitting = .never
        #expect(facts.splitting(policy) == (false, .splitOff))
        // Whoever asks through a forward proxy is no operator.
        facts.credentials = .none
        policy = ProxyPolicy()
        policy.isConfigured = false
        #expect(facts.splitting(policy).isPermitted == (reason == .proxySplit))
    }

    // MARK: The next hop

    @Test(
        "what the next hop is told",
        arguments: [
            // The same language: as it was said.
            (
                .wmsp, Self.file, .wmsp,
                "x-wms-content-size=923118, max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate"
            ),
            (.wmsp, "no-cache", .wmsp, ""), (.wmsp, nil, .wmsp, ""), (.msRTSP, nil, .msRTSP, "no-cache"),
            (.msRTSP, "no-cache", .msRTSP, "no-cache"),
            (.msRTSP, "max-age=5, public, x-other=1", .msRTSP, "max-age=5, public, x-other=1"),
            // Into RTSP: without what is of HTTP alone.
            (.wmsp, Self.file, .msRTSP, "x-wms-content-size=923118, max-age=86399, must-revalidate, proxy-revalidate"),
            (.wmsp, nil, .msRTSP, "no-cache"), (.wmsp, "no-cache", .msRTSP, "no-cache"),
            (.wmsp, "no-cache, max-age=9, must-revalidate", .msRTSP, "no-cache, max-age=9, must-revalidate"),
            (.wmsp, "no-cache, max-age=9, proxy-public, user-public", .msRTSP, "max-age=9, public"),
            (.wmsp, "no-cache, max-age=9, proxy-public", .msRTSP, "max-age=9, no-user-cache, public"),
            (.wmsp, "no-cache, max-age=9, proxy-public, proxy-revalidate", .msRTSP, "max-age=9, no-user-cache, proxy-revalidate"),
            (.wmsp, "no-cache, max-age=9, user-public", .msRTSP, "max-age=9, private, must-revalidate"),
            (.wmsp, "no-cache, private, proxy-public, user-public, max-age=9", .msRTSP, "max-age=9, public"),
            (
                .wmsp, "no-cache, max-age=0, x-wms-stream-type=\"broadcast\", user-public, must-revalidate, x-wms-proxy-split", .msRTSP,
                "max-age=0, must-revalidate, x-wms-proxy-split, x-wms-stream-type=\"broadcast\""
            ),
            // Into HTTP: with the words that permit it there.
            (
                .msRTSP, "x-wms-content-size=5, max-age=86399, must-revalidate, proxy-revalidate", .wmsp,
                "x-wms-content-size=5, max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate"
            ),
            (.msRTSP, "no-cache", .wmsp, ""), (.msRTSP, nil, .wmsp, ""), (.msRTSP, "public", .wmsp, "user-public, proxy-public"),
            (.msRTSP, "no-user-cache, public", .wmsp, "proxy-public"), (.msRTSP, "private, public", .wmsp, "private, user-public"),
            (.msRTSP, "no-cache, must-revalidate", .wmsp, "must-revalidate"), (.msRTSP, "max-age=5", .wmsp, "max-age=5"),
            (.msRTSP, "public, no-store", .wmsp, "no-store, user-public, proxy-public"),
        ] as [(OriginFacts.Dialect, String?, OriginFacts.Dialect, String)])
    func told(_ dialect: OriginFacts.Dialect, _ control: String?, _ hop: OriginFacts.Dialect, _ text: String) {
        let words = Self.facts(control, dialect).cacheControl(for: hop, now: 1_000)
        #expect(
            Set(words.split(separator: ",").map { $0.trimmingPrefix(" ") })
                == Set(text.split(separator: ",").map { $0.trimmingPrefix(" ") }))
    }

    /// Nobody on the way may keep what the origin did not permit him to keep, whatever directives stand together.
    @Test func crossingNeverPermitsMore() {
        let words: [MSRTSPCacheControl.Flags] = [
            .noCache, .noUserCache, .noStore, .private, .public, .mustRevalidate, .proxyRevalidate, .userPublic, .proxyPublic,
        ]
        for bits in 0..<(1 << words.count) {
            var flags: MSRTSPCacheControl.Flags = []
            for (index, word) in words.enumerated() where bits >> index & 1 == 1 { flags.insert(word) }
            for (dialect, hop) in [(OriginFacts.Dialect.wmsp, OriginFacts.Dialect.msRTSP), (.msRTSP, .wmsp)] {
                var facts = OriginFacts(
                    dialect: dialect, cacheControl: MSRTSPCacheControl(flags), contentBytes: 5, kind: .onDemand, saidAt: 0)
                let before = facts.permission(ProxyPolicy())
                let text = facts.cacheControl(for: hop, now: 1_000)
                let control = MSRTSPCacheControl([hop == .wmsp ? "no-cache, \(text)" : text])
                facts.dialect = hop
                facts.cacheControl = control
                let after = facts.permission(ProxyPolicy())
                // Permitted here, there it is, too, and in the same place; forbidden here, there it is.
                switch (before, after) {
                case (.nowhere, .nowhere), (.disk, .disk), (.memory, .memory): break
                default: Issue.record("\(MSRTSPCacheControl(flags).text) of \(dialect) became \(text): \(before), then \(after)")
                }
            }
        }
    }

    /// What the next hop keeps is no younger than what is kept here.
    @Test(arguments: [
        (1_000, "max-age=100"), (1_030, "max-age=70"), (1_100, "max-age=0"), (5_000, "max-age=0"), (999, "max-age=0"), (.min, "max-age=0"),
    ])
    func whatIsLeftOfAnAge(now: Int64, words: String) {
        let facts = OriginFacts(
            dialect: .wmsp, cacheControl: ["no-cache, proxy-public, max-age=100"], etag: nil, lastModified: nil, saidAt: 1_000)
        #expect(facts.cacheControl(for: .wmsp, now: now).contains(words))
        #expect(facts.cacheControl(for: .msRTSP, now: now).contains(words))
    }
}
