import ArgumentParser
import ControlPlane
import Foundation

/// `weir status`.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say what a running relay does: its paths, who publishes and reads, what was lost and why.",
        discussion: """
            Asks the relay of this user on this machine over its control socket. When several run, name one by its port.

              weir status
              weir status 8554 --readers 100
              weir status --json | jq '.paths[] | {name, state, last_error}'

            Exit status: 0 answered, 1 something failed, 64 several relays run and none was named, 69 no relay is there, 77 it belongs \
            to another user.
            """)

    @OptionGroup var target: ControlTarget

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() throws {
        if json { Console.shared.print(try target.overview().json()) } else { try target.showTable() }
    }
}

/// Which relay is asked, and for what.
struct ControlTarget: ParsableArguments {
    @Argument(help: "The port that the relay listens on; can be left out when there is one relay.")
    var port: UInt16?

    @Option(help: ArgumentHelp("The relay's control socket, when it was started with --control.", valueName: "path"))
    var control: String?

    @Option(help: ArgumentHelp("How many readers are shown, the worst first, 0 to 1000; default 20.", valueName: "n"))
    var readers: Int?

    @Option(help: ArgumentHelp("Show this path and its readers alone.", valueName: "name"))
    var path: String?

    func validate() throws {
        if port != nil, control != nil { throw ValidationError("a port and --control name a relay each; give one of them") }
        if let readers, !(0...1_000).contains(readers) { throw ValidationError("--readers \(readers): write a number from 0 to 1000") }
    }

    /// What the relay that is meant says once.
    func overview() throws -> Overview { try asking { try connect().status(readers: readers, path: path) } }

    /// Prints it for people.
    func showTable() throws {
        for line in OverviewTable(try overview(), width: TerminalScreen.width).lines { Console.shared.print(line) }
    }

    /// The relay that is meant.
    func connect() throws -> ControlClient { try Self.connect(port: port, control: control) }

    /// The relay that listens on a port, or that a control socket belongs to, or the only one.
    static func connect(port: UInt16?, control: String?) throws -> ControlClient {
        if let control { return try ControlClient(path: control) }
        let sockets = ControlPlace.sockets(environment: ProcessInfo.processInfo.environment)
        if let port {
            var trouble: ControlClient.Trouble?
            for socket in sockets where socket.hasSuffix("/\(port).sock") {
                do throws(ControlClient.Trouble) { return try ControlClient(path: socket) } catch { trouble = error }
            }
            if let trouble { throw trouble }
            throw NoRelay(description: "no relay of this user listens on port \(port)\(running(sockets))")
        }
        // Of a relay that was killed the file stays: nobody answers there.
        let living = sockets.compactMap { try? ControlClient(path: $0) }
        guard let first = living.first else {
            throw NoRelay(
                description: "no relay of this user runs here; start one (weir demo), or name its socket with --control PATH")
        }
        guard living.count == 1 else {
            throw ValidationError(
                "several relays run here; name one by its port: \(living.map { Self.port(of: $0.path) }.joined(separator: ", "))")
        }
        return first
    }

    private static func running(_ sockets: [String]) -> String {
        let ports = sockets.filter { (try? ControlClient(path: $0)) != nil }.map(port(of:))
        return ports.isEmpty ? "; none runs here" : "; there are relays on \(ports.joined(separator: ", "))"
    }

    private static func port(of socket: String) -> String {
        socket.split(separator: "/").last.map { String($0.dropLast(".sock".count)) } ?? socket
    }
}

/// Nobody is there to be asked.
struct NoRelay: Error, CustomStringConvertible {
    let description: String
}

/// Runs what asks a relay; what goes wrong is said on standard error and told by the exit status (sysexits.h).
func asking<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as ValidationError {
        throw error
    } catch {
        Console.shared.printError("weir: \(error)")
        let code: Int32 =
            switch error {
            case is NoRelay: 69  // EX_UNAVAILABLE
            case let error as ControlClient.Trouble: error.kind == .nobody ? 69 : error.kind == .forbidden ? 77 : 1  // EX_NOPERM
            default: 1
            }
        throw ExitCode(code)
    }
}
