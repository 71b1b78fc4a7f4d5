/// What `bench verbatim` saw.
package struct VerbatimReport: Sendable {
    /// What one of the two streams cost and how it arrived.
    package struct Side: Sendable {
        /// Packets and bytes (without framing that the engine adds) that the engine gave to the kernel.
        package var packets: UInt64 = 0
        /// See ``packets``.
        package var bytes: UInt64 = 0
        /// Packets for each send.
        package var meanTrain: Double?
        /// CPU time of the engine's threads per byte: the middle of the turns.
        package var nanosecondsPerByte: Double?
        /// The same per packet.
        package var nanosecondsPerPacket: Double? {
            guard packets > 0, let nanosecondsPerByte else { return nil }
            return nanosecondsPerByte * Double(bytes) / Double(packets)
        }
        /// Arrival minus the least-delay line at sampled readers; nil where they cannot tell.
        package var lateness: Percentiles?
        /// Numbers that sampled readers missed; over UDP packets that left and did not arrive at all of them together.
        package var lost: UInt64 = 0

        var json: JSONValue {
            .object([
                .init(name: "packets", value: .count(packets)), .init(name: "bytes", value: .count(bytes)),
                .init(name: "mean_train", value: .optional(meanTrain)),
                .init(name: "cpu_ns_per_byte", value: .optional(nanosecondsPerByte)),
                .init(name: "cpu_ns_per_packet", value: .optional(nanosecondsPerPacket)),
                .init(name: "lateness_ms", value: Percentiles.json(lateness, withMax: true)), .init(name: "lost", value: .count(lost)),
            ])
        }
    }

    /// The stream whose packets are sent as they are.
    package var verbatim = Side()
    /// The RTP stream of the same bit rate, interleaved, or over UDP.
    package var interleaved = Side()
    /// CPU time per byte, verbatim ÷ interleaved: the middle of the pairs.
    package var ratioToInterleaved: Double?
    /// Packets that the engine did not get into the kernel, of both.
    package var drops: UInt64 = 0
    /// What carried the media, and how many threads of it.
    package var backend = ""
    /// See ``backend``.
    package var workers = 1
    /// What was asked for.
    package var options = VerbatimOptions()

    /// A report of nothing.
    package init() {}

    /// What the RTP beside it is called.
    private var rtp: String { options.transport == .udp ? "rtp" : "interleaved" }

    /// The result as one JSON object.
    package var json: JSONValue {
        .object([
            .init(name: "ratio_to_\(rtp)", value: .optional(ratioToInterleaved)), .init(name: "verbatim", value: verbatim.json),
            .init(name: rtp, value: interleaved.json), .init(name: "drops", value: .count(drops)),
            .init(name: "subscribers", value: .integer(Int64(options.subscribers))),
            .init(name: "bit_rate", value: .integer(Int64(options.bitRate))),
            .init(name: "packet_size", value: .integer(Int64(options.packetSize))),
            .init(name: "collect_ms", value: .integer(Int64(options.collectMilliseconds))),
            .init(name: "transport", value: .text(options.transport.rawValue)), .init(name: "chunked", value: .boolean(options.chunked)),
            .init(name: "backend", value: .text(backend)),
            .init(name: "workers", value: .integer(Int64(workers))), .init(name: "pairs", value: .integer(Int64(options.pairs))),
        ])
    }
}
