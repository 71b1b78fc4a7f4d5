import FastPath

/// What `bench ingest` measures.
package struct IngestOptions: Sendable {
    /// Streams, each with a UDP socket of its own.
    package var streams = 100
    /// RTP packets of a frame.
    package var packetsPerFrame = 12
    /// Bytes of an RTP packet, header included.
    package var packetSize = 1_200
    /// Seconds in all, half of them for the engine and half for the bare loop.
    package var duration = 10.0
    /// How the engine is made.
    package var engine = EngineOptions()

    /// The defaults.
    package init() {}

    /// Alternations of engine and bare loop.
    package var pairs: Int { min(max(Int(duration), 3), 30) }

    /// Throws a usage error for a value that cannot be.
    package func check() throws(WorkbenchError) {
        let room = min(engine.limits.streamsMax, 1_000)
        guard (1...room).contains(streams) else { throw .usage("--streams \(streams): 1 to \(room)") }
        guard (64...9_000).contains(packetSize) else { throw .usage("--packet-size \(packetSize): 64 to 9000 bytes, RTP header included") }
        let train = min(64, 65_507 / packetSize)
        guard (1...train).contains(packetsPerFrame) else {
            throw .usage("--packets-per-frame \(packetsPerFrame): 1 to \(train), one train, at \(packetSize) bytes a packet")
        }
        guard duration >= 0.2, duration <= 3_600 else { throw .usage("--duration \(duration): 0.2 to 3600 seconds") }
    }
}
