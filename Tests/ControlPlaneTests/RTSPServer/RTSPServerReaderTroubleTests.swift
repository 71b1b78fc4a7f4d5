import Glibc
import NIOCore
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    @Suite struct ReaderTrouble {
        private let reader = SubscriberHandle(index: 0, generation: 1)

        /// The warnings that concern readers.
        private func said(_ log: HeardLog) -> [String] { log.lines().filter { $0.hasPrefix("warning reader ") } }

        private func play(_ harness: ServerHarness, udp: Int?) throws -> TestClient {
            try harness.joinsAt(video: (1, 1), audio: (1, 1))
            let client = try harness.client()
            let session = try client.setUpLive(udp: udp)
            #expect(try client.ask("PLAY", "/live", ["Session: \(session)"]).status == .ok)
            try harness.eventually("go") { $0.engine.log.last?.hasPrefix("go 0") == true }
            return client
        }

        @Test(arguments: LagCause.allCases) func aLagIsLoggedWithAddressCauseAndCount(cause: LagCause) throws {
            let log = HeardLog()
            let harness = try ServerHarness(log: log)
            defer { try? harness.stop() }
            let client = try play(harness, udp: 41_000)
            try harness.run { $0.engine.report(.subscriberLagged(reader, cause, packets: 321)) }
            try harness.eventually("the packets are counted") { $0.server.statistics.packetsMissed == [cause: 321] }
            let lines = said(log)
            #expect(lines.count == 1)
            let line = lines.first ?? ""
            #expect(
                line.hasPrefix("warning reader missed packets cause=\(cause.words) packets=321 path=live reader=127.0.0.1:41000 session="))
            // The reader goes on.
            #expect(try harness.statistics().readers == 1)
            _ = client
        }

        @Test func anInterleavedReaderIsNamedByItsConnection() throws {
            let log = HeardLog()
            let harness = try ServerHarness(log: log)
            defer { try? harness.stop() }
            let client = try play(harness, udp: nil)
            try harness.run { $0.engine.report(.subscriberLagged(reader, .socketFull, packets: 1)) }
            try harness.eventually("it is counted") { $0.server.statistics.packetsMissed == [.socketFull: 1] }
            let port = BoundSocket.port(of: client.descriptor)
            #expect(said(log).first?.contains(" reader=127.0.0.1:\(port) ") == true)
        }

        @Test(arguments: [(SubscriberFailure.tooSlow, SessionEnd.tooSlow), (.stalled, .stalled)], [41_000, nil])
        func aReaderThatIsTooSlowIsDisconnected(failure: (SubscriberFailure, SessionEnd), udp: Int?) throws {
            let log = HeardLog()
            let harness = try ServerHarness(log: log)
            defer { try? harness.stop() }
            let client = try play(harness, udp: udp)
            try harness.run { $0.engine.report(.subscriberFailed(reader, failure.0)) }
            try harness.eventually("the session ends") { $0.server.statistics.ends == [failure.1: 1] }
            #expect(said(log).first?.hasPrefix("warning reader is disconnected cause=it ") == true)
            #expect(try harness.log().last == "remove 0")
            if udp == nil { #expect(client.isClosed()) }
        }

        /// As players resolve a track's URL: behind the query, or before it.
        @Test(arguments: ["/live?overload=drop-oldest/trackID=0", "/live/trackID=0?x=1&overload=drop-oldest"])
        func aReaderMayChooseItsPolicy(target: String) throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 1), audio: nil)
            let client = try harness.client()
            let answer = try client.ask("SETUP", target, ["Transport: RTP/AVP;unicast;client_port=41000-41001"])
            let session = try #require(answer.headers.session?.id)
            #expect(try client.ask("PLAY", "/live?overload=drop-oldest/", ["Session: \(session)"]).status == .ok)
            try harness.eventually("go") { $0.engine.log.last?.hasPrefix("go 0") == true }
            #expect(try harness.log().prefix(3) == ["addDatagram 0 127.0.0.1 41000-41001 0-0", "setOverload 0 dropOldest", "arm 0"])
        }

        @Test func aPolicyThatIsNoneIsRefused() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let answer = try harness.client().ask(
                "SETUP", "/live?overload=drop/trackID=0", ["Transport: RTP/AVP;unicast;client_port=41000-41001"])
            #expect(answer.status == .badRequest)
            #expect(String(decoding: answer.body, as: UTF8.self).contains("allowed: disconnect, drop-oldest, skip-to-keyframe"))
            #expect(try harness.statistics().sessions == 0)
        }

        @Test func aLateLagOfAReaderThatLeftIsNobodys() throws {
            let log = HeardLog()
            let harness = try ServerHarness(log: log)
            defer { try? harness.stop() }
            let client = try play(harness, udp: 41_000)
            try harness.run { harness in
                for session in harness.server.paths.all { session.endStream("over") }
                harness.engine.report(.subscriberLagged(reader, .policy, packets: 5))
            }
            try harness.eventually("the session ends") { $0.server.statistics.sessions == 0 }
            #expect(try harness.statistics().packetsMissed.isEmpty)
            #expect(said(log).isEmpty)
            _ = client
        }
    }

    @Suite struct Workers {
        /// Reports reach the server whichever of the workers' sockets the kernel gives them to.
        @Test(arguments: ["127.0.0.1", "0.0.0.0", "::"]) func reportsArriveWithFourWorkers(host: String) throws {
            let harness = try ServerHarness(host: host, workers: 4)
            defer { try? harness.stop() }
            let egresses = try harness.run { $0.engine.egresses.map { [Int($0.number), Int($0.worker)] } }
            #expect(egresses == [[0, 0], [0, 1], [0, 2], [0, 3]])
            try harness.joinsAt(video: (1, 1), audio: nil)
            let rtcp = try harness.run { $0.server.media?.rtcpPort ?? 0 }
            let target = try SocketAddress(ipAddress: "127.0.0.1", port: Int(rtcp))
            let readers = 40
            var clients: [TestClient] = []
            for _ in 0..<readers {
                let socket = try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: "127.0.0.1", port: 0))
                defer { close(socket) }
                let port = Int(BoundSocket.port(of: socket))
                let client = try harness.client()
                let answer = try client.ask("SETUP", "/cam/one/trackID=0", ["Transport: RTP/AVP;unicast;client_port=\(port - 1)-\(port)"])
                #expect(answer.status == .ok)
                clients.append(client)
                let report = RTCPWriter.receiverReport(from: 1, block: nil, canonicalName: "x")
                let sent = unsafe target.withSockAddr { pointer, size in
                    unsafe sendto(socket, report, report.count, 0, pointer, socklen_t(size))
                }
                #expect(sent == report.count)
            }
            try harness.eventually("every report arrives") { $0.server.statistics.receiverReports == readers }
            #expect(try harness.statistics().refusals.isEmpty)
        }
    }
}
