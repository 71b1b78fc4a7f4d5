import WireFormats

extension WMSPClient {
    /// Positions that do not count.
    private static let nowhere = "stream-offset=4294967295:4294967295,packet-num=4294967295,max-duration=0"

    var describeTokens: [String] {
        let pipelined = pipelining == .undecided ? ["version11-enabled=1", "pipeline-experiment=1"] : []
        return pipelined + ["no-cache,rate=1.000,stream-time=0,\(Self.nowhere)", "xClientGUID=\(settings.guid)"]
    }

    var playTokens: [String] {
        var place = "stream-time=0,\(Self.nowhere)"
        switch wanted?.position ?? .beginning {
        case .beginning: break
        case .time(let milliseconds): place = "stream-time=\(milliseconds),\(Self.nowhere)"
        case .packet where resuming?.isEntryDone ?? false: break
        case .packet(let number):
            place = "stream-time=0,stream-offset=4294967295:4294967295,packet-num=\(min(number, 4_294_967_294)),max-duration=0"
        }
        let isBehind = resuming?.isEntryDone ?? false
        var lines = ["no-cache,\(isBehind ? "pl-offset=1," : "")rate=1.000,\(place)", "xPlayStrm=1", "xClientGUID=\(settings.guid)"]
        if pipelining == .agreed { lines.append("version11-enabled=1") }
        // Servers before 5.0 know none of these; one that has not said who it is may.
        if let server, server.version.major >= 5 {
            var rates = "LinkBW=2147483647"
            let haste = wanted?.haste ?? Haste(burst: settings.burst)
            if let burst = haste.burst { rates += ", BurstBW=\(burst.bitsPerSecond), BurstDuration=\(burst.milliseconds)" }
            if let acceleration = haste.acceleration {
                rates += ", AccelBW=\(acceleration.bitsPerSecond), AccelDuration=\(acceleration.milliseconds)"
            }
            if let speed = haste.speedThousandths, serverSupports.contains(.fastCache) {
                let digits = String(speed % 1_000)
                rates += ", Speed=\(speed / 1_000).\(String(repeating: "0", count: 3 - digits.utf8.count))\(digits)"
            }
            lines.append(rates)
        }
        if let clientID { lines.append("client-id=\(clientID)") }
        if playlistGenID != 0 {
            lines.append("playlist-gen-id=\(playlistGenID)")
            // Where in the programme the place is.
            if resuming != nil, features?.contains(.playlist) ?? false { lines.append("playlist-seek-id=\(playlistGenID)") }
        }
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

    /// Which entry a choice of streams is about, the choice, and how far ahead what came is.
    private var choiceTokens: [String] {
        var lines = playlistGenID == 0 ? [] : ["playlist-gen-id=\(playlistGenID)"]
        if let server, server.version.major >= 5 { lines.append("client-lag=\(entryLag ?? lagMilliseconds)") }
        return lines + switchTokens
    }

    /// What came before its time, without what is meant to.
    var lagMilliseconds: UInt64 {
        let meant = UInt64(settings.burst?.milliseconds ?? header?.file.prerollMilliseconds ?? 0)
        let ahead = pace.ahead(now: now)
        return ahead > meant ? min(ahead - meant, UInt64(settings.lagMillisecondsMax)) : 0
    }

    /// The bytes of a request: over a connection that is used once, or one that stays.
    private mutating func request(
        _ method: String, uri: String? = nil, pragma lines: [String], type: String? = nil, body: [UInt8] = [], stays: Bool = false
    ) -> [UInt8] {
        let uri = uri ?? settings.url.target
        var request = HTTPRequest(
            method: RTSPMethod(method), uri: uri, version: .http(minor: 1),
            headers: ["Accept": "*/*", "User-Agent": userAgent, "Host": settings.url.authority], body: body)
        for line in lines { request.headers.add("Pragma", line) }
        if let player = settings.player, uri == settings.url.target {
            request.headers.add("Pragma", "proxy-client-agent=\"\(player.agent.replacing("\"", with: ""))\"")
            request.headers.add("X-Proxy-Client-Verb", player.verb)
        }
        let supported: WMSPSupported = settings.followsEntries ? [.streamSwitch, .prediction] : [.streamSwitch]
        request.headers.add("Supported", supported.text)
        if let type { request.headers.add("Content-Type", type) }
        if method == "POST" { request.headers.add("Content-Length", "\(body.count)") }
        let nonce = settings.clientNonce
        if let answer = authenticator.authorization(method: method, uri: uri, clientNonce: nonce()) {
            request.headers.add("Authorization", answer)
        }
        if settings.url.credentials == nil, let passed = settings.authorization, PassedAuthorization.mayPass(passed, uri: uri) {
            request.headers.add("Authorization", passed)
            wasChallenged = true
        }
        if let answer = proxyAuthenticator.authorization(method: method, uri: uri, clientNonce: nonce()) {
            request.headers.add("Proxy-Authorization", answer)
        }
        if let via = settings.via { request.headers.add("Via", via) }
        if let maxForwards = settings.maxForwards { request.headers.add("Max-Forwards", "\(max(maxForwards, 0))") }
        request.headers.add("Connection", stays ? "Keep-Alive" : "close")
        return request.serialized()
    }

    /// The session, and whose it is: another address of ours may ask.
    private var sessionTokens: [String] {
        clientID.map { ["no-cache, client-id=\($0)", "xClientGUID=\(settings.guid)"] } ?? ["no-cache"]
    }

    /// A request over the media link.
    mutating func bytes(of exchange: Exchange) -> [UInt8] {
        switch exchange {
        case .describe: return request("GET", pragma: describeTokens, stays: pipelining == .undecided)
        case .play: return request("GET", pragma: playTokens, stays: pipelining == .agreed)
        case .pipelineTest: return request("GET", pragma: ["pipeline-request=1"] + sessionTokens, stays: true)
        case .nextEntry:
            let tokens = ["xPlayNextEntry=1", "version11-enabled=1", "rate=1.000"]
            return request("GET", pragma: sessionTokens + tokens + choiceTokens, stays: true)
        case .selectStream: return request("GET", pragma: sessionTokens + ["version11-enabled=1"] + choiceTokens, stays: true)
        case .stop: return request("POST", pragma: sessionTokens + ["xStopStrm=1"], stays: true)
        case .keepAlive: return request("OPTIONS", uri: "*", pragma: clientID.map { ["client-id=\($0)"] } ?? [], stays: true)
        case .log(let form, let text): return log(form, text, stays: true)
        case .contentInfo:
            let tokens = ["no-cache", "xClientGUID=\(settings.guid)"]
            return request("POST", pragma: tokens, type: WMSPContentType.contentInfo, body: [UInt8(ascii: "0")])
        case .event:
            guard case .event(let event) = settings.errand else { return [] }
            return request("POST", pragma: ["no-cache"], type: WMSPContentType.event, body: event.serialized())
        }
    }

    /// A request over a connection of its own.
    mutating func bytes(of feedback: Feedback) -> [UInt8] {
        switch feedback {
        case .keepAlive: return request("POST", pragma: sessionTokens + ["xKeepAliveInPause=1"])
        case .selectStream: return request("POST", pragma: sessionTokens + choiceTokens)
        case .log(let form, let text): return log(form, text, stays: false)
        case .event(let event):
            return request("POST", pragma: sessionTokens, type: WMSPContentType.event, body: event.serialized())
        }
    }

    private mutating func log(_ form: WMSPLog.Form, _ text: String, stays: Bool) -> [UInt8] {
        guard form == .xml else { return request("POST", pragma: sessionTokens + ["log-line=\(text)"], stays: stays) }
        return request(
            "POST", pragma: sessionTokens, type: "\(WMSPContentType.log);charset=UTF-8", body: Array(text.utf8), stays: stays)
    }
}
