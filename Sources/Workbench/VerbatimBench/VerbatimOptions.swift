import FastPath

/// What `bench verbatim` measures.
package struct VerbatimOptions: Sendable {
    /// Over UDP both streams are of the same RTP packets: the one is finished RTP, the other plain.
    package var transport = ReaderTransport.tcp
    /// Readers of each of the two streams.
    package var subscribers = 2_000
    /// Bits per second of the stream.
    package var bitRate = 1_000_000
    /// Bytes of a packet of the stream that is no RTP, with its own framing.
    package var packetSize = 3_200
    /// Milliseconds in which its packets are collected for one send; 0: each is sent by itself.
    package var collectMilliseconds = 0
    /// Whether its packets go as HTTP chunks.
    package var chunked = false
    /// Seconds in all, half of them for each stream.
    package var duration = 10.0
    /// How the engine is made.
    package var engine = EngineOptions()

    /// The defaults.
    package init() {}

    /// Frames per second of the RTP stream, and the most bytes of one of its packets.
    static let framesPerSecond = 30.0
    static let rtpPacketBytes = 1_400

    /// Alternations of the two streams.
    package var pairs: Int { min(max(Int(duration / 4), 2), 30) }

    /// The RTP stream's frames: so many packets of one size.
    var frame: TestFrame {
        let bytes = max(Int(Double(bitRate) / 8 / Self.framesPerSecond), 64)
        let packets = (bytes + Self.rtpPacketBytes - 1) / Self.rtpPacketBytes
        return TestFrame(packets: packets, packetBytes: max(bytes / packets, 64), framesPerSecond: Self.framesPerSecond)
    }

    /// Packets per second of the other stream.
    var packetsPerSecond: Double { Double(bitRate) / 8 / Double(packetSize) }

    /// Throws a usage error for a value that cannot be.
    package func check() throws(WorkbenchError) {
        let room = engine.limits.subscribersMax / 2
        guard (1...room).contains(subscribers) else { throw .usage("--subscribers \(subscribers): 1 to \(room)") }
        guard (64_000...200_000_000).contains(bitRate) else { throw .usage("--bit-rate \(bitRate): 64000 to 200000000 bits per second") }
        guard (64...65_000).contains(packetSize) else { throw .usage("--packet-size \(packetSize): 64 to 65000 bytes, framing included") }
        guard packetsPerSecond >= 1, packetsPerSecond <= 10_000 else {
            throw .usage("--packet-size \(packetSize) at --bit-rate \(bitRate): 1 to 10000 packets a second")
        }
        guard transport == .tcp || !chunked && collectMilliseconds == 0 else {
            throw .usage("--chunked and --collect are for --transport tcp")
        }
        guard (0...1_000).contains(collectMilliseconds) else { throw .usage("--collect \(collectMilliseconds): 0 to 1000 ms") }
        guard duration >= 0.2, duration <= 3_600 else { throw .usage("--duration \(duration): 0.2 to 3600 seconds") }
    }
}
