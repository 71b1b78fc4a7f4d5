import Logging
import NIOCore
import NIOEmbedded
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// Nobody is given what is another's, and nobody can put something of his under what others are given: what a player writes decides which path it
/// is and nothing else, what goes upstream and what is kept stands in the configuration.
@Suite(.serialized) struct PoisoningTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static let sources = [
        "film": "mmsh://origin.example/film.wmv", "Film": "mmsh://origin.example/Film.wmv", "film/x": "mmsh://origin.example/film.wmv?x=1",
        "film-x": "mmsh://origin.example/film.wmv%3Fx=1", "rtsp": "rtsp://origin.example/film.wmv",
    ]

    private func table() throws -> PathTable {
        let loop = EmbeddedEventLoop()
        let port = EnginePort(engine: RecordingEngine(), eventLoop: loop, logger: Self.logger)
        let make = { (settings: PathSettings, origin: PathOrigin) in
            Path(settings: settings, origin: origin, port: port, mediaPorts: MediaPorts(range: nil), logger: Self.logger)
        }
        let paths = try Self.sources.sorted { $0.key < $1.key }.map {
            make(try PathSettings(name: $0.key, source: $0.value, transport: nil, dial: nil), .configuration)
        }
        return PathTable(paths, expressions: [], runTimePathsMax: 0, make: make)
    }

    /// Which path is meant by a request; nil: none.
    private func path(of target: String, _ method: String, _ headers: HTTPHeaders) throws -> String? {
        var headers = headers
        if headers["User-Agent"] == nil { headers.add("User-Agent", "NSPlayer/9.0.0.2980") }
        let message = HTTPRequest(method: RTSPMethod(method), uri: target, version: .http(minor: 1), headers: headers)
        let request: WMSPRequest
        do { request = try WMSPRequest(message) } catch { return nil }
        guard let path = try table().path(named: request.target.path) else { return nil }
        return path.name
    }

    @Test(
        arguments: [
            ("/film", "film"), ("http://evil.example/film", "film"), ("http://evil.example:99/film", "film"), ("mms://film/Film", "Film"),
            ("/FILM", nil), ("/Film", "Film"), ("/fiLm", nil), ("/%66ilm", "film"), ("/%46ilm", "Film"), ("//film//", "film"),
            ("/film/../Film", nil), ("/film%2F..%2FFilm", nil), ("/x/../film", nil), ("/./film", nil), ("/film%00", nil), ("/film%", nil),
            ("/film%0d%0aHost:%20x", nil), ("/film?x=1", "film"), ("/film?x=../Film", "film"), ("/film?WMCache=0", "film"),
            ("/film%3Fx=1", nil), ("/film/x", "film/x"), ("/film%2Fx", "film/x"), ("/film#Film", nil), ("/film;x", nil),
            ("/mmsh://origin.example/Film.wmv", nil), ("http://origin.example/Film.wmv", nil), ("ftp://a/film", nil), ("*", nil),
            ("/fi\u{131}m", nil), ("/film\u{301}", nil), ("/ﬁlm", nil),
        ] as [(String, String?)])
    func thePathDecidesAlone(target: String, name: String?) throws {
        for method in ["GET", "POST"] {
            // Whatever host is named, and whoever says he passes it on for whom.
            let headers: [HTTPHeaders] = [
                ["Host": "origin.example"], ["Host": "evil.example"],
                ["X-Forwarded-Host": "evil.example", "X-Proxy-Client-Verb": "PUT", "X-Original-URL": "/Film"],
                ["Pragma": "no-cache, xPlayStrm=1, client-id=1", "Cookie": "film=Film", "Range": "bytes=5-"],
            ]
            for var headers in headers {
                if method == "POST" { headers.add("Content-Type", "application/x-wms-getcontentinfo") }
                #expect(try path(of: target, method, headers) == name)
            }
        }
        for method in ["PUT", "DELETE", "TRACE", "CONNECT", "get"] { #expect(try path(of: target, method, [:]) == nil) }
    }

    @Test func differentSourcesAreKeptApart() throws {
        let keys = try Self.sources.values.map { try CacheKey($0).url }
        #expect(Set(keys).count == keys.count)
    }

    /// What one may write so that it is taken for `mmsh://origin.example/film.wmv`, and is none.
    @Test(arguments: [
        "mmsh://origin.example/Film.wmv", "mmsh://origin.example/film.wmv/", "mmsh://origin.example//film.wmv",
        "mmsh://origin.example/film.wmv?",
        "mmsh://origin.example/film.wmv?x", "mmsh://origin.example/film.wmv%3F", "mmsh://origin.example/film.wmv%2F",
        "mmsh://origin.example/film.wmv%20",
        "mmsh://origin.example:8080/film.wmv", "mmsh://origin.example:80@evil.example/film.wmv",
        "mmsh://origin.example@evil.example/film.wmv",
        "mmsh://evil.example/mmsh://origin.example/film.wmv", "mmsh://evil.example/?mmsh://origin.example/film.wmv",
        "mmsh://origin.example./film.wmv",
        "mmsh://origin.example.evil.example/film.wmv", "mmsh://origin/film.wmv", "rtsp://origin.example/film.wmv",
        "rtsp://origin.example:80/film.wmv",
        "mmsh://origin.example/film.wmv%2e", "mmsh://origin.example/film%252ewmv", "mmsh://origin.example/x/%2e%2e%2ffilm.wmv",
        "mmsh://origin.example/film.wmv&WMCache=0", "mmsh://origin.example/film.wmv?WMCache=0&y", "mmsh://origin.example/film.wmv;x",
    ])
    func noneOfTheseIsThatKey(url: String) throws {
        let own = try CacheKey("mmsh://origin.example/film.wmv")
        guard let key = try? CacheKey(url) else { return }
        #expect(key != own || ["mmsh://origin.example/film.wmv?"].contains(url), "\(key.url)")
        // What is kept under a name is what is asked under it: reading it again changes nothing.
        #expect(try CacheKey(key.url) == key && CacheKey(key.url).url == key.url)
    }

    /// Of the same place these are spellings, and the origin is asked the same for each.
    @Test(arguments: [
        "MMSH://ORIGIN.EXAMPLE/film.wmv", "http://origin.example:80/film.wmv", "mmsh://me:secret@origin.example/film.wmv",
        "mmsh://origin.example/%66ilm%2ewmv", "mmsh://origin.example/./x/../film.wmv", "mmsh://origin.example/film.wmv?WMCache=0",
        "mmsh://origin.example/film.wmv?wmbitrate=5&WMCACHE=1",
    ])
    func theseAreThatKey(url: String) throws { #expect(try CacheKey(url).url == "mmsh://origin.example/film.wmv") }

    @Test(arguments: [
        "mmsh://origin.example/film.wmv\r\nHost: evil", "mmsh://origin.example/%00", "mmsh://origin.example/../x", "mmsh:///film.wmv",
        "file:///etc/passwd",
        "mmsh://[::1/film", "mmsh://origin.example:0/film", "mmsh://origin.example:99999/film", "mmsh://or igin/film",
        "mmsh://or%69gin/film",
        "mmsh://\u{43e}rigin.example/film", "mmsh://origin.example/film#x", String(repeating: "mmsh://o/", count: 1_000),
    ])
    func theseAreNoKeys(url: String) { #expect(throws: CacheKey.Trouble.self) { try CacheKey(url) } }

    /// What one player was given is nobody else's: neither the Play of somebody at the same address, nor of one with other words.
    @Test(
        arguments: [
            ("wmsp 192.0.2.1 NSPlayer/9.0 {a}", nil, true), ("wmsp 192.0.2.2 NSPlayer/9.0 {a}", nil, false),
            ("wmsp 192.0.2.1 NSPlayer/9.0 {b}", nil, false), ("wmsp 192.0.2.1 NSPlayer/9.0 {a}", "Basic eDp5", false),
            ("rtsp 1", nil, false), (nil, nil, false),
        ] as [(String?, String?, Bool)])
    func aPlayFollowsItsOwnDescribe(player: String?, authorization: String?, isGiven: Bool) throws {
        var followUps = ProxyFollowUps()
        func ask(_ stage: ProxyAsk.Stage, _ player: String?, _ authorization: String?) -> ProxyAsk {
            var ask = ProxyAsk(dialect: .wmsp, stage: stage)
            ask.player = player
            ask.authorization = authorization
            return ask
        }
        let now = NIODeadline.now()
        let url = try WMSPSourceURL("mmsh://origin.example/a")
        let role = LiveRole(
            facts: OriginFacts(dialect: .wmsp, saidAt: 0), isPrivate: true, outcome: .init(.bypass, "challenged"), host: nil,
            on: EmbeddedEventLoop()
        ) { host in
            let settings = PathSettings(name: "a", source: .publish)
            let port = EnginePort(engine: RecordingEngine(), eventLoop: EmbeddedEventLoop(), logger: Self.logger)
            // It is never dialled.
            return WindowsMediaPull(
                route: WindowsMediaRoute(url), settings: settings, port: port,
                mediaPorts: MediaPorts(range: nil), host: host, logger: Self.logger)
        }
        followUps.remember(ask(.describe, "wmsp 192.0.2.1 NSPlayer/9.0 {a}", nil), .live(role), now: now)
        let given = followUps.take(ask(.play, player, authorization), now: now)
        #expect((given != nil) == isGiven)
        // Its next Play is about the same, but not for long, and not a question that begins anew.
        #expect((followUps.take(ask(.play, player, authorization), now: now) != nil) == isGiven)
        #expect(followUps.take(ask(.describe, player, authorization), now: now) == nil)
        followUps.expire(now: now + .seconds(60))
        #expect(followUps.isEmpty)
        followUps.remember(ask(.describe, "wmsp 192.0.2.1 NSPlayer/9.0 {a}", nil), .live(role), now: now)
        #expect(followUps.take(ask(.play, "wmsp 192.0.2.1 NSPlayer/9.0 {a}", nil), now: now + .seconds(60)) == nil)
    }
}
