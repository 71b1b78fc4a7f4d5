import WireFormats

/// Plays a clip again and again as one endless stream: sequence numbers, timestamps and SSRCs go on over the seam. Pure: time is
/// the nanoseconds since playing began.
struct ClipPlayer {
    private let clip: Clip
    /// By the clip's tracks: which payload type their packets get; nil leaves a track out. Empty: all as they are.
    private let payloadTypes: [UInt8?]
    private var loops: UInt64 = 0
    private var index = 0
    private var packetCounts: [UInt32]
    private var octetCounts: [UInt32]

    /// A player at the clip's beginning.
    init(_ clip: Clip, payloadTypes: [UInt8?] = []) {
        self.clip = clip
        self.payloadTypes = payloadTypes
        packetCounts = Array(repeating: 0, count: clip.tracks.count)
        octetCounts = packetCounts
    }

    private func isPlayed(_ track: Int) -> Bool { payloadTypes.isEmpty || payloadTypes[track] != nil }

    /// When the next packets are due.
    var due: UInt64 { clip.nanoseconds(loops: loops) + UInt64(clip.packets[index].milliseconds) * 1_000_000 }

    /// All packets that are due at the same moment as the next one, as interleaved frames on channels 2 × track.
    mutating func next() -> [UInt8] {
        var frames: [UInt8] = []
        let milliseconds = clip.packets[index].milliseconds
        while clip.packets[index].milliseconds == milliseconds {
            append(clip.packets[index], to: &frames)
            index += 1
            if index == clip.packets.count {
                index = 0
                loops += 1
                break
            }
        }
        return frames
    }

    private mutating func append(_ packet: Clip.Packet, to frames: inout [UInt8]) {
        let track = clip.tracks[packet.track]
        var bytes = Array(clip.bytes[packet.offset..<(packet.offset + packet.length)])
        guard let header = try? RTPHeader(bytes.span) else { return }
        if !payloadTypes.isEmpty {
            guard let type = payloadTypes[packet.track] else { return }
            bytes[1] = bytes[1] & 0x80 | type
        }
        var span = bytes.mutableSpan
        RTPHeader.rewrite(
            &span, sequence: header.sequence &+ UInt16(truncatingIfNeeded: loops &* (UInt64(track.sequenceSpan) + 1)),
            timestamp: header.timestamp &+ clip.ticks(loops: loops, track: packet.track), ssrc: track.ssrc)
        packetCounts[packet.track] &+= 1
        octetCounts[packet.track] &+= UInt32(truncatingIfNeeded: header.payloadLength)
        frames += InterleavedHeader.frame(channel: UInt8(truncatingIfNeeded: packet.track * 2), payload: bytes)
    }

    /// Sender reports of all tracks as interleaved frames: what the RTP clocks show now and what the wall clock does.
    func senderReports(elapsed: UInt64, unixNanoseconds: UInt64, canonicalName: String) -> [UInt8] {
        var frames: [UInt8] = []
        for (number, track) in clip.tracks.enumerated() where track.packets > 0 && isPlayed(number) {
            let began = UInt64(track.firstMilliseconds) * 1_000_000
            // Before a track's first packet its clock stands before the first timestamp.
            let ticks =
                elapsed >= began
                ? NTPTime.ticks(nanoseconds: elapsed - began, clockRate: track.clockRate)
                : 0 &- NTPTime.ticks(nanoseconds: began - elapsed, clockRate: track.clockRate)
            let report = RTCPSenderReport(
                ssrc: track.ssrc, ntp: NTPTime(unixNanoseconds: unixNanoseconds), rtpTimestamp: track.firstTimestamp &+ ticks,
                packetCount: packetCounts[number], octetCount: octetCounts[number])
            frames += InterleavedHeader.frame(
                channel: UInt8(truncatingIfNeeded: number * 2 + 1), payload: RTCPWriter.senderReport(report, canonicalName: canonicalName))
        }
        return frames
    }
}
