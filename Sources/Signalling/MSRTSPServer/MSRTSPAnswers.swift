import WireFormats

/// What the server says, built in one place.
enum MSRTSPAnswers {
    /// A version that real players know; they go by it, and FFmpeg by its beginning.
    static let product = "WMServer/9.1.1.5000"

    /// Every method that players look for; what is not possible is refused when it comes.
    static let methods: [RTSPMethod] = [
        .describe, .setup, .play, .pause, .teardown, .getParameter, .setParameter, .options, .announce,
    ]

    static func options() -> RTSPResponse { RTSPResponse(status: .ok, headers: ["Public": MethodListHeader.text(methods)]) }

    /// SETUP with the transport that was chosen.
    static func setUp(_ spec: TransportSpec) -> RTSPResponse {
        RTSPResponse(status: .ok, headers: ["Transport": TransportHeader.windowsMediaText(spec)])
    }

    /// Whether `Accept` lets a description pass.
    static func checkAccept(_ message: RTSPRequest) throws(RequestRefusal) {
        guard let accept = message.headers["Accept"] else { return }
        let types = accept.split(separator: ",").map { entry in
            (entry.split(separator: ";", omittingEmptySubsequences: false).first.map(String.init) ?? "").trimmedBlanks.lowercased()
        }
        guard types.contains(where: { ["application/sdp", "application/*", "*/*"].contains($0) }) else { throw .notAcceptable(accept) }
    }

    // MARK: What is told of content

    /// The description as a client bears it. FFmpeg, and what is built on it, seeks right only by a header that says that it has no packets.
    static func description(
        of content: WMSPContent, base: String, agent: MSRTSPAgent, place: (retransmits: Bool, fec: FECSettings?)
    ) throws(RequestRefusal) -> [UInt8] {
        let features = features(of: content, followsEntries: agent.isWindowsMedia)
        let length = features.contains(.broadcast) || agent.wantsOpenRange ? nil : content.header.file.contentMilliseconds
        do throws(ASFHeaderError) {
            // Entries that are made one have no end that the first one's header could know.
            let isOne = content.features.contains(.playlist) && !agent.isWindowsMedia
            let header = isOne ? try content.header.rewritten(ASFRewrite(form: .live, declaresNoData: true)) : content.header
            let description = try MSRTSPDescription(
                of: header, origin: origin(of: content), base: base, entityTag: tag(of: content), features: features,
                durationMilliseconds: length, descriptions: content.descriptions, declaresNoData: agent.wantsEmptyDataObject,
                fec: place.fec, hasRetransmission: place.retransmits)
            return description.serialized()
        } catch {
            throw .unavailable("the content cannot be described over RTSP: \(error)", retryAfterSeconds: 60)
        }
    }

    private static func origin(of content: WMSPContent) -> SDPOrigin {
        SDPOrigin(sessionID: fingerprint(of: content).0 >> 1, sessionVersion: UInt64(content.playlistGenID), address: "127.0.0.1")
    }

    /// Clients that take all entries for one see a broadcast in a playlist.
    private static func features(of content: WMSPContent, followsEntries: Bool) -> MSRTSPFeatures {
        var features = MSRTSPFeatures(content.features)
        if features.contains(.playlist), !followsEntries {
            features.subtract([.playlist, .skipBackward, .skipForward])
            features.insert(.broadcast)
        }
        if features.contains(.broadcast) { features.insert(.notSeekable) }
        return features
    }

    /// `a=etag`: the same for the same header and file, in braces like a GUID.
    static func tag(of content: WMSPContent) -> String {
        let (high, low) = fingerprint(of: content)
        func digits(_ value: UInt64, _ count: Int) -> String {
            let text = String(value, radix: 16, uppercase: true)
            return String(repeating: "0", count: max(count - text.utf8.count, 0)) + text
        }
        let first = digits(high >> 32, 8), second = digits(high >> 16 & 0xFFFF, 4), third = digits(high & 0xFFFF, 4)
        return "{\(first)-\(second)-\(third)-\(digits(low >> 48, 4))-\(digits(low & 0xFFFF_FFFF_FFFF, 12))}"
    }

    /// Two FNV-1a sums: names content, and protects nothing.
    private static func fingerprint(of content: WMSPContent) -> (UInt64, UInt64) {
        var first: UInt64 = 0xCBF2_9CE4_8422_2325, second: UInt64 = 0x6C62_272E_07BB_0142
        func take(_ byte: UInt8) {
            first = (first ^ UInt64(byte)) &* 0x100_0000_01B3
            second = (second ^ UInt64(byte ^ 0x5A)) &* 0x100_0000_01B3
        }
        for byte in content.header.bytes { take(byte) }
        for byte in (content.etag ?? "").utf8 { take(byte) }
        return (first, second)
    }

    /// What stands in the head of a description, and of an Announce.
    static func addFacts(of content: WMSPContent, to headers: inout RTSPHeaders) {
        headers.add("Cache-Control", cacheControl(of: content))
        if content.broadcastID != 0 { headers.add("X-Broadcast-Id", "\(content.broadcastID)") }
        if let modified = content.lastModified { headers.add("Last-Modified", modified) }
        if let etag = content.etag { headers.add("Etag", etag) }
    }

    /// Without the words that are of HTTP's alone; `no-cache` where nothing is said, and nothing else then.
    static func cacheControl(of content: WMSPContent) -> String {
        if let text = content.rtspCacheControl { return text }
        var control = MSRTSPCacheControl([content.cacheControl])
        control.flags.subtract([.userPublic, .proxyPublic])
        return control.text
    }

    /// A tag of HTTP without its quotes.
    static func unquoted(_ tag: String) -> String {
        tag.utf8.count > 1 && tag.hasPrefix("\"") && tag.hasSuffix("\"") ? String(tag.dropFirst().dropLast()) : tag
    }

    // MARK: Requests

    /// EndOfStream ([MS-RTSP] 2.2.7.12).
    static func endOfStream(
        of url: String, session: UInt64, content: WMSPContent, _ beginnings: [MSRTSPInfo], _ reason: MSRTSPEndOfStream.Reason
    ) -> RTSPRequest {
        var headers = RTSPHeaders()
        headers.add("Content-Type", MSRTSPContentType.extensionCommand.text)
        headers.add("X-Notice", MSRTSPEndOfStream.notice)
        if !beginnings.isEmpty { headers.add("RTP-Info", MSRTSPInfoHeader.text(beginnings)) }
        if content.playlistGenID != 0 { headers.add("X-Playlist-Gen-Id", "\(content.playlistGenID)") }
        headers.add("User-Agent", product)
        let end = MSRTSPEndOfStream(session: "\(session)", reason: reason)
        return RTSPRequest(method: .setParameter, uri: url, headers: headers, body: end.body)
    }

    /// Announce ([MS-RTSP] 2.2.7.1); `Session` and `Supported` are to be added.
    static func announcement(of session: MSRTSPSession, isForeseen: Bool, isReceding: Bool, sequence: UInt16?) -> RTSPRequest {
        let content = session.content
        var headers = RTSPHeaders()
        headers.add("Content-Type", "application/sdp")
        headers.add("Vary", "Accept")
        if content.playlistGenID != 0 { headers.add("X-Playlist-Gen-Id", "\(content.playlistGenID)") }
        addFacts(of: content, to: &headers)
        if isReceding { headers.add("X-Receding-PlaylistChange", "1") }
        if isForeseen { headers.add("X-RTP-Info", MSRTSPInfoHeader.text(places(of: session, sequence: sequence))) }
        headers.add("User-Agent", product)
        let body = try? description(
            of: content, base: session.url, agent: session.agent, place: session.offer)
        return RTSPRequest(method: .announce, uri: session.url, headers: headers, body: body ?? [])
    }

    /// Where each stream that was chosen comes, and where lost packets do.
    private static func places(of session: MSRTSPSession, sequence: UInt16?) -> [MSRTSPInfo] {
        let beginnings = session.beginnings(sequence: sequence)
        var places: [MSRTSPInfo] = []
        for slot in session.slots {
            places.append(
                MSRTSPInfo(
                    url: slot.url, transport: slot.spec, sequence: beginnings.first { $0.url == slot.url }?.sequence, rtpTime: nil,
                    thinning: slot.thinning, blockBytes: UInt32(clamping: session.content.header.packetBytes + rtpBytesMax)))
        }
        if let retransmission = session.retransmission, !session.isInterleaved {
            places.append(
                MSRTSPInfo(
                    url: retransmission.url, transport: retransmission.spec, sequence: nil, rtpTime: nil, thinning: .full, blockBytes: nil))
        }
        return places
    }

    /// What RTP and its payload's header add to an ASF packet at most.
    private static let rtpBytesMax = 12 + 16

    /// A number with one to three digits behind the dot.
    static func fraction(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1_000_000 else { return "1.0" }
        let thousandths = Int((abs(value) * 1_000).rounded())
        var digits = String(thousandths % 1_000)
        digits = String(repeating: "0", count: 3 - digits.utf8.count) + digits
        while digits.utf8.count > 1, digits.utf8.last == UInt8(ascii: "0") { digits.removeLast() }
        return "\(value < 0 ? "-" : "")\(thousandths / 1_000).\(digits)"
    }
}
