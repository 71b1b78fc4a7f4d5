/// What a load run saw. Times in milliseconds, counts within the window.
package struct LoadReport: Sendable {
    /// The sessions that played before the window.
    package var running = LoadAccount()
    /// Those that joined while the others were measured; nil without such.
    package var joiners: LoadAccount?
    /// Joiners begun per second, as it really was.
    package var joinsPerSecond: Double?
    /// Why sessions did not play, or not to the end, with how many.
    package var failures: [String: Int] = [:]
    /// Packets of the running sessions per second of wall time.
    package var packetsPerSecond = 0.0
    /// Media time delivered per wall time, the middle session's; against `--source`: payload bytes per session over the source's.
    package var realTimeRatio: Double?
    /// The same packet from the first to the last reader.
    package var spread: Percentiles?
    /// The readers that the spread is over: all running ones with eBPF, else the sampled ones.
    package var spreadReaders = 0
    /// Arrival minus the least-delay line, sampled running readers.
    package var lateness: Percentiles?
    /// Windows Media: arrival minus the send time counted from the reader's first packet, 0 when ahead; sampled running readers.
    package var behind: Percentiles?
    /// DESCRIBE sent to first packet, running sessions and joiners.
    package var join: Percentiles?
    /// See ``join``.
    package var joinersJoin: Percentiles?
    /// How packets were counted.
    package var sink = SinkKind.ebpf
    /// CPU time of the server's threads per packet delivered in the window, joiners' included.
    package var serverMicrosecondsPerPacket: Double?
    /// The same per byte, in nanoseconds.
    package var serverNanosecondsPerByte: Double?
    /// CPU seconds of the server per second.
    package var serverCores: Double?
    /// Resident memory of the server at the window's end.
    package var serverResidentMiB: Double?
    /// CPU seconds of the readers' processes per second: what the server could not have.
    package var clientCores = 0.0
    /// Whether UDP receivers took trains whole.
    package var receiveGRO = false
    /// How media came.
    package var transport = ReaderTransport.udp
    /// The window as it really was, seconds.
    package var duration = 0.0
    /// Packets per buffer as received, UDP.
    package var meanTrain: Double?
    /// Whether it was Windows Media over HTTP.
    package var isWindowsMedia = false
    /// Whether it was Windows Media over RTSP.
    package var isMSRTSP = false
    /// Processes that carried the sessions.
    package var processes = 1

    /// A report of nothing.
    package init() {}

    /// One report of what all processes saw: counts added, percentiles of all samples together.
    init(_ options: LoadOptions, _ tallies: [LoadTally], server: ServerCost?) {
        running = tallies.reduce(LoadAccount()) { $0 + $1.running }
        let joined = tallies.reduce(LoadAccount()) { $0 + $1.joiners }
        joiners = options.joiners > 0 ? joined : nil
        let rates = tallies.compactMap(\.joinsPerSecond)
        joinsPerSecond = rates.isEmpty ? nil : rates.reduce(0, +)
        for tally in tallies { failures.merge(tally.failures, uniquingKeysWith: +) }
        duration = tallies.map(\.seconds).max() ?? 0
        packetsPerSecond = duration > 0 ? Double(running.packets) / duration : 0
        realTimeRatio = median(running.realTimeRatios)
        spreadReaders = tallies.reduce(0) { $0 + $1.spreadReaders }
        spread = spreadReaders < 2 ? nil : Percentiles(of: PacketSpread.merged(tallies.map(\.spread)).map(\.milliseconds))
        lateness = Percentiles(of: tallies.flatMap(\.latenessMilliseconds))
        behind = Percentiles(of: tallies.flatMap(\.behindMilliseconds))
        isWindowsMedia = options.isWindowsMedia
        isMSRTSP = tallies.contains(where: \.isMSRTSP)
        join = Percentiles(of: running.joinMilliseconds)
        joinersJoin = Percentiles(of: joined.joinMilliseconds)
        sink = tallies.first?.sink ?? .ebpf
        transport = options.transport
        receiveGRO = options.receiveGRO && transport == .udp
        processes = options.processes
        if transport == .udp, sink == .ebpf, running.buffers > 0 { meanTrain = Double(running.packets) / Double(running.buffers) }
        guard duration > 0 else { return }
        clientCores = tallies.reduce(0) { $0 + Double($1.clientNanoseconds) / 1e9 } / duration
        guard let server else { return }
        serverResidentMiB = server.residentMiB
        serverCores = Double(server.nanoseconds) / 1e9 / duration
        let packets = running.packets + joined.packets
        let bytes = running.bytes + joined.bytes
        if bytes > 0 { serverNanosecondsPerByte = Double(server.nanoseconds) / Double(bytes) }
        if packets > 0 { serverMicrosecondsPerPacket = Double(server.nanoseconds) / 1_000 / Double(packets) }
    }

    /// 0: all played and nothing was lost; 1: sessions failed; 3: packets were lost.
    package var exitStatus: Int32 {
        let accounts = [running, joiners].compactMap(\.self)
        if accounts.contains(where: { $0.playing < $0.sessions }) { return 1 }
        return accounts.contains { $0.lost > 0 || $0.lossySessions > 0 } ? 3 : 0
    }

    /// The result as one JSON object.
    package var json: JSONValue {
        .members([
            "sessions": .integer(Int64(running.sessions)),
            "playing": .integer(Int64(running.playing)),
            "packets": .count(running.packets),
            "pps": .number(packetsPerSecond),
            "lost": .count(running.lost),
            "lossy_sessions": .integer(Int64(running.lossySessions)),
            "real_time_ratio": .optional(realTimeRatio),
            "spread_ms": Percentiles.json(spread, withMax: true),
            "spread_readers": .integer(Int64(spreadReaders)),
            "lateness_ms": Percentiles.json(lateness, withMax: true),
            "behind_ms": isWindowsMedia ? Percentiles.json(behind, withMax: true) : .null,
            "join_ms": Percentiles.json(join, withMax: true),
            "bytes": .count(running.bytes),
            "failures": .object(
                failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { .init(name: $0.key, value: .integer(Int64($0.value))) }),
            "sink": .text(sink.rawValue),
            "server_cpu_us_per_packet": .optional(serverMicrosecondsPerPacket),
            "server_cpu_ns_per_byte": .optional(serverNanosecondsPerByte),
            "server_cores": .optional(serverCores),
            "server_rss_mib": .optional(serverResidentMiB),
            "client_cores": .number(clientCores),
            "duplicates": .count(running.duplicates),
            "reordered": .count(running.reordered),
            "receiver_drops": .count(running.receiverDrops),
            "mean_train": .optional(meanTrain),
            "receive_gro": .boolean(receiveGRO),
            "protocol": .text(isWindowsMedia ? "wmsp" : isMSRTSP ? "ms-rtsp" : "rtsp"),
            "transport": .text(isWindowsMedia ? "http" : transport.rawValue),
            "duration": .number(duration),
            "processes": .integer(Int64(processes)),
            "joiners": joinersJSON,
        ])
    }

    private var joinersJSON: JSONValue {
        guard let joiners else { return .null }
        // Where bytes are thrown away unread nobody sees a joiner's gaps.
        let isSeen = sink != .trunc
        return .members([
            "sessions": .integer(Int64(joiners.sessions)),
            "playing": .integer(Int64(joiners.playing)),
            "rate": .optional(joinsPerSecond),
            "packets": .count(joiners.packets),
            "lost": isSeen ? .count(joiners.lost) : .null,
            "lossy_sessions": isSeen ? .integer(Int64(joiners.lossySessions)) : .null,
            "duplicates": isSeen ? .count(joiners.duplicates) : .null,
            "join_ms": Percentiles.json(joinersJoin, withMax: true),
        ])
    }
}
