import ArgumentParser

/// `weir`: the command line.
@main
struct Weir: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir",
        abstract: "An RTSP media relay: one source in, thousands of readers out.",
        discussion: """
            Begin with `weir demo`: it serves a built-in broadcast and prints how to play it.

            Exit status: 0 ended as asked, 1 something failed, 64 the command line cannot be, 78 the configuration cannot be.
            """,
        version: "0.1.0",
        subcommands: [DemoCommand.self, ServeCommand.self, RelayCommand.self, ProbeCommand.self, LoadCommand.self, BenchCommand.self])
}
