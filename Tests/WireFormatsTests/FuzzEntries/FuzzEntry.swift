#if canImport(WireFormats)
    import WireFormats
#endif

/// What the fuzz targets and the replay of their corpora call: one entry for each parser, named as its target and its corpus are.
///
/// An entry feeds bytes to a parser and checks what must hold whatever they are: no trap, no access outside, what was read can
/// be written and read again, and how the bytes were cut makes no difference. A breach ends the process.
///
/// Compiled into the tests, and by `tools/fuzz` into each target together with the module's sources.
enum FuzzEntry: String, CaseIterable, Sendable {
    case rtspStream = "rtsp-stream"
    case transport, range, authentication, url, sdp, rtp, rtcp, rtpdump, tunnel, register, tracks
    case rtpInfo = "rtp-info"
    case nameExpression = "name-expression"
    case keyFrames = "key-frames"
    case nalFragments = "nal-fragments"
    case asfHeader = "asf-header"
    case asfPacket = "asf-packet"
    case asfIndex = "asf-index"
    case wmspFraming = "wmsp-framing"
    case pragma, chunked, playlist
    case contentDescription = "content-description"
    case httpRequest = "http-request"
    case asfRTP = "asf-rtp"
    case fec, via
    case msrtspDescription = "ms-rtsp-description"
    case msrtspHeaders = "ms-rtsp-headers"
    case msrtspBodies = "ms-rtsp-bodies"
    case recording

    /// Runs the parser on the bytes.
    func run(_ bytes: [UInt8]) {
        switch self {
        case .rtspStream: Self.rtspStream(bytes)
        case .transport: Self.transport(String(decoding: bytes, as: UTF8.self))
        case .register: Self.register(String(decoding: bytes, as: UTF8.self))
        case .range: Self.range(String(decoding: bytes, as: UTF8.self))
        case .rtpInfo: Self.rtpInfo(String(decoding: bytes, as: UTF8.self))
        case .nameExpression: Self.nameExpression(bytes)
        case .authentication: Self.authentication(String(decoding: bytes, as: UTF8.self))
        case .url: Self.url(String(decoding: bytes, as: UTF8.self))
        case .sdp: Self.sdp(bytes)
        case .rtp: Self.rtp(bytes)
        case .rtcp: Self.rtcp(bytes)
        case .keyFrames: Self.keyFrames(bytes)
        case .nalFragments: Self.nalFragments(bytes)
        case .rtpdump: Self.rtpdump(bytes)
        case .tunnel: Self.tunnel(bytes)
        case .tracks: Self.tracks(bytes)
        case .asfHeader: Self.asfHeader(bytes)
        case .asfPacket: Self.asfPacket(bytes)
        case .asfIndex: Self.asfIndex(bytes)
        case .wmspFraming: Self.wmspFraming(bytes)
        case .pragma: Self.pragma(bytes)
        case .contentDescription: Self.contentDescription(bytes)
        case .httpRequest: Self.httpRequest(bytes)
        case .chunked: Self.chunked(bytes)
        case .playlist: Self.playlist(bytes)
        case .asfRTP: Self.asfRTP(bytes)
        case .fec: Self.fec(bytes)
        case .via: Self.via(String(decoding: bytes, as: UTF8.self))
        case .msrtspDescription: Self.msrtspDescription(bytes)
        case .msrtspHeaders: Self.msrtspHeaders(bytes)
        case .msrtspBodies: Self.msrtspBodies(bytes)
        case .recording: Self.recording(bytes)
        }
    }

    /// What must hold.
    static func check(_ condition: Bool, _ what: String) {
        if !condition { fatalError("broken: \(what)") }
    }
}
