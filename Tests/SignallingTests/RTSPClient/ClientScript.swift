import WireFormats

@testable import Signalling

/// Plays a server to a client machine: looks at what it sends and answers.
struct ClientScript {
    var client: RTSPClient
    var now: UInt64 = 1_000_000_000
    /// Everything that was not `send`.
    var events: [RTSPClient.Action] = []
    /// The requests and answers that were sent, oldest first, not yet looked at.
    var sent: [RTSPElement] = []

    init(_ url: String = "rtsp://cam.example/live", redirections: Int = 0) throws {
        var settings = RTSPClient.Settings(url: try SourceURL(url)) { "nonce" }
        settings.redirections = redirections
        client = RTSPClient(settings: settings)
        take(client.connected(now: now))
    }

    mutating func take(_ actions: [RTSPClient.Action]) {
        for action in actions {
            guard case .send(let bytes) = action else {
                events.append(action)
                continue
            }
            var parser = RTSPParser(limits: .client)
            parser.append(bytes)
            while let element = try? parser.next() { sent.append(element) }
        }
    }

    /// The oldest request that was not looked at yet.
    mutating func request() -> RTSPRequest? {
        guard !sent.isEmpty, case .request(let request) = sent.removeFirst() else { return nil }
        return request
    }

    mutating func response() -> RTSPResponse? {
        guard !sent.isEmpty, case .response(let response) = sent.removeFirst() else { return nil }
        return response
    }

    mutating func receive(_ text: String) { take(client.receive(Array(text.utf8), now: now)) }

    /// Answers the oldest request; answers with it.
    @discardableResult
    mutating func answer(_ status: String = "200 OK", _ headers: String = "", body: String = "", cseq: String? = nil) -> RTSPRequest? {
        guard let request = request() else { return nil }
        let number = cseq ?? "CSeq: \(request.headers.cseq ?? "")\r\n"
        let length = body.isEmpty ? "" : "Content-Type: application/sdp\r\nContent-Length: \(body.utf8.count)\r\n"
        receive("RTSP/1.0 \(status)\r\n\(number)\(headers)\(length)\r\n\(body)")
        return request
    }

    mutating func elapse(seconds: Double) {
        now += UInt64(seconds * 1e9)
        take(client.timeElapsed(now: now))
    }

    static let sdp = """
        v=0\r
        o=- 1 1 IN IP4 10.0.0.1\r
        s=x\r
        t=0 0\r
        a=control:*\r
        m=video 0 RTP/AVP 96\r
        a=rtpmap:96 H264/90000\r
        a=control:track1\r
        m=audio 0 RTP/AVP 0\r
        a=control:rtsp://cam.example/live/track2\r

        """

    /// Up to the description.
    mutating func describe(
        public methods: String = "Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n", base: String = "", sdp: String = Self.sdp
    ) {
        answer("200 OK", methods)
        answer("200 OK", base, body: sdp)
    }

    /// Up to the media.
    mutating func play(_ offers: [TrackOffer] = [.interleaved, .interleaved], session: String = "Session: 12;timeout=20\r\n") {
        describe()
        take(client.setUp(offers, now: now))
        for _ in offers { answer("200 OK", session) }
        answer("200 OK", "")
    }
}
