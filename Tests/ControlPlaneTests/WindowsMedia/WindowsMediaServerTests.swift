import Foundation
import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// The smallest file there is: two packets of 128 bytes behind a header of 326.
enum SmallASF {
    private static let text = """
        MCaydY5mzxGm2QCqAGLObBQBAAAAAAAAAwAAAAECodyrjEepzxGO5ADADCBTZWgAAAAAAAAAAAECAwQFBgcICQoLDA0OD0YCAAAAAAAAAAAAAA\
        AAAAACAAAAAAAAAAAbtwAAAAAAgIQeAAAAAADoAwAAAAAAAAIAAACAAAAAgAAAAAAZAAC1A79fLqnPEY7jAMAMIFNlLgAAAAAAAAAR0tOruqnP\
        EY7mAMAMIFNlBgAAAAAAkQfct7epzxGO5gDADCBTZWAAAAAAAAAAQJ5p+E1bzxGo/QCAX1xEKwBX+yBVW88RqP0AgF9cRCsAAAAAAAAAABIAAA\
        AAAAAAAQAAAAAAAQABACADAAAgAwAAAQAIAAAANiaydY5mzxGm2QCqAGLObDIBAAAAAAAAAAECAwQFBgcICQoLDA0ODwIAAAAAAAAAAQGCAAAQ\
        XRQAAAAAAGQAgQAAAAAACFAAAADoAwAAgIWKj5SZnoOIjZKXnIGGi5CVmp+EiY6TmJ2Ch4yRlpuAhYqPlJmeg4iNkpecgYaLkJWan4SJjpOYnY\
        KHjJGWm4CFio+UmZ6DiI2Sl5yBhosAAAAAAAAAAAAAAAAAAAAAAAAAAIIAAAldD2QAAABLAIKBAQAAAAAIHgAAAEwEAAAeAIGGi5CVmp+EiY6T\
        mJ2Ch4yRlpuAhYqPlJmeg4iNkoECAAAAAAgkAAAAcgQAACQAgoeMkZabgIWKj5SZnoOIjZKXnIGGi5CVmp+EiY6TmJ2Ch4yRAAAAAAAAAAAAAA\
        AAAAAA
        """

    static let bytes = Array(Data(base64Encoded: text) ?? Data())
    static let headerBytes = 326

    /// A file of it that goes with the test.
    final class File {
        let name: String

        init() throws {
            name = NSTemporaryDirectory() + "weir-small-\(UInt64.random(in: 0 ... .max)).asf"
            try Data(SmallASF.bytes).write(to: URL(fileURLWithPath: name))
        }

        deinit { unsafe unlink(name) }
    }
}

extension RTSPServerTests {
    /// Windows Media over HTTP on the same port.
    @Suite struct WindowsMedia {
        private static let player = "User-Agent: NSPlayer/9.0.0.2980\r\n"
        private static let old = "User-Agent: NSPlayer/4.1.0.3856\r\n"

        private static func harness(_ file: SmallASF.File, _ more: String = "") throws -> ServerHarness {
            try ServerHarness(yaml: "paths:\n  a:\n    source: \(file.name)\n\(more)")
        }

        /// All that comes until the server closes, or `count` bytes.
        private static func read(_ client: TestClient, _ count: Int = .max) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                var buffer = [UInt8](repeating: 0, count: min(65_536, count - bytes.count))
                let got = unsafe recv(client.descriptor, &buffer, buffer.count, 0)
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw TestClient.Trouble(description: "errno \(errno)") }
                if got == 0 { break }
                bytes += buffer[..<got]
            }
            return bytes
        }

        private static func head(_ bytes: [UInt8]) -> (head: String, body: [UInt8]) {
            guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return (String(decoding: bytes, as: UTF8.self), []) }
            return (String(decoding: bytes[..<end.lowerBound], as: UTF8.self), Array(bytes[end.upperBound...]))
        }

        private static func ask(_ harness: ServerHarness, _ request: String) throws -> (head: String, body: [UInt8]) {
            let client = try harness.client()
            client.send(request)
            return head(try read(client))
        }

        private static func packets(_ body: [UInt8]) throws -> [WMSPPacket] {
            var parser = WMSPParser()
            parser.append(body)
            var packets: [WMSPPacket] = []
            while let packet = try parser.next() { packets.append(packet) }
            #expect(parser.bytesBuffered == 0)
            return packets
        }

        @Test("An old player gets the header, every packet and the end, and the connection closes")
        func plays() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file)
            defer { try? harness.stop() }
            let described = try Self.ask(harness, "GET /a HTTP/1.0\r\n\(Self.old)\r\n")
            #expect(described.head.hasPrefix("HTTP/1.0 200") && described.head.contains("features=\"seekable\""))
            let header = try #require(try Self.packets(described.body).first)
            #expect(header.kind == .header && header.payload.count == SmallASF.headerBytes)
            let played = try Self.ask(
                harness,
                "GET /a HTTP/1.0\r\n\(Self.old)Pragma: xPlayStrm=1\r\nPragma: stream-switch-count=1\r\nPragma: stream-switch-entry=ffff:1:0\r\n\r\n"
            )
            let packets = try Self.packets(played.body)
            #expect(packets.map(\.kind) == [.header, .data, .data, .endOfStream])
            #expect(packets.map(\.locationID) == [0, 0, 1, 0] && packets.map(\.flags)[1...2] == [0, 1])
            #expect(packets[1].payload + packets[2].payload == Array(SmallASF.bytes[SmallASF.headerBytes...]))
            #expect(packets[3].reason == .done)
            try harness.eventually("nobody is left") {
                $0.server.statistics.connections == 0 && $0.server.paths.all.allSatisfy { $0.readers == 0 }
            }
        }

        @Test("A player of version 9 hears of the metadata, seeks by packet, and logs on another connection")
        func seeksAndLogs() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file)
            defer { try? harness.stop() }
            let played = try Self.ask(
                harness,
                "GET /a HTTP/1.0\r\n\(Self.player)Pragma: no-cache,rate=1.000,packet-num=1\r\nPragma: xPlayStrm=1\r\n"
                    + "Pragma: stream-switch-count=1\r\nPragma: stream-switch-entry=ffff:1:0\r\n\r\n")
            let packets = try Self.packets(played.body)
            #expect(packets.map(\.kind) == [.metadata, .header, .data, .endOfStream] && packets[2].locationID == 1)
            let id = try #require(played.head.firstMatch(of: /client-id=(\d+)/)?.1)
            let log = "<XML>one</XML>"
            let logged = try Self.ask(
                harness,
                "POST /a HTTP/1.0\r\n\(Self.player)Pragma: client-id=\(id)\r\nContent-Type: application/x-wms-LogStats;charset=UTF-8\r\n"
                    + "Content-Length: \(log.utf8.count)\r\n\r\n\(log)")
            #expect(logged.head.hasPrefix("HTTP/1.0 204") || logged.head.hasPrefix("HTTP/1.0 200"))
        }

        @Test(
            "What cannot be served is refused clearly, and the server goes on",
            arguments: [
                ("no path", "GET /b HTTP/1.0\r\n\(player)\r\n", 404),
                ("an RTP path", "GET /live HTTP/1.0\r\n\(player)\r\n", 415),
                ("a browser", "GET /b HTTP/1.0\r\nUser-Agent: Mozilla/5.0\r\n\r\n", 404),
                ("a browser at an RTP path", "GET /live HTTP/1.0\r\nUser-Agent: Mozilla/5.0\r\n\r\n", 415),
                ("a browser at a path", "GET /a HTTP/1.0\r\nHost: h\r\nUser-Agent: Mozilla/5.0\r\n\r\n", 200),
                (
                    "a stranger's session",
                    "POST /a HTTP/1.0\r\n\(player)Pragma: xKeepAliveInPause=1, client-id=7\r\nContent-Length: 0\r\n\r\n", 400
                ),
                ("a POST for nothing", "POST /a HTTP/1.0\r\n\(player)Content-Length: 0\r\n\r\n", 400),
                (
                    "64 KiB of Pragma",
                    "GET /a HTTP/1.0\r\n\(player)" + String(repeating: "Pragma: a=b,c=d,e=f\r\n", count: 3_000) + "\r\n", 400
                ),
                ("many tokens", "GET /a HTTP/1.0\r\n\(player)Pragma: " + String(repeating: "a,", count: 2_000) + "b\r\n\r\n", 431),
            ])
        func refuses(what: String, request: String, status: Int) throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file)
            defer { try? harness.stop() }
            let answer = try Self.ask(harness, request)
            #expect(answer.head.split(separator: " ").dropFirst().first == "\(status)", "\(what): \(answer.head)")
            #expect(answer.head.contains("Connection: close") || status == 200)
            #expect(try Self.ask(harness, "GET /a HTTP/1.0\r\n\(Self.old)\r\n").head.hasPrefix("HTTP/1.0 200"))
        }

        @Test("A broadcast's players are readers in the engine, and the path's source ends with the last of them")
        func broadcasts() throws {
            let file = try SmallASF.File()
            let harness = try Self.harness(file, "    broadcast: true\n    linger: 100ms\n    source-wait: 2s\n")
            defer { try? harness.stop() }
            try harness.joinsAt(video: (0, 0), audio: nil)
            do {
                let client = try harness.client()
                client.send(
                    "GET /a HTTP/1.0\r\n\(Self.old)Pragma: xPlayStrm=1\r\nPragma: stream-switch-entry=ffff:1:0\r\n\r\n")
                try harness.eventually("the reader goes") { harness in harness.engine.log.contains { $0.hasPrefix("go") } }
                let log = try harness.run { $0.engine.log }
                #expect(log.contains { $0.hasPrefix("addVerbatimStream") } && log.contains { $0.hasPrefix("addVerbatim 0") }, "\(log)")
                #expect(log.contains { $0.hasPrefix("feed") })
            }
            try harness.eventually("everything ends") { harness in
                harness.server.statistics.connections == 0 && harness.engine.log.contains { $0.hasPrefix("removeStream") }
            }
        }

        @Test("A relay that tells of players without end is told to wait")
        func events() throws {
            let file = try SmallASF.File()
            let harness = try ServerHarness(yaml: "paths:\n  a:\n    source: \(file.name)\n") {
                $0.limits.eventsBurstPerAddress = 2
                $0.limits.eventsPerSecondPerAddress = 1
                $0.sweepMilliseconds = 600_000
            }
            defer { try? harness.stop() }
            let body = RemoteEvent(kind: .close).serialized()
            let request =
                "POST /a HTTP/1.0\r\nUser-Agent: WMCacheProxy/9.00.00.1234\r\nContent-Type: application/x-wms-sendevent\r\n"
                + "Content-Length: \(body.count)\r\n\r\n\(String(decoding: body, as: UTF8.self))"
            let statuses = try (0..<3).map { _ in try Self.ask(harness, request).head.split(separator: " ").dropFirst().first ?? "" }
            #expect(statuses == ["200", "200", "503"])
            #expect(try harness.statistics().refusals[.eventRate] == 1)
        }
    }
}
