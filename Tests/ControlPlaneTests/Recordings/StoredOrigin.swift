import Foundation
import NIOCore
import NIOPosix
import Testing
import WireFormats

@testable import ControlPlane

/// A server with a film of two tracks, whose every packet tells its version: it sends all that is asked for at once, over TCP.
final class StoredOrigin: Sendable {
    /// How it is just now.
    struct Mood: Sendable {
        var version: UInt8 = 1
        /// Nil: it names none.
        var etag: String?
        var cacheControl: String?
        /// What it answers 401 to, unless a password comes along.
        var guarded: [RTSPMethod] = []
        /// It sends no more than this of each track, in milliseconds.
        var videoEnds = 1_000
        var audioEnds = 1_000
        var saysGoodbye = true
        /// What it does not answer at all.
        var unanswered: [RTSPMethod] = []
        /// Where DESCRIBE is answered with 302.
        var location: String?
    }

    private let mood: Locked<Mood>
    private let server: ScriptedOrigin
    var port: Int { server.port }

    /// The film's length in milliseconds.
    static let milliseconds = 1_000

    init(_ mood: Mood = Mood(), length: Int = StoredOrigin.milliseconds) throws {
        let mood = Locked(mood)
        self.mood = mood
        let sdp = try SessionDescription(
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=film\r\nt=0 0\r\na=range:npt=0-\(length / 1_000).\(length % 1_000 / 100)\r\n"
                + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\nm=audio 0 RTP/AVP 0\r\na=control:a\r\n")
        server = try ScriptedOrigin(group: MultiThreadedEventLoopGroup.singleton, sdp: sdp) { request, _ in
            mood.withLockedValue { Self.answer(request, $0) }
        }
    }

    func change(_ body: (inout Mood) -> Void) { mood.withLockedValue { body(&$0) } }

    /// How often it was asked so.
    func count(_ method: RTSPMethod) -> Int { server.methods.count { $0 == method } }
    var requests: [RTSPRequest] { server.requests }
    func hangUp() { server.hangUp() }
    func send(onConnection number: Int, _ bytes: [UInt8]) { server.send(bytes, onConnection: number) }

    /// A picture of that place, as an interleaved frame.
    static func picture(_ place: Int, version: UInt8) -> [UInt8] {
        let packet = RTPHeader(payloadType: 96, marker: true, sequence: UInt16(place), timestamp: UInt32(place * 9_000), ssrc: 7)
            .packet(payload: [0x41, 0x9A, version, UInt8(place)])
        return [0x24, 0, 0, UInt8(packet.count)] + packet
    }
    func close() { server.close() }

    private static func answer(_ request: RTSPRequest, _ mood: Mood) -> ScriptedOrigin.Answer? {
        guard !mood.unanswered.contains(request.method) else { return nil }
        if mood.guarded.contains(request.method), request.headers["Authorization"] == nil {
            return (.unauthorized, ["WWW-Authenticate": "Basic realm=\"film\""], [])
        }
        switch request.method {
        case .options: return (.ok, ["Public": "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER"], [])
        case .describe:
            if let location = mood.location { return (.movedTemporarily, ["Location": location], []) }
            var headers: RTSPHeaders = ["Content-Type": "application/sdp"]
            if let etag = mood.etag { headers.add("ETag", etag) }
            if let control = mood.cacheControl { headers.add("Cache-Control", control) }
            return (.ok, headers, [])
        case .setup: return (.ok, ["Session": "1", "Transport": request.headers["Transport"] ?? ""], [])
        case .play:
            var start = 0
            if let text = request.headers["Range"], case .npt(.microseconds(let time)?, _)? = try? RangeHeader.parse(text) {
                start = Int(time / 1_000)
            }
            // From the key frame before.
            start -= start % 1_000
            return (
                .ok,
                [
                    "Session": "1", "Range": "npt=\(start / 1_000)-",
                    "RTP-Info": "url=v;seq=0;rtptime=\(start * 90),url=a;seq=0;rtptime=\(start * 8)",
                ],
                media(mood, from: start)
            )
        default: return (.ok, ["Session": "1"], [])
        }
    }

    /// Ten pictures and ten pieces of sound a second; a key frame each second.
    private static func media(_ mood: Mood, from start: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        func frame(_ channel: UInt8, _ packet: [UInt8]) {
            bytes += [0x24, channel, UInt8(packet.count >> 8), UInt8(packet.count & 0xFF)] + packet
        }
        for (number, time) in stride(from: start, to: max(mood.videoEnds, mood.audioEnds), by: 100).enumerated() {
            let sequence = UInt16(number)
            let place = UInt8(truncatingIfNeeded: time / 100)
            if time < mood.videoEnds {
                let payload: [UInt8] = time % 1_000 == 0 ? [0x65, 0x88, mood.version, place] : [0x41, 0x9A, mood.version, place]
                frame(
                    0,
                    RTPHeader(payloadType: 96, marker: true, sequence: sequence, timestamp: UInt32(time * 90), ssrc: 7).packet(
                        payload: payload))
            }
            if time < mood.audioEnds {
                frame(
                    2,
                    RTPHeader(payloadType: 0, marker: false, sequence: sequence, timestamp: UInt32(time * 8), ssrc: 8)
                        .packet(payload: [0xFF, 0xFF, mood.version, place]))
            }
        }
        guard mood.saysGoodbye else { return bytes }
        frame(1, RTCPWriter.goodbye(from: 7, canonicalName: "x"))
        frame(3, RTCPWriter.goodbye(from: 8, canonicalName: "x"))
        return bytes
    }
}

/// A relay with a cache and a path `/film` of such an origin, and players of it.
final class StoredRig {
    let harness: ServerHarness
    let directory: String

    /// `path` holds more lines of the path's settings.
    init(_ origin: String, path: String = "", in directory: String? = nil) throws {
        let directory = directory ?? FileManager.default.temporaryDirectory.appendingPathComponent("weir-stored-\(UUID().uuidString)").path
        self.directory = directory
        harness = try ServerHarness(
            yaml: "cache-dir: \(directory)\npaths:\n  film:\n    source: \(origin)\n    cache: yes\n    source-wait: 2s\n\(path)")
    }

    /// The relay ends; the cache stays.
    func stop() throws { try harness.stop() }

    func remove() { try? FileManager.default.removeItem(atPath: directory) }

    /// What the path's source says of itself.
    func words() throws -> String { try harness.run { $0.film?.sourceWords ?? "" } }

    func waitUntilWhole() throws {
        try harness.eventually("the recording is whole") { $0.film?.cachedPull?.isSettled == true }
    }

    /// How the last play was met: `HIT fresh`.
    func outcome() throws -> String { try harness.run { $0.film?.proxyCounts.last?.words ?? "" } }

    /// It is played as if it were live.
    func isLive() throws -> Bool { try harness.run { $0.film?.cachedPull?.isLive == true } }

    /// What the operator's `weir cache purge` does.
    func purge() throws {
        try harness.run { harness in
            guard let film = harness.film, let pull = film.cachedPull else { return }
            _ = try film.cacheDesk?.store.remove(pull.key, because: .purged)
        }
    }

    /// The next player's question is put to the server again.
    func forgetDecision() throws { try harness.run { $0.film?.cachedPull?.decided = nil } }

    func player() throws -> StoredReader { StoredReader(try harness.client()) }

    /// A player that plays from the beginning.
    func playing() throws -> StoredReader {
        let reader = try player()
        _ = try reader.describe()
        try reader.setUp()
        #expect(try reader.play().status == .ok)
        return reader
    }
}

extension ServerHarness {
    /// The path.
    var film: Path? { paths.all.first { $0.name == "film" } }
}

extension RTSPCachedPull {
    /// What is here is whole, and on the disk.
    var isSettled: Bool { recordingForAll.map { $0.recording.state == .whole && $0.recording.log.isSettled } ?? false }
}

/// A player of `/film` over TCP.
final class StoredReader {
    let client: TestClient
    private var session = ""
    private(set) var versions: Set<UInt8> = []
    /// Places of the pictures that came, in tenths of a second.
    private(set) var pictures: [UInt8] = []
    private(set) var goodbyes = 0

    init(_ client: TestClient) { self.client = client }

    func describe() throws -> RTSPResponse { try client.ask("DESCRIBE", "/film") }

    func setUp() throws {
        for track in 0...1 {
            var headers = ["Transport: RTP/AVP/TCP;unicast;interleaved=\(2 * track)-\(2 * track + 1)"]
            if track > 0 { headers.append("Session: \(session)") }
            let answer = try client.ask("SETUP", "/film/trackID=\(track)", headers)
            guard answer.status == .ok else {
                throw TestClient.Trouble(description: "SETUP \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
            }
            session = answer.headers.session?.id ?? ""
        }
    }

    func play(at seconds: Double = 0) throws -> RTSPResponse {
        goodbyes = 0
        return try client.ask("PLAY", "/film", ["Session: \(session)", "Range: npt=\(seconds)-"])
    }

    /// Reads until so many pictures came, or goodbye was said on both tracks.
    func read(pictures count: Int = .max) throws {
        while pictures.count < count, goodbyes < 2 {
            guard case .interleaved(let channel, let bytes) = try client.receive() else { continue }
            switch channel {
            case 0:
                versions.insert(bytes[14])
                pictures.append(bytes[15])
            case 2: versions.insert(bytes[14])
            default:
                var compound = RTCPCompound()
                while let packet = try? compound.next(in: bytes.span) { if packet.packetType == RTCPPacketType.bye { goodbyes += 1 } }
            }
        }
    }

    /// Describes, sets up, plays, and reads to the end.
    func playAll() throws {
        _ = try describe()
        try setUp()
        guard try play().status == .ok else { throw TestClient.Trouble(description: "PLAY is refused") }
        try read()
    }
}
