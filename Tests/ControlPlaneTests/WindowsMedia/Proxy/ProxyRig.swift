import Foundation
import Glibc
import Testing
import WireFormats

@testable import ControlPlane

/// A Weir that is the origin of some files, and a Weir before it.
final class ProxyRig {
    let content: LongASF
    let file: LongASF.File
    let directory = NSTemporaryDirectory() + "weir-proxy-\(UInt64.random(in: 0 ... .max))"
    let origin: ServerHarness
    let proxy: ServerHarness
    let log = HeardLog()

    /// `path` and `top` are more of the proxy's configuration; it keeps things unless `keeps` is false.
    init(packets: Int = 2_000, step: Int = 1, keeps: Bool = true, path: String = "", top: String = "", origin more: String = "") throws {
        content = LongASF(packets: packets, stepMilliseconds: step)
        file = try LongASF.File(content)
        let yaml = "paths:\n  a:\n    source: \(file.name)\n\(more)"
        let access = try Configuration.parse(yaml).access
        origin = try ServerHarness(yaml: yaml) { $0.access = access }
        let cache = keeps ? "cache-dir: \(directory)\n" : ""
        proxy = try ServerHarness(
            log: log, yaml: "\(cache)\(top)paths:\n  a:\n    source: mmsh://127.0.0.1:\(origin.port)/a\n\(path)")
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func stop() {
        try? proxy.stop()
        try? origin.stop()
    }

    /// How many players the origin has sent media so far.
    func plays() throws -> Int { try origin.run { Int($0.server.windowsMedia.counters["opened"] ?? 0) } }

    /// How the last play of the path was met.
    var outcomes: [String] { log.lines(from: .info).compactMap { $0.firstMatch(of: /cache=([A-Z]+ [a-z-]+)/).map { String($0.1) } } }

    /// Plays from a packet on, to the end or for so many packets.
    func play(from packet: Int = 0, count: Int = .max, guid: String = "{1}") throws -> Played {
        try Self.play(port: proxy.port, from: packet, count: count, guid: guid)
    }

    static func play(port: UInt16, from packet: Int = 0, count: Int = .max, guid: String) throws -> Played {
        let client = try TestClient(port: port)
        client.send(
            "GET /a HTTP/1.0\r\nUser-Agent: NSPlayer/9.0.0.2980\r\nPragma: no-cache,rate=1.000,packet-num=\(packet)\r\n"
                + "Pragma: xClientGUID=\(guid)\r\nPragma: xPlayStrm=1\r\nPragma: AccelBW=100000000,AccelDuration=100000\r\n"
                + "Pragma: stream-switch-count=1\r\nPragma: stream-switch-entry=ffff:1:0\r\n\r\n")
        return try Played(client, count: count)
    }

    /// Waits until the proxy of the path is so.
    func wait(_ what: Comment, seconds: Int = 20, _ condition: @escaping @Sendable (WindowsMediaProxy) -> Bool) throws {
        for _ in 0..<(seconds * 100) {
            if try proxy.run({ $0.paths.path(named: "a")?.windowsMediaProxy.map(condition) ?? false }) { return }
            usleep(10_000)
        }
        Issue.record(what)
    }

    /// What one player was sent.
    struct Played: Sendable {
        var head = ""
        var numbers: [UInt32] = []
        var packets: [[UInt8]] = []
        var ended = false

        init(_ client: TestClient, count: Int) throws {
            var parser = WMSPParser()
            var bytes: [UInt8] = []
            var isOpen = true
            while isOpen, !ended, packets.count < count {
                var buffer = [UInt8](repeating: 0, count: 65_536)
                let got = unsafe recv(client.descriptor, &buffer, buffer.count, 0)
                if got < 0, errno == EINTR { continue }
                isOpen = got > 0
                let more = Array(buffer[..<max(got, 0)])
                if head.isEmpty {
                    bytes += more
                    guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { continue }
                    head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
                    guard head.contains(" 200 ") else { return }
                    parser.append(Array(bytes[end.upperBound...]))
                } else {
                    parser.append(more)
                }
                while let packet = try parser.next() {
                    if packet.kind == .data {
                        numbers.append(packet.locationID)
                        packets.append(packet.payload + [UInt8](repeating: 0, count: max(LongASF.packetBytes - packet.payload.count, 0)))
                    }
                    if packet.kind == .endOfStream { ended = true }
                }
            }
        }
    }
}
