import Foundation
import Testing

@testable import ControlPlane

@Suite struct OverviewTests {
    static var full: Overview {
        var overview = Overview()
        overview.program = .init(version: "0.1.0", process: 7, listen: "[::]:8554", upSeconds: 4_000)
        overview.engine = .init(
            backend: "io_uring", backendReason: "all \"of\" it\nworks", workers: 2, workersFailed: 1, facts: ["zc_sent": 3])
        overview.rates = .init(
            packetsSentPerSecond: 12_345, bitsSentPerSecond: 98_760_000, packetsReceivedPerSecond: 400, bitsReceivedPerSecond: 4e6)
        overview.causes.drops = ["overrun": 5, "policy": 0]
        overview.causes.refusals = ["join_rate": 9]
        overview.limits = [.init(name: "sessions", used: 10_000, max: 20_000)]
        overview.paths = [
            PathOverview(
                name: "cam", source: "rtsp://camera/1", state: .failed, words: "waits", stateSeconds: 61,
                lastError: .init(words: "connection refused", secondsAgo: 2, sinceSeconds: 61, inARow: 8, ever: 9), nextTrySeconds: 3.5),
            PathOverview(name: "studio", source: "publish", state: .playing, tracks: [TrackOverview(codec: "H.264", clockRate: 90_000)]),
        ]
        overview.publishers = [
            PublisherOverview(session: "abc", path: "studio", address: "127.0.0.1:9", transport: "tcp", state: "recording")
        ]
        overview.readers.count = 10_000
        overview.readers.byTransport = ["udp": 9_999, "tcp": 1]
        overview.readers.behind = 1
        var slow = ReaderOverview(
            session: "def", path: "studio", address: "10.0.0.1:5000", userAgent: "Lavf/59", transport: "tcp", state: "playing")
        slow.lagMilliseconds = 4_321
        slow.isBlocked = true
        slow.bytesSent = 5 << 20
        var cached = ReaderOverview(session: "ghi", path: "film", address: "10.0.0.2:5000", transport: "http", state: "playing")
        cached.cache = "HIT origin-unreachable"
        overview.readers.shown = [slow, cached]
        var film = PathOverview(name: "film", source: "mmsh://origin/film.wmv", state: .playing)
        film.cache = PathCacheOverview()
        film.cache?.plays = ["HIT": 12, "MISS": 1, "REVALIDATED": 2]
        film.cache?.last = "HIT origin-unreachable"
        film.cache?.bytesFromCache = 5 << 30
        film.cache?.bytesFromOrigin = 400 << 20
        overview.paths.append(film)
        var cache = CacheOverview()
        cache.hits = 12
        cache.misses = 1
        cache.revalidations = 2
        cache.bytesFromCache = 5 << 30
        cache.bytesFromOrigin = 400 << 20
        cache.store = .init()
        cache.store?.objects = 3
        cache.store?.bytes = 1 << 30
        cache.store?.bytesMax = 10 << 30
        cache.notices.waiting = 4
        cache.notices.originsAway = 1
        cache.notices.logs = ["legacy": 3]
        cache.notices.eventsHeard = ["remote_log": 4, "remote_open": 1]
        overview.cache = cache
        return overview
    }

    @Test func isTheSameAfterItsJSON() throws {
        let line = try Self.full.json()
        let again = try Self.full.json()
        #expect(!line.contains("\n") && line == again)
        #expect(try ControlJSON.value(Overview.self, of: line) == Self.full)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(
            Set(object.keys) == [
                "schema", "program", "engine", "rates", "totals", "causes", "limits", "paths", "expressions", "publishers", "readers",
                "cache",
            ])
        let readers = try #require(object["readers"] as? [String: Any])
        let reader = try #require((readers["shown"] as? [[String: Any]])?.first)
        #expect(reader["lag_milliseconds"] as? Double == 4_321 && reader["is_blocked"] as? Bool == true)
        #expect(reader["round_trip_milliseconds"] == nil, "what is not known is left out")
        let causes = try #require(object["causes"] as? [String: [String: Int]])
        #expect(causes["refusals"] == ["join_rate": 9])
    }

    @Test(arguments: [1, 40, 80, 120, 200]) func noLineIsWiderThanTheTerminal(_ width: Int) {
        let lines = OverviewTable(Self.full, width: width).lines
        #expect(lines.allSatisfy { $0.count <= max(width, OverviewTable.widthMin) })
        #expect(lines.contains { $0.hasPrefix("PATH") } && lines.contains { $0.hasPrefix("READER") })
    }

    @Test func saysWhatIsWrong() {
        let text = OverviewTable(Self.full, width: 200).lines.joined(separator: "\n")
        for words in [
            "! connection refused (for 61s, 8 in a row, next try in 3s)", "(1 FAILED)", "blocked", "4.3s", "5.0 MiB", "98.8 Mbit/s",
            "12.3k pkt/s",
            "2 of 10000 readers (1 tcp, 9999 udp), the worst first", "refused:join_rate 9", "sessions 10.0k/20.0k (50%)", "H.264",
            "HIT origin-unreachable",
            "cache: HIT 12, MISS 1, REVALIDATED 2, last HIT origin-unreachable; 5.0 GiB from it, 400 MiB from the origin",
            "CACHE    HIT 12  MISS 1  REVALIDATED 2  from the cache 5.0 GiB", "3 kept, 1.0 GiB/10.0 GiB", "to be told 4 (origins away: 1)",
            "heard from relays 5",
        ] { #expect(text.contains(words), "\(words) in\n\(text)") }
        #expect(!text.contains("policy"))
    }

    @Test(arguments: [
        (0.0, "0s"), (99.9, "99s"), (100, "1m40s"), (4_000, "66m40s"), (7_260, "2h01m"), (200_000, "2d7h"), (-1, "0s"), (.nan, "0s"),
    ])
    func durationsAreShort(_ seconds: Double, _ words: String) { #expect(OverviewTable.duration(seconds) == words) }
}
