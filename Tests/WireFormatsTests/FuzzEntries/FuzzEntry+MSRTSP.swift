#if canImport(WireFormats)
    import WireFormats
#endif

// Windows Media over RTSP: ASF in RTP, FEC, descriptions, headers, bodies, and requests for packets.

extension FuzzEntry {
    /// The first two bytes choose the size of packets and how they go; the rest is an ASF packet, and RTP payloads.
    static func asfRTP(_ bytes: [UInt8]) {
        guard bytes.count > 2 else { return }
        let packetBytes = 32 + (Int(bytes[0]) << 3), input = Array(bytes.dropFirst(2))
        for isPadded in [true, false] {
            var receiver = ASFRTPReceiver(packetBytes: packetBytes, isPadded: isPadded)
            var count: UInt64 = 0
            var start = 0
            // Payloads of a length that their first byte says, so that pieces may follow each other.
            while start < input.count {
                let end = min(start + 1 + Int(input[start]) * 4, input.count)
                receiver.take(input.span.extracting((start + 1)..<end), timestamp: 0, marker: bytes[1] & 1 != 0) {
                    count += 1
                    check($0.bytes.count <= packetBytes + 16, "a packet that is too long")
                    check(!isPadded || $0.bytes.count == packetBytes, "a packet that is not full")
                }
                if bytes[1] & 2 != 0 { receiver.gap() }
                start = end
            }
            check(count == receiver.counters.packets, "packets are counted wrong")
        }
        packetised(input, packetBytes, datagramBytes: 64 + Int(bytes[1]) * 4, splits: bytes[0] & 1 != 0)
    }

    /// An ASF packet that can be read comes out of its RTP packets as the same.
    private static func packetised(_ input: [UInt8], _ packetBytes: Int, datagramBytes: Int, splits: Bool) {
        var packetiser = ASFRTPPacketiser(
            packetBytes: packetBytes, form: .datagrams(bytesMax: datagramBytes), ssrc: 1, sequence: 65_530, splitsPayloads: splits,
            sendsLocation: true)
        var framed: [UInt8] = []
        guard let count = try? packetiser.append(input, locationID: 5, channel: 0, firstChannel: 1, to: &framed) else {
            return check(framed.isEmpty && packetiser.sequence == 65_530, "something of a broken packet was written")
        }
        var receiver = ASFRTPReceiver(packetBytes: packetBytes, isPadded: false)
        var packets: [[UInt8]] = []
        var offset = 0, frames = 0
        while offset < framed.count {
            guard let frame = InterleavedHeader(framed.span.extracting(offset..<framed.count)) else { return check(false, "no frame") }
            check(frame.channel == (offset == 0 ? 1 : 0), "another channel")
            check(frame.payloadLength <= packetiser.rtpPacketBytesMax, "an RTP packet that is too long")
            let packet = framed.span.extracting((offset + 4)..<(offset + 4 + frame.payloadLength))
            guard let header = try? RTPHeader(packet) else { return check(false, "no RTP") }
            check(header.sequence == 65_530 &+ UInt16(frames), "sequence numbers do not follow each other")
            receiver.take(packet.extracting(12..<packet.count), timestamp: header.timestamp, marker: header.marker) {
                packets.append($0.bytes)
                check($0.locationID == 5, "another location")
            }
            offset += 4 + frame.payloadLength
            frames += 1
        }
        check(frames == count && count > 0, "another number of RTP packets than was said")
        guard let before = contents(input, packetBytes) else { return check(false, "a broken packet was written") }
        let after = packets.compactMap { contents($0, packetBytes) }
        check(after.count == packets.count && after.flatMap(\.self) == before, "it is another packet")
    }

    /// The first three bytes choose the parameters, the fourth which packets are lost; the rest is data, and packets of FEC.
    static func fec(_ bytes: [UInt8]) {
        guard bytes.count > 8 else { return }
        var hostile = FECDecoder(fecPayloadType: 98)
        for part in bytes.dropFirst(4).split(separator: 0x55) {
            hostile.take(Array(part).span) { check($0.count >= 12, "less than a header") }
        }
        let parameters = FECParameters(span: bytes[0] % 26, perSpan: bytes[1] % 26, burstMargin: bytes[2] % 14)
        guard let parameters else { return }
        var encoder = FECEncoder(FECSettings(parameters), ssrc: 9, rtpBytesMax: 100)
        var decoder = FECDecoder(fecPayloadType: 98)
        var lost: [[UInt8]] = [], recovered: [[UInt8]] = []
        var fec: [UInt8] = []
        var sequence: UInt16 = 0
        for index in 0..<encoder.blockCount {
            let from = 4 + index % (bytes.count - 4)
            var packet: [UInt8] = [0x80, 0xE0, 0xFF, UInt8(truncatingIfNeeded: 0xF0 &+ index), 1, 2, 3, UInt8(index), 0, 0, 0, 9, 0x40]
            if index >= 16 { packet[2...3] = [0, UInt8(index - 16)] }
            packet += bytes[from..<min(from + 60, bytes.count)]
            let isDue = encoder.take(packet.span)
            check(isDue == (index + 1 == encoder.blockCount), "FEC is due at another time")
            sequence = UInt16(packet[2]) << 8 | UInt16(packet[3])
            // As many in a row as can be recovered.
            if (Int(bytes[3]) % 8..<(Int(bytes[3]) % 8 + Int(parameters.perSpan) * Int(parameters.burstMargin))).contains(index) {
                lost.append(packet)
            } else {
                decoder.take(packet.span) { recovered.append($0) }
            }
        }
        check(
            encoder.append(channel: 0, sequence: &sequence, to: &fec) == Int(parameters.perSpan) * Int(parameters.burstMargin),
            "not all FEC")
        var offset = 0
        while offset < fec.count, let frame = InterleavedHeader(fec.span.extracting(offset..<fec.count)) {
            decoder.take(fec.span.extracting((offset + 4)..<(offset + 4 + frame.payloadLength))) { recovered.append($0) }
            offset += 4 + frame.payloadLength
        }
        check(Set(recovered) == Set(lost) && recovered.count == lost.count, "what was lost is not what was recovered")
    }

    /// A description, or, where it is none, the ASF header of one.
    static func msrtspDescription(_ bytes: [UInt8]) {
        if let sdp = try? SessionDescription(bytes), let description = try? MSRTSPDescription(sdp) {
            check(MSRTSPDescription.isMSRTSP(sdp), "a description that is none")
            check(!description.streams.isEmpty, "no streams")
            described(description)
            if let header = try? description.asfHeader() { described(header) } else { check(false, "a header that cannot be read") }
        }
        if let header = try? ASFHeader(bytes.span) { described(header) }
    }

    private static func described(_ header: ASFHeader) {
        let fec = FECParameters(span: 24, perSpan: 1).map { FECSettings($0) }
        let description = try? MSRTSPDescription(
            of: header, origin: SDPOrigin(sessionID: 1, sessionVersion: 1, address: "::1"), base: "rtsp://h/p", entityTag: "{1}",
            features: MSRTSPFeatures(WMSPFeatures(rawValue: header.bytes.last ?? 0)), durationMilliseconds: header.file.contentMilliseconds,
            declaresNoData: true, fec: fec)
        guard let description else { return }
        described(description)
        for line in description.serialized().split(separator: 10) where !line.starts(with: Array("s=".utf8)) {
            check(line.count <= MSRTSPDescription.lineBytesMax + 1, "a line that is too long")
        }
    }

    /// What is written reads as the same, but for rates, which are rounded.
    private static func described(_ description: MSRTSPDescription) {
        guard let sdp = try? SessionDescription(description.serialized()), let again = try? MSRTSPDescription(sdp) else {
            return check(description.streams.count + 1 > SessionDescription.mediaCountMax, "a written description cannot be read")
        }
        check(again.header == description.header && again.features == description.features, "a written description reads differently")
        check(again.streams.map(\.number) == description.streams.map(\.number), "streams were lost")
        check(again.streams.map(\.fec) == description.streams.map(\.fec), "FEC reads differently")
        check(again.contentDescriptions.count <= description.contentDescriptions.count, "texts were made up")
    }

    /// Each line one value of every header.
    static func msrtspHeaders(_ bytes: [UInt8]) {
        for line in bytes.split(separator: 10).prefix(16) {
            let value = String(decoding: line, as: UTF8.self)
            if let range = try? MSRTSPRange.parse(value) {
                check((try? MSRTSPRange.parse(range.text)) == range, "a written range reads differently")
            }
            if let infos = try? MSRTSPInfoHeader.parse(value) {
                check(infos.count <= MSRTSPInfoHeader.countMax, "too many streams")
                // Quotes within a URL cannot be written, and what a transport says beside goes unsaid.
                let isPlain = infos.allSatisfy { info in
                    !info.url.utf8.contains(UInt8(ascii: "\"")) && info.transport == nil && info.url == info.url.trimmedBlanks
                        && !info.url.utf8.contains(UInt8(ascii: "\\"))
                }
                if isPlain {
                    check((try? MSRTSPInfoHeader.parse(MSRTSPInfoHeader.text(infos))) == infos, "a written list reads differently")
                }
                _ = MSRTSPInfoHeader.text(infos)
            }
            let control = MSRTSPCacheControl([value])
            check(control.others.count <= MSRTSPCacheControl.countMax, "too many directives")
            let quotes = value.utf8.reduce(0) { $0 + ($1 == UInt8(ascii: "\"") ? 1 : 0) }
            if quotes == 0, !control.others.contains("no-cache"), control != MSRTSPCacheControl() {
                check(MSRTSPCacheControl([control.text]) == control, "written directives read differently")
            }
            if let tags = try? EntityTagCondition.parse(value), case .tags(let list) = tags {
                check(!list.isEmpty && list.count <= EntityTagCondition.countMax && tags.matches(list[0]), "tags that do not match")
            }
            let agent = MSRTSPAgent(value)
            check(agent.guid?.utf8.count ?? 36 == 36 && agent.text.utf8.count <= 3 * MSRTSPAgent.textBytesMax, "an agent that is too long")
            let headers: RTSPHeaders = [
                "Supported": value, "X-Playlist": value, "X-Playlist-Gen-Id": value, "X-Accelerate-Streaming": value, "Content-Type": value,
                "X-Burst-Streaming": value, "X-Notice": value,
            ]
            if let set = MSRTSPSupported(headers) {
                check(MSRTSPSupported(["Supported": set.text]) == set, "a written set reads differently")
            }
            if let rate = headers.acceleration {
                check(
                    (["X-Accelerate-Streaming": rate.accelerationText] as RTSPHeaders).acceleration == rate,
                    "a written rate reads differently")
            }
            check(headers.playlistGenID != 0 && headers.playlistOffset != 0, "a zero that means none")
            _ = (headers.burst, MSRTSPContentType(headers), MSRTSPEndOfStream.isNotice(headers), MSRTSPFeatures(value))
        }
    }

    /// The body of a request, or a compound of RTCP.
    static func msrtspBodies(_ bytes: [UInt8]) {
        do throws(MSRTSPSwitchEntry.Trouble) {
            let entries = try MSRTSPSwitchEntry.parse(bytes)
            check(!entries.isEmpty && entries.count <= MSRTSPSwitchEntry.entriesMax, "too many entries, or none")
            let isText = entries.allSatisfy { $0.sourceURL?.utf8.contains(0xEF) != true && $0.destinationURL?.utf8.contains(0xEF) != true }
            // What was no UTF-8 is written as U+FFFD.
            if isText {
                check((try? MSRTSPSwitchEntry.parse(MSRTSPSwitchEntry.body(entries))) == entries, "written entries read differently")
            }
        } catch { check(!error.description.isEmpty, "a trouble without words") }
        if let end = try? MSRTSPEndOfStream(bytes) { check((try? MSRTSPEndOfStream(end.body)) == end, "a written end reads differently") }
        if let pair = DatagramPacketPair(bytes) { check(DatagramPacketPair(pair.body) == pair, "a written pair reads differently") }
        _ = DatagramPacketPair.isPair(bytes.span, ssrc: 1)
        if let request = RetransmissionRequest(bytes.span) {
            let sequences = request.sequences
            check(!sequences.isEmpty && sequences.count <= RetransmissionRequest.packetsMax, "too many packets, or none")
            var short = request
            short.entries = Array(request.entries.prefix(RetransmissionRequest.entriesMax))
            check(RetransmissionRequest(short.serialized().span) == short, "a written request reads differently")
        }
    }
}
