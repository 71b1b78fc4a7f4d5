import Glibc
import Logging
import NIOCore
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// Playlists of the server over Windows Media: who leaves early, and what may not be skipped.
    @Suite struct WindowsMediaPlaylists {
        private static let player = "User-Agent: NSPlayer/9.0.0.2980\r\n"

        private static func read(_ client: TestClient) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while true {
                var buffer = [UInt8](repeating: 0, count: 65_536)
                let got = unsafe recv(client.descriptor, &buffer, buffer.count, 0)
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { return bytes }
                bytes += buffer[..<got]
            }
        }

        @Test("Who hangs up while the first entry is being opened leaves nothing behind")
        func hangsUp() throws {
            let file = try SmallASF.File()
            let folder = try PlaylistFolder(["list.wsx": "<smil><media src='lpp://dead'/><media src='\(file.name)'/></smil>"])
            let harness = try ServerHarness(
                yaml: """
                    paths:
                      dead:
                        source: mmsh://127.0.0.1:9/a
                        source-wait: 1500ms
                      list:
                        source: \(folder["list.wsx"])
                    """)
            defer { try? harness.stop() }
            do {
                let client = try harness.client()
                client.send("GET /list HTTP/1.0\r\n\(Self.player)\r\n")
                try harness.eventually("the entry is being opened") {
                    $0.server.paths.path(named: "list")?.programme?.running.count == 1
                        && $0.server.paths.path(named: "dead")?.windowsMediaProxy?.shared?.waiters.count == 1
                }
                _ = shutdown(client.descriptor, CInt(SHUT_RDWR))
            }
            try harness.eventually("the connection is gone") { $0.server.statistics.connections == 0 }
            try harness.eventually("nobody goes through the list") { $0.server.paths.path(named: "list")?.programme?.running.count == 0 }
        }

        @Test(
            "What cannot be skipped begins at its beginning; anything else where the player wants",
            arguments: [("", 1), ("noSkip='true'", 0)])
        func begins(attributes: String, first: UInt32) throws {
            let file = try SmallASF.File()
            let folder = try PlaylistFolder(["list.wsx": "<smil><media src='\(file.name)' \(attributes)/></smil>"])
            let harness = try ServerHarness(yaml: "paths:\n  list:\n    source: \(folder["list.wsx"])\n")
            defer { try? harness.stop() }
            let client = try harness.client()
            client.send(
                "GET /list HTTP/1.0\r\n\(Self.player)Pragma: no-cache,rate=1.000,packet-num=1\r\nPragma: xPlayStrm=1\r\n"
                    + "Pragma: stream-switch-count=1\r\nPragma: stream-switch-entry=ffff:1:0\r\n\r\n")
            let answer = try Self.read(client)
            let end = try #require(answer.firstRange(of: Array("\r\n\r\n".utf8)))
            var parser = WMSPParser()
            parser.append(Array(answer[end.upperBound...]))
            var packets: [WMSPPacket] = []
            while let packet = try parser.next() { packets.append(packet) }
            #expect(packets.filter { $0.kind == .data }.map(\.locationID) == Array(first...1))
        }

        @Test("A live entry whose broadcast ended, or got another header, before its turn breaks off", arguments: [true, false])
        func isTooLate(ends: Bool) throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let heard = Heard()
            try harness.run { harness in
                let header = try ASFHeader(Array(SmallASF.bytes[..<SmallASF.headerBytes]).span)
                let settings = PathSettings(name: "x", source: .demonstration)
                let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                let broadcast = WindowsMediaBroadcast(header: header, settings: settings, port: harness.server.port, logger: logger)
                var cursor = PlaylistCursor(
                    document: PlaylistDocument(try Playlist(Array("<smil><media src='lpp://x'/></smil>".utf8)).root))
                guard case .open(let entry) = cursor.plan(at: 0) else { throw PathError.notFound("entry") }
                let opened = OpenedEntry(entry: entry, media: .live(broadcast), header: header)
                #expect(opened.isCurrent)
                if ends {
                    broadcast.end("it is over")
                } else {
                    broadcast.take(try header.rewritten(ASFRewrite(form: .live)))
                }
                #expect(!opened.isCurrent)
                let plan = EntryPump.Plan(opened: opened, selection: WMSPSelection(whole: header.streamNumbers))
                let pump = EntryPump(plan, eventLoop: harness.loop)
                pump.onEnd = { heard.end = $0 }
                pump.start()
                #expect(heard.end == nil, "whoever starts it is not done with that")
                heard.pump = pump
            }
            try harness.eventually("it ends") { _ in heard.end == .failed("it ended, or changed, before its turn") }
            try harness.run { _ in heard.pump = nil }
        }

        /// Used on the loop alone.
        private final class Heard: @unchecked Sendable {
            var end: PumpEnd?
            var pump: EntryPump?
        }
    }
}
