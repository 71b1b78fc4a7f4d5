import ArgumentParser
import ControlPlane
import Foundation

/// `weir serve`.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve what a configuration file names.",
        discussion: """
            Example, weir.yml:

              listen: 0.0.0.0:8554
              paths:
                cam:
                  source: rtsp://user:pw@camera.example/stream
                studio:
                  source: publish
                ~^door-([0-9]+)$:
                  source: rtsp://10.0.0.$1/stream
                  allow: [10.0.0.0/24]

            Environment variables go before the file: WEIR_LISTEN=:9554, WEIR_PATHS_CAM_SOURCE=rtsp://… ; options go before both.

              weir serve --config weir.yml --check
            """)

    @Option(help: ArgumentHelp("The configuration file; default weir.yml if there is one.", valueName: "file"))
    var config: String?

    @Flag(help: "Say what would be served, or what is wrong with the configuration, and end.")
    var check = false

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineArguments

    func run() throws {
        let file = config ?? (FileManager.default.fileExists(atPath: "weir.yml") ? "weir.yml" : nil)
        var configuration = try loadConfiguration(file: file)
        try common.apply(to: &configuration)
        try engine.apply(to: &configuration)
        let paths = configuration.paths
        var isSound = true
        for path in paths {
            do { try path.checkFile() } catch {
                isSound = false
                Console.shared.printError("weir: path \(path.name): \(error)")
            }
        }
        if check {
            guard isSound else { throw configurationExitCode }
            for line in configuration.summary { Console.shared.print(line) }
            return
        }
        guard !paths.isEmpty || configuration.register.isOn || configuration.forwardProxy.isOn else {
            Console.shared.printError(
                "weir: nothing to serve: \(file.map { "\($0) names no path" } ?? "there is no weir.yml here"). "
                    + "Write one with `paths:` (see weir serve --help), or try `weir demo`.")
            throw configurationExitCode
        }
        let forwarding = configuration.forwardProxy.words.map { "  \($0)\n" } ?? ""
        try RelayRun(configuration: configuration, json: common.json, control: common.control) { base in
            "Weir serves:\n\n" + forwarding
                + paths.map { path in
                    path.expression == nil
                        ? "  \(base)/\(path.name)    from \(path.source)\n" : "  names that match \(path.name)    from \(path.source)\n"
                }.joined()
        }.run()
    }
}

/// EX_CONFIG of sysexits.h.
let configurationExitCode = ExitCode(78)

/// Reads the file (nil: none) and the environment; what is wrong ends the program with all of it in words.
func loadConfiguration(file: String?) throws -> Configuration {
    do {
        return try Configuration.load(file: file, environment: ProcessInfo.processInfo.environment)
    } catch {
        Console.shared.printError(error.description)
        throw configurationExitCode
    }
}
