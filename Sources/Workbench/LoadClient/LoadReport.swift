/// What a load run saw. Times in milliseconds, counts within the window.
package struct LoadReport: Sendable {
    /// Sessions asked for, and those that played at the window's end.
    package var sessions = 0
    /// Sessions that got media until the end.
    package var playing = 0
    /// Why the others did not, with how many.
    package var failures: [String: Int] = [:]
    /// RTP packets delivered; for `trunc` computed from bytes by the sampled sessions' mean.
    package var packets: UInt64 = 0
    /// Packets per second of wall time.
    package var packetsPerSecond = 0.0
    /// Skipped sequence numbers, repeated packets and packets out of order.
    package var lost: UInt64 = 0
    /// See ``lost``.
    package var duplicates: UInt64 = 0
    /// See ``lost``.
    package var reordered: UInt64 = 0
    /// Sessions with a loss; with `trunc` also those that got 5 % fewer bytes than the sampled ones.
    package var lossySessions = 0
    /// Packets that the sampled readers' own queues lost; they are in no other figure.
    package var receiverDrops: UInt64 = 0
    /// Media time delivered per wall time, the middle session's; against `--source`: payload bytes per session over the source's.
    package var realTimeRatio: Double?
    /// The same packet from the first to the last sampled reader.
    package var spread: Percentiles?
    /// Arrival minus the least-delay line, sampled readers.
    package var lateness: Percentiles?
    /// DESCRIBE sent to first RTP packet.
    package var join: Percentiles?
    /// How packets were counted.
    package var sink = SinkKind.ebpf
    /// CPU time of the server's threads per delivered packet.
    package var serverMicrosecondsPerPacket: Double?
    /// Resident memory of the server at the window's end.
    package var serverResidentMiB: Double?
    /// Whether UDP receivers took trains whole.
    package var receiveGRO = false
    /// How media came.
    package var transport = ReaderTransport.udp
    /// The window as it really was, seconds.
    package var duration = 0.0
    /// Packets per buffer as received, UDP.
    package var meanTrain: Double?

    /// A report of nothing.
    package init() {}

    /// 0: all played and nothing was lost; 1: sessions failed; 3: packets were lost.
    package var exitStatus: Int32 {
        if playing < sessions { return 1 }
        return lost > 0 || lossySessions > 0 ? 3 : 0
    }

    /// The result as one JSON object.
    package var json: JSONValue {
        .members([
            "sessions": .integer(Int64(sessions)),
            "playing": .integer(Int64(playing)),
            "packets": .count(packets),
            "pps": .number(packetsPerSecond),
            "lost": .count(lost),
            "lossy_sessions": .integer(Int64(lossySessions)),
            "real_time_ratio": .optional(realTimeRatio),
            "spread_ms": Percentiles.json(spread, withMax: false),
            "lateness_ms": Percentiles.json(lateness, withMax: true),
            "join_ms": Percentiles.json(join, withMax: false),
            "sink": .text(sink.rawValue),
            "server_cpu_us_per_packet": .optional(serverMicrosecondsPerPacket),
            "server_rss_mib": .optional(serverResidentMiB),
            "duplicates": .count(duplicates),
            "reordered": .count(reordered),
            "receiver_drops": .count(receiverDrops),
            "mean_train": .optional(meanTrain),
            "receive_gro": .boolean(receiveGRO),
            "transport": .text(transport.rawValue),
            "duration": .number(duration),
        ])
    }
}
