import WireFormats

/// What a track carries, as a session description says it.
public struct TrackFormat: Sendable, Equatable {
    /// `video`, `audio`, `application` or `text`.
    public var kind: String
    /// The RTP payload type, 0 to 127 without 72 to 76; 96 and more for codecs that have none of their own.
    public var payloadType: UInt8
    /// The codec's encoding name (IANA's media subtype): `H264`, `opus`, `PCMA`.
    public var encodingName: String
    /// Ticks of the RTP clock in a second; not 0.
    public var clockRate: UInt32
    /// Audio channels; nil where it is not said, which means one.
    public var channels: UInt16?
    /// What `a=fmtp` says behind the payload type: `packetization-mode=1; sprop-parameter-sets=…`; empty for nothing. Printable ASCII.
    public var parameters: String

    /// A format; what is wrong with it is said where it is used.
    public init(
        kind: String, payloadType: UInt8 = 96, encodingName: String, clockRate: UInt32, channels: UInt16? = nil, parameters: String = ""
    ) {
        self.kind = kind
        self.payloadType = payloadType
        self.encodingName = encodingName
        self.clockRate = clockRate
        self.channels = channels
        self.parameters = parameters
    }
}

extension TrackFormat {
    /// The media in this place of a description; nil when it does not say what it carries.
    init?(_ sdp: SessionDescription, media place: Int) {
        guard sdp.media.indices.contains(place), let format = sdp.media[place].format else { return nil }
        self.init(
            kind: sdp.media[place].kind, payloadType: format.payloadType, encodingName: format.encodingName, clockRate: format.clockRate,
            channels: format.channels, parameters: sdp.formatParameters(media: place, payloadType: format.payloadType) ?? "")
    }

    /// The same in the words of a description; throws what is wrong with it.
    func given() throws(ValueProblem) -> GivenMedia {
        let kinds = ["video", "audio", "application", "text"]
        guard kinds.contains(kind) else { throw ValueProblem("`\(kind)` is no kind of media; " + Suggestion.unknown(kind, among: kinds)) }
        guard !encodingName.isEmpty, !encodingName.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F || $0 == UInt8(ascii: "/") }) else {
            throw ValueProblem("`\(encodingName)` is no encoding name, such as H264")
        }
        let channels = channels.map { $0 == 1 ? "" : "/\($0)" } ?? ""
        let given = try GivenMedia("\(payloadType) \(encodingName)/\(clockRate)\(channels) \(parameters)")
        return GivenMedia(kind: kind, payloadType: given.payloadType, map: given.map, parameters: given.parameters)
    }
}
