/// What `bench relay` measures.
package struct RelayBenchOptions: Sendable {
    /// What is held against plain RTSP.
    package enum Subject: String, Sendable, CaseIterable {
        /// Windows Media over HTTP, against interleaved RTP.
        case wmsp
        /// Windows Media over RTSP, UDP both.
        case msRTSP = "ms-rtsp"
    }

    /// What is held against plain RTSP.
    package var subject = Subject.wmsp
    /// Readers of the live stream by each of the two protocols.
    package var readers = 2_000
    /// Readers on demand, each at a place of its own; 0: none.
    package var onDemand = 300
    /// Bytes that the file on demand has at least; nil: as long as the run takes.
    package var fileBytes: Int?
    /// The readers at places of their own come once more, when the kernel has forgotten the file.
    package var isCold = false
    /// Readers on demand that all begin at the file's beginning; 0: none.
    package var hot = 0
    /// Where the file on demand is left; nil: it goes with the relay.
    package var keptFile: String?
    /// Bits per second of the stream.
    package var bitRate = 1_000_000
    /// Bytes of an ASF packet; nil: 3,200 over HTTP, and over RTP 1,400, so that each is a packet of about the size that plain RTP has.
    package var packetSize: Int?
    /// Seconds of each window.
    package var duration = 8.0
    /// Turns of the two protocols.
    package var turns = 2
    /// Who the players of Windows Media say they are.
    package var userAgent = LoadOptions(url: "").userAgent
    /// Another server of Windows Media to hold against: its URL and its process.
    package var beside: (url: String, process: Int32)?
    /// Readers of that one, and of ours beside it.
    package var besideReaders = 200
    /// Options of the relay itself, such as `--workers 1`.
    package var serverArguments: [String] = []

    /// The defaults.
    package init() {}

    /// Bytes of an ASF packet.
    var packetBytes: Int { packetSize ?? (subject == .wmsp ? 3_200 : 1_400) }

    /// The most that the file on demand may have.
    package static let onDemandBytesMax = 8 << 30

    /// Seconds of media of the file on demand: those who read it begin at places over it, and none ends within the run.
    var onDemandSeconds: Int {
        onDemand + hot == 0 ? 1 : max(Int(duration) + max(onDemand, hot) / 500 + 70, (fileBytes ?? 0) / (bitRate / 8))
    }

    /// Throws a usage error for a value that cannot be.
    package func check() throws(WorkbenchError) {
        guard (1...20_000).contains(readers) else { throw .usage("--readers \(readers): 1 to 20000") }
        guard (0...5_000).contains(onDemand) else { throw .usage("--on-demand \(onDemand): 0 to 5000") }
        guard (64_000...50_000_000).contains(bitRate) else { throw .usage("--bit-rate \(bitRate): 64000 to 50000000 bits per second") }
        guard (128...65_000).contains(packetBytes) else { throw .usage("--packet-size \(packetBytes): 128 to 65000 bytes") }
        guard (0...20_000).contains(hot) else { throw .usage("--hot \(hot): 0 to 20000") }
        guard subject == .wmsp || hot == 0 else { throw .usage("--hot: readers of one place are measured over HTTP alone") }
        guard subject == .wmsp || beside == nil else { throw .usage("--beside: another server is held against ours over HTTP alone") }
        guard !isCold || subject == .wmsp && onDemand > 0 else { throw .usage("--cold: of --on-demand readers over HTTP") }
        guard duration >= 0.5, duration <= 3_600 else { throw .usage("--duration \(duration): 0.5 to 3600 seconds") }
        guard bitRate / 8 * onDemandSeconds <= Self.onDemandBytesMax else {
            throw .usage(
                "--bit-rate \(bitRate) for --duration \(duration): the file on demand would have \(bitRate / 8 * onDemandSeconds >> 20) MiB, "
                    + "and \(Self.onDemandBytesMax >> 20) is the most; or say --on-demand 0")
        }
        guard (1...20).contains(turns) else { throw .usage("--turns \(turns): 1 to 20") }
        guard (1...20_000).contains(besideReaders) else { throw .usage("--beside-readers \(besideReaders): 1 to 20000") }
    }
}

/// What `bench relay` saw.
package struct RelayBenchReport: Sendable {
    /// Windows Media and plain RTSP, a load report for each turn.
    package var subject: [LoadReport] = []
    /// See ``subject``.
    package var rtsp: [LoadReport] = []
    /// Readers at places of their own.
    package var onDemand: LoadReport?
    /// The same when the kernel had forgotten the file, and the bytes that came from the disk in either run.
    package var onDemandCold: LoadReport?
    package var diskBytes: (warm: UInt64, cold: UInt64) = (0, 0)
    /// Readers of one place.
    package var hot: LoadReport?
    /// The other server, and ours with as many readers.
    package var beside: (other: LoadReport, ours: LoadReport)?
    /// What was asked for.
    package var options = RelayBenchOptions()

    /// CPU time, Windows Media ÷ plain RTSP, of what is said in ``unit``: the middle of the turns.
    package var ratioToRTSP: Double? {
        median(zip(subject, rtsp).compactMap { Self.ratio($0, $1, perPacket: options.subject == .msRTSP) })
    }

    /// Where packets are of one size they are compared, else bytes.
    private var unit: String { options.subject == .msRTSP ? "packet" : "byte" }

    /// The other server's CPU time per byte ÷ ours.
    package var ratioOfOther: Double? { beside.flatMap { Self.ratio($0.other, $0.ours) } }

    /// CPU time per byte, readers of one place on demand ÷ those of the broadcast: its middle turn.
    package var ratioOfHot: Double? {
        guard let hot = hot?.serverNanosecondsPerByte, let live = median(subject.compactMap(\.serverNanosecondsPerByte)), live > 0 else {
            return nil
        }
        return hot / live
    }

    private static func ratio(_ one: LoadReport, _ other: LoadReport, perPacket: Bool = false) -> Double? {
        let cost = perPacket ? \LoadReport.serverMicrosecondsPerPacket : \LoadReport.serverNanosecondsPerByte
        guard let a = one[keyPath: cost], let b = other[keyPath: cost], b > 0 else { return nil }
        return a / b
    }

    /// As of `weir load`, of all loads of the relay itself.
    package var exitStatus: Int32 {
        let all = (subject + rtsp + [onDemand, onDemandCold, hot, beside?.ours].compactMap(\.self)).map(\.exitStatus)
        return all.contains(1) ? 1 : all.max() ?? 0
    }

    /// The result as one JSON object.
    package var json: JSONValue {
        .members([
            "ratio_to_rtsp": .optional(ratioToRTSP), "ratio_of_other": .optional(ratioOfOther),
            (options.subject == .wmsp ? "wmsp" : "ms_rtsp"): .array(subject.map(\.json)), "rtsp": .array(rtsp.map(\.json)),
            "on_demand": onDemand?.json ?? .null, "on_demand_cold": onDemandCold?.json ?? .null,
            "on_demand_disk_bytes": .integer(Int64(clamping: diskBytes.warm)),
            "on_demand_cold_disk_bytes": .integer(Int64(clamping: diskBytes.cold)), "hot": hot?.json ?? .null,
            "ratio_of_hot": .optional(ratioOfHot),
            "beside": beside?.other.json ?? .null, "beside_ours": beside?.ours.json ?? .null,
            "readers": .integer(Int64(options.readers)), "bit_rate": .integer(Int64(options.bitRate)),
            "packet_size": .integer(Int64(options.packetBytes)), "user_agent": .text(options.userAgent),
            "turns": .integer(Int64(options.turns)),
        ])
    }

    /// The result for people: a line for each load.
    package var text: String {
        func line(_ name: String, _ report: LoadReport) -> String {
            func ms(_ value: Double?) -> String { value.map { "\(JSONValue.number(($0 * 10).rounded() / 10).line) ms" } ?? "–" }
            let cost =
                options.subject == .msRTSP
                ? report.serverMicrosecondsPerPacket.map { JSONValue.number($0).line + " µs per packet" } ?? "–"
                : report.serverNanosecondsPerByte.map { JSONValue.number($0).line + " ns per byte" } ?? "–"
            let late = report.behind.map { ", behind max \(ms($0.max))" } ?? ""
            return "\(name): \(report.running.playing) of \(report.running.sessions) play, \(report.running.lost) lost, "
                + "lateness p99 \(ms(report.lateness?.p99))\(late), \(cost), \(report.serverCores.map { JSONValue.number($0).line } ?? "–") cores"
        }
        var lines: [String] = []
        let plain = options.subject == .msRTSP ? "RTP over UDP" : "interleaved RTSP"
        for (a, b) in zip(subject, rtsp) { lines += [line("Windows Media", a), line(plain, b)] }
        if let ratio = ratioToRTSP { lines.append("CPU time per \(unit), Windows Media ÷ \(plain): \(JSONValue.number(ratio).line)") }
        if let onDemand { lines.append(line("on demand", onDemand) + ", \(diskBytes.warm >> 20) MiB from the disk") }
        if let onDemandCold {
            lines.append(line("on demand, cold", onDemandCold) + ", \(diskBytes.cold >> 20) MiB from the disk")
        }
        if let hot { lines.append(line("on demand, one place", hot)) }
        if let ratio = ratioOfHot { lines.append("CPU time per byte, one place on demand ÷ broadcast: \(JSONValue.number(ratio).line)") }
        if let beside {
            lines += [line("the other server", beside.other), line("Weir with as many", beside.ours)]
            if let ratio = ratioOfOther { lines.append("CPU time per byte, the other server ÷ Weir: \(JSONValue.number(ratio).line)") }
        }
        return lines.joined(separator: "\n")
    }
}

/// The whole relay, as its users run it, with readers of Windows Media over HTTP or RTSP, and in the same run plain RTSP of the same bit rate
/// with as many readers, over TCP beside HTTP, and over UDP beside UDP.
package enum RelayBench {
    /// Runs the whole.
    package static func run(_ options: RelayBenchOptions) throws -> RelayBenchReport {
        try options.check()
        Interruption.watch()
        let server = try RelayServer(
            bitRate: options.bitRate, packetBytes: options.packetBytes, onDemandSeconds: options.onDemandSeconds,
            keptFile: options.keptFile, arguments: options.serverArguments)
        defer { server.stop() }
        try server.waitUntilListening()
        let base = "127.0.0.1:\(server.port)"
        func load(_ url: String, _ sessions: Int, process: Int32, positions: LoadPositions = .start) throws -> LoadReport {
            var load = LoadOptions(url: url)
            load.transport = options.subject == .wmsp ? .tcp : .udp
            // Of descriptors, of which a reader takes three otherwise.
            load.sharesRTCPPort = options.subject == .msRTSP
            load.sessions = sessions
            load.duration = options.duration
            load.serverProcess = process
            load.positions = positions
            load.userAgent = options.userAgent
            // Both protocols' readers do the same: every packet of every session is seen.
            load.parsedSessionsMax = sessions
            progress("\(sessions) readers of \(url)")
            let report = try LoadClient.run(load)
            for (reason, count) in report.failures { progress("\(count) sessions: \(reason)") }
            return report
        }
        var report = RelayBenchReport()
        report.options = options
        let scheme = options.subject == .wmsp ? "mmsh" : "rtsp"
        for _ in 0..<options.turns {
            report.subject.append(try load("\(scheme)://\(base)/wm", options.readers, process: server.process))
            report.rtsp.append(try load("rtsp://\(base)/rtp", options.readers, process: server.process))
        }
        func loadPlaces() throws -> (LoadReport, diskBytes: UInt64) {
            let before = server.diskBytes
            let places = options.subject == .wmsp ? LoadPositions.spread : .start
            let report = try load("\(scheme)://\(base)/vod", options.onDemand, process: server.process, positions: places)
            return (report, server.diskBytes - min(before, server.diskBytes))
        }
        if options.onDemand > 0 { (report.onDemand, report.diskBytes.warm) = try loadPlaces() }
        if options.isCold {
            try server.forgetOnDemand()
            (report.onDemandCold, report.diskBytes.cold) = try loadPlaces()
        }
        if options.hot > 0 { report.hot = try load("\(scheme)://\(base)/vod", options.hot, process: server.process) }
        if let beside = options.beside {
            let other = try load(beside.url, options.besideReaders, process: beside.process)
            report.beside = (other, try load("mmsh://\(base)/wm", options.besideReaders, process: server.process))
        }
        return report
    }
}
