/// What `bench ingest` saw.
package struct IngestReport: Sendable {
    /// Packets that the engine took into packet logs.
    package var packets: UInt64 = 0
    /// CPU time of the engine's threads per packet: the middle of the pairs.
    package var microsecondsPerPacket: Double?
    /// The bare loop's, in the same run.
    package var limitMicrosecondsPerPacket: Double?
    /// Limit ÷ ours, the middle of the pairs: 1 is the limit.
    package var ratioToLimit: Double?
    /// Packets sent that the engine did not take.
    package var drops: UInt64 = 0
    /// Resident memory of this process at the end.
    package var residentMiB: Double?
    /// What carried the media.
    package var backend = ""
    /// Why that one.
    package var backendReason = ""
    /// What was asked for.
    package var options = IngestOptions()

    /// A report of nothing.
    package init() {}

    /// The result as one JSON object.
    package var json: JSONValue {
        .members([
            "packets": .count(packets),
            "cpu_us_per_packet": .optional(microsecondsPerPacket),
            "limit_us_per_packet": .optional(limitMicrosecondsPerPacket),
            "ratio_to_limit": .optional(ratioToLimit),
            "drops": .count(drops),
            "lateness_ms": Percentiles.json(nil, withMax: true),
            "rss_mib": .optional(residentMiB),
            "backend": .text(backend),
            "backend_reason": .text(backendReason),
            "mean_train": .number(Double(options.packetsPerFrame)),
            "transport": .text("udp"),
            "streams": .integer(Int64(options.streams)),
            "packets_per_frame": .integer(Int64(options.packetsPerFrame)),
            "packet_size": .integer(Int64(options.packetSize)),
            "receive_gro": .boolean(true),
            "pairs": .integer(Int64(options.pairs)),
        ])
    }
}
