import ArgumentParser
import FastPath
import Workbench

/// `weir bench`.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure the engine against bare loops over the same system calls, the whole relay, and the parsers.",
        discussion: """
            Everything runs on this machine's loopback. fanout and ingest alternate the engine and its limit, a short C loop, in the same run, \
            verbatim alternates with interleaved RTP; relay starts a whole relay in a process of its own. With --json the result is one line on standard output.

            Example: a thousand UDP subscribers, frames of twelve packets:

              weir bench fanout --subscribers 1000 --packets-per-frame 12 --packet-size 1200 --duration 10 --json
            """,
        subcommands: [FanoutCommand.self, VerbatimCommand.self, RelayBenchCommand.self, IngestCommand.self, ParsersCommand.self])
}

/// `weir bench fanout`.
struct FanoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout",
        abstract: "One stream to many subscribers: the engine against sendmmsg with UDP_SEGMENT, or send.",
        discussion: """
            UDP subscribers are sockets whose packets a filter in the kernel counts and discards; TCP subscribers are read by another process \
            that throws everything away. A frame is offered when the one before it has completed; --fps paces frames instead, and only then \
            lateness is measured. ratio_to_limit is the bare loop's CPU time per packet divided by the engine's: 1 is the limit; \
            the bare loop is one thread, whatever --workers says. spread_ms is the time from the first subscriber to the last, UDP.

            Example: the same with receivers that take packets one by one, as a device without segmentation offload would have it:

              weir bench fanout --subscribers 1000 --receive-gro off --json

            Example: by a real network device, to a machine that drops what comes to its port 9:

              weir bench fanout --to 192.0.2.7 --subscribers 200,1000,4000 --packets-per-frame 40 --json
            """)

    @Option(help: "udp or tcp (interleaved).")
    var transport = ReaderTransport.udp

    @Option(help: ArgumentHelp("Subscribers of the stream; of several numbers each is measured by itself.", valueName: "n,n,…"))
    var subscribers = NumberList([1_000])

    @OptionGroup var frame: FrameArguments

    @Option(help: "Frames per second; without it as fast as they complete.")
    var fps: Double?

    @Option(help: "Whether receiving UDP sockets take trains of packets whole: on or off.")
    var receiveGro = OnOff.on

    @Option(
        help: ArgumentHelp(
            "Send to another machine instead, port 9 unless named: by a real device, to where somebody discards.",
            valueName: "host[:port]"))
    var to: String?

    @Flag(help: "Measure the bare loop with an iovec per packet too.")
    var gather = false

    @OptionGroup(title: "Engine")
    var engine: EngineArguments

    @OptionGroup var report: ReportArguments

    func validate() throws {
        for number in subscribers.numbers { try measuring { try options(number).check() } }
    }

    func run() throws {
        for number in subscribers.numbers {
            report.show(try measuring { try FanoutBench.run(options(number)) }.json)
        }
    }

    private func options(_ subscribers: Int) throws -> FanoutOptions {
        var options = FanoutOptions()
        options.transport = transport
        options.subscribers = subscribers
        options.packetsPerFrame = frame.packetsPerFrame
        options.packetSize = frame.packetSize
        options.duration = frame.duration
        options.framesPerSecond = fps
        options.destination = to
        options.receiveGRO = receiveGro == .on
        options.gather = gather
        options.engine = try engine.engineOptions()
        return options
    }
}

/// `weir bench verbatim`.
struct VerbatimCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verbatim",
        abstract: "A stream that is sent as it is fed, such as Windows Media, beside RTP of the same bit rate, to the same readers.",
        discussion: """
            Each packet of the stream that is no RTP is fed by itself, at its own time, and sent to TCP readers as it is, or with --chunked \
            as an HTTP chunk. In turns with it the same readers are sent RTP at 30 frames a second. ratio_to_interleaved is the CPU time per \
            byte of the first divided by the second's. Sampled readers tell lateness and losses, but for chunks. With --transport udp both \
            are the same RTP packets, of the one stream finished when they are fed, and the ratio is ratio_to_rtp.

            Example: two thousand readers, three packet sizes:

              weir bench verbatim --subscribers 2000 --packet-size 1400,3200,8192 --json
            """)

    @Option(help: "tcp, or udp for finished RTP.")
    var transport = ReaderTransport.tcp

    @Option(help: "Readers of each stream.")
    var subscribers = 2_000

    @Option(help: "Bits per second of each stream.")
    var bitRate = 1_000_000

    @Option(help: ArgumentHelp("Bytes of a packet; of several numbers each is measured by itself.", valueName: "n,n,…"))
    var packetSize = NumberList([3_200])

    @Option(help: ArgumentHelp("Collect its packets for so long; 0 sends each by itself.", valueName: "ms"))
    var collect = 0

    @Flag(help: "Send packets as HTTP chunks.")
    var chunked = false

    @Option(help: "Seconds in all, half for each stream.")
    var duration = 10.0

    @OptionGroup(title: "Engine")
    var engine: EngineArguments

    @OptionGroup var report: ReportArguments

    func validate() throws {
        for number in packetSize.numbers { try measuring { try options(number).check() } }
    }

    func run() throws {
        for number in packetSize.numbers { report.show(try measuring { try VerbatimBench.run(options(number)) }.json) }
    }

    private func options(_ packetSize: Int) throws -> VerbatimOptions {
        var options = VerbatimOptions()
        options.transport = transport
        options.subscribers = subscribers
        options.bitRate = bitRate
        options.packetSize = packetSize
        options.collectMilliseconds = collect
        options.chunked = chunked
        options.duration = duration
        options.engine = try engine.engineOptions()
        return options
    }
}

/// `weir bench ingest`.
struct IngestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Many streams in, no subscriber: the engine against recvmmsg with UDP_GRO.",
        discussion: """
            Every stream has a UDP socket and is sent a frame, as one train, when the frame before it has been taken. The engine copies \
            packets into packet logs; its limit, a bare loop, throws them away.

            Example: two hundred cameras:

              weir bench ingest --streams 200 --duration 10 --json
            """)

    @Option(help: "Streams, each with a UDP socket.")
    var streams = 100

    @OptionGroup var frame: FrameArguments

    @OptionGroup(title: "Engine")
    var engine: EngineArguments

    @OptionGroup var report: ReportArguments

    func validate() throws { try measuring { try options().check() } }

    func run() throws {
        report.show(try measuring { try IngestBench.run(options()) }.json)
    }

    private func options() throws -> IngestOptions {
        var options = IngestOptions()
        options.streams = streams
        options.packetsPerFrame = frame.packetsPerFrame
        options.packetSize = frame.packetSize
        options.duration = frame.duration
        options.engine = try engine.engineOptions()
        return options
    }
}

/// `weir bench parsers`.
struct ParsersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parsers",
        abstract: "CPU time of the wire formats' parsers on typical input.",
        discussion: """
            RTSP request, session description, RTP header, RTCP compound and the search for H.264 key frames; nanoseconds per call, the \
            least of five rounds.

            Example:

              weir bench parsers --duration 0.5 --json
            """)

    @Option(help: "Seconds for each parser.")
    var duration = 0.2

    @OptionGroup var report: ReportArguments

    func run() throws {
        let figures = try measuring { try ParsersBench.run(seconds: duration) }
        report.show(ParsersBench.json(figures))
    }
}
