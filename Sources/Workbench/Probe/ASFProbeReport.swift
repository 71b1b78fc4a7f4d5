import WireFormats

/// What a probe found out about an ASF file.
package struct ASFProbeReport: Sendable {
    /// Key frames whose times are told, of each stream.
    static let keyFramesMax = 256

    let source: String
    let file: ASFFile
    let scan: ASFScan
    let index: ASFIndex?
    let indexFlaws: [ASFIndexError]

    private var header: ASFHeader { file.header }

    /// Seconds of media as the packets have it, from the preroll on.
    var duration: Double { Double(scan.playDuration / 10_000 - UInt64(header.file.prerollMilliseconds)) / 1_000 }

    /// Entries of the index that point at a packet in which no key frame of their stream begins.
    var wrongEntries: Int {
        guard let index else { return 0 }
        return header.keyFrameStreams.numbers.reduce(0) { sum, number in
            let packets = Set(scan.index.entries(stream: number).map(\.packet))
            return sum + index.entries(stream: number).count(where: { !packets.contains($0.packet) })
        }
    }

    /// `none`, `simple`, `full` or `broken`.
    var indexState: String { index?.origin.rawValue ?? (indexFlaws.isEmpty ? "none" : "broken") }

    /// The result as one JSON object.
    package var json: JSONValue {
        .members([
            "url": .text(source), "transport": .text("file"), "container": .text("asf"), "duration": .number(duration),
            "title": .text(header.contentDescription?.title ?? ""), "author": .text(header.contentDescription?.author ?? ""),
            "file": .members([
                "bytes": .count(file.fileBytes), "header_bytes": .integer(Int64(header.bytes.count)),
                "packet_bytes": .integer(Int64(header.packetBytes)), "packets": .integer(Int64(file.packetCount)),
                "packets_declared": file.packetsDeclared.map(JSONValue.count) ?? .null,
                "duration_declared": .optional(header.file.contentMilliseconds.map { Double($0) / 1_000 }),
                "preroll_ms": .integer(Int64(header.file.prerollMilliseconds)), "bit_rate_max": .integer(Int64(header.file.bitrateMax)),
                "broadcast": .boolean(header.file.isBroadcast), "seekable": .boolean(header.file.isSeekable),
                "protected": .boolean(header.isProtected), "cut_off": .boolean(file.isCutOff), "trailing_bytes": .count(file.trailingBytes),
            ]),
            "streams": .array(header.streams.map(streamJSON)),
            "index": .members([
                "state": .text(indexState), "entries": .integer(Int64(index?.entryCount ?? 0)), "wrong": .integer(Int64(wrongEntries)),
                "flaws": .array(indexFlaws.map { .text($0.description) }),
            ]),
            "walk": .members([
                "packets": .count(scan.packets), "broken": .count(scan.brokenPackets), "first_flaw": firstFlaw.map(JSONValue.text) ?? .null,
                "backward_send_times": .count(scan.backwardSendTimes), "unknown_payloads": .count(scan.unknownPayloads),
                "padding_bytes": .count(scan.paddingBytes),
            ]),
            "flaws": .array(header.flaws.map { .text($0.description) }),
        ])
    }

    private func streamJSON(_ stream: ASFStream) -> JSONValue {
        let seen = scan.streams[stream.number] ?? ASFScan.Stream()
        let keys = stream.hasKeyFrames ? scan.index.entries(stream: stream.number) : []
        return .members([
            "number": .integer(Int64(stream.number)), "kind": .text(stream.kind.name), "codec": .text(stream.codecName),
            "bit_rate": .count(stream.bitrate), "encrypted": .boolean(stream.isEncrypted), "hidden": .boolean(stream.isHidden),
            "width": stream.video.map { .integer(Int64($0.width)) } ?? .null,
            "height": stream.video.map { .integer(Int64($0.height)) } ?? .null,
            "sample_rate": stream.audio.map { .integer(Int64($0.sampleRate)) } ?? .null,
            "channels": stream.audio.map { .integer(Int64($0.channels)) } ?? .null,
            "objects": .count(seen.objects), "media_bytes": .count(seen.bytes),
            "first_s": .optional(seen.firstTime.map(seconds)), "last_s": .optional(seen.lastTime.map(seconds)),
            "key_frames": stream.hasKeyFrames ? .count(seen.keyObjects) : .null,
            "key_frame_times_s": .array(keys.prefix(Self.keyFramesMax).map { .number(seconds($0.time)) }),
        ])
    }

    /// A presentation time without the preroll.
    private func seconds(_ time: UInt32) -> Double { (Double(time) - Double(header.file.prerollMilliseconds)) / 1_000 }

    private var firstFlaw: String? { scan.firstFlaw.map { "packet \($0.packet): \($0.error)" } }

    /// The result for people.
    package var text: String {
        var facts = ["ASF, \(Self.decimal(duration)) s", "\(file.packetCount) packets of \(header.packetBytes) bytes"]
        facts.append("preroll \(Self.decimal(Double(header.file.prerollMilliseconds) / 1_000)) s")
        if header.file.isBroadcast { facts.append("says it is live") } else if header.file.isSeekable { facts.append("seekable") }
        if header.isProtected { facts.append("protected") }
        if file.isCutOff { facts.append("cut off: the header declares \(file.packetsDeclared ?? 0) packets") }
        if file.trailingBytes > 0 { facts.append("\(file.trailingBytes) bytes behind the last packet are none") }
        var lines = ["\(source): " + facts.joined(separator: ", ")]
        if let title = header.contentDescription?.title, !title.isEmpty { lines.append("title: \(title)") }
        lines += header.streams.map(streamText)
        var indexText = index.map { "\($0.origin.rawValue), \($0.entryCount) entries" } ?? indexState
        if wrongEntries > 0 { indexText += ", \(wrongEntries) of them wrong" }
        lines.append("index: " + indexText)
        lines += indexFlaws.map { "index: \($0)" } + header.flaws.map { "header: \($0)" }
        if let firstFlaw { lines.append("\(scan.brokenPackets) broken packets; \(firstFlaw)") }
        if scan.unknownPayloads > 0 { lines.append("\(scan.unknownPayloads) payloads of streams that the header does not describe") }
        return lines.joined(separator: "\n")
    }

    private func streamText(_ stream: ASFStream) -> String {
        let seen = scan.streams[stream.number] ?? ASFScan.Stream()
        var parts = ["\(stream.number): \(stream.kind.name) \(stream.codecName)"]
        if let video = stream.video { parts.append("\(video.width)x\(video.height)") }
        if let audio = stream.audio { parts.append("\(audio.sampleRate) Hz, \(audio.channels) channels") }
        parts.append(
            "\(Self.decimal(Double(stream.bitrate) / 1_000)) kbit/s, \(seen.objects) \(stream.kind == .video ? "frames" : "objects")")
        if stream.hasKeyFrames {
            let keys = scan.index.entries(stream: stream.number)
            if let first = keys.first, let last = keys.last, keys.count > 1 {
                parts.append("a key frame every \(Self.decimal(Double(last.time - first.time) / 1_000 / Double(keys.count - 1))) s")
            } else {
                parts.append("\(seen.keyObjects) key frames")
            }
        }
        if stream.isEncrypted { parts.append("encrypted") }
        if stream.isHidden { parts.append("hidden from players before 9.0") }
        return parts.joined(separator: ", ")
    }

    private static func decimal(_ value: Double) -> String { String((value * 100).rounded() / 100) }
}
