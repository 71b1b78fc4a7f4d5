import Glibc
import NIOCore
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    @Suite struct Session {
        @Test func answersKeepTheOrderOfTheRequests() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            // The first is held for the source's wait; more than the queue holds wait behind it.
            var text = client.text("DESCRIBE", "/down")
            for _ in 0..<40 { text += client.text("OPTIONS", "*") }
            client.send(text)
            let first = try client.response()
            #expect(first.status == .serviceUnavailable && first.headers["CSeq"] == "1" && first.headers["Retry-After"] != nil)
            for number in 2...41 { #expect(try client.response().headers["CSeq"] == "\(number)") }
        }

        @Test func aUDPSessionCanBeNamedFromAnotherConnectionOfItsHostOnly() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let owner = try harness.client()
            let session = try owner.setUpLive(udp: 44_000)
            let stranger = try harness.client(from: "127.0.0.9")
            for method in ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "RECORD"] {
                #expect(try stranger.ask(method, "/live", ["Session: \(session)"]).status == .sessionNotFound, "\(method)")
            }
            let friend = try harness.client()
            #expect(try friend.ask("PLAY", "/live", ["Session: \(session)"]).status == .ok)
            // Media over that other connection is another matter.
            #expect(
                try friend.ask("SETUP", "/cam/one", ["Session: \(session)", "Transport: RTP/AVP/TCP;unicast"]).status == .sessionNotFound)
            #expect(try friend.ask("PLAY", "/cam/one", ["Session: \(session)"]).status == .sessionNotFound)
            #expect(try friend.ask("TEARDOWN", "/live", ["Session: \(session)"]).status == .ok)
            #expect(try harness.statistics().refusals[.foreignSession] == 7)
        }

        @Test func anInterleavedSessionBelongsToItsConnection() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let owner = try harness.client()
            let session = try owner.setUpLive()
            let friend = try harness.client()
            for method in ["PLAY", "PAUSE", "TEARDOWN"] {
                #expect(try friend.ask(method, "/live", ["Session: \(session)"]).status == .sessionNotFound, "\(method)")
            }
            #expect(
                try friend.ask("SETUP", "/live/trackID=0", ["Session: \(session)", "Transport: RTP/AVP;client_port=5000-5001"]).status
                    == .sessionNotFound)
            // One connection carries one interleaved session.
            #expect(try owner.ask("SETUP", "/cam/one", ["Transport: RTP/AVP/TCP;unicast"]).status == .unsupportedTransport)
        }

        @Test func wrongOrderIsRefusedWithWords() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            let session = try client.setUpLive(udp: 46_000)
            let record = try client.ask("RECORD", "/live", ["Session: \(session)"])
            #expect(record.status == .methodNotValidInThisState)
            #expect(String(decoding: record.body, as: UTF8.self).contains("ANNOUNCE"))
            #expect(try client.ask("PAUSE", "/live", ["Session: \(session)"]).status == .ok)
            #expect(try client.ask("PLAY", "/live", ["Session: \(session)", "Range: feet=1-"]).status == .invalidRange)
            #expect(
                try client.ask("SETUP", "/live/trackID=1", ["Session: \(session)", "Transport: RTP/AVP/TCP;unicast"]).status
                    == .unsupportedTransport)
        }

        @Test func aUDPSessionOutlivesItsConnectionUntilTheTimeout() throws {
            let harness = try ServerHarness { $0.sessionTimeoutSeconds = 3 }
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            var session = ""
            do {
                let client = try harness.client()
                session = try client.setUpLive(udp: 47_000)
                #expect(try client.ask("PLAY", "/live", ["Session: \(session)"]).status == .ok)
            }
            try harness.eventually("the connection is gone") { $0.server.statistics.connections == 0 }
            #expect(try harness.statistics().readers == 1)
            do {
                let later = try harness.client()
                #expect(try later.ask("GET_PARAMETER", "/live", ["Session: \(session)"]).status == .ok)
            }
            try harness.eventually("the session times out") { $0.server.statistics.sessions == 0 }
            #expect(try harness.statistics().ends == [.timeout: 1])
            #expect(try harness.log().last == "remove 0")
        }

        @Test func receiverReportsAndGoodbyesAreHeard() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let reports = try ReportSocket()
            let other = try ReportSocket()
            let client = try harness.client()
            let setUp = try client.ask("SETUP", "/cam/one", ["Transport: RTP/AVP;unicast;client_port=\(reports.port - 1)-\(reports.port)"])
            let server = try #require(try TransportHeader.parse(setUp.headers["Transport"] ?? "x").first?.serverPort?.rtcp)
            let report: [UInt8] = [0x81, 201, 0, 7] + [0, 0, 0, 1] + [0, 0, 0, 2, 9, 0, 0, 5] + [UInt8](repeating: 0, count: 16)
            reports.send(report, to: server)
            reports.send([1, 2, 3], to: server)
            other.send(report, to: server)
            try harness.eventually("the report is counted") { $0.server.statistics.receiverReports == 1 }
            try harness.eventually("the foreign one too") { $0.server.statistics.refusals[.unknownDatagram] == 1 }
            #expect(try harness.statistics().sessions == 1)
            reports.send([0x80, 201, 0, 1, 0, 0, 0, 1] + [0x81, 203, 0, 1, 0, 0, 0, 1], to: server)
            try harness.eventually("goodbye") { $0.server.statistics.ends == [.goodbye: 1] }
        }

        /// RFC 5761: the reader's one port, and RTP's port of ours.
        @Test func reportsOnRTPsPortAreHeard() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let reports = try ReportSocket()
            let client = try harness.client()
            let setUp = try client.ask("SETUP", "/cam/one", ["Transport: RTP/AVP;unicast;client_port=\(reports.port);RTCP-mux"])
            let transport = try #require(try TransportHeader.parse(setUp.headers["Transport"] ?? "x").first)
            let server = try #require(transport.serverPort)
            #expect(transport.rtcpMux && server.rtcp == server.rtp && server.rtp % 2 == 0)
            // What players open their NAT with is no report.
            reports.send([0x80] + [UInt8](repeating: 0, count: 11), to: server.rtp)
            reports.send([0x80, 201, 0, 1, 0, 0, 0, 1], to: server.rtp)
            try harness.eventually("the report is counted") { $0.server.statistics.receiverReports == 1 }
            #expect(try harness.statistics().refusals.isEmpty)
            reports.send([0x80, 201, 0, 1, 0, 0, 0, 1] + [0x81, 203, 0, 1, 0, 0, 0, 1], to: server.rtp)
            try harness.eventually("goodbye") { $0.server.statistics.ends == [.goodbye: 1] }
        }

        @Test func interleavedReportsAreHeardToo() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let client = try harness.client()
            let session = try client.setUpLive()
            #expect(try client.ask("PLAY", "/live", ["Session: \(session)"]).status == .ok)
            let report: [UInt8] = [0x80, 201, 0, 1, 0, 0, 0, 1]
            client.send(InterleavedHeader.frame(channel: 1, payload: report) + InterleavedHeader.frame(channel: 0, payload: report))
            client.send(InterleavedHeader.frame(channel: 3, payload: report + [1, 2, 3, 4]))
            try harness.eventually("both are counted") { $0.server.statistics.receiverReports == 2 }
            #expect(try harness.statistics().refusals.isEmpty)
        }

        @Test func whoTakesNoAnswersIsCutOff() throws {
            let harness = try ServerHarness { $0.answerStallSeconds = 0.3 }
            defer { try? harness.stop() }
            nonisolated(unsafe) let client = try harness.client()  // Used by one thread at a time.
            let flags = unsafe fcntl(client.descriptor, F_GETFL)
            _ = unsafe fcntl(client.descriptor, F_SETFL, flags | O_NONBLOCK)
            let text = unsafe Array(String(repeating: client.text("OPTIONS", "*"), count: 1_000).utf8)
            try harness.eventually("the stalled connection is closed") { harness in
                unsafe client.send(text)
                return harness.server.statistics.refusals[.answerStall] == 1
            }
            #expect(try harness.statistics().connections == 0)
        }

        @Test func slowRequestsAndIdleConnectionsAreCutOff() throws {
            let harness = try ServerHarness {
                $0.requestSeconds = 0.1
                $0.idleSeconds = 2
            }
            defer { try? harness.stop() }
            let busy = try harness.client()
            _ = try busy.setUpLive()
            let slow = try harness.client()
            slow.send("OPTIONS * RT")
            let idle = try harness.client()
            #expect(try slow.response().status == .requestTimeout)
            #expect(slow.isClosed())
            #expect(idle.isClosed())
            #expect(try busy.ask("OPTIONS", "*").status == .ok)
            #expect(try harness.statistics().refusals[.requestTimeout] == 2)
        }

        @Test func aThousandJoinsASecondFromOneAddress() throws {
            let harness = try ServerHarness { $0.limits.joinsPerSecondPerAddress = 1_000 }
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            var clients: [TestClient] = []
            for number in 0..<250 {
                let client = try harness.client()
                clients.append(client)
                // Four sessions a connection, each asked for and played without waiting for answers.
                for part in 0..<4 {
                    let port = 20_000 + number * 8 + part * 2
                    client.send(client.text("SETUP", "/cam/one/trackID=0", ["Transport: RTP/AVP;unicast;client_port=\(port)-\(port + 1)"]))
                }
            }
            for client in clients {
                for _ in 0..<4 {
                    let response = try client.response()
                    #expect(response.status == .ok)
                    client.send(client.text("PLAY", "/cam/one", ["Session: \(response.headers.session?.id ?? "")"]))
                }
            }
            for client in clients { for _ in 0..<4 { #expect(try client.response().status == .ok) } }
            #expect(try harness.statistics().readers == 1_000)
            clients = []
            try harness.eventually("connections are gone") { $0.server.statistics.connections == 0 }
        }

        @Test func limitsAreAnsweredAndCounted() throws {
            let harness = try ServerHarness {
                $0.sweepMilliseconds = 60_000
                $0.limits.joinsPerSecondPerAddress = 3
                $0.limits.joinsBurstPerAddress = 3
                $0.limits.connectionsMax = 2
                $0.limits.subscribersMax = 3
            }
            defer { try? harness.stop() }
            let client = try harness.client()
            func join() throws -> RTSPResponse { try client.ask("SETUP", "/cam/one", ["Transport: RTP/AVP;unicast;client_port=5000-5001"]) }
            var sessions: [String] = []
            for _ in 0..<3 { sessions.append(try join().headers.session?.id ?? "") }
            let full = try join()
            #expect(full.status == .serviceUnavailable && full.headers["Retry-After"] == "5")
            #expect(try client.ask("TEARDOWN", "/cam/one", ["Session: \(sessions[0])"]).status == .ok)
            #expect(try join().headers["Retry-After"] == "1")
            let second = try harness.client()
            #expect(try second.ask("OPTIONS", "*").status == .ok)
            #expect(try harness.client().isClosed())
            #expect(try harness.statistics().refusals == [.sessionsMax: 1, .joinRate: 1, .connectionsMax: 1])
        }

        @Test func anEngineThatIsFullIsA503() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            for (udp, command) in [(48_000, "addDatagram"), (nil, "addInterleaved")] {
                try harness.run { $0.engine.refused = command }
                let client = try harness.client()
                let session = try client.setUpLive(udp: udp)
                #expect(try client.ask("PLAY", "/live", ["Session: \(session)"]).status == .serviceUnavailable)
                #expect(try client.ask("OPTIONS", "*").status == .ok)
            }
        }

        @Test func oneServerSpeaksBothFamilies() throws {
            let harness = try ServerHarness(host: "::")
            defer { try? harness.stop() }
            let client = try harness.client()
            let session = try client.setUpLive(udp: 49_000)
            client.send(client.text("PLAY", "/live", ["Session: \(session)"]))
            try harness.eventually("as IPv4") { $0.engine.log.contains("addDatagram 0 127.0.0.1 49000-49001 49002-49003") }
        }

        @Test func aTakenPortTeaches() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            do {
                _ = try BoundSocket.open(.stream, at: BoundSocket.resolve(ListenAddress(host: "127.0.0.1", port: harness.port)))
                Issue.record("bound twice")
            } catch {
                #expect("\(error)".contains("--listen") && "\(error)".contains("\(harness.port)"))
            }
        }
    }
}

/// A UDP socket on loopback.
final class ReportSocket {
    let descriptor: CInt
    let port: UInt16

    init() throws {
        descriptor = try BoundSocket.open(.datagram, at: .init(ipAddress: "127.0.0.1", port: 0))
        port = BoundSocket.port(of: descriptor)
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8], to port: UInt16) {
        guard let address = try? SocketAddress(ipAddress: "127.0.0.1", port: Int(port)) else { return }
        _ = unsafe address.withSockAddr { pointer, size in unsafe sendto(descriptor, bytes, bytes.count, 0, pointer, socklen_t(size)) }
    }
}
