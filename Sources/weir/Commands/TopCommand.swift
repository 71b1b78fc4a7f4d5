import ArgumentParser
import ControlPlane
import Glibc

/// `weir top`.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch a running relay in the terminal.",
        discussion: """
            Shows what weir status says, again and again, as large as the terminal is. q or Ctrl-C ends. Without a terminal it shows it \
            once.

              weir top
              weir top 8554 --interval 0.5

            Exit status: as weir status; 69 also when the relay ends meanwhile.
            """)

    @OptionGroup var target: ControlTarget

    @Option(help: ArgumentHelp("From one look to the next, 0.1 to 60; default 1.", valueName: "seconds"))
    var interval = 1.0

    func validate() throws {
        guard (0.1...60).contains(interval) else {
            throw ValidationError("--interval \(interval): write a number of seconds from 0.1 to 60")
        }
    }

    func run() throws {
        guard let screen = TerminalScreen() else {
            // Nobody sees a picture that moves.
            return try target.showTable()
        }
        try asking {
            let client = try target.connect()
            Signals.catchAll()
            screen.enter()
            defer { screen.leave() }
            while Signals.received == 0 {
                let size = screen.size
                // No more readers than there are lines.
                let overview = try client.status(readers: target.readers ?? min(max(size.rows, 1), 1_000), path: target.path)
                screen.show(OverviewTable(overview, width: size.columns).lines)
                if screen.waitForQuit(milliseconds: Int32(interval * 1_000)) { return }
            }
        }
    }
}
