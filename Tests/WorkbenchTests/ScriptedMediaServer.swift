import Foundation
import Glibc
import Synchronization
import WireFormats

@testable import Workbench

/// A small server of Windows Media over HTTP on loopback whose mistakes are known: 40 packets of 500 bytes a second. A thread per connection.
final class ScriptedMediaServer: Sendable {
    /// What becomes of packets; the number counts from the first one of each Play.
    struct Script: Sendable {
        var isDropped: @Sendable (Int) -> Bool = { _ in false }
        var isSentTwice: @Sendable (Int) -> Bool = { _ in false }
        /// Packets leave no faster than this part of real time.
        var speed = 1.0
        /// The body ends so after so many packets, and the connection with it.
        var end: (after: Int, reason: WMSPReason?) = (.max, nil)
        /// Name and password, by Basic.
        var credentials: String?
        /// The body of a Play is cut into chunks, and into segments of so many bytes.
        var isChunked = false
        var segmentBytes = 10_000
        /// The answer to Describe runs on into packets.
        var runsOn = false
        /// Another header after so many packets, which are numbered from 0 again.
        var headerAgainAfter: Int?
        /// A Describe is sent to this path first.
        var redirection: String?
    }

    static let packetsPerSecond = 40.0
    static let packetBytes = 500

    private let script: Script
    private let listener: LoopbackListener
    private let media: TestASF
    /// The times that Plays asked for, in milliseconds.
    let positions = Mutex<[Int]>([])

    init(_ script: Script = Script(), seconds: Int = 60) throws {
        self.script = script
        let rate = Int(Self.packetsPerSecond) * Self.packetBytes * 8
        guard let media = TestASF(seconds: seconds, bitRate: rate, packetBytes: Self.packetBytes) else { throw WorkbenchError("no media") }
        self.media = media
        listener = try LoopbackListener()
        listener.start { [self] in serve($0) }
    }

    var port: UInt16 { listener.port }

    func stop() { listener.stop() }

    func url(_ userInfo: String = "") -> String { "mmsh://\(userInfo)127.0.0.1:\(port)/scripted" }

    private func serve(_ connection: Int32) {
        var text = ""
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while !text.contains("\r\n\r\n") {
            let count = unsafe recv(connection, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            text += String(decoding: chunk[..<count], as: UTF8.self)
        }
        if let wanted = script.credentials, !text.contains("Authorization: Basic " + Data(wanted.utf8).base64EncodedString()) {
            return send("HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"scripted\"\r\nContent-Length: 0\r\n\r\n", connection)
        }
        if let place = script.redirection, !text.contains(place) {
            return send("HTTP/1.0 302 Found\r\nLocation: \(place)\r\nContent-Length: 0\r\n\r\n", connection)
        }
        let isPlay = text.contains("xPlayStrm=1") || script.runsOn
        let head = "HTTP/1.1 200 OK\r\nServer: Cougar/9.01.01.3814\r\nPragma: no-cache, client-id=4711, features=\"seekable\"\r\n"
        send(head + (isPlay && script.isChunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n"), connection)
        put(WMSPFraming.header(media.header), connection, isPlay)
        guard isPlay else { return }
        let time = text.firstRange(of: "stream-time=").map { Int(text[$0.upperBound...].prefix { $0.isNumber }) ?? 0 } ?? 0
        positions.withLock { $0.append(time) }
        play(connection, from: media.packets.count * time / media.milliseconds)
    }

    private func play(_ connection: Int32, from first: Int) {
        var due = Date()
        for (number, packet) in media.packets[first...].enumerated() {
            if number == script.end.after { break }
            if number > 0, number == script.headerAgainAfter { put(WMSPFraming.header(media.header), connection, true) }
            let location = script.headerAgainAfter.map { number < $0 ? number : number - $0 } ?? first + number
            if !script.isDropped(number), let bytes = WMSPFraming.data(packet, locationID: UInt32(location)) {
                put(bytes, connection, true)
                if script.isSentTwice(number) { put(bytes, connection, true) }
            }
            due += 1 / Self.packetsPerSecond / script.speed
            Thread.sleep(until: due)
            if listener.isStopped { return }
        }
        if let reason = script.end.reason { put(WMSPFraming.endOfStream(reason), connection, true) }
    }

    private func put(_ bytes: [UInt8], _ connection: Int32, _ isPlay: Bool) {
        let coded = isPlay && script.isChunked ? ChunkedCoding.chunk(bytes) : bytes
        for start in stride(from: 0, to: coded.count, by: script.segmentBytes) {
            let part = Array(coded[start..<min(start + script.segmentBytes, coded.count)])
            _ = unsafe Glibc.send(connection, part, part.count, Int32(MSG_NOSIGNAL))
        }
    }

    private func send(_ text: String, _ connection: Int32) {
        let bytes = Array(text.utf8)
        _ = unsafe Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
