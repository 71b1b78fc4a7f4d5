/// What a track carries, by the encoding name of `a=rtpmap` or the static payload type.
package enum MediaCodec: Sendable, Hashable {
    // Video.
    case h264, h265, av1, vp8, vp9, mpeg4Part2, mpeg12Video, jpeg, h263, h261
    /// An MPEG transport stream with audio and video in it.
    case mp2t
    // Audio. `aac` is RFC 3640's `mpeg4-generic`, `aacLATM` is RFC 6416's `MP4A-LATM`.
    case aac, aacLATM, opus, pcmu, pcma, g722, g726, l16, mpegAudio, ac3, gsm, speex, vorbis
    /// ONVIF's scene descriptions.
    case onvifMetadata
    /// Any other, by its encoding name in capital letters; empty when there is none. It is relayed all the same.
    case other(String)

    /// The codec of an encoding name, in any case.
    package init(encodingName: String) {
        let name = encodingName.uppercased()
        self =
            switch name {
            case "H264": .h264
            case "H265", "HEVC": .h265
            case "AV1", "AV1X": .av1
            case "VP8": .vp8
            case "VP9": .vp9
            case "MP4V-ES": .mpeg4Part2
            case "MPV": .mpeg12Video
            case "JPEG": .jpeg
            case "H263", "H263-1998", "H263-2000": .h263
            case "H261": .h261
            case "MP2T": .mp2t
            case "MPEG4-GENERIC": .aac
            case "MP4A-LATM": .aacLATM
            case "OPUS": .opus
            case "PCMU": .pcmu
            case "PCMA": .pcma
            case "G722": .g722
            case "G726-16", "G726-24", "G726-32", "G726-40", "AAL2-G726-16", "AAL2-G726-24", "AAL2-G726-32", "AAL2-G726-40": .g726
            case "L16": .l16
            case "MPA", "MPA-ROBUST": .mpegAudio
            case "AC3": .ac3
            case "GSM": .gsm
            case "SPEEX": .speex
            case "VORBIS": .vorbis
            case "VND.ONVIF.METADATA", "VND.ONVIF.METADATA.GZIP", "VND.ONVIF.METADATA.EXI.ONVIF": .onvifMetadata
            default: .other(name)
            }
    }

    /// A name for people and for JSON.
    package var name: String {
        switch self {
        case .h264: "H.264"
        case .h265: "H.265"
        case .av1: "AV1"
        case .vp8: "VP8"
        case .vp9: "VP9"
        case .mpeg4Part2: "MPEG-4 Part 2"
        case .mpeg12Video: "MPEG-1/2 video"
        case .jpeg: "JPEG"
        case .h263: "H.263"
        case .h261: "H.261"
        case .mp2t: "MPEG-TS"
        case .aac, .aacLATM: "AAC"
        case .opus: "Opus"
        case .pcmu: "G.711 µ-law"
        case .pcma: "G.711 A-law"
        case .g722: "G.722"
        case .g726: "G.726"
        case .l16: "PCM 16 bit"
        case .mpegAudio: "MPEG audio"
        case .ac3: "AC-3"
        case .gsm: "GSM"
        case .speex: "Speex"
        case .vorbis: "Vorbis"
        case .onvifMetadata: "ONVIF metadata"
        case .other(let name): name.isEmpty ? "unknown" : name
        }
    }

    /// How its key frames are told; ``KeyFrameCodec/opaque`` where they are not known or every packet may be the first.
    package var keyFrameCodec: KeyFrameCodec {
        switch self {
        case .h264: .h264
        case .h265: .h265
        case .av1: .av1
        case .vp8: .vp8
        case .vp9: .vp9
        case .mpeg4Part2: .mpeg4Part2
        case .mpeg12Video: .mpeg12Video
        case .jpeg: .jpeg
        case .mp2t: .mp2t
        case .h263, .h261, .aac, .aacLATM, .opus, .pcmu, .pcma, .g722, .g726, .l16, .mpegAudio, .ac3, .gsm, .speex, .vorbis,
            .onvifMetadata, .other:
            .opaque
        }
    }
}

/// The payload types that RFC 3551 section 6 gives out once and for all.
package enum StaticPayloadType {
    /// Encoding name, clock rate and channels of a static payload type; nil for those not given out and the dynamic ones.
    package static func format(_ payloadType: UInt8) -> RTPFormat? {
        switch payloadType {
        case 0: RTPFormat(payloadType, "PCMU", 8_000, 1)
        case 3: RTPFormat(payloadType, "GSM", 8_000, 1)
        case 4: RTPFormat(payloadType, "G723", 8_000, 1)
        case 5: RTPFormat(payloadType, "DVI4", 8_000, 1)
        case 6: RTPFormat(payloadType, "DVI4", 16_000, 1)
        case 7: RTPFormat(payloadType, "LPC", 8_000, 1)
        case 8: RTPFormat(payloadType, "PCMA", 8_000, 1)
        case 9: RTPFormat(payloadType, "G722", 8_000, 1)
        case 10: RTPFormat(payloadType, "L16", 44_100, 2)
        case 11: RTPFormat(payloadType, "L16", 44_100, 1)
        case 12: RTPFormat(payloadType, "QCELP", 8_000, 1)
        case 13: RTPFormat(payloadType, "CN", 8_000, 1)
        case 14: RTPFormat(payloadType, "MPA", 90_000, nil)
        case 15: RTPFormat(payloadType, "G728", 8_000, 1)
        case 16: RTPFormat(payloadType, "DVI4", 11_025, 1)
        case 17: RTPFormat(payloadType, "DVI4", 22_050, 1)
        case 18: RTPFormat(payloadType, "G729", 8_000, 1)
        case 25: RTPFormat(payloadType, "CelB", 90_000, nil)
        case 26: RTPFormat(payloadType, "JPEG", 90_000, nil)
        case 28: RTPFormat(payloadType, "nv", 90_000, nil)
        case 31: RTPFormat(payloadType, "H261", 90_000, nil)
        case 32: RTPFormat(payloadType, "MPV", 90_000, nil)
        case 33: RTPFormat(payloadType, "MP2T", 90_000, nil)
        case 34: RTPFormat(payloadType, "H263", 90_000, nil)
        default: nil
        }
    }
}

/// What `a=rtpmap` says of a payload type.
package struct RTPFormat: Sendable, Hashable {
    /// 0–127.
    package var payloadType: UInt8
    /// The encoding name as spelled.
    package var encodingName: String
    /// RTP clock in Hz, never 0.
    package var clockRate: UInt32
    /// Audio channels; nil when not said, which means 1.
    package var channels: UInt16?

    init(_ payloadType: UInt8, _ encodingName: String, _ clockRate: UInt32, _ channels: UInt16?) {
        self.payloadType = payloadType
        self.encodingName = encodingName
        self.clockRate = clockRate
        self.channels = channels
    }

    /// The codec; the clock rate of Opus is 48,000 whatever the description says.
    package var codec: MediaCodec { MediaCodec(encodingName: encodingName) }
}
