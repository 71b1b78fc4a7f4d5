/// How key frames are told in a track's payload. The raw values are those of the engine's track codec.
@usableFromInline package enum KeyFrameCodec: UInt8, Sendable, Hashable, BitwiseCopyable, CaseIterable {
    /// A codec whose key frames are not known, or audio: a reader may start at any packet.
    case opaque
    case h264, h265, av1, vp8, vp9, mpeg4Part2, mpeg12Video, jpeg, mp2t
}
