/// Why a description is none of MS-RTSP.
package enum MSRTSPDescriptionError: Error, Hashable, CustomStringConvertible {
    /// It carries no ASF header.
    case noHeader
    /// What it carries as such is not base 64, or longer than the limit.
    case malformedHeader
    /// The header cannot be read.
    case header(ASFHeaderError)
    /// No media of the type x-asf-pf with a control.
    case noStreams

    /// What was wrong, in words.
    package var description: String {
        switch self {
        case .noHeader: "the description has no a=pgmpu with an ASF header (application/vnd.ms.wms-hdr.asfv1): this is not Windows Media"
        case .malformedHeader: "the ASF header in the description is not base 64, or too long"
        case .header(let error): "the ASF header in the description: \(error)"
        case .noStreams: "the description has an ASF header, but no stream of the type x-asf-pf with a control"
        }
    }
}

extension MSRTSPDescription {
    private static let headerType = "application/vnd.ms.wms-hdr.asfv1"
    private static let contentType = "application/x-wms-contentdesc"

    /// Whether a description carries an ASF header: content is Windows Media's then.
    package static func isMSRTSP(_ sdp: SessionDescription) -> Bool {
        sdp.lines.contains { $0.isAttribute("pgmpu") && data($0, type: headerType) != nil }
    }

    /// What a server says. Broken content descriptions and FEC out of range are left out; where the ASF header came without the beginning of the
    /// Data Object, that is put behind it.
    package init(_ sdp: SessionDescription) throws(MSRTSPDescriptionError) {
        guard let line = sdp.lines.first(where: { $0.isAttribute("pgmpu") && Self.data($0, type: Self.headerType) != nil }),
            let (isBase64, text) = Self.data(line, type: Self.headerType)
        else { throw .noHeader }
        guard isBase64, var bytes = Base64.decode(text.filter { !ASCII.isBlank($0) }[...].text) else { throw .malformedHeader }
        do throws(ASFHeaderError) {
            let need = try ASFHeader.bytesNeeded(bytes.span)
            if bytes.count == need - ASFDataHead.byteCount { bytes += Self.dataHead() }
            _ = try ASFHeader(bytes.span)
            header = Array(bytes.prefix(need))
        } catch { throw .header(error) }
        origin = nil
        title = sdp.sessionName ?? ""
        packetBytesMax = Int(sdp.lines.attribute("maxps").flatMap { ASCII.decimal($0.byteSlice, max: 1 << 24) } ?? 0)
        control = sdp.control.flatMap { $0.isEmpty || $0 == "*" ? nil : $0 }
        entityTag = sdp.lines.attribute("etag").map { $0.byteSlice.unquoted.text }.flatMap { $0.isEmpty ? nil : $0 }
        range = sdp.range
        features = MSRTSPFeatures(sdp.lines.attributes("type").joined(separator: ","))
        contentDescriptions =
            sdp.lines.lazy.filter { $0.isAttribute("pgmpu") }.compactMap { Self.data($0, type: Self.contentType) }
            .first.flatMap {
                try? ContentDescription.parse($0.isBase64 ? (Base64.decode($0.text.text) ?? [])[...] : Self.unescaped($0.text)[...])
            } ?? []
        streams = []
        retransmission = nil
        for media in sdp.media { take(media) }
        guard !streams.isEmpty else { throw .noStreams }
    }

    private mutating func take(_ media: MediaDescription) {
        guard let control = media.control, !control.isEmpty, let type = media.payloadTypes.first, let format = media.format(type) else {
            return
        }
        let number = media.lines.attribute("stream").flatMap { ASCII.decimal($0.byteSlice, max: 131_070) }.map {
            UInt32(truncatingIfNeeded: $0)
        }
        if ASCII.equalIgnoringCase(format.encodingName, "x-wms-rtx") {
            guard retransmission == nil else { return }
            var stream = Retransmission()
            stream.control = control
            stream.payloadType = type
            if let number { stream.number = number }
            retransmission = stream
            return
        }
        guard ASCII.equalIgnoringCase(format.encodingName, "x-asf-pf"), let number, (1...65_534).contains(number),
            !streams.contains(where: { $0.number == number })
        else { return }
        var stream = Stream(number: number, control: control, kind: media.kind.lowercased())
        stream.payloadType = type
        stream.peakBitsPerSecond = media.bitRate ?? 0
        stream.averageBitsPerSecond = media.lines.bandwidth("X-AV").flatMap { $0 <= 1_000_000_000 ? $0 * 1_000 : nil }
        stream.isReliable = media.lines.attribute("reliable") != nil
        stream.fec = media.payloadTypes.dropFirst().lazy.compactMap { Self.fec(media, $0) }.first
        streams.append(stream)
    }

    /// `98 audio/fec 24 1`
    private static func fec(_ media: MediaDescription, _ type: UInt8) -> FEC? {
        guard let format = media.format(type), ASCII.equalIgnoringCase(format.encodingName, "x-wms-fec"),
            let text = media.formatParameters(type)
        else {
            return nil
        }
        let words = text.byteSlice.split(whereSeparator: ASCII.isBlank)
        guard words.count == 3, let span = ASCII.decimal(words[1], max: 255), let perSpan = ASCII.decimal(words[2], max: 255),
            let parameters = FECParameters(span: UInt8(span), perSpan: UInt8(perSpan))
        else { return nil }
        return FEC(control: words[0].text, settings: FECSettings(parameters, payloadType: type))
    }

    /// What stands in the data URL of an attribute, if it is of that type: whether it is base 64, and its text.
    private static func data(_ line: SDPLine, type: String) -> (isBase64: Bool, text: ArraySlice<UInt8>)? {
        guard var rest = line.bytes[...].split(atFirst: ASCII.colon).1?.trimmed, rest.hasPrefixIgnoringCase("data:") else { return nil }
        rest = rest.dropFirst(5).drop { ASCII.isBlank($0) }
        guard rest.hasPrefixIgnoringCase(type) else { return nil }
        let (parameters, text) = rest.dropFirst(type.utf8.count).split(atFirst: ASCII.comma)
        guard let text, parameters.isEmpty || parameters.first == ASCII.semicolon else { return nil }
        let isBase64 = parameters.split(separator: ASCII.semicolon).contains { ASCII.equalIgnoringCase($0.trimmed, "base64") }
        return (isBase64, text)
    }

    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == ASCII.percent, bytes.endIndex - index > 2, let high = ASCII.hexValue(bytes[index + 1]),
                let low = ASCII.hexValue(bytes[index + 2])
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return result
    }

    /// The beginning of a Data Object of which nothing is known.
    private static func dataHead() -> [UInt8] {
        var bytes = ASFGUID.data.bytes
        bytes.appendLittle64(UInt64(ASFDataHead.byteCount))
        bytes += [UInt8](repeating: 0, count: 24)
        return bytes + [1, 1]
    }
}
