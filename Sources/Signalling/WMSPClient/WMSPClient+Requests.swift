import WireFormats

extension WMSPClient {
    /// Positions that do not count.
    private static let nowhere = "stream-offset=4294967295:4294967295,packet-num=4294967295,max-duration=0"

    var describeTokens: [String] {
        [
            "no-cache,rate=1.000,stream-time=0,\(Self.nowhere)", "xClientGUID=\(settings.guid)",
        ]
    }

    var playTokens: [String] {
        var place = "stream-time=0,\(Self.nowhere)"
        switch wanted?.position ?? .beginning {
        case .beginning: break
        case .time(let milliseconds): place = "stream-time=\(milliseconds),\(Self.nowhere)"
        case .packet(let number):
            place = "stream-time=0,stream-offset=4294967295:4294967295,packet-num=\(min(number, 4_294_967_294)),max-duration=0"
        }
        var lines = ["no-cache,rate=1.000,\(place)", "xPlayStrm=1", "xClientGUID=\(settings.guid)"]
        // Servers before 5.0 know none of these; one that has not said who it is may.
        if let server, server.version.major >= 5 {
            var rates = "LinkBW=2147483647"
            if let burst = settings.burst { rates += ", BurstBW=\(burst.bitsPerSecond), BurstDuration=\(burst.milliseconds)" }
            lines.append(rates)
        }
        if let clientID { lines.append("client-id=\(clientID)") }
        if playlistGenID != 0 { lines.append("playlist-gen-id=\(playlistGenID)") }
        return lines + switchTokens
    }

    /// The complete selection: every stream that there is, on or off.
    var switchTokens: [String] {
        guard let header, !header.streams.isEmpty else { return [] }
        let entries = header.streams.map { stream in
            var thinning = StreamSwitchEntry.Thinning.full
            if let selection = wanted?.selection {
                if selection.keyFramesOnly.contains(stream.number) {
                    thinning = .keyFrames
                } else if !selection.whole.contains(stream.number) {
                    thinning = .off
                }
            }
            return StreamSwitchEntry(destination: UInt16(stream.number), thinning: thinning)
        }
        return ["stream-switch-count=\(entries.count)", "stream-switch-entry=\(StreamSwitchEntry.text(entries))"]
    }

    /// The bytes of a request over a connection that is used once.
    mutating func request(_ method: String, pragma lines: [String], type: String? = nil, body: [UInt8] = []) -> [UInt8] {
        var request = HTTPRequest(
            method: RTSPMethod(method), uri: settings.url.target, version: .http(minor: 1),
            headers: ["Accept": "*/*", "User-Agent": userAgent, "Host": settings.url.authority], body: body)
        for line in lines { request.headers.add("Pragma", line) }
        request.headers.add("Supported", ([.streamSwitch, .prediction] as WMSPSupported).text)
        if let type { request.headers.add("Content-Type", type) }
        if method == "POST" { request.headers.add("Content-Length", "\(body.count)") }
        let nonce = settings.clientNonce
        if let answer = authenticator.authorization(method: method, uri: settings.url.target, clientNonce: nonce()) {
            request.headers.add("Authorization", answer)
        }
        if let answer = proxyAuthenticator.authorization(method: method, uri: settings.url.target, clientNonce: nonce()) {
            request.headers.add("Proxy-Authorization", answer)
        }
        if let via = settings.via { request.headers.add("Via", via) }
        request.headers.add("Connection", "close")
        return request.serialized()
    }

    mutating func bytes(of feedback: Feedback) -> [UInt8] {
        let session = clientID.map { ["no-cache, client-id=\($0)"] } ?? ["no-cache"]
        switch feedback {
        case .keepAlive: return request("POST", pragma: session + ["xKeepAliveInPause=1"])
        case .selectStream:
            let entry = playlistGenID == 0 ? [] : ["playlist-gen-id=\(playlistGenID)"]
            return request("POST", pragma: session + entry + switchTokens)
        case .log(.xml, let text):
            return request("POST", pragma: session, type: "\(WMSPContentType.log);charset=UTF-8", body: Array(text.utf8))
        case .log(.line, let text): return request("POST", pragma: session + ["log-line=\(text)"])
        case .event(let event):
            return request("POST", pragma: session, type: WMSPContentType.event, body: event.serialized())
        }
    }
}
