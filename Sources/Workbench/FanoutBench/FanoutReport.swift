/// What `bench fanout` saw.
package struct FanoutReport: Sendable {
    /// Packets that the engine gave to the kernel, over all its turns.
    package var packets: UInt64 = 0
    /// CPU time of the engine's threads per packet: the middle of the pairs.
    package var microsecondsPerPacket: Double?
    /// The bare loop's, in the same run.
    package var limitMicrosecondsPerPacket: Double?
    /// Limit ÷ ours, the middle of the pairs: 1 is the limit.
    package var ratioToLimit: Double?
    /// Packets that the engine did not get into the kernel.
    package var drops: UInt64 = 0
    /// Packets that the sinks did not see although the kernel had taken them; nil when the sinks cannot tell.
    package var missing: UInt64?
    /// The same packet from the first to the last subscriber, of the engine's turns and of the bare loop's: with eBPF over all
    /// subscribers, else over sampled ones when paced.
    package var spread: Percentiles?
    /// See ``spread``.
    package var limitSpread: Percentiles?
    /// Arrival minus the least-delay line at sampled sinks; only when paced.
    package var lateness: Percentiles?
    /// Resident memory of this process at the end.
    package var residentMiB: Double?
    /// What carried the media.
    package var backend = ""
    /// Why that one.
    package var backendReason = ""
    /// The call that sent the engine's packets, as it says.
    package var sendCall = ""
    /// Zero-copy sends of the engine in all, and those of them that the kernel copied all the same.
    package var zeroCopySent: UInt64 = 0
    /// See ``zeroCopySent``.
    package var zeroCopyCopied: UInt64 = 0
    /// Worker threads of the engine.
    package var workers = 1
    /// Packets per submission of the engine.
    package var meanTrain: Double?
    /// The bare loop with an iovec per packet, if asked for.
    package var gatherMicrosecondsPerPacket: Double?
    /// Contiguous ÷ gathered cost, the middle of the pairs.
    package var contiguousToGather: Double?
    /// How packets were counted at the sinks; nil when they went elsewhere.
    package var sink: SinkKind? = .ebpf
    /// What was asked for.
    package var options = FanoutOptions()

    /// A report of nothing.
    package init() {}

    /// The result as one JSON object.
    package var json: JSONValue {
        var members: [JSONValue.JSONMember] = []
        func add(_ name: String, _ value: JSONValue) { members.append(.init(name: name, value: value)) }
        add("packets", .count(packets))
        add("cpu_us_per_packet", .optional(microsecondsPerPacket))
        add("limit_us_per_packet", .optional(limitMicrosecondsPerPacket))
        add("ratio_to_limit", .optional(ratioToLimit))
        add("drops", .count(drops))
        add("spread_ms", Percentiles.json(spread, withMax: true))
        add("limit_spread_ms", Percentiles.json(limitSpread, withMax: true))
        add("lateness_ms", Percentiles.json(lateness, withMax: true))
        add("rss_mib", .optional(residentMiB))
        add("backend", .text(backend))
        add("backend_reason", .text(backendReason))
        add("send_call", .text(sendCall))
        add("zc_sent", .count(zeroCopySent))
        add("zc_copied", .count(zeroCopyCopied))
        add("workers", .integer(Int64(workers)))
        add("mean_train", .optional(meanTrain))
        add("missing", missing.map(JSONValue.count) ?? .null)
        add("transport", .text(options.transport.rawValue))
        add("subscribers", .integer(Int64(options.subscribers)))
        add("packets_per_frame", .integer(Int64(options.packetsPerFrame)))
        add("packet_size", .integer(Int64(options.packetSize)))
        add("fps", .optional(options.framesPerSecond))
        add("receive_gro", .boolean(options.receiveGRO && options.transport == .udp && options.destination == nil))
        add("sink", sink.map { .text($0.rawValue) } ?? .null)
        if let destination = options.destination {
            add("to", .text(destination))
            add(
                "note",
                .text("packets went elsewhere: whether they arrived is not known, and drops are only what this machine's kernel refused"))
        }
        add("pairs", .integer(Int64(options.pairs)))
        if options.gather {
            add("gather_us_per_packet", .optional(gatherMicrosecondsPerPacket))
            add("contiguous_to_gather", .optional(contiguousToGather))
        }
        return .object(members)
    }
}
