import WireFormats

/// The frame that benches send: so many RTP packets of one size, a marker on the last, numbers and time going on from frame to
/// frame.
struct TestFrame {
    let packets: Int
    let packetBytes: Int
    private(set) var sequence: UInt16 = 0
    private(set) var timestamp: UInt32 = 0

    /// Ticks of the 90 kHz clock between two frames.
    let ticksPerFrame: UInt32

    init(packets: Int, packetBytes: Int, framesPerSecond: Double? = nil) {
        self.packets = packets
        self.packetBytes = packetBytes
        ticksPerFrame = UInt32(max(1, (90_000 / (framesPerSecond ?? 30)).rounded()))
    }

    /// The time between two frames, in whole ticks of the clock: what the timestamps say is what a sender keeps to.
    var intervalNanoseconds: UInt64 { UInt64(ticksPerFrame) * 1_000_000_000 / 90_000 }

    /// The next frame as interleaved frames on channel 0.
    mutating func nextInterleaved() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(packets * (packetBytes + 4))
        for packet in nextPackets() { bytes += InterleavedHeader.frame(channel: 0, payload: packet) }
        return bytes
    }

    /// The next frame's packets, one after the other in one piece of memory.
    mutating func nextContiguous() -> [UInt8] { nextPackets().flatMap(\.self) }

    private mutating func nextPackets() -> [[UInt8]] {
        let payload = [UInt8](repeating: 0x41, count: packetBytes - RTPHeader.byteCountMin)
        defer { timestamp &+= ticksPerFrame }
        return (0..<packets).map { index in
            defer { sequence &+= 1 }
            let header = RTPHeader(
                payloadType: 96, marker: index == packets - 1, sequence: sequence, timestamp: timestamp, ssrc: 0x5745_4952)
            return header.packet(payload: payload)
        }
    }
}
