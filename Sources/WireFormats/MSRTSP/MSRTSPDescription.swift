/// The session description of MS-RTSP ([MS-RTSP] 2.2.5): what a Describe is answered with, and what is announced. The ASF header goes within it.
package struct MSRTSPDescription: Sendable, Hashable {
    /// One stream of the content.
    package struct Stream: Sendable, Hashable {
        /// The stream's number in ASF, 1–65,534.
        package var number: UInt32
        /// `a=control`: relative to ``MSRTSPDescription/control``, or a URL.
        package var control: String
        /// `audio`, `video` or `application`.
        package var kind: String
        /// What its packets are known by.
        package var payloadType: UInt8 = ASFRTPPacketiser.payloadType
        /// The most it takes, and, where that is another, the mean.
        package var peakBitsPerSecond: UInt64 = 0
        package var averageBitsPerSecond: UInt64?
        /// It should go over TCP.
        package var isReliable = false
        /// FEC that may be had for it.
        package var fec: FEC?

        /// A stream.
        package init(number: UInt32, control: String, kind: String) {
            self.number = number
            self.control = control
            self.kind = kind
        }
    }

    /// FEC for a stream.
    package struct FEC: Sendable, Hashable {
        /// What a client sets up to get it.
        package var control: String
        /// How it is protected, unless the client says otherwise; the burst margin is not said.
        package var settings: FECSettings

        /// FEC.
        package init(control: String, settings: FECSettings) {
            self.control = control
            self.settings = settings
        }
    }

    /// The stream of packets that are sent once more.
    package struct Retransmission: Sendable, Hashable {
        /// The name that old clients want.
        package static let controlName = "rtx"
        /// 65,536–131,070.
        package var number: UInt32 = 65_536
        package var control = Retransmission.controlName
        package var payloadType: UInt8 = ASFRTPPacketiser.payloadType

        /// As Weir has it.
        package init() {}
    }

    /// The longest line that FFmpeg reads whole.
    package static let lineBytesMax = 16_383
    /// Bytes that a header may have so that its line is no longer.
    package static let headerBytesMax = (lineBytesMax - headerPrefix.utf8.count - 3) / 4 * 3
    static let headerPrefix = "a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64,"

    /// `o=`; nil where it was not of its form.
    package var origin: SDPOrigin?
    /// `s=`.
    package var title: String
    /// `a=maxps`: the longest ASF packet.
    package var packetBytesMax: Int
    /// `a=control` of the session; nil where it is absent or `*`.
    package var control: String?
    /// `a=etag` without quotes, braces and all; nil where absent.
    package var entityTag: String?
    /// `a=range`; nil where absent.
    package var range: RangeHeader?
    /// `a=type`.
    package var features: MSRTSPFeatures
    /// What `a=pgmpu` of that kind says, a list for each language.
    package var contentDescriptions: [ContentDescription]
    /// An ASF header with the first 50 bytes of the Data Object.
    package var header: [UInt8]
    /// In their order.
    package var streams: [Stream]
    /// Nil where packets are not sent again.
    package var retransmission: Retransmission?

    /// What readers of content are told.
    ///
    /// - Parameter header: as players shall get it, but for its length: what they can do without is left out where the line would be too long.
    /// - Parameter base: the session's URL; a slash is put behind it.
    /// - Parameter durationMilliseconds: nil where the range shall have no end.
    /// - Parameter declaresNoData: whether the Data Object shall say that it is empty; see ``ASFRewrite/declaresNoData``.
    /// - Throws: where the header cannot be rewritten.
    package init(
        of header: ASFHeader, origin: SDPOrigin, base: String, entityTag: String?, features: MSRTSPFeatures,
        durationMilliseconds: UInt64?, descriptions: [ContentDescription] = [], declaresNoData: Bool = false, fec: FECSettings? = nil,
        hasRetransmission: Bool = true
    ) throws(ASFHeaderError) {
        self.origin = origin
        let description = header.contentDescription
        title = description?.title ?? ""
        packetBytesMax = header.packetBytes
        control = base.utf8.last == ASCII.slash ? base : base + "/"
        self.entityTag = entityTag
        let end = durationMilliseconds.map { NormalPlayTime.microseconds(Int64(clamping: min($0, 1 << 50)) * 1_000) }
        range = .npt(start: .microseconds(0), end: end)
        self.features = features
        contentDescriptions = descriptions
        self.header = try Self.fitting(header, declaresNoData).bytes
        streams = header.streams.map { stream in
            let number = UInt32(stream.number)
            let isFirst = header.streams.first { $0.kind == stream.kind }?.number == stream.number
            let kind = stream.kind == .audio || stream.kind == .video ? stream.kind.name : "application"
            var result = Stream(number: number, control: kind != "application" && isFirst ? kind : "stream=\(number)", kind: kind)
            let average = stream.bitrate
            result.peakBitsPerSecond = max(UInt64(stream.extended?.bitrate ?? 0), average)
            if average > 0, average != result.peakBitsPerSecond { result.averageBitsPerSecond = average }
            if let fec { result.fec = FEC(control: "\(result.control)/fec", settings: fec) }
            return result
        }
        retransmission = hasRetransmission ? Retransmission() : nil
    }

    /// A header that FFmpeg reads whole, if it can be made so; else as it is, which other players take.
    private static func fitting(_ header: ASFHeader, _ declaresNoData: Bool) throws(ASFHeaderError) -> ASFHeader {
        guard header.bytes.count > headerBytesMax || declaresNoData && header.data.byteCount != UInt64(ASFDataHead.byteCount) else {
            return header
        }
        do throws(ASFHeaderError) {
            return try header.rewritten(ASFRewrite(declaresNoData: declaresNoData, bytesMax: headerBytesMax))
        } catch {
            guard case .cannotFit = error else { throw error }
            return try header.rewritten(ASFRewrite(declaresNoData: declaresNoData))
        }
    }

    /// The stream of that control, as it stands in the description.
    package func stream(control: String) -> Stream? { streams.first { $0.control == control } }

    /// The stream that FEC of that control protects.
    package func stream(fecControl: String) -> Stream? { streams.first { $0.fec?.control == fecControl } }

    /// The header taken apart.
    package func asfHeader() throws(ASFHeaderError) -> ASFHeader { try ASFHeader(header.span) }

    /// The description's text. Lines end with CR LF.
    package func serialized() -> [UInt8] {
        var lines: [SDPLine] = [
            SDPLine("v", "0"), SDPLine("o", (origin ?? SDPOrigin(sessionID: 0, sessionVersion: 0, address: "127.0.0.1")).text),
            SDPLine("s", title.isEmpty ? " " : title), SDPLine("c", origin?.isIPv6 ?? false ? "IN IP6 ::" : "IN IP4 0.0.0.0"),
        ]
        let total = streams.reduce(UInt64(0)) { $0 &+ $1.peakBitsPerSecond }
        if total > 0 { lines.append(SDPLine("b", "AS:\(Self.kilobits(total))")) }
        lines.append(.attribute("maxps", "\(packetBytesMax)"))
        lines.append(SDPLine("t", "0 0"))
        lines.append(.attribute("control", control ?? "*"))
        if let entityTag { lines.append(.attribute("etag", entityTag)) }
        if let range { lines.append(.attribute("range", range.text)) }
        if !features.isEmpty { lines.append(.attribute("type", features.text)) }
        lines.append(.attribute("recvonly"))
        if let text = contentText { lines.append(.attribute("pgmpu", "data:application/x-wms-contentdesc,\(text)")) }
        lines.append(.attribute("pgmpu", "data:application/vnd.ms.wms-hdr.asfv1;base64,\(Base64.encode(header))"))
        var media = streams.map(Self.media)
        if let retransmission {
            var block = MediaDescription(kind: "application", formats: ["\(retransmission.payloadType)"])
            block.lines = [
                SDPLine("b", "RS:0"), SDPLine("b", "RR:0"), .attribute("rtpmap", "\(retransmission.payloadType) x-wms-rtx/1000"),
                .attribute("control", retransmission.control), .attribute("stream", "\(retransmission.number)"),
            ]
            // Where Windows Media servers have it.
            media.insert(block, at: min(1, media.count))
        }
        return SessionDescription(lines: lines, media: media).serialized()
    }

    private static func media(_ stream: Stream) -> MediaDescription {
        var block = MediaDescription(kind: stream.kind, formats: ["\(stream.payloadType)"])
        if stream.peakBitsPerSecond > 0 { block.lines.append(SDPLine("b", "AS:\(kilobits(stream.peakBitsPerSecond))")) }
        if let average = stream.averageBitsPerSecond { block.lines.append(SDPLine("b", "X-AV:\(kilobits(average))")) }
        block.lines += [
            SDPLine("b", "RS:0"), SDPLine("b", "RR:0"), .attribute("rtpmap", "\(stream.payloadType) x-asf-pf/1000"),
            .attribute("control", stream.control), .attribute("stream", "\(stream.number)"),
        ]
        if stream.isReliable { block.lines.append(.attribute("reliable")) }
        if let fec = stream.fec {
            let type = fec.settings.payloadType, parameters = fec.settings.parameters
            block.formats.append("\(type)")
            block.lines.append(.attribute("rtpmap", "\(type) x-wms-fec/1000"))
            block.lines.append(.attribute("fmtp", "\(type) \(fec.control) \(parameters.span) \(parameters.perSpan)"))
        }
        return block
    }

    private static func kilobits(_ bits: UInt64) -> UInt64 { bits / 1_000 + (bits % 1_000 == 0 ? 0 : 1) }

    /// The lists, as many of them from the first on as a line takes; nil where there are none.
    private var contentText: String? {
        var text = ""
        for description in contentDescriptions {
            let part = PercentEncoding.encodedBytes(description.serialized())
            guard text.utf8.count + part.utf8.count + 64 <= Self.lineBytesMax else { break }
            text += part
        }
        return text.isEmpty ? nil : text
    }
}

extension PercentEncoding {
    /// What may stand in a data URL stays, for people to read; the rest is escaped.
    static func encodedBytes(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in bytes {
            let isPlain = byte > 0x20 && byte < 0x7F && !"%\"<>#{}|\\^`[]".utf8.contains(byte)
            if isPlain { result.append(byte) } else { result += [ASCII.percent, digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
