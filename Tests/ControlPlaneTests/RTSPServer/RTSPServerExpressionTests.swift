import Glibc
import NIOCore
import NIOPosix
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// Names that nobody listed, and names that are served elsewhere.
    @Suite(.serialized) struct Names {
        private static let announce = ["Content-Type: application/sdp"]

        private func expressions(_ harness: ServerHarness) throws -> [ExpressionOverview] {
            try harness.run { $0.paths.expressions.map(\.overview) }
        }

        @Test func aPublisherMakesAPathOfANameThatMatches() throws {
            let harness = try ServerHarness(yaml: "paths:\n  ~^studio/[a-z]+$:\n    source: publish\n    publisher-wait: 0\n")
            defer { try? harness.stop() }
            let encoder = try harness.client(), player = try harness.client()
            let none = try player.ask("DESCRIBE", "/studio/one")
            #expect(none.status == .notFound && String(decoding: none.body, as: UTF8.self).contains("nobody publishes as /studio/one"))
            #expect(try expressions(harness)[0].instancesEver == 0, "asking for a name makes nothing")
            #expect(try encoder.ask("ANNOUNCE", "/studio/1", Self.announce, body: ServerHarness.oneTrack).status == .notFound)
            #expect(try encoder.ask("ANNOUNCE", "/studio/one", Self.announce, body: "no SDP").status == .badRequest)
            #expect(try expressions(harness)[0].instancesEver == 0, "nor does an announcement that is refused")
            let answer = try encoder.ask(
                "ANNOUNCE", "/studio/one", Self.announce, body: ServerHarness.oneTrack + "a=control:streamid=0\r\n")
            let session = try #require(answer.headers.session?.id)
            // GStreamer and FFmpeg name the track behind the path, as they like.
            let track = try encoder.ask(
                "SETUP", "/studio/one/streamid=0",
                ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", "Session: \(session)"])
            #expect(track.status == .ok)
            #expect(try player.ask("DESCRIBE", "/studio/one").status == .ok)
            #expect(try player.ask("DESCRIBE", "/studio/one/trackID=0").status == .notFound)
            #expect(try expressions(harness)[0].instances == 1)
            #expect(try encoder.ask("TEARDOWN", "/studio/one", ["Session: \(session)"]).status == .ok)
            try harness.eventually("the path goes with its publisher") { $0.paths.path(named: "studio/one") == nil }
            #expect(try expressions(harness)[0].instances == 0)
        }

        @Test func aNameWhoseSourceCannotBeHadIsNotAskedForAgain() throws {
            let group = MultiThreadedEventLoopGroup.singleton
            let origin = try ScriptedOrigin(group: group, sdp: Descriptions.description()) { request, _ in
                (request.method == .describe ? .notFound : .ok, [:], [])
            }
            let harness = try ServerHarness(
                yaml: """
                    paths:
                      ~^cam-([0-9]+)$:
                        source: rtsp://127.0.0.1:\(origin.port)/room/$1?id=$1
                        negatives-max: 2
                        negative-time: 60s
                    """)
            defer { try? harness.stop() }
            let client = try harness.client()
            let began = NIODeadline.now()
            let first = try client.ask("DESCRIBE", "/cam-7")
            #expect(first.status == .notFound)
            #expect(NIODeadline.now() - began < .seconds(3), "those who wait hear it at once")
            #expect(origin.requests.last?.uri == "rtsp://127.0.0.1:\(origin.port)/room/7?id=7")
            let connections = origin.connections
            for _ in 0..<5 { #expect(try client.ask("DESCRIBE", "/cam-7").status == .notFound) }
            #expect(origin.connections == connections)
            for name in ["8", "9", "10"] { #expect(try client.ask("DESCRIBE", "/cam-\(name)").status == .notFound) }
            let seen = try expressions(harness)[0]
            #expect(seen.negativeAnswers == 5 && seen.negatives == 2 && seen.instancesEver == 4 && seen.instances == 0)
            #expect(try harness.run { $0.paths.runTimePaths } == 0)
        }

        @Test func aScanOfOtherNamesLeavesNothing() throws {
            let harness = try ServerHarness(yaml: "paths:\n  ~^cam-([0-9]{1,3})$:\n    source: rtsp://127.0.0.1:1/$1\n")
            defer { try? harness.stop() }
            let client = try harness.client()
            let names =
                (0..<200).map { "/x\($0)" } + [
                    "/cam-1/../2", "/cam-%31%2f..%2f", "/cam-1%0a", "/cam-1%20", "/" + String(repeating: "c", count: 900),
                ]
            for name in names { #expect(try client.ask("DESCRIBE", name).status.code / 100 == 4) }
            let seen = try expressions(harness)[0]
            #expect(seen.instancesEver == 0 && seen.negatives == 0)
        }

        @Test func thereAreOnlySoManyAtATime() throws {
            let group = MultiThreadedEventLoopGroup.singleton
            let origin = try ScriptedOrigin(group: group, sdp: Descriptions.description()) { _, _ in nil }
            let harness = try ServerHarness(
                yaml: """
                    paths:
                      ~^cam-([0-9]+)$:
                        source: rtsp://127.0.0.1:\(origin.port)/$1
                        instances-max: 2
                    """)
            defer { try? harness.stop() }
            let clients = try (0..<3).map { _ in try harness.client() }
            for (number, client) in clients.prefix(2).enumerated() { client.send(client.text("DESCRIBE", "/cam-\(number)")) }
            try harness.eventually("two are waited for") { $0.paths.expressions[0].overview.instances == 2 }
            let third = try clients[2].ask("DESCRIBE", "/cam-9")
            #expect(third.status == .serviceUnavailable && String(decoding: third.body, as: UTF8.self).contains("instances-max"))
            #expect(try harness.statistics().refusals[.instancesMax] == 1)
        }

        @Test func listedNamesGoFirstThenExpressionsInTheirOrder() throws {
            let harness = try ServerHarness(
                yaml: """
                    paths:
                      ~^(live|old)/(.*)$:
                        redirect: rtsp://first.example/$2
                      ~^old/.*$:
                        redirect: rtsp://second.example/
                      gone:
                        redirect: rtsp://third.example:9554/else/where?x=$1
                    """)
            defer { try? harness.stop() }
            let client = try harness.client()
            func location(_ method: String, _ path: String, _ headers: [String] = []) throws -> String {
                let answer = try client.ask(method, path, headers)
                return "\(answer.status.code) \(answer.headers["Location"] ?? "")"
            }
            #expect(try location("DESCRIBE", "/live") == "200 ")
            #expect(try location("DESCRIBE", "/live/x") == "302 rtsp://first.example/x")
            #expect(try location("DESCRIBE", "/old/a/b(c)") == "302 rtsp://first.example/a/b%28c%29")
            #expect(try location("DESCRIBE", "/gone") == "302 rtsp://third.example:9554/else/where?x=$1")
            let transport = ["Transport: RTP/AVP;unicast;client_port=45300-45301"]
            #expect(try location("SETUP", "/gone/trackID=0", transport) == "302 rtsp://third.example:9554/else/where?x=$1")
            #expect(try client.ask("ANNOUNCE", "/gone", Self.announce, body: ServerHarness.oneTrack).status == .methodNotAllowed)
            #expect(try harness.statistics().redirections == 4)
        }

        @Test func rulesOfAnExpressionHoldForItsNames() throws {
            let harness = try ServerHarness(
                yaml:
                    "paths:\n  ~^shut/(.*)$:\n    redirect: rtsp://other.example/$1\n    read: 10.0.0.0/8\n  open:\n    redirect: rtsp://o.example/\n"
            )
            defer { try? harness.stop() }
            let client = try harness.client()
            #expect(try client.ask("DESCRIBE", "/shut/x").status == .forbidden)
            #expect(try client.ask("DESCRIBE", "/open").status == .movedTemporarily)
        }

        // MARK: Load distribution

        private static let setUp = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]

        @Test func readersBeyondTheLimitGoToTheNextRelayOfTheList() throws {
            let harness = try ServerHarness(
                yaml: """
                    paths:
                      full:
                        source: publish
                        readers-max: 1
                        then: [rtsp://two:8554, "rtspt://[fd00::3]:9554"]
                    """)
            defer { try? harness.stop() }
            let encoder = try harness.client()
            #expect(try encoder.ask("ANNOUNCE", "/full", Self.announce, body: ServerHarness.oneTrack).status == .ok)
            let first = try harness.client(), second = try harness.client()
            #expect(try first.ask("DESCRIBE", "/full").status == .ok)
            #expect(try first.ask("DESCRIBE", "/full").status == .ok, "whoever has a place may ask again")
            func moved(_ path: String, _ method: String = "DESCRIBE", _ headers: [String] = []) throws -> String? {
                let answer = try second.ask(method, path, headers)
                return answer.status == .movedTemporarily ? answer.headers["Location"] : "\(answer.status)"
            }
            #expect(try moved("/full") == "rtsp://two:8554/full?weir-hop=1")
            #expect(try moved("/full?token=x&weir-hop=1&y") == "rtspt://[fd00::3]:9554/full?token=x&y&weir-hop=2")
            #expect(try moved("/full/trackID=0?token=x", "SETUP", Self.setUp) == "rtsp://two:8554/full?token=x&weir-hop=1")
            for hop in ["3", "99999999999999999999", "x"] { #expect(try moved("/full?weir-hop=\(hop)")?.hasPrefix("453") == true) }
            #expect(try second.ask("DESCRIBE", "/full?weir-hop=3").headers["Retry-After"] != nil)
            // The place goes with its connection, and with its session.
            first.send("TEARDOWN")
            _ = try first.ask("SETUP", "/full/trackID=0", Self.setUp)
            let statistics = try harness.statistics()
            #expect(statistics.readersRedirected == 3 && statistics.refusals[.readersMax] == 4)
            #expect(try harness.run { $0.paths.path(named: "full")?.readersRedirected } == 3)
        }

        @Test func aPlaceIsHeldUntilSetUpOrTheEndOfTheConnection() throws {
            let harness = try ServerHarness(yaml: "readers-max: 2\n")
            defer { try? harness.stop() }
            var clients = try (0..<3).map { _ in try harness.client() }
            for client in clients.prefix(2) { #expect(try client.ask("DESCRIBE", "/cam/one").status == .ok) }
            let full = try clients[2].ask("DESCRIBE", "/live")
            #expect(full.status == .notEnoughBandwidth, "the bound is on all paths together")
            clients.removeFirst()
            try harness.eventually("the place is free") { $0.server.openConnections.count == 2 }
            #expect(try clients[1].ask("DESCRIBE", "/live").status == .ok)
            #expect(try clients[0].ask("SETUP", "/cam/one/trackID=0", Self.setUp).status == .ok)
            #expect(try harness.run { $0.server.places.count } == 1)
            #expect(try harness.run { $0.server.readerSessions } == 1)
        }

        // MARK: Loops

        @Test func aPathDoesNotFeedItself() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            let via = try #require(try harness.run { $0.paths.path(named: "live")?.via })
            #expect(via.hasSuffix(" (1)"))
            let answer = try client.ask("DESCRIBE", "/live", ["Via: RTSP/1.0 weir-0123456789abcdef, \(via)"])
            #expect(
                answer.status == .loopDetected && String(decoding: answer.body, as: UTF8.self).contains("/live would be its own source"))
            #expect(try client.ask("DESCRIBE", "/cam/one", ["Via: \(via)"]).status == .ok, "another path is another matter")
            #expect(try client.ask("DESCRIBE", "/live", ["Via: RTSP/1.0 weir-0123456789abcdef (9)"]).status == .loopDetected)
            let session = try client.ask(
                "SETUP", "/cam/one/trackID=0", Self.setUp + ["Via: RTSP/1.0 weir-0123456789abcdef (2)"])
            #expect(session.status == .ok)
            let carried = try harness.run { $0.paths.path(named: "cam/one")?.via }
            #expect(carried?.hasPrefix("RTSP/1.0 weir-0123456789abcdef, ") == true && carried?.hasSuffix(" (3)") == true)
        }

        @Test func aSourceThatIsALoopIsSaidAtOnce() throws {
            let group = MultiThreadedEventLoopGroup.singleton
            let origin = try ScriptedOrigin(group: group, sdp: Descriptions.description()) { request, _ in
                (request.method == .describe ? .loopDetected : .ok, [:], [])
            }
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.run { harness in
                var settings = PathSettings(name: "ring", source: try .init("rtsp://127.0.0.1:\(origin.port)/ring"))
                settings.sourceWaitMilliseconds = 20_000
                try harness.paths.add(settings, origin: .registered("a test"))
            }
            let client = try harness.client()
            let began = NIODeadline.now()
            #expect(try client.ask("DESCRIBE", "/ring", ["Via: RTSP/1.0 weir-0123456789abcdef (1)"]).status == .loopDetected)
            #expect(NIODeadline.now() - began < .seconds(3))
            let sent = origin.requests.first { $0.method == .describe }?.headers["Via"]
            #expect(sent?.hasPrefix("RTSP/1.0 weir-0123456789abcdef, RTSP/1.0 weir-") == true && sent?.hasSuffix(" (2)") == true)
        }
    }
}
