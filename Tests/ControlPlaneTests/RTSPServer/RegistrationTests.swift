import Glibc
import NIOCore
import PlaneLink
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// Weir as a back end, at Weir as a proxy.
    @Suite(.serialized) struct Registrations {
        private func front(_ change: @escaping (inout ServerSettings) -> Void = { _ in }) throws -> ServerHarness {
            try ServerHarness { settings in
                var user = UserSettings(name: "back")
                user.password = .plain("secret")
                settings.access.users = [user]
                settings.access.rules[.read] = .any
                settings.register.allow = .users
                change(&settings)
            }
        }

        /// A server whose path `yard` is registered there.
        private func back(_ front: ServerHarness, _ login: String = "back:secret@", name: String = "door", _ options: String = "") throws
            -> ServerHarness
        {
            let harness = try ServerHarness()
            let target = try RegisterTarget(parsing: "rtsp://\(login)127.0.0.1:\(front.port)/\(name)\(options)")
            try harness.run { harness in
                var settings = PathSettings(name: "yard", source: .demonstration)
                settings.registerAt = [target]
                let description = try SessionDescription(ServerHarness.oneTrack)
                let path = try harness.paths.add(settings, origin: .configuration) {
                    ScriptedSource(path: $0, sdp: description, isThere: true)
                }
                harness.server.register([path])
            }
            return harness
        }

        private func words(_ harness: ServerHarness) throws -> String { try harness.run { $0.server.registrations[0].words } }

        private func farewell(_ harness: ServerHarness) throws {
            let promise = harness.loop.makePromise(of: Void.self)
            try harness.run { harness in harness.server.deregister { promise.succeed(()) } }
            try promise.futureResult.wait()
        }

        @Test(arguments: ["", "?reuse-connection=no"]) func isServedThere(_ options: String) throws {
            let front = try front()
            defer { try? front.stop() }
            let back = try back(front, "back:secret@", name: "door", options)
            defer { try? back.stop() }
            try front.eventually("it is described there") { $0.paths.path(named: "door")?.live != nil }
            #expect(try front.client().ask("DESCRIBE", "/door").status == .ok)
            #expect(try front.run { $0.paths.path(named: "door")?.origin } == .registered("back from 127.0.0.1"))
            #expect(try words(back).contains("as door: registered for "))
            #expect(try !words(back).contains("secret"))
            // Lent or dialled: there is one connection.
            #expect(try back.statistics().connectionsTotal == 1)
            try farewell(back)
            try front.eventually("it is gone there") { $0.paths.path(named: "door") == nil }
        }

        @Test func comesBackWhenTheConnectionEnds() throws {
            let front = try front()
            defer { try? front.stop() }
            let back = try back(front)
            defer { try? back.stop() }
            try front.eventually("it is described there") { $0.paths.path(named: "door")?.live != nil }
            try back.run { for connection in $0.server.openConnections { connection.close() } }
            try back.eventually("it is noticed") { $0.server.registrations[0].words.contains("the proxy closed the connection; again in") }
            try back.eventually("it is registered again") { $0.server.statistics.connectionsTotal == 2 }
            #expect(try front.run { $0.paths.removed } == 0)
            try farewell(back)
        }

        @Test func saysWhatIsWrong() throws {
            let front = try front()
            defer { try? front.stop() }
            for (login, name, expected) in [
                ("", "door", "wants a user and a password"), ("back:wrong@", "door", "does not accept"), ("back:secret@", "live", "451"),
            ] {
                let back = try back(front, login, name: name)
                try back.eventually("\(expected)") { $0.server.registrations[0].words.contains(expected) }
                try farewell(back)
                try back.stop()
            }
        }

        @Test(arguments: [
            ("rtsp://u:p@proxy:9/a/b", "a/b", true, RegisterHeader.Delivery.interleaved),
            ("rtsp://proxy", "yard", true, .interleaved),
            ("rtsp://proxy/x?transport=udp&reuse-connection=no", "x", false, .udp),
        ]) func readsTargets(_ test: (text: String, name: String, reuses: Bool, delivery: RegisterHeader.Delivery)) throws {
            let target = try RegisterTarget(parsing: test.text)
            #expect(target.name(of: "yard") == test.name && target.reusesConnection == test.reuses && target.delivery == test.delivery)
            #expect(!"\(target)".contains("u:p"))
        }

        @Test(arguments: ["proxy", "rtsph://proxy/x", "rtsp://proxy/x?y=1", "rtsp://proxy/x?transport=pigeon", "rtsp://proxy/trackID=0"])
        func refusesTargets(_ text: String) { #expect(throws: ValueProblem.self) { try RegisterTarget(parsing: text) } }
    }
}
