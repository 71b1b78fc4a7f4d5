import ArgumentParser
import Workbench

/// `weir probe`.
struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Tell what a stream holds: tracks, codecs, bit rates, key frames, SDP.",
        discussion: """
            Plays an RTSP stream for some seconds, over TCP and if the server refuses that over UDP, and says what it found where \
            that is Windows Media (MS-RTSP); describes what a server of Windows Media over HTTP offers (mmsh://, mms://, http://), and plays it \
            as long; or looks at a recording: an rtpdump file with its description in a .sdp file of the same name, or a whole ASF file (.asf, \
            .wmv, .wma).

            Example:

              weir probe rtsp://viewer:secret@camera.example/stream --duration 10 --json
              weir probe mmsh://encoder.example:8080/live
              weir probe lecture.wmv
            """)

    @Argument(help: "rtsp:// or mmsh://[USER:PASSWORD@]HOST[:PORT]/PATH, FILE.rtpdump, or FILE.wmv.")
    var source: String

    @Option(help: "Seconds to look at.")
    var duration = 5.0

    @Flag(help: "Print the result as one line of JSON.")
    var json = false

    func validate() throws { try measuring { try options.check() } }

    func run() throws {
        let report = try measuring { try Probe.examine(options) }
        print(json ? report.json.line : report.text)
    }

    private var options: ProbeOptions {
        var options = ProbeOptions(source: source)
        options.duration = duration
        return options
    }
}
