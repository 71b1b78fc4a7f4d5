import FastPath

/// What `bench fanout` measures.
package struct FanoutOptions: Sendable {
    /// How subscribers are sent to.
    package var transport = ReaderTransport.udp
    /// Subscribers of the one stream.
    package var subscribers = 1_000
    /// RTP packets of a frame.
    package var packetsPerFrame = 12
    /// Bytes of an RTP packet, header included.
    package var packetSize = 1_200
    /// Seconds in all, half of them for the engine and half for the bare loop.
    package var duration = 10.0
    /// Frames per second; nil offers a frame when the one before it has completed.
    package var framesPerSecond: Double?
    /// Whether the sinks take trains whole.
    package var receiveGRO = true
    /// Whether the bare loop is also run with an iovec per packet, to tell what contiguous memory is worth.
    package var gather = false
    /// How the engine is made.
    package var engine = EngineOptions()

    /// The defaults.
    package init() {}

    /// Alternations of engine and bare loop.
    package var pairs: Int { min(max(Int(duration), 3), 30) }

    /// Throws a usage error for a value that cannot be.
    package func check() throws(WorkbenchError) {
        let room = engine.limits.subscribersMax
        guard (1...room).contains(subscribers) else { throw .usage("--subscribers \(subscribers): 1 to \(room)") }
        guard (1...1_000).contains(packetsPerFrame) else { throw .usage("--packets-per-frame \(packetsPerFrame): 1 to 1000") }
        guard (64...9_000).contains(packetSize) else { throw .usage("--packet-size \(packetSize): 64 to 9000 bytes, RTP header included") }
        guard duration >= 0.2, duration <= 3_600 else { throw .usage("--duration \(duration): 0.2 to 3600 seconds") }
        if let rate = framesPerSecond, !(rate > 0 && rate <= 10_000) { throw .usage("--fps \(rate): above 0 and at most 10000") }
    }
}
