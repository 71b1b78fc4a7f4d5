import WireFormats

/// Looks at one track's packets.
struct TrackProbe {
    private let codec: MediaCodec
    private let clockRate: UInt32
    private var account = SequenceAccount()
    private var payloadBytes: UInt64 = 0
    private var firstPayloadBytes: UInt64 = 0
    private var firstSeconds: Double?
    private var lastSeconds = 0.0
    private var frames = 0
    private var timestampLast: UInt32?
    private var ticks: Int64 = 0
    private var keyFrameTicks: [Int64] = []

    /// Key frames that are kept; enough for hours of what anybody sends.
    private static let keyFramesMax = 1 << 20

    init(codec: MediaCodec, clockRate: UInt32) {
        self.codec = codec
        self.clockRate = max(clockRate, 1)
    }

    /// Takes a packet that came at a time of any clock. What is no RTP is left out.
    mutating func take(_ bytes: Span<UInt8>, seconds: Double) {
        guard let header = try? RTPHeader(bytes) else { return }
        account.take(header.sequence)
        payloadBytes &+= UInt64(header.payloadLength)
        if firstSeconds == nil {
            firstSeconds = seconds
            firstPayloadBytes = payloadBytes
        }
        lastSeconds = seconds
        ticks &+= Int64(Int32(bitPattern: header.timestamp &- (timestampLast ?? header.timestamp)))
        if header.timestamp != timestampLast { frames += 1 }
        timestampLast = header.timestamp
        let marks = frameMarks(
            codec: codec.keyFrameCodec, payload: bytes.extracting(header.payloadOffset..<header.payloadEnd))
        // Several packets of one key frame may say so.
        if marks.contains(.startsKeyFrame), keyFrameTicks.last != ticks, keyFrameTicks.count < Self.keyFramesMax {
            keyFrameTicks.append(ticks)
        }
    }

    func report(_ track: ReaderTrack) -> ProbeReport.Track {
        let span = lastSeconds - (firstSeconds ?? lastSeconds)
        var keyFrameSeconds: Double?
        if let first = keyFrameTicks.first, let last = keyFrameTicks.last, keyFrameTicks.count > 1 {
            keyFrameSeconds = Double(last - first) / Double(clockRate) / Double(keyFrameTicks.count - 1)
        }
        return ProbeReport.Track(
            kind: track.kind, codec: codec.name, encoding: track.encoding, payloadType: track.payloadType, clockRate: clockRate,
            packets: account.packets, lost: account.lost,
            // What came with the first packet began before it.
            bitsPerSecond: span > 0 ? Double(payloadBytes - firstPayloadBytes) * 8 / span : nil,
            framesPerSecond: span > 0 && frames > 1 ? Double(frames - 1) / span : nil,
            keyFrames: codec.keyFrameCodec == .opaque ? nil : keyFrameTicks.count, keyFrameSeconds: keyFrameSeconds)
    }
}
