import WireFormats

/// The URLs that a description's tracks are asked for with (RFC 2326 appendix C.1.1).
struct TrackControls: Sendable, Equatable {
    /// One track.
    struct Track: Sendable, Equatable {
        /// The request URL of its SETUP.
        let url: String
        /// Its transport protocol without a lower transport, such as `RTP/AVP`.
        let profile: String
        /// The group that the description names for it; nil when it names none. Ports of 0 stand for none.
        let group: GroupAddress?
        /// The description says that RTP and RTCP may share a port.
        let isMultiplexed: Bool
    }

    /// The request URL of PLAY, PAUSE and TEARDOWN.
    private(set) var aggregate: String
    /// One per media that a relay takes (``SessionDescription/receivableMedia``).
    private(set) var tracks: [Track] = []

    /// No tracks are known yet of what this request URL names.
    init(request: String) { aggregate = request }

    /// The tracks of a description that came with these headers for this request URL.
    init(_ description: SessionDescription, headers: RTSPHeaders, request: String) {
        let base = ControlURL.base(request: request, headers: headers)
        aggregate = ControlURL.resolve(description.control ?? "*", base: base)
        tracks = description.receivableMedia.map { index in
            let media = description.media[index]
            let profile = media.proto.uppercased().hasPrefix("RTP/") ? media.proto : "RTP/AVP"
            // Some say `RTP/AVP/TCP` in the description already.
            let isLower = profile.uppercased().hasSuffix("/TCP") || profile.uppercased().hasSuffix("/UDP")
            return Track(
                url: ControlURL.resolve(media.control ?? "*", base: base), profile: isLower ? String(profile.dropLast(4)) : profile,
                group: Self.group(description, index), isMultiplexed: media.isMultiplexed)
        }
    }

    private static func group(_ description: SessionDescription, _ index: Int) -> GroupAddress? {
        guard let connection = description.connection(media: index) else { return nil }
        let media = description.media[index]
        let filter = description.sourceFilter(media: index, destination: connection.address)
        return GroupAddress(
            group: connection.address, ports: PortPair(rtp: media.port, rtcp: media.rtcpPort),
            source: filter.flatMap { $0.isInclusive ? $0.sources.first : nil })
    }

    /// The description in an answer to DESCRIBE.
    static func description(in response: RTSPResponse) throws(RTSPClientFailure) -> SessionDescription {
        // A missing Content-Type is forgiven: the text tells by itself.
        if let type = response.headers.contentType, type != "application/sdp", response.body.first != UInt8(ascii: "v") {
            throw .description("it is \(type), not application/sdp")
        }
        let description: SessionDescription
        do throws(SDPError) { description = try SessionDescription(response.body) } catch { throw .description(error.description) }
        guard !description.receivableMedia.isEmpty else { throw .description("it names no media") }
        return description
    }
}
