import Signalling
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct ExpressionConfigurationTests {
    private func path(_ name: String, _ keys: String) throws -> PathSettings {
        try Configuration.parse("paths:\n  \(name):\n    " + keys.replacing("\n", with: "\n    ") + "\n").paths[0]
    }

    /// Expression, source, name, the URL that is dialled for it (nil: none).
    @Test(
        arguments: [
            ("^cam-([0-9]+)$", "rtsp://h/s/$1", "cam-7", "rtsp://h/s/7"),
            ("^(.+)$", "rtsp://h/$0?name=$1", "a/b", "rtsp://h/a/b?name=a%2Fb"),
            ("^(?<room>.+)-(.)$", "rtsp://h/${2}/${room}", "x-y", "rtsp://h/y/x"), ("^(.*)$", "rtsp://h/$G1", "a&b", "rtsp://h/a%26b"),
            ("^(.)$", "rtsp://h/$$1", "x", "rtsp://h/$1"), ("^(.+)$", "rtspt://10.0.0.$1:554/s", "9", "rtsp://10.0.0.9:554/s"),
            ("^(.+)$", "rtsp://$1/s", "10.0.0.9", "rtsp://10.0.0.9/s"), ("^(.+)$", "rtsp://$1/s", "a:1@h", nil),
            ("^(.+)$", "rtsp://$1/s", "h/x", nil), ("^(.+)$", "rtsp://$1/s", "h:99", nil), ("^(a)?b$", "rtsp://h/$1", "b", "rtsp://h/"),
            ("^(.+)$", "rtsp://u:p$1@h/$1", "x", "rtsp://h/x"),
        ] as [(String, String, String, String?)])
    func putsGroupsIntoAURL(text: String, source: String, name: String, url: String?) throws {
        let expression = try NameExpression(text)
        let template = try URLTemplate(source, for: expression)
        let match = try #require(expression.match(name))
        #expect(template.url(for: match)?.request == url)
    }

    /// Source, name, the Windows Media that is pulled for it (nil: none).
    @Test(
        arguments: [
            ("mmsh://h:8080/s/$1?q=$1", "a/b", "mmsh://h:8080/s/a/b?q=a%2Fb"), ("mms://u:p$1@h/$1", "x", "mms://h/x"),
            ("http://$1/s", "10.0.0.9", "http://10.0.0.9/s"), ("mmsh://$1/s", "h:99", nil),
        ] as [(String, String, String?)])
    func putsGroupsIntoAURLOfWindowsMedia(source: String, name: String, url: String?) throws {
        let expression = try NameExpression("^(.+)$")
        let settings = try PathSettings.Source(source, for: expression)
        guard case .template(let template) = settings else { throw ValueProblem("\(settings)") }
        #expect(settings.isWindowsMedia)
        let match = try #require(expression.match(name))
        #expect(template.source(for: match)?.place?.url == url)
    }

    @Test func aPasswordIsLeftAloneAndNotShown() throws {
        let expression = try NameExpression("^(.+)$")
        let template = try URLTemplate("rtsp://u:p$1@h/$1?k=$1", for: expression)
        #expect(template.url(for: ["x", "x"])?.credentials == Credentials(user: "u", password: "p$1"))
        #expect(template.description == "rtsp://h/$1?…")
    }

    @Test(arguments: [
        ("10.0.0.0/24", "10.0.0.9", true), ("10.0.0.0/24", "10.0.1.9", false), ("10.0.0.0/24", "10.0.0.9.example.org", false),
        ("10.0.0.0/24", "167772169", false), ("10.0.0.0/24", "010.0.0.9", false), ("cam.example", "CAM.example", true),
        ("cam.example", "x.cam.example", false), ("*.cam.example", "x.cam.example", true), ("*.cam.example", "xcam.example", false),
        ("*.cam.example", "cam.example", false), ("fd00::/8", "fd00::1", true),
    ])
    func permitsHosts(rule: String, host: String, isPermitted: Bool) throws {
        #expect(try HostRule(parsing: rule).permits(host) == isPermitted)
    }

    @Test func readsEverything() throws {
        let path = try path(
            "~^cam-(\\d+)$",
            "source: rtsp://10.0.0.$1/s\nallow: [10.0.0.0/24, '*.cams.example']\ninstances-max: 7\nnegative-time: 30s\nnegatives-max: 9\nread: any"
        )
        let expression = try #require(path.expression)
        #expect(expression.instancesMax == 7 && expression.negativeMilliseconds == 30_000 && expression.negativesMax == 9)
        #expect(expression.allow.map(\.description) == ["10.0.0.0/24", "*.cams.example"])
        let instance = path.instance(named: "cam-7")
        #expect(instance.name == "cam-7" && instance.expression == nil && instance.access == path.access)
        #expect(instance.permits("10.0.0.1") && !instance.permits("10.0.1.1"))
    }

    /// A path's name, its keys, the line and the words of what is wrong.
    @Test(arguments: [
        ("~^cam-(\\d+$", "source: publish", 2, "a ( without its )"), ("~^(.*)$", "source: rtsp://$1/s", 3, "say under `allow:`"),
        ("~^(.*)$", "source: rtsp://10.0.0.1/$1\nallow: 10.1.0.0/16", 4, "is not among what is allowed"),
        ("~^(.*)$", "source: rtsp://h/$2", 3, "no group 2: the expression has 1"), ("~^(.*)$", "source: rtsp://h/${x}", 3, "no group `x`"),
        ("~^(.*)$", "source: rtsp://h/$x", 3, "write $$ for a dollar"), ("~^(.*)$", "source: rtsp://h:$1/", 3, "a port stands as it is"),
        ("~^(.*)$", "source: file.rtpdump", 3, "publish or an rtsp:// or mmsh:// URL"),
        ("~^(.*)$", "source: publish\ndial: always", 4, "leave it out"),
        ("~^(.*)$", "source: publish\nallow: h.example", 4, "no host is dialled"),
        ("~^(.*)$", "source: publish\nmulticast: 239.0.0.1:5000", 4, "one group cannot take"),
        ("cam", "source: publish\nallow: h.example", 4, "whose names are expressions"),
        ("cam", "source: publish\ninstances-max: 4", 4, "whose names are expressions"),
        ("~^(.*)$", "source: publish\ninstances-max: 0", 4, "from 1 to"), ("~^(.*)$", "allow: 'a b'\nsource: publish", 3, "is no host"),
        ("cam", "redirect: rtsp://u:secret@h/", 3, "it holds a user"), ("cam", "redirect: http://h/", 3, "serve: redirect"),
        ("~^(.*)$", "source: mmsh://$1/s", 3, "say under `allow:`"),
        ("~^(.*)$", "source: mmsh://10.0.0.1/$1\nallow: 10.1.0.0/16", 4, "is not among what is allowed"),
        ("~^(.*)$", "source: mmsh://h/$1\nparameters: pass-get", 4, "it is about RTP"),
        ("cam", "source: publish\nredirect: rtsp://h/", 2, "both `source:` and `redirect:`"),
        ("cam", "source: publish\nreaders-max: 1\nthen: rtsp://h/x", 5, "named without a path"),
        ("cam", "source: publish\nthen: rtsp://u:secret@h", 4, "it holds a user"), ("cam", "source: publish\nthen: h", 4, "names no relay"),
    ])
    func refusesInWordsWithTheLine(name: String, keys: String, line: Int, words: String) {
        let errors = #expect(throws: ConfigurationErrors.self) { try path(name, keys) }
        let text = errors?.description ?? ""
        #expect(text.contains(words) && text.hasPrefix("weir.yml:\(line): paths.") && !text.contains("secret"), "\(text)")
    }

    @Test(
        arguments: [
            ([], 0, []), (["RTSP/1.0 weir-0123456789abcdef (2)"], 2, ["0123456789abcdef"]),
            (
                ["RTSP/1.0 proxy.example, RTSP/1.0 weir-0123456789abcdef, RTSP/1.0 weir-0011223344556677 (3)"], 3,
                ["0123456789abcdef", "0011223344556677"]
            ),
            (["RTSP/1.0 weir-0123456789abcdef"], 1, ["0123456789abcdef"]), (["RTSP/1.0 weir-xyz (9)", "garbage", ",,,"], 0, []),
            (["RTSP/1.0 weir-0123456789abcdef (999)"], 1, ["0123456789abcdef"]),
        ] as [([String], Int, [String])])
    func readsTrails(values: [String], hops: Int, tokens: [String]) {
        let trail = RelayTrail(via: values)
        #expect(trail.hops == hops && trail.tokens == tokens)
    }

    @Test func whoeverElseItCameThroughIsNamedOn() {
        let token = RelayTrail.makeToken()
        let trail = RelayTrail(via: ["HTTP/1.1 WMCacheProxy (WMCacheProxy/9.5, x), 1.0 a (\u{1})", "RTSP/1.0 weir-0123456789abcdef (2)"])
        #expect(
            trail.via(adding: token)
                == "HTTP/1.1 WMCacheProxy (WMCacheProxy/9.5, x), 1.0 a, RTSP/1.0 weir-0123456789abcdef, RTSP/1.0 weir-\(token) (3)")
        // What is read again is the same, and a ring shows.
        let again = RelayTrail(via: [trail.via(adding: token)])
        #expect(again.tokens == ["0123456789abcdef", token] && again.hops == 3)
        var trails = RelayTrails()
        #expect(trails.add(RelayTrail(via: ["garbage"])) == nil && trails.add(RelayTrail(via: ["1.1 other"])) != nil)
        #expect(trails.joined.via(adding: token) == "1.1 other, RTSP/1.0 weir-\(token) (1)")
    }

    @Test(
        arguments: [(nil, true, 9), ("10", true, 9), ("1", true, 0), ("0", false, 0), ("x", true, 9), ("1000", true, 254)]
            as [(String?, Bool, Int)])
    func howFarItMayGo(value: String?, mayForward: Bool, next: Int) {
        let trail = RelayTrail(via: [], maxForwards: value)
        #expect(trail.mayForward == mayForward && trail.forwardsNext == next)
        // Of those who share a pull the one counts who may go least far.
        #expect(trail.joined(RelayTrail(via: [], maxForwards: "5")).forwardsNext == min(next, 4))
    }

    @Test(
        arguments: [
            ([:], "WMPlayer/9.0", "DESCRIBE"), (["X-Proxy-Client-Agent": "NSPlayer/12.0"], "NSPlayer/12.0", "DESCRIBE"),
            (["X-Proxy-Client-Agent": "NSPlayer/12.0", "X-Proxy-Client-Verb": "GET"], "NSPlayer/12.0", "GET"),
            (["Pragma": "no-cache, proxy-client-agent=\"NSPlayer/7.1\""], "NSPlayer/7.1", "DESCRIBE"),
            (["X-Proxy-Client-Verb": "GET /\u{b}"], "WMPlayer/9.0", "DESCRIBE"), (["X-Proxy-Client-Agent": ""], "WMPlayer/9.0", "DESCRIBE"),
        ] as [(RTSPHeaders, String, String)])
    func whoAsksInTheEnd(headers: RTSPHeaders, agent: String, verb: String) {
        let asker = SourceAsker(headers: headers, agent: "WMPlayer/9.0", verb: "DESCRIBE")
        #expect(asker == SourceAsker(agent: agent, verb: verb))
    }

    @Test func aTrailIsBounded() {
        let values = (0..<100).map { "RTSP/1.0 weir-" + String(repeating: "0", count: $0 < 10 ? 15 : 14) + "\($0)" }
        let trail = RelayTrail(via: values)
        #expect(trail.tokens.count == RelayTrail.tokensMax)
        let again = RelayTrail(via: [trail.via(adding: RelayTrail.makeToken())])
        #expect(again.tokens.count == RelayTrail.tokensMax && again.hops == trail.hops + 1)
    }
}
