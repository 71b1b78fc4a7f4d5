import ArgumentParser
import Workbench

/// `weir load`.
struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Load a server of RTSP or Windows Media, any, with many readers and measure what they get.",
        discussion: """
            Opens real RTSP sessions and counts packets, gaps, repeats and disorder of each, how late packets come, how far apart the readers \
            get the same packet, how long a join takes and, given the server's process, its CPU time per delivered packet. UDP packets are \
            counted and discarded by a filter in the kernel (eBPF, wants root or CAP_BPF), so that the server is the bottleneck and not this \
            program; sixteen sessions are also read packet by packet. Lateness counts from when a reader has met the live stream: \
            what a server sends of the past to a newcomer is not late.

            What is Windows Media behind rtsp:// (MS-RTSP) is set up as its players do it: all streams to one port or channel.

            With mmsh://, mms:// or http:// the sessions are players of Windows Media over HTTP: Describe, then Play. Gaps are counted by the \
            packets' numbers, of every session; lateness is against the send times, and behind_ms says how far a packet came behind the \
            reader's own first one. A playlist is to be loaded as an old player (--user-agent NSPlayer/4.1.0.3856): those of version 9 have to \
            answer each change of entry, which this does not.

            Example: five hundred readers over UDP for ten seconds, and what they cost the server:

              weir load rtsp://127.0.0.1:8554/demo -n 500 --transport udp --duration 10 --server-pid $(pgrep -x weir) --json

            Example: five thousand newcomers in ten seconds beside a thousand readers, in two processes:

              weir load rtsp://127.0.0.1:8554/demo -n 1000 --joiners 5000 --join-rate 500 --processes 2 --json

            Example: three hundred readers of a file of Windows Media, each at a place of its own:

              weir load mmsh://127.0.0.1:8554/lecture -n 300 --positions spread --duration 20 --json

            Exit status: 0 all sessions played and nothing was lost, 1 sessions failed, 3 packets were lost, 64 the options cannot be.
            """)

    @Argument(help: "The stream: rtsp:// or mmsh://[USER:PASSWORD@]HOST[:PORT]/PATH.")
    var url: String

    @Option(name: [.customShort("n"), .customLong("sessions")], help: "Sessions to open.")
    var sessions = 100

    @Option(help: "How RTP comes: udp or tcp (interleaved); default udp.")
    var transport: ReaderTransport?

    @Option(help: ArgumentHelp("Where sessions of Windows Media begin: start, or spread over the file.", valueName: "start|spread"))
    var positions = LoadPositions.start

    @Option(help: "Who sessions of Windows Media say they are: servers go by the version.")
    var userAgent = "NSPlayer/9.0.0.2980"

    @Option(help: "Seconds to measure.")
    var duration = 10.0

    @Option(help: "Seconds between the last join and the measuring.")
    var settling = 2.0

    @Option(help: "The server's process, to be charged with its CPU time and memory.")
    var serverPid: Int32?

    @Option(help: "Whether receiving UDP sockets take trains of packets whole: on or off.")
    var receiveGro = OnOff.off

    @Option(help: "A stream to compare with, read beside the others: shows a server that thins instead of losing.")
    var source: String?

    @Option(help: "Sessions between connect and PLAY at a time.")
    var joins = 32

    @Option(help: "Sessions begun per second; servers limit what one address may.")
    var joinRate = 500.0

    @Option(help: "Seconds after which a session that does not play has failed.")
    var joinTimeout = 30.0

    @Option(help: "Further sessions that join at --join-rate while the others are measured, with an account of their own.")
    var joiners = 0

    @Option(help: "Processes to share the sessions: one ends at the descriptors it may have, and a UDP reader takes three.")
    var processes = 1

    @Flag(help: "One RTCP port for all UDP readers of a process: they take two descriptors each, for servers that keep to client_port.")
    var shareRtcpPort = false

    @Flag(help: "Permit a server on another machine. Load only what is yours.")
    var allowRemote = false

    @Flag(help: ArgumentHelp("Carry a part of a load for the process that started this one.", visibility: .private))
    var child = false

    @OptionGroup var report: ReportArguments

    func validate() throws {
        if transport == .udp, options.isWindowsMedia { throw ValidationError("--transport udp: Windows Media over HTTP comes over TCP") }
        if !child { try measuring { try options.check() } }
    }

    func run() throws {
        if child { return LoadClient.runAsChild() }
        let report = try measuring { try LoadClient.run(options) }
        for (reason, count) in report.failures.sorted(by: { $0.value > $1.value }) { progress("\(count) sessions: \(reason)") }
        self.report.show(report.json)
        if report.exitStatus != 0 { throw ExitCode(report.exitStatus) }
    }

    private var options: LoadOptions {
        var options = LoadOptions(url: url)
        options.sessions = sessions
        options.joiners = joiners
        options.processes = processes
        options.sharesRTCPPort = shareRtcpPort
        // Windows Media comes over its connection, whatever is said.
        options.transport = options.isWindowsMedia ? .tcp : transport ?? .udp
        options.positions = positions
        options.userAgent = userAgent
        options.duration = duration
        options.settling = settling
        options.serverProcess = serverPid
        options.receiveGRO = receiveGro == .on
        options.source = source
        options.joinsInFlightMax = joins
        options.joinsPerSecond = joinRate
        options.joinTimeout = joinTimeout
        options.allowRemote = allowRemote
        return options
    }
}
