import Glibc
import NIOCore
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// Paths that come and go while the server runs.
    @Suite(.serialized) struct RunTimePaths {
        private static let setUp = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]

        @discardableResult
        private func add(_ harness: ServerHarness, _ name: String, _ change: @escaping @Sendable (inout PathSettings) -> Void = { _ in })
            throws
            -> Bool
        {
            try harness.run { harness in
                var settings = PathSettings(name: name, source: .demonstration)
                change(&settings)
                let description = try SessionDescription(ServerHarness.oneTrack)
                try harness.paths.add(settings, origin: .registered("a test")) { path in
                    ScriptedSource(path: path, sdp: description, isThere: true)
                }
                return true
            }
        }

        @Test func areServedAndEndTheirReadersWhenTheyGo() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let tcp = try harness.client(), udp = try harness.client(), other = try harness.client()
            #expect(try tcp.ask("DESCRIBE", "/late/comer").status == .notFound)
            try add(harness, "late/comer")
            #expect(try tcp.ask("DESCRIBE", "/late/comer").status == .ok)
            try harness.joinsAt(video: (1, 0), audio: nil)
            let first = try #require(try tcp.ask("SETUP", "/late/comer/trackID=0", Self.setUp).headers.session?.id)
            #expect(try tcp.ask("PLAY", "/late/comer", ["Session: \(first)"]).status == .ok)
            let second = try udp.ask("SETUP", "/late/comer/trackID=0", ["Transport: RTP/AVP;unicast;client_port=45200-45201"])
            #expect(second.status == .ok)
            let live = try other.setUpLive()
            try harness.run { #expect($0.paths.remove("late/comer", reason: "enough")) }
            // Goodbye on its track comes first.
            #expect(!tcp.isClosed())
            #expect(tcp.isClosed() && udp.isClosed())
            #expect(try other.ask("OPTIONS", "/live", ["Session: \(live)"]).status == .ok)
            #expect(try other.ask("DESCRIBE", "/late/comer").status == .notFound)
            #expect(try harness.statistics().ends[.pathRemoved] == 2 && harness.statistics().sessions == 1)
            try add(harness, "late/comer")
            #expect(try other.ask("DESCRIBE", "/late/comer").status == .ok)
        }

        @Test func theirPublishersEndToo() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.run { harness in
                _ = try harness.paths.add(PathSettings(name: "studio", source: .publish), origin: .registered("a test"))
            }
            let client = try harness.client()
            #expect(
                try client.ask("ANNOUNCE", "/studio", ["Content-Type: application/sdp"], body: ServerHarness.oneTrack).status == .ok)
            try harness.run { #expect($0.paths.remove("studio", reason: "enough")) }
            #expect(client.isClosed())
            #expect(try harness.statistics().ends[.pathRemoved] == 1)
        }

        @Test func theirRulesComeAndGoWithThem() throws {
            let harness = try ServerHarness { settings in
                var user = UserSettings(name: "alice")
                user.password = .plain("secret")
                settings.access.users = [user]
                settings.access.rules[.read] = .any
            }
            defer { try? harness.stop() }
            let client = try harness.client()
            // Where everybody may read everything, everybody may know what there is not.
            #expect(try client.ask("DESCRIBE", "/closed").status == .notFound)
            try add(harness, "closed") { $0.access[.read] = .users }
            #expect(try client.ask("DESCRIBE", "/closed").status == .unauthorized)
            #expect(try client.ask("DESCRIBE", "/nothing").status == .unauthorized)
            try harness.run { _ = $0.paths.remove("closed", reason: "enough") }
            #expect(try client.ask("DESCRIBE", "/nothing").status == .notFound)
        }

        @Test func showInTheOverview() throws {
            let harness = try ServerHarness { $0.limits.runTimePathsMax = 1 }
            defer { try? harness.stop() }
            try add(harness, "late")
            #expect(throws: PathTableError.tooMany(1)) { try add(harness, "later") }
            let seen = try harness.loop.flatSubmit {
                OverviewCollector(
                    server: harness.server, paths: harness.paths, port: harness.server.port, listen: "here", version: "1"
                ).overview(readers: 0, path: nil)
            }.wait()
            #expect(seen.paths.first { $0.name == "late" }?.origin == "registered by a test")
            #expect(seen.paths.first { $0.name == "live" }?.origin == nil)
            #expect(seen.limits.first { $0.name == "run-time-paths" } == .init(name: "run-time-paths", used: 1, max: 1))
            #expect(seen.totals.pathsAdded == 1 && seen.causes.refusals["paths_max"] == 1)
        }
    }
}
