import Foundation
import Glibc
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// Whose connections to an origin are.
    @Suite struct ProxiedConnections {
        private static let player = "User-Agent: NSPlayer/9.0.0.2980\r\n"

        /// Sends a request and reads to the end of the answer's head.
        private static func head(_ client: TestClient, _ request: String) -> String {
            client.send(request)
            var bytes: [UInt8] = []
            while bytes.firstRange(of: Array("\r\n\r\n".utf8)) == nil {
                var buffer = [UInt8](repeating: 0, count: 4_096)
                let got = unsafe recv(client.descriptor, &buffer, buffer.count, 0)
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { break }
                bytes += buffer[..<got]
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        private static func describe(_ port: UInt16, _ more: String = "") throws -> (client: TestClient, head: String) {
            let client = try TestClient(port: port)
            return (client, head(client, "GET /a HTTP/1.0\r\n\(player)\(more)Pragma: no-cache,rate=1.000\r\n\r\n"))
        }

        /// An origin whose content is live, and may not be split or may; Plays are answered while `plays` says so.
        private static func liveOrigin(_ control: String, plays: Locked<Bool> = Locked(true)) throws -> ScriptedHTTPOrigin {
            let content = LongASF(packets: 40)
            var header = content.header
            header[118] |= 1
            let live = header
            let lines = [
                "Server: Cougar/9.01.01.3814", "Pragma: no-cache, client-id=99, features=\"broadcast\", timeout=60000",
                "Cache-Control: no-cache, max-age=0, x-wms-stream-type=\"broadcast\"\(control)", "Connection: close",
            ]
            return try ScriptedHTTPOrigin { request, _ in
                guard request.hasPrefix("GET") || FillRig.isPlay(request) else {
                    return .init(bytes: ScriptedHTTPOrigin.head(lines + ["Content-Length: 0"]))
                }
                guard plays.withLockedValue({ $0 }) else {
                    return .init(bytes: ScriptedHTTPOrigin.head(["Content-Length: 0"], status: "503 Later"))
                }
                let head = ScriptedHTTPOrigin.head(lines) + WMSPFraming.header(live)
                guard FillRig.isPlay(request) else { return .init(bytes: head) }
                return .init(bytes: head + (WMSPFraming.data(content.packets[0], locationID: 0) ?? []), closes: false)
            }
        }

        private static func proxy(_ origin: ScriptedHTTPOrigin, _ directory: String, log: HeardLog? = nil) throws -> ServerHarness {
            try ServerHarness(
                log: log, yaml: "cache-dir: \(directory)\npaths:\n  a:\n    source: mmsh://127.0.0.1:\(origin.port)/a\n")
        }

        private static func wait(_ harness: ServerHarness, _ what: Comment, _ condition: @escaping @Sendable (WindowsMediaProxy) -> Bool)
            throws
        {
            for _ in 0..<2_000 {
                if try harness.run({ $0.paths.path(named: "a")?.windowsMediaProxy.map(condition) ?? false }) { return }
                usleep(10_000)
            }
            Issue.record(what)
        }

        private static func questions(_ origin: ScriptedHTTPOrigin) -> Int {
            origin.requests.withLockedValue { $0.count { $0.contains("getcontentinfo") } }
        }

        @Test("Between Describe and Play a connection that may not be split is its player's")
        func describedAndNotPlayed() throws {
            let origin = try Self.liveOrigin("")
            let directory = NSTemporaryDirectory() + "weir-proxy-\(UInt64.random(in: 0 ... .max))"
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let proxy = try Self.proxy(origin, directory)
            defer { try? proxy.stop() }
            for players in 1...3 {
                let described = try Self.describe(proxy.port)
                #expect(described.head.contains(" 200 "), "\(described.head)")
                try Self.wait(proxy, "\(players) connections") { $0.roles.count == players }
            }
        }

        @Test("A shared connection that fails is not waited for: the origin is asked what it has now")
        func failing() throws {
            let plays = Locked(false)
            let origin = try Self.liveOrigin(", x-wms-proxy-split", plays: plays)
            let directory = NSTemporaryDirectory() + "weir-proxy-\(UInt64.random(in: 0 ... .max))"
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let proxy = try Self.proxy(origin, directory)
            defer { try? proxy.stop() }
            let first = try TestClient(port: proxy.port)
            first.send("GET /a HTTP/1.0\r\n\(Self.player)Pragma: no-cache,rate=1.000\r\n\r\n")
            try Self.wait(proxy, "it fails") { $0.roles.first?.isFailing == true }
            #expect(Self.questions(origin) == 1)
            let second = try TestClient(port: proxy.port)
            second.send("GET /a HTTP/1.0\r\n\(Self.player)Pragma: no-cache,rate=1.000\r\n\r\n")
            try Self.wait(proxy, "it is asked again") { _ in Self.questions(origin) == 2 }
            plays.withLockedValue { $0 = true }
            #expect(Self.head(second, "").contains(" 200 "))
            try Self.wait(proxy, "both share one") { $0.roles.count == 1 && $0.roles.first?.isFailing == false }
        }

        @Test("Players behind one address that say no number of their own are told apart by their sessions")
        func withoutNumbers() throws {
            let rig = try ProxyRig(step: 20, keeps: false)
            defer { rig.stop() }
            var clients: [TestClient] = []
            var sessions: [Substring] = []
            for _ in 0..<2 {
                let (client, head) = try Self.describe(rig.proxy.port)
                clients.append(client)
                sessions.append(try #require(head.firstMatch(of: /client-id=(\d+)/)?.1))
            }
            for session in sessions {
                let client = try TestClient(port: rig.proxy.port)
                client.send(
                    "GET /a HTTP/1.0\r\n\(Self.player)Pragma: no-cache,rate=1.000,packet-num=0,client-id=\(session)\r\nPragma: xPlayStrm=1\r\n"
                        + "Pragma: stream-switch-count=1\r\nPragma: stream-switch-entry=ffff:1:0\r\n\r\n")
                let played = try ProxyRig.Played(client, count: 5)
                #expect(played.numbers.prefix(5) == [0, 1, 2, 3, 4])
                clients.append(client)
            }
            let readers = try rig.proxy.run { harness in
                harness.paths.path(named: "a")?.windowsMediaProxy?.privateObjects.values.map { $0.fill.readerCount }
            }
            #expect(readers == [1, 1])
            withExtendedLifetime(clients) {}
        }

        @Test("A permission that is gone ends no play; another version does", arguments: [true, false])
        func discards(isSame: Bool) throws {
            let rig = try ProxyRig(step: 20)
            defer { rig.stop() }
            let played = try rig.play(count: 5)
            #expect(played.numbers.count >= 5)
            let states = try rig.proxy.run { harness -> [Bool] in
                guard let path = harness.paths.path(named: "a"), let proxy = path.windowsMediaProxy, let object = proxy.object else {
                    return []
                }
                var facts = object.facts
                facts.cacheControl?.flags = [.private]
                if !isSame { facts.etag = "\"another\"" }
                let resolution = ProxyResolution()
                resolution.origin = .says(facts)
                resolution.stored = object.state
                proxy.decide(resolution, path)
                return [object.fill.isLetGo, object.fill.isOutdated, object.isOfUse]
            }
            #expect(states == [isSame, !isSame, false])
        }

        @Test("What may lie in memory alone is passed on where there is no room for it")
        func memory() throws {
            let content = LongASF(packets: 100)
            let origin = try ScriptedHTTPOrigin { request, _ in
                let lines = ["Cache-Control: no-cache, proxy-public, no-store, x-wms-content-size=\(content.bytes.count)", "Etag: \"1\""]
                guard request.hasPrefix("GET") || FillRig.isPlay(request) else {
                    return .init(bytes: FillRig.head(lines + ["Content-Length: 0"]))
                }
                return FillRig.isPlay(request)
                    ? FillRig.played(content, 0..<100, ends: true) : .init(bytes: FillRig.head(lines) + WMSPFraming.header(content.header))
            }
            let directory = NSTemporaryDirectory() + "weir-proxy-\(UInt64.random(in: 0 ... .max))"
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let log = HeardLog()
            let proxy = try Self.proxy(origin, directory, log: log)
            defer { try? proxy.stop() }
            let others = try proxy.run { harness in
                harness.paths.path(named: "a")?.windowsMediaProxy.flatMap { proxy in
                    proxy.parts.commons.memory.share(proxy.parts.commons.memory.bytesMax - 100 * LongASF.packetBytes, least: 0)
                }
            }
            #expect(others != nil)
            let first = try ProxyRig.play(port: proxy.port, guid: "{1}")
            #expect(first.packets == content.packets && first.head.contains(" 200 "))
            #expect(log.lines(from: .info).contains { $0.contains("cache=BYPASS no-store") })
            let used = try proxy.run { $0.paths.path(named: "a")?.windowsMediaProxy?.parts.commons.memory.refused }
            #expect(used == 1)
            withExtendedLifetime(others) {}
        }

        @Test("Of an origin that does not outlive a question the user is told what to do")
        func oneConnection() throws {
            let origin = try ScriptedHTTPOrigin { _, _ in .init() }
            let directory = NSTemporaryDirectory() + "weir-proxy-\(UInt64.random(in: 0 ... .max))"
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let proxy = try Self.proxy(origin, directory)
            defer { try? proxy.stop() }
            _ = try Self.describe(proxy.port)
            let words = try proxy.run { $0.paths.path(named: "a")?.windowsMediaProxy?.lastWords ?? "" }
            #expect(words.contains("`broadcast: true`"), "\(words)")
        }
    }
}
