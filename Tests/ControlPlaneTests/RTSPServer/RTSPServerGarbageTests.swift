import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    @Suite struct Garbage {
        /// What is sent, the status of the answer (nil: none is owed), whether the connection survives.
        static let cases: [(name: String, text: String, status: UInt16?, survives: Bool)] = [
            ("random bytes", "\u{1}\u{7F}\u{3}~~~~\r\n\r\n", 400, false),
            ("a browser", "GET / HTTP/1.0\r\nHost: x\r\n\r\n", 404, false),
            ("HTTP that is none", "POST nothing\r\n\r\n", 400, false),
            ("RTSP through HTTP, without base 64", "POST / HTTP/1.0\r\nx-sessioncookie: a\r\n\r\n~", 400, false),
            ("GET of RTSP", "GET rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, false),
            ("TLS", "\u{16}\u{3}\u{1}\u{2}\n\n", 400, false),
            ("another version", "OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505, true),
            ("no CSeq", "OPTIONS * RTSP/1.0\r\n\r\n", 400, true),
            ("CSeq of words", "OPTIONS * RTSP/1.0\r\nCSeq: ab\r\n\r\n", 400, true),
            ("NUL in a header", "OPTIONS * RTSP/1.0\r\nCSeq: a\0b\r\n\r\n", 400, false),
            ("an unknown method", "FLY * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, true),
            ("REDIRECT", "REDIRECT rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, true),
            ("Require", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: fly\r\n\r\n", 551, true),
            ("negative length", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n", 400, false),
            ("huge length", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413, false),
            ("a line too long", "OPTIONS " + String(repeating: "a", count: 9_000), 414, false),
            ("headers without end", "OPTIONS * RTSP/1.0\r\n" + String(repeating: "X: y\r\n", count: 100), 400, false),
            ("no host", "DESCRIBE /live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true),
            ("bad URI", "DESCRIBE rtsp://h/%zz RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, true),
            ("DESCRIBE *", "DESCRIBE * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, true),
            ("DESCRIBE of nothing", "DESCRIBE rtsp://h/../../etc/passwd RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true),
            ("DESCRIBE as HTML", "DESCRIBE rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\nAccept: text/html\r\n\r\n", 406, true),
            ("SETUP without Transport", "SETUP rtsp://h/live/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, true),
            ("half a pair", setUp("RTP/AVP/TCP;interleaved=255-"), 400, true),
            ("a negative port", setUp("RTP/AVP;client_port=-5"), 400, true),
            ("a huge port", setUp("RTP/AVP;client_port=99999-100000"), 400, true),
            ("port 65535 alone", setUp("RTP/AVP;client_port=65535"), 461, true),
            ("port 0", setUp("RTP/AVP;client_port=0-1"), 461, true),
            ("no ports", setUp("RTP/AVP"), 461, true),
            ("SRTP", setUp("RTP/SAVP;client_port=5000-5001"), 461, true),
            ("multicast alone", setUp("RTP/AVP;multicast"), 461, true),
            ("multicast, then UDP", setUp("RTP/AVP;multicast,RTP/AVP;unicast;client_port=45000-45001"), 200, true),
            ("record without ANNOUNCE", setUp("RTP/AVP;client_port=5000-5001;mode=record"), 461, true),
            ("destination elsewhere", setUp("RTP/AVP;client_port=5000-5001;destination=192.0.2.1"), 403, true),
            ("destination here", setUp("RTP/AVP;client_port=45002-45003;destination=127.0.0.1"), 200, true),
            ("channel 255", setUp("RTP/AVP/TCP;interleaved=254-255"), 200, true),
            ("PLAY without session", "PLAY rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 454, true),
            ("PLAY of a session that is not", "PLAY rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\nSession: abc\r\n\r\n", 454, true),
            ("TEARDOWN of nothing", "TEARDOWN rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\nSession: \r\n\r\n", 454, true),
            ("ANNOUNCE where there is a source", announce("/live", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), 405, true),
            ("ANNOUNCE of nothing", announce("/publish", "hello"), 400, true),
            ("ANNOUNCE without media", announce("/publish", "v=0\r\ns=x\r\n"), 503, true),
            ("ANNOUNCE to nowhere", announce("/x", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), 404, true),
            ("ANNOUNCE without type", "ANNOUNCE rtsp://h/publish RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n", 415, true),
            ("unknown parameters", "GET_PARAMETER rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 6\r\n\r\npackets", 451, false),
            ("a source that is down", "DESCRIBE rtsp://h/down RTSP/1.0\r\nCSeq: 1\r\n\r\n", 503, true),
            ("an answer to nothing", "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", nil, true),
            ("frames of channels never set up", "$\u{0}\u{0}\u{2}ab$\u{7F}\u{0}\u{0}", nil, true),
            ("blank lines", "\r\n\n\0\0\r\n", nil, true),
        ]

        private static func setUp(_ transport: String) -> String {
            "SETUP rtsp://h/live/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: \(transport)\r\n\r\n"
        }

        private static func announce(_ path: String, _ sdp: String) -> String {
            "ANNOUNCE rtsp://h\(path) RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: \(sdp.utf8.count)\r\n\r\n\(sdp)"
        }

        @Test func garbageIsAnsweredAndHarmsNobody() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let bystander = try harness.client()
            let session = try bystander.setUpLive()
            #expect(try bystander.ask("PLAY", "/live", ["Session: \(session)"]).status == .ok)
            for (name, text, status, survives) in Self.cases {
                let client = try harness.client()
                client.send(text)
                if let status {
                    let response = try #require(try? client.response(), "\(name): an answer")
                    #expect(response.status.code == status, "\(name)")
                    if status >= 400, status != 451 {
                        #expect(response.body.count > 10 && response.headers["Content-Type"] == "text/plain", "\(name): says why")
                    }
                    #expect(!String(decoding: response.serialized(), as: UTF8.self).contains("\0"), "\(name)")
                }
                if survives {
                    #expect((try? client.ask("OPTIONS", "*"))?.status == .ok, "\(name)")
                } else if status != 451 {
                    #expect(client.isClosed(), "\(name)")
                }
                #expect((try? bystander.ask("GET_PARAMETER", "/live", ["Session: \(session)"]))?.status == .ok, "\(name)")
            }
            try harness.eventually("only the bystander is left") { $0.server.statistics.connections == 1 }
            let statistics = try harness.statistics()
            #expect(statistics.refusals[.unknownChannel] == 2)
            #expect(statistics.refusals[.foreignDestination] == 1)
            #expect((statistics.refusals[.malformed] ?? 0) >= 4 && (statistics.refusals[.oversize] ?? 0) == 3)
        }

        @Test func everyCutOfAConversationIsHarmless() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let talk = Array(
                ("SETUP rtsp://h/live/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n"
                    + "$\u{1}\u{0}\u{4}abcdOPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n").utf8)
            for end in stride(from: 1, to: talk.count, by: 7) {
                let client = try harness.client()
                client.send(Array(talk[..<end]))
                shutdown(client.descriptor, CInt(SHUT_WR))
                while (try? client.receive()) != nil {}
            }
            try harness.eventually("all are gone") { $0.server.statistics.connections == 0 && $0.server.statistics.sessions == 0 }
            // Byte by byte it is the same conversation.
            let client = try harness.client()
            for byte in talk { client.send([byte]) }
            #expect(try client.response().headers["CSeq"] == "1")
            #expect(try client.response().headers["CSeq"] == "2")
        }

        @Test func theInterleavedPairIsTheOneAskedForUnlessTaken() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            func pair(_ track: Int, _ asked: String, _ session: String?) throws -> (String?, String) {
                let response = try client.ask(
                    "SETUP", "/live/trackID=\(track)",
                    ["Transport: RTP/AVP/TCP;unicast\(asked)"] + (session.map { ["Session: \($0)"] } ?? []))
                return (
                    try TransportHeader.parse(response.headers["Transport"] ?? "x").first?.interleaved?.text,
                    response.headers.session?.id ?? ""
                )
            }
            let (first, session) = try pair(0, ";interleaved=7-8", nil)
            #expect(first == "7-8")
            #expect(try pair(1, ";interleaved=8-9", session).0 == "0-1")
            #expect(try pair(1, "", session).0 == "0-1")
            #expect(try pair(1, ";interleaved=200", session).0 == "200-201")
            #expect(try pair(1, ";interleaved=255", session).0 == "0-1")
            #expect(try pair(0, ";interleaved=7-8", session).0 == "7-8")
        }
    }
}
