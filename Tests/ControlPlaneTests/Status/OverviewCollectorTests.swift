import Glibc
import NIOCore
import PlaneLink
import Testing

@testable import ControlPlane

extension RTSPServerTests {
    /// What a running server tells of itself.
    @Suite(.serialized) struct Overviews {
        private func overview(_ harness: ServerHarness, readers: Int = 20, path: String? = nil) throws -> Overview {
            try harness.loop.flatSubmit {
                let collector = OverviewCollector(
                    server: harness.server, paths: harness.paths, port: harness.server.port, listen: "here", version: "1")
                // The collector lives as long as its answer takes.
                return collector.overview(readers: readers, path: path)
            }.wait()
        }

        @Test func namesReadersAndWhatTheyGet() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (100, 0), audio: (7, 0))
            let tcp = try harness.client(), udp = try harness.client()
            _ = try tcp.ask("OPTIONS", "*", ["User-Agent: Player/1 " + String(repeating: "x", count: 200)])
            let first = try tcp.setUpLive()
            #expect(try tcp.ask("PLAY", "/live", ["Session: \(first)"]).status == .ok)
            _ = try udp.setUpLive(udp: 45_000)
            let seen = try overview(harness)
            #expect(seen.readers.count == 2 && seen.readers.byTransport == ["tcp": 1, "udp": 1])
            #expect(seen.totals.readersPlaying == 1 && seen.totals.sessions == 2 && seen.totals.connections == 2)
            let shown = Dictionary(uniqueKeysWithValues: seen.readers.shown.map { ($0.transport, $0) })
            let player = try #require(shown["tcp"]), waiter = try #require(shown["udp"])
            #expect(player.state == "playing" && player.path == "live" && player.session == String(first.prefix(6)))
            #expect(player.userAgent?.hasPrefix("Player/1 xx") == true && player.userAgent?.count == ReaderOverview.agentCharactersMax)
            #expect(
                player.isBlocked == false && player.packetsSent == 0 && player.lagMilliseconds == 0 && player.roundTripMilliseconds != nil)
            #expect(waiter.state == "ready" && waiter.userAgent == nil && waiter.packetsSent == nil && waiter.address == "127.0.0.1:45000")
            #expect(seen.limits.first { $0.name == "sessions" }?.used == 2)
            #expect(seen.paths.map(\.name) == seen.paths.map(\.name).sorted() && seen.paths.first { $0.name == "live" }?.state == .playing)
            #expect(try overview(harness, readers: 1).readers.shown.count == 1)
            let one = try overview(harness, path: "/cam/one/")
            #expect(one.paths.map(\.name) == ["cam/one"] && one.readers.count == 0)
            let error = #expect(throws: ControlAnswer.Trouble.self) { try overview(harness, path: "no-such-path") }
            #expect(error?.message == "there is no path `no-such-path`")
        }

        @Test func countsWhatAReaderIsDueFromItsFirstPacketOn() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            let session = try client.setUpLive(udp: 45_010)
            // 1,000 packets of 500 bytes came before; the reader begins 20 packets back, then 80 more come.
            try harness.run { harness in
                let counters = try #require(harness.paths.path(named: "live")?.live?.counters)
                counters.set(0, .packets, 1_000)
                counters.set(0, .bytes, 500_000)
                counters.set(0, .sequenceOut, 119)
            }
            try harness.joinsAt(video: (100, 0), audio: nil)
            #expect(try client.ask("PLAY", "/live", ["Session: \(session)"]).status == .ok)
            try harness.run { harness in
                let counters = try #require(harness.paths.path(named: "live")?.live?.counters)
                counters.set(0, .packets, 1_080)
                counters.set(0, .bytes, 540_000)
            }
            var reader = try #require(try overview(harness).readers.shown.first)
            #expect(reader.packetsSent == 100 && reader.bytesSent == 50_000 && reader.packetsMissed == 0)
            #expect(reader.lagMilliseconds == nil, "nothing is known before its first report")
            try harness.run { harness in
                harness.engine.report(.subscriberLagged(SubscriberHandle(index: 0, generation: 0), .socketFull, packets: 30))
            }
            try harness.eventually("the miss is counted") { $0.server.openSessions.first?.packetsMissed == 30 }
            reader = try #require(try overview(harness).readers.shown.first)
            #expect(reader.packetsSent == 70 && reader.bytesSent == 35_000 && reader.packetsMissed == 30)
        }

        @Test func tellsAPathsTroubleAndSinceWhen() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.run { harness in
                let path = try #require(harness.paths.path(named: "live"))
                path.sourceFailed("no route to\u{1B} host")
                path.sourceFailed("connection refused")
            }
            var path = try #require(try overview(harness, path: "live").paths.first)
            #expect(path.lastError?.words == "connection refused" && path.lastError?.inARow == 2 && path.lastError?.sinceSeconds != nil)
            let client = try harness.client()
            let session = try client.setUpLive()
            try harness.joinsAt(video: (1, 0), audio: nil)
            #expect(try client.ask("PLAY", "/live", ["Session: \(session)"]).status == .ok)
            path = try #require(try overview(harness, path: "live").paths.first)
            #expect(
                path.state == .playing && path.lastError?.ever == 2 && path.lastError?.sinceSeconds == nil && path.lastError?.inARow == 0)
            #expect(path.tracks.map(\.codec) == ["H.264", "Opus"])
        }

        @Test func aCrowdIsLookedAtInSlicesAndTheWorstComeFirst() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let clients = try (0..<10).map { _ in try harness.client() }
            for client in clients {
                for _ in 0..<16 {
                    #expect(
                        try client.ask("SETUP", "/cam/one/trackID=0", ["Transport: RTP/AVP;unicast;client_port=45100-45101"]).status == .ok)
                }
            }
            try harness.run { harness in
                for (number, session) in harness.server.openSessions.enumerated() { session.packetsMissed = UInt64(number) }
            }
            let seen = try overview(harness, readers: 5)
            #expect(seen.readers.count == 160 && seen.readers.count > 2 * OverviewCollector.slice)
            #expect(seen.readers.shown.map(\.packetsMissed) == [159, 158, 157, 156, 155])
        }
    }
}
