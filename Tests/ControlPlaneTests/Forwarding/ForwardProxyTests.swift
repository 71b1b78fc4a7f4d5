import PlaneLink
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct ForwardProxyConfigurationTests {
    @Test func readsEverything() throws {
        let configuration = try Configuration.parse(
            """
            forward-proxy:
              allow: [origin.example.org, "*.example.net:8080", 10.0.0.0/8]
              use: [alice, 192.168.0.0/16]
              names: [relay.example.org, Tv.example]
              targets-max: 7
              origins-max: 3
              linger: 5s
              negative-time: 30s
              negatives-max: 9
              cache: force
              cache-age: 10m
              stale: never
            users:
              alice:
                password: secret
            """, environment: ["WEIR_FORWARD_PROXY_TARGETS_MAX": "8"])
        let settings = configuration.forwardProxy
        #expect(settings.isOn && settings.allow.words == "origin.example.org, *.example.net:8080, 10.0.0.0/8")
        #expect(settings.use?.description == "alice, 192.168.0.0/16" && settings.names == ["relay.example.org", "tv.example"])
        #expect(settings.targetsMax == 8 && settings.originsMax == 3 && settings.path.lingerMilliseconds == 5_000)
        #expect(settings.negativeMilliseconds == 30_000 && settings.negativesMax == 9)
        #expect(settings.path.cache.keeping == .force && settings.path.cache.ageSeconds == 600 && settings.path.cache.stale == .never)
        #expect(configuration.summary.contains { $0.hasPrefix("forward proxy: Windows Media of origin.example.org, ") })
    }

    @Test func isOffWithoutAWord() throws {
        let settings = try Configuration.parse("paths:\n  a:\n    source: publish\n").forwardProxy
        #expect(!settings.isOn && settings == ForwardProxySettings())
    }

    /// Lines under `forward-proxy:`, and how the error begins.
    @Test(arguments: [
        ("allow: [http://h]", "weir.yml:2: forward-proxy.allow: `http://h` is none of HOST, *.DOMAIN"),
        ("use: any", "weir.yml:1: forward-proxy: it names no servers that may be asked"),
        ("allow: h\n  use: alice", "weir.yml:3: forward-proxy.use: `alice` is no user, address or network"),
        ("allow: h\n  names: 'h:80'", "weir.yml:3: forward-proxy.names: `h:80` is no host name"),
        ("allow: h\n  targets-max: 0", "weir.yml:3: forward-proxy.targets-max: `0` is no whole number from 1 to"),
        ("allow: h\n  cache: perhaps", "weir.yml:3: forward-proxy.cache: `perhaps` is none of yes, no and force"),
        ("allow: h\n  source: publish", "weir.yml:3: forward-proxy.source: unknown key"),
    ])
    func refusesInWordsWithTheLine(lines: String, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse("forward-proxy:\n  \(lines)\n") }
        #expect(error?.errors.count == 1 && error?.errors.first?.description.hasPrefix(words) == true, "\(String(describing: error))")
    }

    @Test func whoMayUseIt() throws {
        let settings = ForwardProxySettings()
        let near = settings.rule(hasUsers: false)
        for text in ["127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.7.7", "169.254.1.1", "fd00::1", "fe80::1"] {
            let address = try #require(HostAddress(numeric: text))
            #expect(near.allowsWithoutPassword(address), "\(text)")
        }
        for text in ["192.0.2.1", "172.32.0.1", "2001:db8::1"] {
            let address = try #require(HostAddress(numeric: text))
            #expect(!near.allowsWithoutPassword(address), "\(text)")
        }
        #expect(settings.rule(hasUsers: true) == .users)
    }

    @Test func aTargetsPathIsNoOperators() throws {
        let key = try CacheKey("http://ORIGIN.example:8080/films/a%2fb/?x=1")
        let settings = ForwardProxySettings().path.forwarding(key, from: .windowsMedia(try WMSPSourceURL(key.url)))
        #expect(settings.name == "mmsh://origin.example:8080/films/a%2Fb/?x=1" && settings.isForwarded)
        #expect(settings.access[.read] == .any && settings.access[.publish]?.grants.isEmpty == true)
        #expect(!settings.proxyPolicy(ProxyCommons()).isConfigured)
    }
}

@Suite struct RedirectProxyTests {
    @Test(arguments: [
        ("mms://o.example/a?b", "http://o.example/a?b", "rtsp://o.example/a?b"),
        ("mmsh://o.example:8080/a", "http://o.example:8080/a", "mmsh://o.example:8080/a"),
        ("http://o.example/a", "http://o.example/a", "mmsh://o.example/a"),
        ("rtsp://o.example/a", "rtsp://o.example/a", "rtsp://o.example/a"),
    ])
    func wherePlayersAreSent(source: String, wmsp: String, rtsp: String) {
        #expect(ProxyRefusal.location(of: source, for: .wmsp) == wmsp)
        #expect(ProxyRefusal.location(of: source, for: .msRTSP) == rtsp)
    }

    @Test func whatTheKeyDoes() throws {
        let configuration = try Configuration.parse("paths:\n  a:\n    source: mmsh://o.example/a\n    serve: redirect\n")
        #expect(configuration.paths[0].proxyPolicy(ProxyCommons()).redirects)
    }

    @Test(arguments: [
        ("source: publish\n    serve: redirect", "weir.yml:4: paths.a.serve: it is about content that another server has"),
        ("source: mmsh://o/a\n    serve: elsewhere", "weir.yml:4: paths.a.serve: `elsewhere` is not known"),
        ("source: mmsh://o/a\n    broadcast: yes\n    serve: redirect", "weir.yml:5: paths.a.serve: with `broadcast: true`"),
        ("source: mmsh://o/a\n    serve: redirect-when-full", "weir.yml:4: paths.a.serve: no `readers-max` says when it is full"),
    ])
    func refusesInWordsWithTheLine(lines: String, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse("paths:\n  a:\n    \(lines)\n") }
        #expect(error?.errors.count == 1 && error?.errors.first?.description.hasPrefix(words) == true, "\(String(describing: error))")
    }
}
