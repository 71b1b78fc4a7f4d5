import Testing
import WireFormats

@testable import Signalling

/// Requests to a server of Windows Media over RTSP, and what comes of them.
struct MSRTSPServerScript {
    static let player = "WMPlayer/9.0.0.2980 guid/3300AD50-2C39-46C0-AE0A-C4D98694D7B4"
    static let ffmpeg = "Lavf59.27.100"
    static let all = "com.microsoft.wm.srvppair, com.microsoft.wm.sswitch, com.microsoft.wm.eosmsg, com.microsoft.wm.predstrm"
    static let id: UInt64 = 13_856_065_358_275_910_855
    static let interleaved = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=6095d7d7;mode=PLAY"
    static let datagrams = "Transport: RTP/AVP/UDP;unicast;client_port=1790;ssrc=6dded651;mode=PLAY"
    static let lost = "Transport: RTP/AVP/UDP;unicast;client_port=3236-3237;ssrc=16a4ffff;mode=PLAY"

    var sessions: MSRTSPSessions
    var now: UInt64 = 1_000_000
    var content: WMSPContent
    var place: MSRTSPPlace
    var agent = player
    var sequence = 0

    init(_ content: WMSPContent, agent: String = player, change: (inout MSRTSPSessions.Settings) -> Void = { _ in }) {
        self.content = content
        self.agent = agent
        var settings = MSRTSPSessions.Settings()
        change(&settings)
        sessions = MSRTSPSessions(settings: settings) { Self.id }
        place = MSRTSPPlace(peer: "10.0.0.1")
        place.serverPorts = PortPair(rtp: 5_004, rtcp: 5_005)
        place.nextSequence = 500
    }

    /// A request out of its lines, as it came over a connection.
    static func message(_ lines: [String], body: String = "") throws -> RTSPRequest {
        var parser = RTSPParser(limits: .server)
        let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
        parser.append(Array(((lines + length).joined(separator: "\r\n") + "\r\n\r\n" + body).utf8))
        guard case .request(let request)? = try parser.next() else { throw WMSPSample.Broken() }
        return request
    }

    /// As the server classifies it; the path is `live`.
    static func request(_ message: RTSPRequest) throws -> MSRTSPRequest {
        let request = try ServerRequest(message)
        let reading = try #require(request.target.readings.first { $0.path == "live" })
        return try MSRTSPRequest(request, path: "live", control: reading.control)
    }

    /// `line` without version; a session is named if `session` says so.
    mutating func ask(
        _ line: String, _ headers: [String] = [], session: UInt64? = id, body: String = "", on connection: UInt64 = 1,
        from host: String = "10.0.0.1"
    ) throws -> [MSRTSPServerAction] {
        sequence += 1
        var lines = ["\(line) RTSP/1.0", "CSeq: \(sequence)", "User-Agent: \(agent)"]
        if let session { lines.append("Session: \(session)") }
        let message = try Self.message(lines + headers, body: body)
        let request: MSRTSPRequest
        do { request = try Self.request(message) } catch let refusal as RequestRefusal {
            return [.answer(connection: connection, refusal.response)]
        }
        let content = sessions.needsContent(request) ? Result<WMSPContent, RequestRefusal>.success(content) : nil
        return sessions.receive(request, on: connection, from: host, content: content, place: place, now: now)
    }

    /// SETUP of these, in order; the first opens the session.
    mutating func setUp(_ controls: [String] = ["audio"], _ transport: String = interleaved, _ headers: [String] = []) throws {
        for (index, control) in controls.enumerated() {
            let isFirst = sessions.count == 0 && index == 0
            let actions = try ask("SETUP rtsp://h/live/\(control)", [transport] + headers, session: isFirst ? nil : Self.id)
            #expect(actions.status == 200, "\(control): \(actions)")
        }
    }

    /// PLAY that begins.
    mutating func play(_ headers: [String] = ["Range: npt=0.000-"], sequence: UInt16 = 100) throws -> MSRTSPPlay {
        let actions = try ask("PLAY rtsp://h/live", headers)
        let play = try #require(actions.play)
        let answered = sessions.started(Self.id, MSRTSPBeginning(sequence: sequence, rtpTime: 0, milliseconds: 0), now: now)
        #expect(answered.status == 200)
        #expect(answered.last == .go(session: Self.id))
        return play
    }
}

extension [MSRTSPServerAction] {
    /// The answers to a connection.
    func answers(_ connection: UInt64 = 1) -> [RTSPResponse] {
        compactMap { if case .answer(connection, let response) = $0 { response } else { nil } }
    }

    /// The one answer there is.
    var answer: RTSPResponse? {
        let all = answers()
        return all.count == 1 ? all[0] : nil
    }

    var status: Int? { answer.map { Int($0.status.code) } }

    /// The requests of the server.
    var requests: [RTSPRequest] { compactMap { if case .request(_, _, let request) = $0 { request } else { nil } } }

    var play: MSRTSPPlay? {
        for case .start(let play) in self { return play }
        return nil
    }

    /// What there is to do but saying something.
    var rest: [MSRTSPServerAction] {
        filter {
            switch $0 {
            case .answer, .request, .start: false
            default: true
            }
        }
    }

    /// Everything in order, as lines: for sequences that are compared whole. What the description holds is tested elsewhere.
    var lines: [String] {
        flatMap { action -> [String] in
            switch action {
            case .answer(let connection, let response):
                ["S\(connection) \(response.status.code)"] + Self.lines(response.headers, response.body)
            case .answerPacketPair(let connection, let response): ["S\(connection) \(response.status.code) + $P"]
            case .request(let connection, _, let request):
                ["R\(connection) \(request.method.name) \(request.uri)"] + Self.lines(request.headers, request.body)
            case .start(let play):
                ["start \(play.selection.whole.numbers) at \(play.position.map { "\($0)" } ?? "-")\(play.isHeld ? " held" : "")"]
            case .go: ["go"]
            case .select(_, let selection): ["select \(selection.whole.numbers) \(selection.keyFramesOnly.numbers)"]
            case .hold: ["hold"]
            case .stop: ["stop"]
            case .finish: ["finish"]
            case .datagrams(_, let port, let packets): ["datagrams \(port) \(packets.map(\.count))"]
            case .log(_, let log): ["log \(log.kind.rawValue)"]
            case .event(_, let path, let event): ["event \(path) \(event.kind)"]
            case .ended(_, let why): ["ended \(why.rawValue)"]
            case .close(let connection): ["close \(connection)"]
            }
        }
    }

    private static func lines(_ headers: RTSPHeaders, _ body: [UInt8]) -> [String] {
        let kept = headers.fields.filter { !["Supported", "Vary", "Content-Base"].contains($0.name) }.map { "  \($0.name): \($0.value)" }
        guard !body.isEmpty else { return kept }
        if body.starts(with: "v=0".utf8) { return kept + ["  <SDP>"] }
        return kept + String(decoding: body, as: UTF8.self).split(separator: "\r\n").map { "  | \($0)" }
    }
}
