import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// Many clients that know of each other's sessions and obey no order, an engine that fails readers at will. Whatever they do, the
/// server goes on answering, and in the end everything has come home.
extension RTSPServerTests {
    @Suite struct Random {
        @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
        func nothingIsLost(seed: UInt64) throws {
            let harness = try ServerHarness {
                $0.sessionTimeoutSeconds = 1
                $0.keyFrameWaitSeconds = 0.02
                $0.idleSeconds = 0.5
            }
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            var generator = SplitMix64(state: seed)
            var clients: [TestClient] = []
            var sessions = ["nonsense"]
            let readerMethods = ["PLAY", "PLAY", "PLAY", "PLAY", "PAUSE", "SETUP", "TEARDOWN", "GET_PARAMETER"]
            let publisherMethods = ["SETUP", "SETUP", "RECORD", "PAUSE", "TEARDOWN"]
            let transports = [
                "RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP/TCP;unicast", "RTP/AVP;multicast",
                "RTP/AVP/TCP;interleaved=2-3;mode=record", "x", "RTP/AVP;client_port=5002-5003;mode=record",
            ]
            let paths = [
                "/live", "/live/trackID=0", "/live/trackID=1", "/cam/one", "/publish", "/publish/streamid=0", "/publish/streamid=1", "*",
                "/x",
            ]
            let methods = [
                "OPTIONS", "DESCRIBE", "SETUP", "SETUP", "SETUP", "PLAY", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "ANNOUNCE",
                "RECORD",
            ]
            for _ in 0..<300 {
                if clients.count < 4 { clients.append(try harness.client()) }
                let index = Int.random(in: 0..<clients.count, using: &generator)
                let client = clients[index]
                switch Int.random(in: 0..<20, using: &generator) {
                case 0:
                    clients.remove(at: index)
                    continue
                case 1:
                    client.send("$\u{1}\u{0}\u{2}ab")
                    continue
                case 2:
                    let handle = SubscriberHandle(index: UInt32.random(in: 0..<4, using: &generator), generation: 1)
                    let failure = SubscriberFailure.allCases.randomElement(using: &generator) ?? .stalled
                    try harness.run { $0.engine.report(.subscriberFailed(handle, failure)) }
                    continue
                case 3:
                    let joins = Bool.random(using: &generator)
                    try harness.run { $0.engine.joinPoint = joins ? JoinPoint() : nil }
                    continue
                case 4 where Int.random(in: 0..<5, using: &generator) == 0:
                    try harness.run { harness in
                        harness.paths.path(named: "live")?.endStream("gone")
                        _ = try harness.paths.path(named: "live")?.sourceDescribed(SessionDescription(ServerHarness.twoTracks))
                        harness.paths.path(named: "live")?.sourcePlays()
                    }
                    continue
                default: break
                }
                var method = methods.randomElement(using: &generator) ?? "OPTIONS"
                var path = paths.randomElement(using: &generator) ?? "*"
                var headers: [String] = []
                // Half of the time something sensible: the client's own session, on its path.
                let own = client.own
                if own == nil, Bool.random(using: &generator) {
                    (method, path) = ("SETUP", "/live/trackID=0")
                } else if let own, Bool.random(using: &generator) {
                    method =
                        own.path == "/publish"
                        ? publisherMethods.randomElement(using: &generator) ?? "" : readerMethods.randomElement(using: &generator) ?? ""
                    path = method == "SETUP" ? own.path + (own.path == "/live" ? "/trackID=1" : "/streamid=1") : own.path
                    headers.append("Session: \(own.session)")
                } else if Int.random(in: 0..<4, using: &generator) > 0 {
                    headers.append("Session: \(sessions.suffix(6).randomElement(using: &generator) ?? "")")
                }
                if method == "SETUP" { headers.append("Transport: \(transports.randomElement(using: &generator) ?? "")") }
                if method == "ANNOUNCE" { headers.append("Content-Type: application/sdp") }
                let body = method == "ANNOUNCE" ? RTSPServerTests.Publish.sdp : ""
                do {
                    let response = try client.ask(method, path, headers, body: body)
                    if let id = response.headers.session?.id {
                        sessions.append(id)
                        if method == "SETUP" || method == "ANNOUNCE" {
                            client.own = (id, path.hasPrefix("/live") ? "/live" : path.hasPrefix("/pub") ? "/publish" : path)
                        }
                    }
                    #expect(response.status.code != 500, "seed \(seed)")
                    // From here on the engine would read, and this one does not.
                    if method == "RECORD", response.status == .ok { clients.remove(at: index) }
                } catch {
                    // The server closed it: an interleaved session ended.
                    #expect("\(error)" == "closed" || "\(error)" == "errno 104", "seed \(seed): \(method) \(headers): \(error)")
                    clients.remove(at: index)
                }
            }
            #expect(try harness.client().ask("OPTIONS", "*").status == .ok)
            clients = []
            try harness.eventually("seed \(seed): all sessions end") {
                $0.server.statistics.sessions == 0 && $0.server.statistics.connections == 0
            }
            let log = try harness.log()
            for index in Set(log.filter { $0.hasPrefix("add") }.compactMap { $0.split(separator: " ").dropFirst().first }) {
                let adds = log.filter { $0.hasPrefix("addDatagram \(index) ") || $0.hasPrefix("addInterleaved \(index) ") }.count
                #expect(adds == log.filter { $0 == "remove \(index)" }.count, "seed \(seed), reader \(index)")
            }
            let sources = log.filter { $0.hasPrefix("addDatagramSource") || $0 == "addInterleavedSource" }.count
            #expect(sources == log.filter { $0 == "removeSource" }.count, "seed \(seed)")
            #expect(log.contains { $0.hasPrefix("addInterleaved ") } && log.contains { $0.hasPrefix("go") }, "seed \(seed) tried something")
        }
    }
}
