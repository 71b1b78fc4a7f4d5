import ArgumentParser
import Workbench

/// `weir bench relay`.
struct RelayBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: "The whole relay with thousands of readers of Windows Media, beside plain RTSP of the same bit rate.",
        discussion: """
            Starts `weir serve` in a process of its own with media that it makes itself, and loads it in turns as `weir load` does: a broadcast \
            of Windows Media, and RTP of the same bit rate with as many readers. With wmsp the first comes over HTTP, and the second \
            interleaved: ratio_to_rtsp is the first's CPU time per byte divided by the second's. With ms-rtsp both come over UDP, in packets \
            of about one size, and it is CPU time per packet. Then readers on demand, each at a place of its own of a file (with ms-rtsp all at its beginning), and with --hot readers of its beginning: ratio_of_hot is their CPU time per byte \
            divided by that of the broadcast. With --beside another server of Windows \
            Media is loaded in the same run, and the relay with as many readers: ratio_of_other is the other's CPU time per byte divided by \
            the relay's.

            Example: two thousand readers of 1 Mbit/s, and VLC, which runs already:

              weir bench relay --protocol wmsp --beside mmsh://127.0.0.1:8080/tv --beside-pid $(pgrep -x vlc) --json

            Exit status: 0 all sessions played and nothing was lost, 1 sessions failed, 3 packets were lost, 64 the options cannot be.
            """)

    @Option(name: .customLong("protocol"), help: "What is held against plain RTSP: wmsp or ms-rtsp.")
    var subject = RelayBenchOptions.Subject.wmsp

    @Option(help: "Readers of each protocol.")
    var readers = 2_000

    @Option(help: "Readers on demand, each at a place of its own; 0: none.")
    var onDemand = 300

    @Option(help: "Readers on demand of one place: all of its beginning, as they come; 0: none. Not with ms-rtsp.")
    var hot = 0

    @Option(help: "MiB that the file on demand has at least; default as long as the run takes.")
    var fileMib: Int?

    @Flag(help: "The readers at places of their own come once more, when the kernel has forgotten the file: it comes from the disk.")
    var cold = false

    @Option(help: "Leave the file on demand here, for another server to be held against with the same bytes.")
    var keepFile: String?

    @Option(help: "Bits per second of each stream.")
    var bitRate = 1_000_000

    @Option(help: "Bytes of an ASF packet; default 3200, with ms-rtsp 1400.")
    var packetSize: Int?

    @Option(help: "Seconds of each window.")
    var duration = 8.0

    @Option(help: "Turns of the two protocols.")
    var turns = 2

    @Option(help: "Who the players of Windows Media say they are.")
    var userAgent = RelayBenchOptions().userAgent

    @Option(help: "Another server of Windows Media on this machine to hold against: its URL.")
    var beside: String?

    @Option(help: "That one's process.")
    var besidePid: Int32?

    @Option(help: "Readers of that one, and of the relay beside it.")
    var besideReaders = 200

    @Option(help: "Threads of the relay that carry media; default as many as it takes by itself.")
    var workers: Int?

    @Flag(help: "Print the result as one line of JSON.")
    var json = false

    func validate() throws {
        if (beside == nil) != (besidePid == nil) { throw ValidationError("--beside and --beside-pid belong together") }
        try measuring { try options.check() }
    }

    func run() throws {
        let report = try measuring { try RelayBench.run(options) }
        print(json ? report.json.line : report.text)
        if report.exitStatus != 0 { throw ExitCode(report.exitStatus) }
    }

    private var options: RelayBenchOptions {
        var options = RelayBenchOptions()
        options.subject = subject
        options.readers = readers
        options.onDemand = onDemand
        options.hot = hot
        options.keptFile = keepFile
        options.fileBytes = fileMib.map { min(max($0, 1), 1 << 20) << 20 }
        options.isCold = cold
        options.bitRate = bitRate
        options.packetSize = packetSize
        options.duration = duration
        options.turns = turns
        options.userAgent = userAgent
        if let beside, let besidePid { options.beside = (beside, besidePid) }
        options.besideReaders = besideReaders
        if let workers { options.serverArguments = ["--workers", "\(workers)"] }
        return options
    }
}

extension RelayBenchOptions.Subject: ExpressibleByArgument {}
