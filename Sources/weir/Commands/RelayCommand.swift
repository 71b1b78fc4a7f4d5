import ArgumentParser
import ControlPlane

/// `weir relay`.
struct RelayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: "Serve one source to many readers.",
        discussion: """
            The source is dialled at the first reader and released some seconds after the last. It is pulled over UDP, or over TCP when \
            nothing arrives that way.

            Example: a camera, for everybody at rtsp://THIS-MACHINE:8554/stream

              weir relay rtsp://user:pw@camera.example/stream
            """)

    @Argument(
        help: """
            The source: an rtsp:// URL, an rtpdump file with its SDP beside it, an .sdp file that names a multicast group or a port, or \
            rtp://GROUP:PORT?sdp=FILE.
            """)
    var source: String

    @Option(name: .customLong("as"), help: ArgumentHelp("The name to serve it under.", valueName: "name"))
    var name = "stream"

    @Option(help: ArgumentHelp("How media is asked of the source: auto, udp, tcp, http (a tunnel) or multicast.", valueName: "transport"))
    var transport: String?

    @Option(help: ArgumentHelp("When the source is dialled: on-demand, always or warm.", valueName: "when"))
    var dial: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineArguments
    @OptionGroup var readers: ReaderArguments

    func run() throws {
        var configuration = try loadConfiguration(file: nil)
        if common.logLevel == nil { configuration.logLevel = .notice }
        try common.apply(to: &configuration)
        try engine.apply(to: &configuration)
        var path: PathSettings
        do {
            path = try PathSettings(name: name, source: source, transport: transport, dial: dial)
        } catch {
            throw ValidationError(error.description)
        }
        try readers.apply(to: &path)
        do { try path.checkFile() } catch {
            Console.shared.printError("weir: \(error)")
            throw ExitCode(1)
        }
        configuration.paths = configuration.paths.filter { $0.name != path.name } + [path]
        try RelayRun(configuration: configuration, json: common.json, control: common.control) { base in
            """
            Weir relays \(path.source) to everybody who asks for

              \(base)/\(path.name)

            Play it:     ffplay \(base)/\(path.name)

            """
        }.run()
    }
}
