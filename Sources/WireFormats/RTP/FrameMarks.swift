/// What an RTP payload means for a reader that wants to begin.
@usableFromInline package struct FrameMarks: OptionSet, Sendable, Hashable, BitwiseCopyable {
    /// The bits.
    @usableFromInline package let rawValue: UInt8
    /// Marks of these bits.
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A decoder can begin with this packet: it holds parameter sets of the stream, or the start of a frame that needs none
    /// before it. Several packets of one key frame may say so (H.264: SPS, then IDR); of those with the same timestamp the
    /// first is the one.
    @inlinable package static var startsKeyFrame: FrameMarks { FrameMarks(rawValue: 1) }
    /// Parameter sets or sequence headers are inside.
    @inlinable package static var parameterSets: FrameMarks { FrameMarks(rawValue: 2) }
    /// The key frame's first coded picture data is inside (H.264: the first slice of an IDR picture).
    @inlinable package static var keyPicture: FrameMarks { FrameMarks(rawValue: 4) }
    /// A beginning that is picture data. (A literal of both would be an array on the heap where nothing is optimised.)
    @inlinable package static var startsWithPicture: FrameMarks { FrameMarks(rawValue: 5) }
    /// A beginning that is parameter sets.
    @inlinable package static var startsWithParameterSets: FrameMarks { FrameMarks(rawValue: 3) }
}

/// What a payload holds, by the payload format of its codec. Reads a bounded number of bytes, never past the end; a payload that
/// makes no sense has no marks. No allocation.
@inlinable package func frameMarks(codec: KeyFrameCodec, payload: Span<UInt8>) -> FrameMarks {
    switch codec {
    case .opaque: []
    case .h264: h264FrameMarks(payload)
    case .h265: h265FrameMarks(payload)
    case .av1: av1FrameMarks(payload)
    case .vp8: vp8FrameMarks(payload)
    case .vp9: vp9FrameMarks(payload)
    case .mpeg4Part2: mpeg4Part2FrameMarks(payload)
    case .mpeg12Video: mpeg12VideoFrameMarks(payload)
    case .jpeg: jpegFrameMarks(payload)
    case .mp2t: mp2tFrameMarks(payload)
    }
}
