import WireFormats

/// What a program sends, as `gives:` or the program's own SDP says: what becomes of the track's part of the description.
package struct GivenMedia: Sendable, Equatable {
    /// `video`, `audio`, …; nil: as the source's track.
    let kind: String?
    /// The RTP payload type.
    let payloadType: UInt8
    /// `H264/90000`, `opus/48000/2`.
    let map: String
    /// `a=fmtp` without the payload type; empty for none.
    let parameters: String

    /// Dynamic payload types begin here; what is used where nothing is said.
    private static let payloadTypeStandard: UInt8 = 96

    /// Reads `H264/90000 packetization-mode=1`, `97 mpeg4-generic/48000/2 streamtype=5; mode=AAC-hbr`, `PCMA/8000`.
    init(_ text: String) throws(ValueProblem) {
        var words = text.split(separator: " ", omittingEmptySubsequences: true)[...]
        var type: UInt8?
        if let first = words.first, first.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            guard let number = UInt8(first), number < 128, !(72...76).contains(number) else {
                throw ValueProblem("`\(first)` is no payload type; it is a number from 0 to 127, mostly 96")
            }
            type = number
            words = words.dropFirst()
        }
        let form = "write what comes out: [PAYLOAD-TYPE] ENCODING/CLOCK[/CHANNELS] [PARAMETERS], such as `H264/90000 packetization-mode=1`"
        guard let map = words.first.map(String.init) else { throw ValueProblem("it names no codec; \(form)") }
        let parameters = words.dropFirst().joined(separator: " ")
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { throw ValueProblem("it holds more than printable ASCII; \(form)") }
        let parts = map.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, !parts[0].isEmpty, let clock = UInt32(parts[1]), clock > 0,
            parts.count == 2 || UInt16(parts[2]) ?? 0 > 0
        else { throw ValueProblem("`\(map)` names no codec with its clock; \(form)") }
        let standard = (UInt8(0)...34).first { number in
            guard let format = StaticPayloadType.format(number) else { return false }
            return format.encodingName.uppercased() == parts[0].uppercased() && format.clockRate == clock
                && (format.channels ?? 1) == (parts.count > 2 ? UInt16(parts[2]) ?? 1 : 1)
        }
        self.init(kind: nil, payloadType: type ?? standard ?? Self.payloadTypeStandard, map: map, parameters: parameters)
    }

    init(kind: String?, payloadType: UInt8, map: String, parameters: String) {
        self.kind = kind
        self.payloadType = payloadType
        self.map = map
        self.parameters = parameters
    }

    /// Reads what a program wrote of itself; nil while it is not whole. Throws what is wrong with it.
    static func read(_ bytes: [UInt8]) throws(ValueProblem) -> GivenMedia? {
        // A file that is just being written ends anywhere.
        guard bytes.last == UInt8(ascii: "\n") || bytes.last == UInt8(ascii: "\r") else { return nil }
        let description: SessionDescription
        do throws(SDPError) { description = try SessionDescription(bytes) } catch {
            throw ValueProblem("the program's SDP cannot be read: \(error)")
        }
        guard description.media.count <= 1 else {
            throw ValueProblem("the program's SDP names \(description.media.count) media; one is expected (with ffmpeg: -map, -an, -vn)")
        }
        guard let media = description.media.first else { return nil }
        guard let format = media.format, media.payloadTypes.contains(format.payloadType) else {
            throw ValueProblem("the program's SDP does not say what it sends (no a=rtpmap)")
        }
        let channels = format.channels.map { $0 > 1 ? "/\($0)" : "" } ?? ""
        return GivenMedia(
            kind: media.kind, payloadType: format.payloadType, map: "\(format.encodingName)/\(format.clockRate)\(channels)",
            parameters: description.formatParameters(media: 0, payloadType: format.payloadType) ?? "")
    }

    /// What the source said of its codec and does not hold for another.
    private static let ofCodec: Set<String> = [
        "rtpmap", "fmtp", "framerate", "framesize", "ptime", "maxptime", "rtcp-fb", "cliprect", "x-dimensions", "imageattr",
        "x-framerate", "extmap", "recvonly",
    ]

    /// The source's media block with this in it.
    func replacing(_ media: MediaDescription) -> MediaDescription {
        var copy = media
        copy.kind = kind ?? media.kind
        copy.proto = "RTP/AVP"
        copy.formats = ["\(payloadType)"]
        copy.lines.removeAll { $0.isType("b") || Self.ofCodec.contains($0.attributeName?.lowercased() ?? "") }
        copy.lines.append(.attribute("rtpmap", "\(payloadType) \(map)"))
        if !parameters.isEmpty { copy.lines.append(.attribute("fmtp", "\(payloadType) \(parameters)")) }
        return copy
    }
}
