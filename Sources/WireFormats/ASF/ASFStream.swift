/// One stream as an ASF header describes it: its Stream Properties, and what other objects say about it.
package struct ASFStream: Sendable, Hashable {
    /// What a stream carries.
    package enum Kind: Sendable, Hashable {
        case audio, video, command, image, fileTransfer, binary
        case other(ASFGUID)

        init(_ guid: ASFGUID) {
            switch guid {
            case .audioMedia: self = .audio
            case .videoMedia: self = .video
            case .commandMedia: self = .command
            case .jfifMedia, .degradableJPEGMedia: self = .image
            case .fileTransferMedia: self = .fileTransfer
            case .binaryMedia: self = .binary
            default: self = .other(guid)
            }
        }

        /// One word, for people and JSON.
        package var name: String {
            switch self {
            case .audio: "audio"
            case .video: "video"
            case .command: "command"
            case .image: "image"
            case .fileTransfer: "file"
            case .binary: "binary"
            case .other: "other"
            }
        }
    }

    /// 1–127.
    package var number: UInt8
    package var kind: Kind
    package var typeGUID: ASFGUID
    /// Nil for other kinds, and where the type-specific data is too short.
    package var audio: ASFAudioFormat?
    package var video: ASFVideoFormat?
    /// WAVEFORMATEX, BITMAPINFOHEADER or what else the type wants, as it stands in the header.
    package var typeData: [UInt8]
    package var errorCorrectionGUID: ASFGUID
    package var errorCorrectionData: [UInt8]
    /// To be added to the stream's presentation times, in 100 ns.
    package var timeOffset: UInt64
    /// Whether payloads are encrypted: they must go on as they are.
    package var isEncrypted: Bool
    /// Whether its Stream Properties stand inside Extended Stream Properties: players before 9.0 do not see it.
    package var isHidden: Bool
    /// What Extended Stream Properties say; nil without.
    package var extended: ASFExtendedProperties?
    /// The mean of the Stream Bitrate Properties, bit/s; nil where the stream is not listed.
    package var listedBitrate: UInt32?

    /// Bits per second of the stream's payloads: as listed, else as extended properties say, else the audio format's; 0 when nobody says.
    package var bitrate: UInt64 {
        if let listedBitrate, listedBitrate > 0 { return UInt64(listedBitrate) }
        if let bitrate = extended?.bitrate, bitrate > 0 { return UInt64(bitrate) }
        return UInt64(audio?.bytesPerSecond ?? 0) * 8
    }

    /// Whether the stream can be entered at its key frames only. Else at the start of every media object.
    package var hasKeyFrames: Bool {
        switch kind {
        case .video: !(extended?.hasNoCleanPoints ?? false)
        case .audio, .command, .image, .fileTransfer, .binary, .other: false
        }
    }

    /// Whether a decoder of one takes the other's payloads.
    package func isLike(_ other: ASFStream) -> Bool {
        typeGUID == other.typeGUID && typeData == other.typeData && isEncrypted == other.isEncrypted
            && errorCorrectionGUID == other.errorCorrectionGUID
    }

    /// The codec, for people.
    package var codecName: String {
        if let audio { return audio.codecName }
        if let video { return video.codecName }
        if case .other(let guid) = kind { return guid.description }
        return kind.name
    }
}

/// What an Extended Stream Properties object says about a stream.
///
///     start u64 ms | end u64 ms | bit rate u32 | buffer u32 ms | fullness u32 ms | the three for the alternative | object size u32 | flags u32
///     | stream u16 | language u16 | time per frame u64 | names u16 | systems u16 | names … | systems … | Stream Properties, if hidden
package struct ASFExtendedProperties: Sendable, Hashable {
    /// One part of what stands behind the first eight bytes of replicated data.
    package struct ExtensionSystem: Sendable, Hashable {
        package var guid: ASFGUID
        /// Bytes in each payload; nil when a u16 before them says how many.
        package var byteCount: Int?
        /// What the system needs beside.
        package var info: [UInt8]
    }

    package var startMilliseconds: UInt64
    package var endMilliseconds: UInt64
    /// The leaky bucket: bit/s, its size and its fullness at first in milliseconds.
    package var bitrate: UInt32
    package var bufferMilliseconds: UInt32
    package var fullnessMilliseconds: UInt32
    /// Bytes of the largest media object; 0 when not known.
    package var objectBytesMax: UInt32
    package var flags: UInt32
    /// An index into the Language List.
    package var language: UInt16
    /// The mean, in 100 ns; 0 when not known.
    package var frameDuration: UInt64
    /// In the order in which they stand in replicated data.
    package var extensionSystems: [ExtensionSystem]

    /// Whether every object may be entered at.
    package var hasNoCleanPoints: Bool { flags & 4 != 0 }
}
