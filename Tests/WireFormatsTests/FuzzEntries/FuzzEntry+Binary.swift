#if canImport(WireFormats)
    import WireFormats
#endif

// RTP, RTCP, key frames and rtpdump.

extension FuzzEntry {
    static func rtp(_ bytes: [UInt8]) {
        guard let header = try? RTPHeader(bytes.span) else { return }
        check(header.payloadOffset >= 12 && header.payloadOffset <= header.payloadEnd, "the payload begins behind its end")
        check(header.payloadEnd <= bytes.count, "the payload ends behind the packet")
        var changed = bytes
        var span = changed.mutableSpan
        RTPHeader.rewrite(&span, sequence: 1, timestamp: 2, ssrc: 3)
        guard let again = try? RTPHeader(changed.span) else { return check(false, "a rewritten packet cannot be read") }
        check(again.sequence == 1 && again.timestamp == 2 && again.ssrc == 3, "a rewritten packet reads differently")
        check(again.payloadOffset == header.payloadOffset && again.payloadEnd == header.payloadEnd, "rewriting moved the payload")

        // The packet's bytes as a history of sequence numbers.
        var statistics = ReceptionStatistics(needsProbation: header.marker)
        for index in stride(from: 0, to: bytes.count - 3, by: 4) {
            let sequence = UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1])
            _ = statistics.receive(sequence: sequence, timestamp: UInt32(bytes[index + 2]) << 24, arrival: UInt32(bytes[index + 3]) << 20)
        }
        let block = statistics.reportBlock(ssrc: 1, lastSenderReport: 0, delaySinceLastSenderReport: 0)
        check((-0x80_0000...0x7F_FFFF).contains(block.lostTotal), "a loss beyond 24 bits")
    }

    static func rtcp(_ bytes: [UInt8]) {
        let isValid = RTCPCompound.isValid(bytes.span)
        var compound = RTCPCompound()
        var end = 0
        do {
            while let packet = try compound.next(in: bytes.span) {
                check(packet.offset >= end && packet.end >= packet.offset + 4 && packet.end <= bytes.count, "a packet outside")
                end = packet.end
                for number in -1...packet.reportBlockCount { _ = packet.reportBlock(number, in: bytes.span) }
                if let report = RTCPSenderReport(packet, in: bytes.span) { written(report) }
                _ = (packet.senderSSRC(in: bytes.span), packet.saysGoodbye(of: 1, in: bytes.span), packet.asksForKeyFrame)
                if let name = packet.canonicalName(in: bytes.span) { described(name) }
            }
        } catch { check(!isValid, "valid, and yet an error") }
    }

    private static func written(_ report: RTCPSenderReport) {
        let bytes = RTCPWriter.senderReport(report, canonicalName: "weir")
        check(RTCPCompound.isValid(bytes.span), "a written report is not valid")
        var compound = RTCPCompound()
        guard let packet = try? compound.next(in: bytes.span) else { return check(false, "a written report cannot be read") }
        check(RTCPSenderReport(packet, in: bytes.span) == report, "a written report reads differently")
        _ = NTPTime(unixNanoseconds: report.ntp.unixNanoseconds)
    }

    private static func described(_ name: String) {
        let bytes = RTCPWriter.goodbye(from: 7, canonicalName: name)
        check(RTCPCompound.isValid(bytes.span), "a written goodbye is not valid")
    }

    /// The first byte chooses the codec.
    static func keyFrames(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let codecs = KeyFrameCodec.allCases
        let payload = Array(bytes.dropFirst())
        let marks = frameMarks(codec: codecs[Int(first) % codecs.count], payload: payload.span)
        check(marks.subtracting([.startsKeyFrame, .parameterSets, .keyPicture]).isEmpty, "unknown marks")
        check(!marks.contains(.keyPicture) || marks.contains(.startsKeyFrame), "a key picture that begins nothing")
    }

    /// The first byte chooses codec and sizes.
    static func nalFragments(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let codec: KeyFrameCodec = first & 1 == 0 ? .h264 : .h265
        let payload = Array(bytes.dropFirst())
        var parts = NALParts(codec: codec, payload: payload.span)
        var count = 0
        while let part = parts.part(of: payload.span) {
            check(part.start >= 0 && part.start <= part.end && part.end <= payload.count, "a part outside")
            count += 1
        }
        check(count <= payload.count, "more parts than bytes")
        let most = 64 + Int(first >> 1), least = 64 + Int(first >> 4)
        guard var cut = NALFragmenter(codec: codec, payload: payload.span, firstBytesMax: least, bytesMax: most) else { return }
        check(!cut.isDone, "nothing to be cut")
        var pieces = 0
        var last = 0
        while let piece = cut.piece(of: payload.span) {
            check(piece.start >= last && piece.start <= piece.end && piece.end <= payload.count, "a piece outside, or out of order")
            check(piece.count > 0 && piece.count <= (pieces == 0 ? least : most), "a piece of the wrong size")
            last = piece.end
            pieces += 1
        }
        check(cut.isDone, "no piece is left, and yet more is said to come")
        check(pieces > 0 && pieces <= NALFragmenter.piecesMax(payload: payload.count, bytesMax: least), "more pieces than promised")
    }

    static func rtpdump(_ bytes: [UInt8]) {
        guard var reader = try? RTPDumpReader(bytes.span) else { return }
        var again = RTPDumpHeader(source: reader.header.source).serialized()
        var count = 0
        do {
            while let record = try reader.next(in: bytes.span) {
                check(record.packetOffset + record.packetLength <= reader.offset && reader.offset <= bytes.count, "a record outside")
                let packet = Array(bytes[record.packetOffset..<(record.packetOffset + record.packetLength)])
                let written = RTPDumpRecord.serialized(packet: packet, isRTCP: record.isRTCP, milliseconds: record.milliseconds)
                guard let written else { return check(false, "a record that was read cannot be written") }
                again += written
                count += 1
            }
        } catch { check(!error.description.isEmpty, "an error without words") }
        guard var second = try? RTPDumpReader(again.span) else { return check(false, "a written file cannot be read") }
        while let _ = try? second.next(in: again.span) { count -= 1 }
        check(count == 0, "a written file has other records")
    }
}
