import ArgumentParser
import ControlPlane

/// `weir relay`.
struct RelayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: "Serve one source, or several, to many readers.",
        discussion: """
            A source is dialled at the first reader and released some seconds after the last. It is pulled over UDP, or over TCP when \
            nothing arrives that way.

            Examples: a camera, for everybody at rtsp://THIS-MACHINE:8554/stream; two by names; and as LIVE555's proxy server names \
            them, /proxyStream-1 and /proxyStream-2

              weir relay rtsp://user:pw@camera.example/stream
              weir relay rtsp://door.example/1 rtspt://yard.example/1 --as door --as yard
              weir relay rtsp://door.example/1 rtsp://yard.example/1 --names live555
              weir relay clip.wmv --as clip --listen :8554 --listen :80
              weir relay list.wsx --as list
              weir relay mmsh://media.example/film.wmv --as film --cache /var/cache/weir
            """)

    @Argument(
        help: ArgumentHelp(
            """
            The sources, each an rtsp:// URL (rtspt:// over TCP, rtspu:// over UDP, rtsph:// through HTTP), an rtpdump file with its SDP \
            beside it, an .sdp file that names a multicast group or a port, rtp://GROUP:PORT?sdp=FILE, or an ASF file (.asf, .wmv, .wma), which each \
            reader gets from its beginning by mmsh://, or a playlist of such (.wsx, .asx).
            """, valueName: "source"))
    var sources: [String]

    @Option(
        name: .customLong("as"), parsing: .singleValue,
        help: ArgumentHelp("The name to serve a source under; once for each source, in their order.", valueName: "name"))
    var names: [String] = []

    @Option(
        name: .customLong("names"),
        help: ArgumentHelp(
            "How sources without names are called: stream (/stream, or /stream-1, /stream-2 …) or live555 (/proxyStream, or "
                + "/proxyStream-1 …); default stream.", valueName: "scheme"))
    var scheme: String?

    @Option(help: ArgumentHelp("How media is asked of the source: auto, udp, tcp, http (a tunnel) or multicast.", valueName: "transport"))
    var transport: String?

    @Option(help: ArgumentHelp("When the source is dialled: on-demand, always or warm.", valueName: "when"))
    var dial: String?

    @Option(
        name: .customLong("register"), parsing: .singleValue,
        help: ArgumentHelp(
            "A proxy that is to serve it, too, over a connection from here: rtsp://USER:PASSWORD@PROXY:PORT/NAME; once for each source.",
            valueName: "url"))
    var proxies: [String] = []

    @Option(
        help: ArgumentHelp(
            "Which media of the source are relayed, with commas between them: video, audio, application, a codec such as h264, a number "
                + "from 0; no- before one leaves it out. Default: all.", valueName: "which"))
    var tracks: String?

    @Option(
        name: .customLong("cache"),
        help: ArgumentHelp(
            "Where content that is played on demand from servers of Windows Media is kept, as far as they permit it; made when it is not there. "
                + "Default: nothing is kept.", valueName: "directory"))
    var cache: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineArguments
    @OptionGroup var readers: ReaderArguments

    func run() throws {
        var configuration = try loadConfiguration(file: nil)
        if common.logLevel == nil { configuration.logLevel = .notice }
        try common.apply(to: &configuration)
        try engine.apply(to: &configuration)
        try set(&configuration, "--cache", "cache-dir", cache)
        let paths = try paths()
        for path in paths {
            do { try path.checkFile() } catch {
                Console.shared.printError("weir: \(error)")
                throw ExitCode(1)
            }
        }
        configuration.paths = configuration.paths.filter { other in !paths.contains { $0.name == other.name } } + paths
        try RelayRun(configuration: configuration, json: common.json, control: common.control) { Self.greeting(paths, base: $0) }.run()
    }

    private func paths() throws -> [PathSettings] {
        guard proxies.count <= sources.count else { throw ValidationError("there are more --register than sources") }
        var paths: [PathSettings] = []
        do throws(ValueProblem) {
            let scheme = try scheme.map { text throws(ValueProblem) in try SourceNames.Scheme(parsing: text) }
            let names = try SourceNames.names(count: sources.count, given: names, scheme: scheme)
            for (name, source) in zip(names, sources) {
                paths.append(try PathSettings(name: name, source: source, transport: transport, dial: dial))
            }
            for (index, proxy) in proxies.enumerated() { paths[index].registerAt = [try RegisterTarget(parsing: proxy)] }
        } catch {
            throw ValidationError(error.description)
        }
        for index in paths.indices {
            try set(&paths[index], "--tracks", "tracks", tracks)
            try readers.apply(to: &paths[index])
        }
        return paths
    }

    private static func greeting(_ paths: [PathSettings], base: String) -> String {
        func url(_ path: PathSettings) -> String { path.source.isWindowsMedia ? path.windowsMediaURL(base) : "\(base)/\(path.name)" }
        guard paths.count > 1 else {
            return """
                Weir relays \(paths[0].source) to everybody who asks for

                  \(url(paths[0]))

                Play it:     ffplay \(url(paths[0]))

                """
        }
        return "Weir relays to everybody who asks for\n\n" + paths.map { "  \(url($0))    from \($0.source)\n" }.joined()
            + "\nPlay one:    ffplay \(url(paths[0]))\n"
    }
}
