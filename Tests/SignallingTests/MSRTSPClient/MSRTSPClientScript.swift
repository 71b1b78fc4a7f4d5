import WireFormats

@testable import Signalling

/// Plays a server of Windows Media to a client machine: looks at what it sends and answers.
struct MSRTSPClientScript {
    var client: MSRTSPClient
    var now: UInt64 = 5_000
    /// Everything that was not `send`.
    var events: [MSRTSPClient.Action] = []
    /// The requests and answers that were sent, oldest first, not yet looked at.
    var sent: [RTSPElement] = []

    init(_ url: String = "rtsp://origin.example/live", change: (inout MSRTSPClient.Settings) -> Void = { _ in }) throws {
        var settings = MSRTSPClient.Settings(url: try SourceURL(url)) { "nonce" }
        change(&settings)
        client = MSRTSPClient(settings: settings)
        take(client.start(now: now))
    }

    /// Connections stand at once.
    mutating func take(_ actions: [MSRTSPClient.Action]) {
        for action in actions {
            if case .connect = action { take(client.connected(now: now)) }
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

    mutating func receive(_ bytes: [UInt8], step: Int = .max) {
        for start in stride(from: 0, to: bytes.count, by: min(step, bytes.count)) {
            take(client.received(Array(bytes[start..<min(start + min(step, bytes.count), bytes.count)]), now: now))
        }
    }

    mutating func receive(_ text: String) { receive(Array(text.utf8)) }

    static func message(_ first: String, _ headers: [String], body: [UInt8] = []) -> [UInt8] {
        let length = body.isEmpty ? [] : ["Content-Length: \(body.count)"]
        return Array(([first] + headers + length).map { $0 + "\r\n" }.joined().utf8) + [13, 10] + body
    }

    /// Answers the oldest request; answers with it.
    @discardableResult
    mutating func answer(
        _ status: String = "200 OK", _ headers: [String] = [], body: [UInt8] = [], hasNumber: Bool = true, step: Int = .max
    ) -> RTSPRequest? {
        guard let request = request() else { return nil }
        let number = hasNumber ? ["CSeq: \(request.headers.cseq ?? "")"] : []
        receive(Self.message("RTSP/1.0 \(status)", number + headers, body: body), step: step)
        return request
    }

    /// Something asks that the client has to answer.
    mutating func ask(_ first: String, _ headers: [String], body: [UInt8] = []) {
        receive(Self.message(first, ["CSeq: 71"] + headers, body: body))
    }

    mutating func elapse(milliseconds: UInt64) {
        now += milliseconds
        take(client.timeElapsed(now: now))
    }

    mutating func close() { take(client.closed(now: now)) }

    static let datagrams = MSRTSPClient.Offer.datagrams(
        media: PortPair(rtp: 1_788, rtcp: 1_789), retransmission: PortPair(rtp: 1_790, rtcp: 1_791))

    /// What the server describes.
    static func sdp(streams: [UInt8] = [1], fec: Bool = false, retransmission: Bool = true) throws -> [UInt8] {
        try MSRTSPDescription(
            of: try WMSPSample.header(streams: streams), origin: SDPOrigin(sessionID: 1, sessionVersion: 1, address: "10.0.0.1"),
            base: "rtsp://origin.example/live/", entityTag: nil, features: [.broadcast], durationMilliseconds: nil,
            fec: fec ? FECParameters(span: 4, perSpan: 1).map { FECSettings($0) } : nil, hasRetransmission: retransmission
        ).serialized()
    }

    static let session = "Session: 8134007897615700187;timeout=60"

    static func transport(_ ssrc: UInt32, tcp: Bool) -> String {
        let hexadecimal = String(ssrc, radix: 16)
        return tcp
            ? "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=\(hexadecimal);mode=PLAY"
            : "Transport: RTP/AVP/UDP;unicast;server_port=5004-5005;client_port=1788-1789;ssrc=\(hexadecimal);mode=PLAY"
    }

    /// Up to the description.
    mutating func describe(streams: [UInt8] = [1], fec: Bool = false) throws {
        answer("200 OK", ["Cache-Control: no-cache, x-wms-event-subscription=\"remote-log\""])
        answer("200 OK", ["Content-Type: application/sdp", "X-Playlist-Gen-Id: 27006"], body: try Self.sdp(streams: streams, fec: fec))
    }

    /// Up to the media, and past LogConnect.
    mutating func play(tcp: Bool = true, streams: [UInt8] = [1]) throws {
        try describe(streams: streams)
        take(client.setUp(tcp ? .interleaved : Self.datagrams, now: now))
        if !tcp { answer("200 OK", [Self.session, Self.transport(0x2F73_682B, tcp: false)]) }
        for number in streams { answer("200 OK", [Self.session, Self.transport(0x1000 + UInt32(number), tcp: tcp)]) }
        answer("200 OK", ["RTP-Info: url=rtsp://origin.example/live/audio;Seq=100;rtptime=0"])
        answer()
    }
}

extension [MSRTSPClient.Action] {
    var failure: RTSPClientFailure? {
        for case .failed(let failure) in self { return failure }
        return nil
    }

    var media: MSRTSPClient.Media? {
        var last: MSRTSPClient.Media?
        for action in self {
            switch action {
            case .ready(let media), .playing(let media), .next(let media): last = media
            default: break
            }
        }
        return last
    }

    func has(_ action: MSRTSPClient.Action) -> Bool { contains(action) }
}
