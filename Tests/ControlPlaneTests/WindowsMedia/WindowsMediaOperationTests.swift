import Foundation
import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// What operators count on: bounds on readers, waiting that ends, files that are replaced.
    @Suite struct WindowsMediaOperation {
        private static let old = "User-Agent: NSPlayer/4.1.0.3856\r\n"
        private static let play = "Pragma: xPlayStrm=1\r\nPragma: stream-switch-entry=ffff:1:0\r\n\r\n"

        private static func ask(_ harness: ServerHarness, _ request: String) throws -> String {
            let client = try harness.client()
            client.send(request)
            var bytes: [UInt8] = []
            while true {
                var buffer = [UInt8](repeating: 0, count: 4_096)
                let got = unsafe recv(client.descriptor, &buffer, buffer.count, 0)
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { break }
                bytes += buffer[..<got]
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        private static func broadcast(_ file: SmallASF.File, _ more: String) throws -> ServerHarness {
            try ServerHarness(yaml: "\(more)paths:\n  a:\n    source: \(file.name)\n    broadcast: true\n  b:\n    source: \(file.name)\n")
        }

        @Test("The bound on all readers holds for players, and whoever finds no room is sent on by HTTP")
        func distributes() throws {
            let file = try SmallASF.File()
            let harness = try Self.broadcast(file, "readers-max: 1\nthen: [rtsp://two:8554]\n")
            defer { try? harness.stop() }
            try harness.joinsAt(video: (0, 0), audio: nil)
            let first = try harness.client()
            first.send("GET /a HTTP/1.0\r\n\(Self.old)\(Self.play)")
            try harness.eventually("the player is counted") { $0.server.readersNow == 1 }
            // The last is a choice of streams, which by GET is a Play.
            for more in ["\r\n", Self.play, "Pragma: stream-switch-entry=ffff:1:0\r\n\r\n"] {
                let request = "GET /b HTTP/1.0\r\n\(Self.old)\(more)"
                let answer = try Self.ask(harness, request)
                #expect(answer.hasPrefix("HTTP/1.0 302") && answer.contains("Location: http://two:8554/b?weir-hop=1\r\n"), "\(answer)")
            }
            let weary = try Self.ask(harness, "GET /b?weir-hop=3 HTTP/1.0\r\n\(Self.old)\(Self.play)")
            #expect(weary.hasPrefix("HTTP/1.0 503") && weary.contains("Retry-After"))
            #expect(try harness.client().ask("DESCRIBE", "/live").status == .movedTemporarily, "RTSP readers find no room, either")
            let statistics = try harness.statistics()
            #expect(statistics.readersRedirected == 4 && statistics.refusals[.readersMax] == 1)
        }

        @Test("A player that waits for a live source is forgotten when its connection closes")
        func waiterLeaves() throws {
            let harness = try ServerHarness(
                yaml: "paths:\n  a:\n    source: mmsh://127.0.0.1:9/a\n    source-wait: 30s\n    linger: 100ms\n")
            defer { try? harness.stop() }
            do {
                let client = try harness.client()
                client.send("GET /a HTTP/1.0\r\n\(Self.old)\r\n")
                try harness.eventually("it waits") { $0.server.paths.path(named: "a")?.windowsMediaProxy?.shared?.waiters.count == 1 }
                #expect(try harness.run { $0.server.paths.path(named: "a")?.readers } == 1)
                _ = shutdown(client.descriptor, CInt(SHUT_RDWR))
            }
            try harness.eventually("it is forgotten") {
                let path = $0.server.paths.path(named: "a")
                return path?.readers == 0 && path?.windowsMediaProxy?.shared?.waiters.isEmpty != false
            }
        }

        @Test("Whoever comes after a file was replaced gets the new one, and those who play it, too")
        func replaced() throws {
            let file = try SmallASF.File()
            let harness = try Self.broadcast(file, "")
            defer { try? harness.stop() }
            try harness.joinsAt(video: (0, 0), audio: nil)
            let player = try harness.client()
            player.send("GET /a HTTP/1.0\r\n\(Self.old)\(Self.play)")
            try harness.eventually("it plays") { $0.server.readersNow == 1 }
            // Another file identifier, in the header and behind it.
            var bytes = SmallASF.bytes
            for place in 0..<(bytes.count - 15) where bytes[place..<place + 15].elementsEqual(1...15) { bytes[place + 14] = 99 }
            #expect(bytes != SmallASF.bytes)
            let next = file.name + ".next"
            try Data(bytes).write(to: URL(fileURLWithPath: next))
            unsafe rename(next, file.name)
            let after = try Self.ask(harness, "GET /a HTTP/1.0\r\n\(Self.old)\r\n")
            #expect(after.hasPrefix("HTTP/1.0 200"), "\(after)")
            #expect(
                try harness.run { harness in
                    let header = (harness.server.paths.path(named: "a")?.windowsMediaLive?.broadcast?.header)?.bytes
                    return header.map { $0.contains(99) } ?? false
                })
        }

        @Test("A player of a broadcast that selects other streams goes from one reader of the engine to another, and back")
        func selects() throws {
            let file = try SmallASF.File()
            let harness = try Self.broadcast(file, "")
            defer { try? harness.stop() }
            try harness.joinsAt(video: (0, 0), audio: nil)
            let modern = "User-Agent: NSPlayer/9.0.0.2980\r\n"
            let player = try harness.client()
            player.send("GET /a HTTP/1.0\r\n\(modern)\(Self.play)")
            try harness.eventually("it plays") { harness in harness.engine.log.contains("go 0") }
            let id = try #require(try harness.run { $0.server.windowsMedia.allPlayers.first?.play.session })
            // The engine's place of the reader that went is the next one's: 0, 1, 0.
            for (round, thinning) in [2, 0].enumerated() {
                let answer = try Self.ask(
                    harness,
                    "POST /a HTTP/1.0\r\n\(modern)Pragma: client-id=\(id)\r\nPragma: stream-switch-count=1\r\n"
                        + "Pragma: stream-switch-entry=ffff:1:\(thinning)\r\nContent-Length: 0\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.0 200"), "\(answer)")
                try harness.eventually("it goes over") { harness in
                    harness.engine.log.drop { $0 != "remove \(round)" }.contains("go \(1 - round)")
                }
                let log = try harness.run { $0.engine.log }
                let last = try #require(log.firstIndex { $0.hasPrefix("last \(round) before ") })
                let arm = try #require(log.firstIndex { $0.hasPrefix("arm \(1 - round) at ") })
                let go = try #require(log.lastIndex(of: "go \(1 - round)"))
                #expect(last < go && arm < go)
            }
            #expect(try harness.run { $0.server.readersNow } == 1, "its session goes on")
        }

        @Test("What happens to sessions is counted where operators look")
        func counted() throws {
            let file = try SmallASF.File()
            let harness = try Self.broadcast(file, "")
            defer { try? harness.stop() }
            _ = try Self.ask(harness, "GET /b HTTP/1.0\r\n\(Self.old)\r\n")
            _ = try Self.ask(harness, "POST /b HTTP/1.0\r\n\(Self.old)Pragma: xStopStrm=1, client-id=7\r\nContent-Length: 0\r\n\r\n")
            let counters = try harness.run { $0.server.windowsMedia.counters }
            #expect(counters["opened"] == 1 && counters["mistaken"] == 1 && counters["refused"] == 0)
        }

        @Test("The profile of a start is what [MS-RTSP] 3.2.7.7 computes")
        func startupProfile() throws {
            let bytes = SmallASF.bytes
            let header = try ASFHeader(bytes.span.extracting(0..<SmallASF.headerBytes))
            var profile = ASFStartupProfile(header, streams: [1], milliseconds: 5_000)
            #expect(profile.text == nil)
            for start in stride(from: SmallASF.headerBytes, to: bytes.count - 127, by: 128) {
                let wants = profile.take(bytes.span.extracting(start..<(start + 128)))
                #expect(wants)
            }
            // By hand: objects of 80, 30 and 36 bytes at 1,000, 1,100 and 1,138 ms, sent at 0 and 100 ms; 800 bytes a second.
            #expect(
                profile.text == "Rate=10,12,15,20,30;MaxBytes=80,80,80,80,80;Time=0,0,0,0,0;StartTime=1000;LastTime=138;MaxDiffTime=0;"
                    + "MaxDiffSndTime=0;ByteRate=0,0,0,0,0;")
            var short = ASFStartupProfile(header, streams: [1], milliseconds: 50)
            let all = SmallASF.bytes
            let first = short.take(all.span.extracting(326..<454))
            let second = short.take(all.span.extracting(454..<582))
            #expect(first && !second, "packets behind the granted time do not count")
        }

        @Test("A Play that understands it gets the profile with what it is granted")
        func profileIsSent() throws {
            let file = try SmallASF.File()
            let harness = try Self.broadcast(file, "")
            defer { try? harness.stop() }
            func head(_ more: String) throws -> String {
                try Self.ask(
                    harness,
                    "GET /b HTTP/1.0\r\nUser-Agent: NSPlayer/11.0.0.1\r\n\(more)Pragma: AccelBW=3500000, AccelDuration=5000\r\n\(Self.play)"
                )
            }
            let supported = "Supported: com.microsoft.wm.startupprofile, com.microsoft.wm.predstrm\r\n"
            #expect(try head(supported).contains("X-StartupProfile: Rate=10,12,15,20,30;MaxBytes=80,80,80,80,80;"))
            #expect(try !head("").contains("X-StartupProfile"), "it did not say that it understands it")
        }
    }
}
