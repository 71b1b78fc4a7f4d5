import Glibc
import NIOCore
import NIOPosix
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// Pulls whose server sends to a group of the loopback interface.
@Suite(.serialized) struct MulticastPullTests {
    private func origin(_ group: any EventLoopGroup, _ transport: @escaping @Sendable (Int) -> String?) throws -> ScriptedOrigin {
        let setUps = Locked(0)
        return try ScriptedOrigin(group: group, sdp: Descriptions.description()) { request, _ in
            switch request.method {
            case .options: return (.ok, ["Public": "OPTIONS, GET_PARAMETER"], [])
            case .setup:
                let number = setUps.withLockedValue { count in
                    count += 1
                    return count - 1
                }
                guard request.headers["Transport"]?.contains(";multicast") == true, let answer = transport(number % 2) else {
                    return (.unsupportedTransport, [:], [])
                }
                return (.ok, ["Session": "1;timeout=60", "Transport": answer], [])
            default: return (.ok, ["Session": "1"], [])
            }
        }
    }

    private func pull(_ origin: ScriptedOrigin, _ change: @Sendable (inout PathSettings) -> Void = { _ in }) throws -> PullHarness {
        try PullHarness(url: "rtsp://127.0.0.1:\(origin.port)/live") {
            $0.transport = .multicast
            $0.multicast.interface = "lo"
            change(&$0)
        }
    }

    private struct Added: Equatable {
        let channel: UInt8
        let host: String
        let port: UInt16
        let local: UInt16
    }

    private func added(_ pull: PullHarness) -> [Added] {
        pull.engine.commands.compactMap { command in
            guard case .addDatagramSource(_, _, let descriptor, let channel, let peer, let port) = command else { return nil }
            return Added(channel: channel, host: peer == .any ? "any" : peer.text, port: port, local: BoundSocket.port(of: descriptor))
        }
    }

    @Test func joinsWhatTheServerAnswers() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group) { number in
            number == 0
                ? "RTP/AVP;multicast;destination=239.255.81.1;port=46500-46501;ttl=1"
                : "RTP/AVP;multicast;destination=239.255.81.2;source=10.9.9.9;port=46502-46503;ttl=1"
        }
        let pull = try pull(origin)
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.contains("plays") } })
        #expect(
            added(pull) == [
                Added(channel: 0, host: "any", port: 0, local: 46_500), Added(channel: 1, host: "any", port: 0, local: 46_501),
                Added(channel: 2, host: "10.9.9.9", port: 0, local: 46_502), Added(channel: 3, host: "10.9.9.9", port: 0, local: 46_503),
            ])
        #expect(origin.requests.filter { $0.method == .setup }.allSatisfy { $0.headers["Transport"] == "RTP/AVP;multicast" })
        try await pull.stop()
        #expect(pull.engine.names.filter { $0 == "removeSource" }.count == 4)
        #expect(origin.methods.suffix(2) == [.pause, .teardown])
        try await group.shutdownGracefully()
    }

    @Test func saysThatTheServerHasNone() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group) { _ in nil }
        let pull = try pull(origin)
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.last?.hasPrefix("the server refuses MULTICAST") == true } })
        #expect(pull.engine.names.contains("addDatagramSource") == false)
        try await pull.stop()
        try await group.shutdownGracefully()
    }

    @Test func saysWhatIsWrongWithTheGroup() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group) { _ in "RTP/AVP;multicast;destination=10.0.0.1;port=46510-46511" }
        let pull = try pull(origin)
        try pull.want(.playing)
        let words = "the server answers with `10.0.0.1`, which is no multicast group"
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.last == words } })
        try await pull.stop()
        try await group.shutdownGracefully()
    }

    @Test func aSilentGroupIsDialledAgain() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group) { "RTP/AVP;multicast;destination=239.255.81.3;port=\(46520 + 2 * $0)-\(46521 + 2 * $0)" }
        let pull = try pull(origin) { $0.silenceMilliseconds = 1_000 }
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.contains("no media for 1 s") } })
        #expect(try await pull.wait { pull.engine.names.filter { $0 == "addDatagramSource" }.count >= 8 })
        try await pull.stop()
        try await group.shutdownGracefully()
    }
}
