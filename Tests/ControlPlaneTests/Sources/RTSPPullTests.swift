import NIOCore
import NIOPosix
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

@Suite(.serialized) struct RTSPPullTests {
    private let frame: [UInt8] = [0x24, 0, 0, 4, 0x80, 96, 0, 1]

    /// A server that does TCP, and sends a frame right behind PLAY's answer.
    private func origin(_ group: any EventLoopGroup, udp: Bool = false) throws -> ScriptedOrigin {
        let frame = frame
        return try ScriptedOrigin(group: group, sdp: Descriptions.description()) { request, _ in
            switch request.method {
            case .options: return (.ok, ["Public": "OPTIONS, GET_PARAMETER"], [])
            case .setup:
                let transport = request.headers["Transport"] ?? ""
                guard udp || transport.contains("TCP") else { return (.unsupportedTransport, [:], []) }
                return (
                    .ok, ["Session": "1;timeout=2", "Transport": transport + (transport.contains("TCP") ? "" : ";server_port=6000-6001")],
                    []
                )
            case .play: return (.ok, ["Session": "1"], udp ? [] : frame)
            default: return (.ok, [:], [])
            }
        }
    }

    @Test func fallsToTCPWhenUDPIsRefusedAndHandsTheConnectionOver() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group)
        let pull = try PullHarness(url: "rtsp://127.0.0.1:\(origin.port)/live")
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.contains("plays") } })
        #expect(pull.notes.withLockedValue { $0 } == ["described", "described", "plays"])
        #expect(origin.connections == 2)
        // On a busy machine the first keep-alive may already have gone out.
        #expect(
            origin.methods.filter { $0 != .getParameter } == [.options, .describe, .setup, .options, .describe, .setup, .setup, .play])
        let added = pull.engine.commands.compactMap { command -> (ChannelMap, Int)? in
            guard case .addInterleavedSource(_, _, _, let map, let prefix) = command else { return nil }
            return (map, prefix.count)
        }
        #expect(added.count == 1)
        #expect(added.first.map { entry in (0..<5).map { entry.0[$0] } } == [0, 1, 2, 3, nil])

        // Keep-alive goes on while the engine reads the connection.
        #expect(try await pull.wait { origin.methods.contains(.getParameter) })
        // Its reports go out on the connection: an empty one at once.
        try pull.want(.idle)
        #expect(try await pull.wait { origin.methods.contains(.pause) })
        try await pull.stop()
        #expect(pull.engine.names.contains("removeSource"))
        try await group.shutdownGracefully()
    }

    @Test func fallsToTCPWhenNoDatagramComes() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group, udp: true)
        let pull = try PullHarness(url: "rtsp://127.0.0.1:\(origin.port)/live") { $0.udpWaitMilliseconds = 200 }
        try pull.want(.playing)
        #expect(try await pull.wait { pull.engine.names.contains("addInterleavedSource") })
        #expect(pull.engine.names.filter { $0 == "addDatagramSource" }.count == 4)
        #expect(pull.engine.names.filter { $0 == "beginEpoch" }.count == 1)
        #expect(pull.engine.names.filter { $0 == "addStream" }.count == 1)
        try await pull.stop()
        try await group.shutdownGracefully()
    }

    @Test func dialsAgainAfterALoss() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group)
        let pull = try PullHarness(url: "rtsp://127.0.0.1:\(origin.port)/live") { $0.transport = .tcp }
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.count } == 2 })
        origin.hangUp()
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.filter { $0 == "plays" }.count } == 2 })
        #expect(pull.notes.withLockedValue { $0 } == ["described", "plays", "the server closed the connection", "described", "plays"])
        #expect(pull.engine.names.filter { $0 == "addStream" }.count == 1)
        #expect(pull.engine.names.filter { $0 == "beginEpoch" }.count == 1)
        try await pull.stop()
        try await group.shutdownGracefully()
    }

    @Test func aSilentSourceIsDialledAgain() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group)
        let pull = try PullHarness(url: "rtsp://127.0.0.1:\(origin.port)/live") {
            $0.transport = .tcp
            $0.silenceMilliseconds = 1_000
        }
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.contains("no media for 1 s") } })
        #expect(try await pull.wait { origin.connections >= 2 })
        try await pull.stop()
        try await group.shutdownGracefully()
    }

    /// Each player of a Windows Media server answers for himself; what is asked of a pull of RTP is the operator's to answer.
    @Test(arguments: [
        ("WMServer/9.1.1.5000", "what the server has is Windows Media"), ("Camera/1.0", "the server wants a user and a password"),
    ])
    func aPasswordIsAskedFor(server: String, words: String) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try ScriptedOrigin(group: group, sdp: Descriptions.description()) { _, _ in
            (.unauthorized, ["Server": server, "WWW-Authenticate": "Basic realm=\"here\""], [])
        }
        let pull = try PullHarness(url: "rtsp://127.0.0.1:\(origin.port)/live")
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.contains { $0.hasPrefix(words) } } })
        try await pull.stop()
        try await group.shutdownGracefully()
    }

    @Test func followsARedirection() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let target = try origin(group)
        let port = target.port
        let first = try ScriptedOrigin(group: group, sdp: Descriptions.description()) { request, _ in
            request.method == .describe ? (.movedTemporarily, ["Location": "rtsp://127.0.0.1:\(port)/there"], []) : (.ok, [:], [])
        }
        let pull = try PullHarness(url: "rtsp://127.0.0.1:\(first.port)/live") { $0.transport = .tcp }
        try pull.want(.playing)
        #expect(try await pull.wait { target.methods.contains(.play) })
        #expect(target.requests.first { $0.method == .describe }?.uri == "rtsp://127.0.0.1:\(port)/there")
        try await pull.stop()
        try await group.shutdownGracefully()
    }

    @Test func pausesAWarmSourceAndGoesOn() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try origin(group, udp: true)
        let pull = try PullHarness(url: "rtsp://127.0.0.1:\(origin.port)/live") {
            $0.transport = .udp
            $0.udpWaitMilliseconds = 60_000
        }
        try pull.want(.described)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0 } == ["described"] })
        #expect(!origin.methods.contains(.setup))
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.last } == "plays" })
        try pull.want(.described)
        // A paused session is kept alive, too.
        func asked() -> [RTSPMethod] { origin.methods.filter { $0 != .getParameter } }
        #expect(try await pull.wait { asked().last == .pause })
        try pull.want(.playing)
        #expect(try await pull.wait { pull.notes.withLockedValue { $0.filter { $0 == "plays" }.count } == 2 })
        #expect(origin.connections == 1)
        #expect(pull.engine.names.filter { $0 == "beginEpoch" }.count == 1)
        try await pull.stop()
        #expect(asked().suffix(2) == [.pause, .teardown])
        try await group.shutdownGracefully()
    }

    @Test func saysWhyThereIsNoConnection() async throws {
        let pull = try PullHarness(url: "rtsp://127.0.0.1:1/")
        try pull.want(.described)
        #expect(try await pull.wait { pull.notes.withLockedValue { !$0.isEmpty } })
        #expect(pull.notes.withLockedValue { $0.first } == "no connection: Connection refused")
        try await pull.stop()
    }
}
