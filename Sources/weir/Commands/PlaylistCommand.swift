import ArgumentParser
import ControlPlane

/// `weir playlist`.
struct PlaylistCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "playlist",
        abstract: "Look at the playlist of a running relay's path, and change what it plays.",
        discussion: """
            Asks the relay of this user on this machine over its control socket. Entries are named by their number (from ls), by id, \
            mediaName or source. What is inserted or removed here lasts until the file changes.

              weir playlist ls channel
              weir playlist next channel
              weir playlist insert channel news.wmv
              weir playlist jump channel news.wmv

            Exit status: 0 done, 1 refused or failed, 64 several relays run and none was named, 69 no relay is there, 77 it belongs to \
            another user.
            """,
        subcommands: [List.self, Next.self, Jump.self, Insert.self, Remove.self])

    /// Which relay, which path.
    struct Target: ParsableArguments {
        @Argument(help: ArgumentHelp("The name that the playlist is served under.", valueName: "name"))
        var path: String

        @Option(help: ArgumentHelp("The port that the relay listens on, where several run.", valueName: "port"))
        var port: UInt16?

        @Option(help: ArgumentHelp("The relay's control socket, when it was started with --control.", valueName: "path"))
        var control: String?

        @Flag(help: "Print one line of JSON.")
        var json = false

        func validate() throws {
            if port != nil, control != nil { throw ValidationError("--port and --control name a relay each; give one of them") }
        }

        /// Asks, and prints what was done.
        func ask(_ what: String, _ arguments: [String: String] = [:]) throws {
            let answer = try asking {
                try ControlTarget.connect(port: port, control: control).playlist(path, what, arguments)
            }
            if json {
                Console.shared.print(try ControlJSON.line(answer))
            } else if let listing = answer.listing {
                for line in listing.lines(TerminalScreen.width) { Console.shared.print(line) }
            } else {
                Console.shared.print(answer.done ?? "done")
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the entries: what plays, what cannot be played and why.",
            discussion: "Example: weir playlist ls channel --json | jq '.listing.rows[] | select(.readers > 0)'")

        @OptionGroup var target: Target
        func run() throws { try target.ask("ls") }
    }

    struct Next: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "next", abstract: "Leave what plays and go to the next entry, for all readers.",
            discussion: "Also where the playlist forbids it to viewers (noSkip). Example: weir playlist next channel")

        @OptionGroup var target: Target
        func run() throws { try target.ask("next") }
    }

    struct Jump: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "jump", abstract: "Go to an entry, or set off an event that an <excl> waits for, for all readers.",
            discussion: "Example: weir playlist jump channel 4")

        @OptionGroup var target: Target
        @Argument(help: "The entry: its number, id, mediaName or source; or the name of an event.")
        var entry: String
        func run() throws { try target.ask("jump", ["entry": entry]) }
    }

    struct Insert: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "insert", abstract: "Put an entry behind what plays, or behind another, and print its number.",
            discussion: "Example: weir playlist insert channel news.wmv --after opener.wmv")

        @OptionGroup var target: Target
        @Argument(help: "An ASF file (beside the playlist's), or lpp://PATH for a live path of this relay.")
        var source: String
        @Option(help: ArgumentHelp("The entry that it comes behind; without it what plays, else the end.", valueName: "entry"))
        var after: String?
        func run() throws {
            var arguments = ["source": source]
            if let after { arguments["after"] = after }
            try target.ask("insert", arguments)
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Take an entry out; if it plays, it plays to its end.",
            discussion: "Example: weir playlist remove channel 4")

        @OptionGroup var target: Target
        @Argument(help: "The entry: its number, id, mediaName or source.")
        var entry: String
        func run() throws { try target.ask("remove", ["entry": entry]) }
    }
}
