import ArgumentParser
import ControlPlane

/// `weir demo`.
struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Serve the built-in demonstration broadcast.",
        discussion: """
            A short clip with a running time code and a beep on each second, H.264 and AAC, served as a live broadcast at /demo.

            Example:

              weir demo
              ffplay rtsp://127.0.0.1:8554/demo
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineArguments
    @OptionGroup var readers: ReaderArguments

    func run() throws {
        var configuration = try loadConfiguration(file: nil)
        if common.logLevel == nil { configuration.logLevel = .warning }
        try common.apply(to: &configuration)
        try engine.apply(to: &configuration)
        var path = PathSettings(name: "demo", source: .demonstration)
        path.dial = .always
        try readers.apply(to: &path)
        configuration.paths = configuration.paths.filter { $0.name != path.name } + [path]
        try RelayRun(configuration: configuration, json: common.json, control: common.control) { base in
            """
            Weir serves its demonstration broadcast, H.264 and AAC with a running time code:

              \(base)/demo

            Play it:     ffplay -fflags nobuffer \(base)/demo
                         mplayer \(base)/demo
                         gst-play-1.0 \(base)/demo
            Try next:    weir load \(base)/demo -n 200       two hundred readers at once
                         weir relay rtsp://USER:PASSWORD@CAMERA/STREAM    the same before a real source

            """
        }.run()
    }
}
