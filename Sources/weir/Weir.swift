import ArgumentParser
import WeirRelay

/// `weir`: the command line.
@main
struct Weir: AsyncParsableCommand {
    /// What `--version` and every status say.
    static let version = WeirVersion.text

    static let configuration = CommandConfiguration(
        commandName: "weir",
        abstract: "An RTSP media relay: one source in, thousands of readers out.",
        discussion: """
            Begin with `weir demo`: it serves a built-in broadcast and prints how to play it.

            Exit status: 0 ended as asked, 1 something failed, 64 the command line cannot be, 69 no relay is there to be asked, 77 it \
            belongs to another user, 78 the configuration cannot be.
            """,
        version: version,
        subcommands: [
            DemoCommand.self, ServeCommand.self, RelayCommand.self, StatusCommand.self, TopCommand.self, ProbeCommand.self,
            LoadCommand.self, BenchCommand.self, PlaylistCommand.self, CacheCommand.self,
        ])
}
