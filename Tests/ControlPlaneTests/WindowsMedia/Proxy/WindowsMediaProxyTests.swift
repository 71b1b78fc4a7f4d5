import Foundation
import Glibc
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// What comes from an origin on demand: a Weir before a Weir.
    @Suite struct Proxied {
        @Test("Two players at a time are brought one fill, and a third has it from the cache while the origin is away")
        func fillsOnce() throws {
            let rig = try ProxyRig()
            defer { rig.stop() }
            let both = try together(rig, ["{1}", "{2}"])
            for played in both {
                #expect(played.ended && played.numbers == Array(0..<2_000) && played.packets == rig.content.packets)
            }
            #expect(try rig.plays() == 1)
            try rig.wait("it is whole") { $0.object?.fill.isWhole == true }
            try rig.origin.stop()
            let played = try rig.play(guid: "{3}")
            #expect(played.ended && played.packets == rig.content.packets)
            #expect(played.head.contains("proxy-revalidate") && played.head.lowercased().contains("etag: "), "\(played.head)")
            #expect(rig.outcomes.last == "HIT origin-unreachable", "\(rig.outcomes)")
        }

        private func together(_ rig: ProxyRig, _ guids: [String]) throws -> [ProxyRig.Played] {
            let played = Locked<[ProxyRig.Played]>([])
            let port = rig.proxy.port
            let threads = guids.map { guid in
                let thread = Thread {
                    guard let one = try? ProxyRig.play(port: port, guid: guid) else { return }
                    played.withLockedValue { $0.append(one) }
                }
                thread.start()
                return thread
            }
            for _ in 0..<4_000 where threads.contains(where: { !$0.isFinished }) { usleep(5_000) }
            return played.withLockedValue { $0 }
        }

        @Test("Without a cache each player has a session with the origin, from his own place on")
        func passesOn() throws {
            let rig = try ProxyRig(keeps: false)
            defer { rig.stop() }
            for (number, from) in [0, 1_500].enumerated() {
                let played = try rig.play(from: from, guid: "{\(number)}")
                #expect(played.ended && played.numbers == Array(UInt32(from)..<2_000))
                #expect(played.packets == Array(rig.content.packets[from...]))
            }
            #expect(rig.outcomes == ["BYPASS no-cache-directory", "BYPASS no-cache-directory"])
            // A description says what it is, and each plays by a session of its own.
            #expect(try rig.plays() >= 2)
        }

        @Test("A player that seeks ahead has his part at once, and the object becomes whole all the same")
        func seeksAhead() throws {
            let rig = try ProxyRig(packets: 4_000, path: "    cache-fill: finish\n")
            defer { rig.stop() }
            let ahead = try rig.play(from: 3_000, count: 50, guid: "{a}")
            #expect(ahead.numbers == Array(3_000..<(3_000 + UInt32(ahead.numbers.count))) && ahead.numbers.count >= 50)
            let beginning = try rig.play(count: 50, guid: "{b}")
            #expect(Array(beginning.packets.prefix(50)) == Array(rig.content.packets[0..<50]))
            #expect(
                rig.outcomes.first == "MISS not-cached" && rig.outcomes.last?.hasPrefix("REVALIDATED unchanged") == true, "\(rig.outcomes)")
            try rig.wait("the rest is fetched") { $0.object?.fill.isWhole == true }
            try rig.origin.stop()
            let whole = try rig.play(from: 2_000, count: 100, guid: "{c}")
            #expect(Array(whole.packets.prefix(100)) == Array(rig.content.packets[2_000..<2_100]))
        }

        @Test("Another version at the origin takes the place of the one that is kept")
        func changes() throws {
            let rig = try ProxyRig(packets: 500)
            defer { rig.stop() }
            #expect(try rig.play(guid: "{1}").packets == rig.content.packets)
            let other = LongASF(packets: 300)
            try Data(other.bytes).write(to: URL(fileURLWithPath: rig.file.name))
            let played = try rig.play(guid: "{2}")
            #expect(played.ended && played.packets == other.packets)
            #expect(rig.outcomes == ["MISS not-cached", "MISS changed"], "\(rig.outcomes)")
        }

        @Test(
            "What the operator forbids, or there is no room for, is passed on",
            arguments: [
                ("    cache: no\n", "", "BYPASS cache-off"), ("", "cache-object-max: 8KiB\n", "BYPASS too-large"),
                // It shows while it is fetched; the player does not notice.
                ("", "cache-size: 64KiB\n", "MISS not-cached"),
            ])
        func keepsNothing(path: String, top: String, outcome: String) throws {
            let rig = try ProxyRig(path: path, top: top)
            defer { rig.stop() }
            let played = try rig.play()
            #expect(played.ended && played.packets == rig.content.packets)
            #expect(rig.outcomes == [outcome], "\(rig.outcomes)")
        }

        @Test("`stale: never` serves nothing that would have to be asked about")
        func staleNever() throws {
            let rig = try ProxyRig(packets: 500, path: "    stale: never\n")
            defer { rig.stop() }
            #expect(try rig.play(guid: "{1}").ended)
            try rig.wait("it is whole") { $0.object?.fill.isWhole == true }
            try rig.origin.stop()
            #expect(try rig.play(guid: "{2}").head.contains(" 504 "))
        }

        @Test("An origin that asks for a password is asked by each player with his own")
        func passwords() throws {
            let rig = try ProxyRig(packets: 200, origin: "    read: users\nusers:\n  bob:\n    password: secret\n")
            defer { rig.stop() }
            let played = try rig.play()
            #expect(played.head.contains(" 401 ") && played.head.contains("WWW-Authenticate"), "\(played.head)")
            #expect(rig.outcomes.isEmpty)
        }
    }
}

@Suite struct PathCacheSettingsTests {
    @Test func whatIsSaid() throws {
        let configuration = try Configuration.parse(
            """
            cache-dir: /var/cache/weir
            cache-size: 2GiB
            cache-memory-max: 8MiB
            paths:
              a:
                source: mmsh://media.example/a.wmv
                cache: force
                cache-fill: finish
                cache-fill-sessions: 2
                cache-credentials: share
                cache-age: 10m
                stale: never
            """)
        #expect(configuration.cache.directory == "/var/cache/weir" && configuration.cache.bytesMax == 2 << 30)
        #expect(configuration.cacheMemoryBytesMax == 8 << 20)
        let policy = configuration.paths[0].proxyPolicy(ProxyCommons())
        #expect(policy.keeping == .forced && policy.sharesOperators && !policy.servesUnreachable && policy.ageDefaultSeconds == 600)
        #expect(configuration.paths[0].cache.fill == .finish && configuration.paths[0].cache.fillSessionsMax == 2)
    }

    @Test(arguments: [
        ("    source: publish\n    cache: no", "weir.yml:4: paths.a.cache: it is about content that a server has on demand"),
        ("    source: mmsh://m/a\n    stale: maybe", "weir.yml:4: paths.a.stale: `maybe` is not known"),
        ("    source: mmsh://m/a\n    cache: perhaps", "weir.yml:4: paths.a.cache: `perhaps` is none of yes, no and force"),
        ("    source: mmsh://m/a\n    cache-fill-sessions: 0", "weir.yml:4: paths.a.cache-fill-sessions: `0` is no whole number"),
        ("    source: mmsh://m/a\n    broadcast: yes\n    cache: yes", "weir.yml:5: paths.a.cache: with `broadcast: true`"),
        (
            "    source: mmsh://m/a\n    remote-events: open, opened",
            "weir.yml:4: paths.a.remote-events: ` opened` is none of open, close and log"
        ),
        ("    source: publish\n    remote-events: log", "weir.yml:4: paths.a.remote-events: it is about Windows Media"),
        ("    source: mmsh://m/a\n    dial: always\n    cache-fill: stop", "weir.yml:5: paths.a.cache-fill: with `dial: always`"),
    ])
    func whatIsWrong(path: String, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse("paths:\n  a:\n\(path)\n") }
        #expect(error?.errors.count == 1 && error?.errors.first?.description.hasPrefix(words) == true, "\(String(describing: error))")
    }
}
