import Glibc
import NIOCore
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// REGISTER and DEREGISTER from scripted back ends.
    @Suite(.serialized) struct Registering {
        private static let reuse = "reuse_connection; preferred_delivery_protocol=interleaved; proxy_url_suffix="

        private func harness(_ change: @escaping (inout RegisterSettings) -> Void = { _ in }) throws -> ServerHarness {
            try ServerHarness { settings in
                settings.register.allow = .any
                change(&settings.register)
            }
        }

        private func register(_ client: TestClient, _ transport: String, url: String = "rtsp://10.1.2.3/stream") throws -> RTSPStatus {
            try client.ask("REGISTER", url, ["Transport: \(transport)"]).status
        }

        /// Answers what Weir asks over the connection that was brought, until it has set up; gives the methods.
        private func serve(_ client: TestClient, until last: RTSPMethod) throws -> [RTSPMethod] {
            var methods: [RTSPMethod] = []
            while methods.last != last {
                guard case .request(let request) = try client.receive() else { throw TestClient.Trouble(description: "no request") }
                methods.append(request.method)
                var response = RTSPResponse(status: .ok, headers: ["CSeq": request.headers.cseq ?? ""])
                switch request.method {
                case .describe:
                    response.headers.add("Content-Type", "application/sdp")
                    response.body = Array(ServerHarness.oneTrack.utf8)
                case .setup:
                    response.headers.add("Session", "1234")
                    response.headers.add("Transport", request.headers["Transport"] ?? "")
                default: break
                }
                client.send(response.serialized())
            }
            return methods
        }

        @Test func isOffUnlessSomebodyMay() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            #expect(try register(client, Self.reuse + "cam") == .notImplemented)
            #expect(try client.ask("OPTIONS", "*").headers["Public"]?.contains("REGISTER") == false)
        }

        @Test func theConnectionChangesItsRoles() throws {
            let harness = try harness()
            defer { try? harness.stop() }
            let backEnd = try harness.client(), reader = try harness.client()
            #expect(try backEnd.ask("OPTIONS", "*").headers["Public"]?.hasSuffix("REGISTER, DEREGISTER") == true)
            #expect(try register(backEnd, Self.reuse + "cam") == .ok)
            #expect(try serve(backEnd, until: .describe) == [.options, .describe])
            let described = try reader.ask("DESCRIBE", "/cam")
            #expect(described.status == .ok)
            #expect(try harness.run { $0.paths.path(named: "cam")?.origin } == .registered("127.0.0.1"))
            #expect(try harness.statistics().connections == 1)
            // Another connection of the same back end takes the place of the first; the path stays.
            let again = try harness.client()
            #expect(try register(again, Self.reuse + "cam", url: "rtsp://10.1.2.4/stream") == .ok)
            #expect(backEnd.isClosed())
            #expect(try serve(again, until: .describe) == [.options, .describe])
            #expect(try harness.run { $0.paths.removed } == 0)
            // And it goes when it is told so, over any connection of the same back end.
            let third = try harness.client()
            #expect(try third.ask("DEREGISTER", "rtsp://10.1.2.4/stream", ["Transport: proxy_url_suffix=cam"]).status == .ok)
            #expect(again.isClosed())
            #expect(try reader.ask("DESCRIBE", "/cam").status == .notFound)
            let unknown = try third.ask("DEREGISTER", "rtsp://10.1.2.4/stream", ["Transport: proxy_url_suffix=cam"])
            #expect(unknown.status == .parameterNotUnderstood)
        }

        @Test func whatIsRegisteredAnewDoesNotPlayUntilItDoes() throws {
            let harness = try harness()
            defer { try? harness.stop() }
            let backEnd = try harness.client(), reader = try harness.client()
            #expect(try register(backEnd, Self.reuse + "cam") == .ok)
            #expect(try serve(backEnd, until: .describe) == [.options, .describe])
            #expect(try reader.ask("DESCRIBE", "/cam").status == .ok)
            let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
            let session = try #require(try reader.ask("SETUP", "/cam/trackID=0", [transport]).headers.session?.id)
            reader.send(reader.text("PLAY", "/cam", ["Session: \(session)"]))
            #expect(try serve(backEnd, until: .play) == [.setup, .play])
            try harness.eventually("it plays") { $0.paths.path(named: "cam")?.isPlaying == true }
            let again = try harness.client()
            #expect(try register(again, Self.reuse + "cam") == .ok)
            #expect(try serve(again, until: .describe) == [.options, .describe])
            #expect(try harness.run { $0.paths.path(named: "cam")?.isPlaying } == false)
            #expect(try harness.run { $0.paths.path(named: "cam")?.lastTrouble } == "the back end registered anew")
            #expect(try serve(again, until: .play) == [.setup, .play])
            try harness.eventually("it plays again") { $0.paths.path(named: "cam")?.isPlaying == true }
            #expect(try harness.run { $0.paths.path(named: "cam")?.lastTrouble } == nil)
        }

        @Test func whatIsDialledIsNotChosenFreely() throws {
            let harness = try harness()
            defer { try? harness.stop() }
            let client = try harness.client()
            for url in ["rtsp://10.0.0.1:22/x", "rtsp://localhost/x", "rtsp://169.254.169.254/x"] {
                #expect(try register(client, "proxy_url_suffix=cam", url: url) == .forbidden)
            }
            #expect(try register(client, "proxy_url_suffix=cam", url: "rtsph://127.0.0.1/x") == .badRequest)
            #expect(try register(client, "proxy_url_suffix=cam", url: "rtsp://127.0.0.1:1/x") == .ok)
            #expect(try harness.statistics().refusals[.registrationRefused] == 3)
        }

        @Test func namesBelongToWhoeverRegisteredThem() throws {
            let harness = try harness {
                $0.prefix = "cams/"
                $0.pathsMax = 2
            }
            defer { try? harness.stop() }
            let client = try harness.client(), other = try harness.client(from: "127.0.0.2")
            let own = "rtsp://127.0.0.1:1/x", foreign = "rtsp://127.0.0.2:1/x"
            #expect(try register(client, "proxy_url_suffix=live", url: own) == .parameterNotUnderstood)
            #expect(try register(client, "proxy_url_suffix=cams/trackID=1", url: own) == .parameterNotUnderstood)
            #expect(try register(client, "proxy_url_suffix=cams/a", url: own) == .ok)
            #expect(try register(client, "proxy_url_suffix=cams/a", url: own) == .ok)
            #expect(try register(other, "proxy_url_suffix=cams/a", url: foreign) == .parameterNotUnderstood)
            #expect(
                try other.ask("DEREGISTER", foreign, ["Transport: proxy_url_suffix=cams/a"]).status == .parameterNotUnderstood)
            // Without a suffix it is LIVE555's name, and the same one for the same stream.
            #expect(try register(other, "", url: foreign) == .ok)
            #expect(try register(other, "", url: foreign) == .ok)
            #expect(try harness.run { $0.paths.path(named: "cams/registeredProxyStream-1") != nil })
            #expect(try register(client, "proxy_url_suffix=cams/b", url: own) == .serviceUnavailable)
            #expect(try harness.statistics().refusals[.registeredMax] == 1)
            #expect(try other.ask("DEREGISTER", foreign).status == .ok)
            #expect(try register(client, "proxy_url_suffix=cams/b", url: own) == .ok)
        }

        @Test func aPathOfTheConfigurationIsNotReplaced() throws {
            let harness = try harness()
            defer { try? harness.stop() }
            #expect(try register(try harness.client(), Self.reuse + "live") == .parameterNotUnderstood)
        }

        @Test func whoStaysAwayIsForgotten() throws {
            let harness = try harness { $0.waitMilliseconds = 1_000 }
            defer { try? harness.stop() }
            let reader = try harness.client()
            var backEnd: TestClient? = try harness.client()
            #expect(try register(try #require(backEnd), Self.reuse + "cam") == .ok)
            _ = try serve(try #require(backEnd), until: .describe)
            #expect(try reader.ask("DESCRIBE", "/cam").status == .ok)
            backEnd = nil
            for _ in 0..<40 where try harness.run({ $0.server.registrar.count }) > 0 { usleep(100_000) }
            #expect(try reader.ask("DESCRIBE", "/cam").status == .notFound)
            #expect(try harness.run { $0.paths.runTimePaths } == 0)
        }

        @Test func asksForANameAndAPassword() throws {
            let harness = try ServerHarness { settings in
                var user = UserSettings(name: "cam")
                user.password = .plain("secret")
                var other = UserSettings(name: "viewer")
                other.password = .plain("other")
                settings.access.users = [user, other]
                settings.access.login.methods = [.basic]
                settings.register.allow = AccessRule(grants: [.user("cam")])
            }
            defer { try? harness.stop() }
            let client = try harness.client()
            let transport = "Transport: \(Self.reuse)cam"
            let cam = "Authorization: Basic \(Base64.encode(Array("cam:secret".utf8)))"
            let viewer = "Authorization: Basic \(Base64.encode(Array("viewer:other".utf8)))"
            #expect(try client.ask("REGISTER", "rtsp://h/x", [transport]).status == .unauthorized)
            #expect(try client.ask("REGISTER", "rtsp://h/x", [transport, viewer]).status == .forbidden)
            // LIVE555's proxy lets everybody take back what others registered.
            #expect(try client.ask("DEREGISTER", "rtsp://h/x", [transport]).status == .unauthorized)
            #expect(try client.ask("REGISTER", "rtsp://h/x", [transport, cam]).status == .ok)
            #expect(try harness.run { $0.paths.path(named: "cam")?.origin } == .registered("cam from 127.0.0.1"))
            _ = try serve(client, until: .describe)
        }
    }
}
