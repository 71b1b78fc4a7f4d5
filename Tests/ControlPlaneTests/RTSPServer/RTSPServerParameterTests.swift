import Glibc
import NIOCore
import PlaneLink
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// A source that answers what it is asked as a test says.
private final class AskedSource: PathSource {
    let words = "asked"
    private let path: Path
    private let answer: (ParameterRequest) -> ParameterOutcome?
    /// Those that are never answered.
    private var waiting: [(ParameterOutcome) -> Void] = []

    init(_ path: Path, _ answer: @escaping (ParameterRequest) -> ParameterOutcome?) {
        self.path = path
        self.answer = answer
    }

    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) {
        if let outcome = answer(request) { done(outcome) } else { waiting.append(done) }
    }

    func want(_ level: SourceLevel) {
        guard level > .idle, path.live == nil, let sdp = try? SessionDescription(ServerHarness.oneTrack) else { return }
        path.eventLoop.assumeIsolated().execute { [path] in _ = try? path.sourceDescribed(sdp) }
    }

    func saidGoodbye() {}
    func stop(_ done: @escaping () -> Void) { done() }
}

extension RTSPServerTests {
    /// GET_PARAMETER and SET_PARAMETER that are passed to the source.
    @Suite(.serialized) struct Parameters {
        private func harness(
            _ passing: ParameterPassing, control: AccessRule? = nil, users: Bool = false,
            _ answer: @escaping @Sendable (ParameterRequest) -> ParameterOutcome?
        ) throws -> (ServerHarness, TestClient, [String]) {
            let harness = try ServerHarness { settings in
                guard users else { return }
                var user = UserSettings(name: "operator")
                user.password = .plain("secret")
                settings.access.users = [user]
                settings.access.login.methods = [.basic]
                settings.access.rules[.read] = .any
            }
            try harness.run { harness in
                var settings = PathSettings(name: "cam", source: .demonstration)
                settings.parameters = passing
                if let control { settings.access[.control] = control }
                try harness.paths.add(settings, origin: .configuration) { AskedSource($0, answer) }
            }
            let client = try harness.client()
            let setUp = try client.ask("SETUP", "/cam/trackID=0", ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"])
            let session = try #require(setUp.headers.session?.id)
            return (harness, client, ["Session: \(session)", "Content-Type: text/parameters"])
        }

        private static let zoom = RTSPResponse(
            status: .ok, headers: ["Content-Type": "text/parameters", "Server": "camera"], body: Array("zoom: 3\r\n".utf8))

        @Test func aReaderHearsTheSourcesAnswer() throws {
            let asked = Locked<[ParameterRequest]>([])
            let (harness, client, headers) = try harness(.passGet) { request in
                asked.withLockedValue { $0.append(request) }
                return .answered(Self.zoom)
            }
            defer { try? harness.stop() }
            let answer = try client.ask("GET_PARAMETER", "/cam", headers, body: "zoom\r\n")
            #expect(answer.status == .ok && answer.body == Self.zoom.body && answer.headers.contentType == "text/parameters")
            #expect(answer.headers["Server"] == "Weir" && answer.headers.session != nil)
            // A keep-alive stays here, and what has no session is nobody's.
            #expect(try client.ask("GET_PARAMETER", "/cam", [headers[0]]).status == .ok)
            #expect(try client.ask("GET_PARAMETER", "/cam", [headers[1]], body: "zoom\r\n").status == .parameterNotUnderstood)
            #expect(try client.ask("SET_PARAMETER", "/cam", headers, body: "zoom: 1\r\n").status == .parameterNotUnderstood)
            let expected = ParameterRequest(method: .getParameter, contentType: "text/parameters", body: Array("zoom\r\n".utf8))
            #expect(asked.withLockedValue { $0 } == [expected])
        }

        @Test func nothingIsPassedUnlessItIsSaid() throws {
            let (harness, client, headers) = try harness(.off) { _ in .answered(Self.zoom) }
            defer { try? harness.stop() }
            #expect(try client.ask("GET_PARAMETER", "/cam", headers, body: "zoom\r\n").status == .parameterNotUnderstood)
        }

        @Test func toSetNeedsARight() throws {
            let (harness, client, headers) = try harness(.passAll, users: true) { _ in .answered(RTSPResponse(status: .ok)) }
            defer { try? harness.stop() }
            #expect(try client.ask("GET_PARAMETER", "/cam", headers, body: "zoom\r\n").status == .ok)
            #expect(try client.ask("SET_PARAMETER", "/cam", headers, body: "zoom: 1\r\n").status == .unauthorized)
            let login = "Authorization: Basic \(Base64.encode(Array("operator:secret".utf8)))"
            #expect(try client.ask("SET_PARAMETER", "/cam", headers + [login], body: "zoom: 1\r\n").status == .forbidden)
            #expect(try client.ask("SET_PARAMETER", "/cam", [headers[0]]).status == .ok)
        }

        @Test func whoHasTheRightMay() throws {
            let (harness, client, headers) = try harness(.passAll, control: AccessRule(grants: [.user("operator")]), users: true) { _ in
                .answered(RTSPResponse(status: .ok))
            }
            defer { try? harness.stop() }
            let login = "Authorization: Basic \(Base64.encode(Array("operator:secret".utf8)))"
            #expect(try client.ask("SET_PARAMETER", "/cam", headers + [login], body: "zoom: 1\r\n").status == .ok)
            #expect(try client.ask("SET_PARAMETER", "/cam", headers, body: "zoom: 1\r\n").status == .unauthorized)
        }

        static let outcomes: [(ParameterOutcome, RTSPStatus)] = [
            (.answered(RTSPResponse(status: .notImplemented)), .notImplemented),
            (.answered(RTSPResponse(status: .methodNotValidInThisState)), .methodNotValidInThisState),
            (.answered(RTSPResponse(status: .parameterNotUnderstood)), .parameterNotUnderstood),
            (.answered(RTSPResponse(status: .unauthorized)), .badGateway),
            (.answered(RTSPResponse(status: .movedTemporarily)), .badGateway),
            (.answered(RTSPResponse(status: .ok, body: [UInt8](repeating: 65, count: 65_537))), .badGateway),
            (.noAnswer, .gatewayTimeout), (.busy, .serviceUnavailable), (.unavailable("connecting"), .serviceUnavailable),
            (.unsupported, .methodNotAllowed),
        ]

        @Test(arguments: 0..<outcomes.count) func everyOutcomeHasItsStatus(_ number: Int) throws {
            let (harness, client, headers) = try harness(.passGet) { _ in Self.outcomes[number].0 }
            defer { try? harness.stop() }
            #expect(try client.ask("GET_PARAMETER", "/cam", headers, body: "zoom\r\n").status == Self.outcomes[number].1)
        }

        @Test func aBodyHasItsLimit() throws {
            let (harness, client, headers) = try harness(.passGet) { _ in .answered(Self.zoom) }
            defer { try? harness.stop() }
            let long = String(repeating: "a", count: ParameterPassing.bodyBytesMax + 1)
            #expect(try client.ask("GET_PARAMETER", "/cam", headers, body: long).status == .requestEntityTooLarge)
            #expect(try harness.statistics().refusals[.parametersOversize] == 1)
        }

        @Test func aReaderMayLeaveBeforeTheAnswer() throws {
            let (harness, client, headers) = try harness(.passGet) { _ in nil }
            defer { try? harness.stop() }
            client.send(client.text("GET_PARAMETER", "/cam", headers, body: "zoom\r\n"))
            try harness.eventually("it is asked") { $0.server.statistics.requests == 1 }
            shutdown(client.descriptor, CInt(SHUT_RDWR))
            try harness.eventually("it is gone") { $0.server.statistics.sessions == 0 }
        }
    }
}
