import WireFormats

/// What a probe found out about a server of Windows Media, over HTTP or RTSP.
package struct WMSPProbeReport: Sendable {
    let source: String
    /// `http`, or how RTP comes: `tcp`, `udp`.
    var transport = "http"
    /// Who the server says it is; nil where it is none of Windows Media's.
    let server: String?
    /// What it says can be done; nil where it says nothing.
    let features: WMSPFeatures?
    let header: ASFHeader
    let metadata: WMSPMetadata?
    let scan: ASFScan
    let lost: UInt64
    /// Headers that came while it played.
    let headers: Int
    /// Seconds that it was played.
    let seconds: Double
    /// Why it ended before that; nil when it did not.
    let ended: String?

    /// Whether all see the same at the same time.
    var isBroadcast: Bool { features?.contains(.broadcast) ?? header.file.isBroadcast }
    /// Whether Play may begin elsewhere than at the beginning.
    var isSeekable: Bool { features.map { $0.contains(.seekable) } ?? (header.file.isSeekable && !isBroadcast) }
    /// Whether it is an entry of a playlist that the server keeps.
    var isPlaylist: Bool { features?.contains(.playlist) ?? false }
    /// Seconds of media by the send times of what came: with a fast start more than it was played.
    var mediaSeconds: Double { Double(scan.sendDuration) / 1e7 }

    /// The result as one JSON object.
    package var json: JSONValue {
        .members([
            "url": .text(source), "transport": .text(transport), "container": .text("asf"), "server": server.map(JSONValue.text) ?? .null,
            "features": features.map { .array($0.text.split(separator: ",").map { .text(String($0)) }) } ?? .null,
            "broadcast": .boolean(isBroadcast), "seekable": .boolean(isSeekable), "playlist": .boolean(isPlaylist),
            "duration": .optional(isBroadcast ? nil : header.file.contentMilliseconds.map { Double($0) / 1_000 }),
            "title": .text(header.contentDescription?.title ?? ""), "author": .text(header.contentDescription?.author ?? ""),
            "header": .members([
                "bytes": .integer(Int64(header.bytes.count)), "packet_bytes": .integer(Int64(header.packetBytes)),
                "preroll_ms": .integer(Int64(header.file.prerollMilliseconds)), "bit_rate_max": .integer(Int64(header.file.bitrateMax)),
                "broadcast": .boolean(header.file.isBroadcast), "seekable": .boolean(header.file.isSeekable),
                "protected": .boolean(header.isProtected), "flaws": .array(header.flaws.map { .text($0.description) }),
            ]),
            "entry": .array(
                (metadata?.descriptions ?? []).flatMap(\.items).map { .members(["name": .text($0.name), "value": .text($0.value)]) }),
            "streams": .array(header.streams.map(streamJSON)),
            "played": .members([
                "seconds": .number(seconds), "media_seconds": .number(mediaSeconds), "packets": .count(scan.packets), "lost": .count(lost),
                "headers": .integer(Int64(headers)), "broken": .count(scan.brokenPackets),
                "backward_send_times": .count(scan.backwardSendTimes), "unknown_payloads": .count(scan.unknownPayloads),
                "ended": ended.map(JSONValue.text) ?? .null,
            ]),
        ])
    }

    private func streamJSON(_ stream: ASFStream) -> JSONValue {
        let seen = scan.streams[stream.number] ?? ASFScan.Stream()
        return .members([
            "number": .integer(Int64(stream.number)), "kind": .text(stream.kind.name), "codec": .text(stream.codecName),
            "bit_rate": .count(stream.bitrate), "bit_rate_seen": .optional(bitRateSeen(seen)?.rounded()),
            "encrypted": .boolean(stream.isEncrypted), "hidden": .boolean(stream.isHidden),
            "width": stream.video.map { .integer(Int64($0.width)) } ?? .null,
            "height": stream.video.map { .integer(Int64($0.height)) } ?? .null,
            "sample_rate": stream.audio.map { .integer(Int64($0.sampleRate)) } ?? .null,
            "channels": stream.audio.map { .integer(Int64($0.channels)) } ?? .null, "objects": .count(seen.objects),
            "key_frames": stream.hasKeyFrames ? .count(seen.keyObjects) : .null,
        ])
    }

    private func bitRateSeen(_ stream: ASFScan.Stream) -> Double? {
        mediaSeconds > 0.5 ? Double(stream.bytes) * 8 / mediaSeconds : nil
    }

    /// The result for people.
    package var text: String {
        var facts = [isBroadcast ? "a broadcast" : "on demand"]
        if !isBroadcast, let length = header.file.contentMilliseconds { facts.append("\(Self.decimal(Double(length) / 1_000)) s") }
        if transport != "http" { facts.append("MS-RTSP over \(transport)") }
        if isSeekable { facts.append("seekable") }
        if isPlaylist { facts.append("an entry of a playlist") }
        if header.isProtected { facts.append("protected") }
        facts.append("packets of \(header.packetBytes) bytes, preroll \(Self.decimal(Double(header.file.prerollMilliseconds) / 1_000)) s")
        var lines = ["\(source) by \(server ?? "a server that does not say who it is"): " + facts.joined(separator: ", ")]
        if let title = header.contentDescription?.title, !title.isEmpty { lines.append("title: \(title)") }
        lines += header.streams.map(streamText)
        var played = "\(scan.packets) packets in \(Self.decimal(seconds)) s (\(Self.decimal(mediaSeconds)) s of media), \(lost) lost"
        if headers > 1 { played += ", \(headers) headers" }
        if scan.brokenPackets > 0 { played += ", \(scan.brokenPackets) broken" }
        if let ended { played += "; then \(ended)" }
        return (lines + [played]).joined(separator: "\n")
    }

    private func streamText(_ stream: ASFStream) -> String {
        let seen = scan.streams[stream.number] ?? ASFScan.Stream()
        var parts = ["\(stream.number): \(stream.kind.name) \(stream.codecName)"]
        if let video = stream.video { parts.append("\(video.width)x\(video.height)") }
        if let audio = stream.audio { parts.append("\(audio.sampleRate) Hz, \(audio.channels) channels") }
        parts.append("\(Self.decimal(Double(stream.bitrate) / 1_000)) kbit/s")
        if let rate = bitRateSeen(seen) { parts.append("\(Self.decimal(rate / 1_000)) kbit/s seen") }
        if stream.hasKeyFrames { parts.append("\(seen.keyObjects) key frames of \(seen.objects)") }
        if stream.isEncrypted { parts.append("encrypted") }
        return parts.joined(separator: ", ")
    }

    private static func decimal(_ value: Double) -> String { String((value * 100).rounded() / 100) }
}
