import CSinks

/// TCP connections on loopback whose far ends another process reads and throws away.
@safe final class StreamSinks {
    private var sinks = unsafe csinks_tcp_sinks()

    /// How often the other process sweeps its connections.
    static let sweepNanoseconds: UInt64 = 5_000_000

    /// `count` connections, of which the far ends of the first `sampled` stay here to be read.
    init(count: Int, sampled: Int) throws(WorkbenchError) {
        try kernel(
            "cannot open \(count) loopback connections (each takes two descriptors for a moment)",
            unsafe csinks_tcp_sinks_open(&sinks, UInt32(count), UInt32(sampled), Self.sweepNanoseconds))
    }

    deinit { unsafe csinks_tcp_sinks_close(&sinks, true) }

    var count: Int { unsafe Int(sinks.count) }
    /// The descriptors to send into, in an order that spreads the sampled ones evenly.
    var senders: [Int32] {
        let made = unsafe Array(UnsafeBufferPointer(start: sinks.senders, count: Int(sinks.count)))
        var sampled = made[..<samples.count]
        var others = made[samples.count...]
        let sample = EvenSample(max: sampled.count, of: made.count)
        return made.indices.compactMap { sample.contains($0) ? sampled.popFirst() : others.popFirst() }
    }
    /// The sampled connections' far ends.
    var samples: [Int32] { unsafe Array(UnsafeBufferPointer(start: sinks.samples, count: Int(sinks.sampled))) }
    /// Bytes thrown away by the other process.
    var bytes: UInt64 { unsafe csinks_tcp_sinks_bytes(&sinks) }
}
