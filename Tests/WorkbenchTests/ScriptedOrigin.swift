import Foundation
import Glibc
import Synchronization
import WireFormats

@testable import Workbench

/// A small RTSP server on loopback whose mistakes are known: one H.264 track of 25 frames a second, four packets each, a key
/// frame every ten frames. A thread per connection.
final class ScriptedOrigin: Sendable {
    /// What becomes of packets; the number counts from 0 in each session.
    struct Script: Sendable {
        var isDropped: @Sendable (Int) -> Bool = { _ in false }
        var isSentTwice: @Sendable (Int) -> Bool = { _ in false }
        /// Sent after the one behind it.
        var isSwapped: @Sendable (Int) -> Bool = { _ in false }
        /// Answer SETUP over TCP with 461.
        var refusesTCP = false
        /// Name and password, by Basic.
        var credentials: String?
        /// Wait so long before PLAY is answered, while media flows already.
        var playAnswerDelay = 0.0
        /// Windows Media instead, in MS-RTSP: its packets again and again, at its pace.
        var windowsMedia: TestASF?
        /// Frames leave no faster than this part of real time.
        var speed = 1.0
    }

    static let framesPerSecond = 25.0
    static let packetsPerFrame = 4
    static let framesPerKeyFrame = 10
    static let packetBytes = 500

    private let script: Script
    private let listener: LoopbackListener

    init(_ script: Script = Script()) throws {
        self.script = script
        listener = try LoopbackListener()
        listener.start { [self] in serve($0) }
    }

    var port: UInt16 { listener.port }

    func stop() { listener.stop() }

    func url(_ userInfo: String = "") -> String { "rtsp://\(userInfo)127.0.0.1:\(port)/scripted" }

    private func serve(_ connection: Int32) {
        var parser = RTSPParser()
        var chunk = [UInt8](repeating: 0, count: 4_096)
        var target: Target?
        let ended = Flag()
        defer { ended.raise() }
        while !listener.isStopped {
            let count = unsafe recv(connection, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            parser.append(chunk[0..<count])
            while let element = try? parser.next() {
                guard case .request(let request) = element else { continue }
                var answer = RTSPResponse(status: .ok, headers: ["CSeq": request.headers["CSeq"] ?? "0", "Session": "4711;timeout=2"])
                if let wanted = script.credentials,
                    request.headers["Authorization"] != "Basic " + Data(wanted.utf8).base64EncodedString()
                {
                    answer.status = .unauthorized
                    answer.headers.add("WWW-Authenticate", "Basic realm=\"scripted\"")
                } else if request.method == .describe {
                    answer.headers.add("Content-Type", "application/sdp")
                    answer.headers.add("Content-Base", request.uri + "/")
                    answer.body = script.windowsMedia.flatMap { Self.description(of: $0, request.uri) } ?? Array(Self.description.utf8)
                    if script.windowsMedia != nil { answer.headers.add("Server", "WMServer/9.1.1.5000") }
                } else if request.method == .setup {
                    target = setUp(request, connection, &answer)
                } else if request.method == .play, let target {
                    if script.playAnswerDelay > 0 {
                        startSending(target, ended)
                        Thread.sleep(forTimeInterval: script.playAnswerDelay)
                        reply(answer, connection)
                        continue
                    }
                    reply(answer, connection)
                    startSending(target, ended)
                    continue
                }
                reply(answer, connection)
                if request.method == .teardown { return }
            }
        }
    }

    private enum Target: Sendable {
        case datagrams(UInt16)
        case connection(Int32)
    }

    private func setUp(_ request: RTSPRequest, _ connection: Int32, _ answer: inout RTSPResponse) -> Target? {
        let wanted = request.headers["Transport"] ?? ""
        guard let spec = try? TransportHeader.parse(wanted).first else { return nil }
        answer.headers.add("Transport", wanted)
        if spec.lowerTransport == .udp, let ports = spec.clientPort { return .datagrams(ports.rtp) }
        if script.refusesTCP {
            answer.status = .unsupportedTransport
            return nil
        }
        return .connection(connection)
    }

    private func reply(_ answer: RTSPResponse, _ connection: Int32) {
        let bytes = answer.serialized()
        _ = unsafe send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private func startSending(_ target: Target, _ ended: Flag) {
        Thread.detachNewThread { [self] in
            guard let home = try? Endpoint(host: "127.0.0.1", port: 0), let sender = try? DatagramSender(like: home) else { return }
            func put(_ packet: [UInt8]) {
                switch target {
                case .datagrams(let port): try? sender.send(packet, segmentBytes: 65_000, toPort: port)
                case .connection(let connection):
                    let frame = InterleavedHeader.frame(channel: 0, payload: packet)
                    _ = unsafe send(connection, frame, frame.count, Int32(MSG_NOSIGNAL))
                }
            }
            if let media = script.windowsMedia {
                var isDatagrams = false
                if case .datagrams = target { isDatagrams = true }
                return play(media, isDatagrams: isDatagrams, put, ended)
            }
            var held: [UInt8]?
            var due = Date()
            for frame in 0..<Int.max {
                for part in 0..<Self.packetsPerFrame {
                    let number = frame * Self.packetsPerFrame + part
                    if script.isDropped(number) { continue }
                    let packet = Self.packet(number, frame: frame, part: part)
                    if script.isSwapped(number), held == nil {
                        held = packet
                        continue
                    }
                    put(packet)
                    if script.isSentTwice(number) { put(packet) }
                    if let late = held.take() { put(late) }
                }
                due += 1 / Self.framesPerSecond / script.speed
                Thread.sleep(until: due)
                if ended.isRaised || listener.isStopped { return }
            }
        }
    }

    private func play(_ media: TestASF, isDatagrams: Bool, _ put: ([UInt8]) -> Void, _ ended: Flag) {
        var packetiser = ASFRTPPacketiser(
            packetBytes: media.packets[0].count, form: isDatagrams ? .datagrams(bytesMax: 1_452) : .whole, ssrc: 1, sequence: 65_000)
        var due = Date()
        var number = 0
        for round in 0..<Int.max {
            for packet in media.packets {
                var bytes: [UInt8] = []
                var moved = packet
                try? ASFRetiming(milliseconds: Int32(clamping: round * media.milliseconds)).apply(to: &moved, packetBytes: packet.count)
                _ = try? packetiser.append(moved, to: &bytes)
                var offset = 0
                while let frame = InterleavedHeader(bytes.span.extracting(offset...)) {
                    let end = offset + InterleavedHeader.byteCount + frame.payloadLength
                    if !script.isDropped(number) { put(Array(bytes[(offset + InterleavedHeader.byteCount)..<end])) }
                    number += 1
                    offset = end
                }
                due += Double(media.milliseconds) / 1_000 / Double(media.packets.count)
                Thread.sleep(until: due)
                if ended.isRaised || listener.isStopped { return }
            }
        }
    }

    private static func description(of media: TestASF, _ uri: String) -> [UInt8]? {
        guard let header = try? ASFHeader(media.header.span) else { return nil }
        return try? MSRTSPDescription(
            of: header, origin: SDPOrigin(sessionID: 1, sessionVersion: 1, address: "127.0.0.1"), base: uri, entityTag: nil,
            features: [.broadcast, .notSeekable], durationMilliseconds: nil
        ).serialized()
    }

    private static func packet(_ number: Int, frame: Int, part: Int) -> [UInt8] {
        let header = RTPHeader(
            payloadType: 96, marker: part == packetsPerFrame - 1, sequence: UInt16(truncatingIfNeeded: 65_000 + number),
            timestamp: UInt32(truncatingIfNeeded: 4_294_000_000 + frame * 3_600), ssrc: 1)
        // FU-A (RFC 6184 section 5.8) of a key or another picture.
        let type: UInt8 = frame.isMultiple(of: framesPerKeyFrame) ? 5 : 1
        let start: UInt8 = part == 0 ? 0x80 : 0
        let end: UInt8 = part == packetsPerFrame - 1 ? 0x40 : 0
        return header.packet(payload: [0x7C, start | end | type, 0x88] + [UInt8](repeating: 0x11, count: packetBytes - 15))
    }

    private static let description = """
        v=0\r
        o=- 1 1 IN IP4 127.0.0.1\r
        s=scripted\r
        t=0 0\r
        a=control:*\r
        m=video 0 RTP/AVP 96\r
        a=rtpmap:96 H264/90000\r
        a=control:track1\r\n
        """
}

private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isRaised: Bool { value.load(ordering: .relaxed) }
    func raise() { value.store(true, ordering: .relaxed) }
}
