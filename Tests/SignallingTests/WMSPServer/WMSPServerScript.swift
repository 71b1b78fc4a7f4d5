import Testing
import WireFormats

@testable import Signalling

/// Requests to a server, and what comes of them.
struct WMSPServerScript {
    static let modern = "NSPlayer/9.0.0.2980"
    static let ffmpeg = "NSPlayer/4.1.0.3856"
    static let id: UInt32 = 2_064_325_698

    var sessions: WMSPSessions
    var now: UInt64 = 1_000_000
    var content: WMSPContent
    /// What is to be closed is closed at once.
    var closesAtOnce = true

    init(_ content: WMSPContent, change: (inout WMSPSessions.Settings) -> Void = { _ in }) {
        self.content = content
        var settings = WMSPSessions.Settings()
        change(&settings)
        sessions = WMSPSessions(settings: settings) { Self.id }
    }

    mutating func request(
        _ line: String, _ pragma: [String] = ["no-cache"], agent: String = modern, headers: [String] = [], body: String = "",
        on connection: UInt64 = 1, from address: String = "10.0.0.1"
    ) throws -> [WMSPServerAction] {
        let lines = [line, "User-Agent: \(agent)"] + pragma.map { "Pragma: \($0)" } + headers
        let request = try WMSPRequest(try WMSPSample.http(lines, body: body))
        let actions = sessions.receive(request, on: connection, from: address, content: .success(content), now: now)
        for case .close(let connection) in actions where closesAtOnce {
            let more = sessions.connectionClosed(connection, now: now)
            #expect(more.isEmpty, "what a closed connection carried was stopped before")
        }
        return actions
    }

    mutating func describe(on connection: UInt64 = 1, agent: String = modern, _ pragma: [String] = ["no-cache"]) throws
        -> [WMSPServerAction]
    {
        try request("GET /a HTTP/1.0", pragma, agent: agent, on: connection)
    }

    mutating func play(
        on connection: UInt64 = 2, _ pragma: [String] = [], agent: String = modern, http: String = "HTTP/1.0",
        from address: String = "10.0.0.1"
    ) throws -> [WMSPServerAction] {
        try request("GET /a \(http)", ["no-cache", "xPlayStrm=1"] + pragma, agent: agent, on: connection, from: address)
    }
}

extension [WMSPServerAction] {
    /// The bytes for a connection, as text.
    func text(_ connection: UInt64) -> String {
        let all = flatMap { action -> [UInt8] in
            switch action {
            case .send(connection, let bytes): bytes
            case .start(let play, let opening) where play.connection == connection: opening
            default: []
            }
        }
        return String(decoding: all, as: UTF8.self)
    }

    /// The bytes behind the head.
    func body(_ connection: UInt64) -> [UInt8] {
        for action in self {
            let bytes: [UInt8]
            switch action {
            case .send(connection, let sent): bytes = sent
            case .start(let play, let opening) where play.connection == connection: bytes = opening
            default: continue
            }
            for index in bytes.indices.dropLast(3) where bytes[index..<(index + 4)].elementsEqual([13, 10, 13, 10]) {
                return [UInt8](bytes[(index + 4)...])
            }
        }
        return []
    }

    /// The Play among them.
    var play: WMSPPlay? {
        for case .start(let play, _) in self { return play }
        return nil
    }

    /// What there is to do but writing.
    var rest: [WMSPServerAction] {
        filter { if case .send = $0 { false } else if case .start = $0 { false } else { true } }
    }
}
